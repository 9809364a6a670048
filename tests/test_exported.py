"""Graphs run by ONNX Runtime and OpenVINO, beside torch on the same texts."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark import encoders, vectors
from benchmark.encoders import Asked, recipe
from benchmark.encoders.checkpoint import Checkpoint
from tasks.errors import UserError
from tests import models
from tests.conftest import Ran

TEXTS = [
    "what is the capital of kenya",
    "nairobi",
    "is nairobi a city",
    "a city of the capital of a city of kenya : is",
]
BACKENDS = [name for name in recipe.BACKENDS if name != "torch"]


def load(source: Path, **asked: object) -> Checkpoint:
    encoder = encoders.load(str(source), Asked(**asked))  # type: ignore[arg-type]
    assert isinstance(encoder, Checkpoint)
    return encoder


@pytest.fixture(scope="module")
def exported(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the graph of `made`."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ISOGLOSS_CACHE", str(folder))
        load(made, backend="onnx").encode(TEXTS, "query")
    return folder


@pytest.fixture
def graph(exported: Path, cache: Path) -> Path:
    """The same graph in the cache of a test."""
    shutil.copytree(exported, cache)
    (found,) = (cache / "onnx").rglob("*.onnx")
    return Path(found)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_graph_gives_the_vectors_of_torch(backend: str, made: Path, graph: Path) -> None:
    torch, other = load(made), load(made, backend=backend)
    for role in encoders.ROLES:
        assert torch.lengths(TEXTS, role)[0].tolist() == other.lengths(TEXTS, role)[0].tolist()
        for batch in (TEXTS, TEXTS[:1], TEXTS[:3]):
            np.testing.assert_allclose(other.encode(batch, role), torch.encode(batch, role), atol=1e-5)
    other.threads = 2
    np.testing.assert_allclose(other.encode(TEXTS, "query"), torch.encode(TEXTS, "query"), atol=1e-5)
    assert other.model.how == {"backend": backend}
    assert "onnxruntime" in other.model.engine
    assert other.space("query") != torch.space("query")


def test_a_graph_cuts_as_its_model_does(made: Path, cache: Path, tmp_path: Path) -> None:
    """Queries at a length of their own."""
    folder = Path(shutil.copytree(made, tmp_path / "short"))
    models.edit(folder / "sentence_bert_config.json", query_length=4)
    torch, other = load(folder), load(folder, backend="onnx")
    limits: dict[encoders.Role, int] = {"query": 4, "document": 12}
    for role, limit in limits.items():
        assert torch.lengths(TEXTS, role)[1] == other.lengths(TEXTS, role)[1] == limit
        np.testing.assert_allclose(other.encode(TEXTS, role), torch.encode(TEXTS, role), atol=1e-5)


def test_a_graph_is_made_once(made: Path, graph: Path) -> None:
    at = graph.stat().st_mtime_ns
    load(made, backend="onnx", max_length=5).encode(TEXTS, "query")
    assert [*graph.parent.parent.rglob("*.onnx")] == [graph]
    assert graph.stat().st_mtime_ns == at
    assert [*graph.parent.parent.iterdir()] == [graph.parent]  # nothing is left beside it


def test_a_decoder_is_exported_with_its_pooling(made: Path, cache: Path, tmp_path: Path) -> None:
    folder = models.decoder("qwen3", made.with_name("plain"), tmp_path / "decoder", "left")
    found = load(folder, pooling="last", backend="onnx", max_length=9)
    np.testing.assert_allclose(found.encode(TEXTS, "query"), models.pooled(folder, TEXTS, "last", 9), atol=1e-5)
    assert found.model.how == {"pooling": "last", "max-length": 9, "backend": "onnx"}


def test_an_adapter_is_exported_with_its_base(made: Path, cache: Path, tmp_path: Path) -> None:
    plain = made.with_name("plain")
    folder = models.adapter(plain, tmp_path / "adapter")
    merged = models.merged(plain, folder, tmp_path / "merged")
    found = load(folder, base=str(plain), pooling="mean", backend="onnx").encode(TEXTS, "query")
    np.testing.assert_allclose(found, models.pooled(merged, TEXTS, "mean"), atol=1e-5)


def test_a_run_by_a_graph_has_its_own_result(
    made: Path, graph: Path, tmp_path: Path, bench: Callable[..., Ran]
) -> None:
    words = ["run", "--model", made, "--task", "demo", "--languages", "en,sw", "--results", tmp_path, "--json"]
    first, second = bench(*words), bench(*words, "--backend", "onnx")
    assert (first.code, second.code) == (0, 0), second.err
    assert "another" in second.err or "kept aside" in second.err
    says = json.loads((tmp_path / "tiny-model/demo/evidence.json").read_text(encoding="utf-8"))
    assert says["model"]["how"] == says["key_parts"]["how"] == {"backend": "onnx"}
    averages = [json.loads(ran.out)["averages"][0]["measures"]["AP"] for ran in (first, second)]
    assert averages[0] == pytest.approx(averages[1], abs=1e-3)


def test_a_missing_package_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "find_spec", lambda name: None if name == "onnxruntime" else object())
    for backend in BACKENDS:
        says = rf'The backend {backend} needs the package onnxruntime; pip install "isogloss\[{backend}\]" brings it'
        with pytest.raises(UserError, match=says):
            load(made, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_damaged_graph_is_named(backend: str, made: Path, graph: Path) -> None:
    graph.write_bytes(graph.read_bytes()[:100])
    with pytest.raises(UserError, match=f"model.onnx cannot be run by {backend}: .*; delete its folder") as raised:
        load(made, backend=backend).encode(TEXTS, "query")
    assert "\n" not in str(raised.value)


def test_a_graph_that_differs_from_torch_is_not_kept(made: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.encoders import exported

    usual = exported._runner
    monkeypatch.setattr(exported, "_runner", lambda *how: lambda tokens: 1.001 * usual(*how)(tokens))
    with pytest.raises(UserError, match=r"The export of .* differs from torch by 1.0e-03; leave --backend out"):
        load(made, backend="onnx").encode(TEXTS, "query")
    assert [*(cache / "onnx").iterdir()] == []


def test_what_cannot_be_exported_is_named(made: Path, cache: Path, tmp_path: Path) -> None:
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    plain = str(made.with_name("plain"))
    query, document = ([Transformer(plain), Pooling(16, pooling_mode="mean")] for _ in encoders.ROLES)
    routed = models.saved(tmp_path / "routed", Router.for_query_document(query, document))
    with pytest.raises(UserError, match="is no transformer with what follows it and cannot be exported"):
        load(routed, backend="onnx").encode(TEXTS, "query")
    pooling = Pooling(16, pooling_mode="mean", include_prompt=False)
    instructor = models.saved(tmp_path / "instructor", Transformer(plain), pooling)
    with pytest.raises(UserError, match="leaves the prompt out of its pooling and cannot be exported"):
        load(instructor, backend="onnx").encode(TEXTS, "query")


def test_a_failed_export_leaves_nothing(made: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def failing(*_: object, **__: object) -> None:
        cause = ValueError("no such operator: «sort»\nand more")
        raise torch.onnx.errors.OnnxExporterError("\x1b[96mstep 1\x1b[0m\n") from cause

    monkeypatch.setattr(torch.onnx, "export", failing)
    with pytest.raises(UserError, match="cannot be exported: no such operator: «sort»; leave --backend out") as raised:
        load(made, backend="onnx").encode(TEXTS, "query")
    assert "\n" not in str(raised.value)
    assert [*(cache / "onnx").iterdir()] == []
    cache.joinpath("onnx").rmdir()
    cache.joinpath("onnx").write_bytes(b"")
    with pytest.raises(UserError, match="The graph of .*tiny-model cannot be written to .*onnx: "):
        load(made, backend="onnx").encode(TEXTS, "query")


def test_the_store_keeps_backends_apart(made: Path, cache: Path, tmp_path: Path) -> None:
    found = [vectors.space_folder(load(made, backend=name), "query", tmp_path) for name in recipe.BACKENDS]
    assert len(set(found)) == len(recipe.BACKENDS)
