"""Runs of TREC, read and scored: the numbers are those of pytrec_eval and ir_measures on the same files."""

import gzip
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import ir_measures
import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import benchmark
from benchmark import lists, measures, pools, ranking, runs, systems
from benchmark.ranking import ALL
from benchmark.run import Task
from tasks import card, readers
from tasks.collection import Collection, build, limit
from tasks.errors import UserError
from tests import oracle
from tests.conftest import Ran
from tests.strategies import Floats, problems

Bench = Callable[..., Ran]
SETTINGS = ("mono", "cross", "multi", "pair")
NAMES = {"AP": "AP", "RR": "RR", "nDCG@10": "nDCG@10", "R@100": "R@100", "P@5": "P@5", "Success@1": "Success@1",
         "Rprec": "Rprec"}  # fmt: skip
relaxed = settings(
    deadline=None, max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip


def task(collection: Collection, wanted: Sequence[str] = SETTINGS) -> Task:
    return Task(replace(card.find("demo"), name="random"), collection, tuple(wanted), (measures.parse("AP"),))


def run_of(collection: Collection, scores: Floats, seed: int, kept: float) -> pd.DataFrame:
    """A run of the pool of all, in no order, with holes, and with ranks that mean nothing."""
    rng = np.random.default_rng(seed)
    rows = [
        (query, "Q0", document, rng.integers(1, 9), score, "tag")
        for query, row in zip(collection.queries["query_id"], scores, strict=True)
        for document, score in zip(collection.documents["doc_id"], row, strict=True)
    ]
    table = pd.DataFrame(rows, columns=[*runs.COLUMNS]).sample(frac=1, random_state=seed % 2**31)
    some = table[rng.random(len(table)) < kept]
    langs = [
        frame.set_index(name)["lang"]
        for frame, name in ((collection.queries, "query_id"), (collection.documents, "doc_id"))
    ]
    asked, held = table["query_id"].map(langs[0]), table["doc_id"].map(langs[1])
    first = table[~pd.DataFrame({"asked": asked, "held": held}).duplicated()]  # every direction has a list
    return pd.concat([some, first]).drop_duplicates(["query_id", "doc_id"])


def written(path: Path, table: pd.DataFrame) -> Path:
    path.write_text("".join(" ".join(map(str, row)) + "\n" for row in table.itertuples(index=False)), encoding="utf-8")
    return path


def qrels(collection: Collection, spoken: str, pool: str) -> pd.DataFrame:
    """The judgements of a direction, by query, those of not relevant documents too."""
    inside = collection.documents[
        (pool == ALL) | collection.documents["lang"].isin(pool.split("+"))
    ]["doc_id"]  # fmt: skip
    asked = collection.queries.loc[collection.queries["lang"] == spoken, ["query_id", "topic"]]
    found = asked.merge(collection.judgements, on="topic")
    found = found[found["doc_id"].isin(inside)]
    return found.groupby("query_id").filter(lambda part: (part["relevance"] > 0).any())[
        ["query_id", "doc_id", "relevance"]
    ]


def by_ir_measures(judged: pd.DataFrame, run: pd.DataFrame) -> pd.DataFrame:
    """Values by query; one without a list is there with 0."""
    wanted = {name: ir_measures.parse_measure(text) for name, text in NAMES.items()}
    if judged.empty:
        return pd.DataFrame(columns=["query_id", *NAMES])
    rows = [
        {"query_id": one.query_id, "name": str(one.measure), "value": one.value}
        for one in ir_measures.iter_calc(list(wanted.values()), judged, run)
    ]
    table = pd.DataFrame(rows).pivot_table(index="query_id", columns="name", values="value").fillna(0.0)
    return table.reindex(sorted({*judged["query_id"]}), fill_value=0.0).reset_index()


def ours(collection: Collection, found: pools.Lists) -> pd.DataFrame:
    table = lists.ranking(collection, found.listed, found.settings).ranks
    values = measures.evaluate(table, [measures.parse(name) for name in NAMES])
    return values.astype({"query_id": "str", "query_lang": "str", "pool": "str"})


def as_ir_measures(path: Path) -> pd.DataFrame:
    """A run as ir_measures reads it."""
    return pd.DataFrame([one._asdict() for one in ir_measures.read_trec_run(str(path))])  # type: ignore[no-untyped-call]


@relaxed
@given(problems(), st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.7, 1.0]))
def test_a_run_scores_what_ir_measures_says(
    tmp_path: Path, problem: tuple[Collection, Floats, Floats], seed: int, kept: float
) -> None:
    """Of the pool of all, and of each language taken out of it: AP to Success@1, with ties, holes and grades."""
    collection, left, right = problem
    path = written(tmp_path / "a.trec", run_of(collection, (left @ right.T).astype(np.float32), seed, kept))
    try:
        found = pools.read(task(collection), collection, path, runs.find(path), SETTINGS)
    except UserError as error:
        if "holds no list for" not in str(error):
            raise
        reject()  # the holes took all lists of those that have an answer there
    values = ours(collection, found)
    whole = as_ir_measures(path)
    lang = collection.documents.set_index("doc_id")["lang"]
    for (spoken, pool), part in values.groupby(["query_lang", "pool"]):
        run = whole if pool == ALL else whole[whole["doc_id"].map(lang).isin(str(pool).split("+"))]
        expected = by_ir_measures(qrels(collection, str(spoken), str(pool)), run)
        both = part.merge(expected, on="query_id", suffixes=("", "_"))
        assert len(both) == len(part) == len(expected)
        for name in NAMES:
            np.testing.assert_allclose(both[name], both[f"{name}_"], atol=1e-6, err_msg=f"{spoken}→{pool} {name}")
    expected = oracle.trec_lists(
        collection, run_by_pool(collection, whole), {*SETTINGS}, {"AP": "map", "nDCG@10": "ndcg_cut_10"}
    )
    both = values.merge(expected, on=["query_id", "pool"], suffixes=("", "_"))
    assert len(both) == len(values) == len(expected)
    np.testing.assert_allclose(both[["AP", "nDCG@10"]], both[["AP_", "nDCG@10_"]], atol=1e-6)


