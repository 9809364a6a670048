"""What is asked of checkpoints that make other than one vector of a text, and of rerankers: done, or refused."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import pytrec_eval
import torch

from benchmark import encoders, evidence, maxsim, runs, vectors
from benchmark.encoders import ROLES, Asked
from benchmark.encoders.checkpoint import Checkpoint
from benchmark.encoders.cross import Cross, Reranked, pair
from benchmark.ranking import ALL, NOT_FOUND
from tasks import card
from tasks.errors import UserError
from tests import kinds
from tests.conftest import Ran
from tests.kinds import TEXTS, copy, edit, kept

Bench = Callable[..., Ran]
ROOT = Path(__file__).parent.parent
LANGUAGES = ("--task", "demo", "--languages", "en,sw")
PAIRS = [pair(one, other) for one in TEXTS for other in TEXTS]


def crossing(folder: Path, **asked: Any) -> Cross:
    return Cross(folder, str(folder), "", Asked(**asked))


@pytest.mark.parametrize("name", ["bm25", "ngrams", "sparse", "late", "bm25 cross", "late cross"])
def test_every_direction_scores_as_pytrec_eval_scores_its_run(
    name: str, made_kinds: Path, bench: Bench, cache: Path, tmp_path: Path
) -> None:
    """Run, evidence that the schema takes, and the whole lists of every direction, scored by another program."""
    source, *reranker = (str(made_kinds / one) if (made_kinds / one).is_dir() else one for one in name.split())
    model = ("--model", source, *(("--rerank", reranker[0], "--rerank-depth", 3) if reranker else ()))
    assert bench("run", *LANGUAGES, *model, "--results", tmp_path / "results", "--name", "one").code == 0
    result = evidence.read(tmp_path / "results" / "one" / "demo")
    schema = json.loads((ROOT / "benchmark" / "evidence.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads((result.folder / "evidence.json").read_text(encoding="utf-8")), schema)
    assert (result.ranks()["rank"] < NOT_FOUND).all()
    out = tmp_path / "runs", tmp_path / "qrels"
    done = bench("export", *LANGUAGES, *model, "--runs", out[0], "--qrels", out[1], "--depth", 1000)
    assert done.code == 0, done.err
    for row in result.says["directions"]:
        stem = runs.stem(
            row["query_language"], ALL if row["setting"] == "multi" else "+".join(row["document_languages"])
        )
        with (out[0] / f"{stem}{runs.RUN}").open() as one, (out[1] / f"{stem}{runs.QRELS}").open() as other:
            listed, judged = pytrec_eval.parse_run(one), pytrec_eval.parse_qrel(other)
        values = pytrec_eval.RelevanceEvaluator(judged, {"map"}).evaluate(listed)
        assert row["measures"]["AP"] == pytest.approx(np.mean([value["map"] for value in values.values()]), abs=1e-6)


def test_a_result_and_its_reranked_one_compare(made_kinds: Path, bench: Bench, cache: Path, tmp_path: Path) -> None:
    """Whatever differs is said, and nothing that does not."""
    for words in ((), ("--rerank", made_kinds / "cross")):
        assert bench("run", *LANGUAGES, "--model", "bm25", *words, "--results", tmp_path).code == 0
    both = (tmp_path / "bm25+cross" / "demo", tmp_path / "bm25" / "demo")
    compared = bench("compare", *both)
    assert compared.code == 0
    assert "rerank-depth 20" in compared.out
    assert "maximum length" not in compared.out
    bench("check", both[0], "--baseline", both[1]).failed("could not be judged, not comparable", "rerank-depth 20")
    assert bench("check", both[1], "--baseline", both[1]).code == 0
    assert bench("leaderboard", tmp_path).code == 0
    page = (tmp_path / "leaderboard" / "demo.md").read_text(encoding="utf-8")
    assert "a cross-encoder on the first 20 of each language" in page
    assert re.search(r"truncated 0.0% of the queries, 0.0% of the documents, \d+.\d% of the reranked pairs", page)


@pytest.mark.parametrize("kind", ["sparse", "late", "cross"])
def test_what_memory_does_not_suffice_for_is_encoded_in_halves(
    kind: str, made_kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, texts = made_kinds / kind, PAIRS[:8] if kind == "cross" else TEXTS
    encoder: Checkpoint = crossing(folder) if kind == "cross" else encoders.load(str(folder))  # type: ignore[assignment]
    whole = vectors.encode(encoder, texts, "query", root=tmp_path / "whole")
    model, sizes = encoder._model(), Counter[int]()
    usual = model.forward

    def small(features: dict[str, Any], **how: Any) -> Any:
        sizes[many := len(features["input_ids"])] += 1
        if many > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return usual(features, **how)

    monkeypatch.setattr(model, "forward", small)
    said: list[str] = []
    halved = vectors.encode(encoder, texts, "query", root=tmp_path / "halved", say=said.append)
    assert max(sizes) == len(texts)
    assert halved.halved.total() >= 3
    assert any("Memory did not suffice" in one for one in said)
    np.testing.assert_array_equal(whole.rows, halved.rows)
    np.testing.assert_allclose(whole.vectors, halved.vectors, atol=1e-5)


def test_roles_are_kept_apart_where_only_their_tokens_differ(made_kinds: Path, tmp_path: Path) -> None:
    """Late interaction without prompts or lengths: a query is filled up, a document is not."""
    folder = copy(made_kinds / "late", tmp_path)
    edit(folder / "sentence_bert_config.json", document_length="gone")
    encoder = encoders.load(str(folder), Asked(query_prompt="", document_prompt=""))
    query, document = (kept(encoder, role, tmp_path) for role in ROLES)
    assert [len(rows) for rows in query] == [8] * len(TEXTS)
    assert [len(rows) for rows in document] != [8] * len(TEXTS)


def test_a_longer_text_is_cut_where_it_is_asked_for(made_kinds: Path, tmp_path: Path) -> None:
    long = ["what is the capital of kenya a city a city of the capital of kenya is nairobi", "is"]
    for kind, usual, asked in (("sparse", 18, 6), ("late", 12, 10)):
        short = encoders.load(str(made_kinds / kind), Asked(max_length=asked))
        assert short.model.how == {"max-length": asked}
        whole = encoders.load(str(made_kinds / kind))
        assert whole.lengths(long, "document")[0][0] >= usual > short.lengths(long, "document")[1] == asked
        assert vectors.encode(short, long, "document", root=tmp_path).truncated == 0.5
        library: Any = getattr(__import__("sentence_transformers"), type(whole._model()).__name__)  # type: ignore[attr-defined]
        theirs = library(str(made_kinds / kind), device="cpu")
        theirs[0].max_seq_length = asked
        if kind == "late":
            theirs[0].document_length = asked
            expected = [one.numpy() for one in theirs.encode_document(long)]
        else:
            dense = theirs.encode_document(long).to_dense().numpy()
            expected = [np.column_stack([row.nonzero()[0], row[row != 0]]) for row in dense]
        rows = vectors.encode(short, long, "document", root=tmp_path)
        for ours, other in zip(np.split(rows.vectors, np.cumsum(rows.rows)[:-1]), expected, strict=True):
            np.testing.assert_allclose(ours, other, atol=1e-5)
    short_cross = crossing(made_kinds / "cross", max_length=7)
    assert vectors.encode(short_cross, [pair(*long), pair("is", "a")], "query", root=tmp_path).truncated == 0.5


def test_int8_is_near(made_kinds: Path, tmp_path: Path) -> None:
    for kind in ("sparse", "late"):
        usual, narrow = (encoders.load(str(made_kinds / kind), Asked(dtype=one)) for one in ("float32", "int8"))
        one, other = (np.concatenate(kept(encoder, "query", tmp_path)) for encoder in (usual, narrow))
        assert other.dtype == np.float32
        if one.shape == other.shape:
            assert 0 < np.abs(one - other).max() < 0.2
    said = [
        vectors.encode(crossing(made_kinds / "cross", dtype=one), PAIRS, "query", root=tmp_path).vectors
        for one in ("float32", "int8")
    ]
    assert 0 < np.abs(said[0] - said[1]).max() < 0.2


def test_options_of_a_reranker_are_asked_for_with_the_model(made_kinds: Path, made: Path) -> None:
    for source in ("bm25", str(made)):
        asked = Asked(rerank=str(made_kinds / "cross"), max_length=9, device="cpu", dtype="bfloat16")
        encoder = encoders.load(source, asked)
        assert isinstance(encoder, Reranked)
        assert encoder.cross.recipe.max_length == 9
        assert encoder.model.how["max-length"] == 9
        assert encoder.model.dtype == ("float32+bfloat16" if source == "bm25" else "bfloat16")
        assert ("max-length" in encoder.first.model.how) == (source != "bm25")
    backend = encoders.load(str(made), Asked(rerank=str(made_kinds / "cross"), backend="onnx"))
    assert isinstance(backend, Reranked)
    assert (backend.first.model.how, backend.cross.recipe.backend) == ({"backend": "onnx"}, "torch")


def test_an_instruction_reaches_the_model_below(made_kinds: Path, made: Path) -> None:
    template = "Instruct: {task} Query: {text}"
    asked = Asked(query_prompt=template, document_prompt="", rerank=str(made_kinds / "cross"))
    whole = encoders.load(str(made), asked)
    encoder = encoders.instructed(whole, card.find("demo"))
    assert isinstance(encoder, Reranked)
    instruction = card.find("demo").instruction
    assert encoder.model.prompts["query"] == f"Instruct: {instruction} Query: "
    assert encoder.first.model.prompts == encoder.model.prompts
    assert isinstance(whole, Reranked)
    assert "{task}" in whole.first.model.prompts["query"]  # another task fills it anew
    late = encoders.load(str(made_kinds / "late"), Asked(query_prompt=template, document_prompt=""))
    assert instruction in encoders.sent(encoders.instructed(late, card.find("demo")).model, "is", "query")


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_decoder_that_scores_pairs_is_padded_on_the_left(side: str, tmp_path: Path) -> None:
    """The library's own scores, one pair at a time, whatever side the checkpoint's tokenizer pads on."""
    from sentence_transformers import CrossEncoder

    folder = kinds.decoding(tmp_path / "decoding")
    edit(folder / "tokenizer_config.json", padding_side=side)
    library = CrossEncoder(str(folder), device="cpu")
    pairs = [tuple(json.loads(one)) for one in PAIRS]
    alone = [library.predict([one], activation_fn=torch.nn.Identity())[0] for one in pairs]
    found = vectors.encode(crossing(folder), PAIRS, "query", root=tmp_path).vectors[:, 0]
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert np.ptp(alone) > 1e-3


def test_a_score_of_zero_is_no_fault(made_kinds: Path, tmp_path: Path) -> None:
    class Even(Cross):
        def encode(self, texts: Any, role: Any) -> Any:
            return np.zeros((len(texts), 1), dtype=np.float32)

    said: list[str] = []
    folder = made_kinds / "cross"
    found = vectors.encode(Even(folder, "even", "", Asked()), PAIRS, "query", root=tmp_path, say=said.append)
    assert (found.zeros, said) == (0, [])


def test_tokens_of_other_dimensions_are_named() -> None:
    one, other = (maxsim.Tokens.of(np.array([2], np.int32), np.ones((2, width), np.float32)) for width in (4, 5))
    with pytest.raises(UserError, match="4 dimensions of a query and 5 of a document"):
        maxsim.scorers(one, other)


@pytest.mark.parametrize("kind", ["sparse", "late"])
@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"backend": "onnx"}, "takes no --backend"),
        ({"backend": "openvino"}, "takes no --backend"),
        ({"pooling": "mean"}, "takes no --pooling"),
        ({"base": "elsewhere"}, "takes no --base"),
        ({"similarity": "dot"}, "takes no --similarity"),
        ({"server_model": "x"}, "takes no --server-model"),
        ({"max_length": 999}, "has positions for 32 tokens, less than --max-length 999"),
        ({"dtype": "int3"}, "«int3» is not a dtype"),
        ({"dtype": "int8", "device": "cpu,cpu"}, "int8 is for one processor"),
        ({"device": "gpu"}, "«gpu» is not a device"),
        ({"revision": "main"}, "is a folder and has no revisions"),
        ({"query_prompt": "{wrong}"}, "has a field {wrong}"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: str, asked: dict[str, Any], says: str, made_kinds: Path) -> None:
    with pytest.raises(UserError, match=re.escape(says)) as raised:
        encoders.load(str(made_kinds / kind), Asked(**asked))
    assert "\n" not in str(raised.value)


def test_a_query_that_is_filled_up_is_not_cut(made_kinds: Path) -> None:
    encoder = encoders.load(str(made_kinds / "late"), Asked(max_length=6))
    with pytest.raises(UserError, match="its queries are filled up to 8 tokens; --max-length has to be as many"):
        encoder.lengths(TEXTS, "query")


@pytest.mark.parametrize(
    ("kind", "gone", "refused"),
    [
        ("cross", "classifier", True),
        ("cross", "pooler", True),
        ("sparse", "predictions.transform", True),
        ("late", "attention", True),
        ("late", "pooler", False),
    ],
)
def test_weights_that_no_file_holds_are_named(
    kind: str, gone: str, refused: bool, made_kinds: Path, tmp_path: Path
) -> None:
    """A score of a pair is built on the pooler, a vector of a token is not."""
    from safetensors.numpy import load_file, save_file

    folder = copy(made_kinds / kind, tmp_path)
    weights = load_file(folder / "model.safetensors")
    left = {name: weight for name, weight in weights.items() if gone not in name}
    assert len(left) < len(weights)
    save_file(left, folder / "model.safetensors", metadata={"format": "pt"})
    encoder = crossing(folder) if kind == "cross" else encoders.load(str(folder))
    texts = PAIRS if kind == "cross" else TEXTS
    if refused:
        with pytest.raises(UserError, match="cannot be loaded as a .* checkpoint: its files lack .*"):
            encoder.lengths(texts, "query")
    else:
        encoder.lengths(texts, "query")


@pytest.mark.parametrize(("kind", "said"), [("sparse", "sparse"), ("late", "multi-vector"), ("cross", "cross-encoder")])
def test_an_adapter_of_another_kind_is_to_be_merged(kind: str, said: str, made_kinds: Path, tmp_path: Path) -> None:
    folder = copy(made_kinds / kind, tmp_path)
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=f"is an adapter of a {said} model; merge it into its base"):
        crossing(folder) if kind == "cross" else encoders.load(str(folder))
