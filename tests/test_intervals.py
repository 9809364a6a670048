"""Intervals are those of a bootstrap by hand and of scipy, and depend on nothing but the values."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from benchmark import bca, intervals
from benchmark.averages import setting_of

Weights = NDArray[np.float64]
NAMES = ["AP", "Success@1"]
KEYS = ["query_lang", "pool", "topic"]


def made(seed: int, topics: int, languages: int = 3, wordings: int = 1, holes: float = 0.0) -> pd.DataFrame:
    """Values with many ties and mass at 0 and 1: a row for each topic, language, wording and pool, less some."""
    rng = np.random.default_rng(seed)
    tags = [f"l{i}" for i in range(languages)]
    rows = pd.MultiIndex.from_product([range(topics), tags, range(wordings), [*tags, "*"]]).to_frame(index=False)
    rows.columns = pd.Index(["topic", "query_lang", "wording", "pool"])
    hard = rng.random(topics)[rows["topic"]]
    rows["AP"] = np.where(rng.random(len(rows)) < hard, 1, rng.integers(0, 5, len(rows)) / 4) * (hard > 0.1)
    rows["Success@1"] = (rows["AP"] == 1).astype(float)
    rows["topic"] = "t" + rows["topic"].astype("str")
    rows = rows[rng.random(len(rows)) >= holes].reset_index(drop=True)
    return rows.astype(dict.fromkeys(KEYS, "category"))


def found(values: pd.DataFrame, names: list[str] = NAMES, **how: int) -> intervals.Intervals:
    return intervals.bootstrap(intervals.gather(values, names), names, setting_of, **how)


# A bootstrap by hand


def by_hand(mean: Callable[[Weights], float], topics: int, asked: int, replicates: int, seed: int) -> list[float]:
    """The BCa interval of a mean that is a function of how often each topic is there."""
    rng = np.random.default_rng(seed)
    draws = (np.bincount(rng.integers(0, topics, topics), minlength=topics) for _ in range(replicates))
    drawn = [mean(weights.astype(float)) for weights in draws]
    once = np.ones(topics)
    value, step = mean(once), 1e-6
    slope = np.array([(mean(once + step * (np.arange(topics) == t)) - value) / step for t in range(topics)])
    skew = (slope**3).sum() / 6 / (slope**2).sum() ** 1.5
    below = np.mean([(one < value - 1e-9) + (abs(one - value) <= 1e-9) / 2 for one in drawn])
    wide = stats.t.ppf(0.975, asked - 1) * np.sqrt(asked / (asked - 1))
    bias = stats.norm.ppf(below)
    levels = [stats.norm.cdf(bias + z / (1 - skew * z)) for z in (bias - wide, bias + wide)]
    return list(np.quantile(drawn, levels))


def agree(pair: list[float] | None, expected: list[float]) -> None:
    """Two digits of the width are kept, or four decimals."""
    assert pair is not None
    width = expected[1] - expected[0]
    unit = max(10 ** (np.floor(np.log10(width)) - 1), 1e-4)
    assert pair == pytest.approx(expected, abs=0.51 * unit)
    assert np.round(np.array(pair) / unit, 9) == pytest.approx(np.round(np.array(pair) / unit))


@pytest.mark.parametrize(("wordings", "holes"), [(1, 0.0), (3, 0.5)])
def test_every_mean_has_the_interval_of_a_bootstrap_by_hand(wordings: int, holes: float) -> None:
    values = made(7, 30, wordings=wordings, holes=holes)
    got = found(values, replicates=200, seed=3)
    topics = sorted(values["topic"].cat.categories)
    setting = [setting_of(lang, pool) for lang, pool in zip(values["query_lang"], values["pool"], strict=True)]
    values = values.assign(setting=setting, direction=values["query_lang"].astype("str") + values["pool"].astype("str"))

    def mean(rows: pd.DataFrame, name: str) -> Callable[[Weights], float]:
        """Mean over the directions of these rows."""
        parts = [part for _, part in rows.groupby("direction")]
        tables = [part.groupby("topic", observed=False)[name].agg(["sum", "size"]).reindex(topics) for part in parts]
        sums, sizes = (np.array([table[column] for table in tables], dtype=float) for column in ("sum", "size"))
        return lambda weights: float(np.mean((sums @ weights) / (sizes @ weights)))

    def check(pair: list[float] | None, rows: pd.DataFrame, name: str) -> None:
        agree(pair, by_hand(mean(rows, name), 30, rows["topic"].nunique(), 200, 3))

    checked = 0
    for name in NAMES:
        for (lang, pool), rows in values.groupby(["query_lang", "pool"], observed=True):
            check(got.directions[lang, pool][name], rows, name)
        for (kind, lang), rows in values[values["setting"] == "cross"].groupby(
            ["setting", "query_lang"], observed=True
        ):
            check(got.languages[kind, lang][name], rows, name)
        for kind, rows in values.groupby("setting"):
            check(got.averages[kind, "macro"][name], rows, name)
            check(got.averages[kind, "micro"][name], rows.assign(direction="all"), name)
            checked += 1
    assert (len(got.directions), len(got.languages), len(got.averages), checked) == (12, 3, 6, 6)


@pytest.mark.parametrize("topics", [12, 60])
def test_a_direction_has_the_interval_of_scipy(topics: int) -> None:
    """scipy is given the same replicates, and the level that Student's quantile and the small sample make of 95 %."""
    values = made(1, topics, languages=1)
    value = values[values["pool"] == "l0"].set_index("topic")["AP"].sort_index(key=lambda index: index.astype("str"))
    drawn = value.to_numpy() @ intervals.draw(topics, 500, 9) / topics
    level = 2 * stats.norm.cdf(stats.t.ppf(0.975, topics - 1) * np.sqrt(topics / (topics - 1))) - 1
    replicates = stats._resampling.BootstrapResult(None, drawn, None)  # type: ignore[attr-defined]
    expected = stats.bootstrap(
        (value.to_numpy(),), np.mean, n_resamples=0, method="BCa", confidence_level=level, bootstrap_result=replicates
    ).confidence_interval
    agree(found(values, replicates=500, seed=9).directions["l0", "l0"]["AP"], list(expected))