def run_by_pool(collection: Collection, run: pd.DataFrame) -> pd.DataFrame:
    """The lists of every pool, taken out of a run of all languages."""
    spoken = collection.queries.set_index("query_id")["lang"]
    lang = collection.documents.set_index("doc_id")["lang"]
    rows = [
        (query, pool, document, score)
        for query, document, score in run[["query_id", "doc_id", "score"]].itertuples(index=False)
        for pool in oracle.pools_of(collection, str(spoken[query]), {*SETTINGS})
        if pool == ALL or lang[document] in pool.split("+")
    ]
    return pd.DataFrame(rows, columns=["query_id", "pool", "doc_id", "score"])


@relaxed
@given(problems(), st.integers(0, 2**32 - 1))
def test_a_folder_scores_what_the_pass_does(
    tmp_path: Path, problem: tuple[Collection, Floats, Floats], seed: int
) -> None:
    """Whole lists of every direction, each in its file, give the ranks of the one pass."""
    collection, left, right = problem
    whole = slice(0, len(left)), slice(0, len(right))
    scores = systems.dense(left, right)(slice(None), np.arange(len(right))).exact(*whole)
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    table = run_of(collection, scores, seed, 1.0)
    spoken, lang = (
        frame.set_index(name)["lang"]
        for frame, name in ((collection.queries, "query_id"), (collection.documents, "doc_id"))
    )
    passed = ranking.rank(collection, systems.dense(left, right), SETTINGS).ranks
    for asked, pool in passed[["query_lang", "pool"]].drop_duplicates().astype("str").itertuples(index=False):
        part = table[table["query_id"].map(spoken) == asked]
        part = part if pool == ALL else part[part["doc_id"].map(lang).isin(pool.split("+"))]
        written(folder / f"{runs.stem(asked, pool)}.trec", part)
    found = pools.read(task(collection), collection, folder, runs.find(folder), ())
    assert not found.about["empty"]
    assert not found.about["filtered"]
    key = ["query_id", "doc_id", "pool"]
    one, other = (
        ranks[[*key, "documents", "rank"]].astype(dict.fromkeys([*key, "documents", "rank"], "str"))
        .sort_values(key).reset_index(drop=True)
        for ranks in (passed, lists.ranking(collection, found.listed, found.settings).ranks)
    )  # fmt: skip
    pd.testing.assert_frame_equal(one, other)


