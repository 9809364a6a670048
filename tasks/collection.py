"""The one format: documents, queries and judgements in; a validated Collection out. Also reads and writes it.

Relevance belongs to the *topic*, a question or sentence free of language; queries are its wordings. A document is
relevant to a topic in whatever language it is asked, so the judgements are stated once for all languages.

==========  =======================================================================
documents   ``doc_id, lang, text`` and, if there is one, ``title``; further columns are facets
queries     ``query_id, lang, text, topic``; further columns are facets
judgements  ``topic, doc_id, relevance`` (integer >= 0; 0 means judged and not relevant)
==========  =======================================================================
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks import languages as spoken
from tasks import lines, parsing
from tasks.errors import InvalidCollectionError, NothingAskedError, UserError

COLUMNS = {
    "documents": ("doc_id", "lang", "text"),
    "queries": ("query_id", "lang", "text", "topic"),
    "judgements": ("topic", "doc_id", "relevance"),
}
RANKED = {"documents": {"title", "part"}, "queries": {"part"}}  # columns besides that numbers depend on
PLAIN = {str, int, float, type(None), type(pd.NA)}  # what cells may be that become text
LONGEST = 100  # letters of a facet's name
SHOWN = 8  # columns that a sentence names
Locate = Callable[[str, int], str]
"""Given a table and the place of a row in it: where that stands («rivers/queries.tsv, line 3»); "" if nobody knows."""


@dataclass(frozen=True)
class Collection:
    """One task's texts and judgements, valid by construction when it comes from `build` or `read`."""

    documents: pd.DataFrame
    queries: pd.DataFrame
    judgements: pd.DataFrame

    @property
    def document_languages(self) -> list[str]:
        """The languages of the documents, sorted."""
        return sorted(self.documents["lang"].unique())

    @property
    def query_languages(self) -> list[str]:
        """The languages of the queries, sorted."""
        return sorted(self.queries["lang"].unique())

    @property
    def document_texts(self) -> list[str]:
        """The documents as text: the title, where there is one, stands before the text (as BEIR does)."""
        if "title" not in self.documents:
            return list(self.documents["text"])
        titles = self.documents["title"].fillna("")
        return [f"{title} {text}".strip() for title, text in zip(titles, self.documents["text"], strict=True)]

    def facets(self, table: str) -> list[str]:
        """Return which columns of `documents` or `queries` are facets: what else is said of a text (`domain`)."""
        known = {*COLUMNS[table], "title"} if table == "documents" else {*COLUMNS[table]}
        return [column for column in getattr(self, table).columns if column not in known]

    def digest(self) -> str:
        """Return the SHA-256 (hex) of all that a number depends on; equal digests mean equal data.

        That is the three tables as they are, but without facets: a label more leaves results comparable.
        """
        return self._sha({table: {*columns} | RANKED.get(table, set()) for table, columns in COLUMNS.items()})

    def facets_digest(self) -> str:
        """Return the SHA-256 (hex) of the facets, in the order of the texts."""
        return self._sha({table: set(self.facets(table)) for table in ("documents", "queries")})

    def _sha(self, columns: dict[str, set[str]]) -> str:
        sha = hashlib.sha256()
        for table in columns:
            frame: pd.DataFrame = getattr(self, table)
            for column in sorted(columns[table] & {*frame.columns}):
                sha.update(f"{table}.{column}\x1e".encode())
                cells = frame[column].astype("str").fillna("\x1d")
                sha.update("\x1f".join(cells).encode("utf-8", "surrogatepass"))
        return sha.hexdigest()


def build(
    documents: pd.DataFrame,
    queries: pd.DataFrame,
    judgements: pd.DataFrame,
    where: str,
    locate: Locate = lambda *_: "",
) -> Collection:
    """Validate the three tables and join them to a Collection.

    Raises UserError with every kind of problem found, each with its first offender; `where` names the source, and
    `locate` is asked for the place of an offender.
    """
    tables = {"documents": documents, "queries": queries, "judgements": judgements}
    problems = [problem for table, frame in tables.items() for problem in _misshapen(table, frame)]
    if not problems:
        tables = {table: _as_text(frame.reset_index(drop=True)) for table, frame in tables.items()}
        problems = list(_problems(tables, locate))
    if problems:
        raise InvalidCollectionError(where, problems)
    relevance = _relevance(tables["judgements"]).astype("int32")
    return Collection(**tables | {"judgements": tables["judgements"].assign(relevance=relevance)})


def _misshapen(table: str, frame: pd.DataFrame) -> Iterator[str]:
    """Yield what is wrong with the columns of a table, whatever stands in them."""
    columns = [str(column) for column in frame.columns]
    if missing := [f"«{column}»" for column in COLUMNS[table] if column not in columns]:
        there = ", ".join(f"«{column}»" for column in columns[:SHOWN]) or "none"
        yield f"the {table} table has no column {', '.join(missing)}; it has {there}"
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        yield f"the {table} table has two columns «{twice[0]}»"
        return
    for column in columns:
        if not column.strip() or not column.isprintable() or len(column) > LONGEST:
            yield f"the {table} table has a column named «{column}»; name it by 1 to {LONGEST} letters"
        elif column in {*COLUMNS[table]} | RANKED.get(table, set()) and not _plain(frame[column]):
            yield f"the column «{column}» of the {table} table holds something else than texts and numbers"


