"""A Python object of one's own in (`package.module:factory`); the vectors that it returns, out.

The name stands for a function that makes the model, or for the model itself: a function of texts and role. It is
imported as `python -m` would: from the current folder first. What a made model may be, the first that fits:

* an object with `encode_query(texts)` and `encode_document(texts)`;
* an object with `encode(texts)`, which is given `prompt_name="query"` or `"document"` if it takes that;
* a function of `(texts, role)`.

Each returns an array [n, dim]. An object with a dictionary `prompts`, as SentenceTransformer has it, is given the text
of its prompt as `prompt`; for any other the prompt, if one was asked for, stands before the text already. Attributes
that are read where they are there: `similarity_fn_name`, `dtype`, `device`, `fingerprint`.
"""

import hashlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.metadata import version
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.encoders import ROLES, Asked, Model, Role, sent, similarity_of
from benchmark.encoders.checkpoint import ENGINE
from benchmark.encoders.prompts import parts, prompts, undeclared
from tasks.errors import UserError

TAKES = frozenset({"query_prompt", "document_prompt", "similarity", "revision"})
ENCODES = ("encode_query", "encode_document", "encode")
Encode = Callable[[Model, list[str], Role], Any]
"""Of the model, whose prompts are still to be put before or handed on, the texts and their role."""


def load(source: str, asked: Asked) -> "Given":
    """Return the encoder of an object of one's own.

    Raises UserError if there is no such module or name, its code fails, or what it makes is no model.
    """
    place, _, name = source.partition(":")
    with _from_here(), theirs(source, "it was imported"):
        try:
            module = import_module(place)
        except ModuleNotFoundError as error:
            if not f"{place}.".startswith(f"{error.name}."):
                raise
            raise UserError(f"There is no module {error.name} in this folder or among what is installed.") from error
    made: Any = getattr(module, name, None)
    ready = not isinstance(made, type) and any(hasattr(made, name) for name in ENCODES)
    if not ready and not callable(made):
        raise UserError(
            f"{module.__file__ or place} has no function and no model «{name}»; --model takes package.module:factory."
        )
    with theirs(source, "it made the model"):
        if not ready and not _needs_something(made):
            made = made()
    declared = getattr(made, "prompts", None)
    said = getattr(made, "fingerprint", None)
    if said is not None and not isinstance(said, str):
        raise UserError(f"The fingerprint of {source} is no text; give it one, or none.")
    functions = {role: _function(source, made, role, isinstance(declared, dict)) for role in ROLES}
    if isinstance(declared, dict):
        given: dict[Role, str | None] = {"query": asked.query_prompt, "document": asked.document_prompt}
        chosen = prompts(declared, getattr(made, "default_prompt_name", None), given)
    else:
        chosen = undeclared(asked)

    def encode(model: Model, texts: list[str], role: Role) -> Any:
        if isinstance(declared, dict):
            whole, prompt = parts(model.prompts[role], texts)
            return functions[role](whole, prompt=prompt)
        return functions[role]([sent(model, text, role) for text in texts])

    model = Model(
        name=asked.name or source,
        family="given",
        source=source,
        revision=asked.revision,
        fingerprint=_fingerprint(source, module.__file__, said or "", asked.revision),
        parameters=0,
        similarity=similarity_of(asked, getattr(made, "similarity_fn_name", None) or "cosine"),
        dtype=str(getattr(made, "dtype", "")).removeprefix("torch."),
        device=str(getattr(made, "device", "")).partition(":")[0],
        prompts=chosen,
        engine={package: version(package) for package in ("numpy", *ENGINE)},
        citation=asked.citation,
        notes=asked.notes,
    )
    return Given(model, encode)


class Given:
    """A function that is a model."""

    kind: Final = "vector"
    budget = 512
    threads = 0

    def __init__(self, model: Model, function: Encode) -> None:
        self.model, self.function = model, function

    def space(self, role: Role) -> dict[str, Any]:
        """Return what tells these vectors from others. The function may treat the roles differently."""
        model = self.model
        return {
            "family": model.family,
            "fingerprint": model.fingerprint,
            "role": role,
            "prompt": model.prompts[role],
            "dtype": model.dtype,
            "device": model.device,
            "engine": model.engine,
        }

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:  # noqa: ARG002
        """Return nothing known: how many tokens a text has, and what is cut, is the function's own affair."""
        return np.full(len(texts), -1, dtype=np.int32), 0

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Return [n, dim], whatever kind of array the function returns."""
        doing = f"it encoded {len(texts)} texts, the first of them «{texts[0][:60]}»"
        with theirs(self.model.source, doing), threadpool_limits(self.threads or None):
            found = self.function(self.model, list(texts), role)
            if hasattr(found, "detach"):  # a tensor of torch, which may be on a GPU or in bfloat16
                found = found.detach().cpu().float()
            with np.errstate(over="ignore"):  # infinity is found and named with its text
                vectors = np.asarray(found, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise UserError(
                f"{self.model.source} returned an array {vectors.shape} for {len(texts)} texts; it takes one row each."
            )
        return vectors


@contextmanager
def theirs(source: str, doing: str) -> Iterator[None]:
    """Turn whatever code of others raises into a sentence that names its innermost file and line."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # their code may raise anything
        said = (str(error).strip().splitlines() or [""])[0]
        place, line = _place(error)
        where = f" ({place}, line {line})" if place else ""
        what = f"{type(error).__name__}: {said}" if said else type(error).__name__
        raise UserError(f"{source} failed when {doing}{where}: {what.rstrip('.')}.") from error


def _place(error: BaseException) -> tuple[str, int | None]:
    """Return file and line of the innermost frame; "" where that is our own, since their code was not reached."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    known = [frame for frame in frames if not frame.filename.startswith("<")]
    return ("", None) if not known or known[-1].filename == __file__ else (known[-1].filename, known[-1].lineno)


@contextmanager
def _from_here() -> Iterator[None]:
    """Let the current folder come first while a module is imported, and last from then on.

    Last, so that a file of theirs named like one of ours is not taken for it when that is imported later.
    """
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with suppress(ValueError):  # their code may have taken it out
            sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)


def _needs_something(function: Any) -> bool:
    """Whether a function cannot be called without arguments, so that it is the model and not what makes it."""
    try:
        known = signature(function).parameters.values()
    except (TypeError, ValueError):  # it is not written in Python, and does not say
        return False
    named = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return any(one.default is Parameter.empty and one.kind not in named for one in known)


def _function(source: str, made: Any, role: Role, prompted: bool) -> Callable[..., Any]:
    """Return what encodes the texts of a role; `prompted` if it is given a prompt with them."""
    named, encode = getattr(made, f"encode_{role}", None), getattr(made, "encode", None)
    if callable(named):
        return partial(named)
    if callable(encode):
        takes_name = not prompted and "prompt_name" in signature(encode).parameters
        return partial(encode, prompt_name=role) if takes_name else partial(encode)
    if callable(made):
        return lambda texts: made(texts, role)
    raise UserError(
        f"{source} made an object of {type(made).__name__}, which is no model: it has no encode_{role} and no encode, "
        "and cannot be called."
    )


def _fingerprint(source: str, file: str | None, said: str, revision: str) -> str:
    """Return the SHA-256 of the module's source, of what the object says of itself, and of what the user says."""
    try:
        code = Path(file or "").read_bytes()
    except OSError as error:
        raise UserError(f"{source} is in no file that can be read, so nothing would tell when it changes.") from error
    parts = [source, hashlib.sha256(code).hexdigest(), said, revision]
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
