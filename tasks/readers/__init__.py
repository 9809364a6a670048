"""One file per upstream format. Each has `read(files, card) -> Collection`; `files` are verified local paths."""

from importlib import import_module
from pathlib import Path
from typing import Protocol

from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError, nearest


class Reader(Protocol):
    """What a module in this folder offers."""

    def read(self, files: dict[File, Path], card: TaskCard) -> Collection:
        """Turn the card's files into a Collection."""


def names() -> list[str]:
    """Return the names of the readers, as cards write them."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def load(card: TaskCard, files: dict[File, Path]) -> Collection:
    """Read `card`'s files with the reader that it names. Raises UserError if there is no such reader."""
    if card.reader not in names():
        hint = nearest(card.reader, names()) or f"; there are {', '.join(names())}."
        raise UserError(f"{card.folder} names a reader «{card.reader}» that does not exist{hint}")
    reader: Reader = import_module(f"tasks.readers.{card.reader}")
    return reader.read(files, card)
