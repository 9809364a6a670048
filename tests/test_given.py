"""Python objects of one's own, imported from the current folder: every kind of model, and code that fails."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from benchmark import encoders, vectors
from benchmark.encoders import Asked
from tasks.errors import UserError
from tests.conftest import Ran

Bench = Callable[..., Ran]
Write = Callable[..., str]
ROOT = Path(__file__).parent.parent
HASHED = """
    import hashlib
    import numpy as np

    def embed(texts, role):
        return np.array([list(hashlib.sha256(text.encode()).digest()) for text in texts], dtype="f4")
"""


@pytest.fixture
def write(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module into the current folder, and return its name, which no other test uses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    written: list[str] = []

    def one(code: str, name: str = "") -> str:
        name = name or f"mine_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{name}.py").write_text(dedent(code), encoding="utf-8")
        invalidate_caches()
        sys.modules.pop(name, None)
        written.append(name)
        return name

    yield one
    for name in written:
        sys.modules.pop(name, None)


def encoded(source: str, texts: list[str], role: encoders.Role = "query", **asked: Any) -> np.ndarray[Any, Any]:
    return np.asarray(encoders.load(source, Asked(**asked)).encode(texts, role))


def test_a_function_of_texts_and_role_is_a_model(write: Write, bench: Bench, tmp_path: Path) -> None:
    ran = bench("run", "--model", f"{write(HASHED)}:embed", "--task", "demo", "--languages", "en", "--name", "mine")
    assert ran.code == 0, ran.err
    about = json.loads((tmp_path / "results/mine/demo/evidence.json").read_text(encoding="utf-8"))["model"]
    assert (about["family"], about["dtype"], about["device"]) == ("given", "", "")
    assert about["truncated"] == {"query": None, "document": None}
    assert "truncated: unknown;" in ran.out
    assert "32 dimensions\n" in ran.out
    for board in (bench("report", "results/mine/demo"), bench("leaderboard", "results")):
        assert board.code == 0, board.err


def test_the_example_of_the_documentation_runs(write: Write, bench: Bench, tmp_path: Path, made: Path) -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    (tmp_path / "model").symlink_to(made)
    ran = bench("run", "--model", f"{write(code, 'mine')}:load", "--task", "demo", "--languages", "en", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["model"] == "mine:load"


@pytest.mark.parametrize(
    ("code", "queries", "documents"),
    [
        ("def make(): return lambda texts, role: [[len(t), len(role)] for t in texts]", [4, 5], [4, 8]),
        ("def make(texts, role): return [[len(t), len(role)] for t in texts]", [4, 5], [4, 8]),
        (
            """
            class make:
                def encode_query(self, texts): return [[len(t), 1] for t in texts]
                def encode_document(self, texts): return [[len(t), 2] for t in texts]
                def encode(self, texts): raise RuntimeError("not this one")
            """,
            [4, 1], [4, 2],
        ),
        ("class make:\n    def encode(self, texts): return [[len(t), 7] for t in texts]", [4, 7], [4, 7]),
        (
            """
            class make:
                def encode(self, texts, prompt_name=None, batch_size=3):
                    return [[len(t), len(prompt_name)] for t in texts]
            """,
            [4, 5], [4, 8],
        ),
        (
            """
            class make:
                prompts = {"query": "q:", "passage": "pp:", "document": ""}
                def encode(self, texts, prompt_name=None, prompt=None):
                    assert prompt_name is None
                    return [[len(t), len(prompt)] for t in texts]
            """,
            [4, 2], [4, 3],
        ),
    ],
)  # fmt: skip
def test_every_kind_of_model(code: str, queries: list[int], documents: list[int], write: Write) -> None:
    source = f"{write(code)}:make"
    np.testing.assert_array_equal(encoded(source, ["word"]), [queries])
    np.testing.assert_array_equal(encoded(source, ["word"], "document"), [documents])


@pytest.mark.parametrize("kind", ["encode_query", "encode"])
def test_a_sentence_transformer_is_run_as_its_checkpoint(kind: str, write: Write, made: Path, tmp_path: Path) -> None:
    source = write(f"""
        from sentence_transformers import SentenceTransformer

        class Older:
            def __init__(self, model):
                self.prompts, self.encode = model.prompts, model.encode

        def make():
            model = SentenceTransformer({str(made)!r}, device="cpu")
            return model if {kind!r} == "encode_query" else Older(model)
    """)
    given, known = encoders.load(f"{source}:make"), encoders.load(str(made))
    assert given.model.prompts == known.model.prompts == {"query": "query: ", "document": "passage: "}
    if kind == "encode_query":
        assert (given.model.similarity, given.model.device, given.model.dtype) == ("cosine", "cpu", "float32")
    texts = ["what is the capital of kenya", "nairobi", "a city"]
    for role in encoders.ROLES:
        found, expected = (vectors.encode(one, texts, role, root=tmp_path).vectors for one in (given, known))
        np.testing.assert_allclose(found, expected, atol=1e-6)
    named = encoders.load(f"{source}:make", Asked(query_prompt="passage", document_prompt=""))
    assert named.model.prompts == {"query": "passage: ", "document": ""}


READY = """
    from sentence_transformers import SentenceTransformer
    import numpy as np

    class Small:
        def encode(self, texts):
            return np.eye(3)[: len(texts)]

    small, ready = Small(), SentenceTransformer({!r}, device="cpu")
