"""Scores of a block of queries in; how many documents stand above each of their relevant ones, and the top k, out.

Documents come in parts. For each part one product gives estimated scores. Of each row the *head* is sorted, which is
all that can stand above a relevant document or among the top k, and a binary search places each relevant document in
it. Where only the documents of one language are asked for, that language's columns are compared with the score. What
the estimate cannot decide is scored exactly: the few documents whose estimated score is within its error of the
relevant document's. Where they are not few (hundreds of relevant documents in a large corpus, a model whose scores are
nearly all alike), this part and all that follow are scored exactly as a whole, and what is sorted are keys of score and
id, of which no two are equal: the same work for every model. Counts add up over parts, so memory depends on the block,
not on the corpus.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.heads import Head, Keys, heads, keys_of, rows_of_keys, search
from benchmark.scoring import Floats, Index, Scorer
from benchmark.top import Listed, Top
from tasks.errors import UserError

PART = 1 << 13  # documents in a part: a row of scores stays in the processor's cache while it is sorted
LOOKED = 1 << 20  # scores looked at together: they stay in the cache too
SEARCHED = 1 << 13  # relevant documents searched together, likewise
# To score a part exactly takes about as long as to look through each of its rows SCANNED times for what is near a
# relevant document, and as to score one pair in SCORED on its own.
SCANNED, SCORED = 32, 32

Counts = NDArray[np.int32]


@dataclass(frozen=True)
class Documents:
    """The documents in the order of the pass: by language, then by id."""

    starts: Index
    """Language -> its first document; one more at the end."""
    order: Index
    """Document -> its place by id among all, which decides ties."""

    @cached_property
    def by_order(self) -> Index:
        """Place by id -> document."""
        found = np.empty_like(self.order)
        found[self.order] = np.arange(len(found))
        return found

    @property
    def parts(self) -> list[slice]:
        """Slices of at most PART documents, nearly equal, whatever their language."""
        count = len(self.order)
        size = -(-count // max(1, -(-count // PART)))
        return [slice(start, min(start + size, count)) for start in range(0, count, max(1, size))]


@dataclass(frozen=True)
class Pairs:
    """The relevant documents of the queries of one block."""

    row: Index
    """Query, counted from the start of the block."""
    document: Index
    score: Floats
    """Exact."""
    asked: Index
    """Where to count the documents of one language on their own: language x pairs + pair, ascending."""

    def place(self, pair: Index, language: Index) -> Index:
        """Return where (pair, language) stands in `asked`."""
        found: Index = np.searchsorted(self.asked, language * len(self.row) + pair)
        return found

    def of_language(self, language: int) -> slice:
        """Return where the pairs that ask for a language stand in `asked`."""
        first, last = np.searchsorted(self.asked, [language * len(self.row), (language + 1) * len(self.row)])
        return slice(int(first), int(last))


@dataclass(frozen=True)
class _Bounds:
    """What an estimate must be to stand above or beside the pairs of a block, whatever the part."""

    low: Floats
    """[pairs]: estimates from here up to `high` cannot be told from the pair's score."""
    high: Floats
    beyond: Floats
    """[pairs]: the next number above `high`."""
    lowest: Floats
    """[queries]: the least `low` of a query."""


@dataclass(frozen=True)
class Counted:
    """How many documents stand above each relevant one; adds up over parts."""

    above: Counts
    """[pairs]: documents above, in all languages."""
    above_in: Counts
    """[asked]: documents above in one language."""
    tied: NDArray[np.bool_]
    """[pairs]: whether another document has the same score."""


@dataclass(frozen=True)
class _Block:
    """What is the same for all parts."""

    queries: slice
    scorer: Scorer
    documents: Documents
    pairs: Pairs
    ascending: Index
    """The pairs by query, then by key: a search for one is next to the search for another."""
    excluded: Index
    counted: Counted
    top: Top

    @property
    def size(self) -> int:
        return int(self.queries.stop - self.queries.start)

    def clear(self, scores: Floats, part: slice) -> None:
        """Put the documents that are left out below all others."""
        gone = np.flatnonzero((self.excluded >= part.start) & (self.excluded < part.stop))
        scores[gone, self.excluded[gone] - part.start] = -np.inf


