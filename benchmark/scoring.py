"""Vectors in, scores out: the exact dot product of two vectors, rounded once to float32.

A float32 matrix product gives a slightly different last bit on every processor, for every block size and thread count,
and two documents whose scores differ by less than that would change places. So the score of a pair is *defined* as
its exact dot product, rounded once, and computed in two steps:

* Each vector is snapped to multiples of 2^-26 of the power of two above its length: what float32 does to its largest
  components, done to all, which moves a component by at most 2^-27 of that. Products are then multiples of one step
  and their sum is below 2^53 steps, so in float64 every partial sum is exact, in any order: the same everywhere.
* The float32 product is used as an estimate with a known error. Only where the estimate cannot decide (two scores
  closer than the error) are the exact scores computed: a few pairs in a million.

A scorer is anything with these functions; one whose blocks are already exact has `error` 0. `sparse`, `maxsim` and
`rerank` have others.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.errors import UserError

Floats = NDArray[np.float32]
Index = NDArray[np.intp]

GRID = 26
ROWS = 256  # vectors snapped at a time
SHORTEST, LONGEST = 1e-30, 1e30  # lengths that float32 products can hold
SMALLEST = float(np.finfo(np.float32).tiny)
CHUNK = 256  # pairs scored exactly at a time: they stay in the processor's cache


class Scorer(Protocol):
    """What the ranking pass needs: estimates by the block, exact scores by the pair and by the block."""

    @property
    def error(self) -> float:
        """How far an estimate may be from the exact score."""

    @property
    def highest(self) -> float:
        """No exact score is greater, but for its rounding."""

    def block(self, queries: slice, documents: slice, out: Floats) -> None:
        """Write estimated scores into `out` [queries, documents], each within `error` of the exact one."""

    def pairs(self, queries: Index, documents: Index) -> Floats:
        """Return exact scores [n] of n (query, document) pairs."""

    def exact(self, queries: slice, documents: slice) -> Floats:
        """Return exact scores [queries, documents]."""


@dataclass(frozen=True)
class DotProduct:
    """Scores of snapped vectors."""

    queries: Floats
    documents: Floats
    error: float
    highest: float

    def block(self, queries: slice, documents: slice, out: Floats) -> None:
        """Write estimated scores by a float32 matrix product."""
        np.matmul(self.queries[queries], self.documents[documents].T, out=out)

    def pairs(self, queries: Index, documents: Index) -> Floats:
        """Return exact scores of pairs, by float64 sums in which nothing is rounded."""
        scores = np.empty(len(queries), dtype=np.float32)
        for start in range(0, len(queries), CHUNK):
            rows = slice(start, start + CHUNK)
            left, right = self.queries[queries[rows]], self.documents[documents[rows]]
            scores[rows] = np.vecdot(left.astype(np.float64), right.astype(np.float64))
        return scores

    def exact(self, queries: slice, documents: slice) -> Floats:
        """Return exact scores by a float64 matrix product in which nothing is rounded."""
        left, right = self.queries[queries].astype(np.float64), self.documents[documents].astype(np.float64)
        return (left @ right.T).astype(np.float32)


def dot_product(
    queries: Floats, documents: Floats, asked: Index | slice = slice(None), searched: Index | slice = slice(None)
) -> DotProduct:
    """Return the scorer for query vectors [Q, dim] and document vectors [D, dim], both float32 and finite.

    It scores the rows `asked` of the queries and `searched` of the documents, in that order, of which it has one copy.
    Raises UserError if the vectors are so long that float32 cannot hold their products.
    """
    left, left_longest = snap(queries, asked)
    right, right_longest = snap(documents, searched)
    if left_longest * right_longest > LONGEST:
        raise UserError(
            f"The vectors are up to {max(left_longest, right_longest):.1e} long; float32 cannot score them."
        )
    highest, dim = left_longest * right_longest, queries.shape[1]
    # Of products below the smallest normal number, digits are lost, or all that is left where they are flushed to zero.
    return DotProduct(left, right, rounding(dim) * highest + dim * SMALLEST, highest)


def same_width(queries: Floats, documents: Floats) -> None:
    """Raise UserError if the two sides differ in their dimensions."""
    if queries.shape[1] != documents.shape[1]:
        raise UserError(
            f"The model makes {queries.shape[1]} dimensions of a query and {documents.shape[1]} of a document; to be "
            "compared they must have as many."
        )


def rounding(terms: int) -> float:
    """Return how far a float32 sum of so many products may be from the exact one, beside the product of the lengths.

    The error grows like sqrt(n) roundings of 2^-24 (Higham and Mary 2019, doi:10.1137/18M1226312, theorem 2.4), with a
    standard deviation below a third of that: 3 is nine of them.
    """
    return 3 * math.sqrt(max(1, terms)) * 2.0**-24


def snap(vectors: Floats, picked: Index | slice = slice(None)) -> tuple[Floats, float]:
    """Return some vectors, each rounded to 2^-GRID of the power of two above its length, and the longest length."""
    place = np.arange(len(vectors))[picked]
    snapped = np.empty((len(place), vectors.shape[1]), dtype=np.float32)
    longest = 0.0
    for start in range(0, len(place), ROWS):
        rows = vectors[place[start : start + ROWS]].astype(np.float64)
        length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        longest = max(longest, float(length.max(initial=0.0)))
        # A unit vector may be longer than one by a rounding: it keeps the scale 1, the sums have a spare bit for it.
        exponent = np.ceil(np.log2(np.maximum(length / (1 + 1e-5), SHORTEST))).astype(np.int64) - GRID
        rows *= np.ldexp(1.0, -exponent)[:, None]
        np.rint(rows, out=rows)
        rows *= np.ldexp(1.0, exponent)[:, None]
        snapped[start : start + ROWS] = rows
    return snapped, longest
