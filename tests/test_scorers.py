"""Scores that are no dot product of two vectors: each against ten lines from its definition, and ranked as they are."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark import counting, maxsim, ranking, rerank, scoring, sparse
from benchmark.maxsim import MaxSim, Tokens
from benchmark.scoring import Floats, Index, Scorer
from benchmark.sparse import SparseProduct
from benchmark.vectors import normalise
from tasks.collection import Collection
from tasks.errors import UserError
from tests import oracle
from tests.strategies import problems

EVERY = {"mono", "cross", "multi", "pair"}
relaxed = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
blocks = st.tuples(st.sampled_from([1, 7, 10**6]), st.sampled_from([1, 2]), st.sampled_from([3, 10, 8192]))
Blocks = tuple[int, int, int]
Problem = tuple[Collection, Floats, Floats]


def whole(scorers: ranking.Scorers, collection: Collection) -> tuple[Any, Floats]:
    """The scorer of everything, and its exact scores; the estimates are near them, those of pairs equal."""
    queries, documents = len(collection.queries), len(collection.documents)
    scorer: Scorer = scorers(slice(None), np.arange(documents))
    exact = scorer.exact(slice(0, queries), slice(0, documents))
    estimate = np.full_like(exact, np.nan)
    scorer.block(slice(0, queries), slice(0, documents), out=estimate)
    assert np.abs(estimate.astype(np.float64) - exact).max() <= scorer.error
    row, column = (place.ravel() for place in np.indices(exact.shape))
    np.testing.assert_array_equal(scorer.pairs(row, column), exact.ravel())
    assert exact.max() <= np.nextafter(np.float32(scorer.highest), np.float32(np.inf))
    return scorer, exact


def check_ranks(collection: Collection, scorers: ranking.Scorers, exact: Floats, how: Blocks) -> None:
    """Ranks and the first k are those of a sort of the exact scores, for any blocks, threads and parts."""
    rows, threads, part = how
    with patch.object(counting, "PART", part):
        found = ranking.rank(collection, scorers, EVERY, rows=rows, threads=threads, top=5)
    key = ["query_id", "doc_id", "pool"]
    got = found.ranks[[*key, "rank"]].astype(dict.fromkeys(key, "str")).sort_values(key).reset_index(drop=True)
    expected = oracle.ranks(collection, exact, EVERY).sort_values(key).reset_index(drop=True)
    pd.testing.assert_frame_equal(got, expected, check_dtype=False)
    ids = collection.documents["doc_id"]
    for place, query_id in enumerate(collection.queries["query_id"]):
        first = [doc_id for _, doc_id in sorted(zip(exact[place], ids, strict=True), reverse=True)][:5]
        assert found.top.loc[found.top["query_id"] == query_id, "doc_id"].tolist() == first


def some_terms(rng: np.random.Generator, texts: int, kind: str) -> tuple[NDArray[np.int32], Floats]:
    """Texts as rows (term, weight): some without any, some equal to others, weights of few values or of many."""
    made: list[Floats] = []
    for _ in range(texts):
        if made and rng.random() < 0.3:
            made.append(made[rng.integers(len(made))])
            continue
        term = np.flatnonzero(rng.random(12) < rng.choice([0, 0.2, 0.7]))
        weight = (
            rng.integers(1, 3, len(term))
            if kind == "few"
            else rng.standard_normal(len(term)) * 10.0 ** rng.integers(-3, 4)
        )
        made.append(np.column_stack([term, weight]).astype(np.float32))
    return np.array([len(one) for one in made], dtype=np.int32), np.concatenate(made).reshape(-1, 2)


@relaxed
@given(problems(), st.integers(0, 2**32 - 1), st.sampled_from(["few", "many"]), blocks)
def test_sums_over_shared_terms(problem: Problem, seed: int, kind: str, how: Blocks) -> None:
    collection, _, _ = problem
    rng = np.random.default_rng(seed)
    sides = [some_terms(rng, len(table), kind) for table in (collection.queries, collection.documents)]
    every = np.unique(np.concatenate([terms[:, 0] for _, terms in sides]))
    scorers = sparse.scorers(*(sparse.rows_of_terms(rows, terms, every) for rows, terms in sides))
    scorer, exact = whole(scorers, collection)
    assert isinstance(scorer, SparseProduct)
    left, right = ([dict(one.tolist()) for one in np.split(terms, np.cumsum(rows)[:-1])] for rows, terms in sides)
    for row, query in enumerate(left):
        for column, document in enumerate(right):
            total = 0.0
            for term in sorted(query.keys() & document.keys()):
                total += query[term] * document[term]
            assert exact[row, column] == np.float32(total)
    check_ranks(collection, scorers, exact, how)


def some_tokens(rng: np.random.Generator, texts: int, kind: str, dim: int) -> Tokens:
    """Texts of no, one or several tokens, some equal to others."""
    made: list[Floats] = []
    for _ in range(texts):
        if made and rng.random() < 0.3:
            made.append(made[rng.integers(len(made))])
            continue
        shape = rng.integers(0, 6), dim
        made.append((rng.integers(-1, 2, shape) if kind == "few" else rng.standard_normal(shape)).astype(np.float32))
    vectors = np.concatenate(made)
    if kind != "long":
        normalise(vectors)
    return Tokens.of(np.array([len(one) for one in made], dtype=np.int32), vectors)


def product(one: list[Fraction], other: list[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(one, other, strict=True)), Fraction(0))


def texts_of(tokens: Tokens, vectors: Floats) -> list[list[list[Fraction]]]:
    return [
        [[Fraction(float(x)) for x in vector] for vector in vectors[start : start + count]]
        for start, count in zip(tokens.start, tokens.count, strict=True)
    ]


@relaxed
@given(
    problems(), st.integers(0, 2**32 - 1), st.sampled_from(["few", "many", "long"]), st.sampled_from([1, 3, 8]), blocks
)
def test_late_interaction(problem: Problem, seed: int, kind: str, dim: int, how: Blocks) -> None:
    collection, _, _ = problem
    rng = np.random.default_rng(seed)
    queries, documents = (
        some_tokens(rng, len(table), kind, dim) for table in (collection.queries, collection.documents)
    )
    scorers = maxsim.scorers(queries, documents)
    with patch.object(maxsim, "TOGETHER", int(rng.choice([1, 50, 1 << 22]))):
        scorer, exact = whole(scorers, collection)
    assert isinstance(scorer, MaxSim)
    grid, lowest = Fraction(scorer.product) / 2**maxsim.STEPS, -Fraction(scorer.product)
    left, right = texts_of(scorer.queries, scorer.queries.vectors), texts_of(scorer.documents, scorer.documents.vectors)
    for row, query in enumerate(left):
        for column, document in enumerate(right):
            products = [
                max(
                    [
                        lowest,
                        *(sum((x * y for x, y in zip(one, other, strict=True)), Fraction(0)) for other in document),
                    ]
                )
                for one in query
            ]
            assert exact[row, column] == np.float32(float(sum((round(most / grid) for most in products), 0) * grid))
            if document:
                usual = documents.vectors[documents.start[column] :][: len(document)].astype(np.float64)
                given_tokens = queries.vectors[queries.start[row] :][: len(query)].astype(np.float64)
                plain = (given_tokens @ usual.T).max(axis=1).sum() if query else 0.0
                assert exact[row, column] == pytest.approx(plain, abs=1e-5 * max(1, len(query)) * scorer.product)
    check_ranks(collection, scorers, exact, how)


def reordered(
    collection: Collection, first: Floats, said: Floats, depth: int, languages: Callable[[str, str], bool]
) -> list[list[tuple[float, ...]]]:
    """What reranking means, by sorting: of each pair, whether it is read again, and its score by who scores it last."""
    documents = collection.documents
    made = []
    for row, lang in enumerate(collection.queries["lang"]):
        keys: list[tuple[float, ...]] = [(0.0, float(score)) for score in first[row]]
        for language in collection.document_languages:
            inside = np.flatnonzero((documents["lang"] == language).to_numpy())
            best = sorted(inside, key=lambda one: (first[row, one], documents["doc_id"][one]), reverse=True)
            for one in best[:depth] if languages(lang, language) else []:
                keys[one] = (1.0, float(said[row, one]))
        made.append(keys)
    return made


@relaxed
@given(
    problems(), st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 100]), st.sampled_from([EVERY, {"mono"}, {"cross"}]),
    st.sampled_from([1.0, 3e-9, 1e4]), blocks,
)  # fmt: skip
def test_reranking(problem: Problem, seed: int, depth: int, asked: set[str], scale: float, how: Blocks) -> None:
    from rich.console import Console

    from benchmark.progress import Progress
    from tasks.card import find

    collection, left, right = problem
    left = left * np.float32(scale)
    said = np.random.default_rng(seed).integers(-2, 3, (len(left), len(right))).astype(np.float32)
    scorers = _dense(left, right)
    _, first = whole(scorers, collection)
    progress = Progress(Console(stderr=True))
    those = rerank.candidates(find("demo"), collection, scorers, asked, depth, progress)
    scores = said[those.query, those.document]
    over = rerank.scorers(scorers, those, scores, *said.shape)
    _, exact = whole(over, collection)
    wanted = {"mono": lambda one, other: one == other, "cross": lambda one, other: one != other}
    languages = wanted.get(next(iter(asked)), lambda *_: True) if len(asked) == 1 else lambda *_: True
    keys = reordered(collection, first, said, depth, languages)
    for row, of_query in enumerate(keys):
        order = np.argsort(exact[row], kind="stable")
        for one, other in pairwise(order):
            assert (exact[row, one] < exact[row, other]) == (of_query[one] < of_query[other])
        kept = [column for column, key in enumerate(of_query) if not key[0]]
        np.testing.assert_array_equal(exact[row, kept], first[row, kept])
    check_ranks(collection, over, exact, how)


def _dense(left: Floats, right: Floats) -> ranking.Scorers:
    return lambda asked, searched: scoring.dot_product(left[asked], right[searched])


def test_rows_of_a_subset_score_as_in_the_whole() -> None:
    """A part of a task, or one language of it, sees some queries and documents, in any order."""
    rng = np.random.default_rng(3)
    queries, documents = some_tokens(rng, 9, "many", 4), some_tokens(rng, 20, "many", 4)
    sides = [some_terms(rng, many, "many") for many in (9, 20)]
    every = np.arange(12, dtype=np.float32)
    asked, searched = np.array([7, 2, 3]), rng.permutation(20)[:11]
    those = rerank.Candidates(np.repeat(np.arange(9), 3), np.tile(np.array([4, 0, 19]), 9))
    terms = sparse.scorers(*(sparse.rows_of_terms(*side, every) for side in sides))
    for scorers in (
        maxsim.scorers(queries, documents),
        terms,
        rerank.scorers(terms, those, rng.standard_normal(27).astype(np.float32), 9, 20),
    ):
        all_of_it = scorers(slice(None), np.arange(20)).exact(slice(0, 9), slice(0, 20))
        some = scorers(asked, searched)
        np.testing.assert_array_equal(some.exact(slice(0, 3), slice(0, 11)), all_of_it[np.ix_(asked, searched)])
        row, column = np.repeat(np.arange(3), 11), np.tile(np.arange(11), 3)
        np.testing.assert_array_equal(some.pairs(row, column), all_of_it[asked[row], searched[column]])
        out = np.empty((2, 4), dtype=np.float32)
        some.block(slice(1, 3), slice(5, 9), out)
        np.testing.assert_allclose(out, all_of_it[np.ix_(asked[1:], searched[5:9])], atol=some.error)


def test_vectors_that_float32_cannot_score_are_named() -> None:
    long = Tokens.of(np.ones(2, dtype=np.int32), np.full((2, 3), 1e20, dtype=np.float32))
    with pytest.raises(UserError, match="float32 cannot score them"):
        maxsim.scorers(long, long)
    heavy = sparse.rows_of_terms(np.ones(1, np.int32), np.array([[3, 1e20]], np.float32), np.array([3], np.float32))
    with pytest.raises(UserError, match="float32 cannot score them"):
        sparse.sparse_product(heavy, heavy)
    many = Tokens.of(np.array([9000], dtype=np.int32), np.zeros((9000, 1), dtype=np.float32))
    with pytest.raises(UserError, match="A query has 9,000 tokens"):
        maxsim.scorers(many, many)


def test_weights_are_brought_to_length_one() -> None:
    rows, terms = some_terms(np.random.default_rng(0), 30, "many")
    side = sparse.normalised(sparse.rows_of_terms(rows, terms, np.arange(12, dtype=np.float32)))
    length = np.sqrt((side.toarray().astype(np.float64) ** 2).sum(axis=1))
    np.testing.assert_allclose(length, rows > 0, atol=1e-6)
    assert (rows == 0).any()


def test_a_document_without_tokens_is_the_last() -> None:
    vectors = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    queries = Tokens.of(np.array([1], dtype=np.int32), vectors[:1])
    documents = Tokens.of(np.array([0, 1], dtype=np.int32), vectors[1:])
    exact = maxsim.scorers(queries, documents)(slice(None), np.arange(2)).exact(slice(0, 1), slice(0, 2))
    assert exact[0, 0] < exact[0, 1] == -1


def index(*values: int) -> Index:
    return np.array(values, dtype=np.intp)


def test_pairs_that_the_reranker_cannot_tell_apart_tie() -> None:
    zeros = np.zeros((1, 2), dtype=np.float32), np.zeros((4, 2), dtype=np.float32)
    those = rerank.Candidates(index(0, 0, 0), index(1, 2, 3))
    over = rerank.scorers(_dense(*zeros), those, np.array([0.5, -7, 0.5], dtype=np.float32), 1, 4)
    scorer = over(slice(None), np.arange(4))
    assert scorer.exact(slice(0, 1), slice(0, 4)).tolist() == [[0, 3, 2, 3]]
