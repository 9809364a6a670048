"""Texts in, vectors out that have nothing to do with them: the floor under every table.

A vector is a function of the role and the text alone, so equal texts tie and a second run is equal to the first.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import Asked, Model, Role

TAKES: frozenset[str] = frozenset()
DIMENSIONS = 64


def load(source: str, asked: Asked) -> "Random":  # noqa: ARG001 - there is one
    """Return the floor."""
    return Random(**asked.about)


class Random:
    """Uniform in a cube, then brought to length one: every order of the documents is equally likely."""

    kind: Final = "vector"
    budget = 4096
    threads = 0

    def __init__(self, name: str = "", citation: str = "", notes: str = "") -> None:
        self.model = Model(
            name=name or "random",
            family="random",
            source="random",
            revision="1",
            fingerprint=hashlib.sha256(f"shake128 {DIMENSIONS}".encode()).hexdigest(),
            parameters=0,
            similarity="cosine",
            dtype="float32",
            device="cpu",
            prompts={"query": "", "document": ""},
            engine={},
            citation=citation,
            notes=notes or "No model: vectors drawn from a hash of the text.",
        )

    def space(self, role: Role) -> dict[str, Any]:
        """Return what tells these vectors from others: the role, so that a text does not find itself."""
        return {"family": "random", "fingerprint": self.model.fingerprint, "role": role}

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:  # noqa: ARG002
        """Return nothing known: there are no tokens."""
        return np.zeros(len(texts), dtype=np.int32), 0

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Return [n, DIMENSIONS] numbers in [-1, 1), drawn from SHAKE-128 of role and text."""
        drawn = b"".join(
            hashlib.shake_128(f"{role}\x1f{text}".encode("utf-8", "surrogatepass")).digest(4 * DIMENSIONS)
            for text in texts
        )
        return (np.frombuffer(drawn, dtype="<i4").reshape(-1, DIMENSIONS) / 2.0**31).astype(np.float32)
