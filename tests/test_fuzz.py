"""Whatever stands in a file that comes from elsewhere: the command line answers, or refuses in one sentence.

Each test spoils a valid input at random and gives it to the command that reads it. In CI the same few spoilt inputs
each time; `ISOGLOSS_FUZZ=5000 pytest tests/test_fuzz.py` tries so many others of each kind.
"""

import contextlib
import gzip
import io
import json
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import Message
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark import cache as cached
from benchmark import cli, encoders, export, thresholds, vectors
from benchmark.encoders import Asked, Role
from benchmark.encoders.cross import Reranked, pair
from benchmark.encoders.random import Random as RandomModel
from tasks.errors import UserError, printable
from tests.hostile import changed, harmed, nasty, spoiled
from tests.layouts import LAYOUTS, content, write

MANY = int(os.environ.get("ISOGLOSS_FUZZ", "0"))
CHANCE = st.randoms(use_true_random=False)
DEMO = ("--task", "demo", "--languages", "en,sw")
TEXTS = ["what is nairobi", "a city"]


def fuzz(examples: int) -> settings:
    """So many examples, the same in each run; or as many others as the environment asks for."""
    return settings(
        max_examples=MANY or examples, derandomize=not MANY, database=None, deadline=None,
        suppress_health_check=[*HealthCheck],
    )  # fmt: skip


def bench(*words: object) -> tuple[int, str]:
    """Run the command line in this process, and return its exit code and, if that is 2, the sentence it ends with."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(sys, "argv", ["bench", *map(str, words)]),
        pytest.raises(SystemExit) as stopped,
    ):
        cli.main()
    code = int(stopped.value.code or 0)
    if code != 2:
        assert code in (0, 1), err.getvalue()
        return code, ""
    said = err.getvalue().removesuffix("\n").rpartition("\n")[2]
    assert said.startswith("bench: ")
    assert said.isprintable()
    return code, said


def refused(said: str, *names: object) -> None:
    """Check that a sentence, if there is one, names what it is of."""
    assert not said or any(printable(str(name)) in said for name in names), said


def sentence(call: Callable[[], object], *names: object) -> str:
    """Call something that may refuse its input, and return with which sentence it did, "" if it took it."""
    try:
        call()
    except UserError as error:
        refused(str(error), *names)
        return str(error)
    except OSError as error:  # of which the command line makes a sentence
        if error.filename:
            return str(error)
        raise
    return ""


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an empty cache, in which all of this happens."""
    root = tmp_path_factory.mktemp("fuzz")
    with contextlib.chdir(root), patch.dict(os.environ, {"ISOGLOSS_CACHE": str(root / "cache")}):
        os.environ.pop("ISOGLOSS_MIRROR", None)
        yield root


@pytest.fixture(scope="module")
def results(place: Path) -> Path:
    """Two results, small and whole."""
    for name in ("one-1", "one-2"):
        assert bench("run", "--model", "random", "--name", name, *DEMO, "--settings", "mono,cross,multi") == (0, "")
    return place / "results"


@pytest.mark.parametrize("name", LAYOUTS)
@fuzz(5)
@given(rnd=CHANCE)
def test_a_task(name: str, place: Path, rnd: Random) -> None:
    root, layout = place / "task", LAYOUTS[name]
    task, mirror = write(layout, root), root / "mirror"
    shutil.rmtree(place / "cache", ignore_errors=True)
    if layout.pinned and rnd.random() < 0.6:
        path = rnd.choice(sorted(layout.pinned))
        spoiled(mirror / path, rnd)
        if (mirror / path).is_file():  # pinned as it is now, it gets past the hash and into the reader
            pinned = {path: (layout.pinned[path][0], (mirror / path).read_bytes())}
            write(replace(layout, pinned=layout.pinned | pinned), root)
    else:
        spoiled(rnd.choice(sorted(path for path in task.rglob("*") if path.is_file())), rnd)
    before = tree(task)
    _, said = bench("tasks", "check", task, "--mirror", mirror, *["--json"] * rnd.randrange(2))
    refused(said, root, place / "cache", "mine")
    assert tree(task) == before


