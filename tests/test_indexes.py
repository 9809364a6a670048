"""What a variant's text means, and that its index finds and scores what faiss, sentence-transformers and numpy say."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from benchmark import indexes
from benchmark.indexes import Index, Variant, build, create, parse, whole
from benchmark.vectors import normalise
from tasks.errors import UserError
from tests.strategies import Floats

faiss: Any = pytest.importorskip("faiss")
relaxed = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
WHOLE = ["Flat", "dim8", "int8", "binary", "dim12+binary", "SQ8", "SQ4", "SQ6", "SQfp16", "SQbf16", "PQ4x4", "PQ8x3np",
         "OPQ4,PQ4x4", "OPQ4_8,PQ4x4", "PCA8,SQ8", "PCAR8,Flat", "RR8,SQfp16", "L2norm,Flat", "Pad20,Flat", "RQ2x4",
         "LSQ2x4", "PRQ2x1x4", "dim8+PQ4x4"]  # fmt: skip
LISTS = ["HNSW8", "HNSW8,SQ8", "IVF4,Flat", "IVF4,PQ4x4", "OPQ4,IVF4,PQ4x4", "PQ4x4fs", "RaBitQ", "LSH", "PQ4x4,RFlat",
         "IVF4_HNSW4,Flat", "HNSW8+efSearch=32", "IVF4,Flat+nprobe=3", "dim8+HNSW8"]  # fmt: skip
WIDTH = 16


def vectors(count: int, seed: int = 0, width: int = WIDTH, cosine: bool = True) -> Floats:
    """Clustered, with duplicates."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((8, width))
    found = (middles[rng.integers(0, 8, count)] + rng.standard_normal((count, width))).astype(np.float32)
    copied = rng.random(count) < 0.2
    found[copied] = found[rng.integers(0, count, count)][copied]
    if cosine:
        normalise(found)
    return found


def ready(text: str, documents: Floats, cosine: bool = True) -> Index:
    return build(parse(text), documents, cosine)


