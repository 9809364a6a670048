"""Checkpoints that make other than one vector of a text: what is kept of them, how they score, and what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmark import encoders, evidence, systems, vectors
from benchmark.encoders import ROLES, Asked, Role
from benchmark.encoders.cross import Cross, Reranked, pair
from benchmark.encoders.late import Late
from benchmark.encoders.sparse import Sparse
from benchmark.progress import Progress
from benchmark.run import prepare
from tasks import card
from tasks.collection import Collection
from tasks.errors import UserError
from tests import kinds, oracle
from tests.conftest import Ran
from tests.kinds import TEXTS, copy, edit, kept

ROOT = Path(__file__).parent.parent
quiet = Progress(Console(stderr=True))


def small(languages: tuple[str, ...] = ("en", "sw"), topics: int = 6) -> Collection:
    """A few topics of the demo task."""
    whole = prepare(
        card.find("demo"), query_languages=languages, document_languages=languages, progress=quiet
    ).collection
    some = whole.queries["topic"].unique()[:topics]
    judgements = whole.judgements[whole.judgements["topic"].isin(some)]
    queries = whole.queries[whole.queries["topic"].isin(some)]
    held = whole.documents["doc_id"].isin(judgements["doc_id"]) | (np.arange(len(whole.documents)) % 7 == 0)
    return Collection(*(table.reset_index(drop=True) for table in (whole.documents[held], queries, judgements)))


def scores(encoder: encoders.Encoder, collection: Collection) -> tuple[systems.System, np.ndarray[Any, Any]]:
    system = systems.prepare(card.find("demo"), collection, encoder, quiet)
    queries, documents = len(collection.queries), len(collection.documents)
    return system, system.scorers(slice(None), np.arange(documents)).exact(slice(0, queries), slice(0, documents))


def test_what_kind_a_checkpoint_is_shows_in_its_files(made_kinds: Path, made: Path) -> None:
    found = {name: encoders.load(str(made_kinds / name)) for name in ("sparse", "late")}
    assert isinstance(found["sparse"], Sparse)
    assert isinstance(found["late"], Late)
    assert {name: (one.kind, one.model.similarity) for name, one in found.items()} == {
        "sparse": ("terms", "dot"), "late": ("tokens", "cosine"),
    }  # fmt: skip
    assert encoders.load(str(made)).kind == "vector"


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_weights_of_terms_are_the_librarys_own(made_kinds: Path, tmp_path: Path) -> None:
    from sentence_transformers import SparseEncoder

    library, encoder = (
        SparseEncoder(str(made_kinds / "sparse"), device="cpu"),
        encoders.load(str(made_kinds / "sparse")),
    )
    for role in ROLES:
        theirs = library.encode(TEXTS).to_dense().numpy()
        ours = kept(encoder, role, tmp_path)
        for text, rows in zip(theirs, ours, strict=True):
            assert rows[:, 0].tolist() == np.flatnonzero(text).tolist()
            np.testing.assert_allclose(rows[:, 1], text[text != 0], atol=1e-5)
    collection = small()
    _, exact = scores(encoder, collection)
    texts = systems.texts_of(collection)
    left, right = (library.encode(texts[role]) for role in ROLES)
    np.testing.assert_allclose(exact, library.similarity(left, right).numpy(), rtol=1e-5, atol=1e-5)


def test_a_text_without_any_term_is_one(made_kinds: Path, tmp_path: Path) -> None:
    class Mute(Sparse):
        def encode(self, texts: Any, role: Role) -> Any:
            found = super().encode(texts, role)
            return [rows[:0] if "zebra" in text else rows for text, rows in zip(texts, found, strict=True)]

    folder = made_kinds / "sparse"
    rows = [len(one) for one in kept(Mute(folder, str(folder), "", Asked()), "query", tmp_path)]
    assert rows[TEXTS.index("zebra")] == 0 < min(rows[:3])


def test_tokens_are_the_librarys_own(made_kinds: Path, tmp_path: Path) -> None:
    from sentence_transformers import MultiVectorEncoder

    library, encoder = (
        MultiVectorEncoder(str(made_kinds / "late"), device="cpu"),
        encoders.load(str(made_kinds / "late")),
    )
    assert encoder.model.prompts == {"query": "query ", "document": "passage "}
    theirs = {"query": library.encode_query(TEXTS), "document": library.encode_document(TEXTS)}
    for role in ROLES:
        for one, other in zip(kept(encoder, role, tmp_path), theirs[role], strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-6)
    assert {len(one) for one in theirs["query"]} == {8}  # filled up with masks
    assert len(theirs["document"][1]) == 4  # without the full stop
    collection = small()
    _, exact = scores(encoder, collection)
    texts = systems.texts_of(collection)
    expected = library.similarity(library.encode_query(texts["query"]), library.encode_document(texts["document"]))
    np.testing.assert_allclose(exact, expected.numpy(), rtol=1e-5)


def test_what_is_cut_is_told(made_kinds: Path, tmp_path: Path) -> None:
    encoder = encoders.load(str(made_kinds / "late"))
    long = "what is the capital of kenya a city a city"
    assert vectors.encode(encoder, [long, "is"], "query", root=tmp_path).truncated == 0.5  # 8 with marker and ends
    assert vectors.encode(encoder, [long, "is"], "document", root=tmp_path).truncated == 0.5  # 12


def pylate(folder: Path) -> Path:
    """The same checkpoint in PyLate's layout."""
    edit(
        folder / "config_sentence_transformers.json", model_type="ColBERT", similarity_fn_name="MaxSim", prompts={},
        query_prefix="query ", document_prefix="passage ", query_length=8, document_length=12,
        attend_to_expansion_tokens=False, skiplist_words=["."],
    )  # fmt: skip
    edit(folder / "sentence_bert_config.json", query_expansion="gone", document_length="gone")
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))[:2]
    modules[1]["type"] = "pylate.models.Dense.Dense"
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    for left in ("2_MultiVectorMask", "3_Normalize"):
        shutil.rmtree(folder / left)
    return folder


