"""Vectors in, under the hash of their text; the same vectors out, whole, after any fault: the shards of the store.

`<cache>/vectors/<key of the space>/<checksums>.npy`. A *space* is everything besides the text that changes a vector
(weights, prompt, dtype, device, library versions, ...); two models, two prompts or two dtypes never share a folder. A
shard is two arrays in one file: what is known of each text (hash of the text as sent, tokens, truncated, how many rows
it has), then the rows. Its name is the checksum of each, taken together with the name of the folder, so a shard that is
damaged, renamed or of another model's folder is found, and nothing else need be recorded. The first is verified when
the store is opened, before anything is planned, the second when the rows are read, so no byte is read twice. What is
damaged is named and removed: its texts are then missing, and that is all there is to a repair.

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
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as arrays
from numpy.typing import NDArray

from tasks.errors import UserError

SHARD_BYTES = 16 << 20
STALE_SECONDS = 3600
ABOUT = "space.json"  # says in clear what the folder holds; its time is that of the last use
KNOWN = np.dtype([("key", "<u8", (2,)), ("tokens", "<i4"), ("rows", "<i4"), ("truncated", "?")])
FULL = (errno.ENOSPC, errno.EDQUOT)
Floats = NDArray[np.float32]
Known = NDArray[np.void]
Say = Callable[[str], None]


class DamagedError(Exception):
    """A file is not the shard that its name promises."""


class LostError(Exception):
    """Shards that were there are damaged or gone: texts are missing that were not before."""


class Store:
    """One folder of shards, and the shard in the making. Shards are opened one at a time, and only when needed."""

    def __init__(self, folder: Path, shard_seconds: float, say: Say = lambda _: None) -> None:
        self.folder = folder
        self.shard_seconds = shard_seconds
        self.say = say
        self.shards: list[Path] = []
        self.counts: list[NDArray[np.int32]] = []
        self.rows: dict[bytes, tuple[int, int]] = {}
        self.dimensions = 0
        self.about = b""
        self.pending: list[tuple[Known, Floats]] = []
        self.written: set[Path] = set()
        self.since = time.monotonic()
        for path in sorted(folder.glob("*.npy")):
            try:
                self._take(path, *head(path))
            except DamagedError as damage:
                self._remove(path, damage)
            except FileNotFoundError:  # another process removed or merged it
                continue

    def _take(self, path: Path, known: Known, dimensions: int) -> None:
        self._check(dimensions)
        keys = known["key"].tobytes()
        for row in range(len(known)):
            self.rows.setdefault(keys[16 * row : 16 * row + 16], (len(self.shards), row))
        self.shards.append(path)
        self.counts.append(known["rows"].copy())

    def _check(self, dimensions: int) -> None:
        if self.dimensions not in (0, dimensions):
            raise UserError(
                f"The model returns {dimensions} dimensions where it returned {self.dimensions} before; if it was "
                f"changed and is to begin anew, delete {self.folder}."
            )
        self.dimensions = dimensions

    def _remove(self, path: Path, damage: DamagedError) -> None:
        if path in self.written:
            raise UserError(
                f"The vector shard {path} was written just now and is damaged already ({damage}); the disk may be "
                "failing, so set ISOGLOSS_CACHE to another folder."
            )
        self.say(f"The vector shard {path} is damaged ({damage}) and is removed; its texts are encoded again.")
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(
                f"The vector shard {path} is damaged ({damage}) and cannot be removed: {error.strerror}; delete it, "
                "and its texts are encoded again."
            ) from error

    def open(self, space: dict[str, Any]) -> None:
        """Make the folder, with a file that says in clear what it holds."""
        self.about = json.dumps(space, indent=1, sort_keys=True).encode()
        try:
            _write(self.folder / ABOUT, self.about)
            for left in leftovers(self.folder):
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
        self._check(vectors.shape[1])
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
        try:
            path = write(self.folder, known, vectors)
            if self.about and not (self.folder / ABOUT).is_file():  # another process pruned the folder meanwhile
                _write(self.folder / ABOUT, self.about)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self.written.add(path)
        self._take(path, known, vectors.shape[1])
        self._touch()
        self.pending = []
        self.since = time.monotonic()

    def gather(self, keys: list[bytes]) -> tuple[Known, Floats]:
        """Return what is known of each key, and its rows, in the order of the keys; every shard read is verified.

        Raises LostError after all that are damaged were named and removed: open the store again, and encode.
        """
        where = np.array([self.rows[key] for key in keys], dtype=np.intp).reshape(-1, 2)
        known = np.empty(len(keys), dtype=KNOWN)
        shards = [(number, np.flatnonzero(where[:, 0] == number)) for number in np.unique(where[:, 0])]
        for number, those in shards:
            known["rows"][those] = self.counts[number][where[those, 1]]
        start = np.cumsum(known["rows"]) - known["rows"]
        vectors = np.empty((int(known["rows"].sum()), self.dimensions), dtype=np.float32)
        lost = False
        for number, those in shards:
            try:
                some, rows = read(self.shards[number])
            except DamagedError as damage:
                self._remove(self.shards[number], damage)
                lost = True
            except FileNotFoundError:  # another process removed or merged it
                lost = True
            else:
                first, count = np.cumsum(some["rows"]) - some["rows"], known["rows"][those]
                known[those] = some[where[those, 1]]
                vectors[spread(start[those], count)] = rows[spread(first[where[those, 1]], count)]
        if lost:
            raise LostError
        self._touch()
        return known, vectors

    def _touch(self) -> None:
        with suppress(OSError):  # a store that may only be read is none the worse
            os.utime(self.folder / ABOUT)


def spread(start: NDArray[np.int64], count: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return start, start + 1, ... for each of `start`, as many as `count` says, one after the other."""
    return np.repeat(start - np.cumsum(count) + count, count) + np.arange(int(count.sum()))


