"""MKQA, AfriQA and TyDi QA: the real files by count, first and last record; and files that are broken."""

import gzip
import hashlib
import json
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import regex  # type: ignore[import-untyped]

from tasks import card, collection, fetch, readers
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tasks.readers import mkqa
from tasks.readers.answers import Answers

MIA = ["ar", "en", "es", "fi", "ja", "km", "ko", "ms", "ru", "sv", "tr", "zh-Hans"]
APPLE = "apple/ml-mkqa/651b8cc85c407270b024157aff06ee6ab8c4fc6d/tests/testdata/test_mkqa.jsonl.gz"
SAMPLE = (
    "tan92hl/Complex-Question-Answering-Evaluation-of-GPT-family/e6e790ef7d3548788598196845506cc6af6aa55a/"
    "datasets/MKQA/mkqa_sample_label_final_processed.json"
)
ANSWERS = {"ar": 2107, "en": 2112, "es": 2106, "fi": 2103, "ja": 2116, "km": 2110, "ko": 2107, "ms": 2163, "ru": 2109,
           "sv": 2110, "tr": 2106, "zh-Hans": 2114}  # fmt: skip
AFRIQA = {"bem": 308, "en": 2721, "fon": 386, "fr": 386, "ha": 300, "ig": 409, "rw": 345, "sw": 295, "tw": 486,
          "yo": 253, "zu": 325}  # fmt: skip
TYDI = {"ar": (921, 842), "bn": (113, 105), "en": (440, 429), "fi": (782, 634), "id": (565, 514), "ko": (276, 228),
        "ru": (812, 778), "sw": (499, 357), "te": (669, 601)}  # fmt: skip


@pytest.fixture
def load(mirror: str, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Collection]:
    """Read a task from the real files."""
    monkeypatch.setenv("ISOGLOSS_CACHE", str(shared_cache))

    def read(label: str) -> Collection:
        found = card.find(label)
        return readers.load(found, fetch.fetch(found, mirror))

    return read


def by_language(table: pd.DataFrame) -> dict[str, int]:
    return {str(lang): int(n) for lang, n in table["lang"].value_counts().sort_index().items()}


def ends(table: pd.DataFrame, key: str) -> list[tuple[str, str]]:
    """The first and the last record; texts as hashes, so that none is copied here."""
    rows = [table.iloc[0], table.iloc[-1]]
    return [(row[key], hashlib.sha256(row["text"].encode()).hexdigest()[:12]) for row in rows]


def relevant(texts: Collection) -> dict[int, int]:
    """Number of relevant documents -> number of topics that have so many."""
    return dict(Counter(texts.judgements.groupby("topic").size().tolist()))


# The real files. The expected records were taken from the raw files, without the readers.


def test_mkqa_q_has_each_question_in_12_languages(load: Callable[[str], Collection]) -> None:
    texts = load("mkqa-q")
    assert by_language(texts.queries) == by_language(texts.documents) == dict.fromkeys(MIA, 6758)
    assert relevant(texts) == {12: 6758}
    assert texts.queries["query_id"].tolist() == texts.documents["doc_id"].tolist()
    assert (texts.queries["query_id"] == texts.queries["topic"] + "/" + texts.queries["lang"]).all()
    assert ends(texts.queries, "query_id") == [
        ("563260143484355911/ar", "f3df4b0832d3"),
        ("-1636241981712941816/zh-Hans", "d981b47be310"),
    ]
    assert int(texts.queries.duplicated(["lang", "text"]).sum()) == 208
    found = card.find("mkqa-q")
    assert found.symmetric
    assert found.ignore_identical_ids


def test_mkqa_q_answered_is_the_part_with_answers(load: Callable[[str], Collection]) -> None:
    texts = load("mkqa-q@answered")
    assert by_language(texts.queries) == dict.fromkeys(MIA, 1758)
    assert relevant(texts) == {12: 1758}
    assert set(texts.queries["topic"]) == set(load("mkqa-a").queries["topic"])
    assert ends(texts.queries, "query_id")[1] == ("-8847524364195038466/zh-Hans", "4ba900c1e7cc")


