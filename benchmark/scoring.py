"""Vectors in, scores out: the dot product of two float32 vectors, correctly rounded to float32.

A float32 matrix product gives a slightly different last bit on every processor, for every block size and thread count,
and two documents whose scores differ by less than that would change places. So the score of a pair is *defined* as
its exact dot product, rounded once, and computed in two steps:

* The vectors are snapped to multiples of 2^-26 of the largest length on their side (a change of at most 7.5e-9 for
  unit vectors, below the rounding of the scores by a factor of eight). Products are then multiples of 2^-52 and
  their sum stays below one, so in float64 every partial sum is exact, in any order: the result is the same everywhere.
* The float32 product is used as an estimate with a known error. Only where the estimate cannot decide (two scores
  closer than the error) are the exact scores computed: a few pairs in a million.

A scorer is anything with these three functions; one whose blocks are already exact has `error` 0.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Index = NDArray[np.intp]

GRID = 26
CHUNK = 256  # pairs scored exactly at a time: they stay in the processor's cache


class Scorer(Protocol):
    """What the ranking pass needs: estimates by the block, exact scores by the pair and by the block."""

    @property
    def error(self) -> float:
        """How far an estimate may be from the exact score."""

    def block(self, queries: slice, documents: slice) -> Floats:
        """Return estimated scores [queries, documents], each within `error` of the exact one."""

    def pairs(self, queries: Index, documents: Index) -> Floats:
        """Return exact scores [n] of n (query, document) pairs."""

    def exact(self, queries: slice, documents: slice) -> Floats:
        """Return exact scores [queries, documents]."""


@dataclass(frozen=True)
class DotProduct:
    """Scores of snapped vectors, in units of the product of the two sides' scales (a power of two)."""

    queries: Floats
    documents: Floats
    scale: float

    error: float

    def block(self, queries: slice, documents: slice) -> Floats:
        """Return estimated scores by a float32 matrix product."""
        return self.queries[queries] @ self.documents[documents].T

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


def dot_product(queries: Floats, documents: Floats) -> DotProduct:
    """Return the scorer for query vectors [Q, dim] and document vectors [D, dim], both float32 and finite."""
    left, left_scale = _snap(queries)
    right, right_scale = _snap(documents)
    # The error of a float32 dot product of n terms grows like sqrt(n) roundings of 2^-24 (Higham and Mary 2019,
    # doi:10.1137/18M1226312, theorem 2.4), with a standard deviation below a third of that: 3 is nine of them.
    error = 3 * max(1.0, queries.shape[1]) ** 0.5 * 2.0**-24
    return DotProduct(left, right, left_scale * right_scale, error)


def _snap(vectors: Floats) -> tuple[Floats, float]:
    """Return the vectors in units of a power of two >= the largest length, rounded to multiples of 2^-GRID."""
    longest = float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64).max(initial=0.0)))
    # A unit vector may be longer than one by a rounding: it keeps the scale 1, the sums have a spare bit for it.
    scale = 2.0 ** np.ceil(np.log2(longest / (1 + 1e-5))) if longest > 0 else 1.0
    steps = np.multiply(vectors, np.float32(2.0**GRID / scale), dtype=np.float32)
    np.rint(steps, out=steps)
    steps *= np.float32(2.0**-GRID)
    return steps, float(scale)
