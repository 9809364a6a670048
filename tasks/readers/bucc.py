"""BUCC's files in (`id<TAB>sentence`, one per language; gold pairs `id<TAB>id`); a Collection to mine, out.

All sentences of both languages are documents. Sentences with a gold partner are queries too, under the same id; a gold
pair is a topic, named by its first id, and relevant to it are both sentences. Pairs that share a sentence are one
topic. A card of such files says `symmetric = true` and `ignore_identical_ids = true`, so that no text finds itself.

Files come from the card, each sentence file with its language and the gold file with none, or lie beside a card
without files, by the names that the shared task gives them: `de-en.training.de`, `de-en.training.en`,
`de-en.training.gold`. `options.gold` names the gold file where there are several, or one in a folder below.
"""

from pathlib import Path

import pandas as pd

from tasks import assembly, collection, languages, lines
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError

GOLD = ".gold"


def read(files: dict[File, Path], card: TaskCard) -> Collection:
    """Read the sentences of two languages and the gold pairs."""
    if unknown := sorted(card.options.keys() - {"gold"}):
        raise UserError(f"{card.label}: the reader bucc has no option «{unknown[0]}»; it has gold.")
    sides, gold = _pinned(files, card) if files else _beside(card)
    rows: list[tuple[str, str, str]] = []
    found: dict[str, str] = {}
    for language, path in sides.items():
        for where, (key, text) in _rows(path, "an id and a sentence"):
            if key in found:
                raise UserError(f"{where}: the id «{key}» occurs twice; ids must differ, also between the languages.")
            found[key] = language
            rows.append((key, language, text))
    topics = _topics(gold, found)
    documents = pd.DataFrame(rows, columns=["doc_id", "lang", "text"], dtype="str")
    queries = documents.rename(columns={"doc_id": "query_id"}).assign(topic=documents["doc_id"].map(topics))
    queries = queries.dropna(subset="topic")
    judgements = pd.DataFrame({"topic": topics.values(), "doc_id": topics.keys(), "relevance": 1})
    return collection.build(documents, queries, judgements, card.label)


def _pinned(files: dict[File, Path], card: TaskCard) -> tuple[dict[str, Path], Path]:
    """Return the two files of sentences, by language, and the gold file."""
    sides = {file.language: path for file, path in files.items() if file.language}
    gold = [path for file, path in files.items() if not file.language]
    if len(files) != 3 or len(sides) != 2 or len(gold) != 1:
        raise UserError(f"{card.label} must name three files: two of sentences, each with its language, and the gold.")
    return sides, gold[0]


def _beside(card: TaskCard) -> tuple[dict[str, Path], Path]:
    """Return the same of files that lie beside the card, the languages taken from their names."""
    pattern = assembly.text_option(card, "gold", f"*{GOLD}")
    if not pattern.endswith(GOLD):
        raise UserError(f"{card.label}: options.gold must name a file *{GOLD} below {card.folder}.")
    golds = assembly.matching(card, "gold", pattern)
    if len(golds) != 1:
        raise UserError(
            f"{card.folder} has {len(golds)} files {pattern}; name the one gold file by options.gold, such as "
            f'"de-en.training{GOLD}".'
        )
    stem = golds[0].name.removesuffix(GOLD)
    pair = stem.partition(".")[0].split("-")
    if len(pair) != 2 or pair[0] == pair[1]:
        raise UserError(
            f"{golds[0]} does not begin with two languages, as de-en.training{GOLD} does; rename the files."
        )
    where = str(golds[0])
    return {languages.check(tag, where): golds[0].with_name(f"{stem}.{tag}") for tag in pair}, golds[0]


def _rows(path: Path, what: str) -> list[tuple[str, tuple[str, str]]]:
    """Return (where, cells) of a file of two columns; empty lines are passed over."""
    found = []
    for where, line in lines.lines(path):
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) == 2 and all(cells):
            found.append((where, (cells[0], cells[1])))
        elif line.strip():
            raise UserError(f"{where}: a line is {what} with one tab between them; this one is not whole.")
    if not found:
        raise UserError(f"{path} is empty; each of its lines should hold {what}.")
    return found


def _topics(path: Path, found: dict[str, str]) -> dict[str, str]:
    """Return the topic of each sentence that has a partner: id -> first id of its pair, or of the pairs it shares."""
    topics: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    for where, pair in _rows(path, "two ids"):
        for key in pair:
            if key not in found:
                raise UserError(f"{where}: there is no sentence «{key}»; bring the files that belong to these pairs.")
        if found[pair[0]] == found[pair[1]]:
            raise UserError(f"{where}: both sentences are in «{found[pair[0]]}»; a pair has one of each language.")
        one, other = (topics.get(key, key) for key in pair)
        members.setdefault(one, [one])
        if other != one:
            members[one] += members.pop(other, [other])
        topics |= dict.fromkeys(members[one], one)
    return topics
