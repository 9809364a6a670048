"""`bench cache`: what is listed is there, what is damaged is named, what goes is what was asked for, and no more."""

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import cache as room
from benchmark import encoders, store, vectors
from benchmark.encoders.random import Random
from tasks.errors import UserError
from tests.conftest import Ran
from tests.test_store import TEXTS, Small, encode

Bench = Callable[..., Ran]
DAY = 86400
OTHERS = {
    "data/owner/repo/a.json": 3_000_000, "data/owner/repo/b.json": 500_000, "data/.lock": 0,
    "onnx/1234/model.onnx": 4_000_000, "onnx/1234/config.json": 10, "locks/77": 0,
}  # fmt: skip


@pytest.fixture
def kept(cache: Path) -> Path:
    """A cache with vectors of two models, data and a part of its own, all of it two days old."""
    for name in ("first", "second"):
        encoder = Random(name=name)
        encoder.space = lambda role, name=name: {"family": "random", "fingerprint": name, "role": role}  # type: ignore
        for role in encoders.ROLES:
            vectors.encode(encoder, TEXTS, role, shard_seconds=0)
    for place, size in OTHERS.items():
        (cache / place).parent.mkdir(parents=True, exist_ok=True)
        (cache / place).write_bytes(bytes(size))
    age(cache, 2 * DAY)
    return cache


def age(path: Path, seconds: float) -> None:
    for file in [path, *path.rglob("*")]:
        os.utime(file, (time.time() - seconds,) * 2)


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def test_what_is_kept_is_listed(kept: Path, bench: Bench) -> None:
    before = files(kept)
    ran = bench("cache")
    assert ran.code == 0
    lines = {cells(line)[0]: cells(line)[1:] for line in ran.out.splitlines() if cells(line)[0] in os.listdir(kept)}  # noqa: PTH208
    sizes = {name: sum(p.stat().st_size for p in (kept / name).rglob("*") if p.is_file()) for name in lines}
    day = time.strftime("%Y-%m-%d", time.localtime(time.time() - 2 * DAY))
    assert {name: line[:2] for name, line in lines.items()} == {
        name: [str(len(files(kept / name))), f"{size / 1e6:.1f} MB"] for name, size in sizes.items()
    }
    assert set(lines) == {"data", "vectors", "onnx", "locks"}
    assert all(line[2].startswith(day) for line in lines.values())
    spaces = [cells(line) for line in ran.out.splitlines() if cells(line)[0] in ("first", "second")]
    assert [line[:5] for line in spaces] == [
        [model, role, "float32", "120", "1"] for model in ("first", "second") for role in ("document", "query")
    ]
    assert all((kept / "vectors").glob(f"{line[-1]}*") for line in spaces)
    assert files(kept) == before


def test_an_empty_cache(cache: Path, bench: Bench) -> None:
    assert bench("cache").out == f"There is nothing in {cache}.\n"
    assert bench("cache", "verify").out == "0 shards of vectors, 0 of them damaged.\n"
    assert bench("cache", "prune", "--all").out == "0.0 MB freed.\n"
    cache.write_text("a file")
    bench("cache").failed(str(cache), "Not a directory")


@pytest.mark.parametrize("says", [None, "", "[]", '{"about": 3}', '{"about": {}, "role": ["query"]}', "\udcff"])
def test_a_space_that_says_nothing_of_itself_is_listed(says: str | None, kept: Path, bench: Bench) -> None:
    for path in kept.rglob("space.json"):
        path.unlink()
        if says is not None:
            path.write_text(says, encoding="utf-8", errors="surrogateescape")
    ran = bench("cache")
    assert ran.code == 0, ran.err
    assert ran.out.count("unknown") >= 4
    assert bench("cache", "verify").code == 0


def test_damage_is_named_and_removed_when_asked(kept: Path, bench: Bench) -> None:
    assert bench("cache", "verify").out == "4 shards of vectors, 0 of them damaged.\n"
    shards = sorted(kept.rglob("*.npy"))
    shards[0].write_bytes(shards[0].read_bytes()[:-1])
    data = bytearray(shards[2].read_bytes())
    data[-1] ^= 1
    shards[2].write_bytes(data)
    before = files(kept)
    for _ in range(2):
        ran = bench("cache", "verify")
        assert ran.code == 1
        lines = ran.out.splitlines()
        assert {line.split(": ")[0] for line in lines[:2]} == {str(shards[0]), str(shards[2])}
        assert lines[2] == "4 shards of vectors, 2 of them damaged."
        assert "bench cache prune --damaged" in lines[3]
    assert bench("cache").code == 0
    assert "would be freed" in bench("cache", "prune", "--damaged", "--dry-run").out
    assert files(kept) == before
    ran = bench("cache", "prune", "--damaged")
    assert ran.code == 0
    assert ran.out.count(", damaged: 1 files, ") == 2
    assert before - files(kept) == {path.relative_to(kept).as_posix() for path in (shards[0], shards[2])}
    assert bench("cache", "verify").code == 0


