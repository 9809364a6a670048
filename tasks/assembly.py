"""Documents, queries and judgements as others lay them out, in parts, in; one Collection out.

BEIR, TREC, the hub and ir_datasets differ in files, and agree in what a record says: a document or query has an id and
a text, a judgement names a query, a document and a relevance. A part is what one folder, configuration or data set
holds. Where there are several, their ids get the part's name in front, since `12` in one is not `12` in the other.

What a card's `options` may say to all of these readers is in COMMON.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tasks import collection, languages, parsing
from tasks.card import TaskCard
from tasks.collection import Collection
from tasks.errors import UserError, nearest
from tasks.lines import Record, frame

COMMON = {"language", "languages", "parallel", "missing_documents", "missing_queries", "empty_documents"}
IDS = {
    "document": ("_id", "id", "doc_id", "docid", "docno", "corpus-id"),
    "query": ("_id", "id", "query_id", "qid", "query-id"),
}
TEXTS = {"document": ("text", "contents", "body"), "query": ("text", "query", "contents")}
LANGUAGES = ("lang", "language")
KEY = "_key"  # what the judgements call a query
GRADES = 2**31  # relevances are below

Judgement = tuple[str, str, str, Any]
"""Where it stands, query, document, relevance."""


@dataclass(frozen=True)
class Tags:
    """The languages of the queries and of the documents of a part; both are empty where the records name theirs."""

    queries: str
    documents: str

    @property
    def name(self) -> str:
        """What the part is called: `en`, or `en-de` for questions in English and documents in German."""
        return f"{self.queries}-{self.documents}" if self.apart else self.queries

    @property
    def apart(self) -> bool:
        """Whether the part is searched on its own: its documents are in another language than its queries."""
        return self.queries != self.documents


@dataclass(frozen=True)
class Part:
    """The records of one folder, configuration or data set."""

    tags: Tags
    documents: pd.DataFrame
    queries: pd.DataFrame
    judgements: pd.DataFrame


def check_options(card: TaskCard, known: set[str]) -> None:
    """Raise UserError unless every option of the card is known and of its kind."""
    known = COMMON | known
    if unknown := sorted(card.options.keys() - known):
        hint = nearest(unknown[0], sorted(known)) or f"; there are {', '.join(sorted(known))}."
        raise UserError(f"{card.name}: the reader {card.reader} has no option «{unknown[0]}»{hint}")
    for name in ("missing_documents", "missing_queries", "empty_documents"):
        if card.options.get(name, "ignore") != "ignore":
            raise UserError(f'{card.name}: options.{name} must be "ignore" or left out.')
    if not isinstance(card.options.get("parallel", False), bool):
        raise UserError(f"{card.name}: options.parallel must be true or false.")
    if card.options.get("language"):
        languages.check(text_option(card, "language"), f"{card.name}: options.language")
    if card.options.get("parallel") and any(tag.apart for tag in tags(card).values()):
        raise UserError(
            f"{card.name}: options.languages names configurations of two languages, which are searched apart and share "
            "no topics; leave options.parallel out."
        )


def text_option(card: TaskCard, name: str, default: str = "") -> str:
    """Return an option that is a text."""
    value = card.options.get(name, default)
    if not isinstance(value, str):
        raise UserError(f"{card.name}: options.{name} must be a text.")
    return value


def below(card: TaskCard, option: str, said: str) -> Path:
    """Return the path below the card's folder that an option names; the folder itself where it says nothing."""
    if said not in ("", ".") and not parsing.inside(said):
        raise UserError(f"{card.name}: options.{option} must be a path below {card.folder}.")
    return parsing.require_inside(card.folder / said, card.folder)


def beside(card: TaskCard, folder: Path, name: str) -> Path | None:
    """Return `folder/name` or `folder/name.gz`, whichever is there, in a folder below the card's."""
    found = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    return found and parsing.require_inside(found, card.folder)


def matching(card: TaskCard, option: str, pattern: object) -> list[Path]:
    """Return the files below the card's folder that fit a pattern which an option names."""
    if (found := parsing.matching(card.folder, pattern)) is None:
        raise UserError(f"{card.name}: options.{option} must be a pattern of files below {card.folder}.")
    return [parsing.require_inside(path, card.folder) for path in found]


