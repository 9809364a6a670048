"""Facets stay with the ranks, and a slice is what a run on that part alone would have found."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark import bias, evidence, facets, measures, slices, summary
from benchmark.ranking import ALL, Ranking
from leaderboard import sliced, tables
from tasks import collection, languages, new
from tasks.collection import Collection
from tasks.facets import as_text
from tests import oracle
from tests.conftest import Ran
from tests.strategies import Floats, problems
from tests.test_corpora import hub_set, task
from tests.test_ranking import EVERY, ranked
from tests.test_summary import near

Bench = Callable[..., Ran]
FORMATS = ("terminal", "md", "latex", "csv", "json")
NAMES = ["AP", "nDCG@10", "R@10"]
MEASURES = [measures.parse(name) for name in NAMES]
VALUES = np.array(["law", "art", " ", None], dtype=object)
relaxed = settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class InMemory(evidence.Result):
    """A result that was never written."""

    found: pd.DataFrame

    def ranks(self) -> pd.DataFrame:
        return self.found


@dataclass(frozen=True)
class Narrowed(Collection):
    """A collection some of whose documents are taken out, though a pool without documents is a pool still."""

    spoken: list[str] = field(default_factory=list)

    @property
    def document_languages(self) -> list[str]:
        return self.spoken


def labelled(collection: Collection, seed: int) -> Collection:
    """The collection with facets that have holes, though not nothing but holes."""
    rng = np.random.default_rng(seed)
    queries, documents = collection.queries, collection.documents
    asked, told = rng.choice(VALUES, len(queries)), rng.choice(VALUES, len(documents))
    asked[0] = "law"
    relevant = collection.judgements.loc[collection.judgements["relevance"] > 0, "doc_id"]
    told[np.flatnonzero(documents["doc_id"] == relevant.iloc[0])] = "art"
    return replace(
        collection,
        queries=queries.assign(domain=asked),
        documents=documents.assign(domain=told, kind=rng.choice(["a", "b"], len(documents))),
    )


def result(texts: Collection, ranking: Ranking) -> evidence.Result:
    says = {
        "directions": [{"measures": dict.fromkeys(NAMES, 0.0)}],
        "pools": ranking.pools.to_dict("records"),
        "kept": {"every": 1},
        "task": {},
    }
    return InMemory(Path("memory"), says, facets.attached(ranking.ranks, texts))


def by_value(found: slices.Slices) -> dict[str | None, slices.Slice]:
    return {part.value: part for part in found.parts}


@relaxed
@given(problems(), st.integers(0, 99))
def test_a_slice_of_the_queries_is_a_run_of_these_queries(
    problem: tuple[Collection, Floats, Floats], seed: int
) -> None:
    plain, left, right = problem
    texts = labelled(plain, seed)
    said = as_text(texts.queries["domain"])
    found = slices.of(result(texts, ranked(texts, left, right)), "domain")
    ranking = ranked(texts, left, right)
    seen = set()
    for value in (*said.dropna().unique(), None):
        rows = np.flatnonzero(said.isna() if value is None else said == value)
        alone = replace(texts, queries=texts.queries.iloc[rows].reset_index(drop=True))
        if alone.queries.empty:
            continue
        expected = summary.tables([ranked(alone, left[rows], right)], MEASURES)
        part = by_value(found)[value]
        seen.add(value)
        near({name: part.says[name] for name in ("directions", "averages", "strong")},
             {name: expected[name] for name in ("directions", "averages", "strong")})  # fmt: skip
        names = ["query_language", "n", *bias.FROM_RANKS, *bias.CHANCE, "own_first_queries"]
        near([{name: row[name] for name in names} for row in part.says["bias"]],
             [{name: row[name] for name in names} for row in expected["bias"]])  # fmt: skip
        assert part.topics == alone.queries["topic"].nunique()
    assert seen == set(by_value(found))
    whole = summary.tables([ranking], MEASURES)
    near({name: found.whole.says[name] for name in ("directions", "strong")},
         {name: whole[name] for name in ("directions", "strong")})  # fmt: skip


@relaxed
@given(problems(), st.integers(0, 99), st.sampled_from(["document.domain", "kind"]))
def test_a_slice_of_the_documents_is_as_if_the_others_were_not_there(
    problem: tuple[Collection, Floats, Floats], seed: int, by: str
) -> None:
    """Query by query: what is relevant and has another value is taken out of the pool, and pytrec_eval asked."""
    plain, left, right = problem
    texts = labelled(plain, seed)
    scores = oracle.exact_scores(left, right)
    said = as_text(texts.documents[by.rpartition(".")[2]])
    found = by_value(slices.of(result(texts, ranked(texts, left, right)), by))
    relevant = texts.judgements[texts.judgements["relevance"] > 0]
    gain = {(topic, doc_id): g for topic, doc_id, g in relevant[["topic", "doc_id", "relevance"]].to_numpy().tolist()}
    for value in (*said.dropna().unique(), None):
        has = (said.isna() if value is None else said == value).to_numpy()
        runs, chances, topics = [], [], set()
        for place, query in enumerate(texts.queries.itertuples()):
            answers = [(str(query.topic), doc_id) in gain for doc_id in texts.documents["doc_id"]]
            kept = np.flatnonzero(has | ~np.array(answers))
            alone = Narrowed(
                texts.documents.iloc[kept].reset_index(drop=True),
                texts.queries.iloc[[place]].reset_index(drop=True),
                texts.judgements,
                texts.document_languages,
            )
            run = oracle.trec(alone, scores[[place]][:, kept], EVERY, {name: oracle.TREC[name] for name in NAMES})
            for row in run.to_dict("records"):
                pool = alone.documents
                pool = pool if row["pool"] == ALL else pool[pool["lang"].isin(row["pool"].split("+"))]
                gains = [gain[str(query.topic), doc_id] for doc_id in pool["doc_id"]
                         if (str(query.topic), doc_id) in gain]  # fmt: skip
                chances.append(
                    {name: measures.chance(m, sorted(gains)[::-1], len(pool))
                     for name, m in zip(NAMES, MEASURES, strict=True)}
                )  # fmt: skip
                runs.append(row | {"lang": query.lang})
                topics.add(query.topic)
        assert (value in found) == bool(runs)
        if not runs:
            continue
        means = pd.DataFrame(runs).groupby(["lang", "pool"])[NAMES].agg(["mean", "size"])
        shown = evidence.directions(found[value].says).set_index(["query_lang", "pool"])
        assert set(shown.index) == set(means.index)
        for name in NAMES:
            np.testing.assert_allclose(shown[name], means[name, "mean"].reindex(shown.index), atol=1e-6)
            assert shown["queries"].tolist() == means[name, "size"].reindex(shown.index).tolist()
        floor = pd.DataFrame(chances).assign(**pd.DataFrame(runs)[["lang", "pool"]])
        floor = floor.groupby(["lang", "pool"])[NAMES].mean().reindex(shown.index)
        for row in found[value].says["averages"]:
            if row["average"] == "chance":
                expected = floor[(shown["setting"] == row["setting"]).to_numpy()].mean()
                np.testing.assert_allclose(list(row["measures"].values()), expected, atol=1e-6)
        assert found[value].topics == len(topics)


@relaxed
@given(problems())
def test_a_facet_of_the_asking_language_is_a_run_of_its_queries(problem: tuple[Collection, Floats, Floats]) -> None:
    texts, left, right = problem
    found = by_value(slices.of(result(texts, ranked(texts, left, right)), "family"))
    families = texts.queries["lang"].map(languages.family)
    assert set(found) == set(families)
    for family in families.unique():
        rows = np.flatnonzero(families == family)
        alone = replace(texts, queries=texts.queries.iloc[rows].reset_index(drop=True))
        expected = summary.tables([ranked(alone, left[rows], right)], MEASURES)
        near(found[family].says["averages"], expected["averages"])


# What is kept with the ranks.


def test_ranks_carry_facets_whatever_their_names(tmp_path: Path) -> None:
    """Also those that are called as a column of the ranks, or as each other."""
    texts = collection.build(
        pd.DataFrame({"doc_id": ["a", "b", "c"], "lang": "en", "text": "x", "rank": ["x", "y", "z"],
                      "year": [1, 2, None], "tags": [["p"], None, ["q"]], "title": "t"}),
        pd.DataFrame({"query_id": ["q1", "q2"], "lang": "en", "text": "x", "topic": ["t1", "t2"],
                      "pool": [" p ", ""], "document.rank": "o", "empty": " ", "title": ["u", "v"]}),
        pd.DataFrame({"topic": ["t1", "t2", "t2"], "doc_id": ["a", "b", "c"], "relevance": [1, 1, 0]}),
        "x",
    )  # fmt: skip
    ranks = facets.attached(ranked(texts, *vectors(texts)).ranks, texts)
    ranks.to_parquet(tmp_path / "ranks.parquet")
    multi = pd.read_parquet(tmp_path / "ranks.parquet").query("pool == '*'").set_index("query_id")
    added = facets.columns(multi.columns)
    assert multi.loc[["q1", "q2"], added].astype(object).where(lambda cells: cells.notna(), None).to_dict("list") == {
        "query.pool": ["p", None], "query.document.rank": ["o", "o"], "query.title": ["u", "v"],
        "document.rank": ["x", "y"], "document.year": ["1", "2"], "document.tags": ["['p']", None],
    }  # fmt: skip
    assert {str(dtype) for dtype in multi[added].dtypes} == {"category"}


def vectors(texts: Collection) -> tuple[Floats, Floats]:
    return tuple(np.ones((len(table), 2), np.float32) for table in (texts.queries, texts.documents))  # type: ignore[return-value]


def test_a_column_that_tells_every_text_apart_is_no_facet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.facets.MOST", 4)
    texts = collection.build(
        pd.DataFrame({"doc_id": [*"abcde"], "lang": "en", "text": "x", "few": [*"aabbc"], "url": [*"abcde"]}),
        pd.DataFrame({"query_id": ["q"], "lang": ["en"], "text": ["x"], "topic": ["t"]}),
        pd.DataFrame({"topic": "t", "doc_id": [*"abcde"], "relevance": 1}),
        "x",
    )
    ranks = facets.attached(ranked(texts, *vectors(texts)).ranks, texts)
    assert facets.columns(ranks.columns) == ["document.few"]


def test_facets_are_in_a_digest_of_their_own() -> None:
    texts = collection.build(
        pd.DataFrame({"doc_id": ["a"], "lang": ["en"], "text": ["x"], "title": ["t"], "domain": ["law"]}),
        pd.DataFrame({"query_id": ["q"], "lang": ["en"], "text": ["x"], "topic": ["t"]}),
        pd.DataFrame({"topic": ["t"], "doc_id": ["a"], "relevance": [1]}),
        "x",
    )
    other = replace(texts, documents=texts.documents.assign(domain="art"))
    assert (other.digest(), other.facets_digest() == texts.facets_digest()) == (texts.digest(), False)
    titled = replace(texts, documents=texts.documents.assign(title="u"))
    assert (titled.digest() == texts.digest(), titled.facets_digest()) == (False, texts.facets_digest())
    parts = replace(texts, documents=texts.documents.assign(part="p"))
    assert parts.digest() != texts.digest()


# A task of one's own, from end to end.

DOMAINS = ["law", "law", "", "=1+1", "law", ""]


@pytest.fixture
def rivers(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as `bench tasks new` writes it, with a column `domain` of both sides and more questions."""
    monkeypatch.chdir(tmp_path)
    new.write(tmp_path / "rivers")
    label(tmp_path / "rivers", DOMAINS)
    return tmp_path / "rivers"