def _plain(values: pd.Series) -> bool:
    """Whether a column holds texts, numbers and holes only."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.cat.categories.to_series()
    if values.dtype == object:
        return set(map(type, values)) <= PLAIN
    numbers = pd.api.types.is_integer_dtype(values) or pd.api.types.is_float_dtype(values)
    return numbers or isinstance(values.dtype, pd.StringDtype)


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with ids, tags and texts as text: an id that looks like a number is an id all the same."""
    named = {"part", *(column for columns in COLUMNS.values() for column in columns)} - {"relevance"}
    return frame.astype(dict.fromkeys(named & set(frame.columns), "str"))


def _relevance(judgements: pd.DataFrame) -> pd.Series:
    return pd.to_numeric(judgements["relevance"], errors="coerce").astype("float64")


def _problems(tables: dict[str, pd.DataFrame], locate: Locate) -> Iterator[str]:
    documents, queries, judgements = (tables[table] for table in COLUMNS)

    def first(table: str, ids: pd.Series) -> str:
        found = locate(table, int(ids.index[0]))
        more = f"and {len(ids) - 1:,} more" if len(ids) > 1 else ""
        beside = ", ".join(filter(None, [found, more]))
        return f"«{ids.iloc[0]}»" + (f" ({beside})" if beside else "")

    parted = "part" in documents and "part" in queries
    for table, one, key in (("documents", "document", "doc_id"), ("queries", "query", "query_id")):
        frame = tables[table]
        if frame.empty:
            yield f"there is no {one}"
        for column in (*COLUMNS[table], *(["part"] if parted else [])):
            if (empty := frame.loc[_blank(frame[column]), key]).size:
                yield f"{one} {first(table, empty)} has an empty {column}"
        if (twice := frame.loc[frame[key].duplicated(), key]).size:
            yield f"{one} id {first(table, twice)} occurs twice"
        for tag in frame["lang"].dropna().unique():
            try:
                spoken.check(str(tag))
            except UserError as error:
                yield f"{one} {first(table, frame.loc[frame['lang'] == tag, key])}: {str(error).rstrip('.')}"
    judged = partial(first, "judgements")
    if (empty := judgements.loc[_blank(judgements["topic"]), "doc_id"]).size:
        yield f"a judgement of document {judged(empty)} has an empty topic"
    if (unknown := judgements.loc[~_among(judgements["doc_id"], documents["doc_id"]), "doc_id"]).size:
        yield f"a judgement names document {judged(unknown)}, which does not exist"
    if (twice := judgements.loc[judgements.duplicated(["topic", "doc_id"]), "topic"]).size:
        yield f"topic {judged(twice)} judges a document twice"
    relevance = _relevance(judgements)
    if (bad := judgements.loc[~relevance.between(0, 2**31 - 1) | (relevance % 1 != 0), "topic"]).size:
        yield f"topic {judged(bad)} has a relevance that is not an integer >= 0"
    answered = judgements.loc[relevance > 0, "topic"]
    if (missing := queries.loc[~_among(queries["topic"], answered), "topic"].drop_duplicates()).size:
        yield f"topic {first('queries', missing)} has no relevant document"


def _blank(values: pd.Series) -> "pd.Series[bool]":
    """Return where there is no text, or none but space."""
    return values.isna() | (values.astype(str).str.strip() == "")


def limit(
    collection: Collection,
    query_languages: Sequence[str] | None,
    document_languages: Sequence[str] | None,
    languages: Sequence[str] | None = None,
    *,
    ignore_identical_ids: bool = False,
    lenient: bool = False,
) -> Collection:
    """Keep only queries and documents in the given languages (None: all), and of these what is asked.

    That is queries that still have an answer (besides the document with their own id, if that is ignored), and the
    documents of the parts that they search. `languages` are those of a side that has no list of its own.

    Raises UserError for a language that the collection does not have, unless it is `lenient`, and NothingAskedError
    when nothing is left.
    """
    documents, queries, judgements = collection.documents, collection.queries, collection.judgements
    if not lenient:
        asked, told = collection.query_languages, collection.document_languages
        _check(query_languages or (), asked, "queries")
        _check(document_languages or (), told, "documents")
        _check(languages or (), sorted({*asked, *told}), "texts")
    if (kept := languages if query_languages is None else query_languages) is not None:
        queries = queries[queries["lang"].isin(set(kept))]
    if (kept := languages if document_languages is None else document_languages) is not None:
        documents = documents[documents["lang"].isin(set(kept))]
    judgements = judgements[_among(judgements["doc_id"], documents["doc_id"])]
    relevant = judgements[judgements["relevance"] > 0]
    answers = queries["topic"].map(relevant["topic"].value_counts()).fillna(0).to_numpy()
    queries = queries[answers > (_own(queries, relevant) if ignore_identical_ids else 0)]
    if "part" in documents and "part" in queries:
        documents = documents[_among(documents["part"], queries["part"])]
        judgements = judgements[_among(judgements["doc_id"], documents["doc_id"])]
    if queries.empty:
        raise NothingAskedError("No query has an answer in the chosen languages; choose others or leave the limit out.")
    return replace(
        collection,
        documents=documents.reset_index(drop=True),
        queries=queries.reset_index(drop=True),
        judgements=judgements.reset_index(drop=True),
    )


