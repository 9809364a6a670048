"""The gate: what is harmed is named, what is not passes, and what cannot be compared is not let through."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark import bias, cells, check, measures, statistics
from benchmark.evidence import Result
from benchmark.thresholds import Thresholds, Where
from tasks.collection import Collection
from tasks.errors import UserError
from tests import harmed
from tests.harmed import MEASURE
from tests.strategies import Floats, problems
from tests.test_paired import noisy as shaken
from tests.test_paired import result as recorded
from tests.test_paired import uneven
from tests.test_ranking import ranked

SMALL = ("en", "sw", "th", "zh")


def checked(before: Result, after: Result, thresholds: Thresholds | None = None) -> check.Checked:
    (found,) = check.check({"made": before}, {"made": after}, thresholds or Thresholds())
    return found


def accused(found: check.Checked) -> set[str]:
    """The languages that regressed, on which sides."""
    down = found.regressed
    down = down[(down["kind"] == "languages") & (down["setting"] != "mono")]
    return {f"{row['side']} in {row['query_lang'] or row['pool']}" for row in down.to_dict("records")}


@pytest.fixture(scope="module")
def eleven(tmp_path_factory: pytest.TempPathFactory) -> tuple[Collection, harmed.Vectors, Result]:
    collection = harmed.task(30)
    vectors = harmed.model(collection)
    return collection, vectors, harmed.result(tmp_path_factory.mktemp("eleven") / "before", collection, vectors)


Eleven = tuple[Collection, harmed.Vectors, Result]


@pytest.mark.parametrize("seed", range(5))
def test_a_checkpoint_harmed_in_thai_alone_is_caught_and_thai_alone_is_named(
    seed: int, eleven: Eleven, tmp_path: Path
) -> None:
    collection, vectors, before = eleven
    after = harmed.again(tmp_path / "after", before, collection, harmed.noisy(collection, vectors, 0.25, seed, "th"))
    found = checked(before, after)
    assert found.verdict == "regressed"
    assert check.exit_code([found]) == 1
    assert accused(found) == {"queries in th", "documents in th"}
    mono = found.regressed[(found.regressed["kind"] == "languages") & (found.regressed["setting"] == "mono")]
    assert list(mono["query_lang"]) == ["th"]
    directions = found.regressed[found.regressed["kind"] == "directions"]
    assert len(directions)
    assert all("th" in pair for pair in directions[["query_lang", "pool"]].to_numpy().tolist())
    assert set(directions["through"]) <= {"queries in th", "documents in th"}
    others = found.cells[(found.cells["through"] != "") & (found.cells["kind"] == "languages")]
    assert set(others["verdict"]) == {"same"}


@pytest.mark.parametrize(("side", "name"), [(0, "queries in th"), (1, "documents in th")])
def test_one_side_harmed_is_one_side_named(side: int, name: str, eleven: Eleven, tmp_path: Path) -> None:
    collection, vectors, before = eleven
    after = harmed.noisy(collection, vectors, 0.3, 1, "th", sides=[side])
    assert accused(checked(before, harmed.again(tmp_path / "after", before, collection, after))) == {name}


def test_what_is_better_is_said_to_be_and_passes(eleven: Eleven, tmp_path: Path) -> None:
    collection, vectors, after = eleven
    before = harmed.again(tmp_path / "before", after, collection, harmed.noisy(collection, vectors, 0.25, 0, "th"))
    found = checked(before, after)
    assert found.verdict == "improved"
    assert check.exit_code([found]) == 0
    thai = found.cells[(found.cells["query_lang"] == "th") & (found.cells["kind"] == "languages")]
    assert set(thai["verdict"]) == {"improved"}


def test_the_same_result_is_the_same(eleven: Eleven) -> None:
    _, _, result = eleven
    found = checked(result, result, Thresholds(max_drop=0))
    assert set(found.cells["verdict"]) == {"same"}
    assert found.verdict == "same"
    assert (found.cells["p_adjusted"] == 1).all()


def test_harmless_changes_pass_a_hundred_times_of_a_hundred(tmp_path: Path) -> None:
    """Other batches, other threads: differences of 1e-7 to 1e-6 in the vectors, with no drop allowed at all."""
    collection = harmed.task(12, SMALL)
    vectors = harmed.model(collection)
    before = harmed.result(tmp_path / "before", collection, vectors)
    for seed in range(100):
        much = 10 ** np.random.default_rng(seed).uniform(-7, -6)
        moved = harmed.noisy(collection, vectors, much, seed)
        assert not np.array_equal(moved[0], vectors[0])
        after = harmed.again(tmp_path / str(seed), before, collection, moved)
        found = checked(before, after, Thresholds(max_drop=0, max_rise={"rank_distance": 0}))
        assert check.exit_code([found]) == 0, seed
        assert not len(found.regressed)


def test_noise_that_changes_ranks_passes_by_default(tmp_path: Path) -> None:
    """As that of a narrow dtype does."""
    collection = harmed.task(12, SMALL)
    vectors = harmed.model(collection)
    before = harmed.result(tmp_path / "before", collection, vectors)
    for seed in range(30):
        moved = harmed.noisy(collection, vectors, 1e-2, seed)
        found = checked(before, harmed.again(tmp_path / str(seed), before, collection, moved))
        assert check.exit_code([found]) == 0, seed
        assert (found.cells["difference"] != 0).any()


def test_the_risk_of_a_false_alarm_is_kept_over_all_cells() -> None:
    """Two models of equal worth that differ in every topic: an alarm in 5 % of the cases, however many cells."""
    rng = np.random.default_rng(0)
    kinds = ["averages"] * 4 + ["languages"] * 20 + ["directions"] * 60 + ["bias"]
    table = pd.DataFrame({"kind": kinds, "before": 0.5, "limit": 0.0, "least": np.nan, "noise": 0.0})
    alarms = []
    for _ in range(300):
        single = rng.standard_normal((30, 60)) / 30
        languages = single.reshape(30, 20, 3).mean(axis=2)
        averages = np.stack([single.mean(axis=1)] * 4, axis=1)
        differences = np.hstack([averages, languages, single, averages[:, :1]])
        found = table.assign(difference=differences.sum(axis=0), p=statistics.sign_flip(differences, 999))
        found["after"] = found["before"] + found["difference"]
        judged = check._judged(found, check._spread(differences), 0.05)
        alarms.append((judged["verdict"] == "regressed").any())
    assert scipy.stats.binomtest(int(sum(alarms)), 300, 0.05, alternative="greater").pvalue > 0.01


def test_p_is_of_having_got_worse(eleven: Eleven, tmp_path: Path) -> None:
    """The one-sided permutation test of scipy, over every pattern of signs."""
    collection = harmed.task(8, ("en", "th"))
    vectors = harmed.model(collection)
    before = harmed.result(tmp_path / "before", collection, vectors)
    after = harmed.again(tmp_path / "after", before, collection, harmed.noisy(collection, vectors, 0.3, 0))
    found = checked(before, after)
    values = [measures.evaluate(result.ranks(), [measures.parse(MEASURE)]) for result in (before, after)]
    tables = [v.pivot_table(MEASURE, "topic", ["query_lang", "pool"], observed=True) for v in values]
    rows = found.cells[found.cells["kind"].eq("directions") | found.cells["kind"].eq("languages")]
    rows = rows[rows["setting"].eq("mono") | rows["kind"].eq("directions")]
    fell = 0
    row: Any
    for row in rows.itertuples():
        one, other = (table[row.query_lang, row.pool or row.query_lang].to_numpy() for table in tables)
        if row.difference < 0:
            less = scipy.stats.permutation_test(
                (other - one,), np.sum, permutation_type="samples", alternative="less", n_resamples=9_999
            )
            assert row.p == pytest.approx(float(less.pvalue), abs=0.015)
            fell += 1
        else:
            assert row.p >= 0.5
    assert fell > 1


def test_verdicts_follow_from_difference_p_limit_noise_and_floor() -> None:
    """By the definitions, one cell at a time."""
    rng = np.random.default_rng(3)
    count = 400
    table = pd.DataFrame(
        {
            "kind": rng.choice(["averages", "languages", "directions", "bias"], count),
            "before": 0.5,
            "difference": rng.choice([0, 0.001, -0.001, 0.02, -0.02, 0.2, -0.2], count),
            "p": rng.choice([1e-9, 1e-6, 1.0], count),
            "limit": rng.choice([0, 0.01, 0.1], count),
            "noise": rng.choice([0, 0.005, 0.05], count),
            "least": rng.choice([np.nan, 0.45, 0.6], count),
        }
    ).assign(after=lambda t: t["before"] + t["difference"])
    found = check._judged(table, np.ones(count), 0.05)
    row: Any
    for row, said in zip(table.itertuples(), found["verdict"], strict=True):
        fall = row.difference if row.kind == "bias" else -row.difference
        if (row.p < 1 and fall > row.limit and fall > row.noise) or row.after < row.least:
            expected = "regressed"
        elif row.p < 1 and -fall > row.limit and -fall > row.noise:
            expected = "improved"
        elif row.difference and abs(row.difference) <= row.noise:
            expected = "within noise"
        else:
            expected = "same"
        assert said == expected, row
    assert set(found["verdict"]) == {"regressed", "improved", "within noise", "same"}


def test_each_kind_bears_an_equal_part_of_the_risk() -> None:
    """Holm's method with weights, against its definition by closed testing for three hypotheses."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        p, weights = rng.uniform(0, 0.2, 3), rng.uniform(0.1, 2, 3)
        sets = [[i for i in range(3) if mask >> i & 1] for mask in range(1, 8)]
        together = {tuple(s): min(1, min(p[i] * weights[s].sum() / weights[i] for i in s)) for s in sets}
        expected = [max(value for s, value in together.items() if i in s) for i in range(3)]
        np.testing.assert_allclose(statistics.holm(p, weights), expected)


