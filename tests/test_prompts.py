"""What is sent: prompts and templates, the instruction of a task, conversations."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import encoders
from benchmark.encoders import Asked, prompts, sent
from benchmark.encoders.checkpoint import Checkpoint
from tasks.card import catalogue, find
from tasks.errors import UserError
from tests import models
from tests.conftest import Ran

TEXTS = ["what is the capital of kenya", "nairobi"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("query: ", "query: "),
        ("", ""),
        ("query: {text}", "query: "),
        ("Instruct: {task}\\nQuery: {text}", "Instruct: {task}\nQuery: "),
        ("a {text} is what", "a {text} is what"),
        ("{text} again: {text}", "{text} again: {text}"),
        ('{"a": 1} ', '{"a": 1} '),
    ],
)
def test_a_prompt_is_text_or_a_template(given: str, found: str) -> None:
    assert prompts.written(given, "query") == found


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("Query: {query}", r"--document-prompt has a field \{query\}; a template takes \{text\}"),
        ("Instruct: {task} Query: ", r"--document-prompt is a template without \{text\}"),
        ("{} {text}", r"has a field \{\};"),
    ],
)
def test_a_template_that_is_none_is_named(given: str, says: str, made: Path) -> None:
    with pytest.raises(UserError, match=says):
        encoders.load(str(made), Asked(document_prompt=given))


@given(st.text(), st.sampled_from(["", "query: ", "a {text} is", "{text} {text}"]))
def test_what_is_shown_is_what_is_sent(text: str, prompt: str) -> None:
    encoder = encoders.load("random")
    encoder.model.prompts["query"] = prompt
    (whole,), before = prompts.parts(prompt, [text])
    assert sent(encoder.model, text, "query") == before + whole
    assert sent(encoder.model, text, "query") == (prompt.replace("{text}", text) if "{" in prompt else prompt + text)


def test_a_template_is_sent_whole(made: Path) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = encoders.load(str(made), Asked(query_prompt="a {text} is a city", document_prompt="passage"))
    assert sent(encoder.model, "nairobi", "query") == "a nairobi is a city"
    expected = SentenceTransformer(str(made), device="cpu").encode([f"a {text} is a city" for text in TEXTS], prompt="")
    np.testing.assert_allclose(np.asarray(encoder.encode(TEXTS, "query")), expected, atol=1e-6)
    assert encoder.lengths(["nairobi"], "query")[0].tolist() == [7]
    assert sent(encoder.model, "nairobi", "document") == "passage: nairobi"
    assert encoder.space("query") != encoders.load(str(made)).space("query")


# Instructions


def test_every_card_has_an_instruction() -> None:
    for name in catalogue():
        assert len(find(name).instruction.split()) >= 5, name
    assert find("xquad-r@context").instruction == find("xquad-r").instruction


def test_an_instruction_is_the_tasks(made: Path) -> None:
    encoder = encoders.load(str(made), Asked(query_prompt="Instruct: {task}\\nQuery: {text}"))
    asked = encoders.instructed(encoder, find("mkqa-q"))
    assert sent(asked.model, "is", "query") == "Instruct: Retrieve the same question in other languages\nQuery: is"
    assert encoder.model.prompts["query"] == "Instruct: {task}\nQuery: "
    other = encoders.instructed(encoder, find("xquad-r"))
    assert asked.space("query") != other.space("query")
    assert asked.space("document") == other.space("document")
    assert isinstance(asked, Checkpoint)
    assert isinstance(other, Checkpoint)
    assert asked._model() is other._model()
    plain = encoders.load(str(made))
    assert encoders.instructed(plain, find("xquad-r")) is plain


def test_a_run_shows_and_keeps_what_was_sent(
    made: Path, cache: Path, tmp_path: Path, bench: Callable[..., Ran]
) -> None:
    words = ["--model", made, "--task", "demo", "--languages", "en,sw", "--results", tmp_path / "results"]
    ran = bench("run", *words, "--query-prompt", "Instruct: {task}\\nQuery: {text}", "--max-length", 10)
    assert ran.code == 0, ran.err
    sentence = "Instruct: Given a question, retrieve the sentence that answers it\\nQuery: "
    assert f"first query as sent:    '{sentence}" in ran.out
    assert "float32 on cpu, max-length 10" in ran.out
    says = json.loads((tmp_path / "results/tiny-model/demo/evidence.json").read_text(encoding="utf-8"))
    assert says["model"]["first_query_as_sent"].startswith(sentence.replace("\\n", "\n"))
    assert says["model"]["how"] == {"max-length": 10}
    assert says["model"]["truncated"]["query"] == 1.0


def test_a_task_without_an_instruction_is_named_before_anything_is_run(
    made: Path, cache: Path, tmp_path: Path, bench: Callable[..., Ran]
) -> None:
    assert bench("tasks", "new", tmp_path / "rivers").code == 0
    words = ["--model", made, "--task", "demo", "--task", f"{tmp_path / 'rivers'}", "--results", tmp_path / "results"]
    for command in ("run", "noise"):
        ran = bench(command, *words, "--query-prompt", "Instruct: {task} Query: {text}")
        ran.failed("has {task}, and the card of rivers has no instruction")
    assert not list((tmp_path / "results").rglob("evidence.json"))


# Conversations


@pytest.fixture
def chatting(made: Path, tmp_path: Path) -> Path:
    """A saved decoder whose texts are wrapped in a chat template."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    inner = models.decoder("qwen3", made.with_name("plain"), tmp_path / "inner", "left")
    words = models.tokenizer(made.with_name("plain"))
    words.chat_template = models.CHAT
    words.save_pretrained(inner)
    transformer = Transformer(str(inner))
    assert "message" in transformer.modality_config
    names = {"query": "what is : ", "document": ""}
    return models.saved(
        tmp_path / "chatting",
        transformer,
        Pooling(16, pooling_mode="lasttoken"),
        prompts=names,
        default_prompt_name=None,
    )


