"""Texts per second, step by step: the library's own encode, `bench run`, and the bare forward pass below both.

    python -m tests.speed.encoding --model ../models/multilingual-e5-small

Every `--every`-th query and document of XQuAD-R, all languages, in one process. The bare pass is the model called on
the padded batches of `bench run`, tokenised before the clock starts: nothing that reads texts and keeps vectors can
be faster; and on batches of 32 texts, sorted by tokens too, which tells what a budget of tokens gains. bfloat16 is
timed where the processor computes it; int8 and ONNX on a processor.
"""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import encoders, vectors
from benchmark.encoders import ROLES, Asked, Encoder, Role, sent
from tests.speed.common import arguments, fastest, show, xquad

Texts = dict[Role, list[str]]


def main() -> None:
    """Print seconds, texts per second and ratios."""
    asked = arguments(__doc__ or "", every=20, times=2)
    from sentence_transformers import SentenceTransformer

    task = xquad(asked.mirror)
    texts: Texts = {
        "query": list(task.collection.queries["text"])[:: asked.every],
        "document": task.collection.document_texts[:: asked.every],
    }
    count = sum(len(some) for some in texts.values())
    about = encoders.load(asked.model).model
    base, rows = 0.0, []
    for dtype in ["float32"] + ["bfloat16"] * encoders.computes_bfloat16(about.device):
        library = SentenceTransformer(asked.model, device=about.device, model_kwargs={"dtype": dtype})
        encoder = encoders.load(asked.model, Asked(dtype=dtype))
        encoder.encode(["loads the weights"], "query")
        batches, usual = padded(encoder, library, texts), padded(encoder, library, texts, 32)
        plainly = fastest(lambda: by_library(library, encoder, texts), asked.times)  # noqa: B023 - called at once
        stored = fastest(lambda: by_store(encoder, texts), asked.times)  # noqa: B023
        bare = fastest(lambda: by_model(library, batches), asked.times)  # noqa: B023
        bare_usual = fastest(lambda: by_model(library, usual), asked.times)  # noqa: B023
        base = base or plainly
        for what, took in (
            ("SentenceTransformer.encode", plainly), ("bare forward, 32 texts", bare_usual), ("bench run", stored),
            ("bare forward", bare),
        ):  # fmt: skip
            ratios = [f"{base / took:.2f}", f"{bare / took:.2f}"]
            rows.append([f"{what}, {dtype}", f"{took:.1f}", f"{count / took:.1f}", *ratios])
    others = {"int8": Asked(dtype="int8")} | ({"onnx": Asked(backend="onnx")} if find_spec("onnxruntime") else {})
    for what, how in others.items() if about.device == "cpu" else ():
        encoder = encoders.load(asked.model, how)
        encoder.encode(["loads the weights"], "query")
        took = fastest(lambda: by_store(encoder, texts), asked.times)  # noqa: B023
        rows.append([f"bench run, {what}", f"{took:.1f}", f"{count / took:.1f}", f"{base / took:.2f}", ""])
    columns = ["", "s", "texts/s", "times the first row", "share of the bare pass"]
    show(f"{about.name} on {about.device}, {count:,} texts", columns, rows)


def by_library(library: Any, encoder: Encoder, texts: Texts) -> None:
    """Encode as the library does by default: batches of 32, sorted by characters."""
    for role in ROLES:
        library.encode(texts[role], prompt=encoder.model.prompts[role], batch_size=32)


def by_store(encoder: Encoder, texts: Texts) -> None:
    """Encode as `bench run` does, into an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        for role in ROLES:
            vectors.encode(encoder, texts[role], role, root=Path(folder))


def padded(encoder: Encoder, library: Any, texts: Texts, size: int = 0) -> list[Any]:
    """Return the batches of `bench run`, or of `size` texts each, as the model takes them."""
    found = []
    for role in ROLES:
        distinct = list(dict.fromkeys(texts[role]))
        lengths, limit = encoder.lengths(distinct, role)
        longest = np.argsort(-lengths, kind="stable").tolist()
        fixed = [longest[start : start + size] for start in range(0, len(distinct), size)] if size else []
        for batch in fixed or [batch for batch, _ in vectors.plan(lengths, limit, encoder.budget)]:
            whole = [sent(encoder.model, distinct[place], role) for place in batch]
            features = library.tokenizer(
                whole, padding=True, truncation=bool(limit), max_length=limit or None, return_tensors="pt"
            )
            found.append({name: some.to(library.device) for name, some in features.items()})
    return found


def by_model(library: Any, batches: list[Any]) -> None:
    """Call the model on padded batches."""
    import torch

    with torch.inference_mode():
        for batch in batches:
            library(dict(batch))["sentence_embedding"].float().cpu()


if __name__ == "__main__":
    main()
