"""Means, and what bootstrap replicates make of them, in; the ends of their intervals out.

The ends are chosen by BCa (Efron 1987, doi:10.1080/01621459.1987.10478410), which corrects the percentiles of the
replicates for bias and skewness. For few topics Student's quantile stands in the place of the normal one, times
sqrt(n / (n - 1)), because replicates vary less than means do (Hesterberg 2015, doi:10.1080/00031305.2015.1089789).
`python -m tests.speed.coverage` prints how often the intervals hold the true mean.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
FEWEST = 10  # topics; an interval from fewer would be an invention
NOISE = 1e-9  # what rounding may make of nothing
DIGITS = 4  # after the point, at most
FINE = 25
Floats = NDArray[np.float64]
Counts = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Means:
    """Means of queries, each a ratio of sums over topics.

    * `value` [...].
    * `drawn` [..., replicates]: what replicates make of it; NaN where one has no query.
    * `influence` [..., topics]: derivative of the mean by how often a topic is there.
    * `topics` [...]: how many have a query.
    """

    value: Floats
    drawn: Floats
    influence: Floats
    topics: Counts


def ratios(sums: Floats, queries: Floats, drawn_sums: Floats, drawn_queries: Floats) -> Means:
    """Return means from sums of values and numbers of queries, [..., topics] and [..., replicates]."""
    total = queries.sum(axis=-1)
    value = sums.sum(axis=-1) / total
    influence = (sums - value[..., None] * queries) / total[..., None]
    with np.errstate(invalid="ignore"):
        drawn = drawn_sums / drawn_queries
    return Means(value, drawn, influence, np.broadcast_to(np.count_nonzero(queries, axis=-1), value.shape))


def ends(means: Means, lowest: Floats, highest: Floats) -> list[list[float] | None]:
    """Return [low, high] or None for each mean, the last axis fastest.

    Ends are rounded to tenths, hundredths, ... of which the interval is at least FINE wide, which is as well as a
    thousand replicates know them. There are none of fewer than FEWEST topics.

    Where all topics have one value c, so has every replicate, and a bootstrap would be certain of it. But if a share p
    of all topics is otherwise, n that are not come with probability (1 - p)^n; so p may be up to 1 - .025^(1/n), the
    exact binomial bound, and the interval is what such a share could do to the mean.

    Args:
        means: [...].
        lowest: what a value can be at least, to be broadcast to [...]; -inf gives a constant no interval.
        highest: at most, likewise.
    """
    value = means.value
    ordered = np.sort(means.drawn, axis=-1)  # NaN last
    drawn = np.isfinite(ordered).sum(axis=-1)
    noise = NOISE * (1 + np.abs(value))
    below, above = (
        np.count_nonzero(sign * (means.drawn - value[..., None]) > noise[..., None], axis=-1) for sign in (-1, 1)
    )
    square = np.vecdot(means.influence, means.influence)
    cube = np.vecdot(means.influence**2, means.influence)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (drawn + below - above) / (2 * drawn)  # of replicates below the mean, and half of those equal to it
        bias = ndtri(np.clip(share, 0.5 / drawn, 1 - 0.5 / drawn))
        skew = np.nan_to_num(cube / (6 * square**1.5))
        spread = stdtrit(means.topics - 1, 1 - TAIL) * np.sqrt(means.topics / (means.topics - 1))
        constant = _quantile(ordered, drawn, np.ones_like(value)) - ordered[..., 0] <= noise
        low, high = (
            np.where(
                constant,
                bound + TAIL ** (1 / means.topics) * (value - bound),
                _quantile(ordered, drawn, ndtr(bias + z / (1 - skew * z))),
            )
            for bound, z in ((lowest, bias - spread), (highest, bias + spread))
        )
    return _rounded(low, high, means.topics >= FEWEST)


def _quantile(ordered: Floats, count: Counts, level: Floats) -> Floats:
    """Return a quantile of the first `count` values of each row, interpolated; level 0 is the first, 1 the last."""
    place = np.nan_to_num(level) * (count - 1)
    lower = np.floor(place).astype(np.intp)
    upper = np.minimum(lower + 1, count - 1)
    first, second = (np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in (lower, upper))
    found: Floats = first + (place - lower) * (second - first)
    return found


def _rounded(low: Floats, high: Floats, told: NDArray[np.bool_]) -> list[list[float] | None]:
    """Return pairs of rounded ends; None where one is not `told` or not finite."""
    width = high - low
    told = told & np.isfinite(width)
    unit = np.floor(np.log10(np.maximum(np.where(told, width, 1), NOISE) / FINE))[..., None]
    digits = np.clip(-unit, 0, DIGITS)
    pairs = np.rint(np.stack([low, high], axis=-1) * 10**digits) / 10**digits + 0.0  # no negative zero
    return [pair if one else None for pair, one in zip(pairs.reshape(-1, 2).tolist(), told.ravel(), strict=True)]
