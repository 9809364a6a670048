"""One batch: halved where memory does not suffice, checked whatever the model returns, named whatever it raises."""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark import batch, encoders, evidence, vectors
from benchmark.encoders import Kind, Role
from benchmark.encoders.random import Random
from tasks.errors import UserError
from tests.conftest import Ran
from tests.test_vectors import TEXTS, Counting

Bench = Callable[..., Ran]
DEMO = ("run", "--model", "random", "--task", "demo")
EIGHT = TEXTS[:8]


class Narrow(Counting):
    """Has memory for so many texts at a time, and says so in one way or another."""

    def __init__(self, most: int, refuse: Callable[[int], object]) -> None:
        super().__init__()
        self.most, self.refuse, self.asked = most, refuse, list[int]()

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        self.asked.append(len(texts))
        if len(texts) > self.most:
            self.refuse(len(texts))
        return super().encode(texts, role)


def raising(error: BaseException) -> Callable[[int], object]:
    def refuse(_: int) -> None:
        raise error

    return refuse


def chained(_: int) -> None:
    """As a family does that makes a sentence of each error."""
    try:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    except RuntimeError as error:
        raise UserError("the checkpoint failed while encoding 8 texts") from error


def by_torch(count: int) -> object:
    import torch

    return torch.empty(count * 10**14)


def on_a_gpu(_: int) -> None:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ...")


