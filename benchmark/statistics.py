"""Values by topic in; whether a difference is real, out.

The unit is the topic: a question asked in eleven languages is one observation, so its wordings are summed before they
are compared, and never shuffled apart.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
FLIPS = 9_999
SEED = 20_240_810
BLOCK = 1 << 22  # signs drawn, and sums made of them, at once
TIGHT = float(1 / (4 * ndtr(-np.sqrt(2))))  # 3.18


def shares(values: pd.DataFrame, measure: str) -> pd.Series:
    """Return what each topic adds to the macro average of `measure` over directions; they sum up to it.

    Args:
        values: `query_lang, pool, topic` and `measure`, one row for each (query, pool) of one setting.
        measure: name of the column.
    """
    direction = values.groupby(["query_lang", "pool"], observed=True)
    weights = 1 / (direction["topic"].transform("size") * direction.ngroups)
    return (values[measure] * weights).groupby(values["topic"].astype("str")).sum()


def sign_flip(differences: Floats, flips: int = FLIPS, seed: int = SEED) -> Floats:
    """Return the two-sided p-value of the paired sign-flip (Fisher randomisation) test for each column.

    If two models do not differ, the sign of each topic's difference is a coin toss. p is the share of random signs
    whose sum is at least as far from zero as the one found, which counts itself. Less than 1 / (flips + 1) cannot be
    seen so, and would not survive a correction for thousands of comparisons: FLORES-200 has 41,616. There p is what the
    share over all signs is known to be below: 3.18 times the tail of the normal distribution with the same variance
    (Bentkus and Dzindzalieta 2015, doi:10.3150/14-BEJ603), on both sides.

    Args:
        differences: [topics, comparisons].
        flips: how many random sign patterns; the same ones serve all comparisons.
        seed: of the signs.
    """
    topics, comparisons = differences.shape
    found = np.abs(differences.sum(axis=0))
    slack = 1e-9 * np.abs(differences).sum(axis=0)  # equal sums in another order are equal
    random = np.random.default_rng(seed)
    reached = np.ones(comparisons)
    step = max(4, BLOCK // max(1, topics, comparisons) // 4 * 4)  # four signs are drawn together
    for start in range(0, flips, step):
        signs = random.integers(0, 2, (min(step, flips - start), topics), dtype=np.int8) * 2.0 - 1
        reached += (np.abs(signs @ differences) >= found - slack).sum(axis=0)
    norm = np.sqrt((differences**2).sum(axis=0))
    bound: Floats = 2 * TIGHT * ndtr(-np.divide(found, norm, out=np.zeros_like(found), where=norm > 0))
    return np.minimum(reached / (flips + 1), bound)


def holm(p: Floats, weights: Floats | None = None) -> Floats:
    """Return p-values adjusted for how many there are, by Holm's step-down method.

    With `weights` (above 0) each has its share of the risk (Holm 1979, section 4); without, all have the same.
    """
    weights = np.ones(len(p)) if weights is None else weights
    order = np.argsort(p / weights, kind="stable")
    left = weights[order][::-1].cumsum()[::-1]
    stepped = np.maximum.accumulate(p[order] / weights[order] * left)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def benjamini_hochberg(p: Floats) -> Floats:
    """Return p-values adjusted by Benjamini and Hochberg's step-up method: below x, a share x is false on average."""
    order = np.argsort(p, kind="stable")[::-1]
    stepped = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def groups(shares_of: pd.DataFrame, level: float = 0.05) -> list[int]:
    """Return the rank of each model: one plus the number of models that are better beyond chance.

    Models that cannot be told apart share a rank. Every two are compared by `sign_flip`, adjusted by `holm`.

    Args:
        shares_of: a column for each model, a row for each topic: its `shares`.
        level: of significance.
    """
    count = shares_of.shape[1]
    left, right = np.triu_indices(count, 1)
    values = shares_of.to_numpy(np.float64)
    differences = values[:, left] - values[:, right]
    real = holm(sign_flip(differences)) < level
    behind = np.where(differences.sum(axis=0) > 0, right, left)
    return [int(number) + 1 for number in np.bincount(behind[real], minlength=count)]