# --- the text of a variant


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hnsw32", "HNSW32"), ("HNSW32", "HNSW32"), ("ivf4096,flat", "IVF4096,Flat"), ("sq8", "SQ8"), ("pq48", "PQ48"),
        ("opq16_64,ivf256,pq16x4fs", "OPQ16_64,IVF256,PQ16x4fs"), ("ivf64_hnsw32,sqfp16", "IVF64_HNSW32,SQfp16"),
        ("pca8,sq8", "PCA8,SQ8"), ("pcar8,flat", "PCAR8,Flat"), ("l2norm,flat", "L2norm,Flat"), ("lsh", "LSH"),
        ("pq16,rflat", "PQ16,RFlat"), ("pq16,refine(sq8)", "PQ16,Refine(SQ8)"), ("rabitq", "RaBitQ"),
        ("rq4x8", "RQ4x8"), ("flat", "Flat"), ("dim128", "dim128"), ("int8", "int8"), ("Binary", "binary"),
        (" dim64 + sq8 ", "dim64+SQ8"), ("dim64+int8", "dim64+int8"), ("hnsw16+efSearch=64", "HNSW16+efSearch=64"),
        ("ivf64,flat+nprobe=8+max_codes=1000", "IVF64,Flat+nprobe=8+max_codes=1000"),
        ("pq8,rflat+k_factor_rf=2.5", "PQ8,RFlat+k_factor_rf=2.5"),
        ("hnsw8+efSearch=100000000", "HNSW8+efSearch=100000000"), ("pq48np", "PQ48np"),
    ],
)  # fmt: skip
def test_a_variant_is_named_as_faiss_writes_it(text: str, name: str) -> None:
    variant = parse(text)
    assert str(variant) == name
    assert parse(name) == variant


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("nothing is no index",)),
        ("nonsense", ("nonsense is no index that faiss knows", "HNSW32")),
        ("Flat,", ("no index",)),
        ("sq8+", ("a variant has one index",)),
        ("dim0", ("nothing with 0",)),
        ("dim64+dim32", ("dim32 comes first and once",)),
        ("sq8+dim32", ("dim32 comes first",)),
        ("int8+sq8", ("sq8 after int8", "one index or quantiser")),
        ("sq8+pq8", ("pq8 after SQ8",)),
        ("int8+nprobe=3", ("told to an index",)),
        ("nprobe=3", ("told to an index",)),
        ("hnsw32+efsearch=3", ("efsearch is no search parameter", "efSearch")),
        ("hnsw32+verbose=1", ("verbose is no search parameter",)),
        ("hnsw32+efSearch=many", ("takes a whole number above 0, not «many»",)),
        ("hnsw32+efSearch=0", ("takes a whole number above 0",)),
        ("hnsw32+efSearch=-1", ("takes a whole number above 0",)),
        ("hnsw32+efSearch=", ("takes a whole number above 0",)),
        ("ivf4,flat+nprobe=0.5", ("takes a whole number above 0",)),
        ("pq8,rflat+k_factor_rf=0.0", ("takes a number above 0",)),
        ("IVF0,Flat", ("nothing with 0",)),
        ("HNSW1", ("nothing with HNSW1",)),
        ("hnsw0", ("nothing with 0",)),
        ("nsg2", ("nothing with nsg2",)),
        ("RQ0x8", ("nothing with 0",)),
        ("IVF-1,Flat", ("no index",)),
    ],
)
def test_what_names_no_variant_is_said(text: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    for part in parts:
        assert part in str(caught.value)


def test_what_would_end_the_process_is_refused_before_faiss_sees_it() -> None:
    script = "import sys, faiss, numpy as np; i = faiss.index_factory(8, sys.argv[1]); i.add(np.ones((9, 8), 'f'))"
    for text in ("HNSW0", "HNSW1"):
        assert subprocess.run([sys.executable, "-c", script, text], capture_output=True).returncode < 0
        with pytest.raises(UserError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "width", "cosine", "parts"),
    [
        ("dim32", 16, True, ("dim32 keeps more numbers than the vectors have", "16 is the largest")),
        ("PQ7", 16, True, ("faiss cannot make PQ7 of vectors of 16 numbers", "multiple")),
        ("dim8+PQ16", 16, True, ("vectors of 8 numbers",)),
        ("LSH", 16, False, ("faiss cannot make LSH",)),
        ("HNSW8,PQ4x4", 16, False, ("it has no inner product",)),
        ("HNSW8+nprobe=2", 16, True, ("HNSW8 has no nprobe",)),
        ("Flat+efSearch=2", 16, True, ("Flat has no efSearch",)),
        ("IVF99999999999999999999,Flat", 16, True, ("faiss cannot make",)),
    ],
)
def test_what_cannot_be_made_of_the_vectors_is_said(
    text: str, width: int, cosine: bool, parts: tuple[str, ...]
) -> None:
    with pytest.raises(UserError) as caught:
        create(parse(text), width, cosine)
    for part in parts:
        assert part in str(caught.value)


def test_an_index_that_cannot_be_built_is_said() -> None:
    for text, why in (("IVF64,Flat", "Number of training points"), ("NSG8", "smaller than 100"), ("PCA16,Flat", "PCA")):
        with pytest.raises(UserError, match=f"faiss cannot build {text} of 9 documents: .*{why}"):
            ready(text, vectors(9))


def test_an_index_that_can_be_built_and_not_searched_is_said() -> None:
    index = ready("PQ8x1", vectors(9))  # two numbers to a code of fewer than eight values
    with pytest.raises(UserError, match="faiss cannot search PQ8x1: .*ksub"):
        index.search(vectors(2), 3)


