"""Cards, readers and the one format, on the embedded task and on the real files."""

import hashlib
import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import card, collection, fetch, languages, readers
from tasks.card import TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tests.strategies import problems

XQUAD = {"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244, "ru": 1219, "th": 852, "tr": 1167,
         "vi": 1209, "zh": 1196}  # fmt: skip
MLQA = {"ar": (517, 2545), "de": (512, 2362), "en": (1148, 6264), "es": (500, 1787), "hi": (507, 2426),
        "vi": (511, 2828), "zh": (504, 2322)}  # fmt: skip
DIRECTIONS = {
    "ar-de": 207, "ar-en": 517, "ar-es": 161, "ar-hi": 186, "ar-vi": 163, "ar-zh": 188, "de-en": 512, "de-es": 196,
    "de-hi": 163, "de-vi": 182, "de-zh": 190, "en-es": 500, "en-hi": 507, "en-vi": 511, "en-zh": 504, "es-hi": 187,
    "es-vi": 189, "es-zh": 161, "hi-vi": 177, "hi-zh": 189, "vi-zh": 184,
}  # fmt: skip


def load(label: str, mirror: str | None = None) -> Collection:
    found = card.find(label)
    return readers.load(found, fetch.fetch(found, mirror))


@pytest.fixture
def real(mirror: str, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ISOGLOSS_CACHE", str(shared_cache))
    return mirror


def counts(texts: Collection) -> dict[str, int]:
    return {str(lang): int(n) for lang, n in texts.documents["lang"].value_counts().sort_index().items()}


def pairs(texts: Collection) -> int:
    return len(texts.queries.merge(texts.judgements, on="topic"))


@pytest.mark.parametrize("name", card.catalogue())
def test_every_card_reads_and_says_its_licence(name: str) -> None:
    found = card.find(name)
    assert found.name == name
    assert found.licence
    assert found.citation
    for variant in found.variants:
        assert card.find(f"{name}@{variant}").hash != found.hash
    assert any(file.language for file in found.files) or not found.files
    for tag in found.languages:
        assert languages.name(tag)


def test_every_suite_names_tasks_that_exist() -> None:
    for name in card.suites():
        assert card.resolve([name])


def test_demo_is_parallel_in_many_languages_and_scripts() -> None:
    texts = load("demo")
    spoken = texts.query_languages
    assert len(spoken) >= 12
    assert len({languages.script(tag) for tag in spoken}) >= 6
    assert {"sw", "am", "cy"} <= set(spoken)
    topics = texts.queries["topic"].nunique()
    assert topics >= 40
    assert (texts.queries.groupby("topic")["lang"].nunique() == len(spoken)).all()
    assert (texts.documents.groupby("lang").size() >= topics + 40).all()
    assert (texts.judgements.groupby("topic").size() == len(spoken)).all()
    for table in (texts.queries, texts.documents):
        assert not table.duplicated(["lang", "text"]).any()
        for text in table["text"]:
            assert text == unicodedata.normalize("NFC", text).strip()


def test_demo_is_written_in_the_script_of_each_language() -> None:
    names = {"Latn": "LATIN", "Arab": "ARABIC", "Cyrl": "CYRILLIC", "Deva": "DEVANAGARI", "Ethi": "ETHIOPIC",
             "Hans": "CJK", "Jpan": "HIRAGANA", "Kore": "HANGUL", "Thai": "THAI"}  # fmt: skip
    texts = load("demo")
    for lang, text in zip(texts.documents["lang"], texts.documents["text"], strict=True):
        script = names[languages.script(lang)]
        assert any(unicodedata.name(letter, "").startswith(script) for letter in text), (lang, text)


def test_xquad_r_has_the_published_counts(real: str) -> None:
    texts = load("xquad-r", real)
    assert counts(texts) == XQUAD
    assert (texts.queries["lang"].value_counts() == 1190).all()
    assert len(texts.queries) == 13_090
    assert len(texts.documents) == 13_014
    assert texts.queries["topic"].nunique() == 1190
    assert len(texts.judgements) == 13_090
    assert pairs(texts) == 143_990
    assert texts.documents["text"].nunique() == 13_000


def test_mlqa_r_has_the_published_counts(real: str) -> None:
    texts = load("mlqa-r", real)
    assert counts(texts) == {lang: documents for lang, (_, documents) in MLQA.items()}
    assert texts.queries["lang"].value_counts().to_dict() == {lang: queries for lang, (queries, _) in MLQA.items()}
    assert len(texts.documents) == 20_534
    assert texts.documents["text"].nunique() == 20_496
    assert pairs(texts) == 15_747
    assert texts.queries.groupby("topic").size().value_counts().to_dict() == {2: 65, 3: 263, 4: 820}
    spoken = texts.judgements.assign(lang=texts.judgements["doc_id"].str.split("/").str[0])[["topic", "lang"]]
    both = texts.queries[["topic", "lang"]].merge(spoken, on="topic")
    sizes = both.value_counts(["lang_x", "lang_y"])
    for direction, size in DIRECTIONS.items():
        first, second = direction.split("-")
        assert sizes[first, second] == sizes[second, first] == size


def test_xquad_p_asks_for_paragraphs(real: str) -> None:
    texts = load("xquad-p", real)
    assert counts(texts) == dict.fromkeys(XQUAD, 240)
    assert pairs(texts) == 143_990


def test_questions_have_the_english_article_as_a_facet(real: str) -> None:
    asked = {name: load(name, real).queries for name in ("xquad-r", "mlqa-r")}
    for queries in asked.values():
        assert queries["article"].notna().all()
        assert len(queries[["topic", "article"]].drop_duplicates()) == queries["topic"].nunique()
    english = asked["xquad-r"].query("lang == 'en'")["article"].value_counts()
    assert (len(english), english.index[0], english.iloc[0]) == (48, "Super_Bowl_50", 74)
    assert asked["mlqa-r"]["article"].nunique() == 520
    assert {"Pappataci fever", "Edgar Allan Poe"} <= set(asked["mlqa-r"].query("lang == 'ar'")["article"])


@pytest.mark.parametrize("name", ["xquad-r", "xquad-p", "mlqa-r"])
def test_the_committed_results_are_of_the_data_as_it_is_read(name: str, real: str) -> None:
    path = Path(__file__).parent.parent / "results" / "random" / name / "evidence.json"
    assert load(name, real).digest() == json.loads(path.read_text(encoding="utf-8"))["task"]["data_hash"]


def test_variant_context_adds_the_paragraph(real: str) -> None:
    plain, context, paragraphs = (load(label, real).documents for label in ("xquad-r", "xquad-r@context", "xquad-p"))
    assert plain["doc_id"].tolist() == context["doc_id"].tolist()
    whole = paragraphs.set_index("doc_id")["text"]
    for doc_id, sentence, text in zip(plain["doc_id"], plain["text"], context["text"], strict=True):
        assert text == f"{sentence} {whole[doc_id.rpartition('/')[0]]}"


@pytest.mark.parametrize("name", ["xquad-r", "mlqa-r", "xquad-p"])
def test_first_and_last_record_of_each_language(name: str, real: str) -> None:
    """The expected records were taken from the raw files; texts are compared by hash, so that none is copied here."""
    texts = load(name, real)
    expected = pd.read_csv(Path(__file__).parent / "records.tsv", sep="\t").query("task == @name").set_index("lang")
    assert expected.index.tolist() == texts.document_languages
    for table, kind, key in ((texts.queries, "query", "query_id"), (texts.documents, "document", "doc_id")):
        for end, row in (("first", 0), ("last", -1)):
            records = table.groupby("lang").nth(row).set_index("lang")
            assert records[key].to_dict() == expected[f"{end}_{kind}"].to_dict()
            hashes = records["text"].map(lambda text: hashlib.sha256(text.encode()).hexdigest()[:12])
            assert hashes.to_dict() == expected[f"{end}_{kind}_sha256"].to_dict()


# What a person can get wrong.


def table(*rows: tuple[object, ...], columns: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


GOOD: dict[str, list[tuple[object, ...]]] = {
    "documents": [("d1", "en", "a"), ("d2", "sw", "b")],
    "queries": [("q1", "en", "q", "t1")],
    "judgements": [("t1", "d1", 1)],
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"documents": [("d1", "en", "a"), ("d1", "sw", "b")]}, "document id «d1» occurs twice"),
        ({"queries": [("q1", "en", "q", "t1"), ("q1", "en", "r", "t1")]}, "query id «q1» occurs twice"),
        ({"judgements": [("t1", "d1", 1), ("t1", "d9", 1)]}, "document «d9», which does not exist"),
        ({"judgements": [("t1", "d1", 0)]}, "topic «t1» has no relevant document"),
        ({"judgements": [("t1", "d1", 1), ("t1", "d1", 0)]}, "judges a document twice"),
        ({"judgements": [("t1", "d1", 1), ("t1", "d2", -1)]}, "not an integer >= 0"),
        ({"judgements": [("t1", "d1", 0.5)]}, "not an integer >= 0"),
        ({"documents": [("d1", "en", " "), ("d2", "sw", "b")]}, "document «d1» has an empty text"),
        ({"documents": [("d1", "en", "a"), ("d2", "xx", "b")]}, "«xx» is not a language tag"),
        ({"documents": [("d1", "en", "a"), ("d2", "SW", "b")]}, "usually spelt sw"),
        ({"queries": [("q1", "en", "q", "")]}, "query «q1» has an empty topic"),
        ({"queries": []}, "there is no query"),
        ({"documents": [("d1", "", "a"), ("d2", "sw", "b")]}, "has an empty lang"),
    ],
)
def test_validation_names_what_is_wrong(change: dict[str, list[tuple[object, ...]]], says: str) -> None:
    tables = GOOD | change
    columns = {
        "documents": "doc_id lang text",
        "queries": "query_id lang text topic",
        "judgements": "topic doc_id relevance",
    }
    frames = {name: table(*tables[name], columns=columns[name]) for name in columns}
    with pytest.raises(UserError, match="somewhere is not a valid collection") as raised:
        collection.build(frames["documents"], frames["queries"], frames["judgements"], "somewhere")
    assert says in str(raised.value)