@fuzz(40)
@given(rnd=CHANCE)
def test_a_suite(place: Path, rnd: Random) -> None:
    suite = place / "suite.toml"
    shutil.rmtree(suite, ignore_errors=True)
    suite.unlink(missing_ok=True)
    suite.write_text('tasks = ["core", "xquad-r@context", "demo", "./task"]\n', encoding="utf-8")
    spoiled(suite, rnd)
    _, said = bench("fetch", suite, "--offline")
    refused(said, place)


@fuzz(30)
@given(rnd=CHANCE)
def test_a_run(runs: Path, results: Path, rnd: Random) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder, kept = Path(shutil.copytree(runs, f"{scratch}/runs")), Path(scratch) / "results"
        file = rnd.choice(sorted(folder.glob("*.trec*")))
        for other in folder.iterdir():
            if rnd.random() < 0.8 and other != file:
                other.unlink()
        spoiled(file, rnd)
        if rnd.random() < 0.2 and file.is_file():
            with contextlib.suppress(OSError, ValueError):
                file.rename(folder / f"{nasty(rnd)}--{rnd.choice(('en', 'multi', 'en+sw', 'sw+en', 'xx'))}.trec")
        run = file if rnd.random() < 0.5 else folder
        chosen = rnd.choice(([], ["--settings", "multi"], ["--settings", "mono,cross"], ["--settings", "pair"]))
        _, said = bench("score", run, *DEMO, *chosen, "--name", "given", "--results", kept)
        refused(said, folder)
        assert bool(said) == (not [*kept.rglob("evidence.json")])
        assert not [*kept.rglob(".*")]  # where results are made


@pytest.fixture(scope="module")
def runs(place: Path) -> Path:
    """A run for each direction, and one of the pool of all by itself, packed."""
    folder = place / "runs"
    assert bench("export", "--model", "random", *DEMO, "--runs", folder, "--depth", "5") == (0, "")
    for name in ("en--en.trec", "en--multi.trec"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes(), mtime=0))
        (folder / name).unlink()
    return folder


SHOWN = (
    ("report", "RESULT"), ("report", "RESULT", "--format", "json"), ("report", "RESULT", "--measure", "nDCG@7"),
    ("report", "RESULT", "--format", "csv"), ("report", "RESULT", "--format", "mteb"),
    ("report", "RESULT", "--by", "domain"), ("report", "RESULT", "OTHER", "--format", "latex"),
    ("compare", "OTHER", "RESULT"), ("compare", "RESULT", "OTHER", "--format", "json"), ("compare", "ALL"),
    ("check", "RESULT", "--baseline", "OTHER"), ("check", "OTHER", "--baseline", "RESULT", "--format", "json"),
    ("leaderboard", "--check", "ALL"), ("export", "RESULT", "--runs", "EXPORT"),
    ("export", "RESULT", "--qrels", "EXPORT"),
)  # fmt: skip


@fuzz(25)
@given(rnd=CHANCE)
def test_a_result(results: Path, rnd: Random) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(results, f"{scratch}/results"))
        spoilt = copy / "one-2" / "demo"
        name = rnd.choice(("evidence.json", "evidence.json", "ranks.parquet", "top.parquet"))
        spoiled(spoilt / name, rnd)
        made = Path(scratch) / "export"
        places = {"RESULT": spoilt, "OTHER": copy / "one-1" / "demo", "ALL": copy, "EXPORT": made}
        before = tree(copy)
        for words in rnd.sample(SHOWN, 2):
            _, said = bench(*(places.get(word, word) for word in words))
            refused(said, spoilt, copy / "one-1")
            assert tree(copy) == before
            assert not (said and made.exists())
            shutil.rmtree(made, ignore_errors=True)
        if rnd.random() < 0.2:
            again = ("run", "--model", "random", "--name", "one-2", *DEMO, "--results", copy, "--settings", "mono")
            _, said = bench(*again)
            assert not said or "is no result" in said