# Nothing but the values


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 2), st.sampled_from([0.0, 0.4]))
def test_order_parts_and_threads_change_nothing(seed: int, pieces: int, wordings: int, holes: float) -> None:
    values = made(seed, 15, wordings=wordings, holes=holes)
    rng = np.random.default_rng(seed)
    shuffled = values.iloc[rng.permutation(len(values))]
    cut = [part for part in np.array_split(np.arange(len(values)), pieces) if len(part)]
    parts = []
    for rows in cut:
        part = shuffled.iloc[rows]
        codes = {key: part[key].cat.set_categories(rng.permutation(part[key].cat.categories)) for key in KEYS}
        parts += intervals.gather(part.assign(**codes), NAMES)
    whole = intervals.gather(values, NAMES)
    one = intervals.bootstrap(whole, NAMES, setting_of, replicates=50, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "CHUNK", 4)
        other = intervals.bootstrap(parts, NAMES, setting_of, replicates=50, threads=3)
    assert (one.directions, one.languages, one.averages) == (other.directions, other.languages, other.averages)


def test_a_mean_does_not_depend_on_what_else_is_asked() -> None:
    """The weights are the topics' own: the same topics in more languages or measures give the same interval."""
    values = made(5, 40)
    alone = values[(values["query_lang"] == "l1") & (values["pool"] == "l0")]
    pair = found(values).directions["l1", "l0"]["AP"]
    assert found(alone, ["AP"]).directions == {("l1", "l0"): {"AP": pair}}
    assert pair != found(values, seed=1).directions["l1", "l0"]["AP"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(10, 40), st.integers(1, 3), st.sampled_from([0.0, 0.3, 0.6]))
def test_ends_are_in_order_and_in_range(seed: int, topics: int, wordings: int, holes: float) -> None:
    got = found(made(seed, topics, wordings=wordings, holes=holes), replicates=100)
    for pairs in (*got.directions.values(), *got.languages.values(), *got.averages.values()):
        for pair in pairs.values():
            assert pair is None or 0 <= pair[0] <= pair[1] <= 1


# Where a bootstrap has nothing to say


@pytest.mark.parametrize("value", [0.0, 0.25, 1 / 3, 1.0])
def test_equal_values_have_the_interval_of_the_binomial_bound(value: float) -> None:
    values = made(2, 50).assign(AP=value)
    share = stats.binomtest(50, 50).proportion_ci(0.95, "exact").low
    got = found(values)
    expected = [value * share, value * share + 1 - share]
    for pairs in (got.directions["l0", "l1"], got.languages["cross", "l0"], *got.averages.values()):
        assert pairs["AP"] == pytest.approx(expected, abs=5e-4)
    ranges = {"mono": (0.0, np.inf), "cross": (-1.0, 1.0)}
    other = intervals.bootstrap(intervals.gather(values, NAMES), NAMES, setting_of, ranges)
    assert other.averages["mono", "macro"]["AP"] is None
    assert other.averages["cross", "macro"]["AP"] == pytest.approx([share * (value + 1) - 1, expected[1]], abs=5e-3)


@pytest.mark.parametrize("topics", [1, 2, 9, 10])
def test_few_topics_have_no_interval(topics: int) -> None:
    got = found(made(3, topics, wordings=2))
    for pairs in (*got.directions.values(), *got.languages.values(), *got.averages.values()):
        assert {pair is None for pair in pairs.values()} == {topics < bca.FEWEST}


def test_a_direction_of_few_topics_has_none_and_the_average_has_one() -> None:
    values = made(4, 40)
    rare = (values["query_lang"] == "l2") & ~values["topic"].isin([f"t{i}" for i in range(3)])
    got = found(values[~rare])
    assert got.directions["l2", "l0"]["AP"] is None
    assert got.languages["cross", "l2"]["AP"] is None
    assert None not in got.averages["cross", "macro"].values()


def test_intervals_hold_the_mean_as_often_as_they_say() -> None:
    """300 samples of 60 topics; the script tests.speed.coverage looks closer."""
    rng = np.random.default_rng(0)
    names = [str(i) for i in range(300)]
    values = pd.DataFrame(rng.beta(0.5, 0.5, (60, 300)), columns=pd.Index(names))
    values = values.assign(query_lang="en", pool="en", topic=[f"{i:02d}" for i in range(60)])
    ends = found(values.astype(dict.fromkeys(KEYS, "category")), names).directions["en", "en"]
    held = [pair is not None and pair[0] <= 0.5 <= pair[1] for pair in ends.values()]
    assert 0.91 <= np.mean(held) <= 0.98
