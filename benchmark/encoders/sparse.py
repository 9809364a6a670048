"""A learned-sparse checkpoint (SPLADE, arXiv:2107.05720, and its kin) in; the weights of its terms out.

Such a model has a weight for each word piece of its vocabulary, most of them zero. What is kept of a text is a row
(number of the term, weight) for each that is not. Everything else is as with other sentence-transformers checkpoints.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import Asked, Kind, Role, checkpoint

TAKES = checkpoint.TAKES - {"base", "backend", "pooling"}


def load(source: str, asked: Asked) -> "Sparse":
    """Return the encoder of a checkpoint, by folder or hub name."""
    return Sparse.located(source, asked)


class Sparse(checkpoint.Checkpoint):
    """A checkpoint that the library loads as a SparseEncoder."""

    kind: Kind = "terms"
    family = "sparse"

    def similarity(self, config: dict[str, Any]) -> str:
        """Return dot where the checkpoint says nothing, as the library does."""
        return str(config.get("similarity_fn_name") or "dot")

    def encode(self, texts: Sequence[str], role: Role) -> list[NDArray[np.float32]]:
        """Return n matrices [terms of the text, 2], terms in ascending order: float32 holds the numbers exactly."""
        found = self.encoded(texts, role, save_to_cpu=True).coalesce()
        text, term = found.indices().numpy()
        rows = np.column_stack([term, found.values().float().numpy()]).astype(np.float32)
        return np.split(rows, np.searchsorted(text, np.arange(1, len(texts))))
