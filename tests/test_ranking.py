import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark import counting, heads, measures, ranking, scoring
from benchmark import top as toplist
from benchmark.ranking import Ranking
from benchmark.vectors import normalise
from tasks.collection import Collection, build
from tasks.errors import UserError
from tests import oracle
from tests.strategies import Floats, crowded, problems

EVERY = {"mono", "cross", "multi", "pair"}
relaxed = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def ranked(collection: Collection, left: Floats, right: Floats, kinds: set[str] = EVERY, **how: object) -> Ranking:
    return ranking.rank(
        collection,
        lambda rows, order: scoring.dot_product(left[rows], right[order]),
        kinds,
        **how,
    )


def scorer_of(collection: Collection, left: Floats, right: Floats) -> scoring.DotProduct:
    del collection
    return scoring.dot_product(left, right)


@relaxed
@given(problems(), st.sampled_from([1.0, 3e-5, 7e8]))
def test_scores_are_exact_dot_products_rounded_once(problem: tuple[Collection, Floats, Floats], scale: float) -> None:
    collection, left, right = problem
    left, right = left * np.float32(scale), right * (1 + np.arange(len(right), dtype=np.float32)[:, None])
    scorer = scorer_of(collection, left, right)
    exact = oracle.exact_scores(scorer.queries, scorer.documents)
    everything = slice(0, len(left)), slice(0, len(right))
    rows, columns = np.indices(exact.shape)
    np.testing.assert_array_equal(scorer.exact(*everything), exact)
    np.testing.assert_array_equal(scorer.pairs(rows.ravel(), columns.ravel()), exact.ravel())
    estimate = np.empty_like(exact)
    scorer.block(*everything, out=estimate)
    assert np.abs(estimate - exact).max() <= scorer.error
    given_vectors = left.astype(np.float64) @ right.T.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right, axis=1)
    assert (np.abs(exact - given_vectors) <= 4 * left.shape[1] ** 0.5 * 2.0**-24 * lengths).all()


@relaxed
@given(problems(), st.sampled_from([1, 7, 256]), st.sampled_from([1, 2]))
def test_ranks_equal_sorting_every_pool(problem: tuple[Collection, Floats, Floats], rows: int, threads: int) -> None:
    collection, left, right = problem
    scorer = scorer_of(collection, left, right)
    scores = scorer.exact(slice(0, len(left)), slice(0, len(right)))
    found = ranked(collection, left, right, rows=rows, threads=threads)
    expected = oracle.ranks(collection, scores, EVERY)
    key = ["query_id", "doc_id", "pool"]
    got = found.ranks[[*key, "rank"]].astype(dict.fromkeys(key, "str")).sort_values(key).reset_index(drop=True)
    expected = expected.sort_values(key).reset_index(drop=True)
    pd.testing.assert_frame_equal(got, expected, check_dtype=False)


@relaxed
@given(problems(), st.booleans())
def test_measures_equal_pytrec_eval(problem: tuple[Collection, Floats, Floats], ignore: bool) -> None:
    collection, left, right = problem
    if ignore:  # give some documents the id of a query
        renamed = dict(zip(collection.documents["doc_id"], collection.queries["query_id"], strict=False))
        collection = build(
            collection.documents.assign(doc_id=collection.documents["doc_id"].replace(renamed)),
            collection.queries,
            collection.judgements.assign(doc_id=collection.judgements["doc_id"].replace(renamed)),
            "renamed",
        )
    scores = scorer_of(collection, left, right).exact(slice(0, len(left)), slice(0, len(right)))
    expected = oracle.trec(collection, scores, EVERY, oracle.TREC, ignore_identical_ids=ignore)
    found = ranked(collection, left, right, ignore_identical_ids=ignore)
    names = list(oracle.TREC)
    got = measures.evaluate(found.ranks, [measures.parse(name) for name in names])
    key = ["query_id", "pool"]
    got = got[[*key, *names]].astype(dict.fromkeys(key, "str")).sort_values(key).reset_index(drop=True)
    if expected.empty:
        assert got.empty
        return
    expected = expected[[*key, *names]].sort_values(key).reset_index(drop=True)
    pd.testing.assert_frame_equal(got, expected, rtol=0, atol=1e-6)