def test_mkqa_a_has_each_answer_once_in_a_language(load: Callable[[str], Collection]) -> None:
    texts = load("mkqa-a")
    assert by_language(texts.queries) == dict.fromkeys(MIA, 1758)
    assert by_language(texts.documents) == ANSWERS
    assert not texts.documents.duplicated(["lang", "text"]).any()
    assert ends(texts.documents, "doc_id") == [("ar/0", "92a1190e390a"), ("zh-Hans/2113", "ecbbd9d15d8a")]
    assert len(texts.judgements) == 31_357
    spoken = texts.judgements.merge(texts.documents, on="doc_id").groupby("topic")["lang"].nunique()
    assert (spoken == 12).all()
    again = texts.documents["text"].map(texts.documents["text"].value_counts()) > 1
    assert int(again.sum()) == 13_546


def test_afriqa_asks_in_african_languages_and_in_the_pivot(load: Callable[[str], Collection]) -> None:
    texts = load("afriqa")
    assert by_language(texts.queries) == AFRIQA
    assert by_language(texts.documents) == {"en": 2557, "fr": 358}
    assert relevant(texts) == {1: 3107}
    assert (texts.queries.groupby("topic").size() == 2).all()
    assert not texts.documents.duplicated(["lang", "text"]).any()
    asked = texts.queries[texts.queries["lang"].isin(["en", "fr"])].groupby("asked").size().to_dict()
    assert asked == {lang: n for lang, n in AFRIQA.items() if lang not in ("en", "fr")}
    assert ends(texts.queries, "query_id") == [("bem/0/bem", "dfd122be21be"), ("zu/324/en", "c0016a03b282")]
    assert ends(texts.documents, "doc_id") == [("en/0", "ed36959e2b85"), ("en/2556", "3f05565e1db5")]
    spoken = texts.judgements.merge(texts.documents, on="doc_id").set_index("topic")["lang"]
    assert {topic.split("/")[0] for topic in spoken[spoken == "fr"].index} == {"fon"}
    assert collection.possible_settings(texts) >= {"mono", "cross", "multi"}


def test_tydiqa_goldp_has_each_passage_once(load: Callable[[str], Collection]) -> None:
    texts = load("tydiqa-goldp")
    assert by_language(texts.queries) == {lang: asked for lang, (asked, _) in TYDI.items()}
    assert by_language(texts.documents) == {lang: passages for lang, (_, passages) in TYDI.items()}
    assert relevant(texts) == {1: 5077}
    assert not texts.documents.duplicated(["lang", "text"]).any()
    assert ends(texts.queries, "query_id") == [
        ("arabic-2387335860751143628-1/ar", "e38cad121d89"),
        ("telugu-6864900869020429717-14/te", "f3b53b5c0fb3"),
    ]
    assert ends(texts.documents, "doc_id") == [("ar/0", "b3521d85a12e"), ("te/600", "9abefa074178")]
    assert "cross" not in collection.possible_settings(texts)


@pytest.mark.parametrize("name", ["afriqa", "tydiqa-goldp"])
def test_variant_title_puts_the_title_before_the_passage(name: str, load: Callable[[str], Collection]) -> None:
    plain, titled = load(name), load(f"{name}@title")
    assert plain.documents.equals(titled.documents.drop(columns="title"))
    assert (titled.documents["title"] != "").mean() > 0.99
    pairs = zip(plain.document_texts, titled.document_texts, titled.documents["title"], strict=True)
    assert all(long == f"{title} {short}".strip() for short, long, title in pairs)


@pytest.mark.parametrize("name", ["mkqa-q", "mkqa-a"])
def test_variant_full_is_the_original_file(name: str, tmp_path: Path) -> None:
    found = card.find(f"{name}@full")
    (file,) = found.files
    assert (file.bytes, file.path.rpartition("/")[2]) == (11_903_948, "mkqa.jsonl.gz")
    (tmp_path / file.path).parent.mkdir(parents=True)
    (tmp_path / file.path).write_bytes(b"other")
    with pytest.raises(UserError, match="mkqa.jsonl.gz"):
        fetch.fetch(found, str(tmp_path), offline=True)