def possible_settings(collection: Collection, *, ignore_identical_ids: bool = False) -> set[str]:
    """Return the settings in which some query has an answer, and mining if some topic has answers in two languages.

    With `ignore_identical_ids`, the document with the query's own id is no answer.
    """
    queries, searched = collection.queries, collection.document_languages
    tags = pd.Index(sorted({*searched, *collection.query_languages}))
    relevant = collection.judgements[collection.judgements["relevance"] > 0]
    topic, topics = pd.factorize(queries["topic"].to_numpy(object))
    place = pd.Index(collection.documents["doc_id"].to_numpy(object))
    lang, of_document = (tags.get_indexer(pd.Index(table["lang"])) for table in (queries, collection.documents))
    row = pd.Index(topics).get_indexer(relevant["topic"].to_numpy(object))
    told = of_document[place.get_indexer(relevant["doc_id"].to_numpy(object))]
    answered = np.zeros((len(topics), len(tags)), dtype=np.int64)
    np.add.at(answered, (row[row >= 0], told[row >= 0]), 1)
    mono, every = answered[topic, lang], answered.sum(axis=1)[topic]
    if ignore_identical_ids:
        own = _own(queries, relevant)
        every = every - own
        mono = mono - (own & (of_document[place.get_indexer(queries["query_id"].to_numpy(object))] == lang))
    found = {
        "mono": mono > 0,
        "cross": every > mono,
        "multi": every > 0,
        "pair": (every > 0) & tags.isin(searched)[lang] & (len(searched) > 1),
        "mining": (answered > 0).sum(axis=1) > 1,
    }
    return {setting for setting, there in found.items() if there.any()}


def _own(queries: pd.DataFrame, relevant: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which queries have the document with their own id among their answers."""
    answers = relevant["topic"].to_numpy(object) + "\x1f" + relevant["doc_id"].to_numpy(object)
    found: NDArray[np.bool_] = pd.Index(
        queries["topic"].to_numpy(object) + "\x1f" + queries["query_id"].to_numpy(object)
    ).isin(answers)
    return found


def _among(values: "pd.Series[str]", known: "pd.Series[str]") -> NDArray[np.bool_]:
    """Return which values are known; on arrays of objects, where pandas does not look at them one by one."""
    found: NDArray[np.bool_] = pd.Index(values.to_numpy(object)).isin(known.to_numpy(object))
    return found


def _check(wanted: Iterable[str], known: list[str], what: str) -> None:
    """Raise UserError for a language that is not known."""
    for tag in wanted:
        if tag not in known:
            raise UserError(f"This task has no {what} in language «{tag}»{spoken.hint(tag, known)}")


def write(collection: Collection, folder: Path) -> None:
    """Write the three tables as `documents.parquet`, `queries.parquet` and `judgements.parquet` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in COLUMNS:
        getattr(collection, table).to_parquet(folder / f"{table}.parquet", index=False)


def read(folder: Path) -> Collection:
    """Read `documents`, `queries` and `judgements` from `folder`, each as .parquet, .jsonl or .tsv, and validate."""
    paths = {table: _path(folder, table) for table in COLUMNS}
    documents, queries, judgements = (_table(path) for path in paths.values())
    return build(documents, queries, judgements, str(folder), lambda table, row: _place(paths[table], row))


def _path(folder: Path, table: str) -> Path:
    files = [path for ending in ("parquet", "jsonl", "tsv") if (path := folder / f"{table}.{ending}").is_file()]
    if len(files) != 1:
        raise UserError(
            f"{folder} needs exactly one of {table}.parquet, {table}.jsonl and {table}.tsv; it has {len(files)}."
        )
    return parsing.require_inside(files[0], folder)


def _table(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return parsing.frame(path)
    if path.suffix == ".jsonl":
        return lines.frame(record for _, record in lines.records(path))
    found = lines.rows(path)
    _, columns = next(found, ("", []))
    return pd.DataFrame([cells for _, cells in found], columns=columns, dtype="str")


def _place(path: Path, row: int) -> str:
    """Return where a row of a table stands in its file, which is read once more for it."""
    if path.suffix == ".parquet":
        return f"{path}, row {row + 1}"
    found: Iterator[tuple[str, object]] = lines.records(path)
    if path.suffix == ".tsv":
        found = islice(lines.rows(path), 1, None)
    return next(islice(found, row, None))[0]