def count(
    queries: slice, scorer: Scorer, documents: Documents, pairs: Pairs, excluded: Index, k: int, scratch: Floats
) -> tuple[Counted, Listed]:
    """Count over all parts for the queries of one block.

    Args:
        queries: which they are.
        scorer: scores them.
        documents: all documents.
        pairs: the block's relevant documents.
        excluded: query of the block -> a document to leave out, or -1.
        k: how many documents to keep for each query.
        scratch: [queries of the block x documents of a part], overwritten; used again and again, it saves the system
            from clearing new memory for every block.
    """
    counted = Counted(
        above=np.zeros(len(pairs.row), dtype=np.int32),
        above_in=np.zeros(len(pairs.asked), dtype=np.int32),
        tied=np.zeros(len(pairs.row), dtype=bool),
    )
    size = queries.stop - queries.start
    keys = keys_of(pairs.score, documents.order[pairs.document])
    ascending = np.lexsort((keys, pairs.row))
    block = _Block(queries, scorer, documents, pairs, ascending, excluded, counted, Top(size, k, scorer.error))
    bounds = _around(pairs, scorer.error, size)
    exactly = False
    for part in documents.parts:
        shape = size, part.stop - part.start
        scores = scratch[: shape[0] * shape[1]].reshape(shape)
        if not exactly:
            scorer.block(queries, part, out=scores)
            if exactly := not _add_estimates(scores, bounds, part, block):
                block.top.settle(documents.order, scorer, queries.start)
        if exactly:
            scores[:] = scorer.exact(queries, part)
            _add_exactly(scores, keys, part, block)
    return counted, block.top.best(documents.order, documents.by_order, scorer, queries.start)