def test_a_file_of_a_variant_is_checked_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(
        (card.CARDS / "mkqa-q.toml").read_text(encoding="utf-8").replace("apple/ml-mkqa/", "../"), encoding="utf-8"
    )
    with pytest.raises(UserError, match="leaves its folder"):
        card.find(str(tmp_path))


# The original form of MKQA, in parts.


def own(folder: Path, records: str, **fields: Any) -> TaskCard:
    """A card of one's own that reads a file beside it."""
    folder.mkdir(exist_ok=True)
    options = {"records": records} | fields.pop("options", {})
    return replace(card.find("mkqa-a"), folder=folder, files=(), **{"options": options} | fields)


def test_the_original_form_is_read_with_all_its_languages(mirror: str, tmp_path: Path) -> None:
    (tmp_path / "mkqa.jsonl.gz").write_bytes((Path(mirror) / APPLE).read_bytes())
    questions = readers.load(own(tmp_path, "mkqa.jsonl.gz", unit="question"), {})
    assert len(questions.query_languages) == 26
    assert {"zh-Hans", "zh-HK", "zh-TW", "no", "he"} <= set(questions.query_languages)
    assert relevant(questions) == {26: 6}
    answers = readers.load(own(tmp_path, "mkqa.jsonl.gz"), {})
    assert answers.queries["topic"].nunique() == 3
    english = answers.documents[answers.documents["lang"] == "en"]
    assert english["text"].tolist() == ["2017", "2017-05-18", "Hafþór Júlíus Björnsson", "Ridley Scott"]
    assert answers.judgements["topic"].value_counts().to_dict() == {
        "36228854473990432": 52,
        "-7449157003522518870": 26,
        "7631360939705650347": 26,
    }


def test_the_sample_in_the_original_form(mirror: str) -> None:
    path = Path(mirror) / SAMPLE
    found = mkqa.questions({File("sample.json", 0, ""): path}, card.find("mkqa-q"))
    assert len(found) == 768
    assert {tuple(sorted(question.wordings)) for question in found} == {
        ("en", "es", "fr", "it", "nl", "pt", "ru", "zh-Hans")
    }
    assert sum(question.binary for question in found) == 128
    assert found[0].answers["en"] == ["9.58 seconds"]
    assert any(question.aliases["ru"] for question in found)


# Relevance by answer string.


def joined(text: str, pattern: str) -> str:
    """The tokens of a text as one text, each between line ends: an answer stands in it as a text in a text."""
    tokens = regex.findall(pattern, unicodedata.normalize("NFD", text))
    return "\n" + "".join(f"{token.lower()}\n" for token in tokens)