@relaxed
@given(problems(), st.sampled_from([1, 3, 100]))
def test_top_is_the_head_of_the_whole_pool(problem: tuple[Collection, Floats, Floats], k: int) -> None:
    collection, left, right = problem
    scores = scorer_of(collection, left, right).exact(slice(0, len(left)), slice(0, len(right)))
    top = ranked(collection, left, right, top=k).top
    ids = collection.documents["doc_id"].to_numpy(object)
    for place, query_id in enumerate(collection.queries["query_id"]):
        expected = [doc_id for _, doc_id in sorted(zip(scores[place], ids, strict=True), reverse=True)][:k]
        mine = top[top["query_id"] == query_id]
        assert mine["doc_id"].tolist() == expected
        assert mine["rank"].tolist() == list(range(1, len(expected) + 1))


@relaxed
@given(problems())
def test_ties_are_counted(problem: tuple[Collection, Floats, Floats]) -> None:
    collection, left, right = problem
    scores = scorer_of(collection, left, right).exact(slice(0, len(left)), slice(0, len(right)))
    place = {doc_id: i for i, doc_id in enumerate(collection.documents["doc_id"])}
    relevant = collection.judgements[collection.judgements["relevance"] > 0]
    tied = [
        (scores[row] == scores[row, place[doc_id]]).sum() > 1
        for row, topic in enumerate(collection.queries["topic"])
        for doc_id in relevant.loc[relevant["topic"] == topic, "doc_id"]
    ]
    assert ranked(collection, left, right).ties == pytest.approx(np.mean(tied))


@settings(parent=relaxed, max_examples=400)
@given(
    crowded(),
    st.sampled_from([1, 7, 10**6]),
    st.sampled_from([1, 2]),
    st.sampled_from([3, 16, counting.PART]),
    st.sampled_from([0, 1, 32, 10**6]),
    st.sampled_from([0.01, 1, 32]),
    st.sampled_from([1, 4, 100]),
    st.booleans(),
)
def test_what_estimates_cannot_tell_is_ranked_as_by_sorting(
    problem: tuple[Collection, Floats, Floats],
    rows: int,
    threads: int,
    part: int,
    scanned: int,
    scored: float,
    k: int,
    ignore: bool,
) -> None:
    """By estimates, exactly, or first so and then so: whatever is thought to be cheaper, nothing changes."""
    collection, left, right = problem
    scores = scorer_of(collection, left, right).exact(slice(None), slice(None))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("PART", part), ("SCANNED", scanned), ("SCORED", scored)):
            patch.setattr(counting, name, value)
        found = ranked(collection, left, right, rows=rows, threads=threads, top=k, ignore_identical_ids=ignore)
    ids, langs = (collection.documents[name].to_numpy(object) for name in ("doc_id", "lang"))
    answers = collection.judgements.groupby("topic")["doc_id"].agg(set)
    expected, lists, tied = {}, {}, 0
    for row, (query_id, lang, topic) in enumerate(
        collection.queries[["query_id", "lang", "topic"]].itertuples(index=False)
    ):
        there = [place for place in range(len(ids)) if not (ignore and ids[place] == query_id)]
        order = sorted(there, key=lambda place: (scores[row, place], ids[place]), reverse=True)
        lists[query_id] = [ids[place] for place in order[:k]]
        for place in there:
            tied += ids[place] in answers[topic] and (scores[row, there] == scores[row, place]).sum() > 1
        for pool in oracle.pools_of(collection, lang, EVERY):
            inside = [place for place in order if pool == ranking.ALL or langs[place] in pool.split("+")]
            for rank, place in enumerate(inside, 1):
                if ids[place] in answers[topic]:
                    expected[query_id, ids[place], pool] = rank
    key = found.ranks[["query_id", "doc_id", "pool"]].astype("str")
    assert dict(zip(key.itertuples(index=False, name=None), found.ranks["rank"], strict=True)) == expected
    assert found.tied == tied
    top = found.top.astype({"query_id": "str", "doc_id": "str"})
    assert top.groupby("query_id", sort=False)["doc_id"].agg(list).to_dict() == {q: x for q, x in lists.items() if x}
    row, column = (pd.Index(names).get_indexer(pd.Index(top[name]))
                   for name, names in (("query_id", collection.queries["query_id"]), ("doc_id", ids)))  # fmt: skip
    assert np.abs(top["score"].to_numpy() - scores[row, column]).max(initial=0) <= scorer_of(*problem).error