def test_the_clusters_that_are_trained_are_known() -> None:
    for text, clusters in (("SQ8", 1), ("HNSW32", 1), ("IVF64,Flat", 64), ("PQ48", 256), ("PQ48x10", 1024),
                           ("IVF1000,PQ8", 1000), ("IVF100,PQ8", 256), ("OPQ16_64,PQ16x4", 256), ("PQ16x4fs", 16),
                           ("IVF65536_HNSW32,PQ8", 65536), ("int8", 1)):  # fmt: skip
        assert parse(text).clusters == clusters


# --- what an index finds


@pytest.mark.parametrize("text", WHOLE)
def test_a_whole_index_scores_what_its_decoded_vectors_score(text: str) -> None:
    documents, queries = vectors(400), vectors(30, 1)
    variant = Variant() if text == "Flat" else parse(text)
    index = build(variant, documents, True)
    assert whole(index.made, variant)
    scorer = index.decoded(queries)
    with threadpool_limits(1):
        scores, places = index.search(queries, 20)
    row = np.repeat(np.arange(30), 20)
    ranked = scorer.pairs(row, places.ravel()).reshape(30, 20)
    if "binary" in text:
        scores = 2 * scores + scorer.queries.shape[1]
    np.testing.assert_allclose(ranked, scores, atol=1e-4 * max(1.0, np.abs(scores).max()))
    every = scorer.exact(slice(0, 30), slice(0, 400))
    np.testing.assert_allclose(
        np.sort(every, axis=1)[:, :-21:-1], np.sort(ranked, axis=1)[:, ::-1], atol=1e-4 * np.abs(every).max()
    )
    plain = scorer.queries.astype(np.float64) @ scorer.documents.astype(np.float64).T
    np.testing.assert_allclose(every, plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("text", LISTS)
def test_lists_are_those_of_faiss(text: str) -> None:
    documents, queries = vectors(400), vectors(30, 1)
    variant = parse(text)
    index = build(variant, documents, True)
    assert not whole(index.made, variant)
    kept = [side[:, : variant.dim or WIDTH].copy() for side in (documents, queries)]
    for side in kept if variant.dim else ():
        side /= np.linalg.norm(side.astype(np.float64), axis=1, keepdims=True)
    metric = faiss.METRIC_L2 if text == "LSH" else faiss.METRIC_INNER_PRODUCT
    with threadpool_limits(1):
        made = faiss.index_factory(variant.dim or WIDTH, variant.factory, metric)
        for name, value in variant.parameters:
            faiss.ParameterSpace().set_index_parameter(made, name, value)
        made.train(kept[0])
        made.add(kept[0])
        expected, there = made.search(kept[1], 10)
        scores, places = index.search(queries, 10)
    np.testing.assert_array_equal(places, there)
    np.testing.assert_array_equal(np.abs(scores), np.abs(expected))
    assert (np.diff(scores, axis=1) <= 0).all()


def test_an_index_is_the_same_every_time() -> None:
    documents = vectors(600)
    for text in ("HNSW8", "IVF8,PQ4x4", "OPQ4,PQ4x4", "RQ2x4", "IVF8_HNSW4,SQ8"):
        one, other = (faiss.serialize_index(ready(text, documents).made) for _ in range(2))
        np.testing.assert_array_equal(one, other)


@relaxed
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.booleans())
def test_binary_is_hamming(seed: int, width: int, cosine: bool) -> None:
    documents, queries = vectors(50, seed, width, cosine), vectors(9, seed + 1, width, cosine)
    index = ready("binary", documents, cosine)
    distance = ((queries > 0)[:, None] != (documents > 0)[None]).sum(axis=2)
    packed = [np.packbits(side > 0, axis=1) for side in (queries, documents)]
    counted = np.unpackbits(packed[0][:, None] ^ packed[1][None], axis=2).sum(axis=2, dtype=int)
    np.testing.assert_array_equal(distance, counted)
    scorer = index.decoded(queries)
    assert scorer.error == 0
    exact = scorer.exact(slice(0, 9), slice(0, 50))
    np.testing.assert_array_equal(exact, width - 2 * distance)
    estimate = np.empty_like(exact)
    scorer.block(slice(0, 9), slice(0, 50), estimate)
    np.testing.assert_array_equal(estimate, exact)
    scores, places = index.search(queries, 7)
    np.testing.assert_array_equal(-scores, np.take_along_axis(distance, places, axis=1))
    np.testing.assert_array_equal(-scores, np.sort(distance, axis=1)[:, :7])


