"""Texts and an encoder in; their vectors out, each text encoded once and kept in the store.

Batches are planned from *all* texts of a call, whatever the store has already: a run that goes on after a kill forms
the same batches as one that was never disturbed, and gets the same vectors to the last bit. (Texts that another call
stored came from other batches, which can change their last bits.)
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.batch import lengths, matrices
from benchmark.encoders import Encoder, Role, sent
from benchmark.store import LostError, Say, Store, blake, spread
from tasks.fetch import cache_folder

SHARD_SECONDS = 2.0
SHARDS = 3  # their format; another one has folders of its own
ROWS = 4096  # vectors normalised at a time

Progress = Callable[[int, int, int, int], None]
"""Told texts done and in all, padded tokens done and in all."""


@dataclass(frozen=True)
class Encoded:
    """What n texts became, brought to length one where the model's similarity is cosine; and what it took."""

    vectors: NDArray[np.float32]
    """[n, dim], or the rows of all texts one below the other where the model makes several of each."""
    rows: NDArray[np.int32]
    """[n]: how many rows each text has."""
    truncated: float | None
    """Share of the texts longer than the model's limit; None where the model does not tell."""
    tokens: int
    """Tokens of all texts before truncation, each text once; 0 where the model does not tell."""
    encoded: int
    """Texts that were encoded now; the others were in the store."""
    seconds: float
    """Time that took, loading the model included."""
    zeros: int = 0
    """Texts, each once, whose rows are all zero or none: they have no direction and score 0 with everything."""
    halved: Counter[int] = field(default_factory=Counter)
    """Batches for which memory did not suffice, by their number of texts: they were encoded in halves, which can change
    the last bits of their vectors."""


def space_folder(encoder: Encoder, role: Role, root: Path | None = None) -> Path:
    """Return the folder of the store for the vectors of one role."""
    text = json.dumps(encoder.space(role) | {"shards": SHARDS}, sort_keys=True)
    return (root or cache_folder() / "vectors") / blake(text.encode()).hexdigest()


def encode(
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    progress: Progress = lambda *_: None,
    *,
    root: Path | None = None,
    shard_seconds: float = SHARD_SECONDS,
    say: Say = lambda _: None,
) -> Encoded:
    """Return the vectors of `texts`, from the store where it has them, encoding and storing the others.

    `say` is told, in a sentence each, of damaged shards, of memory that does not suffice, and of vectors of zeros.
    Raises UserError for a model that fails or returns other than finite vectors of one length, or a store that cannot
    be read or written; what was stored before stays.
    """
    start = time.perf_counter()
    distinct = list(dict.fromkeys(texts))
    hashes = [_hash(sent(encoder.model, text, role)) for text in distinct]
    store, halved = Store(space_folder(encoder, role, root), shard_seconds, say), Counter[int]()
    missing = {place for place, key in enumerate(hashes) if key not in store.rows}
    if missing:
        about = {name: getattr(encoder.model, name) for name in ("name", "source", "dtype")}
        store.open(encoder.space(role) | {"shards": SHARDS, "about": about})
        tokens_of, limit = lengths(encoder, distinct, role)
        batches = plan(tokens_of, limit, encoder.budget)
        todo = [(batch, tokens) for batch, tokens in batches if missing.intersection(batch)]
        texts_done = tokens_done = 0
        tokens_in_all = sum(tokens for _, tokens in todo)
        try:
            for whole, tokens in todo:
                batch = [place for place in whole if place in missing]
                rows, vectors = matrices(encoder, [distinct[place] for place in batch], role, halved)
                cut = tokens_of[batch] > limit if limit else np.zeros(len(batch), dtype=bool)
                store.add([hashes[place] for place in batch], tokens_of[batch], cut, rows, vectors)
                texts_done, tokens_done = texts_done + len(batch), tokens_done + tokens
                progress(texts_done, len(missing), tokens_done, tokens_in_all)
        finally:  # what was encoded before an interruption is kept
            store.flush()
    seconds = time.perf_counter() - start if missing else 0.0
    if halved:
        say(
            f"Memory did not suffice for {halved.total():,} batches of up to {max(halved)} texts; they were encoded in "
            "halves, which can change the last bits of their vectors."
        )
    try:
        known, vectors = store.gather(hashes)
    except LostError:  # a new look at the store plans the same batches, as far as they are missing now
        again = encode(encoder, texts, role, progress, root=root, shard_seconds=shard_seconds, say=say)
        return replace(
            again, encoded=again.encoded + len(missing), seconds=again.seconds + seconds, halved=again.halved + halved
        )
    if encoder.kind != "terms" and encoder.model.similarity == "cosine":
        normalise(vectors)
    rows = known["rows"]
    zeros = np.zeros(0, dtype=np.intp)
    if encoder.kind != "pairs":  # a score may be 0
        zeros = _zeros(vectors[:, 1:] if encoder.kind == "terms" else vectors, rows)
    if len(zeros):
        say(
            f"{encoder.model.name} makes zeros of {len(zeros):,} of {len(distinct):,} texts ({role}), the first of "
            f"them «{distinct[zeros[0]][:80]}»; they score 0 with everything."
        )
    if len(distinct) < len(texts):
        index = {text: place for place, text in enumerate(distinct)}
        places = [index[text] for text in texts]
        first, rows = (np.cumsum(rows) - rows)[places], rows[places]
        vectors = vectors[spread(first, rows)]
    return Encoded(
        vectors=vectors,
        rows=rows,
        truncated=None if (known["tokens"] < 0).any() else float(known["truncated"].mean()) if len(known) else 0.0,
        tokens=int(np.maximum(known["tokens"], 0).sum()),
        encoded=len(missing),
        seconds=seconds,
        zeros=len(zeros),
        halved=halved,
    )


def plan(lengths: NDArray[np.int32], limit: int, budget: int) -> list[tuple[list[int], int]]:
    """Return batches as (places, padded tokens), longest texts first, each within `budget` padded tokens.

    Sorting by tokens, not characters, is what saves padding when scripts are mixed.
    """
    counted = np.maximum(np.minimum(lengths, limit) if limit else lengths, 1)
    order = np.argsort(-counted, kind="stable").tolist()
    batches = []
    start = 0
    while start < len(order):
        longest = int(counted[order[start]])
        batch = order[start : start + max(1, budget // longest)]
        batches.append((batch, longest * len(batch)))
        start += len(batch)
    return batches


def normalise(vectors: NDArray[np.float32]) -> None:
    """Bring the vectors to length one, in place, lengths summed in float64; a zero vector stays zero."""
    for start in range(0, len(vectors), ROWS):
        rows = vectors[start : start + ROWS].astype(np.float64)
        length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        vectors[start : start + ROWS] = rows / np.where(length > 0, length, 1)[:, None]


def _zeros(weights: NDArray[np.float32], rows: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return which texts have no row in which anything is not zero."""
    filled, end = np.append(0, np.cumsum(weights.any(axis=1))), np.cumsum(rows)
    return np.flatnonzero(filled[end] == filled[end - rows])


def _hash(text: str) -> bytes:
    return blake(text.encode("utf-8", "surrogatepass")).digest()
