"""Questions with their gold passages (SQuAD JSON without sentence breaks, one file per language) in; Collection out.

A passage is a document once for each language, however many questions it answers; passages are told apart by their
text without the space around it. A question is a topic of its own, and its gold passage is all that is relevant to it.

Units: `passage`; `passage with title` (the title of its article stands before it).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tasks import collection
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tasks.parsing import json_file
from tasks.readers._json import get

UNITS = ("passage", "passage with title")


class Gold(NamedTuple):
    """A question, its wordings by language, and the passage that answers it."""

    topic: str
    wordings: dict[str, str]
    lang: str
    passage: str
    title: str
    asked: str = ""
    """The language in which the question was first asked, where there are several wordings."""


def read(files: dict[File, Path], card: TaskCard) -> Collection:
    """Read one file per language."""
    return gather([gold for file, path in files.items() for gold in _language(path, file.language)], card)


def gather(asked: Iterable[Gold], card: TaskCard) -> Collection:
    """Join questions and gold passages to a Collection with each passage once."""
    if card.unit not in UNITS:
        raise UserError(f"{card.name}: the unit «{card.unit}» is none of {', '.join(UNITS)}.")
    documents: dict[tuple[str, str], tuple[str, str, str, str]] = {}
    counted: dict[str, int] = {}
    queries, judgements = [], []
    for gold in asked:
        passage = gold.lang, gold.passage.strip()
        if passage not in documents:
            number = counted[gold.lang] = counted.get(gold.lang, -1) + 1
            documents[passage] = (f"{gold.lang}/{number}", *passage, gold.title)
        judgements.append((gold.topic, documents[passage][0], 1))
        for lang, text in gold.wordings.items():
            queries.append((f"{gold.topic}/{lang}", lang, text.strip(), gold.topic, gold.asked))
    found = pd.DataFrame(documents.values(), columns=["doc_id", "lang", "text", "title"], dtype="str")
    wordings = pd.DataFrame(queries, columns=["query_id", "lang", "text", "topic", "asked"], dtype="str")
    return collection.build(
        found if card.unit == "passage with title" else found.drop(columns="title"),
        wordings if wordings["asked"].any() else wordings.drop(columns="asked"),
        pd.DataFrame(judgements, columns=["topic", "doc_id", "relevance"]),
        card.label,
    )


def _language(path: Path, lang: str) -> Iterable[Gold]:
    where = str(path)
    for number, article in enumerate(get(json_file(path), "data", list, where), 1):
        place = f"{where}, article {number}"
        title = get(article, "title", str, place)
        for paragraph in get(article, "paragraphs", list, place):
            passage = get(paragraph, "context", str, place)
            for qa in get(paragraph, "qas", list, place):
                yield Gold(get(qa, "id", str, place), {lang: get(qa, "question", str, place)}, lang, passage, title)