def test_validation_names_all_that_is_wrong_at_once() -> None:
    with pytest.raises(UserError) as raised:
        collection.build(
            table(("d1", "en", ""), ("d1", "xx", "b"), columns="doc_id lang text"),
            table(("q1", "en", "q", "t2"), columns="query_id lang text topic"),
            table(("t1", "d7", 1), columns="topic doc_id relevance"),
            "x",
        )
    for part in ("empty text", "occurs twice", "«xx»", "«d7»", "topic «t2» has no relevant"):
        assert part in str(raised.value)


def test_a_topic_of_documents_is_a_facet() -> None:
    """What documents are about may be called `topic`, and some may say nothing."""
    found = collection.build(
        table(("d1", "en", "x", "law"), ("d2", "en", "y", None), columns="doc_id lang text topic"),
        table(("q1", "en", "q", "t1"), columns="query_id lang text topic"),
        table(("t1", "d1", 1), columns="topic doc_id relevance"),
        "x",
    )
    assert found.facets("documents") == ["topic"]


def test_tables_may_be_part_of_others() -> None:
    """Rows keep the numbers that they had in a longer table; nothing is mixed up by them."""
    judged = table(("t1", "d1", 0), ("t1", "d2", 1), ("t1", "d3", 2), columns="topic doc_id relevance").iloc[1:]
    documents = table(("d1", "en", "x"), ("d2", "en", "y"), ("d3", "sw", "z"), columns="doc_id lang text").iloc[1:]
    asked = table(("q0", "en", "p", "t0"), ("q1", "en", "q", "t1"), columns="query_id lang text topic").iloc[1:]
    found = collection.build(documents, asked, judged, "x")
    assert found.judgements.to_numpy().tolist() == [["t1", "d2", 1], ["t1", "d3", 2]]
    assert found.documents["doc_id"].tolist() == ["d2", "d3"]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(UserError, match="queries table has no column «topic»"):
        collection.build(
            table(("d1", "en", "x"), columns="doc_id lang text"),
            table(("q1", "en", "q"), columns="query_id lang text"),
            table(("t1", "d1", 1), columns="topic doc_id relevance"),
            "x",
        )


