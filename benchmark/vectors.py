"""Texts and an encoder in; their vectors out, each text encoded once and kept. The vector store.

The store is addressed by content: `<cache>/vectors/<key of the space>/<checksum>.npy`. A *space* is everything besides
the text that changes a vector (weights, prompt, dtype, device, library versions, ...); two models, two prompts or two
dtypes never share a folder. A shard is two arrays in one file: what is known of each text (hash of the text as sent,
tokens, truncated), then the vectors. Its name is the checksum of its bytes, so a damaged one is found when it is read,
and nothing else need be recorded.

Shards hold whole batches and are renamed into place, so a killed run loses at most the shard in the making. Batches are
planned from *all* texts of a call, whatever the store has already: a run that goes on after a kill forms the same
batches as one that was never disturbed, and gets the same vectors to the last bit. (Texts that another call stored came
from other batches, which can change their last bits.) Two processes may fill one store; a vector that both wrote is
read from the shard whose name comes first.
"""

import errno
import hashlib
import io
import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import Encoder, Role, sent
from tasks.errors import UserError
from tasks.fetch import cache_folder

SHARD_SECONDS = 2.0
SHARD_BYTES = 16 << 20
STALE_SECONDS = 3600
ROWS = 4096  # vectors normalised at a time
KNOWN = np.dtype([("key", "<u8", (2,)), ("tokens", "<i4"), ("truncated", "?")])

Progress = Callable[[int, int, int, int], None]
"""Told texts done and in all, padded tokens done and in all."""


@dataclass(frozen=True)
class Encoded:
    """Vectors [n, dim] of n texts, brought to length one where the model's similarity is cosine; and what it took."""

    vectors: NDArray[np.float32]
    truncated: float
    """Share of the texts longer than the model's limit."""
    tokens: int
    """Tokens of all texts before truncation, each text once; 0 where the model does not tell."""
    encoded: int
    """Texts that were encoded now; the others were in the store."""
    seconds: float
    """Time that took, loading the model included."""


