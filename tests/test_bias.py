"""Language bias by hand and by definition: rankings that are fair, that put the own language first, and random ones."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from benchmark import averages, bias, consistency, exposure, measures, scoring, summary
from benchmark.ranking import ALL, Ranking
from tasks import languages
from tasks.collection import Collection, build
from tests.strategies import Floats, problems
from tests.test_ranking import ranked, relaxed

CATEGORIES = ["query_id", "query_lang", "topic", "doc_id", "doc_lang", "pool", "documents"]


def ranks(*rows: tuple[str, str, str, int], documents: int = 100) -> pd.DataFrame:
    """Rows are (query language, topic, document language, rank in the pool of all)."""
    frame = pd.DataFrame(rows, columns=["query_lang", "topic", "doc_lang", "rank"])
    frame["query_id"] = frame["topic"] + "/" + frame["query_lang"]
    frame["doc_id"] = frame["doc_lang"] + "/" + frame["topic"] + "/" + frame["rank"].astype(str)
    return frame.assign(pool=ALL, relevance=1, documents=documents).astype(dict.fromkeys(CATEGORIES, "category"))


def test_answers_by_hand() -> None:
    """All on top; the own language first and the others far behind; everything at the end; 100 documents."""
    fair = [("en", "fair", lang, rank) for rank, lang in enumerate(("sw", "en", "th"), 1)]
    own = [("en", "own", lang, rank) for lang, rank in (("en", 1), ("sw", 40), ("th", 80))]
    worst = [("en", "worst", lang, rank) for lang, rank in (("th", 98), ("en", 99), ("sw", 100))]
    found = bias.by_query(ranks(*fair, *own, *worst)).set_index("topic")
    assert found["rank_distance"].to_dict() == {"fair": 2, "own": 79, "worst": 2}
    assert found["max_rank"].to_dict() == {"fair": 3, "own": 80, "worst": 100}
    normalised = found["max_rank_normalised"]
    assert normalised["fair"] == pytest.approx(100)
    assert normalised["worst"] == pytest.approx(0)
    assert normalised["own"] == pytest.approx(100 * np.log2(100 / 80) / np.log2(100 / 3))
    assert found["complete@10"].to_dict() == {"fair": 1, "own": 0, "worst": 0}
    assert found["own_first"].to_dict() == {"fair": 0, "own": 1, "worst": 0}
    assert found["own_first_chance"].tolist() == pytest.approx([1 / 3] * 3)
    assert found["rank_distance_chance"].tolist() == pytest.approx([101 * 2 / 4] * 3)


def test_everything_relevant_is_all_on_top() -> None:
    found = bias.by_query(ranks(("en", "t", "en", 1), ("en", "t", "sw", 2), documents=2))
    assert found["max_rank_normalised"].tolist() == [100]


def test_preference_needs_an_answer_here_and_one_elsewhere() -> None:
    found = bias.by_query(
        ranks(
            ("en", "a", "sw", 1),
            ("en", "b", "en", 1),
            ("en", "c", "en", 3),
            ("en", "c", "en", 9),
            ("en", "c", "sw", 4),
            documents=10,
        )
    ).set_index("topic")
    assert found["own_first"].isna().to_dict() == {"a": True, "b": True, "c": False}
    assert found.loc["c", "own_first"] == 1
    assert found.loc["c", "own_first_chance"] == pytest.approx(2 / 3)


def test_strong_alignment_takes_the_other_answers_away() -> None:
    found = bias.strong(
        ranks(
            ("en", "t", "en", 1), ("en", "t", "sw", 2), ("en", "t", "th", 5), ("en", "t", "sw", 9), ("sw", "t", "en", 3)
        )
    )
    rows = {(str(r.query_lang), str(r.doc_lang), str(r.pool), int(r.rank)) for r in found.itertuples()}  # type: ignore[arg-type]
    assert rows == {
        ("en", "en", "en", 1), ("en", "sw", "sw", 1), ("en", "sw", "sw", 7), ("en", "th", "th", 3),
        ("sw", "en", "en", 3),
    }  # fmt: skip


@relaxed
@given(problems())
def test_strong_alignment_is_ranking_without_the_other_answers(problem: tuple[Collection, Floats, Floats]) -> None:
    collection, left, right = problem
    found = bias.strong(ranked(collection, left, right, {"multi"}).ranks)
    scores = scoring.dot_product(left, right).exact(slice(0, len(left)), slice(0, len(right)))
    judged = collection.judgements[collection.judgements["relevance"] > 0]
    documents = collection.documents
    expected = set()
    for place, query in enumerate(collection.queries.itertuples()):
        answers = set(judged.loc[judged["topic"] == query.topic, "doc_id"])
        for lang in collection.document_languages:
            kept = documents[~documents["doc_id"].isin(answers) | (documents["lang"] == lang)]
            order = sorted(((scores[place, i], doc_id) for i, doc_id in kept["doc_id"].items()), reverse=True)  # type: ignore[index]
            expected |= {
                (query.query_id, doc_id, lang, rank) for rank, (_, doc_id) in enumerate(order, 1) if doc_id in answers
            }
    columns = zip(*(found[name].astype("str") for name in ("query_id", "doc_id", "pool")), found["rank"], strict=True)
    assert set(columns) == expected


def top(*lists: tuple[str, str, str, list[float] | None]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lists are (query language, topic, languages of the documents from the best, scores)."""
    rows, queries = [], []
    for query_lang, topic, shown, scores in lists:
        queries.append((f"{topic}/{query_lang}", query_lang, topic))
        for rank, lang in enumerate(shown.split(), 1):
            code, _, number = lang.partition(":")
            score = scores[rank - 1] if scores else 1 - rank / 1000
            rows.append((f"{topic}/{query_lang}", rank, f"{code}/{number or rank}", code, score))
    frame = pd.DataFrame(rows, columns=["query_id", "rank", "doc_id", "doc_lang", "score"])
    frame = frame.astype({"query_id": "category", "doc_id": "category", "doc_lang": "category", "score": "float32"})
    asked = pd.DataFrame(queries, columns=["query_id", "query_lang", "topic"])
    return frame, asked.astype({"query_lang": "category"})


