"""The GitHub Action, step by step, as GitHub would run it: the embedded model on the embedded task."""

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parent.parent
ACTION = ROOT / ".github/actions/check/action.yml"
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


@dataclass
class Job:
    """What a run of the action left."""

    code: int = 0
    out: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    installed: str = ""


def says() -> dict[str, Any]:
    return yaml.safe_load(ACTION.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def filled(text: str, known: Mapping[str, str]) -> str:
    """Fill in what GitHub would; an output that no step has set is empty."""
    known = defaultdict(str, known)
    assert {name for name in EXPRESSION.findall(text) if not name.startswith("steps.")} <= set(known)
    return EXPRESSION.sub(lambda match: known[match.group(1)], text)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A runner: `bench` from this tree, and a `pip` that only tells what it was asked for."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    scripts = {"bench": f'exec "{sys.executable}" -m benchmark.cli "$@"', "pip": f'echo "$@" >>"{tmp_path}/pip"'}
    for name, line in scripts.items():
        (binaries / name).write_text(f"#!/bin/sh\n{line}\n")
        (binaries / name).chmod(0o755)
    (tmp_path / "work").mkdir()
    return tmp_path


def run(place: Path, **inputs: str) -> Job:
    """Run every step of the action, the first that fails being the last, in the environment that GitHub makes."""
    action, job = says(), Job()
    needed = {name for name, about in action["inputs"].items() if about.get("required")}
    assert needed <= set(inputs)
    known = {f"inputs.{name}": about.get("default", "") for name, about in action["inputs"].items()}
    known |= {f"inputs.{name}": text for name, text in inputs.items()} | {"github.action_path": str(ACTION.parent)}
    summary = place / "summary.md"
    for number, step in enumerate(action["runs"]["steps"]):
        if "uses" in step:
            continue
        output = place / f"output-{number}"
        output.touch()
        surroundings = {
            "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "HOME": str(place), "PYTHONPATH": str(ROOT),
            "ISOGLOSS_CACHE": os.environ["ISOGLOSS_CACHE"], "RUNNER_TEMP": str(place), "OMP_NUM_THREADS": "1",
            "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary),
        } | {name: filled(text, known) for name, text in step.get("env", {}).items()}  # fmt: skip
        assert step["shell"] == "bash"
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=place / "work", env=surroundings, capture_output=True, text=True, check=False,
        )  # fmt: skip
        job.code, job.out = ran.returncode, job.out + ran.stdout + ran.stderr
        for line in output.read_text().splitlines():
            name, _, value = line.partition("=")
            known[f"steps.{step['id']}.outputs.{name}"] = value
        if job.code:
            break
    job.outputs = {name: filled(about["value"], known) for name, about in action["outputs"].items()}
    job.summary = summary.read_text() if summary.exists() else ""
    job.installed = (place / "pip").read_text()
    return job


def test_what_is_given_is_never_pasted_into_a_script() -> None:
    for step in says()["runs"]["steps"]:
        assert not EXPRESSION.search(step.get("run", ""))


@pytest.fixture
def baseline(place: Path, cache: Path) -> Path:
    """The results of random on the demo, in two languages, committed in the work tree."""
    words = ["run", "--model", "random", "--task", "demo", "--languages", "en,th", "--results", "base"]
    ran = subprocess.run(
        [place / "bin/bench", *words],
        cwd=place / "work", env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return place / "work/base/random"


COMMON = {"model": "random", "options": "--languages en,th", "baseline": "base/random"}


def test_it_passes_and_leaves_a_summary(place: Path, baseline: Path) -> None:
    job = run(place, **COMMON, task="\n demo\n")
    assert job.code == 0, job.out
    assert job.outputs["exit-code"] == "0"
    assert "::notice title=demo::demo: same (random against random)" in job.out
    assert job.summary.startswith("## demo: same")
    assert ElementTree.parse(job.outputs["junit"]).getroot().get("failures") == "0"
    assert (Path(job.outputs["results"]) / "random/demo/evidence.json").is_file()
    source = re.fullmatch(r"install -c (\S+)/constraints\.txt (\S+)\[demo\]\n", job.installed)
    assert source
    assert source.group(1) == source.group(2)
    assert Path(source.group(1)).resolve() == ROOT.resolve()
    assert (Path(source.group(1)) / "constraints.txt").is_file()


def test_it_fails_where_the_model_got_worse(place: Path, baseline: Path) -> None:
    """The baseline is as it would be of a model that always puts the answer first."""
    path = baseline / "demo/ranks.parquet"
    ranks = pd.read_parquet(path)
    ranks["rank"] = ranks.groupby(["query_id", "pool"], observed=True).cumcount() + 1
    ranks.astype({"rank": "int32"}).to_parquet(path)
    job = run(place, **COMMON)
    assert job.code == 1, job.out
    assert job.outputs["exit-code"] == "1"
    assert "::error title=demo%3A Thai (th) regressed::" in job.out
    assert job.summary.startswith("## demo: regressed")
    assert int(ElementTree.parse(job.outputs["junit"]).getroot().get("failures", "")) > 0
    (place / "work/limits.toml").write_text("max_drop = 1\nmax_rise = {}\n")
    assert run(place, **COMMON, thresholds="limits.toml").code == 0


def test_it_tells_what_could_not_be_judged_from_what_got_worse(place: Path, baseline: Path) -> None:
    job = run(place, **COMMON | {"options": "--languages en,sw"})
    assert job.code == 2
    assert job.outputs["exit-code"] == "2"
    assert (
        "::error title=demo could not be judged::not comparable: the languages of the questions differ by sw, th"
        in job.out
    )
    assert job.summary.startswith("## demo: not comparable")
    shutil.rmtree(baseline)
    job = run(place, **COMMON)
    assert job.code == 2
    assert "base/random holds no result" in job.out


def test_a_step_that_fails_ends_it_and_what_is_given_is_one_word(place: Path, baseline: Path) -> None:
    job = run(place, **COMMON | {"model": "$(touch pasted); no such model"})
    assert job.code == 2
    assert "There is no folder $(touch pasted); no such model" in job.out
    assert "exit-code" not in job.out
    assert not list(place.rglob("pasted"))


def test_the_workflow_in_the_documentation_gives_what_the_action_takes() -> None:
    text = (ROOT / "docs/check.md").read_text(encoding="utf-8")
    (example,) = re.findall("```yaml\n(.*?)```", text, re.S)
    (job,) = yaml.safe_load(example)["jobs"].values()
    (step,) = [step for step in job["steps"] if ".github/actions/check" in step.get("uses", "")]
    known = says()["inputs"]
    assert set(step["with"]) <= set(known)
    assert {name for name, about in known.items() if about.get("required")} <= set(step["with"])