def test_written_tables_are_read_back(tmp_path: Path) -> None:
    texts = load("demo")
    collection.write(texts, tmp_path)
    again = collection.read(tmp_path)
    assert again.digest() == texts.digest()
    for ending in ("jsonl", "tsv"):
        folder = tmp_path / ending
        folder.mkdir()
        for name in collection.COLUMNS:
            frame: pd.DataFrame = getattr(texts, name)
            path = folder / f"{name}.{ending}"
            if ending == "jsonl":
                frame.to_json(path, orient="records", lines=True, force_ascii=False)
            else:
                frame.to_csv(path, sep="\t", index=False, quoting=3)
        assert collection.read(folder).digest() == texts.digest()


def test_the_digest_sees_every_change() -> None:
    texts = load("demo")
    changed = collection.build(
        texts.documents, texts.queries.assign(text=texts.queries["text"].str.upper()), texts.judgements, "x"
    )
    assert changed.digest() != texts.digest()


def test_titles_stand_before_texts() -> None:
    texts = collection.build(
        table(("d1", "en", "body", "Title"), ("d2", "en", "body", None), columns="doc_id lang text title"),
        table(("q1", "en", "q", "t"), columns="query_id lang text topic"),
        table(("t", "d1", 1), columns="topic doc_id relevance"),
        "x",
    )
    assert texts.document_texts == ["Title body", "body"]


