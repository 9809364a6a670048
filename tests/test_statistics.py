"""Whether a difference is real: scipy as the oracle, and p-values that are uniform when nothing differs."""

import itertools

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
    found = statistics.sign_flip(np.column_stack([np.zeros(12), np.ones(12), [1.0] + [0.0] * 11]), 9)
    assert found.tolist() == [1, pytest.approx(1 / 10, abs=0.1), 1]


@pytest.mark.parametrize("topics", [1, 2, 5, 16])
def test_what_signs_cannot_show_is_bounded_from_above(topics: int) -> None:
    """Without a single sign drawn, p is the bound: never below the share of all 2^n sign patterns."""
    values = np.random.default_rng(topics).exponential(1, (topics, 200)) ** [[1, 4] * 100]
    values[:, ::3] = values[:, ::3].round()
    every = np.array(list(itertools.product([-1, 1], repeat=topics)))
    exact = (np.abs(every @ values) >= values.sum(axis=0) - 1e-9).mean(axis=0)
    found = statistics.sign_flip(values, 0)
    assert (found >= exact - 1e-12).all()
    assert found.max() <= 1


def test_thousands_of_comparisons_can_be_corrected() -> None:
    """A difference that hardly any pattern reaches stays significant among as many as FLORES-200 has."""
    values = np.random.default_rng(9).normal(0, 1, (60, 4_000))
    values[:, 0] += 1
    found = statistics.holm(statistics.sign_flip(values, 999))
    assert found[0] < 0.01
    assert found[1:].min() > 0.05


def test_sign_flip_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).standard_normal((31, 3)) + np.array([0.0, 0.1, 0.2])
    whole = statistics.sign_flip(values, 500)
    monkeypatch.setattr(statistics, "BLOCK", 60)
    np.testing.assert_array_equal(statistics.sign_flip(values, 500), whole)


def test_p_values_are_uniform_when_nothing_differs() -> None:
    values = np.random.default_rng(5).exponential(1, (200, 800)) * np.random.default_rng(6).choice([-1, 1], (200, 800))
    assert scipy.stats.kstest(statistics.sign_flip(values, 999), "uniform").pvalue > 0.01


def test_p_values_are_uniform_with_the_topic_as_the_unit_and_not_with_the_query() -> None:
    """Two models that are alike on the whole, 60 topics in eleven languages: what helps one wording helps all."""
    random = np.random.default_rng(11)
    topics, langs, comparisons = 60, 11, 600
    helped = random.exponential(1, (topics, 1, comparisons)) * random.choice([-1, 1], (topics, 1, comparisons))
    differences = helped + random.normal(0, 1, (topics, langs, comparisons))
    by_topic = statistics.sign_flip(differences.sum(axis=1), 999)
    by_query = statistics.sign_flip(differences.reshape(-1, comparisons), 999)
    assert scipy.stats.kstest(by_topic, "uniform").pvalue > 0.01
    assert abs((by_topic < 0.05).mean() - 0.05) < 0.025
    assert scipy.stats.kstest(by_query, "uniform").pvalue < 1e-9
    assert (by_query < 0.05).mean() > 0.3, "the same question in eleven languages is not eleven observations"


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_by_its_definition(p: list[float]) -> None:
    found = statistics.holm(np.array(p))
    order = sorted(range(len(p)), key=lambda i: p[i])
    for place, i in enumerate(order):
        assert found[i] == pytest.approx(min(1, max((len(p) - j) * p[k] for j, k in enumerate(order[: place + 1]))))


def test_benjamini_hochberg_is_scipys() -> None:
    p = np.random.default_rng(10).uniform(0, 1, 200) ** 3
    p[:20] = p[20:40]
    np.testing.assert_allclose(statistics.benjamini_hochberg(p), scipy.stats.false_discovery_control(p))


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
