"""A task and a model in, a Result out: the runner, which ties the other rooms together.

Fetch and read the task; look for a result with an equal key; encode each text once; rank once; measure; write.
"""

import platform
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from benchmark import evidence, facets, intervals, measures, mining, ranking, scoring, summary, systems, vectors
from benchmark.encoders import ROLES, Encoder
from benchmark.evidence import Result
from benchmark.progress import Progress
from tasks import collection as collections
from tasks import fetch, readers
from tasks.card import EVERY_SETTING, MINING, SETTINGS, TaskCard
from tasks.collection import Collection
from tasks.errors import NothingAskedError, UserError, nearest

LIBRARIES = (
    "isogloss", "numpy", "pandas", "pyarrow", "torch", "transformers", "sentence-transformers", "tokenizers",
    "faiss-cpu",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A task that is ready to run: its card, its texts, and what is asked of it."""

    card: TaskCard
    collection: Collection
    settings: tuple[str, ...]
    measures: tuple[measures.Measure, ...]


def prepare(
    card: TaskCard,
    *,
    settings: Sequence[str] = (),
    measured: Sequence[str] = (),
    languages: Sequence[str] | None = None,
    query_languages: Sequence[str] | None = None,
    document_languages: Sequence[str] | None = None,
    lenient: bool = False,
    mirror: str | None = None,
    offline: bool = False,
    progress: Progress,
) -> Task:
    """Fetch and read a task and check all that is asked of it. Empty settings or measures mean the card's.

    Languages are limited as `tasks.collection.limit` does it. Raises NothingAskedError if nothing is left to ask, and
    UserError for all else.
    """
    for setting in settings:
        if setting not in EVERY_SETTING:
            hint = nearest(setting, list(EVERY_SETTING)) or f"; take {', '.join(EVERY_SETTING)}."
            raise UserError(f"«{setting}» is not a setting{hint}")
    wanted = measures.of_card(card, measured)
    missing = fetch.missing_bytes(card)
    with progress.bytes(f"fetching {card.label}", missing) as advance:
        files = fetch.fetch(card, mirror, offline, advance)
    if missing:
        progress.say(f"{card.title}: licence {card.licence}")
    whole = readers.load(card, files)
    if (limits := (query_languages, document_languages, languages)) != (None, None, None):
        ignored = card.ignore_identical_ids
        whole = collections.limit(whole, *limits, ignore_identical_ids=ignored, lenient=lenient)
    asked = {*(settings or card.settings)}
    asked |= {"cross"} if MINING in asked else set()  # nearest neighbours beside the pairs
    chosen = tuple(setting for setting in EVERY_SETTING if setting in asked)
    possible = collections.possible_settings(whole, ignore_identical_ids=card.ignore_identical_ids)
    if MINING in chosen and not (card.symmetric and MINING in possible):
        why = "these languages have no gold pair" if card.symmetric else "its texts are not of one kind on both sides"
        raise NothingAskedError(f"{card.label} cannot be mined, since {why}; choose other languages or settings.")
    if not set(chosen) & possible:
        raise NothingAskedError(
            f"{card.label} has no query with an answer in the setting {' or '.join(chosen)} for these languages; "
            "choose other languages or settings."
        )
    return Task(card, whole, chosen, wanted)


def run(
    task: Task,
    encoder: Encoder,
    results: Path,
    progress: Progress,
    command: str,
    prepare: Callable[[TaskCard, Collection, Encoder, Progress, Sequence[str]], systems.System] = systems.prepare,
) -> Result:
    """Return the result of a model on a task: the one there is, if its key is equal, or a new one.

    `prepare` makes what scores the texts; whatever it does to the vectors has to be in the model's `how`.
    """
    start = time.perf_counter()
    card, model = task.card, encoder.model
    folder = evidence.prepare(results, model.name, card.label)
    parts = key_parts(task, encoder)
    key = evidence.key_of(parts)
    if same := evidence.find(folder, card.label, key):
        progress.say(f"{card.label}: the result in {same.folder} has the same key and is shown as it is.")
        same = facets.renewed(same, task.collection)
        about = {"name": model.name, "citation": model.citation, "notes": model.notes}
        return evidence.amend(same, model=same.says["model"] | about)
    check(task, encoder)
    if why := evidence.difference(folder, card.label, parts):
        progress.say(f"{card.label}: the earlier result is kept aside, not reused: {why}.")

    system = prepare(card, task.collection, encoder, progress, task.settings)
    encoded, pairs = system.encoded, system.pairs
    read = {role: encoded[role] for role in ROLES} | ({"pair": pairs} if pairs else {})
    before = time.perf_counter()
    with progress.count(f"{card.label}: ranking", len(task.collection.queries), "queries") as done:
        rankings = system.ranked(
            task.collection,
            [setting for setting in task.settings if setting in SETTINGS],
            ignore_identical_ids=card.ignore_identical_ids,
            progress=done,
        )
        steps = summary.every(task.collection)
        kept: list[ranking.Ranking] = []
        tables = summary.tables(summary.kept(rankings, steps, kept), task.measures)
    ranked = ranking.join(kept)
    if MINING in task.settings:
        if model.similarity != "cosine":
            vectors.normalise(encoded["document"].vectors)  # mining is by cosine, whatever the model
        tables |= _mined(task, encoded["document"].vectors, progress)
    ranked_in = time.perf_counter() - before
    if not tables["directions"]:
        raise UserError(f"{card.label}: no query has an answer besides the document with its own id.")
    says = {
        "schema": evidence.SCHEMA,
        "key": key,
        "key_parts": parts,
        "task": _task(task, parts["data"]),
        "model": vars(model)
        | {
            "dimensions": system.width,
            "first_query_as_sent": system.sent["query"],
            "first_document_as_sent": system.sent["document"],
            "truncated": {of: None if one.truncated is None else round(one.truncated, 6) for of, one in read.items()},
            "tokens": {role: encoded[role].tokens for role in ROLES},
            "zeros": {role: encoded[role].zeros for role in ROLES},
        },
        "main_measure": str(task.measures[0]),
        **tables,
        "pools": ranked.pools.to_dict("records"),
        "kept": {"every": steps[0], "topics": len(ranked.ranks["topic"].unique()), "top_every": steps[1]},
        "ties": round(ranked.ties, 6),
        "cost": _cost(system, ranked_in, start),
        "environment": _environment(),
        **system.about,
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    ranked = replace(ranked, ranks=facets.attached(ranked.ranks, task.collection))
    return evidence.write(folder, card.label, says, ranked)


def check(task: Task, encoder: Encoder) -> None:
    """Raise UserError if a model of this kind cannot do what is asked of it."""
    if MINING in task.settings and encoder.kind != "vector":
        raise UserError(
            f"{encoder.model.name} makes no single vector of a text, and mining compares vectors; ask for other "
            "--settings."
        )


def key_parts(task: Task, encoder: Encoder) -> dict[str, Any]:
    """Return everything that the numbers of a result depend on."""
    card, model = task.card, encoder.model
    return {
        "schema": evidence.SCHEMA,
        "task": card.label,
        "task version": card.version,
        "card": card.hash,
        "data": task.collection.digest(),
        "settings": list(task.settings),
        "measures": [str(measure) for measure in task.measures],
        "intervals": intervals.ABOUT,
        "model": model.fingerprint,
        "similarity": model.similarity,
        "query prompt": model.prompts["query"],
        "document prompt": model.prompts[systems.roles_of(card)["document"]],
        "dtype": model.dtype,
        "device": model.device,
        "engine": model.engine,
        **({"how": model.how} if model.how else {}),
    }


def _mined(task: Task, documents: scoring.Floats, progress: Progress) -> dict[str, Any]:
    jobs = mining.jobs(task.collection)
    with progress.count(f"{task.card.label}: mining", sum(job.sentences for job in jobs), "sentences") as done:
        return {MINING: mining.table(jobs, documents, done)}


def _task(task: Task, data_hash: str) -> dict[str, Any]:
    card, texts = task.card, task.collection
    return {
        "name": card.name,
        "version": card.version,
        "variant": card.variant,
        "title": card.title,
        "unit": card.unit,
        "licence": card.licence,
        "citation": card.citation,
        "contamination": card.contamination,
        "card_hash": card.hash,
        "data_hash": data_hash,
        "facets_hash": texts.facets_digest(),
        "files": {file.path: file.sha256 for file in card.files},
        "topics": int(texts.queries["topic"].nunique()),
        "queries": len(texts.queries),
        "documents": len(texts.documents),
        "judgements": len(texts.judgements),
        "query_languages": texts.query_languages,
        "document_languages": texts.document_languages,
        "settings": list(task.settings),
    }


def _cost(system: systems.System, ranked_in: float, start: float) -> dict[str, Any]:
    encoded, pairs = system.encoded, system.pairs
    count, seconds = sum(e.encoded for e in encoded.values()), sum(e.seconds for e in encoded.values())
    halved = sum((e.halved for e in (*encoded.values(), *([pairs] if pairs else []))), Counter[int]())
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "texts_encoded": count,
        "encode_seconds": round(seconds, 3),
        "texts_per_second": round(count / seconds, 1) if seconds else 0,
        **({"pairs_reranked": pairs.encoded, "rerank_seconds": round(pairs.seconds, 3)} if pairs else {}),
        "rank_seconds": round(ranked_in, 3),
        "total_seconds": round(time.perf_counter() - start, 3),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        "halved": [{"texts": texts, "batches": halved[texts]} for texts in sorted(halved, reverse=True)],
    }


def _environment() -> dict[str, Any]:
    libraries = {}
    for name in LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    blas = [
        f"{found.get('internal_api')} {found.get('version')} {found.get('architecture', '')}".strip()
        for found in threadpool_info()
        if found.get("user_api") == "blas"
    ]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": cpu_count(),
        "libraries": libraries,
        "blas": sorted(set(blas)),
    }