def test_limits_keep_what_has_an_answer() -> None:
    texts = collection.limit(load("demo"), ["sw"], ["en", "am"])
    assert texts.query_languages == ["sw"]
    assert texts.document_languages == ["am", "en"]
    assert set(texts.judgements["doc_id"]) <= set(texts.documents["doc_id"])
    with pytest.raises(UserError, match="no queries in language «swa»; did you mean sw"):
        collection.limit(load("demo"), ["swa"], None)


@pytest.mark.parametrize(
    ("tag", "meant"),
    [
        ("EN", ["en"]),
        ("en_XX", ["en"]),
        ("eng", ["en"]),
        ("swh", ["sw"]),
        ("zho_Hans", ["zh-Hans", "zh-HK"]),
        ("zh", ["zh-Hans", "zh-HK"]),
        ("th", []),  # as near to tr as any two letters, and quite another language
        ("", []),
        ("*", []),
        ("en,sw", []),
    ],
)
def test_an_unknown_language_is_taken_for_the_same_in_another_spelling(tag: str, meant: list[str]) -> None:
    known = ["en", "sw", "tr", "zh-Hans", "zh-HK"]
    hint = f"; did you mean {', '.join(meant)}?" if meant else f"; there are {', '.join(known)}."
    assert languages.hint(tag, known) == hint


