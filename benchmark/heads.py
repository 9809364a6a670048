"""Scores of some queries in; the head of each row, its highest scores in order, out; and the search for a place in it.

Rows are of estimated scores, or of *keys*: one number for a document's exact score and its id, so that no two are equal
and a greater one stands above.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring import Floats, Index

Keys = NDArray[np.int64]

AT_A_TIME = 64  # rows made into keys together: they stay in the processor's cache


@dataclass(frozen=True)
class Head:
    """The highest scores of some rows, or their keys, sorted."""

    row: Index
    ordered: NDArray[Any]
    """[rows, width]: ascending, with the least there is in front of a row that has fewer."""


def heads(scores: Floats, lowest: Floats, bar: Floats, k: int, keys: Keys | None = None) -> list[Head]:
    """Return the head of every row: its scores that are at least `lowest`, and those that can be among the first k.

    Args:
        scores: of some queries and some documents [rows, documents].
        lowest: [rows] the least score that is asked for.
        bar: [rows] below it nothing is among the first k, as far as is known.
        k: how many to keep.
        keys: [rows, documents] if heads are to have these instead of the scores.

    Heads of up to a quarter of the row are picked out of it, the longer ones are the row as a whole.
    """
    width, values = scores.shape[1], scores if keys is None else keys
    # Every sixteenth score tells about where the first k end; too high a guess is seen by the size of the head.
    sample, rank = scores[:, ::16], k // 16 + 10
    guess = np.partition(sample, -rank, axis=1)[:, -rank] if rank < sample.shape[1] else np.float32(-np.inf)
    floor = np.minimum(lowest, np.maximum(guess, bar))
    inside = scores >= floor[:, None]
    sizes = inside.view(np.uint8).sum(axis=1, dtype=np.uint16).astype(np.intp)
    sizes[(sizes < k) & (floor > bar)] = width
    found = []
    for more, most in ((-1, width // 16), (width // 16, width // 4), (width // 4, width)):
        row = np.flatnonzero((sizes > more) & (sizes <= most))
        if len(row):
            ordered = values[row] if most == width else _picked(values, inside, row, sizes[row])
            ordered.sort(axis=1)
            found.append(Head(row, ordered))
    return found


def _picked(values: NDArray[Any], inside: NDArray[np.bool_], row: Index, size: Index) -> NDArray[Any]:
    """Return what is `inside` of some rows, with the least there is in front of rows that have fewer."""
    longest = max(1, int(size.max()))
    start = np.arange(len(row)) * longest - (np.cumsum(size) - size)  # of a row among all, less what stands before
    picked = np.full((len(row), longest), least(values.dtype), dtype=values.dtype)
    found = np.flatnonzero(inside[row])
    found += np.repeat((row - np.arange(len(row))) * values.shape[1], size)  # from places in `row` to places in all
    picked.ravel()[np.arange(len(found)) + np.repeat(start, size)] = values.ravel()[found]
    return picked


def search(ordered: NDArray[Any], row: Index, value: NDArray[Any]) -> Index:
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


def keys_of(scores: Floats, order: Index) -> Keys:
    """Return keys of exact scores, for documents whose place by id is `order` (below 2^32); shapes as for a sum."""
    bits = (scores + np.float32(0)).view(np.int32)  # the sum has no negative zero
    bits ^= (bits >> 31) & 0x7FFFFFFF  # now whole numbers in the order of the scores
    keys = bits.astype(np.int64)
    keys <<= 32
    keys |= order
    return keys


def rows_of_keys(scores: Floats, order: Index) -> Keys:
    """Return `keys_of` rows of scores [rows, documents], some at a time."""
    keys = np.empty(scores.shape, dtype=np.int64)
    for start in range(0, len(scores), AT_A_TIME):
        keys[start : start + AT_A_TIME] = keys_of(scores[start : start + AT_A_TIME], order)
    return keys


def scores_of(keys: Keys) -> Floats:
    """Return the scores in keys."""
    bits = (keys >> 32).astype(np.int32)
    bits ^= (bits >> 31) & 0x7FFFFFFF
    return bits.view(np.float32)


def order_of(keys: Keys) -> Index:
    """Return the places by id in keys."""
    return (keys & 0xFFFFFFFF).astype(np.intp)


def least(dtype: np.dtype[Any]) -> Any:
    """Return what stands below every finite score: -inf, or its key."""
    low = np.full(1, -np.inf, dtype=np.float32)
    return (low if dtype == low.dtype else keys_of(low, np.zeros(1, dtype=np.intp)))[0]
