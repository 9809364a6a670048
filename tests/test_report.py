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

from benchmark import averages, bias, evidence, measures
from leaderboard import formats, tables
from leaderboard.tables import Table
from tasks import languages
from tests.conftest import Ran

Bench = Callable[..., Ran]
RESULT = "results/random/demo"
FORMATS = ("terminal", "md", "latex", "csv", "json")
HOSTILE = "=cmd()|`a` $x$ **b** <script>alert(1)</script> [red]\u202e & 100% \\x_{1}\n# h"


@pytest.fixture
def made(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, bench: Bench) -> evidence.Result:
    monkeypatch.chdir(tmp_path)
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
    rows = pd.read_csv(io.StringIO(ran.out))
    values = measures.evaluate(made.ranks(), [measures.parse("nDCG@5")])
    parsed = [measures.parse("nDCG@5")]
    directed = averages.directions(averages.sums(values, parsed), parsed)
    cross = directed[directed["setting"] == "cross"].set_index(["query_lang", "pool"])["nDCG@5"]
    found = rows.set_index(["query_language", "document_languages"])["nDCG@5"]
    assert len(found) == len(cross) == 156
    np.testing.assert_allclose(found, cross.reindex(found.index), atol=1e-6)
    table = next(tables.of_setting(evidence.measured(made, "nDCG@5").says, "cross", "nDCG@5"))
    grid = table.cells.set_index("q \\ d")
    assert grid.isna().loc["en", "en"]
    np.testing.assert_allclose(grid["mean"].iloc[:-1], cross.groupby("query_lang").mean(), atol=1e-6)
    np.testing.assert_allclose(grid.loc["mean"].iloc[:-1].astype(float), cross.groupby("pool").mean(), atol=1e-6)
    assert grid["mean"].iloc[-1] == pytest.approx(cross.mean(), abs=1e-6)


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


def test_every_mean_has_its_interval(made: evidence.Result, bench: Bench) -> None:
    says = made.says
    for row in [*says["directions"], *says["averages"]]:
        if row.get("average") == "chance":
            assert "intervals" not in row
            continue
        assert row["intervals"].keys() == row["measures"].keys()
        for name, (low, high) in row["intervals"].items():
            assert 0 <= low <= row["measures"][name] <= high <= 1, (row, name)
    for row in says["bias"]:
        assert set(row["intervals"]) == set(bias.MEASURES)
        low, high = row["intervals"]["own_first"]
        assert low <= row["own_first"] <= high
    asked = says["task"]["query_languages"]
    assert [(row["setting"], row["query_language"]) for row in says["languages"]] == [
        (setting, lang) for setting in ("cross", "pair") for lang in asked
    ]
    other = evidence.measured(made, "P@7").says
    for name in ("directions", "averages", "languages"):
        pairs = [row.get("intervals", {}) for row in other[name]]
        assert [{key: pair[key] for key in pair if key != "P@7"} for pair in pairs] == [
            row.get("intervals", {}) for row in says[name]
        ]
        assert any(pair.get("P@7") for pair in pairs)
    rows = pd.read_csv(io.StringIO(bench("report", RESULT, "--format", "csv", "--setting", "mono").out))
    expected = [row["intervals"]["AP"] for row in says["directions"] if row["setting"] == "mono"]
    assert rows[["AP_low", "AP_high"]].to_numpy().tolist() == expected
    macro = next(row for row in says["averages"] if (row["setting"], row["average"]) == ("cross", "macro"))
    shown = "–".join(formats.number(end) for end in macro["intervals"]["AP"])
    for form in ("terminal", "md", "latex"):
        ran = bench("report", RESULT, "--format", form)
        assert shown in ran.out, form
        assert re.search(r"95 \\?%", ran.out), form
    assert json.loads(bench("report", RESULT, "--format", "json").out)["intervals"]["unit"] == "topic"


