"""A late-interaction checkpoint (ColBERT, arXiv:2004.12832, and its kin) in; a vector for each token of a text out.

Three layouts are read, all by the library itself: its own (MultiVectorEncoder), that of PyLate, and that of Stanford's
ColBERT. The masks that fill up a query and the tokens of a document that are left out are as the checkpoint says, and
so are the markers before a text ([Q] and [D]), which are prompts to the library and are shown as such.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import ROLES, Asked, Kind, Role, checkpoint, files

TAKES = checkpoint.TAKES - {"base", "backend", "pooling"}
PYLATE: dict[Role, str] = {"query": "query_prefix", "document": "document_prefix"}  # where a marker stands
STANFORD: dict[Role, tuple[str, str]] = {  # where, and what it is otherwise
    "query": ("query_token_id", "[unused0]"),
    "document": ("doc_token_id", "[unused1]"),
}


def load(source: str, asked: Asked) -> "Late":
    """Return the encoder of a checkpoint, by folder or hub name."""
    return Late.located(source, asked)


class Late(checkpoint.Checkpoint):
    """A checkpoint that the library loads as a MultiVectorEncoder."""

    kind: Kind = "tokens"
    family = "late"

    def config(self) -> dict[str, Any]:
        """Return what the checkpoint says of itself, with its markers as the beginning of its prompts."""
        config = super().config()
        declared = config.get("prompts")
        prompts = dict(declared) if isinstance(declared, dict) else {}
        stanford = not self.recipe.own_modules
        told = files.read(self.folder / "artifact.metadata") if stanford else {}
        for role in ROLES:
            marker = str(config.get(PYLATE[role]) or "")
            if stanford and prompts.get(role) is None:
                name, usual = STANFORD[role]
                marker = f"{told.get(name) or usual} "
            if marker:
                prompts[role] = marker + str(prompts.get(role) or "").removeprefix(marker)
        return config | ({"prompts": prompts} if prompts else {})

    def similarity(self, config: dict[str, Any]) -> str:
        """Return cosine where the vectors of tokens are brought to length one: the library does so for other layouts.

        MaxSim and its mean over the tokens of a query rank alike.
        """
        if not self.recipe.own_modules or config.get("model_type") == "ColBERT":
            return "cosine"
        normalised = any(str(module.get("type")).endswith(".Normalize") for module in files.modules(self.folder))
        return "cosine" if normalised else "dot"

    def limit(self, module: Any, role: Role) -> int:
        """Return the length that queries are filled up to where that cuts them, too."""
        expansion = getattr(module, "query_expansion", None)
        if role == "query" and expansion and expansion["strategy"] == "fixed":
            return int(expansion["length"])
        return super().limit(module, role)

    def encode(self, texts: Sequence[str], role: Role) -> list[NDArray[np.float32]]:
        """Return n matrices [tokens of the text that count, dim]."""
        return [np.asarray(found, dtype=np.float32) for found in self.encoded(texts, role, convert_to_numpy=True)]
