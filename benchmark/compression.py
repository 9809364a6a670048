"""A task, a model and variants in; what is retrieved through each index, and what it costs, as results, out.

A whole index (`benchmark.indexes`) is trained on all documents, and a pool is those of its documents that are in it:
one index for all languages, as a filter by language searches it. Any other gives lists, and every pool has an index of
its own: one for each language (mono, cross), one for all (multi).

A list that is cut off costs by itself, whatever found it. So what gives lists is not compared with the exact result but
with exact search whose lists are as long: a result of its own, called `top100` for lists of a hundred.
"""

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmark import batch, costs, evidence, indexes, searched, systems
from benchmark import run as runner
from benchmark.encoders import ROLES, Encoder, Role
from benchmark.encoders.precomputed import Precomputed
from benchmark.evidence import Json, Result
from benchmark.exposure import DEPTHS
from benchmark.indexes import Index, Places, Variant
from benchmark.progress import Progress
from benchmark.ranking import ALL, PART_COLUMN
from benchmark.run import Task
from benchmark.scoring import DotProduct, Floats
from benchmark.searched import Cut, Listed
from benchmark.systems import System
from benchmark.vectors import Encoded
from tasks.card import MINING
from tasks.errors import UserError

DEPTH = 100
EXACT = Variant()
SEARCHED = ("mono", "cross", "multi")  # the settings in which every pool has an index
SLACK = 1e-4  # of the longest product: how far faiss' own sums may be from those of the vectors that it keeps


@dataclass(frozen=True)
class Compressed:
    """The result of a variant.

    * `name`: the text of the variant, `top100`, or `dtype=bfloat16`.
    * `against`: what it is compared with: the exact result, or the exact one with lists as long.
    """

    name: str
    result: Result
    against: Result


def measure(
    task: Task,
    encoder: Encoder,
    variants: Sequence[Variant],
    results: Path,
    progress: Progress,
    command: str,
    *,
    dtypes: Sequence[Encoder] = (),
    depth: int = DEPTH,
) -> tuple[Result, list[Compressed]]:
    """Return the exact result of a model on a task, then one for each variant; all are written beside each other.

    All is checked before anything is encoded. Nothing is encoded twice, and nothing is built whose result is there.

    Args:
        task: what is asked.
        encoder: the model.
        variants: through what its vectors are searched.
        results: where results go: `<model>+<variant>/<task>`.
        progress: told of the work.
        command: the command line, for the record.
        dtypes: the same model, computing in other dtypes, called `<model>+dtype=<dtype>`; searched exactly.
        depth: how many documents a list holds.

    Raises:
        UserError: if the model makes no single vectors, or an index cannot be made of them.
    """
    for model in (encoder, *dtypes):
        if model.kind != "vector":
            raise UserError(f"{model.model.name} does not make one vector of a text, and indexes are of vectors.")
    width, cosine = _width(task, encoder, results) if variants else 0, encoder.model.similarity == "cosine"
    whole = {one: indexes.whole(indexes.create(one, width, cosine), one) for one in variants}
    searching = replace(task, settings=tuple(setting for setting in task.settings if setting != MINING))
    for one, scored in whole.items():
        if not scored:
            _check_lists(searching, depth)
        _check_size(searching, one, whole=scored)
    exact = runner.run(task, encoder, results, progress, command)

    @cache
    def usual() -> System:
        return systems.prepare(task.card, task.collection, encoder, progress)

    def timed(result: Result, prepare: Callable[[], System]) -> Result:
        """Return a result that tells the costs of lists of this depth: nobody may have asked before, or for others."""
        told = result.says.get("index", {}).get("depth") == min(depth, len(task.collection.documents))
        return result if told else evidence.amend(result, **prepare().about)

    def run(source: Encoder, prepare: Callable[[], System]) -> Result:
        return runner.run(searching, source, results, progress, command, lambda *_: prepare())

    build = _Builder(searching, usual, cosine, depth, progress)
    exact = timed(exact, partial(build.whole, EXACT))
    found = []
    for other in dtypes:
        made = partial(build.computed, other)
        found.append(Compressed(other.model.name.rpartition("+")[2], timed(run(other, made), made), exact))
    for one in (one for one, scored in whole.items() if scored):
        made = partial(build.whole, one)
        found.append(Compressed(str(one), timed(run(_as(encoder, str(one), index=str(one)), made), made), exact))
    if not all(whole.values()):
        name = f"top{depth}"
        short = run(_as(encoder, name, depth=depth), build.cut)
        found.append(Compressed(name, short, exact))
        for one in (one for one, scored in whole.items() if not scored):
            named = _as(encoder, str(one), index=str(one), depth=depth)
            found.append(Compressed(str(one), run(named, partial(build.lists, one)), short))
    return exact, found


