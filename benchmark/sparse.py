"""Weights of terms in, scores out: the sum over the terms that a query and a document share.

Most weights are zero, so both sides are sparse matrices. The score of a pair is *defined* as the sum over its terms in
the order of their numbers, in float64, rounded once to float32: weights are float32, so every product is exact, and the
order is the same for every block, part and thread. Equal texts have equal sums. No estimate is needed: `error` is 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from benchmark.ranking import Scorers
from benchmark.scoring import LONGEST, Floats, Index
from tasks.errors import UserError

CHUNK = 4096  # pairs whose terms are multiplied at a time


@dataclass(frozen=True)
class SparseProduct:
    """Scores of rows of terms, held in float64, each row in the order of its terms."""

    queries: csr_array
    documents: csr_array
    highest: float
    error: float = 0.0

    def block(self, queries: slice, documents: slice, out: Floats) -> None:
        """Write exact scores."""
        out[:] = self._product(queries, documents)

    def pairs(self, queries: Index, documents: Index) -> Floats:
        """Return exact scores of pairs."""
        scores = np.empty(len(queries), dtype=np.float32)
        for start in range(0, len(queries), CHUNK):
            some = slice(start, start + CHUNK)
            shared = self.queries[queries[some]].multiply(self.documents[documents[some]]).tocsr()
            shared.sort_indices()
            row = np.repeat(np.arange(shared.shape[0]), np.diff(shared.indptr))
            # bincount adds one after the other, as the product does; a sum of an array may not.
            scores[some] = np.bincount(row, weights=shared.data, minlength=shared.shape[0])
        return scores

    def exact(self, queries: slice, documents: slice) -> Floats:
        """Return exact scores."""
        return self._product(queries, documents).astype(np.float32)

    def _product(self, queries: slice, documents: slice) -> NDArray[np.float64]:
        found: NDArray[np.float64] = (self.queries[queries] @ self.documents[documents].T).toarray()
        return found


def sparse_product(queries: csr_array, documents: csr_array) -> SparseProduct:
    """Return the scorer for weights of terms, [queries, terms] and [documents, terms], float32 and finite.

    Raises UserError if float32 cannot hold the scores.
    """
    left, right = (side.astype(np.float64, copy=True) for side in (queries, documents))
    for side in (left, right):
        side.sum_duplicates()  # and sorts each row
    longest = [float(_lengths(side).max(initial=0)) for side in (left, right)]
    if longest[0] * longest[1] > LONGEST:
        raise UserError(f"The weights of a text are up to {max(longest):.1e} long; float32 cannot score them.")
    return SparseProduct(left, right, highest=longest[0] * longest[1])


def scorers(queries: csr_array, documents: csr_array) -> Scorers:
    """Return what scores any rows of these weights."""
    return lambda asked, searched: sparse_product(queries[asked], documents[searched])


def rows_of_terms(rows: NDArray[np.int32], terms: Floats, every: Floats) -> csr_array:
    """Return texts as rows of a sparse matrix [texts, terms].

    Args:
        rows: how many terms each text has [texts].
        terms: (number of the term, weight), one text after another.
        every: the numbers of all terms, ascending: the columns.
    """
    starts = np.concatenate([[0], np.cumsum(rows)])
    columns = np.searchsorted(every, terms[:, 0])
    return csr_array((terms[:, 1], columns, starts), shape=(len(rows), max(1, len(every))))


def normalised(side: csr_array) -> csr_array:
    """Return the rows at length one, lengths summed in float64; a row without terms stays so."""
    length = np.repeat(_lengths(side), np.diff(side.indptr))
    weights = (side.data / np.where(length > 0, length, 1)).astype(np.float32)
    return csr_array((weights, side.indices, side.indptr), shape=side.shape)


def _lengths(side: csr_array) -> NDArray[np.float64]:
    row = np.repeat(np.arange(side.shape[0]), np.diff(side.indptr))
    found: NDArray[np.float64] = np.sqrt(np.bincount(row, side.data.astype(np.float64) ** 2, side.shape[0]))
    return found
