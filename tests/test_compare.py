"""`bench compare`, as a person meets it: tables, topics, formats, the plot, and what one can get wrong."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from benchmark import changed, evidence, paired
from benchmark.evidence import Result
from benchmark.paired import Paired
from benchmark.ranking import ALL
from benchmark.summary import DIGITS
from leaderboard import differences, drawing, formats, heatmaps, plots
from tasks import card, readers
from tests.conftest import Ran
from tests.test_paired import MEASURE, two, uneven
from tests.test_plots import check, lightness, made, tags

Bench = Callable[..., Ran]
FORMATS = ("terminal", "md", "csv", "json")


@pytest.fixture
def pair(trained: Path) -> tuple[Path, Path]:
    """A checkpoint and a later, better one."""
    return trained / "checkpoint-200/demo", trained / "checkpoint-800/demo"


def cell(**says: Any) -> dict[str, Any]:
    whole = {
        "kind": "direction",
        "setting": "cross",
        "query_lang": "en",
        "pool": "sw",
        "name": "AP",
        "better": "higher",
    }
    numbers = {"n": 9, "before": 0.5, "after": 0.6, "difference": 0.1, "low": 0.0, "high": 0.2, "p": 0.01}
    return whole | numbers | {"p_adjusted": 0.04, "wins": 5, "ties": 1, "losses": 3} | says


@pytest.mark.parametrize(
    ("says", "word"),
    [
        ({}, "better"), ({"difference": -0.1}, "worse"), ({"better": "lower"}, "worse"),
        ({"better": "lower", "difference": -3.0}, "better"), ({"better": "even"}, "higher"),
        ({"better": "even", "difference": -0.1}, "lower"), ({"p_adjusted": 0.05}, "not told apart"),
        ({"p_adjusted": float("nan")}, "not told apart"),
    ],
)  # fmt: skip
def test_verdicts_by_hand(says: dict[str, Any], word: str) -> None:
    assert differences.verdicts(pd.DataFrame([cell(**says)])).tolist() == [word]


def test_every_format_says_what_the_evidence_says(pair: tuple[Path, Path], bench: Bench) -> None:
    shown = {form: bench("compare", *pair, "--format", form) for form in FORMATS}
    assert {form: ran.code for form, ran in shown.items()} == dict.fromkeys(FORMATS, 0)
    rows = list(csv.DictReader(io.StringIO(shown["csv"].out)))
    told = json.loads(shown["json"].out)
    (compared,) = told["comparisons"]
    assert (told["task"], told["measure"], told["adjusted"]) == ("demo", "AP", "Holm")
    assert (told["baseline"]["model"], compared["model"]) == ("checkpoint-200", "checkpoint-800")
    assert len(rows) == len(compared["cells"])
    said = [
        {(row["setting"], row["query_language"], *row["document_languages"]): row["measures"]["AP"] for row in of}
        for of in (evidence.read(folder).says["directions"] for folder in pair)
    ]
    directions = 0
    for row, same in zip(rows, compared["cells"], strict=True):
        for name in ("kind", "setting", "query_language", "pool", "name", "better", "verdict"):
            assert row[name] == same[name]
        for name in ("n", "before", "after", "difference", "low", "high", "wins", "ties", "losses"):
            assert float(row[name]) == pytest.approx(same[name], abs=2 * 10**-DIGITS)
        assert float(row["p_adjusted"]) == pytest.approx(same["p_adjusted"], rel=1e-3)
        if row["kind"] == "direction":
            pool = ["de", "en", "hi", "sw"] if row["pool"] == ALL else [row["pool"]]
            key = (row["setting"], row["query_language"], *pool)
            assert [float(row["before"]), float(row["after"])] == pytest.approx(
                [one[key] for one in said], abs=2 * 10**-DIGITS
            )
            directions += 1
    assert directions == len(said[0]) == 4 + 12 + 4
    macro = next(row for row in rows if (row["setting"], row["query_language"]) == ("multi", "macro"))
    for form in ("terminal", "md"):
        text = shown[form].out.replace("\\", "")
        for part in (
            "checkpoint-800 (after) against checkpoint-200 (before)",
            "Swahili (sw)",
            "Topics that gained most",
        ):
            assert part in text, form
        for name in ("before", "after"):
            assert formats.number(float(macro[name])) in text, form
        assert f"{int(macro['wins'])}" in text


def test_another_measure_the_other_correction_and_several_models(trained: Path, bench: Bench) -> None:
    folders = [trained / f"checkpoint-{step}/demo" for step in (800, 400, 200)]
    ran = bench("compare", *folders, "--measure", "nDCG@5", "--fdr", "--format", "csv")
    rows = pd.read_csv(io.StringIO(ran.out), keep_default_na=False)
    assert rows["model"].drop_duplicates().tolist() == ["checkpoint-400", "checkpoint-200"]
    assert {*rows["baseline"]} == {"checkpoint-800"}
    expected = paired.compare([evidence.read(folder) for folder in folders], "nDCG@5", fdr=True)
    p = pd.concat([one.cells["p_adjusted"] for one in expected])
    np.testing.assert_allclose(rows["p_adjusted"].astype(float), p, rtol=1e-3)
    assert {*rows.loc[rows["kind"] == "direction", "name"]} == {"nDCG@5"}
    shown = bench("compare", *folders, "--fdr", "--worst", "0").out
    assert "Benjamini and Hochberg's method" in shown
    assert "and for 2 models" in shown
    assert "Topics that" not in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{0}"], "A comparison needs two results"),
        (["{0}", "{0}/../demo"], "named twice"),
        (["{0}", "{1}", "--format", "latex"], "«latex» is not a format"),
        (["{0}", "{1}", "--measure", "MAP"], "«MAP» is not a measure; did you mean AP"),
        (["{0}", "nowhere"], "There is no folder nowhere"),
        (["nowhere"], "There is no folder nowhere"),
        (["{0}", "{1}", "--worst", "-1"], "--worst"),
        (["{0}", "{1}", "--worst", "many"], "--worst"),
        (["{0}", "{1}", "--plots", "{0}/evidence.json"], "cannot be written"),
    ],
)
def test_what_one_can_get_wrong(words: list[str], says: str, pair: tuple[Path, Path], bench: Bench) -> None:
    bench("compare", *(word.format(*pair) for word in words)).failed(says)


def test_results_on_other_data_are_refused(pair: tuple[Path, Path], tmp_path: Path, bench: Bench) -> None:
    says = json.loads((pair[1] / "evidence.json").read_text())
    says["task"]["data_hash"] = "0" * 64
    (tmp_path / "evidence.json").write_text(json.dumps(says))
    bench("compare", pair[0], tmp_path).failed(f"and {tmp_path} cannot be compared: the texts or judgements differ")


def test_a_result_whose_ranks_are_damaged_is_named(pair: tuple[Path, Path], tmp_path: Path, bench: Bench) -> None:
    (tmp_path / "evidence.json").write_bytes((pair[1] / "evidence.json").read_bytes())
    bench("compare", pair[0], tmp_path).failed("ranks.parquet cannot be read")
    whole = (pair[1] / "ranks.parquet").read_bytes()
    for damaged in (b"PAR1", whole[:1000] + bytes(500) + whole[1500:]):
        (tmp_path / "ranks.parquet").write_bytes(damaged)
        bench("compare", pair[0], tmp_path).failed("ranks.parquet cannot be read")
    pd.read_parquet(pair[1] / "ranks.parquet").iloc[1:].to_parquet(tmp_path / "ranks.parquet")
    bench("compare", pair[0], tmp_path).failed("hold ranks of other questions")


def test_many_directions_are_cut_to_the_extremes(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = paired.compare([evidence.read(folder) for folder in pair])
    cells = found.cells[found.cells["kind"] == "direction"]
    cells = cells.assign(verdict=differences.verdicts(cells))
    real = cells[cells["verdict"] != differences.SAME].sort_values("difference")
    whole = differences.directions(cells, "AP")
    assert len(whole.cells) == len(real) < len(cells)
    monkeypatch.setattr(differences, "EXTREMES", 2)
    cut = differences.directions(cells, "AP")
    names = (real["query_lang"] + "→" + real["pool"]).tolist()
    assert cut.cells["direction"].tolist() == names[:2] + names[-2:]
    counts = cells["verdict"].value_counts()
    assert f"{counts['better']} better, 0 worse, {counts[differences.SAME]} not told apart" in cut.title
    none = differences.directions(cells.assign(verdict=differences.SAME), "AP")
    assert len(none.cells) == 4
    assert not none.marks


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Paired:
    """A comparison in which languages have other numbers of topics, and some topics several wordings."""
    return paired.compare(two(tmp_path_factory.mktemp("small"), uneven(), 0.6))[0]


def test_the_topics_that_changed_most_by_hand(small: Paired) -> None:
    """Change is what a topic adds to the macro averages; the direction is the one that changed most, the same way."""
    lost, gained = changed.changed(small, 2)
    macro = small.cells["kind"].eq("average") & small.cells["query_lang"].eq("macro")
    added = pd.Series(small.differences[:, macro].sum(axis=1), index=small.topics).sort_values()
    assert added.iloc[1] < 0 < added.iloc[-2]
    assert [one.topic for one in lost] == [*added.index[:2]]
    assert [one.topic for one in gained] == [*added.index[:-3:-1]]
    values = [
        measures_of(result).set_index(["topic", "query_id", "pool"])[MEASURE] for result in (small.before, small.after)
    ]
    for sign, change in [(-1, one) for one in lost] + [(1, one) for one in gained]:
        before, after = (value[change.topic] for value in values)
        assert (change.before, change.after) == pytest.approx((before.mean(), after.mean()))
        assert (after - before)[change.query_id, change.pool] == pytest.approx(
            (after - before).min() if sign < 0 else (after - before).max()
        )
        for side, result in (("before", small.before), ("after", small.after)):
            ranks = result.ranks()
            here = ranks[(ranks["query_id"] == change.query_id) & (ranks["pool"] == change.pool)]
            assert {one.doc_id: getattr(one, side) for one in change.answers} == dict(
                zip(here["doc_id"], here["rank"], strict=True)
            )
        ratios = [one.after / one.before for one in change.answers]
        assert ratios[0] == (max(ratios) if sign < 0 else min(ratios))


def measures_of(result: Result) -> pd.DataFrame:
    from benchmark.measures import evaluate, parse

    return evaluate(result.ranks(), [parse(MEASURE)]).astype({"topic": "str", "query_id": "str", "pool": "str"})


def test_what_stands_above_is_the_ranking(tmp_path: Path) -> None:
    """In a pool of one language it is read from the list of all languages, whose order is the same."""
    collection, left, right = uneven()
    results = two(tmp_path, (collection, left, right), 1.5)
    rng = np.random.default_rng(1)  # the noise that `two` makes
    noisy = [(vectors + rng.standard_normal(vectors.shape) * 1.5).astype(np.float32) for vectors in (left, right)]
    scores = noisy[0].astype(np.float64) @ noisy[1].T.astype(np.float64)
    lost, gained = changed.changed(paired.compare(results)[0], 12)
    ids, langs = (collection.documents[name].to_numpy(object) for name in ("doc_id", "lang"))
    place = dict(zip(collection.queries["query_id"], range(len(left)), strict=True))
    pools = set()
    for change in [*lost, *gained]:
        inside = np.ones(len(ids), bool) if change.pool == ALL else np.isin(langs, change.pool.split("+"))
        order = [at for at in np.argsort(-scores[place[change.query_id]]) if inside[at]]
        answers = {one.doc_id for one in change.answers}
        above = [(rank, ids[at], langs[at]) for rank, at in enumerate(order[: change.answers[0].after - 1], 1)]
        assert change.above == tuple([one for one in above if one[1] not in answers][: changed.ABOVE])
        pools.add(change.pool)
    assert len(pools) > 2


def test_texts_are_those_of_the_task(pair: tuple[Path, Path], bench: Bench, cache: Path) -> None:
    ran = bench("compare", *pair, "--worst", "1", "--format", "json")
    (one,) = json.loads(ran.out)["comparisons"][0]["gained_most"]
    texts = readers.load(card.find("demo"), {})
    assert one["question"] == texts.queries.set_index("query_id")["text"][one["query_id"]]
    documents = texts.documents.set_index("doc_id")["text"]
    assert one["texts"] == {doc_id: documents[doc_id] for doc_id in one["texts"]}
    assert {*one["texts"]} >= {answer["doc_id"] for answer in one["answers"]}
    shown = bench("compare", *pair, "--worst", "1").out
    assert one["question"] in shown


def test_without_texts_there_are_ids_and_a_way_to_texts(
    pair: tuple[Path, Path], tmp_path: Path, bench: Bench, cache: Path
) -> None:
    folders = []
    for number, folder in enumerate(pair[::-1]):
        says = json.loads((folder / "evidence.json").read_text())
        says["task"]["name"] = "xquad-r"
        says["task"]["card_hash"] = "92"
        folders.append((tmp_path / str(number), says))
        folders[-1][0].mkdir()
        (folders[-1][0] / "ranks.parquet").write_bytes((folder / "ranks.parquet").read_bytes())
    for task, hashed, why in (
        (
            "xquad-r",
            card.find("xquad-r").hash,
            "the files of xquad-r are not on this machine; bring them with bench fetch",
        ),
        ("xquad-r", "0" * 64, "the card of xquad-r has changed since"),
        ("rivers", "0" * 64, "rivers is a task of your own"),
    ):
        for folder, says in folders:
            says["task"] |= {"name": task, "card_hash": hashed}
            (folder / "evidence.json").write_text(json.dumps(says))
        ran = bench("compare", *(folder for folder, _ in folders), "--worst", "1")
        assert ran.code == 0, ran.err
        assert why in ran.out
        assert re.search(r"question: [\w-]+/\w+\n", ran.out)
        assert f"{folders[1][0]} lacks their top k" in ran.out


def full(result: Result) -> Result:
    """Return a result with what a comparison asks of its evidence besides what plots do."""
    task = {"name": "s", "card_hash": "", "data_hash": "", "topics": 8}
    kept = {"every": 1, "topics": 8, "top_every": 1}
    return Result(result.folder, result.says | {"kept": kept, "key_parts": {}, "task": result.says["task"] | task})


def figure_of(found: list[Paired], names: list[str]) -> Figure:
    with drawing.style():
        figure = heatmaps.differences(found, names, "Synthetic · AP less that of another", differences.LEVEL)
    assert figure is not None
    return figure


@pytest.mark.parametrize(("count", "models"), [(2, 3), (7, 1), (38, 1)])
def test_the_plot_is_the_cells(count: int, models: int, tmp_path: Path) -> None:
    pulls = (0.9, 0.2, 3.0, 0.5)[: models + 1]
    results = [full(made(tmp_path / str(pull), tags(count), f"m{pull}", pull)) for pull in pulls]
    rng = np.random.default_rng(count)
    found = [
        replace(one, cells=one.cells.assign(p_adjusted=rng.choice([0.01, 0.06], len(one.cells))))
        for one in paired.compare(results)
    ]
    names = ["a model with a long name " * 9, "b", "c"][:models]
    figure = figure_of(found, names)
    written = check(figure, "differences")
    assert {text.get_text() for text in written} >= {*tags(count), ALL}
    for one, panel in zip(found, figure.axes, strict=False):
        cells = one.cells[one.cells["kind"] == "direction"].set_index(["query_lang", "pool"])
        grid = cells["difference"].unstack()[[*tags(count), ALL]]  # noqa: PD010 - no aggregation
        times = -(-heatmaps.SIDE // count)
        cross, multi = (np.asarray(image.get_array()) for image in panel.images)
        np.testing.assert_array_equal(cross[::times, ::times], grid[tags(count)])
        np.testing.assert_array_equal(multi[::times, 0], grid[ALL])
        low, high = panel.images[0].get_clim()
        assert low == -high <= -grid.abs().to_numpy().max()
        unsure = (cells["p_adjusted"] >= differences.LEVEL).unstack()[[*tags(count), ALL]].to_numpy()  # noqa: PD010
        strip = panel.get_xlim()[1] - (panel.get_xlim()[1] - count) / 3
        across, down = np.meshgrid([*np.arange(count) + 0.5, strip], np.arange(count) + 0.5)
        points = np.column_stack([across.ravel(), down.ravel()])
        hatched = np.zeros(len(points), dtype=bool)
        for patch in panel.patches:
            if patch.get_hatch():
                hatched |= patch.get_path().contains_points(points)
        np.testing.assert_array_equal(hatched.reshape(unsure.shape), unsure)


def test_the_plot_has_the_same_bytes_again_and_stays_small(tmp_path: Path) -> None:
    results = [full(made(tmp_path / str(pull), tags(38), f"m{pull}", pull)) for pull in (0.9, 0.2)]
    found = paired.compare(results)
    first, second = (plots.write_differences(found, tmp_path / name) for name in ("one", "two"))
    assert [path.name for path in first] == ["s-differences.svg", "s-differences.png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[0].stat().st_size < 500_000


def test_there_is_nothing_to_draw_without_two_languages(trained: Path, tmp_path: Path, bench: Bench) -> None:
    alone = [full(made(tmp_path / name, tags(4), name, pull, settings=["mono"])) for name, pull in (("a", 1), ("b", 2))]
    assert plots.write_differences(paired.compare(alone), tmp_path) == []
    folders = [trained / f"checkpoint-{step}/demo" for step in (200, 800)]
    ran = bench("compare", *folders, "--plots", tmp_path / "plots", "--format", "csv")
    assert [Path(line).name for line in ran.err.splitlines()] == ["demo-differences.svg", "demo-differences.png"]


def test_colours_of_a_difference_are_told_apart_in_grey() -> None:
    """Lightness rises all the way, so that more and less look different without colour; numbers can be read on it."""
    steps = np.diff(lightness(drawing.SIGNED))
    assert steps.min() > 5
    for colour in drawing.SIGNED:
        low, high = sorted((lightness([colour, drawing.on(colour)]) + 16) ** 3 / 116**3)
        assert (high + 0.05) / (low + 0.05) > 3.5, colour
