"""Results on the same data in; what differs between them, cell by cell, and whether it is real, out.

A *cell* is a direction, a language of the question, an average, or a bias value of a language. Everything follows from
the stored ranks (and the top k, where there is one); no model is needed. The unit is the topic: its wordings in all
languages are summed before anything is compared, so a table [topics, cells] holds all that the statistics need, and one
set of random signs and one set of resampled topics serve all cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from benchmark import averages, bias, exposure, intervals, statistics
from benchmark.bca import Means, ends, ratios
from benchmark.comparable import require
from benchmark.evidence import Result
from benchmark.measures import evaluate, parse
from benchmark.ranking import ALL
from tasks.card import SETTINGS
from tasks.errors import UserError

COLUMNS = [
    "kind", "setting", "query_lang", "pool", "name", "better", "n", "before", "after", "difference", "low", "high", "p",
    "p_adjusted", "wins", "ties", "losses",
]  # fmt: skip
KINDS = ("average", "language", "direction", "bias")
BETTER = {  # than a measure of quality, of which higher is
    "rank_distance": "lower", "max_rank": "lower",
    "own_first": "even", **{f"own_excess@{k}": "even" for k in exposure.DEPTHS},
}  # fmt: skip
REACH = {  # how far two values of a topic can lie apart, where it is not 1
    "rank_distance": np.inf, "max_rank": np.inf, "max_rank_normalised": 100.0,
    **{f"own_excess@{k}": 2.0 for k in exposure.DEPTHS},
}  # fmt: skip
BLOCK = 1 << 23  # numbers in a table of replicates: 64 MiB
Floats = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Paired:
    """Two results side by side.

    * `cells`: one row for each cell:
        * `kind`: `average`, `language` (of the question: the mean over its directions), `direction` or `bias`;
        * `setting`, `query_lang` (a tag, `macro` or `micro`), `pool` ("" where there are several), `name` of the value;
        * `better`: `higher` or `lower`; `even` where neither end is;
        * `n`: topics; `before`, `after`, `difference` (after less before);
        * `low`, `high`: the 95 % interval of the difference, by the bootstrap of `intervals`; NaN of few topics;
        * `p`: of `statistics.sign_flip`; `p_adjusted`: for how many cells of the kind there are;
        * `wins`, `ties`, `losses`: topics for which the second is better, equal, worse (higher and lower where neither
          end is better).
      A bias value that some queries lack (PEER) is of the queries for which both results have it.
    * `topics`: their ids.
    * `differences`: [topics, cells]: what each topic adds to the difference of a cell; they sum up to it.
    * `held`: topics of the task. Where there are more than `topics`, only every n-th has its ranks kept.
    """

    before: Result
    after: Result
    measure: str
    cells: pd.DataFrame
    topics: pd.Index
    differences: Floats
    held: int


@dataclass(frozen=True)
class _Sums:
    """Values summed over the queries of a topic, by base cell, and how other cells are made of these.

    * `cells`: those of the base, then those that are made; `weights`: [base, made]: means of base cells.
    * `before`, `after`: [topics, base]; `counts`: [topics, base], the number of queries.
    """

    cells: pd.DataFrame
    weights: csr_array
    before: Floats
    after: Floats
    counts: Floats


@dataclass(frozen=True)
class _Tables:
    """The values of a measure by query and pool, and the bias values by query."""

    values: pd.DataFrame
    biases: pd.DataFrame


def compare(results: Sequence[Result], measure: str | None = None, *, fdr: bool = False) -> list[Paired]:
    """Compare the first result with each of the others.

    p-values are adjusted over the cells of a kind and all results together (macro and micro averages, and each bias
    value, apart): by Holm's method, or with `fdr` by that of Benjamini and Hochberg.

    Args:
        results: two or more on the same data. UserError says why they cannot be compared.
        measure: of quality; None: the main measure of the first result.
        fdr: limit the share of false differences among those that are found, rather than the risk of any.
    """
    require(results, measure)
    name = measure or str(results[0].says["main_measure"])
    first, *others = [_tables(result, name) for result in results]
    found = [_paired(results[0], other, name, first, table) for other, table in zip(results[1:], others, strict=True)]
    together = pd.concat([one.cells for one in found], keys=range(len(found)))
    adjusted = _adjusted(together, fdr)
    for place, one in enumerate(found):
        one.cells["p_adjusted"] = adjusted.loc[place]
    return found


def _adjusted(cells: pd.DataFrame, fdr: bool) -> "pd.Series[float]":
    average = cells["query_lang"].where(cells["query_lang"].isin(["macro", "micro"]), "")
    adjust = statistics.benjamini_hochberg if fdr else statistics.holm
    known = cells["p"].dropna()
    families = known.groupby([cells["kind"], cells["name"], average])
    return families.transform(lambda p: adjust(p.to_numpy())).reindex(cells.index)


def _tables(result: Result, measure: str) -> _Tables:
    ranks = result.ranks()
    values = evaluate(ranks, [parse(measure)])
    pool = ranks[ranks["pool"] == ALL]
    biased = bias.by_query(pool) if len(pool) else pd.DataFrame()
    if len(pool) and (result.folder / "top.parquet").is_file():
        top = result.top()
        sizes = result.pools().set_index("pool")["documents"]
        sizes = sizes[[name != ALL and "+" not in name for name in sizes.index]]
        listed = biased[biased["query_id"].isin(top["query_id"].unique())]
        shown = exposure.lists(top, listed["query_id"], list(sizes.index))
        exposed, _ = exposure.by_query(shown, listed[["query_id", "query_lang"]], pool, sizes)
        biased = biased.join(exposed[list(exposure.MEASURES)])
    return _Tables(values, biased)


def _paired(before: Result, after: Result, measure: str, one: _Tables, other: _Tables) -> Paired:
    topics = pd.Index(sorted({*one.values["topic"].unique()} & {*other.values["topic"].unique()}), dtype="str")
    both = [_aligned(one.values, other.values), _aligned(one.biases, other.biases)]
    lost = before.says["kept"] == after.says["kept"] and any(
        len(aligned[0]) < max(len(first), len(second))
        for aligned, first, second in zip(both, (one.values, one.biases), (other.values, other.biases), strict=True)
    )
    if lost or not all(_alike(*aligned) for aligned in both):
        raise UserError(
            f"{before.folder} and {after.folder} are of the same data, but hold ranks of other questions; one of them "
            "is damaged, so run it again."
        )
    parts = [_quality(*both[0], measure, topics)]
    if len(both[1][0]):
        parts.append(_biases(*both[1], topics))
    found = [_tested(part) for part in parts]
    cells = pd.concat([cells for cells, _ in found], ignore_index=True)
    order = np.lexsort([cells["query_lang"] == "micro", cells["kind"].map(KINDS.index)])
    differences = np.hstack([columns for _, columns in found])[:, order]
    held = int(before.says["task"]["topics"])
    return Paired(before, after, measure, cells.iloc[order].reset_index(drop=True), topics, differences, held)


def _aligned(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of the queries (and pools) that both tables have, in one order."""
    codes = [np.zeros(len(one), dtype=np.int64), np.zeros(len(other), dtype=np.int64)]
    for key in [name for name in ("query_id", "pool") if name in one and name in other]:
        known = one[key].cat.categories.astype("str")
        place = known.get_indexer(other[key].cat.categories.astype("str"))
        codes[0] = codes[0] * (len(known) + 1) + one[key].cat.codes.to_numpy(np.int64)
        codes[1] = codes[1] * (len(known) + 1) + np.where(place < 0, len(known), place)[other[key].cat.codes]
    _, first, second = np.intersect1d(codes[0], codes[1], return_indices=True)
    return one.iloc[first], other.iloc[second]