def test_only_what_is_in_doubt_is_scored_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents of one language can nearly all be told apart, those of the next not; what follows is scored alike."""
    collection, left, right = parallel(100, ["ar", "en", "th"], 1.0)
    alike = (collection.documents["lang"] == "en").to_numpy(copy=True)
    alike[np.flatnonzero(collection.documents["lang"] == "ar")[:2]] = True
    right[alike] = right[alike][:1] + np.float32(1e-7) * right[alike]
    plain = ranked(collection, left, right)
    asked: list[int] = []
    exact = scoring.DotProduct.exact

    def counted(self: scoring.DotProduct, queries: slice, part: slice) -> Floats:
        asked.append(part.start)
        return exact(self, queries, part)

    with monkeypatch.context() as patch:
        patch.setattr(counting, "PART", 100)
        patch.setattr(scoring.DotProduct, "exact", counted)
        parts = ranked(collection, left, right, threads=1)
    assert asked == [100, 200]
    for one, other in ((plain.ranks, parts.ranks), (plain.top, parts.top)):
        pd.testing.assert_frame_equal(
            one.drop(columns="score", errors="ignore"), other.drop(columns="score", errors="ignore")
        )
    assert plain.tied == parts.tied > 0


@given(st.lists(st.tuples(st.floats(width=32, allow_nan=False), st.integers(0, 2**32 - 1)), min_size=1))
def test_keys_sort_as_scores_and_then_ids(found: list[tuple[float, int]]) -> None:
    score, order = np.array([s for s, _ in found], dtype=np.float32), np.array([o for _, o in found], dtype=np.intp)
    keys = heads.keys_of(score, order)
    assert np.argsort(keys, kind="stable").tolist() == np.lexsort((order, score)).tolist()
    assert (heads.scores_of(keys) == score).all()
    assert (heads.order_of(keys) == order).all()
    assert (keys >= heads.least(keys.dtype)).all()


def parallel(topics: int, languages: list[str], noise: float, seed: int = 0) -> tuple[Collection, Floats, Floats]:
    """A parallel task with vectors that are near their topic's, nearer in their own language."""
    rng = np.random.default_rng(seed)
    ids = [(f"t{topic}", lang) for topic in range(topics) for lang in languages]
    meaning, accent = rng.standard_normal((topics, 48)), rng.standard_normal((len(languages), 48))

    def vectors() -> Floats:
        mixed = np.array([meaning[int(t[1:])] + accent[languages.index(lang)] for t, lang in ids])
        noisy: Floats = (mixed + noise * rng.standard_normal(mixed.shape)).astype(np.float32)
        normalise(noisy)
        return noisy

    collection = build(
        pd.DataFrame([(f"{t}/{lang}", lang, f"a {t} {lang}") for t, lang in ids], columns=["doc_id", "lang", "text"]),
        pd.DataFrame(
            [(f"{t}/{lang}", lang, f"q {t} {lang}", t) for t, lang in ids],
            columns=["query_id", "lang", "text", "topic"],
        ),
        pd.DataFrame([(t, f"{t}/{lang}", 1) for t, lang in ids], columns=["topic", "doc_id", "relevance"]),
        "parallel",
    )
    return collection, vectors(), vectors()


