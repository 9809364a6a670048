"""A task and a model in; how far the scores move when nothing changes, out: the noise floor.

The last bits of a vector depend on what it was computed beside: the batch it stood in, the order of the texts, the
number of threads. So the same texts are encoded again with one of these varied, past the vector store, then ranked and
measured again. What differs from the scores as they are is noise, and a difference between two checkpoints that is no
larger says nothing. Where no vector moves, the noise is zero.

A dtype changes more than the last bits, and on purpose: its effect is measured alike and marked as a change.

The floor is of arithmetic alone. How far chance in the choice of the questions goes is for a test to say; how far two
trainings of one recipe lie apart, only for several trainings.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark import bias, evidence, ranking, summary, systems, vectors
from benchmark.bias import STRONG
from benchmark.encoders import ROLES, Encoder, Role
from benchmark.encoders.precomputed import Precomputed
from benchmark.evidence import Json, Result
from benchmark.progress import Progress
from benchmark.run import Task
from benchmark.scoring import Floats, Index
from tasks.card import SETTINGS
from tasks.errors import UserError, nearest
from tasks.fetch import cache_folder

VARIED = ("batches", "order", "threads")
KINDS = ("averages", "languages", "directions")
SMALLER = 4  # a batch of a repetition holds this part of the usual one
SEED = 20_240_810
Vectors = dict[Role, Floats]


@dataclass(frozen=True)
class Repetition:
    """One way to encode the same texts again."""

    varied: str
    how: str
    budget: int
    threads: int
    backwards: bool = False


def repetitions(encoder: Encoder, varied: Sequence[str] = VARIED) -> list[Repetition]:
    """Return the repetitions of these names.

    Raises UserError for a name that is none, a model that makes other than one vector of a text, or given vectors.
    """
    if encoder.kind != "vector":
        raise UserError(f"{encoder.model.name} does not make one vector of a text; noise is measured on vectors.")
    if isinstance(encoder, Precomputed):
        raise UserError(f"The vectors of {encoder.model.source} are given, so nothing can be encoded again.")
    for name in varied:
        if name not in VARIED:
            hint = nearest(name, list(VARIED)) or f"; take {', '.join(VARIED)}."
            raise UserError(f"«{name}» is nothing that can be varied{hint}")
    usual, threads = encoder.budget, encoder.threads or _threads()
    budget, other = max(1, usual // SMALLER), 1 if threads > 1 else 2
    known = (
        Repetition("batches", f"batches of {budget:,} tokens instead of {usual:,}", budget, encoder.threads),
        Repetition("order", "the texts in reversed order", usual, encoder.threads, backwards=True),
        Repetition("threads", f"{other} instead of {threads}", usual, other),
    )
    return [one for one in known if one.varied in varied]


def _threads() -> int:
    """Return how many threads the libraries take by themselves."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) else ranking.processors()


def measure(
    task: Task,
    encoder: Encoder,
    result: Result,
    progress: Progress,
    *,
    varied: Sequence[str] = VARIED,
    changes: Sequence[Encoder] = (),
    texts: int | None = None,
) -> list[Json]:
    """Return the field `noise` of the evidence: a row for each repetition, as `evidence.schema.json` describes it.

    Args:
        task: what was asked.
        encoder: the model that made `result`.
        result: its scores.
        progress: told of every encoding.
        varied: of `VARIED`, what to vary, each in a repetition of its own.
        changes: the same model in other dtypes.
        texts: how many texts of each role a repetition encodes again; None for all. The others are moved by differences
            drawn at random from those found, so that a repetition costs little more than a ranking.
    """
    wanted = repetitions(encoder, varied)
    usual = _encoded(task, encoder, encoder.model.dtype, progress)
    scored = _scored(task, usual)
    rows = []
    # The scores come from these vectors, unless the result was made elsewhere or from other batches.
    if _largest(result.says, scored).to_numpy().any():
        how = "encoded here and now instead of when the result was made"
        rows.append(_row("machine", how, result.says, scored))
    for one in wanted:
        moved, again = _repeated(task, encoder, one, usual, texts, progress)
        gaps = _moved(usual, moved, again)
        rows.append(_row(one.varied, one.how, scored, _scored(task, moved) if gaps["moved"] else scored, gaps))
    for other in changes:
        dtype = other.model.dtype
        moved = _encoded(task, other, dtype, progress)
        whole = {role: np.arange(len(moved[role])) for role in ROLES}
        how = f"{dtype} instead of {encoder.model.dtype}"
        rows.append(_row("dtype", how, scored, _scored(task, moved), _moved(usual, moved, whole), change=True))
    return rows


def means(says: Json) -> pd.DataFrame:
    """Return every mean of an evidence, or of its tables: index `setting, kind, name`, a column for each measure.

    `kind` is one of `KINDS`. `languages` are means of a setting by language of the question, and in `cross` and
    `strong` (strong alignment, which is a setting here) also by language of the documents.
    """
    directed = [evidence.directions(says)]
    if says["strong"]:
        strong = [
            {"query_lang": row["query_language"], "pool": row["document_language"]} | row["measures"]
            for row in says["strong"]
        ]
        directed.append(pd.DataFrame(strong).assign(setting=STRONG))
    names = list(says["directions"][0]["measures"])
    parts = []
    for table in directed:
        both = table["setting"].isin(["cross", STRONG])
        for kind, name, rows in (
            ("directions", table["query_lang"] + "→" + table["pool"], table),
            ("languages", table["query_lang"], table),
            ("languages", "→" + table["pool"], table[both]),
        ):
            mean = rows.assign(kind=kind, name=name).groupby(["setting", "kind", "name"])[names].mean()
            parts.append(mean)
    averaged = pd.DataFrame([row | row["measures"] for row in says["averages"] if row["average"] != "chance"])
    parts.append(
        averaged.assign(kind="averages", name=averaged["average"]).set_index(["setting", "kind", "name"])[names]
    )
    return pd.concat(parts)