def test_a_fall_that_is_said_to_be_seen_is_seen_four_times_in_five() -> None:
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"kind": ["averages"], "before": 0.5, "limit": 0.0, "least": np.nan, "noise": 0.0, "p": 1.0})
    base = scipy.stats.zscore(rng.standard_normal((80, 1))) / 80
    judged = check._judged(table.assign(difference=0.0, after=0.5), check._spread(base), 0.05)
    seen = judged["seen"].iloc[0]
    caught = 0
    for _ in range(300):
        moved = rng.standard_normal((80, 1)) / 80 - seen / 80
        row = table.assign(difference=moved.sum(), after=0.5 + moved.sum(), p=statistics.sign_flip(moved, 999))
        caught += check._judged(row, check._spread(moved), 0.05)["verdict"].iloc[0] == "regressed"
    assert caught / 300 == pytest.approx(0.8, abs=0.08)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(problem=problems(), seed=st.integers(0, 99))
def test_documents_are_means_of_directions_and_of_strong_alignment(
    problem: tuple[Collection, Floats, Floats], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cells")
    collection, left, right = problem
    rng = np.random.default_rng(seed)
    pair = [(left, right), (shaken(rng, left, 0.3), shaken(rng, right, 0.3))]
    results = [
        recorded(folder / str(place), collection, ranked(collection, *vectors), top=False)
        for place, vectors in enumerate(pair)
    ]
    found = cells.of(results[0], results[1], MEASURE)
    table = found.table
    np.testing.assert_allclose(found.differences.sum(axis=0), table["difference"], atol=1e-12)
    np.testing.assert_allclose(table["after"] - table["before"], table["difference"], atol=1e-12)
    documents = table[table["side"] == "documents"].set_index(["setting", "pool"])
    for place, name in enumerate(("before", "after")):
        says = results[place].says
        expected: dict[tuple[str, str], list[float]] = {}
        for row in says["strong"]:
            expected.setdefault(("multi", row["document_language"]), []).append(row["measures"][MEASURE])
        for row in says["directions"]:
            if row["setting"] in ("cross", "pair"):
                lang = next(tag for tag in row["document_languages"] if tag != row["query_language"])
                expected.setdefault((row["setting"], lang), []).append(row["measures"][MEASURE])
        assert set(expected) == set(documents.index)
        for key, values in expected.items():
            assert documents.loc[key, name] == pytest.approx(np.mean(values), abs=1e-6)


def test_what_a_topic_adds_to_strong_alignment(tmp_path: Path) -> None:
    """Topic by topic, where topics have several wordings, or none in a language."""
    collection, left, right = uneven()
    rng = np.random.default_rng(0)
    pair = [(left, right), (shaken(rng, left, 0.4), shaken(rng, right, 0.4))]
    results = [recorded(tmp_path / str(i), collection, ranked(collection, *v), top=False) for i, v in enumerate(pair)]
    found = cells.of(results[0], results[1], MEASURE).directions
    values = [measures.evaluate(bias.strong(r.ranks()), [measures.parse(MEASURE)]) for r in results]
    topics = sorted(set(values[0]["topic"].astype(str)))
    strong = found.table["setting"] == "strong"
    assert strong.sum() == 9
    for place in np.flatnonzero(strong):
        row = found.table.iloc[place]
        parts = [v[(v["query_lang"] == row["query_lang"]) & (v["pool"] == row["doc_lang"])] for v in values]
        sums = [part.groupby(part["topic"].astype(str))[MEASURE].sum().reindex(topics, fill_value=0) for part in parts]
        np.testing.assert_allclose(found.differences[:, place], (sums[1] - sums[0]) / len(parts[0]), atol=1e-12)
        assert row["n"] == parts[0]["topic"].nunique()


RUN = {"model": "x", "query prompt": "query: ", "document prompt": "passage: ", "dtype": "float32"}


@pytest.mark.parametrize(
    ("changed", "says", "allow"),
    [
        ({"query prompt": ""}, "the query prompt was «query: » and is «»", "prompts"),
        ({"document prompt": "text: "}, "the document prompt was «passage: » and is «text: »", "prompts"),
        ({"dtype": "bfloat16"}, "the dtype was «float32» and is «bfloat16»", "dtype"),
        ({"how": {"pooling": "cls"}}, "what else was chosen was nothing and is pooling cls", "how"),
    ],
)
def test_another_prompt_or_dtype_is_no_silent_pass(
    changed: dict[str, object], says: str, allow: str, eleven: Eleven
) -> None:
    _, _, result = eleven
    before = Result(result.folder, result.says | {"key_parts": RUN})
    after = Result(result.folder, result.says | {"key_parts": RUN | changed})
    found = checked(before, after)
    assert (found.verdict, found.reasons) == ("not comparable", [says])
    assert check.exit_code([found]) == 2
    assert len(found.cells) == len(found.regressed) == 0
    allowed = checked(before, after, Thresholds(allow=(allow,)))
    assert allowed.verdict == "same"
    assert says in allowed.remarks


def test_another_maximum_length_is_no_silent_pass(eleven: Eleven) -> None:
    _, _, result = eleven

    def cut(share: float, tokens: int = 5000) -> Result:
        about = {"tokens": {"query": 900, "document": tokens}, "truncated": {"query": 0.0, "document": share}}
        return Result(result.folder, result.says | {"model": result.says["model"] | about})

    found = checked(cut(0.0), cut(0.125))
    assert found.verdict == "not comparable"
    assert (
        "it cut 0.0% of the queries and 0.0% of the documents, and now 0.0% of the queries and 12.5%"
        in found.reasons[0]
    )
    assert checked(cut(0.0), cut(0.125), Thresholds(allow=("length",))).verdict == "same"
    assert checked(cut(0.1), cut(0.1)).verdict == "same"
    assert checked(cut(0.0), cut(0.125, tokens=6000)).verdict == "same"  # another tokenizer, so another model


def test_other_data_and_missing_tasks_cannot_be_judged(eleven: Eleven, tmp_path: Path) -> None:
    collection, vectors, result = eleven
    other = harmed.result(tmp_path / "other", collection, vectors, ("mono", "cross"))
    assert checked(result, other).reasons == ["only one was run in the setting multi"]
    found = check.check({"one": result, "two": result}, {"two": result, "three": result}, Thresholds())
    assert [(one.task, one.verdict, one.reasons) for one in found] == [
        ("one", "not comparable", ["only the baseline has this task"]),
        ("three", "not comparable", ["the baseline lacks this task"]),
        ("two", "same", []),
    ]
    assert check.exit_code(found) == 2


def test_what_regressed_counts_more_than_what_could_not_be_judged(eleven: Eleven, tmp_path: Path) -> None:
    collection, vectors, result = eleven
    after = harmed.again(tmp_path / "after", result, collection, harmed.noisy(collection, vectors, 0.3, 0))
    found = check.check({"one": result, "two": result}, {"two": after}, Thresholds())
    assert [one.verdict for one in found] == ["not comparable", "regressed"]
    assert check.exit_code(found) == 1
    assert check.exit_code([]) == 0


def noise(much: float) -> dict[str, Any]:
    scores = {
        setting: {kind: {MEASURE: much} for kind in ("averages", "languages", "directions")}
        for setting in ("mono", "cross", "multi", "strong")
    }
    row = {"varied": "batches", "how": "", "change": False, "texts": 1, "moved": 1.0, "largest": 0.1}
    return {"noise": [row | {"scores": scores, "bias": {"rank_distance": 1000.0}}]}


def test_what_the_noise_explains_is_within_noise(eleven: Eleven, tmp_path: Path) -> None:
    collection, vectors, before = eleven
    after = harmed.again(tmp_path / "after", before, collection, harmed.noisy(collection, vectors, 0.25, 0, "th"))
    for one, other in ((before.says | noise(0.9), after.says), (before.says, after.says | noise(0.9))):
        found = checked(Result(before.folder, one), Result(after.folder, other))
        assert found.verdict == "within noise"
        assert set(found.cells["verdict"]) == {"within noise", "same"}
        assert (found.cells.loc[found.cells["kind"] != "bias", "noise"] == 0.9).all()
    some = checked(Result(before.folder, before.says | noise(0.02)), after)
    assert accused(some) == {"queries in th", "documents in th"}
    change = noise(0.9)
    change["noise"][0]["change"] = True
    assert checked(Result(before.folder, before.says | change), after).verdict == "regressed"


def test_the_thresholds_that_fit_last_count(eleven: Eleven, tmp_path: Path) -> None:
    collection, vectors, before = eleven
    after = harmed.again(tmp_path / "after", before, collection, harmed.noisy(collection, vectors, 0.25, 0, "th"))
    limits = Thresholds(
        max_drop=0.02,
        max_rise={},
        where=(
            Where(setting="cross", max_drop=0.1),
            Where(language="th", max_drop=1.0),
            Where(setting="multi", language="th", measure=MEASURE, max_drop=0.5),
            Where(task="made", setting="mono", max_drop=0.3),
        ),
    )
    found = checked(before, after, limits).cells
    table = found.set_index(["kind", "setting", "side", "query_lang", "pool"])["limit"]
    assert table["averages", "multi", "", "macro", ""] == 0.02
    assert table["averages", "cross", "", "macro", ""] == 0.1
    assert table["languages", "cross", "queries", "en", ""] == 0.1
    assert table["languages", "cross", "documents", "", "th"] == 1.0
    assert table["directions", "cross", "", "en", "th"] == table["directions", "cross", "", "th", "en"] == 1.0
    assert table["languages", "multi", "queries", "th", ""] == 0.5
    assert table["languages", "mono", "queries", "th", ""] == 0.3
    assert not (found["kind"] == "bias").any()


def test_floors_are_of_averages_or_of_one_language(eleven: Eleven) -> None:
    _, _, result = eleven
    macro = {row["setting"]: row["measures"][MEASURE] for row in result.says["averages"] if row["average"] == "macro"}
    limits = Thresholds(where=(Where(language="sw", max_drop=0.5),))
    with pytest.raises(UserError, match="thresholds: the language «sw» is not checked"):
        checked(result, result, limits)
    found = checked(result, result, Thresholds(where=(Where(setting="mono", min_score=1.0),)))
    assert found.regressed[["kind", "setting", "query_lang"]].to_numpy().tolist() == [["averages", "mono", "macro"]]
    assert found.regressed["below"].all()
    of_thai = Thresholds(where=(Where(language="th", min_score=0.999),))
    rows = checked(result, result, of_thai).regressed
    assert set(rows["query_lang"]) == {"th"}
    assert set(rows["side"]) == {"queries"}
    low = Thresholds(where=(Where(measure=MEASURE, min_score=min(macro.values()) - 1e-6),))
    assert checked(result, result, low).verdict == "same"


def test_bias_may_rise_by_a_share(eleven: Eleven, tmp_path: Path) -> None:
    collection, vectors, before = eleven
    after = harmed.again(tmp_path / "after", before, collection, harmed.noisy(collection, vectors, 0.25, 0, "th"))
    for share, verdict in ((0.1, "regressed"), (20.0, "same")):
        found = checked(before, after, Thresholds(max_rise={"rank_distance": share}))
        (row,) = found.cells[found.cells["kind"] == "bias"].to_dict("records")
        assert row["verdict"] == verdict
        assert row["limit"] == pytest.approx(share * row["before"])
        assert row["after"] > row["before"]
    found = checked(before, after, Thresholds(max_rise={"own_excess@10": 0.1}))
    assert found.verdict == "not comparable"
    assert re.match(r"own_excess@10 follows from the top k.* run again, or leave it out", found.reasons[0])


def test_what_cannot_be_told_for_every_language_is_no_pass(tmp_path: Path) -> None:
    """Own first is not there for questions in a language without documents."""
    collection, left, right = uneven()
    spoken = (collection.documents["lang"] != collection.query_languages[-1]).to_numpy()
    held = collection.documents[spoken].reset_index(drop=True)
    judged = collection.judgements[collection.judgements["doc_id"].isin(held["doc_id"])].reset_index(drop=True)
    fewer = replace(collection, documents=held, judgements=judged)
    made = recorded(tmp_path / "made", fewer, ranked(fewer, left, right[spoken]), top=False)
    assert checked(made, made).verdict == "same"
    found = checked(made, made, Thresholds(max_rise={"own_first": 0.1}))
    assert (found.verdict, check.exit_code([found])) == ("not comparable", 2)
    assert found.reasons[0].startswith("own_first is not there for every language")


@pytest.mark.parametrize("settings", [("mono",), ("cross",), ("multi",), ("pair",), ("mono", "multi", "pair")])
def test_any_settings_will_do(settings: tuple[str, ...], tmp_path: Path) -> None:
    collection = harmed.task(30, SMALL)
    vectors = harmed.model(collection)
    before = harmed.result(tmp_path / "before", collection, vectors, settings)
    lost = harmed.noisy(collection, vectors, 0.3, 0, "th")
    found = checked(before, harmed.result(tmp_path / "after", collection, lost, settings))
    assert found.verdict == "regressed"
    assert {row[0] for row in found.cells[["setting"]].to_numpy().tolist()} == set(settings)
    if set(settings) - {"mono"}:
        assert accused(found) == {"queries in th", "documents in th"}
    assert checked(before, before).verdict == "same"


def test_several_measures_are_checked_together(eleven: Eleven, tmp_path: Path) -> None:
    collection, vectors, before = eleven
    after = harmed.again(tmp_path / "after", before, collection, harmed.noisy(collection, vectors, 0.25, 0, "th"))
    found = checked(before, after, Thresholds(measures=("AP", "R@1")))
    assert set(found.cells["name"]) == {"AP", "R@1", "rank_distance"}
    assert (found.cells["name"] == "rank_distance").sum() == 1
    assert accused(found) == {"queries in th", "documents in th"}
    alone = checked(before, after, Thresholds(measures=("AP",)))
    key = ["kind", "setting", "side", "query_lang", "pool", "name"]
    both = found.cells.set_index(key)["p_adjusted"].loc[alone.cells.set_index(key).index]
    assert (both >= alone.cells.set_index(key)["p_adjusted"] - 1e-12).all()
