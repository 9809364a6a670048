"""The files of a result in; what they say out, or one sentence that says how they are damaged.

Results are handed on, cut off and edited. So what readers of them build on is looked at here and nowhere else: kinds of
columns, holes, ranks that cannot be, and whether the tables of an evidence speak of the same settings, languages and
measures.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np
import pandas as pd

from benchmark.measures import parse
from tasks import languages, parsing
from tasks.errors import UserError, advising

SCHEMA = 2
TEXT, WHOLE, NUMBER = "texts", "whole numbers", "numbers"
RANKS = {
    "query_id": TEXT, "query_lang": TEXT, "topic": TEXT, "doc_id": TEXT, "doc_lang": TEXT, "relevance": WHOLE,
    "pool": TEXT, "documents": WHOLE, "rank": WHOLE,
}  # fmt: skip
TOP = {"query_id": TEXT, "rank": WHOLE, "doc_id": TEXT, "doc_lang": TEXT, "score": NUMBER}
ANEW = "run again to make it anew"
AVERAGES = ("macro", "micro", "chance")
ROWS = {  # of a table there is one for each
    "directions": ("setting", "query_language", "document_languages"),
    "pools": ("pool",),
    "languages": ("setting", "query_language"),
    "strong": ("query_language", "document_language"),
    "bias": ("query_language",),
    "language_share": ("query_language", "k"),
    "consistency": ("query_languages",),
    "mining": ("languages",),
}
Json = dict[str, Any]


@advising("delete the folder and run again")
def evidence(path: Path) -> Json:
    """Return what an `evidence.json` says. Raises UserError if it is of another schema or damaged."""
    says = parsing.json_file(path, finite=True)
    if not isinstance(says, dict) or says.get("schema") is True or says.get("schema") != SCHEMA:
        raise UserError(f"{path} is not evidence of schema {SCHEMA}")
    try:
        _validate()(says)
        fault = next(_contradictions(says), "")
    except (fastjsonschema.JsonSchemaException, UserError) as error:
        fault = str(error)
    if fault:
        raise UserError(f"{path} is damaged: {fault}")
    return says


@cache
def _validate() -> Callable[[Json], Json]:
    schema = json.loads((Path(__file__).parent / "evidence.schema.json").read_text(encoding="utf-8"))
    compiled: Callable[[Json], Json] = fastjsonschema.compile(schema, use_default=False)
    return compiled


def _contradictions(says: Json) -> Iterator[str]:
    """Yield in what an evidence contradicts itself. Raises UserError for a language or a measure that there is not."""
    task, first = says["task"], says["directions"][0]["measures"]
    asked, searched = ({languages.check(tag) for tag in task[f"{side}_languages"]} for side in ("query", "document"))
    for name in first:
        parse(name)
    if says["main_measure"] not in first:
        yield f"no table has the main measure {says['main_measure']}"
    for table in ("directions", "averages", "strong"):
        if any(row["measures"].keys() != first.keys() for row in says[table]):
            yield f"the rows of {table} have other measures than the first direction"
    rows = [(row["setting"], row["query_language"], tuple(row["document_languages"])) for row in says["directions"]]
    settings = {setting for setting, _, _ in rows}
    for setting, query, documents in rows:
        if query not in asked or not searched.issuperset(documents) or not _fits(setting, query, documents):
            yield f"there can be no direction {query}→{'+'.join(documents)} in the setting {setting}"
    if not settings <= {*task["settings"]}:
        yield "a direction is in a setting that was not run"
    if {*Counter((row["setting"], row["average"]) for row in says["averages"]).items()} != {
        ((setting, average), 1) for setting in settings for average in AVERAGES
    }:
        yield "the averages are not those of the directions"
    biased = [row["query_language"] for row in says["bias"]]
    if biased and not {"macro", "micro"} <= {*biased} <= {*asked, "macro", "micro"}:
        yield "the bias is of other languages than the task"
    shares = [row["shares"] for row in says["language_share"]]
    if any(row.keys() != shares[0].keys() or not searched.issuperset(row) for row in shares):
        yield "the language shares are of other languages than the task"
    paired = [*says["consistency"], *says.get("languages", ()), *says["language_share"], *says["strong"]]
    if not asked.issuperset(tag for row in paired for tag in row.get("query_languages", [row.get("query_language")])):
        yield "a table is of other languages than the task"
    for table, fields in ROWS.items():
        keys = [json.dumps([row[field] for field in fields]) for row in says.get(table, ())]
        if len({*keys}) < len(keys):
            yield f"{table} has two rows of one kind"


def _fits(setting: str, query: str, documents: tuple[str, ...]) -> bool:
    """Whether a direction can be in a setting."""
    if setting in ("mono", "cross"):
        return len(documents) == 1 and (documents[0] == query) == (setting == "mono")
    return len({*documents}) == len(documents) and (len(documents) == 2 or (setting == "multi" and bool(documents)))


@advising(ANEW)
def columns(path: Path, kinds: Mapping[str, str]) -> None:
    """Raise UserError unless `path` is a Parquet file with these columns, each once; reads no more than its end."""
    _check_columns(path, kinds)


def _check_columns(path: Path, kinds: Mapping[str, str]) -> None:
    with parsing.parquet(path) as file:
        found = Counter(file.schema_arrow.names)
    if wrong := [column for column in {**kinds, **found} if found[column] != 1]:
        raise UserError(f"{path} has {'two columns' if found[wrong[0]] else 'no column'} {wrong[0]}")


@advising(ANEW)
def ranks(path: Path, says: Json) -> pd.DataFrame:
    """Return `Ranking.ranks`, and facets, from the file of a result whose evidence says this."""
    frame = _table(path, RANKS)
    pools = {row["pool"] for row in says["pools"]}
    return _sound(frame, path, says, {
        "a facet that is not texts": all(_holds(frame[name], TEXT) for name in frame if name not in RANKS),
        "a rank that cannot be": bool(frame["rank"].between(1, frame["documents"]).all()),
        "an answer that is not relevant": bool(frame["relevance"].ge(1).all()),
        "two answers in one place": not frame.duplicated(["query_id", "pool", "rank"]).any(),
        "a pool that its evidence has not": pools.issuperset(_used(frame["pool"])),
    })  # fmt: skip


@advising(ANEW)
def top(path: Path, says: Json) -> pd.DataFrame:
    """Return `Ranking.top` from the file of a result whose evidence says this."""
    frame = _table(path, TOP)
    listed = frame.groupby("query_id", observed=True)["rank"].transform("size")
    return _sound(frame, path, says, {
        "two documents in one place": not frame.duplicated(["query_id", "rank"]).any(),
        "a place without a document": bool(frame["rank"].between(1, listed).all()),
        "a score that is no number": bool(np.isfinite(frame["score"]).all()),
    })  # fmt: skip


def _table(path: Path, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Return the table in a file, whose columns are of these kinds and have no holes."""
    _check_columns(path, kinds)
    frame = parsing.frame(path)
    if frame.empty:  # and so of no kind
        return frame.astype({name: "category" for name, kind in kinds.items() if kind == TEXT})
    for name, kind in kinds.items():
        if not _holds(frame[name], kind) or frame[name].hasnans:
            raise UserError(f"{path}: {name} holds something else than {kind}")
    return frame


def _holds(values: pd.Series, kind: str) -> bool:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return kind == TEXT and isinstance(values.cat.categories.dtype, pd.StringDtype)
    return kind != TEXT and (
        pd.api.types.is_integer_dtype(values) or (kind == NUMBER and pd.api.types.is_float_dtype(values))
    )


def _sound(frame: pd.DataFrame, path: Path, says: Json, holds: Mapping[str, bool]) -> pd.DataFrame:
    """Return a table of which all this holds, and whose languages are those of the task."""
    task = says["task"]
    spoken = {name: {*task[f"{side}_languages"]} for name, side in (("query_lang", "query"), ("doc_lang", "document"))}
    known = all(spoken[name].issuperset(_used(frame[name])) for name in spoken if name in frame)
    if fault := next(
        (fault for fault, sound in {**holds, "a language that the task has not": known}.items() if not sound), ""
    ):
        raise UserError(f"{path} has {fault}")
    return frame


def _used(values: pd.Series) -> list[str]:
    """Return the categories that a column makes use of."""
    return list(values.cat.categories[np.unique(values.cat.codes)])