def test_a_conversation_is_shown_as_it_is_sent(chatting: Path) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = encoders.load(str(chatting))
    assert sent(encoder.model, "nairobi", "query") == "system : what is :  / user : nairobi / query"
    assert sent(encoder.model, "nairobi", "document") == "user : nairobi / document"
    library = SentenceTransformer(str(chatting), device="cpu")
    for role, encode in (("query", library.encode_query), ("document", library.encode_document)):
        found = np.asarray(encoder.encode(TEXTS, role))  # type: ignore[arg-type]
        np.testing.assert_allclose(found, encode(TEXTS), atol=1e-5)
        prompt = {"query": "what is : ", "document": ""}[role]
        ids = library.preprocess(["nairobi"], prompt=prompt, task=role)["input_ids"][0]
        whole = sent(encoder.model, "nairobi", role)  # type: ignore[arg-type]
        assert ids.tolist() == library.tokenizer(whole, add_special_tokens=False)["input_ids"]
        assert encoder.lengths(["nairobi"], role)[0].tolist() == [len(ids)]  # type: ignore[arg-type]


def test_a_template_is_what_the_user_says_in_a_conversation(chatting: Path) -> None:
    encoder = encoders.load(str(chatting), Asked(query_prompt="is {text} a city"))
    assert sent(encoder.model, "nairobi", "query") == "user : is nairobi a city / query"
    plain = encoders.load(str(chatting), Asked(query_prompt=""))
    one, other = encoder.encode(["nairobi"], "query"), plain.encode(["is nairobi a city"], "query")
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-6)
    with pytest.raises(UserError, match=r"gets conversations, whose prompts have no \{task\}; write the instruction"):
        encoders.load(str(chatting), Asked(query_prompt="{task} {text}"))


def test_a_chat_template_that_is_none_is_named(chatting: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(chatting, tmp_path / "broken"))
    for path in broken.rglob("chat_template.jinja"):
        path.write_text("{% for %}", encoding="utf-8")
    with pytest.raises(UserError, match="has a chat template that cannot be rendered: Expected an expression"):
        encoders.load(str(broken))
