"""The tables of a result, in every format, as a person asks for them."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmark import averages, evidence, measures
from leaderboard import formats, tables
from leaderboard.tables import Table
from tasks import languages
from tests.conftest import Ran

Bench = Callable[..., Ran]
RESULT = "results/random/demo"
HOSTILE = "=cmd()|`a` $x$ **b** <script>alert(1)</script> [red]\u202e & 100% \\x_{1}\n# h"


@pytest.fixture
def made(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, bench: Bench) -> evidence.Result:
    monkeypatch.chdir(tmp_path)
    ran = bench("run", "--model", "random", "--settings", "mono,cross,multi,pair")
    assert ran.code == 2  # not without a task: the suite core needs data
    ran = bench("run", "--model", "random", "--task", "demo", "--settings", "mono,cross,multi,pair")
    assert ran.code == 0, ran.err
    return evidence.read(Path(RESULT))


def test_every_table_is_in_every_format(made: evidence.Result, bench: Bench) -> None:
    titles = [table.title for table in tables.of(made.says)]
    assert [table.name for table in tables.of(made.says)] == [
        "summary", "matrix", "languages", "bias", "spread", "groups",
    ]  # fmt: skip
    shown = bench("report", RESULT)
    assert shown.code == 0, shown.err
    markdown, latex = bench("report", RESULT, "--format", "md").out, bench("report", RESULT, "--format", "latex").out
    for title in titles:
        assert title.split(",")[0] in shown.out
        assert formats.escape_markdown(title) in markdown
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == len(titles)
    assert "Swahili (sw)" in shown.out


def test_the_matrix_says_what_the_evidence_says(made: evidence.Result, bench: Bench) -> None:
    ran = bench("report", RESULT, "--format", "csv", "--setting", "cross", "--measure", "nDCG@5")
    grid = pd.read_csv(io.StringIO(ran.out.split("\n\n")[0]), index_col=0)
    values = measures.evaluate(made.ranks(), [measures.parse("nDCG@5")])
    directed = averages.directions(values, made.pools(), [measures.parse("nDCG@5")])
    expected = averages.matrix(directed, "nDCG@5").copy()
    for tag in expected.index:
        expected.loc[tag, tag] = np.nan
    np.testing.assert_allclose(grid.iloc[:-1, :-1], expected, atol=1e-8)
    assert np.isnan(grid.loc["en", "en"])
    np.testing.assert_allclose(grid["mean"].iloc[:-1], expected.mean(axis=1), atol=1e-8)
    np.testing.assert_allclose(grid.loc["mean"].iloc[:-1], expected.mean(axis=0), atol=1e-8)
    macro = directed[directed["setting"] == "cross"]["nDCG@5"].mean()
    assert grid.loc["mean", "mean"] == pytest.approx(macro, abs=1e-8)


def test_csv_without_a_setting_is_every_direction(made: evidence.Result, bench: Bench) -> None:
    rows = list(csv.DictReader(io.StringIO(bench("report", RESULT, "--format", "csv").out)))
    assert pd.Series([row["setting"] for row in rows]).value_counts().to_dict() == {
        "mono": 13, "cross": 156, "multi": 13, "pair": 156, "strong": 169,
    }  # fmt: skip
    found = {(row["setting"], row["query_language"], row["document_languages"]): row for row in rows}
    for row in made.says["directions"]:
        pool = "*" if row["setting"] == "multi" else "+".join(row["document_languages"])
        shown = found[row["setting"], row["query_language"], pool]
        assert float(shown["AP"]) == row["measures"]["AP"]
        assert (int(shown["n"]), int(shown["documents"])) == (row["n"], row["documents"])


@pytest.mark.parametrize("setting", ["mono", "cross", "multi", "pair", "strong"])
@pytest.mark.parametrize("form", ["terminal", "md", "csv", "latex", "json"])
def test_every_setting_in_every_format(setting: str, form: str, made: evidence.Result, bench: Bench) -> None:
    ran = bench("report", RESULT, "--setting", setting, "--format", form)
    assert ran.code == 0, ran.err
    if form == "json":
        found = json.loads(ran.out)
        assert {row["setting"] for row in found["directions"]} <= {setting}
        assert bool(found["strong"]) == (setting == "strong")
        assert bool(found["bias"]) == (setting == "multi")
    else:
        assert "en" in ran.out
        assert "nan" not in ran.out.replace("finance", "").lower().split()


def test_strong_less_weak_is_shown_and_never_above(made: evidence.Result) -> None:
    strong, drop, *_ = tables.of_setting(made.says, "strong")
    weak = averages.matrix(evidence.directions(made.says), "AP")
    np.testing.assert_allclose(
        drop.cells.iloc[:-1, 1:-1].to_numpy(float), strong.cells.iloc[:-1, 1:-1].to_numpy(float) - weak.to_numpy(float)
    )
    assert (drop.cells.iloc[:-1, 1:-1].astype(float) <= 1e-9).all(axis=None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--format", "html"), ("«html» is not a format", "latex")),
        (("--setting", "crosss"), ("did you mean cross",)),
        (("--measure", "NDCG@10"), ("did you mean nDCG",)),
        (("nowhere",), ("nowhere holds no result",)),
    ],
)
def test_what_one_can_get_wrong(
    words: tuple[str, ...], says: tuple[str, ...], made: evidence.Result, bench: Bench
) -> None:
    bench("report", RESULT, *words).failed(*says)


def test_a_setting_that_was_not_run_is_named(made: evidence.Result, bench: Bench) -> None:
    assert bench("run", "--model", "random", "--task", "demo", "--settings", "mono").code == 0
    bench("report", RESULT, "--setting", "multi").failed("was not run in the setting multi; it has mono")
    bench("report", RESULT, "--setting", "strong").failed("not run in the setting multi")
    assert bench("report", RESULT).code == 0


def hostile() -> Table:
    return Table(
        "t",
        HOSTILE,
        pd.DataFrame({HOSTILE: [HOSTILE, "-1+2", "+x", "@y", None], "n": [1.0, 2.5, None, -3, 0]}),
        {"n": "score"},
    )


def test_hostile_text_in_csv_is_no_formula() -> None:
    rows = list(csv.reader(io.StringIO(formats.comma_separated(hostile()))))
    assert [row[0][:1] for row in rows] == ["'", "'", "'", "'", "'", ""]
    assert [row[1] for row in rows[1:]] == ["1.0", "2.5", "", "-3.0", "0.0"]
    assert all(len(row) == 2 for row in rows)


def test_hostile_text_in_markdown_stays_in_its_cell() -> None:
    text = formats.markdown(hostile())
    lines = text.splitlines()
    assert len(lines) == 2 + 2 + 5
    assert "<script" not in text
    assert "\u202e" not in text
    for line in lines[2:]:
        assert len(re.findall(r"(?<!\\)\|", line)) == 3
    for sign in "`$*":
        assert not re.search(rf"(?<!\\)\{sign}", lines[4]), sign


def test_hostile_text_in_latex_is_no_command() -> None:
    text = formats.latex(hostile())
    body = text[text.index(r"\midrule") :]
    assert r"\textbackslash{}x\_\{1\}" in body
    assert r"100\%" in body
    assert len(re.findall(r"(?<!\\)&", body)) == 5
    assert body.count("{") == body.count("}")


def test_hostile_text_in_a_terminal_is_text() -> None:
    console = Console(width=300, record=True)
    console.print(formats.terminal(hostile()))
    assert "[red]" in console.export_text()
    assert "\u202e" not in console.export_text()


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.8, "score", ".800"), (1.0, "score", "1.000"), (0.0, "score", ".000"), (-0.0123, "signed", "-.012"),
        (0.0123, "signed", "+.012"), (1234.6, "count", "1,235"), (12.34, "index", "12.3"), (None, "score", ""),
        (float("nan"), "count", ""), ("text", "score", "text"),
    ],
)  # fmt: skip
def test_numbers_as_this_field_prints_them(value: object, kind: str, text: str) -> None:
    assert formats.number(value, kind) == text


def test_many_languages_are_summarised_and_whole_in_csv(
    made: evidence.Result, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST", 12)  # the demo has 13
    names = [table.name for table in tables.of(made.says)]
    assert names == ["summary", "matrix", "extremes", "languages", "bias", "spread", "groups"]
    by_class, extremes = list(tables.of(made.says))[1:3]
    directed = evidence.directions(made.says)
    single = directed[directed["setting"].isin(["mono", "cross"])]
    high = [tag for tag in made.says["task"]["query_languages"] if languages.resource_class(tag) == 5]
    mean = single[single["query_lang"].isin(high) & single["pool"].isin(high)]["AP"].mean()
    assert by_class.cells.set_index("q \\ d").loc["5", "5"] == pytest.approx(mean)
    cross = directed[directed["setting"] == "cross"]["AP"]
    assert extremes.cells["AP"].iloc[0] == cross.max()
    assert extremes.cells["AP"].iloc[-1] == cross.min()
    assert len(extremes.cells) == 20
    text = bench("report", RESULT, "--format", "csv", "--setting", "cross").out
    assert len(text.split("\n\n")[0].splitlines()) == 15  # head, 13 languages, mean


def test_worst_and_own_cells_are_marked(made: evidence.Result) -> None:
    table = next(table for table in tables.of(made.says) if table.name == "matrix")
    values = table.cells.iloc[:-1, 1:-1].to_numpy(float)
    row, column = np.unravel_index(values.argmin(), values.shape)
    assert table.marks[int(row), int(column) + 1] == "worst"
    assert table.marks[1, 2] in ("own", "worst")
    assert f"<ins>{formats.number(values.min())}</ins>" in formats.markdown(table)
