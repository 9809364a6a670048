"""A small valid task for every reader, as data: what its card says and what its files hold.

`write` lays one out as the command line meets it: a folder with a card, and a mirror that holds the pinned files with
whatever is in them, so that a fault gets past the hash and into the reader.
"""

import gzip
import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tests.hostile import toml_text

BASE = {
    "name": "mine", "version": "1", "title": "Mine", "description": "x", "licence": "CC0", "citation": "x",
    "settings": ["mono", "cross", "multi"], "measures": ["AP"],
}  # fmt: skip
SYMMETRIC = {"symmetric": True, "ignore_identical_ids": True, "settings": ["cross", "multi"]}


@dataclass(frozen=True)
class Layout:
    """A task of one reader.

    * `card`: what its card says besides BASE.
    * `files`: by path, what lies beside the card: text, a list of records (`.jsonl`, `.parquet`), JSON.
    * `pinned`: by path, language and content of the files that a mirror holds.
    """

    reader: str
    card: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    pinned: dict[str, tuple[str, Any]] = field(default_factory=dict)


DOCUMENTS: list[dict[str, Any]] = [
    {"doc_id": "1/en", "lang": "en", "text": "The Nile is long.", "title": "Nile", "domain": "river"},
    {"doc_id": "1/sw", "lang": "sw", "text": "Mto Nile ni mrefu.", "title": "Nile", "domain": "river"},
    {"doc_id": "2/en", "lang": "en", "text": "The sea is wide.", "title": "Sea", "domain": None},
]
QUERIES: list[dict[str, Any]] = [
    {"query_id": "q1/en", "lang": "en", "text": "What is long?", "topic": "q1", "year": 1990},
    {"query_id": "q1/sw", "lang": "sw", "text": "Nini ni ndefu?", "topic": "q1", "year": 1991},
    {"query_id": "q2/en", "lang": "en", "text": "What is wide?", "topic": "q2", "year": None},
]
JUDGEMENTS: list[dict[str, Any]] = [
    {"topic": "q1", "doc_id": "1/en", "relevance": 1}, {"topic": "q1", "doc_id": "1/sw", "relevance": 2},
    {"topic": "q2", "doc_id": "2/en", "relevance": 1}, {"topic": "q2", "doc_id": "1/en", "relevance": 0},
]  # fmt: skip
TABLES = {"documents": DOCUMENTS, "queries": QUERIES, "judgements": JUDGEMENTS}
CORPUS = [
    {"_id": "1", "title": "Nile", "text": "It is long.", "metadata": {"domain": "river", "year": 1900}},
    {"_id": "2", "title": "", "text": "It is wide.", "metadata": {"domain": "sea"}},
]
ASKED = [{"_id": "7", "text": "what is long", "domain": "river"}, {"_id": "8", "text": "what is wide"}]
QRELS = "query-id\tcorpus-id\tscore\n7\t1\t2\n7\t2\t-1\n8\t2\t1\n"
SGML = (
    "<DOC>\n<DOCNO> D1 </DOCNO>\n<HEADLINE>Nile &amp; co</HEADLINE>\n<TEXT>\n<P>It is\nlong.</P>\n</TEXT>\n</DOC>\n"
    "<DOC><DOCNO>D2</DOCNO><TEXT>It is wide.</TEXT></DOC>\n"
)
TOPICS = "<top>\n<num> Number: 301\n<title> long rivers\n<desc> Description:\nWhich rivers are long?\n</top>\n"


def hub(kind: str, **configs: list[dict[str, Any]]) -> dict[str, Any]:
    """A data set as it lies on the hub: one file for each configuration, and a README.md that says which it is."""
    said = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {name}/test.{kind}\n" for name in configs
    )
    files = {f"data/{name}/test.{kind}": rows for name, rows in configs.items()}
    return {"data/README.md": f"---\nconfigs:\n{said}---\n", **files}


