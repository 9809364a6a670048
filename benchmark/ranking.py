"""A collection and a scorer in; the rank of every relevant document in every pool, and the top k, out. The one pass.

Every measure used here is a function of the ranks of the relevant documents, and a rank is a count: one plus the
number of documents of the pool that stand above (`benchmark.counting` counts them). So nothing is cut off and no pool
is ranked twice: the count in one language gives the rank in that pool, the count in all languages the rank in the
pool of all, the sum of two the rank in a pair pool.

The ranking rule is trec_eval's: score as float32, descending; ties by document id, descending.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from threading import local
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals
from threadpoolctl import threadpool_limits

from benchmark.counting import PART, Counted, Counts, Documents, Pairs, count
from benchmark.scoring import Floats, Index, Scorer
from benchmark.top import MOST_ROWS, Listed
from tasks.collection import Collection

ALL = "*"
TOP = 100
ROWS = 512  # queries in a block: enough for the full speed of a matrix product
BLOCK = 1 << 25  # scores in the blocks of all threads together: 128 MiB as float32, and at most as much sorted
TOGETHER = 500_000  # answers ranked before they are handed on: some 200 MiB with all that is computed of them
PART_COLUMN = "part"
NOT_FOUND = np.iinfo(np.int32).max  # the rank of an answer that a list of limited length does not hold
Scorers = Callable[[Index | slice, Index], Scorer]


@dataclass(frozen=True)
class Ranking:
    """What the pass found. `measures` and `bias` read this and nothing else.

    * `ranks`: one row per (query, relevant document, pool): `query_id, query_lang, topic, doc_id, doc_lang, relevance,
      pool, documents, rank`; all but `relevance` and `rank` are categorical. `documents` is how many the pool holds for
      the query (one less where the document with its own id is ignored), `rank` is 1-based, or NOT_FOUND.
    * `pools`: `pool, documents`: how many documents each pool holds.
    * `top`: `query_id, rank, doc_id, doc_lang, score`: the first k documents of the pool of all languages.
      Where two scores are closer than the estimate's error they are exact, elsewhere within that error.
    * `answers`: number of (query, relevant document); `tied`: how many of them have a score that some other document of
      the pool of all has exactly.
    """

    ranks: pd.DataFrame
    pools: pd.DataFrame
    top: pd.DataFrame
    answers: int
    tied: int

    @property
    def ties(self) -> float:
        """Share of the answers that are tied."""
        return self.tied / max(1, self.answers)


@dataclass(frozen=True)
class _Layout:
    """The collection as index arrays; documents stand in the order of the pass (by language, then id)."""

    documents: Documents
    excluded: Index  # query -> the document that is ignored for it, or -1
    query_topic: Index
    topic_start: Index  # topic -> where its relevant documents start in the next two
    topic_document: Index
    topic_relevance: NDArray[np.int32]
    query_lang: Index  # query -> language of the documents in its own language, or -1
    document_lang: Index


@dataclass(frozen=True)
class _Block:
    """What one block of queries yields, as index arrays."""

    rank_query: Index
    rank_document: Index
    rank_relevance: NDArray[np.int32]
    rank_pool: Index
    rank: Counts
    tied: NDArray[np.bool_]
    top_query: Index
    top: Listed


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pair_pool(first: str, second: str) -> str:
    """Return the name of the pool of two languages: `de+en`."""
    return "+".join(sorted((first, second)))


def rank(collection: Collection, scorer: Scorers, settings: Iterable[str], **how: Any) -> Ranking:
    """Return the whole ranking at once: `ranked`, joined. For collections whose ranks fit into memory."""
    return join(list(ranked(collection, scorer, settings, **how)))


def join(rankings: Sequence[Ranking]) -> Ranking:
    """Join rankings of different queries of one collection."""
    if len(rankings) == 1:
        return rankings[0]
    pools = pd.concat([ranking.pools for ranking in rankings]).groupby("pool", sort=False)["documents"].max()
    return Ranking(
        _joined([ranking.ranks for ranking in rankings]),
        pools.reset_index(),
        _joined([ranking.top for ranking in rankings]),
        sum(ranking.answers for ranking in rankings),
        sum(ranking.tied for ranking in rankings),
    )


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join frames; their categorical columns stay categorical, whatever categories each of them has."""
    columns = {
        name: union_categoricals([frame[name] for frame in frames])
        if isinstance(frames[0][name].dtype, pd.CategoricalDtype)
        else np.concatenate([frame[name].to_numpy() for frame in frames])
        for name in frames[0].columns
    }
    return pd.DataFrame(columns)


