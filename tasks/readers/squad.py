"""SQuAD JSON with sentence breaks, one file per language, in; question -> sentence (or paragraph) Collection out.

The construction is LAReQA's (arXiv:2004.05484, section 3.1), settled where the paper is silent by what reproduces its
counts: one candidate for each entry of `sentence_breaks`, sliced from the paragraph (offsets are code points), neither
stripped nor deduplicated; relevant is the sentence that holds the *start* of the answer. Questions with one id are one
topic, and a topic's answers in all languages are relevant to each of its wordings. The facet `article` of a question is
the title of the article that it is asked on: the English one, where the question has a wording in English.

Units: `sentence`; `sentence in context` (the sentence, a space, its paragraph); `paragraph`.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from tasks import collection
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError

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
        try:
            found = _language(path, file.language, card.unit, documents, queries, judgements)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise UserError(f"{path} is not SQuAD JSON with sentence breaks: {error!r}.") from error
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
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    paragraphs: list[tuple[dict[str, Any], str]] = [
        (paragraph, article.get("title", "")) for article in articles for paragraph in article["paragraphs"]
    ]
    titles = {}
    for number, (paragraph, title) in enumerate(paragraphs):
        context, breaks = paragraph["context"], paragraph["sentence_breaks"]
        if unit == "paragraph":
            documents.append((f"{lang}/{number}", lang, context))
        else:
            after = f" {context}" if unit == "sentence in context" else ""
            for place, (start, end) in enumerate(breaks):
                documents.append((f"{lang}/{number}/{place}", lang, context[start:end] + after))
        for qa in paragraph["qas"]:
            titles[qa["id"]] = title
            queries.append((f"{qa['id']}/{lang}", lang, qa["question"], qa["id"]))
            answer = qa["answers"][0]["answer_start"]
            holds = [place for place, (start, end) in enumerate(breaks) if start <= answer < end]
            if len(holds) != 1:
                raise ValueError(f"the answer of question {qa['id']} starts in {len(holds)} sentences")
            doc_id = f"{lang}/{number}" if unit == "paragraph" else f"{lang}/{number}/{holds[0]}"
            judgements.append((qa["id"], doc_id, 1))
    return titles
