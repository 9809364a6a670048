"""Vectors that were computed elsewhere: read by id in any order, and all that can be wrong with such a folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from benchmark import encoders
from benchmark.encoders import Asked, Role
from benchmark.encoders.random import Random
from benchmark.progress import Progress
from benchmark.run import Task
from benchmark.run import prepare as prepared
from tasks import card
from tasks.errors import UserError
from tests.conftest import Ran

Bench = Callable[..., Ran]
ROOT = Path(__file__).parent.parent
LANGUAGES = ["en", "sw", "th"]
ON = ("--task", "demo", "--languages", ",".join(LANGUAGES), "--json")


@pytest.fixture
def task(cache: Path, progress: Progress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    return prepared(
        card.find("demo"), query_languages=LANGUAGES, document_languages=LANGUAGES, progress=progress
    )  # fmt: skip


@pytest.fixture
def folder(task: Task, tmp_path: Path) -> Path:
    """The vectors of the model `random`, in another order than the task's."""
    return dumped(task, tmp_path / "dump")


def dumped(task: Task, folder: Path, *, both: Role = "document") -> Path:
    folder.mkdir()
    queries, documents = task.collection.queries, task.collection.documents
    mixed = np.random.default_rng(0)
    for name, role, ids, texts in (
        ("queries", "query", queries["query_id"], list(queries["text"])),
        ("documents", both, documents["doc_id"], task.collection.document_texts),
    ):
        order = mixed.permutation(len(ids))
        np.save(folder / f"{name}.npy", Random().encode(texts, role)[order])  # type: ignore[arg-type]
        (folder / f"{name}.txt").write_text(
            "".join(f"{one}\n" for one in ids.to_numpy(object)[order]), encoding="utf-8"
        )
    return folder


def packed(folder: Path, name: str, kind: Any) -> None:
    """Turn one side into Parquet."""
    vectors = np.load(folder / f"{name}.npy")
    ids = (folder / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    table = pa.table({"id": ids, "vector": pa.array(vectors.tolist(), type=kind), "more": ids})
    pq.write_table(table, folder / f"{name}.parquet", row_group_size=50)
    (folder / f"{name}.npy").unlink()
    (folder / f"{name}.txt").unlink()


def scores(ran: Ran) -> Any:
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    return {name: found[name] for name in ("directions", "averages", "bias", "mining")}


def test_scores_are_those_of_the_model_that_made_the_vectors(folder: Path, bench: Bench, cache: Path) -> None:
    expected = scores(bench("run", "--model", "random", *ON))
    shutil.rmtree(cache)
    ran = bench("run", "--model", f"vectors:{folder}", *ON)
    assert scores(ran) == expected
    assert not cache.joinpath("vectors").exists()
    about = json.loads(Path("results/dump/demo/evidence.json").read_text(encoding="utf-8"))
    model = about["model"]
    assert (model["family"], model["dtype"], model["device"], model["dimensions"]) == ("precomputed", "float32", "", 64)
    assert model["truncated"] == {"query": None, "document": None}
    assert about["cost"]["texts_encoded"] == 0
    first = pd.read_parquet("results/dump/demo/ranks.parquet")["query_id"].astype(str)
    assert model["first_query_as_sent"] in set(first)  # an id: no text was sent
    assert "has the same key" in bench("run", "--model", f"vectors:{folder}", *ON).err


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4"])
def test_other_widths_of_floats(dtype: str, folder: Path, bench: Bench) -> None:
    for path in folder.glob("*.npy"):
        np.save(path, np.asfortranarray(np.load(path).astype(dtype)))
    expected, found = (scores(bench("run", "--model", one, *ON)) for one in ("random", f"vectors:{folder}"))
    for one, other in zip(expected["averages"], found["averages"], strict=True):
        assert one["measures"] == pytest.approx(other["measures"], abs=0.01 if dtype == "float16" else 1e-9)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 64)])
def test_parquet_is_read(kind: Any, folder: Path, bench: Bench) -> None:
    packed(folder, "queries", kind)
    packed(folder, "documents", kind)
    assert scores(bench("run", "--model", f"vectors:{folder}", *ON)) == scores(bench("run", "--model", "random", *ON))