def ranked(
    collection: Collection,
    scorer: Scorers,
    settings: Iterable[str],
    *,
    ignore_identical_ids: bool = False,
    top: int = TOP,
    rows: int = ROWS,
    threads: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Ranking]:
    """Rank the relevant documents of every query in the pools that `settings` ask for, some queries after others.

    Where queries and documents have a column `part`, a query searches the documents of its own part only.

    Args:
        collection: what is asked of what.
        scorer: given rows of `collection.queries` and of `collection.documents`, returns the scorer for them, in that
            order.
        settings: any of `mono`, `cross`, `multi`, `pair`.
        ignore_identical_ids: leave out the document whose id is the query's.
        top: how many documents of the pool of all languages to keep for each query.
        rows: queries in a block; changes time and memory, never a rank.
        threads: worker threads; None: the processors this process may use.
        progress: told the number of queries done, as they are done.
    """
    wanted = set(settings)
    workers = threads or processors()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for part, queries, documents in parts(collection):
            picked = partial(_picked, scorer, queries, documents)
            yield from _ranked_part(part, picked, wanted, ignore_identical_ids, top, rows, workers, pool, progress)


def _picked(scorer: Scorers, queries: Index | slice, documents: Index, order: Index) -> Scorer:
    return scorer(queries, documents[order])


def parts(collection: Collection) -> Iterator[tuple[Collection, Index | slice, Index]]:
    """Yield the collections that are searched apart, and where their queries and documents stand in the whole."""
    documents, queries = collection.documents, collection.queries
    if PART_COLUMN not in documents or PART_COLUMN not in queries:
        yield collection, slice(None), np.arange(len(documents))
        return
    of_document, of_query = documents[PART_COLUMN].to_numpy(object), queries[PART_COLUMN].to_numpy(object)
    for part in sorted(set(of_query) & set(of_document)):
        asked, held = np.flatnonzero(of_query == part), np.flatnonzero(of_document == part)
        limited = replace(
            collection,
            documents=documents.iloc[held].reset_index(drop=True),
            queries=queries.iloc[asked].reset_index(drop=True),
        )
        yield limited, asked, held


