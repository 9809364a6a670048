"""Vectors of tokens in, scores out: late interaction (ColBERT, arXiv:2004.12832, section 3.2), exact where it matters.

A text is several vectors, one for each of its tokens. The score of a query and a document is the sum, over the query's
vectors, of the greatest dot product with any of the document's (MaxSim). It is *defined* on snapped vectors, whose dot
products are exact in float64 (see `scoring`): each maximum is rounded to a multiple of 2^-40 of the power of two above
the greatest product there can be, so the sum of up to 8,192 of them is exact in any order, too; the sum is rounded once
to float32. A document without tokens is as far from every token as two vectors can be.

Estimates are float32 throughout. A block is computed without padding and without a loop over texts: texts are sorted by
their number of tokens, so those that have an i-th token are the first ones, and one matrix product compares the i-th
tokens of all queries with the j-th tokens of all documents. Memory depends on the block and on the longest queries.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.ranking import Scorers
from benchmark.scoring import LONGEST, Floats, Index, rounding, same_width, snap
from tasks.errors import UserError

STEPS = 40  # bits of a maximum
MOST_TOKENS = 1 << (53 - STEPS)
TOGETHER = 1 << 22  # numbers of documents' tokens, or of pairs, at a time

Real = NDArray[Any]  # float32 or float64


@dataclass(frozen=True)
class Tokens:
    """The vectors of some texts."""

    vectors: Floats
    """[tokens of all texts, dim]: one text after another."""
    start: Index
    """[texts]: where a text begins."""
    count: Index
    """[texts]: how many tokens it has."""

    @classmethod
    def of(cls, rows: NDArray[np.int32], vectors: Floats) -> "Tokens":
        """Return texts of so many rows each."""
        count = rows.astype(np.intp)
        return cls(vectors, np.cumsum(count) - count, count)

    def some(self, texts: Index | slice) -> "Tokens":
        """Return some of the texts."""
        return replace(self, start=self.start[texts], count=self.count[texts])

    def by_place(self, texts: Index) -> list[Floats]:
        """Return the first tokens of texts that are sorted by length, longest first; then the second ones, and so on.

        The i-th array is of the texts that have an i-th token: the first ones, as many as it has rows.
        """
        start, count = self.start[texts], self.count[texts]
        many = np.searchsorted(-count, -np.arange(count.max(initial=0)))
        return [self.vectors[start[:some] + place] for place, some in enumerate(many)]

    def longest_first(self, texts: slice) -> Index:
        """Return these texts, sorted by length."""
        found: Index = texts.start + np.argsort(-self.count[texts], kind="stable")
        return found

    def padded(self, texts: Index) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return texts side by side [texts, tokens, dim], and which of these tokens there are [texts, tokens]."""
        place = np.arange(self.count[texts].max(initial=0))
        there = place < self.count[texts, None]
        return self.vectors[np.where(there, self.start[texts, None] + place, 0)].astype(np.float64), there


@dataclass(frozen=True)
class MaxSim:
    """Scores of snapped vectors of tokens."""

    queries: Tokens
    documents: Tokens
    error: float
    highest: float
    product: float
    """A power of two; no product of two vectors is above it."""

    def block(self, queries: slice, documents: slice, out: Floats) -> None:
        """Write estimated scores by float32 matrix products and sums."""
        self._score(queries, documents, out)

    def exact(self, queries: slice, documents: slice) -> Floats:
        """Return exact scores by float64 matrix products in which nothing is rounded."""
        sums = np.empty((queries.stop - queries.start, documents.stop - documents.start))
        self._score(queries, documents, sums)
        return (sums * self._step).astype(np.float32)

    def pairs(self, queries: Index, documents: Index) -> Floats:
        """Return exact scores of pairs."""
        scores = np.empty(len(queries), dtype=np.float32)
        for some in self._chunks(queries, documents):
            (left, asked), (right, held) = self.queries.padded(queries[some]), self.documents.padded(documents[some])
            products = np.where(held[:, None, :], left @ right.transpose(0, 2, 1), -self.product)
            most = np.rint(products.max(axis=2, initial=-self.product) / self._step)
            scores[some] = np.where(asked, most, 0.0).sum(axis=1) * self._step
        return scores

    @property
    def _step(self) -> float:
        return self.product * 2.0**-STEPS

    def _score(self, queries: slice, documents: slice, out: Real) -> None:
        """Write scores [queries, documents]: as they are if `out` is float32; exact and in steps if it is float64."""
        asked, searched = self.queries.longest_first(queries), self.documents.longest_first(documents)
        left = self.queries.by_place(asked)
        for some in self._documents_together(searched):
            right = self.documents.by_place(some)
            sums = np.zeros((len(asked), len(some)), dtype=out.dtype)
            best, found = np.empty_like(sums), np.empty(sums.size, dtype=out.dtype)
            for tokens in left:
                most, mine = best[: len(tokens)], tokens.astype(out.dtype, copy=False)
                most[:] = -self.product
                for others in right:
                    product = found[: len(tokens) * len(others)].reshape(len(tokens), len(others))
                    np.matmul(mine, others.astype(out.dtype, copy=False).T, out=product)
                    np.maximum(most[:, : len(others)], product, out=most[:, : len(others)])
                if out.dtype == np.float64:
                    np.rint(most / self._step, out=most)
                sums[: len(tokens)] += most
            out[np.ix_(asked - queries.start, some - documents.start)] = sums

    def _documents_together(self, searched: Index) -> Iterator[Index]:
        """Yield documents in their order, some after others, as many as have some TOGETHER numbers."""
        numbers = self.documents.count[searched] * self.documents.vectors.shape[1]
        return _split(searched, numbers)

    def _chunks(self, queries: Index, documents: Index) -> Iterator[Index]:
        """Yield places of pairs, those of like lengths together, as many as need some TOGETHER numbers."""
        asked, held = self.queries.count[queries], self.documents.count[documents]
        order = np.lexsort((asked, held))
        numbers = (asked + held) * self.queries.vectors.shape[1] + asked * held
        return _split(order, numbers[order])


def scorers(queries: Tokens, documents: Tokens) -> Scorers:
    """Return what scores any of these texts; their vectors are float32 and finite.

    Raises UserError if the two sides differ in their dimensions, a query has too many tokens, or float32 cannot hold
    the scores.
    """
    same_width(queries.vectors, documents.vectors)
    most = int(queries.count.max(initial=0))
    if most > MOST_TOKENS:
        raise UserError(f"A query has {most:,} tokens; more than {MOST_TOKENS:,} cannot be scored exactly.")
    (left, left_longest), (right, right_longest) = snap(queries.vectors), snap(documents.vectors)
    longest = left_longest * right_longest
    if max(1, most) * longest > LONGEST:
        raise UserError(
            f"The vectors are up to {max(left_longest, right_longest):.1e} long; float32 cannot score them."
        )
    queries, documents = replace(queries, vectors=left), replace(documents, vectors=right)
    error = most * longest * (rounding(left.shape[1]) + rounding(most))
    product = math.ldexp(1.0, math.frexp(longest)[1])
    return lambda asked, searched: MaxSim(
        queries.some(asked), documents.some(searched), error=error, highest=most * longest, product=product
    )


def _split(places: Index, numbers: Index) -> Iterator[Index]:
    """Yield places in their order, each time as many as have some TOGETHER numbers, at least one."""
    group = np.cumsum(numbers) // TOGETHER
    yield from np.split(places, np.flatnonzero(np.diff(group)) + 1)
