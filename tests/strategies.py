"""Random collections and vectors: many ties, duplicate texts, graded and missing relevance, holes between languages."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.vectors import normalise
from tasks.collection import Collection, build

LANGUAGES = ["de", "en", "sw", "zh-Hans"]
Floats = NDArray[np.float32]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Collection, Floats, Floats]:
    """A collection with query vectors [Q, dim] and document vectors [D, dim], normalised or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    languages = LANGUAGES[: draw(st.integers(1, 4))]
    spoken = LANGUAGES[: draw(st.integers(1, 4))]
    topics = draw(st.integers(1, 6))
    per_language = draw(st.integers(1, 14))
    documents = pd.DataFrame(
        [
            (f"{lang}-{rng.integers(0, 10**6)}-{i}", lang, f"text {i}")
            for lang in languages
            for i in range(per_language)
        ],
        columns=["doc_id", "lang", "text"],
    )
    documents = documents.sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)
    graded = draw(st.booleans())
    judgements = [
        (f"t{topic}", doc_id, int(rng.integers(0, 4)) if graded else 1)
        for topic in range(topics)
        for doc_id in rng.choice(documents["doc_id"], size=rng.integers(1, min(6, len(documents)) + 1), replace=False)
    ]
    for topic in range(topics):  # at least one relevant document each
        place = next(i for i, row in enumerate(judgements) if row[0] == f"t{topic}")
        judgements[place] = (*judgements[place][:2], max(1, judgements[place][2]))
    queries = [
        (f"t{topic}/{lang}", lang, f"question {topic}", f"t{topic}")
        for topic in range(topics)
        for lang in spoken
        if rng.random() < 0.8
    ] or [(f"t0/{spoken[0]}", spoken[0], "question", "t0")]
    if draw(st.booleans()):  # some topics are worded twice in a language
        queries += [(f"{row[0]}/again", *row[1:]) for row in queries if rng.random() < 0.5]
    collection = build(
        documents,
        pd.DataFrame(queries, columns=["query_id", "lang", "text", "topic"]),
        pd.DataFrame(judgements, columns=["topic", "doc_id", "relevance"]),
        "random",
    )
    dim = draw(st.sampled_from([1, 2, 3, 17]))
    kind = draw(st.sampled_from(["few values", "dense", "near", "constant"]))

    def vectors(count: int) -> Floats:
        if kind == "few values":
            return rng.integers(-1, 2, (count, dim)).astype(np.float32)
        if kind == "constant":
            return np.ones((count, dim), dtype=np.float32)
        noise = rng.standard_normal((count, dim)).astype(np.float32)
        return noise if kind == "dense" else 1 + noise * np.float32(1e-4)

    left, right = vectors(len(queries)), vectors(len(documents))
    normalise(left)
    normalise(right)
    twin = rng.integers(0, len(documents), len(documents))
    copied = rng.random(len(documents)) < 0.3
    right[copied] = right[twin[copied]]
    return collection, left, right


@st.composite
def crowded(draw: st.DrawFn) -> tuple[Collection, Floats, Floats]:
    """Many relevant documents, and scores that lie so near each other that estimates cannot tell them apart.

    Some languages and some queries are more crowded than others, some documents are copies, some queries are documents.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    languages = LANGUAGES[: rng.integers(1, 4)]
    documents = pd.DataFrame(
        [(f"{rng.integers(10**6)}-{lang}-{i}", lang, f"text {i}")
         for lang in languages for i in range(int(rng.integers(1, 40)))],
        columns=["doc_id", "lang", "text"],
    )  # fmt: skip
    documents = documents.sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)
    topics = [f"t{topic}" for topic in range(draw(st.integers(1, 4)))]
    judgements = [
        (topic, doc_id, 1)
        for topic in topics
        for doc_id in rng.choice(documents["doc_id"], size=rng.integers(1, len(documents) + 1), replace=False)
    ]
    queries = [(f"{topic}/{lang}", lang, "question", topic) for topic in topics for lang in LANGUAGES[:3]]
    some = rng.choice(documents["doc_id"], size=min(len(documents), len(queries) // 2), replace=False)
    queries = [(str(doc_id), *query[1:]) for doc_id, query in zip(some, queries, strict=False)] + queries[len(some) :]
    collection = build(
        documents,
        pd.DataFrame(queries, columns=["query_id", "lang", "text", "topic"]),
        pd.DataFrame(judgements, columns=["topic", "doc_id", "relevance"]),
        "crowded",
    )
    dim, noise = int(rng.choice([2, 24])), [0.0, 3e-7, 1e-6, 1e-4, 1.0]
    wide = {lang: rng.choice(noise if place else noise[3:]) for place, lang in enumerate(languages)}
    base = rng.standard_normal(dim)
    right = np.array([base + wide[lang] * rng.standard_normal(dim) for lang in documents["lang"]], dtype=np.float32)
    turned, apart = rng.choice([-1, 1], len(queries)), rng.choice([0, 0.1, 1, 1], len(queries))
    left = (turned[:, None] * base + apart[:, None] * rng.standard_normal((len(queries), dim))).astype(np.float32)
    normalise(left)
    normalise(right)
    if draw(st.booleans()):
        left[rng.random(len(left)) < 0.1] = 0
        copied = rng.random(len(right)) < 0.3
        right[copied] = right[rng.integers(0, len(right), len(right))[copied]]
    return collection, left, right
