"""A sentence-transformers checkpoint (folder or hub name) in; its vectors out, with its own prompts.

What the run must know before any weight is loaded (fingerprint, prompts, similarity) is read from the checkpoint's
files, by the rules of the library. Only safetensors weights are read, and no code of the checkpoint is run unless
asked for.
"""

import ctypes
import hashlib
import json
import logging
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import ROLES, Model, Role, sent
from tasks.errors import UserError

PROMPT_NAMES: dict[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
ENGINE = ("sentence-transformers", "transformers", "tokenizers", "torch")
LIBRARY = "sentence_transformers."
# Files that never change a vector: other backends, training state, papers.
OTHER_FOLDERS = {"onnx", "openvino", "runs", "assets", "eval"}
OTHER_ENDINGS = {".md", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".png", ".jpg", ".csv", ".pdf", ".lock"}
OTHER_FILES = {"trainer_state.json", "LICENSE", "LICENSE.txt", "NOTICE"}
LOADING_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError)
BUDGET = {"cpu": 1536, "cuda": 32768}


def locate(source: str, revision: str, offline: bool) -> tuple[Path, str]:
    """Return the folder of a checkpoint and its hub commit ("" for a folder of one's own).

    Raises UserError if there is no such folder, or the hub does not have it or cannot be reached.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if revision:
            raise UserError(f"{source} is a folder and has no revisions; leave --revision out.")
        return folder, ""
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise UserError(
            f"There is no folder {source}; --model takes a checkpoint's folder, a hub name such as org/name, "
            "muse, or random."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    ignore = [f"{name}/*" for name in OTHER_FOLDERS] + [f"*{ending}" for ending in OTHER_ENDINGS]
    try:
        path = snapshot_download(source, revision=revision or None, ignore_patterns=ignore, local_files_only=offline)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(f"There is neither a folder {source} nor a model of that name on the hub.") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"There is no folder {source}, and the hub cannot give a model of that name "
            f"({type(error).__name__}); check the path or the network."
        ) from error
    return Path(path), Path(path).name


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}; the checkpoint is damaged.") from error


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 (hex) over names and contents of all files that can change a vector."""
    sha = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        place = path.relative_to(folder)
        other = OTHER_FOLDERS.intersection(place.parts[:-1]) or path.suffix in OTHER_ENDINGS or path.name in OTHER_FILES
        if path.is_file() and not other and not any(part.startswith(".") for part in place.parts):
            with path.open("rb") as stream:
                sha.update(f"{place.as_posix()} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return sha.hexdigest()


def parameters(folder: Path) -> int:
    """Return the number of weights in the safetensors files, from their headers."""
    count = 0
    for path in folder.rglob("*.safetensors"):
        with path.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        count += sum(int(np.prod(says["shape"])) for name, says in header.items() if name != "__metadata__")
    return count


def prompts(declared: dict[str, str | None], default: str | None, given: dict[Role, str | None]) -> dict[Role, str]:
    """Return the prompt of each role: the one given (by its declared name or as text), else the checkpoint's own.

    The library writes `"document": ""` beside a declared `passage` and then sends documents without a prompt; here the
    first name with a text counts. Raises UserError when the checkpoint declares prompts and neither role would use any:
    run without the prompts it was trained with, a model loses up to 28 points, silently.
    """
    known = {name: text for name, text in declared.items() if text is not None}
    found: dict[Role, str] = {}
    for role in ROLES:
        chosen = given[role]
        if chosen is not None:
            found[role] = known.get(chosen, chosen)
            continue
        name = next((name for name in PROMPT_NAMES[role] if known.get(name)), None)
        if name is None and not any(name in known for name in PROMPT_NAMES[role]):
            name = default
        found[role] = known.get(name, "") if name else ""
    asked = any(text is not None for text in given.values())
    if not asked and not any(found.values()) and any(known.values()):
        names = ", ".join(sorted(name for name, text in known.items() if text))
        raise UserError(
            f"The checkpoint declares the prompts {names}, and none of them by a name that says its role; choose with "
            '--query-prompt NAME and --document-prompt NAME ("" for none).'
        )
    return found


class Checkpoint:
    """A sentence-transformers checkpoint in a local folder."""

    def __init__(
        self,
        folder: Path,
        *,
        source: str,
        revision: str,
        name: str,
        citation: str,
        notes: str,
        prompts: dict[Role, str | None],
        dtype: str,
        trust_remote_code: bool,
    ) -> None:
        self.folder = folder
        self.trust_remote_code = trust_remote_code
        if dtype not in (known := ["float32", "bfloat16", "float16"]):
            raise UserError(f"«{dtype}» is not a dtype to compute in; take one of {', '.join(known)}.")
        modules = self._modules()
        config = _json(folder / "config_sentence_transformers.json")
        similarity = config.get("similarity_fn_name") or "cosine"
        if similarity not in ("cosine", "dot"):
            raise UserError(f"{source} compares vectors by «{similarity}»; only cosine and dot are scored here.")
        self._by_role = any(str(module.get("type", "")).endswith(("Router", "Asym")) for module in modules) or any(
            key in _json(folder / "sentence_bert_config.json") for key in ("query_length", "document_length")
        )
        device = _device()
        self.budget = BUDGET[device]
        self.model = Model(
            name=name,
            family="checkpoint",
            source=source,
            revision=revision,
            fingerprint=fingerprint(folder),
            parameters=parameters(folder),
            similarity=cast(Literal["cosine", "dot"], similarity),
            dtype=dtype,
            device=device,
            prompts=_prompts(config, prompts),
            engine={package: version(package) for package in ENGINE},
            citation=citation,
            notes=notes,
        )
        self._loaded: Any = None

    def _modules(self) -> list[dict[str, Any]]:
        path = self.folder / "modules.json"
        if not path.is_file():
            plain = (self.folder / "config.json").is_file()
            what = "is a transformers checkpoint without pooling" if plain else "is no checkpoint"
            raise UserError(
                f"{self.folder} {what}: it has no modules.json, which a sentence-transformers folder needs."
            )
        modules = _json(path)
        if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
            raise UserError(f"{path} is not a list of modules; the checkpoint is damaged.")
        for module in modules:
            kind = str(module.get("type", ""))
            if not kind.startswith(LIBRARY) and not self.trust_remote_code:
                raise UserError(
                    f"{self.folder} brings code of its own ({kind}), which is not run unless you have read it and "
                    "say --trust-remote-code."
                )
            inside = self.folder / str(module.get("path", ""))
            if [*inside.glob("pytorch_model*.bin")] and not [*inside.glob("*.safetensors")]:
                raise UserError(
                    f"{inside} has weights as pickle only (pytorch_model.bin); convert them to safetensors."
                )
        return modules

    def space(self, role: Role) -> dict[str, Any]:
        """Return what tells these vectors from others; the role is part of it only where the model asks for it."""
        model = self.model
        space = {
            "family": model.family,
            "fingerprint": model.fingerprint,
            "dtype": model.dtype,
            "device": model.device,
            "engine": model.engine,
            "similarity": model.similarity,
            "prompt": model.prompts[role],
        }
        return space | ({"role": role} if self._by_role else {})

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
        """Return tokens by the checkpoint's own tokenizer; characters where it has none of the usual kind."""
        whole = [sent(self.model, text, role) for text in texts]
        tokenizer = self._model().tokenizer
        limit = int(self._model().max_seq_length or 0)
        if not callable(tokenizer):
            return np.array([len(text) for text in whole], dtype=np.int32), 0
        tokens = tokenizer(whole, add_special_tokens=True, truncation=False, padding=False)["input_ids"]
        return np.array([len(ids) for ids in tokens], dtype=np.int32), limit

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Return [n, dim] from the library's own `encode_query` or `encode_document`, as one batch."""
        model = self._model()
        encode = model.encode_query if role == "query" else model.encode_document
        vectors = encode(list(texts), prompt=self.model.prompts[role], batch_size=len(texts), show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    def _model(self) -> Any:
        if self._loaded is None:
            import torch
            from safetensors import SafetensorError
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging as transformers_logging

            transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
            transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
            try:
                self._loaded = SentenceTransformer(
                    str(self.folder),
                    device=self.model.device,
                    trust_remote_code=self.trust_remote_code,
                    local_files_only=not self.trust_remote_code,
                    model_kwargs={"dtype": getattr(torch, self.model.dtype), "use_safetensors": True},
                )
            except (*LOADING_ERRORS, SafetensorError) as error:
                why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                raise UserError(
                    f"{self.folder} cannot be loaded as a sentence-transformers checkpoint: {why}"
                ) from error
        return self._loaded


def _prompts(config: dict[str, Any], given: dict[Role, str | None]) -> dict[Role, str]:
    return prompts(config.get("prompts") or {}, config.get("default_prompt_name"), given)


def _device() -> str:
    """Return cuda when there is one. torch is asked only if the driver is there: importing it takes seconds."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
