"""Indexes of a task's pools in; what they cost, and how many of the nearest documents they find, out.

Recall asks nothing of relevance: it is the share of the first k documents of exact search that are among the first k of
the index, which is how approximate search is measured (arXiv:1807.05614, section 3.2). Seconds are this machine's.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark import lists, searched
from benchmark.evidence import Json
from benchmark.exposure import DEPTHS
from benchmark.indexes import Index, Places, library
from benchmark.ranking import ALL
from benchmark.scoring import Floats
from tasks.collection import Collection

SAMPLE = 5_000  # queries whose neighbours are compared, evenly from all
TIMED = 500  # of which so many are timed
DIGITS = 4
Find = Callable[[str, Places], Places]
"""Given a pool and rows of queries, returns the places in the pool of what is found first, [n, k]; -1 for nothing."""


def sample(collection: Collection, most: int) -> Places:
    """Return the rows of `most` queries, evenly from all."""
    count = len(collection.queries)
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def nearest(queries: Floats, documents: Floats, k: int) -> Places:
    """Return the places of the first k documents [n, k] by dot product, those of all if there are fewer."""
    faiss = library()
    _, places = faiss.knn(queries, documents, min(k, len(documents)), metric=faiss.METRIC_INNER_PRODUCT)
    return places  # type: ignore[no-any-return]


def of(indexes: Mapping[str, Index], queries: Floats, depth: int) -> Json:
    """Return what indexes cost: their size, what building them took, and how long a query takes in the largest.

    Args:
        indexes: by pool. If there is one of all languages, it is the one that counts; else they count together.
        queries: to be timed [n, width], one at a time and all at once.
        depth: how many documents each query asks for.
    """
    counted = [indexes[ALL]] if ALL in indexes else list(indexes.values())
    largest = max(counted, key=len)
    depth = min(depth, len(largest))
    with threadpool_limits(1):
        largest.search(queries[:1], depth)  # whatever is loaded at the first call
        single = [_seconds(largest, queries[row : row + 1], depth) for row in range(len(queries))]
        together = _seconds(largest, queries, depth)
    documents, size = sum(map(len, counted)), sum(index.bytes for index in counted)
    return {
        "documents": documents,
        "bytes": size,
        "bytes_per_vector": round(size / documents, 1),
        "build_seconds": round(sum(index.seconds for index in counted), 3),
        "depth": depth,
        "milliseconds": round(1e3 * float(np.median(single)), DIGITS),
        "queries_per_second": round(len(queries) / together, 1),
    }


def _seconds(index: Index, queries: Floats, depth: int) -> float:
    start = time.perf_counter()
    index.search(queries, depth)
    return time.perf_counter() - start


def recall(
    collection: Collection, settings: Sequence[str], asked: Places, exact: Find, found: Find, depth: int
) -> list[Json]:
    """Return the recall of the first 10 and 100 by setting and language, each mean over queries and pools.

    Args:
        collection: what is asked of what.
        settings: `mono`, `cross` and `multi` say which pools are searched.
        asked: rows of the queries that are looked at.
        exact: finds the nearest.
        found: finds what the index finds.
        depth: how many documents a list has at most; recall of more is not told.
    """
    depths = [k for k in DEPTHS if k <= depth]
    spoken, of_document = (table["lang"].to_numpy(object) for table in (collection.queries, collection.documents))
    parts: list[pd.DataFrame] = []
    for pool, held in searched.pools(collection, settings).items():
        rows = np.intersect1d(asked, lists.askers(collection, settings, pool))
        if not len(rows):
            continue
        with threadpool_limits(1):
            first, others = exact(pool, rows), found(pool, rows)
        lang = spoken[rows]
        for k in depths:
            hits = hit(first[:, :k], others[:, :k])
            setting = np.where(lang == pool, "mono", "cross") if pool != ALL else np.full(len(rows), "multi")
            by_query = pd.DataFrame({"setting": setting, "language": lang, "k": k, "recall": hits.mean(axis=1)})
            parts.append(by_query.assign(side="queries"))
            if pool != ALL:
                parts.append(by_query[setting == "cross"].assign(side="documents", language=pool))
            else:  # of all that should be found in a language, how much is
                there = of_document[held[first[:, :k]]].ravel()
                parts.append(
                    pd.DataFrame({"setting": "multi", "language": there, "k": k, "recall": hits.ravel().astype(float)})
                    .assign(side="documents")
                )  # fmt: skip
    if not parts:
        return []
    keys = ["setting", "side", "language", "k"]
    means = pd.concat(parts).groupby(keys)["recall"].mean().round(DIGITS).unstack()  # noqa: PD010 - no aggregation
    return [
        {name: row[name] for name in keys[:-1]} | {"recall": {str(k): row[k] for k in depths if not pd.isna(row[k])}}
        for row in means.reset_index().to_dict("records")
    ]


def hit(first: Places, others: Places) -> NDArray[np.bool_]:
    """Return which of the documents `first` [n, k] are among `others` [n, m], row by row."""
    ordered = np.sort(others, axis=1)
    width = max(int(first.max(initial=0)), int(others.max(initial=0))) + 2
    row = np.arange(len(first))[:, None] * width
    flat = (ordered + row + 1).ravel()  # nothing found, -1, is 0
    key = (first + row + 1).ravel()
    at = np.minimum(np.searchsorted(flat, key), len(flat) - 1)
    return (flat[at] == key).reshape(first.shape)  # type: ignore[no-any-return]
