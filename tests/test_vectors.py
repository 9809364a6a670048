"""The store: encode each text once, whole after a kill, never shared between what differs."""

import errno
import os
import random as dice
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark import vectors
from benchmark.encoders import Role
from benchmark.encoders.random import Random
from tasks.errors import UserError

TEXTS = [f"text {number}" for number in range(600)]


class Counting(Random):
    """Counts what it is asked for; its vectors differ with the batch, as those of real models do in the last bits."""

    budget = 64

    def __init__(self, delay: float = 0.0, prompt: str = "", flaw: str = "") -> None:
        super().__init__()
        self.delay, self.flaw, self.seen = delay, flaw, list[str]()
        self.model = replace(self.model, prompts={"query": prompt, "document": prompt})

    def space(self, role: Role) -> dict[str, Any]:
        return super().space(role) | {"prompt": self.model.prompts[role]}

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
        return np.array([1 + hash_of(text) % 7 for text in texts], dtype=np.int32), 6

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        time.sleep(self.delay)
        self.seen += texts
        found = super().encode(texts, role)
        found = found + np.float32(1e-4) * super().encode(["|".join(texts)], role)
        if self.flaw in ("nan", "inf"):
            found[len(texts) // 2, 3] = float(self.flaw)
        return found[:, :5] if self.flaw == "narrow" else found[1:] if self.flaw == "short" else found


def hash_of(text: str) -> int:
    return sum(text.encode())


def encode(
    encoder: Counting, root: Path, texts: Sequence[str] = TEXTS, role: Role = "query", seconds: float = 0
) -> vectors.Encoded:
    return vectors.encode(encoder, texts, role, root=root, shard_seconds=seconds)


def test_each_text_is_encoded_once(tmp_path: Path) -> None:
    encoder = Counting()
    first = encode(encoder, tmp_path, [*TEXTS, *TEXTS[:50]])
    assert sorted(encoder.seen) == sorted(TEXTS)
    assert first.encoded == 600
    np.testing.assert_array_equal(first.vectors[600:], first.vectors[:50])
    again = encode(encoder, tmp_path)
    assert again.encoded == 0
    assert len(encoder.seen) == 600
    np.testing.assert_array_equal(again.vectors, first.vectors[:600])
    np.testing.assert_allclose(np.linalg.norm(again.vectors, axis=1), 1, rtol=1e-6)
    assert again.tokens == first.tokens == sum(1 + hash_of(text) % 7 for text in TEXTS)
    assert again.truncated == pytest.approx(np.mean([hash_of(text) % 7 == 6 for text in TEXTS]))


def test_batches_hold_the_budget_and_start_with_the_longest() -> None:
    lengths = np.array([3, 900, 1, 40, 40, 7, 5000], dtype=np.int32)
    batches = vectors.plan(lengths, 512, 100)
    assert sorted(place for batch, _ in batches for place in batch) == list(range(7))
    counted = np.minimum(lengths, 512)
    for batch, tokens in batches:
        assert tokens == counted[batch].max() * len(batch)
        assert tokens <= 100 or len(batch) == 1
    assert [counted[batch].max() for batch, _ in batches] == sorted(
        (counted[b].max() for b, _ in batches), reverse=True
    )


def test_what_differs_is_never_shared(tmp_path: Path) -> None:
    plain, prompted = Counting(), Counting(prompt="query: ")
    folders = {vectors.space_folder(one, role, tmp_path) for one in (plain, prompted) for role in ("query", "document")}
    assert len(folders) == 4
    encode(plain, tmp_path)
    assert encode(prompted, tmp_path).encoded == 600
    assert encode(plain, tmp_path, role="document").encoded == 600


def test_a_run_that_goes_on_gets_the_same_vectors(tmp_path: Path) -> None:
    whole = encode(Counting(), tmp_path / "whole")
    encode(Counting(), tmp_path / "broken")
    shards = sorted((tmp_path / "broken").rglob("*.npy"))
    assert len(shards) > 5
    for shard in shards[::2]:
        shard.unlink()
    resumed = Counting()
    np.testing.assert_array_equal(encode(resumed, tmp_path / "broken").vectors, whole.vectors)
    assert 0 < len(resumed.seen) < 600


KILLED = """
import sys
from pathlib import Path
from tests.test_vectors import Counting, TEXTS, encode
print("ready", flush=True)
encode(Counting(delay=0.01), Path(sys.argv[1]), seconds=0.02)
"""


def test_killed_at_any_moment_twenty_times_over(tmp_path: Path) -> None:
    whole = encode(Counting(), tmp_path / "whole")
    kept: set[str] = set()
    for number in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "killed")],
            stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        time.sleep(dice.Random(number).uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        names = {path.name for path in (tmp_path / "killed").rglob("*.npy") if not path.name.startswith(".")}
        assert kept <= names  # a finished shard stays, and is not written again
        kept = names
    last = Counting()
    np.testing.assert_array_equal(encode(last, tmp_path / "killed").vectors, whole.vectors)
    assert len(last.seen) < 600


def test_two_writers_fill_one_store(tmp_path: Path) -> None:
    whole = encode(Counting(), tmp_path / "whole")
    found: dict[int, vectors.Encoded] = {}

    def one(number: int) -> None:
        found[number] = encode(Counting(delay=0.002), tmp_path / "both", seconds=0.01)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(2):
        np.testing.assert_array_equal(found[number].vectors, whole.vectors)
    np.testing.assert_array_equal(encode(Counting(), tmp_path / "both").vectors, whole.vectors)


@pytest.mark.parametrize(
    ("flaw", "says"),
    [("nan", "NaN or infinity for the query «text"), ("inf", "NaN or infinity"), ("short", "returned an array")],
)
def test_a_model_that_returns_nonsense_is_named(flaw: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        encode(Counting(flaw=flaw), tmp_path)
    assert not list(tmp_path.rglob("*.npy"))


def test_what_came_before_an_error_is_kept(tmp_path: Path) -> None:
    class Dying(Counting):
        def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
            if len(self.seen) > 300:
                raise KeyboardInterrupt
            return super().encode(texts, role)

    with pytest.raises(KeyboardInterrupt):
        encode(Dying(), tmp_path, seconds=1000)
    assert 0 < encode(Counting(), tmp_path).encoded < 300


def test_many_shards_need_few_open_files(tmp_path: Path) -> None:
    encode(Counting(), tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 64
    assert len(list(tmp_path.rglob("*.npy"))) > 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 10, hard))
    try:
        assert encode(Counting(), tmp_path).encoded == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_dimension_that_changes_is_named(tmp_path: Path) -> None:
    encode(Counting(), tmp_path, TEXTS[:100])
    with pytest.raises(UserError, match="returns 5 dimensions where it returned 64"):
        encode(Counting(flaw="narrow"), tmp_path)


def test_a_full_disk_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(Counting(), tmp_path, TEXTS[:100])
    before = sorted(tmp_path.rglob("*"))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="no space left for vectors"):
            encode(Counting(), tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert encode(Counting(), tmp_path).encoded == 500


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to .*ISOGLOSS_CACHE"):
        encode(Counting(), tmp_path / "file")


def test_zero_vectors_stay_zero() -> None:
    found = np.array([[0, 0], [3, 4]], dtype=np.float32)
    vectors.normalise(found)
    np.testing.assert_array_equal(found, np.array([[0, 0], [0.6, 0.8]], dtype=np.float32))
