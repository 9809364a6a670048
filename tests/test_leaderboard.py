"""Boards, their pages and the folder they are published in: what is compared, what is not, and what is left alone."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark import evidence
from leaderboard import boards, formats, markdown, publish
from tests.conftest import Ran

Bench = Callable[..., Ran]
HOSTILE = '<script>alert("x")</script>|=cmd() `b` $x$ [l](http://evil) \u202eabc'
XQUAD = ["ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"]
TASK = {"name": "xquad-r", "variant": "", "query_languages": XQUAD, "document_languages": XQUAD}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two models and a part of the data, made once: muse, random, and random on three languages."""
    folder = tmp_path_factory.mktemp("leaderboard")
    environment = os.environ | {"ISOGLOSS_CACHE": str(folder / "cache")}
    for words in (
        ("--model", "muse"),
        ("--model", "random"),
        ("--model", "random", "--name", "part", "--languages", "en,sw,th"),
    ):
        subprocess.run(
            [sys.executable, "-m", "benchmark.cli", "run", *words, "--task", "demo", "--results", folder / "results"],
            check=True, capture_output=True, env=environment,
        )  # fmt: skip
    return folder / "results"


@pytest.fixture
def results(ran: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ran, tmp_path / "results"))


def change(folder: Path, **model: str) -> None:
    """Rewrite what an evidence says of its model."""
    path = folder / "evidence.json"
    says: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    says["model"] |= model
    path.write_text(evidence.dumps(says), encoding="utf-8")


def twin(results: Path, name: str, folder: str) -> Path:
    """Add a model that is `random` under another name."""
    copy = Path(shutil.copytree(results / "random", results / folder))
    change(copy / "demo", name=name)
    return copy / "demo"


def test_only_the_same_questions_are_compared(results: Path) -> None:
    whole, part = boards.read(results)
    assert whole.slug == "demo"
    assert [row.name for row in whole.rows] == ["muse", "random"]
    assert part.slug.startswith("demo~")
    assert [row.name for row in part.rows] == ["part"]
    assert part.title.endswith("(en, sw, th; AP)")


def rewrite(folder: Path, **says: Any) -> None:
    """Rewrite an evidence; a dictionary changes what it names within."""
    path = folder / "evidence.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    for name, value in says.items():
        found[name] = found[name] | value if isinstance(value, dict) else value
    path.write_text(evidence.dumps(found), encoding="utf-8")


def test_another_card_or_main_measure_is_another_board(results: Path) -> None:
    twin(results, "other card", "other-card")
    rewrite(results / "other-card" / "demo", task={"card_hash": "0" * 64})
    twin(results, "other measure", "other-measure")
    rewrite(results / "other-measure" / "demo", main_measure="nDCG@10")
    found = boards.read(results)
    assert sorted(len(board.rows) for board in found) == [1, 1, 1, 2]
    assert (
        len({board.slug for board in found}) == len({board.title for board in found}) + 1 == 4
    )  # one differs by its card
    publish.write(results)
    assert len(list((results / "leaderboard").glob("*.md"))) == 4


@pytest.mark.parametrize(
    "harm",
    [
        {"task": {"name": "../../evil"}}, {"task": {"variant": "../x"}}, {"task": {"data_hash": "../../x"}},
        {"task": {"topics": "<b>"}}, {"task": {"title": 5}}, {"model": {"truncated": {}}},
        {"model": {"parameters": "9"}}, {"averages": []}, {"task": {"query_languages": ["<script>"]}},
        {"task": {"query_languages": ["xx-nonsense"]}},
        {"cost": {"texts_per_second": "many"}},
    ],
)  # fmt: skip
def test_evidence_that_was_tampered_with_is_refused(harm: dict[str, Any], results: Path, bench: Bench) -> None:
    rewrite(results / "muse" / "demo", **harm)
    bench("leaderboard", results).failed("evidence.json is damaged")
    bench("report", results / "muse" / "demo").failed("evidence.json is damaged")
    assert not (results / "README.md").exists()


def test_models_that_cannot_be_told_apart_share_a_rank(results: Path) -> None:
    twin(results, "twin", "twin")
    board = boards.read(results)[0]
    assert [(row.rank, row.name) for row in board.rows] == [(1, "muse"), (2, "random"), (2, "twin")]


