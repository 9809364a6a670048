"""The top k of the same question asked in two languages in; how far the two lists agree, out.

A reader who asks in another language should be shown the same documents. RankC is from arXiv:2310.10378, MRC@k from
arXiv:2509.06195, both over the pool of all languages. `docs/measures.md` has formulas and ranges.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.exposure import Codes, Lists
from benchmark.ranking import processors

K = 10
MEASURES = (f"RankC@{K}", f"MRC@{K}")
BLOCK = 8192  # pairs of queries compared at once: some 100 MiB
MOST = 2_000_000  # pairs of queries: a quarter of a minute
Floats = NDArray[np.float64]


def by_pair(shown: Lists, queries: pd.DataFrame) -> pd.DataFrame:
    """Return the agreement of each two query languages, averaged over the topics that are asked in both.

    Where the topics have more than two million pairs of queries together (FLORES-200 has 21), every second, third, ...
    topic is taken; the number of topics says so.

    Args:
        shown: the top k, one row for each row of `queries`.
        queries: `query_lang, topic`.

    Returns:
        `first, second` (languages, first < second), `topics`, and the mean over topics (over its pairs of wordings
        first, where a topic has several in a language) of:

        * `RankC@10`: weighted overlap of the first 1, 2, ... 10 documents; 0 to 1, higher is more alike.
        * `MRC@10`: Spearman correlation of the scores of the documents in either top 10; -1 to 1, higher is more
          alike. A document that a list of 100 does not hold stands behind all that it holds. A pair of queries for
          which it is undefined (all scores equal) is left out; NaN if none is left.
    """
    langs, spoken = np.unique(queries["query_lang"].astype("str").to_numpy(object), return_inverse=True)
    topic = pd.factorize(queries["topic"])[0]
    wordings = np.bincount(topic)
    step = -(-int((wordings * (wordings - 1) // 2).sum()) // MOST)
    chosen = np.flatnonzero(topic % max(1, step) == 0)
    rows = pd.DataFrame({"topic": topic[chosen], "lang": spoken[chosen], "row": chosen}).sort_values("topic")
    starts = np.flatnonzero(np.append(True, np.diff(rows["topic"]) > 0))
    together = max(1, BLOCK // int(wordings.max(initial=1)) ** 2)
    some = [rows.iloc[start:stop] for start, stop in pairwise([*starts[::together], len(rows)])]
    with ThreadPoolExecutor(processors()) as pool:
        found = [part for parts in pool.map(partial(_compared, shown), some) for part in parts]
    if not found:
        return pd.DataFrame(columns=["first", "second", "topics", *MEASURES])
    table = pd.concat(found)
    pair = ["lang_first", "lang_second"]
    grouped = table.groupby([*pair, "topic"])[list(MEASURES)].mean().groupby(pair)
    means = grouped.mean()
    means.insert(0, "topics", grouped.size())
    means = means.reset_index()
    means.insert(0, "second", langs[means.pop("lang_second")])
    means.insert(0, "first", langs[means.pop("lang_first")])
    return means


def _compared(shown: Lists, rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Compare the lists of all pairs of rows (`topic, lang, row`) that ask for one topic in two languages."""
    both = rows.merge(rows, on="topic", suffixes=("_first", "_second"))
    both = both[both["lang_first"] < both["lang_second"]]
    one, two = both["row_first"].to_numpy(np.int64), both["row_second"].to_numpy(np.int64)
    found = []
    for place in range(0, len(both), BLOCK):
        block = slice(place, place + BLOCK)
        values = both.iloc[block][["topic", "lang_first", "lang_second"]].copy()
        values[MEASURES[0]] = rank_c(shown.document[one[block], :K], shown.document[two[block], :K])
        values[MEASURES[1]] = mrc(shown, one[block], two[block])
        found.append(values)
    return found


def rank_c(first: Codes, second: Codes) -> Floats:
    """Return RankC of lists of documents [pairs, k]; a place without a document is -1.

    A document at places i and j of two lists is in both of their first max(i, j), max(i, j) + 1, ... k.
    """
    k = first.shape[1]
    if not k:
        return np.full(len(first), np.nan)
    weight = np.exp(-np.arange(k, dtype=np.float64))  # softmax of k, k - 1, ... 1
    from_place = np.cumsum((weight / weight.sum() / np.arange(1, k + 1))[::-1])[::-1]
    at = np.maximum.outer(np.arange(k), np.arange(k))
    same = (first[:, :, None] == second[:, None, :]) & (first >= 0)[:, :, None]
    found: Floats = np.einsum("pij,ij->p", same, from_place[at])
    return found


def mrc(shown: Lists, first: Codes, second: Codes) -> Floats:
    """Return MRC@10 of pairs of rows [pairs]."""
    if not shown.document.shape[1]:
        return np.full(len(first), np.nan)
    left, right = shown.document[first, :K], shown.document[second, :K]
    new = (right >= 0) & ~(right[:, :, None] == left[:, None, :]).any(axis=2)
    here = np.concatenate([shown.score[first, :K], _scores(shown, first, right)], axis=1)
    there = np.concatenate([_scores(shown, second, left), shown.score[second, :K]], axis=1)
    return _spearman(here, there, np.concatenate([left >= 0, new], axis=1))


def _scores(shown: Lists, rows: Codes, documents: Codes) -> NDArray[np.float32]:
    """Return the scores [rows, n] that the lists of `rows` give to `documents` [rows, n]; -inf where not listed."""
    same = documents[:, :, None] == shown.document[rows][:, None, :]
    listed = np.take_along_axis(shown.score[rows], same.argmax(axis=2), axis=1)
    return np.where(same.any(axis=2), listed, -np.inf).astype(np.float32)


def _spearman(first: NDArray[np.float32], second: NDArray[np.float32], counted: NDArray[np.bool_]) -> Floats:
    """Return the correlation of the ranks of each row's `counted` values, ties at their mean rank; NaN if constant."""
    left, right = (_centred_ranks(values, counted) for values in (first, second))
    with np.errstate(invalid="ignore"):
        size = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
        found: Floats = np.where(size > 0, (left * right).sum(axis=1) / np.where(size > 0, size, 1), np.nan)
    return np.clip(found, -1, 1)


def _centred_ranks(values: NDArray[np.float32], counted: NDArray[np.bool_]) -> Floats:
    """Return each value's rank among those counted in its row, less their mean; 0 for the others.

    That is half of how many values are below it less how many are above.
    """
    finite = np.maximum(values, np.finfo(np.float32).min)
    sign = np.sign(finite[:, :, None] - finite[:, None, :])
    found: Floats = (sign @ counted[:, :, None].astype(np.float32))[:, :, 0].astype(np.float64) / 2
    return np.where(counted, found, 0)
