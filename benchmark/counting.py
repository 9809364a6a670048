"""Scores of a block of queries in; how many documents stand above each of their relevant ones, and the top k, out.

Documents come in parts. For each part one product gives estimated scores. Of each row the *head* is sorted, which is
all that can stand above a relevant document or among the top k, and a binary search places each relevant document in
it. Where only the documents of one language are asked for, that language's columns are compared with the score. What
the estimate cannot decide is scored exactly: the few documents whose estimated score is within its error of the
relevant document's. Counts add up over parts, so memory depends on the block, not on the corpus.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring import Floats, Index, Scorer
from tasks.errors import UserError

PART = 1 << 13  # documents in a part: a row of scores stays in the processor's cache while it is sorted
DOUBT = 1 << 24  # scores looked at together where the estimate cannot decide
MOST_ROWS = 1 << 16

Counts = NDArray[np.int32]


@dataclass(frozen=True)
class Documents:
    """The documents in the order of the pass: by language, then by id."""

    starts: Index
    """Language -> its first document; one more at the end."""
    order: Index
    """Document -> its place by id among all, which decides ties."""

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

    margin: float
    """How far an estimate may be from the exact score."""
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
class Listed:
    """The first k documents of each query of a block, in order."""

    row: Index
    rank: Counts
    document: Index
    score: Floats


def count(
    block: slice, scorer: Scorer, documents: Documents, pairs: Pairs, excluded: Index, k: int, scratch: Floats
) -> tuple[Counted, Listed]:
    """Count over all parts for the queries in `block`.

    Args:
        block: which queries.
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
    top = _Top(block.stop - block.start, k, scorer.error)
    bounds = _around(pairs, scorer.error, block.stop - block.start)
    for part in documents.parts:
        shape = block.stop - block.start, part.stop - part.start
        estimate = scratch[: shape[0] * shape[1]].reshape(shape)
        scorer.block(block, part, out=estimate)
        heads = _count_part(estimate, bounds, block, part, scorer, documents, pairs, excluded, counted, top)
        if heads is None:  # too much is in doubt (a model whose scores are nearly all alike): score all exactly
            estimate[:] = scorer.exact(block, part)
            sharp = _around(pairs, 0.0, block.stop - block.start)
            heads = _count_part(estimate, sharp, block, part, scorer, documents, pairs, excluded, counted, top)
            assert heads is not None
        top.add(estimate, heads, part.start)
    return counted, top.best(documents.order, scorer, block.start)


@dataclass(frozen=True)
class _Head:
    """The highest scores of some rows of a part, sorted."""

    row: Index
    ordered: Floats
    """[rows, width]: ascending, with -inf in front of a row that has fewer."""