def exposed(
    frame: pd.DataFrame, queries: pd.DataFrame, answers: pd.DataFrame, pool: dict[str, int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    shown = exposure.lists(frame, queries["query_id"], list(pool))
    return exposure.by_query(shown, queries[["query_id", "query_lang"]], answers, pd.Series(pool))


def test_exposure_by_hand() -> None:
    """Two languages of fifty documents each, one asks: its own language only, both in turn, and the other only."""
    frame, queries = top(
        ("en", "own", " ".join(["en"] * 10), None),
        ("en", "even", " ".join(["en", "sw"] * 5), None),
        ("en", "other", " ".join(["sw"] * 10), None),
    )
    answers = ranks(*((f"{lang}", topic, other, 50) for lang, topic in (("en", "own"), ("en", "even"), ("en", "other"))
                      for other in ("en", "sw")))  # fmt: skip
    found, share = exposed(frame, queries, answers, {"en": 50, "sw": 50})
    assert found["own_excess@10"].tolist() == pytest.approx([0.5, 0, -0.5])
    own, even, other = found["awrf_uniform@10"]
    one_sided = 1 - (np.log2(1 / 0.75) + 0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25)) / 2
    assert own == other == pytest.approx(one_sided)
    assert 0.99 < even < 1
    assert found["awrf_relevant@10"].tolist() == pytest.approx(found["awrf_uniform@10"].tolist())
    assert found["peer@100"].isna().tolist() == [True, False, True]
    ten = share[share["k"] == 10].iloc[0]
    assert (ten["query_lang"], ten["queries"], ten["en"], ten["sw"]) == (
        "en", 3, pytest.approx(1.5), pytest.approx(1.5),
    )  # fmt: skip


def test_one_language_before_the_other_is_unfair_to_peer_and_turns_are_not() -> None:
    frame, queries = top(
        ("en", "first", " ".join(["en"] * 20 + ["sw"] * 20), None),
        ("en", "turns", " ".join(["en", "sw", "sw", "en"] * 10), None),
    )
    answers = ranks(("en", "first", "en", 99), ("en", "turns", "en", 99))
    first, turns = exposed(frame, queries, answers, {"en": 50, "sw": 50})[0]["peer@100"]
    assert first < 1e-6
    assert turns == 1


def test_answers_do_not_count_for_peer() -> None:
    """With the answers counted, one language would stand in front."""
    frame, queries = top(("en", "t", "en en en en sw en en sw sw en", None))
    answers = ranks(*(("en", "t", "en", rank) for rank in (1, 2, 3, 4)))
    found = exposed(frame, queries, answers, {"en": 9, "sw": 9})[0]["peer@100"].iloc[0]
    assert found == pytest.approx(scipy.stats.kruskal([2, 3, 6], [1, 4, 5]).pvalue)


@pytest.mark.parametrize("languages_shown", [["a b", "b a"], ["a b c d", "d c b a"], ["a a a", "a"]])
def test_peer_is_silent_where_every_order_gives_the_same(languages_shown: list[str]) -> None:
    """One document a language is why it is not taken of the answers of parallel tasks: the test is then a constant."""
    frame, queries = top(*(("en", f"t{i}", shown, None) for i, shown in enumerate(languages_shown)))
    answers = ranks(*(("en", f"t{i}", "a", 50) for i in range(len(languages_shown))))
    assert exposed(frame, queries, answers, dict.fromkeys("abcd", 20))[0]["peer@100"].isna().all()


@relaxed
@given(problems(), st.sampled_from([1, 3, 10**6]))
def test_exposure_is_what_it_says(problem: tuple[Collection, Floats, Floats], block: int) -> None:
    collection, left, right = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exposure, "BLOCK", block)
        patch.setattr(consistency, "BLOCK", block)
        ranking = ranked(collection, left, right, {"multi"})
        sizes = collection.documents["lang"].value_counts().sort_index()
        values = bias.by_query(ranking.ranks)
        shown = exposure.lists(ranking.top, values["query_id"], list(sizes.index))
        found, share = exposure.by_query(shown, values[["query_id", "query_lang"]], ranking.ranks, sizes)
        agreed = consistency.by_pair(shown, values)
    answers = ranking.ranks.astype({"query_id": "str", "doc_lang": "str"})
    lists = {
        str(query_id): part.sort_values("rank") for query_id, part in ranking.top.groupby("query_id", observed=True)
    }
    shares: dict[tuple[str, int], list[list[float]]] = {}
    for got in found.astype({"query_id": "str", "query_lang": "str"}).to_dict("records"):
        speaks = got["query_lang"]
        mine = answers[answers["query_id"] == got["query_id"]]
        listed = lists[got["query_id"]]["doc_lang"].astype("str").tolist()
        for k in (10, 100):
            part = listed[:k]
            shares.setdefault((speaks, k), []).append([part.count(lang) / len(part) for lang in sizes.index])
            if speaks in sizes.index:
                excess = part.count(speaks) / len(part) - sizes[speaks] / sizes.sum()
                assert got[f"own_excess@{k}"] == pytest.approx(excess)
            else:
                assert np.isnan(got[f"own_excess@{k}"])
            weights = dict.fromkeys(sizes.index, 0.0)
            for place, lang in enumerate(part, 1):
                weights[lang] += 1 / np.log2(max(place, 2))
            uniform, relevant = np.ones(len(sizes)), [(mine["doc_lang"] == lang).sum() for lang in sizes.index]
            for target, wanted in (("uniform", uniform), ("relevant", relevant)):
                distance = jensenshannon(list(weights.values()), wanted, base=2)
                assert got[f"awrf_{target}@{k}"] == pytest.approx(1 - distance**2, abs=1e-9)
        places: dict[str, list[int]] = {}
        for number, (_, lang) in enumerate(
            [(place, lang) for place, lang in enumerate(listed[:100], 1) if place not in set(mine["rank"])], 1
        ):
            places.setdefault(lang, []).append(number)
        if len(places) > 1 and max(map(len, places.values())) > 1:
            assert got["peer@100"] == pytest.approx(scipy.stats.kruskal(*places.values()).pvalue)
        else:
            assert np.isnan(got["peer@100"])
    for row in share.to_dict("records"):
        mean = np.mean(shares[row["query_lang"], row["k"]], axis=0)
        assert [row[lang] / row["queries"] for lang in sizes.index] == pytest.approx(mean.tolist())
    expected = agreement(lists, values)
    assert [(row["first"], row["second"], row["topics"]) for row in agreed.to_dict("records")] == [
        (*langs, len(pairs)) for langs, pairs in sorted(expected.items())
    ]
    for row in agreed.to_dict("records"):
        pairs = np.array(expected[row["first"], row["second"]])
        assert row["RankC@10"] == pytest.approx(pairs[:, 0].mean())
        told = pairs[~np.isnan(pairs[:, 1]), 1]
        assert row["MRC@10"] == pytest.approx(told.mean() if len(told) else np.nan, abs=1e-9, nan_ok=True)


