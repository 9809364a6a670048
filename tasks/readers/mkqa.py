"""MKQA (the records of the original file, or the zip files of MIA 2022) in; questions, and a Collection of them, out.

Units:

* `question`: the same question in another language. Queries and documents are the same texts with the same ids.
* `answer`: question -> short answer, as mteb's MKQARetrieval: a document for each distinct answer string of a language,
  not normalised; aliases are no documents. Answers without a text (long, unanswerable) do not count, and one such
  answer leaves a question unanswered in that language. Unlike there, questions with equal wordings stay two queries.

The records of the original file say what kind of answer a question has: the facet `answer_type` (entity, date, ...).

With `options.answered`, only questions that have an answer are read. `options.records` names a file beside the card
that is read like a pinned one: `.jsonl`, `.jsonl.gz`, `.json` (a list of records) or `.zip`.
"""

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import pandas as pd

from tasks import assembly, collection, languages
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError, located
from tasks.lines import records
from tasks.parsing import json_file
from tasks.readers._json import get, text_or_null

UNITS = ("question", "answer")
OPTIONS = {"answered", "records"}
CODES = {"zh_cn": "zh-Hans", "zh_hk": "zh-HK", "zh_tw": "zh-TW"}
YES_OR_NO = {"yes", "no"}
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
LOCKED = 0x1  # of a member's flags


@dataclass(frozen=True)
class Question:
    """One question: its wordings, and its answers where it has any, by language tag."""

    id: str
    wordings: dict[str, str]
    answers: dict[str, list[str]] = field(default_factory=dict)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    binary: bool = False
    """Whether it is answered by yes or no."""
    answer_type: str | None = None
    """The type of its first answer, in English where it has one in English."""


def read(files: dict[File, Path], card: TaskCard) -> Collection:
    """Read the questions; rows stand by language, then in the order of the files."""
    if card.unit not in UNITS:
        raise UserError(f"{card.name}: the unit «{card.unit}» is none of {', '.join(UNITS)}.")
    assembly.check_options(card, OPTIONS)
    asked = questions(files, card)
    if card.unit == "answer":
        asked = [question for question in asked if question.answers]
        return collection.build(*_answers(asked), card.label)
    wordings = queries(asked)
    documents = wordings.rename(columns={"query_id": "doc_id"})
    judgements = documents[["topic", "doc_id"]].assign(relevance=1)
    documents = documents[["doc_id", "lang", "text"]]
    return collection.build(documents, wordings, judgements, card.label)


def questions(files: dict[File, Path], card: TaskCard) -> list[Question]:
    """Return the questions of all files. Raises UserError if a file is damaged or a language lacks a question."""
    beside = assembly.text_option(card, "records")
    paths = [*files.values(), *([assembly.below(card, "records", beside)] if beside else [])]
    found = [question for path in paths for question in _file(path)]
    return [question for question in found if question.answers or not card.options.get("answered")]


def queries(asked: Iterable[Question]) -> pd.DataFrame:
    """Return the wordings of the questions as queries, by language."""
    rows = [
        (f"{question.id}/{lang}", lang, text, question.id, question.answer_type)
        for question in asked
        for lang, text in question.wordings.items()
    ]
    rows.sort(key=lambda row: row[1])
    found = pd.DataFrame(rows, columns=["query_id", "lang", "text", "topic", "answer_type"], dtype="str")
    return found if found["answer_type"].any() else found.drop(columns="answer_type")