def test_a_shard_that_cannot_be_read_is_one_sentence(kept: Path, bench: Bench) -> None:
    shard = next(kept.rglob("*.npy"))
    shard.unlink()
    (shard.parent / "elsewhere").mkdir()
    shard.symlink_to(shard.parent / "elsewhere")
    assert bench("cache", "verify").code == 0  # a link to a folder is no file
    shard.unlink()
    shard.symlink_to(shard.name)
    bench("cache", "verify").failed(str(shard), "cannot be read")


@pytest.mark.parametrize(
    ("words", "goes"),
    [
        ((), "^$"),
        (("--older-than", "3d"), "^$"),
        (("--older-than", "47h"), "vectors|data/owner|onnx"),
        (("--all",), "vectors|data/owner|onnx"),
        (("--model", "first"), "FIRST"),
        (("--part", "vectors"), "vectors"),
        (("--part", "data", "--older-than", "1d"), "data/owner"),
        (("--part", "onnx"), "onnx"),
        (("--part", "onnx", "--model", "first"), "^$"),
        (("--model", "first", "--older-than", "3d"), "^$"),
        (("--part", "locks", "--older-than", "0m"), "^$"),
        (("--damaged",), "^$"),
    ],
)
def test_what_is_asked_for_goes_and_no_more(words: tuple[str, ...], goes: str, kept: Path, bench: Bench) -> None:
    before, sizes = files(kept), {name: (kept / name).stat().st_size for name in files(kept)}
    first = [p.parent for p in kept.rglob("space.json") if json.loads(p.read_text())["about"]["name"] == "first"]
    assert len(first) == 2
    goes = goes.replace("FIRST", "|".join(folder.name for folder in first))
    going = {name for name in before if re.search(goes, name)}
    dry = bench("cache", "prune", *words, "--dry-run")
    assert files(kept) == before
    ran = bench("cache", "prune", *words)
    assert ran.code == 0, ran.err
    assert before - files(kept) == going
    freed = f"{sum(sizes[name] for name in going) / 1e6:,.1f} MB"
    assert ran.out.splitlines()[-1] == f"{freed} freed."
    assert dry.out.splitlines()[-1] == f"{freed} would be freed."
    assert dry.out.splitlines()[:-1] == ran.out.splitlines()[:-1]
    assert not [path for path in kept.rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_what_is_in_use_stays(kept: Path, bench: Bench) -> None:
    used = vectors.space_folder(Random(), "query", kept / "vectors")
    vectors.encode(Random(name="third"), TEXTS, "query")
    age(used, 2 * DAY)
    vectors.encode(Random(name="third"), TEXTS, "query")  # read, and not written
    os.utime(kept / "data" / "owner" / "repo" / "a.json", (time.time(), time.time() - 9 * DAY))  # read lately
    os.utime(kept / "onnx" / "1234" / "config.json")  # what lies beside it is used as well
    ran = bench("cache", "prune", "--all")
    assert "What was used within the last hour stays" in ran.out
    left = {name for name in files(kept) if used.name in name}
    assert len(left) == 2
    assert files(kept) - left == {"data/owner/repo/a.json", "data/.lock", "onnx/1234/model.onnx",
                                  "onnx/1234/config.json", "locks/77"}  # fmt: skip
    assert vectors.encode(Random(), TEXTS, "query").encoded == 0
    ran = bench("cache", "prune", "--all", "--older-than", "0m")
    assert "stays" not in ran.out
    assert files(kept) == {"data/.lock", "locks/77"}
    assert vectors.encode(Random(), TEXTS, "query").encoded == len(TEXTS)


def test_what_no_run_can_use_goes_whatever_is_asked(kept: Path, bench: Bench) -> None:
    space = vectors.space_folder(Random(), "query", kept / "vectors")
    vectors.encode(Random(), TEXTS, "query")
    other = Path(shutil.copytree(space, space.with_name("0" * 32)))
    says = json.loads((other / "space.json").read_text())
    (other / "space.json").write_text(json.dumps(says | {"shards": 1}))
    for folder in ("noise-old", "noise-new"):
        (kept / "vectors" / folder / ("1" * 32)).mkdir(parents=True)
        (kept / "vectors" / folder / ("1" * 32) / "x.npy").write_bytes(b"x")
    (space / ".old.npy.1").write_bytes(b"x")
    (kept / "vectors" / "notes.txt").write_text("mine")
    age(kept / "vectors", 2 * DAY)
    (space / ".new.npy.2").write_bytes(b"x")
    age(kept / "vectors" / "noise-new", 60)
    before = files(kept)
    assert "of another version" in bench("cache").out
    assert bench("cache", "verify").code == 0
    ran = bench("cache", "prune")
    assert ran.code == 0
    gone = before - files(kept)
    assert gone == {name for name in before if re.search("^vectors/(0{32}|noise-old)|/.old.npy", name)}
    assert "what killed runs left behind: 2 files" in ran.out
    assert "of another version: 2 files" in ran.out


def test_links_are_not_followed(kept: Path, bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    (kept / "onnx" / "1234" / "link").symlink_to(tmp_path / "mine")
    (kept / "data" / "link").symlink_to(tmp_path / "mine" / "thesis.txt")
    os.utime(kept / "data" / "link", (0, 0), follow_symlinks=False)
    assert bench("cache", "prune", "--all", "--older-than", "0m").code == 0
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"
    assert not (kept / "data" / "link").is_symlink()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--older-than", "3 weeks"), ("«3 weeks» is no age", "30d")),
        (("--older-than", "-3d"), ("is no age",)),
        (("--older-than", ""), ("is no age",)),
        (("--model", "frist"), ("no vectors of a model «frist»; did you mean first?",)),
        (("--model", "zzz"), ("no vectors of a model «zzz»; it has first, random, second.",)),
        (("--part", "vector"), ("no part «vector»; did you mean vectors?",)),
    ],
)
def test_wrong_words_are_one_sentence(words: tuple[str, ...], parts: tuple[str, ...], kept: Path, bench: Bench) -> None:
    before = files(kept)
    bench("cache", "prune", *words).failed(*parts)
    assert files(kept) == before