def label(folder: Path, domains: list[str]) -> None:
    topics = range(len(domains))
    asked = [(f"q{i}/{lang}", lang, f"q {i} {lang}", f"q{i}", domains[i]) for i in topics for lang in ("en", "sw")]
    told = [(f"d{i}/{lang}", lang, f"d {i} {lang}", f"{lang} side") for i in topics for lang in ("en", "sw")]
    judged = [(f"q{i}", f"d{i}/{lang}", 1) for i in topics for lang in ("en", "sw")]
    for name, rows, columns in (
        ("queries", asked, ["query_id", "lang", "text", "topic", "domain"]),
        ("documents", told, ["doc_id", "lang", "text", "domain"]),
        ("judgements", judged, ["topic", "doc_id", "relevance"]),
    ):
        pd.DataFrame(rows, columns=columns).to_csv(folder / f"{name}.tsv", sep="\t", index=False)


def run(bench: Bench, folder: Path, *words: str) -> Path:
    ran = bench("run", "--model", "random", "--task", folder, *words)
    assert ran.code == 0, ran.err
    return Path("results/random") / folder.name


def test_every_format_shows_every_value(rivers: Path, bench: Bench) -> None:
    found = run(bench, rivers)
    shown = {form: bench("report", found, "--by", "domain", "--format", form) for form in FORMATS}
    assert {form: ran.err for form, ran in shown.items() if ran.code} == {}
    for form in ("terminal", "md", "latex"):
        text = shown[form].out
        assert text.count("by domain of the question") == 4  # mono, cross, multi, bias
        for value in ("law", "(none)", "=1+1", "few topics", "all"):
            assert value in text, (form, value)
    rows = list(csv.DictReader(io.StringIO(shown["csv"].out)))
    assert {(row["by"], row["value"], row["topics"]) for row in rows} == {
        ("domain", "law", "3"), ("domain", "(none)", "2"), ("domain", "'=1+1", "1"),
    }  # fmt: skip
    said = json.loads(shown["json"].out)
    assert (said["slices"]["by"], said["slices"]["of"], said["slices"]["every"]) == ("domain", "query", 1)
    assert [(part["value"], part["topics"]) for part in said["slices"]["values"]] == [
        ("law", 3),
        (None, 2),
        ("=1+1", 1),
    ]
    for part in said["slices"]["values"]:
        for row in part["directions"]:
            pool = "*" if row["setting"] == "multi" else "+".join(row["document_languages"])
            same = [
                other for other in rows
                if other["value"].lstrip("'") == (part["value"] or "(none)") and other["setting"] == row["setting"]
                and (other["query_language"], other["document_languages"]) == (row["query_language"], pool)
            ]  # fmt: skip
            assert [(int(other["n"]), float(other["AP"])) for other in same] == [(row["n"], row["measures"]["AP"])]
    found_by_value = [
        (part["topics"], row["measures"]["AP"])
        for part in said["slices"]["values"]
        for row in part["averages"]
        if (row["setting"], row["average"]) == ("multi", "micro")
    ]
    topics, values = zip(*found_by_value, strict=True)
    whole = next(row for row in said["averages"] if (row["setting"], row["average"]) == ("multi", "micro"))
    assert np.average(values, weights=topics) == pytest.approx(whole["measures"]["AP"], abs=1e-6)