def _ranked_part(
    collection: Collection,
    scorer: Callable[[Index], Scorer],
    settings: set[str],
    ignore_identical_ids: bool,
    top: int,
    rows: int,
    workers: int,
    pool: ThreadPoolExecutor,
    progress: Callable[[int], None],
) -> Iterator[Ranking]:
    languages, top = collection.document_languages, min(top, len(collection.documents))
    documents = collection.documents[["lang", "doc_id"]].sort_values(["lang", "doc_id"], kind="stable")
    queries = collection.queries
    pools, wanted = _pools(settings, languages)
    largest = min(len(documents), PART)
    rows = max(1, min(rows, BLOCK // (largest * workers), MOST_ROWS, len(queries)))
    kept = local()

    def work(block: slice) -> _Block:
        if not hasattr(kept, "scratch"):
            kept.scratch = np.empty(rows * largest, dtype=np.float32)
        done = _rank_block(block, layout, scores, wanted, top, kept.scratch)
        progress(block.stop - block.start)
        return done

    scorer_made = pool.submit(scorer, documents.index.to_numpy())
    layout = _lay_out(collection, documents, languages, ignore_identical_ids)
    scores = scorer_made.result()
    sizes = documents["lang"].value_counts()
    counted = [int(sizes.sum() if name == ALL else sizes[name.split("+")].sum()) for name in pools]
    pool_table = pd.DataFrame({"pool": pools, "documents": counted})
    about_query = {name: pd.factorize(queries[name]) for name in ("query_id", "lang", "topic")}
    about_document = {name: pd.factorize(documents[name]) for name in ("doc_id", "lang")}

    def ranking(done: list[_Block]) -> Ranking:
        def joined(field: str) -> Any:
            return np.concatenate([attrgetter(field)(block) for block in done])

        query, rank_pool = joined("rank_query"), joined("rank_pool")
        ranks = pd.DataFrame(
            {
                "query_id": _category(about_query["query_id"], query),
                "query_lang": _category(about_query["lang"], query),
                "topic": _category(about_query["topic"], query),
                "doc_id": _category(about_document["doc_id"], joined("rank_document")),
                "doc_lang": _category(about_document["lang"], joined("rank_document")),
                "relevance": joined("rank_relevance"),
                "pool": pd.Categorical.from_codes(rank_pool, pd.Index(pools)),
                "documents": _documents(pool_table, rank_pool, layout, languages, query),
                "rank": joined("rank"),
            }
        )
        tops = pd.DataFrame(
            {
                "query_id": _category(about_query["query_id"], joined("top_query")),
                "rank": joined("top.rank"),
                "doc_id": _category(about_document["doc_id"], joined("top.document")),
                "doc_lang": _category(about_document["lang"], joined("top.document")),
                "score": joined("top.score"),
            }
        )
        tied = joined("tied")
        return Ranking(ranks, pool_table, tops, len(tied), int(tied.sum()))

    # The next queries are ranked, by all workers, while the caller is busy with the last.
    ahead: deque[list[Future[_Block]]] = deque()
    for blocks in _together(layout, rows):
        ahead.append([pool.submit(work, block) for block in blocks])
        if sum(map(len, ahead)) >= len(ahead[0]) + workers:
            yield ranking([future.result() for future in ahead.popleft()])
    while ahead:
        yield ranking([future.result() for future in ahead.popleft()])


def _together(layout: _Layout, rows: int) -> Iterator[list[slice]]:
    """Yield blocks of queries, as many at a time as have some TOGETHER answers."""
    answers = np.diff(layout.topic_start)[layout.query_topic]
    blocks: list[slice] = []
    total = 0
    for start in range(0, len(answers), rows):
        block = slice(start, min(start + rows, len(answers)))
        size = int(answers[block].sum())
        if blocks and total + size > TOGETHER:
            yield blocks
            blocks, total = [], 0
        blocks.append(block)
        total += size
    yield blocks


def _documents(pools: pd.DataFrame, pool: Index, layout: _Layout, languages: list[str], query: Index) -> pd.Categorical:
    """Return how many documents each (query, pool) holds: one less where the ignored document would stand in it."""
    holds = np.array([[name == ALL or lang in name.split("+") for lang in languages] for name in pools["pool"]])
    ignored = layout.excluded[query]
    less = (ignored >= 0) & holds[pool, layout.document_lang[ignored]]
    sizes = pools["documents"].to_numpy()
    values, codes = np.unique(np.concatenate([sizes, sizes - 1]), return_inverse=True)
    return pd.Categorical.from_codes(codes[pool + less * len(pools)].astype(np.int16), pd.Index(values))


def _category(factorized: tuple[Any, pd.Index], index: Index) -> pd.Categorical:
    codes, categories = factorized
    codes = codes.astype(np.int16 if len(categories) < 2**15 else np.int32)
    return pd.Categorical.from_codes(codes[index], categories, validate=False)


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
    queries = collection.queries
    topic, topics = pd.factorize(queries["topic"])
    relevant = collection.judgements[collection.judgements["relevance"] > 0]
    of_topic = topics.get_indexer(pd.Index(relevant["topic"]))
    document = place.get_indexer(pd.Index(relevant["doc_id"]))
    known = np.flatnonzero((of_topic >= 0) & (document >= 0))  # a part holds some topics and documents only
    known = known[np.argsort(of_topic[known], kind="stable")]
    excluded = np.full(len(queries), -1, dtype=np.intp)
    if ignore_identical_ids:
        excluded = place.get_indexer(pd.Index(queries["query_id"])).astype(np.intp)
    return _Layout(
        documents=Documents(starts, order),
        excluded=excluded,
        query_topic=topic,
        topic_start=np.searchsorted(of_topic[known], np.arange(len(topics) + 1)),
        topic_document=document[known],
        topic_relevance=relevant["relevance"].to_numpy(np.int32)[known],
        query_lang=pd.Index(languages).get_indexer(pd.Index(queries["lang"])),
        document_lang=document_lang,
    )


def _rank_block(
    block: slice, layout: _Layout, scorer: Scorer, wanted: dict[str, Index], top: int, scratch: Floats
) -> _Block:
    """Rank the relevant documents of the queries in `block`."""
    topic = layout.query_topic[block]
    count_of = np.diff(layout.topic_start)[topic]
    row = np.repeat(np.arange(block.stop - block.start), count_of)
    place = np.arange(len(row)) + np.repeat(layout.topic_start[topic] - np.cumsum(count_of) + count_of, count_of)
    judged = layout.topic_document[place] != layout.excluded[block][row]
    row, place = row[judged], place[judged]
    document = layout.topic_document[place]
    query_lang, document_lang = layout.query_lang[block][row], layout.document_lang[document]
    asked, beside = _asked(query_lang, document_lang, len(layout.documents.starts) - 1, wanted)
    pairs = Pairs(row, document, scorer.pairs(row + block.start, document), asked)
    counted, listed = count(block, scorer, layout.documents, pairs, layout.excluded[block], top, scratch)
    picked, pool, ranks = _ranks_of(counted, pairs, query_lang, document_lang, beside, wanted)
    return _Block(
        rank_query=row[picked] + block.start,
        rank_document=document[picked],
        rank_relevance=layout.topic_relevance[place][picked],
        rank_pool=pool,
        rank=ranks,
        tied=counted.tied,
        top_query=listed.row + block.start,
        top=listed,
    )


def _asked(
    query_lang: Index, document_lang: Index, languages: int, wanted: dict[str, Index]
) -> tuple[Index, tuple[Index, Index]]:
    """Return in which languages to count on their own (`Pairs.asked`), and (pair, language) of the pools of two.

    A relevant document in the query's own language stands in a pool with every other one, another in one pool.
    """
    pair = np.arange(len(query_lang))
    asked, beside = [], (pair[:0], pair[:0])
    if "mono" in wanted or "cross" in wanted:
        asked.append(document_lang * len(pair) + pair)
    if "pair" in wanted:
        every = np.arange(languages)
        own = (query_lang == document_lang)[:, None]
        stands = np.where(own, every != query_lang[:, None], every == document_lang[:, None])
        first, second = np.nonzero(stands & (query_lang >= 0)[:, None])
        beside = first, second
        spoken = np.flatnonzero(query_lang >= 0)
        asked += [beside[1] * len(pair) + beside[0], query_lang[spoken] * len(pair) + spoken]
    every = np.sort(np.concatenate(asked or [pair[:0]]))  # np.unique takes ten times as long
    return every[np.append(True, every[1:] != every[:-1])[: len(every)]], beside


def _ranks_of(
    counted: Counted,
    pairs: Pairs,
    query_lang: Index,
    document_lang: Index,
    beside: tuple[Index, Index],
    wanted: dict[str, Index],
) -> tuple[Index, Index, Counts]:
    """Turn counts into ranks by pool: (pair, pool, rank) for every pool that was asked for."""
    every = np.arange(len(query_lang))
    own = query_lang == document_lang
    found: list[tuple[Index, Index, Counts]] = []
    for kind, those in (("mono", own), ("cross", ~own)):
        if kind in wanted:
            pair, language = every[those], document_lang[those]
            found.append((pair, language, counted.above_in[pairs.place(pair, language)]))
    if "multi" in wanted:
        found.append((every, np.repeat(wanted["multi"], len(every)), counted.above))
    if "pair" in wanted:
        pair, second = beside
        first = query_lang[pair]
        both = counted.above_in[pairs.place(pair, first)] + counted.above_in[pairs.place(pair, second)]
        found.append((pair, wanted["pair"][first, second], both))
    picked, pool, counts = (np.concatenate(column) for column in zip(*found, strict=True))
    return picked, pool, counts + 1