HUB: dict[str, list[dict[str, Any]]] = {
    "corpus": [{"_id": "1", "title": "T", "text": "a", "domain": "law"},
               {"_id": "2", "title": "", "text": "b", "domain": None}],
    "queries": [{"_id": "1", "text": "q", "domain": "law"}],
    "qrels": [{"query-id": "1", "corpus-id": "1", "score": 1.0}],
}  # fmt: skip
BELEBELE = [
    {"link": "https://en.wikinews.org/wiki/b", "question_number": 1, "flores_passage": "P.", "question": "Q?"},
    {"link": "https://en.wikinews.org/wiki/b", "question_number": 2, "flores_passage": "P.", "question": "R?"},
]
SQUAD = {
    "data": [{"title": "Nile", "paragraphs": [{
        "context": "It is long. It is wide.", "sentence_breaks": [[0, 11], [12, 23]],
        "qas": [{"id": "q1", "question": "What?", "answers": [{"answer_start": 6, "text": "long"}]},
                {"id": "q2", "question": "How?", "answers": [{"answer_start": 18, "text": "wide"}]}],
    }]}],
}  # fmt: skip
MKQA = [
    {"example_id": 1, "queries": {"en": "who", "zh_cn": "shui"},
     "answers": {"en": [{"type": "entity", "text": "Ann", "aliases": ["Anne"]}],
                 "zh_cn": [{"type": "entity", "text": "An", "aliases": None}]}},
    {"example_id": 2, "queries": {"en": "is it", "zh_cn": "shi"},
     "answers": {"en": [{"type": "binary", "text": "yes"}], "zh_cn": [{"type": "binary", "text": None}]}},
]  # fmt: skip
MIA = {
    f"{lang}.jsonl": [{"id": f"1_{lang}", "lang": lang, "question": "who", "answers": ["Ann"]},
                      {"id": f"2_{lang}", "lang": lang, "question": "is it", "answers": ["yes"]}]
    for lang in ("en", "sw")
}  # fmt: skip
AFRIQA = [
    {"id": "1", "question_lang": "a", "question_translated": "b", "context": "c", "title": "t"},
    {"id": "2", "question_lang": "d", "question_translated": "e", "context": "f", "title": None},
]
LAYOUTS: dict[str, Layout] = {
    "parquet": Layout("folder", files={f"{name}.parquet": rows for name, rows in TABLES.items()}),
    "jsonl": Layout("folder", files={f"{name}.jsonl": rows for name, rows in TABLES.items()}),
    "tsv": Layout("folder", files={
        f"{name}.tsv": "\n".join("\t".join(f"{cell}" for cell in row) for row in [[*rows[0]], *map(dict.values, rows)])
        for name, rows in TABLES.items()
    }),
    "beir": Layout("beir", {"options": {"language": "en"}},
                   {"corpus.jsonl": CORPUS, "queries.jsonl": ASKED, "qrels/test.tsv": QRELS}),
    "beir by language": Layout("beir", {"options": {"languages": {"eng": "en", "swa": "sw"}, "parallel": True,
                                                    "split": "dev", "folder": "all", "missing_documents": "ignore",
                                                    "missing_queries": "ignore", "empty_documents": "ignore"}},
                               {f"all/{tag}/{name}": rows for tag in ("eng", "swa") for name, rows in (
                                   ("corpus.jsonl.gz", CORPUS), ("queries.jsonl", ASKED), ("qrels/dev.tsv", QRELS))}),
    "trec": Layout("trec", {"options": {"language": "en", "topic_field": "description", "encoding": "utf-8"}},
                   {"documents.sgml": SGML, "topics.txt": TOPICS, "qrels.txt": "301 0 D1 1\n301 0 D2 -2\n"}),
    "trec by language": Layout(
        "trec",
        {"options": {"documents": {"de": "docs.de.*", "en": "docs.en.*"}, "qrels": "q*.txt",
                     "topics": {"de": "topics.de.tsv", "en": "topics.en.jsonl"}}},
        {"docs.de.jsonl.gz": [{"docno": "D1", "contents": "lang", "source": "zeitung"}],
         "docs.en.jsonl": [{"docno": "D2", "contents": "wide", "source": "paper"}],
         "topics.de.tsv": "301\tlange\n", "topics.en.jsonl": [{"_id": "301", "text": "long"}],
         "qrels.txt": "301 0 D1 1\n301 0 D2 1\n"}),
    "hub": Layout("hub", {"options": {"hub": "./data", "language": "en", "split": "test"}}, hub("parquet", **HUB)),
    "hub, jsonl": Layout("hub", {"options": {"hub": "./data", "languages": ["en"]}},
                         hub("jsonl", **{f"en-{name}": rows for name, rows in HUB.items()})),
    "belebele": Layout("belebele", {"options": {"hub": "./data", "languages": {"eng": "en", "swa": "sw"}}},
                       hub("parquet", eng=BELEBELE, swa=BELEBELE)),
    "bucc": Layout("bucc", SYMMETRIC | {"settings": ["cross", "mining"]}, {
        "de-en.training.de": "de-1\tDie Sonne.\nde-2\tEs regnet.\n",
        "de-en.training.en": "en-1\tThe sun.\nen-2\tComets.\n", "de-en.training.gold": "de-1\ten-1\n"}),
    "bucc, pinned": Layout("bucc", SYMMETRIC | {"settings": ["cross", "mining"]}, {}, {
        "o/r/c/a.de": ("de", "de-1\tDie Sonne.\nde-2\tEs regnet.\n"),
        "o/r/c/a.en": ("en", "en-1\tThe sun.\nen-2\tComets.\n"), "o/r/c/a.gold": ("", "de-1\ten-1\n")}),
    "parallel": Layout(
        "parallel",
        SYMMETRIC | {"options": {"left_out": {"fr": [[2, 2]]}, "facets": {"domain": {"column": 2, "match": "[a-z]+"}}}},
        {}, {"o/r/c/a.en": ("en", "One.\nTwo.\nThree.\n"), "o/r/c/a.fr": ("fr", "Un.\nDeux.\nTrois.\n"),
             "o/r/c/about.tsv": ("", "n\tdomain\n1\tnews\n2\t-\n3\tbooks\n")}),
    "pairs": Layout("pairs", SYMMETRIC, {}, {
        "o/r/c/t.afr-eng.afr": ("af", "Een.\nTwee.\n"), "o/r/c/t.afr-eng.eng": ("en", "One.\nTwo.\n"),
        "o/r/c/t.swh-eng.swh": ("sw", "Moja.\n\n"), "o/r/c/t.swh-eng.eng": ("en", "One.\nTwo.\n")}),
    "squad": Layout("squad", {"unit": "sentence"}, {}, {
        "o/r/c/en.json": ("en", SQUAD), "o/r/c/sw.json": ("sw", SQUAD)}),
    "squad, context": Layout("squad", {"unit": "sentence in context"}, {}, {"o/r/c/en.json": ("en", SQUAD)}),
    "goldp": Layout("goldp", {"unit": "passage with title"}, {}, {"o/r/c/en.json": ("en", SQUAD)}),
    "afriqa": Layout("afriqa", {"unit": "passage", "options": {"pivots": {"sw": "en"}}}, {}, {
        "o/r/c/sw.jsonl": ("sw", AFRIQA)}),
    "mkqa": Layout("mkqa", {"unit": "answer", "options": {"answered": True}}, {}, {"o/r/c/m.jsonl.gz": ("", MKQA)}),
    "mkqa, json": Layout("mkqa", {"unit": "question", "options": {"records": "own.json"}}, {"own.json": MKQA}),
    "mkqa, zip": Layout("mkqa", {"unit": "answer"}, {}, {"o/r/c/m.zip": ("", MIA)}),
    "answers": Layout("answers", {"options": {"records": "own.jsonl", "corpus": "texts", "language": "en",
                                              "tokens": "words"}},
                      {"own.jsonl": MKQA, "texts/corpus.jsonl": [
                          {"_id": "1", "title": "Ann", "text": "Here is Anne."},
                          {"_id": "2", "title": "", "text": "no"}]}),
}  # fmt: skip


