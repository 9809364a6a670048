"""Other people's layouts (BEIR, TREC, the hub, ir_datasets) become the one format, or a sentence says why not."""

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks import card, hub, languages, readers
from tasks.card import TaskCard
from tasks.collection import Collection
from tasks.errors import UserError
from tests.conftest import Ran

CARD = """name = "mine"
version = "1"
title = "Mine"
description = "x"
reader = "{reader}"
licence = "CC0"
citation = "x"
settings = ["mono", "cross", "multi"]
measures = ["nDCG@10"]
"""
CORPUS: list[dict[str, Any]] = [
    {"_id": "1", "title": "Nile", "text": "It is long.", "metadata": {"domain": "river", "year": 1900}},
    {"_id": "2", "title": "", "text": "It is wide.", "metadata": {"domain": "sea"}},
]
QUERIES: list[dict[str, Any]] = [
    {"_id": "7", "text": "what is long", "domain": "river"},
    {"_id": "8", "text": "train only"},
]
QRELS = "query-id\tcorpus-id\tscore\n7\t1\t2\n7\t2\t-1\n"


def task(folder: Path, reader: str, options: str = "") -> TaskCard:
    (folder / "card.toml").write_text(f"{CARD.format(reader=reader)}\n[options]\n{options}\n", encoding="utf-8")
    return card.find(f"{folder}/")


def load(folder: Path, reader: str, options: str = "") -> Collection:
    return readers.load(task(folder, reader, options), {})


def jsonl(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def beir(folder: Path, gz: str = "", corpus: list[dict[str, Any]] = CORPUS, queries: list[dict[str, Any]] = QUERIES,
         qrels: str = QRELS) -> Path:  # fmt: skip
    jsonl(folder / f"corpus.jsonl{gz}", corpus)
    jsonl(folder / f"queries.jsonl{gz}", queries)
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / f"test.tsv{gz}").write_bytes(gzip.compress(qrels.encode()) if gz else qrels.encode())
    return folder


def judged(texts: Collection) -> dict[tuple[str, str], int]:
    rows = texts.judgements[["topic", "doc_id", "relevance"]].to_numpy().tolist()
    return {(topic, doc_id): relevance for topic, doc_id, relevance in rows}


# BEIR


@pytest.mark.parametrize("gz", ["", ".gz"])
def test_beir_in_one_language(tmp_path: Path, gz: str) -> None:
    texts = load(beir(tmp_path, gz), "beir", 'language = "en"')
    assert texts.documents["doc_id"].tolist() == ["1", "2"]
    assert texts.document_texts == ["Nile It is long.", "It is wide."]
    assert texts.queries.to_dict("records") == [
        {"query_id": "7", "lang": "en", "text": "what is long", "topic": "7", "domain": "river"}
    ]
    assert judged(texts) == {("7", "1"): 2, ("7", "2"): 0}  # -1 counts as 0
    assert texts.documents["domain"].tolist() == ["river", "sea"]  # metadata are facets
    assert texts.documents["year"].fillna("none").tolist() == ["1900", "none"]


def test_beir_in_subfolders_keeps_ids_apart(tmp_path: Path) -> None:
    for tag in ("en", "sw"):
        beir(tmp_path / tag)
    texts = load(tmp_path, "beir")
    assert texts.documents["doc_id"].tolist() == ["en/1", "en/2", "sw/1", "sw/2"]
    assert texts.documents["lang"].tolist() == ["en", "en", "sw", "sw"]
    assert texts.queries["topic"].tolist() == ["en/7", "sw/7"]  # 7 in one language is not 7 in the other
    assert judged(texts)["sw/7", "sw/1"] == 2
    assert ("en/7", "sw/1") not in judged(texts)
    only = load(tmp_path, "beir", 'languages = {sw = "swh"}')
    assert only.documents["lang"].tolist() == ["swh", "swh"]


def test_beir_in_parallel_subfolders_shares_topics(tmp_path: Path) -> None:
    for tag in ("en", "sw"):
        beir(tmp_path / tag)
    texts = load(tmp_path, "beir", "parallel = true")
    assert texts.queries["topic"].tolist() == ["7", "7"]
    assert judged(texts) == {("7", "en/1"): 2, ("7", "en/2"): 0, ("7", "sw/1"): 2, ("7", "sw/2"): 0}


