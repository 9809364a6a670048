"""One large corpus, hundreds of relevant passages for a question: time beside the bare matrix product, peak memory.

    python -m tests.speed.large_corpus [--queries 2040] [--documents 268000] [--relevant 717] [--dimensions 384]

As in `mkqa-nq`: questions in twelve languages, passages in one, the settings mono and cross, measures with a cut-off.
Vectors are random, and so are the relevant passages: what holds an answer's string is mostly about something else.
`--alike` is the mean cosine; where it is high, as that of many models is, more scores are near each other.
"""

import argparse
import resource
import time

import numpy as np
import pandas as pd

from benchmark import ranking, scoring, summary
from benchmark.measures import parse
from benchmark.vectors import normalise
from tasks.collection import Collection
from tests.speed.many_languages import bare

MEASURES = [parse(name) for name in ("Success@100", "Success@20", "R@100", "R@20")]
TAGS = ["ar", "de", "en", "es", "fi", "fr", "ja", "km", "ko", "ms", "ru", "sv"]


def main() -> None:
    """Print the times, their ratio and the memory."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("queries", 2040), ("documents", 268_000), ("relevant", 717), ("dimensions", 384)):
        options.add_argument(f"--{name}", type=int, default=value)
    options.add_argument("--alike", type=float, default=0.0)
    asked = options.parse_args()
    collection = make(asked.queries, asked.documents, asked.relevant)
    left, right = (vectors(count, asked.dimensions, asked.alike) for count in (asked.queries, asked.documents))
    print(
        f"{len(left):,} queries x {len(right):,} documents x {asked.relevant} relevant, {asked.dimensions} dimensions"
    )
    product = bare(left, right)
    print(f"bare product: {product:.1f} s; memory {memory():.2f} GiB")
    before = time.perf_counter()
    kept: list[ranking.Ranking] = []
    rankings = ranking.ranked(
        collection, lambda rows, order: scoring.dot_product(left, right, rows, order), ["mono", "cross"]
    )
    tables = summary.tables(summary.kept(rankings, summary.every(collection), kept), MEASURES)
    taken = time.perf_counter() - before
    print(f"{len(tables['directions'])} directions ranked and measured: {taken:.1f} s, {taken / product:.2f} x product")
    print(f"peak memory: {memory():.2f} GiB")


def make(queries: int, documents: int, relevant: int) -> Collection:
    """Return a collection in which every topic is asked in each language and has so many relevant documents."""
    random = np.random.default_rng(0)
    topics = [f"{topic:05d}" for topic in range(-(-queries // len(TAGS)))]
    asked = pd.DataFrame({"topic": np.repeat(topics, len(TAGS)), "lang": TAGS * len(topics)}).iloc[:queries]
    ids = np.array([f"doc{number}" for number in range(documents)], dtype=object)
    found = [random.choice(documents, relevant, replace=False) for _ in topics]
    return Collection(
        documents=pd.DataFrame({"doc_id": ids, "lang": "en", "text": ""}),
        queries=asked.assign(query_id=asked["topic"] + "/" + asked["lang"], text=""),
        judgements=pd.DataFrame(
            {"topic": np.repeat(topics, relevant), "doc_id": ids[np.concatenate(found)], "relevance": 1}
        ),
    )


def vectors(count: int, dimensions: int, alike: float) -> scoring.Floats:
    """Return random vectors of length one with that mean cosine."""
    random = np.random.default_rng(count)
    common = np.random.default_rng(0).standard_normal(dimensions, dtype=np.float32)
    found = np.empty((count, dimensions), dtype=np.float32)
    for start in range(0, count, 10_000):
        part = found[start : start + 10_000]
        part[:] = random.standard_normal(part.shape, dtype=np.float32)
        part *= (1 - alike) ** 0.5
        part += alike**0.5 * common
    normalise(found)
    return found


def memory() -> float:
    """Return the peak memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
