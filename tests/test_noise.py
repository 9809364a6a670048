"""What moves when nothing changes: measured, kept with the result, and never mixed up with what does change."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

import benchmark
from benchmark import evidence, noise, ranking, summary, systems, vectors
from benchmark import run as runner
from benchmark.encoders import Role
from benchmark.encoders.random import Random
from benchmark.evidence import Json, Result
from benchmark.progress import Progress
from benchmark.run import Task
from tasks import card
from tasks.errors import UserError
from tests.conftest import Ran

Bench = Callable[..., Ran]
SCALE = np.float32(0.05)


class Moving(Random):
    """Its vectors depend on their batch, as those of real models do in the last bits; here by far more."""

    budget = 64

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        return super().encode(texts, role) + SCALE * super().encode(["|".join(texts)], role) * (1 + self.threads)


class Other(Moving):
    """The same model in another dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.model = self.model.__class__(**vars(self.model) | {"dtype": "bfloat16"})

    def space(self, role: Role) -> dict[str, Any]:
        return super().space(role) | {"dtype": "bfloat16"}

    def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        return -super().encode(texts, role) if role == "query" else super().encode(texts, role)


@pytest.fixture
def task(cache: Path, progress: Progress) -> Task:
    languages = ["en", "sw", "th"]
    return runner.prepare(
        card.find("demo"), query_languages=languages, document_languages=languages, progress=progress
    )  # fmt: skip


@pytest.fixture
def result(task: Task, tmp_path: Path, progress: Progress) -> Result:
    return runner.run(task, Moving(), tmp_path / "results", progress, "test")


def tables_of(task: Task, encode: Callable[[list[str], Role], NDArray[np.float32]]) -> Json:
    texts = systems.texts_of(task.collection)
    left, right = encode(texts["query"], "query"), encode(texts["document"], "document")
    return summary.tables(ranking.ranked(task.collection, systems.dense(left, right), task.settings), task.measures)


def plainly(task: Task, budget: int, backwards: bool = False, threads: int = 0) -> Json:
    """The tables of a repetition, batches cut by hand: the model tells no lengths, so a token is a text."""

    def encode(texts: list[str], role: Role) -> NDArray[np.float32]:
        encoder = Moving()
        encoder.threads = threads
        distinct = list(dict.fromkeys(texts))[:: -1 if backwards else 1]
        rows = np.concatenate(
            [encoder.encode(distinct[at : at + budget], role) for at in range(0, len(distinct), budget)]
        )
        rows /= np.linalg.norm(rows.astype(np.float64), axis=1)[:, None]
        place = {text: row for row, text in enumerate(distinct)}
        return rows[[place[text] for text in texts]]

    return tables_of(task, encode)


def largest_by_hand(before: Json, after: Json, setting: str) -> dict[str, float]:
    """Largest change of AP in a direction, a language and an average, written out row by row."""
    by_language: dict[tuple[str, str], list[float]] = {}
    directions = []
    for one, other in zip(before["directions"], after["directions"], strict=True):
        if one["setting"] == setting:
            gap = other["measures"]["AP"] - one["measures"]["AP"]
            directions.append(abs(gap))
            by_language.setdefault(("query", one["query_language"]), []).append(gap)
            if setting == "cross":
                by_language.setdefault(("document", one["document_languages"][0]), []).append(gap)
    averages = [
        abs(other["measures"]["AP"] - one["measures"]["AP"])
        for one, other in zip(before["averages"], after["averages"], strict=True)
        if one["setting"] == setting
    ]
    languages = [abs(sum(gaps) / len(gaps)) for gaps in by_language.values()]
    return {"averages": max(averages), "languages": max(languages), "directions": max(directions)}


