"""The top k of the pool of all languages in; the languages that a question's first documents are in, out.

Every measure here is of what a reader sees first, relevant or not. AWRF is that of the TREC 2022 Fair Ranking Track
(arXiv:2302.05558), PEER that of arXiv:2405.00978. `docs/measures.md` has formulas and ranges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc, rel_entr

DEPTHS = (10, 100)
PEER = f"peer@{DEPTHS[-1]}"
MEASURES = (
    *(f"own_excess@{k}" for k in DEPTHS),
    *(f"awrf_{target}@{k}" for target in ("uniform", "relevant") for k in DEPTHS),
    PEER,
)
BLOCK = 1 << 22  # cells of a table (query, language): 32 MiB
Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Lists:
    """The top k as tables [queries, k]; -1 (and a score of -inf) where a query has fewer documents."""

    document: NDArray[np.int32]
    language: NDArray[np.int16]
    score: NDArray[np.float32]


def lists(top: pd.DataFrame, query_ids: pd.Series, languages: list[str]) -> Lists:
    """Lay out `Ranking.top` by query; `language` counts in `languages`."""
    row = _places(top["query_id"], query_ids.astype("str"))
    kept = row >= 0
    cells = row[kept], top["rank"].to_numpy()[kept] - 1
    shape = len(query_ids), int(top["rank"].max()) if len(top) else 0
    document, language = np.full(shape, -1, dtype=np.int32), np.full(shape, -1, dtype=np.int16)
    score = np.full(shape, -np.inf, dtype=np.float32)
    document[cells] = top["doc_id"].cat.codes.to_numpy()[kept]
    language[cells] = _places(top["doc_lang"], languages)[kept]
    score[cells] = top["score"].to_numpy()[kept]
    return Lists(document, language, score)


def joined(parts: Sequence[Lists]) -> Lists:
    """Join lists of different queries, whatever their k."""
    if len(parts) == 1:
        return parts[0]
    depth = max(part.document.shape[1] for part in parts)

    def whole(name: str, empty: float) -> NDArray[Any]:
        tables = [getattr(part, name) for part in parts]
        wide = [np.pad(table, ((0, 0), (0, depth - table.shape[1])), constant_values=empty) for table in tables]
        return np.concatenate(wide)

    return Lists(whole("document", -1), whole("language", -1), whole("score", -np.inf))


def by_query(
    shown: Lists, queries: pd.DataFrame, answers: pd.DataFrame, pool: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the exposure of each query, and the language share by query language.

    Args:
        shown: the top k, one row for each row of `queries`.
        queries: `query_id, query_lang`.
        answers: the answers in the pool of all: `query_id, doc_lang, rank`, in any order.
        pool: documents by language; its index is what `shown.language` counts in.

    Returns:
        First `queries` and, for k of 10 and 100:

        * `own_excess@k`: share of the query's language among its top k, less that in the pool; 0 is even. NaN if the
          pool has no documents in that language.
        * `awrf_uniform@k`, `awrf_relevant@k`: 1 - JSD between the exposure of the languages in the top k and the
          target: all languages of the pool alike, or their share among the query's answers; 0 to 1, higher is nearer.
        * `peer@100`: p-value of the Kruskal-Wallis test on the places of the documents that are no answers, by
          language; 0 to 1, 1 is even. NaN where the test cannot tell: fewer than two languages, or none with two.

        All are NaN for a query without a list, which adds nothing to the language share.

        Then the language share, summed over the queries of a language: `query_lang, k, queries` and a column for each
        language of the pool.
    """
    languages = list(pool.index)
    own = _places(queries["query_lang"], languages)
    row = _places(answers["query_id"], queries["query_id"].astype("str"))
    order = np.argsort(row, kind="stable")
    row = row[order]
    column = _places(answers["doc_lang"], languages)[order]
    place = answers["rank"].to_numpy(np.int64)[order]
    expected = (pool / pool.sum()).to_numpy()
    depth = shown.language.shape[1]
    values = {name: np.full(len(queries), np.nan) for name in MEASURES}
    asked, asking = np.unique(queries["query_lang"].astype("str").to_numpy(object), return_inverse=True)
    share = {k: np.zeros((len(asked), len(languages))) for k in DEPTHS}

    step = max(1, BLOCK // len(languages))
    for start in range(0, len(queries), step):
        block = slice(start, min(start + step, len(queries)))
        mine = slice(*np.searchsorted(row, [block.start, block.stop]))
        language, speaks = shown.language[block], own[block]
        count = len(language)
        relevant = _table(row[mine] - start, column[mine], np.ones(len(row[mine])), count, len(languages))
        relevant /= relevant.sum(axis=1, keepdims=True)
        for k in DEPTHS:
            part = language[:, :k]
            filled = part >= 0
            rows, places = np.nonzero(filled)
            shares = _table(rows, part[filled], np.ones(len(rows)), count, len(languages))
            some = filled.any(axis=1)
            shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
            np.add.at(share[k], asking[block], shares)
            speakers = np.flatnonzero((speaks >= 0) & some)
            excess = shares[speakers, speaks[speakers]] - expected[speaks[speakers]]
            values[f"own_excess@{k}"][start + speakers] = excess
            exposed = _table(rows, part[filled], 1 / np.log2(np.maximum(places + 1, 2)), count, len(languages))
            exposed /= np.where(some, exposed.sum(axis=1), 1)[:, None]
            uniform = np.full_like(exposed, 1 / len(languages))
            for target, wanted in (("uniform", uniform), ("relevant", relevant)):
                values[f"awrf_{target}@{k}"][block] = np.where(some, 1 - _divergence(exposed, wanted), np.nan)
        others = language[:, : DEPTHS[-1]].copy()
        listed = place[mine] <= min(depth, DEPTHS[-1])
        others[row[mine][listed] - start, place[mine][listed] - 1] = -1
        values[PEER][block] = peer(others, len(languages))

    size = np.bincount(asking, minlength=len(asked))
    tables = []
    for k in DEPTHS:
        table = pd.DataFrame(share[k], columns=pd.Index(languages))
        table.insert(0, "query_lang", asked)
        table.insert(1, "k", k)
        table.insert(2, "queries", size)
        tables.append(table)
    return queries.assign(**values), pd.concat(tables, ignore_index=True)


def _places(values: pd.Series, wanted: Sequence[str] | pd.Series) -> Codes:
    """Return where each of `values` (categorical) stands in `wanted`; -1 for one that does not."""
    found: Codes = pd.Index(wanted).get_indexer(values.cat.categories.astype("str"))[values.cat.codes]
    return found


def _table(rows: Codes, columns: Codes, weights: Floats, count: int, languages: int) -> Floats:
    """Sum weights into a table [count, languages]."""
    found = np.bincount(rows * languages + columns, weights, count * languages)
    return found.astype(np.float64).reshape(count, languages)  # of nothing, bincount makes integers


def _divergence(first: Floats, second: Floats) -> Floats:
    """Return the Jensen-Shannon divergence of each row, in bits: 0 to 1."""
    middle = (first + second) / 2
    found: Floats = (rel_entr(first, middle) + rel_entr(second, middle)).sum(axis=1) / (2 * np.log(2))
    return np.clip(found, 0, 1)


def peer(groups: Codes, languages: int) -> Floats:
    """Return the p-value of the Kruskal-Wallis test on the places of each row, grouped by language.

    Args:
        groups: [rows, places]: the language at each place from the best; -1 for a place that does not count.
        languages: how many there are.

    Returns:
        [rows]: NaN where fewer than two languages stand, or each only once: the test then says the same of any order.
    """
    counted = groups >= 0
    place = counted.cumsum(axis=1)
    rows = np.nonzero(counted)[0]
    sizes = _table(rows, groups[counted], np.ones(len(rows)), len(groups), languages)
    sums = _table(rows, groups[counted], place[counted].astype(np.float64), len(groups), languages)
    total, kinds = sizes.sum(axis=1), (sizes > 0).sum(axis=1)
    off = np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0) - (total[:, None] + 1) / 2
    statistic = 12 / np.maximum(total * (total + 1), 1) * (sizes * off**2).sum(axis=1)
    told = (kinds >= 2) & (total > kinds)
    found = np.full(len(groups), np.nan)
    found[told] = chdtrc(kinds[told] - 1, statistic[told])
    return found
