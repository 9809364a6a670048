"""A task and a model in; what scores any of its queries against any of its documents, out.

The ranking pass asks for scores and never how they come about; here is where that is decided, by the kind of the model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark import ranking, scoring, vectors
from benchmark.encoders import ROLES, Encoder, Role, sent
from benchmark.progress import Progress
from benchmark.vectors import Encoded
from tasks.card import TaskCard
from tasks.collection import Collection


@dataclass(frozen=True)
class System:
    """A model that has seen the texts of a task."""

    scorers: ranking.Scorers
    encoded: dict[Role, Encoded]
    """What each role's texts became, and what it took."""
    sent: dict[Role, str]
    """The first text of each role as the model gets it; "" where that is not known."""
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
    texts, roles, encoded = texts_of(collection), roles_of(card), {}
    for role in ROLES:
        with progress.texts(f"{card.label}{what}: {'queries' if role == 'query' else 'documents'}") as advance:
            encoded[role] = vectors.encode(encoder, texts[role], roles[role], advance)
    scorers = dense(encoded["query"].vectors, encoded["document"].vectors)
    return System(scorers, encoded, {role: sent(encoder.model, texts[role][0], roles[role]) for role in ROLES})


def dense(queries: scoring.Floats, documents: scoring.Floats) -> ranking.Scorers:
    """Return what scores any rows of these vectors."""
    return lambda asked, searched: scoring.dot_product(queries[asked], documents[searched])


def roles_of(card: TaskCard) -> dict[Role, Role]:
    """Return as what the texts of each role are encoded: where all texts are of one kind, as queries."""
    return {"query": "query", "document": "query" if card.symmetric else "document"}


def texts_of(collection: Collection) -> dict[Role, list[str]]:
    """Return the texts of each role, in the order of the collection."""
    return {"query": list(collection.queries["text"]), "document": collection.document_texts}