@pytest.mark.parametrize("part", [7, 100, counting.PART])
@pytest.mark.parametrize(("rows", "threads"), [(1, 1), (7, 2), (10**6, 1), (256, 2)])
def test_blocks_parts_and_threads_change_nothing(
    part: int, rows: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, left, right = parallel(60, ["ar", "en", "th"], 1.0)
    plain = ranked(collection, left, right, rows=64, threads=1)
    monkeypatch.setattr(counting, "PART", part)
    other = ranked(collection, left, right, rows=rows, threads=threads)
    key = ["query_id", "doc_id", "pool"]
    first, second = (
        found.ranks.astype(dict.fromkeys(key, "str")).sort_values(key).reset_index(drop=True)
        for found in (plain, other)
    )
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(plain.top.drop(columns="score"), other.top.drop(columns="score"))


@pytest.mark.parametrize("noise", [0.3, 1.5, 6.0])
@pytest.mark.parametrize("k", [1, 100])
@pytest.mark.parametrize("part", [700, 1200, 8192])
def test_heads_of_rows_hold_all_that_counts(part: int, k: int, noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows long enough to be sorted in part only: good and bad models, against a sort of everything."""
    monkeypatch.setattr(counting, "PART", part)
    collection, left, right = parallel(800, ["ar", "en", "th"], noise)
    some = np.random.default_rng(1).permutation(2400)
    right[some[:300]] = right[some[300:600]]
    few = type(collection)(collection.documents, collection.queries[:150], collection.judgements)
    ids = collection.documents["doc_id"].to_numpy(object)
    exact = scorer_of(few, left[:150], right).exact(slice(0, 150), slice(0, 2400))
    by_id = np.argsort(np.argsort(ids))
    order = np.lexsort((-np.broadcast_to(by_id, exact.shape), -exact), axis=1)
    place = np.argsort(order, axis=1) + 1
    found = ranked(few, left[:150], right, top=k)
    whole = found.ranks[found.ranks["pool"] == ranking.ALL]
    row = pd.Index(few.queries["query_id"]).get_indexer(pd.Index(whole["query_id"].astype("str")))
    column = pd.Index(ids).get_indexer(pd.Index(whole["doc_id"].astype("str")))
    assert (whole["rank"].to_numpy() == place[row, column]).all()
    for lang in ("ar", "en", "th"):
        inside = (collection.documents["lang"] == lang).to_numpy()
        among = np.argsort(np.argsort(np.where(inside, place, place + 10**6), axis=1), axis=1) + 1
        part_of = found.ranks[found.ranks["pool"] == lang]
        row = pd.Index(few.queries["query_id"]).get_indexer(pd.Index(part_of["query_id"].astype("str")))
        column = pd.Index(ids).get_indexer(pd.Index(part_of["doc_id"].astype("str")))
        assert (part_of["rank"].to_numpy() == among[row, column]).all()
    assert found.top["doc_id"].astype("str").tolist() == ids[order[:, :k]].ravel().tolist()


def test_renamed_ids_change_nothing_without_ties() -> None:
    collection, left, right = parallel(40, ["en", "sw"], 0.5)
    new = {doc_id: f"x{(i * 37) % 80:03}" for i, doc_id in enumerate(collection.documents["doc_id"])}
    renamed = build(
        collection.documents.assign(doc_id=collection.documents["doc_id"].map(new)),
        collection.queries,
        collection.judgements.assign(doc_id=collection.judgements["doc_id"].map(new)),
        "renamed",
    )
    first, second = (
        measures.evaluate(ranked(c, left, right).ranks, [measures.parse("AP")]).sort_values(["query_id", "pool"])["AP"]
        for c in (collection, renamed)
    )
    assert first.tolist() == second.tolist()


def test_a_constant_scorer_gives_one_picture_in_every_measure() -> None:
    collection, left, right = parallel(30, ["en", "sw"], 0.5)
    left, right = np.ones_like(left), np.ones_like(right)
    found = ranked(collection, left, right)
    assert found.ties == 1.0
    ids = sorted(collection.documents["doc_id"], reverse=True)
    pool = found.ranks[found.ranks["pool"] == ranking.ALL]
    assert (pool["rank"].to_numpy() == pool["doc_id"].astype("str").map(ids.index).to_numpy() + 1).all()
    values = measures.evaluate(found.ranks, [measures.parse(name) for name in ("RR", "AP", "nDCG@10", "R@10")])
    assert (values[values["RR"] < 0.1][["nDCG@10", "R@10"]] == 0).all().all()


def test_many_near_scores_are_scored_exactly_and_stay_right() -> None:
    """A model whose scores are nearly all alike: every pair is in doubt, so whole blocks are computed exactly."""
    rng = np.random.default_rng(0)
    collection, left, right = parallel(80, ["en", "sw", "th"], 0.5)
    base = rng.standard_normal(left.shape[1])
    left, right = (
        (base + 1e-4 * rng.standard_normal(x.shape)).astype(np.float32) / np.float32(np.linalg.norm(base))
        for x in (left, right)
    )
    scores = scorer_of(collection, left, right).exact(slice(0, len(left)), slice(0, len(right)))
    expected = oracle.ranks(collection, scores, {"multi"}).sort_values(["query_id", "doc_id"])["rank"].tolist()
    found = ranked(collection, left, right, {"multi"}).ranks.astype({"query_id": "str", "doc_id": "str"})
    assert found.sort_values(["query_id", "doc_id"])["rank"].tolist() == expected


def test_vectors_of_any_length_are_scored() -> None:
    collection, left, right = parallel(30, ["en", "sw"], 0.5)
    plain, scaled = (ranked(collection, a, b, {"multi"}) for a, b in ((left, right), (left * 8, right * 1024)))
    pd.testing.assert_frame_equal(plain.ranks, scaled.ranks)
    np.testing.assert_allclose(scaled.top["score"], plain.top["score"] * 8192, rtol=1e-6)
    zero = ranked(collection, np.zeros_like(left), right, {"multi"})
    assert zero.ties == 1.0
    with pytest.raises(UserError, match="float32 cannot score them"):
        ranked(collection, left * np.float32(1e25), right * np.float32(1e10))


@pytest.mark.parametrize("length", [1e-18, 1e-20, 1e-22, 1e-23])
def test_vectors_whose_products_float32_can_hardly_hold_are_ranked_by_their_exact_scores(length: float) -> None:
    collection, left, right = parallel(30, ["en", "sw"], 0.5)
    left, right = (side * np.float32(length) for side in (left, right))
    scores = scorer_of(collection, left, right).exact(slice(0, len(left)), slice(0, len(right)))
    expected = oracle.ranks(collection, scores, {"multi"}).sort_values(["query_id", "doc_id"])["rank"].tolist()
    found = ranked(collection, left, right, {"multi"}).ranks.astype({"query_id": "str", "doc_id": "str"})
    assert found.sort_values(["query_id", "doc_id"])["rank"].tolist() == expected


def test_lists_are_no_longer_than_their_pool() -> None:
    collection, left, right = parallel(30, ["en", "sw"], 0.5)
    found = ranked(collection, left, right, {"multi"}, top=10**12)
    assert len(found.top) == len(left) * len(right)


def test_one_long_vector_moves_no_other() -> None:
    collection, left, right = parallel(30, ["en", "sw"], 0.5)
    long = right.copy()
    long[collection.documents.index[collection.documents["doc_id"] == "t3/sw"]] *= np.float32(2**20)
    plain, other = (ranked(collection, left, side, {"mono", "cross"}).ranks for side in (right, long))
    pd.testing.assert_frame_equal(plain[plain["pool"] == "en"], other[other["pool"] == "en"])


def test_more_rows_than_a_block_holds() -> None:
    row = np.repeat(np.arange(toplist.MOST_ROWS, dtype=np.intp), 2)[::-1]
    value = np.arange(len(row), dtype=np.float32)
    order = toplist._by_row(row, value)
    assert (np.lexsort((value, row)) == order).all()


def test_judged_documents_that_are_the_query_itself_leave_nothing() -> None:
    collection = build(
        pd.DataFrame([("a", "en", "x"), ("b", "en", "y")], columns=["doc_id", "lang", "text"]),
        pd.DataFrame([("a", "en", "x", "t")], columns=["query_id", "lang", "text", "topic"]),
        pd.DataFrame([("t", "a", 1)], columns=["topic", "doc_id", "relevance"]),
        "self",
    )
    ones = np.ones((2, 2), dtype=np.float32)
    assert ranked(collection, ones[:1], ones, ignore_identical_ids=True).ranks.empty
