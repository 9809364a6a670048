"""The one error that a person sees: a sentence that says what is wrong, where, and what to do."""


class UserError(Exception):
    """Something outside the program is wrong. The command line prints it as it is and exits with code 2."""


class InvalidCollectionError(UserError):
    """A collection has problems: all of them in one sentence, and each on its own."""

    def __init__(self, where: str, problems: list[str]) -> None:
        super().__init__(f"{where} is not a valid collection: {'; '.join(problems)}.")
        self.problems = problems


def nearest(word: str, known: list[str]) -> str:
    """Return «; did you mean a, b?» for the known words that are closest to `word`, or an empty text."""
    import difflib

    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"; did you mean {', '.join(near)}?" if near else ""