REFUSALS: dict[str, Callable[[int], object]] = {
    "numpy": lambda count: np.empty(count * 10**15),
    "torch": by_torch,
    "torch on a GPU": on_a_gpu,
    "chained": chained,
    "python": raising(MemoryError()),
    "onnxruntime": raising(RuntimeError("bfc_arena.cc: Failed to allocate memory for requested buffer of size 4096")),
    "cublas": raising(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")),
    "c++": raising(RuntimeError("std::bad_alloc")),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_batch_is_halved_where_memory_does_not_suffice(refusal: str) -> None:
    encoder, halved = Narrow(2, REFUSALS[refusal]), Counter[int]()
    rows, found = batch.matrices(encoder, TEXTS[:7], "query", halved)
    assert encoder.asked == [7, 3, 1, 2, 4, 2, 2]
    assert encoder.seen == TEXTS[:7]
    assert halved == {7: 1, 3: 1, 4: 1}
    parts = [Counting().encode(TEXTS[place], "query") for place in map(slice, (0, 1, 3, 5), (1, 3, 5, 7))]
    np.testing.assert_array_equal(found, np.concatenate(parts))
    assert rows.tolist() == [1] * 7


@pytest.mark.parametrize("refusal", REFUSALS)
def test_memory_that_does_not_suffice_for_one_text_is_one_sentence(refusal: str) -> None:
    encoder = Narrow(0, REFUSALS[refusal])
    with pytest.raises(UserError) as raised:
        batch.matrices(encoder, TEXTS[:4], "query", Counter())
    assert encoder.asked == [4, 2, 1]
    assert refusal == "chained" or "«text 0»" in str(raised.value)


def test_what_is_no_lack_of_memory_is_not_tried_again() -> None:
    for error in (
        RuntimeError("the size of tensor a (7) must match the size of tensor b (8)"),
        UserError("the checkpoint failed while encoding «we ran out of memory»: bad shape"),
        ValueError("allocated"),
    ):
        encoder = Narrow(2, raising(error))
        with pytest.raises(UserError):
            batch.matrices(encoder, EIGHT, "query", Counter())
        assert encoder.asked == [8]
        assert not batch.no_memory(error)
    assert not batch.no_memory(None)


def test_halves_are_counted_said_once_and_kept(tmp_path: Path) -> None:
    plain, said = Counting(), list[str]()
    vectors.encode(plain, TEXTS, "query", root=tmp_path / "plain", shard_seconds=0)
    encoder = Narrow(20, REFUSALS["python"])
    found = vectors.encode(encoder, TEXTS, "query", root=tmp_path / "narrow", say=said.append)
    batches = [len(part) for part, _ in vectors.plan(*plain.lengths(TEXTS, "query"), plain.budget)]
    expected: Counter[int] = Counter()

    def halve(count: int) -> None:
        if count > 20:
            expected[count] += 1
            halve(count // 2)
            halve(count - count // 2)

    for count in batches:
        halve(count)
    assert found.halved == expected
    assert expected.total() > 3
    assert len(said) == 1
    assert f"did not suffice for {expected.total()} batches of up to {max(expected)} texts" in said[0]
    again = vectors.encode(Counting(), TEXTS, "query", root=tmp_path / "narrow", say=said.append)
    assert (again.encoded, again.halved, len(said)) == (0, {}, 1)
    np.testing.assert_array_equal(again.vectors, found.vectors)


def test_halves_go_on_record(bench: Bench, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tight(Random):
        def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
            if len(texts) > 300:
                raise MemoryError
            return super().encode(texts, role)

    assert bench(*DEMO, "--results", tmp_path / "usual").code == 0
    shutil.rmtree(cache)
    monkeypatch.setattr(encoders, "load", lambda *_, **__: Tight())
    ran = bench(*DEMO, "--results", tmp_path / "tight")
    assert ran.code == 0, ran.err
    assert ran.err.count("Memory did not suffice for") == 2  # queries, then documents
    usual, tight = (evidence.read(tmp_path / name / "random" / "demo").says for name in ("usual", "tight"))
    assert usual["cost"]["halved"] == []
    halved = {row["texts"]: row["batches"] for row in tight["cost"]["halved"]}
    assert halved == {1248: 1, 624: 3, 312: 6}
    assert tight["directions"] == usual["directions"]
    assert tight["key"] == usual["key"]


def test_a_checkpoint_without_memory_is_halved(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the sentences that the family makes of errors."""
    import torch
    from sentence_transformers import SentenceTransformer

    texts = [f"{word} {other}" for word in ("nairobi", "kenya", "city") for other in ("is", "a", "the", "of")]
    whole = vectors.encode(encoders.load(str(made)), texts, "query", root=tmp_path / "whole")
    plain = SentenceTransformer.encode_query

    def tight(self: Any, asked: list[str], **how: Any) -> Any:
        if len(asked) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self, asked, **how)

    monkeypatch.setattr(SentenceTransformer, "encode_query", tight)
    found = vectors.encode(encoders.load(str(made)), texts, "query", root=tmp_path / "tight")
    assert found.halved == {12: 1, 6: 2}
    np.testing.assert_allclose(found.vectors, whole.vectors, atol=1e-6)


class PanicError(BaseException):
    """As pyo3 raises where Rust panics."""


@pytest.mark.parametrize(
    "error",
    [RuntimeError("expected scalar type Half\n  at line 3"), SystemExit(3), PanicError("index out of bounds"),
     KeyError(7), AssertionError(), StopIteration(), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_a_model_that_dies_is_named_and_what_came_before_is_kept(error: BaseException, tmp_path: Path) -> None:
    class Dying(Counting):
        def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
            if len(self.seen) > 300:
                raise error
            return super().encode(texts, role)

    encoder = Dying()
    with pytest.raises(UserError) as raised:
        vectors.encode(encoder, TEXTS, "document", root=tmp_path, shard_seconds=1000)
    said = str(raised.value)
    after = re.fullmatch(
        r"random failed while encoding \d+ texts \(document\), the first of them «(text \d+)»: (.+); "
        r"what was encoded before is kept\.",
        said,
    )
    assert after, said
    assert after[1] not in encoder.seen
    assert after[2] == (str(error).splitlines()[0] if str(error) else type(error).__name__)
    assert vectors.encode(Counting(), TEXTS, "document", root=tmp_path).encoded == 600 - len(encoder.seen) < 300


def test_a_tokenizer_that_dies_is_named(tmp_path: Path) -> None:
    class Unreadable(Counting):
        def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
            raise PanicError("no entry found for key")

    with pytest.raises(UserError, match=r"random failed while reading 600 texts \(query\).*: no entry found for key;"):
        vectors.encode(Unreadable(), TEXTS, "query", root=tmp_path)


class Returning(Counting):
    """Returns whatever a function makes of right vectors."""

    kind: Kind = "vector"  # type: ignore[misc]

    def __init__(self, change: Callable[[NDArray[np.float32]], Any], kind: Kind = "vector") -> None:
        super().__init__()
        self.change = change
        self.kind = kind  # type: ignore[misc]

    def encode(self, texts: Sequence[str], role: Role) -> Any:
        return self.change(super().encode(texts, role))


def by_columns(found: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asfortranarray(found)


def read_only(found: NDArray[np.float32]) -> NDArray[np.float32]:
    found.flags.writeable = False
    return found


def tensor(found: NDArray[np.float32]) -> Any:
    import torch

    return torch.from_numpy(found)


@pytest.mark.parametrize(
    "change",
    [by_columns, read_only, tensor, np.float64, lambda found: found.astype(">f4"), lambda found: list(tensor(found)),
     lambda found: found.tolist(), lambda found: np.repeat(found, 2, axis=0)[::2], lambda found: found[::-1][::-1]],
)  # fmt: skip
def test_the_same_numbers_in_another_guise(change: Callable[[Any], Any], tmp_path: Path) -> None:
    _, found = batch.matrices(Returning(change), EIGHT, "query", Counter())
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, Counting().encode(EIGHT, "query"))
    kept = vectors.encode(Returning(change), TEXTS, "query", root=tmp_path / "one").vectors
    whole = vectors.encode(Counting(), TEXTS, "query", root=tmp_path / "other").vectors
    np.testing.assert_array_equal(kept, whole)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.bool_, np.float16])
def test_whole_numbers_and_narrow_ones_are_numbers(dtype: type) -> None:
    numbers: NDArray[Any] = (np.arange(16).reshape(8, 2) % 3).astype(dtype)
    _, found = batch.matrices(Returning(lambda _: numbers), EIGHT, "query", Counter())
    np.testing.assert_array_equal(found, numbers.astype(np.float32))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda found: found.astype(object), "an array of object, which holds no real numbers"),
        (lambda found: found + 1j, "complex"),
        (lambda found: found.astype(str), "no real numbers"),
        (lambda found: found[:-1], r"returned an array \(7, 64\) for 8 texts"),
        (lambda found: np.concatenate([found, found]), r"\(16, 64\) for 8 texts"),
        (lambda found: found[0], r"\(64,\) for 8 texts"),
        (lambda found: found[None], r"\(1, 8, 64\)"),
        (lambda found: found[:, :0], r"\(8, 0\)"),
        (lambda _: None, "an array of object"),
        (lambda found: [row[: 3 + place] for place, row in enumerate(found)], "failed while encoding 8 texts"),
        (lambda found: found.astype(np.float64) * 1e300, "NaN or infinity for the query «text 0»"),
        (lambda found: tensor(found).requires_grad_(), "failed while encoding 8 texts .*grad"),
        (lambda found: tensor(found).bfloat16(), "failed while encoding 8 texts .*BFloat16"),
    ],
)
def test_what_is_no_vector_for_each_text_is_one_sentence(change: Callable[[Any], Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        batch.matrices(Returning(change), EIGHT, "query", Counter())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda found: list(found), r"8 arrays for 8 texts, of the shapes \(64,\)"),
        (lambda found: [found] * 7, "7 arrays for 8 texts"),
        (
            lambda found: [found[:, : 4 + place % 2] for place in range(8)],
            "4 dimensions for one text and 5 for another",
        ),
        (lambda found: [found[:, :0]] * 8, "8 arrays for 8 texts"),
        (lambda found: [*[found] * 5, found * np.nan, found, found], "NaN or infinity for the query «text 5»"),
        (lambda _: [], "0 arrays for 8 texts"),
    ],
)
def test_what_is_no_matrix_for_each_text_is_one_sentence(change: Callable[[Any], Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        batch.matrices(Returning(change, "tokens"), EIGHT, "query", Counter())


def test_halves_of_two_widths_are_named() -> None:
    class Wavering(Narrow):
        def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
            return super().encode(texts, role)[:, : 9 if "text 0" in texts else 8]

    with pytest.raises(UserError, match="9 dimensions for one text and 8 for another"):
        batch.matrices(Wavering(4, raising(MemoryError())), EIGHT, "query", Counter())


def test_queries_and_documents_of_two_widths_are_named(
    bench: Bench, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lopsided(Random):
        def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
            return super().encode(texts, role)[:, : 8 if role == "query" else 9]

    monkeypatch.setattr(encoders, "load", lambda *_, **__: Lopsided())
    bench(*DEMO, "--results", tmp_path / "r").failed("makes 8 dimensions of a query and 9 of a document")


@st.composite
def matrices(draw: st.DrawFn) -> list[NDArray[np.float32]]:
    """Matrices of a few rows, many of them zero or without any."""
    width = draw(st.integers(2, 3))
    numbers = st.sampled_from([0.0, 0.0, 0.0, -0.0, 1.0, -1.0, 1e-45])
    counts = draw(st.lists(st.integers(0, 3), min_size=1, max_size=9))
    return [
        np.array(draw(st.lists(numbers, min_size=width * n, max_size=width * n)), dtype=np.float32).reshape(n, width)
        for n in counts
    ]


@given(each=matrices(), kind=st.sampled_from(["tokens", "terms"]))
def test_zeros_are_counted(
    each: list[NDArray[np.float32]], kind: Kind, tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [f"text {place}" for place in range(len(each))]

    class Sparse(Returning):
        def encode(self, asked: Sequence[str], role: Role) -> Any:
            return [each[texts.index(text)] for text in asked]

    def of(matrix: NDArray[np.float32]) -> bool:
        return not any(value != 0 for row in matrix.tolist() for value in (row[1:] if kind == "terms" else row))

    zeros = [text for text, matrix in zip(texts, each, strict=True) if of(matrix)]
    said: list[str] = []
    root = tmp_path_factory.mktemp("zeros")
    encoder = Sparse(lambda _: None, kind)
    for _ in range(2):  # encoded, then read from the store
        found = vectors.encode(encoder, [*texts, texts[0]], "query", root=root, say=said.append)
        assert found.zeros == len(zeros)
    assert len(said) == 2 * bool(zeros)
    if zeros:
        assert f"makes zeros of {len(zeros)} of {len(texts)} texts (query), the first of them «{zeros[0]}»" in said[1]


def test_zeros_go_on_record_and_tie_with_everything(
    bench: Bench, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Words(Random):
        """Knows no word of Thai, as a table of words may."""

        def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
            thai = [any("\u0e00" <= letter <= "\u0e7f" for letter in text) for text in texts]
            return np.where(np.array(thai)[:, None], 0, super().encode(texts, role)).astype(np.float32)

    monkeypatch.setattr(encoders, "load", lambda *_, **__: Words())
    ran = bench(*DEMO, "--results", tmp_path / "r")
    assert ran.code == 0, ran.err
    result = evidence.read(tmp_path / "r" / "random" / "demo")
    queries, documents = (result.says["model"]["zeros"][role] for role in ("query", "document"))
    assert queries == 48
    assert documents >= 48
    assert f"nothing but zeros: {queries} queries, {documents} documents" in ran.out
    assert ran.err.count("; they score 0 with everything") == 2
    top = result.top()
    asked = result.ranks()[["query_id", "query_lang"]].drop_duplicates().set_index("query_id")["query_lang"]
    thai = top[top["query_id"].map(asked) == "th"]
    assert (thai["score"] == 0).all()
    # All documents tie, so they stand by identifier, from the last on.
    for _, shown in thai.groupby("query_id"):
        ids = shown.sort_values("rank")["doc_id"].tolist()
        assert ids == sorted(ids, reverse=True)


def test_another_tokenizer_is_another_space_and_the_reason_is_said(
    made: Path, bench: Bench, tmp_path: Path, cache: Path
) -> None:
    tiny = Path(shutil.copytree(made, tmp_path / "tiny"))
    words = ("run", "--model", tiny, "--task", "demo", "--languages", "en", "--results", tmp_path / "r")
    assert bench(*words).code == 0
    before, folder = encoders.load(str(tiny)), tmp_path / "r" / "tiny" / "demo"
    first = evidence.read(folder).says
    path = tiny / "tokenizer.json"
    says = json.loads(path.read_text(encoding="utf-8"))
    table = says["model"]["vocab"]
    table["the"], table["of"] = table["of"], table["the"]
    path.write_text(json.dumps(says), encoding="utf-8")
    after = encoders.load(str(tiny))
    for role in encoders.ROLES:
        assert vectors.space_folder(before, role) != vectors.space_folder(after, role)
    ran = bench(*words)
    assert ran.code == 0, ran.err
    second = evidence.read(folder).says
    assert first["key"] != second["key"]
    assert second["cost"]["texts_encoded"] == first["cost"]["texts_encoded"] > 0
    old, new = first["model"]["fingerprint"][:12], second["model"]["fingerprint"][:12]
    assert f"kept aside, not reused: model was {old}… and is {new}…" in ran.err


def test_half_a_letter_is_no_reason_to_stop(tmp_path: Path) -> None:
    texts = ["a\ud800b", "\x00", "", "x" * 100_000]
    assert vectors.encode(Random(), texts, "query", root=tmp_path).encoded == len(texts)
    assert os.listdir(tmp_path)  # noqa: PTH208
