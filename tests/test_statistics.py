"""Whether a difference is real: scipy as the oracle, and p-values that are uniform when nothing differs."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import statistics


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.4])
def test_sign_flip_is_scipys(shift: float) -> None:
    values = np.random.default_rng(3).exponential(1, (10, 1)) - 1 + shift
    exact = scipy.stats.permutation_test((values[:, 0],), np.sum, permutation_type="samples", n_resamples=2**10)
    assert statistics.sign_flip(values, 200_000)[0] == pytest.approx(exact.pvalue, abs=0.004)


def test_sign_flip_of_nothing_is_one_and_of_everything_is_least() -> None:
    found = statistics.sign_flip(np.column_stack([np.zeros(50), np.ones(50), [1.0] + [0.0] * 49]), 999)
    assert found.tolist() == [1, 1 / 1000, 1]


def test_sign_flip_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).standard_normal((30, 3)) + np.array([0.0, 0.2, 0.4])
    whole = statistics.sign_flip(values, 500)
    monkeypatch.setattr(statistics, "BLOCK", 60)
    np.testing.assert_array_equal(statistics.sign_flip(values, 500), whole)


def test_p_values_are_uniform_when_nothing_differs() -> None:
    values = np.random.default_rng(5).exponential(1, (200, 800)) * np.random.default_rng(6).choice([-1, 1], (200, 800))
    assert scipy.stats.kstest(statistics.sign_flip(values, 999), "uniform").pvalue > 0.01


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_by_its_definition(p: list[float]) -> None:
    found = statistics.holm(np.array(p))
    order = sorted(range(len(p)), key=lambda i: p[i])
    for place, i in enumerate(order):
        assert found[i] == pytest.approx(min(1, max((len(p) - j) * p[k] for j, k in enumerate(order[: place + 1]))))


def test_shares_sum_up_to_the_macro_average() -> None:
    rng = np.random.default_rng(7)
    values = pd.DataFrame({"topic": rng.integers(0, 9, 60), "query_lang": rng.choice(["en", "sw", "th"], 60)})
    values["pool"] = rng.choice(["en", "sw"], 60)
    values["AP"] = rng.random(60)
    macro = values.groupby(["query_lang", "pool"])["AP"].mean().mean()
    shares = statistics.shares(values, "AP")
    assert shares.sum() == pytest.approx(macro)
    assert len(shares) == values["topic"].nunique()


def test_models_that_cannot_be_told_apart_share_a_rank() -> None:
    rng = np.random.default_rng(8)
    base = rng.random(300) / 300
    table = pd.DataFrame(
        {
            "worst": base * 0.5,
            "best": base,
            "twin": base + rng.normal(0, 1e-5, 300),
            "same": base,
            "middle": base * 0.8,
        }
    )
    assert dict(zip(table, statistics.groups(table), strict=True)) == {
        "worst": 5, "best": 1, "twin": 1, "same": 1, "middle": 4,
    }  # fmt: skip
    assert statistics.groups(table[["best"]]) == [1]
