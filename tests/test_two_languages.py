"""Data sets whose questions are in another language than their documents: each such part is searched on its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytrec_eval

from benchmark.encoders.random import Random
from tasks import readers
from tasks.errors import UserError
from tests.conftest import Ran
from tests.test_corpora import beir, hub_set, load, task

Configurations = dict[str, tuple[str, list[dict[str, Any]]]]
PARTS = {"en-de": ("eng", "deu"), "de-en": ("deu", "eng"), "de": ("deu", "deu")}
LANGUAGES = 'languages = {eng-deu = ["en", "de"], deu-eng = ["de", "en"], deu-deu = "de"}'


def configurations(asked: str, told: str, seed: int) -> Configurations:
    """One part in the layout of XPQARetrieval and MLQARetrieval, whose ids are the same in each part."""
    drawn = np.random.default_rng(seed)
    return {
        f"{asked}-{told}-corpus": ("test", [{"_id": f"C{i}", "title": "", "text": f"{told} {seed} {i % 25}"}
                                            for i in range(30)]),
        f"{asked}-{told}-queries": ("test", [{"_id": f"Q{i}", "text": f"{asked} {seed} {i}"} for i in range(8)]),
        f"{asked}-{told}-qrels": ("test", [
            {"query-id": f"Q{i}", "corpus-id": f"C{place}", "score": int(drawn.integers(-1, 3))}
            for i in range(8) for place in drawn.choice(30, 4, replace=False)
        ]),
    }  # fmt: skip


def expected(found: Configurations, asked: str, told: str) -> dict[str, float]:
    """The mean nDCG@10 and AP of one part, over a run written out in full."""
    corpus, queries, qrels = (found[f"{asked}-{told}-{kind}"][1] for kind in ("corpus", "queries", "qrels"))
    relevant: dict[str, dict[str, int]] = {}
    for row in qrels:
        relevant.setdefault(row["query-id"], {})[row["corpus-id"]] = max(row["score"], 0)
    relevant = {query: said for query, said in relevant.items() if max(said.values())}
    left, right = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        for vectors in (
            Random().encode([row["text"] for row in queries], "query").astype(np.float64),
            Random().encode([row["text"] for row in corpus], "document").astype(np.float64),
        )
    )
    scores = left @ right.T
    run = {
        query["_id"]: {document["_id"]: float(scores[i, j]) for j, document in enumerate(corpus)}
        for i, query in enumerate(queries)
    }
    values = pytrec_eval.RelevanceEvaluator(relevant, {"ndcg_cut_10", "map"}).evaluate(run)
    means = {name: float(np.mean([one[name] for one in values.values()])) for name in ("ndcg_cut_10", "map")}
    return {"nDCG@10": means["ndcg_cut_10"], "AP": means["map"], "n": len(values)}


def test_a_hub_set_between_languages_is_searched_part_by_part(
    tmp_path: Path, cache: Path, bench: Callable[..., Ran]
) -> None:
    rows: Configurations = {}
    for seed, pair in enumerate(PARTS.values()):
        rows |= configurations(*pair, seed)
    hub_set(tmp_path / "data", rows)
    texts = readers.load(task(tmp_path, "hub", f'hub = "./data"\n{LANGUAGES}'), {})
    assert texts.documents.groupby("part")["lang"].unique().map(list).to_dict() == {
        "de": ["de"], "de-en": ["en"], "en-de": ["de"],
    }  # fmt: skip
    card = tmp_path / "card.toml"
    card.write_text(card.read_text(encoding="utf-8").replace('["nDCG@10"]', '["nDCG@10", "AP"]'), encoding="utf-8")
    ran = bench("run", "--model", "random", "--task", f"{tmp_path}/", "--settings", "mono,cross", "--json",
                "--results", tmp_path / "results")  # fmt: skip
    assert ran.code == 0, ran.err
    directions = json.loads(ran.out)["directions"]
    assert len(directions) == len(PARTS)
    for row in directions:
        asked, told = row["query_language"], row["document_languages"][0]
        wanted = expected(rows, *PARTS[asked if asked == told else f"{asked}-{told}"])
        assert row["n"] == wanted.pop("n")
        assert row["measures"] == pytest.approx(wanted, abs=2e-6)


def test_only_the_files_of_the_named_parts_are_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    from tasks import hub

    rows = configurations("en", "de", 0) | configurations("en", "sw", 1)
    rows |= {name.replace("en-de", "en"): of for name, of in configurations("en", "de", 2).items()}
    data, patterns = hub_set(tmp_path / "data", rows), []

    def download(name: str, **options: Any) -> str:
        patterns.append(options["allow_patterns"])
        return str(data)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.delenv("ISOGLOSS_HUB", raising=False)
    hub.bring(task(tmp_path, "hub", f'hub = "mteb/x"\nrevision = "{"a" * 40}"\nlanguages = ["en"]'))
    assert patterns[1] == ["README.md", "en-corpus/test-*", "en-queries/test-*", "en-qrels/test-*"]


def test_subfolders_may_be_of_two_languages(tmp_path: Path) -> None:
    for pair in ("eng-deu", "deu"):
        beir(tmp_path / pair)
    texts = load(tmp_path, "beir", 'languages = {eng-deu = ["en", "de"], deu = "de"}')
    assert texts.documents["doc_id"].tolist() == ["de/1", "de/2", "en-de/1", "en-de/2"]
    assert set(texts.documents["lang"]) == {"de"}
    assert texts.queries[["query_id", "lang", "part"]].to_numpy().tolist() == [
        ["de/7", "de", "de"],
        ["en-de/7", "en", "en-de"],
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ('languages = {eng-deu = ["en"]}', "«eng-deu» must have a tag"),
        ('languages = {eng-deu = ["en", 1]}', "«eng-deu» must have a tag"),
        ('languages = [["en", "de"]]', "options.languages must be a list of tags"),
        ('languages = "en"', "options.languages must be a list of tags"),
        ('languages = {eng-deu = ["en", "german"]}', "«german» is not a language tag"),
        ('languages = {eng-deu = ["en", "de"]}\nparallel = true', "leave options.parallel out"),
        ('languages = {eng-deu = ["en", "de"], x = ["en", "de"]}', "«en-de» stands for two parts of the data"),
        ('languages = {eng-deu = "de", x = "de"}', "«de» stands for two parts of the data"),
    ],
)
def test_wrong_languages_are_named(options: str, says: str, tmp_path: Path) -> None:
    for pair in ("eng-deu", "x"):
        beir(tmp_path / pair)
    with pytest.raises(UserError) as raised:
        load(tmp_path, "beir", options)
    assert says in str(raised.value)


def test_belebele_needs_no_pairs(tmp_path: Path, cache: Path) -> None:
    row = {"link": "a", "question_number": 1, "flores_passage": "p", "question": "q"}
    hub_set(tmp_path / "data", {"eng_Latn": ("test", [row])})
    with pytest.raises(UserError, match="eng_Latn must be one tag"):
        load(tmp_path, "belebele", 'hub = "./data"\nlanguages = {eng_Latn = ["en", "de"]}')
