"""The ranking pass over all 121 + 11 directions of XQuAD-R beside the bare float32 matrix product of the same shapes.

    python -m tests.speed.scoring --model ../models/multilingual-e5-small

The product is timed twice: in one call, which also gets 680 MB from the system, and block by block into one buffer.
"""

import numpy as np

from benchmark import encoders, ranking, scoring, vectors
from tests.speed.common import arguments, fastest, show, xquad


def main() -> None:
    """Print seconds and ratios."""
    asked = arguments(__doc__ or "", times=5)
    task, encoder = xquad(asked.mirror), encoders.load(asked.model)
    left = vectors.encode(encoder, list(task.collection.queries["text"]), "query").vectors
    right = vectors.encode(encoder, task.collection.document_texts, "document").vectors
    buffer = np.empty((512, len(right)), dtype=np.float32)

    def in_one_call() -> object:
        return left @ right.T

    def by_blocks() -> None:
        for start in range(0, len(left), len(buffer)):
            some = left[start : start + len(buffer)]
            np.matmul(some, right.T, out=buffer[: len(some)])

    def ranked(settings: list[str]) -> None:
        ranking.rank(task.collection, lambda rows, order: scoring.dot_product(left, right, rows, order), settings)

    one, blocks = fastest(in_one_call, asked.times), fastest(by_blocks, asked.times)
    rows = [
        ["product in one call", f"{one:.2f}", "1.00", f"{one / blocks:.2f}"],
        ["product by blocks", f"{blocks:.2f}", f"{blocks / one:.2f}", "1.00"],
    ]
    for settings in (["mono", "cross", "multi"], ["mono", "cross", "multi", "pair"]):
        took = fastest(lambda settings=settings: ranked(settings), asked.times)  # type: ignore[misc]
        rows.append([f"ranking: {', '.join(settings)}", f"{took:.2f}", f"{took / one:.2f}", f"{took / blocks:.2f}"])
    shape = f"{len(left):,} x {len(right):,} x {left.shape[1]}"
    show(f"{encoder.model.name}, {shape}", ["", "seconds", "/ one call", "/ blocks"], rows)


if __name__ == "__main__":
    main()
