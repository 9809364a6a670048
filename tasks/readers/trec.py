"""TREC files beside their card in; Collection out.

Documents are TREC SGML (`<DOC><DOCNO>…<TEXT>…`) or JSONL; topics `<top>` blocks, two columns (`number`, text) in .tsv,
or JSONL; judgements `topic 0 docno relevance`. Each may be `.gz`. `options.documents`, `topics` and `qrels` name the
files by pattern (`docs/*.sgml.gz`), or by language: `{ de = "topics.de.txt", en = "topics.en.txt" }`. A topic's number
is the same in all languages, so one file of judgements serves them all.
"""

import codecs
import html
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tasks import assembly, languages
from tasks.assembly import Judgement, Part
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tasks.lines import Record, lines, plain, records

PATTERNS = {"documents": "documents*", "topics": "topics*", "qrels": "qrels*"}
FIELDS = {"title": "title", "description": "desc", "narrative": "narr"}
TITLES = ("title", "headline", "head", "ti")
LABEL = re.compile(r"^\s*(number|topic|title|description|narrative)\s*:", re.IGNORECASE)


def read(files: dict[File, Path], card: TaskCard) -> Collection:  # noqa: ARG001 - every reader has this signature
    """Read the files that the card's options name."""
    assembly.check_options(card, {*PATTERNS, "topic_field", "encoding"})
    field = assembly.text_option(card, "topic_field", "title")
    encoding = assembly.text_option(card, "encoding", "utf-8")
    if field not in FIELDS:
        raise UserError(f"{card.name}: options.topic_field must be one of {', '.join(FIELDS)}.")
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise UserError(f"{card.name}: options.encoding «{encoding}» is not the name of an encoding.") from error
    documents = [
        assembly.table(_documents(path, encoding), "document", card, tag) for tag, path in _files(card, "documents")
    ]
    topics = _files(card, "topics")
    asked = [assembly.table(_topics(path, field, encoding), "query", card, tag) for tag, path in topics]
    queries = pd.concat(asked, ignore_index=True)
    if queries["query_id"].duplicated().any():  # one number, several languages
        queries = queries.assign(query_id=queries["query_id"] + "/" + queries["lang"])
    judged = assembly.judgements(line for _, path in _files(card, "qrels") for line in _qrels(path))
    return assembly.assemble([Part("", pd.concat(documents, ignore_index=True), queries, judged)], card)


def _files(card: TaskCard, option: str) -> list[tuple[str, Path]]:
    """Return (tag, path) of the files that an option names; the tag is empty where a pattern names no language."""
    said = card.options.get(option, PATTERNS[option])
    patterns = said if isinstance(said, dict) else {"": said}
    found = []
    for tag, pattern in patterns.items():
        if tag:
            languages.check(tag)
        if not isinstance(pattern, str) or pattern.startswith("/") or ".." in Path(pattern).parts:
            raise UserError(f"{card.name}: options.{option} must be a pattern of files below {card.folder}.")
        paths = sorted(path for path in card.folder.glob(pattern) if path.is_file())
        if not paths:
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
        texts = _tagged(block, ("text",)) or re.sub(r"(?is)<docno>.*?</docno>", "", block)
        yield where, {"docno": _stripped(number), "title": _stripped(_tagged(block, TITLES)), "text": _stripped(texts)}


def _tagged(block: str, tags: tuple[str, ...]) -> str:
    """Return what stands in the elements of the first of these tags that there is."""
    found = (re.findall(rf"(?is)<{tag}\b[^>]*>(.*?)</{tag}>", block) for tag in tags)
    return "\n".join(next((parts for parts in found if parts), []))


def _stripped(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _topics(path: Path, field: str, encoding: str) -> Iterator[Record]:
    ending = plain(path)[1]
    if ending == ".jsonl":
        yield from records(path, encoding)
    elif ending == ".tsv":
        for where, line in lines(path, encoding):
            cells = line.split("\t")
            if len(cells) != 2:
                raise UserError(f"{where}: there are {len(cells)} columns; a topic has a number and a text.")
            yield where, {"_id": cells[0], "text": cells[1]}
    else:
        for where, block in _blocks(path, "top", encoding):
            cells = re.split(r"(?i)<(num|title|desc|narr)\b[^>]*>", block)
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
        rest = line
        while rest:
            if not start:
                found = opening.search(rest)
                if not found:
                    break
                start, content, rest = where, [], rest[found.end() :]
            found = closing.search(rest)
            if opening.search(rest, 0, found.start() if found else len(rest)):
                raise UserError(f"{where}: a <{tag}> begins before the one at {start.rpartition(', ')[2]} ends.")
            content.append(rest[: found.start()] if found else rest)
            if not found:
                break
            yield start, "\n".join(content)
            start, rest = "", rest[found.end() :]
    if start:
        raise UserError(f"{start}: the file ends before this <{tag}> does; it is cut off.")


def _qrels(path: Path) -> Iterator[Judgement]:
    for where, line in lines(path):
        cells = line.split()
        if len(cells) == 4:
            yield where, cells[0], cells[2], cells[3]
        elif cells:
            raise UserError(f"{where}: there are {len(cells)} columns instead of four (topic, 0, document, relevance).")
