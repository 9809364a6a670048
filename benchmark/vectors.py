"""Texts and an encoder in; their vectors out, each text encoded once and kept in the store.

Batches are planned from *all* texts of a call, whatever the store has already: a run that goes on after a kill forms
the same batches as one that was never disturbed, and gets the same vectors to the last bit. (Texts that another call
stored came from other batches, which can change their last bits.)
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import Encoder, Role, sent
from benchmark.store import Store, blake, spread
from tasks.errors import UserError
from tasks.fetch import cache_folder

SHARD_SECONDS = 2.0
SHARDS = 2  # their format; another one has folders of its own
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
) -> Encoded:
    """Return the vectors of `texts`, from the store where it has them, encoding and storing the others.

    Raises UserError for a damaged shard, a model that returns other than finite vectors of one length, or a store that
    cannot be written; what was stored before stays.
    """
    start = time.perf_counter()
    distinct = list(dict.fromkeys(texts))
    hashes = [_hash(sent(encoder.model, text, role)) for text in distinct]
    store = Store(space_folder(encoder, role, root), shard_seconds)
    missing = {place for place, key in enumerate(hashes) if key not in store.rows}
    if missing:
        store.open(encoder.space(role))
        lengths, limit = encoder.lengths(distinct, role)
        batches = plan(lengths, limit, encoder.budget)
        todo = [(batch, tokens) for batch, tokens in batches if missing.intersection(batch)]
        texts_done = tokens_done = 0
        tokens_in_all = sum(tokens for _, tokens in todo)
        try:
            for whole, tokens in todo:
                batch = [place for place in whole if place in missing]
                rows, vectors = _checked(encoder, [distinct[place] for place in batch], role)
                cut = lengths[batch] > limit if limit else np.zeros(len(batch), dtype=bool)
                store.add([hashes[place] for place in batch], lengths[batch], cut, rows, vectors)
                texts_done, tokens_done = texts_done + len(batch), tokens_done + tokens
                progress(texts_done, len(missing), tokens_done, tokens_in_all)
        finally:  # what was encoded before an interruption is kept
            store.flush()
    seconds = time.perf_counter() - start if missing else 0.0
    known, vectors = store.gather(hashes)
    if encoder.kind != "terms" and encoder.model.similarity == "cosine":
        normalise(vectors)
    rows = known["rows"]
    if len(distinct) < len(texts):
        index = {text: place for place, text in enumerate(distinct)}
        places = [index[text] for text in texts]
        first, rows = (np.cumsum(rows) - rows)[places], rows[places]
        vectors = vectors[spread(first, rows)]
    return Encoded(
        vectors=vectors,
        rows=rows,
        truncated=float(known["truncated"].mean()) if len(known) else 0.0,
        tokens=int(known["tokens"].sum()),
        encoded=len(missing),
        seconds=seconds,
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


def _hash(text: str) -> bytes:
    return blake(text.encode("utf-8", "surrogatepass")).digest()


def _checked(encoder: Encoder, texts: list[str], role: Role) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return how many rows each text has, and the rows."""
    found = encoder.encode(texts, role)
    if isinstance(found, list):
        rows = np.array([len(one) for one in found], dtype=np.int32)
        vectors = np.concatenate(found)
    else:
        rows, vectors = np.ones(len(found), dtype=np.int32), found
    if vectors.ndim != 2 or len(rows) != len(texts):
        raise UserError(f"{encoder.model.name} returned an array {vectors.shape} for {len(texts)} texts.")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        text = texts[int(np.repeat(np.arange(len(texts)), rows)[np.argmin(finite)])]
        raise UserError(
            f"{encoder.model.name} returned a vector with NaN or infinity for the {role} «{text[:80]}»; "
            "the checkpoint is broken, or its dtype is too narrow for it."
        )
    return rows, vectors
