"""A folder in BEIR layout, beside its card, in; Collection out.

`corpus.jsonl` (`_id, title, text`), `queries.jsonl` (`_id, text`) and `qrels/<split>.tsv` (`query-id, corpus-id, score`
under a header, or the same columns, or TREC's four, without one), each also as `.gz`. The language is that of the
record (`lang` or `language`), of `options.language`, or of the subfolder: where the folder itself holds no corpus,
every subfolder that does is one language, or two that `options.languages` names.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tasks import assembly, languages
from tasks.assembly import Judgement, Part, Tags
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tasks.lines import records, rows

HEADER = ("query-id", "corpus-id", "score")
NUMBER = re.compile(r"-?\d+(\.0*)?")


def read(files: dict[File, Path], card: TaskCard) -> Collection:  # noqa: ARG001 - every reader has this signature
    """Read the folder that the card lies in, or `options.folder` below it."""
    assembly.check_options(card, {"folder", "split"})
    folder = assembly.below(card, "folder", assembly.text_option(card, "folder"))
    if assembly.beside(card, folder, "corpus.jsonl"):
        return assembly.assemble([_part(folder, Tags("", ""), card)], card)
    inner = sorted({path.parent.name for end in ("", ".gz") for path in folder.glob(f"*/corpus.jsonl{end}")})
    if not inner:
        raise UserError(f"{folder} has no corpus.jsonl, nor a subfolder for each language that has one.")
    tags = assembly.tags(card)
    if absent := sorted(tags.keys() - set(inner)):
        raise UserError(f"{folder} has no subfolder {absent[0]} with a corpus.jsonl, which options.languages names.")
    found = tags or {name: Tags(*2 * [languages.check(name, str(folder / name))]) for name in inner}
    return assembly.assemble([_part(folder / name, found[name], card) for name in inner if name in found], card)


def _part(folder: Path, tags: Tags, card: TaskCard) -> Part:
    paths = []
    judged = f"qrels/{assembly.text_option(card, 'split', 'test')}.tsv"
    assembly.below(card, "split", judged)
    for name in ("corpus.jsonl", "queries.jsonl", judged):
        path = assembly.beside(card, folder, name)
        if path is None:
            there = ", ".join(sorted(path.name for path in (folder / "qrels").glob("*.tsv*")))
            hint = f"; there is {there}, which options.split can name" if there and name.startswith("qrels") else ""
            raise UserError(f"{folder} has no {name}{hint}.")
        paths.append(path)
    corpus, queries, qrels = paths
    return assembly.part(card, tags, records(corpus), records(queries), _qrels(qrels))


def _qrels(path: Path) -> Iterator[Judgement]:
    found = rows(path)
    where, columns = next(found, (f"{path}, line 1", [""]))
    if set(HEADER) <= {*columns}:
        places = [columns.index(name) for name in HEADER]
    elif len(columns) in (3, 4) and NUMBER.fullmatch(columns[-1]):  # a judgement already, perhaps as TREC has it
        places, found = [0, len(columns) - 2, len(columns) - 1], chain([(where, columns)], found)
    else:
        missing = next(name for name in HEADER if name not in columns)
        raise UserError(
            f"{where}: the header has no column «{missing}»; it must be {', '.join(HEADER)}, tabs between, or be left "
            "out."
        )
    for where, cells in found:
        query, document, relevance = (cells[place] for place in places)
        yield where, query, document, relevance