@pytest.mark.parametrize("setting", ["mono", "cross", "multi", "strong"])
def test_a_setting_is_shown_for_each_value(setting: str, rivers: Path, bench: Bench) -> None:
    found = run(bench, rivers)
    words = ("report", found, "--by", "domain", "--setting", setting, "--measure", "nDCG@3")
    shown = {form: bench(*words, "--format", form) for form in ("terminal", "csv", "json")}
    assert {form: ran.err for form, ran in shown.items() if ran.code} == {}
    for part in ("domain = law (3 topics, few): ", "domain = (none) (2 topics, few): ", "nDCG@3"):
        assert part in shown["terminal"].out
    rows = list(csv.DictReader(io.StringIO(shown["csv"].out)))
    assert {row["setting"] for row in rows} == {setting}
    cut = slices.of(evidence.read(found), "domain", "nDCG@3")
    table = next(sliced.of(cut, "nDCG@3", setting))
    law = [float(row["nDCG@3"]) for row in rows if row["value"] == "law"]
    assert table.cells.set_index("value").loc["law", "macro"] == pytest.approx(np.mean(law), abs=1e-6)
    assert json.loads(shown["json"].out)["slices"]["values"][0]["topics"] == 3


def test_both_sides_may_have_the_facet(rivers: Path, bench: Bench) -> None:
    found = run(bench, rivers)
    rows = list(csv.DictReader(io.StringIO(bench("report", found, "--by", "document.domain", "--format", "csv").out)))
    assert {row["value"] for row in rows} == {"en side", "sw side"}
    multi = {(row["query_language"], row["value"]): row for row in rows if row["setting"] == "multi"}
    strong = pd.read_csv(io.StringIO(bench("report", found, "--setting", "strong", "--format", "csv").out))
    for row in strong.to_dict("records"):  # each side is one language here, so this is strong alignment
        value = multi[row["query_language"], f"{row['document_languages']} side"]
        assert float(value["AP"]) == pytest.approx(row["AP"])
        assert value["documents"] == "11"
    assert "by domain of the relevant documents" in bench("report", found, "--by", "document.domain").out