def _alike(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether the queries of two tables are of the same topics and languages."""
    for name in ("topic", "query_lang") if len(one) else ():
        place = one[name].cat.categories.get_indexer(other[name].cat.categories)
        if (one[name].cat.codes.to_numpy() != place[other[name].cat.codes]).any():
            return False
    return True


def _quality(one: pd.DataFrame, other: pd.DataFrame, measure: str, topics: pd.Index) -> _Sums:
    """Sum a measure by direction; micro averages are base cells too, of all queries of a setting."""
    directions = one[["query_lang", "pool"]].drop_duplicates().astype("str")
    directions["setting"] = pd.Categorical(averages.settings(directions), SETTINGS, ordered=True)
    directions = directions.sort_values(["setting", "query_lang", "pool"], ignore_index=True)
    settings, setting = np.unique(directions["setting"].cat.codes, return_inverse=True)
    asked, pools = one["query_lang"].cat, one["pool"].cat
    place = np.full((len(asked.categories), len(pools.categories)), -1)
    place[
        asked.categories.get_indexer(pd.Index(directions["query_lang"])),
        pools.categories.get_indexer(pd.Index(directions["pool"])),
    ] = directions.index
    row, column = _rows(one, topics), place[asked.codes, pools.codes]

    def summed(values: Floats) -> Floats:
        found = _table(row, column, values, (len(topics), len(directions)))
        return np.hstack([found, found @ np.eye(len(settings))[setting]])

    micro = pd.DataFrame({"setting": np.array(SETTINGS)[settings], "query_lang": "micro", "pool": ""})
    base = pd.concat([directions.assign(kind="direction"), micro.assign(kind="average")], ignore_index=True)
    base = base.assign(name=measure, better="higher")
    single = base["kind"] == "direction"
    means = [
        _means(base, single, ["setting"], kind="average", query_lang="macro", pool=""),
        _means(base, single, ["setting", "query_lang"], kind="language", pool=""),
    ]
    values = (one[measure].to_numpy(), other[measure].to_numpy(), np.ones(len(one)))
    return _Sums(*_with(base, means), *map(summed, values))


def _biases(one: pd.DataFrame, other: pd.DataFrame, topics: pd.Index) -> _Sums:
    """Sum bias values by name and language of the question."""
    names = [name for name in bias.MEASURES if name in one and name in other]
    langs, lang = np.unique(one["query_lang"].astype("str").to_numpy(object), return_inverse=True)
    base = pd.DataFrame([(name, lang) for name in names for lang in langs], columns=["name", "query_lang"])
    base = base.assign(kind="bias", setting="multi", pool=ALL, better=base["name"].map(BETTER).fillna("higher"))
    means = [_means(base, base["kind"] == "bias", ["name"], query_lang="macro")]
    values = [table[names].to_numpy(np.float64) for table in (one, other)]
    known = ~np.isnan(values).any(axis=0)
    row = np.repeat(_rows(one, topics), len(names))
    column = (np.arange(len(names)) * len(langs) + lang[:, None]).ravel()
    sums = [
        _table(row, column, np.where(known, value, 0).ravel(), (len(topics), len(base)))
        for value in (*values, known.astype(np.float64))
    ]
    return _Sums(*_with(base, means), *sums)


def _means(base: pd.DataFrame, of: "pd.Series[bool]", by: list[str], **says: str) -> tuple[pd.DataFrame, csr_array]:
    """Return cells that are means of those base cells that are alike in `by`, and their weights [base, cells]."""
    part = base[of]
    group = part.groupby(by, sort=False, observed=True).ngroup().to_numpy()
    weights = 1 / np.bincount(group)[group]
    shape = len(base), int(group.max()) + 1
    return part.drop_duplicates(by).assign(**says), csr_array((weights, (part.index, group)), shape)


def _with(base: pd.DataFrame, means: Sequence[tuple[pd.DataFrame, csr_array]]) -> tuple[pd.DataFrame, csr_array]:
    cells = pd.concat([base, *(made for made, _ in means)], ignore_index=True)
    return cells, csr_array(hstack([weights for _, weights in means]))


def _rows(table: pd.DataFrame, topics: pd.Index) -> Index:
    found: Index = topics.get_indexer(table["topic"].cat.categories.astype("str"))[table["topic"].cat.codes]
    return found


def _table(row: Index, column: Index, values: Floats, shape: tuple[int, int]) -> Floats:
    found = np.bincount(row * shape[1] + column, values, shape[0] * shape[1])
    return found.astype(np.float64).reshape(shape)  # of nothing, bincount makes integers


def _tested(sums: _Sums) -> tuple[pd.DataFrame, Floats]:
    """Return the cells with all that is said of them, and what each topic adds to each difference."""
    queries = sums.counts.sum(axis=0)

    def shared(values: Floats) -> Floats:
        """Return what values [..., base] add to the mean of each cell; NaN for a cell without queries."""
        base = np.divide(values, queries, out=np.full(values.shape, np.nan), where=queries > 0)
        return np.concatenate([base, base @ sums.weights], axis=-1)

    before, after = shared(sums.before.sum(axis=0)), shared(sums.after.sum(axis=0))
    differences = np.nan_to_num(shared(sums.after - sums.before))
    known = ~np.isnan(before)
    cells = sums.cells.copy()
    asked = sums.counts > 0
    cells["n"] = np.concatenate([asked.sum(axis=0), (asked @ sums.weights > 0).sum(axis=0)]) * known
    cells["before"], cells["after"], cells["difference"] = before, after, after - before
    cells["low"], cells["high"] = np.where(known, _interval(sums), np.nan)
    cells["p"] = np.where(known, statistics.sign_flip(differences), np.nan)
    better = differences * np.where(cells["better"] == "lower", -1, 1)
    slack = 1e-12 * np.abs(better).max(axis=0, initial=0)  # sums in another order
    cells["wins"], cells["losses"] = (better > slack).sum(axis=0), (better < -slack).sum(axis=0)
    cells["ties"] = cells["n"] - cells["wins"] - cells["losses"]
    cells["p_adjusted"] = np.nan  # of all results together
    return cells[COLUMNS], differences


def _interval(sums: _Sums) -> Floats:
    """Return the ends of the interval of each cell's difference, [2, cells]; NaN where there is none.

    As in `intervals`: a replicate draws topics, and every mean is taken of the queries that they bring. A mean of base
    cells is of those that have a query then.
    """
    topics, base = sums.counts.shape
    drawn = intervals.draw(topics, intervals.REPLICATES, intervals.SEED)
    reach = np.array([REACH.get(name, 1.0) for name in sums.cells["name"]])
    change = sums.after - sums.before
    found = np.full((2, len(sums.cells)), np.nan)
    made, held = np.zeros((2, sums.weights.shape[1], intervals.REPLICATES))
    influence = np.zeros((sums.weights.shape[1], topics))
    known = np.flatnonzero(sums.counts.any(axis=0))
    step = max(1, BLOCK // max(topics, intervals.REPLICATES))
    for start in range(0, len(known), step):
        block = known[start : start + step]
        means = ratios(
            change[:, block].T,
            sums.counts[:, block].T,
            _drawn(change[:, block], drawn),
            _drawn(sums.counts[:, block], drawn),
        )
        found[:, block] = _pairs(means, reach[block])
        weights = sums.weights[block].T
        made += weights @ np.nan_to_num(means.drawn)
        held += weights @ np.isfinite(means.drawn).astype(np.float64)
        influence += weights @ means.influence
    value = sums.weights.T @ (change.sum(axis=0) / np.maximum(sums.counts.sum(axis=0), 1))
    asked = ((sums.counts > 0) @ sums.weights > 0).sum(axis=0)
    whole = Means(value, np.divide(made, held, out=np.full(made.shape, np.nan), where=held > 0), influence, asked)
    found[:, base:] = _pairs(whole, reach[base:])
    return found


def _drawn(columns: Floats, drawn: NDArray[np.uint8]) -> Floats:
    """Return the sums of columns [topics, columns] in each replicate: [columns, replicates]."""
    found = np.zeros((columns.shape[1], drawn.shape[1]))
    step = max(1, BLOCK // drawn.shape[1])
    for start in range(0, len(columns), step):
        some = slice(start, start + step)
        found += columns[some].T @ drawn[some].astype(np.float64)
    return found


def _pairs(means: Means, reach: Floats) -> Floats:
    pairs = [pair or (np.nan, np.nan) for pair in ends(means, -reach, reach)]
    return np.array(pairs).reshape(-1, 2).T