def test_evidence_of_an_earlier_version_has_no_intervals_and_every_table(made: evidence.Result, bench: Bench) -> None:
    says = {name: value for name, value in made.says.items() if name not in ("intervals", "languages")}
    for name in ("directions", "averages", "bias"):
        says[name] = [{key: value for key, value in row.items() if key != "intervals"} for row in says[name]]
    (made.folder / "evidence.json").write_text(evidence.dumps(says), encoding="utf-8")
    for form in FORMATS:
        ran = bench("report", RESULT, "--format", form)
        assert ran.code == 0, ran.err
        assert not re.search(r"95 \\?%", ran.out), form
    rows = pd.read_csv(io.StringIO(bench("report", RESULT, "--format", "csv").out))
    assert rows["AP_low"].isna().all()
    assert bench("leaderboard", "results").code == 0


@pytest.mark.parametrize("setting", ["mono", "cross", "multi", "pair", "strong"])
def test_every_setting_in_every_format(setting: str, made: evidence.Result, bench: Bench) -> None:
    shown = {form: bench("report", RESULT, "--setting", setting, "--format", form) for form in FORMATS}
    assert {form for form, ran in shown.items() if ran.code} == set()
    found = json.loads(shown["json"].out)
    assert {row["setting"] for row in found["directions"]} == ({setting} - {"strong"})
    assert bool(found["strong"]) == (setting == "strong")
    assert bool(found["bias"]) == (setting == "multi")
    rows = list(csv.DictReader(io.StringIO(shown["csv"].out)))
    assert {row["setting"] for row in rows} == {setting}
    assert {(row["model"], row["task"]) for row in rows} == {("random", "demo")}
    assert not {value for row in rows for value in row.values()} & {"nan", "None", "inf"}
    best = max(float(row["AP"]) for row in rows)
    for form in ("terminal", "md", "latex"):
        assert formats.number(best) in shown[form].out, form
        assert "nan" not in re.findall(r"[a-z]+", shown[form].out), form


def test_strong_less_weak_is_shown_and_never_above(made: evidence.Result) -> None:
    strong, drop, *_ = tables.of_setting(made.says, "strong")
    weak = averages.matrix(evidence.directions(made.says), "AP").to_numpy(float)
    shown = drop.cells.iloc[:-1, 1:-1].to_numpy(float)
    np.testing.assert_allclose(shown, strong.cells.iloc[:-1, 1:-1].to_numpy(float) - weak)
    assert (shown <= 1e-9).all()


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
        (float("nan"), "count", ""), ("text", "score", "text"), (-0.0, "score", ".000"), (-1e-9, "signed", ".000"),
    ],
)  # fmt: skip
def test_numbers_as_this_field_prints_them(value: object, kind: str, text: str) -> None:
    assert formats.number(value, kind) == text