def test_beir_records_may_say_language_and_topic(tmp_path: Path) -> None:
    corpus = [{"_id": "1", "text": "a", "lang": "eng_Latn"}, {"_id": "2", "text": "b", "language": "sw"}]
    queries = [{"_id": "7", "text": "q", "lang": "eng_Latn", "topic": "t"},
               {"_id": "8", "text": "s", "lang": "sw", "topic": "t"}]  # fmt: skip
    qrels = "query-id\tcorpus-id\tscore\n7\t1\t1\n8\t1\t2\n8\t2\t1\n"
    texts = load(beir(tmp_path, "", corpus, queries, qrels), "beir", 'languages = {eng_Latn = "en"}')
    assert texts.documents["lang"].tolist() == ["en", "sw"]
    assert texts.queries["topic"].tolist() == ["t", "t"]
    assert judged(texts) == {("t", "1"): 2, ("t", "2"): 1}  # the highest of the wordings


@pytest.mark.parametrize(
    "qrels", ["7\t1\t2\n7\t2\t-1\n", "7\tQ0\t1\t2\n7\tQ0\t2\t-1\n", "\ufeff7\t1\t2.0\r\n7\t2\t0\r\n"]
)
def test_beir_judgements_without_a_header(tmp_path: Path, qrels: str) -> None:
    texts = load(beir(tmp_path, qrels=qrels), "beir", 'language = "en"')
    assert judged(texts) == {("7", "1"): 2, ("7", "2"): 0}


def test_missing_documents_are_an_error_or_ignored(tmp_path: Path) -> None:
    beir(tmp_path, qrels=QRELS + "7\t3\t1\n7\t4\t1\n")
    with pytest.raises(UserError, match=r"test.tsv, line 4: document «3» does not exist \(and 1 more such documents"):
        load(tmp_path, "beir", 'language = "en"')
    assert len(load(tmp_path, "beir", 'language = "en"\nmissing_documents = "ignore"').judgements) == 2
    beir(tmp_path, qrels=QRELS + "9\t1\t1\n")
    with pytest.raises(UserError, match="test.tsv, line 4: query «9» does not exist"):
        load(tmp_path, "beir", 'language = "en"')
    assert len(load(tmp_path, "beir", 'language = "en"\nmissing_queries = "ignore"').judgements) == 2


def test_a_document_may_be_nothing_but_a_title(tmp_path: Path) -> None:
    beir(tmp_path, corpus=[CORPUS[0], {"_id": "2", "title": "Lake", "text": ""}])
    assert load(tmp_path, "beir", 'language = "en"').document_texts[1] == "Lake"
    beir(tmp_path, corpus=[*CORPUS, {"_id": "3", "title": "", "text": " "}])
    with pytest.raises(UserError, match="corpus.jsonl, line 3: document «3» has an empty text"):
        load(tmp_path, "beir", 'language = "en"')
    assert len(load(tmp_path, "beir", 'language = "en"\nempty_documents = "ignore"').documents) == 2