def test_texts_of_one_kind_and_mining(task: Task, bench: Bench, progress: Progress, tmp_path: Path) -> None:
    """Where other models encode documents as queries, a folder still has a side for each."""
    own = tmp_path / "own"
    shutil.copytree(ROOT / "tasks" / "cards" / "demo", own)
    text = (own / "card.toml").read_text(encoding="utf-8").replace('name = "demo"', 'name = "own"\nsymmetric = true')
    (own / "card.toml").write_text(text, encoding="utf-8")
    dumped(prepared(card.find(str(own)), progress=progress), tmp_path / "all", both="query")
    on = ("--task", own, "--languages", "en,sw", "--settings", "mono,cross,mining", "--json")
    ran = bench("run", "--model", f"vectors:{tmp_path / 'all'}", *on)
    assert scores(ran) == scores(bench("run", "--model", "random", *on))
    assert "528 vectors are left aside: no query of this run has their ids" in ran.err
    assert "vectors are left aside: no document of this run" in ran.err


def test_dot_keeps_lengths(folder: Path, bench: Bench) -> None:
    path = folder / "documents.npy"
    vectors = np.load(path)
    np.save(path, vectors * np.random.default_rng(1).uniform(0.1, 9, (len(vectors), 1)).astype("f4"))
    cosine, dot = (
        scores(bench("run", "--model", f"vectors:{folder}", "--similarity", how, *ON)) for how in ("cosine", "dot")
    )
    assert cosine == scores(bench("run", "--model", "random", *ON))
    assert cosine != dot
    with pytest.raises(UserError, match="«l2»"):
        encoders.load(f"vectors:{folder}", Asked(similarity="l2"))


def test_the_fingerprint_is_of_the_files(folder: Path) -> None:
    first = encoders.load(f"vectors:{folder}").model.fingerprint
    moved = folder.rename(folder.with_name("elsewhere"))
    assert encoders.load(f"vectors:{moved}").model.fingerprint == first
    (moved / "README.md").write_text("about them", encoding="utf-8")
    assert encoders.load(f"vectors:{moved}").model.fingerprint == first
    path = moved / "queries.npy"
    vectors = np.load(path)
    vectors[3, 3] += 1
    np.save(path, vectors)
    assert encoders.load(f"vectors:{moved}").model.fingerprint != first


def test_lines_may_end_as_on_windows(folder: Path, bench: Bench) -> None:
    path = folder / "queries.txt"
    path.write_bytes(path.read_bytes().rstrip(b"\n").replace(b"\n", b"\r\n"))
    assert bench("run", "--model", f"vectors:{folder}", *ON).code == 0


def test_noise_cannot_be_measured(folder: Path, bench: Bench) -> None:
    bench("noise", "--model", f"vectors:{folder}", *ON).failed("are given, so nothing can be encoded again")


def change(folder: Path, name: str, how: Callable[[NDArray[Any]], Any]) -> None:
    np.save(folder / f"{name}.npy", how(np.load(folder / f"{name}.npy")), allow_pickle=True)


def lines(folder: Path, name: str, how: Callable[[list[str]], list[str]]) -> None:
    path = folder / f"{name}.txt"
    path.write_text("\n".join(how(path.read_text(encoding="utf-8").splitlines())), encoding="utf-8")