def test_rows_say_what_the_evidence_says(results: Path) -> None:
    row = boards.read(results)[0].rows[0]
    says = evidence.read(results / "muse" / "demo").says
    macro = {r["setting"]: r["measures"] for r in says["averages"] if r["average"] == "macro"}
    assert row.scores == macro
    assert row.bias["rank_distance"] == next(r for r in says["bias"] if r["query_language"] == "macro")["rank_distance"]
    multi = {r["query_language"]: r["measures"]["AP"] for r in says["directions"] if r["setting"] == "multi"}
    assert row.worst["multi"] == (min(multi, key=lambda tag: multi[tag]), min(multi.values()))


def test_equal_names_are_told_apart_by_their_folder(results: Path) -> None:
    twin(results, "random", "again")
    assert [row.name for row in boards.read(results)[0].rows][1:] == ["random [again/demo]", "random [random/demo]"]


def test_what_was_kept_aside_is_not_shown(results: Path) -> None:
    shutil.copytree(results / "muse" / "demo", results / "muse" / "demo~0123abcd")
    assert [row.name for row in boards.read(results)[0].rows] == ["muse", "random"]


def test_a_result_without_its_top_k_is_as_good(results: Path) -> None:
    before = publish.files(results)
    for path in results.glob("*/*/top.parquet"):
        path.unlink()
    assert publish.files(results) == before


def test_papers_are_quoted_as_they_are() -> None:
    """Their own means: XQuAD-R mono / cross / multi / rank distance of arXiv:2408.10536, table by table."""
    rows = {row.name: row for row in boards.reported(TASK, "AP")}
    quoted = {
        "XLM-R X-X": (0.792, 0.674, 0.547, 410), "XLM-R X-Y": (0.755, 0.700, 0.593, 295),
        "XLM-R hybrid": (0.798, 0.705, 0.593, 287), "LaBSE X-X": (0.808, 0.752, 0.652, 262),
        "LaBSE X-Y": (0.801, 0.762, 0.679, 225), "LaBSE hybrid": (0.817, 0.767, 0.682, 221),
    }  # fmt: skip
    for name, (mono, cross, multi, distance) in quoted.items():
        row = rows[name]
        found = [row.scores[setting]["AP"] for setting in ("mono", "cross", "multi")]
        assert found == pytest.approx([mono, cross, multi], abs=0.001), name
        assert row.bias["rank_distance"] == pytest.approx(distance, abs=1)
        assert (row.rank, row.result, row.source) == (None, None, "arXiv:2408.10536")
    assert rows["mBERT X-Y"].scores == {"multi": {"AP": 0.66}}
    assert rows["mBERT X-Y"].note == "mean over questions"


@pytest.mark.parametrize(
    "other",
    [
        {"variant": "context"}, {"query_languages": ["en", "th"], "document_languages": ["en", "th"]},
        {"document_languages": ["en"]}, {"name": "mine"},
    ],
)  # fmt: skip
def test_papers_are_not_quoted_for_another_question(other: dict[str, Any]) -> None:
    assert boards.reported(TASK, "AP")
    assert boards.reported(TASK | other, "AP") == []


def test_what_is_written_is_not_stale_and_what_changed_is(results: Path, bench: Bench) -> None:
    written = bench("leaderboard", results)
    assert written.code == 0, written.err
    assert str(results / "index.html") in written.out
    assert bench("leaderboard", results).out == ""
    assert bench("leaderboard", results, "--check").code == 0
    change(results / "muse" / "demo", name="muse of another name")
    check = bench("leaderboard", results, "--check")
    assert check.code == 1
    assert f"stale: {results / 'README.md'}" in check.out
    assert "muse of another name" not in (results / "README.md").read_text()
    assert bench("leaderboard", results).code == 0
    assert "muse of another name" in (results / "README.md").read_text()


def test_what_a_board_left_behind_goes_with_it(results: Path) -> None:
    publish.write(results)
    left = list((results / "leaderboard").glob("demo~*"))
    assert len(left) > 2
    mine = results / "leaderboard" / "thoughts.md"
    mine.write_text("mine")
    sketch = results / "leaderboard" / "demo-sketch.svg"
    sketch.write_text("mine")
    shutil.rmtree(results / "part")
    assert set(publish.stale(results)) >= {*left, results / "README.md"}
    publish.write(results)
    assert not [path for path in left if path.exists()]
    assert mine.read_text() == sketch.read_text() == "mine"
    assert publish.stale(results) == []


