"""A data set in mteb's layout, on the hub or in a local folder, in; Collection out.

Configurations `corpus` (`_id` or `id`, `title, text`), `queries` (`_id` or `id`, `text`) and `qrels` or `default`
(`query-id, corpus-id, score`); with several languages `<name>-corpus`, `<name>-queries`, `<name>-qrels`, where
`options.languages` says which tag each name stands for: WikipediaRetrievalMultilingual and MIRACL are laid out so. A
name of two languages (`eng-ara` of XPQARetrieval) has two tags, that of the queries first, and is searched apart.
"""

from collections.abc import Iterator
from pathlib import Path

from tasks import assembly, hub
from tasks.assembly import Judgement, Part, Tags
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError, nearest

COLUMNS = ("query-id", "corpus-id", "score")


def read(files: dict[File, Path], card: TaskCard) -> Collection:  # noqa: ARG001 - every reader has this signature
    """Read the data set that the card's options name."""
    assembly.check_options(card, {"hub", "revision", "split"})
    hub.check(card)
    there, names = hub.configurations(card), assembly.tags(card)
    if not names and there == ["default"]:
        raise UserError(f"{card.label}: {card.options['hub']} has no README.md that lists its configurations; add one.")
    if not names and "corpus" not in there:
        languages = [name.removesuffix("-corpus") for name in there if name.endswith("-corpus")]
        raise UserError(
            f"{card.label}: {card.options['hub']} has no configuration corpus; say by options.languages which of "
            f"{', '.join(languages) or 'its configurations'} are languages."
        )
    parts = [_part(name, tag, there, card) for name, tag in (names or {"": Tags("", "")}).items()]
    return assembly.assemble(parts, card)


def _part(name: str, tags: Tags, there: list[str], card: TaskCard) -> Part:
    def found(*kinds: str) -> str:
        wanted = [f"{name}-{kind}" for kind in kinds] if name else list(kinds)
        for configuration in wanted:
            if configuration in there:
                return configuration
        hint = nearest(wanted[0], there) or f"; it has {', '.join(there)}."
        raise UserError(f"{card.label}: {card.options['hub']} has no configuration «{wanted[0]}»{hint}")

    corpus, queries, qrels = found("corpus"), found("queries"), found(*("qrels", "default") if not name else ("qrels",))
    return assembly.part(card, tags, hub.rows(card, corpus), hub.rows(card, queries), _qrels(card, qrels))


def _qrels(card: TaskCard, configuration: str) -> Iterator[Judgement]:
    for where, row in hub.rows(card, configuration):
        for column in COLUMNS:
            if row.get(column) is None:
                raise UserError(f"{where}: there is no field «{column}».")
        query, document, score = (row[column] for column in COLUMNS)
        yield where, query, document, score
