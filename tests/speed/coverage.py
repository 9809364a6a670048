"""How often a 95 % interval holds the true mean, on made-up values of which the true mean is known.

    python -m tests.speed.coverage [--topics 200] [--samples 2000]

A topic is asked in eleven languages, or (uneven) in some of them, and its values go together (a correlation of .6
before they are bent into shape). Shapes are those of measures: much at 0 and 1, and skewed between. For each mean: the share of the
samples whose interval holds it (in brackets: lies below it, lies above it), by BCa as it is used here, and by the plain
percentiles of the same replicates. The last digit is uncertain by 5 with 2,000 samples.
"""

import argparse

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmark import intervals
from benchmark.averages import setting_of
from tests.speed.common import show

Floats = NDArray[np.float64]
LANGUAGES = 11
TOGETHER = 100  # samples that share their replicates
SHAPES = {  # share at 0, share at 1, and the beta distribution between
    "RR, answers found": (0.1, 0.5, 0.5, 1.5),
    "RR, answers missed": (0.6, 0.1, 0.5, 3),
    "AP, few at 1": (0, 0.2, 1, 2),
    "AP, near 0": (0, 0.05, 0.4, 6),
    "Success@1": (0.5, 0.5, 1, 1),
    "Success@1, high": (0.1, 0.9, 1, 1),
    "Success@1, nearly all": (0.03, 0.97, 1, 1),
}
MEANS = ("direction", "macro", "macro, uneven", "micro, uneven")


def main() -> None:
    """Print the coverage."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--topics", type=int, default=200)
    options.add_argument("--samples", type=int, default=2000)
    asked = options.parse_args()
    for plain in (False, True):
        rows = []
        for name, shape in SHAPES.items():
            table = quantiles(*shape)
            found = np.concatenate(
                [missed(table, asked.topics, seed, plain) for seed in range(-(-asked.samples // TOGETHER))], axis=2
            )
            rows.append([name, f"{table.mean():.3f}", *(written(*sides) for sides in found)])
        title = f"{'percentiles' if plain else 'BCa'}, {asked.topics} topics, {asked.samples:,} samples"
        show(title, ["shape", "true mean", *MEANS], rows)


def written(below: Floats, above: Floats) -> str:
    """Return coverage, and where the misses are, in percent."""
    low, high = 100 * below.mean(), 100 * above.mean()
    return f"{100 - low - high:.1f} ({low:.1f}, {high:.1f})"


def quantiles(zeros: float, ones: float, a: float, b: float, count: int = 20_000) -> Floats:
    """Return the values of a shape at equal steps of probability; their mean is the true mean."""
    level = (np.arange(count) + 0.5) / count
    between = stats.beta.ppf(np.clip((level - zeros) / max(1 - zeros - ones, 1e-9), 0, 1), a, b)
    return np.where(level < zeros, 0, np.where(level >= 1 - ones, 1, between))


def missed(table: Floats, topics: int, seed: int, plain: bool) -> NDArray[np.bool_]:
    """Return whether the intervals lie below, above the true mean: [means, 2, TOGETHER]."""
    rng = np.random.default_rng([seed, topics])  # not the stream that draws the replicates
    latent = 0.6**0.5 * rng.standard_normal((TOGETHER, topics, 1))
    latent = latent + 0.4**0.5 * rng.standard_normal((TOGETHER, topics, LANGUAGES))
    values = table[(stats.norm.cdf(latent) * len(table)).astype(int)]
    uneven = rng.random((topics, LANGUAGES)) < rng.random((topics, 1))
    uneven[:, 0] |= ~uneven.any(axis=1)
    ends = percentiles if plain else ours
    direction, macro, _ = ends(values, np.ones_like(uneven), seed)
    pairs = [direction, macro, *ends(values, uneven, seed)[1:]]
    return np.array([[high < table.mean(), low > table.mean()] for low, high in (np.array(pair).T for pair in pairs)])


def ours(values: Floats, there: NDArray[np.bool_], seed: int) -> list[Floats]:
    """Return the intervals [samples, 2] of a direction, macro and micro."""
    topic, lang = np.nonzero(there)
    names = [str(sample) for sample in range(len(values))]
    rows = pd.DataFrame(values[:, topic, lang].T, columns=pd.Index(names))
    code = pd.Index([f"{number:04d}" for number in range(len(there))])
    rows["topic"] = pd.Categorical.from_codes(topic, code)
    rows["query_lang"] = rows["pool"] = pd.Categorical.from_codes(lang, code[:LANGUAGES])
    found = intervals.bootstrap(intervals.gather(rows, names), names, setting_of, seed=seed)
    means = found.directions[code[0], code[0]], found.averages["mono", "macro"], found.averages["mono", "micro"]
    return [np.array([pair or [0, 1] for pair in mean.values()]) for mean in means]


def percentiles(values: Floats, there: NDArray[np.bool_], seed: int) -> list[Floats]:
    """Return the same by plain percentiles."""
    weights = intervals.draw(len(there), intervals.REPLICATES, seed)
    sums = np.moveaxis(values * there, 2, 0) @ weights
    queries = (there.T @ weights.astype(np.float64))[:, None]
    drawn = sums[0] / queries[0], (sums / queries).mean(axis=0), sums.sum(axis=0) / queries.sum(axis=0)
    return [np.quantile(table, [0.025, 0.975], axis=1).T for table in drawn]


if __name__ == "__main__":
    main()
