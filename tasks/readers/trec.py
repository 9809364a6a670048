"""TREC files beside their card in; Collection out.

Documents are TREC SGML (`<DOC><DOCNO>…<TEXT>…`) or JSONL; topics `<top>` blocks, two columns (`number`, text) in .tsv,
or JSONL; judgements `topic 0 docno relevance`. Each may be `.gz`. `options.documents`, `topics` and `qrels` name the
files by pattern (`docs/*.sgml.gz`), or by language: `{ de = "topics.de.txt", en = "topics.en.txt" }`. A topic's number
is the same in all languages, so one file of judgements serves them all.
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tasks import assembly, languages
from tasks.assembly import Judgement, Part, Tags
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tasks.lines import Record, lines, plain, records

PATTERNS = {"documents": "documents*", "topics": "topics*", "qrels": "qrels*"}
FIELDS = {"title": "title", "description": "desc", "narrative": "narr"}
TITLES = ("title", "headline", "head", "ti")
ASCII = b"\t\r\n" + bytes(range(32, 127)).replace(b"\\", b"") + rb"\u0041"
NO_LETTER = re.compile(r"&#[0-9]{99,};?")  # a number that Python refuses to read
LABEL = re.compile(r"^\s*(number|topic|title|description|narrative)\s*:", re.IGNORECASE)


def read(files: dict[File, Path], card: TaskCard) -> Collection:  # noqa: ARG001 - every reader has this signature
    """Read the files that the card's options name."""
    assembly.check_options(card, {*PATTERNS, "topic_field", "encoding"})
    field = assembly.text_option(card, "topic_field", "title")
    encoding = assembly.text_option(card, "encoding", "utf-8")
    if field not in FIELDS:
        raise UserError(f"{card.name}: options.topic_field must be one of {', '.join(FIELDS)}.")
    if not _keeps_lines(encoding):
        raise UserError(
            f"{card.name}: options.encoding «{encoding}» is not the name of an encoding that holds ASCII as it is."
        )
    documents = [
        assembly.table(_documents(path, encoding), "document", card, tag) for tag, path in _files(card, "documents")
    ]
    topics = _files(card, "topics")
    asked = [assembly.table(_topics(path, field, encoding), "query", card, tag) for tag, path in topics]
    queries = pd.concat(asked, ignore_index=True)
    if queries["query_id"].duplicated().any():  # one number, several languages
        queries = queries.assign(query_id=queries["query_id"] + "/" + queries["lang"])
    judged = assembly.judgements(line for _, path in _files(card, "qrels") for line in _qrels(path))
    return assembly.assemble([Part(Tags("", ""), pd.concat(documents, ignore_index=True), queries, judged)], card)


def _keeps_lines(encoding: str) -> bool:
    """Whether text in an encoding can be cut into lines before it is decoded, which is then no more than that."""
    try:
        return ASCII.decode(encoding) == ASCII.decode()
    except (LookupError, ValueError):
        return False


def _files(card: TaskCard, option: str) -> list[tuple[str, Path]]:
    """Return (tag, path) of the files that an option names; the tag is empty where a pattern names no language."""
    said = card.options.get(option, PATTERNS[option])
    patterns = said if isinstance(said, dict) else {"": said}
    found = []
    for tag, pattern in patterns.items():
        if tag:
            languages.check(tag, f"{card.name}: options.{option}")
        if not (paths := assembly.matching(card, option, pattern)):
            raise UserError(f"{card.folder} has no {option} «{pattern}»; name the files by options.{option}.")
        found += [(tag, path) for path in paths]
    return found


def _documents(path: Path, encoding: str) -> Iterator[Record]:
    if plain(path)[1] == ".jsonl":
        yield from records(path, encoding)
        return
    for where, block in _blocks(path, "DOC", encoding):
        number = _tagged(block, ("docno",))
        if not number:
            raise UserError(f"{where}: this document has no <DOCNO>.")
        texts = _tagged(block, ("text",)) or _without(block, "docno")
        yield where, {"docno": _stripped(number), "title": _stripped(_tagged(block, TITLES)), "text": _stripped(texts)}


def _tagged(block: str, tags: tuple[str, ...]) -> str:
    """Return what stands in the elements of the first of these tags that there is."""
    found = ([block[start:end] for _, start, end, _ in _elements(block, tag)] for tag in tags)
    return "\n".join(next((parts for parts in found if parts), []))


def _without(block: str, tag: str) -> str:
    """Return a block without the elements of a tag."""
    kept, last = [], 0
    for begin, _, _, end in _elements(block, tag):
        kept.append(block[last:begin])
        last = end
    return "".join([*kept, block[last:]])


def _elements(block: str, tag: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield where each element begins, its content starts and ends, and it ends. Looks at no letter twice."""
    opening, closing = re.compile(rf"(?i)<{tag}\b[^<>]*>"), re.compile(rf"(?i)</{tag}>")
    place = 0
    while (begins := opening.search(block, place)) and (ends := closing.search(block, begins.end())):
        yield begins.start(), begins.end(), ends.start(), ends.end()
        place = ends.end()


def _stripped(text: str) -> str:
    text = NO_LETTER.sub("\ufffd", re.sub(r"<[^<>]*>", " ", text))
    return " ".join(html.unescape(text).split())


def _topics(path: Path, field: str, encoding: str) -> Iterator[Record]:
    ending = plain(path)[1]
    if ending == ".jsonl":
        yield from records(path, encoding)
    elif ending == ".tsv":
        for where, line in lines(path, encoding):
            if not line.strip():
                continue
            cells = line.split("\t")
            if len(cells) != 2:
                raise UserError(f"{where}: there are {len(cells)} columns; a topic has a number and a text.")
            yield where, {"_id": cells[0], "text": cells[1]}
    else:
        for where, block in _blocks(path, "top", encoding):
            cells = re.split(r"(?i)<(num|title|desc|narr)\b[^<>]*>", block)
            says = {
                name.lower(): LABEL.sub("", _stripped(said)).strip()
                for name, said in zip(cells[1::2], cells[2::2], strict=True)
            }
            for name in ("num", FIELDS[field]):
                if not says.get(name):
                    raise UserError(f"{where}: this topic has no <{name}>.")
            yield where, {"_id": says["num"], "text": says[FIELDS[field]]}


def _blocks(path: Path, tag: str, encoding: str) -> Iterator[tuple[str, str]]:
    """Yield (where, content) of each `<tag>…</tag>` of a file, read line by line."""
    start, content = "", [""]
    opening, closing = re.compile(rf"(?i)<{tag}>"), re.compile(rf"(?i)</{tag}>")
    for where, line in lines(path, encoding):
        place = 0
        while place < len(line):
            if not start:
                found = opening.search(line, place)
                if not found:
                    break
                start, content, place = where, [], found.end()
            found = closing.search(line, place)
            end = found.start() if found else len(line)
            if opening.search(line, place, end):
                raise UserError(f"{where}: a <{tag}> begins before the one at {start.rpartition(', ')[2]} ends.")
            content.append(line[place:end])
            if not found:
                break
            yield start, "\n".join(content)
            start, place = "", found.end()
    if start:
        raise UserError(f"{start}: the file ends before this <{tag}> does; it is cut off.")


def _qrels(path: Path) -> Iterator[Judgement]:
    for where, line in lines(path):
        cells = line.split()
        if len(cells) == 4:
            yield where, cells[0], cells[2], cells[3]
        elif cells:
            raise UserError(f"{where}: there are {len(cells)} columns instead of four (topic, 0, document, relevance).")