def replaced(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (
            replaced("corpus.jsonl", b'{"_id": "1", "text": "a"}\n{"_id": "2", "te'),
            "",
            "corpus.jsonl, line 2: this is not JSON",
        ),
        (
            replaced("corpus.jsonl", b'{"_id": "1", "title": "a"}\n'),
            "",
            "corpus.jsonl, line 1: there is no field «text»",
        ),
        (replaced("queries.jsonl", b'{"text": "a"}\n'), "", "queries.jsonl, line 1: there is no field «_id»"),
        (replaced("queries.jsonl", b"[1]\n"), "", "queries.jsonl, line 1: this is not a JSON object"),
        (replaced("queries.jsonl", b'{"_id": "7", "text": 3}\n'), "", "queries.jsonl, line 1: the text is not a text"),
        (
            replaced("corpus.jsonl", b'{"_id": "1", "text": "a"}\n{"_id": "2", "text": "\xe9"}\n'),
            "",
            "corpus.jsonl, line 2: this is not UTF-8",
        ),
        (replaced("qrels/test.tsv", b"7 1 1\n"), "", "test.tsv, line 1: the header has no column «query-id»"),
        (replaced("qrels/test.tsv", b""), "", "test.tsv, line 1: the header has no column «query-id»"),
        (replaced("qrels/test.tsv", b"query-id\tcorpus-id\n"), "", "the header has no column «score»"),
        (
            replaced("qrels/test.tsv", b"query-id\tcorpus-id\tscore\n7\t1\n"),
            "",
            "test.tsv, line 2: the number of columns is 2 here and 3 in the header",
        ),
        (replaced("qrels/test.tsv", b"query-id\tcorpus-id\tscore\n7\t1\thigh\n"), "", "line 2: the relevance «high»"),
        (replaced("qrels/test.tsv", b"query-id\tcorpus-id\tscore\n7\t1\t0.5\n"), "", "line 2: the relevance «0.5»"),
        (replaced("qrels/test.tsv", b"query-id\tcorpus-id\tscore\n7\t1\tinf\n"), "", "line 2: the relevance «inf»"),
        (
            replaced("qrels/test.tsv", b"query-id\tcorpus-id\tscore\n7\t1\t1\n7\t1\t2\n"),
            "",
            "line 3: the judgement of document «1» for query «7» contradicts",
        ),
        (replaced("qrels/test.tsv", b"query-id\tcorpus-id\tscore\n7\t1\t0\n"), "", "no query has a relevant document"),
        (replaced("qrels/test.tsv", b"query-id\tcorpus-id\tscore\n"), "", "there is no judgement"),
        (replaced("qrels/test.tsv", b"query-id\tcorpus-id\tscore\n7\t1\t1_0\n"), "", "line 2: the relevance «1_0»"),
        (replaced("corpus.jsonl", b""), "", "there is no document"),
        (replaced("queries.jsonl", b"\n"), "", "there is no query"),
        (replaced("corpus.jsonl", b'{"_id": " ", "text": "a"}\n'), "", "corpus.jsonl, line 1: the id is empty"),
        (
            replaced("corpus.jsonl", gzip.compress(b'{"_id": "1", "text": "a"}\n')),
            "",
            "corpus.jsonl, line 1: this is not UTF-8; it is packed, so let its name end in .gz",
        ),
        (
            lambda folder: (folder / "qrels/test.tsv").rename(folder / "qrels/dev.tsv"),
            "",
            "there is dev.tsv, which options.split can name",
        ),
        (lambda folder: (folder / "queries.jsonl").unlink(), "", "has no queries.jsonl"),
        (lambda folder: (folder / "corpus.jsonl").unlink(), "", "has no corpus.jsonl, nor a subfolder"),
        (replaced("x", b""), 'language = "xx"', "«xx» is not a language tag"),
        (replaced("x", b""), 'langage = "en"', "has no option «langage»; did you mean language"),
        (replaced("x", b""), "split = 3", "options.split must be a text"),
        (replaced("x", b""), "languages = 3", "options.languages must be a list"),
        (replaced("x", b""), 'parallel = "yes"', "options.parallel must be true or false"),
        (replaced("x", b""), 'missing_documents = "keep"', "options.missing_documents must be"),
    ],
)
def test_a_broken_beir_folder_is_named(
    change: Callable[[Path], object], options: str, says: str, tmp_path: Path
) -> None:
    change(beir(tmp_path))
    with pytest.raises(UserError) as raised:
        load(tmp_path, "beir", options or 'language = "en"')
    assert says in str(raised.value)


def test_a_language_must_be_said_somewhere(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="corpus.jsonl, line 1: nothing says the language"):
        load(beir(tmp_path), "beir")
    beir(tmp_path, corpus=[{"_id": "1", "text": "a", "lang": "xx"}, CORPUS[1]])
    with pytest.raises(UserError, match="«xx» is not a language tag"):
        load(tmp_path, "beir", 'language = "en"')


def test_a_cut_off_gzip_file_is_named(tmp_path: Path) -> None:
    path = beir(tmp_path, ".gz") / "corpus.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(UserError, match="corpus.jsonl.gz, line 2: the packed file is damaged"):
        load(tmp_path, "beir", 'language = "en"')


