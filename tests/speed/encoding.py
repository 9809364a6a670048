"""Texts per second beside SentenceTransformer.encode(batch_size=32) in float32, on the same texts in the same process.

    python -m tests.speed.encoding --model ../models/multilingual-e5-small

Every `--every`-th query and document of XQuAD-R, all languages. bfloat16 is timed where the processor computes it.
"""

import tempfile
from pathlib import Path

from benchmark import encoders, vectors
from benchmark.encoders import ROLES, Asked, Role
from tests.speed.common import arguments, fastest, show, xquad


def main() -> None:
    """Print seconds, texts per second and ratios."""
    asked = arguments(__doc__ or "", every=20, times=2)
    from sentence_transformers import SentenceTransformer

    task = xquad(asked.mirror)
    texts: dict[Role, list[str]] = {
        "query": list(task.collection.queries["text"])[:: asked.every],
        "document": task.collection.document_texts[:: asked.every],
    }
    count = sum(len(some) for some in texts.values())
    encoder = encoders.load(asked.model)
    library = SentenceTransformer(asked.model, device=encoder.model.device, model_kwargs={"dtype": "float32"})

    def plainly() -> None:
        for role in ROLES:
            library.encode(texts[role], prompt=encoder.model.prompts[role], batch_size=32)

    def ours(one: encoders.Encoder) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for role in ROLES:
                vectors.encode(one, texts[role], role, root=Path(folder))

    base = fastest(plainly, asked.times)
    rows = [["SentenceTransformer.encode(batch_size=32), float32", f"{base:.1f}", f"{count / base:.1f}", "1.00"]]
    dtypes = ["float32"] + ["bfloat16"] * encoders.computes_bfloat16(encoder.model.device)
    for dtype in dtypes:
        one = encoders.load(asked.model, Asked(dtype=dtype))
        one.encode(["loads the weights"], "query")
        took = fastest(lambda one=one: ours(one), asked.times)  # type: ignore[misc]
        rows.append([f"bench run, {dtype}", f"{took:.1f}", f"{count / took:.1f}", f"{base / took:.2f}"])
    show(
        f"{encoder.model.name} on {encoder.model.device}, {count:,} texts", ["", "s", "texts/s", "times as fast"], rows
    )


if __name__ == "__main__":
    main()
