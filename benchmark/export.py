"""A result, or a task and what scores its texts, in; run files, judgements and vectors that other tools read, out.

An export is a folder that is written whole or not at all. Beside its files lies `export.json`, which says what they are
of and how they are called; so an earlier export is known as one, and only that is ever replaced.

A result keeps the first documents of the pool of all languages and nothing of the other pools, so its runs are of that
pool. With the model at hand every direction is ranked again, from the vectors in the store, as deep as is asked for.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from benchmark import evidence, lists, ranking, runs
from benchmark.encoders import Model, Role
from benchmark.evidence import Json, Result
from benchmark.ranking import ALL, Scorers
from benchmark.run import Task
from benchmark.runs import Direction
from benchmark.scoring import Index, Scorer
from benchmark.systems import System
from tasks import parsing
from tasks.errors import UserError

NOTE = "export.json"
VECTORS: dict[Role, str] = {"query": "queries", "document": "documents"}
BREAKS = r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]"  # what readers take for the end of a line


def require(folder: Path) -> None:
    """Raise UserError unless the folder is not there, empty, or an earlier export with nothing else in it."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder for the export.")
    try:
        ours = {NOTE, *parsing.json_file(folder / NOTE)["files"]}
    except (UserError, KeyError, TypeError):
        ours = set()
    if others := sorted({path.name for path in folder.iterdir()} - ours):
        raise UserError(f"{folder} holds {others[0]}, which bench export did not write; name another folder.")


@contextmanager
def whole(folder: Path, about: Json) -> Iterator[Path]:
    """Yield a folder to write into, which takes the place of `folder` once all is written, with `about` in it."""
    require(folder)
    folder, made = folder.resolve(), None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        yield made
        files = sorted(path.name for path in made.iterdir())
        (made / NOTE).write_text(json.dumps(about | {"files": files}, indent=1, ensure_ascii=False) + "\n", "utf-8")
        mask = os.umask(0)
        os.umask(mask)
        made.chmod(0o777 & ~mask)  # mkdtemp makes it private
        require(folder)  # again: writing takes minutes
        aside = made.with_name(f"{made.name}~")
        if folder.exists():
            folder.rename(aside)
        try:
            made.rename(folder)
        except OSError:
            if aside.exists():
                aside.rename(folder)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}; nothing was exported.") from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def of_result(result: Result) -> Json:
    """Return what is said of an export of a result."""
    says = result.says
    model = {name: says["model"][name] for name in ("name", "source", "revision", "fingerprint")}
    return {"task": evidence.label(says), "data": says["task"]["data_hash"], "model": model}


def of_task(task: Task, model: Model | None) -> Json:
    """Return what is said of an export of a task, or of a model's answers to it."""
    about: Json = {"task": task.card.label, "data": task.collection.digest()}
    return about if model is None else about | {"model": vars(model)}


def kept(result: Result, depth: int | None) -> Iterator[tuple[Direction, pd.DataFrame]]:
    """Yield the lists that a result keeps, by language of the question: of the pool of all, `depth` documents at most.

    Raises UserError if it keeps none, or none so deep.
    """
    top = result.top()
    if top.empty:
        raise UserError(
            f"{result.folder} keeps no lists of the pool of all languages; name the --model and the --task instead."
        )
    held = int(top["rank"].max())
    if depth is not None and depth > held:
        raise UserError(
            f"{result.folder} keeps the first {held:,} documents; name the --model and the --task for deeper lists."
        )
    spoken = result.ranks().drop_duplicates("query_id").set_index("query_id")["query_lang"].astype("str")
    top = top[top["rank"] <= (depth or held)]
    for lang, part in top.groupby(top["query_id"].astype("str").map(spoken)):
        yield (str(lang), ALL), part


def searched(task: Task, system: System, depth: int) -> Iterator[tuple[Direction, pd.DataFrame]]:
    """Yield the lists of every direction, some queries after others; `depth` documents at most.

    Those of the queries that have an answer there: no other counts.
    """
    collection = task.collection
    asked = lists.answers(collection, task.settings, task.card.ignore_identical_ids)
    ids = pd.Index(collection.queries["query_id"])
    for direction, those in asked.groupby(["query_lang", "pool"], sort=False)["query_id"]:
        spoken, pool = (str(name) for name in cast(tuple[str, str], direction))
        queries = np.sort(ids.get_indexer(pd.Index(those.unique())))
        documents = np.arange(len(collection.documents))
        if pool != ALL:
            documents = np.flatnonzero(collection.documents["lang"].isin(pool.split("+")))
        some = replace(
            collection,
            queries=collection.queries.iloc[queries].reset_index(drop=True),
            documents=collection.documents.iloc[documents].reset_index(drop=True),
        )
        found = ranking.ranked(
            some,
            partial(_picked, system.scorers, queries, documents),
            ["multi"],
            ignore_identical_ids=task.card.ignore_identical_ids,
            top=depth,
        )
        for one in found:
            yield (spoken, pool), one.top


def _picked(scorers: Scorers, queries: Index, documents: Index, asked: Index | slice, held: Index) -> Scorer:
    return scorers(queries[asked], documents[held])


def judged(task: Task) -> pd.DataFrame:
    """Return the relevant documents of a task by query and pool, as `Ranking.ranks` has them."""
    return lists.answers(task.collection, task.settings, task.card.ignore_identical_ids)


def write_runs(folder: Path, found: Iterable[tuple[Direction, pd.DataFrame]], about: Json) -> None:
    """Write lists (`query_id, doc_id, rank, score`) as a run file for each direction."""
    tag = evidence.slug(about["model"]["name"])
    with whole(folder, {"export": "runs"} | about) as made:
        for direction, part in found:
            for name in ("query", "doc"):
                ids = pd.Series(part[f"{name}_id"].astype("str").unique())
                runs.require_writable(ids, "the query" if name == "query" else "the document")
            runs.write(made / f"{runs.stem(*direction)}{runs.RUN}", part, tag)


def write_qrels(folder: Path, ranks: pd.DataFrame, about: Json) -> None:
    """Write the relevant documents of `ranks` as a file of judgements for each direction."""
    for name, what in (("query_id", "the query"), ("doc_id", "the document")):
        runs.require_writable(pd.Series(ranks[name].astype("str").unique()), what)
    with whole(folder, {"export": "qrels"} | about) as made:
        for (spoken, pool), part in ranks.groupby(["query_lang", "pool"], observed=True, sort=False):
            runs.write_qrels(made / f"{runs.stem(str(spoken), str(pool))}{runs.QRELS}", part)


def write_vectors(folder: Path, task: Task, system: System, about: Json) -> None:
    """Write the vectors, float32 [n, dim], and beside them the ids, one on a line, in the order of the task."""
    ids = {"query": task.collection.queries["query_id"], "document": task.collection.documents["doc_id"]}
    for role, those in ids.items():
        if (bad := those[those.str.contains(BREAKS, regex=True)]).size:
            raise UserError(f"The id of the {role} {bad.iloc[0]!r} has a line break in it, which a list cannot hold.")
    with whole(folder, {"export": "vectors"} | about) as made:
        for role, name in VECTORS.items():
            np.save(made / f"{name}.npy", np.asarray(system.encoded[role].vectors, dtype="<f4"), allow_pickle=False)
            (made / f"{name}.txt").write_text("".join(f"{one}\n" for one in ids[role]), "utf-8", newline="\n")