def _width(task: Task, encoder: Encoder, results: Path) -> int:
    """Return how many numbers a vector has: by the result that is there, or by one query, encoded and not kept."""
    folder, key = results / evidence.slug(encoder.model.name), evidence.key_of(runner.key_parts(task, encoder))
    if same := evidence.stored(folder, task.card.label, key):
        return int(same.says["model"]["dimensions"])
    first = task.collection.queries["query_id" if isinstance(encoder, Precomputed) else "text"].iloc[0]
    return int(batch.matrices(encoder, [first], "query", Counter())[1].shape[1])


def _check_lists(task: Task, depth: int) -> None:
    """Raise UserError if lists cannot answer the task."""
    label = task.card.label
    if too_deep := [str(measure) for measure in task.measures if measure.cutoff > depth]:
        raise UserError(f"Lists of {depth} documents cannot tell {too_deep[0]}; ask for longer ones with --depth.")
    if PART_COLUMN in task.collection.documents:
        raise UserError(f"{label} holds collections that are searched apart, each too small for an index that prunes.")
    if other := [setting for setting in task.settings if setting not in SEARCHED]:
        raise UserError(
            f"An index that gives lists is searched in {', '.join(SEARCHED)}, not in {other[0]}; name the others with "
            "--settings."
        )


def _check_size(task: Task, variant: Variant, *, whole: bool) -> None:
    """Raise UserError if an index has too few documents to be trained on."""
    count, where = len(task.collection.documents), "all languages together"
    if not whole:
        count, pool = min((len(held), pool) for pool, held in searched.pools(task.collection, task.settings).items())
        where = where if pool == ALL else pool
    if variant.clusters > count:
        raise UserError(
            f"{variant} trains {variant.clusters:,} clusters, and {task.card.label} has {count:,} documents in "
            f"{where}; the largest possible is IVF{count}, or PQ of {int(np.log2(count))} bits."
        )


def _as(encoder: Encoder, name: str, **how: str | int | float) -> Encoder:
    """Return the encoder under the name of a variant, and with what that does on record."""
    model, named = encoder.model, copy.copy(encoder)
    engine = {"faiss-cpu": version("faiss-cpu")} if "index" in how else {}
    named.model = replace(model, name=f"{model.name}+{name}", how=model.how | how, engine=model.engine | engine)
    return named


