"""A task of one's own: what `bench tasks new` writes runs, `bench tasks check` says what was understood, suites."""

import json
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks import card, check, collection, new, readers
from tests.conftest import Ran

Bench = Callable[..., Ran]
DOCS = (Path(__file__).parent.parent / "docs" / "tasks.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS, flags=re.MULTILINE | re.DOTALL)


def understood(bench: Bench, task: str) -> dict[str, Any]:
    ran = bench("tasks", "check", task, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)  # type: ignore[no-any-return]


def test_the_documented_commands_run(bench: Bench, here: Path) -> None:
    """docs/tasks.md, «five minutes»: each line of its first block, as it stands there."""
    commands = [shlex.split(line, comments=True) for line in blocks("sh")[0].splitlines()]
    assert [words[:3] for words in commands[:2]] == [["bench", "tasks", "new"], ["bench", "tasks", "check"]]
    assert commands[2][:2] == ["bench", "run"]
    for words in commands:
        ran = bench(*words[1:], *(("--model", "random") if words[1] == "run" else ()))
        assert ran.code == 0, ran.err
    assert (
        json.loads((here / "results/random/rivers/evidence.json").read_text(encoding="utf-8"))["task"]["queries"] == 3
    )


def test_the_documented_tables_are_what_is_written(here: Path) -> None:
    new.write(here / "rivers")
    for name, text in zip(["card.toml", *new.TABLES], [blocks("toml")[0], *blocks("tsv")], strict=True):
        assert (here / "rivers" / name).read_text(encoding="utf-8") == text, name


def test_the_documented_layouts_exist() -> None:
    for reader in ("folder", "beir", "trec", "hub", "ir_datasets", "bucc"):
        assert f'reader = "{reader}"' in DOCS
        assert reader in readers.names()


def test_new_refuses_what_is_there_and_leaves_it_alone(bench: Bench, here: Path) -> None:
    (here / "full").mkdir()
    (here / "full" / "mine").touch()
    bench("tasks", "new", "full").failed("full is there already and not empty")
    (here / "file").touch()
    bench("tasks", "new", "file").failed("file is there already")
    assert sorted(path.name for path in (here / "full").iterdir()) == ["mine"]
    (here / "empty").mkdir()
    assert bench("tasks", "new", "empty").code == 0
    assert bench("tasks", "new", "a/b/My Task (2)").code == 0
    assert card.find("a/b/My Task (2)").name == "my-task-2"


def test_new_writes_all_or_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def full(path: Path, *args: Any, **options: Any) -> int:
        if path.name == "queries.tsv":
            raise OSError(28, "No space left on device")
        return write(path, *args, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        new.write(here / "rivers")
    assert os.listdir(here) == []  # noqa: PTH208


def test_check_says_what_was_understood(bench: Bench) -> None:
    assert bench("tasks", "new", "rivers").code == 0
    with (Path("rivers") / "judgements.tsv").open("a", encoding="utf-8") as file:
        file.write("q2\tnile/sw\t0\nq9\tnile/sw\t1\n")
    found = understood(bench, "rivers")
    assert found["understood"]["Languages"] == [
        {"language": "English (en)", "script": "Latn", "queries": 2, "documents": 2},
        {"language": "Swahili (sw)", "script": "Latn", "queries": 1, "documents": 2},
        {"language": "all", "script": "", "queries": 3, "documents": 4},
    ]
    assert found["understood"]["2 topics, for each"] == [
        {"": "wordings", "min": 1, "median": 1.5, "max": 2},
        {"": "relevant documents", "min": 2, "median": 2, "max": 2},
    ]
    assert [tuple(row.values()) for row in found["understood"]["Directions"]] == [
        ("mono", 2, 3, "sw→sw 1", 1.5, "en→en 2"),
        ("cross", 2, 3, "sw→en 1", 1.5, "en→sw 2"),
        ("multi", 2, 3, "sw→* 1", 1.5, "en→* 2"),
    ]
    assert [row["doc_id"] for row in found["understood"]["First of the documents, by language"]] == [
        "nile/en",
        "nile/sw",
    ]
    assert found["problems"] == ["Topic «q9» is judged and nobody asks it."]
    shown = bench("tasks", "check", "rivers").out
    for part in ("Swahili (sw)", "2 topics", "Mto Nile unaishia", "nobody asks it", "relevant documents"):
        assert part in shown


def test_check_shows_facets_and_duplicates(bench: Bench, here: Path) -> None:
    new.write(here / "rivers")
    path = here / "rivers" / "documents.tsv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    domains = ["africa", "africa", "america", "america"]
    rows = [f"{row}\t{domain}" for row, domain in zip(rows, domains, strict=True)]
    twin = rows[0].replace("nile/en", "twin/en")
    path.write_text("\n".join([f"{header}\tdomain", *rows, twin]), encoding="utf-8")
    with (here / "rivers" / "judgements.tsv").open("a", encoding="utf-8") as file:
        file.write("q1\ttwin/en\t1\n")
    found = understood(bench, "rivers")["understood"]
    assert found["Directions"][0]["queries"] == 3  # a query with two answers is one query
    assert found["Facets"] == [
        {
            "facet": "domain", "of": "relevant documents", "values": 2, "without": 0,
            "most frequent": "africa (3), america (2)", "bench report": "--by domain",
        }
    ]  # fmt: skip
    assert found["Texts that an earlier one of the same language equals"] == [
        {"": "documents", "texts": 1, "first": "The Nile empties into the Mediterranean."}
    ]


def test_check_names_every_problem_and_exits_with_2(bench: Bench, here: Path) -> None:
    new.write(here / "rivers")
    (here / "rivers" / "judgements.tsv").write_text("topic\tdoc_id\trelevance\nq1\tnile/xx\t1\n", encoding="utf-8")
    ran = bench("tasks", "check", "rivers")
    ran.failed("rivers is not valid: 2 problem(s), listed above")
    assert ran.out.splitlines() == [
        "A judgement names document «nile/xx» (rivers/judgements.tsv, line 2), which does not exist.",
        "Topic «q2» (rivers/queries.tsv, line 4) has no relevant document.",
    ]
    (here / "rivers" / "card.toml").write_text("name = 1", encoding="utf-8")
    bench("tasks", "check", "rivers").failed("card.toml says nothing of citation")
    bench("tasks", "check", "nowhere").failed("There is no task «nowhere»")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "documents.tsv",
            "doc_id\tlang\ttext\n\nnile/en\ten\tx\n\n\ten\ty\n",
            "«» (rivers/documents.tsv, line 5) has an empty doc_id",
        ),
        (
            "documents.tsv",
            "doc_id\tlang\ttext\n" + 3 * "nile/en\ten\tx\n",
            "Document id «nile/en» (rivers/documents.tsv, line 3, and 1 more) occurs twice.",
        ),
        (
            "documents.tsv",
            "doc_id  lang  text\n",
            "The documents table has no column «doc_id», «lang», «text»; it has «doc_id  lang  text».",
        ),
        ("documents.tsv", "", "The documents table has no column «doc_id», «lang», «text»; it has none."),
        (
            "queries.jsonl",
            '\n{"query_id": "q", "lang": "en", "text": "x", "topic": "q1"}\n'
            '{"query_id": "r", "lang": "SW", "text": "x", "topic": "q1"}\n',
            "Query «r» (rivers/queries.jsonl, line 3): «SW» is usually spelt sw",
        ),
        (
            "judgements.tsv",
            "topic\tdoc_id\trelevance\nq1\tnile/en\t1\nq1\tnile/sw\thigh\n",
            "Topic «q1» (rivers/judgements.tsv, line 3) has a relevance that is not an integer >= 0.",
        ),
        (
            "judgements.tsv",
            "topic\tdoc_id\trelevance\n\tnile/en\t1\n",
            "A judgement of document «nile/en» (rivers/judgements.tsv, line 2) has an empty topic.",
        ),
    ],
)
def test_check_tells_the_line_of_the_first_offender(
    name: str, content: str, says: str, bench: Bench, here: Path
) -> None:
    new.write(here / "rivers")
    (here / "rivers" / name).with_suffix(".tsv").unlink()
    (here / "rivers" / name).write_text(content, encoding="utf-8")
    ran = bench("tasks", "check", "rivers")
    ran.failed("rivers is not valid")
    assert says in ran.out


