"""A task and a model in; what scores any of its queries against any of its documents, out.

The ranking pass asks for scores and never how they come about; here is where that is decided, by the kind of the model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark import ranking, scoring, vectors
from benchmark.encoders import ROLES, Encoder, Role, sent
from benchmark.encoders.precomputed import Precomputed
from benchmark.progress import Progress
from benchmark.vectors import Encoded
from tasks.card import TaskCard
from tasks.collection import Collection
from tasks.errors import UserError


@dataclass(frozen=True)
class System:
    """A model that has seen the texts of a task."""

    scorers: ranking.Scorers
    encoded: dict[Role, Encoded]
    """What each role's texts became, and what it took."""
    sent: dict[Role, str]
    """The first text of each role as the model gets it; its id where vectors are there already, "" if not known."""
    about: dict[str, Any] = field(default_factory=dict)
    """Fields of the evidence besides."""

    @property
    def width(self) -> int:
        """How many numbers a row of a text has."""
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


def prepare(card: TaskCard, collection: Collection, encoder: Encoder, progress: Progress, what: str = "") -> System:
    """Encode each text of a task once, through the store. `what` tells one encoding from another on progress bars."""
    if isinstance(encoder, Precomputed):
        return _looked_up(card, collection, encoder, progress)
    texts, roles, encoded = texts_of(collection), roles_of(card), {}
    for role in ROLES:
        with progress.texts(f"{card.label}{what}: {'queries' if role == 'query' else 'documents'}") as advance:
            encoded[role] = vectors.encode(encoder, texts[role], roles[role], advance, say=progress.say)
    first_ones = {role: sent(encoder.model, texts[role][0], roles[role]) for role in ROLES}
    return System(dense(encoded["query"].vectors, encoded["document"].vectors), encoded, first_ones)


def dense(queries: scoring.Floats, documents: scoring.Floats) -> ranking.Scorers:
    """Return what scores any rows of these vectors. Raises UserError if the two sides differ in their dimensions."""
    if queries.shape[1] != documents.shape[1]:
        raise UserError(
            f"The model makes {queries.shape[1]} dimensions of a query and {documents.shape[1]} of a document; to be "
            "compared they must have as many."
        )
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
