"""Learning curves: what a folder of checkpoints holds, when a curve came near its last value, tables and the figure."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import learning
from benchmark.evidence import Result
from benchmark.learning import Training
from benchmark.summary import DIGITS
from leaderboard import drawing, tables
from leaderboard import learning as shown
from tasks.errors import UserError
from tests.conftest import Ran
from tests.noisy import LANGUAGES, STEPS
from tests.test_plots import check, made, tags

Bench = Callable[..., Ran]


def renamed(folder: Path, name: str, target: Path) -> Path:
    """Copy a result as that of a model of another name."""
    shutil.copytree(folder, target)
    says = json.loads((target / "evidence.json").read_text())
    says["model"]["name"] = name
    (target / "evidence.json").write_text(json.dumps(says))
    return target


def test_curves_are_the_evidence(trained: Path) -> None:
    (run,) = learning.read(trained)
    assert (run.name, run.task, run.steps) == ("checkpoint", "demo", tuple(STEPS))
    found = learning.curves(run).set_index(["step", "setting", "query_lang", "name"])["value"]
    assert found.index.is_unique
    for step in STEPS:
        says = json.loads((trained / f"checkpoint-{step}/demo/evidence.json").read_text())
        for row in says["averages"]:
            if row["average"] == "macro":
                assert found[step, row["setting"], "macro", "AP"] == row["measures"]["AP"]
        for row in says["bias"]:
            if row["query_language"] != "micro":
                for name in ("rank_distance", "own_excess@10", "peer@100"):
                    assert found[step, "multi", row["query_language"], name] == row[name]
        cross = [row for row in says["directions"] if (row["setting"], row["query_language"]) == ("cross", "sw")]
        assert found[step, "cross", "sw", "AP"] == pytest.approx(np.mean([row["measures"]["AP"] for row in cross]))


def test_a_folder_holds_several_runs_and_other_models(trained: Path, tmp_path: Path) -> None:
    sources = [trained / f"checkpoint-{step}/demo" for step in (100, 800)]
    for place, source in enumerate(sources):
        renamed(source, f"my-run-{9 + place}", tmp_path / f"a{place}" / "demo")
        renamed(source, f"other-{10**place}", tmp_path / f"b{place}" / "demo")
    renamed(sources[0], "other-77", tmp_path / "b9" / "demo~01234567")  # kept aside
    renamed(sources[0], "e5-L6-v2", tmp_path / "c" / "demo")
    renamed(sources[0], "alone-5", tmp_path / "d" / "demo")
    assert [(run.name, run.steps) for run in learning.read(tmp_path)] == [("my-run", (9, 10)), ("other", (1, 10))]
    renamed(sources[0], "other-0010", tmp_path / "e" / "demo")
    with pytest.raises(UserError, match=r"b1/demo and .*e/demo are both of step 10"):
        learning.read(tmp_path)


def test_checkpoints_on_other_data_are_refused(trained: Path, tmp_path: Path) -> None:
    for step in (100, 800):
        folder = renamed(trained / f"checkpoint-{step}/demo", f"x-{step}", tmp_path / str(step) / "demo")
    says = json.loads((folder / "evidence.json").read_text())
    says["task"]["data_hash"] = "0" * 64
    (folder / "evidence.json").write_text(json.dumps(says))
    with pytest.raises(UserError, match="cannot be compared: the texts or judgements differ"):
        learning.read(tmp_path)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=8), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_curve_is_near_its_last_value_from_a_step_on(values: list[int], share: float) -> None:
    steps = [3 * 2**place for place in range(len(values))]
    table = pd.DataFrame({"step": steps, "setting": "mono", "query_lang": "en", "name": "AP", "value": values})
    (row,) = learning.reached(table.sample(frac=1, random_state=0), share).to_dict("records")
    expected = next(
        step for place, step in enumerate(steps) if all(value >= share * values[-1] for value in values[place:])
    )
    assert (row["step"], row["first"], row["last"], row["best"]) == (expected, values[0], values[-1], max(values))
    assert values[steps.index(row["step_of_best"])] == max(values)


def test_every_format(trained: Path, tmp_path: Path, bench: Bench) -> None:
    (run,) = learning.read(trained)
    curves = learning.curves(run, "R@3")
    ran = {
        form: bench("compare", trained, "--measure", "R@3", "--format", form)
        for form in ("csv", "json", "md", "terminal")
    }
    assert {one.code for one in ran.values()} == {0}
    (tmp_path / "x.csv").write_text(ran["csv"].out)
    rows = pd.read_csv(tmp_path / "x.csv").rename(columns={"query_language": "query_lang"})
    key = ["step", "setting", "query_lang", "name"]
    assert len(curves) == len(rows)
    both = curves.merge(rows, on=key)
    np.testing.assert_allclose(both["value_x"], both["value_y"], atol=10**-DIGITS)
    (told,) = json.loads(ran["json"].out)["runs"]
    assert told["curves"] == curves.rename(columns={"query_lang": "query_language"}).to_dict("records")
    speed = {(row["setting"], row["query_language"]): row["step"] for row in told["reached"]}
    assert speed["mono", "en"] == 400
    assert (rows.loc[rows["query_lang"] == "en"].query("setting == 'mono'")["near_from_step"] == 400).all()
    assert rows.loc[rows["name"] == "rank_distance", "near_from_step"].isna().all()
    for form in ("md", "terminal"):
        assert "R@3: first and last value" in ran[form].out
        for tag in LANGUAGES:
            assert f"({tag})" in ran[form].out


def test_tables_leave_out_what_is_not_there(trained: Path) -> None:
    (run,) = learning.read(trained)
    mono = learning.curves(run).query("setting == 'mono'")
    steps, speed = shown.tables(run, mono)
    assert list(steps.cells.columns) == ["step", "AP\nmono"]
    assert len(speed.cells) == len(LANGUAGES) + 1
    holes = mono[(mono["query_lang"] != "hi") | (mono["setting"] != "mono")]
    assert len(list(shown.tables(run, holes))[1].cells) == len(LANGUAGES)
    check(shown.draw(run, mono), "mono")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["."], "holds neither a result nor the results of two checkpoints"),
        (["nowhere"], "There is no folder nowhere"),
        (["{}", "--measure", "R"], "R needs a cut-off"),
        (["{}", "--format", "latex"], "«latex» is not a format"),
    ],
)
def test_what_one_can_get_wrong(
    words: list[str], says: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    monkeypatch.chdir(tmp_path)
    bench("compare", *(word.format(trained) for word in words)).failed(says)


@pytest.mark.parametrize(("count", "steps"), [(2, (0, 10)), (7, (1, 2, 4, 8, 9, 700)), (38, (500, 1000))])
def test_the_figure_is_the_curves(count: int, steps: tuple[int, ...], tmp_path: Path) -> None:
    results = []
    for place, step in enumerate(steps):
        one = made(tmp_path / str(step), tags(count), f"m-{step}", 2.0 - place / 4)
        results.append(Result(one.folder, one.says | {"kept": {"every": 1}}))
    run = Training("a run with $a^name$ that is far too long " * 5, steps, tuple(results))
    found = learning.curves(run)
    figure = shown.draw(run, found)
    written = {text.get_text() for text in check(figure, "learning")}
    assert "macro" in written
    if count <= shown.FEW:
        assert written >= {*tags(count)}
    panels = [("AP", "mono"), ("AP", "cross"), ("AP", "multi"), ("rank_distance", "multi"), ("own_excess@10", "multi")]
    assert [panel.get_title("left") for panel in figure.axes] == [
        *(tables.SETTING_NAMES[setting] for _, setting in panels[:3]), "rank distance", "own excess@10",
    ]  # fmt: skip
    for panel, (name, setting) in zip(figure.axes, panels, strict=True):
        part = found[(found["name"] == name) & (found["setting"] == setting)]
        expected = part.pivot_table(index="step", columns="query_lang", values="value")
        drawn = [tuple(np.asarray(line.get_ydata()).tolist()) for line in panel.lines if line.get_clip_on()]
        assert sorted(drawn) == sorted(tuple(expected[tag]) for tag in expected), name
    again = [drawing.save(shown.draw(run, found), tmp_path / f"{place}.svg").read_bytes() for place in range(2)]
    assert again[0] == again[1]