LIMITS = """measures = ["AP", "R@10"]
max_drop = 0.01
level = 0.05
allow = ["dtype"]
[max_rise]
rank_distance = 0.1
[[where]]
setting = "multi"
language = "sw"
max_drop = 0.03
min_score = 0.2
"""


@fuzz(80)
@given(rnd=CHANCE)
def test_thresholds(place: Path, rnd: Random) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "limits.toml"
        path.write_text(LIMITS, encoding="utf-8")
        spoiled(path, rnd)
        sentence(lambda: thresholds.read(path), path)


@fuzz(25)
@given(rnd=CHANCE)
def test_vectors_of_ones_own(given_vectors: Path, rnd: Random) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(given_vectors, f"{scratch}/given"))
        spoiled(rnd.choice(sorted(folder.iterdir())), rnd)
        kept = Path(scratch) / "results"
        _, said = bench("run", "--model", f"vectors:{folder}", *DEMO, "--results", kept, "--settings", "mono")
        refused(said, folder)
        assert bool(said) == (not list(kept.glob("*/*/evidence.json")))


@pytest.fixture(scope="module")
def given_vectors(place: Path) -> Path:
    folder = place / "given"
    assert bench("export", "--model", "random", *DEMO, "--vectors", folder) == (0, "")
    ids, rows = (folder / "queries.txt").read_text(encoding="utf-8").split(), np.load(folder / "queries.npy")
    (folder / "queries.parquet").write_bytes(
        content("queries.parquet", [{"id": one, "vector": row.tolist()} for one, row in zip(ids, rows, strict=True)])
    )
    for name in ("queries.txt", "queries.npy", export.NOTE):
        (folder / name).unlink()
    return folder


class Wire:
    """Stands for the network: a server of either protocol, of whose answers one may be spoilt."""

    def __init__(self, rnd: Random) -> None:
        self.rnd = rnd
        self.spoilt = rnd.randrange(4)
        self.asked = -1

    def open(self, request: urllib.request.Request, timeout: float = 0) -> io.BytesIO:
        self.asked += 1
        path = request.full_url.partition("localhost")[2]
        body = json.loads(request.data) if isinstance(request.data, bytes) else {}
        texts = body.get("input", body.get("inputs", ()))
        rows = [np.cos(np.arange(1, 5) * (len(text) + 1)).tolist() for text in texts]
        found: Any = {
            "/info": {"model_id": "m", "model_sha": "1", "model_dtype": "float32", "max_input_length": 9},
            "/v1/models": {"data": [{"id": "m"}]},
            "/embed": rows,
            "/tokenize": [[{"id": 1}] * len(text.split()) for text in texts],
            "/v1/embeddings": {"data": [{"index": place, "embedding": row} for place, row in enumerate(rows)]},
        }[path]
        status, head = 200, Message()
        answer = json.dumps(found).encode()
        if self.asked == self.spoilt:
            status = self.rnd.choice((200, 200, 200, 301, 401, 404, 413, 429, 500))
            answer = json.dumps(changed(found, self.rnd)).encode()
            if self.rnd.random() < 0.5:
                answer = harmed(answer, self.rnd)
            for name in ("Retry-After", "Location"):
                head[name] = str(nasty(self.rnd)).encode("ascii", "replace").decode().replace("\n", "")
        if status != 200:
            raise urllib.error.HTTPError(request.full_url, status, "no", head, io.BytesIO(answer))
        return io.BytesIO(answer)


@fuzz(80)
@given(rnd=CHANCE, url=st.sampled_from(["http://localhost", "http://localhost/v1"]))
def test_answers_of_a_server(place: Path, rnd: Random, url: str) -> None:
    wire = Wire(rnd)

    def asked() -> None:
        encoder = encoders.load(url, Asked())
        with tempfile.TemporaryDirectory() as scratch:
            found = vectors.encode(encoder, TEXTS, "query", root=Path(scratch))
            assert np.isfinite(found.vectors).all()

    with patch("urllib.request.build_opener", lambda *_: wire), patch("time.sleep"), patch("threading.Event.wait"):
        sentence(asked, "localhost", "server", "The model")