def with_value(value: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def changed(vectors: NDArray[Any]) -> NDArray[Any]:
        vectors = vectors.astype(np.float64)
        vectors[7] = value
        return vectors

    return changed


class Evil:
    """Its pickle writes a file when it is loaded."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("evil"),)


HARMS: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: change(f, "queries", lambda v: v[:-1]), r"queries\.npy has 143 rows, and queries\.txt 144 ids"),
    (lambda f: lines(f, "documents", lambda s: ["x", *s[1:]]), r"documents\.npy has no vector for «[^»]+», of the 288"),
    (lambda f: lines(f, "queries", lambda ids: [f"{one}!" for one in ids]), "no vector for «.*», «.*», «.*» and 141 m"),
    (lambda f: lines(f, "queries", lambda ids: [*ids[:-1], ids[0]]), r"queries\.txt has the id «.*» more than once"),
    (lambda f: lines(f, "queries", lambda ids: [ids[0], "", *ids[2:]]), r"queries\.txt has an empty id, in row 2"),
    (lambda f: (f / "queries.txt").write_bytes(b"\xff\xfe\n" * 144), "this is not UTF-8"),
    (lambda f: (f / "queries.txt").unlink(), r"queries\.txt is missing: it says whose vector each row is"),
    (lambda f: (f / "documents.npy").unlink(), r"has neither documents\.npy \(with documents\.txt\) nor documents\.p"),
    (lambda f: shutil.copy(f / "queries.npy", f / "queries.parquet"), r"has both queries\.npy and queries\.parquet"),
    (lambda f: change(f, "queries", lambda v: v[:, :-1]), "queries have 63 dimensions and documents 64"),
    (lambda f: change(f, "queries", with_value(np.nan)), r"queries\.npy has a vector with NaN, infinity or more.*«"),
    (lambda f: change(f, "queries", with_value(1e300)), "vector with NaN, infinity or more than float32 holds, for «"),
    (lambda f: change(f, "documents", with_value(0)), "a vector of zeros, which has no direction, for «"),
    (lambda f: change(f, "queries", lambda v: v.astype(np.int8)), r"queries\.npy holds int8; vectors are float16,"),
    (lambda f: change(f, "queries", lambda v: v.astype(np.longdouble)), "holds (long|float).*; vectors are float16"),
    (lambda f: change(f, "queries", lambda v: v.astype(complex)), "holds complex128"),
    (lambda f: change(f, "queries", lambda v: v.ravel()), r"has the shape \(9216,\); vectors are an array \[n, dim\]"),
    (lambda f: change(f, "queries", lambda v: v[:, :0]), r"has the shape \(144, 0\)"),
    (lambda f: change(f, "queries", lambda v: np.array([Evil()] * len(v), dtype=object)), "is no array of numbers"),
    (lambda f: (f / "queries.npy").write_bytes(b"\x80\x04."), r"queries\.npy is no array of numbers as numpy\.save"),
    (lambda f: (f / "queries.npy").write_bytes(b""), r"queries\.npy is no array of numbers as numpy\.save"),
    (lambda f: (f / "queries.npy").write_bytes((f / "queries.npy").read_bytes()[:-9]), "is no array of numbers"),
    (lambda f: np.savez((f / "queries.npy").open("wb"), a=np.ones(3)), "is no array of numbers"),
    (lambda f: shutil.rmtree(f), "There is no folder .*dump»; write --model vectors:FOLDER"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "says"), HARMS)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_folder_in_which_something_is_wrong(
    harm: Callable[[Path], object], says: str, folder: Path, task: Task
) -> None:
    harm(folder)

    def whole() -> None:
        encoder = encoders.load(f"vectors:{folder}")
        encoder.encode(list(task.collection.queries["query_id"]), "query")
        encoder.encode(list(task.collection.documents["doc_id"]), "document")

    with pytest.raises(UserError, match=says) as raised:
        whole()
    assert "\n" not in str(raised.value)
    assert not Path("evil").exists()


def test_nothing_is_left_of_a_run_that_failed(folder: Path, bench: Bench, tmp_path: Path) -> None:
    change(folder, "documents", with_value(np.nan))
    bench("run", "--model", f"vectors:{folder}", *ON).failed("documents.npy has a vector with NaN")
    assert not [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    bench("run", "--model", f"vectors:{folder}", "--query-prompt", "x", *ON).failed("takes no --query-prompt")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"id": ["a", "b"], "vectors": [[1.0], [2.0]]}, "has no columns id .* and vector"),
        ({"id": ["a", "b"], "vector": [1.0, 2.0]}, "has no columns id .* and vector"),
        ({"id": ["a", "b"], "vector": [[1.0], [2.0, 3.0]]}, "vectors of several lengths"),
        ({"id": ["a", None], "vector": [[1.0], [2.0]]}, "rows with a hole"),
        ({"id": ["a", "b"], "vector": [[1.0], None]}, "rows with a hole"),
        ({"id": ["a", "b"], "vector": [[1.0], [None]]}, "rows with a hole"),
        ({"id": ["a", "a"], "vector": [[1.0], [2.0]]}, r"queries\.parquet has the id «a» more than once"),
        ({"id": ["a", "b"], "vector": [[1], [2]]}, "holds int64; vectors are"),
        ({"id": ["a", "b"], "vector": [["x"], ["y"]]}, "vectors are float16"),
        ({"id": ["a", "b"], "vector": [[], []]}, "vectors are float16"),
    ],
)
def test_parquet_in_which_something_is_wrong(columns: dict[str, Any], says: str, folder: Path) -> None:
    packed(folder, "queries", pa.list_(pa.float32()))
    pq.write_table(pa.table(columns), folder / "queries.parquet")
    with pytest.raises(UserError, match=says) as raised:
        encoders.load(f"vectors:{folder}")
    assert "\n" not in str(raised.value)


def test_parquet_that_is_none(folder: Path) -> None:
    packed(folder, "queries", pa.list_(pa.float32()))
    (folder / "queries.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"queries\.parquet cannot be read as Parquet"):
        encoders.load(f"vectors:{folder}")


def test_ids_that_are_numbers_are_ids(tmp_path: Path) -> None:
    for name in ("queries", "documents"):
        pq.write_table(pa.table({"id": [3, 1], "vector": [[1.0, 0.5], [2.0, 3.0]]}), tmp_path / f"{name}.parquet")
    found = encoders.load(f"vectors:{tmp_path}").encode(["1", "3"], "document")
    np.testing.assert_array_equal(found, [[2, 3], [1, 0.5]])
