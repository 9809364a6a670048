"""Line-aligned plain texts, one file per language, in; a Collection in which line i of every file is topic i, out.

Each line is a query and, with the same id `<topic>/<language>`, a document; relevant to a topic are its documents in
all languages. A card of such files says `symmetric = true` and `ignore_identical_ids = true`, so that no text finds
itself.

Lines end with LF or CRLF and nothing else (a U+2028 stays in its sentence); a byte order mark is no text, and white
space around a line is none either. A line that is empty in one language is a wording that is missing there: the
topic stays, in the other languages. The card's option `left_out` treats further lines so, which do not say what the
other files say: `{ fr = [[425, 698]] }`, first and last, counted from 1.

The option `facets` says what a file without a language holds of each topic, line by line, a line more at its head being
a header: `{ domain = { column = 2 } }`, columns counted from 1, tabs between. With `match`, a regular expression, the
value is what it finds first in the cell.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import regex  # type: ignore[import-untyped]

from tasks import collection
from tasks import lines as text_lines
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError

PATIENCE = 1  # second that a pattern may take for a cell


def read(files: dict[File, Path], card: TaskCard) -> Collection:
    """Read one plain text per language."""
    texts: dict[str, list[str]] = {}
    about = [path for file, path in files.items() if not file.language] if "facets" in card.options else []
    files = {file: path for file, path in files.items() if path not in about}
    paths = list(files.values())
    for file, path in files.items():
        if not file.language or file.language in texts:
            fault = f"a second file in «{file.language}»" if file.language else "a file without a language"
            raise UserError(f"{card.label} has {fault}, {path}; parallel texts are one file per language.")
        texts[file.language] = sentences(path)
        same_length(paths[0], next(iter(texts.values())), path, texts[file.language])
    if not texts:
        raise UserError(f"{card.label} names no file; parallel texts are one file per language.")
    count = len(next(iter(texts.values())))
    _leave_out(texts, count, card)
    width = max(4, len(str(count)))
    wordings = pd.DataFrame(
        {
            "topic": pd.Series([f"{number:0{width}}" for number in range(1, count + 1)] * len(texts), dtype="str"),
            "lang": pd.Series(np.repeat(list(texts), count), dtype="str"),
            "text": pd.Series([line for found in texts.values() for line in found], dtype="str"),
        }
    )
    wordings = wordings.assign(**{name: cells * len(texts) for name, cells in _facets(about, count, card).items()})
    wordings = wordings[wordings["text"] != ""]
    return symmetric(wordings.assign(id=wordings["topic"] + "/" + wordings["lang"]), card)


def sentences(path: Path) -> list[str]:
    """Return the lines of a text, stripped. Raises UserError if it is not UTF-8 or says nothing."""
    found = [line.strip() for _, line in text_lines.lines(path)]
    if not any(found):
        raise UserError(f"{path} is empty; it should hold one sentence on each line.")
    return found


def same_length(path: Path, found: list[str], other: Path, others: list[str]) -> None:
    """Raise UserError, naming both files, unless they have equally many lines."""
    if len(found) != len(others):
        counts = f"{other} has {len(others):,} lines and {path} has {len(found):,}"
        raise UserError(f"{counts}; in line-aligned files, line i of one is line i of the other.")


def symmetric(wordings: pd.DataFrame, card: TaskCard) -> Collection:
    """Build a Collection of wordings (`id, lang, text, topic`) that are queries and documents at once.

    Further columns are facets of the queries; `part` belongs to both sides.
    """
    documents = wordings.rename(columns={"id": "doc_id"})
    return collection.build(
        documents[[column for column in ("doc_id", "lang", "text", "part") if column in documents]],
        wordings.rename(columns={"id": "query_id"}),
        pd.DataFrame({"topic": wordings["topic"], "doc_id": wordings["id"], "relevance": 1}),
        card.label,
    )


def _facets(paths: list[Path], count: int, card: TaskCard) -> dict[str, list[str]]:
    """Return what the card's facets are of each topic; where the pattern finds nothing, nothing is said."""
    said: dict[str, dict[str, Any]] = card.options.get("facets", {})
    if not said:
        return {}
    if not isinstance(said, dict):
        raise UserError(f"{card.label}: options.facets must be a table of name = {{ column = 1 }}.")
    if len(paths) != 1:
        raise UserError(f"{card.label}: options.facets need one file without a language; there are {len(paths)}.")
    rows = [(where, line.split("\t")) for where, line in text_lines.lines(paths[0])]
    if len(rows) not in (count, count + 1):
        raise UserError(f"{paths[0]} has {len(rows):,} lines and the texts have {count:,}; it must say one for each.")
    found: dict[str, list[str]] = {}
    for name, how in said.items():
        try:
            place, pattern = int(how["column"]) - 1, regex.compile(how.get("match", ".*"))
        except (TypeError, KeyError, ValueError, OverflowError, RecursionError, regex.error) as error:
            raise UserError(f'{card.label}: options.facets.{name} must be {{ column = 1, match = "…" }}.') from error
        if name in ("topic", "lang", "text", "id", "part"):
            raise UserError(f"{card.label}: a facet cannot be called {name}, which every text has; name it otherwise.")
        for where, cells in rows[-count:]:
            if not 0 <= place < len(cells):
                raise UserError(f"{where}: there is no column {place + 1}, which options.facets.{name} names.")
        try:
            matches = [pattern.search(cells[place], timeout=PATIENCE) for _, cells in rows[-count:]]
        except TimeoutError as error:
            raise UserError(
                f"{card.label}: the pattern of options.facets.{name} takes too long; write another."
            ) from error
        found[name] = [match[0] if match else "" for match in matches]
    return found


def _leave_out(texts: dict[str, list[str]], count: int, card: TaskCard) -> None:
    """Empty the lines that the card leaves out; a variant may do without a language that is named there."""
    left_out = card.options.get("left_out", {})
    if not isinstance(left_out, dict) or not all(isinstance(ranges, list) for ranges in left_out.values()):
        raise UserError(f"{card.label}: options.left_out must be a table of language = [[first, last], …].")
    for language, ranges in left_out.items():
        if language not in texts:
            if card.variant:
                continue
            raise UserError(f"{card.label} leaves out lines in «{language}», in which it has no file.")
        for lines in ranges:
            numbers = lines if isinstance(lines, list) and all(type(end) is int for end in lines) else []
            if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1] <= count:
                raise UserError(
                    f"{card.label} leaves out lines {lines!r} in «{language}»; write [first, last], of {count:,} lines."
                )
            first, last = numbers
            texts[language][first - 1 : last] = [""] * (last - first + 1)
