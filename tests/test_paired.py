"""Two results side by side: what the evidence says as the oracle of values, scipy of intervals and p-values."""

import copy
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark import averages, bias, evidence, exposure, intervals, measures, paired, statistics, summary
from benchmark.comparable import comparable, require
from benchmark.evidence import Result
from benchmark.measures import parse
from benchmark.ranking import ALL, Ranking
from tasks.collection import Collection, build
from tasks.errors import UserError
from tests.strategies import Floats, problems
from tests.test_ranking import ranked, relaxed

LANGUAGES = ["de", "en", "sw"]
MEASURE = "nDCG@5"
Doubles = NDArray[np.float64]


def result(folder: Path, collection: Collection, ranking: Ranking, *, top: bool = True, **says: Any) -> Result:
    """Return the result of a ranking, with as much evidence as a comparison reads."""
    folder.mkdir(parents=True)
    ranking.ranks.to_parquet(folder / "ranks.parquet")
    if top:
        ranking.top.to_parquet(folder / "top.parquet")
    task = {
        "name": "made", "variant": "", "card_hash": "c", "data_hash": collection.digest(),
        "topics": collection.queries["topic"].nunique(), "query_languages": collection.query_languages,
        "document_languages": collection.document_languages,
    }  # fmt: skip
    found = {
        "key_parts": {"model": folder.name, "dtype": "float32"},
        "task": task,
        "model": {"name": folder.name},
        "main_measure": MEASURE,
        "pools": ranking.pools.to_dict("records"),
        "kept": {"every": 1, "topics": task["topics"], "top_every": 1},
    }
    return Result(folder, found | summary.tables([ranking], [parse(MEASURE)]) | says)


def noisy(rng: np.random.Generator, vectors: Floats, much: float) -> Floats:
    return (vectors + rng.standard_normal(vectors.shape) * much).astype(np.float32)


def two(folder: Path, problem: tuple[Collection, Floats, Floats], much: float = 0.5, **how: Any) -> list[Result]:
    """Return the results of vectors and of the same with noise."""
    collection, left, right = problem
    rng = np.random.default_rng(1)
    others = noisy(rng, left, much), noisy(rng, right, much)
    rankings = ranked(collection, left, right, **how), ranked(collection, *others, **how)
    return [
        result(folder / name, collection, ranking) for name, ranking in zip(("one", "other"), rankings, strict=True)
    ]


def uneven(topics: int = 30, wordings: int = 2) -> tuple[Collection, Floats, Floats]:
    """Return a task in which languages have other numbers of topics, and some topics several wordings."""
    rng = np.random.default_rng(2)
    documents = [(f"{lang}/{t}", lang, f"text {lang} {t}") for lang in LANGUAGES for t in range(topics)]
    queries = [
        (f"{t}/{lang}/{i}", lang, f"question {t} {lang} {i}", f"t{t}")
        for t in range(topics)
        for place, lang in enumerate(LANGUAGES)
        for i in range(1 + rng.integers(wordings))
        if rng.random() < 1 - place / 4
    ]
    judgements = [
        (f"t{t}", f"{lang}/{t}", 1) for t in range(topics) for lang in LANGUAGES if lang == "de" or rng.random() < 0.7
    ]
    collection = build(
        pd.DataFrame(documents, columns=["doc_id", "lang", "text"]),
        pd.DataFrame(queries, columns=["query_id", "lang", "text", "topic"]),
        pd.DataFrame(judgements, columns=["topic", "doc_id", "relevance"]),
        "uneven",
    )
    meaning, voice = rng.standard_normal((topics, 8)), rng.standard_normal((3, 8))
    left = np.array([meaning[int(row[3][1:])] + voice[LANGUAGES.index(row[1])] for row in queries], dtype=np.float32)
    right = (meaning[None] + voice[:, None]).reshape(-1, 8).astype(np.float32)
    return collection, left, right


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    return two(tmp_path_factory.mktemp("pair"), uneven())


