"""A task and a model in; what scores any of its queries against any of its documents, out.

The ranking pass asks for scores and never how they come about; here is where that is decided, by the kind of the model.
"""

import time
from collections.abc import Collection as Names
from dataclasses import dataclass, replace

import numpy as np

from benchmark import maxsim, ranking, rerank, scoring, sparse, vectors
from benchmark.encoders import ROLES, Encoder, Role, sent
from benchmark.encoders.cross import Reranked
from benchmark.encoders.lexical import Lexical
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
    width: int
    """How many numbers a vector has; of terms, how many different ones the texts have."""
    sent: dict[Role, str]
    """The first text of each role as the model gets it."""
    pairs: Encoded | None = None
    """What a reranker said of pairs, and what it took."""


def prepare(
    card: TaskCard,
    collection: Collection,
    encoder: Encoder,
    progress: Progress,
    what: str = "",
    *,
    settings: Names[str] = SETTINGS,
) -> System:
    """Encode each text of a task once, through the store, where the model makes something of a text alone.

    `what` tells one encoding from another on progress bars; what no setting asks need not be reranked.
    """
    if isinstance(encoder, Reranked):
        first = prepare(card, collection, encoder.first, progress, what)
        found = rerank.candidates(card, collection, first.scorers, settings, encoder.depth, progress)
        read = rerank.read(card, collection, encoder, found, progress)
        sizes = len(collection.queries), len(collection.documents)
        return replace(first, scorers=rerank.scorers(first.scorers, found, read.vectors[:, 0], *sizes), pairs=read)
    if isinstance(encoder, Lexical):
        return _lexical(card, collection, encoder, progress)
    texts, roles, encoded = texts_of(collection), roles_of(card), {}
    for role in ROLES:
        with progress.texts(f"{card.label}{what}: {'queries' if role == 'query' else 'documents'}") as advance:
            encoded[role] = vectors.encode(encoder, texts[role], roles[role], advance)
    width = encoded["query"].vectors.shape[1]
    if encoder.kind == "tokens":
        scorers = maxsim.scorers(*(maxsim.Tokens.of(encoded[role].rows, encoded[role].vectors) for role in ROLES))
    elif encoder.kind == "terms":
        scorers, width = _terms(encoded, encoder.model.similarity == "cosine")
    else:
        scorers = dense(encoded["query"].vectors, encoded["document"].vectors)
    if encoder.kind != "vector":  # the scorers have what they need
        encoded = {role: replace(encoded[role], vectors=encoded[role].vectors[:0].copy()) for role in ROLES}
    first_ones = {role: sent(encoder.model, texts[role][0], roles[role]) for role in ROLES}
    return System(scorers, encoded, width, first_ones)


def dense(queries: scoring.Floats, documents: scoring.Floats) -> ranking.Scorers:
    """Return what scores any rows of these vectors."""
    return lambda asked, searched: scoring.dot_product(queries[asked], documents[searched])


def _terms(encoded: dict[Role, Encoded], cosine: bool) -> tuple[ranking.Scorers, int]:
    """Return what scores any rows of these weights of terms, and how many terms there are."""
    every = np.unique(np.concatenate([encoded[role].vectors[:, 0] for role in ROLES]))
    queries, documents = (sparse.rows_of_terms(encoded[role].rows, encoded[role].vectors, every) for role in ROLES)
    if cosine:
        queries, documents = sparse.normalised(queries), sparse.normalised(documents)
    return sparse.scorers(queries, documents), len(every)


def _lexical(card: TaskCard, collection: Collection, encoder: Lexical, progress: Progress) -> System:
    texts, start = texts_of(collection), time.perf_counter()
    documents = collection.documents
    labels = [name for name in (ranking.PART_COLUMN, "lang") if name in documents]
    apart = documents.groupby(labels).ngroup().to_numpy()
    with progress.count(f"{card.label}: terms", sum(map(len, texts.values())), "texts") as done:
        weighed = encoder.weigh(texts["query"], texts["document"], apart, done)
    seconds = (time.perf_counter() - start) / len(ROLES)
    encoded = {
        role: Encoded(
            np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int32), 0.0, 0, len(texts[role]), seconds
        )
        for role in ROLES
    }
    first_ones = {role: encoder.shown(texts[role][0]) for role in ROLES}
    return System(sparse.scorers(*weighed), encoded, int(weighed[0].shape[1]), first_ones)


def roles_of(card: TaskCard) -> dict[Role, Role]:
    """Return as what the texts of each role are encoded: where all texts are of one kind, as queries."""
    return {"query": "query", "document": "query" if card.symmetric else "document"}


def texts_of(collection: Collection) -> dict[Role, list[str]]:
    """Return the texts of each role, in the order of the collection."""
    return {"query": list(collection.queries["text"]), "document": collection.document_texts}