def test_check_tells_the_row_of_a_parquet_table(bench: Bench, here: Path) -> None:
    new.write(here / "rivers")
    path = here / "rivers" / "documents.tsv"
    table = pd.read_csv(path, sep="\t")
    path.unlink()
    pd.concat([table, table.iloc[[2]]]).to_parquet(path.with_suffix(".parquet"))
    ran = bench("tasks", "check", "rivers")
    assert "Document id «amazon/en» (rivers/documents.parquet, row 5) occurs twice." in ran.out


def test_check_names_settings_and_measures_that_cannot_be(bench: Bench, here: Path) -> None:
    new.write(here / "rivers")
    path = here / "rivers" / "card.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"AP"', '"APP"'), encoding="utf-8")
    bench("tasks", "check", "rivers").failed("APP")
    path.write_text(text, encoding="utf-8")
    judgements = here / "rivers" / "judgements.tsv"
    kept = [line for line in judgements.read_text(encoding="utf-8").splitlines() if "/sw" not in line]
    judgements.write_text("\n".join(kept), encoding="utf-8")
    queries = here / "rivers" / "queries.tsv"
    kept = [line for line in queries.read_text(encoding="utf-8").splitlines() if "/sw" not in line]
    queries.write_text("\n".join(kept), encoding="utf-8")
    assert understood(bench, "rivers")["problems"] == [
        "The setting cross has no direction in which a query has an answer."
    ]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "queries.tsv",
            b"query_id\tlang\ttext\ttopic\nq1\ten\tcaf\xe9\tq1\n",
            "queries.tsv, line 2: this is not UTF-8",
        ),
        ("queries.tsv", b"query_id\tlang\ttext\nq1\ten\tx\n", "the queries table has no column «topic»"),
        (
            "queries.tsv",
            b"query_id\tlang\ttext\ttopic\nq1\ten\tx\ty\tq1\n",
            "queries.tsv, line 2: the number of columns is 5 here and 4 in the header",
        ),
    ],
)
def test_a_broken_table_is_named(name: str, content: bytes, says: str, bench: Bench, here: Path) -> None:
    new.write(here / "rivers")
    (here / "rivers" / name).write_bytes(content)
    bench("run", "--model", "random", "--task", "rivers").failed(says)


