"""A collection and a scorer in; the rank of every relevant document in every pool, and the top k, out. The one pass.

Every measure used here is a function of the ranks of the relevant documents, and a rank is a count: one plus the
number of documents of the pool that stand above. So nothing is cut off and no pool is ranked twice:

1. Documents are sorted by language and id. For a block of queries and one language (a *part*), one matrix product
   gives the scores and one sort of each row puts them in order.
2. A binary search finds how many documents of the part stand above each relevant document of each query. Where the
   estimate cannot decide, the few documents in doubt are scored exactly (see `benchmark.scoring`).
3. The count in the document's own language gives its rank in that pool, the sum over languages its rank in the pool
   of all, sums of two the pair pools. Counts add up over parts, so memory depends on the block, not on the corpus.

The ranking rule is trec_eval's: score as float32, descending; ties by document id, descending.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.scoring import Floats, Index, Scorer
from tasks.collection import Collection
from tasks.errors import UserError

ALL = "*"
TOP = 100
ROWS = 512  # queries in a block: enough for the full speed of a matrix product
PART = 1 << 16  # documents in a part
BLOCK = 1 << 25  # scores in the blocks of all threads together: 128 MiB as float32, and as much again sorted
MOST_ROWS = 1 << 16
DOUBT = 1 << 24  # scores looked at together where the estimate cannot decide

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """What the pass found. `measures` and `bias` read this and nothing else.

    * `ranks`: one row per (query, relevant document, pool): `query_id, query_lang, topic, doc_id, doc_lang, relevance,
      pool, rank`; the first five and `pool` are categorical, `rank` is 1-based.
    * `pools`: `pool, documents`: how many documents each pool holds.
    * `top`: `query_id, rank, doc_id, doc_lang, score`: the first k documents of the pool of all languages.
      Where two scores are closer than the estimate's error they are exact, elsewhere within that error.
    * `ties`: share of (query, relevant document) whose score some other document of the pool of all has exactly.
    """

    ranks: pd.DataFrame
    pools: pd.DataFrame
    top: pd.DataFrame
    ties: float


@dataclass(frozen=True)
class _Layout:
    """The collection as index arrays; documents stand in the order of the pass (by language, then id)."""

    parts: list[tuple[int, slice]]  # (language, documents of the part)
    order: Index  # document -> its place by id over all languages, which decides ties
    excluded: Index  # query -> the document that is ignored for it, or -1
    pair_start: Index  # query -> where its relevant documents start in the next two
    pair_document: Index
    pair_relevance: NDArray[np.int32]
    query_lang: Index  # query -> language of the documents in its own language, or -1
    document_lang: Index
    languages: int


@dataclass(frozen=True)
class _Block:
    """What one block of queries yields, as index arrays."""

    rank_query: Index
    rank_document: Index
    rank_relevance: NDArray[np.int32]
    rank_pool: Index
    rank: Counts
    top_query: Index
    top_rank: NDArray[np.int32]
    top_document: Index
    top_score: Floats
    tied: int


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pair_pool(first: str, second: str) -> str:
    """Return the name of the pool of two languages: `de+en`."""
    return "+".join(sorted((first, second)))


def rank(
    collection: Collection,
    scorer: Callable[[Sequence[int]], Scorer],
    settings: Iterable[str],
    *,
    ignore_identical_ids: bool = False,
    top: int = TOP,
    rows: int = ROWS,
    threads: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Ranking:
    """Rank the relevant documents of every query in the pools that `settings` ask for.

    Args:
        collection: what is asked of what.
        scorer: given the order in which the pass wants the documents (positions in `collection.documents`), returns
            the scorer for the collection's queries and those documents.
        settings: any of `mono`, `cross`, `multi`, `pair`.
        ignore_identical_ids: leave out the document whose id is the query's.
        top: how many documents of the pool of all languages to keep for each query.
        rows: queries in a block; changes time and memory, never a rank.
        threads: worker threads; None: the processors this process may use.
        progress: told the number of queries done, as they are done.
    """
    languages = collection.document_languages
    documents = collection.documents[["lang", "doc_id"]].sort_values(["lang", "doc_id"], kind="stable")
    scores = scorer(documents.index.to_list())
    queries = collection.queries
    layout = _lay_out(collection, documents, languages, ignore_identical_ids)
    pools, wanted = _pools(set(settings), languages)
    largest = max(part.stop - part.start for _, part in layout.parts)
    workers = threads or processors()
    rows = max(1, min(rows, BLOCK // (largest * workers), MOST_ROWS))
    blocks = [slice(start, min(start + rows, len(queries))) for start in range(0, len(queries), rows)]

    def work(block: slice) -> _Block:
        done = _rank_block(block, layout, scores, wanted, top)
        progress(block.stop - block.start)
        return done

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        done = list(pool.map(work, blocks))

    def joined(field: str) -> Any:
        return np.concatenate([getattr(block, field) for block in done])

    rank_query, rank_document = joined("rank_query"), joined("rank_document")
    lang = documents["lang"].to_numpy()
    ranks = pd.DataFrame(
        {
            "query_id": _category(queries["query_id"], rank_query),
            "query_lang": _category(queries["lang"], rank_query),
            "topic": _category(queries["topic"], rank_query),
            "doc_id": _category(documents["doc_id"], rank_document),
            "doc_lang": _category(documents["lang"], rank_document),
            "relevance": joined("rank_relevance"),
            "pool": pd.Categorical.from_codes(joined("rank_pool"), pd.Index(pools)),
            "rank": joined("rank").astype(np.int32),
        }
    )
    top_query, top_document = joined("top_query"), joined("top_document")
    tops = pd.DataFrame(
        {
            "query_id": _category(queries["query_id"], top_query),
            "rank": joined("top_rank"),
            "doc_id": _category(documents["doc_id"], top_document),
            "doc_lang": _category(documents["lang"], top_document),
            "score": joined("top_score"),
        }
    )
    sizes = {language: int((lang == language).sum()) for language in languages}
    counted = [sum(sizes[x] for x in (languages if pool == ALL else pool.split("+"))) for pool in pools]
    pool_table = pd.DataFrame({"pool": pools, "documents": counted})
    return Ranking(ranks, pool_table, tops, sum(block.tied for block in done) / max(1, len(layout.pair_document)))


def _category(values: pd.Series, index: Index) -> pd.Categorical:
    codes, categories = pd.factorize(values)
    return pd.Categorical.from_codes(codes[index], categories)


def _pools(settings: set[str], languages: list[str]) -> tuple[list[str], dict[str, Index]]:
    """Return the names of the pools, and for each kind of pool the codes of its pools by language(s)."""
    count = len(languages)
    pools = [*languages]
    wanted: dict[str, Index] = {}
    for kind in ("mono", "cross"):
        if kind in settings:
            wanted[kind] = np.arange(count)
    if "multi" in settings:
        wanted["multi"] = np.array([len(pools)])
        pools.append(ALL)
    if "pair" in settings:
        codes = np.full((count, count), -1, dtype=np.intp)
        for first in range(count):
            for second in range(first + 1, count):
                codes[first, second] = codes[second, first] = len(pools)
                pools.append(pair_pool(languages[first], languages[second]))
        wanted["pair"] = codes
    return pools, wanted


def _lay_out(
    collection: Collection, documents: pd.DataFrame, languages: list[str], ignore_identical_ids: bool
) -> _Layout:
    place = pd.Index(documents["doc_id"])
    order = np.empty(len(place), dtype=np.intp)
    order[np.argsort(place.to_numpy(dtype=object), kind="stable")] = np.arange(len(place))
    document_lang = pd.Index(languages).get_indexer(pd.Index(documents["lang"]))
    starts = np.searchsorted(document_lang, np.arange(len(languages) + 1))
    parts = [
        (language, slice(start, min(start + PART, int(starts[language + 1]))))
        for language in range(len(languages))
        for start in range(int(starts[language]), int(starts[language + 1]), PART)
    ]
    queries = collection.queries
    relevant = collection.judgements[collection.judgements["relevance"] > 0]
    pairs = pd.DataFrame({"query": np.arange(len(queries)), "topic": queries["topic"].to_numpy()}).merge(
        pd.DataFrame(
            {
                "topic": relevant["topic"].to_numpy(),
                "document": place.get_indexer(pd.Index(relevant["doc_id"])),
                "relevance": relevant["relevance"].to_numpy(np.int32),
            }
        ),
        on="topic",
    )
    excluded = np.full(len(queries), -1, dtype=np.intp)
    if ignore_identical_ids:
        excluded = place.get_indexer(pd.Index(queries["query_id"])).astype(np.intp)
        pairs = pairs[pairs["document"].to_numpy() != excluded[pairs["query"].to_numpy()]]
    pairs = pairs.sort_values(["query", "document"])
    return _Layout(
        parts=parts,
        order=order,
        excluded=excluded,
        pair_start=np.searchsorted(pairs["query"].to_numpy(), np.arange(len(queries) + 1)),
        pair_document=pairs["document"].to_numpy(np.intp),
        pair_relevance=pairs["relevance"].to_numpy(np.int32),
        query_lang=pd.Index(languages).get_indexer(pd.Index(queries["lang"])),
        document_lang=document_lang,
        languages=len(languages),
    )


def _rank_block(block: slice, layout: _Layout, scorer: Scorer, wanted: dict[str, Index], top: int) -> _Block:
    """Rank the relevant documents of the queries in `block`, part by part."""
    start = layout.pair_start[block.start : block.stop + 1]
    document = layout.pair_document[start[0] : start[-1]]
    row = np.repeat(np.arange(block.stop - block.start), np.diff(start))
    score = scorer.pairs(row + block.start, document)
    above = np.zeros((len(row), layout.languages), dtype=np.int64)
    tied = np.zeros(len(row), dtype=bool)
    tops = _Top(block.stop - block.start, top)
    for language, part in layout.parts:
        estimate = scorer.block(block, part)
        margin = scorer.error
        counted = _count(estimate, margin, part, row, document, score, layout, scorer, block.start)
        if counted is None:  # too much is in doubt (a model whose scores are nearly all alike): score all exactly
            estimate, margin = scorer.exact(block, part), 0.0
            counted = _count(estimate, margin, part, row, document, score, layout, scorer, block.start)
            assert counted is not None
        more, ties, ordered = counted
        above[:, language] += more
        tied |= ties
        tops.add(estimate, ordered, part.start, margin)
    top_row, top_rank, top_document, top_score = tops.best(layout.order, scorer, block.start)
    query_lang, document_lang = layout.query_lang[block][row], layout.document_lang[document]
    picked, pool, ranks = _ranks_of(above, query_lang, document_lang, wanted)
    return _Block(
        rank_query=row[picked] + block.start,
        rank_document=document[picked],
        rank_relevance=layout.pair_relevance[start[0] : start[-1]][picked],
        rank_pool=pool,
        rank=ranks,
        top_query=top_row + block.start,
        top_rank=top_rank,
        top_document=top_document,
        top_score=top_score,
        tied=int(tied.sum()),
    )


def _count(
    estimate: Floats,
    margin: float,
    part: slice,
    row: Index,
    document: Index,
    score: Floats,
    layout: _Layout,
    scorer: Scorer,
    first_query: int,
) -> tuple[Counts, NDArray[np.bool_], Floats] | None:
    """Count, for each relevant document, the documents of one part above it.

    Returns counts [pairs], whether something in the part ties with it [pairs], and the rows of `estimate` sorted; or
    None when so many scores are in doubt that it is cheaper to compute them all exactly.
    """
    excluded = layout.excluded[first_query : first_query + len(estimate)] - part.start
    gone = np.flatnonzero((excluded >= 0) & (excluded < estimate.shape[1]))
    estimate[gone, excluded[gone]] = -np.inf
    ordered = np.sort(estimate, axis=1)
    width = estimate.shape[1]
    column = document - part.start
    own = (column >= 0) & (column < width)
    if margin and own.any() and np.abs(estimate[row[own], column[own]] - score[own]).max() > margin:
        raise UserError("The matrix product of this machine is less exact than float32; use another BLAS library.")
    low, high = _around(score, margin)
    first = _search(ordered, row, low)
    inside = first + own  # the document itself stands within its own margin
    doubtful = np.flatnonzero((inside < width) & (ordered[row, np.minimum(inside, width - 1)] <= high))
    above = width - inside
    tied = np.zeros(len(row), dtype=bool)
    if not len(doubtful):
        return above, tied, ordered
    last = _search(ordered, row[doubtful], np.nextafter(high[doubtful], np.float32(np.inf)))
    if margin and int((last - first[doubtful]).sum()) > estimate.size // 4:
        return None
    above[doubtful] = width - last
    for some in np.array_split(doubtful, -(-len(doubtful) * width // DOUBT)):
        scores = estimate[row[some]]
        within = scores >= low[some, None]
        within &= scores <= high[some, None]
        cell, other = np.divmod(np.flatnonzero(within), width)
        pair = some[cell]
        different = other != column[pair]
        cell, other, pair = cell[different], other[different], pair[different]
        value = scorer.pairs(row[pair] + first_query, other + part.start) if margin else scores[cell, other]
        equal = value == score[pair]
        higher = (value > score[pair]) | (equal & (layout.order[other + part.start] > layout.order[document[pair]]))
        above += np.bincount(pair[higher], minlength=len(row))
        tied[pair[equal]] = True
    return above, tied, ordered


def _around(score: Floats, margin: float) -> tuple[Floats, Floats]:
    """Return the bounds of what may tie with each score: `margin` to both sides, rounded outwards."""
    if not margin:
        return score, score
    wide = np.float32(margin)
    return np.nextafter(score - wide, np.float32(-np.inf)), np.nextafter(score + wide, np.float32(np.inf))


def _search(ordered: Floats, row: Index, value: Floats) -> Index:
    """Return, for each (row, value), how many elements of that sorted row are below the value: a binary search."""
    flat, width = ordered.ravel(), ordered.shape[1]
    base = row * width
    place = base.copy()
    while width > 1:
        half = width // 2
        place += half * (flat[place + (half - 1)] < value)
        width -= half
    found: Index = place - base + (flat[place] < value)
    return found


def _ranks_of(
    above: Counts, query_lang: Index, document_lang: Index, wanted: dict[str, Index]
) -> tuple[Index, Index, Counts]:
    """Turn counts by language into ranks by pool: (pair, pool, rank) for every pool that was asked for."""
    pairs = np.arange(len(above))
    own = query_lang == document_lang
    found: list[tuple[Index, Index, Counts]] = []
    for kind, those in (("mono", own), ("cross", ~own)):
        if kind in wanted:
            picked = pairs[those]
            found.append((picked, document_lang[picked], above[picked, document_lang[picked]]))
    if "multi" in wanted:
        found.append((pairs, np.repeat(wanted["multi"], len(pairs)), above.sum(axis=1)))
    if "pair" in wanted:
        # An answer in the query's own language stands in a pool with every other one, another answer in one pool.
        every = np.arange(above.shape[1])
        stands = np.where(own[:, None], every != query_lang[:, None], every == document_lang[:, None])
        pair, second = np.nonzero(stands & (query_lang >= 0)[:, None])
        first = query_lang[pair]
        found.append((pair, wanted["pair"][first, second], above[pair, first] + above[pair, second]))
    picked, pool, counts = (np.concatenate(column) for column in zip(*found, strict=True))
    return picked, pool, counts + 1


class _Top:
    """The first k documents of each query of a block, gathered part by part."""

    def __init__(self, queries: int, k: int) -> None:
        self.k = k
        self.margin = 0.0
        self.highest = np.full((queries, k), -np.inf, dtype=np.float32)  # sorted; column 0 is the k-th best so far
        self.found: list[tuple[Index, Index, Floats]] = []

    def add(self, estimate: Floats, ordered: Floats, first: int, margin: float) -> None:
        """Take in the scores of one part, also given with sorted rows, whose documents start at `first`."""
        self.margin = max(self.margin, margin)
        self.highest = np.sort(np.concatenate([self.highest, ordered[:, -self.k :]], axis=1), axis=1)[:, -self.k :]
        found = np.flatnonzero(estimate >= self._bar()[:, None])
        row, column = np.divmod(found, estimate.shape[1])
        self.found.append((row, column + first, estimate.ravel()[found]))

    def _bar(self) -> Floats:
        """Return the estimate below which no document can be among the first k; at least the lowest finite number."""
        bar: Floats = np.nextafter(self.highest[:, 0] - np.float32(2 * self.margin), np.float32(-np.inf))
        return np.maximum(bar, np.finfo(np.float32).min)

    def best(self, order: Index, scorer: Scorer, first_query: int) -> tuple[Index, NDArray[np.int32], Index, Floats]:
        """Return (row, rank, document, score) of the first k of each row, in order."""
        row, document, score = (np.concatenate(column) for column in zip(*self.found, strict=True))
        kept = np.flatnonzero(score >= self._bar()[row])
        row, document, score = row[kept], document[kept], score[kept]
        sequence = _by_row(row, -score)
        row, document, score = row[sequence], document[sequence], score[sequence]
        near = (row[1:] == row[:-1]) & (score[:-1] - score[1:] <= 2 * self.margin)
        doubtful = np.flatnonzero(np.append(near, False) | np.insert(near, 0, False))
        run = np.cumsum(np.insert(~near, 0, True))[doubtful]  # what may change places is a run of near scores
        if self.margin:
            score[doubtful] = scorer.pairs(row[doubtful] + first_query, document[doubtful])
        settled = doubtful[np.lexsort((-order[document[doubtful]], -score[doubtful], run))]
        document[doubtful], score[doubtful] = document[settled], score[settled]
        counts = np.bincount(row)
        rank = np.arange(1, len(row) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
        first = rank <= self.k
        return row[first], rank[first].astype(np.int32), document[first], score[first]


def _by_row(row: Index, value: Floats) -> Index:
    """Return the order that sorts by row, then by value: one sort of padded rows, faster than a lexsort."""
    grouped = np.argsort(row.astype(np.uint16), kind="stable")  # a radix sort; rows are below MOST_ROWS
    counts = np.bincount(row)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    padded = np.full((len(counts), counts.max(initial=0)), np.inf, dtype=np.float32)
    padded[row[grouped], place] = value[grouped]
    within = np.argsort(padded, axis=1)
    filled = np.arange(padded.shape[1]) < counts[:, None]
    return grouped[(within + (np.cumsum(counts) - counts)[:, None])[filled]]