@pytest.mark.parametrize(
    ("by", "says"),
    [
        (
            "domian",
            ("rivers has no facet «domian»; there are domain, script, family, class, document.domain; did you",),
        ),
        ("", ("no facet «»",)),
        ("query", ("no facet «query»",)),
        ("topic", ("no facet «topic»",)),
    ],
)
def test_an_unknown_facet_is_named(by: str, says: tuple[str, ...], rivers: Path, bench: Bench) -> None:
    found = run(bench, rivers)
    ran = bench("report", found, "--by", by, "--format", "csv")
    ran.failed(*says)
    assert ran.out == ""


def test_a_setting_that_was_not_run_has_no_slices(rivers: Path, bench: Bench) -> None:
    found = run(bench, rivers, "--settings", "mono")
    bench("report", found, "--by", "domain", "--setting", "multi").failed(
        "was not run in the setting multi; it has mono"
    )
    bench("report", found, "--by", "domain", "--setting", "strong").failed("not run in the setting multi")
    assert bench("report", found, "--by", "domain").code == 0


def test_other_facets_are_taken_up_without_measuring_anew(rivers: Path, bench: Bench) -> None:
    found = run(bench, rivers)
    before = evidence.read(found)
    ranks = before.ranks()
    label(rivers, ["art"] * 5 + ["law"])
    ran = bench("run", "--model", "random", "--task", rivers)
    assert "has the same key and is shown as it is" in ran.err
    after = evidence.read(found)
    assert (after.says["key"], after.says["created"]) == (before.says["key"], before.says["created"])
    assert after.says["task"]["facets_hash"] != before.says["task"]["facets_hash"]
    plain = [column for column in ranks if column not in facets.columns(ranks.columns)]
    pd.testing.assert_frame_equal(after.ranks()[plain], ranks[plain])
    rows = csv.DictReader(io.StringIO(bench("report", found, "--by", "domain", "--format", "csv").out))
    assert {(row["value"], row["topics"]) for row in rows} == {("art", "5"), ("law", "1")}


