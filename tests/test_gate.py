"""The gate as a person meets it: what it prints, what CI reads of it, its thresholds, and what one can get wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from lxml import etree

from benchmark import check, evidence, thresholds
from benchmark.thresholds import Thresholds, Where
from leaderboard import ci, gate
from tasks.errors import UserError
from tests import harmed
from tests.conftest import Ran
from tests.harmed import Given

Bench = Callable[..., Ran]
HOSTILE = "=x\x07<b>&\"'|`a`%0A::error::\ud800 *new*, v1: \u202eend"
JUNIT = """
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
 <xs:complexType name="counted">
  <xs:attribute name="name" type="xs:string" use="required"/>
  <xs:attribute name="tests" type="xs:nonNegativeInteger" use="required"/>
  <xs:attribute name="failures" type="xs:nonNegativeInteger" use="required"/>
  <xs:attribute name="errors" type="xs:nonNegativeInteger" use="required"/>
 </xs:complexType>
 <xs:complexType name="problem"><xs:simpleContent><xs:extension base="xs:string">
  <xs:attribute name="message" type="xs:string"/><xs:attribute name="type" type="xs:string" use="required"/>
 </xs:extension></xs:simpleContent></xs:complexType>
 <xs:element name="testsuites"><xs:complexType><xs:complexContent><xs:extension base="counted">
  <xs:sequence><xs:element name="testsuite" maxOccurs="unbounded">
   <xs:complexType><xs:complexContent><xs:extension base="counted">
    <xs:sequence><xs:element name="testcase" maxOccurs="unbounded"><xs:complexType>
     <xs:choice minOccurs="0">
      <xs:element name="failure" type="problem"/><xs:element name="error" type="problem"/><xs:element name="skipped"/>
     </xs:choice>
     <xs:attribute name="name" type="xs:string" use="required"/>
     <xs:attribute name="classname" type="xs:string" use="required"/>
     <xs:attribute name="time" type="xs:decimal"/>
    </xs:complexType></xs:element></xs:sequence>
    <xs:attribute name="skipped" type="xs:nonNegativeInteger"/><xs:attribute name="time" type="xs:decimal"/>
   </xs:extension></xs:complexContent></xs:complexType>
   <xs:unique name="case">
    <xs:selector xpath="testcase"/><xs:field xpath="@classname"/><xs:field xpath="@name"/>
   </xs:unique>
  </xs:element></xs:sequence>
 </xs:extension></xs:complexContent></xs:complexType></xs:element>