@relaxed
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_int8_orders_documents_as_the_rescoring_of_sentence_transformers_does(seed: int, cosine: bool) -> None:
    library: Any = pytest.importorskip("sentence_transformers.util.quantization")
    documents, queries = vectors(60, seed, cosine=cosine), vectors(8, seed + 1, cosine=cosine)
    documents[:, 3] = 0.25  # one number that is always the same
    ranges = np.vstack([documents.min(axis=0), documents.max(axis=0)])
    index = ready("int8", documents, cosine)
    codes = library.quantize_embeddings(documents, "int8", ranges=ranges).astype(np.int16) + 128
    np.testing.assert_array_equal(faiss.vector_to_array(index.made.codes).reshape(60, -1), codes)
    scores = index.decoded(queries).exact(slice(0, 8), slice(0, 60))
    kept = library.quantize_embeddings(documents, "uint8", ranges=ranges)
    found, _ = library.semantic_search_faiss(
        queries, kept, corpus_precision="uint8", top_k=60, ranges=ranges, rescore_multiplier=1
    )
    for row, listed in enumerate(found):
        assert len(listed) == 60
        mine = scores[row, [one["corpus_id"] for one in listed]]
        assert (np.diff(mine) <= 1e-5 * np.abs(scores).max()).all()


def test_sq8_and_int8_keep_the_same_codes() -> None:
    documents = vectors(300)
    kept = [ready(text, documents) for text in ("int8", "SQ8")]  # codes do not outlive their index
    one, other = (faiss.vector_to_array(index.made.codes).astype(int) for index in kept)
    assert (np.abs(one - other) <= 1).all()  # faiss scales by 255 before it cuts off, the other divides by steps
    assert (one == other).mean() > 0.95


def test_dim_is_the_truncation_of_sentence_transformers(made: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["what is the capital of kenya", "nairobi is a city", "the city of nairobi", "a passage"]
    model = SentenceTransformer(str(made), device="cpu")
    whole_, cut = (
        model.encode(texts, truncate_dim=dim, normalize_embeddings=True, convert_to_numpy=True) for dim in (None, 8)
    )
    np.testing.assert_allclose(indexes.shortened(whole_, Variant(dim=8), True), cut, atol=1e-6)
    bare = model.encode(texts, truncate_dim=8, normalize_embeddings=False, convert_to_numpy=True)
    np.testing.assert_allclose(indexes.shortened(whole_, Variant(dim=8), False), bare, atol=1e-6)
    scores = ready("dim8", whole_).decoded(whole_).exact(slice(0, 4), slice(0, 4))
    np.testing.assert_allclose(scores, np.asarray(model.similarity(cut, cut)), atol=1e-6)


def test_sizes_are_those_of_the_codes() -> None:
    documents = vectors(1000)
    for text, each in (("Flat", 64), ("dim8", 32), ("SQ8", 16), ("int8", 16), ("binary", 2), ("PQ4x8", 4)):
        index = build(Variant() if text == "Flat" else parse(text), documents, True)
        tables = 4 * WIDTH * 256 if text.startswith("PQ") else 0
        assert 1000 * each <= index.bytes - tables <= 1000 * each + 400, text
        assert len(index) == 1000
    assert ready("HNSW8", documents).bytes > 1000 * (64 + 4 * 16)


def test_what_faiss_warns_of_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    index = ready("OPQ4,PQ4x4", vectors(300))
    assert index.warned.startswith("clustering 300 points to 256 centroids")
    assert ready("SQ8", vectors(300)).warned == ""
    assert capfd.readouterr().err == ""