@dataclass(frozen=True)
class _Builder:
    """Makes systems that search the vectors of a task, `usual`, through indexes."""

    task: Task
    usual: Callable[[], System]
    cosine: bool
    depth: int
    progress: Progress

    def whole(self, variant: Variant, own: System | None = None) -> System:
        """Return what scores the vectors that an index of all documents keeps: the usual ones, or those of `own`."""
        system = own or self.usual()
        left, right = (system.encoded[role].vectors for role in ROLES)
        index = self._built(variant, right, {ALL: np.arange(len(right))})[ALL]
        scorer = index.decoded(left)
        asked = costs.sample(self.task.collection, costs.TIMED)
        _agree(index, left[asked], _part(scorer, asked, slice(None)), self.depth)
        held = self._held()

        def find(pool: str, rows: Places) -> Places:
            return costs.nearest(scorer.queries[rows], scorer.documents[held[pool]], DEPTHS[-1])

        return System(
            partial(_part, scorer),
            _kept(system, scorer.queries, scorer.documents),
            system.sent,
            self._about({ALL: index}, left, find, DEPTHS[-1]),
        )

    def computed(self, other: Encoder) -> System:
        """Return exact search of the vectors that another model, or the same in another dtype, makes."""
        return self.whole(EXACT, systems.prepare(self.task.card, self.task.collection, other, self.progress))

    def lists(self, variant: Variant) -> System:
        """Return what finds documents by an index of each pool."""
        system = self.usual()
        left, right = (system.encoded[role].vectors for role in ROLES)
        built = self._built(variant, right, self._held())

        def find(pool: str, rows: Places) -> Places:
            return built[pool].search(left[rows], min(self.depth, len(built[pool])))[1]

        short = (indexes.shortened(side, variant, self.cosine) for side in (left, right))
        return Listed(
            system.scorers,
            _kept(system, *short),
            system.sent,
            self._about(built, left, find, self.depth),
            queries=left,
            indexes=built,
            depth=self.depth,
        )

    def cut(self) -> System:
        """Return exact search, its lists cut off."""
        system = self.usual()
        return Cut(system.scorers, system.encoded, system.sent, depth=self.depth)

    def _held(self) -> dict[str, Places]:
        return searched.pools(self.task.collection, self.task.settings)

    def _built(self, variant: Variant, documents: Floats, pools: Mapping[str, Places]) -> dict[str, Index]:
        """Return an index of the documents in each pool."""
        label = self.task.card.label
        if variant != EXACT:
            self.progress.say(f"{label}: building {variant}" + (f", {len(pools)} indexes" if len(pools) > 1 else ""))
        built = {pool: indexes.build(variant, documents[rows], self.cosine) for pool, rows in pools.items()}
        if warned := [index for index in built.values() if index.warned]:
            self.progress.say(f"{label}: of {variant}, faiss warns: {min(warned, key=len).warned}")
        return built

    def _about(self, built: Mapping[str, Index], queries: Floats, find: costs.Find, depth: int) -> Json:
        """Return the field `index` of the evidence."""
        collection, held = self.task.collection, self._held()
        left, right = (self.usual().encoded[role].vectors for role in ROLES)

        def exact(pool: str, rows: Places) -> Places:
            return costs.nearest(left[rows], right[held[pool]], DEPTHS[-1])

        asked = costs.sample(collection, costs.SAMPLE)
        spent = costs.of(built, queries[costs.sample(collection, costs.TIMED)], self.depth)
        apart = PART_COLUMN in collection.documents  # a pool is then more than what a query searches
        recall = [] if apart else costs.recall(collection, self.task.settings, asked, exact, find, depth)
        return {"index": spent | {"recall": recall}}


def _part(scorer: DotProduct, queries: Places | slice, documents: Places | slice) -> DotProduct:
    return replace(scorer, queries=scorer.queries[queries], documents=scorer.documents[documents])


def _kept(system: System, *vectors: Floats) -> dict[Role, Encoded]:
    """Return the record of what was encoded, with the vectors that are searched."""
    return {role: replace(system.encoded[role], vectors=side) for role, side in zip(ROLES, vectors, strict=True)}


def _agree(index: Index, queries: Floats, scorer: DotProduct, depth: int) -> None:
    """Raise UserError unless the index's own search gives the scores by which its documents are ranked here."""
    with threadpool_limits(1):
        scores, places = index.search(queries, min(depth, len(index)))
    row = np.repeat(np.arange(len(queries)), places.shape[1])
    ranked = scorer.pairs(row, places.ravel()).reshape(scores.shape)
    if index.variant.quantiser == "binary":  # width - 2 Hamming distances
        scores = 2 * scores + scorer.queries.shape[1]
    longest = np.linalg.norm(scorer.queries, axis=1).max() * np.linalg.norm(scorer.documents, axis=1).max()
    if (gap := float(np.abs(scores - ranked).max())) > SLACK * longest:
        raise UserError(
            f"{index.variant} as faiss {version('faiss-cpu')} searches it gives other scores (by {gap:.2g}) than the "
            "vectors in it, so its ranks cannot be told; take another version of faiss or another index."
        )