# TREC

SGML = """<DOC>
<DOCNO> D1 </DOCNO>
<HEADLINE>Nile &amp; co</HEADLINE>
<TEXT>
<P>It is
long.</P>
</TEXT>
</DOC>
<DOC><DOCNO>D2</DOCNO><TEXT>It is wide.</TEXT></DOC>
"""
TOPICS = """<top>
<num> Number: 301
<title> long rivers
<desc> Description:
Which rivers are long?
</top>
"""


def trec(folder: Path) -> Path:
    (folder / "documents.sgml").write_text(SGML, encoding="utf-8")
    (folder / "topics.txt").write_text(TOPICS, encoding="utf-8")
    (folder / "qrels.txt").write_text("301 0 D1 1\n301 0 D2 -2\n", encoding="utf-8")
    return folder


def test_trec_files(tmp_path: Path) -> None:
    texts = load(trec(tmp_path), "trec", 'language = "en"')
    assert texts.documents["doc_id"].tolist() == ["D1", "D2"]
    assert texts.document_texts == ["Nile & co It is long.", "It is wide."]
    assert texts.queries[["query_id", "topic", "text"]].to_numpy().tolist() == [["301", "301", "long rivers"]]
    assert judged(texts) == {("301", "D1"): 1, ("301", "D2"): 0}
    described = load(tmp_path, "trec", 'language = "en"\ntopic_field = "description"')
    assert described.queries["text"].tolist() == ["Which rivers are long?"]


def test_trec_topics_in_several_languages_share_their_judgements(tmp_path: Path) -> None:
    trec(tmp_path)
    (tmp_path / "documents.sgml").unlink()
    jsonl(tmp_path / "docs.de.jsonl.gz", [{"docno": "D1", "contents": "lang", "source": "zeitung"}])
    jsonl(tmp_path / "docs.en.jsonl.gz", [{"docno": "D2", "contents": "wide", "source": "paper"}])
    (tmp_path / "topics.en.tsv").write_text("301\tlong rivers\n", encoding="utf-8")
    (tmp_path / "topics.de.tsv").write_text("301\tlange Flüsse\n", encoding="utf-8")
    (tmp_path / "qrels.txt").write_text("301 0 D1 1\n301 0 D2 1\n", encoding="utf-8")
    options = """documents = {de = "docs.de.*", en = "docs.en.*"}
topics = {de = "topics.de.tsv", en = "topics.en.tsv"}"""
    texts = load(tmp_path, "trec", options)
    assert texts.queries["query_id"].tolist() == ["301/de", "301/en"]
    assert texts.queries["topic"].tolist() == ["301", "301"]
    assert dict(zip(texts.documents["doc_id"], texts.documents["lang"], strict=True)) == {"D1": "de", "D2": "en"}
    assert judged(texts) == {("301", "D1"): 1, ("301", "D2"): 1}
    assert texts.documents["source"].tolist() == ["zeitung", "paper"]


@pytest.mark.parametrize(
    ("name", "content", "options", "says"),
    [
        ("documents.sgml", SGML[:40].encode(), "", "documents.sgml, line 1: the file ends before this <DOC> does"),
        (
            "documents.sgml",
            b"<DOC>\n<DOCNO>1</DOCNO>\n<DOC>\n</DOC>",
            "",
            "line 3: a <DOC> begins before the one at line 1 ends",
        ),
        ("documents.sgml", b"<DOC><TEXT>x</TEXT></DOC>", "", "documents.sgml, line 1: this document has no <DOCNO>"),
        (
            "documents.sgml",
            b"<DOC>\n<DOCNO>1</DOCNO><TEXT>\xe9</TEXT></DOC>",
            "",
            "documents.sgml, line 2: this is not UTF-8",
        ),
        ("topics.txt", b"<top>\n<num> 1\n</top>", "", "topics.txt, line 1: this topic has no <title>"),
        ("qrels.txt", b"301 0 D1 1\n301 D1 1\n", "", "qrels.txt, line 2: there are 3 columns instead of four"),
        ("qrels.txt", b"301 0 D1 1\n301 0 D9 1\n", "", "qrels.txt, line 2: document «D9» does not exist"),
        ("x", b"", 'topics = "nothing*"', "has no topics «nothing*»"),
        ("x", b"", 'topics = "../*"', "options.topics must be a pattern"),
        ("x", b"", 'topic_field = "body"', "must be one of title, description, narrative"),
        ("x", b"", 'encoding = "utf-9"', "«utf-9» is not the name of an encoding"),
    ],
)
def test_broken_trec_files_are_named(name: str, content: bytes, options: str, says: str, tmp_path: Path) -> None:
    (trec(tmp_path) / name).write_bytes(content)
    with pytest.raises(UserError) as raised:
        load(tmp_path, "trec", f'language = "en"\n{options}')
    assert says in str(raised.value)


