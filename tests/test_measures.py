"""Measures by their text, averages by their name, and chance against its definition."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import averages, bias
from benchmark.measures import MEASURES, chance, evaluate, parse
from tasks.errors import UserError

ALL = ["AP", "AP@3", "RR", "RR@2", "nDCG", "nDCG@3", "R@2", "P@4", "Success@2", "Rprec"]


def ranks(*rows: tuple[str, str, str, int], relevance: int = 1, documents: int = 100) -> pd.DataFrame:
    """Rows are (query language, topic, pool, rank)."""
    frame = pd.DataFrame(rows, columns=["query_lang", "topic", "pool", "rank"])
    frame["query_id"] = frame["topic"] + "/" + frame["query_lang"]
    frame["relevance"] = relevance
    frame["doc_lang"] = "sw"
    frame["documents"] = documents
    return frame.astype(dict.fromkeys(["query_id", "query_lang", "topic", "pool", "doc_lang", "documents"], "category"))


@pytest.mark.parametrize("text", [*ALL, "AP@20", "RR@10", "nDCG@10", "R@100", "P@10", "Success@1"])
def test_the_text_of_a_measure_is_its_name(text: str) -> None:
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("NDCG@10", "did you mean nDCG"),
        ("MAP", "is not a measure"),
        ("R", "R needs a cut-off; write for instance R@10"),
        ("P@0", "is not a measure"),
        ("Rprec@5", "Rprec has no cut-off"),
        ("AP@ten", "is not a measure"),
        ("", "is not a measure"),
    ],
)
def test_what_is_no_measure_is_named(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse(text)


def test_values_by_hand() -> None:
    found = evaluate(
        ranks(("en", "t", "*", 5), ("en", "t", "*", 1), ("sw", "t", "*", 4)), [parse(name) for name in ALL]
    )
    values = found.set_index("query_id")
    assert values.loc["t/en", "AP"] == pytest.approx((1 / 1 + 2 / 5) / 2)
    assert values.loc["t/en", "AP@3"] == pytest.approx(1 / 2)
    assert values.loc["t/en", "RR"] == 1
    assert values.loc["t/en", "Rprec"] == 0.5
    assert values.loc["t/en", "R@2"] == 0.5
    assert values.loc["t/en", "P@4"] == 0.25
    assert values.loc["t/en", "nDCG"] == pytest.approx((1 + 1 / np.log2(6)) / (1 + 1 / np.log2(3)))
    for name, value in {"AP": 0.25, "RR": 0.25, "RR@2": 0, "Success@2": 0, "nDCG@3": 0}.items():
        assert values.loc["t/sw", name] == value


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(1, 6))
def test_chance_is_the_mean_over_all_orders(relevant: int, others: int) -> None:
    documents = relevant + others
    orders = list(itertools.combinations(range(1, documents + 1), relevant))
    rows = [("en", f"t{number}", "*", rank) for number, order in enumerate(orders) for rank in order]
    found = evaluate(ranks(*rows, documents=documents), [parse(name) for name in ALL])
    for name in ALL:
        assert chance(parse(name), [1] * relevant, documents) == pytest.approx(found[name].mean()), name
    assert {name.split("@")[0] for name in ALL} == set(MEASURES)
    distance = bias.by_query(ranks(*rows, documents=documents))
    assert distance["rank_distance"].mean() == pytest.approx(distance["rank_distance_chance"].iloc[0])


@pytest.mark.parametrize("name", ["nDCG", "nDCG@1", "nDCG@3", "AP"])
def test_chance_of_graded_relevance(name: str) -> None:
    gains = {"a": 3, "b": 1}
    orders = list(itertools.permutations(range(1, 6), 2))
    rows = [("en", f"t{number}", "*", rank) for number, order in enumerate(orders) for rank in order]
    frame = ranks(*rows)
    frame["relevance"] = list(gains.values()) * len(orders)
    found = evaluate(frame, [parse(name)])
    assert found["gains"].unique().tolist() == ["3,1"]
    assert chance(parse(name), [3, 1], 5) == pytest.approx(found[name].mean())


def test_chance_of_the_published_tasks() -> None:
    """Rank distance of a random order of XQuAD-R: 10,846 (13,014 documents, 11 relevant)."""
    assert bias.chance_rank_distance(pd.Series([11]), pd.Series([13_014])).iloc[0] == pytest.approx(10_845.8, abs=0.1)


def test_macro_and_micro_are_what_they_are_called() -> None:
    """English has two questions, Swahili one; a direction without queries is not counted."""
    found = ranks(
        ("en", "a", "en", 1), ("en", "b", "en", 2), ("sw", "a", "sw", 4),
        ("en", "a", "sw", 1), ("en", "a", "*", 1), ("en", "a", "*", 3), ("en", "b", "*", 2), ("sw", "a", "*", 5),
        documents=9,
    )  # fmt: skip
    measures = [parse("RR")]
    values = evaluate(found, measures)
    directed = averages.directions(averages.sums(values, measures), measures)
    rows = {(row.setting, row.query_lang, row.pool): (row.queries, row.RR) for row in directed.itertuples()}
    assert rows == {
        ("mono", "en", "en"): (2, 0.75), ("mono", "sw", "sw"): (1, 0.25), ("cross", "en", "sw"): (1, 1.0),
        ("multi", "en", "*"): (2, 0.75), ("multi", "sw", "*"): (1, pytest.approx(0.2)),
    }  # fmt: skip
    means = averages.averages(directed, averages.shapes(values), measures).set_index(["setting", "average"])
    assert means.loc[("mono", "macro"), "RR"] == pytest.approx(0.5)
    assert means.loc[("mono", "micro"), "RR"] == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert means.loc[("cross", "macro"), "directions"] == 1
    assert means.loc[("multi", "micro"), "queries"] == 3
    both = [chance(parse("RR"), [1, 1], 9), chance(parse("RR"), [1], 9)]
    assert means.loc[("multi", "chance"), "RR"] == pytest.approx((sum(both) / 2 + both[1]) / 2)
    grid = averages.matrix(directed, "RR")
    assert grid.isna().loc["sw", "en"]
    assert grid.loc["en", "sw"] == 1