def by_hand(results: list[Result], cell: "pd.Series[Any]") -> tuple[Doubles, Doubles]:
    """Return the differences summed by topic and direction (or language), and the numbers of queries: [topics, means].

    A cell is the mean of the means of the columns; a micro average has one column.
    """
    tables = []
    for one in results:
        if cell["kind"] == "bias":
            values = bias.by_query(one.ranks()).assign(setting="multi", pool=ALL)
        else:
            values = measures.evaluate(one.ranks(), [parse(MEASURE)])
            values["setting"] = averages.settings(values)
        values = values.astype(dict.fromkeys(["query_id", "query_lang", "topic", "pool"], "str"))
        for name in ("setting", "query_lang", "pool"):
            if cell[name] and cell[name] not in ("macro", "micro"):
                values = values[values[name] == cell[name]]
        tables.append(values.set_index(["query_id", "pool"])[["query_lang", "topic", cell["name"]]])
    both = tables[0].assign(after=tables[1][cell["name"]]).dropna().reset_index()
    both["change"] = both["after"] - both[cell["name"]]
    both["of"] = "" if cell["query_lang"] == "micro" else both["query_lang"] + "→" + both["pool"]
    grouped = both.groupby(["topic", "of"])["change"]
    sums, counts = grouped.sum().unstack(fill_value=0), grouped.size().unstack(fill_value=0)  # noqa: PD010
    return sums.to_numpy(float), counts.to_numpy(float)


def sample(found: pd.DataFrame) -> list["pd.Series[Any]"]:
    """Return a cell of each sort that has queries, as the oracles take some time."""
    cells = found[(found["n"] > 0) & ~found["name"].isin(exposure.MEASURES)]
    sort = ["kind", "setting", "name", "average"]
    cells = cells.assign(average=cells["query_lang"].where(cells["query_lang"].isin(["macro", "micro"])))
    return [cell for _, cell in cells.drop_duplicates(sort).iterrows()]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw few signs and topics, where it is not them that are tested."""
    monkeypatch.setattr(intervals, "REPLICATES", 40)
    monkeypatch.setattr(statistics, "sign_flip", partial(statistics.sign_flip, flips=99))


@settings(parent=relaxed, max_examples=20, suppress_health_check=list(HealthCheck))
@given(problem=problems(), much=st.sampled_from([0.0, 0.3]))
def test_before_and_after_are_what_the_evidence_says(
    short: None, problem: tuple[Collection, Floats, Floats], much: float
) -> None:
    with TemporaryDirectory() as folder:
        results = two(Path(folder), problem, much)
        (found,) = paired.compare(results)
    cells = found.cells.set_index(["kind", "setting", "query_lang", "pool", "name"])
    assert cells.index.is_unique
    for side, one in zip(("before", "after"), results, strict=True):
        directed = evidence.directions(one.says)
        by_lang = averages.by_language(directed, MEASURE).reset_index().to_dict("records")
        said = {("language", row["setting"], row["query_lang"], "", MEASURE): row[MEASURE] for row in by_lang}
        for row in directed.to_dict("records"):
            said["direction", row["setting"], row["query_lang"], row["pool"], MEASURE] = row[MEASURE]
        for row in one.says["averages"]:
            if row["average"] != "chance":
                said["average", row["setting"], row["average"], "", MEASURE] = row["measures"][MEASURE]
        for row in one.says["bias"]:
            for name in bias.MEASURES if row["query_language"] != "micro" else ():
                said["bias", "multi", row["query_language"], ALL, name] = row[name]
        assert set(cells.index) == set(said)
        shown = cells[cells.index.get_level_values("name") != exposure.PEER][side]  # of what both have
        np.testing.assert_allclose(
            shown, np.array([said[key] for key in shown.index], float), atol=2 * 10**-summary.DIGITS
        )
    counted = found.cells[found.cells["n"] > 0]
    np.testing.assert_allclose(found.differences.sum(axis=0), found.cells["difference"].fillna(0), atol=1e-9)
    assert (counted["wins"] + counted["ties"] + counted["losses"] == counted["n"]).all()
    assert (counted["p"].between(0, counted["p_adjusted"]) & (counted["p_adjusted"] <= 1)).all()
    assert found.cells.loc[found.cells["n"] == 0, ["before", "low", "p", "p_adjusted"]].isna().all(axis=None)
    assert found.cells["low"].isna().all(), "six topics are too few"
    if not much:
        assert (counted["ties"] == counted["n"]).all()
        assert (counted["difference"] == 0).all()
        assert (counted["p"] == 1).all()


def test_p_and_wins_are_of_topics(pair: list[Result]) -> None:
    for cell in sample(paired.compare(pair)[0].cells):
        sums, counts = by_hand(pair, cell)
        differences = (sums / counts.sum(axis=0)).mean(axis=1)
        oracle = scipy.stats.permutation_test(
            (differences,), np.sum, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(3)
        )
        assert cell["difference"] == pytest.approx(differences.sum())
        assert cell["p"] == pytest.approx(oracle.pvalue, abs=0.02)
        better = differences * (-1 if cell["better"] == "lower" else 1)
        assert (cell["wins"], cell["losses"]) == ((better > 1e-12).sum(), (better < -1e-12).sum())
        assert cell["n"] == (counts.sum(axis=1) > 0).sum()


def test_the_interval_is_scipys(pair: list[Result]) -> None:
    """Up to what two bootstraps differ by, and ours being a little wider of few topics."""
    tested = 0
    for cell in sample(paired.compare(pair)[0].cells):
        sums, counts = by_hand(pair, cell)
        width = sums.shape[1]

        def mean(*columns: Doubles, axis: int = 0, width: int = width) -> Doubles:
            left, right = np.array(columns[:width]), np.array(columns[width:])
            return np.asarray(np.mean(left.sum(axis=-1) / right.sum(axis=-1), axis=0))

        if not sums.any():
            assert cell["low"] < 0 < cell["high"], "nobody can be certain of no difference"
            continue
        oracle = scipy.stats.bootstrap(
            (*sums.T, *counts.T), mean, paired=True, vectorized=True, n_resamples=3_000, method="BCa",
            rng=np.random.default_rng(4),
        ).confidence_interval  # fmt: skip
        off = 0.15 * (oracle.high - oracle.low)
        assert cell[["low", "high"]].tolist() == pytest.approx([oracle.low, oracle.high], abs=off), cell.to_dict()
        tested += 1
    assert tested > 10


def test_neither_order_nor_blocks_change_a_number(pair: list[Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of `ranks.parquet` in another order, and with other categories, are the same ranks."""
    (whole,) = paired.compare(pair)
    monkeypatch.setattr(paired, "BLOCK", 3 * intervals.REPLICATES)
    shuffled = []
    for number, one in enumerate(pair):
        folder = one.folder.with_name(f"shuffled {number}")
        folder.mkdir(exist_ok=True)
        for name, table in (("ranks", one.ranks()), ("top", one.top())):
            table = table.sample(frac=1, random_state=number)
            for column in table.select_dtypes("category"):
                order = [*table[column].cat.categories[::-1], *([] if column == "documents" else ["unused"])]
                table[column] = table[column].cat.set_categories(order)
            table.to_parquet(folder / f"{name}.parquet")
        shuffled.append(Result(folder, one.says))
    (found,) = paired.compare(shuffled)
    pd.testing.assert_frame_equal(found.cells, whole.cells)


