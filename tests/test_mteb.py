"""mteb on both sides: its models, run by its own loaders, and results that its own classes read."""

import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark import encoders, evidence
from benchmark.encoders import Asked
from benchmark.encoders import mteb as loading
from benchmark.encoders.random import Random
from leaderboard import mteb as writing
from tasks import card
from tasks.errors import UserError
from tests.conftest import Ran

Bench = Callable[..., Ran]
pytestmark = pytest.mark.filterwarnings("ignore")
NAME = "isogloss/tiny"
QUERY, DOCUMENT = "what is the capital of kenya", "nairobi a city"


@pytest.fixture(scope="session")
def mteb() -> Any:
    if find_spec("mteb") is None:
        pytest.skip("needs the package mteb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("mteb")


@pytest.fixture
def register(
    mteb: Any, made: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Put a model into mteb's registry. Its loaders find the small checkpoint by the name, in the current folder."""
    registry = import_module("mteb.models.model_implementations").MODEL_REGISTRY
    meta = import_module("mteb.models.model_meta").ModelMeta
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / NAME)

    def one(loader: Any = None, **says: Any) -> None:
        given = {"name": NAME, "revision": "commit-1", "loader": loader or mteb.SentenceTransformerEncoderWrapper}
        registry[NAME] = meta.create_empty(overwrites=given | says)

    yield one
    registry.pop(NAME, None)


def by_library(folder: Path, text: str) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu").encode([text])


INSTRUCT = "Instruct: {instruction}\nQuery: "
ASKED = "Instruct: Retrieve text based on user query.\nQuery: "


@pytest.mark.parametrize(
    ("loader", "options", "query", "document"),
    [
        (
            "",
            {},
            "query: ",
            "",
        ),  # mteb takes no prompt that is called passage, and the checkpoint has an empty document
        ("", {"model_prompts": {"query": "q: ", "document": "d: "}}, "q: ", "d: "),
        ("", {"model_prompts": {"Retrieval-query": "find: ", "query": "q: "}}, "find: ", ""),
        ("", {"model_prompts": {"XQuADRetrieval": "own: ", "query": "q: "}}, "own: ", "own: "),
        ("instruct", {"instruction_template": INSTRUCT}, ASKED, ASKED),
        ("instruct", {"instruction_template": INSTRUCT, "apply_instruction_to_passages": False}, ASKED, ""),
    ],
)
def test_prompts_on_record_are_those_that_mteb_sends(
    loader: str, options: dict[str, Any], query: str, document: str, register: Callable[..., None], made: Path
) -> None:
    wrapper = import_module("mteb.models.instruct_wrapper").InstructSentenceTransformerModel if loader else None
    register(wrapper, loader_kwargs=options)
    encoder = encoders.load(f"mteb:{NAME}")
    assert encoder.model.prompts == {"query": query, "document": document}
    for role, text in (("query", QUERY), ("document", DOCUMENT)):
        found = encoder.encode([text], role)  # type: ignore[arg-type]
        expected = by_library(made, encoder.model.prompts[role] + text)  # type: ignore[index]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not np.allclose(by_library(made, QUERY), by_library(made, f"query: {QUERY}"), atol=1e-3)


def test_a_model_of_mteb_is_run(register: Callable[..., None], bench: Bench, tmp_path: Path) -> None:
    register(n_parameters=1234)
    on = ("--task", "demo", "--languages", "en,sw", "--json")
    ran = bench("run", "--model", f"mteb:{NAME}", *on)
    assert ran.code == 0, ran.err
    model = json.loads((tmp_path / "results/isogloss-tiny/demo/evidence.json").read_text(encoding="utf-8"))["model"]
    assert (model["family"], model["revision"], model["parameters"]) == ("mteb", "commit-1", 1234)
    assert model["first_query_as_sent"].startswith("query: ")
    assert model["engine"]["mteb"]
    same = bench("run", "--model", NAME, "--document-prompt", "", "--name", "plain", *on)
    assert same.code == 0, same.err
    assert json.loads(same.out)["averages"] == json.loads(ran.out)["averages"]


def test_the_fingerprint_is_of_what_the_registry_says(register: Callable[..., None]) -> None:
    found = []
    for says in (
        {}, {}, {"revision": "commit-2"}, {"loader_kwargs": {"model_prompts": {"query": "q: "}}},
        {"loader_kwargs": {"tokenizer_kwargs": {"padding_side": "left"}}},
    ):  # fmt: skip
        register(**says)
        found.append(encoders.load(f"mteb:{NAME}").model.fingerprint)
    assert len(set(found)) == 4
    assert found[0] == found[1]


def test_options_of_a_loader_are_told_the_same_way_everywhere() -> None:
    import torch

    assert loading._stable(by_library) == "by_library"
    assert loading._stable(torch.float16) == "torch.float16"
    assert loading._stable({"b", "a"}) == "['a', 'b']"
    assert " at 0x" not in loading._stable(object())


def test_what_mteb_cannot_do_is_one_sentence(register: Callable[..., None], bench: Bench) -> None:
    on = ("--task", "demo")
    bench("run", "--model", "mteb:isogloss/tyni", *on).failed(
        "not found in MTEB registry", "takes a name of its registry"
    )
    register()
    bench("run", "--model", f"mteb:{NAME}", "--revision", "other", *on).failed("revision other not found")
    bench("run", "--model", f"mteb:{NAME}", "--query-prompt", "q: ", *on).failed("takes no --query-prompt")
    register(model_type=["late-interaction"])
    bench("run", "--model", f"mteb:{NAME}", *on).failed("is late-interaction in mteb; only models that make one vector")
    register(loader_kwargs={"model_kwargs": {"trust_remote_code": True}})
    bench("run", "--model", f"mteb:{NAME}", *on).failed(
        "with code that comes with the checkpoint", "--trust-remote-code"
    )
    register(lambda *_, **__: 1 / 0)
    bench("run", "--model", f"mteb:{NAME}", *on).failed("with a loader of its own", "--trust-remote-code")
    bench("run", "--model", f"mteb:{NAME}", "--trust-remote-code", *on).failed(
        "when mteb loaded it", "ZeroDivisionError"
    )
    shutil.rmtree(NAME)
    register()
    bench("run", "--model", f"mteb:{NAME}", "--offline", *on).failed("failed when mteb loaded it")


def test_offline_keeps_the_hub_away(register: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    register()
    encoders.load(f"mteb:{NAME}", Asked(offline=True))
    assert constants.HF_HUB_OFFLINE is True
    assert import_module("os").environ.pop("HF_HUB_OFFLINE") == "1"


def test_without_mteb_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="run pip install mteb"):
        encoders.load("mteb:any/model")


class Drawn:
    """A model with an interface of mteb's, and of nothing below it: the vectors of `random`."""

    def __init__(self, model_name: str = "", revision: str | None = None, **_: Any) -> None:
        self.mteb_model_meta: Any = None

    def encode(self, inputs: Any, *, prompt_type: Any = None, **_: Any) -> Any:
        texts = [text for batch in inputs for text in batch["text"]]
        return Random().encode(texts, prompt_type.value)

    def similarity(self, one: Any, other: Any) -> Any:
        return import_module("mteb.similarity_functions").cos_sim(one, other)

    similarity_pairwise = similarity


def test_scores_are_those_that_mteb_computes(
    mteb: Any, register: Callable[..., None], bench: Bench, tmp_path: Path
) -> None:
    """The same model on the same texts, evaluated by mteb and here, is the same file."""
    from datasets import Dataset

    register(Drawn)
    ran = bench("run", "--model", f"mteb:{NAME}", "--trust-remote-code", "--task", "demo", "--languages", "en,sw")
    assert ran.code == 0, ran.err
    assert "prompt of mteb's loader, which does not show it" in ran.out
    folder = tmp_path / "results/isogloss-tiny/demo"
    written = bench("report", folder, "--format", "mteb")
    (tmp_path / "demo.json").write_text(written.out, encoding="utf-8")
    ours = mteb.TaskResult.from_disk(tmp_path / "demo.json", load_historic_data=False)

    from benchmark.progress import Progress
    from benchmark.run import prepare

    both = ["en", "sw"]
    progress = Progress(import_module("rich.console").Console(quiet=True))
    texts = prepare(
        card.find("demo"), query_languages=both, document_languages=both, progress=progress
    ).collection  # fmt: skip
    subsets = {"en": ("en", "en"), "sw": ("sw", "sw"), "en-sw": ("en", "sw"), "sw-en": ("sw", "en")}
    codes = {"en": "eng-Latn", "sw": "swa-Latn"}

    class Demo(import_module("mteb.abstasks.retrieval").AbsTaskRetrieval):  # type: ignore[misc]
        metadata = mteb.TaskMetadata(
            name="demo", description="", type="Retrieval", main_score="map_at_100", eval_splits=["test"],
            eval_langs={name: [codes[tag] for tag in name.split("-")] for name in subsets},
            dataset={"path": "x", "revision": "1"},
        )  # fmt: skip

        def load_data(self, *_: Any, **__: Any) -> None:
            self.dataset = {name: {"test": self.side(*pair)} for name, pair in subsets.items()}
            self.data_loaded = True

        def side(self, document: str, query: str) -> dict[str, Any]:
            documents = texts.documents[texts.documents["lang"] == document]
            queries = texts.queries[texts.queries["lang"] == query]
            judged = queries.merge(texts.judgements, on="topic").merge(documents, on="doc_id")
            judged = judged[judged["relevance"] > 0]
            return {
                "corpus": Dataset.from_dict({"id": [*documents["doc_id"]], "text": [*documents["text"]]}),
                "queries": Dataset.from_dict({"id": [*queries["query_id"]], "text": [*queries["text"]]}),
                "relevant_docs": {
                    str(name): dict.fromkeys(part["doc_id"], 1) for name, part in judged.groupby("query_id")
                },
                "top_ranked": None,
            }

    assert "title" not in texts.documents
    result = mteb.evaluate(Drawn(), Demo(), cache=None, co2_tracker=False, show_progress_bar=False)
    theirs = {row["hf_subset"]: row for row in result.task_results[0].scores["test"]}
    assert len(ours.scores["test"]) == len(theirs) == 4
    for row in ours.scores["test"]:
        other = theirs[row["hf_subset"]]
        assert row["languages"] == other["languages"]
        for cutoff in writing.CUTOFFS:
            for name in writing.NAMES.values():
                key = f"{name}_at_{cutoff}"
                assert row[key] == pytest.approx(other[key], abs=2e-5), (row["hf_subset"], key)
        assert row["main_score"] == pytest.approx(other["map_at_1000"], abs=2e-5)
    assert ours.get_score() == pytest.approx(np.mean([row["map_at_1000"] for row in theirs.values()]), abs=2e-5)


def test_names_of_directions_are_mtebs_own(mteb: Any) -> None:
    """All that mteb has of these tasks, and nothing that it does not have, in mteb's words."""
    for name, theirs in writing.TASKS.items():
        of, metadata = card.find(name), mteb.get_task(theirs.name).metadata
        assert theirs.split in metadata.eval_splits
        assert writing._key(writing.MAIN) == metadata.main_score
        found = {}
        for query in of.languages:
            for document in of.languages:
                if place := theirs.place(of, query, document):
                    found[place[0]] = place[1]
        known = metadata.hf_subsets_to_langscripts
        lacking = set(known) - set(found)
        assert {tag: known[tag] for tag in found} == found
        assert lacking == ({"ro"} if name == "xquad-p" else set()), name
        hub = of.options.get("hub", "")
        assert writing._revision(of) == (metadata.dataset["revision"] if hub == metadata.dataset["path"] else "")
    belebele = card.find("belebele")
    assert writing.TASKS["belebele"].place(belebele, "en", "de") == ("deu_Latn-eng_Latn", ["deu-Latn", "eng-Latn"])


def test_a_task_of_mteb_is_read_by_its_tools(
    mteb: Any, mirror: str, bench: Bench, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOGLOSS_CACHE", str(shared_cache))
    monkeypatch.chdir(tmp_path)
    assert bench("run", "--model", "random", "--task", "xquad-p", "--languages", "ar,de", "--mirror", mirror).code == 0
    ran = bench("report", "results/random/xquad-p", "--format", "mteb")
    assert "2 directions have no place in mteb's task and are left out" in ran.err
    path = tmp_path / "model" / "commit" / "XQuADRetrieval.json"
    path.parent.mkdir(parents=True)
    path.write_text(ran.out, encoding="utf-8")
    found = mteb.TaskResult.from_disk(path)
    assert (found.task_name, found.mteb_version, found.eval_splits) == ("XQuADRetrieval", None, ["validation"])
    assert sorted(found.hf_subsets) == ["ar", "de"]
    says = evidence.read(Path("results/random/xquad-p")).says
    stored = {row["query_language"]: row["measures"] for row in says["directions"] if row["setting"] == "mono"}
    for row in found.scores["validation"]:
        assert row["main_score"] == row["ndcg_at_10"] == stored[row["hf_subset"]]["nDCG@10"]
    assert found.get_score(languages=["deu"]) == stored["de"]["nDCG@10"]
    assert found.get_score(languages=["arb"]) == stored["ar"]["nDCG@10"]
    kept = found.validate_and_filter_scores().scores["validation"]
    assert sum(not np.isnan(row["main_score"]) for row in kept) == 2
    assert not found.is_mergeable(mteb.get_task("XQuADRetrieval"))  # it is another copy of the data, and says so
    written = json.loads(ran.out)
    assert written["dataset_revision"] == says["task"]["data_hash"]
    assert written["isogloss"]["key"] == says["key"]
    bench("report", "results/random/xquad-p", "--format", "mteb", "--setting", "cross").failed(
        "has no direction that mteb's XQuADRetrieval has"
    )


def test_what_has_no_place_in_the_file_is_refused(bench: Bench, cache: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench("run", "--model", "random", "--task", "demo", "--languages", "en,sw").code == 0
    result = "results/random/demo"
    for more in (("--measure", "AP@5"), ("--by", "script"), (result,)):
        bench("report", result, *more, "--format", "mteb").failed("mteb keeps a file for each result")
    bench("report", result, "--format", "mteb", "--setting", "multi").failed("has no direction that mteb's demo has")
    mono = json.loads(bench("report", result, "--format", "mteb", "--setting", "mono").out)
    assert [row["hf_subset"] for row in mono["scores"]["test"]] == ["en", "sw"]
    path = Path(result) / "evidence.json"
    says = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(says | {"kept": says["kept"] | {"every": 2}}), encoding="utf-8")
    few = json.loads(bench("report", result, "--format", "mteb").out)["scores"]["test"][0]
    keys = {"main_score", "hf_subset", "languages", *(writing._key(name) for name in says["directions"][0]["measures"])}
    assert set(few) == keys  # what was asked for, since other measures cannot be computed from some ranks
    assert few["map"] == few["main_score"] == mono["scores"]["test"][0]["map"]


def test_a_task_of_ones_own_with_the_name_of_another(
    bench: Bench, cache: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "own"
    shutil.copytree(Path(card.__file__).parent / "cards" / "demo", own)
    text = (own / "card.toml").read_text(encoding="utf-8").replace('name = "demo"', 'name = "xquad-p"')
    (own / "card.toml").write_text(text, encoding="utf-8")
    assert bench("run", "--model", "random", "--task", own, "--languages", "en,sw").code == 0
    written = json.loads(bench("report", "results/random/xquad-p", "--format", "mteb").out)
    assert written["task_name"] == "xquad-p"
    assert [row["hf_subset"] for row in written["scores"]["test"]] == ["en", "sw", "sw-en", "en-sw"]