def stanford(folder: Path) -> Path:
    """The same weights in the layout of Stanford's ColBERT: the projection beside the encoder, no modules.json."""
    from safetensors.numpy import load_file, save_file

    encoder = {f"bert.{name}": weight for name, weight in load_file(folder / "model.safetensors").items()}
    projection = load_file(folder / "1_Dense" / "model.safetensors")["linear.weight"]
    save_file(encoder | {"linear.weight": projection}, folder / "model.safetensors", metadata={"format": "pt"})
    edit(folder / "config.json", architectures=["HF_ColBERT"])
    metadata = {"query_maxlen": 8, "doc_maxlen": 12, "query_token_id": "[unused0]", "mask_punctuation": True}
    (folder / "artifact.metadata").write_text(json.dumps(metadata), encoding="utf-8")
    for left in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / left).unlink()
    for left in ("1_Dense", "2_MultiVectorMask", "3_Normalize"):
        shutil.rmtree(folder / left)
    return folder


@pytest.mark.filterwarnings("ignore")  # of the library, for what it does not find in a layout that is not its own
@pytest.mark.parametrize("layout", [pylate, stanford])
def test_other_layouts(layout: Callable[[Path], Path], made_kinds: Path, tmp_path: Path) -> None:
    from sentence_transformers import MultiVectorEncoder

    usual = encoders.load(str(made_kinds / "late"))
    folder = layout(copy(made_kinds / "late", tmp_path))
    encoder = encoders.load(str(folder))
    assert isinstance(encoder, Late)
    assert encoder.model.similarity == "cosine"
    library = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True)
    assert encoder.model.prompts == {role: library.prompts[role] for role in ROLES}
    theirs = {"query": library.encode_query(TEXTS), "document": library.encode_document(TEXTS)}
    for role in ROLES:
        ours = kept(encoder, role, tmp_path)
        for one, other in zip(ours, theirs[role], strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-6)
        same = zip(ours, kept(usual, role, tmp_path), strict=True)
        if layout is pylate:  # the very same model
            for one, other in same:
                np.testing.assert_allclose(one, other, atol=1e-6)
        else:  # but for its markers
            assert [one.shape for one, _ in same] == [one.shape for one in kept(usual, role, tmp_path)]


