"""A folder of vectors that were computed elsewhere in (`vectors:FOLDER`); its vectors by id, out.

For `queries` and `documents` each: `<name>.npy`, an array [n, dim] of float16, float32 or float64, and `<name>.txt`,
the id of each row on a line; or `<name>.parquet` with the columns `id` and `vector`. The ids are the task's, in any
order. It is asked for ids where other models are asked for texts, keeps nothing in the store, and never unpickles.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.encoders import ROLES, Asked, Model, Role, similarity_of
from tasks import parsing
from tasks.errors import UserError
from tasks.lines import lines

TAKES = frozenset({"similarity"})
NAMES: dict[Role, str] = {"query": "queries", "document": "documents"}
SHOWN = 3  # ids in a sentence
Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class _Side:
    """The vectors of one role, and whose they are."""

    path: Path
    ids: pd.Index
    vectors: Vectors


def load(source: str, asked: Asked) -> "Precomputed":
    """Return the encoder of a folder. Raises UserError that names the file in which something is wrong."""
    name = source.partition(":")[2]
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        raise UserError(f"There is no folder «{name}»; write --model vectors:FOLDER.")
    sides, files = {}, []
    for role in ROLES:
        sides[role], read = _side(folder, NAMES[role])
        files += read
    widths = {role: side.vectors.shape[1] for role, side in sides.items()}
    if widths["query"] != widths["document"]:
        raise UserError(
            f"{folder}: queries have {widths['query']} dimensions and documents {widths['document']}; "
            "vectors of one model have as many."
        )
    sha = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            sha.update(f"{path.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    model = Model(
        name=asked.name or folder.resolve().name,
        family="precomputed",
        source=source,
        revision="",
        fingerprint=sha.hexdigest(),
        parameters=0,
        similarity=similarity_of(asked),
        dtype=sides["document"].vectors.dtype.name,
        device="",
        prompts={"query": "", "document": ""},
        engine={},
        citation=asked.citation,
        notes=asked.notes,
    )
    return Precomputed(model, sides)


class Precomputed:
    """Vectors by id."""

    kind: Final = "vector"
    budget = 1 << 30
    threads = 0

    def __init__(self, model: Model, sides: dict[Role, _Side]) -> None:
        self.model, self.sides = model, sides

    def space(self, role: Role) -> dict[str, Any]:
        """Return what tells these vectors from others."""
        return {"family": "precomputed", "fingerprint": self.model.fingerprint, "role": role}

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:  # noqa: ARG002
        """Return nothing known: what was sent, and what of it was cut, whoever computed them knows."""
        return np.full(len(texts), -1, dtype=np.int32), 0

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Return the vectors [n, dim] of these ids, which stand in the place of texts."""
        side = self.sides[role]
        places = side.ids.get_indexer(pd.Index(list(texts), dtype=object))
        if (places < 0).any():
            missing = [text for text, place in zip(texts, places, strict=True) if place < 0]
            raise UserError(
                f"{side.path} has no vector for {_shown(missing)}, of the {len(texts):,} {NAMES[role]} of this task; "
                "ids are those that the task gives."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.ascontiguousarray(side.vectors[places], dtype=np.float32)
            faults = {
                "with NaN, infinity or more than float32 holds": ~np.isfinite(found).all(axis=1),
                "of zeros, which has no direction": ~found.any(axis=1),
            }
        for what, bad in faults.items():
            if bad.any():
                those = [texts[place] for place in np.flatnonzero(bad).tolist()]
                raise UserError(f"{side.path} has a vector {what}, for {_shown(those)}; compute it again.")
        return found

    def count(self, role: Role) -> int:
        """Return how many vectors there are."""
        return len(self.sides[role].ids)


def _shown(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    return ", ".join(f"«{one}»" for one in ids[:SHOWN]) + more


def _side(folder: Path, name: str) -> tuple[_Side, list[Path]]:
    """Return one side of a folder, and the files that it was read from."""
    array, listed, packed = (folder / f"{name}.{ending}" for ending in ("npy", "txt", "parquet"))
    if packed.is_file() and array.is_file():
        raise UserError(f"{folder} has both {array.name} and {packed.name}; leave one of them out.")
    if packed.is_file():
        ids, vectors, files = *_packed(packed), [packed]
    elif array.is_file():
        ids, vectors, files = _ids(listed), _checked(array, parsing.array(array)), [array, listed]
    else:
        raise UserError(f"{folder} has neither {array.name} (with {listed.name}) nor {packed.name}.")
    if len(ids) != len(vectors):
        raise UserError(f"{array} has {len(vectors):,} rows, and {listed.name} {len(ids):,} ids; it needs one a row.")
    if (twice := ids[ids.duplicated()]).size:
        raise UserError(f"{files[-1]} has the id {_shown([*twice.unique()])} more than once.")
    if (ids == "").any():
        raise UserError(f"{files[-1]} has an empty id, in row {int(np.argmax(ids == '')) + 1:,}.")
    return _Side(files[0], ids, vectors), files


def _ids(path: Path) -> pd.Index:
    if not path.exists():
        raise UserError(f"{path} is missing: it says whose vector each row is, one id on a line.")
    return pd.Index([line for _, line in lines(path)], dtype=object)


def _packed(path: Path) -> tuple[pd.Index, Vectors]:
    import pyarrow
    import pyarrow.compute

    with parsing.parquet(path) as file:
        table = file.read(["id", "vector"])
        table.validate(full=True)
    try:
        ids, rows = table.column("id").cast(pyarrow.string()), table.column("vector")
        widths = pyarrow.compute.list_value_length(rows).unique().to_pylist()
        flat = pyarrow.compute.list_flatten(rows)
    except (KeyError, pyarrow.ArrowException) as error:
        raise UserError(
            f"{path} has no columns id (text) and vector (list of numbers): {parsing.why(error)}."
        ) from error
    if ids.null_count or rows.null_count or flat.null_count or len(widths) != 1:
        raise UserError(f"{path} has no rows, rows with a hole, or vectors of several lengths.")
    vectors = _checked(path, flat.to_numpy().reshape(len(rows), widths[0]))
    return pd.Index(ids.to_pylist(), dtype=object), vectors


def _checked(path: Path, found: NDArray[Any]) -> Vectors:
    """Return an array if it is one of vectors."""
    if found.dtype.kind != "f" or found.dtype.itemsize > 8:
        raise UserError(f"{path} holds {found.dtype.name}; vectors are float16, float32 or float64.")
    if found.ndim != 2 or not found.shape[1]:
        raise UserError(f"{path} has the shape {found.shape}; vectors are an array [n, dim].")
    return found