def test_empty_lines_among_trec_topics_are_passed_over(tmp_path: Path) -> None:
    (trec(tmp_path) / "topics.txt").unlink()
    (tmp_path / "topics.tsv").write_text("301\tlong rivers\n\n", encoding="utf-8")
    assert load(tmp_path, "trec", 'language = "en"').queries["text"].tolist() == ["long rivers"]


def test_old_trec_files_have_other_encodings(tmp_path: Path) -> None:
    (trec(tmp_path) / "documents.sgml").write_bytes(SGML.replace("wide", "été").encode("latin-1"))
    texts = load(tmp_path, "trec", 'language = "fr"\nencoding = "latin-1"')
    assert texts.documents["text"].iloc[1] == "It is été."


# The hub: local folders of exactly its layout, and the same path through the code


def hub_set(folder: Path, configs: dict[str, tuple[str, list[dict[str, Any]]]]) -> Path:
    """A data set as it lies on the hub: Parquet files, and a README.md that says which configuration is which."""
    said = []
    for name, (split, rows) in configs.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_parquet(folder / name / f"{split}-00000-of-00001.parquet")
        said.append(f"- config_name: {name}\n  data_files:\n  - split: {split}\n    path: {name}/{split}-*\n")
    (folder / "README.md").write_text(f"---\nconfigs:\n{''.join(said)}---\n", encoding="utf-8")
    return folder


def hub_rows(tag: str = "") -> dict[str, tuple[str, list[dict[str, Any]]]]:
    front = f"{tag}-" if tag else ""
    return {
        f"{front}corpus": ("test", [{"_id": "1", "title": "T", "text": "a", "domain": "law"},
                                    {"_id": "2", "title": "", "text": "b", "domain": None}]),
        f"{front}queries": ("test", [{"_id": "1", "text": "q", "domain": "law"}]),
        f"{front}qrels" if tag else "default": ("test", [{"query-id": "1", "corpus-id": "1", "score": 1.0}]),
    }  # fmt: skip


def test_a_hub_set_in_one_language(tmp_path: Path, cache: Path) -> None:
    hub_set(tmp_path / "data", hub_rows())
    texts = load(tmp_path, "hub", 'hub = "./data"\nlanguage = "en"')
    assert texts.document_texts == ["T a", "b"]
    assert texts.queries[["query_id", "topic", "domain"]].to_numpy().tolist() == [["1", "1", "law"]]
    assert texts.documents["domain"].fillna("none").tolist() == ["law", "none"]
    assert judged(texts) == {("1", "1"): 1}


def test_a_hub_set_in_several_languages(tmp_path: Path, cache: Path) -> None:
    """The layout of WikipediaRetrievalMultilingual and of MIRACL: <language>-corpus, -queries, -qrels."""
    hub_set(tmp_path / "data", hub_rows("no") | hub_rows("zho_Hans") | hub_rows("bn"))
    texts = load(tmp_path, "hub", 'hub = "./data"\nlanguages = {no = "no", zho_Hans = "zh-Hans"}')
    assert texts.documents["doc_id"].tolist() == ["no/1", "no/2", "zh-Hans/1", "zh-Hans/2"]
    assert texts.queries["topic"].tolist() == ["no/1", "zh-Hans/1"]
    assert judged(texts) == {("no/1", "no/1"): 1, ("zh-Hans/1", "zh-Hans/1"): 1}


