"""SQuAD JSON with sentence breaks, one file per language, in; question -> sentence (or paragraph) Collection out.

The construction is LAReQA's (arXiv:2004.05484, section 3.1), settled where the paper is silent by what reproduces its
counts: one candidate for each entry of `sentence_breaks`, sliced from the paragraph (offsets are code points), neither
stripped nor deduplicated; relevant is the sentence that holds the *start* of the answer. Questions with one id are one
topic, and a topic's answers in all languages are relevant to each of its wordings. The facet `article` of a question is
the title of the article that it is asked on: the English one, where the question has a wording in English.

Units: `sentence`; `sentence in context` (the sentence, a space, its paragraph); `paragraph`.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from tasks import collection
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tasks.parsing import json_file
from tasks.readers._json import get, text_or_null

UNITS = ("sentence", "sentence in context", "paragraph")


def read(files: dict[File, Path], card: TaskCard) -> Collection:
    """Read one SQuAD file per language."""
    if card.unit not in UNITS:
        raise UserError(f"{card.name}: the unit «{card.unit}» is none of {', '.join(UNITS)}.")
    documents: list[tuple[str, str, str]] = []
    queries: list[tuple[str, str, str, str]] = []
    judgements: list[tuple[str, str, int]] = []
    titles: dict[str, str] = {}
    for file, path in files.items():
        found = _language(path, file.language, card.unit, documents, queries, judgements)
        titles = titles | found if file.language == "en" else found | titles
    asked = pd.DataFrame(queries, columns=["query_id", "lang", "text", "topic"], dtype="str")
    return collection.build(
        pd.DataFrame(documents, columns=["doc_id", "lang", "text"], dtype="str"),
        asked.assign(article=asked["topic"].map(titles)),
        pd.DataFrame(judgements, columns=["topic", "doc_id", "relevance"]),
        card.label,
    )


def _language(
    path: Path,
    lang: str,
    unit: str,
    documents: list[tuple[str, str, str]],
    queries: list[tuple[str, str, str, str]],
    judgements: list[tuple[str, str, int]],
) -> dict[str, str]:
    """Add what one file holds, and return the title of the article of each question."""
    where, titles, number = str(path), {}, -1
    for count, article in enumerate(get(json_file(path), "data", list, where), 1):
        place = f"{where}, article {count}"
        title = text_or_null(article, "title", place) if "title" in article else ""
        for paragraph in get(article, "paragraphs", list, place):
            number += 1
            context, breaks = get(paragraph, "context", str, place), _breaks(paragraph, place)
            if unit == "paragraph":
                documents.append((f"{lang}/{number}", lang, context))
            else:
                after = f" {context}" if unit == "sentence in context" else ""
                for sentence, (start, end) in enumerate(breaks):
                    documents.append((f"{lang}/{number}/{sentence}", lang, context[start:end] + after))
            for qa in get(paragraph, "qas", list, place):
                topic = get(qa, "id", str, place)
                titles[topic] = title
                queries.append((f"{topic}/{lang}", lang, get(qa, "question", str, place), topic))
                asked = f"{place}, question {topic}"
                answer = get(next(iter(get(qa, "answers", list, asked)), {}), "answer_start", int, asked)
                holds = [sentence for sentence, (start, end) in enumerate(breaks) if start <= answer < end]
                if len(holds) != 1:
                    raise UserError(f"{asked}: the answer starts in {len(holds)} sentences instead of one.")
                doc_id = f"{lang}/{number}" if unit == "paragraph" else f"{lang}/{number}/{holds[0]}"
                judgements.append((topic, doc_id, 1))
    return titles


def _breaks(paragraph: Any, place: str) -> list[tuple[int, int]]:
    """Return where each sentence of a paragraph starts and ends."""
    found = []
    for pair in get(paragraph, "sentence_breaks", list, place):
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(end) is int and end >= 0 for end in pair):
            raise UserError(f"{place}: one of the sentence_breaks is not two whole numbers, start and end.")
        found.append((pair[0], pair[1]))
    return found
