"""A task and the files of a run in; its lists out, checked against the task, each in the pool that it is of.

The files of a folder say by their names which direction each is of. A file by itself does not, so it is taken for what
its lists are: of the pool of all if any of them holds documents in several languages; otherwise somebody has to say.
Where another setting is asked for, lists of several languages are *filtered*: the documents in one language, in the
order of the longer list, which is a true ranking down to where that ends.

A direction of which there is no list at all is not scored as nothing found: the languages that the run is of have to be
named instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark import averages, lists, runs
from benchmark.ranking import ALL, PART_COLUMN, pair_pool
from benchmark.run import Task
from benchmark.runs import Direction
from benchmark.scoring import Floats
from tasks import languages
from tasks.card import SETTINGS
from tasks.collection import Collection
from tasks.errors import UserError

Codes = NDArray[np.integer[Any]]
FEW = 3  # directions that a sentence names


@dataclass(frozen=True)
class Lists:
    """The lists of a run.

    * `settings`: what they are lists for.
    * `listed`: as `lists.ranked` takes them.
    * `about`: what the evidence says of them.
    * `disordered`: how many have another order by their rank column than by their scores.
    """

    settings: tuple[str, ...]
    listed: pd.DataFrame
    about: dict[str, Any]
    disordered: int


@dataclass(frozen=True)
class _Texts:
    """The queries and documents of a task, by id, ascending; a language or part is its place among all of them."""

    label: str
    tags: pd.Index
    queries: pd.Index
    documents: pd.Index
    query_lang: Codes
    document_lang: Codes
    query_part: Codes
    document_part: Codes


@dataclass(frozen=True)
class _Lines:
    """The lines of a file, as places in `_Texts`."""

    query: Codes
    document: Codes
    score: Floats
    disordered: int


def read(task: Task, whole: Collection, path: Path, files: dict[Path, Direction | None], asked: Sequence[str]) -> Lists:
    """Read the lists of a run.

    Args:
        task: what was asked, and in which languages.
        whole: the task in all its languages; documents and queries in others are passed over.
        path: the run.
        files: those of `runs.find`.
        asked: the settings to score; none stands for what the run is of.

    Raises UserError that names the first line at which something is wrong, or says why the run is not of this task.
    """
    texts = _texts(task.card.label, whole)
    directions = _directions(task, texts, path, files, asked)
    kept_query, kept_document = (
        ids.isin(pd.Index(table[name]))
        for ids, table, name in (
            (texts.queries, task.collection.queries, "query_id"),
            (texts.documents, task.collection.documents, "doc_id"),
        )
    )
    names = pd.Index(sorted({direction[1] for direction in directions.values() if direction}))
    parts, depth = [], dict.fromkeys(SETTINGS, 0)
    disordered, cut, mixed = 0, False, False
    for file, direction in directions.items():
        lines = _checked(file, direction, texts)
        there = kept_query[lines.query]
        kept = there & kept_document[lines.document]
        cut |= bool((there & ~kept).any())
        disordered += lines.disordered
        longest = int(np.bincount(lines.query[there]).max(initial=0))
        for setting in [averages.setting_of(*direction)] if direction else SETTINGS:
            depth[setting] = max(depth[setting], longest)
        spoken = texts.document_lang[lines.document]
        last = np.empty(len(texts.queries), dtype=np.int64)
        last[lines.query] = spoken
        mixed |= direction is None and bool((last[lines.query] != spoken).any())
        rows = pd.DataFrame(
            {
                "query_id": pd.Categorical.from_codes(lines.query[kept], texts.queries),
                "query_lang": pd.Categorical.from_codes(texts.query_lang[lines.query[kept]], texts.tags),
                "doc_id": pd.Categorical.from_codes(lines.document[kept], texts.documents),
                "doc_lang": pd.Categorical.from_codes(spoken[kept], texts.tags),
                "score": lines.score[kept],
            }
        )
        if direction:
            rows["pool"] = pd.Categorical.from_codes(np.full(len(rows), names.get_loc(direction[1])), names)
        parts.append(rows)
    if None in directions.values():
        settings = _settings(task, path, asked, mixed)
        (rows,) = parts
        listed = lists.in_pools(rows, settings, task.collection.document_languages)
    else:
        said = {averages.setting_of(*direction) for direction in directions.values() if direction}
        settings = tuple(setting for setting in SETTINGS if setting in said)
        listed = pd.concat(parts, ignore_index=True)
    filtered = [setting for setting in settings if cut or (mixed and setting != "multi")]
    about = {
        **_counted(task, path, settings, listed, filtered),
        "depth": {setting: depth[setting] for setting in settings},
        "filtered": filtered,
    }
    return Lists(settings, listed, about, disordered)


def _texts(label: str, whole: Collection) -> _Texts:
    queries, documents = whole.queries.sort_values("query_id"), whole.documents.sort_values("doc_id")
    tags = pd.Index(sorted({*queries["lang"].unique(), *documents["lang"].unique()}))
    apart = PART_COLUMN in queries and PART_COLUMN in documents
    names = pd.Index(queries[PART_COLUMN].unique()) if apart else pd.Index([])
    return _Texts(
        label,
        tags,
        pd.Index(queries["query_id"]),
        pd.Index(documents["doc_id"]),
        *(tags.get_indexer(pd.Index(table["lang"])) for table in (queries, documents)),
        *(
            names.get_indexer(pd.Index(table[PART_COLUMN])) if apart else np.zeros(len(table), dtype=np.int64)
            for table in (queries, documents)
        ),
    )


def _directions(
    task: Task, texts: _Texts, path: Path, files: dict[Path, Direction | None], asked: Sequence[str]
) -> dict[Path, Direction | None]:
    """Return those of the files that are of these settings and languages."""
    wanted: dict[Path, Direction | None] = {}
    for file, direction in files.items():
        if direction is None:
            return files
        spoken, pool = direction
        searched = [] if pool == ALL else pool.split("+")
        for tag in (spoken, *searched):
            if tag not in texts.tags:
                hint = languages.hint(tag, list(texts.tags))
                raise UserError(f"{file}: the task {texts.label} has no texts in «{tag}»{hint}")
        if len(searched) > 1 and (len(searched) > 2 or spoken not in searched or pool != pair_pool(*searched)):
            raise UserError(
                f"{file}: a pool of two languages is that of the question and one other, in alphabetical order, as in "
                f"en--de+en{runs.RUN}."
            )
        limited = spoken in task.collection.query_languages
        limited &= {*searched} <= {*task.collection.document_languages}
        if limited and (not asked or averages.setting_of(*direction) in asked):
            wanted[file] = direction
    if not wanted:
        raise UserError(
            f"{path} has no run in these settings and languages; it has "
            f"{_shown([f'{spoken}→{pool}' for spoken, pool in filter(None, files.values())])}."
        )
    return wanted


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW:,} more" if len(names) > FEW else "")


def _settings(task: Task, path: Path, asked: Sequence[str], mixed: bool) -> tuple[str, ...]:
    """Return the settings that a file of no direction is scored in."""
    if asked:
        return tuple(setting for setting in SETTINGS if setting in asked)
    if len(task.collection.document_languages) == 1:  # all pools are one
        return tuple(setting for setting in task.settings if setting in SETTINGS)
    if mixed:
        return ("multi",)
    raise UserError(
        f"{path}: each list holds documents in one language, so it does not say which documents were searched; name "
        "the setting with --settings mono, cross, mono,cross or multi."
    )


def _checked(file: Path, direction: Direction | None, texts: _Texts) -> _Lines:
    """Read a file. Raises UserError that names the first line that the task does not allow there."""
    found = runs.read(file)
    query, document = lists.places(found["query_id"], texts.queries), lists.places(found["doc_id"], texts.documents)

    def refuse(wrong: NDArray[np.bool_], says: Callable[[str, str], str]) -> None:
        """Raise UserError for the first wrong line; `says` what is wrong with its query and its document."""
        if wrong.any():
            place, more = int(wrong.argmax()), int(wrong.sum()) - 1
            said = says(found["query_id"].iloc[place], found["doc_id"].iloc[place])
            like = f" ({more:,} more lines are like it)" if more else ""
            raise UserError(f"{runs.line(file, place)}: {said}{like}.")

    known = f"; they are called like «{texts.queries[0]}» and «{texts.documents[0]}»"
    refuse(query < 0, lambda query_id, _: f"the task {texts.label} has no query «{query_id}»{known}")
    refuse(document < 0, lambda _, doc_id: f"the task {texts.label} has no document «{doc_id}»{known}")
    asked, held = texts.query_lang[query], texts.document_lang[document]
    if direction:
        spoken, pool = direction
        refuse(
            asked != texts.tags.get_loc(spoken),
            lambda query_id, _: f"the query «{query_id}» is not in the language {spoken}, of which the file is",
        )
        if pool != ALL:
            refuse(
                ~np.isin(held, texts.tags.get_indexer(pd.Index(pool.split("+")))),
                lambda _, doc_id: f"the document «{doc_id}» is not in the pool {pool}, of which the file is",
            )
    refuse(
        texts.query_part[query] != texts.document_part[document],
        lambda query_id, doc_id: f"the query «{query_id}» does not search the part that «{doc_id}» is in",
    )
    pair = query * len(texts.documents) + document
    if (np.diff(np.sort(pair)) == 0).any():
        twice = pd.Series(pair).duplicated().to_numpy()
        refuse(twice, lambda query_id, doc_id: f"the query «{query_id}» has the document «{doc_id}» a second time")
    score = found["score"].to_numpy(np.float32)
    rank = pd.to_numeric(pd.Series(found["rank"].cat.categories), errors="coerce").to_numpy(np.float64)
    order = lists.order(query, score, document)
    ranks, owner = rank[found["rank"].cat.codes.to_numpy()[order]], query[order]
    back = (owner[1:] == owner[:-1]) & (ranks[1:] < ranks[:-1])
    return _Lines(query, document, score, len(np.unique(owner[1:][back])))


def _counted(
    task: Task, path: Path, settings: Sequence[str], listed: pd.DataFrame, filtered: Sequence[str]
) -> dict[str, int]:
    """Return how many lists the settings ask for, and how many of these are empty.

    Raises UserError for a direction without any; where lists are filtered, for a language of the query without any.
    """
    rows = lists.answers(task.collection, settings, task.card.ignore_identical_ids)
    asked = rows[["query_id", "query_lang", "pool"]].drop_duplicates()
    if asked.empty:
        raise UserError(f"No query of {task.card.label} has an answer in the setting {' or '.join(settings)}.")
    found = listed[["query_id", "pool"]].drop_duplicates().astype("str")
    there = pd.MultiIndex.from_frame(asked[["query_id", "pool"]]).isin(pd.MultiIndex.from_frame(found))
    one = ~averages.settings(asked).isin(filtered)  # elsewhere a list may well hold nothing in some language
    direction = asked["query_lang"] + "→" + asked["pool"].where(one, "…")
    some = pd.Series(there).groupby(direction.to_numpy(), sort=False).any()
    if lone := list(some.index[~some]):
        raise UserError(
            f"{path} holds no list for {_shown(lone)}; name the languages that it is of with --query-languages and "
            "--document-languages, or other --settings."
        )
    return {"asked": len(asked), "empty": int((~there).sum())}