@pytest.mark.parametrize("name", ["miracl", "wikipedia"])
def test_the_shipped_hub_cards_read_their_layout(
    name: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = card.find(name)
    rows: dict[str, tuple[str, list[dict[str, Any]]]] = {}
    for tag in found.languages:
        rows |= {config: (found.options.get("split", "test"), of) for config, (_, of) in hub_rows(tag).items()}
    hub_set(tmp_path / found.options["hub"], rows)
    monkeypatch.setenv("ISOGLOSS_HUB", str(tmp_path))
    texts = readers.load(found, {})
    assert texts.document_languages == found.languages
    assert len(found.languages) == {"miracl": 18, "wikipedia": 16}[name]
    if found.variants:
        assert readers.load(card.find(f"{name}@sw"), {}).document_languages == ["sw"]


SITE = "https://en.wikinews.org/wiki/b"


def test_belebele_is_parallel(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = card.find("belebele")
    assert len(found.options["languages"]) == len(found.languages) == 122
    assert len({languages.name(tag) for tag in found.languages}) == 122
    rows = {
        name: ("test", [
            {"link": "wiki/a", "question_number": 1, "flores_passage": f"a {name}", "question": f"1 {name}"},
            {"link": "wiki/a", "question_number": 2, "flores_passage": f"a {name}", "question": f"2 {name}"},
            {"link": SITE, "question_number": 1, "flores_passage": f"b {name}", "question": f"3 {name}"},
        ])
        for name in ("eng_Latn", "zho_Hans", "swh_Latn")
    }  # fmt: skip
    hub_set(tmp_path / "data", rows)
    options = 'hub = "./data"\nlanguages = {eng_Latn = "en", zho_Hans = "zh-Hans"}'
    texts = load(tmp_path, "belebele", options)
    assert len(texts.documents) == 4
    assert len(texts.queries) == 6
    assert texts.queries.groupby("topic").size().to_dict() == {"wiki/a/1": 2, "wiki/a/2": 2, f"{SITE}/1": 2}
    assert judged(texts)["wiki/a/2", "zh-Hans/wiki/a"] == 1
    assert ("wiki/a/2", f"en/{SITE}") not in judged(texts)
    assert texts.queries.groupby("topic")["domain"].agg(["first", "nunique"]).fillna("").to_dict("index") == {
        "wiki/a/1": {"first": "", "nunique": 0}, "wiki/a/2": {"first": "", "nunique": 0},
        f"{SITE}/1": {"first": "wikinews", "nunique": 1},
    }  # fmt: skip
    assert texts.documents["text"].tolist()[:2] == ["a eng_Latn", "b eng_Latn"]


def test_a_hub_set_is_pinned(tmp_path: Path) -> None:
    for revision in ("", 'revision = "main"', f'revision = "{"g" * 40}"', f'revision = "{"a" * 39}"'):
        with pytest.raises(UserError, match="options.revision must be the full commit of mteb/x"):
            load(tmp_path, "hub", f'hub = "mteb/x"\n{revision}')
    with pytest.raises(UserError, match="options.hub must be"):
        load(tmp_path, "hub", 'hub = "https://huggingface.co/datasets/mteb/x"')
    with pytest.raises(UserError, match="data, which options.hub names, is not a folder"):
        load(tmp_path, "hub", 'hub = "./data"')


def test_what_a_hub_set_brings_is_the_pinned_commit_and_no_code(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's client is replaced by one that notes what it is asked for and serves a local folder."""
    import huggingface_hub

    data = hub_set(tmp_path / "data", hub_rows("en") | hub_rows("sw"))
    (data / "data.py").write_text("raise SystemExit('code of a data set was run')", encoding="utf-8")
    asked: list[dict[str, Any]] = []

    def download(name: str, **options: Any) -> str:
        asked.append({"name": name} | options)
        return str(data)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.delenv("ISOGLOSS_HUB", raising=False)
    pinned = task(tmp_path, "hub", f'hub = "mteb/x"\nrevision = "{"a" * 40}"\nlanguages = ["sw"]')
    hub.bring(pinned)
    assert {(one["name"], one["revision"], one["repo_type"]) for one in asked} == {("mteb/x", "a" * 40, "dataset")}
    assert not any(one["local_files_only"] for one in asked)
    assert asked[1]["allow_patterns"] == ["README.md", "sw-corpus/test-*", "sw-queries/test-*", "sw-qrels/test-*"]
    asked.clear()
    with pytest.raises(UserError, match="scripts are no longer supported"):
        readers.load(pinned, {})
    (data / "data.py").unlink()
    assert readers.load(pinned, {}).document_languages == ["sw"]
    assert all(one["local_files_only"] for one in asked)  # reading asks the disk alone


def test_without_a_network_a_hub_set_says_where_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Callable[..., Ran]
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("ISOGLOSS_HUB", raising=False)
    task(tmp_path, "hub", f'hub = "mteb/x"\nrevision = "{"a" * 40}"\nlanguage = "en"')
    ran = bench("run", "--model", "random", "--task", f"{tmp_path}/", "--offline")
    ran.failed("mteb/x at aaaaaaaa is not on this machine", "ISOGLOSS_HUB")


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        ({"corpus": ("test", [{"_id": "1", "title": "x"}])}, "", "data corpus/test, row 1: there is no field «text»"),
        ({"queries": ("test", [{"text": "x"}])}, "", "data queries/test, row 1: there is no field «_id»"),
        (
            {"default": ("test", [{"query-id": "1", "score": 1}])},
            "",
            "data default/test, row 1: there is no field «corpus-id»",
        ),
        ({"default": ("test", [{"query-id": "1", "corpus-id": "1", "score": 0.5}])}, "", "row 1: the relevance «0.5»"),
        ({}, 'languages = {sw = "sw"}', "has no configuration «sw-corpus»"),
        ({}, 'languages = {sw = "swa_x"}', "«swa_x» is not a language tag"),
    ],
)
def test_a_broken_hub_set_is_named(
    change: dict[str, Any], options: str, says: str, tmp_path: Path, cache: Path
) -> None:
    hub_set(tmp_path / "data", hub_rows() | change)
    with pytest.raises(UserError) as raised:
        load(tmp_path, "hub", f'hub = "./data"\nlanguage = "en"\n{options}')
    assert says in str(raised.value)


def test_a_broken_file_of_a_hub_set_is_named(tmp_path: Path, cache: Path) -> None:
    data = hub_set(tmp_path / "data", hub_rows())
    (data / "corpus" / "test-00000-of-00001.parquet").unlink()
    broken = data / "corpus" / "test-0.jsonl"
    for content, says in ((b'{"_id": "1", "text": "a"}\n{"_id": "2", "te', "line 2: this is not JSON"),
                          (b'{"_id": "1", "text": "\xe9"}\n', "line 1: this is not UTF-8")):  # fmt: skip
        broken.write_bytes(content)
        with pytest.raises(UserError) as raised:
            load(tmp_path, "hub", 'hub = "./data"\nlanguage = "en"')
        assert f"test-0.jsonl, {says}" in str(raised.value)
    broken.unlink()
    (data / "corpus" / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="test-00000-of-00001.parquet cannot be read as Parquet"):
        load(tmp_path, "hub", 'hub = "./data"\nlanguage = "en"')
    (data / "corpus" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(UserError, match="cannot be read: No .supported. data files found"):
        load(tmp_path, "hub", 'hub = "./data"\nlanguage = "en"')


def test_a_changed_file_of_a_hub_set_is_read_again(tmp_path: Path, cache: Path) -> None:
    rows = hub_rows()
    hub_set(tmp_path / "data", rows)
    first = load(tmp_path, "hub", 'hub = "./data"\nlanguage = "en"')
    rows["corpus"][1][0]["text"] = "changed"
    hub_set(tmp_path / "data", rows)
    again = load(tmp_path, "hub", 'hub = "./data"\nlanguage = "en"')
    assert first.document_texts[0] == "T a"
    assert again.document_texts[0] == "T changed"


def test_split_names_are_chosen_or_named(tmp_path: Path, cache: Path) -> None:
    data = hub_set(tmp_path / "data", hub_rows() | {"queries": ("queries", hub_rows()["queries"][1])})
    assert len(load(tmp_path, "hub", 'hub = "./data"\nlanguage = "en"').queries) == 1  # the only split there is
    readme = (data / "README.md").read_text(encoding="utf-8")
    twice = "  - split: dev\n    path: corpus/test-*\n  - split: train\n    path: corpus/test-*\n"
    (data / "README.md").write_text(
        readme.replace("  - split: test\n    path: corpus/test-*\n", twice), encoding="utf-8"
    )
    with pytest.raises(UserError, match="corpus has no split «test»; options.split can be dev, train"):
        load(tmp_path, "hub", 'hub = "./data"\nlanguage = "en"')


def test_a_folder_without_a_list_of_configurations_is_named(tmp_path: Path, cache: Path) -> None:
    (hub_set(tmp_path / "data", hub_rows()) / "README.md").unlink()
    with pytest.raises(UserError, match=r"\./data has no README.md that lists its configurations"):
        load(tmp_path, "hub", 'hub = "./data"\nlanguage = "en"')


def test_copies_of_the_hub_must_be_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Callable[..., Ran], cache: Path
) -> None:
    monkeypatch.setenv("ISOGLOSS_HUB", str(tmp_path / "nowhere"))
    bench("fetch", "miracl@sw").failed("ISOGLOSS_HUB names", "nowhere, which is not a folder")
    found = card.find("miracl@sw")
    hub_set(tmp_path / "nowhere" / found.options["hub"], hub_rows("sw"))
    assert bench("fetch", "miracl@sw").out.startswith("miracl@sw: mteb/MIRACLRetrieval is here; licence: ")


# ir_datasets


def test_ir_datasets_by_identifier(tmp_path: Path) -> None:
    """A data set of the real library, made of local files."""
    ir_datasets = pytest.importorskip("ir_datasets")
    (tmp_path / "docs.tsv").write_text("d1\tit is long\nd2\tit is wide\n", encoding="utf-8")
    (tmp_path / "queries.tsv").write_text("q1\twhat is long\n", encoding="utf-8")
    (tmp_path / "qrels").write_text("q1 0 d1 1\nq1 0 d2 -1\n", encoding="utf-8")
    name = f"isogloss-test/{tmp_path.name}"
    ir_datasets.registry.register(name, ir_datasets.create_dataset(
        docs_tsv=str(tmp_path / "docs.tsv"), queries_tsv=str(tmp_path / "queries.tsv"),
        qrels_trec=str(tmp_path / "qrels")))  # fmt: skip
    texts = load(tmp_path, "ir_datasets", f'ids = {{en = "{name}"}}')
    assert texts.documents[["doc_id", "lang", "text"]].to_numpy().tolist() == [
        ["d1", "en", "it is long"],
        ["d2", "en", "it is wide"],
    ]
    assert judged(texts) == {("q1", "d1"): 1, ("q1", "d2"): 0}
    with pytest.raises(UserError, match="ir_datasets has no data set «nothing/at/all»"):
        load(tmp_path, "ir_datasets", 'ids = {en = "nothing/at/all"}')


def test_what_ir_datasets_cannot_bring_is_one_sentence(tmp_path: Path, bench: Callable[..., Ran]) -> None:
    ir_datasets = pytest.importorskip("ir_datasets")
    name = f"isogloss-test/{tmp_path.name}"
    nowhere = {f"{what}": str(tmp_path / what) for what in ("docs_tsv", "queries_tsv", "qrels_trec")}
    ir_datasets.registry.register(name, ir_datasets.create_dataset(**nowhere))
    task(tmp_path, "ir_datasets", f'ids = {{en = "{name}"}}')
    bench("tasks", "check", f"{tmp_path}/").failed(f"«{name}» of ir_datasets cannot be read (", "check the network")


def test_ir_datasets_is_asked_for_only_when_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(UserError, match=r"needs the package ir_datasets; pip install"):
        load(tmp_path, "ir_datasets", 'ids = {en = "beir/scifact/test"}')
    with pytest.raises(UserError, match="options.ids must be a table"):
        load(tmp_path, "ir_datasets", 'ids = ["beir/scifact/test"]')
    assert "ir_datasets" in readers.names()
