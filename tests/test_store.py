"""The shards of the store: whatever happens to them, it is named, and the vectors are the same to the last bit."""

import errno
import io
import os
import random as dice
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib import format as arrays
from numpy.typing import NDArray

from benchmark import cache, store, vectors
from benchmark.encoders import Role
from tasks.errors import UserError
from tests.test_vectors import Counting, hash_of

ROOT = Path(__file__).parent.parent
TEXTS = [f"text {number}" for number in range(120)]
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Small(Counting):
    """Takes some six texts at a time."""

    budget = 24


def encode(encoder: Small, root: Path, said: list[str] | None = None, seconds: float = 0) -> vectors.Encoded:
    told = [] if said is None else said
    return vectors.encode(encoder, TEXTS, "query", root=root, shard_seconds=seconds, say=told.append)


@dataclass(frozen=True, repr=False)
class Whole:
    """A store that nothing happened to, one of another role, and what its run returned."""

    root: Path
    other: Path
    found: vectors.Encoded

    def shards(self, root: Path | None = None) -> list[Path]:
        folder = vectors.space_folder(Small(), "query", root or self.root)
        return sorted(folder.glob("*.npy"))

    def same(self, found: vectors.Encoded) -> None:
        np.testing.assert_array_equal(found.vectors, self.found.vectors)
        assert (found.tokens, found.truncated) == (self.found.tokens, self.found.truncated)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    root = tmp_path_factory.mktemp("whole")
    found = encode(Small(), root)
    vectors.encode(Small(), TEXTS, "document", root=root, shard_seconds=0)
    return Whole(root, vectors.space_folder(Small(), "document", root), found)


@pytest.fixture
def broken(whole: Whole, tmp_path: Path) -> Path:
    """A copy of the store to break."""
    return Path(shutil.copytree(whole.root, tmp_path / "broken"))


