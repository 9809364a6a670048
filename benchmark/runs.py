"""Run files of TREC in, the documents that each query found out; and lists in, run files and judgements out.

A line is `query Q0 document rank score tag`, with spaces or tabs between; `.gz` is read, too. A file is read in blocks
by a parser of tables, never line by line. Only where something is wrong are the lines looked at one by one, so that the
first wrong one can be named.

A *direction* has a file of its own, whose name says which: `en--de.trec` (asked in English, searched in German),
`en--de+en.trec` (a pool of two languages), `en--multi.trec` (all together; `multi` is no language, `*` is no name on
every file system, and no tag has two hyphens in a row).
"""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute
from pyarrow import csv

from benchmark.ranking import ALL
from tasks.errors import UserError
from tasks.lines import LONGEST, lines, plain
from tasks.parsing import why

COLUMNS = ("query_id", "Q0", "doc_id", "rank", "score", "tag")
RUN, QRELS = ".trec", ".qrels"
ENDINGS = (RUN, ".run", ".txt")
MULTI = "multi"
BETWEEN = "--"
BLOCK = 1 << 24  # bytes read at a time
BLANK = " \t\r\v\f"
SPACES = bytes.maketrans(b"\t\r\v\f", b"    ")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
LARGEST = float(np.finfo(np.float32).max)
SHOWN = 60  # signs of a wrong cell
Direction = tuple[str, str]
"""The language of the question, and the pool."""


def find(path: Path) -> dict[Path, Direction | None]:
    """Return the files of a run: a file, of no direction as far as its name goes, or those of a folder."""
    if not path.exists():
        raise UserError(f"There is no run {path}.")
    if path.is_file():
        return {path: None}
    if (path / "evidence.json").is_file():
        raise UserError(f"{path} is a result, not a run; bench report {path} --measure … computes from its ranks.")
    found: dict[Path, Direction | None] = {
        file: direction(file)
        for file in sorted(path.iterdir())
        if file.is_file() and plain(file)[1] in ENDINGS and not file.name.startswith(".")
    }
    if not found:
        raise UserError(f"{path} holds no run file; they are called en--de{RUN} and en--{MULTI}{RUN}.")
    if len(set(found.values())) < len(found):
        first, second = next((one, two) for one in found for two in found if one < two and found[one] == found[two])
        raise UserError(f"{first} and {second} are of one direction; leave one of them out.")
    return found


def name(path: Path) -> str:
    """Return what a run is called where nobody says: by its file or folder, without ending."""
    return plain(path)[0] if path.is_file() else path.resolve().name


def direction(file: Path) -> Direction:
    """Return the direction that the name of a run file says."""
    asked, between, pool = plain(file)[0].partition(BETWEEN)
    if not (asked and between and pool):
        raise UserError(
            f"{file}: the name does not say which direction the run is of; call it en--de{RUN} (the language that "
            f"asks, the language that is searched) or en--{MULTI}{RUN}, or name the file itself instead of its folder."
        )
    return asked, ALL if pool == MULTI else pool


def stem(query_lang: str, pool: str) -> str:
    """Return what the files of a direction are called, without their ending."""
    return f"{query_lang}{BETWEEN}{MULTI if pool == ALL else pool}"


def read(path: Path) -> pd.DataFrame:
    """Return `query_id, doc_id, rank, score` of each line of a run; ids and ranks are texts, and categorical.

    Raises UserError for a line that is none of a run, with its number, and for a file that holds nothing.
    """
    try:
        parts = [_parsed(block) for block in _blocks(path)]
    except (OSError, EOFError, zlib.error, ValueError, pyarrow.ArrowException) as error:
        raise _fault(path, error) from error
    if not parts:
        raise UserError(f"{path} is empty; a run has a line for each document that a query found.")
    found: pd.DataFrame = pyarrow.concat_tables(parts).unify_dictionaries().to_pandas()
    if not (found["score"].abs() <= LARGEST).all():  # nor is NaN
        raise _fault(path, ValueError("a score is not finite"))
    return found


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield a file in blocks of whole lines."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
        rest = stream.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
        while read := stream.read(BLOCK):
            block = rest + read
            end = block.rfind(b"\n") + 1
            rest = block[end:]
            if len(rest) > LONGEST:
                raise ValueError("a line has no end")
            if end and not (whole := block[:end]).isspace():
                yield whole
    if rest and not rest.isspace():
        yield rest