def tags(card: TaskCard) -> dict[str, Tags]:
    """Return `options.languages`: what the data calls a part -> its languages. A list says that they are the same.

    A part is in one language, `eng = "en"`, or in two, that of the queries first: `eng-deu = ["en", "de"]`.
    """
    said = card.options.get("languages", {})
    where = f"{card.name}: options.languages"
    if isinstance(said, list):
        said = {tag: tag for tag in said} if set(map(type, said)) <= {str} else None
    if not isinstance(said, dict):
        raise UserError(f"{where} must be a list of tags or a table of name = tag.")
    found = {}
    for name, tag in said.items():
        pair = [tag, tag] if isinstance(tag, str) else tag
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise UserError(
                f'{where}: «{name}» must have a tag, "en", or two where the queries are in another language than the '
                'documents, ["en", "de"].'
            )
        found[name] = Tags(*(languages.check(one, where) for one in pair))
    return found


def table(records: Iterable[Record], kind: str, card: TaskCard, language: str = "") -> pd.DataFrame:
    """Return documents or queries (`kind`) with the columns of the one format; what else a record says is a facet.

    The language is the record's own, or else `language`, or else `options.language`. Facets become text, and those in
    `metadata` become columns of their own. A query's column KEY is what the judgements call it.
    """
    names = {name: tag.documents if kind == "document" else tag.queries for name, tag in tags(card).items()}
    rows = _rows(records, kind, names, language or text_option(card, "language"), card)
    found = frame(rows)
    if found.empty:
        columns = ["doc_id", "lang", "text"] if kind == "document" else ["query_id", "lang", "text", "topic", KEY]
        return pd.DataFrame(columns=columns, dtype="str")
    return found


def _rows(
    records: Iterable[Record], kind: str, names: dict[str, str], language: str, card: TaskCard
) -> Iterator[dict[str, Any]]:
    key = "doc_id" if kind == "document" else "query_id"
    for where, record in records:
        inner = record.get("metadata")
        says = (
            {**inner, **{name: record[name] for name in record if name != "metadata"}}
            if isinstance(inner, dict)
            else dict(record)
        )
        row = {key: _id(_take(says, IDS[kind], where), where), "lang": "", "text": _take(says, TEXTS[kind], where)}
        if not isinstance(row["text"], str):
            raise UserError(f"{where}: the text is not a text.")
        own = next((says.pop(name) for name in LANGUAGES if says.get(name)), None)
        row["lang"] = names.get(str(own), str(own)) if own else language
        if not row["lang"]:
            raise UserError(
                f'{where}: nothing says the language; set options.language = "…" in the card, or give the records a '
                "field lang."
            )
        if kind == "document":
            if not row["text"].strip():  # some sets have nothing but a title
                row["text"] = str(says.pop("title", None) or "")
            if not row["text"].strip():
                if card.options.get("empty_documents") == "ignore":
                    continue
                raise UserError(
                    f"{where}: document «{row[key]}» has an empty text; fill it, or set options.empty_documents = "
                    '"ignore" to leave such documents out.'
                )
        else:
            row[KEY] = row[key]
            row["topic"] = str(says.pop("topic", None) or "")
        yield row | {name: facet for name, value in says.items() if name not in row and (facet := _facet(value))}