def canary(path: Path) -> bytes:
    """A pickle that makes the file `path` when it is loaded."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (path,))

    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
    return stream.getvalue()


HARMS = ("flip", "cut", "extend", "empty", "zero", "pickle", "delete", "swap", "copy", "foreign", "rename")


def harm(kind: str, path: Path, other: Path, foreign: Path, chance: dice.Random) -> set[Path]:
    """Damage a shard; return the files that are no shards now."""
    data = bytearray(path.read_bytes())
    if kind == "delete":
        path.unlink()
        return set()
    if kind == "swap":
        path.write_bytes(other.read_bytes())
        other.write_bytes(data)
        return {path, other}
    if kind in ("copy", "rename"):
        place = path.with_name(f"{chance.choice('0f'.replace(path.name[0], ''))}{path.name[1:]}")
        place.write_bytes(data)
        if kind == "rename":
            path.unlink()
        return {place}
    if kind == "foreign":
        place = path.with_name(foreign.name)
        place.write_bytes(foreign.read_bytes())
        return {place}
    if kind == "flip":
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    changed = {
        "cut": bytes(data[: chance.randrange(1, len(data))]),
        "extend": bytes(data) + chance.randbytes(chance.randrange(1, 200)),
        "empty": b"",
        "zero": bytes(len(data)),
        "pickle": canary(path.with_name("canary")),
    }
    path.write_bytes(changed.get(kind, bytes(data)))
    return {path}


@FEW
@given(seed=st.integers(0, 2**32), kinds=st.lists(st.sampled_from(HARMS), min_size=1, max_size=6))
def test_any_damage_is_named_and_made_good(
    seed: int, kinds: list[str], whole: Whole, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = Path(shutil.copytree(whole.root, tmp_path_factory.mktemp("harmed") / "store"))
    chance, bad, missing, said = dice.Random(seed), set[Path](), set[str](), list[str]()
    shards = whole.shards(root)
    chance.shuffle(shards)
    texts = {path: len(store.head(path)[0]) for path in shards}
    foreign = chance.sample(sorted(whole.other.glob("*.npy")), len(kinds))
    for place, kind in enumerate(kinds):
        path, other = shards[2 * place : 2 * place + 2]
        bad |= harm(kind, path, other, foreign[place], chance)
        missing |= {file.name for file in (path, other) if file in bad or not file.exists()}
    encoder = Small()
    whole.same(encode(encoder, root, said))
    assert len(encoder.seen) == sum(count for path, count in texts.items() if path.name in missing)
    assert sorted(line.split()[3] for line in said) == sorted(map(str, bad))
    assert not list(root.rglob("canary"))
    # What is there now is what was there before, byte for byte.
    before, after = ({path.name: path.read_bytes() for path in whole.shards(place)} for place in (None, root))
    assert after == before
    assert encode(encoder, root, said).encoded == 0


def test_each_bit_of_a_shard_counts(whole: Whole, broken: Path) -> None:
    path = whole.shards(broken)[0]
    data = path.read_bytes()
    with path.open("rb") as stream:
        arrays.read_array(stream)
        head = stream.tell()
    for place in [*range(head + 140), *range(head + 140, len(data), 97)]:
        for bit in range(8):
            harmed = bytearray(data)
            harmed[place] ^= 1 << bit
            path.write_bytes(harmed)
            with pytest.raises(store.DamagedError):
                store.read(path)
            if place < head:
                with pytest.raises(store.DamagedError):
                    store.head(path)


@FEW
@given(start=st.integers(0, 140), rest=st.binary(max_size=300), end=st.integers(0, 4000))
def test_no_bytes_are_taken_for_a_shard(start: int, rest: bytes, end: int, whole: Whole, tmp_path: Path) -> None:
    path = whole.shards()[0]
    data = path.read_bytes()
    place = tmp_path / path.parent.name / path.name
    place.parent.mkdir(exist_ok=True)
    harmed = data[:start] + rest + data[end:]
    place.write_bytes(harmed)
    if harmed == data:
        store.read(place)
    else:
        with pytest.raises(store.DamagedError):
            store.read(place)


@pytest.mark.parametrize("what", ["objects", "other records", "too few rows", "doubles", "no width", "one array"])
def test_the_right_name_does_not_make_a_shard(what: str, whole: Whole, broken: Path) -> None:
    """Foreign content under the name that its own bytes ask for."""
    folder = whole.shards(broken)[0].parent
    known, rows = store.read(whole.shards(broken)[0])
    parts: list[Any] = {
        "other records": [known["key"].copy(), rows],
        "too few rows": [known, rows[1:]],
        "doubles": [known, rows.astype("f8")],
        "no width": [known, rows[:, :0]],
        "one array": [known],
    }.get(what, [])
    streams = []
    for part in parts:
        stream = io.BytesIO()
        np.save(stream, part)
        streams.append(stream.getvalue())
    streams = streams or [canary(broken / "canary"), b""]
    names = [store.blake(part, key=store.blake(folder.name.encode()).digest()).hexdigest() for part in streams]
    path = folder / f"{'-'.join(names)}.npy"
    path.write_bytes(b"".join(streams))
    said: list[str] = []
    encoder = Small()
    whole.same(encode(encoder, broken, said))
    assert [line.split()[3] for line in said] == [str(path)]
    assert not encoder.seen
    assert not path.exists()
    assert not (broken / "canary").exists()


def test_what_cannot_be_read_or_removed_is_one_sentence(
    whole: Whole, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = whole.shards(broken)[3]
    data = path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=f"The vector shard {path} cannot be read: Is a directory"):
        encode(Small(), broken)
    path.rmdir()
    path.write_bytes(data[:-1])

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refused)
        with pytest.raises(UserError, match="is damaged .* and cannot be removed: Read-only file system; delete it"):
            encode(Small(), broken)
    assert path.read_bytes() == data[:-1]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read anything")
def test_a_shard_that_may_not_be_read_is_one_sentence(whole: Whole, broken: Path) -> None:
    whole.shards(broken)[3].chmod(0)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        encode(Small(), broken)


def test_a_disk_that_loses_what_is_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = store.write

    def losing(*parts: Any) -> Path:
        path = plain(*parts)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        return path

    with monkeypatch.context() as patched:
        patched.setattr(store, "write", losing)
        with pytest.raises(UserError, match="written just now and is damaged already .* disk may be failing"):
            encode(Small(), tmp_path)
    said: list[str] = []
    assert encode(Small(), tmp_path, said).encoded == len(TEXTS)
    assert len(said) > 5


def test_a_space_that_is_pruned_meanwhile_says_again_what_it_is(tmp_path: Path) -> None:
    kept = store.Store(tmp_path / "space", 1e9)
    kept.open({"family": "small"})
    for number in range(2):
        one = np.ones(1, dtype=np.int32)
        kept.add([bytes([number]) * 16], one, one > 1, one, np.ones((1, 2), np.float32))
        kept.flush()
        assert "small" in (kept.folder / store.ABOUT).read_text()
        shutil.rmtree(kept.folder)
        kept.folder.mkdir()


def test_shards_of_two_widths_are_named(whole: Whole, broken: Path) -> None:
    known, rows = store.read(whole.shards(broken)[0])
    known = known.copy()
    known["key"] += np.uint64(1)
    store.write(whole.shards(broken)[0].parent, known, rows[:, :7])
    with pytest.raises(UserError, match="(7 .* 64|64 .* 7) before; .*delete"):
        encode(Small(), broken)


def test_a_name_is_given_when_its_bytes_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, then the name, then the folder that holds the name: a power cut loses no more than one shard."""
    log: list[str] = []
    plain_sync, plain_replace = os.fsync, Path.replace

    def sync(number: int) -> None:
        log.append("folder" if os.path.isdir(f"/proc/self/fd/{number}") else "bytes")  # noqa: PTH112
        plain_sync(number)

    def replace(self: Path, target: Path) -> Path:
        log.append("name")
        return plain_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    store.write(tmp_path, np.zeros(1, dtype=store.KNOWN), np.zeros((0, 3), dtype=np.float32))
    assert log == ["bytes", "name", "folder"]


