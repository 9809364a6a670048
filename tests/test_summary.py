"""Rankings that come some queries after others give the tables of the whole, and parts are searched apart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import evidence, ranking, scoring, summary
from benchmark.measures import parse
from tasks.collection import Collection
from tests import oracle
from tests.conftest import WORDS, Ran
from tests.strategies import Floats, problems
from tests.test_ranking import EVERY, relaxed

Bench = Callable[..., Ran]
MEASURES = [parse(name) for name in ("AP", "nDCG@5", "Success@1")]


def near(found: Any, expected: Any) -> None:
    """Compare tables; sums in another order may round the last digit that is kept another way."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            near(found[name], expected[name])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            near(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=2e-6)
    else:
        assert found == expected


@relaxed
@given(problems(), st.integers(1, 40), st.integers(1, 3))
def test_tables_do_not_depend_on_how_many_queries_come_together(
    problem: tuple[Collection, Floats, Floats], together: int, rows: int
) -> None:
    collection, left, right = problem

    def rankings(**how: Any) -> list[ranking.Ranking]:
        scorer: ranking.Scorers = lambda asked, order: scoring.dot_product(left[asked], right[order])  # noqa: E731
        return list(ranking.ranked(collection, scorer, EVERY, **how))

    whole = rankings()
    assert len(whole) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "TOGETHER", together)
        parts = rankings(rows=rows)
    near(summary.tables(parts, MEASURES), summary.tables(whole, MEASURES))
    joined = ranking.join(parts)
    assert (joined.answers, joined.tied) == (whole[0].answers, whole[0].tied)
    for name in ("ranks", "top"):
        one, other = getattr(joined, name), getattr(whole[0], name)
        text = {column: "str" for column in one if isinstance(one[column].dtype, pd.CategoricalDtype)}
        key = [column for column in ("query_id", "doc_id", "pool") if column in one]
        left_frame, right_frame = (frame.astype(text).sort_values(key).reset_index(drop=True) for frame in (one, other))
        pd.testing.assert_frame_equal(left_frame, right_frame, check_dtype=False, atol=1e-6)


def padded(vectors: Floats, width: int) -> Floats:
    return np.pad(vectors, ((0, 0), (0, width - vectors.shape[1])))


@relaxed
@given(problems(), problems())
def test_a_query_searches_its_own_part(
    first: tuple[Collection, Floats, Floats], second: tuple[Collection, Floats, Floats]
) -> None:
    """Two collections put together as parts are ranked as each on its own."""
    problems_ = {"a": first, "b": second}
    tables: dict[str, list[pd.DataFrame]] = {"documents": [], "queries": [], "judgements": []}
    for part, (collection, _, _) in problems_.items():
        named = {"doc_id": part, "query_id": part, "topic": part}
        for table, frames in tables.items():
            frame = getattr(collection, table).copy()
            for column in named.keys() & set(frame.columns):
                frame[column] = part + frame[column]
            frames.append(frame if table == "judgements" else frame.assign(part=part))
    both = Collection(**{name: pd.concat(frames, ignore_index=True) for name, frames in tables.items()})
    width = max(left.shape[1] for _, left, _ in problems_.values())
    left, right = (np.concatenate([padded(problem[1], width) for problem in problems_.values()]),
                   np.concatenate([padded(problem[2], width) for problem in problems_.values()]))  # fmt: skip
    found = ranking.rank(both, lambda asked, order: scoring.dot_product(left[asked], right[order]), EVERY)
    expected = []
    for part, (collection, one, other) in problems_.items():
        scores = scoring.dot_product(one, other).exact(slice(0, len(one)), slice(0, len(other)))
        ranks = oracle.ranks(collection, scores, EVERY)
        sizes = collection.documents["lang"].value_counts()
        ranks["documents"] = [
            len(collection.documents) if pool == "*" else sizes[pool.split("+")].sum() for pool in ranks["pool"]
        ]
        expected.append(ranks.assign(query_id=part + ranks["query_id"], doc_id=part + ranks["doc_id"]))
    key = ["query_id", "doc_id", "pool"]
    got = found.ranks[[*key, "rank", "documents"]].astype(dict.fromkeys(key, "str") | {"documents": "int64"})
    pd.testing.assert_frame_equal(
        got.sort_values(key).reset_index(drop=True),
        pd.concat(expected).sort_values(key).reset_index(drop=True),
        check_dtype=False,
    )
    assert summary.tables([found], MEASURES)["directions"]


def test_ranks_of_some_topics_are_kept_and_tables_are_of_all(
    bench: Bench, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench("run", "--model", "random", "--task", "demo").code == 0
    monkeypatch.setattr(summary, "KEPT", 2000)  # of 48 topics x 13 x 13 = 8,112 answers
    monkeypatch.setattr(summary, "LISTED", 30_000)  # of 48 topics x 13 lists of 100
    assert bench("run", "--model", "random", "--task", "demo", "--results", "some").code == 0
    whole, some = evidence.read(Path("results/random/demo")), evidence.read(Path("some/random/demo"))
    assert some.says["kept"] == {"every": 6, "topics": 8, "top_every": 3}
    assert whole.says["kept"] == {"every": 1, "topics": 48, "top_every": 1}
    for name in ("directions", "averages", "strong", "bias", "language_share", "consistency"):
        assert json.dumps(some.says[name]) == json.dumps(whole.says[name]), name
    assert len(some.ranks()) == len(whole.ranks()) * 8 / 48
    assert len(some.top()) == len(whole.top()) * 16 / 48
    bench("report", some.folder, "--measure", "P@7").failed("keeps the ranks of some topics only", "--measure P@7")
    assert bench("report", some.folder, "--measure", "AP").code == 0
    assert bench("leaderboard", "some").code == 0


def test_texts_of_one_kind_are_encoded_as_queries(
    bench: Bench, made: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = tmp_path / "twins"
    task.mkdir()
    (task / "card.toml").write_text(
        'name = "twins"\nversion = "1"\ntitle = "Twins"\ndescription = "d"\nreader = "folder"\nlicence = "CC0"\n'
        'citation = ""\nsettings = ["cross", "multi"]\nmeasures = ["Success@1"]\n'
        "symmetric = true\nignore_identical_ids = true\n"
    )
    rows = [(f"{i}/{lang}", lang, f"{WORDS[i]} {WORDS[i + 4]}", str(i)) for i in range(4) for lang in ("en", "sw")]
    frame = pd.DataFrame(rows, columns=["query_id", "lang", "text", "topic"])
    frame.to_csv(task / "queries.tsv", sep="\t", index=False)
    documents = frame.rename(columns={"query_id": "doc_id"})
    documents[["doc_id", "lang", "text"]].to_csv(task / "documents.tsv", sep="\t", index=False)
    documents[["topic", "doc_id"]].assign(relevance=1).to_csv(task / "judgements.tsv", sep="\t", index=False)
    ran = bench("run", "--model", made, "--task", task)
    assert ran.code == 0, ran.err
    (folder,) = Path("results").glob("*/twins")
    says = evidence.read(folder).says
    assert (
        says["model"]["first_document_as_sent"]
        == says["model"]["first_query_as_sent"]
        == f"query: {WORDS[0]} {WORDS[4]}"
    )
    assert says["cost"]["texts_encoded"] == 4  # each text once, whatever its side
    assert {row["measures"]["Success@1"] for row in says["directions"]} == {1.0}  # equal texts, and never itself
