"""Checkpoints of every kind, small ones that are made here: what they become is what other code makes of them."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark import encoders, vectors
from benchmark.encoders import Asked, checkpoint, devices, files, recipe
from tasks.errors import UserError
from tests import models
from tests.conftest import Ran
from tests.models import edit

PLAIN = Asked()
Rows = NDArray[np.float32]
TEXTS = [
    "what is the capital of kenya",
    "nairobi",
    "is nairobi a city",
    "a city of the capital of a city of kenya : is",
]


@pytest.fixture
def plain(made: Path, tmp_path: Path) -> Path:
    """A copy of the plain transformer that the checkpoint `made` is built on."""
    return Path(shutil.copytree(made.with_name("plain"), tmp_path / "plain"))


def encoded(source: Path, asked: Asked = PLAIN, role: encoders.Role = "query") -> vectors.Encoded:
    """Return the vectors of the texts, as one batch, past any store but one of its own."""
    encoder = encoders.load(str(source), asked)
    return vectors.encode(encoder, TEXTS, role, root=source.parent / "store")


def unit(rows: Rows) -> Rows:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def library(source: Path, role: encoders.Role = "query", **options: object) -> Rows:
    """Return what sentence-transformers makes of the texts by itself."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(source), device="cpu")
    for name, value in options.items():
        setattr(model, name, value)
    encode = model.encode_query if role == "query" else model.encode_document
    return unit(encode(TEXTS))


# Transformers without pooling


@pytest.mark.parametrize("pooling", recipe.POOLINGS)
def test_a_plain_transformer_is_pooled_as_asked(pooling: str, plain: Path) -> None:
    found = encoded(plain, Asked(pooling=pooling))
    np.testing.assert_allclose(found.vectors, unit(models.pooled(plain, TEXTS, pooling)), atol=1e-5)
    assert found.truncated == 0.25
    model = encoders.load(str(plain), Asked(pooling=pooling)).model
    assert model.how == {"pooling": pooling}
    assert model.prompts == {"query": "", "document": ""}


def test_a_plain_transformer_takes_prompts_as_text(plain: Path) -> None:
    encoder = encoders.load(str(plain), Asked(pooling="mean", query_prompt="query: "))
    found = np.asarray(encoder.encode(["nairobi"], "query"))
    np.testing.assert_allclose(found, models.pooled(plain, ["query: nairobi"], "mean"), atol=1e-5)


def test_what_was_asked_is_part_of_the_space(plain: Path) -> None:
    asked = [Asked(pooling="mean"), Asked(pooling="cls"), Asked(pooling="cls", max_length=5)]
    spaces = {json.dumps(encoders.load(str(plain), one).space("query")) for one in asked}
    assert len(spaces) == len(asked)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", models.DECODERS)
