"""A model's name or path in; an Encoder out. One file per family of models behind one small protocol.

Nothing heavy is imported here or when an encoder is made: the weights are loaded at the first text to encode, so a run
whose vectors are all in the store never loads them. (Python objects, and mteb's loaders, must be made to say what they
are.)
"""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import files
from tasks.card import TaskCard
from tasks.errors import UserError

Role = Literal["query", "document"]
ROLES: tuple[Role, ...] = ("query", "document")
Kind = Literal["vector", "terms", "tokens", "words", "pairs"]
"""What a model makes of a text. `vector`: one row, compared by dot product. `terms`: a row (term, weight) for each term
of a learned-sparse model. `tokens`: a row for each token of a late-interaction model. `pairs`: one number for two texts
that are read together. `words`: nothing, since what the words of a text weigh depends on all documents of a task."""
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
    similarity: Literal["cosine", "dot", ""]
    """Cosine: vectors are brought to length one. Dot: they are scored as they are. "": only lists are known."""
    dtype: str
    """What it computes in, "" if that is not told; vectors are float32 always."""
    device: str
    """Where it computes: cpu, cuda or mps, "" if that is not told."""
    prompts: dict[Role, str]
    """What stands before each text of a role; with `{text}` in it, what stands around each."""
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
        """Return the tokens of each text as sent [n], before truncation, and the limit; 0 stands for none.

        -1 tokens stand for a model that does not tell them, so that nobody knows what it cuts.
        """

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
    """The name of a prompt that the model declares, its text, or a template; "" is none, None the model's own."""
    document_prompt: str | None = None
    dtype: str = "float32"
    max_length: int | None = None
    """Tokens after which a text is cut; None is the model's own."""
    pooling: str = ""
    """How the vectors of tokens become one, where the model does not say it: mean, cls or last."""
    base: str = ""
    """The folder or hub name of an adapter's base; "" is the one that the adapter names."""
    backend: str = "torch"
    """What computes: torch, onnx or openvino."""
    device: str = ""
    """Where: cpu, cuda, cuda:1, mps, or several of a kind with commas between; "" is a GPU where there is one."""
    revision: str = ""
    trust_remote_code: bool = False
    similarity: str = ""
    """cosine or dot; "" is what the model itself says, or cosine."""
    server_model: str = ""
    """Which of a server's models."""
    rerank: str = ""
    """A cross-encoder, by folder or hub name, that reorders what the model finds first; "" is none."""
    rerank_depth: int = 20
    """How many documents of each language it reorders."""
    offline: bool = False

    @property
    def about(self) -> dict[str, str]:
        """Return what changes no vector and so goes with every family."""
        return {"name": self.name, "citation": self.citation, "notes": self.notes}


EVERYWHERE = frozenset({"name", "citation", "notes", "offline", "rerank", "rerank_depth"})
RERANKER = frozenset({"dtype", "device", "max_length", "trust_remote_code"})  # what a reranker takes, too
NAMED = {"muse": "muse", "random": "random", "bm25": "lexical", "ngrams": "lexical"}  # models by a name of their own
FAMILIES = {  # by the kind of a checkpoint's files
    "sentence-transformers": "checkpoint",
    "static": "checkpoint",
    "transformers": "checkpoint",
    "adapter": "checkpoint",
    "sparse": "sparse",
    "multi-vector": "late",
}
SCHEMES = {"http": "server", "https": "server", "mteb": "mteb", "vectors": "precomputed"}  # what a colon comes after
IN_PYTHON = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")  # package.module:factory
TEXT, TASK = "{text}", "{task}"  # where a template has the text, and the instruction of the task


def load(source: str, asked: Asked = Asked()) -> Encoder:
    """Return the encoder of a model, by what `docs/models.md` lists.

    Raises UserError if there is no such model, it does not take what is asked, or its declared prompts would go unused.
    """
    family = import_module(f"benchmark.encoders.{family_of(source, asked)}")
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


def family_of(source: str, asked: Asked = Asked()) -> str:
    """Return the file in this folder that runs a model: by its name, or by what kind of checkpoint its files are."""
    if source in NAMED:
        return NAMED[source]
    scheme, colon, _ = source.partition(":")
    if colon and scheme in SCHEMES:
        return SCHEMES[scheme]
    if IN_PYTHON.fullmatch(source) and not Path(source).is_dir():
        return "given"
    folder, _ = files.locate(source, asked.revision, asked.offline)
    kind = files.kind(folder)
    if kind == "cross-encoder":
        raise UserError(
            f"{source} is a cross-encoder, which reads a question and a document together; name it with --rerank, on "
            "top of another --model."
        )
    return FAMILIES[kind]


def instructed(encoder: Encoder, card: TaskCard) -> Encoder:
    """Return the encoder for a task: where a prompt has `{task}`, it gets the instruction of the card.

    Raises UserError if the card has none.
    """
    from benchmark.encoders.cross import Reranked

    prompts = encoder.model.prompts
    if not any(TASK in prompt for prompt in prompts.values()):
        return encoder
    if not card.instruction:
        raise UserError(
            f"A prompt of {encoder.model.name} has {TASK}, and the card of {card.label} has no instruction."
        )
    filled = {role: prompt.replace(TASK, card.instruction) for role, prompt in prompts.items()}
    twin = copy(encoder)  # what is loaded is shared
    twin.model = replace(encoder.model, prompts=filled)
    if isinstance(twin, Reranked):
        twin.first = instructed(twin.first, card)
    return twin


def similarity_of(asked: Asked, said: str = "cosine") -> Literal["cosine", "dot"]:
    """Return how vectors are compared: as asked, or else as the model said. Raises UserError for another way."""
    found = asked.similarity or said
    if found not in ("cosine", "dot"):
        who = "--similarity asks to compare" if asked.similarity else "The model compares"
        raise UserError(f"{who} vectors by «{found}»; only cosine and dot are scored here.")
    return cast(Literal["cosine", "dot"], found)


def sent(model: Model, text: str, role: Role) -> str:
    """Return a text as the model gets it: after its prompt, or in its template."""
    prompt = model.prompts[role]
    assert TASK not in prompt, "the encoder must be `instructed` before it encodes"
    return prompt.replace(TEXT, text) if TEXT in prompt else prompt + text


def computes_bfloat16(device: str) -> bool:
    """Whether the device computes bfloat16 itself: any GPU in use, or a processor with AMX or AVX-512 for it."""
    if device != "cpu":
        return True
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags)
