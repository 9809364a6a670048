"""Ranks in, per-query values out; and what a random order would score.

A measure is a value whose text is its name everywhere: in cards, on the command line, in column headers and keys. The
names and definitions are those of ir_measures and trec_eval; `docs/measures.md` has the formulas.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.ranking import NOT_FOUND
from tasks.card import TaskCard
from tasks.errors import UserError, located, nearest

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """A measure with its cut-off (0: none). `str` gives the text that `parse` takes."""

    name: str
    cutoff: int = 0

    def __str__(self) -> str:
        return f"{self.name}@{self.cutoff}" if self.cutoff else self.name


@dataclass(frozen=True)
class _Groups:
    """The relevant documents of all (query, pool), sorted by group and rank, as arrays over documents or groups."""

    start: NDArray[np.intp]  # group -> its first document
    rank: Values
    place: Values  # 1 for the best ranked relevant document of its group, 2 for the next, ...
    gain: Values
    ideal: Values  # the group's gains in descending order
    relevant: Values  # group -> number of relevant documents

    def sum(self, values: Values) -> Values:
        """Sum over the documents of each group."""
        return np.add.reduceat(values, self.start) if len(values) else np.zeros(0)


def _average_precision(groups: _Groups, k: float) -> Values:
    return groups.sum(np.where(groups.rank <= k, groups.place / groups.rank, 0)) / groups.relevant


def _reciprocal_rank(groups: _Groups, k: float) -> Values:
    best = groups.rank[groups.start]
    return np.where(best <= k, 1 / best, 0)


def _ndcg(groups: _Groups, k: float) -> Values:
    gained = groups.sum(np.where(groups.rank <= k, groups.gain / np.log2(groups.rank + 1), 0))
    return gained / groups.sum(np.where(groups.place <= k, groups.ideal / np.log2(groups.place + 1), 0))


def _found(groups: _Groups, k: float) -> Values:
    return groups.sum((groups.rank <= k).astype(float))


def _recall(groups: _Groups, k: float) -> Values:
    return _found(groups, k) / groups.relevant


def _precision(groups: _Groups, k: float) -> Values:
    return _found(groups, k) / k


def _success(groups: _Groups, k: float) -> Values:
    return (groups.rank[groups.start] <= k).astype(float)


def _r_precision(groups: _Groups, k: float) -> Values:  # noqa: ARG001 - its cut-off is the number of relevants
    within = groups.rank <= np.repeat(groups.relevant, np.diff(np.append(groups.start, len(groups.rank))))
    return groups.sum(within.astype(float)) / groups.relevant


# name -> (function, whether it may have a cut-off, whether it must)
MEASURES: dict[str, tuple[Callable[[_Groups, float], Values], bool, bool]] = {
    "AP": (_average_precision, True, False),
    "RR": (_reciprocal_rank, True, False),
    "nDCG": (_ndcg, True, False),
    "R": (_recall, True, True),
    "P": (_precision, True, True),
    "Success": (_success, True, True),
    "Rprec": (_r_precision, False, False),
}


def parse(text: str) -> Measure:
    """Return the measure that a text such as `AP` or `nDCG@10` names. Raises UserError if it names none."""
    match = re.fullmatch(r"([A-Za-z]+)(?:@([1-9][0-9]{0,8}))?", text.strip())
    name = match.group(1) if match else text
    if match is None or name not in MEASURES:
        known = nearest(name, list(MEASURES)) or f"; there are {', '.join(MEASURES)}, with @k for a cut-off."
        raise UserError(f"«{text}» is not a measure{known}")
    cutoff = int(match.group(2) or 0)
    _, may, must = MEASURES[name]
    if cutoff and not may:
        raise UserError(f"{name} has no cut-off; write {name}.")
    if must and not cutoff:
        raise UserError(f"{name} needs a cut-off; write for instance {name}@10.")
    return Measure(name, cutoff)


def of_card(card: TaskCard, more: Sequence[str] = ()) -> tuple[Measure, ...]:
    """Return the measures of a card, and more. Raises UserError for one that there is not."""
    with located(f"{card.label}: measures"):
        named = [parse(name) for name in card.measures]
    return tuple(dict.fromkeys([*named, *map(parse, more)]))


def evaluate(ranks: pd.DataFrame, measures: Sequence[Measure]) -> pd.DataFrame:
    """Return the value of every measure for every (query, pool) that has a relevant document.

    Args:
        ranks: `Ranking.ranks`: `query_id, query_lang, topic, relevance, pool, documents, rank`, one row per relevant
            document.
        measures: what to compute.

    Returns:
        `query_id, query_lang, topic, pool, documents`, `relevant` (how many there are), `gains` (their relevance,
        descending, as text: `3,1,1`) and a column for each measure, each value in [0, 1].
    """
    query, pool = ranks["query_id"].cat.codes.to_numpy(np.int64), ranks["pool"].cat.codes.to_numpy(np.int64)
    group = pool * (query.max(initial=0) + 1) + query
    rank, gain = ranks["rank"].to_numpy(np.float64), ranks["relevance"].to_numpy(np.float64)
    place = ranks["rank"].to_numpy(np.int64)
    rank[place == NOT_FOUND] = np.inf  # adds nothing to any measure, as in trec_eval
    order = np.argsort(group * (place.max(initial=0) + 1) + place)  # only those not found share a rank
    group, rank, gain = group[order], rank[order], gain[order]
    start = np.flatnonzero(np.append(True, group[1:] != group[:-1])) if len(group) else np.zeros(0, dtype=np.intp)
    relevant = np.diff(np.append(start, len(group)))
    ideal = gain if (gain == 1).all() else gain[np.lexsort((-gain, group))]
    groups = _Groups(
        start=start,
        rank=rank,
        place=np.arange(1.0, len(group) + 1) - np.repeat(start, relevant),
        gain=gain,
        ideal=ideal,
        relevant=relevant.astype(np.float64),
    )
    first = ranks.iloc[order[start]]
    table = first[["query_id", "query_lang", "topic", "pool", "documents"]].reset_index(drop=True)
    table["relevant"] = relevant
    table["gains"] = _gains(ideal, start, relevant)
    for measure in measures:
        values = MEASURES[measure.name][0](groups, measure.cutoff or np.inf)
        if len(values) and not (values.min() >= 0 and values.max() <= 1 + 1e-12):
            raise ValueError(f"{measure} left [0, 1]: {values.min()} to {values.max()}")
        table[str(measure)] = np.minimum(values, 1)
    return table


def _gains(ideal: Values, start: NDArray[np.intp], relevant: NDArray[np.intp]) -> Any:
    if (ideal == 1).all():
        counts, codes = np.unique(relevant, return_inverse=True)
        return pd.Categorical.from_codes(codes, pd.Index([",".join(["1"] * count) for count in counts], dtype="str"))
    texts = [",".join(map(str, part)) for part in np.split(ideal.astype(np.int64), start[1:])]
    return pd.Categorical(texts)


def chance(measure: Measure, gains: Sequence[int], documents: int) -> float:
    """Return the expected value of `measure` when `documents` in random order hold relevant ones with these gains.

    `gains` are descending. It is the floor that every table shows.
    """
    relevant = len(gains)
    at = np.arange(1, min(measure.cutoff or documents, documents) + 1, dtype=np.float64)
    share = relevant / documents
    if measure.name == "AP":
        others = (relevant - 1) / (documents - 1) if documents > 1 else 0.0
        return float(((1 + (at - 1) * others) / at).sum() / documents)
    if measure.name in ("RR", "Success"):
        # P(no relevant document among the first i)
        none = np.cumprod(np.maximum(documents - relevant - (at - 1), 0) / (documents - at + 1))
        if measure.name == "Success":
            return float(1 - none[-1])
        return float(((np.append(1.0, none[:-1]) - none) / at).sum())
    if measure.name == "nDCG":
        discount = 1 / np.log2(at + 1)
        ideal = np.array(gains[: len(at)]) @ discount[:relevant]
        return float(sum(gains) / documents * discount.sum() / ideal)
    if measure.name == "P":
        return float(share * len(at) / measure.cutoff)
    if measure.name == "R":
        return len(at) / documents
    return share