CUT = """
import os, sys
from pathlib import Path
from tests.test_store import Small, encode
count = 0
def cut(self, target, plain=Path.replace):
    global count
    count += 1
    if count == 6:
        os._exit(9)  # the power is gone: no handler runs, the file in the making stays
    return plain(self, target)
Path.replace = cut
encode(Small(), Path(sys.argv[1]))
"""


def python(code: str, root: Path, *before: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*before, sys.executable, "-c", code, str(root)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_power_cut_before_the_name_is_given(whole: Whole, tmp_path: Path) -> None:
    assert python(CUT, tmp_path).returncode == 9
    left = [path for path in tmp_path.rglob(".*") if path.is_file()]
    assert len(left) == 1
    encoder = Small()
    whole.same(encode(encoder, tmp_path))
    assert 0 < len(encoder.seen) < len(TEXTS)
    assert left[0].exists()  # it may be another process's
    os.utime(left[0], (0, 0))
    whole.shards(tmp_path)[0].unlink()
    whole.same(encode(encoder, tmp_path))
    assert not left[0].exists()


DYING = """
import os, random, signal, sys
from pathlib import Path
from tests.test_store import Small, encode
class Dying(Small):
    def encode(self, texts, role):
        if len(self.seen) > 50:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().encode(texts, role)
encode(Dying(), Path(sys.argv[1]))
"""


def test_a_library_that_crashes_loses_one_batch(whole: Whole, tmp_path: Path) -> None:
    assert python(DYING, tmp_path).returncode == -signal.SIGSEGV
    encoder = Small()
    whole.same(encode(encoder, tmp_path))
    assert 0 < len(encoder.seen) < len(TEXTS) - 40


KILLED = """
import random, sys, time
from pathlib import Path
from benchmark import cache
from tests.test_store import Small, encode, old
root = Path(sys.argv[1])
print("ready", flush=True)
while True:  # made good, merged, broken again
    encode(Small(delay=0.001), root)
    old(root)
    for space in cache.spaces(root.parent):
        for group in cache.small(space):
            cache.merge(root.parent, group)
    shard = random.choice(list(root.rglob("*.npy")))
    shard.write_bytes(shard.read_bytes()[:-5])
"""


def old(root: Path) -> None:
    """Let all that is kept be of yesterday."""
    for path in root.rglob("*"):
        os.utime(path, (time.time() - 86400,) * 2)


def test_killed_while_it_mends_and_merges(whole: Whole, tmp_path: Path) -> None:
    root = tmp_path / "vectors"
    root.mkdir()
    for number in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(root)],
            stdout=subprocess.PIPE, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        time.sleep(dice.Random(number).uniform(0, 0.6))
        process.kill()
        process.wait()
        process.stdout.close()
        whole.same(encode(Small(), Path(shutil.copytree(root, tmp_path / f"copy {number}"))))
    whole.same(encode(Small(), root))


