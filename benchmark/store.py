"""Vectors in, under the hash of their text; the same vectors out, whole, after any fault: the shards of the store.

`<cache>/vectors/<key of the space>/<checksum>.npy`. A *space* is everything besides the text that changes a vector
(weights, prompt, dtype, device, library versions, ...); two models, two prompts or two dtypes never share a folder. A
shard is two arrays in one file: what is known of each text (hash of the text as sent, tokens, truncated, how many rows
it has), then the rows. Its name is the checksum of its bytes, so a damaged one is found when it is read, and nothing
else need be recorded.

Shards hold whole batches and are renamed into place, so a killed run loses at most the shard in the making. Two
processes may fill one store; a vector that both wrote is read from the shard whose name comes first.
"""

import errno
import hashlib
import io
import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import UserError

SHARD_BYTES = 16 << 20
STALE_SECONDS = 3600
KNOWN = np.dtype([("key", "<u8", (2,)), ("tokens", "<i4"), ("rows", "<i4"), ("truncated", "?")])
Floats = NDArray[np.float32]
Known = NDArray[np.void]


class Store:
    """One folder of shards, and the shard in the making. Shards are opened one at a time, and only when needed."""

    def __init__(self, folder: Path, shard_seconds: float) -> None:
        self.folder = folder
        self.shard_seconds = shard_seconds
        self.shards: list[Path] = []
        self.counts: list[NDArray[np.int32]] = []
        self.rows: dict[bytes, tuple[int, int]] = {}
        self.dimensions = 0
        self.pending: list[tuple[Known, Floats]] = []
        self.since = time.monotonic()
        for path in sorted(folder.glob("*.npy")):
            known, vectors = _read(path, keys_only=True)
            self._take(path, known, vectors.shape[1])

    def _take(self, path: Path, known: Known, dimensions: int) -> None:
        keys = known["key"].tobytes()
        for row in range(len(known)):
            self.rows.setdefault(keys[16 * row : 16 * row + 16], (len(self.shards), row))
        self.shards.append(path)
        self.counts.append(known["rows"].copy())
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
        self,
        keys: list[bytes],
        tokens: NDArray[np.int32],
        cut: NDArray[np.bool_],
        rows: NDArray[np.int32],
        vectors: Floats,
    ) -> None:
        """Take one batch, of which each text has its number of rows; write a shard when it is large or old enough."""
        before = self.pending[0][1].shape[1] if self.pending else self.dimensions
        if before and before != vectors.shape[1]:
            raise UserError(f"The model returns {vectors.shape[1]} dimensions where it returned {before} before.")
        known = np.empty(len(keys), dtype=KNOWN)
        known["key"] = np.frombuffer(b"".join(keys), dtype="<u8").reshape(-1, 2)
        known["tokens"], known["truncated"], known["rows"] = tokens, cut, rows
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
        path = self.folder / f"{blake(data).hexdigest()}.npy"
        try:
            _write(path, data)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self._take(path, known, vectors.shape[1])
        self.pending = []
        self.since = time.monotonic()

    def gather(self, keys: list[bytes]) -> tuple[Known, Floats]:
        """Return what is known of each key, and its rows, in the order of the keys; every shard read is verified."""
        where = np.array([self.rows[key] for key in keys], dtype=np.intp).reshape(-1, 2)
        known = np.empty(len(keys), dtype=KNOWN)
        shards = [(number, np.flatnonzero(where[:, 0] == number)) for number in np.unique(where[:, 0])]
        for number, those in shards:
            known["rows"][those] = self.counts[number][where[those, 1]]
        start = np.cumsum(known["rows"]) - known["rows"]
        vectors = np.empty((int(known["rows"].sum()), self.dimensions), dtype=np.float32)
        for number, those in shards:
            some, rows = _read(self.shards[number])
            first, count = np.cumsum(some["rows"]) - some["rows"], known["rows"][those]
            known[those] = some[where[those, 1]]
            vectors[spread(start[those], count)] = rows[spread(first[where[those, 1]], count)]
        return known, vectors


def spread(start: NDArray[np.int64], count: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return start, start + 1, ... for each of `start`, as many as `count` says, one after the other."""
    return np.repeat(start - np.cumsum(count) + count, count) + np.arange(int(count.sum()))


def blake(data: bytes = b"") -> hashlib.blake2b:
    """Return the hash that names texts, spaces and shards: 16 bytes."""
    return hashlib.blake2b(data, digest_size=16)


def _read(path: Path, keys_only: bool = False) -> tuple[Known, Floats]:
    """Return the two arrays of a shard, after its checksum was compared with its name.

    With `keys_only` the checksum is not looked at and the vectors are an empty array of their width.
    """
    try:
        with path.open("rb") as stream:
            if not keys_only and hashlib.file_digest(stream, blake).hexdigest() != path.stem:
                raise ValueError("the checksum does not match its name")
            stream.seek(0)
            known: Known = np.load(stream, allow_pickle=False)
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