def test_parts_are_searched_apart() -> None:
    """Where collections are searched apart, pools are as large as their part, as in the pass."""
    rng = np.random.default_rng(3)
    rows = [(f"{part}{lang}{i}", lang, f"{part}{lang}{i}", part) for part in "ab" for lang in ("de", "en", "sw")
            for i in range(4 if part == "a" or lang != "sw" else 0)]  # fmt: skip
    documents = pd.DataFrame(rows, columns=["doc_id", "lang", "text", "part"])
    asked = [(f"{part}/{lang}", lang, "?", part, part) for part in "ab" for lang in ("de", "en")]
    queries = pd.DataFrame(asked, columns=["query_id", "lang", "text", "topic", "part"])
    judged = [(part, f"{part}{lang}{i}", 1) for part in "ab" for lang in ("de", "en") for i in (0, 1)]
    collection = build(documents, queries, pd.DataFrame(judged, columns=["topic", "doc_id", "relevance"]), "parts")
    left, right = (rng.standard_normal((count, 5)).astype(np.float32) for count in (len(queries), len(documents)))
    scores = systems.dense(left, right)(slice(None), np.arange(len(right))).exact(
        slice(0, len(left)), slice(0, len(right))
    )
    answers = lists.answers(collection, SETTINGS)
    assert answers[["query_id", "doc_id", "pool"]].sort_values(["query_id", "doc_id", "pool"]).values.tolist() == (
        ranking.rank(collection, systems.dense(left, right), SETTINGS)
        .ranks[["query_id", "doc_id", "pool"]]
        .astype("str")
        .sort_values(["query_id", "doc_id", "pool"])
        .values.tolist()
    )
    part_of = queries["part"].to_numpy()[:, None] == documents["part"].to_numpy()
    listed = run_by_pool(
        collection,
        pd.DataFrame(
            [
                (queries["query_id"][q], documents["doc_id"][d], scores[q, d])
                for q, d in zip(*np.nonzero(part_of), strict=True)
            ],
            columns=["query_id", "doc_id", "score"],
        ),
    )
    passed, found = (
        ranking.rank(collection, systems.dense(left, right), SETTINGS),
        lists.ranking(collection, listed, SETTINGS),
    )
    columns = ["query_id", "doc_id", "pool", "topic", "documents", "rank"]
    one, other = (
        table.ranks[columns].astype(dict.fromkeys(columns, "str")).sort_values(columns).reset_index(drop=True)
        for table in (passed, found)
    )
    pd.testing.assert_frame_equal(one, other)
    one, other = (table.pools.set_index("pool").sort_index().astype("int64") for table in (passed, found))
    pd.testing.assert_frame_equal(one, other)


# Reading


