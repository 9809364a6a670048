"""A sentence-transformers checkpoint (folder or hub name) in; its vectors out, with its own prompts.

What the run must know before any weight is loaded (fingerprint, prompts, similarity) is read from the checkpoint's
files, by the rules of the library. Only safetensors weights are read, and no code of the checkpoint is run unless
asked for.
"""

import ctypes
import difflib
import hashlib
import json
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import ROLES, Asked, Kind, Model, Role, sent
from tasks.errors import UserError

PROMPT_NAMES: dict[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
ENGINE = ("sentence-transformers", "transformers", "tokenizers", "torch")
LIBRARY = "sentence_transformers."
OTHERS = {"SparseEncoder": ("sparse", "Sparse"), "MultiVectorEncoder": ("late", "Late")}  # file and class for each
# Files that never change a vector: other backends, training state, papers.
OTHER_FOLDERS = {"onnx", "openvino", "runs", "assets", "eval"}
OTHER_ENDINGS = {".md", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".png", ".jpg", ".csv", ".pdf", ".lock"}
OTHER_FILES = {"trainer_state.json", "LICENSE", "LICENSE.txt", "NOTICE"}
LOADING_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError)
BUDGET = {"cpu": 1536, "cuda": 32768}
TAKES = frozenset({"query_prompt", "document_prompt", "dtype", "revision", "trust_remote_code"})


def load(source: str, asked: Asked) -> "Checkpoint":
    """Return the encoder of a checkpoint, by folder or hub name; its files tell what kind of model it is."""
    folder, commit = locate(source, asked.revision, asked.offline)
    name = made_as(folder)
    if name == "CrossEncoder":
        raise UserError(
            f"{source} is a cross-encoder, which reads a question and a document together; name it with --rerank, on "
            "top of another --model."
        )
    if name in OTHERS:
        file, own = OTHERS[name]
        kind: type[Checkpoint] = getattr(import_module(f"benchmark.encoders.{file}"), own)
        return kind(folder, source, commit, asked)
    return Checkpoint(folder, source, commit, asked)


def made_as(folder: Path) -> str:
    """Return the library's class that a checkpoint was made as; "" where its files do not tell."""
    named = _json(folder / "config.json").get("architectures")
    architectures = [str(name) for name in named] if isinstance(named, list) else []
    if "HF_ColBERT" in architectures:  # as Stanford's ColBERT writes it
        return "MultiVectorEncoder"
    if not (folder / "modules.json").is_file():
        classifies = any(name.endswith("ForSequenceClassification") for name in architectures)
        return "CrossEncoder" if classifies else ""
    found = str(_json(folder / "config_sentence_transformers.json").get("model_type") or "")
    return "MultiVectorEncoder" if found == "ColBERT" else found  # as PyLate writes it


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
            "muse, bm25, ngrams, or random."
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


