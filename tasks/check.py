"""A card and its Collection in; what was understood of them, as tables of text, out.

So that whoever writes a task sees what a run will make of it: languages, topics, directions and how many queries each
has, facets, duplicates, and the first record of every table and language.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks import facets, languages
from tasks.card import MINING, TaskCard
from tasks.collection import COLUMNS, Collection

Counts = NDArray[np.int64]
SHOWN = 90  # letters of a sample


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and rows of what stands in them."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


def understood(card: TaskCard, texts: Collection) -> list[Table]:
    """Return all tables, those without rows left out."""
    tables = [
        _languages(texts),
        _topics(texts),
        directions(card, texts),
        _facets(texts),
        _duplicates(texts),
        *_samples(texts),
    ]
    return [table for table in tables if table.rows]


def problems(card: TaskCard, texts: Collection) -> list[str]:
    """Return what does not make the task invalid and yet is hardly meant, each as a sentence."""
    found = [
        f"The setting {setting} has no direction in which a query has an answer."
        for setting, sizes in _sizes(card, texts).items()
        if not sizes
    ]
    judged = set(texts.judgements["topic"])
    if idle := sorted(judged - set(texts.queries["topic"])):
        found.append(f"Topic «{idle[0]}» is judged and nobody asks it" + _and_more(len(idle)) + ".")
    return found


def _and_more(number: int) -> str:
    return f", and so are {number - 1:,} more" if number > 1 else ""


def _languages(texts: Collection) -> Table:
    asked, told = texts.queries["lang"].value_counts(), texts.documents["lang"].value_counts()
    rows = [
        (f"{languages.name(tag)} ({tag})", languages.script(tag), int(asked.get(tag, 0)), int(told.get(tag, 0)))
        for tag in sorted({*asked.index, *told.index})
    ]
    total = ("all", "", len(texts.queries), len(texts.documents))
    return Table("Languages", ("language", "script", "queries", "documents"), [*rows, total])


def _topics(texts: Collection) -> Table:
    relevant = texts.judgements[texts.judgements["relevance"] > 0].groupby("topic").size()
    relevant = relevant[relevant.index.isin(texts.queries["topic"])]
    wordings = texts.queries.groupby("topic").size()
    spread = [
        (what, min(sizes), median(sizes), max(sizes))
        for what, sizes in (("wordings", wordings.tolist()), ("relevant documents", relevant.tolist()))
    ]
    return Table(f"{len(wordings):,} topics, for each", ("", "min", "median", "max"), [*spread])


def _sizes(card: TaskCard, texts: Collection) -> dict[str, dict[tuple[str, str], int]]:
    """Return, by setting of the card, how many queries of each direction (from, to) have an answer; none if none."""
    asking, telling = texts.query_languages, texts.document_languages
    topics = pd.Index(texts.queries["topic"].unique())
    answers = texts.judgements[texts.judgements["relevance"] > 0].merge(
        texts.documents[["doc_id", "lang"]], on="doc_id"
    )
    answers = answers[answers["topic"].isin(topics)]
    asked, answered = _grid(texts.queries, asking, topics), _grid(answers, telling, topics).clip(max=1)
    return {
        setting: {
            direction: int(size) for direction, size in SETTINGS[setting](asked, answered, asking, telling) if size
        }
        for setting in card.settings
    }


def _grid(frame: pd.DataFrame, tags: list[str], topics: pd.Index) -> Counts:
    """Return [tags, topics]: how many rows of the frame there are."""
    grid = np.zeros((len(tags), len(topics)), dtype=np.int64)
    places = (pd.Index(index).get_indexer(pd.Index(frame[name])) for index, name in ((tags, "lang"), (topics, "topic")))
    np.add.at(grid, tuple(places), 1)
    return grid


Sized = list[tuple[tuple[str, str], int]]


def _each(asked: Counts, answered: Counts, asking: list[str], telling: list[str]) -> Sized:
    sizes = asked @ answered.T
    return [((one, other), sizes[i, j]) for i, one in enumerate(asking) for j, other in enumerate(telling)]


def _mono(asked: Counts, answered: Counts, asking: list[str], telling: list[str]) -> Sized:
    return [found for found in _each(asked, answered, asking, telling) if found[0][0] == found[0][1]]


def _cross(asked: Counts, answered: Counts, asking: list[str], telling: list[str]) -> Sized:
    return [found for found in _each(asked, answered, asking, telling) if found[0][0] != found[0][1]]


def _multi(asked: Counts, answered: Counts, asking: list[str], telling: list[str]) -> Sized:  # noqa: ARG001
    return [((one, "*"), size) for one, size in zip(asking, asked @ answered.max(axis=0, initial=0), strict=True)]


def _pair(asked: Counts, answered: Counts, asking: list[str], telling: list[str]) -> Sized:
    found = []
    for i, one in enumerate(asking):
        if one in telling:
            either = asked[i] @ (answered | answered[telling.index(one)]).T
            found += [((one, other), size) for other, size in zip(telling, either, strict=True) if other != one]
    return found


def _mining(asked: Counts, answered: Counts, asking: list[str], telling: list[str]) -> Sized:  # noqa: ARG001
    sizes = answered @ answered.T
    return [((one, other), sizes[i, j]) for j, other in enumerate(telling) for i, one in enumerate(telling[:j])]


SETTINGS: dict[str, Callable[[Counts, Counts, list[str], list[str]], Sized]] = {
    "mono": _mono,
    "cross": _cross,
    "multi": _multi,
    "pair": _pair,
    "mining": _mining,
}


def directions(card: TaskCard, texts: Collection) -> Table:
    """Return how many directions each setting has and how many queries with an answer: smallest, median, largest."""
    rows: list[tuple[object, ...]] = []
    for setting, sizes in _sizes(card, texts).items():
        ordered = sorted(sizes, key=lambda direction: sizes[direction])
        arrow = "–" if setting == MINING else "→"
        ends = [f"{arrow.join(end)} {sizes[end]:,}" for end in (ordered[0], ordered[-1])] if ordered else ["", ""]
        middle = median(sizes.values()) if sizes else ""
        rows.append((setting, len(sizes), sum(sizes.values()), ends[0], middle, ends[1]))
    return Table("Directions", ("setting", "directions", "queries", "smallest", "median", "largest"), rows)


def _facets(texts: Collection) -> Table:
    rows: list[tuple[object, ...]] = []
    asked: set[str] = set()
    for facet in facets.of(texts):
        often = facet.values.value_counts()
        shown = ", ".join(f"{value} ({size:,})" for value, size in often.head(3).items())
        sliced = f"--by {facet.column if facet.name in asked else facet.name}"
        if not facet.kept:
            sliced = f"no: over {facets.MOST:,} values" if len(often) else "no: it says nothing"
        asked.add(facet.name)
        said_of = "queries" if facet.of == "query" else "relevant documents"
        rows.append((facet.name, said_of, len(often), int(facet.values.isna().sum()), shown[:SHOWN], sliced))
    return Table("Facets", ("facet", "of", "values", "without", "most frequent", "bench report"), rows)


def _duplicates(texts: Collection) -> Table:
    rows: list[tuple[object, ...]] = []
    for name in ("documents", "queries"):
        frame: pd.DataFrame = getattr(texts, name)
        said = texts.document_texts if name == "documents" else frame["text"]
        again = pd.DataFrame({"lang": frame["lang"], "text": said}).duplicated()
        if again.any():
            rows.append((name, int(again.sum()), str(frame[again]["text"].iloc[0])[:SHOWN]))
    return Table("Texts that an earlier one of the same language equals", ("", "texts", "first"), rows)


def _samples(texts: Collection) -> list[Table]:
    tables = []
    for name, columns in COLUMNS.items():
        frame: pd.DataFrame = getattr(texts, name)
        first = frame.drop_duplicates("lang").sort_values("lang") if "lang" in columns else frame.head(1)
        rows: list[tuple[object, ...]] = [
            tuple(str(cell)[:SHOWN] for cell in row) for row in first[list(columns)].to_numpy().tolist()
        ]
        tables.append(Table(f"First of the {name}" + (", by language" if "lang" in columns else ""), columns, rows))
    return tables
