"""A checkpoint (folder or hub name) in; its vectors out, with its own prompts.

It may be one of sentence-transformers, a transformer without pooling, an adapter on a base, or a table of static
vectors; sentence-transformers computes them all. What the run must know before any weight is loaded (fingerprint,
prompts, similarity) is read from the checkpoint's files, by the rules of the library.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import (
    TASK,
    Asked,
    Kind,
    Model,
    Role,
    devices,
    files,
    loading,
    prompts,
    recipe,
    sent,
    similarity_of,
)
from tasks.errors import UserError, located

ENGINE = ("sentence-transformers", "transformers", "tokenizers", "torch")
BUDGET = {"cpu": 1536, "cuda": 32768, "mps": 8192}
STATIC_BUDGET = 1 << 17  # tokens are looked up, and nothing is padded
TAKES = frozenset(
    {"query_prompt", "document_prompt", "dtype", "revision", "trust_remote_code", "max_length", "pooling", "base",
     "backend", "device"}
)  # fmt: skip


def load(source: str, asked: Asked) -> "Checkpoint":
    """Return the encoder of a checkpoint, by folder or hub name."""
    return Checkpoint.located(source, asked)


class Checkpoint:
    """A checkpoint in a local folder. What other kinds do otherwise, their classes say."""

    kind: Kind = "vector"
    family = "checkpoint"
    threads = 0

    @classmethod
    def located(cls, source: str, asked: Asked) -> Self:
        """Return the encoder of a checkpoint, by folder or hub name."""
        folder, commit = files.locate(source, asked.revision, asked.offline)
        return cls(folder, source, commit, asked)

    def __init__(self, folder: Path, source: str, revision: str, asked: Asked) -> None:
        self.folder = folder
        self.trust_remote_code = asked.trust_remote_code
        self.recipe = recipe.of(folder, source, asked)
        config = self.config()
        with located(source):
            similarity = similarity_of(asked, self.similarity(config))
        found = prompts.of_checkpoint(config, {"query": asked.query_prompt, "document": asked.document_prompt})
        rendered = {role: self.conversation(prompt, role) for role, prompt in found.items()}
        self.unrendered = {role: found[role] for role, template in rendered.items() if template is not None}
        if any(TASK in prompt for prompt in self.unrendered.values()):
            raise UserError(f"{source} gets conversations, whose prompts have no {TASK}; write the instruction out.")
        how = {
            "pooling": asked.pooling,
            "max-length": asked.max_length,
            "backend": asked.backend,
            "trust-remote-code": asked.trust_remote_code,
        }
        devices, kind = self.recipe.devices, self.recipe.device_kind
        self.budget = (STATIC_BUDGET if self.recipe.kind == "static" else BUDGET[kind]) * len(devices)
        self.model = Model(
            name=asked.name or (Path(source).resolve().name if Path(source).is_dir() else source),
            family=self.family,
            source=source,
            revision=revision,
            fingerprint=_fingerprint(self.recipe.parts, asked.trust_remote_code),
            parameters=sum(map(files.parameters, self.recipe.parts)),
            similarity=similarity,
            dtype=asked.dtype,
            device=kind,
            prompts={role: rendered[role] or prompt for role, prompt in found.items()},
            engine={package: version(package) for package in (*ENGINE, *self.recipe.packages)},
            citation=asked.citation,
            notes=asked.notes,
            how={name: value for name, value in how.items() if value and value != "torch"},
        )
        self._model: Callable[[], Any] = cache(self._load)
        self._pool: Callable[[], Any] = cache(self._start)

    def config(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself, as the library writes it."""
        return dict(files.read(self.recipe.home / "config_sentence_transformers.json"))

    def similarity(self, config: dict[str, Any]) -> str:
        """Return how the checkpoint says that its vectors are compared."""
        return str(config.get("similarity_fn_name") or "cosine")

    def conversation(self, prompt: str, role: Role) -> str | None:
        """Return the template of a checkpoint that gets conversations; None for others."""
        return prompts.conversation(self.recipe.home, prompt, role)

    def space(self, role: Role) -> dict[str, Any]:
        """Return what tells these vectors from others: the role only where the model treats the roles differently.

        Else a text that is sent alike in both roles is encoded once.
        """
        model, apart = self.model, self.trust_remote_code or files.roles_apart(self.recipe.home)
        return {
            "family": model.family,
            "fingerprint": model.fingerprint,
            "role": role if apart else "either",
            "prompt": model.prompts[role],
            "dtype": model.dtype,
            "device": model.device,
            "engine": model.engine,
            "similarity": model.similarity,
            **({"how": model.how} if model.how else {}),
        }

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
        """Return tokens by the checkpoint's own tokenizer; nothing known where it has none of the usual kind."""
        whole = [sent(self.model, text, role) for text in texts]
        module = self._input(role)
        tokenizer = module.tokenizer
        if hasattr(tokenizer, "encode_batch"):
            return _looked_up(tokenizer, whole)
        if not callable(tokenizer):
            return np.full(len(texts), -1, dtype=np.int32), 0
        with self._failing("reading the texts"):
            special = role not in self.unrendered  # a chat template writes them itself
            tokens = tokenizer(whole, add_special_tokens=special, truncation=False, padding=False)["input_ids"]
        limit = self.limit(module, role)
        return np.array([len(ids) for ids in tokens], dtype=np.int32), limit if limit < 2**31 else 0

    def limit(self, module: Any, role: Role) -> int:
        """Return how many tokens of a text a module reads; 0 stands for all."""
        return int(getattr(module, f"{role}_length", None) or module.max_seq_length or 0)

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32] | list[NDArray[np.float32]]:
        """Return [n, dim] from the library's own `encode_query` or `encode_document`, as one batch."""
        return np.asarray(self.encoded(texts, role), dtype=np.float32)

    def encoded(self, texts: Sequence[str], role: Role, **how: Any) -> Any:
        """Return what the library makes of one batch of texts."""
        model = self._model()
        encode = model.encode_query if role == "query" else model.encode_document
        whole, prompt = prompts.parts(self.unrendered.get(role, self.model.prompts[role]), list(texts))
        with self.working(texts):
            return encode(
                whole, prompt=prompt, batch_size=len(texts), show_progress_bar=False, **self._shared(len(texts)), **how
            )

    @contextmanager
    def working(self, texts: Sequence[str]) -> Iterator[None]:
        """Let the library compute something of a batch of texts: with these threads, its errors as sentences."""
        with self._threading(), self._failing(f"encoding {len(texts)} texts, the first of them «{texts[0][:60]}»"):
            yield

    def _input(self, role: Role) -> Any:
        """Return the module that the texts of a role go into."""
        first = self._model()[0]
        if not hasattr(first, "sub_modules"):
            return first
        with self._failing(f"looking for the way of the {role}"):
            return first.sub_modules[first._resolve_route(task=role, modality="text")][0]

    def _shared(self, texts: int) -> dict[str, Any]:
        """Return how a batch is shared among several devices: each gets one part."""
        if len(self.recipe.devices) == 1:
            return {}
        return {"pool": self._pool(), "chunk_size": math.ceil(texts / len(self.recipe.devices))}

    def _start(self) -> Any:
        return devices.started(self._model(), self.recipe.devices)

    def _load(self) -> Any:
        model = loading.load(self.recipe)
        if not (backend := self.model.how.get("backend")):
            return model
        from benchmark.encoders import exported

        made_of = {"fingerprint": self.model.fingerprint, "pooling": self.recipe.pooling}
        return exported.replaced(model, str(backend), made_of, str(self.folder))

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
        except (*loading.ERRORS, IndexError) as error:
            raise UserError(f"{self.folder} failed while {doing}: {loading.first_line(error)}") from error


def _fingerprint(folders: list[Path], everything: bool) -> str:
    """Return the fingerprint of a folder, or one of an adapter and its base."""
    found = [files.fingerprint(folder, everything) for folder in folders]
    return found[0] if len(found) == 1 else hashlib.sha256(" on ".join(found).encode()).hexdigest()


def _looked_up(tokenizer: Any, texts: list[str]) -> tuple[NDArray[np.int32], int]:
    """Return tokens and limit of a tokenizer that adds nothing to them: the one of a table of static vectors."""
    limit = (tokenizer.truncation or {}).get("max_length", 0)
    whole = type(tokenizer).from_str(tokenizer.to_str())
    whole.no_truncation()
    found = whole.encode_batch(texts, add_special_tokens=False)
    return np.array([len(one.ids) for one in found], dtype=np.int32), limit