def content(path: str, held: Any) -> bytes:
    """Return the bytes of a file that holds this."""
    if isinstance(held, bytes):
        return held
    name = path.removesuffix(".gz")
    if isinstance(held, str):
        found = held.encode("utf-8", "surrogatepass")
    elif name.endswith(".jsonl") and isinstance(held, list):
        found = "".join(json.dumps(record) + "\n" for record in held).encode()
    elif name.endswith(".parquet"):
        found = parquet(held)
    elif name.endswith(".zip") and isinstance(held, dict):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, rows in held.items():
                archive.writestr(zipfile.ZipInfo(member), content(member or "x", rows))
        found = stream.getvalue()
    else:
        found = json.dumps(held).encode()
    return gzip.compress(found, mtime=0) if path.endswith(".gz") else found


def parquet(rows: Any) -> bytes:
    """Return rows as Parquet, columns of whatever type Arrow finds for them, or of text."""
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns.append(pa.array(values))
        except (pa.ArrowException, OverflowError, ValueError):
            columns.append(pa.array([json.dumps(value) for value in values]))
    stream = io.BytesIO()
    try:
        pyarrow.parquet.write_table(pa.Table.from_arrays(columns, names=names), stream)
    except (pa.ArrowException, ValueError):  # a type that Parquet has not
        texts = [pa.array([json.dumps(value) for value in column.to_pylist()]) for column in columns]
        stream = io.BytesIO()
        pyarrow.parquet.write_table(pa.Table.from_arrays(texts, names=names), stream)
    return stream.getvalue()


def write(layout: Layout, root: Path, card: bytes | None = None) -> Path:
    """Lay a task out below `root`: the folder `task`, which is returned, and `mirror`."""
    task, mirror = root / "task", root / "mirror"
    for folder in (task, mirror):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    pins = []
    for path, held in layout.files.items():
        (task / path).parent.mkdir(parents=True, exist_ok=True)
        (task / path).write_bytes(content(path, held))
    for path, (language, held) in layout.pinned.items():
        made = content(path, held)
        (mirror / path).parent.mkdir(parents=True, exist_ok=True)
        (mirror / path).write_bytes(made)
        pin = {"path": path, "bytes": len(made), "sha256": hashlib.sha256(made).hexdigest()}
        pins.append(pin | ({"language": language} if language else {}))
    says = BASE | {"reader": layout.reader} | layout.card | ({"files": pins} if pins else {})
    (task / "card.toml").write_bytes(toml_text(says).encode() if card is None else card)
    return task
