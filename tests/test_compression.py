"""A task searched through indexes: the same ranks where nothing is lost, what faiss finds where something is."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, cast

import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

import benchmark
from benchmark import compression, costs, indexes, measures, ranking, scoring, searched, systems
from benchmark.compression import EXACT, _Builder
from benchmark.encoders import Encoder, Role
from benchmark.indexes import parse
from benchmark.progress import Progress
from benchmark.ranking import ALL, NOT_FOUND, Ranking
from benchmark.run import Task
from benchmark.systems import System
from benchmark.vectors import Encoded
from leaderboard import drawing, losses, lossplots
from tasks import card
from tasks.collection import Collection, build
from tests import oracle
from tests.conftest import Ran
from tests.strategies import Floats, problems
from tests.test_lists import renamed

faiss: Any = pytest.importorskip("faiss")
Bench = Callable[..., Ran]
SETTINGS = ["mono", "cross", "multi"]
KEY = ["query_id", "doc_id", "pool"]
relaxed = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])


def whole_numbers(count: int, seed: int, width: int = 8) -> Floats:
    """Vectors whose products are exact in float32, with many ties and duplicates."""
    return np.random.default_rng(seed).integers(-2, 3, (count, width)).astype(np.float32)


def system(left: Floats, right: Floats) -> System:
    encoded: dict[Role, Encoded] = {
        "query": Encoded(left, np.ones(len(left), np.int32), 0.0, 0, 0, 0.0),
        "document": Encoded(right, np.ones(len(right), np.int32), 0.0, 0, 0, 0.0),
    }
    return System(systems.dense(left, right), encoded, {"query": "?", "document": "x"})


def builder(
    collection: Collection, left: Floats, right: Floats, depth: int = 100, asked: list[str] = SETTINGS
) -> _Builder:
    task = Task(card.find("demo"), collection, tuple(asked), (measures.parse("AP"),))
    return _Builder(task, lambda: system(left, right), False, depth, Progress(_console()))


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def ranked(made: System, collection: Collection, asked: list[str] = SETTINGS, ignore: bool = False) -> Ranking:
    return ranking.join(list(made.ranked(collection, asked, ignore_identical_ids=ignore)))


def rows(found: Ranking) -> pd.DataFrame:
    columns = [*KEY, "query_lang", "topic", "doc_lang", "relevance", "documents", "rank"]
    table = found.ranks[columns].astype(dict.fromkeys(columns, "str"))
    return table.sort_values(KEY).reset_index(drop=True)


def tops(found: Ranking) -> pd.DataFrame:
    columns = ["query_id", "rank", "doc_id", "doc_lang"]
    return found.top[columns].astype("str").sort_values(columns).reset_index(drop=True)


# --- ranks


@relaxed
@given(problems(), st.integers(0, 2**32 - 1), st.booleans())
def test_flat_is_exact_search_to_the_last_rank(
    problem: tuple[Collection, Floats, Floats], seed: int, ignore: bool
) -> None:
    collection, left, right = problem
    collection = renamed(collection) if ignore else collection
    exact = ranked(system(left, right), collection, ignore=ignore)
    found = ranked(builder(collection, left, right).whole(EXACT), collection, ignore=ignore)
    pd.testing.assert_frame_equal(rows(exact), rows(found))
    pd.testing.assert_frame_equal(tops(exact), tops(found))


def decoded(text: str, left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """What the two sides are after a compression, by numpy and faiss alone."""
    if text.startswith("dim"):
        left, right = left[:, : int(text[3])], right[:, : int(text[3])]
    if text.endswith("binary"):
        signs: tuple[Floats, Floats] = tuple(np.where(side > 0, 1, -1).astype(np.float32) for side in (left, right))  # type: ignore[assignment]
        return signs
    if text.startswith("dim"):
        return left, right
    made = faiss.index_factory(right.shape[1], text, faiss.METRIC_INNER_PRODUCT)
    made.train(right)
    made.add(right)
    return left, made.sa_decode(made.sa_encode(right))


@relaxed
@given(problems(), st.sampled_from(["SQ8", "SQ4", "SQfp16", "PQ1x1", "dim1", "binary", "dim1+binary"]))
def test_whole_indexes_rank_by_the_vectors_that_they_keep(
    problem: tuple[Collection, Floats, Floats], text: str
) -> None:
    collection, left, right = problem
    assume("PQ" not in text or (len(right) > 1 and right.shape[1] != 2))  # faiss cannot search PQ1x1 of two numbers
    kept = scoring.dot_product(*decoded(text, left, right))
    scores = oracle.exact_scores(kept.queries, kept.documents)
    expected = oracle.ranks(collection, scores, set(SETTINGS)).sort_values(KEY)
    made = builder(collection, left, right).whole(parse(text))
    found = rows(ranked(made, collection))
    assert found["rank"].astype(int).tolist() == expected["rank"].tolist()
    index = made.about["index"]
    assert index["documents"] == len(right)
    assert {name for row in index["recall"] for name in row["recall"]} == {"10", "100"}


@relaxed
@given(problems(), st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 40))
def test_lists_of_everything_are_exact_search(
    problem: tuple[Collection, Floats, Floats], seed: int, ignore: bool, at_a_time: int
) -> None:
    collection = renamed(problem[0]) if ignore else problem[0]
    left, right = whole_numbers(len(problem[1]), seed), whole_numbers(len(problem[2]), seed + 1)
    exact = ranked(system(left, right), collection, ignore=ignore)
    listed = builder(collection, left, right, depth=len(right)).lists(parse("IVF1,Flat"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searched, "LISTED", at_a_time * len(right))
        found = ranked(listed, collection, ignore=ignore)
    pd.testing.assert_frame_equal(rows(exact), rows(found))
    pd.testing.assert_frame_equal(tops(exact), tops(found))
    assert list(found.ranks["topic"].cat.categories) == list(pd.unique(collection.queries["topic"]))


@relaxed
@given(
    problems(),
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.sampled_from([SETTINGS, ["mono"], ["cross"], ["multi"]]),
)
def test_lists_score_what_trec_eval_makes_of_what_faiss_finds(
    problem: tuple[Collection, Floats, Floats], seed: int, depth: int, asked: list[str]
) -> None:
    collection = problem[0]
    if not searched.pools(collection, asked):  # as where one language asks and is searched, in cross
        return
    left, right = whole_numbers(len(problem[1]), seed), whole_numbers(len(problem[2]), seed + 1)
    langs, ids = (collection.documents[name].to_numpy(object) for name in ("lang", "doc_id"))
    spoken, query_ids = (collection.queries[name].to_numpy(object) for name in ("lang", "query_id"))
    factory = f"IVF{min(2, *(int((langs == lang).sum()) for lang in {*langs}), 9)},Flat"
    parts = [pd.DataFrame([], columns=searched.COLUMNS)]
    for pool in [*sorted({*langs}), ALL]:
        rows_ = [row for row, lang in enumerate(spoken) if pool in oracle.pools_of(collection, lang, set(asked))]
        if not rows_:
            continue
        held = np.flatnonzero((langs == pool) | (pool == ALL))
        made = faiss.index_factory(right.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        made.train(right[held])
        made.add(right[held])
        for row, scores, places in zip(rows_, *made.search(left[rows_], min(depth, len(held))), strict=True):
            there = places >= 0
            one = {"query_id": query_ids[row], "pool": pool, "doc_id": ids[held[places[there]]], "score": scores[there]}
            parts.append(pd.DataFrame(one))
    expected = oracle.trec_lists(collection, pd.concat(parts), set(asked), oracle.TREC)
    found = ranked(builder(collection, left, right, depth, asked).lists(parse(factory)), collection, asked)
    values = measures.evaluate(found.ranks, [measures.parse(name) for name in oracle.TREC])
    assert len(values) == len(expected)
    if not len(values):
        return
    both = values.astype({"query_id": "str", "pool": "str"}).merge(
        expected, on=["query_id", "pool"], suffixes=("", "_")
    )
    assert len(both) == len(values)
    for name in oracle.TREC:
        np.testing.assert_allclose(both[name], both[f"{name}_"], atol=1e-9)


@relaxed
@given(problems(), st.integers(1, 30))
def test_exact_lists_cut_off_are_the_exact_ranks_down_to_there(
    problem: tuple[Collection, Floats, Floats], depth: int
) -> None:
    collection, left, right = problem
    exact, found = (
        ranked(system(left, right), collection),
        ranked(builder(collection, left, right, depth).cut(), collection),
    )
    rank = exact.ranks["rank"].to_numpy()
    np.testing.assert_array_equal(found.ranks["rank"], np.where(rank <= depth, rank, NOT_FOUND))
    pd.testing.assert_frame_equal(
        tops(exact)[tops(exact)["rank"].astype(int) <= depth].reset_index(drop=True), tops(found)
    )


# --- recall


@relaxed
@given(problems(), st.integers(0, 2**32 - 1), st.integers(10, 30), st.booleans())
def test_recall_is_the_share_of_the_nearest_that_is_found(
    problem: tuple[Collection, Floats, Floats], seed: int, depth: int, sampled: bool
) -> None:
    collection, left, _ = problem
    rng = np.random.default_rng(seed)
    held = searched.pools(collection, SETTINGS)
    lists_of = {
        (which, pool): np.array([rng.permutation(len(rows_)) for _ in left])[:, : depth if which == "found" else 100]
        for which in ("exact", "found")
        for pool, rows_ in held.items()
    }
    asked = costs.sample(collection, 3 if sampled else 10**6)
    told = costs.recall(
        collection, SETTINGS, asked, lambda pool, rows_: lists_of["exact", pool][rows_],
        lambda pool, rows_: lists_of["found", pool][rows_], depth,
    )  # fmt: skip

    values: dict[tuple[str, str, str, str], list[float]] = {}
    for row in asked.tolist():
        lang = collection.queries["lang"].iloc[row]
        for pool in oracle.pools_of(collection, lang, set(SETTINGS)):
            setting = "multi" if pool == ALL else "mono" if pool == lang else "cross"
            for k in (10, 100):
                if k > depth:
                    continue
                first = lists_of["exact", pool][row][:k].tolist()
                others = set(lists_of["found", pool][row][:k].tolist())
                hits = [float(one in others) for one in first]
                values.setdefault((setting, "queries", lang, str(k)), []).append(sum(hits) / len(hits))
                if setting == "cross":
                    values.setdefault((setting, "documents", pool, str(k)), []).append(sum(hits) / len(hits))
                for one, hit in zip(first, hits, strict=True):
                    if setting == "multi":
                        spoken = collection.documents["lang"].iloc[held[pool][one]]
                        values.setdefault((setting, "documents", spoken, str(k)), []).append(hit)
    found = {
        (row["setting"], row["side"], row["language"], k): value for row in told for k, value in row["recall"].items()
    }
    assert found == pytest.approx({key: sum(some) / len(some) for key, some in values.items()}, abs=1e-4)


def test_the_nearest_are_those_of_a_sort() -> None:
    left, right = (np.random.default_rng(seed).standard_normal((40, 7)).astype(np.float32) for seed in (1, 2))
    expected = np.argsort(-(left.astype(float) @ right.T.astype(float)), axis=1)
    np.testing.assert_array_equal(costs.nearest(left, right, 12), expected[:, :12])
    np.testing.assert_array_equal(costs.nearest(left, right, 100), expected)


def test_queries_are_sampled_evenly() -> None:
    queries = pd.DataFrame({"query_id": [f"q{i}" for i in range(100)], "lang": "en", "text": "?", "topic": "t"})
    documents = pd.DataFrame([("d", "en", "x")], columns=["doc_id", "lang", "text"])
    collection = build(documents, queries, pd.DataFrame([("t", "d", 1)], columns=["topic", "doc_id", "relevance"]), "x")
    np.testing.assert_array_equal(costs.sample(collection, 1000), np.arange(100))
    np.testing.assert_array_equal(costs.sample(collection, 4), [0, 33, 66, 99])


def test_what_an_index_costs_is_of_the_one_that_is_searched() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((300, 16)).astype(np.float32)
    small, large = (indexes.build(EXACT, part, False) for part in (vectors[:100], vectors[100:]))
    both = costs.of({"de": small, "en": large}, vectors[:20], 10)
    assert both["documents"] == 300
    assert both["bytes"] == small.bytes + large.bytes
    assert both["bytes_per_vector"] == pytest.approx(64, abs=1)
    assert both["build_seconds"] == pytest.approx(small.seconds + large.seconds, abs=1e-3)
    whole = costs.of({"de": small, "en": large, ALL: indexes.build(EXACT, vectors, False)}, vectors[:20], 1000)
    assert (whole["documents"], whole["depth"]) == (300, 300)
    assert whole["milliseconds"] > 0
    assert whole["queries_per_second"] > 0


# --- the whole way


@pytest.fixture
def results(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


INDEX = ("index", "--model", "random", "--task", "demo", "--languages", "en,sw,th")


def says(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "evidence.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_each_variant_leaves_evidence_beside_the_exact_one(bench: Bench, results: Path) -> None:
    words = ("--index", "flat", "--index", "sq8", "--dim", "32", "--quantize", "binary", "--index", "hnsw8+efSearch=20",
             "--index", "dim32+ivf4,flat", "--depth", "120")  # fmt: skip
    ran = bench(*INDEX, *words)
    assert ran.code == 0, ran.err
    names = ["random", "random+Flat", "random+HNSW8+efSearch-20", "random+SQ8", "random+binary", "random+dim32",
             "random+dim32+IVF4-Flat", "random+top120"]  # fmt: skip
    assert sorted(path.name for path in results.iterdir()) == sorted(names)
    schema = json.loads((Path(benchmark.__file__).parent / "evidence.schema.json").read_text(encoding="utf-8"))
    for name in names:
        found = says(results / name / "demo")
        jsonschema.validate(found, schema)
        assert found["model"]["source"] == "random"
        assert found["model"]["dimensions"] == (32 if "dim32" in name else 64)
        assert found["cost"]["texts_encoded"] == (3 * (48 + 96) if name == "random" else 0)
        assert ("index" in found) == ("top" not in name)
    exact, flat = (results / name / "demo" for name in ("random", "random+Flat"))
    for file in ("ranks.parquet", "top.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(exact / file), pd.read_parquet(flat / file))
    assert says(exact)["directions"] == says(flat)["directions"]
    assert {value for row in says(flat)["index"]["recall"] for value in row["recall"].values()} == {1.0}
    hnsw = says(results / "random+HNSW8+efSearch-20" / "demo")
    assert hnsw["model"]["how"] == {"index": "HNSW8+efSearch=20", "depth": 120}
    assert hnsw["model"]["name"] == "random+HNSW8+efSearch=20"
    assert hnsw["key_parts"]["engine"] == {"faiss-cpu": faiss.__version__}
    assert all(row["rank_distance"] is None for row in hnsw["bias"])
    again = bench(*INDEX, *words)
    assert "building" not in again.err
    assert again.out == ran.out


def test_what_works_on_a_result_works_on_a_variant(bench: Bench, results: Path, tmp_path: Path) -> None:
    assert bench(*INDEX, "--index", "ivf4,flat", "--quantize", "int8").code == 0
    exact, lists = "results/random/demo", "results/random+IVF4-Flat/demo"
    assert bench("report", exact, lists, "--plots", "plots").code == 0
    compared = bench("compare", "results/random+top100/demo", lists)
    assert compared.code == 0, compared.err
    assert "what else was chosen was depth 100 and is index IVF4,Flat, depth 100" in compared.out
    quantised = ("check", "results/random+int8/demo", "--baseline", exact)
    bench(*quantised).failed("what else was chosen was nothing and is index int8")
    Path("allowed.toml").write_text('allow = ["how"]', encoding="utf-8")
    assert bench(*quantised, "--thresholds", "allowed.toml").code == 0
    unranked = bench("check", lists, "--baseline", exact, "--thresholds", "allowed.toml")
    unranked.failed("rank_distance is not there", "judge it by another")
    assert bench("leaderboard", "results").code == 0
    assert "random+IVF4,Flat" in (results / "README.md").read_text(encoding="utf-8")


def test_the_tables_say_who_pays(bench: Bench, results: Path) -> None:
    words = (*INDEX, "--index", "ivf8,flat", "--quantize", "int8", "--dim", "2")
    ran = bench(*words)
    for part in ("random on Demo", "exact", "dim2", "int8", "top100", "IVF8,Flat", "recall@10", "times", "Swahili (sw)",
                 "AP lost in mono", "AP lost in cross, by language of the documents", "by language of the question",
                 "int8: no language is seen to lose.", "AP by direction", "top100 is exact search"):  # fmt: skip
        assert part in ran.out, part
    assert ran.out.index("dim2") < ran.out.index("top100") < ran.out.index("IVF8,Flat")
    told = json.loads(bench(*words, "--format", "json").out)
    assert [one["name"] for one in told["variants"]] == ["dim2", "int8", "top100", "IVF8,Flat"]
    assert told["variants"][3]["against"].endswith("random+top100/demo")
    assert told["variants"][0]["against"] == told["evidence"]
    cells = pd.read_csv(StringIO(bench(*words, "--format", "csv").out))
    assert len(cells) == sum(len(one["cells"]) for one in told["variants"])
    page = bench(*words, "--format", "md").out
    assert "| index | mono AP |" in page
    drawn = bench(*words, "--plots", "plots")
    assert drawn.code == 0
    assert sorted(path.name for path in Path("plots").iterdir()) == [
        f"demo-random-loss-{setting}.{kind}" for setting in ("cross", "mono", "multi") for kind in ("png", "svg")
    ]
    drawn = bench(*words, "--plots", "again")
    for path in Path("plots").iterdir():
        assert path.read_bytes() == (Path("again") / path.name).read_bytes()


def test_a_bar_is_a_loss_and_those_that_lose_most_stand_first() -> None:
    lost = {"sw": -0.3, "en": 0.01, "th": -0.1}
    cells = pd.DataFrame(
        [
            {"variant": variant, "kind": "language", "setting": "cross", "side": side, "language": lang, "name": "AP",
             "difference": share * loss, "p_adjusted": 0.001 if lang == "sw" else 0.5}
            for variant, share in (("dim8", 1.0), ("IVF4,Flat", 0.5))
            for side in ("queries", "documents")
            for lang, loss in lost.items()
        ]
    )  # fmt: skip
    with drawing.style():
        ((setting, figure),) = lossplots.draw(cells, "model on task")
    assert setting == "cross"
    titled = {panel.get_title(loc="left") or panel.get_title(): panel for panel in figure.axes}
    assert [*titled] == ["dim8", "IVF4,Flat"]
    for panel, share in zip(titled.values(), (1.0, 0.5), strict=True):
        bars = [bar for bar in panel.patches if isinstance(bar, Rectangle)]
        found = {(round(bar.get_y() + bar.get_height() / 2), round(bar.get_width(), 6)) for bar in bars}
        assert found == {(row, round(share * lost[lang], 6)) for row, lang in enumerate(("sw", "th", "en"))}
        assert len(bars) == 6
        hollow = {round(bar.get_width(), 6) for bar in bars if bar.get_facecolor() == (1.0, 1.0, 1.0, 1.0)}
        assert hollow == {round(share * lost[lang], 6) for lang in ("th", "en")}
    labels = [label.get_text() for label in titled["dim8"].get_yticklabels()]
    assert [label.split(" · ")[-1] for label in labels] == ["sw", "th", "en"]


def test_directions_that_lose_are_counted_and_the_worst_is_named() -> None:
    told = [("en", "th", -0.2, 0.01), ("th", "en", -0.4, 0.2), ("sw", "en", 0.3, 0.001), ("en", "sw", -0.1, 0.04)]
    cells = pd.DataFrame(
        [
            {"variant": variant, "kind": "direction", "setting": "cross", "language": lang, "pool": pool, "name": "AP",
             "before": 0.5, "after": 0.5 + moved, "difference": moved, "p_adjusted": p}
            for variant, kept in (("SQ8", told), ("top50", told[:1]))
            for lang, pool, moved, p in kept
        ]
    )  # fmt: skip
    table = losses.directions(cells)
    assert table.cells.to_numpy().tolist() == [
        ["SQ8", 4, 2, 1, "th→en", 0.5, pytest.approx(0.1), -0.4],
        ["top50", 1, 1, 0, "en→th", 0.5, pytest.approx(0.3), -0.2],
    ]
    assert (table.marks, table.breaks) == ({(1, 7): "main"}, (1,))


def test_losses_are_means_of_directions_and_strong_alignment(bench: Bench, results: Path) -> None:
    told = json.loads(bench(*INDEX, "--index", "ivf8,flat", "--dim", "4", "--format", "json").out)
    cells = pd.concat([pd.DataFrame(one["cells"]).assign(variant=one["name"]) for one in told["variants"]])
    folders = {"exact": "random", "dim4": "random+dim4", "top100": "random+top100", "IVF8,Flat": "random+IVF8-Flat"}
    values = {}
    for name, folder in folders.items():
        ranks = pd.read_parquet(results / folder / "demo" / "ranks.parquet").astype({"pool": "str"})
        table = ranks[["query_lang", "doc_lang", "pool"]].astype("str").assign(rank=ranks["rank"])
        for lang in ("en", "sw", "th"):
            for side in ("query_lang", "doc_lang"):
                cross = table[
                    (table["pool"] != ALL) & (table["query_lang"] != table["doc_lang"]) & (table[side] == lang)
                ]
                assert len(cross) == 2 * 48  # one answer in each language, so AP is the mean reciprocal rank
                hit = np.where(cross["rank"] == NOT_FOUND, 0, 1 / cross["rank"])
                values[name, "cross", side, lang] = hit.mean()
    spoken = cells[(cells["kind"] == "language") & (cells["setting"] == "cross")]
    assert len(spoken) == 3 * 2 * 3
    side_of = {"queries": "query_lang", "documents": "doc_lang"}
    against = {"dim4": "exact", "top100": "exact", "IVF8,Flat": "top100"}
    for row in spoken.to_dict("records"):
        key = ("cross", side_of[row["side"]], row["language"])
        assert row["before"] == pytest.approx(values[against[row["variant"]], *key], abs=1e-9)
        assert row["after"] == pytest.approx(values[row["variant"], *key], abs=1e-9)
        assert row["difference"] == pytest.approx(row["after"] - row["before"], abs=1e-9)
    between = cells[cells["kind"] == "direction"]
    assert len(between) == 3 * 6
    folded = between.groupby(["variant", "language"])["after"].mean()
    for row in spoken[spoken["side"] == "queries"].to_dict("records"):
        assert folded[row["variant"], row["language"]] == pytest.approx(row["after"], abs=1e-9)
    families = cells.dropna(subset="p").groupby(["kind", "name"])
    for _, part in families:  # Holm: the smallest times how many there are, and so on down
        order = part.sort_values("p", kind="stable")
        steps = np.maximum.accumulate(order["p"].to_numpy() * np.arange(len(order), 0, -1)).clip(max=1)
        np.testing.assert_allclose(order["p_adjusted"], steps, rtol=1e-9)


def test_another_depth_times_everything_again(bench: Bench, results: Path) -> None:
    assert bench(*INDEX, "--index", "sq8").code == 0
    ran = bench(*INDEX, "--index", "sq8", "--index", "hnsw8", "--depth", "150")
    assert ran.code == 0, ran.err
    for name in ("random", "random+SQ8", "random+HNSW8"):
        assert says(results / name / "demo")["index"]["depth"] == 150


def test_dtypes_stand_in_the_same_table(bench: Bench, results: Path, made: Path) -> None:
    words = ("index", "--model", made, "--task", "demo", "--languages", "en,sw", "--dtypes", "float32,bfloat16")
    ran = bench(*words, "--dim", "8")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in results.iterdir()) == [
        "tiny-model", "tiny-model+dim8", "tiny-model+dtype-bfloat16"
    ]  # fmt: skip
    changed = says(results / "tiny-model+dtype-bfloat16" / "demo")
    assert changed["model"]["dtype"] == "bfloat16"
    assert changed["model"]["name"] == "tiny-model+dtype=bfloat16"
    assert changed["cost"]["texts_encoded"] > 0
    assert changed["index"]["recall"]
    plain = bench(
        "run", "--model", made, "--task", "demo", "--languages", "en,sw", "--dtype", "bfloat16", "--results", "b"
    )
    assert plain.code == 0
    assert says(Path("b/tiny-model/demo"))["directions"] == changed["directions"]
    assert "dtype=bfloat16" in ran.out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ((), ("nothing to search through", "--index", "--dtypes")),
        (("--index", "hnws32"), ("hnws32 is no index that faiss knows",)),
        (("--index", "ivf500,flat"), ("IVF500,Flat trains 500 clusters", "demo has 96 documents in en", "IVF96")),
        (("--index", "pq4x10"), ("PQ4x10 trains 1,024 clusters", "288 documents in all languages together", "8 bits")),
        (("--index", "pq7"), ("cannot make PQ7 of vectors of 64 numbers", "multiple")),
        (("--dim", "65"), ("dim65 keeps more numbers", "64 is the largest")),
        (("--dim", "0"), ("--dim",)),
        (("--quantize", "int4"), ("«int4» is no quantiser", "int8 or binary")),
        (("--index", "hnsw8", "--depth", "5"), ("--depth",)),
        (("--index", "hnsw8", "--measure", "R@200"), ("Lists of 100 documents cannot tell R@200", "--depth")),
        (
            ("--index", "hnsw8", "--settings", "mono,pair"),
            ("searched in mono, cross, multi, not in pair", "--settings"),
        ),
        (("--index", "sq8", "--format", "xml"), ("«xml» is not a format",)),
        (("--index", "sq8", "--results", "/dev/null/x"), ("cannot be written",)),
        (("--index", "sq8", "--dtypes", "bfloat16"), ("takes no --dtype",)),
        (("--index", "nsg8"), ("faiss cannot build NSG8 of 96 documents", "smaller than 100")),
    ],
)
def test_what_a_person_gets_wrong(words: tuple[str, ...], parts: tuple[str, ...], bench: Bench, results: Path) -> None:
    bench(*INDEX, *words).failed(*parts)


def test_what_does_not_fit_is_said_before_anything_is_encoded(bench: Bench, results: Path, cache: Path) -> None:
    for words, part in ((("--dim", "65"), "64 is the largest"), (("--index", "ivf500,flat"), "trains 500 clusters")):
        bench(*INDEX, *words).failed(part)
        assert not list(cache.rglob("*.npy"))
        assert not results.exists()


def test_a_model_without_vectors_has_no_index(results: Path, cache: Path, progress: Progress) -> None:
    from benchmark import run as runner
    from benchmark.encoders.random import Random
    from tasks.errors import UserError

    class Tokens(Random):
        kind = "tokens"  # type: ignore[misc]

    task = runner.prepare(card.find("demo"), query_languages=["en"], document_languages=["en"], progress=progress)
    with pytest.raises(UserError, match="random does not make one vector of a text"):
        compression.measure(task, cast(Encoder, Tokens()), [parse("sq8")], results, progress, "test")
    assert not results.exists()


def test_collections_that_are_searched_apart_have_no_lists() -> None:
    documents = pd.DataFrame([("a", "en", "x", "1")], columns=["doc_id", "lang", "text", "part"])
    queries = pd.DataFrame([("q", "en", "?", "t", "1")], columns=["query_id", "lang", "text", "topic", "part"])
    collection = build(documents, queries, pd.DataFrame([("t", "a", 1)], columns=["topic", "doc_id", "relevance"]), "x")
    task = Task(card.find("demo"), collection, ("mono",), (measures.parse("AP"),))
    from tasks.errors import UserError

    with pytest.raises(UserError, match="searched apart"):
        compression._check_lists(task, 100)


def test_what_is_whole_is_searched_in_pairs_of_languages_too(bench: Bench, results: Path) -> None:
    for asked in ("mono,pair", "pair"):
        ran = bench(*INDEX, "--index", "flat", "--settings", asked)
        assert ran.code == 0, ran.err
        exact, flat = (says(results / name / "demo") for name in ("random", "random+Flat"))
        assert exact["directions"] == flat["directions"]
        assert bool(flat["index"]["recall"]) == ("mono" in asked)


def test_collections_that_are_searched_apart_have_no_recall() -> None:
    documents = pd.DataFrame(
        [(f"{part}{row}", "en", "x", part) for part in "ab" for row in range(5)],
        columns=["doc_id", "lang", "text", "part"],
    )
    queries = pd.DataFrame(
        [(f"q{part}", "en", "?", part, part) for part in "ab"], columns=["query_id", "lang", "text", "topic", "part"]
    )
    judged = pd.DataFrame([("a", "a0", 1), ("b", "b3", 1)], columns=["topic", "doc_id", "relevance"])
    collection = build(documents, queries, judged, "x")
    left, right = whole_numbers(2, 0), whole_numbers(10, 1)
    made = builder(collection, left, right, asked=["mono"]).whole(parse("sq8"))
    assert made.about["index"]["recall"] == []
    assert made.about["index"]["documents"] == 10


def test_scores_that_faiss_does_not_give_are_not_told() -> None:
    from tasks.errors import UserError

    vectors = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    index = indexes.build(parse("sq8"), vectors, False)
    scorer = index.decoded(vectors)
    compression._agree(index, vectors, scorer, 10)
    moved = replace(scorer, documents=scorer.documents + np.float32(0.01))
    with pytest.raises(UserError, match="SQ8 as faiss .* gives other scores"):
        compression._agree(index, vectors, moved, 10)