def _count_part(
    estimate: Floats,
    bounds: _Bounds,
    block: slice,
    part: slice,
    scorer: Scorer,
    documents: Documents,
    pairs: Pairs,
    excluded: Index,
    counted: Counted,
    top: "_Top",
) -> list[_Head] | None:
    """Add one part's counts to `counted` and return the heads of all rows of `estimate`.

    Returns None, with nothing added, when so much is in doubt that it is cheaper to score the whole part exactly.
    """
    row, width = pairs.row, estimate.shape[1]
    margin, low, high = bounds.margin, bounds.low, bounds.high
    gone = np.flatnonzero((excluded >= part.start) & (excluded < part.stop))
    estimate[gone, excluded[gone] - part.start] = -np.inf
    column = pairs.document - part.start
    own = (column >= 0) & (column < width)
    if margin and own.any() and np.abs(estimate[row[own], column[own]] - pairs.score[own]).max() > margin:
        raise UserError("The matrix product of this machine is less exact than float32; use another BLAS library.")
    heads = _heads(estimate, bounds.lowest, top.bar(), top.k)
    above, near = np.zeros(len(row), dtype=np.int32), np.zeros(len(row), dtype=np.int32)
    place = np.full(len(estimate), -1, dtype=np.intp)
    for head in heads:
        place[:], place[head.row] = -1, np.arange(len(head.row))
        those = np.flatnonzero(place[row] >= 0)
        at = place[row[those]]
        last = _search(head.ordered, at, bounds.beyond[those])
        above[those] = head.ordered.shape[1] - last
        # What is near stands just below `last`, where the pair itself stands too: most have nothing there.
        before = np.maximum(last - 1 - own[those], 0)
        close = np.flatnonzero((head.ordered[at, before] >= low[those]) & (last - 1 - own[those] >= 0))
        some = those[close]
        near[some] = last[close] - _search(head.ordered, at[close], low[some]) - own[some]
    if margin and int(near.sum()) > estimate.size // 4:
        return None
    counted.above[:] += above
    _count_languages(estimate, part, high, documents, pairs, counted.above_in)
    doubtful = np.flatnonzero(near)
    for some in np.array_split(doubtful, -(-len(doubtful) * width // DOUBT)) if len(doubtful) else []:
        scores = estimate[row[some]]
        within = scores >= low[some, None]
        within &= scores <= high[some, None]
        cell, other = np.divmod(np.flatnonzero(within), width)
        pair = some[cell]
        different = other != column[pair]
        cell, other, pair = cell[different], other[different], pair[different]
        value = scorer.pairs(row[pair] + block.start, other + part.start) if margin else scores[cell, other]
        other += part.start
        equal = value == pairs.score[pair]
        later = documents.order[other] > documents.order[pairs.document[pair]]
        higher = np.flatnonzero((value > pairs.score[pair]) | (equal & later))
        language = np.searchsorted(documents.starts, other[higher], side="right") - 1
        np.add.at(counted.above, pair[higher], 1)
        place = pairs.place(pair[higher], language)
        asked = np.append(pairs.asked, -1)[place] == language * len(row) + pair[higher]
        np.add.at(counted.above_in, place[asked], 1)
        counted.tied[pair[equal]] = True
    return heads


def _heads(estimate: Floats, lowest: Floats, bar: Floats, k: int) -> list[_Head]:
    """Return the head of every row: its scores that are at least `lowest`, and those that can be among the first k.

    Args:
        estimate: scores [rows, documents].
        lowest: [rows] the least score that is asked for.
        bar: [rows] below it nothing is among the first k, as far as the parts before tell.
        k: how many to keep.

    Heads of up to a quarter of the row are picked out of it, the longer ones are the row as a whole.
    """
    width = estimate.shape[1]
    # Every sixteenth score tells about where the first k end; too high a guess is seen by the size of the head.
    sample, rank = estimate[:, ::16], k // 16 + 10
    guess = np.partition(sample, -rank, axis=1)[:, -rank] if rank < sample.shape[1] else np.float32(-np.inf)
    floor = np.minimum(lowest, np.maximum(guess, bar))
    inside = estimate >= floor[:, None]
    sizes = inside.view(np.uint8).sum(axis=1, dtype=np.uint16).astype(np.intp)
    sizes[(sizes < k) & (floor > bar)] = width
    heads = []
    for more, most in ((-1, width // 16), (width // 16, width // 4), (width // 4, width)):
        row = np.flatnonzero((sizes > more) & (sizes <= most))
        if len(row) and most == width:
            heads.append(_Head(row, np.sort(estimate[row], axis=1)))
        elif len(row):
            heads.append(_Head(row, _picked(estimate, inside, row, sizes[row])))
    return heads


def _picked(estimate: Floats, inside: NDArray[np.bool_], row: Index, size: Index) -> Floats:
    """Return, sorted, the scores of some rows that are `inside`, with -inf in front of rows that have fewer."""
    longest = max(1, int(size.max()))
    start = np.arange(len(row)) * longest - (np.cumsum(size) - size)  # of a row among all, less what stands before
    ordered = np.full((len(row), longest), -np.inf, dtype=np.float32)
    found = np.flatnonzero(inside[row])
    found += np.repeat((row - np.arange(len(row))) * estimate.shape[1], size)  # from places in `row` to places in all
    ordered.ravel()[np.arange(len(found)) + np.repeat(start, size)] = estimate.ravel()[found]
    ordered.sort(axis=1)
    return ordered


def _count_languages(
    estimate: Floats, part: slice, high: Floats, documents: Documents, pairs: Pairs, above_in: Counts
) -> None:
    """Add, for each language that is asked for on its own, the documents that stand above for certain."""
    first, last = np.searchsorted(documents.starts, [part.start, part.stop])
    for language in range(max(0, int(first) - 1), min(int(last), len(documents.starts) - 1)):
        start, stop = documents.starts[language : language + 2]
        columns = slice(max(start, part.start) - part.start, min(stop, part.stop) - part.start)
        asked = pairs.of_language(language)
        step = max(1, DOUBT // max(1, columns.stop - columns.start))
        for place in range(asked.start, asked.stop, step):
            places = slice(place, min(place + step, asked.stop))
            pair = pairs.asked[places] - language * len(pairs.row)
            row = pairs.row[pair]
            in_turn = row[-1] - row[0] + 1 == len(row) and (np.diff(row) == 1).all()
            scores = estimate[row[0] : row[-1] + 1, columns] if in_turn else estimate[row, columns]  # a view if it can
            above_in[places] += (scores > high[pair, None]).view(np.uint8).sum(axis=1, dtype=np.uint16)


def _around(pairs: Pairs, margin: float, queries: int) -> _Bounds:
    """Return the bounds of what may tie with each score: `margin` to both sides, rounded outwards."""
    low = high = pairs.score
    if margin:
        wide, end = np.float32(margin), np.float32(np.inf)
        low, high = np.nextafter(low - wide, -end), np.nextafter(high + wide, end)
    lowest = np.full(queries, np.inf, dtype=np.float32)
    np.minimum.at(lowest, pairs.row, low)
    return _Bounds(margin, low, high, np.nextafter(high, np.float32(np.inf)), lowest)


def _search(ordered: Floats, row: Index, value: Floats) -> Index:
    """Return, for each (row, value), how many elements of that sorted row are below the value: a binary search."""
    flat, width = ordered.ravel(), ordered.shape[1]
    base = row * width
    place = base.copy()
    while width > 1:
        half = width // 2
        place += half * (flat[place + (half - 1)] < value)
        width -= half
    found: Index = place - base + (flat[place] < value)
    return found


class _Top:
    """The first k documents of each query of a block, gathered part by part."""

    def __init__(self, queries: int, k: int, margin: float) -> None:
        self.k = k
        self.margin = margin
        self.highest = np.full((queries, k), -np.inf, dtype=np.float32)  # sorted; column 0 is the k-th best so far
        self.found: list[tuple[Index, Index, Floats]] = []

    def add(self, estimate: Floats, heads: list[_Head], first: int) -> None:
        """Take in the scores of one part, also given as heads, whose documents start at `first`."""
        for head in heads:
            both = np.concatenate([self.highest[head.row], head.ordered[:, -self.k :]], axis=1)
            both.sort(axis=1)
            self.highest[head.row] = both[:, -self.k :]
        found = np.flatnonzero(estimate >= self.bar()[:, None])
        row, column = np.divmod(found, estimate.shape[1])
        self.found.append((row, column + first, estimate.ravel()[found]))

    def bar(self) -> Floats:
        """Return the estimate below which no document can be among the first k; at least the lowest finite number."""
        bar: Floats = np.nextafter(self.highest[:, 0] - np.float32(2 * self.margin), np.float32(-np.inf))
        return np.maximum(bar, np.finfo(np.float32).min)

    def best(self, order: Index, scorer: Scorer, first_query: int) -> Listed:
        """Return the first k documents of each row."""
        row, document, score = (np.concatenate(column) for column in zip(*self.found, strict=True))
        kept = np.flatnonzero(score >= self.bar()[row])
        row, document, score = row[kept], document[kept], score[kept]
        sequence = _by_row(row, -score)
        row, document, score = row[sequence], document[sequence], score[sequence]
        near = (row[1:] == row[:-1]) & (score[:-1] - score[1:] <= 2 * self.margin)
        doubtful = np.flatnonzero(np.append(near, False) | np.insert(near, 0, False))
        run = np.cumsum(np.insert(~near, 0, True))[doubtful]  # what may change places is a run of near scores
        if self.margin:
            score[doubtful] = scorer.pairs(row[doubtful] + first_query, document[doubtful])
        settled = doubtful[np.lexsort((-order[document[doubtful]], -score[doubtful], run))]
        document[doubtful], score[doubtful] = document[settled], score[settled]
        counts = np.bincount(row)
        rank = np.arange(1, len(row) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
        first = rank <= self.k
        return Listed(row[first], rank[first].astype(np.int32), document[first], score[first])


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