def _answers(asked: list[Question]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return documents, queries and judgements of question -> short answer."""
    judged = [
        (question.id, lang, text)
        for question in asked
        for lang, texts in question.answers.items()
        for text in dict.fromkeys(texts)
    ]
    judged.sort(key=lambda row: row[1])
    numbers: dict[tuple[str, str], str] = {}
    counted: Counter[str] = Counter()
    for _, lang, text in judged:
        if (lang, text) not in numbers:
            numbers[lang, text] = f"{lang}/{counted[lang]}"
            counted[lang] += 1
    documents = [(doc_id, lang, text) for (lang, text), doc_id in numbers.items()]
    judgements = [(topic, numbers[lang, text], 1) for topic, lang, text in judged]
    return (
        pd.DataFrame(documents, columns=["doc_id", "lang", "text"], dtype="str"),
        queries(asked),
        pd.DataFrame(judgements, columns=["topic", "doc_id", "relevance"]),
    )


def _file(path: Path) -> list[Question]:
    if path.suffix == ".json":
        listed = get({"the file": json_file(path)}, "the file", list, str(path))
        return list(_by_record((f"{path}, record {number}", record) for number, record in enumerate(listed, 1)))
    if path.suffix != ".zip":
        return list(_by_record(records(path)))
    try:
        with zipfile.ZipFile(path) as archive:
            return _by_language(path, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path} is not a whole zip file: {error}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error


def _by_record(found: Iterable[tuple[str, Any]]) -> Iterator[Question]:
    """Yield the questions of the original form: one record for each question, with all its languages."""
    spoken: set[str] = set()
    for place, record in found:
        wordings = get(record, "queries", dict, place)
        spoken = spoken or set(wordings)
        if different := sorted(spoken ^ set(wordings)):
            raise UserError(f"{place} and the records before it differ in their languages: {', '.join(different)}.")
        answers, aliases, binary, types = {}, {}, False, {}
        for code in (given := get(record, "answers", dict, place)):
            tag, listed = _tag(code, place), get(given, code, list, place)
            texts = [text_or_null(answer, "text", place) for answer in listed]
            if texts and all(texts):
                answers[tag] = texts
                aliases[tag] = [alias for answer in listed for alias in _aliases(answer, place)]
            kinds = [text_or_null({"type": answer.get("type")}, "type", place) for answer in listed]
            binary = binary or "binary" in kinds
            types[tag] = next(iter(kinds), None)
        yield Question(
            str(get(record, "example_id", int, place)),
            {_tag(code, place): get(wordings, code, str, place) for code in wordings},
            answers,
            aliases,
            binary,
            types.get("en") or next(filter(None, types.values()), None),
        )


def _aliases(answer: Any, place: str) -> list[str]:
    aliases = get(answer, "aliases", list, place) if answer.get("aliases") else []
    return [get({"alias": alias}, "alias", str, place) for alias in aliases]


def _by_language(path: Path, archive: zipfile.ZipFile) -> list[Question]:
    """Return the questions of a zip file that holds JSON Lines by language, the same questions in each."""
    found: dict[str, Question] = {}
    # One language of the test questions is a file without a line upstream.
    held = [one for one in archive.infolist() if one.filename.endswith(".jsonl") and one.file_size]
    if other := [one.filename for one in held if one.flag_bits & LOCKED or one.compress_type not in PACKED]:
        raise UserError(f"{path}: {other[0]} is encrypted, or packed otherwise than by deflate; pack the file anew.")
    members = sorted(one.filename for one in held)
    if not members:
        raise UserError(f"{path} holds no .jsonl file with questions.")
    for member in members:
        asked: set[str] = set()
        for place, record in records(cast("Path", zipfile.Path(archive, member))):  # reads like a Path
            lang = get(record, "lang", str, place)
            topic, _, code = get(record, "id", str, place).partition("_")
            if member != members[0] and topic not in found:
                raise UserError(f"{place}: the question {topic} is not in {members[0]}; languages must be parallel.")
            question, tag = found.setdefault(topic, Question(topic, {})), _tag(lang, place)
            if code != lang or tag in question.wordings:
                raise UserError(f"{place}: the id {topic}_{code} occurs twice or is not of the language {lang}.")
            asked.add(topic)
            question.wordings[tag] = get(record, "question", str, place)
            if answers := get(record, "answers", list, place):
                question.answers[tag] = [get({"answer": answer}, "answer", str, place) for answer in answers]
        if len(asked) != len(found):
            raise UserError(f"{path}: {member} has {len(asked):,} questions and {members[0]} has {len(found):,}.")
    return [replace(question, binary=_yes_or_no(question)) for question in found.values()]


def _yes_or_no(question: Question) -> bool:
    """Whether a question is answered by yes or no, where no type says so."""
    answers = {answer.strip().lower() for answer in question.answers.get("en", [])}
    return bool(answers) and answers <= YES_OR_NO


def _tag(code: str, place: str) -> str:
    with located(place):
        return _checked(CODES.get(code, code))


_checked = cache(languages.check)