def test_a_decoder_gives_a_text_the_same_vector_in_any_batch(name: str, side: str, made: Path, tmp_path: Path) -> None:
    folder = models.decoder(name, made.with_name("plain"), tmp_path / name, side)
    encoder = encoders.load(str(folder), Asked(pooling="last"))
    together = np.asarray(encoder.encode(TEXTS, "query"))
    alone = np.concatenate([np.asarray(encoder.encode([text], "query")) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, models.pooled(folder, TEXTS, "last"), atol=1e-5)


def test_a_saved_decoder_that_pads_on_the_left_is_padded_on_the_right(made: Path, tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    inner = models.decoder("gpt2", made.with_name("plain"), tmp_path / "inner", "left")
    folder = models.saved(tmp_path / "whole", Transformer(str(inner)), Pooling(16, pooling_mode="lasttoken"))
    together = np.asarray(encoders.load(str(folder)).encode(TEXTS, "query"))
    np.testing.assert_allclose(together, models.pooled(inner, TEXTS, "last"), atol=1e-5)


# Length


def test_a_maximum_length_cuts_and_is_counted(made: Path) -> None:
    whole, cut = encoded(made), encoded(made, Asked(max_length=6))
    np.testing.assert_allclose(cut.vectors, library(made, max_seq_length=6), atol=1e-5)
    assert (whole.truncated, cut.truncated) == (0.25, 0.75)
    assert whole.tokens == cut.tokens
    assert (np.abs(whole.vectors - cut.vectors).max(axis=1) > 1e-3).tolist() == [True, False, True, True]
    assert encoders.load(str(made), Asked(max_length=6)).model.how == {"max-length": 6}
    longer = encoded(made, Asked(max_length=32))
    assert longer.truncated == 0


def test_a_maximum_length_that_leaves_no_word_is_refused(made: Path) -> None:
    for length in (1, 2):
        with pytest.raises(UserError, match="2 tokens stand around every text; --max-length has to be more"):
            encoders.load(str(made), Asked(max_length=length)).encode(TEXTS, "query")


@pytest.mark.parametrize("name", ["gpt2", "qwen3"])
def test_texts_are_cut_at_the_last_position_where_no_file_says_a_length(name: str, made: Path, tmp_path: Path) -> None:
    plain = Path(shutil.copytree(made, tmp_path / "plain"))
    edit(plain / "tokenizer_config.json", model_max_length=int(1e30))
    folder = models.decoder(name, plain, tmp_path / name, "right")
    long = "nairobi " * 100
    encoder = encoders.load(str(folder), Asked(pooling="mean"))
    assert encoder.lengths([long], "query")[1] == 32
    assert np.isfinite(encoder.encode([long], "query")).all()
    with pytest.raises(UserError, match="has positions for 32 tokens, less than --max-length 40"):
        encoders.load(str(folder), Asked(pooling="mean", max_length=40))


def test_a_maximum_length_beyond_the_positions_is_refused(plain: Path) -> None:
    with pytest.raises(UserError, match="positions for 32 tokens, less than --max-length 33"):
        encoders.load(str(plain), Asked(pooling="mean", max_length=33))
    edit(plain / "config.json", model_type="xlm-roberta", pad_token_id=1)
    assert files.positions(plain) == 30
    edit(plain / "config.json", max_position_embeddings=None)
    assert files.positions(plain) == 0


# Asymmetric models


@pytest.fixture
def routed(made: Path, tmp_path: Path) -> Path:
    """Queries are looked up in a table, documents go through a transformer."""
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, StaticEmbedding, Transformer

    plain = made.with_name("plain")
    table = StaticEmbedding(models.tokenizer(plain).backend_tokenizer, embedding_dim=16)
    transformer = Transformer(str(plain), max_seq_length=12)
    router = Router.for_query_document([table], [transformer, Pooling(16, pooling_mode="mean")])
    return models.saved(tmp_path / "routed", router, Normalize())


def test_queries_and_documents_go_their_own_ways(routed: Path) -> None:
    found: dict[encoders.Role, vectors.Encoded] = {role: encoded(routed, role=role) for role in encoders.ROLES}
    for role, one in found.items():
        np.testing.assert_allclose(one.vectors, library(routed, role), atol=1e-5)
    assert found["document"].truncated == 0.25
    assert found["query"].truncated == 0
    assert found["document"].tokens == found["query"].tokens + 2 * len(TEXTS)  # the table's words have no [CLS], [SEP]
    cut: dict[encoders.Role, vectors.Encoded] = {role: encoded(routed, Asked(max_length=4), role) for role in found}
    assert (cut["query"].truncated, cut["document"].truncated) == (0.5, 0.75)


def test_code_in_a_route_is_not_run_unless_asked_for(routed: Path) -> None:
    says = json.loads((routed / "router_config.json").read_text(encoding="utf-8"))
    first = next(iter(says["types"]))
    edit(routed / "router_config.json", types=says["types"] | {first: "own.Table"})
    with pytest.raises(UserError, match=r"code of its own \(own.Table\)"):
        encoders.load(str(routed))


# Adapters


def test_an_adapter_runs_on_its_base(made: Path, plain: Path, tmp_path: Path) -> None:
    folder = models.adapter(plain, tmp_path / "adapter")
    merged = models.merged(plain, folder, tmp_path / "merged")
    expected = unit(models.pooled(merged, TEXTS, "mean"))
    assert not np.allclose(expected, unit(models.pooled(plain, TEXTS, "mean")), atol=1e-2)
    found = encoded(folder, Asked(pooling="mean"))
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)

    model = encoders.load(str(folder), Asked(pooling="mean")).model
    bare = encoders.load(str(plain), Asked(pooling="mean")).model
    assert model.parameters == bare.parameters + files.parameters(folder)
    assert model.engine["peft"]
    with pytest.raises(UserError, match="is a transformer without pooling"):
        encoders.load(str(folder))
    # on a base with modules, pooling and prompts are the base's
    on_made = encoders.load(str(folder), Asked(base=str(made)))
    assert on_made.model.prompts == {"query": "query: ", "document": "passage: "}
    sent = [f"query: {text}" for text in TEXTS]
    expected = unit(models.pooled(merged, sent, "mean"))
    np.testing.assert_allclose(unit(np.asarray(on_made.encode(TEXTS, "query"))), expected, atol=1e-5)
    with pytest.raises(UserError, match="says itself how its vectors are made"):
        encoders.load(str(folder), Asked(base=str(made), pooling="mean"))


def test_an_adapter_reads_texts_as_it_was_trained_to(plain: Path, tmp_path: Path) -> None:
    """With the tokenizer beside it, which here puts nothing behind a text."""
    folder = models.adapter(plain, tmp_path / "adapter")
    base = unit(models.pooled(models.merged(plain, folder, tmp_path / "merged"), TEXTS, "last"))
    np.testing.assert_allclose(encoded(folder, Asked(pooling="last")).vectors, base, atol=1e-5)
    words = models.tokenizer(plain)
    words.backend_tokenizer.post_processor = None
    words.save_pretrained(tmp_path / "merged")
    words.save_pretrained(folder)
    expected = unit(models.pooled(tmp_path / "merged", TEXTS, "last"))
    assert not np.allclose(expected, base, atol=1e-2)
    np.testing.assert_allclose(encoded(folder, Asked(pooling="last")).vectors, expected, atol=1e-5)


@pytest.mark.parametrize("with_modules", [True, False])
def test_weights_that_no_file_holds_are_named(with_modules: bool, made: Path, plain: Path, tmp_path: Path) -> None:
    """They would be drawn at random, and their scores with them."""
    from safetensors.numpy import load_file, save_file

    folder = Path(shutil.copytree(made if with_modules else plain, tmp_path / "harmed"))
    asked = PLAIN if with_modules else Asked(pooling="mean")
    encoders.load(str(folder), asked).encode(TEXTS, "query")
    whole = load_file(folder / "model.safetensors")
    save_file({name: some for name, some in whole.items() if "layer.1." not in name}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"lack encoder\.layer\.1\.\S+ and \d+ more weights"):
        encoders.load(str(folder), asked).encode(TEXTS, "query")
    save_file({name: some for name, some in whole.items() if "pooler" not in name}, folder / "model.safetensors")
    encoders.load(str(folder), asked).encode(TEXTS, "query")


def test_weights_that_an_adapter_lacks_are_named(plain: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = models.adapter(plain, tmp_path / "adapter")
    whole = load_file(folder / "adapter_model.safetensors")
    harmed = {name.replace("encoder", "enc"): some for name, some in whole.items()}
    save_file(harmed, folder / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"lack encoder\S+ and \d+ more weights"):
        encoders.load(str(folder), Asked(pooling="mean")).encode(TEXTS, "query")


def test_an_adapter_that_the_library_saved_has_its_own_modules(made: Path, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig
    from sentence_transformers import SentenceTransformer

    base = Path(shutil.copytree(made, tmp_path / "base"))
    model = SentenceTransformer(str(base), device="cpu")
    torch.manual_seed(4)
    model.add_adapter(LoraConfig(r=2, target_modules=["query", "value"], init_lora_weights=False))
    expected = unit(model.encode_query(TEXTS))
    folder = tmp_path / "saved"
    model.save(str(folder), create_model_card=False)
    assert files.kind(folder) == "adapter"
    assert not (folder / "model.safetensors").exists()
    np.testing.assert_allclose(encoded(folder).vectors, expected, atol=1e-5)

    moved = base.rename(tmp_path / "moved")
    with pytest.raises(UserError, match="The base of the adapter .* is not there: .*--base"):
        encoders.load(str(folder))
    again = encoders.load(str(folder), Asked(base=str(moved)))
    np.testing.assert_allclose(unit(np.asarray(again.encode(TEXTS, "query"))), expected, atol=1e-5)


def test_the_fingerprint_is_of_the_adapter_and_of_its_base(plain: Path, tmp_path: Path) -> None:
    folder = models.adapter(plain, tmp_path / "adapter")

    def fingerprint() -> str:
        return encoders.load(str(folder), Asked(pooling="mean")).model.fingerprint

    first = fingerprint()
    edit(folder / "adapter_config.json", lora_alpha=3)
    second = fingerprint()
    edit(plain / "config.json", layer_norm_eps=1e-3)
    assert len({first, second, fingerprint(), files.fingerprint(folder)}) == 4


def test_an_adapter_that_cannot_be_run_is_named(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = models.adapter(plain, tmp_path / "adapter")
    asked = Asked(pooling="mean")
    with monkeypatch.context() as patched:
        patched.setattr(recipe, "find_spec", lambda _: None)
        with pytest.raises(UserError, match=r'needs the package peft; pip install "isogloss\[peft\]"'):
            encoders.load(str(folder), asked)
    with pytest.raises(UserError, match="is itself of the kind adapter; name another with --base"):
        encoders.load(str(folder), Asked(base=str(folder)))
    with pytest.raises(UserError, match="is an adapter, which int8 does not know; merge it"):
        encoders.load(str(folder), Asked(pooling="mean", dtype="int8"))
    with pytest.raises(UserError, match="is no adapter .*leave --base out"):
        encoders.load(str(plain), Asked(pooling="mean", base=str(plain)))
    edit(folder / "adapter_config.json", base_model_name_or_path=None)
    with pytest.raises(UserError, match="does not say what its base is; name it with --base"):
        encoders.load(str(folder), asked)
    edit(folder / "adapter_config.json", base_model_name_or_path=str(plain), target_modules=["nothing"])
    with pytest.raises(UserError, match="cannot be loaded as an adapter checkpoint: ") as raised:
        encoders.load(str(folder), asked).encode(["nairobi"], "query")
    assert "\n" not in str(raised.value)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(UserError, match="adapter_model.bin is a pickle"):
        encoders.load(str(folder), asked)


def test_an_adapter_and_its_base_come_from_the_hub(
    made: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def kept(name: str, source: Path, commit: str) -> None:
        place = tmp_path / "hub" / f"models--org--{name}"
        shutil.copytree(source, place / "snapshots" / commit)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(commit, encoding="utf-8")

    folder = models.adapter(plain, tmp_path / "adapter")
    edit(folder / "adapter_config.json", base_model_name_or_path="org/whole")
    kept("whole", made, "a" * 40)
    kept("small", folder, "b" * 40)
    encoder = encoders.load("org/small", Asked(offline=True))
    assert (encoder.model.name, encoder.model.revision) == ("org/small", "b" * 40)
    assert encoder.model.prompts["document"] == "passage: "
    here = encoders.load(str(folder), Asked(base=str(made)))
    np.testing.assert_allclose(encoder.encode(TEXTS, "query"), here.encode(TEXTS, "query"), atol=1e-6)
    edit(folder / "adapter_config.json", base_model_name_or_path="org/none")
    with pytest.raises(UserError, match="The base of the adapter .* is not there: .*no folder org/none"):
        encoders.load(str(folder), Asked(offline=True))


# Static vectors


@pytest.mark.parametrize("normal", [True, False])
@pytest.mark.parametrize("with_modules", [True, False])
def test_a_table_of_static_vectors_is_read_as_model2vec_does(
    normal: bool, with_modules: bool, plain: Path, tmp_path: Path
) -> None:
    from model2vec import StaticModel

    folder = models.static(plain, tmp_path / "static", normalize=normal, config={"model_type": "model2vec"})
    if not with_modules:
        (folder / "modules.json").unlink()
    assert files.kind(folder) == "static"
    expected = StaticModel.from_pretrained(folder).encode(TEXTS)
    encoder = encoders.load(str(folder))
    np.testing.assert_allclose(np.asarray(encoder.encode(TEXTS, "query")), expected, atol=1e-5)
    assert encoder.model.parameters == 16 * 8
    assert encoder.lengths(TEXTS, "query")[0].tolist() == [6, 1, 4, 12]
    with pytest.raises(UserError, match="looks its vectors up in a table"):
        encoders.load(str(folder), Asked(backend="onnx"))
    with pytest.raises(UserError, match="no linear layers, which are what int8 is for"):
        encoders.load(str(folder), Asked(dtype="int8")).encode(TEXTS, "query")


def test_static_vectors_are_cut_and_counted(plain: Path, tmp_path: Path) -> None:
    folder = models.static(plain, tmp_path / "static", max_length=5, config={"model_type": "model2vec"})
    assert encoders.load(str(folder)).lengths(TEXTS, "query")[1] == 5
    found = encoded(folder)
    assert (found.truncated, found.tokens) == (0.5, 23)
    assert encoded(folder, Asked(max_length=3)).truncated == 0.75


def test_static_vectors_in_a_narrow_dtype_compute_in_float32(plain: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = models.static(plain, tmp_path / "static", config={"model_type": "model2vec"})
    table = load_file(folder / "model.safetensors")
    save_file({name: rows.astype(np.float16) for name, rows in table.items()}, folder / "model.safetensors")
    encoder = encoders.load(str(folder))
    assert isinstance(encoder, checkpoint.Checkpoint)
    encoder.encode(TEXTS, "query")
    assert {str(weight.dtype) for weight in encoder._model().parameters()} == {"torch.float32"}


# Arithmetic and devices


def test_int8_is_near_and_on_record(made: Path) -> None:
    whole, small = encoded(made), encoded(made, Asked(dtype="int8"))
    cosines = (whole.vectors * small.vectors).sum(axis=1)
    assert (cosines > 0.99).all()
    assert not np.allclose(whole.vectors, small.vectors, atol=1e-5)
    encoder = encoders.load(str(made), Asked(dtype="int8"))
    assert isinstance(encoder, checkpoint.Checkpoint)
    assert (encoder.model.dtype, encoder.model.device) == ("int8", "cpu")
    encoder.encode(["nairobi"], "query")
    assert "torch.ao.nn.quantized.dynamic.modules.linear" in {
        type(one).__module__ for one in encoder._model().modules()
    }
    with pytest.raises(UserError, match="int8 is for one processor; leave --device out"):
        encoders.load(str(made), Asked(dtype="int8", device="cpu,cpu"))


def test_several_devices_share_a_batch(made: Path) -> None:
    one, two = (encoders.load(str(made), Asked(device=name)) for name in ("cpu", "cpu,cpu"))
    assert two.budget == 2 * one.budget
    assert two.model == one.model
    texts = [*TEXTS, "kenya"]
    assert isinstance(two, checkpoint.Checkpoint)
    shared = two._shared(5)
    assert (len(shared["pool"]["processes"]), shared["chunk_size"]) == (2, 3)
    for role in encoders.ROLES:
        np.testing.assert_allclose(np.asarray(two.encode(texts, role)), np.asarray(one.encode(texts, role)), atol=1e-6)
    codes: list[int] = []
    devices.ended(shared["pool"], lambda pool: codes.extend(process.exitcode for process in pool["processes"]))
    assert codes == [0, 0]  # on their own: one that is killed leaves semaphores behind


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("gpu", "«gpu» is not a device; take cpu, cuda, cuda:1, mps"),
        ("cuda:0,", "«» is not a device"),
        ("cpu,mps", "devices of several kinds"),
        ("cuda:3", "There is no device cuda:3 here: torch finds 2 of the kind cuda"),
        ("mps", "There is no device mps here: torch finds none"),
    ],
)
def test_a_device_that_is_none_is_named(asked: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_count", lambda wanted: 2 * (wanted == "cuda"))
    with pytest.raises(UserError, match=says):
        devices.chosen(asked)
    assert devices.chosen("cuda:0, cuda:1") == ("cuda:0", "cuda:1")


# What does not go together


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Asked(pooling="mean"), "says itself how its vectors are made"),
        (Asked(base="x"), "is no adapter"),
        (Asked(backend="tensorrt"), "«tensorrt» is not a backend; take one of torch, onnx, openvino"),
        (Asked(backend="onnx", dtype="bfloat16"), "onnx computes in float32; leave --dtype out"),
        (Asked(backend="openvino", device="cpu,cpu"), "openvino is for one processor; leave --device out"),
    ],
)
def test_what_does_not_go_with_a_checkpoint_is_named(asked: Asked, says: str, made: Path) -> None:
    with pytest.raises(UserError, match=says):
        encoders.load(str(made), asked)


def test_a_wrong_pooling_is_named(plain: Path) -> None:
    with pytest.raises(UserError, match="«max» is not a pooling; take one of mean, cls, last"):
        encoders.load(str(plain), Asked(pooling="max"))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"model_type": "SparseEncoder"}, "sparse"),
        ({"model_type": "MultiVectorEncoder"}, "multi-vector"),
        ({"model_type": "ColBERT"}, "multi-vector"),
        ({"similarity_fn_name": "MaxSim"}, "multi-vector"),
        ({"model_type": "CrossEncoder"}, "cross-encoder"),
    ],
)
def test_a_model_that_makes_no_single_vector_is_known(
    changes: dict[str, str], kind: str, made: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "other"))
    edit(folder / "config_sentence_transformers.json", **changes)
    assert files.kind(folder) == kind


