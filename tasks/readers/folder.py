"""A folder with a card and three tables (documents, queries, judgements) in; Collection out."""

from pathlib import Path

from tasks import collection
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError


def read(files: dict[File, Path], card: TaskCard) -> Collection:  # noqa: ARG001 - every reader has this signature
    """Read the tables that lie beside the card."""
    if card.options:
        raise UserError(f"{card.name}: the reader folder has no options, so «{next(iter(card.options))}» says nothing.")
    return collection.read(card.folder)
