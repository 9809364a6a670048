"""One batch of texts and an encoder in; a matrix of each text out, finite and in float32, whatever the encoder gave.

Where memory does not suffice for a batch it is halved, again and again, down to one text. That changes what a text is
computed beside, and so the last bits of its vector: so it is counted. All else that a model can do wrong is one
sentence that names a text.
"""

import gc
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import Encoder, Role
from tasks.errors import UserError

# How libraries say it: torch on a GPU and on a processor, cuBLAS and cuDNN, ONNX Runtime, C++.
NO_MEMORY = (
    "out of memory",
    "not enough memory",
    "defaultcpuallocator",
    "alloc_failed",
    "failed to allocate memory",
    "bad_alloc",
)
Matrices = tuple[NDArray[np.int32], NDArray[np.float32]]
"""How many rows each text has [n], and the rows of all, one text below the other."""


def matrices(encoder: Encoder, texts: Sequence[str], role: Role, halved: Counter[int]) -> Matrices:
    """Return what a batch becomes. `halved` counts the batches that were encoded in halves, by their number of texts.

    Raises UserError if the model fails, or returns anything else than a finite matrix for each text, all of one width.
    """
    try:
        return _checked(encoder, texts, role)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the code of a model may raise anything, be it SystemExit or a panic in Rust
        if len(texts) == 1 or not no_memory(error):
            if isinstance(error, UserError):
                raise
            raise _failed(encoder, f"encoding {len(texts)} texts ({role})", texts[0], error) from error
    # Only here, after the error, is that let go which its traceback held.
    _free()
    halved[len(texts)] += 1
    middle = len(texts) // 2
    halves = [matrices(encoder, half, role, halved) for half in (texts[:middle], texts[middle:])]
    _check_widths(encoder, [vectors for _, vectors in halves])
    return np.concatenate([rows for rows, _ in halves]), np.concatenate([vectors for _, vectors in halves])


def lengths(encoder: Encoder, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
    """Return what `encoder.lengths` does. Raises UserError if that fails in whatever way."""
    try:
        return encoder.lengths(texts, role)
    except (KeyboardInterrupt, UserError):
        raise
    except BaseException as error:
        raise _failed(encoder, f"reading {len(texts)} texts ({role})", texts[0], error) from error


def _failed(encoder: Encoder, doing: str, first: str, error: BaseException) -> UserError:
    why = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return UserError(
        f"{encoder.model.name} failed while {doing}, the first of them «{first[:80]}»: {why}; what was encoded before "
        "is kept."
    )


def no_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, says that memory does not suffice."""
    while error is not None:
        says = "" if isinstance(error, UserError) else str(error).lower()  # a sentence of ours may quote a text
        if isinstance(error, MemoryError) or any(words in says for words in NO_MEMORY):
            return True
        error = error.__cause__
    return False


def _free() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _checked(encoder: Encoder, texts: Sequence[str], role: Role) -> Matrices:
    found = encoder.encode(texts, role)
    if encoder.kind in ("vector", "pairs"):
        vectors = _floats(encoder, found)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
            raise UserError(f"{encoder.model.name} returned an array {vectors.shape} for {len(texts)} texts.")
        rows = np.ones(len(texts), dtype=np.int32)
    else:
        each = [_floats(encoder, matrix) for matrix in found]
        if len(each) != len(texts) or any(matrix.ndim != 2 or not matrix.shape[1] for matrix in each):
            shapes = ", ".join(sorted({str(matrix.shape) for matrix in each})[:3])
            raise UserError(
                f"{encoder.model.name} returned {len(each)} arrays for {len(texts)} texts, of the shapes {shapes}."
            )
        _check_widths(encoder, each)
        rows = np.array([len(matrix) for matrix in each], dtype=np.int32)
        vectors = np.concatenate(each)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        text = texts[int(np.repeat(np.arange(len(texts)), rows)[np.argmin(finite)])]
        raise UserError(
            f"{encoder.model.name} returned a vector with NaN or infinity for the {role} «{text[:80]}»; "
            "the model is broken, or its dtype is too narrow for it."
        )
    return rows, vectors


def _floats(encoder: Encoder, found: Any) -> NDArray[np.float32]:
    array = np.asarray(found)
    if array.dtype.kind not in "fiub":
        raise UserError(f"{encoder.model.name} returned an array of {array.dtype}, which holds no real numbers.")
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinity, and is named
        return np.ascontiguousarray(array, dtype=np.float32)


def _check_widths(encoder: Encoder, each: Sequence[NDArray[np.float32]]) -> None:
    widths = list(dict.fromkeys(matrix.shape[1] for matrix in each))
    if len(widths) > 1:
        raise UserError(
            f"{encoder.model.name} returned {widths[0]} dimensions for one text and {widths[1]} for another."
        )
