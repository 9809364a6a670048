"""The page of the leaderboard in a real browser: what it shows, what it does, and what it must never do."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmark import cli
from benchmark.evidence import Json, Result
from leaderboard import boards, site
from leaderboard.boards import Board, Row

ROOT = Path(__file__).parent.parent
ARGUMENTS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
ARGUMENTS += "--disable-component-update --disable-sync"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LANGUAGES = "am,de,en,hi,ru,sw,zh"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "=cmd()",
    "__proto__",
    "מודל עברי",
    "a&b=c#d%41",
    "long" * 50,
)
PAPER = "LaBSE <b>of a paper</b>"
Open = Callable[..., Any]


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real results on the embedded task: two boards, models that tie, one without the multi setting."""
    folder = tmp_path_factory.mktemp("page") / "results"
    runs = [
        ("muse", "--languages", LANGUAGES),
        ("random", "--languages", LANGUAGES),
        ("random", "--languages", LANGUAGES, "--name", "no multi", "--settings", "mono,cross"),
        ("random", "--languages", "am,en,sw", "--name", "part"),
        *(("random", "--languages", LANGUAGES, "--name", name, "--notes", name) for name in HOSTILE),
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ISOGLOSS_CACHE", str(folder.with_name("cache")))  # of its own: the speed is in the table
        for model, *words in runs:
            common = ["--model", model, "--task", "demo", "--results", str(folder)]
            patched.setattr("sys.argv", ["bench", "run", *common, *words])
            with pytest.raises(SystemExit) as stopped:
                cli.main()
            assert not stopped.value.code
    return folder


@pytest.fixture(scope="session")
def read(results: Path) -> list[Board]:
    """The boards, with rows that papers report on the first."""
    whole, part = boards.read(results)
    scores = {"mono": {"AP": 0.9}, "cross": {"AP": 0.8}, "multi": {"AP": 0.7}}
    reported = (
        Row(PAPER, scores, {"rank_distance": 12.0}, {}, source="arXiv:2408.10536", note="mean over <i>questions</i>"),
        Row("of nowhere", {"multi": {"AP": 0.1}}, {}, {}, source="javascript:alert(3)"),
    )
    return [replace(whole, rows=(reported[0], *whole.rows, reported[1])), part]


@pytest.fixture(scope="session")
def file(read: list[Board], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site") / "index.html"
    path.write_text(site.page(read), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    needed = bool(os.environ.get("ISOGLOSS_BROWSER_REQUIRED"))
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        (pytest.fail if needed else pytest.skip)(f"needs a browser: {', '.join(BROWSERS)} are not there")
    if needed:
        import playwright.sync_api as api
    else:
        api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=ARGUMENTS.split())
        yield started
        started.close()


@pytest.fixture
def show(browser: Any, file: Path) -> Iterator[Open]:
    """Open the page as a person does, from a file. At the end: nothing was asked of the network, nothing went wrong."""
    contexts = []
    wrong: list[str] = []

    def refuse(dialog: Any) -> None:
        wrong.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def call(
        fragment: str = "",
        *,
        width: int = 1280,
        scheme: str = "light",
        script: bool = True,
        path: Path = file,
        touch: bool = False,
    ) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script, has_touch=touch
        )
        contexts.append(context)
        context.route(re.compile("^(?!file:|data:)"), lambda route: route.abort())
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on(
            "request", lambda request: wrong.append(request.url) if request.url[:5] not in ("file:", "data:") else None
        )
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", refuse)
        page.goto(f"{path.as_uri()}{fragment}")
        return page

    yield call
    for context in contexts:
        context.close()
    assert wrong == []


def column(page: Any, label: str) -> list[str]:
    """Return a column of the ranking that is shown, as its sort keys; "" for a hole."""
    return page.evaluate(  # type: ignore[no-any-return]
        """([label]) => {
            const table = document.querySelector("section.board:not([hidden]) .ranking");
            const head = [...table.querySelectorAll("th[data-column]")].find((th) => th.textContent === label);
            return [...table.tBodies[0].rows].filter((row) => !row.hidden)
                .map((row) => row.cells[head.dataset.column].dataset.value ?? "");
        }""",
        [label],
    )


def names(page: Any) -> list[str]:
    return column(page, "model")


def heading(page: Any, label: str) -> Any:
    return page.locator("section.board:not([hidden]) .ranking thead button").get_by_text(label, exact=True)


def heats(page: Any) -> list[dict[str, dict[str, str]]]:
    """Return the matrices that are shown: text by row and column."""
    return page.evaluate(  # type: ignore[no-any-return]
        """() => [...document.querySelectorAll(".board:not([hidden]) .heat")].map((table) => {
            const across = [...table.tHead.rows[0].cells].slice(1).map((th) => th.textContent);
            return Object.fromEntries([...table.tBodies[0].rows].map((row) => [row.cells[0].textContent,
                Object.fromEntries(across.map((tag, j) => [tag, row.cells[j + 1].textContent]))]));
        })"""
    )


def choose(page: Any, **values: str) -> None:
    for name, label in values.items():
        page.locator(f".board:not([hidden]) select[name={name}]").select_option(label=label)


def said(board: Board, name: str) -> Json:
    return next(row.result.says for row in board.rows if row.name == name and row.result)


def weak(says: Json) -> dict[tuple[str, str], float]:
    return {
        (row["query_language"], row["document_languages"][0]): row["measures"]["AP"]
        for row in says["directions"]
        if row["setting"] != "multi"
    }


def strong(says: Json) -> dict[tuple[str, str], float]:
    return {(row["query_language"], row["document_language"]): row["measures"]["AP"] for row in says["strong"]}


def value(text: str) -> float:
    return float(text.replace("−", "-"))


# What it shows


def test_it_opens_from_a_file_and_asks_nobody(show: Open, read: list[Board]) -> None:
    page = show()
    assert page.title().startswith("Isogloss")
    assert page.locator("nav a").all_inner_texts() == [board.title for board in read]
    assert page.locator("section.board:visible").count() == 1
    assert names(page) == [row.name for row in read[0].rows]
    assert page.locator(".heat").count() == 1


def test_numbers_of_the_table_are_those_of_the_board(show: Open, read: list[Board]) -> None:
    page = show()
    muse = next(row for row in read[0].rows if row.name == "muse")
    place = names(page).index("muse")
    assert muse.result is not None
    expected = {
        "rank": 1,
        "mono": muse.scores["mono"]["AP"],
        "multi": muse.scores["multi"]["AP"],
        "mono → multi": muse.scores["multi"]["AP"] - muse.scores["mono"]["AP"],
        "rank distance": muse.bias["rank_distance"],
        "own language first": muse.bias["own_first"],
        "own in top 10, excess": muse.bias["own_excess@10"],
        "AWRF@10, uniform": muse.bias["awrf_uniform@10"],
        "worst language, multi": muse.worst["multi"][1],
        "texts/s": muse.result.says["cost"]["texts_per_second"],
    }
    for label, number in expected.items():
        assert float(column(page, label)[place]) == pytest.approx(number, abs=5.1e-5), label
    row = page.locator("section.board:visible .ranking tbody tr").nth(place)
    assert "float32" in row.inner_text()
    assert row.locator("abbr").inner_text() == muse.worst["multi"][0]
    chance = page.locator("section.board:visible tfoot").inner_text()
    average = next(
        row for row in said(read[0], "muse")["averages"] if (row["setting"], row["average"]) == ("multi", "chance")
    )
    assert f"{average['measures']['AP']:.3f}"[1:] in chance
    assert f"{muse.bias['rank_distance_chance']:,.0f}" in chance


def test_models_that_cannot_be_told_apart_share_a_rank(show: Open, read: list[Board]) -> None:
    page = show()
    cells = page.locator("section.board:visible .ranking tbody td.rank").all_inner_texts()
    shown = dict(zip(names(page), cells, strict=True))
    assert shown["muse"] == "1"
    assert shown["random"] == shown["=cmd()"] == "2="
    assert shown[PAPER] == shown["no multi"] == ""


def test_reported_rows_are_marked_and_link_to_nothing_but_arxiv(show: Open) -> None:
    page = show()
    rows = page.locator("section.board:visible tr.reported")
    assert rows.count() == 2
    assert "reported, arXiv:2408.10536 — not run here; mean over <i>questions</i>" in rows.nth(0).inner_text()
    assert rows.nth(0).locator("a").get_attribute("href") == "https://arxiv.org/abs/2408.10536"
    assert "javascript:alert(3)" in rows.nth(1).inner_text()
    assert rows.nth(1).locator("a").count() == 0
    links = page.evaluate("[...document.links].map((link) => link.getAttribute('href'))")
    assert all(re.match(r"#|leaderboard/[^/]+\.md$|https://arxiv\.org/abs/\d{4}\.\d{5}$", link) for link in links)


def test_how_a_model_was_run(show: Open, read: list[Board]) -> None:
    page = show()
    page.locator("section.board:visible .ranking a").get_by_text("muse", exact=True).click()
    block = page.locator("details.run[open]")
    text = block.inner_text()
    says = said(read[0], "muse")
    for part in (
        says["command"],
        says["model"]["fingerprint"],
        says["model"]["first_query_as_sent"],
        says["model"]["first_document_as_sent"],
        says["task"]["data_hash"],
        says["created"],
        "nDCG@10",
    ):
        assert part in text
    block.locator("button.copy").click()
    block.locator("button.copy", has_text=re.compile("Copied|Selected")).wait_for()


def test_about_the_task(show: Open, read: list[Board]) -> None:
    text = show(f"#{read[1].slug}").locator("section.board:visible").inner_text()
    task = read[1].task
    for part in (
        read[1].title,
        task["licence"],
        task["citation"],
        "Amharic",
        "48 topics",
        f"leaderboard/{read[1].slug}.md",
    ):
        assert part in text


# What it does


def test_sorting(show: Open) -> None:
    page = show()
    heading(page, "mono").click()
    found = column(page, "mono")
    numbers = [float(one) for one in found if one]
    assert numbers == sorted(numbers, reverse=True)
    head = heading(page, "mono").locator("..")
    assert head.get_attribute("aria-sort") == "descending"
    assert page.locator("section.board:visible [aria-sort]").count() == 1
    heading(page, "mono").click()
    assert head.get_attribute("aria-sort") == "ascending"
    found = column(page, "mono")
    numbers = [float(one) for one in found if one]
    assert numbers == sorted(numbers)
    assert found[-1] == ""  # a hole is last either way
    heading(page, "multi").click()
    descending = column(page, "multi")
    heading(page, "multi").click()
    assert column(page, "multi")[-1] == descending[-1] == ""


def test_sorting_is_stable_and_by_key(show: Open) -> None:
    page = show()
    before = names(page)
    heading(page, "rank distance").focus()
    page.keyboard.press("Enter")
    found = column(page, "rank distance")
    assert [float(one) for one in found if one] == sorted(float(one) for one in found if one)
    tied = [name for name in before if name in (*HOSTILE, "random")]  # the same vectors under several names
    assert [name for name in names(page) if name in tied] == tied
    heading(page, "model").click()
    assert names(page) != before
    assert sorted(names(page)) == sorted(before)
    heading(page, "rank").click()
    ranks = column(page, "rank")
    assert ranks[0] == "1"
    assert ranks[-3:] == ["", "", ""]


def test_filtering(show: Open) -> None:
    page = show()
    search = page.locator("section.board:visible [type=search]")
    search.fill("MUSE")
    assert names(page) == ["muse"]
    search.fill("arxiv")
    assert names(page) == [PAPER]
    search.fill("random no")  # by family, then by name
    assert "no multi" in names(page)
    assert "random" not in names(page)
    search.fill("nothing has this name")
    assert names(page) == []
    assert page.locator("section.board:visible output").inner_text() == "No model matches."
    search.fill("")
    page.get_by_label("reported by papers").uncheck()
    assert PAPER not in names(page)
    assert "muse" in names(page)
    page.get_by_label("reported by papers").check()
    assert PAPER in names(page)


def test_tasks_are_tabs_with_addresses(show: Open, read: list[Board]) -> None:
    page = show()
    page.locator("nav a").nth(1).click()
    page.locator("section.board").nth(0).wait_for(state="hidden")
    assert page.url.endswith(f"#{read[1].slug}")
    assert page.locator("nav a[aria-current]").inner_text() == read[1].title
    assert names(page) == ["part"]
    assert set(heats(page)[0]) == {"am", "en", "sw", "mean"}
    page.go_back()
    page.locator("section.board").nth(1).wait_for(state="hidden")


@pytest.mark.parametrize(("kind", "values"), [("weak: mono and cross", weak), ("strong: in the pool of all", strong)])
def test_cells_are_the_evidence(kind: str, values: Any, show: Open, read: list[Board]) -> None:
    page = show()
    choose(page, a="muse", kind=kind)
    (shown,) = heats(page)
    expected = values(said(read[0], "muse"))
    assert len(expected) == 7 * 7
    for (q, d), number in expected.items():
        assert value(shown[q][d]) == pytest.approx(number, abs=5.6e-4), (q, d)
    row = [number for (q, _), number in expected.items() if q == "de"]
    column = [number for (_, d), number in expected.items() if d == "de"]
    assert value(shown["de"]["mean"]) == pytest.approx(sum(row) / 7, abs=6e-4)
    assert value(shown["mean"]["de"]) == pytest.approx(sum(column) / 7, abs=6e-4)


def test_the_other_kinds(show: Open, read: list[Board]) -> None:
    page = show("#demo&a=muse")
    says = said(read[0], "muse")
    choose(page, kind="strong − weak")
    gap = strong(says)["de", "sw"] - weak(says)["de", "sw"]
    assert value(heats(page)[0]["de"]["sw"]) == pytest.approx(gap, abs=6e-4)
    choose(page, kind="language share in the top 10")
    share = next(row for row in says["language_share"] if (row["query_language"], row["k"]) == ("de", 10))["shares"]
    size = {row["pool"]: row["documents"] for row in says["pools"]}
    for tag, part in share.items():
        assert value(heats(page)[0]["de"][tag]) == pytest.approx(part - size[tag] / size["*"], abs=6e-4)
    choose(page, kind="consistency")
    alike = next(row for row in says["consistency"] if row["query_languages"] == ["de", "en"])["measures"]["RankC@10"]
    (shown,) = heats(page)
    assert shown["de"]["en"] == shown["en"]["de"]
    assert value(shown["de"]["en"]) == pytest.approx(alike, abs=6e-4)
    assert shown["de"]["de"] == "–"
    choose(page, a="no multi")
    assert "No values" in page.locator(".board:visible .panels").inner_text()


def test_two_models_side_by_side(show: Open, read: list[Board]) -> None:
    page = show()
    choose(page, a="muse", b="random")
    first, second, difference = heats(page)
    left, right = weak(said(read[0], "muse")), weak(said(read[0], "random"))
    for q, d in left:
        assert value(first[q][d]) == pytest.approx(left[q, d], abs=5.1e-3)
        assert value(second[q][d]) == pytest.approx(right[q, d], abs=5.1e-3)
        assert value(difference[q][d]) == pytest.approx(left[q, d] - right[q, d], abs=5.2e-3)
        if abs(left[q, d] - right[q, d]) > 0.01:
            assert difference[q][d][0] == ("+" if left[q, d] > right[q, d] else "−")
    scales = page.locator(".board:visible .legend").all_inner_texts()
    assert scales[0] == scales[1]
    choose(page, b="none")
    assert len(heats(page)) == 1


def test_a_tooltip_for_the_mouse_and_the_keyboard(show: Open, read: list[Board]) -> None:
    page = show("#demo&a=muse&b=random")
    left, right = weak(said(read[0], "muse")), weak(said(read[0], "random"))
    tip = page.locator(".tip")
    assert not tip.is_visible()
    table = page.locator(".board:visible .heat").nth(0)
    tags = read[0].task["query_languages"]
    cell = table.locator("tbody tr").nth(tags.index("en")).locator("td").nth(tags.index("de"))
    cell.hover()
    match = re.fullmatch(
        r"en → de \(English → German\) · AP (\S+) · n 48 · other model (\S+) \(([+−]\S+)\)", tip.inner_text()
    )
    assert match, tip.inner_text()
    expected = (left["en", "de"], right["en", "de"], left["en", "de"] - right["en", "de"])
    for text, number in zip(match.groups(), expected, strict=True):
        assert value(text) == pytest.approx(number, abs=6e-4)
    page.mouse.move(1, 1)
    assert not tip.is_visible()
    cells = table.locator("td[tabindex='0']")
    assert cells.count() == 1  # one stop for the whole table
    cells.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert tip.inner_text().startswith(f"{tags[1]} → {tags[1]} (")
    assert table.locator("td[tabindex='0']").get_attribute("class") == "own here"
    page.keyboard.press("End")
    assert tip.inner_text().startswith(f"{tags[1]} → mean")
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_a_tooltip_for_a_finger(show: Open) -> None:
    page = show("#demo&a=muse", width=390, touch=True)
    cell = page.locator(".board:visible .heat tbody tr").nth(1).locator("td").nth(2)
    cell.scroll_into_view_if_needed()
    cell.tap()
    tip = page.locator(".tip")
    assert " · n 48" in tip.inner_text()
    box = tip.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_the_address_restores_the_view(show: Open) -> None:
    page = show()
    choose(page, a="random", b="a&b=c#d%41", kind="strong − weak")
    again = show("#" + page.url.partition("#")[2])
    chosen = again.locator(".board:visible select").evaluate_all(
        "(all) => all.map((one) => one.selectedOptions[0].text)"
    )
    assert chosen == ["random", "a&b=c#d%41", "strong − weak"]
    assert heats(again) == heats(page)


@pytest.mark.parametrize(
    "fragment", ["#nothing", "#demo&a=nobody&b=__proto__x&kind=constructor", "#%E0%A4%A", "#&&=&a", "#_tip"]
)
def test_an_address_that_means_nothing_shows_the_first_task(fragment: str, show: Open) -> None:
    page = show(fragment)
    assert "muse" in names(page)
    assert len(heats(page)) == 1


def test_many_languages_are_pixels(show: Open, read: list[Board], tmp_path: Path) -> None:
    tags = [f"x{first}{second}" for first in "abcdefg" for second in "abcdefgh"]  # 56, of which few are languages
    muse = next(row for row in read[0].rows if row.name == "muse")
    assert muse.result is not None
    entries = [
        {"setting": "mono" if q == d else "cross", "query_language": q, "document_languages": [d], "n": 7,
         "documents": 9, "measures": {"AP": (i * 56 + j) / 56**2}}
        for i, q in enumerate(tags) for j, d in enumerate(tags)
    ]  # fmt: skip
    made = replace(muse, result=Result(muse.result.folder, muse.result.says | {"directions": entries}))
    task = read[0].task | {"query_languages": tags, "document_languages": tags}
    path = tmp_path / "many.html"
    path.write_text(site.page([replace(read[0], task=task, rows=(made,))]), encoding="utf-8")
    page = show(path=path, width=390)
    page.locator("canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.locator(".tip").inner_text() == "xac → xab (Kachari → Sambe) · AP .036 · n 7"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    choose(page, kind="strong: in the pool of all")
    assert "–" not in page.locator(".panels").inner_text()


# What it must never do


def test_names_from_anywhere_are_only_text(show: Open, read: list[Board]) -> None:
    page = show()
    assert set(HOSTILE) <= set(names(page))
    shown = page.locator("section.board:visible .ranking th.name bdi").all_inner_texts()
    assert set(HOSTILE) <= set(shown)
    for name in HOSTILE:
        choose(page, a=name, b=name)
        titles = page.locator(".board:visible .panel figcaption bdi").all_inner_texts()
        assert titles == [name, name]
        assert page.locator(".board:visible select[name=a]").evaluate("(one) => one.selectedOptions[0].text") == name
    for details in page.locator("section.board:visible details.run").all():
        details.evaluate("(one) => { one.open = true; }")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert page.evaluate("({}).polluted === undefined && Object.keys(Object.prototype).length === 0")


def test_a_language_tag_or_title_from_anywhere_is_only_text(show: Open, read: list[Board], tmp_path: Path) -> None:
    evil = "</script><script>alert(4)</script>\u2028"
    muse = next(row for row in read[0].rows if row.name == "muse")
    assert muse.result is not None
    task = read[0].task | {"query_languages": [evil], "document_languages": [evil], "licence": evil, "unit": evil}
    cell = {"setting": "mono", "query_language": evil, "document_languages": [evil], "n": 1, "documents": 1}
    says = muse.result.says | {"directions": [cell | {"measures": {"AP": 0.5}}], "command": evil}
    row = replace(muse, name=f"half \ud800 {evil}", worst={"multi": (evil, 0.5)}, result=Result(Path(), says))
    path = tmp_path / "evil.html"
    path.write_text(
        site.page([replace(read[0], slug="../.. /x", title=evil, task=task, rows=(row,))]), encoding="utf-8"
    )
    page = show(path=path)
    assert page.locator("script").count() == 2
    assert [tag.strip() for tag in heats(page)[0]] == [evil.strip(), "mean"]
    choose(page, b=page.locator("select[name=b] option").nth(1).inner_text())
    assert page.get_by_text("leaderboard/").get_attribute("href") == "leaderboard/..%2F..%20%2Fx.md"


def test_the_policy_allows_this_script_and_no_other(browser: Any, file: Path) -> None:
    class Reader(HTMLParser):
        policy = ""
        script = False
        handlers: tuple[str, ...] = ()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            about = dict(attrs)
            if about.get("http-equiv") == "Content-Security-Policy":
                self.policy = about["content"] or ""
            self.handlers += tuple(name for name in about if name.startswith("on") or name == "style")

    reader = Reader()
    reader.feed(file.read_text(encoding="utf-8"))
    assert reader.policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in reader.policy
    assert reader.handlers == ()
    page = browser.new_page()
    page.goto(file.as_uri())
    assert page.locator(".heat").count() == 1
    ran = page.evaluate(
        """() => {
            const other = document.createElement("script");
            other.textContent = "window.ran = true";
            const noted = new Promise((done) => document.addEventListener("securitypolicyviolation", () => done(true)));
            document.body.append(other);
            return noted.then((stopped) => [stopped, window.ran === undefined]);
        }"""
    )
    page.close()
    assert ran == [True, True]


def test_without_a_script_the_tables_are_there(show: Open, read: list[Board]) -> None:
    page = show(script=False)
    assert page.locator("section.board").count() == len(read)
    text = page.locator("main").inner_text()
    for board in read:
        assert board.title in text
        for row in board.rows:
            assert row.name in text
    assert "drawn by a script" in text
    assert page.locator("input:visible, button:visible, select:visible").count() == 0
    muse = next(row for row in read[0].rows if row.name == "muse")
    assert f"{muse.scores['multi']['AP']:.3f}"[1:] in text


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("script", [True, False])
def test_the_page_is_never_wider_than_the_window(width: int, script: bool, show: Open) -> None:
    page = show("#demo&a=muse&b=" + HOSTILE[-1], width=width, script=script)
    for details in page.locator("details:visible").all():
        details.locator("summary").first.click()
    assert page.locator("body").bounding_box()["width"] == width
    if script:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        name = page.locator(".board:visible .ranking tbody th").first
        before = name.bounding_box()["x"]
        page.locator(".board:visible .wide").evaluate("(box) => box.scrollBy(300, 0)")
        assert name.bounding_box()["x"] <= before  # the first column stays in view
        assert name.bounding_box()["x"] >= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_can_be_read_on_their_colours(scheme: str, show: Open) -> None:
    page = show("#demo&a=muse&b=random", scheme=scheme)
    drawn = set()
    for kind in ("weak: mono and cross", "language share in the top 10", "consistency"):
        choose(page, kind=kind)
        drawn |= {
            (str(ink), str(paper))
            for ink, paper in page.locator(".board:visible .heat tbody td").evaluate_all(
                "(all) => all.map((one) => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor])"
            )
        }
    texts = page.evaluate(
        """() => ["body", ".facts", ".ranking small", "thead th", ".says", ".reported td", "nav a"].map((one) =>
            [getComputedStyle(document.querySelector(one)).color, getComputedStyle(document.body).backgroundColor])"""
    )
    assert len(drawn) > 50
    for ink, paper in [*drawn, *map(tuple, texts)]:
        assert contrast(ink, paper) >= 4.5, (ink, paper)


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_scale_is_a_scale_in_grey_too(scheme: str, show: Open) -> None:
    page = show("#demo&a=muse", scheme=scheme)
    stops = page.locator(".board:visible .legend i").evaluate("(one) => getComputedStyle(one).backgroundImage")
    greys = [contrast(colour, "rgb(0, 0, 0)") for colour in re.findall(r"rgb\([^)]*\)", stops)]
    assert len(greys) == 21
    assert all((low < high) == (scheme == "dark") for low, high in pairwise(greys))


def test_everything_can_be_reached_by_keyboard(show: Open) -> None:
    page = show()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        about = page.evaluate(
            "() => { const at = document.activeElement, style = getComputedStyle(at);"
            " return [at.type || at.tagName, style.outlineStyle, parseFloat(style.outlineWidth)]; }"
        )
        reached.append(about[0])
        assert about[1] != "none", about
        assert about[2] >= 1, about
    assert {"A", "SUMMARY", "search", "checkbox", "button", "select-one", "TD"} <= set(reached)


def test_the_same_boards_give_the_same_bytes(results: Path, shared_cache: Path) -> None:
    code = (
        "import hashlib, sys; from pathlib import Path; from leaderboard import boards, site; "
        "print(hashlib.sha256(site.page(boards.read(Path(sys.argv[1]))).encode()).hexdigest())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(results)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    printed = {process.communicate()[0].strip() for process in running}
    assert printed == {hashlib.sha256(site.page(boards.read(results)).encode()).hexdigest()}


def test_a_page_of_no_boards(show: Open, tmp_path: Path) -> None:
    path = tmp_path / "none.html"
    path.write_text(site.page([]), encoding="utf-8")
    assert show(path=path).locator("section.board").count() == 0