"""


def test_a_model_may_stand_in_the_module_itself(write: Write, made: Path) -> None:
    source, texts = write(READY.format(str(made))), ["what is nairobi", "kenya"]
    expected = np.asarray(encoders.load(str(made)).encode(texts, "query"))
    np.testing.assert_allclose(encoded(f"{source}:ready", texts), expected, atol=1e-6)
    for name in ("small", "Small"):
        np.testing.assert_allclose(encoded(f"{source}:{name}", texts), np.eye(3)[:2])


def test_a_prompt_is_text_put_before_for_what_declares_none(write: Write) -> None:
    source = f"{write('def make(texts, role): return [[len(t)] for t in texts]')}:make"
    assert encoded(source, ["word"], query_prompt="ask: ").tolist() == [[9]]
    assert encoders.load(source, Asked(query_prompt="ask: ")).model.prompts == {"query": "ask: ", "document": ""}
    with pytest.raises(UserError, match="looks like the name of a prompt"):
        encoders.load(source, Asked(document_prompt="passage"))


def test_tensors_are_read(write: Write) -> None:
    source = write("""
        import torch

        def make(texts, role):
            return torch.ones(len(texts), 3, dtype=torch.bfloat16, requires_grad=True)
    """)
    found = encoded(f"{source}:make", ["a", "b"])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.ones((2, 3)))


def test_vectors_of_one_dtype_are_not_taken_for_those_of_another(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write("""
        import os

        class Model:
            dtype = os.environ["DTYPE"]

            def encode(self, texts):
                return [[1.0]] * len(texts)
    """)
    spaces = []
    for dtype in ("float32", "bfloat16"):
        monkeypatch.setenv("DTYPE", dtype)
        sys.modules.pop(source, None)
        encoder = encoders.load(f"{source}:Model")
        assert encoder.model.dtype == dtype
        spaces.append(encoder.space("query"))
    assert spaces[0] != spaces[1]


def test_the_fingerprint_is_of_the_source_and_of_what_it_says(write: Write, bench: Bench) -> None:
    code = "class make:\n    fingerprint = {!r}\n    def encode(self, texts): return [[1.0, 2.0] for _ in texts]\n"
    name = write(code.format("weights-1"))
    first = encoders.load(f"{name}:make").model.fingerprint
    sys.modules.pop(name)
    assert encoders.load(f"{name}:make").model.fingerprint == first
    assert encoders.load(f"{name}:make", Asked(revision="monday")).model.fingerprint != first
    for changed in (code.format("weights-1") + "# a change", code.format("weights-2")):
        assert encoders.load(f"{write(changed)}:make").model.fingerprint != first
    with pytest.raises(UserError, match="is no text"):
        encoders.load(f"{write(code.format('x').replace(repr('x'), '7'))}:make")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import nothing_of_that_name", r"failed when it was imported.*line 1\): ModuleNotFoundError: No module named"),
        ("def make(:", r"failed when it was imported .*\.py, line 1\): SyntaxError"),
        ("raise SystemExit('usage: x')", r"failed when it was imported .*\.py, line 1\): SystemExit: usage: x\.$"),
        ("def other(): pass", r"mine.*\.py has no function and no model «make»; --model takes package.module:factory"),
        ("make = 3", "has no function and no model «make»"),
        ("def make():\n    return {}['weights']", r"failed when it made the model .*py, line 2\): KeyError: 'weights'"),
        ("def make(): return 3", "made an object of int, which is no model: it has no encode_query and no encode"),
        ("def make(): pass", "made an object of NoneType"),
        (
            "def make():\n    def f(texts, role):\n        return 1 / 0\n    return f",
            r"failed when it encoded 2 texts, the first of them «a» .*py, line 3\): ZeroDivisionError: division by ",
        ),
        ("def make(): return lambda: 3", r"failed when it encoded 2 texts, the first of them «a»: TypeError"),
        ("def make(texts, role): return [[1.0], [1.0, 2.0]]", "failed when it encoded 2 texts.*ValueError"),
        ("def make(texts, role): return 'text'", "failed when it encoded.*ValueError: could not convert string"),
        ("def make(texts, role): return 3.0", r"returned an array \(\) for 2 texts"),
        ("def make(texts, role): return [1.0, 2.0]", r"returned an array \(2,\) for 2 texts"),
        ("def make(texts, role): return [[1.0]]", r"returned an array \(1, 1\) for 2 texts"),
        ("def make(texts, role): raise ValueError('one\\ntwo')", r"ValueError: one\.$"),
        ("class make:\n    prompts = {'ask': 'q: '}\n    encode = len", "declares the prompts ask, and none by a name"),
        ("class make:\n    similarity_fn_name = 'manhattan'\n    encode = len", "compares vectors by «manhattan»"),
    ],
)  # fmt: skip
def test_code_that_fails_is_one_sentence_with_its_place(code: str, says: str, write: Write) -> None:
    with pytest.raises(UserError, match=says) as raised:
        encoders.load(f"{write(code)}:make").encode(["a", "b"], "query")
    assert "\n" not in str(raised.value)


def test_what_is_wrong_is_said_by_the_command(write: Write, bench: Bench, cache: Path) -> None:
    bench("run", "--model", "no_such_module_here:make", "--task", "demo").failed(
        "There is no module no_such_module_here"
    )
    bench("run", "--model", "no.such:make", "--task", "demo").failed("There is no module no in this folder")
    name = write("def make(texts, role): return [[float('nan')] * 3 for _ in texts]")
    bench("run", "--model", f"{name}:make", "--task", "demo").failed("NaN or infinity for the query")
    name = write("def make(texts, role): return [[1.0] * len(role) for _ in texts]")
    bench("run", "--model", f"{name}:make", "--task", "demo").failed("5 dimensions of a query and 8 of a document")
    bench("run", "--model", f"{name}:make", "--dtype", "float16").failed("takes no --dtype")


def test_a_file_named_like_one_of_ours_is_not_taken_for_it(write: Write, tmp_path: Path) -> None:
    """Imported from the current folder as by `python -m`, and what the program imports later is still its own."""
    write("import tokenize_mine\n" + dedent(HASHED), "mine")
    write("", "tokenize_mine")
    for ours in ("leaderboard", "benchmark", "tasks"):
        (tmp_path / f"{ours}.py").write_text("raise SystemExit('this was run')", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[0] = {str(ROOT)!r}; from benchmark.cli import main; main()",
         "run", "--model", "mine:embed", "--task", "demo", "--languages", "en"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mine:embed on Demo" in done.stdout
