"""Heads of a block of queries in, part by part; the first k documents of each query, in order, out.

While scores are estimates, whatever can still be among the first k is gathered, and what they cannot decide is scored
exactly in the end. Once parts are scored exactly, the k greatest keys of each query are all that is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.heads import Head, Keys, keys_of, least, order_of, scores_of
from benchmark.scoring import Floats, Index, Scorer

MOST_ROWS = 1 << 16


@dataclass(frozen=True)
class Listed:
    """The first k documents of each query of a block, in order."""

    row: Index
    rank: NDArray[np.int32]
    document: Index
    score: Floats


class Top:
    """The first k documents of each query of a block, gathered part by part."""

    def __init__(self, queries: int, k: int, margin: float) -> None:
        """`margin` is how far an estimate may be from the exact score."""
        self.k = k
        self.margin = margin
        self.highest = np.full((queries, k), -np.inf, dtype=np.float32)  # sorted; column 0 is the k-th best so far
        self.found: list[tuple[Index, Index, Floats]] = []
        self.keys: Keys | None = None  # the same of exact scores, once it is settled

    def add(self, estimate: Floats, heads: Sequence[Head], first: int, most: int) -> bool:
        """Take in the estimates of one part, also given as heads, whose documents start at `first`.

        Returns False, with nothing taken in, where more than `most` could be among the first k.
        """
        highest = _raised(self.highest, heads)
        found = np.flatnonzero(estimate >= self._bar(highest)[:, None])
        if len(found) > most:
            return False
        row, column = np.divmod(found, estimate.shape[1])
        self.highest = highest
        self.found.append((row, column + first, estimate.ravel()[found]))
        return True

    def settle(self, order: Index, scorer: Scorer, first_query: int) -> None:
        """Score exactly what was found: all that follows is exact."""
        keys = np.full(self.highest.shape, least(np.dtype(np.int64)))
        if self.found:
            listed = self._decided(order, scorer, first_query)
            score = scorer.pairs(listed.row + first_query, listed.document)
            keys[listed.row, self.k - listed.rank] = keys_of(score, order[listed.document])
        self.margin, self.found, self.keys, self.highest = 0.0, [], keys, scores_of(keys)

    def add_keys(self, heads: Sequence[Head]) -> None:
        """Take in one part by heads of keys."""
        assert self.keys is not None, "settle first"
        self.keys = _raised(self.keys, heads)
        self.highest = scores_of(self.keys)

    def bar(self) -> Floats:
        """Return the score below which no document can be among the first k; at least the lowest finite number."""
        return self._bar(self.highest)

    def _bar(self, highest: Floats) -> Floats:
        bar: Floats = np.nextafter(highest[:, 0] - np.float32(2 * self.margin), np.float32(-np.inf))
        return np.maximum(bar, np.finfo(np.float32).min)

    def best(self, order: Index, by_order: Index, scorer: Scorer, first_query: int) -> Listed:
        """Return the first k documents of each row.

        Args:
            order: document -> its place by id.
            by_order: place by id -> document.
            scorer: scores what estimates cannot decide.
            first_query: where the block starts.
        """
        if self.keys is None:
            return self._decided(order, scorer, first_query)
        row, place = np.nonzero(np.isfinite(self.highest[:, ::-1]))
        keys = self.keys[row, self.k - 1 - place]
        return Listed(row, (place + 1).astype(np.int32), by_order[order_of(keys)], scores_of(keys))

    def _decided(self, order: Index, scorer: Scorer, first_query: int) -> Listed:
        """Return the first k documents of each row from what was found by estimates."""
        row, document, score = (np.concatenate(column) for column in zip(*self.found, strict=True))
        kept = np.flatnonzero(score >= self.bar()[row])
        row, document, score = row[kept], document[kept], score[kept]
        sequence = _by_row(row, -score)
        row, document, score = row[sequence], document[sequence], score[sequence]
        near = (row[1:] == row[:-1]) & (score[:-1] - score[1:] <= 2 * self.margin)
        doubtful = np.flatnonzero(np.append(near, False) | np.insert(near, 0, False))
        run = np.cumsum(np.insert(~near, 0, True))[doubtful]  # what may change places is a run of near scores
        score[doubtful] = scorer.pairs(row[doubtful] + first_query, document[doubtful])
        settled = doubtful[np.lexsort((-order[document[doubtful]], -score[doubtful], run))]
        document[doubtful], score[doubtful] = document[settled], score[settled]
        counts = np.bincount(row)
        rank = np.arange(1, len(row) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
        first = rank <= self.k
        return Listed(row[first], rank[first].astype(np.int32), document[first], score[first])


def _raised(highest: NDArray[Any], heads: Sequence[Head]) -> NDArray[Any]:
    """Return the k highest of each row [rows, k], sorted, with those of some heads among them."""
    raised, k = highest.copy(), highest.shape[1]
    for head in heads:
        both = np.concatenate([highest[head.row], head.ordered[:, -k:]], axis=1)
        both.sort(axis=1)
        raised[head.row] = both[:, -k:]
    return raised


def _by_row(row: Index, value: Floats) -> Index:
    """Return the order that sorts by row, then by value: one sort of padded rows, faster than a lexsort."""
    grouped = np.argsort(row.astype(np.uint16), kind="stable")  # a radix sort; rows are below MOST_ROWS
    counts = np.bincount(row)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    padded = np.full((len(counts), counts.max(initial=0)), np.inf, dtype=np.float32)
    padded[row[grouped], place] = value[grouped]
    within = np.argsort(padded, axis=1)
    filled = np.arange(padded.shape[1]) < counts[:, None]
    return grouped[(within + (np.cumsum(counts) - counts)[:, None])[filled]]