def agreement(
    lists: dict[str, pd.DataFrame], queries: pd.DataFrame
) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """RankC and MRC of every two wordings of a topic, from their definitions."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    depth = max(len(part) for part in lists.values())
    k = min(10, depth)
    weights = np.exp(np.arange(k, 0, -1)) / np.exp(np.arange(k, 0, -1)).sum()
    for _, rows in queries.groupby("topic", observed=True):
        asked: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for one, two in itertools.permutations(rows.itertuples(), 2):
            if str(one.query_lang) >= str(two.query_lang):
                continue
            first, second = lists[str(one.query_id)], lists[str(two.query_id)]
            a, b = (part["doc_id"].astype("str").tolist() for part in (first, second))
            rank_c = sum(w * len({*a[:j]} & {*b[:j]}) / j for j, w in enumerate(weights, 1))
            scored = [dict(zip(ids, part["score"], strict=True)) for ids, part in ((a, first), (b, second))]
            union = sorted({*a[:10], *b[:10]})
            left, right = ([side.get(doc, -1e9) for doc in union] for side in scored)
            constant = len({*left}) == 1 or len({*right}) == 1
            mrc = float("nan") if constant else scipy.stats.spearmanr(left, right).statistic
            asked.setdefault((str(one.query_lang), str(two.query_lang)), []).append((float(rank_c), float(mrc)))
        for langs, values in asked.items():  # the wordings of a topic count as one
            told = [mrc for _, mrc in values if not np.isnan(mrc)]
            means = float(np.mean([rank_c for rank_c, _ in values])), float(np.mean(told)) if told else float("nan")
            found.setdefault(langs, []).append(means)
    return found


def test_agreement_by_hand() -> None:
    """The same list twice, the same reversed, and two lists with nothing in common."""
    same = " ".join(f"en:{i}" for i in range(10))
    back = " ".join(f"en:{i}" for i in range(9, -1, -1))
    apart = " ".join(f"sw:{i}" for i in range(10))
    frame, queries = top(
        ("en", "t", same, None), ("de", "t", same, None), ("sw", "t", back, None), ("th", "t", apart, None)
    )
    shown = exposure.lists(frame, queries["query_id"], ["en", "sw"])
    found = consistency.by_pair(shown, queries).set_index(["first", "second"])
    assert found["RankC@10"]["de", "en"] == pytest.approx(1)
    assert found["MRC@10"]["de", "en"] == pytest.approx(1)
    assert found.loc[("en", "sw"), "MRC@10"] == pytest.approx(-1)
    assert float(found["RankC@10"].loc["en", "sw"]) < 0.01
    assert found.loc[("en", "th"), "RankC@10"] == 0
    assert (
        float(found["MRC@10"].loc["en", "th"]) < -0.8
    )  # what either finds the other does not: not chance, but opposition
    assert found["topics"].tolist() == [1] * 6


def even(topics: int, langs: list[str], per_language: int) -> Collection:
    """Every topic asked and answered once in every language."""
    documents = [(f"{lang}/{i}", lang, f"{lang} {i}") for lang in langs for i in range(per_language)]
    return build(
        pd.DataFrame(documents, columns=["doc_id", "lang", "text"]),
        pd.DataFrame(
            [(f"t{i}/{lang}", lang, "?", f"t{i}") for i in range(topics) for lang in langs],
            columns=["query_id", "lang", "text", "topic"],
        ),
        pd.DataFrame(
            [(f"t{i}", f"{lang}/{i}", 1) for i in range(topics) for lang in langs],
            columns=["topic", "doc_id", "relevance"],
        ),
        "even",
    )


def biases(ranking: Ranking) -> dict[str, float]:
    return next(
        row for row in summary.tables([ranking], [measures.parse("AP")])["bias"] if row["query_language"] == "macro"
    )


def test_a_fair_a_selfish_and_a_random_model() -> None:
    """Meaning alone; the language before the meaning; noise. 40 topics in 5 languages, and 200 documents in each."""
    langs, topics, per_language = ["de", "en", "hi", "sw", "th"], 40, 200
    collection = even(topics, langs, per_language)
    rng = np.random.default_rng(5)
    meaning = rng.standard_normal((per_language, 64)).astype(np.float32)
    meaning /= np.linalg.norm(meaning, axis=1, keepdims=True)
    tongue = np.eye(5, dtype=np.float32)
    asked = [
        (int(query_id[1:].split("/")[0]), langs.index(query_id.split("/")[1]))
        for query_id in collection.queries["query_id"]
    ]
    said = [(int(doc_id.split("/")[1]), langs.index(doc_id.split("/")[0])) for doc_id in collection.documents["doc_id"]]

    def model(weight: float) -> tuple[Floats, Floats]:
        left, right = (
            np.array([np.concatenate([meaning[m], weight * tongue[t]]) for m, t in side], dtype=np.float32)
            for side in (asked, said)
        )
        return left, right

    fair = biases(ranked(collection, *model(0.0)))
    selfish = biases(ranked(collection, *model(9.0)))
    noise = (
        rng.standard_normal((len(asked), 64)).astype(np.float32),
        rng.standard_normal((len(said), 64)).astype(np.float32),
    )
    random = biases(ranked(collection, *noise))

    assert fair["rank_distance"] == 4  # five answers with nothing between them
    assert fair["max_rank_normalised"] == pytest.approx(100)
    assert fair["complete@10"] == 1
    assert abs(fair["own_excess@100"]) < 0.02
    assert fair["awrf_relevant@100"] > 0.95

    assert selfish["own_first"] == 1
    assert selfish["own_excess@10"] == selfish["own_excess@100"] == pytest.approx(0.8)
    assert selfish["rank_distance"] >= 200
    assert selfish["complete@10"] == 0
    assert selfish["peer@100"] is None  # one language has nothing to be compared with; the share says it
    assert selfish["peer@100_queries"] == 0

    assert random["own_first"] == pytest.approx(random["own_first_chance"], abs=0.1)
    assert random["rank_distance"] == pytest.approx(random["rank_distance_chance"], rel=0.1)
    assert abs(random["own_excess@100"]) < 0.02
    assert random["peer@100"] == pytest.approx(0.5, abs=0.07)  # p-values of nothing are uniform


def test_averages_of_bias_name_their_holes() -> None:
    """Thai has no query with the measure: macro, over languages, is a hole; micro, over queries, is not."""
    table = pd.DataFrame({"query_lang": ["en", "en", "th"], "topic": ["a", "b", "a"]}).assign(
        **dict.fromkeys([*bias.MEASURES, *bias.CHANCE], 1.0)
    )
    table["peer@100"] = [0.2, np.nan, np.nan]
    rows = averages.bias_rows(table).set_index("query_lang")
    assert rows["peer@100"].to_dict() == pytest.approx(
        {"en": 0.2, "th": np.nan, "macro": np.nan, "micro": 0.2}, nan_ok=True
    )
    assert rows["peer@100_queries"].to_dict() == {"en": 1, "th": 0, "macro": 1, "micro": 1}
    assert rows["queries"].to_dict() == {"en": 2, "th": 1, "macro": 3, "micro": 3}


def test_spread_names_the_worst_language() -> None:
    directed = pd.DataFrame(
        [("mono", "en", "en", 0.9), ("mono", "th", "th", 0.5), ("cross", "en", "th", 0.4), ("cross", "en", "sw", 0.2),
         ("cross", "th", "en", 0.7), ("mono", "sw", "sw", 0.7)],
        columns=["setting", "query_lang", "pool", "AP"],
    )  # fmt: skip
    found = averages.spread(directed, "AP").set_index("setting")
    assert found["best"].to_dict() == {"mono": "en", "cross": "th"}
    assert found["worst"].to_dict() == {"mono": "th", "cross": "en"}
    assert found["languages"].to_dict() == {"mono": 3, "cross": 2}
    assert found.loc["mono", "range"] == pytest.approx(0.4)
    assert found.loc["mono", "deviation"] == pytest.approx(np.std([0.9, 0.5, 0.7]))
    assert found.loc["cross", "worst_value"] == pytest.approx(0.3)
    groups = averages.by_group(directed, "AP", languages.script).set_index("group")
    assert groups.loc["Latn", "languages"] == 2
    assert groups.loc["Latn", "mono"] == pytest.approx(0.8)
    assert groups.loc["Thai", "cross"] == pytest.approx(0.7)


@relaxed
@given(problems())
def test_strong_is_never_better_than_weak(problem: tuple[Collection, Floats, Floats]) -> None:
    ranking = ranked(*problem, {"mono", "cross", "multi"})
    found = [measures.parse("AP")]
    weak = measures.evaluate(ranking.ranks, found).query("pool != '*'")
    strong = measures.evaluate(bias.strong(ranking.ranks), found)
    key = ["query_id", "pool"]
    both = weak.astype(dict.fromkeys(key, "str")).merge(strong.astype(dict.fromkeys(key, "str")), on=key)
    assert len(both) == len(weak) == len(strong)
    assert (both["AP_y"] <= both["AP_x"] + 1e-12).all()