def test_a_classifier_is_no_model_of_vectors(plain: Path) -> None:
    edit(plain / "config.json", architectures=["BertForSequenceClassification"])
    with pytest.raises(UserError, match="is a cross-encoder, which reads a question and a document together"):
        encoders.load(str(plain), Asked(pooling="mean"))


# On the command line


def test_wrong_use_is_one_sentence(plain: Path, cache: Path, tmp_path: Path, bench: Callable[..., Ran]) -> None:
    words = ["run", "--model", plain, "--task", "demo", "--results", tmp_path / "results"]
    bench(*words).failed("is a transformer without pooling", "--pooling mean, cls or last")
    bench(*words, "--pooling", "mean", "--max-length", 512).failed("positions for 32 tokens")
    bench(*words, "--pooling", "mean", "--device", "tpu").failed("«tpu» is not a device")
    bench("run", "--model", "random", "--max-length", 5).failed("The model random takes no --max-length")
    assert not (tmp_path / "results").exists()


def test_the_cost_of_int8_is_measured(made: Path, cache: Path, tmp_path: Path, bench: Callable[..., Ran]) -> None:
    words = ["--model", made, "--task", "demo", "--languages", "en,sw", "--results", tmp_path / "results", "--json"]
    ran = bench("noise", *words, "--vary", "order", "--dtypes", "bfloat16,int8")
    assert ran.code == 0, ran.err
    rows = {row["how"]: row for row in json.loads(ran.out)["noise"]}
    row = rows["int8 instead of float32"]
    assert row["change"]
    assert row["moved"] == 1
    assert min(row["largest"], rows["bfloat16 instead of float32"]["largest"]) > 1e-5
    shown = bench("noise", *words[:-1], "--vary", "", "--dtypes", "int8").out
    assert "int8 instead of float32" in shown
    assert "No vector moved" not in shown, "nothing was varied that should move none"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 600) | st.text(max_size=5) | st.just("{text}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    ("config.json", ["architectures", "auto_map", "max_position_embeddings", "model_type", "pad_token_id",
                     "text_config", "types"]),
    ("config_sentence_transformers.json", ["default_prompt_name", "model_type", "prompts", "similarity_fn_name"]),
    ("sentence_bert_config.json", ["modality_config", "processing_kwargs"]),
    ("modules.json", [""]),
    ("adapter_config.json", ["base_model_name_or_path", "revision"]),
    ("router_config.json", ["types"]),
]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), asked=st.sampled_from([PLAIN, Asked(max_length=8), Asked(query_prompt="{task} {text}")]))
def test_odd_files_are_run_or_refused_in_a_sentence(data: st.DataObject, asked: Asked, made: Path) -> None:
    name, fields = data.draw(st.sampled_from(FIELDS))
    field, value = data.draw(st.sampled_from(fields)), data.draw(JSON)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(made, Path(scratch) / "odd"))
        says = json.loads((folder / name).read_text(encoding="utf-8")) if (folder / name).is_file() else {}
        whole = says | {field: value} if field else value
        (folder / name).write_text(json.dumps(whole), encoding="utf-8")
        refused = ""
        try:
            model = encoders.load(str(folder), replace(asked, offline=True)).model
            assert all(isinstance(prompt, str) for prompt in model.prompts.values())
        except UserError as error:
            refused = str(error)
        assert "\n" not in refused
