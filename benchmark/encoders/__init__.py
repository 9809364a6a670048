"""A model's name or path in; an Encoder out. One file per family of models behind one small protocol.

Nothing heavy is imported here or when an encoder is made: the weights are loaded at the first text to encode, so a run
whose vectors are all in the store never loads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.errors import UserError

Role = Literal["query", "document"]
ROLES: tuple[Role, ...] = ("query", "document")
Kind = Literal["vector", "terms", "tokens", "words", "pairs"]
"""What a model makes of a text. `vector`: one row, compared by dot product. `terms`: a row (term, weight) for each term
of a learned-sparse model. `tokens`: a row for each token of a late-interaction model. Nothing that can be kept, where a
text alone says nothing: `words` are weighed by all documents of a task, `pairs` of texts are read together."""
How = dict[str, str | int | float | bool]


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
    how: How = field(default_factory=dict)
    """Whatever else was chosen that changes a score, by its name on the command line where it has one."""


class Encoder(Protocol):
    """What the vector store needs of a model. What it makes of a text is a matrix [rows, width], as `kind` says."""

    model: Model
    budget: int
    """Padded tokens in a batch."""
    threads: int
    """Threads that compute; 0 stands for as many as the library takes."""

    @property
    def kind(self) -> Kind:
        """Which matrices these are."""

    def space(self, role: Role) -> dict[str, Any]:
        """Return everything besides the text that changes a vector of this role."""

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
        """Return the tokens of each text as sent [n], before truncation, and the limit; 0 stands for none."""

    def encode(self, texts: Sequence[str], role: Role) -> "NDArray[np.float32] | list[NDArray[np.float32]]":
        """Return what one batch of texts becomes, in the order given, not normalised.

        Vectors [n, dim], or n matrices [rows, width] where `kind` is another one.
        """


class NoVectors:
    """What a model without vectors answers where it is asked for them. Its `kind` says how its texts are scored."""

    model: Model
    budget = 0
    threads = 0

    def space(self, role: Role) -> dict[str, Any]:  # noqa: ARG002
        """Raise UserError."""
        raise self._none()

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:  # noqa: ARG002
        """Raise UserError."""
        raise self._none()

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:  # noqa: ARG002
        """Raise UserError."""
        raise self._none()

    def _none(self) -> UserError:
        return UserError(f"{self.model.name} makes no vector of a text, which this needs; name another --model.")


@dataclass(frozen=True)
class Asked:
    """What is asked of a model besides its name. A family takes what its `TAKES` names, and refuses the rest."""

    name: str = ""
    """How tables show it; "" is its folder or hub name."""
    citation: str = ""
    notes: str = ""
    query_prompt: str | None = None
    """The name of a prompt that the model declares, or the text itself; "" is none, None the model's own."""
    document_prompt: str | None = None
    dtype: str = "float32"
    revision: str = ""
    trust_remote_code: bool = False
    offline: bool = False
    rerank: str = ""
    """A cross-encoder, by folder or hub name, that reorders what the model finds first; "" is none."""
    rerank_depth: int = 20
    """How many documents of each language it reorders."""

    @property
    def about(self) -> dict[str, str]:
        """Return what changes no vector and so goes with every family."""
        return {"name": self.name, "citation": self.citation, "notes": self.notes}


EVERYWHERE = frozenset({"name", "citation", "notes", "offline", "rerank", "rerank_depth"})
RERANKER = frozenset({"dtype", "trust_remote_code"})  # what a reranker takes, too
NAMED = {"muse": "muse", "random": "random", "bm25": "lexical", "ngrams": "lexical"}  # models by a name of their own


def load(source: str, asked: Asked = Asked()) -> Encoder:
    """Return the encoder for a model with a name of its own, or a checkpoint by folder or hub name.

    Raises UserError if there is no such model, it does not take what is asked, or its declared prompts would go unused.
    """
    family = import_module(f"benchmark.encoders.{family_of(source)}")
    taken = EVERYWHERE | family.TAKES | (RERANKER if asked.rerank else frozenset())
    for one in fields(asked):
        if one.name not in taken and getattr(asked, one.name) != one.default:
            raise UserError(f"The model {source} takes no --{one.name.replace('_', '-')}; leave that option out.")
    if asked.rerank:
        from benchmark.encoders.cross import over

        return over(family.load(source, replace(asked, name="", citation="", notes="")), asked)
    if asked.rerank_depth != Asked.rerank_depth:
        raise UserError("There is nothing to rerank with; name a cross-encoder with --rerank.")
    encoder: Encoder = family.load(source, asked)
    return encoder


def family_of(source: str) -> str:
    """Return the file in this folder that runs a model."""
    return NAMED.get(source, "checkpoint")


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
