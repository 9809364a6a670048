"""A folder with a card and three tables (documents, queries, judgements) in; Collection out."""

from pathlib import Path

from tasks import collection
from tasks.card import File, TaskCard
from tasks.collection import Collection


def read(files: dict[File, Path], card: TaskCard) -> Collection:  # noqa: ARG001 - every reader has this signature
    """Read the tables that lie beside the card."""
    return collection.read(card.folder)