def _add_estimates(estimate: Floats, bounds: _Bounds, part: slice, block: _Block) -> bool:
    """Add one part by its estimated scores.

    Returns False, with nothing added, when so much is in doubt that it is cheaper to score the whole part exactly.
    """
    pairs, counted, scorer = block.pairs, block.counted, block.scorer
    row, width = pairs.row, estimate.shape[1]
    block.clear(estimate, part)
    column = pairs.document - part.start
    own = (column >= 0) & (column < width)
    if own.any() and np.abs(estimate[row[own], column[own]] - pairs.score[own]).max() > scorer.error:
        raise UserError("The matrix product of this machine is less exact than float32; use another BLAS library.")
    found = heads(estimate, bounds.lowest, block.top.bar(), block.top.k)
    above, near = np.zeros(len(row), dtype=np.int32), np.zeros(len(row), dtype=np.int32)
    for head, those, at in _placed(found, block):
        last = search(head.ordered, at, bounds.beyond[those])
        above[those] = head.ordered.shape[1] - last
        # What is near stands just below `last`, where the pair itself stands too: most have nothing there.
        before = np.maximum(last - 1 - own[those], 0)
        close = np.flatnonzero((head.ordered[at, before] >= bounds.low[those]) & (last - 1 - own[those] >= 0))
        some = those[close]
        near[some] = last[close] - search(head.ordered, at[close], bounds.low[some]) - own[some]
    doubtful = np.flatnonzero(near)
    few = estimate.size // SCORED
    if len(doubtful) > SCANNED * block.size or int(near.sum()) > few:
        return False
    if not block.top.add(estimate, found, part.start, block.size * block.top.k + few):
        return False
    counted.above[:] += above
    _count_languages(estimate, bounds.high, above, part, block)
    for some in np.array_split(doubtful, -(-len(doubtful) * width // LOOKED)) if len(doubtful) else []:
        _decide(estimate, bounds, some, part, block)
    return True


def _decide(estimate: Floats, bounds: _Bounds, some: Index, part: slice, block: _Block) -> None:
    """Add what the estimate cannot tell from some pairs, by its exact score."""
    pairs, counted, documents = block.pairs, block.counted, block.documents
    scores = estimate[pairs.row[some]]
    within = scores >= bounds.low[some, None]
    within &= scores <= bounds.high[some, None]
    cell, other = np.divmod(np.flatnonzero(within), estimate.shape[1])
    pair, other = some[cell], other + part.start
    different = other != pairs.document[pair]
    other, pair = other[different], pair[different]
    value = block.scorer.pairs(pairs.row[pair] + block.queries.start, other)
    equal = value == pairs.score[pair]
    later = documents.order[other] > documents.order[pairs.document[pair]]
    higher = np.flatnonzero((value > pairs.score[pair]) | (equal & later))
    language = np.searchsorted(documents.starts, other[higher], side="right") - 1
    np.add.at(counted.above, pair[higher], 1)
    place = pairs.place(pair[higher], language)
    asked = np.append(pairs.asked, -1)[place] == language * len(pairs.row) + pair[higher]
    np.add.at(counted.above_in, place[asked], 1)
    counted.tied[pair[equal]] = True


def _add_exactly(scores: Floats, key: Keys, part: slice, block: _Block) -> None:
    """Add one part by its exact scores.

    Args:
        scores: exact [queries, documents].
        key: of the pairs.
        part: which documents.
        block: what it is added to.
    """
    pairs, counted = block.pairs, block.counted
    block.clear(scores, part)
    keys = rows_of_keys(scores, block.documents.order[part])
    lowest = _lowest(pairs.row, pairs.score, block.size)
    found = heads(scores, lowest, block.top.bar(), block.top.k, keys)
    above = np.zeros(len(pairs.row), dtype=np.int32)
    for head, those, at in _placed(found, block):
        width = head.ordered.shape[1]
        place = search(head.ordered, at, key[those] + 1)
        above[those] = width - place
        # A document with the same score stands beside it.
        own = (pairs.document[those] >= part.start) & (pairs.document[those] < part.stop)
        for beside in (place, place - 1 - own):
            other = head.ordered[at, np.clip(beside, 0, width - 1)]
            there = (beside >= 0) & (beside < width)
            counted.tied[those] |= there & (other >> 32 == key[those] >> 32)
    block.top.add_keys(found)
    counted.above[:] += above
    _count_languages(keys, key, above, part, block)


def _placed(found: list[Head], block: _Block) -> Iterator[tuple[Head, Index, Index]]:
    """Yield each head, pairs whose row it has, and where that row stands in it; some pairs at a time."""
    place, row = np.empty(block.size, dtype=np.intp), block.pairs.row[block.ascending]
    for head in found:
        place[:], place[head.row] = -1, np.arange(len(head.row))
        at = place[row]
        held = np.flatnonzero(at >= 0)
        for start in range(0, len(held), SEARCHED):
            some = held[start : start + SEARCHED]
            yield head, block.ascending[some], at[some]


def _count_languages(values: NDArray[Any], high: NDArray[Any], above: Counts, part: slice, block: _Block) -> None:
    """Add, for each language that is asked for on its own, the documents that stand above for certain.

    Args:
        values: of the part, estimates or keys [queries, documents].
        high: what stands above a pair is greater [pairs].
        above: how many documents of the part stand above [pairs].
        part: which documents.
        block: what it is added to.
    """
    pairs, starts = block.pairs, block.documents.starts
    first, last = np.searchsorted(starts, [part.start, part.stop])
    for language in range(max(0, int(first) - 1), min(int(last), len(starts) - 1)):
        start, stop = starts[language : language + 2]
        columns = slice(max(start, part.start) - part.start, min(stop, part.stop) - part.start)
        asked = pairs.of_language(language)
        if columns.stop - columns.start == values.shape[1]:
            block.counted.above_in[asked] += above[pairs.asked[asked] - language * len(pairs.row)]
            continue
        step = max(1, LOOKED // max(1, columns.stop - columns.start))
        for place in range(asked.start, asked.stop, step):
            places = slice(place, min(place + step, asked.stop))
            pair = pairs.asked[places] - language * len(pairs.row)
            row = pairs.row[pair]
            in_turn = row[-1] - row[0] + 1 == len(row) and (np.diff(row) == 1).all()
            compared = values[row[0] : row[-1] + 1, columns] if in_turn else values[row, columns]  # a view if it can
            higher = compared > high[pair, None]
            block.counted.above_in[places] += higher.view(np.uint8).sum(axis=1, dtype=np.uint16)


def _around(pairs: Pairs, margin: float, queries: int) -> _Bounds:
    """Return the bounds of what may tie with each score: `margin` to both sides, rounded outwards."""
    wide, end = np.float32(margin), np.float32(np.inf)
    low, high = np.nextafter(pairs.score - wide, -end), np.nextafter(pairs.score + wide, end)
    return _Bounds(low, high, np.nextafter(high, end), _lowest(pairs.row, low, queries))


def _lowest(row: Index, score: Floats, queries: int) -> Floats:
    """Return the least score of each query [queries]; infinity where there is none."""
    lowest = np.full(queries, np.inf, dtype=np.float32)
    np.minimum.at(lowest, row, score)
    return lowest
