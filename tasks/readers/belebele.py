"""Belebele's layout, on the hub or in a local folder, in; question -> passage Collection out.

One configuration a language, each row a passage (`link`, `flores_passage`) and a question on it (`question_number`,
`question`), the same in all languages. So a question with its number is a topic, and the passage it is asked on, in any
language, is relevant. (The choice of answers, which Belebele is made for, is not used.) The facet `domain` is the site
that a question's passage is from, as the link says: wikinews, wikibooks, wikivoyage.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tasks import assembly, collection, hub
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError

SITE = re.compile(r"//(?:[^/]*\.)?(\w+)\.\w+/")
FIELDS = ("link", "question_number", "flores_passage", "question")


def read(files: dict[File, Path], card: TaskCard) -> Collection:  # noqa: ARG001 - every reader has this signature
    """Read the configurations that `options.languages` names."""
    assembly.check_options(card, {"hub", "revision", "split"})
    hub.check(card)
    if not (names := assembly.tags(card)):
        raise UserError(f"{card.label}: options.languages must say which configurations are read, and their tags.")
    there = hub.configurations(card)
    if absent := [name for name in names if name not in there]:
        raise UserError(f"{card.label}: {card.options['hub']} has no configuration «{absent[0]}».")
    documents: dict[str, tuple[str, str]] = {}
    queries: list[tuple[str, str, str, str, str | None]] = []
    judgements: list[tuple[str, str, int]] = []
    for name, tags in names.items():
        if tags.apart:
            raise UserError(f"{card.label}: options.languages.{name} must be one tag: every pair is asked for anyway.")
        tag = tags.documents
        places: dict[tuple[str, str], str] = {}
        for link, number, passage, question in _rows(card, name):
            others = sum(known == link for known, text in places if text != passage)
            doc_id = places.setdefault((link, passage), f"{tag}/{link}" + (f"#{others + 1}" if others else ""))
            documents[doc_id] = (tag, passage)
            topic = f"{link}/{number}"
            site = SITE.search(link)
            queries.append((f"{topic}/{tag}", tag, question, topic, site[1] if site else None))
            judgements.append((topic, doc_id, 1))
    return collection.build(
        pd.DataFrame([(doc_id, *rest) for doc_id, rest in documents.items()], columns=["doc_id", "lang", "text"]),
        pd.DataFrame(queries, columns=["query_id", "lang", "text", "topic", "domain"]),
        pd.DataFrame(judgements, columns=["topic", "doc_id", "relevance"]),
        card.label,
    )


def _rows(card: TaskCard, configuration: str) -> Iterator[tuple[str, str, str, str]]:
    for where, row in hub.rows(card, configuration):
        for field in FIELDS:
            if row.get(field) is None:
                raise UserError(f"{where}: there is no field «{field}».")
        link, number, passage, question = (str(row[field]) for field in FIELDS)
        yield link, number, passage, question