def test_many_languages_are_summarised_by_group(made: evidence.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST", 12)  # the demo has 13
    found = list(tables.of(made.says))
    assert [table.name for table in found] == [
        "summary", "matrix by resource class", "matrix by script", "matrix by family", "extremes", "languages", "bias",
        "spread", "groups",
    ]  # fmt: skip
    directed = evidence.directions(made.says)
    single = directed[directed["setting"].isin(["mono", "cross"])]
    high = [tag for tag in made.says["task"]["query_languages"] if languages.resource_class(tag) == 5]
    mean = single[single["query_lang"].isin(high) & single["pool"].isin(high)]["AP"].mean()
    by_class = found[1].cells.set_index("q \\ d")
    assert by_class.loc["5", "5"] == pytest.approx(mean)
    assert by_class.loc["mean", "mean"] == pytest.approx(single["AP"].mean())  # of directions, not of groups
    assert by_class.loc["5", "mean"] == pytest.approx(single[single["query_lang"].isin(high)]["AP"].mean())
    extremes = found[4].cells["AP"]
    cross = directed[directed["setting"] == "cross"]["AP"]
    assert (extremes.iloc[0], extremes.iloc[-1], len(extremes)) == (cross.max(), cross.min(), 20)
    strong = [table.title for table in tables.of_setting(made.says, "strong")]
    assert len(strong) == len(set(strong)) == 8  # by three groups and the extremes, twice
    assert sum("strong minus weak" in title for title in strong) == 4


def test_worst_and_own_cells_are_marked(made: evidence.Result) -> None:
    table = next(table for table in tables.of(made.says) if table.name == "matrix")
    values = table.cells.iloc[:-1, 1:-1].to_numpy(float)
    row, column = np.unravel_index(values.argmin(), values.shape)
    assert table.marks[int(row), int(column) + 1].endswith("worst")
    assert [table.marks[place, place + 1].split()[0] for place in range(13)] == ["own"] * 13
    assert re.search(rf"<ins>(\*\*)?{re.escape(formats.number(values.min()))}", formats.markdown(table))


def test_plots_are_drawn_side_by_side_and_only_of_the_same_data(
    made: evidence.Result, bench: Bench, tmp_path: Path
) -> None:
    assert bench("run", "--model", "random", "--task", "demo", "--name", "part", "--languages", "en,sw").code == 0
    apart = bench("report", RESULT, "results/part/demo", "--plots", tmp_path / "plots")
    apart.failed("need results on the same data")
    assert (apart.out, (tmp_path / "plots").exists()) == ("", False)
    ran = bench("report", RESULT, "--measure", "nDCG@5", "--format", "json", "--plots", tmp_path / "plots")
    assert ran.code == 0, ran.err
    drawn = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert drawn == sorted(Path(line).name for line in ran.err.splitlines())
    names = ("matrix", "alignment", "share", "distance", "drop", "scatter")
    assert {path.removeprefix("demo-") for path in drawn} == {
        f"{name}.{kind}" for name in names for kind in ("svg", "png")
    }


LEGAL = {  # query languages, document languages, wordings of a topic in a language
    "one language": (["en"], ["en"], 1),
    "one topic in one language each": (["en", "sw", "th"], ["en"], 1),
    "languages on one side": (["en", "sw"], ["ace-Arab", "zh-Hans"], 1),
    "several wordings": (["en", "sw"], ["en", "sw"], 3),
    "many languages": (["ar", "de", "en", "es", "fr", "hi", "ja", "ko", "ru", "sw", "th", "zh"], ["en", "ace-Arab"], 1),
}


@pytest.mark.parametrize("kind", LEGAL)
@pytest.mark.parametrize("ignore", [False, True])
def test_odd_but_legal_tasks_have_every_table(
    kind: str, ignore: bool, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables, "MOST", 8)
    asked, searched, wordings = LEGAL[kind]
    task = tmp_path / "task"
    task.mkdir()
    (task / "card.toml").write_text(
        'name = "odd"\nversion = "1"\ntitle = "Odd"\ndescription = "d"\nreader = "folder"\nlicence = "CC0"\n'
        'citation = ""\nsettings = ["mono", "cross", "multi", "pair"]\nmeasures = ["AP", "nDCG@10"]\n'
        f"ignore_identical_ids = {str(ignore).lower()}\n"
    )
    documents = [
        (f"t{i}/{lang}/0" if ignore else f"{lang}{i}", lang, f"text {lang} {i}") for lang in searched for i in range(5)
    ]
    queries = [
        (f"t{i}/{lang}/{j}", lang, f"question {i} {j} {lang}", f"t{i}")
        for i in range(4) for lang in asked for j in range(wordings)
    ]  # fmt: skip
    judgements = [
        (f"t{i}", documents[place * 5 + (i + 1) % 5][0], 1 + i % 3) for i in range(4) for place in range(len(searched))
    ]
    for name, rows, columns in (
        ("documents", documents, ["doc_id", "lang", "text"]),
        ("queries", queries, ["query_id", "lang", "text", "topic"]),
        ("judgements", judgements, ["topic", "doc_id", "relevance"]),
    ):
        pd.DataFrame(rows, columns=columns).to_csv(task / f"{name}.tsv", sep="\t", index=False)
    ran = bench("run", "--model", "random", "--task", task)
    assert ran.code == 0, ran.err
    result = evidence.read(Path("results/random/odd"))
    for form in FORMATS:
        ran = bench("report", result.folder, "--format", form)
        assert ran.code == 0, ran.err
        assert "…" not in ran.out, form
    for setting in {row["setting"] for row in result.says["directions"]} | {"strong"}:
        for table in tables.of_setting(result.says, setting):
            assert len(table.cells), table.title
    ranks = result.ranks()
    whole = ranks[ranks["pool"] == "*"]
    left_out = whole["query_id"].astype("str").isin([doc_id for doc_id, *_ in documents])
    assert (whole["documents"].astype(int) == len(documents) - left_out).all()
    assert left_out.any() == (ignore and bool({*asked} & {*searched}))
    assert bench("leaderboard", "results").code == 0
