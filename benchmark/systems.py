"""A task and a model in; what scores any of its queries against any of its documents, out.

The ranking pass asks for scores and never how they come about; here is where that is decided, by the kind of the model.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmark import maxsim, ranking, rerank, scoring, sparse, vectors
from benchmark.encoders import ROLES, Encoder, Role, sent
from benchmark.encoders.cross import Reranked
from benchmark.encoders.lexical import Lexical
from benchmark.encoders.precomputed import Precomputed
from benchmark.progress import Progress
from benchmark.vectors import Encoded
from tasks.card import SETTINGS, TaskCard
from tasks.collection import Collection


@dataclass(frozen=True)
class System:
    """A model that has seen the texts of a task."""

    scorers: ranking.Scorers
    encoded: dict[Role, Encoded]
    """What each role's texts became, and what it took. Vectors are kept where there is one of a text."""
    sent: dict[Role, str]
    """The first text of each role as the model gets it; its id where vectors are there already, "" if not known."""
    about: dict[str, Any] = field(default_factory=dict)
    """Fields of the evidence besides."""
    pairs: Encoded | None = None
    """What a reranker said of pairs, and what it took."""

    @property
    def width(self) -> int:
        """How many numbers a vector has; of terms, how many different ones the texts have."""
        return int(self.encoded["query"].vectors.shape[1])

    def ranked(
        self,
        collection: Collection,
        settings: Sequence[str],
        *,
        ignore_identical_ids: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Iterator[ranking.Ranking]:
        """Rank the answers of the task, as `ranking.ranked` does."""
        return ranking.ranked(
            collection, self.scorers, settings, ignore_identical_ids=ignore_identical_ids, progress=progress
        )


def prepare(
    card: TaskCard,
    collection: Collection,
    encoder: Encoder,
    progress: Progress,
    settings: Sequence[str] = SETTINGS,
    what: str = "",
) -> System:
    """Encode each text of a task once, through the store, where the model makes something of a text alone.

    What no setting asks is not reranked. `what` tells one encoding from another on progress bars.
    """
    if isinstance(encoder, Reranked):
        first = prepare(card, collection, encoder.first, progress, settings, what)
        found = rerank.candidates(card, collection, first.scorers, settings, encoder.depth, progress)
        read = rerank.read(card, collection, encoder, found, progress)
        sizes = len(collection.queries), len(collection.documents)
        return replace(first, scorers=rerank.scorers(first.scorers, found, read.vectors[:, 0], *sizes), pairs=read)
    if isinstance(encoder, Lexical):
        return _lexical(card, collection, encoder, progress)
    if isinstance(encoder, Precomputed):
        return _looked_up(card, collection, encoder, progress)
    texts, roles, encoded = texts_of(collection), roles_of(card), {}
    for role in ROLES:
        with progress.texts(f"{card.label}{what}: {'queries' if role == 'query' else 'documents'}") as advance:
            encoded[role] = vectors.encode(encoder, texts[role], roles[role], advance, say=progress.say)
    first_ones = {role: sent(encoder.model, texts[role][0], roles[role]) for role in ROLES}
    if encoder.kind == "terms":
        return System(*_terms(encoded, encoder.model.similarity == "cosine"), first_ones)
    if encoder.kind == "tokens":
        scorers = maxsim.scorers(*(maxsim.Tokens.of(encoded[role].rows, encoded[role].vectors) for role in ROLES))
        return System(scorers, _without(encoded, encoded["query"].vectors.shape[1]), first_ones)
    return System(dense(encoded["query"].vectors, encoded["document"].vectors), encoded, first_ones)


def dense(queries: scoring.Floats, documents: scoring.Floats) -> ranking.Scorers:
    """Return what scores any rows of these vectors. Raises UserError if the two sides differ in their dimensions."""
    scoring.same_width(queries, documents)
    return lambda asked, searched: scoring.dot_product(queries, documents, asked, searched)


def roles_of(card: TaskCard) -> dict[Role, Role]:
    """Return as what the texts of each role are encoded: where all texts are of one kind, as queries."""
    return {"query": "query", "document": "query" if card.symmetric else "document"}


def texts_of(collection: Collection) -> dict[Role, list[str]]:
    """Return the texts of each role, in the order of the collection."""
    return {"query": list(collection.queries["text"]), "document": collection.document_texts}


def _looked_up(card: TaskCard, collection: Collection, encoder: Precomputed, progress: Progress) -> System:
    """Take the vectors that are there already, by the ids of the task, past the store."""
    encoded: dict[Role, Encoded] = {}
    ids: dict[Role, list[str]] = {
        "query": list(collection.queries["query_id"]),
        "document": list(collection.documents["doc_id"]),
    }
    for role in ROLES:
        found, count = encoder.encode(ids[role], role), len(ids[role])
        if encoder.model.similarity == "cosine":
            vectors.normalise(found)
        encoded[role] = Encoded(found, np.ones(count, dtype=np.int32), truncated=None, tokens=0, encoded=0, seconds=0.0)
        if unused := encoder.count(role) - count:
            progress.say(f"{card.label}: {unused:,} vectors are left aside: no {role} of this run has their ids.")
    first_ones = {role: ids[role][0] for role in ROLES}
    return System(dense(encoded["query"].vectors, encoded["document"].vectors), encoded, first_ones)


def _terms(encoded: dict[Role, Encoded], cosine: bool) -> tuple[ranking.Scorers, dict[Role, Encoded]]:
    """Return what scores any rows of these weights of terms, and what is left to tell of them."""
    every = np.unique(np.concatenate([encoded[role].vectors[:, 0] for role in ROLES]))
    queries, documents = (sparse.rows_of_terms(encoded[role].rows, encoded[role].vectors, every) for role in ROLES)
    if cosine:
        queries, documents = sparse.normalised(queries), sparse.normalised(documents)
    return sparse.scorers(queries, documents), _without(encoded, len(every))


def _without(encoded: dict[Role, Encoded], width: int) -> dict[Role, Encoded]:
    """Return the same without its vectors, which the scorers have in their own form."""
    return {role: replace(one, vectors=np.zeros((0, width), dtype=np.float32)) for role, one in encoded.items()}


def _lexical(card: TaskCard, collection: Collection, encoder: Lexical, progress: Progress) -> System:
    """Weigh the terms of all texts, past the store; the statistics are of each language and part."""
    texts, start = texts_of(collection), time.perf_counter()
    documents = collection.documents
    labels = [name for name in (ranking.PART_COLUMN, "lang") if name in documents]
    apart = documents.groupby(labels).ngroup().to_numpy()
    with progress.count(f"{card.label}: terms", sum(map(len, texts.values())), "texts") as done:
        weighed = encoder.weigh(texts["query"], texts["document"], apart, done)
    seconds = (time.perf_counter() - start) / len(ROLES)
    nothing, none = np.zeros((0, weighed[0].shape[1]), dtype=np.float32), np.zeros(0, dtype=np.int32)
    encoded = {
        role: Encoded(nothing, none, truncated=0.0, tokens=0, encoded=len(texts[role]), seconds=seconds)
        for role in ROLES
    }
    first_ones = {role: encoder.shown(texts[role][0]) for role in ROLES}
    return System(sparse.scorers(*weighed), encoded, first_ones)
