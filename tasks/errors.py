"""The one error that a person sees: a sentence that says what is wrong, where, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

SHOWN = 4000  # letters of a message; what is quoted in it may be of any length
NEAR = 0.6  # share of letters in common, from which on one word may be a slip for another
MOST = 3  # words that are suggested


class UserError(Exception):
    """Something outside the program is wrong. The command line prints it as it is and exits with code 2."""


class InvalidCollectionError(UserError):
    """A collection has problems: all of them in one sentence, and each on its own."""

    def __init__(self, where: str, problems: list[str]) -> None:
        super().__init__(f"{where} is not a valid collection: {'; '.join(problems)}.")
        self.problems = problems


class NothingAskedError(UserError):
    """No query of a task has an answer in the languages and settings that are asked for."""


@contextmanager
def located(where: object) -> Iterator[None]:
    """Put before a fault where it is."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


@contextmanager
def advising(advice: str) -> Iterator[None]:
    """Add to a fault what to do about it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{str(error).rstrip('.')}; {advice}.") from error


def nearest(word: str, known: list[str]) -> str:
    """Return «; did you mean a, b?» for the known words that begin with `word`, or are spelt like it, or an empty text.

    Small and capital letters are alike.
    """
    import difflib

    said, folded = word.casefold(), {one.casefold(): one for one in known}
    begun = [one for one in folded if said and one.startswith(said)]
    near = begun[:MOST] or difflib.get_close_matches(said, folded, MOST, NEAR)
    return f"; did you mean {', '.join(folded[one] for one in near)}?" if near else ""


def printable(text: str) -> str:
    """Return a text on one line that no terminal takes for a command: what cannot be seen is written as its code."""
    shown = text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} … {text[-SHOWN // 2 :]}"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in shown)
