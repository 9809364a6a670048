"""How often a difference between two models is found, by how many topics are asked: power, from real differences.

    python -m tests.speed.power results/multilingual-e5-small-Q4_0/xquad-r results/muse/xquad-r

The differences of two stored results by topic are moved so that their mean is what is to be found (.01), and n topics
of them are drawn, again and again. How far topics lie apart matters most, so the same is done with differences half and
a quarter as far from their mean, as those of models are that are more alike. Printed is the share of draws that are
significant at 5 %, alone, and among as many directions as the task has (the first step of Holm's method).
"""

import argparse
from pathlib import Path

import numpy as np

from benchmark import evidence, paired, statistics
from benchmark.statistics import Floats
from tests.speed.common import show

TOPICS = (50, 100, 200, 400, 800, 1190)
DRAWS = 400
SPREADS = (1.0, 0.5, 0.25)


def main() -> None:
    """Print the share of significant draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="*", type=Path, default=[
        Path("results") / name / "xquad-r" for name in ("multilingual-e5-small-Q4_0", "muse")
    ])  # fmt: skip
    parser.add_argument("--difference", type=float, default=0.01)
    asked = parser.parse_args()
    (found,) = paired.compare([evidence.read(folder) for folder in asked.results])
    directions = int((found.cells["kind"] == "direction").sum())
    for level, title in ((0.05, "alone"), (0.05 / directions, f"among {directions} directions")):
        rows = [
            [name, f"{values.std() * spread:.2f}", *(power(values, spread, asked.difference, n, level) for n in TOPICS)]
            for name, values in sorts(found)
            for spread in SPREADS
        ]
        show(f"{found.measure} differs by {asked.difference}: found, {title}", ["", "sd", *map(str, TOPICS)], rows)


def sorts(found: paired.Paired) -> list[tuple[str, Floats]]:
    """Return the differences by topic of the macro average and of the middling direction of each setting."""
    cells = found.cells.assign(sd=found.differences.std(axis=0) * len(found.topics))
    picked = []
    for setting in cells["setting"].unique():
        part = cells[cells["setting"] == setting]
        macro = part[(part["kind"] == "average") & (part["query_lang"] == "macro")]
        single = part[part["kind"] == "direction"].sort_values("sd")
        middling = single.iloc[[len(single) // 2]]
        picked.append((f"{setting}, macro", macro.index[0]))
        picked.append((f"{setting}, {middling['query_lang'].iloc[0]}→{middling['pool'].iloc[0]}", middling.index[0]))
    return [(name, found.differences[:, place] * len(found.topics)) for name, place in picked]


def power(values: Floats, spread: float, difference: float, topics: int, level: float) -> str:
    """Return the share of draws of so many topics that are significant at a level."""
    random = np.random.default_rng(statistics.SEED)
    moved = (values - values.mean()) * spread + difference
    drawn = moved[random.integers(0, len(moved), (topics, DRAWS))]
    return f"{(statistics.sign_flip(drawn) < level).mean():.2f}"


if __name__ == "__main__":
    main()
