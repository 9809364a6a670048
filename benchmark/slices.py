"""A result and the name of a facet in; the tables of each of its values out, from the ranks alone.

A facet of the queries (`query.domain`) divides the queries. One of the documents (`document.domain`) divides the
relevant documents: of each query only those with the value count, and those with another are taken out of the pool, so
that they neither help nor stand in the way. Where all that is relevant to a topic has one value, that divides the
queries too. `language.script`, `language.family` and `language.class` (of resources) are facets of every task: what is
known of the language that asks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark import averages, bias, exposure, facets, summary
from benchmark.evidence import Json, Result
from benchmark.measures import Measure, parse
from benchmark.ranking import ALL, NOT_FOUND, Ranking
from tasks import languages
from tasks.errors import UserError, nearest
from tasks.facets import as_text

LANGUAGE = "language"
Codes = NDArray[np.integer[Any]]
GROUPS: dict[str, Callable[[str], str | int | None]] = {
    "script": languages.script,
    "family": languages.family,
    "class": languages.resource_class,
}


@dataclass(frozen=True)
class Slice:
    """The ranks of one value, and what is measured of them once somebody asks; None where nothing is said."""

    value: str | None
    ranks: pd.DataFrame
    result: Result
    measures: Sequence[Measure]

    @cached_property
    def topics(self) -> int:
        """How many topics it has in all."""
        return int(self.ranks["topic"].nunique())

    @cached_property
    def topics_in(self) -> dict[str, int]:
        """How many topics it has in each setting."""
        asked = self.ranks.drop_duplicates(["query_lang", "pool", "topic"])
        counted = asked.groupby(averages.settings(asked))["topic"].nunique()
        return {str(setting): int(count) for setting, count in counted.items()}

    @cached_property
    def says(self) -> Json:
        """The evidence of the result with `directions, averages, strong` and `bias` of this value alone.

        Bias that needs the top k is null or empty.
        """
        ranking = Ranking(self.ranks, self.result.pools(), pd.DataFrame(), 0, 0)
        found = summary.tables([ranking], self.measures, with_top=False)
        whole = {name: value for name, value in self.result.says.items() if name not in ("mining", "noise")}
        return whole | found | {"bias": _bias(self.ranks), "language_share": [], "consistency": []}


@dataclass(frozen=True)
class Slices:
    """A result by the values of a facet, most topics first.

    * `by`: the facet's name; `of`: what it is said of: `query`, `document` or `language`.
    * `every`: of how many topics one has its ranks kept; all numbers here are of these.
    * `whole`: all values together, `parts`: each of them.
    """

    by: str
    of: str
    every: int
    whole: Slice
    parts: list[Slice]


def of(result: Result, by: str, measure: str | None = None) -> Slices:
    """Return the slices of a result by a facet, with its measures and `measure`.

    Raises UserError if it has no such facet.
    """
    ranks = result.ranks()
    column = _find(result, by, facets.columns(ranks.columns))
    side, _, name = column.partition(".")
    values = _values(ranks, side, name)
    names = dict.fromkeys([*result.says["directions"][0]["measures"], *([measure] if measure else [])])
    measures = [parse(text) for text in names]
    said = alone(ranks, values) if side == "document" else ranks
    parts = [Slice(value, part, result, measures) for value, part in _parts(said, values)]
    parts.sort(key=lambda part: (-part.topics, part.value or ""))
    return Slices(name, side, result.says["kept"]["every"], Slice(None, ranks, result, measures), parts)


def _find(result: Result, by: str, there: list[str]) -> str:
    """Return the column that a name means: as it stands, or else of the queries, the documents, the language."""
    there = [*there, *(f"{LANGUAGE}.{name}" for name in GROUPS)]
    short: dict[str, str] = {}
    for column in there:
        short.setdefault(column.partition(".")[2], column)
    if by in there or by in short:
        return by if by in there else short[by]
    known = [*short, *(column for column in there if column not in short.values())]
    older = "facets_hash" not in result.says["task"]
    raise UserError(
        f"{result.folder} has no facet «{by}»; there are {', '.join(known)}{nearest(by, known) or '.'}"
        + (" It was made before results kept facets; run again, and it has those of its task." if older else "")
    )


def _values(ranks: pd.DataFrame, side: str, name: str) -> pd.Series:
    """Return what a facet says of each row."""
    if side != LANGUAGE:
        return ranks[f"{side}.{name}"]
    tags = ranks["query_lang"].cat.categories
    said = as_text(pd.Series([GROUPS[name](tag) for tag in tags], dtype=object))
    return pd.Series(facets.by_category(ranks["query_lang"], said), index=ranks.index)


def alone(ranks: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    """Return the ranks that relevant documents have where those with another value are not in the pool.

    With k of them above, a document at rank r stands at r - k; `documents` is less by all of them.
    """
    query, pool, value = (column.cat.codes.to_numpy(np.int64) for column in (ranks["query_id"], ranks["pool"], values))
    group = pool * len(ranks["query_id"].cat.categories) + query
    own = group * (len(values.cat.categories) + 1) + value + 1
    rank = ranks["rank"].to_numpy(np.int64)
    (above, size), (above_own, size_own) = _within(group, rank), _within(own, rank)
    return ranks.assign(
        rank=np.where(rank == NOT_FOUND, rank, rank - (above - above_own)),
        documents=ranks["documents"].astype("int64") - (size - size_own),
    )


def _within(group: Codes, rank: Codes) -> tuple[Codes, Codes]:
    """Return how many of a row's group stand above it, and how many the group has."""
    order = np.lexsort((rank, group))
    starts = np.flatnonzero(np.append(True, np.diff(group[order]) != 0)) if len(group) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(group)))
    above, size = np.empty_like(group), np.empty_like(group)
    above[order] = np.arange(len(group)) - np.repeat(starts, sizes)
    size[order] = np.repeat(sizes, sizes)
    return above, size


def _parts(ranks: pd.DataFrame, values: pd.Series) -> Iterator[tuple[str | None, pd.DataFrame]]:
    """Yield each value and its rows."""
    codes = values.cat.codes.to_numpy()
    order = np.argsort(codes, kind="stable")
    ranks, codes = ranks.iloc[order], codes[order]
    ends = np.append(np.flatnonzero(np.diff(codes)) + 1, len(codes))
    for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        yield None if codes[start] < 0 else str(values.cat.categories[codes[start]]), ranks.iloc[start:end]


def _bias(ranks: pd.DataFrame) -> list[Json]:
    """Return the rows of the bias table, null where they need the top k."""
    pool = ranks[ranks["pool"] == ALL]
    if pool.empty:
        return []
    values = bias.by_query(pool).astype({"query_lang": "str"}).assign(**dict.fromkeys(exposure.MEASURES, np.nan))
    return [row | {f"{exposure.PEER}_queries": None} for row in summary.bias_rows(values)]