def test_topics_of_which_ranks_are_kept_are_compared(pair: list[Result], tmp_path: Path) -> None:
    """What is kept of every second and of every third topic shares every sixth."""
    thinned = []
    for step, one in zip((2, 3), pair, strict=True):
        ranks = one.ranks()
        kept = ranks[ranks["topic"].cat.codes % step == 0]
        (tmp_path / str(step)).mkdir()
        kept.to_parquet(tmp_path / str(step) / "ranks.parquet")
        says = one.says | {"kept": {"every": step, "topics": kept["topic"].nunique(), "top_every": 1}}
        thinned.append(Result(tmp_path / str(step), says))
    (found,) = paired.compare(thinned)
    assert (len(found.topics), found.held) == (5, 30)
    (tmp_path / "2" / "top.parquet").write_bytes((pair[0].folder / "top.parquet").read_bytes())
    top = pair[1].top()
    asked = pair[1].ranks().drop_duplicates("query_id").set_index("query_id")["topic"]
    kept_top = top[top["query_id"].map(asked).cat.codes % 30 == 29]  # of no topic whose ranks are kept
    kept_top.to_parquet(tmp_path / "3" / "top.parquet")
    cells = paired.compare(thinned)[0].cells.set_index(["name", "query_lang"])
    assert cells.loc[("own_excess@10", "macro"), "n"] == 0
    assert cells.loc[("rank_distance", "macro"), "n"] == 5
    with pytest.raises(UserError, match="hold ranks of other questions"):
        paired.compare([thinned[0], Result(thinned[1].folder, thinned[0].says)])


