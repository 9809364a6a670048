"""Means of languages that fell, and the directions they are made of, in; which languages are the cause, out.

A checkpoint that lost Thai loses every direction to and from Thai, and with them the mean of every other language: who
asks in English finds fewer documents in Thai. So the languages are gone through from the worst. The one whose mean fell
most is to blame, and its directions are taken out of the means of the languages on the other side; and so on, until no
mean that is left falls by more than may be, and for more than chance. Whoever falls no longer fell through those that
are to blame.

In the pool of all languages an answer in Thai that is not found lowers the score of a question in any language. There
the directions are those of strong alignment: the answers in one language at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from benchmark.bias import STRONG

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Directions:
    """Directions between two languages.

    * `table`: `setting` (`mono`, `cross`, `pair`, or `strong`), `query_lang`, `doc_lang`.
    * `differences`: [topics, directions]: what each topic adds to the difference of the direction's mean.
    """

    table: pd.DataFrame
    differences: Floats


def fell_through(
    fallen: pd.DataFrame, directions: Directions, suspects: Sequence[str], level: float
) -> list[list[str] | None]:
    """Return for each mean that fell what it fell through (`documents in th`), or None if it is to blame itself.

    Args:
        fallen: `side` (`queries` or `documents`), `setting`, `language`, and `limit`, how far it may fall.
        directions: what the means are made of.
        suspects: languages that got worse among their own documents: of two means over the very same directions, it is
            theirs that is to blame.
        level: what is left of a mean must fall for more than chance at this level, each (normal approximation of the
            sign-flip test).
    """
    table, differences = directions.table, directions.differences
    side, language = fallen["side"].to_numpy(object), fallen["language"].to_numpy(object)
    tags = pd.Index(sorted({*table["query_lang"], *table["doc_lang"], *language}))
    asked, held = (tags.get_indexer(pd.Index(table[name]))[:, None] for name in ("query_lang", "doc_lang"))
    own, queries = tags.get_indexer(pd.Index(language)), side == "queries"
    mine = np.where(queries, asked == own, held == own)  # [directions, means]: what each is made of
    setting = table["setting"].to_numpy(object)[:, None]
    rest = mine & (setting == fallen["setting"].replace("multi", STRONG).to_numpy(object))
    beside = mine & (setting == "mono")  # what speaks for a mean none of whose directions is left
    limit = fallen["limit"].to_numpy(float)
    to_blame = np.zeros(len(fallen), dtype=bool)
    total = differences @ rest.astype(float)
    named: list[tuple[str, str]] = []
    while True:
        count = rest.sum(axis=0)
        alone = (count == 0) & beside.any(axis=0)
        if alone.any():
            rest[:, alone] = beside[:, alone]
            beside[:, alone] = False
            total[:, alone] = differences @ rest[:, alone].astype(float)
            count = rest.sum(axis=0)
        mean, norm = total.sum(axis=0) / np.maximum(count, 1), np.sqrt((total**2).sum(axis=0)) / np.maximum(count, 1)
        chance = ndtr(np.divide(mean, norm, out=np.zeros_like(mean), where=norm > 0))
        left = np.flatnonzero(~to_blame & (count > 0) & (mean < -limit) & (chance <= level))
        if not len(left):
            break
        worst = left[np.isclose(mean[left], mean[left].min(), rtol=1e-9, atol=0)]
        known = {*suspects, *(lang for _, lang in named)}
        found = next((place for place in worst if language[place] in known), worst[0])
        to_blame[found] = True
        named.append((str(side[found]), str(language[found])))
        others = np.flatnonzero(queries != queries[found])
        rows = np.flatnonzero((asked if queries[found] else held)[:, 0] == own[found])
        gone = np.ix_(rows, others)
        total[:, others] -= differences[:, rows] @ rest[gone].astype(float)
        rest[gone] = beside[gone] = False
    to_blame |= rest.sum(axis=0) == 0  # nothing is left that could acquit it
    return [
        None if to_blame[place] else [f"{name} in {lang}" for name, lang in dict.fromkeys(named) if name != side[place]]
        for place in range(len(fallen))
    ]
