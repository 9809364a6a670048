"""A model's name or path in; an Encoder out. One file per family of models behind one small protocol.

Nothing heavy is imported here or when an encoder is made: the weights are loaded at the first text to encode, so a run
whose vectors are all in the store never loads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.errors import UserError

Role = Literal["query", "document"]
ROLES: tuple[Role, ...] = ("query", "document")


@dataclass(frozen=True)
class Model:
    """What goes on record of a model. Everything here that changes a vector is part of every key."""

    name: str
    """How tables show it."""
    family: str
    """The file in this folder that runs it."""
    source: str
    """The path or hub name that was given."""
    revision: str
    """The hub commit, or the version of the package that bundles it."""
    fingerprint: str
    """SHA-256 of the files that make the model; equal on every machine."""
    parameters: int
    """Number of weights; 0 when it has none."""
    similarity: Literal["cosine", "dot"]
    """Cosine: vectors are brought to length one. Dot: they are scored as they are."""
    dtype: str
    """What it computes in; vectors are float32 always."""
    device: str
    """Where it computes: cpu or cuda."""
    prompts: dict[Role, str]
    """What stands before each text of a role."""
    engine: dict[str, str]
    """Versions of the libraries that compute the vectors."""
    citation: str = ""
    notes: str = ""


class Encoder(Protocol):
    """What the vector store needs of a model."""

    model: Model
    budget: int
    """Padded tokens in a batch."""
    threads: int
    """Threads that compute; 0 stands for as many as the library takes."""

    def space(self, role: Role) -> dict[str, Any]:
        """Return everything besides the text that changes a vector of this role."""

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
        """Return the tokens of each text as sent [n], before truncation, and the limit; 0 stands for none."""

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Return the vectors [n, dim] of one batch of texts, in the order given, not normalised."""


def load(
    source: str,
    *,
    name: str = "",
    citation: str = "",
    notes: str = "",
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    dtype: str = "float32",
    revision: str = "",
    trust_remote_code: bool = False,
    offline: bool = False,
) -> Encoder:
    """Return the encoder for `muse`, `random`, or a sentence-transformers checkpoint by folder or hub name.

    A prompt is the name of one that the checkpoint declares, or the text itself; "" is none, None the checkpoint's own.
    Raises UserError if there is no such model, or its declared prompts would go unused.
    """
    if source in ("muse", "random"):
        if query_prompt or document_prompt or dtype != "float32" or revision:
            raise UserError(f"The model {source} takes no prompts, dtype or revision; leave those options out.")
        about = {"name": name or source, "citation": citation, "notes": notes}
        if source == "random":
            from benchmark.encoders.random import Random

            return Random(**about)
        from benchmark.encoders.muse import Muse

        return Muse(**about)
    from benchmark.encoders import checkpoint

    folder, commit = checkpoint.locate(source, revision, offline)
    return checkpoint.Checkpoint(
        folder,
        source=source,
        revision=commit,
        name=name or Path(source).resolve().name if Path(source).is_dir() else name or source,
        citation=citation,
        notes=notes,
        prompts={"query": query_prompt, "document": document_prompt},
        dtype=dtype,
        trust_remote_code=trust_remote_code,
    )


def sent(model: Model, text: str, role: Role) -> str:
    """Return a text as the model gets it: after its prompt."""
    return model.prompts[role] + text


def computes_bfloat16(device: str) -> bool:
    """Whether the device computes bfloat16 itself: any GPU in use, or a processor with AMX or AVX-512 for it."""
    if device != "cpu":
        return True
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags)
