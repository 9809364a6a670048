"""A text file in (plain or .gz); its lines and JSON records out, every fault named by file and line."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.parsing import json_value

if TYPE_CHECKING:
    import pandas as pd

Record = tuple[str, dict[str, Any]]
"""Where a record stands («file, line 3»), for errors, and its fields."""
MAGIC = b"\x1f\x8b"  # a gzip file begins so
CHUNK = 100_000  # records that are Python objects at once
LONGEST = 1 << 27
"""Bytes of a line, at most: a small packed file can unpack to a line that no memory holds."""


def lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[str, str]]:
    """Yield (where, line) for each line of a file, without its end."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, raw in enumerate(iter(lambda: stream.readline(LONGEST), b""), 1):
                if len(raw) == LONGEST:
                    raise UserError(f"{path}, line {number}: this line has more than {LONGEST >> 20} MiB; cut it up.")
                line = raw.decode(encoding)
                yield f"{path}, line {number}", (line.removeprefix("\ufeff") if number == 1 else line).rstrip("\r\n")
    except UnicodeDecodeError as error:
        advice = "it is packed, so let its name end in .gz" if _packed(path) else "save the file as UTF-8"
        raise UserError(f"{path}, line {number}: this is not {encoding.upper()}; {advice}.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}, line {number + 1}: the packed file is damaged or cut off; bring it again.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error


def _packed(path: Path) -> bool:
    with path.open("rb") as stream:
        return path.suffix != ".gz" and stream.read(2) == MAGIC


def records(path: Path, encoding: str = "utf-8") -> Iterator[Record]:
    """Yield the records of a file of JSON objects, one a line; empty lines are passed over."""
    for where, line in lines(path, encoding):
        if not line.strip():
            continue
        try:
            record = json_value(line)
        except ValueError as error:
            raise UserError(f"{where}: this is not JSON ({error}); write one object a line.") from error
        if not isinstance(record, dict):
            raise UserError(f"{where}: this is not a JSON object; write one object a line.")
        yield where, record


def rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (where, cells) for each line of a table with tabs between its columns, the header first."""
    width = 0
    for where, line in lines(path):
        cells = line.split("\t")
        width = width or len(cells)
        if len(cells) == width:
            yield where, cells
        elif line.strip():
            raise UserError(f"{where}: the number of columns is {len(cells)} here and {width} in the header.")


def frame(rows: Iterable[dict[str, Any]]) -> "pd.DataFrame":
    """Return rows as a table, with a column for each field that any of them has."""
    import pandas as pd

    rows, chunks = iter(rows), []
    while chunk := list(islice(rows, CHUNK)):
        chunks.append(pd.DataFrame(chunk))
    return pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame()


def plain(path: Path) -> tuple[str, str]:
    """Return a file's stem and ending without .gz: `topics.en.tsv.gz` gives («topics.en», «.tsv»)."""
    inner = Path(path.stem) if path.suffix == ".gz" else Path(path.name)
    return inner.stem, inner.suffix