</xs:schema>
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks: in `after`, `one` lost Thai and `two` is as it was; `prompted` was run with a prompt."""
    folder = tmp_path_factory.mktemp("gate")
    patch = pytest.MonkeyPatch()
    patch.setenv("ISOGLOSS_CACHE", str(folder / "cache"))
    collection = harmed.task(30)
    vectors = harmed.model(collection)
    bad = harmed.noisy(collection, vectors, 0.3, 0, "th")
    for label in ("one", "two"):
        harmed.run(folder, Given("before", collection, vectors), collection, label)
        harmed.run(folder, Given("after", collection, bad if label == "one" else vectors), collection, label)
    prompts = {"query": "query: ", "document": ""}
    harmed.run(folder, Given("prompted", collection, vectors, prompts=prompts), collection, "one")
    patch.undo()
    return folder


@pytest.fixture
def here(results: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(results)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return results


def parsed(path: Path) -> ElementTree.Element:
    schema = etree.XMLSchema(etree.fromstring(JUNIT))
    schema.assertValid(etree.parse(path))
    return ElementTree.parse(path).getroot()


def test_it_fails_names_thai_and_tells_every_tool(
    bench: Bench, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary, junit = tmp_path / "summary.md", tmp_path / "junit.xml"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ran = bench("check", "after", "--baseline", "before", "--junit", junit, "--github")
    assert ran.code == 1, ran.err
    for part in ("one: regressed (after against before)", "two: same (after against before)", "Thai (th)"):
        assert part in ran.out
    rows = [line for line in ran.out.splitlines() if re.match(r" \w+ \(\w\w\) ", line)]
    assert len(rows) == 22
    assert [line.split()[0] for line in rows if "regressed" in line] == ["Thai"]
    errors = [line for line in ran.out.splitlines() if line.startswith("::")]
    assert all(re.match(r"::(error|notice) title=[^:,]+::.+$", line) for line in errors)
    titles = [re.search("title=([^:]+)::", line).group(1) for line in errors]  # type: ignore[union-attr]
    assert titles == [
        "one%3A averages regressed",
        "one%3A Thai (th) regressed",
        "one%3A rank_distance regressed",
        "two",
    ]
    root = parsed(junit)
    assert {suite.get("name"): int(suite.get("failures", "")) > 0 for suite in root} == {"one": True, "two": False}
    cases = [case.get("name", "") for case in root.iter("testcase") if case.find("failure") is not None
             and case.get("classname") == "one.languages"]  # fmt: skip
    assert {re.sub(r"(.*)\b(\w\w),.*", r"\2", name) for name in cases} == {"th"}
    assert any(case.get("name") == "nDCG@5, from th, cross" for case in root.iter("testcase"))
    text = summary.read_text()
    assert text.startswith("before\n## one: regressed")
    assert "**one: Thai (th) regressed**" in text
    assert "| Thai (th) | <ins>-" in text


def test_it_passes_where_nothing_changed(bench: Bench, here: Path, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    ran = bench("check", "after/two", "--baseline", "before/two", "--junit", junit, "--github")
    assert (ran.code, ran.err) == (0, "")
    assert "::notice title=two::two: same (after against before)" in ran.out
    assert "::error" not in ran.out
    assert parsed(junit).get("failures") == "0"


def test_it_does_not_pass_what_it_cannot_judge(bench: Bench, here: Path, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    ran = bench("check", "prompted", "--baseline", "before", "--junit", junit, "--github")
    ran.failed("one could not be judged, not comparable: the query prompt was «» and is «query: »",
               "two could not be judged, not comparable: only the baseline has this task")  # fmt: skip
    assert "one: not comparable (prompted against before)" in ran.out
    assert "::error title=one could not be judged::not comparable: the query prompt was" in ran.out
    root = parsed(junit)
    assert (root.get("errors"), root.get("failures")) == ("2", "0")
    allowed = tmp_path / "limits.toml"
    allowed.write_text('allow = ["prompts"]\n')
    ran = bench("check", "prompted/one", "--baseline", "before", "--thresholds", allowed)
    ran.failed("two could not be judged")
    ran = bench("check", "prompted/one", "--baseline", "before/one", "--thresholds", allowed)
    assert ran.code == 0, ran.err
    assert "The query prompt was «» and is «query: »." in ran.out


def test_json_and_markdown(bench: Bench, here: Path) -> None:
    ran = bench("check", "after", "--baseline", "before", "--format", "json")
    assert ran.code == 1
    (line,) = ran.out.splitlines()
    says = json.loads(line)
    assert (says["exit_code"], says["thresholds"]) == (1, None)
    assert [(task["task"], task["verdict"]) for task in says["tasks"]] == [("one", "regressed"), ("two", "same")]
    cells = says["tasks"][0]["cells"]
    thai = [cell for cell in cells if cell["verdict"] == "regressed" and cell["kind"] == "languages"]
    assert {cell["query_lang"] or cell["pool"] for cell in thai} == {"th"}
    assert {cell["least"] for cell in cells} == {None}
    ran = bench("check", "after", "--baseline", "before", "--format", "md")
    assert ran.code == 1
    assert ran.out.startswith("## one: regressed (after against before)\n\n**one: averages regressed**: ")


def test_thresholds_lie_beside_the_baseline(bench: Bench, here: Path) -> None:
    file = here / "before" / thresholds.FILE
    try:
        file.write_text("max_drop = 1.0\nlevel = 0.01\n[max_rise]\n")
        for baseline in ("before", "before/one"):
            ran = bench("check", "after/one", "--baseline", baseline, "--format", "terminal")
            assert ran.code == (0 if baseline == "before/one" else 2), ran.err
            assert "thresholds: before/bench-check.toml" in ran.err.replace(str(here.resolve()) + "/", "")
        assert "rank_distance" not in ran.out
        file.write_text("max_drip = 1.0")
        bench("check", "after", "--baseline", "before").failed("bench-check.toml: «max_drip» is not known", "max_drop")
    finally:
        file.unlink()
    assert bench("check", "after/one", "--baseline", "before/one").code == 1


def test_names_from_outside_are_shown_as_they_are(here: Path, tmp_path: Path) -> None:
    result = evidence.read(here / "after" / "one")
    named = evidence.Result(result.folder, result.says | {"model": result.says["model"] | {"name": HOSTILE}})
    found = check.check({HOSTILE: evidence.read(here / "before" / "one")}, {HOSTILE: named}, Thresholds())
    lines = ci.annotations(found)
    assert all(line.startswith("::error title=") and len(line.splitlines()) == 1 for line in lines)
    assert all(
        "%250A" in line and line.count("::") - line.partition("::")[2].partition("::")[2].count("::") == 2
        for line in lines
    )
    path = tmp_path / "junit.xml"
    path.write_bytes(ci.junit(found))
    assert parsed(path)[0].get("name") == HOSTILE.replace("\x07", "").replace("\ud800", "")
    text = ci.markdown(found)
    assert "<b>" not in text
    assert r"\|" in text
    json.dumps(ci.says(found, 1))


def test_many_directions_are_not_many_annotations(here: Path) -> None:
    before, after = ({"one": evidence.read(here / name / "one")} for name in ("before", "after"))
    (found,) = check.check(before, after, Thresholds())
    found.cells.loc[found.cells["kind"] == "directions", ["verdict", "through"]] = ["regressed", ""]
    told = [finding for finding in gate.findings(found) if "directions" in finding.title]
    (finding,) = told
    assert finding.text.count("cross: ") == gate.WORST
    assert finding.text.endswith("; and 100 more")


WRONG: list[tuple[str, tuple[str, ...]]] = [
    ("max_drop = ", ("is not valid TOML",)),
    ("max_drop = -0.1", ("max_drop should be a number from 0 to 1, and is -0.1",)),
    ("max_drop = true", ("max_drop should be a number from 0 to 1, and is True",)),
    ('max_drop = "0.1"', ("max_drop should be a number from 0 to 1, and is '0.1'",)),
    ("max_drop = nan", ("max_drop should be a number",)),
    ("level = 0", ("level should be above 0 and at most 0.5, and is 0",)),
    ("mesures = []", ("«mesures» is not known; did you mean measures",)),
    ('measures = "AP"', ("measures should be a list of texts, and is 'AP'",)),
    ('measures = ["NDCG@10"]', ("measures: «NDCG@10» is not a measure; did you mean nDCG?",)),
    ('allow = ["dtypes"]', ("allow: «dtypes» is not known; did you mean dtype?",)),
    ("max_rise = 0.1", ("max_rise should be a table; begin it with [max_rise]",)),
    ("[max_rise]\nrank_distanse = 1", ("«rank_distanse» is not known; did you mean rank_distance",)),
    ("[max_rise]\nown_first = 3", ("[max_rise] own_first should be a number from 0 to 1, and is 3",)),
    ("[max_rise]\nrank_distance = -3", ("rank_distance should be a number of 0 or more, and is -3",)),
    ("where = 1", ("where should be tables; begin each with [[where]]",)),
    ("[[where]]\nmax_drop = 0.1", ("[[where]] 1 should have one of task, setting, language, measure",)),
    ('[[where]]\nlanguage = "th"', ("[[where]] 1 should have one of task", "max_drop and min_score")),
    ('[[where]]\nlanguage = "thai language"\nmax_drop = 0.1', ("«thai language» is not a language tag",)),
    ('[[where]]\nlanguage = "sw"\nmax_drop = 0.1', ("the language «sw» is not checked", "ar, de")),
    ('[[where]]\nsetting = "cros"\nmax_drop = 0.1', ("setting: «cros» is not known; did you mean cross",)),
    ('[[where]]\nsetting = "pair"\nmax_drop = 0.1', ("the setting «pair» is not checked",)),
    ('[[where]]\nmeasure = "AP"\nmax_drop = 0.1', ("the measure «AP» is not checked", "nDCG@5")),
    ('[[where]]\ntask = "three"\nmin_score = 0.1', ("the task «three» is not checked; take one, two",)),
    ('[[where]]\ntask = 3\nmin_score = 0.1', ("[[where]] 1: task should be a text, and is 3",)),
    ('[[where]]\ntask = "one"\nmin_score = 2', ("[[where]] 1: min_score should be a number from 0 to 1, and is 2",)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), WRONG)
def test_thresholds_that_are_wrong(text: str, parts: tuple[str, ...], bench: Bench, here: Path, tmp_path: Path) -> None:
    path, junit = tmp_path / "limits.toml", tmp_path / "junit.xml"
    path.write_text(text, encoding="utf-8")
    bench("check", "after", "--baseline", "before", "--thresholds", path, "--junit", junit).failed(*parts, str(path))
    assert not junit.exists()


def test_thresholds_that_are_right(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(
        'measures = ["AP", "R@10", "AP"]\nmax_drop = 0.02\nlevel = 0.1\nallow = ["dtype", "length"]\n'
        '[max_rise]\nmax_rank = 2.5\n[[where]]\nsetting = "multi"\nlanguage = "th"\nmin_score = 0\n'
        '[[where]]\ntask = "xquad-r@context"\nmax_drop = 1\n'
    )
    assert thresholds.read(path) == Thresholds(
        measures=("AP", "R@10"), max_drop=0.02, level=0.1, allow=("dtype", "length"), max_rise={"max_rank": 2.5},
        where=(Where(setting="multi", language="th", min_score=0), Where(task="xquad-r@context", max_drop=1)),
        source=path,
    )  # fmt: skip
    path.write_text("")
    assert thresholds.read(path) == Thresholds(source=path)


def test_the_example_in_the_docstring_is_right(tmp_path: Path) -> None:
    (text,) = re.findall("```toml\n(.*?)```", thresholds.__doc__ or "", re.S)
    path = tmp_path / "limits.toml"
    path.write_text(text)
    assert thresholds.read(path).where[0].language == "th"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("after",), ("--baseline",)),
        (("after", "--baseline", "nowhere"), ("nowhere holds no result", "name the folder")),
        (("nowhere", "--baseline", "before"), ("nowhere holds no result",)),
        ((".", "--baseline", "before"), (". holds no result; name the folder of a result, or of a model",)),
        (("after", "--baseline", "before", "--format", "html"), ("«html» is not a format; take terminal, md, json",)),
        (("after", "--baseline", "before", "--thresholds", "no.toml"), ("There are no thresholds at no.toml",)),
        (("after/two", "--baseline", "before/two", "--junit", "no/where.xml"), ("no/where.xml",)),
    ],
)
def test_what_a_person_gets_wrong(words: tuple[str, ...], parts: tuple[str, ...], bench: Bench, here: Path) -> None:
    bench("check", *words).failed(*parts)


def test_damaged_ranks_are_an_error_and_no_verdict(bench: Bench, here: Path, tmp_path: Path) -> None:
    copied = tmp_path / "two"
    copied.mkdir()
    (copied / "evidence.json").write_bytes((here / "after/two/evidence.json").read_bytes())
    (copied / "ranks.parquet").write_text("no")
    bench("check", copied, "--baseline", "before/two").failed("ranks.parquet cannot be read")


def test_earlier_results_kept_aside_are_not_checked(here: Path) -> None:
    aside = here / "after" / "one~12345678"
    aside.mkdir()
    (aside / "evidence.json").write_text("{}")
    try:
        assert sorted(check.results_in(here / "after")) == ["one", "two"]
    finally:
        (aside / "evidence.json").unlink()
        aside.rmdir()


def test_a_whole_cell_says_what_happened() -> None:
    row: dict[str, Any] = {
        "kind": "directions", "side": "", "setting": "cross", "query_lang": "de", "pool": "th", "name": "AP",
        "before": 0.5, "after": 0.2, "difference": -0.3, "limit": 0.01, "least": 0.25, "below": True, "noise": 0.0,
        "p_adjusted": 1e-9, "verdict": "regressed",
    }  # fmt: skip
    assert gate.cell(row) == "de→th, cross"
    assert gate.sentence(row) == "AP .500 → .200 (-.300; at least .250 is asked for; .010 is allowed, p <.001)"


def test_folders_are_read_by_task(here: Path) -> None:
    assert list(check.results_in(here / "after" / "one")) == ["one"]
    with pytest.raises(UserError, match="holds no result"):
        check.results_in(here)