@relaxed
@given(
    st.lists(
        st.tuples(
            st.text("abé字\"',#%*", min_size=1, max_size=4), st.text("xyz-_/.:", min_size=1, max_size=4),
            st.integers(0, 10**6), st.floats(-(2.0**127), 2.0**127, width=32),
            st.sampled_from([" ", "\t", "  ", " \t "]), st.sampled_from(["", " ", "\t"]),
            st.sampled_from(["\n", "\r\n", "\n\n", "\n \n"]),
        ),
        min_size=1,
    ),
    st.integers(1, 200),
    st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_a_file_is_read_as_its_words(
    tmp_path: Path, rows: list[tuple[str, str, int, float, str, str, str]], block: int, packed: bool, mark: bool
) -> None:
    """Whatever stands between the words, wherever a block ends, packed or not: as `str.split` reads them."""
    text = "".join(
        edge + space.join([query, "Q0", document, str(rank), repr(score), "tag"]) + edge + end
        for query, document, rank, score, space, edge, end in rows
    )
    path = tmp_path / ("run.trec.gz" if packed else "run.trec")
    data = (b"\xef\xbb\xbf" if mark else b"") + text.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "BLOCK", block)
        found = runs.read(path)
    words = [line.split() for line in text.split("\n") if line.strip()]
    assert found["query_id"].tolist() == [word[0] for word in words]
    assert found["doc_id"].tolist() == [word[2] for word in words]
    assert found["rank"].tolist() == [word[3] for word in words]
    np.testing.assert_array_equal(found["score"], [float(word[4]) for word in words])
    assert runs.line(path, len(words) - 1) == next(
        f"{path}, line {number}" for number, line in reversed([*enumerate(text.split("\n"), 1)]) if line.strip()
    )


GOOD = "nile/en Q0 nile/answer/en 1 2.5 tag\nnile/en Q0 nile/answer/de 2 1.5 tag\n"


@pytest.fixture
def place(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"", ("run.trec is empty",)),
        (b"\n \n\t\n", ("run.trec is empty",)),
        (GOOD.encode() + b"nile/en Q0 d 3\nnile/en Q0\n", ("line 3: there are 4 columns", "1 more lines are wrong")),
        (b"nile/en 0 nile/answer/en 1\n", ("line 1: there are 4 columns, as judgements have them",)),
        (b"nile/en Q0 nile/answer/en 1 2.5 my tag\n", ("line 1: there are 7 columns",)),
        (b"hello\n", ("line 1: there is 1 column",)),
        (GOOD.encode() + b"\n\nnile/en Q0 nile/answer/sw 3 high tag\n", ("line 5: the score «high» is not a finite",)),
        (b"nile/en Q0 nile/answer/en 1 nan tag\n", ("line 1: the score «nan»",)),
        (b"nile/en Q0 nile/answer/en 1 -inf tag\n", ("line 1: the score «-inf»",)),
        (b"nile/en Q0 nile/answer/en 1 1,5 tag\n", ("line 1: the score «1,5»",)),
        (b"nile/en Q0 nile/answer/en 1 1e400 tag\n", ("line 1: the score «1e400» is larger than float32",)),
        (b"nile/en Q0 nile/answer/en 1 -1e39 tag\n", ("line 1: the score «-1e39» is larger than float32",)),
        (b"nile/en Q0 nile/answer/en 1 " + b"9" * 500 + b" tag\n", ("line 1: the score «999", "larger than float32")),
        (GOOD.encode() + "nile/en Q0 caf\xe9 3 1 tag\n".encode("latin-1"), ("line 3: this is not UTF-8",)),
        (GOOD.encode("utf-16"), ("run.trec, line 1: this is not UTF-8",)),
        (GOOD.encode("utf-16-le"), ("run.trec, line 1: a zero byte",)),
        (bytes(range(256)) * 40, ("run.trec", "UTF-8")),
        (gzip.compress(GOOD.encode()), ("run.trec", "UTF-8")),
        (GOOD.encode() + b"nil/en Q0 nile/answer/en 1 2 tag\n", ("line 3: the task demo has no query «nil/en»",)),
        (b"nile/en Q0 x 1 2 tag\nnile/en Q0 y 1 2 tag\n", ("line 1: the task demo has no document «x»", "1 more line")),
        (GOOD.encode() * 2, ("line 3: the query «nile/en» has the document «nile/answer/en» a second time",)),
        (b"nile Q0 nile/answer/en 1 2 tag\n", ("has no query «nile»; they are called like «australia/am»",)),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_sentence(text: bytes, parts: tuple[str, ...], bench: Bench, place: Path) -> None:
    (place / "run.trec").write_bytes(text)
    bench("score", "run.trec", "--task", "demo", "--languages", "en,de").failed(*parts)
    assert not [path for path in (place / "results").rglob("*") if path.is_file()]