def test_p_values_are_adjusted_over_all_results_together(pair: list[Result], tmp_path: Path) -> None:
    third = two(tmp_path, uneven(), 0.2)[1]
    together = paired.compare([*pair, third])
    assert [(one.before, one.after) for one in together] == [(pair[0], pair[1]), (pair[0], third)]
    cells = pd.concat([one.cells for one in together])
    alone = paired.compare([pair[0], third])[0].cells
    assert (together[1].cells["p"] == alone["p"]).all()
    for fdr, adjust in ((False, statistics.holm), (True, scipy.stats.false_discovery_control)):
        cells = pd.concat([one.cells for one in paired.compare([*pair, third], fdr=fdr)])
        for kind, name, langs in (
            ("direction", MEASURE, []), ("average", MEASURE, ["macro"]), ("average", MEASURE, ["micro"]),
            ("language", MEASURE, []), ("bias", "rank_distance", []), ("bias", "rank_distance", ["macro"]),
        ):  # fmt: skip
            family = cells[(cells["kind"] == kind) & (cells["name"] == name)]
            average = family["query_lang"].isin(["macro", "micro"])
            family = family[family["query_lang"].isin(langs) if langs else ~average]
            assert len(family) > 1
            np.testing.assert_allclose(family["p_adjusted"], adjust(family["p"].to_numpy()))


def test_without_the_top_k_of_both_there_is_no_bias_of_it(pair: list[Result], tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "ranks.parquet").write_bytes((pair[1].folder / "ranks.parquet").read_bytes())
    (found,) = paired.compare([pair[0], Result(tmp_path / "bare", pair[1].says)])
    (whole,) = paired.compare(pair)
    shown, said = ({*cells.loc[cells["kind"] == "bias", "name"]} for cells in (found.cells, whole.cells))
    assert shown == {*bias.FROM_RANKS}
    assert said == {*bias.MEASURES}


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "task": (lambda says: says["task"].update(name="other"), "one is of the task made, the other of other"),
    "variant": (lambda says: says["task"].update(variant="long"), "the task made, the other of made@long"),
    "languages": (lambda says: says["task"].update(query_languages=["de", "th"]), "questions differ by en, sw, th"),
    "data": (lambda says: says["task"].update(data_hash="x"), "texts or judgements differ"),
    "card": (lambda says: says["task"].update(card_hash="x"), "cards of the task differ"),
    "settings": (lambda says: says.update(directions=says["directions"][:1]), "only one was run in the setting cross"),
    "measure": (lambda says: says.update(main_measure="AP"), "main measures are nDCG@5 and AP (name one"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_questions_are_refused_with_the_reason(what: str, pair: list[Result]) -> None:
    change, reason = REFUSED[what]
    says = copy.deepcopy(pair[1].says)
    change(says)
    other = Result(pair[1].folder, says)
    reasons = comparable(pair[0], other)
    assert any(one.prevents and reason in one.text for one in reasons), reasons
    with pytest.raises(UserError, match=re.escape(reason)):
        paired.compare([pair[0], other])


def test_another_measure_that_is_named_needs_no_main_one(pair: list[Result]) -> None:
    other = Result(pair[1].folder, pair[1].says | {"main_measure": "AP"})
    assert {*paired.compare([pair[0], other], "AP")[0].cells["name"]} == {"AP", *bias.MEASURES}


def test_what_is_compared_may_differ(pair: list[Result]) -> None:
    assert [(one.text, one.prevents) for one in comparable(pair[0], pair[1])] == [
        ("the model was one and is other", False)
    ]
    parts = {"model": "another", "dtype": "bfloat16", "query prompt": "query: "}
    other = Result(pair[1].folder, pair[1].says | {"key_parts": parts, "model": {"name": "one"}})
    assert [one.text for one in comparable(pair[0], other) if not one.prevents] == [
        "the model has the same name and other weights",
        "the query prompt was nothing and is «query: »",
        "the dtype was «float32» and is «bfloat16»",
    ]
    assert comparable(pair[0], pair[0]) == []
    cost = {"halved": [{"texts": 8, "batches": 2}, {"texts": 4, "batches": 1}]}
    other = Result(pair[0].folder, pair[0].says | {"cost": cost})
    assert [one.text for one in comparable(pair[0], other)] == [
        "0 batches were encoded in halves for want of memory, and now 3, which moves the last bits of vectors"
    ]
    require([pair[0], other])