def space_folder(encoder: Encoder, role: Role, root: Path | None = None) -> Path:
    """Return the folder of the store for the vectors of one role."""
    text = json.dumps(encoder.space(role), sort_keys=True)
    return (root or cache_folder() / "vectors") / _blake(text.encode()).hexdigest()


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
    store = _Store(space_folder(encoder, role, root), shard_seconds)
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
                vectors = _checked(encoder, [distinct[place] for place in batch], role)
                cut = lengths[batch] > limit if limit else np.zeros(len(batch), dtype=bool)
                store.add([hashes[place] for place in batch], lengths[batch], cut, vectors)
                texts_done, tokens_done = texts_done + len(batch), tokens_done + tokens
                progress(texts_done, len(missing), tokens_done, tokens_in_all)
        finally:  # what was encoded before an interruption is kept
            store.flush()
    seconds = time.perf_counter() - start if missing else 0.0
    known, vectors = store.gather(hashes)
    if encoder.model.similarity == "cosine":
        normalise(vectors)
    if len(distinct) < len(texts):
        place = {text: index for index, text in enumerate(distinct)}
        vectors = vectors[[place[text] for text in texts]]
    return Encoded(
        vectors=vectors,
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
    return _blake(text.encode("utf-8", "surrogatepass")).digest()


def _checked(encoder: Encoder, texts: list[str], role: Role) -> NDArray[np.float32]:
    vectors = encoder.encode(texts, role)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise UserError(f"{encoder.model.name} returned an array {vectors.shape} for {len(texts)} texts.")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        text = texts[int(np.argmin(finite))]
        raise UserError(
            f"{encoder.model.name} returned a vector with NaN or infinity for the {role} «{text[:80]}»; "
            "the checkpoint is broken, or its dtype is too narrow for it."
        )
    return vectors


class _Store:
    """One folder of shards, and the shard in the making. Shards are opened one at a time, and only when needed."""

    def __init__(self, folder: Path, shard_seconds: float) -> None:
        self.folder = folder
        self.shard_seconds = shard_seconds
        self.shards: list[Path] = []
        self.rows: dict[bytes, tuple[int, int]] = {}
        self.dimensions = 0
        self.pending: list[tuple[NDArray[np.void], NDArray[np.float32]]] = []
        self.since = time.monotonic()
        for path in sorted(folder.glob("*.npy")):
            known, vectors = _read(path, keys_only=True)
            self._take(path, known, vectors.shape[1])

    def _take(self, path: Path, known: NDArray[np.void], dimensions: int) -> None:
        keys = known["key"].tobytes()
        for row in range(len(known)):
            self.rows.setdefault(keys[16 * row : 16 * row + 16], (len(self.shards), row))
        self.shards.append(path)
        self.dimensions = dimensions

    def open(self, space: dict[str, Any]) -> None:
        """Make the folder, with a file that says in clear what it holds."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(self.folder / "space.json", json.dumps(space, indent=1, sort_keys=True).encode())
            for left in self.folder.glob(".*"):  # by a run that was killed while it wrote
                if time.time() - left.stat().st_mtime > STALE_SECONDS:
                    left.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self.since = time.monotonic()

    def add(
        self, keys: list[bytes], tokens: NDArray[np.int32], cut: NDArray[np.bool_], vectors: NDArray[np.float32]
    ) -> None:
        """Take one batch; write a shard when it is large or old enough."""
        before = self.pending[0][1].shape[1] if self.pending else self.dimensions
        if before and before != vectors.shape[1]:
            raise UserError(f"The model returns {vectors.shape[1]} dimensions where it returned {before} before.")
        known = np.empty(len(keys), dtype=KNOWN)
        known["key"] = np.frombuffer(b"".join(keys), dtype="<u8").reshape(-1, 2)
        known["tokens"], known["truncated"] = tokens, cut
        self.pending.append((known, vectors.astype("<f4")))
        large = sum(part.nbytes for _, part in self.pending) >= SHARD_BYTES
        if large or time.monotonic() - self.since >= self.shard_seconds:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as one shard."""
        if not self.pending:
            return
        known, vectors = (np.concatenate(column) for column in zip(*self.pending, strict=True))
        stream = io.BytesIO()
        np.save(stream, known, allow_pickle=False)
        np.save(stream, vectors, allow_pickle=False)
        data = stream.getvalue()
        path = self.folder / f"{_blake(data).hexdigest()}.npy"
        try:
            _write(path, data)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self._take(path, known, vectors.shape[1])
        self.pending = []
        self.since = time.monotonic()

    def gather(self, keys: list[bytes]) -> tuple[NDArray[np.void], NDArray[np.float32]]:
        """Return what is known of each key, and its vector, in the order of the keys; every shard read is verified."""
        where = np.array([self.rows[key] for key in keys], dtype=np.intp).reshape(-1, 2)
        known = np.empty(len(keys), dtype=KNOWN)
        vectors = np.empty((len(keys), self.dimensions), dtype=np.float32)
        for number in np.unique(where[:, 0]):
            those = np.flatnonzero(where[:, 0] == number)
            some, their_vectors = _read(self.shards[number])
            known[those], vectors[those] = some[where[those, 1]], their_vectors[where[those, 1]]
        return known, vectors


def _blake(data: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(data, digest_size=16)


def _read(path: Path, keys_only: bool = False) -> tuple[NDArray[np.void], NDArray[np.float32]]:
    """Return the two arrays of a shard, after its checksum was compared with its name.

    With `keys_only` the checksum is not looked at and the vectors are an empty array of their width.
    """
    try:
        with path.open("rb") as stream:
            if not keys_only and hashlib.file_digest(stream, _blake).hexdigest() != path.stem:
                raise ValueError("the checksum does not match its name")
            stream.seek(0)
            known: NDArray[np.void] = np.load(stream, allow_pickle=False)
            if known.dtype != KNOWN:
                raise ValueError("it is not a shard")
            if keys_only:
                np.lib.format.read_magic(stream)
                (_, width), _, dtype = np.lib.format.read_array_header_1_0(stream)
                return known, np.empty((0, width), dtype=dtype)
            return known, np.load(stream, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(
            f"The vector shard {path} is damaged ({error}); delete it, and its texts are encoded again."
        ) from error
    except OSError as error:
        raise UserError(f"The vector shard {path} cannot be read: {error.strerror or error}.") from error


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: to a name of its own, to the disk, then renamed into place."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _unwritable(folder: Path, error: OSError) -> UserError:
    if error.errno == errno.ENOSPC:
        return UserError(f"There is no space left for vectors in {folder}; free some, and the run goes on from here.")
    return UserError(f"Vectors cannot be written to {folder}: {error.strerror}; set ISOGLOSS_CACHE to another folder.")
