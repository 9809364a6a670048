"""A collection and a scorer in; the rank of every relevant document in every pool, and the top k, out. The one pass.

Every measure used here is a function of the ranks of the relevant documents, and a rank is a count: one plus the
number of documents of the pool that stand above (`benchmark.counting` counts them). So nothing is cut off and no pool
is ranked twice: the count in one language gives the rank in that pool, the count in all languages the rank in the
pool of all, the sum of two the rank in a pair pool.

The ranking rule is trec_eval's: score as float32, descending; ties by document id, descending.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import local
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.counting import MOST_ROWS, PART, Counted, Counts, Documents, Pairs, count
from benchmark.scoring import Floats, Index, Scorer
from tasks.collection import Collection

ALL = "*"
TOP = 100
ROWS = 512  # queries in a block: enough for the full speed of a matrix product
BLOCK = 1 << 25  # scores in the blocks of all threads together: 128 MiB as float32, and at most as much sorted


@dataclass(frozen=True)
class Ranking:
    """What the pass found. `measures` and `bias` read this and nothing else.

    * `ranks`: one row per (query, relevant document, pool): `query_id, query_lang, topic, doc_id, doc_lang, relevance,
      pool, documents, rank`; all but `relevance` and `rank` are categorical. `documents` is how many the pool holds for
      the query (one less where the document with its own id is ignored), `rank` is 1-based.
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

    documents: Documents
    excluded: Index  # query -> the document that is ignored for it, or -1
    pair_start: Index  # query -> where its relevant documents start in the next two
    pair_document: Index
    pair_relevance: NDArray[np.int32]
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
    top_query: Index
    counted: Counted


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
    queries = collection.queries
    pools, wanted = _pools(set(settings), languages)
    largest = min(len(documents), PART)
    workers = threads or processors()
    rows = max(1, min(rows, BLOCK // (largest * workers), MOST_ROWS, len(collection.queries)))
    blocks = [slice(start, min(start + rows, len(queries))) for start in range(0, len(queries), rows)]

    kept = local()

    def work(block: slice) -> _Block:
        if not hasattr(kept, "scratch"):
            kept.scratch = np.empty(rows * largest, dtype=np.float32)
        done = _rank_block(block, layout, scores, wanted, top, kept.scratch)
        progress(block.stop - block.start)
        return done

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        scorer_made = pool.submit(scorer, documents.index.to_list())
        layout = _lay_out(collection, documents, languages, ignore_identical_ids)
        scores = scorer_made.result()
        done = list(pool.map(work, blocks))

    def joined(field: str) -> Any:
        return np.concatenate([getattr(block.counted if field.startswith("top_") else block, field) for block in done])

    rank_query, rank_document = joined("rank_query"), joined("rank_document")
    lang = documents["lang"].to_numpy()
    sizes = {language: int((lang == language).sum()) for language in languages}
    counted = [sum(sizes[x] for x in (languages if pool == ALL else pool.split("+"))) for pool in pools]
    pool_table = pd.DataFrame({"pool": pools, "documents": counted})
    rank_pool = joined("rank_pool")
    ranks = pd.DataFrame(
        {
            "query_id": _category(queries["query_id"], rank_query),
            "query_lang": _category(queries["lang"], rank_query),
            "topic": _category(queries["topic"], rank_query),
            "doc_id": _category(documents["doc_id"], rank_document),
            "doc_lang": _category(documents["lang"], rank_document),
            "relevance": joined("rank_relevance"),
            "pool": pd.Categorical.from_codes(rank_pool, pd.Index(pools)),
            "documents": _documents(pool_table, rank_pool, layout, languages, rank_query),
            "rank": joined("rank"),
        }
    )
    top_query, top_document = np.concatenate([block.top_query for block in done]), joined("top_document")
    tops = pd.DataFrame(
        {
            "query_id": _category(queries["query_id"], top_query),
            "rank": joined("top_rank"),
            "doc_id": _category(documents["doc_id"], top_document),
            "doc_lang": _category(documents["lang"], top_document),
            "score": joined("top_score"),
        }
    )
    return Ranking(
        ranks,
        pool_table,
        tops,
        sum(int(block.counted.tied.sum()) for block in done) / max(1, len(layout.pair_document)),
    )


def _documents(pools: pd.DataFrame, pool: Index, layout: _Layout, languages: list[str], query: Index) -> pd.Categorical:
    """Return how many documents each (query, pool) holds: one less where the ignored document would stand in it."""
    holds = np.array([[name == ALL or lang in name.split("+") for lang in languages] for name in pools["pool"]])
    ignored = layout.excluded[query]
    less = (ignored >= 0) & holds[pool, layout.document_lang[ignored]]
    sizes = pools["documents"].to_numpy()
    values, codes = np.unique(np.concatenate([sizes, sizes - 1]), return_inverse=True)
    return pd.Categorical.from_codes(codes[pool + less * len(pools)].astype(np.int16), pd.Index(values))


def _category(values: pd.Series, index: Index) -> pd.Categorical:
    codes, categories = pd.factorize(values)
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
    return _Layout(
        documents=Documents(starts, order),
        excluded=excluded,
        pair_start=np.searchsorted(pairs["query"].to_numpy(), np.arange(len(queries) + 1)),
        pair_document=pairs["document"].to_numpy(np.intp),
        pair_relevance=pairs["relevance"].to_numpy(np.int32),
        query_lang=pd.Index(languages).get_indexer(pd.Index(queries["lang"])),
        document_lang=document_lang,
    )


def _rank_block(
    block: slice, layout: _Layout, scorer: Scorer, wanted: dict[str, Index], top: int, scratch: Floats
) -> _Block:
    """Rank the relevant documents of the queries in `block`."""
    start = layout.pair_start[block.start : block.stop + 1]
    document = layout.pair_document[start[0] : start[-1]]
    row = np.repeat(np.arange(block.stop - block.start), np.diff(start))
    query_lang, document_lang = layout.query_lang[block][row], layout.document_lang[document]
    beside = _beside(query_lang, document_lang, len(layout.documents.starts) - 1, wanted)
    needed = beside.copy()
    if "mono" in wanted or "cross" in wanted:
        needed[np.arange(len(row)), document_lang] = True
    if "pair" in wanted:
        spoken = np.flatnonzero(query_lang >= 0)
        needed[spoken, query_lang[spoken]] = True
    pairs = Pairs(row, document, scorer.pairs(row + block.start, document), needed)
    counted = count(block, scorer, layout.documents, pairs, layout.excluded[block], top, scratch)
    picked, pool, ranks = _ranks_of(counted, query_lang, document_lang, beside, wanted)
    return _Block(
        rank_query=row[picked] + block.start,
        rank_document=document[picked],
        rank_relevance=layout.pair_relevance[start[0] : start[-1]][picked],
        rank_pool=pool,
        rank=ranks,
        top_query=counted.top_row + block.start,
        counted=counted,
    )


def _beside(query_lang: Index, document_lang: Index, languages: int, wanted: dict[str, Index]) -> NDArray[np.bool_]:
    """Return [pairs, languages]: beside which languages a relevant document stands in a pool of two with the query's.

    An answer in the query's own language stands in a pool with every other one, another answer in one pool.
    """
    if "pair" not in wanted:
        return np.zeros((len(query_lang), languages), dtype=bool)
    every = np.arange(languages)
    own = (query_lang == document_lang)[:, None]
    stands = np.where(own, every != query_lang[:, None], every == document_lang[:, None])
    found: NDArray[np.bool_] = stands & (query_lang >= 0)[:, None]
    return found


def _ranks_of(
    counted: Counted, query_lang: Index, document_lang: Index, beside: NDArray[np.bool_], wanted: dict[str, Index]
) -> tuple[Index, Index, Counts]:
    """Turn counts into ranks by pool: (pair, pool, rank) for every pool that was asked for."""
    pairs = np.arange(len(query_lang))
    own = query_lang == document_lang
    found: list[tuple[Index, Index, Counts]] = []
    for kind, those in (("mono", own), ("cross", ~own)):
        if kind in wanted:
            picked = pairs[those]
            found.append((picked, document_lang[picked], counted.above_in[picked, document_lang[picked]]))
    if "multi" in wanted:
        found.append((pairs, np.repeat(wanted["multi"], len(pairs)), counted.above))
    if "pair" in wanted:
        pair, second = np.nonzero(beside)
        first = query_lang[pair]
        both = counted.above_in[pair, first] + counted.above_in[pair, second]
        found.append((pair, wanted["pair"][first, second], both))
    picked, pool, counts = (np.concatenate(column) for column in zip(*found, strict=True))
    return picked, pool, counts + 1
