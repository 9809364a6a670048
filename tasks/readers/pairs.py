"""Two line-aligned plain texts for each language, its own and English, in; a Collection in parts, out.

The files of a pair differ in the ending of their names only (`tatoeba.afr-eng.afr`, `tatoeba.afr-eng.eng`). The pairs
do not share their English sentences, so each is searched on its own: the column `part` of queries and documents names
the pair by the tag of its other language. Topics are `<part>/<number>`, ids `<part>/<number>/<language>`; a pair with
an empty side is left out. Lines are read as `parallel` reads them.

An English file whose other half is not among the files is left out: a variant that keeps a few languages and English
keeps the English files of all.
"""

from pathlib import Path

import pandas as pd

from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tasks.readers.parallel import same_length, sentences, symmetric

PIVOT = "en"


def read(files: dict[File, Path], card: TaskCard) -> Collection:
    """Read two plain texts per language."""
    sides: dict[str, dict[str, Path]] = {}
    for file, path in files.items():
        pair = sides.setdefault(file.path.rpartition(".")[0], {})
        if not file.language or file.language in pair:
            fault = f"a second file in «{file.language}»" if file.language else "a file without a language"
            raise UserError(f"{card.label} has {fault} in one pair, {path}; a pair is one language and English.")
        pair[file.language] = path
    parts: dict[str, pd.DataFrame] = {}
    for pair in sides.values():
        others = [language for language in pair if language != PIVOT]
        for language in others:
            if PIVOT not in pair or len(others) > 1:
                fault = "shares its English side with another language" if PIVOT in pair else "has no English side"
                raise UserError(f"{card.label}: {pair[language]} {fault}; a pair is one language and English.")
            if language in parts:
                raise UserError(
                    f"{card.label} has a second pair in «{language}», {pair[language]}; give it another tag."
                )
            parts[language] = _pair(language, pair[language], pair[PIVOT])
    if not parts:
        raise UserError(f"{card.label} names no pair of files; a pair is one language and English.")
    return symmetric(pd.concat(parts.values(), ignore_index=True), card)


def _pair(language: str, path: Path, english: Path) -> pd.DataFrame:
    """Return the wordings of one pair."""
    own, translated = sentences(path), sentences(english)
    same_length(english, translated, path, own)
    kept = [number for number, both in enumerate(zip(own, translated, strict=True), 1) if all(both)]
    if not kept:
        raise UserError(f"{path} and {english} have no line that both fill.")
    rows = [
        (f"{language}/{number:04}/{tag}", tag, texts[number - 1], f"{language}/{number:04}", language)
        for tag, texts in ((language, own), (PIVOT, translated))
        for number in kept
    ]
    return pd.DataFrame(rows, columns=["id", "lang", "text", "topic", "part"], dtype="str")