def test_a_very_long_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text(GOOD + f"nile/en Q0 d 3 0.5 {'t' * 3_000_000}\n")
    assert runs.read(path)["score"].tolist() == [2.5, 1.5, 0.5]


def test_a_packed_file_that_is_cut_off_is_one_sentence(bench: Bench, place: Path) -> None:
    data = gzip.compress(GOOD.encode() * 5000)
    (place / "run.trec.gz").write_bytes(data[: len(data) // 2])
    bench("score", "run.trec.gz", "--task", "demo").failed("run.trec.gz", "damaged or cut off")
    (place / "run.trec.gz").write_bytes(GOOD.encode())
    bench("score", "run.trec.gz", "--task", "demo").failed("run.trec.gz", "damaged or cut off")


@pytest.mark.parametrize(
    ("files", "words", "parts"),
    [
        ({}, (), ("folder holds no run file", "en--de.trec")),
        ({"notes.md": "hello"}, (), ("folder holds no run file",)),
        ({"muse.trec": GOOD}, (), ("muse.trec: the name does not say", "en--multi.trec")),
        ({"en--multi.trec": GOOD, "en--multi.run.gz": GOOD}, (), ("are of one direction",)),
        ({"en--xx.trec": GOOD}, (), ("en--xx.trec", "no texts in «xx»")),
        ({"xx--multi.trec": GOOD}, (), ("xx--multi.trec", "no texts in «xx»")),
        ({"en--en+de.trec": GOOD}, (), ("en--en+de.trec", "in alphabetical order")),
        ({"en--de+sw.trec": GOOD}, (), ("en--de+sw.trec", "the question and one other")),
        ({"de--multi.trec": GOOD}, (), ("line 1: the query «nile/en» is not in the language de",)),
        ({"en--en.trec": GOOD}, (), ("line 2: the document «nile/answer/de» is not in the pool en",)),
        ({"en--multi.trec": GOOD}, (), ("holds no list for", "am→*", "--query-languages")),
        ({"en--multi.trec": GOOD}, ("--settings", "mono"), ("no run in these settings", "it has en→*")),
        ({"en--multi.trec": GOOD}, ("--languages", "de"), ("no run in these settings and languages", "en→*")),
        ({"en--multi.trec": GOOD, "de--multi.trec": ""}, (), ("de--multi.trec is empty",)),
    ],
)  # fmt: skip
def test_a_wrong_folder_is_one_sentence(
    files: dict[str, str], words: Sequence[str], parts: Sequence[str], bench: Bench, place: Path
) -> None:
    (place / "folder").mkdir()
    for name, text in files.items():
        (place / "folder" / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    bench("score", "folder", "--task", "demo", *words).failed(*parts)
    assert not [path for path in (place / "results").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("nowhere", "--task", "demo"), ("There is no run nowhere",)),
        (("run.trec",), ("which task", "--task")),
        (("run.trec", "--task", "core"), ("A run is of one task",)),
        (("run.trec", "--task", "demo", "--settings", "multi,mining"), ("no mined pairs",)),
        (("run.trec", "--task", "demo", "--settings", "mutli"), ("«mutli» is not a setting",)),
        (("run.trec", "sub/run.trec", "--task", "demo"), ("sub/run.trec would take the place", "--name")),
        (("run.trec", "sub/run.trec", "--task", "demo", "--name", "x"), ("would take the place", "--name")),
        (("run.trec", "--task", "demo", "--name", "//"), ("no letters or digits",)),
        (("run.trec", "--task", "demo", "--languages", "fr"), ("«fr»",)),
    ],
)  # fmt: skip
def test_wrong_words_are_one_sentence(words: Sequence[str], parts: Sequence[str], bench: Bench, place: Path) -> None:
    (place / "run.trec").write_text(GOOD)
    (place / "sub").mkdir()
    (place / "sub" / "run.trec").write_text(GOOD)
    bench("score", *words).failed(*parts)
    assert not [path for path in (place / "results").rglob("*") if path.is_file()]


# Which pool a file is of


def demo(*languages: str) -> Collection:
    whole = readers.load(card.find("demo"), {})
    return limit(whole, languages, languages) if languages else whole


def listed(collection: Collection, which: Callable[[str, str], bool], depth: int, seed: int = 0) -> pd.DataFrame:
    """A run with random scores: of each query `depth` of the documents whose language goes with its own."""
    rng = np.random.default_rng(seed)
    rows = []
    for query, spoken in collection.queries[["query_id", "lang"]].itertuples(index=False):
        held = [name for name, lang in collection.documents[["doc_id", "lang"]].itertuples(index=False)
                if which(spoken, lang)]  # fmt: skip
        scores = np.sort(rng.standard_normal(len(held)).astype(np.float32))[::-1]
        rows += [(query, "Q0", doc_id, rank, score, "random") for rank, (doc_id, score) in
                 enumerate(zip(rng.permutation(held)[:depth], scores, strict=False), 1)]  # fmt: skip
    return pd.DataFrame(rows, columns=[*runs.COLUMNS])


def says(folder: str) -> dict[str, object]:
    return json.loads((Path(folder) / "evidence.json").read_text("utf-8"))  # type: ignore[no-any-return]


def test_lists_of_several_languages_are_of_all(bench: Bench, place: Path) -> None:
    written(place / "all.trec", listed(demo("de", "en"), lambda *_: True, 30))
    ran = bench("score", "all.trec", "--task", "demo", "--languages", "de,en")
    assert ran.code == 0, ran.err
    assert "lists: multi down to 30 documents" in ran.out
    assert "rank column" not in ran.err
    found = says("results/all/demo")
    assert found["lists"] == {"asked": 96, "empty": 0, "depth": {"multi": 30}, "filtered": []}
    assert {row["setting"] for row in found["directions"]} == {"multi"}  # type: ignore[attr-defined]
    schema = json.loads((Path(benchmark.__file__).parent / "evidence.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, schema)
    again = bench("score", "all.trec", "--task", "demo", "--languages", "de,en")
    assert "has the same key and is shown as it is" in again.err
    other = bench("score", "all.trec", "--task", "demo", "--languages", "de,en", "--settings", "mono,cross,multi")
    assert other.code == 0, other.err
    assert "mono, cross: taken out of lists with other languages" in other.out
    assert says("results/all/demo")["lists"]["filtered"] == ["mono", "cross"]  # type: ignore[index]


def test_lists_of_one_language_each_have_to_be_named(bench: Bench, place: Path) -> None:
    collection = demo("de", "en")
    written(place / "own.trec", listed(collection, str.__eq__, 10))
    words = ("score", "own.trec", "--task", "demo", "--languages", "de,en")
    bench(*words).failed("each list holds documents in one language", "--settings mono")
    ran = bench(*words, "--settings", "mono", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["lists"] == {"asked": 96, "empty": 0, "depth": {"mono": 10}, "filtered": []}
    bench(*words, "--settings", "mono,cross").failed("holds no list for", "de→en", "en→de")
    assert bench(*words, "--settings", "multi").code == 0
    written(place / "en-de.trec", listed(demo(), lambda spoken, lang: (spoken, lang) == ("en", "de"), 10))
    words = ("score", "en-de.trec", "--task", "demo", "--settings", "cross")
    bench(*words).failed("holds no list for", "152 more")
    ran = bench(*words, "--query-languages", "en", "--document-languages", "de")
    assert ran.code == 0, ran.err
    assert says("results/en-de/demo")["lists"]["depth"] == {"cross": 10}  # type: ignore[index]


def test_with_one_language_to_search_all_pools_are_one(bench: Bench, place: Path) -> None:
    written(place / "en.trec", listed(demo("en"), lambda *_: True, 20))
    ran = bench("score", "en.trec", "--task", "demo", "--languages", "en", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert {row["setting"] for row in found["directions"]} == {"mono", "multi"}
    assert found["lists"]["filtered"] == []


def test_other_languages_are_passed_over_and_that_is_said(bench: Bench, place: Path) -> None:
    whole = demo()
    table = listed(whole, lambda *_: True, 300)
    written(place / "all.trec", table)
    ran = bench("score", "all.trec", "--task", "demo", "--languages", "en,sw", "--settings", "multi")
    assert ran.code == 0, ran.err
    assert "multi: taken out of lists with other languages" in ran.out
    part = demo("en", "sw")
    kept = table[table["query_id"].isin(part.queries["query_id"]) & table["doc_id"].isin(part.documents["doc_id"])]
    expected = by_ir_measures(
        pd.concat([qrels(part, spoken, ALL) for spoken in ("en", "sw")]), kept[["query_id", "doc_id", "score"]]
    )
    found = says("results/all/demo")["averages"]
    micro = next(row for row in found if row["average"] == "micro")["measures"]  # type: ignore[attr-defined]
    assert micro["AP"] == pytest.approx(expected["AP"].mean(), abs=1e-6)


def test_ranks_that_contradict_the_scores_are_said_and_do_not_count(bench: Bench, place: Path) -> None:
    table = listed(demo("de", "en"), lambda *_: True, 30)
    written(place / "right.trec", table)
    backwards = table["query_id"].isin(table["query_id"].unique()[:7])
    written(place / "wrong.trec", table.assign(rank=table["rank"].where(~backwards, 100 - table["rank"])))
    written(place / "none.trec", table.assign(rank="-"))
    found = {}
    for name in ("right", "wrong", "none"):
        ran = bench("score", f"{name}.trec", "--task", "demo", "--languages", "de,en")
        assert ran.code == 0, ran.err
        assert ("7 lists have another order by their rank column" in ran.err) == (name == "wrong")
        found[name] = says(f"results/{name}/demo")["averages"]
    assert found["right"] == found["wrong"] == found["none"]


def test_queries_without_a_list_are_counted(bench: Bench, place: Path) -> None:
    table = listed(demo("de", "en"), lambda *_: True, 30)
    gone = sorted({*table["query_id"]})[::10]
    written(place / "some.trec", table[~table["query_id"].isin(gone)])
    ran = bench("score", "some.trec", "--task", "demo", "--languages", "de,en")
    assert f"{len(gone)} of 96 hold nothing" in ran.out
    assert says("results/some/demo")["lists"]["empty"] == len(gone)  # type: ignore[index]
    averages = says("results/some/demo")["averages"]
    assert {row["n"] for row in averages} == {96}  # type: ignore[attr-defined]


def test_a_result_is_no_run(bench: Bench, place: Path) -> None:
    assert bench("run", "--model", "random", "--task", "demo", "--languages", "en").code == 0
    bench("score", "results/random/demo", "--task", "demo").failed("is a result, not a run", "bench report")


def test_several_runs_are_several_results(bench: Bench, place: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        written(place / f"{name}.trec", listed(demo("de", "en"), lambda *_: True, 30, seed))
    ran = bench("score", "a.trec", "b.trec", "--task", "demo", "--languages", "de,en", "--json", "--measure", "P@3")
    assert [json.loads(line)["model"] for line in ran.out.splitlines()] == ["a", "b"]
    named = bench("score", "a.trec", "--task", "demo", "--languages", "de,en", "--name", "BM25 [1]", "--notes", "k1=.9")
    assert named.code == 0, named.err
    (folder,) = Path("results").glob("BM25*/demo")
    assert says(str(folder))["model"]["notes"] == "k1=.9"  # type: ignore[index]