def test_what_cannot_be_removed_is_one_sentence(kept: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    bench("cache", "prune", "--all").failed("cannot be removed: Permission denied")


def test_small_shards_are_merged(cache: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    root = cache / "vectors"
    whole = encode(Small(), root)
    shards = sorted(root.rglob("*.npy"))
    assert len(shards) > 12
    assert "merged" not in bench("cache", "prune").out  # they are young: a run may be using them
    age(cache, 2 * DAY)
    assert f"{len(shards)} small shards merged into 1" in bench("cache", "prune", "--dry-run").out
    assert sorted(root.rglob("*.npy")) == shards
    ran = bench("cache", "prune")
    assert f"{len(shards)} small shards merged into 1" in ran.out
    assert len(list(root.rglob("*.npy"))) == 1
    found = encode(Small(), root)
    assert found.encoded == 0
    np.testing.assert_array_equal(found.vectors, whole.vectors)
    age(cache, 2 * DAY)
    assert "merged" not in bench("cache", "prune").out
    # A merged shard that is damaged is made again from the same batches.
    merged = next(root.rglob("*.npy"))
    merged.write_bytes(merged.read_bytes()[:-1])
    np.testing.assert_array_equal(encode(Small(), root).vectors, whole.vectors)


def test_shards_are_merged_up_to_a_size(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = cache / "vectors"
    whole = encode(Small(), root)
    age(cache, 2 * DAY)
    monkeypatch.setattr(store, "SHARD_BYTES", 8_000)
    space = room.spaces(cache)[0]
    groups = room.small(space)
    assert len(groups) > 2
    assert all(sum(path.stat().st_size for path in group) <= 8_000 for group in groups)
    for group in groups:
        room.merge(cache, group)
    assert len(room.spaces(cache)[0].shards) == len(space.shards) - sum(len(group) - 1 for group in groups)
    np.testing.assert_array_equal(encode(Small(), root).vectors, whole.vectors)


def test_a_merge_that_stops_half_way_loses_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = cache / "vectors"
    whole = encode(Small(), root)
    age(cache, 2 * DAY)
    before = sorted(root.rglob("*.npy"))
    (group,) = room.small(room.spaces(cache)[0])
    with monkeypatch.context() as patched:
        patched.setattr(room, "remove", lambda *_: None)
        room.merge(cache, group)
    assert len(list(root.rglob("*.npy"))) == len(before) + 1
    found = encode(Small(), root)
    assert found.encoded == 0
    np.testing.assert_array_equal(found.vectors, whole.vectors)
    age(cache, 2 * DAY)
    room.merge(cache, room.small(room.spaces(cache)[0])[0])
    (merged,) = root.rglob("*.npy")
    assert len(store.head(merged)[0]) == len(TEXTS)  # each once


@st.composite
def shards(draw: st.DrawFn) -> list[dict[int, int]]:
    """Of each shard, its texts by number, each with how many rows it has."""
    rows = draw(st.lists(st.integers(0, 3), min_size=8, max_size=8))
    texts = st.lists(st.integers(0, 7), min_size=1, max_size=6, unique=True)
    return [{text: rows[text] for text in one} for one in draw(st.lists(texts, min_size=2, max_size=5))]


@settings(deadline=None, max_examples=50)
@given(made=shards())
def test_merging_keeps_every_vector_once(made: list[dict[int, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rows tell by themselves to which text they belong."""
    root = tmp_path_factory.mktemp("merging")
    folder = root / "vectors" / ("a" * 32)
    folder.mkdir(parents=True)
    paths = []
    for texts in made:
        known = np.zeros(len(texts), dtype=store.KNOWN)
        known["key"][:, 0], known["rows"], known["tokens"] = list(texts), list(texts.values()), list(texts)
        rows = [[text, place] for text, count in texts.items() for place in range(count)]
        paths.append(store.write(folder, known, np.array(rows, dtype=np.float32).reshape(-1, 2)))
    room.merge(root, sorted(set(paths)))
    there = sorted({text for texts in made for text in texts})
    counts = {text: count for texts in made for text, count in texts.items()}
    found = store.Store(folder, 0)
    assert len(found.shards) == 1
    assert sum(map(len, found.counts)) == len(there)
    keys = [np.array([text, 0], dtype="<u8").tobytes() for text in there]
    known, rows_found = found.gather(keys)
    assert known["tokens"].tolist() == there
    assert rows_found.tolist() == [[text, place] for text in there for place in range(counts[text])]


def test_a_damaged_shard_is_not_merged(cache: Path) -> None:
    root = cache / "vectors"
    whole = encode(Small(), root)
    bad = sorted(root.rglob("*.npy"))[4]
    bad.write_bytes(bad.read_bytes()[:-1])
    age(cache, 2 * DAY)
    room.merge(cache, room.small(room.spaces(cache)[0])[0])
    assert len(list(root.rglob("*.npy"))) == 2
    assert bad.exists()
    said: list[str] = []
    encoder = Small()
    np.testing.assert_array_equal(encode(encoder, root, said).vectors, whole.vectors)
    assert 0 < len(encoder.seen) < 20
    assert str(bad) in said[0]


def test_a_full_disk_stops_a_merge_and_loses_nothing(
    cache: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(Small(), cache / "vectors")
    age(cache, 2 * DAY)
    before = files(cache)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        bench("cache", "prune").failed("cannot be merged: No space left on device; nothing is lost")
    assert files(cache) == before


def test_pruning_beside_a_run_costs_time_and_nothing_else(cache: Path, tmp_path: Path) -> None:
    whole = encode(Small(), tmp_path / "whole")
    found: list[vectors.Encoded] = []
    run = threading.Thread(target=lambda: found.append(encode(Small(delay=0.005), cache / "vectors")))
    run.start()
    until = time.monotonic() + 1
    while time.monotonic() < until:
        room.remove(cache, room.unused(cache, -1, None, None) if cache.exists() else [])
        time.sleep(0.02)
    run.join()
    np.testing.assert_array_equal(found[0].vectors, whole.vectors)
    assert found[0].encoded > len(TEXTS)


def test_an_age_is_read() -> None:
    assert [room.seconds(text) for text in ("45m", "12h", "30d", "0m")] == [2700, 43200, 2592000, 0]
    for text in ("", "d", "3", "3w", "3.5d", "1e3d"):
        with pytest.raises(UserError, match="is no age"):
            room.seconds(text)
