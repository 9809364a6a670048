"""A loaded checkpoint in; the same with all that follows its tokenizer run by ONNX Runtime or OpenVINO, out.

The graph (transformer, pooling, whatever comes behind) is exported once and kept in `<cache>/onnx` under everything it
depends on. It is compared with torch when it is made, on a batch of another shape than the one it was traced with, and
thrown away if a vector differs by more than `TOLERANCE` of its length.
"""

import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.encoders.loading import ERRORS, first_line
from benchmark.store import blake
from tasks.errors import UserError
from tasks.fetch import cache_folder

MAKERS = ("torch", "transformers", "sentence-transformers", "onnx", "onnxscript")
TOLERANCE = 1e-4
TRACED, COMPARED = ["one two three four five", "one two", "one"], ["five four three two one " * 3, "one"]
Runner = Callable[[dict[str, NDArray[Any]]], NDArray[np.float32]]


def replaced(model: Any, backend: str, made_of: dict[str, Any], name: str) -> Any:
    """Return a model that tokenizes as `model` does, and computes by `backend` in float32 on the CPU.

    `made_of` is what the graph depends on beside the packages that make it; `name` is for errors. Raises UserError for
    a model that cannot be exported.
    """
    from sentence_transformers import SentenceTransformer

    made_by = {package: version(package) for package in MAKERS}
    key = blake(json.dumps(made_of | made_by, sort_keys=True).encode()).hexdigest()
    path = cache_folder() / "onnx" / key / "model.onnx"
    if not path.is_file():
        _export(model, path, name)
    return SentenceTransformer(modules=[Exported(model, path, backend)], device="cpu")


class Exported(torch.nn.Module):
    """The one module of such a model: texts become tokens by the checkpoint's own, and vectors by the graph."""

    def __init__(self, model: Any, path: Path, backend: str) -> None:
        super().__init__()
        model.to("meta")  # the graph has the weights
        self.first = [model[0]]  # in a list, so that it is no part of what torch computes
        self.path, self.backend = path, backend
        self.running: tuple[int, Runner] | None = None
        for name in ("tokenizer", "max_seq_length", "query_length", "document_length"):
            setattr(self, name, getattr(model[0], name, None))

    def preprocess(self, texts: list[str], prompt: str | None = None, **options: Any) -> dict[str, Any]:
        """Return tokens."""
        return dict(self.first[0].preprocess(texts, prompt=prompt, **options))

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Add `sentence_embedding` [n, dim]."""
        threads = torch.get_num_threads()
        if self.running is None or self.running[0] != threads:
            self.running = threads, _runner(self.path, self.backend, threads)
        try:
            vectors = self.running[1](_arrays(features))
        except Exception as error:  # both have kinds of their own
            raise RuntimeError(first_line(error)) from error
        return features | {"sentence_embedding": torch.from_numpy(vectors)}


def _arrays(features: dict[str, Any]) -> dict[str, NDArray[Any]]:
    return {name: value.numpy() for name, value in features.items() if isinstance(value, torch.Tensor)}


def _runner(path: Path, backend: str, threads: int) -> Runner:
    try:
        if backend == "onnx":
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            return lambda tokens: np.asarray(session.run(None, tokens)[0])
        import openvino

        exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        compiled = openvino.Core().compile_model(path, "CPU", exact)
        return lambda tokens: np.array(compiled(tokens)[0])
    except Exception as error:  # both have kinds of their own
        raise UserError(f"{path} cannot be run by {backend}: {first_line(error)}; delete its folder.") from error


class _Whole(torch.nn.Module):
    """A model as a function of tensors, which is what can be traced."""

    def __init__(self, model: Any, names: list[str], rest: dict[str, Any]) -> None:
        super().__init__()
        self.model, self.names, self.rest = model, names, rest

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.model(dict(zip(self.names, tensors, strict=True)) | self.rest)["sentence_embedding"]
        return found


def _export(model: Any, path: Path, name: str) -> None:
    """Write the graph of a model, in a folder that is there whole or not at all."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    whole = all(module.include_prompt for module in model.modules() if isinstance(module, Pooling))
    if not isinstance(model[0], Transformer) or not whole:
        why = "is no transformer with what follows it" if whole else "leaves the prompt out of its pooling"
        raise UserError(f"{name} {why} and cannot be exported; leave --backend out.")
    features = model.eval().preprocess(TRACED)
    names = [one for one, value in features.items() if isinstance(value, torch.Tensor)]
    rest = {one: value for one, value in features.items() if one not in names}
    free = tuple({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for _ in names)
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent.parent, prefix=".") as scratch:
            made = Path(scratch) / "whole" / path.name
            made.parent.mkdir()
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                logging.getLogger("torch.onnx").setLevel(logging.ERROR)
                torch.onnx.export(
                    _Whole(model, names, rest), tuple(features[one] for one in names), made, input_names=names,
                    output_names=["vectors"], dynamic_shapes=(free,), dynamo=True, verbose=False,
                )  # fmt: skip
            _compare(model, made, name)
            if not path.is_file():  # else another process was faster
                made.parent.rename(path.parent)
    except OSError as error:
        raise UserError(
            f"The graph of {name} cannot be written to {path.parent.parent}: {first_line(error)}."
        ) from error
    except (*ERRORS, torch.onnx.errors.OnnxExporterError) as error:
        why = first_line(error.__cause__ or error)
        raise UserError(f"{name} cannot be exported: {why}; leave --backend out.") from error


def _compare(model: Any, path: Path, name: str) -> None:
    """Raise UserError if a graph does not give the vectors of its model."""
    features = model.preprocess(COMPARED)
    found = _runner(path, "onnx", torch.get_num_threads())(_arrays(features))
    with torch.no_grad():
        expected = model(dict(features))["sentence_embedding"].numpy()
    gap = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    if not gap.max() <= TOLERANCE:
        raise UserError(f"The export of {name} differs from torch by {gap.max():.1e}; leave --backend out.")