def floor(results: Sequence[Json]) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    """Return the largest noise that any of these evidences tells of; both empty where none was measured.

    Returns:
        Of the scores (index `setting, kind`, a column for each measure), and of each bias measure (index its name).
    """
    rows = [row for says in results for row in says.get("noise", []) if not row["change"]]
    scores = [
        {"setting": setting, "kind": kind} | values
        for row in rows
        for setting, kinds in row["scores"].items()
        for kind, values in kinds.items()
    ]
    if not rows:
        return pd.DataFrame(), pd.Series(dtype=float)
    return pd.DataFrame(scores).groupby(["setting", "kind"]).max(), pd.DataFrame([row["bias"] for row in rows]).max()


def _encoded(task: Task, encoder: Encoder, what: str, progress: Progress) -> Vectors:
    """Return the vectors of each role, through the store."""
    encoded = systems.prepare(task.card, task.collection, encoder, progress, what=f", {what}").encoded
    return {role: found.vectors for role, found in encoded.items()}


def _repeated(
    task: Task, encoder: Encoder, how: Repetition, usual: Vectors, texts: int | None, progress: Progress
) -> tuple[Vectors, dict[Role, Index]]:
    """Return the vectors of a repetition, encoded in a store of its own, and which texts of each role were encoded."""
    whole, roles = systems.texts_of(task.collection), systems.roles_of(task.card)
    random = np.random.default_rng(SEED)
    moved, again = {}, {}
    for role in ROLES:
        count = len(whole[role])
        some = np.sort(random.choice(count, min(texts or count, count), replace=False))
        asked = [whole[role][place] for place in (some[::-1] if how.backwards else some)]
        with (
            _as(encoder, how),
            tempfile.TemporaryDirectory(prefix="noise-", dir=_scratch()) as root,
            progress.texts(f"{task.card.label}, other {how.varied}: {role}") as advance,
        ):
            found = vectors.encode(encoder, asked, roles[role], advance, root=Path(root), say=progress.say).vectors
        found = found[::-1] if how.backwards else found
        moved[role], again[role] = _spread(usual[role], some, found, encoder.model.similarity == "cosine"), some
    return moved, again


def _spread(usual: Floats, some: Index, found: Floats, cosine: bool) -> Floats:
    """Return `usual` with the vectors `found` in the places `some`; all others are moved as one of those was."""
    moved = usual.copy()
    moved[some] = found
    others = np.setdiff1d(np.arange(len(usual)), some)
    drawn = np.random.default_rng(SEED).integers(0, len(some), len(others))
    moved[others] += (found - usual[some])[drawn]
    if cosine:
        lengthened = others[(moved[others] != usual[others]).any(axis=1)]
        brought = moved[lengthened]
        vectors.normalise(brought)
        moved[lengthened] = brought
    return moved


@contextmanager
def _as(encoder: Encoder, how: Repetition) -> Iterator[None]:
    """Let the encoder work as the repetition says."""
    usual = encoder.budget, encoder.threads
    encoder.budget, encoder.threads = how.budget, how.threads
    try:
        yield
    finally:
        encoder.budget, encoder.threads = usual


def _scratch() -> Path:
    folder = cache_folder() / "vectors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"Vectors cannot be written to {folder}: {error.strerror}; set ISOGLOSS_CACHE to another folder."
        ) from error
    return folder


def _scored(task: Task, found: Vectors) -> Json:
    """Return the tables of the evidence for these vectors."""
    ranked = ranking.ranked(
        task.collection,
        systems.dense(found["query"], found["document"]),
        [setting for setting in task.settings if setting in SETTINGS],
        ignore_identical_ids=task.card.ignore_identical_ids,
    )
    return summary.tables(ranked, task.measures)


def _moved(usual: Vectors, moved: Vectors, again: dict[Role, Index]) -> Json:
    """Return how many texts were encoded again, the share whose vector moved, and the largest move of a component."""
    gaps = np.concatenate([np.abs(moved[role][again[role]] - usual[role][again[role]]).max(axis=1) for role in ROLES])
    return {
        "texts": len(gaps),
        "moved": round(float((gaps > 0).mean()), 6),
        "largest": float(f"{gaps.max(initial=0.0):.3g}"),
    }


def _largest(before: Json, after: Json) -> pd.DataFrame:
    """Return the largest absolute difference of the means: index `setting, kind`, a column for each measure."""
    difference = (means(after) - means(before)).abs()
    return difference.groupby(["setting", "kind"]).max()


def _row(varied: str, how: str, before: Json, after: Json, gaps: Json | None = None, *, change: bool = False) -> Json:
    scores = _largest(before, after).round(summary.DIGITS).to_dict("index")
    biases = [
        pd.DataFrame(says["bias"]).set_index("query_language")[list(bias.MEASURES)].astype(float)
        for says in (before, after)
        if says["bias"]
    ]
    bias_moved = (biases[1] - biases[0]).abs().max() if biases else pd.Series(dtype=float)
    return {
        "varied": varied,
        "how": how,
        "change": change,
        **(gaps or {"texts": 0, "moved": None, "largest": None}),
        "scores": {
            setting: {kind: scores[setting, kind] for kind in KINDS if (setting, kind) in scores}
            for setting in [*SETTINGS, STRONG]
            if (setting, "directions") in scores
        },
        "bias": {name: round(value, summary.DIGITS) for name, value in bias_moved.dropna().items()},
    }
