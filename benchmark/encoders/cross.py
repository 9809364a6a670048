"""A cross-encoder checkpoint in; one number for each pair of a question and a document out, higher for a better answer.

To the store a pair is a text and its score a vector of one number: so pairs are scored once, longest first, and a run
that was killed goes on. Scores are taken as they are before the last activation, which changes no order and would make
equal what is merely near one.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmark.encoders import RERANKER, Asked, Encoder, Kind, NoVectors, Role, files
from benchmark.encoders.checkpoint import Checkpoint
from tasks.errors import UserError


class Reranked(NoVectors):
    """A model and a cross-encoder that reorders what it finds first. Who scores its texts is `benchmark.rerank`."""

    kind: Final = "pairs"

    def __init__(self, first: Encoder, cross: "Cross", depth: int, asked: Asked) -> None:
        self.first, self.cross, self.depth = first, cross, depth
        one, other = first.model, cross.model
        both = f"{one.fingerprint} {other.fingerprint}"
        self.model = replace(
            one,
            name=asked.name or f"{one.name}+{other.name}",
            source=f"{one.source}+{other.source}",
            revision=_both(one.revision, other.revision),
            fingerprint=hashlib.sha256(both.encode()).hexdigest(),
            parameters=one.parameters + other.parameters,
            dtype=_both(one.dtype, other.dtype),
            device=_both(one.device, other.device),
            engine=one.engine | other.engine,
            citation=asked.citation or one.citation,
            notes=asked.notes or one.notes,
            how=one.how | other.how | {"rerank": other.fingerprint, "rerank-depth": depth},
        )


class Cross(Checkpoint):
    """A checkpoint that the library loads as a CrossEncoder. Its texts are pairs (`pair`)."""

    kind: Kind = "pairs"
    family = "cross"

    def config(self) -> dict[str, Any]:
        """Return nothing: what stands before a pair is for the library to know."""
        return {}

    def similarity(self, config: dict[str, Any]) -> str:  # noqa: ARG002
        """Keep the numbers as they are."""
        return "dot"

    def conversation(self, prompt: str, role: Role) -> str | None:  # noqa: ARG002
        """Return nothing, likewise."""
        return None

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
        """Return the tokens of each pair by the checkpoint's own tokenizer, and how many it reads."""
        module = self._input(role)
        questions, documents = zip(*(json.loads(text) for text in texts), strict=True)
        with self._failing("reading the pairs"):
            tokens = module.tokenizer(list(questions), list(documents), truncation=False, padding=False)["input_ids"]
        limit = self.limit(module, role)
        return np.array([len(ids) for ids in tokens], dtype=np.int32), limit if limit < 2**31 else 0

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:  # noqa: ARG002
        """Return the scores of one batch of pairs [n, 1] from the library's own `predict`."""
        from torch.nn import Identity

        pairs = [tuple(json.loads(text)) for text in texts]
        model = self._model()
        with self.working(texts):
            scores = model.predict(
                pairs,
                activation_fn=Identity(),
                batch_size=len(pairs),
                show_progress_bar=False,
                **self._shared(len(pairs)),
            )
        found = np.asarray(scores, dtype=np.float32)
        if found.ndim > 1:
            raise UserError(f"{self.folder} gives {found.shape[1]} numbers for a pair; a reranker gives one.")
        return found[:, None]


def _both(one: str, other: str) -> str:
    """Return what is on record of two models: once where it is the same, only what is known of either."""
    return "+".join(dict.fromkeys(filter(None, (one, other))))


def pair(question: str, document: str) -> str:
    """Return a pair as one text."""
    return json.dumps([question, document], ensure_ascii=False)


def over(first: Encoder, asked: Asked) -> Reranked:
    """Return a model with a cross-encoder on top, as it is asked for.

    Raises UserError if there is no such cross-encoder, it is none, or the depth is none.
    """
    source, depth = asked.rerank, asked.rerank_depth
    if depth < 1:
        raise UserError(f"--rerank-depth is how many documents are reranked, at least 1; it is {depth}.")
    folder, commit = files.locate(source, "", asked.offline)
    if (kind := files.kind(folder)) != "cross-encoder":
        raise UserError(f"{source} is no cross-encoder, which --rerank takes: its files are of the kind {kind}.")
    plain = Asked(**{name: getattr(asked, name) for name in RERANKER})
    return Reranked(first, Cross(folder, source, commit, plain), depth, asked)