def blake(data: bytes = b"", key: bytes = b"") -> hashlib.blake2b:
    """Return the hash that names texts, spaces and shards: 16 bytes."""
    return hashlib.blake2b(data, digest_size=16, key=key)


def head(path: Path) -> tuple[Known, int]:
    """Return what a shard knows of its texts, verified, and the width of its rows, which are not read.

    Raises DamagedError, FileNotFoundError, or UserError if the file cannot be read.
    """
    known, width, _ = _opened(path, whole=False)
    return known, width


def read(path: Path) -> tuple[Known, Floats]:
    """Return the two arrays of a shard, verified. Raises what `head` raises."""
    known, width, rows = _opened(path, whole=True)
    vectors: Floats = np.ndarray((len(rows) // (4 * width), width), dtype="<f4", buffer=rows)
    return known, vectors


def _opened(path: Path, whole: bool) -> tuple[Known, int, memoryview]:
    """Return what is known, the width, and the bytes of the rows where the `whole` shard is to be verified."""
    try:
        with path.open("rb") as stream:
            known: Known = arrays.read_array(stream, allow_pickle=False)
            end = stream.tell()
            arrays.read_magic(stream)
            (count, width), _, dtype = arrays.read_array_header_1_0(stream)
            start, size = stream.tell(), os.fstat(stream.fileno()).st_size
            stream.seek(0)
            first, second = stream.read(end), stream.read() if whole else b""
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"The vector shard {path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # NumPy reads a literal of Python there, so anything can come of other bytes
        raise DamagedError("it is cut short, or no shard") from error
    if (known.dtype, known.ndim, dtype) != (KNOWN, 1, np.dtype("<f4")):
        raise DamagedError("it is no shard")
    checksums = [_checksum(path.parent, part) for part in ([first, second] if whole else [first])]
    if checksums != path.stem.split("-")[: len(checksums)]:
        raise DamagedError("a checksum does not match its name")
    if width < 1 or known["rows"].sum() != count or size != start + 4 * count * width:
        raise DamagedError("its size is wrong")
    return known, width, memoryview(second)[start - end :]


def write(folder: Path, known: Known, vectors: Floats) -> Path:
    """Write a shard whole, or raise OSError."""
    parts = []
    for part in (known, vectors):
        stream = io.BytesIO()
        arrays.write_array(stream, part, version=(1, 0), allow_pickle=False)
        parts.append(stream.getvalue())
    path = folder / f"{'-'.join(_checksum(folder, part) for part in parts)}.npy"
    _write(path, *parts)
    return path


def _checksum(folder: Path, part: bytes) -> str:
    return blake(part, key=blake(folder.name.encode()).digest()).hexdigest()


def leftovers(folder: Path) -> Iterator[Path]:
    """Yield the files of shards in the making that a run which was killed left behind."""
    for path in folder.glob(".*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                yield path


def _write(path: Path, *parts: bytes) -> None:
    """Write a file whole or not at all: to a name of its own, to the disk, then renamed into place."""
    made = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        try:
            stream = made.open("wb")
        except FileNotFoundError:  # the folder is new, or was pruned meanwhile
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = made.open("wb")
        with stream:
            stream.writelines(parts)
            stream.flush()
            os.fsync(stream.fileno())
        made.replace(path)
    except BaseException:
        with suppress(OSError):
            made.unlink()
        raise
    with suppress(OSError):  # the name reaches the disk too, where the system can be told so
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _unwritable(folder: Path, error: OSError) -> UserError:
    if error.errno in FULL:
        return UserError(f"There is no space left for vectors in {folder}; free some, and the run goes on from here.")
    return UserError(f"Vectors cannot be written to {folder}: {error.strerror}; set ISOGLOSS_CACHE to another folder.")
