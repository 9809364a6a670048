"""Made-up results in eleven languages, and what can happen to their vectors."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from benchmark import measures, ranking, systems
from benchmark import run as runner
from benchmark.encoders import Role
from benchmark.encoders.random import Random
from benchmark.evidence import Result
from benchmark.progress import Progress
from benchmark.ranking import Ranking
from benchmark.vectors import normalise
from tasks import card
from tasks.collection import Collection, build
from tests.test_paired import result as recorded

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
MEASURE = "nDCG@5"
SETTINGS = ("mono", "cross", "multi")
Floats = NDArray[np.float32]
Vectors = tuple[Floats, Floats]


def task(topics: int, languages: Sequence[str] = LANGUAGES) -> Collection:
    """One question and one answer a topic and language."""
    every = [(topic, lang) for lang in languages for topic in range(topics)]
    return build(
        pd.DataFrame(
            [(f"{topic}/{lang}", lang, f"answer {topic} in {lang}") for topic, lang in every],
            columns=["doc_id", "lang", "text"],
        ),
        pd.DataFrame(
            [(f"{topic}/{lang}", lang, f"question {topic} in {lang}", f"t{topic}") for topic, lang in every],
            columns=["query_id", "lang", "text", "topic"],
        ),
        pd.DataFrame(
            [(f"t{topic}", f"{topic}/{lang}", 1) for topic, lang in every], columns=["topic", "doc_id", "relevance"]
        ),
        "made up",
    )  # fmt: skip


def model(collection: Collection, seed: int = 0, dim: int = 32) -> Vectors:
    """Vectors of a middling model: what is said, in which language, and chance."""
    rng = np.random.default_rng(seed)
    topics, languages = collection.queries["topic"].unique(), collection.document_languages
    meaning = dict(zip(topics, rng.standard_normal((len(topics), dim)), strict=True))
    accent = dict(zip(languages, 0.5 * rng.standard_normal((len(languages), dim)), strict=True))
    said = dict(collection.judgements[["doc_id", "topic"]].to_numpy())
    found = []
    for topic, lang in (
        (collection.queries["topic"], collection.queries["lang"]),
        (collection.documents["doc_id"].map(said), collection.documents["lang"]),
    ):
        rows = [meaning[t] + accent[tag] + 0.8 * rng.standard_normal(dim) for t, tag in zip(topic, lang, strict=True)]
        found.append(np.array(rows, dtype=np.float32))
        normalise(found[-1])
    return found[0], found[1]


def noisy(
    collection: Collection, vectors: Vectors, much: float, seed: int, lang: str = "", sides: Sequence[int] = (0, 1)
) -> Vectors:
    """The vectors with noise of that deviation in a component: all, or those of a language, on some sides."""
    rng = np.random.default_rng(seed)
    moved = []
    for side, (rows, table) in enumerate(zip(vectors, (collection.queries, collection.documents), strict=True)):
        noise = (much * rng.standard_normal(rows.shape)).astype(np.float32)
        here = (table["lang"] == lang).to_numpy() if lang else np.ones(len(rows), dtype=bool)
        moved.append(np.where(here[:, None] & (side in sides), rows + noise, rows).astype(np.float32))
        normalise(moved[-1])
    return moved[0], moved[1]


def ranked(collection: Collection, vectors: Vectors, settings: Sequence[str] = SETTINGS) -> Ranking:
    return ranking.rank(collection, systems.dense(*vectors), settings)


def result(
    folder: Path, collection: Collection, vectors: Vectors, settings: Sequence[str] = SETTINGS, **says: Any
) -> Result:
    """A result with as much evidence as the statistics read."""
    return recorded(folder, collection, ranked(collection, vectors, settings), top=False, **says)


def again(folder: Path, before: Result, collection: Collection, vectors: Vectors) -> Result:
    """A result with ranks of its own and the evidence of another: enough for a check, which reads the ranks."""
    folder.mkdir()
    ranked(collection, vectors).ranks.to_parquet(folder / "ranks.parquet")
    return Result(folder, before.says)


class Given(Random):
    """A model that has these vectors of the texts of a collection."""

    def __init__(self, name: str, collection: Collection, vectors: Vectors, **about: Any) -> None:
        super().__init__(name)
        self.model = replace(self.model, fingerprint=name.encode().hex().ljust(64, "0")[:64], **about)
        texts = list(collection.queries["text"]), collection.document_texts
        self.known = {
            text: row for some, rows in zip(texts, vectors, strict=True) for text, row in zip(some, rows, strict=True)
        }

    def space(self, role: Role) -> dict[str, Any]:
        digest = hashlib.sha256(b"".join(row.tobytes() for row in self.known.values())).hexdigest()
        return super().space(role) | {"prompts": self.model.prompts, "dtype": self.model.dtype, "vectors": digest}

    def encode(self, texts: Sequence[str], role: Role) -> Floats:
        return np.array([self.known[text] for text in texts])


def run(results: Path, encoder: Given, collection: Collection, label: str = "demo", measured: str = MEASURE) -> Result:
    """A whole result, written as `bench run` does."""
    asked = replace(card.find("demo"), name=label)
    parsed = (measures.parse(measured),)
    return runner.run(
        runner.Task(asked, collection, SETTINGS, parsed), encoder, results, Progress(Console(stderr=True)), "test"
    )  # fmt: skip