def test_an_older_result_says_how_it_gets_facets_and_gets_them(rivers: Path, bench: Bench) -> None:
    found = run(bench, rivers)
    says = json.loads((found / "evidence.json").read_text(encoding="utf-8"))
    del says["task"]["facets_hash"]
    (found / "evidence.json").write_text(json.dumps(says), encoding="utf-8")
    ranks = pd.read_parquet(found / "ranks.parquet")
    ranks.drop(columns=facets.columns(ranks.columns)).to_parquet(found / "ranks.parquet")
    bench("report", found, "--by", "domain").failed(
        "there are script, family, class", "before results kept facets; run"
    )
    assert bench("report", found, "--by", "script").code == 0
    run(bench, rivers)
    assert "law" in bench("report", found, "--by", "domain").out


def test_a_result_that_cannot_be_rewritten_stays_as_it_is(
    rivers: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(bench, rivers)
    label(rivers, ["art"] * 6)

    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    bench("run", "--model", "random", "--task", rivers).failed("cannot be written: No space left on device")
    assert sorted(path.name for path in found.iterdir()) == ["evidence.json", "ranks.parquet", "top.parquet"]
    assert "law" in bench("report", found, "--by", "domain").out


def test_many_values_are_counted_where_they_are_not_shown(rivers: Path, bench: Bench) -> None:
    label(rivers, [f"value {number // 2}" for number in range(2 * 53)])
    found = run(bench, rivers, "--settings", "mono")
    text = bench("report", found, "--by", "domain").out
    assert "the 50 values with most topics of 53 (csv and json have all)" in text
    assert len(re.findall(r"value \d", text)) == 50
    rows = csv.DictReader(io.StringIO(bench("report", found, "--by", "domain", "--format", "csv").out))
    assert len({row["value"] for row in rows}) == 53


def test_where_some_topics_are_kept_slices_are_of_these_and_say_so(
    rivers: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(rivers, ["law", "law", "art", "art"] * 20)
    monkeypatch.setattr(summary, "KEPT", 100)  # of 320 answers: every fourth topic, all of them law
    found = run(bench, rivers)
    assert evidence.read(found).says["kept"]["every"] == 4
    said = json.loads(bench("report", found, "--by", "domain", "--format", "json", "--measure", "P@7").out)["slices"]
    assert (said["every"], [(part["value"], part["topics"]) for part in said["values"]]) == (4, [("law", 20)])
    assert said["values"][0]["averages"][0]["measures"]["P@7"] > 0
    shown = bench("report", found, "--by", "domain").out
    assert shown.count("; of one topic in 4, whose ranks are kept") == 4
    bench("report", found, "--measure", "P@7").failed("keeps the ranks of some topics only")


def test_several_results_are_one_csv(rivers: Path, bench: Bench) -> None:
    found = run(bench, rivers)
    run(bench, rivers, "--name", "again")
    ran = bench("report", found, "results/again/rivers", "--by", "domain", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert {row["model"] for row in rows} == {"random", "again"}
    assert len({tuple(row) for row in rows}) == 1


def test_plots_are_drawn_as_ever(rivers: Path, bench: Bench, tmp_path: Path) -> None:
    found = run(bench, rivers)
    ran = bench("report", found, "--by", "domain", "--plots", tmp_path / "plots")
    assert ran.code == 0, ran.err
    assert any((tmp_path / "plots").iterdir())


def test_a_hub_set_with_domains(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    """The layout of X-Wiki and of WikipediaRetrievalMultilingual, with a domain on both sides."""
    monkeypatch.chdir(tmp_path)
    rows: dict[str, tuple[str, list[dict[str, Any]]]] = {}
    for tag in ("de", "no"):
        domains = ["law", "art", "law"]
        rows |= {
            f"{tag}-corpus": ("test", [{"_id": f"{i}", "title": "", "text": f"{tag} {i}", "domain": domain}
                                       for i, domain in enumerate(domains)]),
            f"{tag}-queries": ("test", [{"_id": f"{i}", "text": f"q {tag} {i}", "domain": domain}
                                        for i, domain in enumerate(domains)]),
            f"{tag}-qrels": ("test", [{"query-id": f"{i}", "corpus-id": f"{i}", "score": 1} for i in range(3)]),
        }  # fmt: skip
    hub_set(tmp_path / "data", rows)
    task(tmp_path, "hub", 'hub = "./data"\nlanguages = ["de", "no"]\nparallel = true')
    assert bench("run", "--model", "random", "--task", f"{tmp_path}/").code == 0
    asked, told = (
        [
            {name: value for name, value in row.items() if name != "by"}
            for row in csv.DictReader(
                io.StringIO(bench("report", "results/random/mine", "--by", by, "--format", "csv").out)
            )
        ]
        for by in ("domain", "document.domain")
    )
    assert {row["value"]: row["topics"] for row in asked} == {"law": "2", "art": "1"}
    assert asked == told  # each question has the domain of all that answers it


def test_the_committed_results_are_sliced_by_what_is_known_of_languages(bench: Bench) -> None:
    folder = Path(__file__).parent.parent / "results" / "random" / "xquad-p"
    ran = bench("report", folder, "--by", "family", "--format", "csv", "--setting", "multi")
    assert ran.code == 0, ran.err
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    says = evidence.read(folder).says
    for row in rows:
        assert row["value"] == languages.family(row["query_language"])
        said = next(one for one in says["directions"]
                    if (one["setting"], one["query_language"]) == ("multi", row["query_language"]))  # fmt: skip
        assert float(row["nDCG@10"]) == pytest.approx(said["measures"]["nDCG@10"], abs=1e-8)
    assert len(rows) == 11


def test_bias_by_value_has_no_empty_columns(rivers: Path, bench: Bench) -> None:
    cut = slices.of(evidence.read(run(bench, rivers)), "domain")
    shown = [table for table in sliced.of(cut, "AP", "multi") if "bias" in table.title.lower()]
    assert len(shown) == 4  # by value, and of each
    for table in shown:
        assert not table.cells.isna().all().any()
        assert set(table.kinds) - {""} <= set(table.cells.columns) or table.name == "bias"
    assert {table.name for table in tables.of(evidence.read(Path("results/random/rivers")).says)} >= {"bias"}