def _json(path: Path, kind: type = dict) -> Any:
    """Return what a JSON file says, which must be of `kind`; an empty one of that kind if there is no such file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else kind()
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); the checkpoint is damaged.") from error
    if not isinstance(found, kind):
        raise UserError(f"{path} should hold a JSON {'object' if kind is dict else 'list'}; the checkpoint is damaged.")
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files of a checkpoint in a fixed order, links followed, other backends and hidden ones left out."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in OTHER_FOLDERS and not name.startswith("."))
        yield from (Path(place) / name for name in sorted(files) if not name.startswith("."))


def fingerprint(folder: Path, everything: bool = False) -> str:
    """Return the SHA-256 (hex) over names and contents of all files that can change a vector.

    With `everything` no ending is passed over: code that comes with a checkpoint may read any file.
    """
    sha = hashlib.sha256()
    for path in _files(folder):
        if everything or not (path.suffix in OTHER_ENDINGS or path.name in OTHER_FILES):
            with path.open("rb") as stream:
                place = path.relative_to(folder).as_posix()
                sha.update(f"{place} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return sha.hexdigest()


def parameters(folder: Path) -> int:
    """Return the number of weights in the safetensors files, from their headers."""
    count = 0
    for path in _files(folder):
        if path.suffix == ".safetensors":
            with path.open("rb") as stream:
                size = int.from_bytes(stream.read(8), "little")
                try:
                    header: Any = json.loads(stream.read(size)) if size < path.stat().st_size else None
                    shapes = [says["shape"] for name, says in header.items() if name != "__metadata__"]
                except (ValueError, AttributeError, KeyError, TypeError) as error:
                    raise UserError(
                        f"{path} holds no safetensors weights; if it is a git-lfs pointer, fetch the file itself."
                    ) from error
            count += sum(math.prod(shape) for shape in shapes)
    return count


def prompts(declared: dict[str, str | None], default: str | None, given: dict[Role, str | None]) -> dict[Role, str]:
    """Return the prompt of each role: the one given (by its declared name or as text), else the checkpoint's own.

    The library writes `"document": ""` beside a declared `passage` and then sends documents without a prompt; here the
    first name with a text counts. Raises UserError when a role finds no prompt while a declared one is used by neither:
    run without the prompts it was trained with, a model loses up to 28 points, silently.
    """
    known = {name: text for name, text in declared.items() if text is not None}
    found: dict[Role, str] = {}
    unresolved = []
    by_role = any(known.get(name) for names in PROMPT_NAMES.values() for name in names)
    for role in ROLES:
        chosen = given[role]
        if chosen is not None:
            if chosen not in known and chosen.isidentifier() and (near := difflib.get_close_matches(chosen, known)):
                raise UserError(f"The checkpoint declares no prompt «{chosen}»; did you mean {near[0]}?")
            found[role] = known.get(chosen, chosen)
            continue
        named = [name for name in PROMPT_NAMES[role] if name in known]
        name = next((name for name in named if known[name]), None if named else default)
        found[role] = known.get(name, "") if name else ""
        if not found[role] and not (named and by_role):
            unresolved.append(role)
    unused = sorted(name for name, text in known.items() if text and text not in found.values())
    if unresolved and unused:
        raise UserError(
            f"The checkpoint declares the prompts {', '.join(unused)}, and none by a name that says it is for the "
            f'{unresolved[0]}; choose with --{unresolved[0]}-prompt NAME ("" for none).'
        )
    return found


class Checkpoint:
    """A sentence-transformers checkpoint in a local folder."""

    kind: Kind = "vector"
    threads = 0
    family = "checkpoint"
    library = "SentenceTransformer"
    """The library's class that loads it."""
    usual_similarity = "cosine"
    """Where the checkpoint names none."""
    packages: tuple[str, ...] = (LIBRARY,)
    """Where modules may come from without being code of the checkpoint's own."""

    def __init__(self, folder: Path, source: str, revision: str, asked: Asked) -> None:
        self.folder = folder
        self.trust_remote_code = asked.trust_remote_code
        if asked.dtype not in (known := ["float32", "bfloat16", "float16"]):
            raise UserError(f"«{asked.dtype}» is not a dtype to compute in; take one of {', '.join(known)}.")
        self._check_modules()
        config = self.config()
        similarity = self.similarity(config)
        if similarity not in ("cosine", "dot"):
            raise UserError(f"{source} compares vectors by «{similarity}»; only cosine and dot are scored here.")
        device = _device()
        self.budget = BUDGET[device]
        self.model = Model(
            name=asked.name or (Path(source).resolve().name if Path(source).is_dir() else source),
            family=self.family,
            source=source,
            revision=revision,
            fingerprint=fingerprint(folder, everything=asked.trust_remote_code),
            parameters=parameters(folder),
            similarity=cast(Literal["cosine", "dot"], similarity),
            dtype=asked.dtype,
            device=device,
            prompts=_prompts(config, {"query": asked.query_prompt, "document": asked.document_prompt}),
            engine={package: version(package) for package in ENGINE},
            citation=asked.citation,
            notes=asked.notes,
        )
        self._loaded: Any = None

    def config(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself, as the library writes it."""
        return self.said("config_sentence_transformers.json")

    def said(self, file: str) -> dict[str, Any]:
        """Return what a JSON file of the checkpoint says; nothing if there is none."""
        return cast(dict[str, Any], _json(self.folder / file))

    def similarity(self, config: dict[str, Any]) -> str:
        """Return how the checkpoint says that its vectors are compared."""
        return str(config.get("similarity_fn_name") or self.usual_similarity)

    def modules(self) -> list[str]:
        """Return the classes of its modules, in order."""
        return [str(module.get("type", "")) for module in _json(self.folder / "modules.json", list)]

    def needs_modules(self) -> bool:
        """Whether the library cannot load it without modules.json."""
        return True

    def _check_modules(self) -> None:
        path = self.folder / "modules.json"
        if not path.is_file() and self.needs_modules():
            plain = (self.folder / "config.json").is_file()
            what = "is a transformers checkpoint without pooling" if plain else "is no checkpoint"
            raise UserError(
                f"{self.folder} {what}: it has no modules.json, which a sentence-transformers folder needs."
            )
        if (self.folder / "adapter_config.json").is_file():
            raise UserError(f"{self.folder} is an adapter without its base model; merge the two and run the result.")
        modules = _json(path, list)
        for module in modules:
            if not isinstance(module, dict):
                raise UserError(f"{path} is not a list of modules; the checkpoint is damaged.")
            kind = str(module.get("type", ""))
            if not kind.startswith(self.packages) and not self.trust_remote_code:
                raise UserError(
                    f"{self.folder} brings code of its own ({kind}), which is not run unless you have read it and "
                    "say --trust-remote-code."
                )
        for file in _files(self.folder):
            if fnmatch(file.name, "pytorch_model*.bin") and not [*file.parent.glob("*.safetensors")]:
                raise UserError(f"{file} is a pickle, and there are no safetensors beside it; convert the weights.")
        for external in _json(self.folder / "config.json").get("auto_map", {}).values():
            if self.trust_remote_code and "--" in str(external):
                raise UserError(f"{self.folder} takes code from elsewhere ({external}); copy it into the folder.")

    def space(self, role: Role) -> dict[str, Any]:
        """Return what tells these vectors from others. Models may treat the roles differently, so the role is in it."""
        model = self.model
        return {
            "family": model.family,
            "fingerprint": model.fingerprint,
            "role": role,
            "prompt": model.prompts[role],
            "dtype": model.dtype,
            "device": model.device,
            "engine": model.engine,
            "similarity": model.similarity,
            "own code": self.trust_remote_code,
        }

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
        """Return tokens by the checkpoint's own tokenizer; characters where it has none of the usual kind."""
        whole = [sent(self.model, text, role) for text in texts]
        model = self._model()
        if not callable(model.tokenizer):
            return np.array([len(text) for text in whole], dtype=np.int32), 0
        with self._failing("reading the texts"):
            tokens = model.tokenizer(whole, add_special_tokens=True, truncation=False, padding=False)["input_ids"]
        limit = self.limit(model, role)
        return np.array([len(ids) for ids in tokens], dtype=np.int32), limit if limit < 2**31 else 0

    def limit(self, model: Any, role: Role) -> int:
        """Return how many tokens of a text the loaded model reads; 0 stands for all."""
        return int(getattr(model[0], f"{role}_length", None) or model.max_seq_length or 0)

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        """Return [n, dim] from the library's own `encode_query` or `encode_document`, as one batch."""
        return np.asarray(self.encoded(texts, role), dtype=np.float32)

    def encoded(self, texts: Sequence[str], role: Role, **how: Any) -> Any:
        """Return what the library makes of one batch of texts."""
        model = self._model()
        encode = model.encode_query if role == "query" else model.encode_document
        with self.working(texts):
            return encode(
                list(texts), prompt=self.model.prompts[role], batch_size=len(texts), show_progress_bar=False, **how
            )

    @contextmanager
    def working(self, texts: Sequence[str]) -> Iterator[None]:
        """Let the library compute something of a batch of texts: with these threads, its errors as sentences."""
        with self._threading(), self._failing(f"encoding {len(texts)} texts, the first of them «{texts[0][:60]}»"):
            yield

    @contextmanager
    def _threading(self) -> Iterator[None]:
        if not self.threads:
            yield
            return
        import torch

        usual = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(usual)

    @contextmanager
    def _failing(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (*LOADING_ERRORS, IndexError) as error:
            raise UserError(f"{self.folder} failed while {doing}: {_first_line(error)}") from error

    def _model(self) -> Any:
        if self._loaded is None:
            import sentence_transformers
            import torch
            from safetensors import SafetensorError
            from transformers.utils import logging as transformers_logging

            transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
            transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
            try:
                self._loaded = getattr(sentence_transformers, self.library)(
                    str(self.folder),
                    device=self.model.device,
                    trust_remote_code=self.trust_remote_code,
                    local_files_only=not self.trust_remote_code,
                    model_kwargs={"dtype": getattr(torch, self.model.dtype), "use_safetensors": True},
                )
            except (*LOADING_ERRORS, SafetensorError) as error:
                why = _first_line(error)
                raise UserError(
                    f"{self.folder} cannot be loaded as a sentence-transformers checkpoint: {why}"
                ) from error
        return self._loaded


def _prompts(config: dict[str, Any], given: dict[Role, str | None]) -> dict[Role, str]:
    declared, default = config.get("prompts") or {}, config.get("default_prompt_name")
    texts = isinstance(declared, dict) and all(isinstance(text, str | None) for text in declared.values())
    if not texts or not isinstance(default, str | None):
        raise UserError("The checkpoint's config_sentence_transformers.json declares prompts that are no texts.")
    return prompts(declared, default, given)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _device() -> str:
    """Return cuda when there is one. torch is asked only if the driver is there: importing it takes seconds."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