def test_noise_is_the_largest_change_over_what_was_encoded_again(
    task: Task, result: Result, progress: Progress
) -> None:
    rows = noise.measure(task, Moving(), result, progress)
    assert [row["varied"] for row in rows] == ["batches", "order", "threads"]
    threads = 1 if noise._threads() > 1 else 2
    repeated = {
        "batches": plainly(task, 16),
        "order": plainly(task, 64, backwards=True),
        "threads": plainly(task, 64, threads=threads),
    }
    for row in rows:
        assert row["moved"] > 0.9
        assert 0 < row["largest"] < 1
        for setting in ("mono", "cross", "multi"):
            expected = largest_by_hand(result.says, repeated[row["varied"]], setting)
            found = {kind: row["scores"][setting][kind]["AP"] for kind in noise.KINDS}
            assert found == pytest.approx(expected, abs=1e-6), (row["varied"], setting)
            assert found["directions"] > 0
        bias = max(
            abs(one["rank_distance"] - other["rank_distance"])
            for one, other in zip(result.says["bias"], repeated[row["varied"]]["bias"], strict=True)
        )
        assert row["bias"]["rank_distance"] == pytest.approx(bias, abs=1e-6)


def test_the_floor_is_the_largest_noise_and_no_change_is_in_it(task: Task, result: Result, progress: Progress) -> None:
    rows = noise.measure(task, Moving(), result, progress, changes=[Other()])
    *again, changed = rows
    assert (changed["varied"], changed["change"]) == ("dtype", True)
    assert changed["how"] == "bfloat16 instead of float32"
    assert changed["scores"]["mono"]["averages"]["AP"] > max(row["scores"]["mono"]["averages"]["AP"] for row in again)
    scores, bias = noise.floor([result.says | {"noise": rows}, result.says])
    for setting in ("mono", "cross", "multi", "strong"):
        for kind in noise.KINDS if setting != "strong" else noise.KINDS[1:]:
            expected = max(row["scores"][setting][kind]["AP"] for row in again)
            assert scores.loc[(setting, kind), "AP"] == expected
    assert bias["rank_distance"] == max(row["bias"]["rank_distance"] for row in again)
    nothing, no_bias = noise.floor([result.says])
    assert nothing.empty
    assert no_bias.empty


def test_a_model_whose_vectors_do_not_move_has_none(task: Task, tmp_path: Path, progress: Progress) -> None:
    result = runner.run(task, Random(), tmp_path / "results", progress, "test")
    for row in noise.measure(task, Random(), result, progress):
        assert (row["moved"], row["largest"]) == (0, 0)
        assert {
            value for kinds in row["scores"].values() for values in kinds.values() for value in values.values()
        } == {0}
        assert set(row["bias"].values()) == {0}


def test_some_texts_stand_for_all(task: Task, result: Result, progress: Progress) -> None:
    (few,) = noise.measure(task, Moving(), result, progress, varied=["batches"], texts=20)
    (whole,) = noise.measure(task, Moving(), result, progress, varied=["batches"])
    assert few["texts"] == 40
    assert whole["texts"] == len(task.collection.queries) + len(task.collection.documents)
    for setting in ("mono", "cross", "multi"):
        one, other = (row["scores"][setting]["directions"]["AP"] for row in (few, whole))
        assert other / 5 < one < other * 5
    (more,) = noise.measure(task, Moving(), result, progress, varied=["batches"], texts=10**6)
    assert more == whole


def test_texts_not_encoded_again_move_as_those_that_were() -> None:
    random = np.random.default_rng(0)
    usual = random.standard_normal((500, 8)).astype(np.float32)
    vectors.normalise(usual)
    some = np.arange(0, 500, 50)
    step = np.float32(1e-3) * random.standard_normal((10, 8)).astype(np.float32)
    moved = noise._spread(usual, some, usual[some] + step, cosine=False)
    np.testing.assert_array_equal(moved[some], usual[some] + step)
    drawn = np.abs((moved - usual)[:, None] - step).max(axis=2)
    assert (drawn.min(axis=1) < 1e-6).all()
    assert len(set(drawn.argmin(axis=1))) == 10
    assert np.abs(np.linalg.norm(moved, axis=1) - 1).max() > 1e-4
    brought = noise._spread(usual, some, usual[some], cosine=True)
    np.testing.assert_array_equal(brought, usual)
    np.testing.assert_allclose(
        np.linalg.norm(noise._spread(usual, some, usual[some] + step, cosine=True)[1:50], axis=1), 1, atol=1e-6
    )