def test_vectors_that_are_not_at_length_one_stay_so(made_kinds: Path, tmp_path: Path) -> None:
    folder = copy(made_kinds / "late", tmp_path)
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    (folder / "modules.json").write_text(json.dumps(modules[:3]), encoding="utf-8")
    encoder = encoders.load(str(folder))
    assert encoder.model.similarity == "dot"
    lengths = np.linalg.norm(np.concatenate(kept(encoder, "document", tmp_path)), axis=1)
    assert (np.abs(lengths - 1) > 0.01).any()


def test_scores_of_pairs_are_the_librarys_own(made_kinds: Path, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    folder = made_kinds / "cross"
    pairs = [(one, other) for one in TEXTS for other in ('"is"', *TEXTS)]
    library = CrossEncoder(str(folder), device="cpu")
    encoder = Cross(folder, str(folder), "", Asked())
    found = vectors.encode(encoder, [pair(*one) for one in pairs], "query", root=tmp_path)
    squeezed = 1 / (1 + np.exp(-found.vectors[:, 0].astype(np.float64)))  # as its own activation does
    np.testing.assert_allclose(squeezed, library.predict(pairs), atol=1e-6)
    assert found.vectors.shape == (len(pairs), 1)
    long = pair("what is the capital of kenya " * 2, "a city of the capital of kenya " * 2)
    assert vectors.encode(encoder, [long, pair("is", "a")], "query", root=tmp_path).truncated == 0.5


def test_reranking_is_a_sort_of_what_the_cross_encoder_says(made_kinds: Path, cache: Path) -> None:
    from sentence_transformers import CrossEncoder

    collection, depth = small(), 3
    encoder = encoders.load("bm25", Asked(rerank=str(made_kinds / "cross"), rerank_depth=depth))
    assert isinstance(encoder, Reranked)
    _, first = scores(encoders.load("bm25"), collection)
    system, exact = scores(encoder, collection)
    assert system.pairs
    assert system.pairs.encoded == len(system.pairs.rows) == depth * 2 * len(collection.queries)
    said = CrossEncoder(str(made_kinds / "cross"), device="cpu").predict(
        [(one, other) for one in collection.queries["text"] for other in collection.document_texts]
    ).reshape(exact.shape)  # fmt: skip
    documents = collection.documents
    for row in range(len(exact)):
        candidates = [
            place
            for lang in ("en", "sw")
            for *_, place in sorted(
                [(first[row, one], documents["doc_id"][one], one) for one in np.flatnonzero(documents["lang"] == lang)],
                reverse=True,
            )[:depth]
        ]
        others = np.setdiff1d(np.arange(len(documents)), candidates)
        assert exact[row, candidates].min() > exact[row, others].max()
        np.testing.assert_array_equal(exact[row, others], first[row, others])
        order = np.array(candidates)[np.argsort(exact[row, candidates])]
        assert (np.diff(said[row, order]) >= -1e-6).all()


def valid(folder: Path) -> evidence.Json:
    """What an evidence says, after it was held against the published schema."""
    schema = json.loads((ROOT / "benchmark" / "evidence.schema.json").read_text(encoding="utf-8"))
    says: evidence.Json = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    jsonschema.validate(says, schema)
    return says


def run(bench: Callable[..., Ran], results: Path, *words: object) -> Ran:
    return bench("run", "--task", "demo", "--languages", "en,sw", "--results", results, *words)


@pytest.mark.parametrize("kind", ["sparse", "late"])
def test_a_run_and_a_second_one(
    kind: str, made_kinds: Path, bench: Callable[..., Ran], cache: Path, tmp_path: Path
) -> None:
    assert run(bench, tmp_path / "one", "--model", made_kinds / kind).code == 0
    says = valid(tmp_path / "one" / kind / "demo")
    assert says["model"]["family"] == kind
    assert says["cost"]["texts_encoded"] == 288
    assert says["model"]["dimensions"] in ([8] if kind == "late" else range(10, 21))
    prompts = ("query ", "passage ") if kind == "late" else ("", "")
    texts = systems.texts_of(prepare(card.find("demo"), query_languages=["en"], progress=quiet).collection)
    assert says["model"]["first_query_as_sent"] == prompts[0] + texts["query"][0]
    again = run(bench, tmp_path / "one", "--model", made_kinds / kind)
    assert "has the same key" in again.err
    assert run(bench, tmp_path / "two", "--model", made_kinds / kind).code == 0  # all from the store
    other = evidence.read(tmp_path / "two" / kind / "demo")
    assert other.says["cost"]["texts_encoded"] == 0
    assert other.says["directions"] == says["directions"]


def test_a_reranked_run_and_a_second_one(
    made_kinds: Path, made: Path, bench: Callable[..., Ran], cache: Path, tmp_path: Path
) -> None:
    words = ("--model", made, "--rerank", made_kinds / "cross", "--rerank-depth", 4)
    shown = run(bench, tmp_path / "one", *words)
    assert "768 pairs reranked" in shown.out
    assert "float32 on cpu, a cross-encoder on the first 4 of each language" in shown.out
    assert "% of the reranked pairs; tied with" in shown.out
    result = evidence.read(tmp_path / "one" / "tiny-model+cross" / "demo")
    model = valid(result.folder)["model"]
    assert model["name"] == "tiny-model+cross"
    assert model["how"]["rerank-depth"] == 4
    assert model["first_query_as_sent"].startswith("query: ")
    assert model["truncated"].keys() == {"query", "document", "pair"}
    assert result.says["cost"]["pairs_reranked"] == 96 * 2 * 4
    assert model["parameters"] == sum(
        encoder.model.parameters
        for encoder in (encoders.load(str(made)), Cross(made_kinds / "cross", "cross", "", Asked()))
    )
    plain = encoders.load(str(made))
    keys = {
        encoders.load(str(made), Asked(rerank=str(made_kinds / "cross"), rerank_depth=depth)).model.how["rerank-depth"]
        for depth in (4, 5)
    }
    assert keys == {4, 5}
    assert model["fingerprint"] != plain.model.fingerprint
    assert "has the same key" in run(bench, tmp_path / "one", *words).err
    assert run(bench, tmp_path / "two", *words).code == 0
    other = evidence.read(tmp_path / "two" / "tiny-model+cross" / "demo").says
    assert (other["cost"]["pairs_reranked"], other["cost"]["texts_encoded"]) == (0, 0)
    assert other["directions"] == result.says["directions"]
    deeper = run(bench, tmp_path / "one", *words[:-1], 5)
    assert "rerank-depth" in deeper.err  # why the earlier result is kept aside
    assert evidence.read(tmp_path / "one" / "tiny-model+cross" / "demo").says["cost"]["pairs_reranked"] == 96 * 2


def test_only_what_the_settings_search_is_reranked(
    made_kinds: Path, bench: Callable[..., Ran], cache: Path, tmp_path: Path
) -> None:
    words = ("--model", "bm25", "--rerank", made_kinds / "cross", "--rerank-depth", 2)
    for settings, languages in (("mono", 1), ("cross", 1), ("mono,cross", 2), ("multi", 2)):
        found = run(bench, tmp_path / settings, *words, "--settings", settings)
        assert found.code == 0
        ranks = evidence.read(tmp_path / settings / "bm25+cross" / "demo")
        collection = prepare(card.find("demo"), query_languages=["en", "sw"], document_languages=["en", "sw"],
                             progress=quiet).collection  # fmt: skip
        encoder = encoders.load("bm25", Asked(rerank=str(made_kinds / "cross"), rerank_depth=2))
        system = systems.prepare(card.find("demo"), collection, encoder, quiet, settings=settings.split(","))
        assert system.pairs
        assert len(system.pairs.rows) == 96 * 2 * languages
        exact = system.scorers(slice(None), np.arange(192)).exact(slice(0, 96), slice(0, 192))
        key = ["query_id", "doc_id", "pool"]
        expected = oracle.ranks(collection, exact, set(settings.split(","))).sort_values(key).reset_index(drop=True)
        got = ranks.ranks()[[*key, "rank"]].astype(dict.fromkeys(key, "str")).sort_values(key).reset_index(drop=True)
        pd.testing.assert_frame_equal(got, expected, check_dtype=False)


KILLED = """
import sys, time
from benchmark import cli
from benchmark.encoders import cross
usual = cross.Cross.encode
def slow(self, texts, role):
    time.sleep(0.02)
    return usual(self, texts, role)
cross.Cross.encode = slow
from benchmark import vectors
vectors.SHARD_SECONDS = 0
vectors.encode.__kwdefaults__["shard_seconds"] = 0.0
cli.main()
"""


def test_a_reranking_that_is_killed_goes_on(made_kinds: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, "run", "--model", "bm25", "--rerank", str(made_kinds / "cross"), "--task",
               "demo", "--languages", "en,sw", "--rerank-depth", "6", "--json"]  # fmt: skip
    surroundings = os.environ | {"ISOGLOSS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "--results", "killed"], cwd=tmp_path, env=surroundings, stdout=subprocess.DEVNULL
    )
    for _ in range(600):
        if len(list(tmp_path.rglob("*.npy"))) > 2:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(tmp_path.rglob("evidence.json"))
    found = []
    for cache in ("cache", "another"):
        done = subprocess.run(
            [*command, "--results", cache], check=True, cwd=tmp_path, capture_output=True,
            env=surroundings | {"ISOGLOSS_CACHE": str(tmp_path / cache)},
        )  # fmt: skip
        found.append(json.loads(done.stdout))
    assert 0 < found[0]["cost"]["pairs_reranked"] < found[1]["cost"]["pairs_reranked"] == 96 * 2 * 6
    assert found[0]["directions"] == found[1]["directions"]


CARD = """name = "pairs"
version = "1"
title = "Pairs"
description = "Two sentences."
reader = "folder"
licence = "CC0 1.0"
citation = "none"
settings = ["cross", "mining"]
measures = ["AP"]
symmetric = true
"""


def test_mining_needs_vectors(
    made_kinds: Path, bench: Callable[..., Ran], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before anything is encoded, whatever the kind; what is left of such a task is for any model."""
    monkeypatch.chdir(tmp_path)
    folder = Path("pairs")
    folder.mkdir()
    (folder / "card.toml").write_text(CARD, encoding="utf-8")
    said = pd.DataFrame([("en1", "en", "nairobi", "t"), ("sw1", "sw", "nairobi sw", "t")])
    said[[0, 1, 2]].to_csv(folder / "documents.tsv", sep="\t", index=False, header=["doc_id", "lang", "text"])
    said.to_csv(folder / "queries.tsv", sep="\t", index=False, header=["query_id", "lang", "text", "topic"])
    judged = said[[3, 0]].assign(relevance=1)
    judged.to_csv(folder / "judgements.tsv", sep="\t", index=False, header=["topic", "doc_id", "relevance"])
    assert bench("run", "--task", "./pairs", "--model", "random").code == 0
    for words in (
        ["bm25"],
        [made_kinds / "late"],
        [made_kinds / "sparse"],
        ["random", "--rerank", made_kinds / "cross"],
    ):
        failed = bench("run", "--task", "demo", "--task", "./pairs", "--model", *words)
        failed.failed("makes no single vector of a text, and mining compares vectors")
    assert [path.parts[1] for path in Path("results").rglob("evidence.json")] == ["random"]
    assert bench("run", "--task", "./pairs", "--model", "bm25", "--settings", "cross").code == 0


def test_wrong_uses(made_kinds: Path, made: Path, bench: Callable[..., Ran], cache: Path, tmp_path: Path) -> None:
    cross, three = made_kinds / "cross", kinds.cross(tmp_path / "three", labels=3)
    for words, says in (
        (
            ("--model", cross),
            "is a cross-encoder, which reads a question and a document together; name it with --rerank",
        ),
        (("--model", made_kinds / "plain-cross"), "is a cross-encoder"),
        (("--model", made, "--rerank", made), "is no cross-encoder, which --rerank takes"),
        (("--model", made, "--rerank", made_kinds / "late"), "is no cross-encoder"),
        (("--model", made, "--rerank", made_kinds), "is no checkpoint: it has neither modules.json"),
        (("--model", made, "--rerank", "./none"), "There is no folder ./none, and it is no name on the hub"),
        (("--model", made, "--rerank", "org/none", "--offline"), "no folder org/none, and the hub cannot give"),
        (
            ("--model", made, "--rerank", cross, "--rerank-depth", 0),
            "--rerank-depth is how many documents are reranked",
        ),
        (("--model", made, "--rerank", cross, "--rerank-depth", -3), "it is -3"),
        (("--model", made, "--rerank", cross, "--rerank-depth", "x"), "Invalid value for '--rerank-depth'"),
        (("--model", made, "--rerank-depth", 5), "nothing to rerank with; name a cross-encoder with --rerank"),
        (("--model", "bm25", "--rerank", cross, "--dtype", "int3"), "«int3» is not a dtype"),
        (("--model", "bm25", "--rerank", cross, "--query-prompt", "q"), "bm25 takes no --query-prompt"),
        (("--model", "bm25", "--rerank", three), "gives 3 numbers for a pair; a reranker gives one"),
    ):
        run(bench, tmp_path / "results", *words).failed(says)
    for model in (["bm25"], ["bm25", "--rerank", cross], [made_kinds / "late"], [made_kinds / "sparse"]):
        noisy = bench("noise", "--task", "demo", "--languages", "en", "--results", tmp_path, "--model", *model)
        noisy.failed("does not make one vector of a text; noise is measured on vectors")
        given = bench("export", "--task", "demo", "--languages", "en", "--vectors", tmp_path / "v", "--model", *model)
        given.failed("does not make one vector of a text, so there are none to export")
    assert not list(tmp_path.rglob("evidence.json"))


@pytest.mark.parametrize(
    ("kind", "harm", "says"),
    [
        ("sparse", {"similarity_fn_name": "euclidean"}, "«euclidean»; only cosine and dot"),
        ("sparse", {"prompts": {"search": "s: "}}, "declares the prompts search"),
        ("late", {"prompts": 3}, "declares prompts that are no texts"),
        ("late", {"model_type": "ColBERT", "query_prefix": 3}, ""),
        ("cross", {"model_type": None}, "is no cross-encoder"),
    ],
)
def test_a_broken_checkpoint_is_named(
    kind: str, harm: dict[str, object], says: str, made_kinds: Path, tmp_path: Path
) -> None:
    folder = copy(made_kinds / kind, tmp_path)
    edit(folder / "config_sentence_transformers.json", **harm)
    if not says:
        assert encoders.load(str(folder)).model.prompts["query"]
        return
    with pytest.raises(UserError, match=says):
        encoders.load("bm25", Asked(rerank=str(folder))) if kind == "cross" else encoders.load(str(folder))


def test_the_dtype_of_a_reranker_is_asked_for_with_the_model(made_kinds: Path) -> None:
    asked = Asked(rerank=str(made_kinds / "cross"), dtype="bfloat16", name="both", notes="mine")
    encoder = encoders.load("bm25", asked)
    assert isinstance(encoder, Reranked)
    assert (encoder.cross.model.dtype, encoder.model.dtype) == ("bfloat16", "float32+bfloat16")
    assert (encoder.model.name, encoder.model.notes, encoder.first.model.name) == ("both", "mine", "bm25")
    usual = encoders.load("bm25", Asked(rerank=str(made_kinds / "cross")))
    assert usual.model.fingerprint == encoder.model.fingerprint


def test_half_precision_is_kept_as_float32(made_kinds: Path, tmp_path: Path) -> None:
    for kind in ("sparse", "late"):
        encoder = encoders.load(str(made_kinds / kind), Asked(dtype="bfloat16"))
        assert {rows.dtype for rows in kept(encoder, "query", tmp_path)} == {np.dtype(np.float32)}