def _parsed(block: bytes) -> pyarrow.Table:
    """Parse lines. Most files have one space between columns and nothing else, so others are made like them."""
    if b"\0" in block:
        raise ValueError("it holds a zero byte")
    if any(space in block for space in (b"\t", b"\r", b"\v", b"\f")):
        block = block.translate(SPACES)
    while b"  " in block:
        block = block.replace(b"  ", b" ")
    ids = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    parse = partial(
        csv.read_csv,
        read_options=csv.ReadOptions(column_names=COLUMNS),
        parse_options=csv.ParseOptions(delimiter=" ", quote_char=False),
        convert_options=csv.ConvertOptions(
            column_types={"query_id": ids, "doc_id": ids, "rank": ids, "score": pyarrow.float64()},
            include_columns=["query_id", "doc_id", "rank", "score"],
            null_values=[],
        ),
    )
    try:
        return parse(pyarrow.BufferReader(block))
    except pyarrow.ArrowInvalid:  # lines that begin or end with a space have a column too many; one may be very long
        whole = csv.ReadOptions(column_names=COLUMNS, block_size=len(block) + 1)
        bare = block.replace(b" \n", b"\n").replace(b"\n ", b"\n").strip()
        return parse(pyarrow.BufferReader(bare), read_options=whole)


def _fault(path: Path, error: Exception) -> UserError:
    """Return what is wrong with a file that could not be read: the first wrong line, and how many there are."""
    first, count = "", 0
    for where, line in lines(path):
        if line.strip(BLANK) and (wrong := _wrong(line)):
            first, count = first or f"{where}: {wrong}", count + 1
    if not count:
        return UserError(f"{path} cannot be read as a run: {why(error)}.")
    return UserError(first + (f" ({count - 1:,} more lines are wrong)." if count > 1 else "."))


def _wrong(line: str) -> str:
    """Say what is wrong with a line; "" if nothing is."""
    if "\0" in line:
        return "a zero byte; this is no text in UTF-8"
    cells = line.translate(str.maketrans(BLANK, " " * len(BLANK))).split(" ")
    cells = [cell for cell in cells if cell]
    if len(cells) != len(COLUMNS):
        judged = ", as judgements have them" if len(cells) == 4 else ""
        number = "is 1 column" if len(cells) == 1 else f"are {len(cells)} columns"
        return f"there {number}{judged}; a run has six (query, Q0, document, rank, score, tag)"
    score = cells[4]
    if not NUMBER.fullmatch(score):
        return f"the score «{score[:SHOWN]}» is not a finite number"
    if abs(float(score)) > LARGEST:
        return f"the score «{score[:SHOWN]}» is larger than float32 can hold, in which scores are compared"
    return ""


def line(path: Path, row: int) -> str:
    """Return where a row that `read` gave (0 is the first) stands: «file, line 3»."""
    written = (where for where, text in lines(path) if text.strip(BLANK))
    return next(where for place, where in enumerate(written) if place == row)


def write(path: Path, lists: pd.DataFrame, tag: str) -> None:
    """Append lists (`query_id, doc_id, rank, score`) to a run file; scores have as many digits as float32 holds."""
    _append(path, [lists["query_id"], "Q0", lists["doc_id"], lists["rank"], lists["score"], tag])


def write_qrels(path: Path, judged: pd.DataFrame) -> None:
    """Write judgements (`query_id, doc_id, relevance`) as TREC has them."""
    _append(path, [judged["query_id"], "0", judged["doc_id"], judged["relevance"]])


def _append(path: Path, columns: "list[pd.Series | str]") -> None:
    cells = [column if isinstance(column, str) else pyarrow.array(column).cast(pyarrow.string()) for column in columns]
    rows = pyarrow.compute.binary_join_element_wise(*cells, " ").to_pylist()
    with path.open("a", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{row}\n" for row in rows)


def require_writable(ids: pd.Series, what: str) -> None:
    """Raise UserError for an id that a file with spaces between its columns cannot hold."""
    if (bad := ids[ids.str.contains(r"\s", regex=True)]).size:
        raise UserError(f"The id of {what} «{bad.iloc[0]}» has a space in it, which a TREC file cannot hold.")
