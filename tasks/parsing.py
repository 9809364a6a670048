"""A TOML, JSON, Parquet or NumPy file in; what it holds out, or one sentence that says why it cannot be read.

Whatever the bytes are, nothing but UserError comes out, and nothing in them is run: no pickle is ever opened.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from pyarrow.parquet import ParquetFile

BITS = 63  # of an integer, besides its sign: TOML 1.0
HALF = re.compile(r"\\ud[89a-f]", re.IGNORECASE)
INDEX = re.compile(r"__index_level_\d+__")  # where pandas keeps row numbers
NAME = 255  # bytes of a file's name, on most systems


def inside(path: str) -> bool:
    """Whether a path, as a card or an archive writes it, stays below the folder that it starts from, on any system."""
    parts = PureWindowsPath(path)
    return (
        bool(parts.parts)
        and not parts.anchor
        and ".." not in parts.parts
        and path.isprintable()
        and all(len(part.encode()) <= NAME for part in parts.parts)
    )


def require_inside(path: Path, folder: Path) -> Path:
    """Return a path that looks as if it lay below a folder. Raises UserError if a link on its way leads elsewhere."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise UserError(f"{path} leads out of {folder} by a link; put the file itself there.")
    return path


def matching(folder: Path, pattern: object) -> list[Path] | None:
    """Return the files that fit a pattern below a folder, sorted; None if it is no such pattern."""
    if not isinstance(pattern, str) or not inside(pattern):
        return None
    try:
        return sorted(path for path in folder.glob(pattern) if path.is_file())
    except ValueError:
        return None


def toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says."""
    text = _text(path)
    try:
        says = tomllib.loads(text)
        if huge := [value for value in _numbers(says) if value.bit_length() > BITS]:
            raise ValueError(f"a number of {huge[0].bit_length():,} bits is too large")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid TOML: {why(error)}.") from error
    return says


def _numbers(says: Any) -> Iterator[int]:
    if isinstance(says, int):
        yield says
    elif isinstance(says, dict | list):
        for value in says.values() if isinstance(says, dict) else says:
            yield from _numbers(value)


def json_file(path: Path, *, finite: bool = False) -> Any:
    """Return what a JSON file holds; with `finite`, NaN and infinities, which JSON has not, are faults too."""
    text = _text(path)
    try:
        found = json_value(text)
        if finite:
            json.dumps(found, allow_nan=False)
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {why(error)}.") from error
    return found


def json_value(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError, also for deep nesting and for half of a surrogate pair."""
    try:
        found = json.loads(text)
        if HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError(why(error)) from error
    return found


def frame(path: Path) -> "pd.DataFrame":
    """Return the table in a Parquet file; what pandas or others wrote beside its columns is not looked at."""
    with parquet(path) as file:
        table = file.read()
        table.validate(full=True)  # Arrow takes any bytes for text unless asked
        found: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return found.loc[:, [INDEX.fullmatch(name) is None for name in found.columns]]


@contextmanager
def parquet(path: Path) -> "Iterator[ParquetFile]":
    """Yield an open Parquet file; whatever is found wrong with it becomes one sentence."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            yield file
    except (OSError, ValueError, OverflowError, pyarrow.ArrowException) as error:
        raise UserError(f"{path} cannot be read as Parquet: {why(error)}.") from error


def array(path: Path) -> "NDArray[Any]":
    """Return the array of numbers in a file, which is not read before it is needed."""
    from numpy.lib.format import open_memmap  # which takes neither archives nor pickles

    try:
        found: NDArray[Any] = open_memmap(path, mode="r")
    except Exception as error:  # NumPy reads a literal of Python there, so anything can come of other bytes
        raise UserError(f"{path} is no array of numbers as numpy.save writes it ({why(error)}).") from error
    return found


def why(error: Exception) -> str:
    """Return what a library says of a fault, without its further lines and its full stop."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    said = getattr(error, "strerror", None) or str(error)
    return next(iter(said.strip().splitlines()), "").strip(" .") or type(error).__name__


def _text(path: Path) -> str:
    """Return a file's text, without a byte order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: byte {error.start:,} belongs to no character.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
