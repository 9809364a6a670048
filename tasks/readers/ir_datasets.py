"""Identifiers of the catalogue ir_datasets in; Collection out. Needs the extra `ir`, which is imported only here.

`options.ids` says which data set holds which language: `{ sw = "miracl/sw/dev", en = "beir/scifact/test" }`. The
library downloads what it does not have, so with several of its own versions there are several data sets; the hash of
the texts, which is in every result, tells them apart.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tasks import assembly, languages
from tasks.assembly import Judgement, Tags
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tasks.lines import Record
from tasks.parsing import why

LONGEST = 200  # letters of what the library says


def read(files: dict[File, Path], card: TaskCard) -> Collection:  # noqa: ARG001 - every reader has this signature
    """Read the data sets that `options.ids` names."""
    assembly.check_options(card, {"ids"})
    ids = card.options.get("ids")
    if not isinstance(ids, dict) or not ids or not all(isinstance(one, str) for one in ids.values()):
        raise UserError(f"{card.name}: options.ids must be a table of language = data set.")
    try:
        import ir_datasets
    except ImportError as error:
        raise UserError(f'{card.name} needs the package ir_datasets; pip install "isogloss[ir]" brings it.') from error
    parts = []
    for tag, name in ids.items():
        languages.check(tag, f"{card.name}: options.ids")
        try:
            data = ir_datasets.load(name)
        except KeyError as error:
            raise UserError(f"{card.name}: ir_datasets has no data set «{name}».") from error
        for kind in ("docs", "queries", "qrels"):
            if not getattr(data, f"has_{kind}")():
                raise UserError(f"{card.name}: «{name}» of ir_datasets has no {kind}; name one of its subsets.")
        documents, queries, judged = (
            _said(iterate, f"{card.name}: «{name}»") for iterate in (data.docs_iter, data.queries_iter, data.qrels_iter)
        )
        records = _records(documents, f"{name} document"), _records(queries, f"{name} query")
        parts.append(assembly.part(card, Tags(tag, tag), *records, _qrels(judged, name)))
    return assembly.assemble(parts, card)


def _said(iterate: Callable[[], Iterator[Any]], where: str) -> Iterator[Any]:
    """Yield what the library iterates over, and make a sentence of its errors."""
    try:
        yield from iterate()
    except Exception as error:  # it declares none: they come from the network, the disk and its parsers, as they are
        raise UserError(
            f"{where} of ir_datasets cannot be read ({why(error)[:LONGEST]}); check the network, or put the files "
            "where that library keeps them."
        ) from error


def _records(found: Iterator[Any], what: str) -> Iterator[Record]:
    """Yield named tuples as records; where there is no field `text`, the library's own choice of text is taken."""
    for number, one in enumerate(found, 1):
        record = one._asdict()
        if "text" not in record:
            record = {"text": one.default_text()} | {name: record[name] for name in record if name != "title"}
        yield f"{what} {number}", record


def _qrels(found: Iterator[Any], name: str) -> Iterator[Judgement]:
    for number, one in enumerate(found, 1):
        yield f"{name} judgement {number}", one.query_id, one.doc_id, one.relevance