def test_a_broken_jsonl_table_is_named_with_its_line(bench: Bench, here: Path) -> None:
    new.write(here / "rivers")
    (here / "rivers" / "queries.tsv").unlink()
    path = here / "rivers" / "queries.jsonl"
    path.write_text('{"query_id": "q1", "lang": "en", "text": "x", "topic": "q1"}\n{"query_id": "q', encoding="utf-8")
    bench("tasks", "check", "rivers").failed("queries.jsonl, line 2: this is not JSON")


def test_directions_are_those_of_a_run(bench: Bench) -> None:
    settings = "mono,cross,multi,pair"
    ran = bench(
        "run", "--model", "random", "--task", "demo", "--languages", "en,sw,am", "--settings", settings, "--json"
    )
    assert ran.code == 0, ran.err
    counted: dict[str, list[int]] = {}
    for row in json.loads(ran.out)["directions"]:
        counted.setdefault(row["setting"], []).append(row["n"])
    demo = card.find("demo")
    texts = collection.limit(readers.load(demo, {}), ["en", "sw", "am"], ["en", "sw", "am"])
    wanted = replace(demo, settings=tuple(settings.split(",")))
    sizes = {row[0]: (row[1], row[2]) for row in check.directions(wanted, texts).rows}
    assert sizes == {setting: (len(ns), sum(ns)) for setting, ns in counted.items()}