@pytest.mark.parametrize(
    ("label", "pattern", "topics"),
    [
        ("mkqa-nq", r"[\p{L}\p{N}\p{M}]+", 629),
        ("mkqa-nq@signs", r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]", 626),
    ],
)
def test_mkqa_nq_judges_by_answer_string(
    label: str,
    pattern: str,
    topics: int,
    load: Callable[[str], Collection],
    tmp_path: Path,
    mirror: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the English passages of two other tasks, against a search of each answer in each passage."""
    passages = pd.concat([load(f"{name}@title").documents for name in ("afriqa", "tydiqa-goldp")])
    passages = passages[passages["lang"] == "en"].reset_index(drop=True)
    passages["_id"] = passages.index.astype(str)
    folder = tmp_path / "mteb" / "nq"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("---\nconfigs:\n- config_name: corpus\n  data_files: corpus.jsonl\n---\n")
    passages[["_id", "title", "text"]].to_json(folder / "corpus.jsonl", orient="records", lines=True)
    monkeypatch.setenv("ISOGLOSS_HUB", str(tmp_path))

    texts = load(label)
    assert by_language(texts.documents) == {"en": 2986}
    assert by_language(texts.queries) == dict.fromkeys(MIA, topics)

    part = passages[::20]
    found = card.find(label)
    asked = [q for q in mkqa.questions(fetch.fetch(found, mirror), found) if not q.binary]
    assert len(asked) == 1716
    sought = {question.id: [joined(answer, pattern) for answer in question.answers["en"]] for question in asked}
    searched = {row["_id"]: joined(f"{row['title']} {row['text']}", pattern) for row in part.to_dict("records")}
    expected = {
        (topic, doc_id)
        for doc_id, text in searched.items()
        for topic, answers in sought.items()
        if any(answer != "\n" and answer in text for answer in answers)
    }
    judged = texts.judgements[texts.judgements["doc_id"].isin(part["_id"])]
    assert set(zip(judged["topic"], judged["doc_id"], strict=True)) == expected
    assert len(expected) > 1000
    assert collection.possible_settings(texts) >= {"mono", "cross"}


def test_answers_are_found_token_by_token() -> None:
    asked = [["U.S."], ["İstanbul", "new york"], ["?"], ["Ångström"], ["one two", "two three"], ["x"]]
    texts = ["the US", "a U S day; İSTANBUL", "New-York?", "A\u030angstro\u0308m", "one, two three", "York, New x1"]
    assert [Answers(asked).within(text) for text in texts] == [set(), {0, 1}, {1}, {3}, {4}, set()]
    signs = Answers(asked, "words and signs")
    assert [signs.within(text) for text in texts] == [set(), {1}, {2}, {3}, {4}, set()]
    assert signs.within("(U.S.)") == {0}


def test_a_question_whose_answer_stands_nowhere_is_left_out(tmp_path: Path, mirror: str) -> None:
    (tmp_path / "mkqa.jsonl.gz").write_bytes((Path(mirror) / APPLE).read_bytes())
    passages = ["It was directed by Sir Ridley Scott.", "18/05/2017", "Nobody."]
    rows = [json.dumps({"_id": str(n), "title": "", "text": text}) for n, text in enumerate(passages)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(rows), encoding="utf-8")
    texts = readers.load(own(tmp_path, "mkqa.jsonl.gz", reader="answers"), {})
    judged = set(zip(texts.judgements["topic"], texts.judgements["doc_id"], strict=True))
    assert judged == {("7631360939705650347", "0"), ("36228854473990432", "1")}
    assert texts.queries["topic"].nunique() == 2
    assert len(texts.query_languages) == 26
    assert len(texts.documents) == 3


# Files that are broken.


def line(topic: str, code: str, **fields: Any) -> str:
    return json.dumps({"id": f"{topic}_{code}", "lang": code, "question": "q", "answers": ["a"]} | fields)


GOOD = {"en": [line("1", "en"), line("2", "en")], "fi": [line("1", "fi"), line("2", "fi")]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fi": [line("1", "fi"), line("2", "fi")[:-9]]}, "mkqa-fi.jsonl, line 2: this is not JSON"),
        ({"fi": [line("1", "fi")]}, "mkqa-fi.jsonl has 1 questions and x/mkqa-en.jsonl has 2"),
        ({"fi": [line("1", "fi"), line("3", "fi")]}, "line 2: the question 3 is not in x/mkqa-en.jsonl"),
        ({"fi": [line("1", "fi"), line("1", "fi")]}, "line 2: the id 1_fi occurs twice"),
        ({"fi": [line("1", "fi"), line("2", "sv", lang="fi")]}, "line 2: the id 2_sv occurs twice or is not"),
        ({"fi": ['{"id": "1_fi", "lang": "fi", "answers": []}']}, "line 1 has no field «question»"),
        ({"fi": [line("1", "fi", question=3)]}, "«question» is not a text"),
        ({"fi": [line("1", "fi", answers=[None])]}, "«answer» is not a text"),
        ({"xx": [line("1", "xx"), line("2", "xx")]}, "mkqa-xx.jsonl, line 1: «xx» is not a language tag"),
        ({"en": [], "fi": []}, "holds no .jsonl file with questions"),
        ({"fi": [b"\xff\xfe"]}, "mkqa-fi.jsonl, line 1: this is not UTF-8"),
    ],
)
def test_a_broken_zip_of_mkqa_is_named(change: dict[str, list[str | bytes]], says: str, tmp_path: Path) -> None:
    path = tmp_path / "mkqa.zip"
    parts: dict[str, list[Any]] = GOOD | change
    with zipfile.ZipFile(path, "w") as archive:
        for lang, rows in parts.items():
            content = b"\n".join(row if isinstance(row, bytes) else row.encode() for row in rows)
            archive.writestr(f"x/mkqa-{lang}.jsonl", content)
    broken(says, own(tmp_path, path.name), path)


def broken(says: str, found: TaskCard, path: Path, files: dict[File, Path] | None = None) -> None:
    """Check that reading fails with one sentence that names the file and says what is wrong."""
    with pytest.raises(UserError) as raised:
        readers.load(found, files or {})
    text = str(raised.value)
    assert says in text
    assert str(path) in text
    assert text.endswith(".")
    assert "\n" not in text


def test_a_good_zip_of_mkqa_is_read(tmp_path: Path) -> None:
    """What the broken ones are changes of; an empty file is a language that is not there."""
    with zipfile.ZipFile(tmp_path / "mkqa.zip", "w") as archive:
        for lang, rows in (GOOD | {"pt": []}).items():
            archive.writestr(f"x/mkqa-{lang}.jsonl", "\n".join(rows))
    texts = readers.load(own(tmp_path, "mkqa.zip"), {})
    assert by_language(texts.queries) == {"en": 2, "fi": 2}
    assert by_language(texts.documents) == {"en": 1, "fi": 1}


RECORD: dict[str, Any] = {
    "example_id": 1,
    "queries": {"en": "q", "fi": "k"},
    "answers": {"en": [{"type": "entity", "text": "a"}], "fi": [{"type": "entity", "text": "b", "aliases": ["c"]}]},
}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"queries": {"en": "q"}}, "line 2 and the records before it differ in their languages: fi."),
        ({"queries": {"en": "q", "fi": None}}, "line 2: «fi» is not a text"),
        ({"example_id": "x"}, "line 2: «example_id» is not a whole number"),
        ({"answers": {"en": [{"type": "entity"}], "fi": []}}, "line 2 has no field «text»"),
        ({"answers": {"en": {}, "fi": []}}, "line 2: «en» is not a list"),
        ({"answers": {"zz": [], "fi": []}}, "line 2: «zz» is not a language tag"),
    ],
)
def test_a_broken_record_of_mkqa_is_named(record: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "mkqa.jsonl.gz"
    rows = [RECORD, RECORD | {"example_id": 2} | record]
    path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))
    broken(says, own(tmp_path, path.name), path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("mkqa.zip", b"PK\x03\x04 cut off", "is not a whole zip file"),
        ("mkqa.jsonl.gz", gzip.compress(json.dumps(RECORD).encode() * 99)[:-20], "packed file is damaged or cut off"),
        ("mkqa.json", b'[{"example_id": 1', "is not JSON"),
        ("mkqa.json", b"{}", "is not a list"),
        ("mkqa.json", b"\xff\xfe[]", "is not UTF-8"),
        ("mkqa.jsonl", None, "cannot be read: No such file or directory"),
        ("mkqa.zip", None, "cannot be read: No such file or directory"),
    ],
)
def test_a_damaged_file_of_mkqa_is_named(name: str, content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    broken(says, own(tmp_path, name), tmp_path / name)


def test_an_answer_without_text_leaves_a_question_unanswered(tmp_path: Path) -> None:
    """In that language: mteb's rule."""
    answers = {"en": [{"type": "entity", "text": "a"}, {"type": "entity", "text": None}], "fi": RECORD["answers"]["fi"]}
    (tmp_path / "mkqa.json").write_text(json.dumps([RECORD | {"answers": answers}]), encoding="utf-8")
    texts = readers.load(own(tmp_path, "mkqa.json"), {})
    assert texts.documents["text"].tolist() == ["b"]
    assert by_language(texts.queries) == {"en": 1, "fi": 1}


@pytest.mark.parametrize("unit", ["question", "answer"])
def test_records_of_mkqa_say_what_kind_of_answer_there_is(unit: str, tmp_path: Path) -> None:
    answers = [
        {"en": [{"type": "date", "text": "a"}], "fi": [{"type": "entity", "text": "b"}]},
        {"en": [], "fi": [{"type": "entity", "text": "c"}, {"type": "date", "text": "d"}]},
        {"en": [{"text": "e"}], "fi": []},
    ]
    rows = [RECORD | {"example_id": number, "answers": given} for number, given in enumerate(answers)]
    (tmp_path / "mkqa.json").write_text(json.dumps(rows), encoding="utf-8")
    texts = readers.load(own(tmp_path, "mkqa.json", unit=unit), {})
    said = texts.queries.groupby("topic")["answer_type"].unique().map(list).to_dict()
    assert {topic: [value for value in values if isinstance(value, str)] for topic, values in said.items()} == {
        "0": ["date"], "1": ["entity"], "2": [],
    }  # fmt: skip
    assert list(texts.documents.columns) == ["doc_id", "lang", "text"]


PASSAGE = {"id": "0", "question_lang": "q", "question_translated": "p", "context": "c", "title": None}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (json.dumps(PASSAGE)[:-5], "line 1: this is not JSON"),
        (json.dumps(PASSAGE) + "\n[]", "line 2: this is not a JSON object"),
        (json.dumps({name: PASSAGE[name] for name in PASSAGE if name != "context"}), "has no field «context»"),
        (json.dumps(PASSAGE | {"question_lang": None}), "«question_lang» is not a text"),
        (b'{"id": "\xe9"}', "line 1: this is not UTF-8"),
    ],
)
def test_a_broken_file_of_afriqa_is_named(content: str | bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "bem.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = card.find("afriqa")
    broken(says, found, path, {found.files[0]: path})


def test_afriqa_leaves_out_a_question_without_a_passage(tmp_path: Path) -> None:
    path = tmp_path / "fon.json"
    rows = [PASSAGE, PASSAGE | {"id": "1", "context": None}, PASSAGE | {"id": "2", "context": " c\n"}]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    found = card.find("afriqa@title")
    texts = readers.load(found, {found.files[1]: path})
    assert texts.queries["query_id"].tolist() == ["fon/0/fon", "fon/0/fr", "fon/2/fon", "fon/2/fr"]
    assert texts.documents.to_dict("records") == [{"doc_id": "fr/0", "lang": "fr", "text": "c", "title": ""}]


def test_afriqa_needs_to_know_the_pivot(tmp_path: Path) -> None:
    found = card.find("afriqa")
    with pytest.raises(UserError, match="options.pivots says nothing of bem"):
        readers.load(replace(found, options={}), {found.files[0]: tmp_path})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"data": [{"title": "t", "paragraphs": [{"context"', "is not JSON"),
        ('{"dta": []}', "has no field «data»"),
        ('{"data": [{"title": "t", "paragraphs": [{"qas": []}]}]}', "article 1 has no field «context»"),
        ('{"data": [{"title": "t", "paragraphs": [{"context": "c", "qas": [{"id": 1}]}]}]}', "«id» is not a text"),
        (b'\xff\xfe{"data": []}', "is not UTF-8"),
    ],
)
def test_a_broken_file_of_tydiqa_is_named(content: str | bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "ar.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = card.find("tydiqa-goldp")
    broken(says, found, path, {found.files[0]: path})


def test_an_unknown_option_of_mkqa_is_named() -> None:
    with pytest.raises(UserError, match="has no option «anwered»; did you mean answered"):
        readers.load(replace(card.find("mkqa-q"), options={"anwered": True}), {})


@pytest.mark.parametrize("name", ["mkqa-q", "afriqa", "tydiqa-goldp"])
def test_an_unknown_unit_is_named(name: str) -> None:
    with pytest.raises(UserError, match=f"{name}: the unit «word» is none of"):
        readers.load(replace(card.find(name), unit="word"), {})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tokens": "wrds"}, "there are no tokens «wrds»; did you mean words"),
        ({"corpus": "nowhere"}, "nowhere has no corpus.jsonl"),
        ({"corpsu": "."}, "has no option «corpsu»; did you mean corpus"),
        ({"corpus": "."}, "there is no query"),
    ],
)
def test_wrong_options_of_mkqa_nq_are_named(options: dict[str, str], says: str, tmp_path: Path) -> None:
    (tmp_path / "mkqa.json").write_text(json.dumps([RECORD]), encoding="utf-8")
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "text": "nothing of it"}', encoding="utf-8")
    with pytest.raises(UserError) as raised:
        readers.load(own(tmp_path, "mkqa.json", reader="answers", options=options), {})
    assert says in str(raised.value)