@pytest.mark.parametrize("name", ["README.md", "index.html", "leaderboard/demo.md"])
def test_what_a_person_wrote_is_not_overwritten(name: str, results: Path, bench: Bench) -> None:
    (results / "leaderboard").mkdir()
    (results / name).write_text("# My thesis on Isogloss\n")
    bench("leaderboard", results).failed(name, "was not made by bench leaderboard", "move it away")
    assert [str(p.relative_to(results)) for p in results.rglob("*") if p.suffix in (".md", ".html", ".svg")] == [name]
    assert (results / name).read_text() == "# My thesis on Isogloss\n"


def test_it_is_the_same_on_every_machine(results: Path) -> None:
    """Another process, hash seed, time zone, locale, number of threads and folder: the same bytes."""
    here = {name: hashlib.sha256(content).hexdigest() for name, content in publish.files(results).items()}
    code = (
        "import hashlib, json, sys; from pathlib import Path; from leaderboard import publish; "
        "print(json.dumps({k: hashlib.sha256(v).hexdigest() for k, v in publish.files(Path(sys.argv[1])).items()}))"
    )
    moved = Path(shutil.move(results, results.with_name("moved")))
    ran = subprocess.run(
        [sys.executable, "-c", code, str(moved)], check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert json.loads(ran.stdout) == here


def test_hostile_names_are_shown_and_do_nothing(results: Path) -> None:
    change(results / "random" / "demo", name=HOSTILE, notes=HOSTILE, citation=HOSTILE, source=HOSTILE)
    made = publish.files(results)
    for name, content in made.items():
        text = content.decode()
        if name.endswith(".svg"):
            assert "<script" not in text
            continue
        if name.endswith(".md"):
            text = re.sub(r"(`+) .*? \1", "", text)  # what stands in code is shown as it is
        assert '<script>alert("x")</script>' not in text
        if name.endswith(".md"):
            assert "\u202e" not in text
            for line in text.splitlines():
                if line.startswith("|"):
                    assert not line.replace("\\|", "").count("|=cmd"), line
    page = made["leaderboard/demo.md"].decode()
    assert formats.escape_markdown(HOSTILE) in page
    assert "[l](http" not in re.sub(r"(`+) .*? \1", "", page)


def test_code_ends_where_it_should() -> None:
    assert markdown._code("a `b` ``c`` | d") == "``` a `b` ``c`` \\| d ```"
    assert markdown._code("a\n\nb") == "`a b`"
    assert markdown._code("") == ""


def test_links_and_pictures_lead_to_files(results: Path) -> None:
    from urllib.parse import unquote

    publish.write(results)
    for page in [results / "README.md", *(results / "leaderboard").glob("*.md")]:
        targets = re.findall(r"(?<!\\)\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
        assert targets
        for target in targets:
            assert (page.parent / unquote(target)).is_file(), target


@pytest.mark.parametrize(
    ("harm", "says"), [("empty", "holds no result"), ("damaged", "is not JSON"), ("ranks", "ranks.parquet")]
)
def test_what_one_can_get_wrong(harm: str, says: str, results: Path, bench: Bench, tmp_path: Path) -> None:
    if harm == "empty":
        (tmp_path / "nothing").mkdir()
        bench("leaderboard", tmp_path / "nothing").failed(says, "bench run")
        return
    path = results / "muse" / "demo" / ("ranks.parquet" if harm == "ranks" else "evidence.json")
    path.write_bytes(path.read_bytes()[:300])
    bench("leaderboard", results).failed(says, str(path))
    assert not (results / "README.md").exists()


def test_a_board_without_the_multi_setting_is_ordered_by_cross(results: Path, bench: Bench, cache: Path) -> None:
    shutil.rmtree(results)
    for words in (("--settings", "mono,cross"), ("--settings", "mono", "--name", "less")):
        assert bench("run", "--model", "random", "--task", "demo", "--results", results, *words).code == 0
    (board,) = boards.read(results)
    assert (board.setting, [row.name for row in board.rows]) == ("cross", ["random", "less"])
    assert [row.rank for row in board.rows] == [1, None]
    assert bench("leaderboard", results).code == 0
    assert "rank distance" not in (results / "leaderboard" / "demo.md").read_text().split("##")[0]
