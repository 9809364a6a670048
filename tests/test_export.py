"""What is exported, scored by pytrec_eval and ir_measures, and by this tool again: the numbers are those of the run."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark import export, lists, measures, ranking, runs, systems
from benchmark.encoders import ROLES
from benchmark.ranking import ALL
from benchmark.run import Task
from benchmark.vectors import Encoded
from tasks import card
from tasks.collection import Collection, build
from tasks.errors import UserError
from tests import oracle
from tests.conftest import Ran
from tests.strategies import Floats, problems

Bench = Callable[..., Ran]
DEMO = ("--model", "random", "--task", "demo", "--languages", "de,en,sw")
MEASURES = [f"--measure={name}" for name in ("AP", "RR", "nDCG@10", "R@100", "P@10", "Success@1")]
SETTINGS = ("mono", "cross", "multi", "pair")
ABOUT = {"model": {"name": "random vectors"}}


@pytest.fixture
def place(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ran(bench: Bench, place: Path) -> dict[str, object]:
    """The evidence of a run on the demo, in results/random/demo."""
    assert bench("run", *DEMO, *MEASURES).code == 0
    return says("results/random/demo")


def says(folder: str) -> dict[str, object]:
    return json.loads((Path(folder) / "evidence.json").read_text("utf-8"))  # type: ignore[no-any-return]


def of_direction(found: dict[str, object]) -> dict[str, dict[str, float]]:
    """The measures of each direction, by what its files are called."""
    rows: list[dict[str, Any]] = found["directions"]  # type: ignore[assignment]
    return {
        runs.stem(
            row["query_language"], ALL if row["setting"] == "multi" else "+".join(row["document_languages"])
        ): row["measures"]
        for row in rows
    }


def system(left: Floats, right: Floats) -> systems.System:
    nothing = Encoded(np.zeros((0, 0), np.float32), np.zeros(0, np.int32), None, tokens=0, encoded=0, seconds=0.0)
    return systems.System(
        scorers=systems.dense(left, right),
        encoded=dict.fromkeys(ROLES, nothing),
        sent=dict.fromkeys(ROLES, ""),
        about={},
    )


def by_pytrec_eval(run: Path, qrels: Path, names: dict[str, str]) -> dict[str, float]:
    with run.open() as one, qrels.open() as other:
        listed, judged = pytrec_eval.parse_run(one), pytrec_eval.parse_qrel(other)
    values = pytrec_eval.RelevanceEvaluator(judged, {*names.values()}).evaluate(listed)
    return {name: sum(value[called] for value in values.values()) / len(judged) for name, called in names.items()}


def test_the_exports_of_a_task_score_what_was_measured(bench: Bench, place: Path, ran: dict[str, object]) -> None:
    """Every direction, by both of them; the rounding is that of the evidence."""
    done = bench("export", *DEMO, "--runs", "runs", "--qrels", "qrels", "--depth", 10_000)
    assert (done.code, done.out) == (0, "runs\nqrels\n"), done.err
    directions = of_direction(ran)
    for folder, ending in (("runs", runs.RUN), ("qrels", runs.QRELS)):
        assert {path.name for path in Path(folder).iterdir()} == {
            *(f"{one}{ending}" for one in directions),
            export.NOTE,
        }
    for one, expected in directions.items():
        run, qrels = Path("runs") / f"{one}{runs.RUN}", Path("qrels") / f"{one}{runs.QRELS}"
        trec = by_pytrec_eval(run, qrels, {name: oracle.TREC[name] for name in expected})
        assert trec == pytest.approx(expected, abs=1e-6)
        other = ir_measures.calc_aggregate(
            [ir_measures.parse_measure(name) for name in expected],
            ir_measures.read_trec_qrels(str(qrels)), ir_measures.read_trec_run(str(run)),  # type: ignore[no-untyped-call]
        )  # fmt: skip
        assert {str(name): value for name, value in other.items()} == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=40, suppress_health_check=[*HealthCheck])
@given(problems(), st.integers(1, 12), st.booleans())
def test_lists_are_the_heads_of_the_one_order(
    tmp_path: Path, problem: tuple[Collection, Floats, Floats], depth: int, ignore: bool
) -> None:
    """Of any vectors, with ties and holes: the first `depth`, from which pytrec_eval makes the same AP@depth."""
    collection, left, right = problem
    card_ = replace(card.find("demo"), name="random", ignore_identical_ids=ignore)
    task = Task(card_, collection, SETTINGS, (measures.parse("AP"),))
    asked = lists.answers(collection, SETTINGS, ignore)
    passed = ranking.rank(collection, systems.dense(left, right), SETTINGS, ignore_identical_ids=ignore).ranks
    expected = measures.evaluate(passed, [measures.parse(f"AP@{depth}")])
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    export.write_runs(folder / "runs", export.searched(task, system(left, right), depth), ABOUT)
    export.write_qrels(folder / "qrels", asked, {})
    for (spoken, pool), part in expected.groupby(["query_lang", "pool"], observed=True):
        stem = runs.stem(str(spoken), str(pool))
        run, qrels = folder / "runs" / f"{stem}{runs.RUN}", folder / "qrels" / f"{stem}{runs.QRELS}"
        assert pd.read_csv(run, sep=" ", header=None)[0].value_counts().max() <= depth
        found = by_pytrec_eval(run, qrels, {"AP": f"map_cut_{depth}"})
        assert found["AP"] == pytest.approx(part[f"AP@{depth}"].mean(), abs=1e-6)


def test_runs_that_are_scored_again_give_the_same_result(bench: Bench, place: Path, ran: dict[str, object]) -> None:
    assert bench("export", *DEMO, "--runs", "runs", "--depth", 10_000).code == 0
    again = bench("score", "runs", *DEMO[2:], *MEASURES)
    assert again.code == 0, again.err
    found = says("results/runs/demo")
    for part in ("directions", "averages", "bias", "languages"):
        assert found.get(part) == ran.get(part), part


def test_vectors_that_are_read_again_give_the_same_result(bench: Bench, place: Path, ran: dict[str, object]) -> None:
    assert bench("export", *DEMO, "--vectors", "vectors").code == 0
    again = bench("run", "--model", "vectors:vectors", *DEMO[2:], *MEASURES)
    assert again.code == 0, again.err
    found = says("results/vectors/demo")
    for part in ("directions", "averages", "bias", "languages"):
        assert found.get(part) == ran.get(part), part
    queries = np.load("vectors/queries.npy", allow_pickle=False)
    assert (queries.dtype, queries.shape) == (np.float32, (144, 64))
    assert len(Path("vectors/documents.txt").read_text("utf-8").splitlines()) == 288


def test_a_result_gives_the_lists_that_it_keeps(bench: Bench, place: Path, ran: dict[str, object]) -> None:
    """Those of the pool of all; the judgements of every direction."""
    shutil.rmtree("cache")  # the model is not asked
    assert bench("export", "results/random/demo", "--runs", "kept", "--qrels", "qrels").code == 0
    assert bench("export", *DEMO, "--runs", "runs", "--qrels", "asked").code == 0
    assert {path.name for path in Path("kept").iterdir()} == {f"{one}--multi.trec" for one in ("de", "en", "sw")} | {
        export.NOTE
    }
    for path in Path("kept").glob("*.trec"):
        assert path.read_text("utf-8") == (Path("runs") / path.name).read_text("utf-8")
        cut = by_pytrec_eval(path, Path("qrels") / f"{path.stem}{runs.QRELS}", {"nDCG@10": "ndcg_cut_10"})
        assert cut["nDCG@10"] == pytest.approx(of_direction(ran)[path.stem]["nDCG@10"], abs=1e-6)
    for path in Path("asked").glob("*.qrels"):
        one, other = (sorted(Path(name, path.name).read_text("utf-8").splitlines()) for name in ("asked", "qrels"))
        assert one == other
    assert bench("export", "results/random/demo", "--runs", "kept", "--depth", 3).code == 0
    assert all(len(path.read_text("utf-8").splitlines()) == 48 * 3 for path in Path("kept").glob("*.trec"))
    bench("export", "results/random/demo", "--runs", "kept", "--depth", 101).failed("keeps the first 100", "--model")


def test_the_note_says_what_it_is_of(bench: Bench, place: Path, ran: dict[str, object]) -> None:
    assert bench("export", *DEMO, "--vectors", "vectors", "--qrels", "qrels").code == 0
    assert bench("export", "results/random/demo", "--runs", "runs").code == 0
    note = json.loads(Path("vectors", export.NOTE).read_text("utf-8"))
    model: dict[str, object] = ran["model"]  # type: ignore[assignment]
    assert (note["export"], note["task"], note["model"]["fingerprint"]) == ("vectors", "demo", model["fingerprint"])
    other = json.loads(Path("runs", export.NOTE).read_text("utf-8"))
    assert other["model"]["fingerprint"] == model["fingerprint"]
    assert other["data"] == note["data"] == ran["task"]["data_hash"]  # type: ignore[index]
    assert "model" not in json.loads(Path("qrels", export.NOTE).read_text("utf-8"))


def test_judgements_need_no_model(bench: Bench, place: Path) -> None:
    assert bench("export", "--task", "demo", "--qrels", "qrels", "--settings", "cross").code == 0
    assert len([*Path("qrels").glob("*.qrels")]) == 13 * 12


# What is in the way


def test_an_earlier_export_is_replaced_and_nothing_else(bench: Bench, place: Path) -> None:
    words = ("export", "--task", "demo", "--settings", "mono", "--languages", "de,en")
    assert bench(*words, "--qrels", "out").code == 0
    assert bench("export", "--task", "demo", "--settings", "mono", "--languages", "sw", "--qrels", "out").code == 0
    assert {path.name for path in Path("out").iterdir()} == {"sw--sw.qrels", export.NOTE}
    Path("out", "mine.txt").write_text("precious")
    bench(*words, "--qrels", "out").failed("out holds mine.txt", "bench export did not write")
    assert {path.name for path in Path("out").iterdir()} == {"sw--sw.qrels", export.NOTE, "mine.txt"}
    Path("file").write_text("precious")
    bench(*words, "--qrels", "file").failed("file is a file")
    bench(*words, "--qrels", "file/deeper").failed("file/deeper cannot be written")
    Path("other").mkdir()
    Path("other", export.NOTE).write_text("[1")
    bench(*words, "--qrels", "other").failed("other holds export.json")
    Path("empty").mkdir()
    assert bench(*words, "--qrels", "empty").code == 0


def test_what_fails_half_way_leaves_what_was_there(bench: Bench, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("export", "--task", "demo", "--settings", "mono", "--languages", "de,en", "--qrels", "out")
    assert bench(*words).code == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    written = []

    def full(path: Path, table: pd.DataFrame) -> None:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        path.write_text("half")

    monkeypatch.setattr(runs, "write_qrels", full)
    bench(*words).failed("out cannot be written: No space left on device; nothing was exported")
    assert len(written) == 2
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
    assert [path.name for path in place.iterdir() if path.name.startswith(".out")] == []


def test_what_fails_at_the_last_step_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    with export.whole(folder, {}) as made:
        (made / "a").write_text("earlier")
    usual = Path.rename

    def failing(path: Path, to: Path) -> Path:
        if to == folder and not path.name.endswith("~"):
            raise OSError(5, "Input/output error")
        return usual(path, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(UserError, match="Input/output error; nothing was exported"), export.whole(folder, {}) as made:
        (made / "b").write_text("later")
    assert {path.name for path in folder.iterdir()} == {"a", export.NOTE}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    monkeypatch.undo()
    with pytest.raises(UserError, match="holds mine.txt"), export.whole(folder, {}):
        (folder / "mine.txt").write_text("precious")
    assert (folder / "mine.txt").read_text() == "precious"


def test_collections_that_are_searched_apart_are_exported_apart(tmp_path: Path) -> None:
    """Each part has the pools of its own languages; one of a single language has no pair."""
    rows = [(f"{part}{lang}", lang, f"{part} {lang}", part) for part, two in (("p", ("de", "en")), ("q", ("en", "fr")),
            ("r", ("en",))) for lang in two]  # fmt: skip
    documents = pd.DataFrame(rows, columns=["doc_id", "lang", "text", "part"])
    queries = pd.DataFrame([(f"{part}?", "en", part, part, part) for part in "pqr"],
                           columns=["query_id", "lang", "text", "topic", "part"])  # fmt: skip
    judged = pd.DataFrame([(row[3], row[0], 1) for row in rows], columns=["topic", "doc_id", "relevance"])
    collection = build(documents, queries, judged, "apart")
    task = Task(replace(card.find("demo"), name="apart"), collection, SETTINGS, (measures.parse("AP"),))
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((count, 4)).astype(np.float32) for count in (3, 5))
    export.write_runs(tmp_path / "runs", export.searched(task, system(left, right), 10), ABOUT)
    export.write_qrels(tmp_path / "qrels", export.judged(task), {})
    passed = ranking.rank(collection, systems.dense(left, right), SETTINGS).ranks
    by_pool = {runs.stem("en", str(pool)): {*part["query_id"]} for pool, part in passed.groupby("pool", observed=True)}
    assert by_pool["en--de+en"] == {"p?"}
    for folder, ending in (("runs", runs.RUN), ("qrels", runs.QRELS)):
        for stem, asked in by_pool.items():
            path = tmp_path / folder / f"{stem}{ending}"
            assert {line.split()[0] for line in path.read_text().splitlines()} == asked
        assert len([*(tmp_path / folder).glob(f"*{ending}")]) == len(by_pool)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--task", "demo"), ("Say what to write",)),
        ((*DEMO, "--runs", "out", "--qrels", "out/deeper"), ("none of them in another",)),
        ((*DEMO, "--qrels", "out"), ("leave out the options of models",)),
        (("--qrels", "out"), ("Say what to export",)),
        ((*DEMO, "--runs", "out", "--qrels", "./out"), ("a folder of its own",)),
        ((*DEMO, "--qrels", "out", "--depth", "5"), ("--depth is of --runs",)),
        ((*DEMO, "--runs", "out", "--depth", "0"), ("--depth",)),
        ((*DEMO, "--runs", "out", "--measure", "AP"), ("leave out --measure",)),
        (("--model", "random", "--task", "demo", "--task", "xquad-r", "--runs", "out"), ("are 2; name one",)),
        (("results/no", "--runs", "out"), ("results/no",)),
        (("results/no", "--runs", "out", "--task", "demo"), ("leave out the options of models and tasks",)),
        (("results/no", "--vectors", "out"), ("A result holds no vectors",)),
        ((*DEMO[:-1], "xx", "--runs", "out"), ("xx",)),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    words: tuple[str, ...], parts: tuple[str, ...], bench: Bench, place: Path
) -> None:
    bench("export", *words).failed(*parts)
    assert not Path("out").exists()


def test_an_instruction_is_that_of_the_task(bench: Bench, place: Path, made: Path) -> None:
    words = ("--model", made, "--task", "demo", "--languages", "en", "--query-prompt", "{task} : {text}")
    assert bench("export", *words, "--vectors", "out").code == 0
    note = json.loads(Path("out", export.NOTE).read_text("utf-8"))
    assert note["model"]["prompts"]["query"] == f"{card.find('demo').instruction} : "


def test_a_result_of_lists_of_one_language_has_none_of_all(bench: Bench, place: Path) -> None:
    assert bench("export", *DEMO, "--settings", "mono", "--runs", "runs").code == 0
    assert bench("score", "runs", *DEMO[2:]).code == 0
    bench("export", "results/runs/demo", "--runs", "out").failed("keeps no lists", "--model")
    assert not Path("out").exists()
    assert bench("export", "results/runs/demo", "--qrels", "out").code == 0


def test_ids_that_a_file_cannot_hold_are_named(tmp_path: Path) -> None:
    rows = {"query_lang": "en", "pool": ALL, "query_id": ["q 1"], "doc_id": ["d"], "relevance": 1}
    with pytest.raises(Exception, match="the query «q 1» has a space in it"):
        export.write_qrels(tmp_path / "out", pd.DataFrame(rows), {})
    assert [*tmp_path.iterdir()] == []