def test_an_option_of_a_plain_folder_is_refused(bench: Bench, here: Path) -> None:
    new.write(here / "rivers")
    with (here / "rivers" / "card.toml").open("a", encoding="utf-8") as file:
        file.write('[options]\nsplit = "dev"\n')
    bench("tasks", "check", "rivers").failed("rivers: the reader folder has no options, so «split» says nothing")


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_list_fits_the_terminal(width: int, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    rows = bench("tasks").out.splitlines()
    assert max(map(len, rows)) <= width
    for name in card.catalogue():
        assert any(row.startswith(f"{name} ") for row in rows)


def test_the_list_is_as_before(bench: Bench) -> None:
    ran = bench("tasks")
    assert ran.code == 0
    assert "suite core: " in ran.out
    rows = [json.loads(line) for line in bench("tasks", "--json").out.splitlines()]
    assert [row["task"] for row in rows] == list(card.catalogue())
    assert set(rows[0]) == {
        "task", "title", "variants", "languages", "bytes", "missing_bytes", "licence", "description",
    }  # fmt: skip
    bench("tasks", "nwe").failed("nwe")


# Suites


def test_a_suite_of_ones_own_runs(bench: Bench, here: Path) -> None:
    (here / "set").mkdir()
    new.write(here / "set" / "rivers")
    (here / "set" / "mine.toml").write_text('# my suite\ntasks = ["demo", "./rivers", "rivers"]\n', encoding="utf-8")
    ran = bench("run", "--model", "random", "--task", "set/mine.toml", "--json")
    assert ran.code == 0, ran.err
    assert [json.loads(line)["task"] for line in ran.out.splitlines()] == ["demo", "rivers"]
    (here / "all.toml").write_text('tasks = ["core", "xquad-r@context", "xquad-r"]\n', encoding="utf-8")
    labels = [found.label for found in card.resolve(["all.toml"])]
    assert labels == [*card.suites()["core"], "xquad-r@context"]


def test_each_of_several_tasks_is_asked_in_the_languages_and_settings_that_it_has(bench: Bench, here: Path) -> None:
    new.write(here / "rivers")  # English and Swahili
    both = ("run", "--model", "random", "--json", "--task", "demo", "--task", "./rivers")

    def asked(ran: Ran) -> dict[str, set[tuple[str, str]]]:
        assert ran.code == 0, ran.err
        return {
            (says := json.loads(line))["task"]: {
                (row["setting"], row["query_language"]) for row in says["directions"]
            } for line in ran.out.splitlines()
        }  # fmt: skip

    ran = bench(*both, "--languages", "en,th", "--settings", "mono")
    assert asked(ran) == {"demo": {("mono", "en"), ("mono", "th")}, "rivers": {("mono", "en")}}
    assert "rivers: nothing is asked in th." in ran.err
    assert "demo: nothing" not in ran.err
    ran = bench(*both, "--languages", "en,th", "--settings", "cross")
    assert asked(ran) == {"demo": {("cross", "en"), ("cross", "th")}}
    assert "rivers is passed over" in ran.err
    bench(*both, "--languages", "en,th,TH").failed("no task asks anything in «TH»; did you mean th?")
    bench(*both, "--languages", "en", "--settings", "cross").failed("no task asks anything in «en».")
    bench(*both, "--settings", "mining").failed("No task has a query with an answer in these settings")
    bench(*both, "--settings", "cross", "--query-languages", " , ").failed("--query-languages names no language")


def test_languages_may_be_those_of_one_side_only(bench: Bench, here: Path) -> None:
    new.write(here / "rivers")
    queries = (here / "rivers" / "queries.tsv").read_text(encoding="utf-8")
    (here / "rivers" / "queries.tsv").write_text(queries.replace("\tsw\t", "\tfon\t"), encoding="utf-8")
    run = ("run", "--model", "random", "--json", "--task", "./rivers", "--languages")
    says = json.loads(bench(*run, "fon,en", "--settings", "cross").out)
    assert {(row["query_language"], *row["document_languages"]) for row in says["directions"]} == {("fon", "en")}
    bench(*run, "fon").failed("No query has an answer in the chosen languages")
    bench(*run, "fon,FR").failed("This task has no texts in language «FR»; there are en, fon, sw.")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "my.toml cannot be read: No such file"),
        ("tasks = [", "my.toml is not valid TOML"),
        ('task = ["demo"]', "my.toml is not a suite"),
        ("tasks = []", "my.toml is not a suite"),
        ('tasks = "demo"', "my.toml is not a suite"),
        ("tasks = [1]", "my.toml is not a suite"),
        ('tasks = ["xquadr"]', "my.toml: There is no task «xquadr»; did you mean xquad-r"),
        ('tasks = ["./nothing"]', "my.toml: «nothing/» is not a task"),
        ('tasks = ["other.toml"]', "my.toml: There is no task «other.toml»"),
        ('reader = "folder"', "my.toml is a card, not a suite"),
    ],
)
def test_a_wrong_suite_is_named(content: str | None, says: str, bench: Bench, here: Path) -> None:
    if content is not None:
        (here / "my.toml").write_text(content, encoding="utf-8")
    bench("run", "--model", "random", "--task", "my.toml").failed(says)