CARD = """name = "mine"
version = "1"
title = "Mine"
description = "x"
reader = "folder"
licence = "CC0"
citation = "x"
settings = ["mono"]
measures = ["AP"]
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('licence = "CC0"', "", "says nothing of licence"),
        ('reader = "folder"', 'readr = "folder"\nreader = "folder"', "field «readr» that no card has; did you mean"),
        ('settings = ["mono"]', 'settings = ["monolingual"]', "«monolingual» is not a setting"),
        ('settings = ["mono"]', 'settings = "mono"', "settings must be a list"),
        ('name = "mine"', "name = mine", "not valid TOML"),
        ('name = "mine"', 'name = "../mine"', "must be small letters"),
        ('licence = "CC0"', 'licence = "CC0"\nfiles = [{path = "../x", bytes = 1, sha256 = "0"}]', "leaves its folder"),
        ('licence = "CC0"', 'licence = "CC0"\nfiles = [{paht = "x"}]', "a file needs path, bytes, sha256"),
        ('reader = "folder"', 'reader = "foldr"', "reader «foldr» that does not exist; did you mean folder"),
    ],
)  # fmt: skip
def test_a_wrong_card_is_named(old: str, new: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(CARD.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        readers.load(card.find(str(tmp_path)), {})
    assert says in str(raised.value)


def test_unknown_tasks_and_variants_are_named() -> None:
    with pytest.raises(UserError, match="no task «xquadr»; did you mean xquad-r"):
        card.find("xquadr")
    with pytest.raises(UserError, match="no task «bucc»; did you mean bucc-zh-en"):
        card.find("bucc")
    with pytest.raises(UserError, match="no task «XQUAD-R»; did you mean xquad-r"):
        card.find("XQUAD-R")
    with pytest.raises(UserError, match="no task «nope»; bench tasks lists them"):  # which is not much like core
        card.find("nope")
    with pytest.raises(UserError, match="«» is not a task"):
        card.find("")
    with pytest.raises(UserError, match="has no variant «contxt»; it has context"):
        card.find("xquad-r@contxt")
    with pytest.raises(UserError, match="is not a task"):
        card.find("./nowhere")


def test_prose_of_a_card_changes_no_hash(tmp_path: Path) -> None:
    def hashed(text: str) -> str:
        (tmp_path / "card.toml").write_text(text, encoding="utf-8")
        return card.find(str(tmp_path)).hash

    assert hashed(CARD) == hashed(CARD.replace('description = "x"', 'description = "y"'))
    assert hashed(CARD) != hashed(CARD.replace('version = "1"', 'version = "2"'))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("{", "is not JSON"),
        ('{"data": [{"paragraphs": [{"context": "A b."}]}]}', "sentence_breaks"),
        (
            '{"data": [{"paragraphs": [{"context": "A b.", "sentence_breaks": [[0, 2]], "qas": '
            '[{"id": "1", "question": "q", "answers": [{"answer_start": 3}]}]}]}]}',
            "starts in 0 sentences",
        ),
        (b"\xff\xfe{", "is not UTF-8: byte 0"),
    ],
)
def test_a_broken_squad_file_is_named(broken: str | bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "en.json"
    path.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    found: TaskCard = card.find("xquad-r")
    with pytest.raises(UserError) as raised:
        readers.load(found, {found.files[3]: path})
    assert says in str(raised.value)
    assert str(path) in str(raised.value)


def test_the_documented_example_is_a_task(tmp_path: Path) -> None:
    """docs/tasks.md: the card and the three tables, as they stand there."""
    text = (Path(__file__).parent.parent / "docs" / "tasks.md").read_text(encoding="utf-8")
    names = ["card.toml", "documents.tsv", "queries.tsv", "judgements.tsv"]
    blocks = [block.partition("\n")[2] for block in text.split("```")[1::2]]
    for name, block in zip(names, blocks[1:5], strict=True):
        (tmp_path / name).write_text(block, encoding="utf-8")
    found = card.find(str(tmp_path))
    texts = readers.load(found, {})
    assert found.name == "rivers"
    assert (len(texts.documents), len(texts.queries), len(texts.judgements)) == (4, 3, 4)


def test_languages_are_grouped_by_facts() -> None:
    """Spot checks of the table: arXiv:2004.09095's own examples, Glottolog's families, scripts that langcodes lacks."""
    assert [languages.resource_class(tag) for tag in ("en", "de", "zh", "hi", "vi", "th", "el", "sw", "cy", "fon")] == [
        5, 5, 5, 4, 4, 3, 3, 2, 1, 0,
    ]  # fmt: skip
    assert languages.resource_class("zh-Hant") == 5
    assert languages.resource_class("qaa") is None
    assert [languages.family(tag) for tag in ("sw", "am", "zh-Hans", "eu", "qaa")] == [
        "Atlantic-Congo", "Afro-Asiatic", "Sino-Tibetan", "Isolate", "",
    ]  # fmt: skip
    assert [languages.script(tag) for tag in ("prs", "acm", "ace-Arab", "ace", "zh-Hant", "am", "mey")] == [
        "Arab", "Arab", "Arab", "Latn", "Hant", "Ethi", "Arab",
    ]  # fmt: skip


@settings(deadline=None)
@given(problems(), st.booleans(), st.integers(0, 2**32 - 1))
def test_possible_settings_are_those_in_which_a_query_has_an_answer(
    problem: tuple[Collection, object, object], ignore: bool, seed: int
) -> None:
    texts = problem[0]
    rng = np.random.default_rng(seed)
    ids = texts.queries["query_id"].to_numpy(object).copy()
    some = min(len(ids), len(texts.documents))
    renamed = rng.random(some) < rng.random()
    ids[:some][renamed] = rng.permutation(texts.documents["doc_id"])[:some][renamed]
    texts = replace(texts, queries=texts.queries.assign(query_id=ids))
    documents = texts.documents.set_index("doc_id")["lang"]
    searched = texts.document_languages
    expected = set()
    for query in texts.queries.itertuples():
        judged = texts.judgements[texts.judgements["topic"] == query.topic]
        answers = set(judged.loc[judged["relevance"] > 0, "doc_id"])
        expected |= {"mining"} if len({documents[doc_id] for doc_id in answers}) > 1 else set()
        spoken = {documents[doc_id] for doc_id in answers - ({query.query_id} if ignore else set())}
        expected |= {"mono"} if query.lang in spoken else set()
        expected |= {"cross"} if spoken - {query.lang} else set()
        expected |= {"multi"} if spoken else set()
        expected |= {"pair"} if spoken and query.lang in searched and len(searched) > 1 else set()
    assert collection.possible_settings(texts, ignore_identical_ids=ignore) == expected


def test_limits_keep_only_the_parts_in_which_something_is_asked() -> None:
    """As Tatoeba: each language stands with its own English sentences, and no sentence finds itself."""
    rows = [
        (f"{part}/{number}/{lang}", lang, f"{lang} {number}", f"{part}/{number}", part)
        for part in ("af", "bn", "cs") for number in range(3) for lang in (part, "en")
    ]  # fmt: skip
    wordings = pd.DataFrame(rows, columns=["query_id", "lang", "text", "topic", "part"])
    documents = wordings.rename(columns={"query_id": "doc_id"})
    judgements = documents[["topic", "doc_id"]].assign(relevance=1)
    texts = collection.build(documents.drop(columns="topic"), wordings, judgements, "x")

    def left(*limits: list[str] | None, ignore: bool = True) -> list[set[str]]:
        found = collection.limit(texts, *limits, ignore_identical_ids=ignore)
        assert set(found.judgements["doc_id"]) == set(found.documents["doc_id"])
        return [{identifier.replace("/0/", " ") for identifier in ids if "/0/" in identifier}
                for ids in (found.queries["query_id"], found.documents["doc_id"])]  # fmt: skip

    both = {"af af", "af en"}
    assert left(["af", "en"], ["af", "en"]) == [both, both]
    assert left(["en"], ["bn"]) == [{"bn en"}, {"bn bn"}]
    assert left(["bn"], ["en"]) == [{"bn bn"}, {"bn en"}]
    assert left(["af"], None) == [{"af af"}, both]
    assert left(["en"], ["en"], ignore=False) == [{"af en", "bn en", "cs en"}] * 2
    with pytest.raises(UserError, match="No query has an answer in the chosen languages"):
        left(["en"], ["en"])
