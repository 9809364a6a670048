"""The cache folder in; what lies in it, what of it is damaged and what can go, out.

Each folder at its top is a *part*: the fetched `data`, the `vectors`, and whatever else came to lie there. Data goes
file by file, vectors by space, other parts by what lies at their top. All of this may be done beside a run: what was
used within the last hour stays unless a shorter time is asked for, and a run that finds a shard gone encodes its texts
again.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import store
from benchmark.vectors import SHARDS
from tasks import parsing
from tasks.errors import UserError, nearest

VECTORS = "vectors"
DATA = "data"
LOCKS = "locks"  # a lock that goes while it is held locks nothing
SCRATCH = "noise-"  # where `bench noise` encodes again
SPACE = re.compile("[0-9a-f]{32}")
UNITS = {"m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Part:
    """A folder or file at the top of the cache."""

    name: str
    files: int
    bytes: int
    used: float
    """Time of the last use, seconds since 1970, as far as the file system keeps it."""


@dataclass(frozen=True)
class Space:
    """A folder of vectors, as far as its space.json tells of it."""

    folder: Path
    names: tuple[str, str]
    """How tables show the model, and the path or hub name that was given."""
    role: str
    dtype: str
    files: tuple[Path, ...]
    shards: tuple[Path, ...]
    bytes: int
    used: float
    readable: bool
    """Whether its shards are of this version; no run reads those of another one, and `shards` is empty."""

    @property
    def title(self) -> str:
        """Return how a line names it."""
        return f"vectors of {self.names[0]} ({self.role}, {self.dtype}), {self.folder.name[:8]}"

    def texts(self) -> int:
        """Return how many texts its shards say they hold; a text that two of them hold counts twice."""
        count = 0
        for path in self.shards:
            with suppress(store.DamagedError, FileNotFoundError):
                count += len(store.head(path)[0])
        return count


@dataclass(frozen=True)
class Going:
    """Files that go together, and why."""

    what: str
    files: tuple[Path, ...]
    bytes: int


def parts(root: Path) -> list[Part]:
    """Return the parts of the cache by name."""
    found = []
    for path in _listed(root):
        files = _files(path)
        used = [space.used for space in spaces(root)] if path.name == VECTORS else map(_used, files)
        found.append(Part(path.name, len(files), _size(files), max(used, default=0.0)))
    return found


def spaces(root: Path) -> list[Space]:
    """Return the spaces, by model, role and dtype."""
    found = [_space(folder) for folder in _listed(root / VECTORS) if SPACE.fullmatch(folder.name) and folder.is_dir()]
    return sorted(found, key=lambda space: (space.names, space.role, space.dtype, space.folder))


def verified(space: Space) -> Iterator[tuple[Path, int, str]]:
    """Yield each shard, its size in bytes, and what is wrong with it, "" if nothing is."""
    for path in space.shards:
        size, why = _size([path]), ""
        try:
            store.read(path)
        except store.DamagedError as damage:
            why = str(damage)
        except FileNotFoundError:  # removed or merged meanwhile
            continue
        yield path, size, why


def damaged(space: Space) -> Going:
    """Return the damaged shards of a space."""
    return _going(f"{space.title}, damaged", [path for path, _, why in verified(space) if why])


def seconds(age: str) -> int:
    """Return what 45m, 12h or 30d is in seconds."""
    found = re.fullmatch(r"(\d+)([mhd])", age.strip())
    if not found:
        raise UserError(f"«{age}» is no age; write 45m, 12h or 30d.")
    return int(found[1]) * UNITS[found[2]]


def useless(root: Path) -> list[Going]:
    """Return what no run can use: what killed ones left behind, and spaces of another version."""
    known = spaces(root)
    left = [path for space in known for path in store.leftovers(space.folder)]
    for folder in _listed(root / VECTORS):
        if folder.name.startswith(SCRATCH):
            files = _files(folder)
            if time.time() - max(map(_modified, [folder, *files])) > store.STALE_SECONDS:
                left += files
    found = [_going("what killed runs left behind", left)]
    found += [_going(f"{space.title}, of another version", space.files) for space in known if not space.readable]
    return [going for going in found if going.files]


def unused(root: Path, age: float, model: str | None, part: str | None) -> list[Going]:
    """Return what was not used for `age` seconds, of one model or part where these are named."""
    before = time.time() - age
    known = [space for space in spaces(root) if space.readable]
    models, names = sorted({name for space in known for name in space.names}), [part.name for part in parts(root)]
    for word, what, words in ((model, "vectors of a model", models), (part, "part", names)):
        if word is not None and word not in words:
            hint = nearest(word, words) or (f"; it has {', '.join(words)}." if words else ".")
            raise UserError(f"The cache has no {what} «{word}»{hint}")
    found = []
    for name in [name for name in names if name != LOCKS and part in (None, name)]:
        if name == VECTORS:
            going = [space for space in known if space.used < before and model in (None, *space.names)]
            found += [_going(space.title, space.files) for space in going]
        elif model is None:
            files = [file for unit in _units(root / name) if max(map(_used, unit)) < before for file in unit]
            found += [_going(name, files)] * bool(files)
    return found


def remove(root: Path, going: Sequence[Going]) -> None:
    """Delete files, and the folders that they leave empty. Raises UserError for one that cannot be deleted."""
    for file in [file for one in going for file in one.files]:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{file} cannot be removed: {error.strerror}.") from error
        with suppress(OSError):  # not empty
            for folder in file.relative_to(root).parents[:-1]:
                (root / folder).rmdir()


def small(space: Space) -> list[tuple[Path, ...]]:
    """Return the shards of a space that can be merged, in groups that become one each. Young ones are let be."""
    groups: list[list[Path]] = [[]]
    held = 0
    for path in space.shards:
        size = _size([path])
        if size > store.SHARD_BYTES // 2 or time.time() - _modified(path) < store.STALE_SECONDS:
            continue
        if held + size > store.SHARD_BYTES:
            groups.append([])
            held = 0
        groups[-1].append(path)
        held += size
    return [tuple(group) for group in groups if len(group) > 1]


def merge(root: Path, shards: Sequence[Path]) -> None:
    """Make one shard of several of a space, each vector once: written whole before the others are deleted."""
    read: list[tuple[store.Known, store.Floats]] = []
    merged: list[Path] = []
    for path in shards:
        with suppress(store.DamagedError, FileNotFoundError):
            found = store.read(path)
            if not read or found[1].shape[1] == read[0][1].shape[1]:
                read.append(found)
                merged.append(path)
    if len(merged) < 2:
        return
    known, vectors = (np.concatenate(column) for column in zip(*read, strict=True))
    start = np.cumsum(known["rows"]) - known["rows"]
    once = np.sort(np.unique(known["key"], axis=0, return_index=True)[1])
    rows = store.spread(start[once], known["rows"][once])
    try:
        made = store.write(merged[0].parent, known[once], vectors[rows])
    except OSError as error:
        raise UserError(f"Shards in {merged[0].parent} cannot be merged: {error.strerror}; nothing is lost.") from error
    remove(root, [_going("", [path for path in merged if path != made])])


def _space(folder: Path) -> Space:
    says: Any = {}
    with suppress(UserError):
        says = parsing.json_file(folder / store.ABOUT)
    says = says if isinstance(says, dict) else {}
    about = says.get("about") if isinstance(says.get("about"), dict) else {}
    kind = f"{says.get('family', 'unknown')} {str(says.get('fingerprint', ''))[:8]}".strip()
    files = [path for path in _files(folder) if not path.name.startswith(".")]  # those are in the making
    shards = [path for path in files if path.suffix == ".npy"]
    readable = not says or says.get("shards") == SHARDS
    return Space(
        folder=folder,
        names=(str(about.get("name", kind)), str(about.get("source", kind))),
        role=str(says.get("role", "both roles")),
        dtype=str(about.get("dtype", "unknown")),
        files=tuple(files),
        shards=tuple(shards) if readable else (),
        bytes=_size(files),
        used=_modified(folder / store.ABOUT) or max(map(_modified, shards), default=0.0),
        readable=readable,
    )


def _units(part: Path) -> Iterator[list[Path]]:
    """Yield the files of a part that go together: one of the data, all below an entry of another part."""
    for path in _files(part) if part.name == DATA or not part.is_dir() else _listed(part):
        if not path.name.startswith(".") and (files := _files(path)):
            yield files


def _going(what: str, files: Sequence[Path]) -> Going:
    return Going(what, tuple(files), _size(files))


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _files(path: Path) -> list[Path]:
    """Return the file, or all files below the folder; what links lead to elsewhere is let be."""
    if not path.is_dir():
        return [path]
    return sorted(Path(place) / name for place, _, names in os.walk(path) for name in names)


def _size(files: Iterable[Path]) -> int:
    return sum(found.st_size for found in map(_stat, files) if found)


def _modified(path: Path) -> float:
    found = _stat(path)
    return found.st_mtime if found else 0.0


def _used(path: Path) -> float:
    found = _stat(path)
    return max(found.st_mtime, found.st_atime) if found else 0.0


def _stat(path: Path) -> os.stat_result | None:
    """Return the state of a file; None if another process removed it meanwhile."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