def _take(says: dict[str, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if says.get(name) is not None:
            return says.pop(name)
    raise UserError(f"{where}: there is no field «{names[0]}».")


def _id(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(f"{where}: the id is neither a text nor a number.")
    if not str(value).strip():
        raise UserError(f"{where}: the id is empty.")
    return str(value)


def _facet(value: Any) -> str | None:
    """Return a facet as text: all values of a column must be of one type, and text is what a table is sliced by."""
    if value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def part(
    card: TaskCard, tags: Tags, documents: Iterable[Record], queries: Iterable[Record], judged: Iterable[Judgement]
) -> Part:
    """Return the records of a part as tables, in its languages where they name none."""
    return Part(
        tags,
        table(documents, "document", card, tags.documents),
        table(queries, "query", card, tags.queries),
        judgements(judged),
    )


def judgements(found: Iterable[Judgement]) -> pd.DataFrame:
    """Return judgements as a table; a relevance below 0 (TREC's «spam») counts as 0. Raises UserError for others."""
    rows = []
    for where, query, document, said in found:
        try:
            relevance = float(said)
            if "_" in str(said) or relevance % 1 or relevance >= GRADES:
                raise ValueError
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{where}: the relevance «{said}» is not a whole number.") from error
        rows.append((where, str(query), str(document), max(int(relevance), 0)))
    return pd.DataFrame(rows, columns=["where", KEY, "doc_id", "relevance"])


def assemble(parts: list[Part], card: TaskCard) -> Collection:
    """Join parts to a Collection. Queries without a relevant document are left out, as these formats mean it.

    Judgements move from the query to its topic: the query itself (with `options.parallel`, in all parts at once) unless
    its record names one. Where wordings of one topic disagree on a document, the highest relevance holds. If one part
    is to be searched apart, each is.
    """
    several, parallel = len(parts) > 1, card.options.get("parallel", False)
    apart = any(part.tags.apart for part in parts)
    names = [part.tags.name for part in parts]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{card.label}: «{twice[0]}» stands for two parts of the data; make a task of each.")
    documents, queries, judged = [], [], []
    for name, part in zip(names, parts, strict=True):
        front = f"{name}/" if several else ""
        asked, pool = part.queries, part.documents
        for records, kind in ((pool, "document"), (asked, "query"), (part.judgements, "judgement")):
            if records.empty:
                where = f" in {name}" if name else ""
                raise UserError(f"{card.label}: there is no {kind}{where}; fill the file, or bring it again.")
        if apart:
            asked, pool = asked.assign(part=name), pool.assign(part=name)
        said = _known(part.judgements, "doc_id", pool["doc_id"], "document", card)
        said = _consistent(_known(said, KEY, asked[KEY], "query", card))
        own = asked[KEY] if parallel else front + asked[KEY]
        asked = asked.assign(topic=asked["topic"].where(asked["topic"] != "", own), query_id=front + asked["query_id"])
        said = said.assign(doc_id=front + said["doc_id"]).merge(asked[[KEY, "topic"]].drop_duplicates(), on=KEY)
        documents.append(pool.assign(doc_id=front + pool["doc_id"]))
        queries.append(asked.drop(columns=KEY))
        judged.append(said[["topic", "doc_id", "relevance"]])
    union = pd.concat(judged, ignore_index=True).groupby(["topic", "doc_id"], sort=False, as_index=False).max()
    every = pd.concat(queries, ignore_index=True)
    kept = every[every["topic"].isin(union.loc[union["relevance"] > 0, "topic"])]
    if kept.empty and len(every):
        raise UserError(
            f"{card.label}: no query has a relevant document; the judgements must say which, with 1 or more."
        )
    return collection.build(
        pd.concat(documents, ignore_index=True), kept, union[union["topic"].isin(kept["topic"])], card.label
    )


def _known(said: pd.DataFrame, column: str, ids: pd.Series, kind: str, card: TaskCard) -> pd.DataFrame:
    """Return the judgements whose document (or query) exists; others are an error unless the card says otherwise."""
    here = said[column].isin(ids)
    option = "missing_documents" if kind == "document" else "missing_queries"
    if not here.all() and card.options.get(option) != "ignore":
        first, missing = said[~here].iloc[0], said.loc[~here, column].nunique()
        more = f" (and {missing - 1:,} more such {kind}s are judged)" if missing > 1 else ""
        raise UserError(
            f"{first['where']}: {kind} «{first[column]}» does not exist{more}; bring what is missing, or set "
            f'options.{option} = "ignore" in the card.'
        )
    return said[here]


def _consistent(said: pd.DataFrame) -> pd.DataFrame:
    """Return the judgements without repetitions; one that contradicts an earlier one is an error."""
    once = said.drop_duplicates([KEY, "doc_id", "relevance"])
    if (twice := once[once.duplicated([KEY, "doc_id"])]).size:
        first = twice.iloc[0]
        raise UserError(
            f"{first['where']}: the judgement of document «{first['doc_id']}» for query «{first[KEY]}» contradicts an "
            "earlier one."
        )
    return once
