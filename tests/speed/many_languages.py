"""Every direction of as many languages as FLORES-200 has: time beside the bare matrix product, memory, evidence.

    python -m tests.speed.many_languages [--languages 204] [--topics 1012] [--dimensions 384]

The vectors are made up (a topic, a language, and noise), so neither a model nor a mirror is needed. The product is that
of all queries with all documents by the same blocks and threads; the pass ranks, measures and writes.
"""

import argparse
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmark import ranking, scoring, summary
from benchmark.measures import parse
from benchmark.vectors import normalise
from tasks.collection import Collection

MEASURES = [parse(name) for name in ("Success@1", "AP", "R@10")]


def main() -> None:
    """Print the ratio, the memory and the bytes of what is kept."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("languages", 204), ("topics", 1012), ("dimensions", 384)):
        options.add_argument(f"--{name}", type=int, default=value)
    asked = options.parse_args()
    collection, vectors = make(asked.languages, asked.topics, asked.dimensions)
    print(f"{len(vectors):,} queries and as many documents, {asked.languages} languages, {asked.dimensions} dimensions")
    product = bare(vectors, vectors)
    print(f"bare product: {product:.1f} s")
    before = time.perf_counter()
    steps, kept = summary.every(collection), []  # type: ignore[var-annotated]
    rankings = ranking.ranked(
        collection,
        lambda rows, order: scoring.dot_product(vectors, vectors, rows, order),
        ["cross", "multi"],
        ignore_identical_ids=True,
    )
    tables = summary.tables(summary.kept(rankings, steps, kept), MEASURES)
    taken = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{len(tables['directions']):,} directions ranked and measured: {taken:.1f} s, {taken / product:.2f} x product"
    )
    print(f"peak memory: {peak:.2f} GiB; ranks of every {steps[0]}. topic kept")
    with tempfile.TemporaryDirectory() as folder:
        from benchmark.evidence import dumps

        whole = ranking.join(kept)
        (Path(folder) / "evidence.json").write_text(dumps(tables), encoding="utf-8")
        for name in ("ranks", "top"):
            getattr(whole, name).to_parquet(Path(folder) / f"{name}.parquet", index=False, compression="zstd")
        sizes = {path.name: path.stat().st_size / 1e6 for path in sorted(Path(folder).iterdir())}
    print(f"evidence: {sum(sizes.values()):.1f} MB", {name: round(size, 1) for name, size in sizes.items()})


def make(languages: int, topics: int, dimensions: int) -> tuple[Collection, scoring.Floats]:
    """Return a collection in which every topic has a text in every language, and a vector for each text."""
    random = np.random.default_rng(0)
    tags = [f"q{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(languages)]  # private use
    ids = [f"{topic:04d}/{tag}" for tag in tags for topic in range(topics)]
    frame = pd.DataFrame(
        {"lang": np.repeat(tags, topics), "topic": np.tile([f"{i:04d}" for i in range(topics)], languages)}
    )
    collection = Collection(
        documents=frame.assign(doc_id=ids, text=""),
        queries=frame.assign(query_id=ids, text=""),
        judgements=frame[["topic"]].assign(doc_id=ids, relevance=1),
    )
    meaning = random.standard_normal((topics, dimensions), dtype=np.float32)
    tongue = random.standard_normal((languages, dimensions), dtype=np.float32)
    vectors = np.tile(meaning, (languages, 1)) + 0.7 * np.repeat(tongue, topics, axis=0)
    for start in range(0, len(vectors), 10_000):
        part = vectors[start : start + 10_000]
        part += 1.2 * random.standard_normal(part.shape, dtype=np.float32)
    normalise(vectors)
    return collection, vectors


def bare(queries: scoring.Floats, documents: scoring.Floats) -> float:
    """Return the seconds that the product of all vectors takes by blocks, on all processors."""
    workers = ranking.processors()
    rows = [slice(start, start + ranking.ROWS) for start in range(0, len(queries), ranking.ROWS)]
    size = 8192
    transposed = documents.T

    def work(block: slice) -> None:
        for start in range(0, len(documents), size):
            np.matmul(queries[block], transposed[:, start : start + size])

    before = time.perf_counter()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, rows))
    return time.perf_counter() - before


if __name__ == "__main__":
    main()