CHECKPOINT = (
    "config.json", "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json", "tokenizer.json",
    "tokenizer_config.json", "1_Pooling/config.json", "model.safetensors",
)  # fmt: skip


@fuzz(40)
@given(rnd=CHANCE, name=st.sampled_from(CHECKPOINT), role=st.sampled_from(encoders.ROLES))
def test_a_checkpoint(made: Path, place: Path, rnd: Random, name: str, role: Role) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(made, f"{scratch}/checkpoint"))
        spoiled(folder / name, rnd)

        def run() -> None:
            found = vectors.encode(
                encoders.load(str(folder), Asked(offline=True)), TEXTS, role, root=Path(scratch) / "vectors"
            )
            assert np.isfinite(found.vectors).all()

        sentence(run, folder, "checkpoint", "--query-prompt", "--document-prompt")


@fuzz(30)
@given(rnd=CHANCE, kind=st.sampled_from(("sparse", "late", "cross")))
def test_a_checkpoint_of_another_kind(made_kinds: Path, place: Path, rnd: Random, kind: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(made_kinds / kind, f"{scratch}/checkpoint"))
        spoiled(rnd.choice(sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors"))), rnd)

        def run() -> None:
            source, asked = str(folder), Asked(offline=True)
            encoder = encoders.load("bm25", Asked(offline=True, rerank=source)) if kind == "cross" else None
            texts = [pair(*TEXTS)] if isinstance(encoder, Reranked) else TEXTS
            model = encoder.cross if isinstance(encoder, Reranked) else encoders.load(source, asked)
            found = vectors.encode(model, texts, "query", root=Path(scratch) / "vectors")
            assert np.isfinite(found.vectors).all()

        sentence(run, folder, "checkpoint", "--query-prompt", "--document-prompt")


@fuzz(40)
@given(rnd=CHANCE)
def test_an_adapter(adapted: Path, place: Path, rnd: Random) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(adapted, f"{scratch}/adapter"))
        spoiled(folder / rnd.choice(("adapter_config.json", "adapter_model.safetensors")), rnd)

        def run() -> None:
            encoder = encoders.load(str(folder), Asked(offline=True, pooling="mean"))
            vectors.encode(encoder, TEXTS, "query", root=Path(scratch) / "vectors")

        sentence(run, folder, "adapter")


@pytest.fixture(scope="module")
def adapted(made: Path, place: Path) -> Path:
    pytest.importorskip("peft")
    from tests.models import adapter

    return adapter(made.with_name("plain"), place / "adapter")


@fuzz(40)
@given(rnd=CHANCE)
def test_the_cache(place: Path, rnd: Random) -> None:
    with tempfile.TemporaryDirectory() as scratch, patch.dict(os.environ, {"ISOGLOSS_CACHE": scratch}):
        root, model = Path(scratch) / "vectors", RandomModel()
        whole = vectors.encode(model, TEXTS, "query", root=root)
        (space,) = cached.spaces(Path(scratch))
        spoiled(rnd.choice([*space.shards, space.folder / "space.json"]), rnd)
        for words in rnd.sample([("cache",), ("cache", "verify"), ("cache", "prune", "--damaged")], 2):
            refused(bench(*words)[1], scratch)
        again: list[vectors.Encoded] = []
        said = sentence(lambda: again.append(vectors.encode(model, TEXTS, "query", root=root)), root)
        assert said or (again[0].vectors == whole.vectors).all()


@fuzz(10)
@given(rnd=CHANCE)
def test_a_folder_of_exports(place: Path, rnd: Random) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "qrels"
        assert bench("export", *DEMO, "--qrels", folder) == (0, "")
        spoiled(folder / export.NOTE, rnd)
        before = tree(folder)
        _, said = bench("export", *DEMO, "--qrels", folder)
        refused(said, folder)
        assert not said or tree(folder) == before
        assert tree(Path(scratch)) == sorted(["qrels", *(f"qrels/{name}" for name in tree(folder))])
