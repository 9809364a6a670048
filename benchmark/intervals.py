"""Values by query in, some queries after others; a 95 % interval for every mean of them out.

The means are those of `averages` and `bias`: of each direction, over the directions of a language, over all directions
(macro) and over all queries (micro). One bootstrap serves them all: a replicate draws topics with replacement, and a
topic brings its wordings in every language along, because a question asked in eleven languages is one observation. A
mean is a ratio of sums over topics, so a replicate of it is a ratio of weighted sums, and the replicates of all means
come from one matrix product: sums by topic with the weights of the topics.

Nothing depends on the order of the queries, on blocks or on threads: topics are sorted before weights are drawn, and
values are rounded to multiples of 2^-15 (less than the last digit that an interval can have), so that every sum is one
of whole numbers, and exact.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.bca import LEVEL, Counts, Floats, Means, ends, ratios
from benchmark.ranking import processors

REPLICATES = 1000  # an end is then known to some fiftieth of the interval's width
SEED = 19_870_301
ABOUT = {"method": "BCa", "level": LEVEL, "replicates": REPLICATES, "seed": SEED, "unit": "topic"}
GRAIN = 2.0**-15
CHUNK = 256  # topics in a matrix product
UNIT = (0.0, 1.0)
Ends = dict[str, list[float] | None]
Names = NDArray[np.object_]


@dataclass(frozen=True)
class Sums:
    """What some queries of one language add up to. A pool or a topic may come again in another of these.

    * `pools` [pools], `topics` [topics]: their names.
    * `queries` [pools, topics]: how many there are.
    * `values` [measures, pools, topics]: their sum, in multiples of GRAIN.
    """

    lang: str
    pools: Names
    topics: Names
    queries: Counts
    values: Counts


@dataclass(frozen=True)
class Intervals:
    """Intervals [low, high] by measure; None where there is none.

    * `directions`: by (query language, pool).
    * `languages`: by (family, query language), of the mean over pools, where a language has several in the family.
    * `averages`: by (family, `macro` or `micro`).
    """

    directions: dict[tuple[str, str], Ends]
    languages: dict[tuple[str, str], Ends]
    averages: dict[tuple[str, str], Ends]


@dataclass
class _Total:
    """What directions of one family add up to; first the means of directions, then queries and sums of values.

    * `value` [measures], `drawn` [measures, replicates], `influence` [measures, topics]: as in Means, summed.
    * `present` [replicates]: how many of the directions have a query in a replicate.
    * `sums` [1 + measures, topics], `drawn_sums` [1 + measures, replicates]: queries first.
    """

    directions: int
    value: Floats
    drawn: Floats
    present: Floats
    influence: Floats
    sums: Floats
    drawn_sums: Floats

    def blank(self, topics: int) -> "_Total":
        """Return the total of no directions, with as many topics as there are in all."""
        value, drawn, present, drawn_sums = map(np.zeros_like, (self.value, self.drawn, self.present, self.drawn_sums))
        influence, sums = (np.zeros((len(table), topics)) for table in (self.influence, self.sums))
        return _Total(0, value, drawn, present, influence, sums, drawn_sums)

    def macro(self) -> Means:
        """Return the mean over directions, in a replicate over those that it has."""
        with np.errstate(invalid="ignore"):
            drawn = self.drawn / self.present
        topics = np.full(len(self.value), np.count_nonzero(self.sums[0]))
        return Means(self.value / self.directions, drawn, self.influence / self.directions, topics)

    def micro(self) -> Means:
        """Return the mean over queries."""
        return ratios(self.sums[1:], self.sums[0], self.drawn_sums[1:], self.drawn_sums[0])

    def add(self, part: "_Total", here: Counts) -> None:
        """Add other directions; `here` says where their topics stand."""
        self.directions += part.directions
        self.value += part.value
        self.drawn += part.drawn
        self.present += part.present
        self.drawn_sums += part.drawn_sums
        self.influence[:, here] += part.influence
        self.sums[:, here] += part.sums


def gather(values: pd.DataFrame, names: Sequence[str]) -> list[Sums]:
    """Sum values by query language, pool and topic.

    Args:
        values: one row for each (query, pool): `query_lang, pool, topic`, categorical, and the columns `names`.
        names: the measures.
    """
    keys = ("query_lang", "pool", "topic")
    spoken, pools, topics = (values[key].cat.categories.to_numpy(object) for key in keys)
    order = np.argsort(values["query_lang"].cat.codes.to_numpy(), kind="stable")
    lang, pool, topic = (values[key].cat.codes.to_numpy()[order] for key in keys)
    grains = [np.rint(values[name].to_numpy(np.float64)[order] / GRAIN) for name in names]
    found = []
    for code in np.flatnonzero(np.bincount(lang)):
        rows = slice(*np.searchsorted(lang, [code, code + 1]))
        (there, row), (here, column) = _present(pool[rows]), _present(topic[rows])
        shape, cell = (len(there), len(here)), row * len(here) + column
        queries = np.bincount(cell, minlength=len(there) * len(here)).reshape(shape)
        sums = np.stack([np.bincount(cell, grain[rows], queries.size).reshape(shape) for grain in grains])
        found.append(Sums(str(spoken[code]), pools[there], topics[here], _small(queries), _small(sums)))
    return found


def _present(codes: Counts) -> tuple[Counts, Counts]:
    """Return the codes that occur, ascending, and where each of `codes` stands among them."""
    occurs = np.bincount(codes) > 0
    place: Counts = np.cumsum(occurs) - 1
    return np.flatnonzero(occurs), place[codes]


def _small(whole: NDArray[Any]) -> Counts:
    """Return whole numbers in the smallest type that holds them: two bytes where a topic has one wording."""
    ends = (np.min_scalar_type(int(end)) for end in (whole.min(), whole.max()))
    return whole.astype(np.promote_types(*ends))


def bootstrap(
    parts: Sequence[Sums],
    names: Sequence[str],
    family: Callable[[str, str], str],
    ranges: Mapping[str, tuple[float, float]] | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = SEED,
    threads: int | None = None,
) -> Intervals:
    """Return the intervals of all means.

    Args:
        parts: what `gather` made of all queries.
        names: the measures.
        family: given a query language and a pool, says which directions are averaged together.
        ranges: by family, the least and the greatest value that its measures can have; 0 and 1 where not given.
        replicates: how many are drawn.
        seed: of the draws.
        threads: worker threads; None: the processors this process may use. They change time, never an interval.
    """
    by_lang: dict[str, list[Sums]] = {}
    for part in parts:
        by_lang.setdefault(part.lang, []).append(part)
    topics = np.sort(pd.unique(np.concatenate([part.topics for part in parts])))
    weights = draw(len(topics), replicates, seed)
    found = Intervals({}, {}, {})
    totals: dict[str, _Total] = {}

    def named(means: Means, kinds: Sequence[str]) -> list[Ends]:
        bounds = np.array([(ranges or {}).get(kind, UNIT) for kind in kinds])
        pairs = ends(means, bounds[:, 0], bounds[:, 1])
        return [dict(zip(names, pairs[place :: len(kinds)], strict=True)) for place in range(len(kinds))]

    def work(lang: str) -> tuple[Names, list[Ends], Counts, dict[str, _Total]]:
        pools, here, table = _table(by_lang[lang], topics)
        kinds = [family(lang, pool) for pool in pools]
        drawn = _drawn(table, weights[here])
        means = ratios(table[1:], table[0], drawn[1:], drawn[0])
        each = {kind: _total(means, table, drawn, np.equal(kinds, kind)) for kind in dict.fromkeys(kinds)}
        return pools, named(means, kinds), here, each

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads or processors()) as pool:
        spoken = sorted(by_lang)
        for lang, (pools, pairs, here, each) in zip(spoken, pool.map(work, spoken), strict=True):
            found.directions.update(zip([(lang, name) for name in pools], pairs, strict=True))
            for kind, part in each.items():
                if part.directions > 1:
                    (found.languages[kind, lang],) = named(part.macro(), [kind])
                totals.setdefault(kind, part.blank(len(topics))).add(part, here)
    for kind, total in totals.items():
        (found.averages[kind, "macro"],) = named(total.macro(), [kind])
        (found.averages[kind, "micro"],) = named(total.micro(), [kind])
    return found


def draw(topics: int, replicates: int, seed: int) -> NDArray[np.uint8]:
    """Return how often each replicate draws each topic, [topics, replicates]: as many draws as there are topics."""
    random = np.random.default_rng(seed)
    weights = np.empty((topics, replicates), dtype=np.uint8)  # about one, and never anywhere near 255
    for place in range(replicates):
        weights[:, place] = np.bincount(random.integers(0, topics, topics), minlength=topics)
    return weights


def _table(parts: Sequence[Sums], topics: Names) -> tuple[Names, Counts, Floats]:
    """Join what there is of one language.

    Returns:
        The pools [P] and the places [T] of its topics among all, both ascending, and [1 + measures, P, T]: the queries,
        then the sums of values.
    """
    pools = np.sort(pd.unique(np.concatenate([part.pools for part in parts])))
    places = [np.searchsorted(topics, part.topics) for part in parts]
    here = np.unique(np.concatenate(places))
    table = np.zeros((1 + len(parts[0].values), len(pools), len(here)))
    for part, place in zip(parts, places, strict=True):
        cells = np.ix_(np.searchsorted(pools, part.pools), np.searchsorted(here, place))
        table[0][cells] += part.queries
        for measure, values in enumerate(part.values, 1):
            table[measure][cells] += values
    table[1:] *= GRAIN  # a power of two: still exact
    return pools, here, table


def _drawn(table: Floats, weights: NDArray[np.uint8]) -> Floats:
    """Return the sums over topics in each replicate: of `table` [1 + measures, P, T], [1 + measures, P, replicates]."""
    alike = (table[0] == table[0, 0]).all()  # mostly every pool has the same queries
    queries = table[0, :1] if alike else table[0]
    rows = np.concatenate([queries, table[1:].reshape(-1, table.shape[-1])])
    largest = np.abs(rows).max() / GRAIN
    sums = np.zeros((len(rows), weights.shape[1]))
    for start in range(0, len(weights), CHUNK):
        some = slice(start, start + CHUNK)
        exact = np.float32 if largest * weights[some].sum(axis=0).max() < 2**24 else np.float64
        sums += rows[:, some].astype(exact) @ weights[some].astype(exact)
    found = np.empty((*table.shape[:-1], weights.shape[1]))
    found[0], found[1:] = sums[: len(queries)], sums[len(queries) :].reshape(found[1:].shape)
    return found


def _total(means: Means, table: Floats, drawn: Floats, those: NDArray[np.bool_]) -> _Total:
    """Add up those directions of one language."""
    return _Total(
        int(those.sum()),
        means.value.sum(axis=1, where=those),
        np.nansum(means.drawn[:, those], axis=1),
        np.isfinite(means.drawn[0, those]).sum(axis=0).astype(np.float64),
        means.influence.sum(axis=1, where=those[:, None]),
        table.sum(axis=1, where=those[:, None]),
        drawn.sum(axis=1, where=those[:, None]),
    )