def test_a_result_of_another_machine_is_noise_too(task: Task, result: Result, progress: Progress) -> None:
    elsewhere = json.loads(json.dumps(result.says))
    elsewhere["directions"][0]["measures"]["AP"] += 0.25
    first, *others = noise.measure(task, Moving(), Result(result.folder, elsewhere), progress)
    assert (first["varied"], first["change"], first["moved"]) == ("machine", False, None)
    assert first["scores"]["mono"]["directions"]["AP"] == pytest.approx(0.25)
    assert others == noise.measure(task, Moving(), result, progress)


def test_the_store_and_the_encoder_are_left_as_they_were(
    task: Task, result: Result, progress: Progress, cache: Path
) -> None:
    before = sorted(cache.rglob("*"))
    encoder = Moving()
    noise.measure(task, encoder, result, progress)
    assert sorted(cache.rglob("*")) == before
    assert (encoder.budget, encoder.threads) == (64, 0)

    class Failing(Moving):
        def encode(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
            raise UserError("no")

    broken = Failing()
    with pytest.raises(UserError):
        noise.measure(task, broken, result, progress)
    assert (broken.budget, broken.threads) == (64, 0)
    assert sorted(cache.rglob("*")) == before


@pytest.fixture
def here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_keeps_it_with_the_result(bench: Bench, here: Path, made: Path) -> None:
    common = ("--model", made, "--task", "demo", "--languages", "en,th")
    assert bench("run", *common, "--notes", "of mine").code == 0
    before = evidence.read(here / "results/tiny-model/demo").says
    ran = bench("noise", *common, "--dtypes", "bfloat16,float32")
    assert ran.code == 0, ran.err
    for part in ("largest change of AP", "batches of 384 tokens instead of 1,536", "bfloat16 instead of float32"):
        assert part in ran.out
    after = evidence.read(here / "results/tiny-model/demo").says
    rows = after.pop("noise")
    assert after == before
    assert [row["varied"] for row in rows] == ["batches", "order", "threads", "dtype"]
    assert max(row["largest"] for row in rows[:3]) < 1e-5 < rows[3]["largest"]
    schema = json.loads((Path(benchmark.__file__).parent / "evidence.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(after | {"noise": rows}, schema)
    assert "has the same key" in bench("run", *common).err
    assert evidence.read(here / "results/tiny-model/demo").says["noise"] == rows


def test_a_result_handed_on_without_its_top_k_is_kept(bench: Bench, here: Path) -> None:
    common = ("--model", "random", "--task", "demo", "--languages", "en,sw")
    assert bench("run", *common, "--notes", "of mine").code == 0
    folder = here / "results/random/demo"
    (folder / "top.parquet").unlink()
    before = evidence.read(folder).says
    assert bench("noise", *common).code == 0
    assert evidence.read(folder).says == before | {"noise": evidence.read(folder).says["noise"]}
    assert not (folder / "top.parquet").exists()


def test_the_command_makes_the_result_where_there_is_none(bench: Bench, here: Path) -> None:
    ran = bench("noise", "--model", "random", "--task", "demo", "--languages", "en,sw", "--json")
    assert ran.code == 0, ran.err
    says = json.loads(ran.out)
    assert (says["task"], says["model"], says["evidence"]) == ("demo", "random", "results/random/demo")
    assert {row["moved"] for row in says["noise"]} == {0}
    assert "No vector moved" in bench("noise", "--model", "random", "--task", "demo", "--languages", "en,sw").out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--vary", "bathces"), ("«bathces» is nothing that can be varied", "batches")),
        (("--vary", ""), ("nothing to measure", "--dtypes")),
        (("--dtypes", "float8", "--model", "random"), ("takes no --dtype",)),
        (("--texts", "0"), ("--texts",)),
        (("--results", "/dev/null/x"), ("cannot be written",)),
    ],
)
def test_what_a_person_gets_wrong(words: tuple[str, ...], parts: tuple[str, ...], bench: Bench, here: Path) -> None:
    bench("noise", "--task", "demo", "--languages", "en,sw", *words).failed(*parts)
    assert not (here / "results").exists()
