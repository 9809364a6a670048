"""AfriQA's gold passages (JSON Lines, one file per African language) in; question -> passage Collection out.

A question is asked in the African language and, by its human translation, in the language of its passage (the pivot,
English or French): two wordings of one topic, told apart by the facet `asked`, the African language of both. The
passages of all files in one pivot are one pool. Questions whose passage is missing upstream are left out.

`options.pivots` says which pivot each language has. Units are those of `goldp`.
"""

from collections.abc import Iterator
from pathlib import Path

from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tasks.lines import records
from tasks.readers._json import get, text_or_null
from tasks.readers.goldp import Gold, gather


def read(files: dict[File, Path], card: TaskCard) -> Collection:
    """Read one file per African language."""
    pivots = card.options.get("pivots", {})
    if not isinstance(pivots, dict) or not all(isinstance(pivot, str) for pivot in pivots.values()):
        raise UserError(f"{card.name}: options.pivots must be a table of language = language of its passages.")
    if without := [file.language for file in files if file.language not in pivots]:
        raise UserError(f"{card.name}: options.pivots says nothing of {', '.join(without)}.")
    return gather(
        [gold for file, path in files.items() for gold in _language(path, file.language, pivots[file.language])], card
    )


def _language(path: Path, lang: str, pivot: str) -> Iterator[Gold]:
    for place, record in records(path):
        topic = f"{lang}/{get(record, 'id', str, place)}"
        wordings = {lang: "question_lang", pivot: "question_translated"}
        asked = {spoken: get(record, field, str, place) for spoken, field in wordings.items()}
        # Null or blank in a few records upstream.
        passage, title = (text_or_null(record, field, place) for field in ("context", "title"))
        if passage.strip():
            yield Gold(topic, asked, pivot, passage, title, asked=lang)
