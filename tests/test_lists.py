"""Lists that hold everything give the ranks of the one pass; those cut off give what trec_eval says of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark import bias, lists, measures, ranking, summary, systems
from benchmark.ranking import ALL, NOT_FOUND
from tasks.collection import Collection, build
from tests import oracle
from tests.strategies import Floats, problems

EVERY = ["mono", "cross", "multi", "pair"]
KEY = ["query_id", "doc_id", "pool"]
relaxed = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def everything(collection: Collection, scores: Floats) -> pd.DataFrame:
    """Every document in every pool, in no order."""
    rows = [
        (query.query_id, pool, document.doc_id, scores[place, number])
        for place, query in enumerate(collection.queries.itertuples())
        for pool in oracle.pools_of(collection, str(query.lang), set(EVERY))
        for number, document in enumerate(collection.documents.itertuples())
        if pool == ALL or document.lang in pool.split("+")
    ]
    table = pd.DataFrame(rows, columns=["query_id", "pool", "doc_id", "score"])
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


def renamed(collection: Collection) -> Collection:
    """Give some documents the id of a query."""
    new = dict(zip(collection.documents["doc_id"], collection.queries["query_id"], strict=False))
    return build(
        collection.documents.assign(doc_id=collection.documents["doc_id"].replace(new)),
        collection.queries,
        collection.judgements.assign(doc_id=collection.judgements["doc_id"].replace(new)),
        "renamed",
    )


@relaxed
@given(problems(), st.booleans())
def test_whole_lists_give_the_ranks_of_the_pass(problem: tuple[Collection, Floats, Floats], ignore: bool) -> None:
    collection, left, right = problem
    collection = renamed(collection) if ignore else collection
    passed = ranking.rank(collection, systems.dense(left, right), EVERY, ignore_identical_ids=ignore)
    whole = slice(0, len(left)), slice(0, len(right))
    scores = systems.dense(left, right)(slice(None), np.arange(len(right))).exact(*whole)
    found = lists.ranking(collection, everything(collection, scores), EVERY, ignore_identical_ids=ignore)
    columns = [*KEY, "query_lang", "topic", "doc_lang", "relevance", "documents", "rank"]
    one, other = (
        table.ranks[columns].astype(dict.fromkeys(columns, "str")).sort_values(KEY).reset_index(drop=True)
        for table in (passed, found)
    )
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(passed.pools, found.pools, check_dtype=False)
    assert (found.answers, found.tied) == (passed.answers, passed.tied)
    key = ["query_id", "rank", "doc_id", "doc_lang"]
    one, other = (table.top[key].astype("str").sort_values(key).reset_index(drop=True) for table in (passed, found))
    pd.testing.assert_frame_equal(one, other)


@relaxed
@given(problems(), st.integers(0, 2**32 - 1))
def test_lists_with_holes_score_what_trec_eval_says(problem: tuple[Collection, Floats, Floats], seed: int) -> None:
    collection, left, right = problem
    scores = (left @ right.T).astype(np.float32)
    whole = everything(collection, scores)
    kept = whole[np.random.default_rng(seed).random(len(whole)) < 0.4]
    found = measures.evaluate(
        lists.ranking(collection, kept, EVERY).ranks, [measures.parse(name) for name in oracle.TREC]
    )
    expected = oracle.trec_lists(collection, kept, set(EVERY), oracle.TREC)
    both = found.astype({"query_id": "str", "pool": "str"}).merge(expected, on=["query_id", "pool"], suffixes=("", "_"))
    assert len(both) == len(found) == len(expected)
    for name in oracle.TREC:
        np.testing.assert_allclose(both[name], both[f"{name}_"], atol=1e-9)


@relaxed
@given(problems(), st.integers(0, 2**32 - 1))
def test_tables_stand_answers_that_are_not_found(problem: tuple[Collection, Floats, Floats], seed: int) -> None:
    collection, left, right = problem
    whole = everything(collection, (left @ right.T).astype(np.float32))
    kept = whole[np.random.default_rng(seed).random(len(whole)) < 0.5]
    found = lists.ranking(collection, kept, EVERY)
    says = summary.tables([found], [measures.parse("AP"), measures.parse("R@10")])
    assert says["directions"]
    values = bias.by_query(found.ranks)
    if (found.ranks.loc[found.ranks["pool"] == ALL, "rank"] == NOT_FOUND).any():
        assert values[["rank_distance", "max_rank", "max_rank_normalised"]].isna().all().all()
        assert all(row["rank_distance"] is None for row in says["bias"])
    assert values["complete@10"].isin([0, 1]).all()


def test_a_query_without_a_list_counts_as_nothing_found() -> None:
    collection = build(
        pd.DataFrame([("a", "en", "one"), ("b", "de", "eins")], columns=["doc_id", "lang", "text"]),
        pd.DataFrame(
            [("t/en", "en", "?", "t"), ("t/de", "de", "?", "t")], columns=["query_id", "lang", "text", "topic"]
        ),
        pd.DataFrame([("t", "a", 1), ("t", "b", 1)], columns=["topic", "doc_id", "relevance"]),
        "tiny",
    )
    listed = pd.DataFrame([("t/en", ALL, "b", 1.0)], columns=["query_id", "pool", "doc_id", "score"])
    found = measures.evaluate(lists.ranking(collection, listed, ["multi"]).ranks, [measures.parse("AP")])
    values = found.set_index("query_id")["AP"]
    assert values["t/en"] == pytest.approx(0.5)
    assert values["t/de"] == 0