def test_two_runs_mend_one_store(whole: Whole, broken: Path) -> None:
    for path in whole.shards(broken)[::2]:
        path.write_bytes(path.read_bytes()[:-1])
    found: dict[int, vectors.Encoded] = {}

    def one(number: int) -> None:
        found[number] = encode(Small(delay=0.001), broken)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(3):
        whole.same(found[number])
    assert [path.name for path in whole.shards(broken)] == [path.name for path in whole.shards()]


@pytest.mark.parametrize("what", ["removed", "merged"])
def test_shards_that_go_during_a_run(what: str, whole: Whole, broken: Path) -> None:
    """Another process prunes the store after a run has looked what is there."""
    cut = whole.shards(broken)[0]
    cut.unlink()
    old(broken)

    class Beside(Small):
        def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
            if not self.seen:
                for path in whole.shards(broken) if what == "removed" else ():
                    path.unlink()
                for space in cache.spaces(broken.parent) if what == "merged" else ():
                    for group in cache.small(space):
                        cache.merge(broken.parent, group)
            return super().encode(texts, role)

    broken.rename(broken.parent / "vectors")
    broken = broken.parent / "vectors"
    encoder = Beside()
    found = encode(encoder, broken)
    whole.same(found)
    assert found.encoded == len(encoder.seen)
    lost = len(store.head(whole.root / cut.relative_to(broken.parent / "broken"))[0])
    assert len(encoder.seen) == (len(TEXTS) if what == "removed" else lost)


def test_a_store_that_another_process_removes_altogether(whole: Whole, tmp_path: Path) -> None:
    class Beside(Small):
        def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
            if len(self.seen) < 100:
                shutil.rmtree(tmp_path / "store", ignore_errors=True)
            return super().encode(texts, role)

    whole.same(encode(Beside(), tmp_path / "store"))


FULL = """
import sys
from pathlib import Path
from tasks.errors import UserError
from tests.test_store import Small, encode
try:
    encoder = Small()
    encode(encoder, Path(sys.argv[1]) / "store")
except UserError as error:
    print("failed", error)
print(len(encoder.seen))
"""


def mounted(script: str, root: Path) -> list[str]:
    """Return what FULL prints, run twice, on a file system of our own; skip where the system gives none."""
    shell = f"{script.replace('ROOT', str(root))}"
    done = python(FULL, root, "unshare", "-rm", "sh", "-ec", shell)
    if done.returncode and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip("needs a mount namespace of its own")
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs Linux namespaces")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    lines = mounted(
        'mount -t tmpfs -o size=32k none ROOT; "$0" "$@"; mount -o remount,size=9m ROOT; "$0" "$@"', tmp_path
    )
    assert lines[0].startswith("failed There is no space left for vectors in")
    first, second = int(lines[1]), int(lines[2])
    assert 0 < first < len(TEXTS)
    assert len(TEXTS) - first <= second < len(TEXTS)  # what fitted was kept


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs Linux namespaces")
def test_a_store_that_may_only_be_read(whole: Whole, tmp_path: Path) -> None:
    shutil.copytree(whole.root, tmp_path / "store")
    script = 'mount --bind ROOT ROOT; mount -o remount,ro,bind ROOT; "$0" "$@"'
    assert mounted(script, tmp_path) == ["0"]  # all is there, and nothing need be written
    whole.shards(tmp_path / "store")[0].unlink()
    line = mounted(script, tmp_path)[0]
    assert line.startswith("failed Vectors cannot be written to")
    assert "Read-only file system" in line
    path = whole.shards(tmp_path / "store")[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert "is damaged (its size is wrong) and cannot be removed: Read-only" in mounted(script, tmp_path)[0]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_refuses_keeps_what_is_there(
    number: int, whole: Whole, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in whole.shards(broken)[::2]:
        path.unlink()
    before = whole.shards(broken)

    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        says = "cannot be written to" if number == errno.EIO else "There is no space left for vectors"
        with pytest.raises(UserError, match=says):
            encode(Small(), broken)
    assert whole.shards(broken) == before
    assert not [path for path in broken.rglob(".*") if path.is_file()]
    whole.same(encode(Small(), broken))


def test_lengths_are_part_of_what_is_mended(whole: Whole) -> None:
    known = np.concatenate([store.head(path)[0] for path in whole.shards()])
    assert sorted(known["tokens"]) == sorted(1 + hash_of(text) % 7 for text in TEXTS)
