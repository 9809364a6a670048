"""Plots: pictures that are known to be good, equal bytes everywhere, nothing clipped or covered, names that mean harm.

`python -m tests.test_plots` draws the golden pictures anew; look at them before they are kept.
"""

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from benchmark import averages, bias, evidence, summary
from benchmark.evidence import Result
from benchmark.measures import parse
from benchmark.vectors import normalise
from leaderboard import compared, drawing, heatmaps, plots, rowplots
from tasks import languages
from tasks.collection import build
from tasks.errors import UserError
from tests.strategies import Floats
from tests.test_ranking import ranked

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[1]
FOUR = ["ar", "en", "he", "zh-Hant"]
SEVEN = ["ar", "de", "en", "es", "hi", "vi", "zh-Hant"]
WRITTEN = ["ace-Arab", "bjn-Arab", "knc-Arab", "ks-Arab", "min-Arab", "mni-Beng", "zh-Hans", "zh-Hant"]
ONE_MODEL = ["matrix", "alignment", "share", "distance", "drop", "scatter"]
TOLERANCE = 0.07  # of the ink: letters may be drawn a little differently elsewhere


def tags(count: int) -> list[str]:
    """Return languages that the project knows, some with their script, as FLORES-200 has them."""
    if count <= len(SEVEN):
        return SEVEN[:count]
    known = pd.read_csv(ROOT / "tasks" / "languages.tsv", sep="\t", keep_default_na=False)["tag"].tolist()
    plain = count - len(WRITTEN)
    return sorted(known[:: len(known) // plain][:plain] + WRITTEN)


def made(
    folder: Path,
    documents_in: Sequence[str],
    name: str = "model",
    pull: float = 0.9,
    *,
    asked_in: Sequence[str] = (),
    topics: int = 8,
    settings: Sequence[str] = ("mono", "cross", "multi"),
    title: str = "Synthetic",
) -> Result:
    """Return the evidence of a model whose vectors hold the topic, the language as much as `pull` says, and noise."""
    rng = np.random.default_rng([len(documents_in), round(pull * 100)])
    meaning, voice = rng.standard_normal((topics, 16)), rng.standard_normal((len(documents_in), 16)) * pull
    noise = np.linspace(0.2, 1.2, len(documents_in))

    def texts(role: str, spoken: Sequence[str]) -> tuple[pd.DataFrame, Floats]:
        pairs = [(topic, documents_in.index(lang)) for topic in range(topics) for lang in spoken]
        topic, lang = np.array(pairs).T
        vectors = meaning[topic] + voice[lang] + rng.standard_normal((len(pairs), 16)) * noise[lang][:, None]
        vectors = vectors.astype(np.float32)
        normalise(vectors)
        rows = [(f"{role}{t}/{documents_in[i]}", documents_in[i], f"{role} {t} {i}", f"t{t}") for t, i in pairs]
        return pd.DataFrame(rows, columns=["id", "lang", "text", "topic"]), vectors

    queries, left = texts("q", asked_in or documents_in)
    documents, right = texts("d", documents_in)
    collection = build(
        documents.rename(columns={"id": "doc_id"})[["doc_id", "lang", "text"]],
        queries.rename(columns={"id": "query_id"}),
        documents.rename(columns={"id": "doc_id"})[["topic", "doc_id"]].assign(relevance=1),
        "synthetic",
    )
    ranking = ranked(collection, left, right, set(settings))
    folder.mkdir(parents=True, exist_ok=True)
    ranking.ranks.to_parquet(folder / "ranks.parquet", index=False)
    says = {
        "key": f"{round(pull * 100):04x}" * 16,
        "task": {"title": title, "variant": ""}
        | {"query_languages": [*(asked_in or documents_in)], "document_languages": [*documents_in]},
        "model": {"name": name},
        "main_measure": "AP",
        "pools": ranking.pools.to_dict("records"),
    }
    says |= summary.tables([ranking], [parse("AP"), parse("R@1")])
    return Result(folder, says)


def pair(folder: Path) -> list[Result]:
    """Return what the golden pictures show: a model that is good in each language and one that is even."""
    return [made(folder / "a", FOUR, "own languages", 2.0), made(folder / "b", FOUR, "מודל عربي v2", 0.5)]


def picture(figure: Figure) -> Image.Image:
    """Return a small picture of a figure."""
    file = io.BytesIO()
    with drawing.style():
        figure.savefig(file, format="png", dpi=72)
    return Image.open(file).convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return how much of the ink of two pictures, which may differ in size by a pixel or two, is not in both."""
    size = (max(one.width, other.width), max(one.height, other.height))
    if any(abs(a - b) > 2 for a, b in zip(one.size, other.size, strict=True)):
        return 1.0
    left, right = Image.new("L", size, 255), Image.new("L", size, 255)
    left.paste(one.convert("L"))
    right.paste(other.convert("L"))
    inks = [255 - np.asarray(image, dtype=float) for image in (left, right)]
    return float(np.abs(inks[0] - inks[1]).sum() / np.maximum(*inks).sum())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    return pair(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def drawn(two: list[Result]) -> dict[str, Any]:
    return dict(plots.draw(two))


@pytest.mark.parametrize("name", plots.PLOTS)
def test_it_looks_as_it_should(name: str, drawn: dict[str, Any]) -> None:
    with Image.open(GOLDEN / f"{name}.png") as golden:
        assert difference(picture(drawn[name]), golden) < TOLERANCE


def test_another_measure_looks_different(two: list[Result]) -> None:
    alike = set()
    for name, figure in plots.draw(two, "R@1"):
        with Image.open(GOLDEN / f"{name}.png") as golden:
            if difference(picture(figure), golden) < TOLERANCE:
                alike.add(name)
    assert alike == {"share", "distance"}, "which have none"


def test_every_golden_picture_is_small_and_used() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.png")) == sorted(plots.PLOTS)
    assert max(path.stat().st_size for path in GOLDEN.glob("*.png")) < 20_000


def test_bytes_depend_on_the_evidence_alone(tmp_path: Path) -> None:
    """Two processes, other hash seeds, and a reader who sets everything that could be set."""
    settings = tmp_path / "matplotlibrc"
    settings.write_text("font.family: serif\nfont.size: 30\naxes.grid: True\nsvg.fonttype: none\nsavefig.bbox: tight\n")
    call = (
        "import sys; from pathlib import Path; from leaderboard import plots; from tests.test_plots import pair\n"
        "here = Path(sys.argv[1]); plots.write(pair(here / 'e'), here, 'x', ('svg', 'png'))"
    )
    running = []
    for seed, more in ((1, {}), (2, {"MATPLOTLIBRC": str(settings)})):
        environment = os.environ | {"PYTHONHASHSEED": str(seed)} | more
        running.append(subprocess.Popen([sys.executable, "-c", call, tmp_path / str(seed)], cwd=ROOT, env=environment))
    assert [process.wait() for process in running] == [0, 0]
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / str(seed)).iterdir() if path.is_file()} for seed in (1, 2)
    )
    assert sorted(first) == sorted(f"x-{name}.{kind}" for name in plots.PLOTS for kind in ("svg", "png"))
    assert first == second
    for name, content in first.items():
        assert b"atplotlib" not in content.split(b"</metadata>")[0], name
        assert b"<text" not in content, "text is paths, so that a font is not needed"


class Written(list[Text]):
    """The texts that were written in drawing a figure."""

    def __init__(self, figure: Figure) -> None:
        super().__init__()
        with pytest.MonkeyPatch.context() as patch:
            real: Any = Text.draw

            def draw(text: Text, *how: Any, **more: Any) -> None:
                if text.get_visible() and text.get_text().strip():
                    self.append(text)
                real(text, *how, **more)

            patch.setattr(Text, "draw", draw)
            self.canvas = FigureCanvasAgg(figure)
            with drawing.style():
                figure.draw_without_rendering()

    def boxes(self) -> Floats:
        """Return left, lower, right and upper ends in pixels."""
        renderer = self.canvas.get_renderer()  # type: ignore[no-untyped-call]
        with drawing.style():  # Text's own method: an annotation's would count its line as well
            return np.array([Text.get_window_extent(text, renderer).extents for text in self], dtype=np.float32)


@cache
def synthetic(folder: Path, count: int, number: int) -> Result:
    name = ["model", "random", "intfloat/multilingual-e5-large-instruct", "a name that is much longer " * 5][number]
    return made(
        folder / f"{count}-{number}", tags(count), name, [0.9, 3.0, 0.3, 0.0][number], topics=8 if count < 99 else 2
    )


@cache
def figures_of(folder: Path, count: int, models: int) -> dict[str, Any]:
    return dict(plots.draw([synthetic(folder, count, number) for number in range(models)]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("synthetic")
    synthetic.cache_clear()
    figures_of.cache_clear()


@pytest.mark.parametrize(("count", "models"), [(7, 1), (7, 4), (38, 2), (204, 1)])
def test_nothing_is_clipped_or_covered(count: int, models: int, place: Path) -> None:
    figures = figures_of(place, count, models)
    assert [*figures] == (ONE_MODEL if models == 1 else [*plots.PLOTS])
    for name, figure in figures.items():
        labels = {text.get_text() for text in check(figure, name)}
        if name in {"matrix", "alignment"} or (name == "scatter" and count == 7):
            assert labels >= {*tags(count)}, name
        if name in {"share", "distance", "drop"}:
            assert labels >= {compared.language(tag) for tag in tags(count)}, name


def check(figure: Figure, name: str) -> Written:
    """Check that all of a figure is on its page, no text too small, and none on another; return the texts."""
    written = Written(figure)
    boxes = written.boxes()
    width, height = figure.get_size_inches() * figure.dpi
    assert boxes.min() >= 0, name
    assert boxes[:, 2].max() <= width, name
    assert boxes[:, 3].max() <= height, name
    for panel in figure.axes:
        assert min(panel.get_position().extents) >= 0, name
        assert max(panel.get_position().extents) <= 1, name
    assert min(float(text.get_fontsize()) for text in written) >= 5, name
    spare = 1.5  # pixels: the height of a text is that of its line, and tags of many languages are set close
    for place, box in enumerate(boxes):
        rest = boxes[place + 1 :]
        both = np.minimum(box[2:], rest[:, 2:]) - np.maximum(box[:2], rest[:, :2])
        for other in np.flatnonzero((both > spare).all(axis=1)):
            raise AssertionError(f"{name}: {written[place].get_text()!r} and {written[place + 1 + other].get_text()!r}")
    return written


def test_one_language_asks_and_many_answer(tmp_path: Path) -> None:
    figures = dict(plots.draw([made(tmp_path, tags(38), asked_in=["en"] if "en" in tags(38) else [tags(38)[0]])]))
    assert [*figures] == ONE_MODEL
    for name, figure in figures.items():
        check(figure, name)


def test_the_matrix_is_the_evidence(two: list[Result], drawn: dict[str, Any]) -> None:
    for name, lost in (("matrix", False), ("alignment", True)):
        for result, panel in zip(two, drawn[name].axes, strict=False):
            grid = averages.matrix(evidence.directions(result.says), "AP")
            if lost:
                rows = pd.DataFrame([row | row["measures"] for row in result.says["strong"]])
                grid = rows.pivot_table(index="query_language", columns="document_language", values="AP") - grid
                assert grid.to_numpy().max() <= 0
                assert grid.to_numpy().min() < -0.1
            times = -(-heatmaps.SIDE // 4)
            np.testing.assert_array_equal(panel.images[0].get_array()[::times, ::times], grid)
            np.testing.assert_array_equal(panel.images[1].get_array()[::times, 0], grid.mean(axis=1))
            np.testing.assert_array_equal(panel.images[2].get_array()[0, ::times], grid.mean())
            shown = [text.get_text() for text in panel.texts][:16]
            assert shown == [drawing.number(value) for value in grid.to_numpy().ravel()]
            low, high = panel.images[0].get_clim()
            assert (low, high) == ((-high, high) if lost else (0, high))
            assert low <= grid.to_numpy().min()
            assert high >= grid.to_numpy().max()
    assert len({panel.images[0].get_clim() for panel in drawn["matrix"].axes[:2]}) == 1


def test_shares_are_the_evidence(two: list[Result], drawn: dict[str, Any]) -> None:
    for result, panel in zip(two, drawn["share"].axes, strict=False):
        size = np.array([row["documents"] for row in result.says["pools"] if row["pool"] in FOUR])
        shares = [list(row["shares"].values()) for row in result.says["language_share"] if row["k"] == 10]
        bars = np.array([[bar.get_width() for bar in bars] for bars in panel.containers]).T
        np.testing.assert_allclose(bars, [size / size.sum(), *shares])
        own = [patch.get_width() for patch in panel.patches if not patch.get_fill()]
        np.testing.assert_allclose(own, np.diag(shares))


def test_shares_of_many_languages_are_grouped(place: Path) -> None:
    panels = figures_of(place, 38, 2)["share"].axes
    order = [label.get_text().split(" · ")[1] for label in panels[0].get_yticklabels()]
    assert sorted(order) == tags(38)
    total = np.zeros(38)
    for number, panel in enumerate(panels):
        rows = [row for row in synthetic(place, 38, number).says["language_share"] if row["k"] == 10]
        shares = {row["query_language"]: pd.Series(row["shares"]) for row in rows}
        own, alike, others = np.array([[bar.get_width() for bar in bars] for bars in panel.containers])
        np.testing.assert_allclose(own, [shares[tag][tag] for tag in order])
        np.testing.assert_allclose(
            own + alike, [shares[tag].groupby(languages.script).sum()[languages.script(tag)] for tag in order]
        )
        np.testing.assert_allclose(own + alike + others, 1)
        total += own
    assert (np.diff(total) <= 1e-12).all()


def test_distances_are_quantiles(two: list[Result], drawn: dict[str, Any]) -> None:
    for result, panel in zip(two, drawn["distance"].axes, strict=False):
        values = bias.by_query(result.ranks()).astype({"query_lang": "str"}).groupby("query_lang")["rank_distance"]
        order = [label.get_text().split(" · ")[1] for label in drawn["distance"].axes[0].get_yticklabels()]
        box = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in panel.containers[0]]
        np.testing.assert_allclose(box, [(values.quantile(0.25)[tag], values.quantile(0.75)[tag]) for tag in order])
        mean, best, chance = (line.get_xdata() for line in panel.lines)
        np.testing.assert_allclose(mean, [values.mean()[tag] for tag in order])
        assert {*best} == {3}
        np.testing.assert_allclose(chance, 33 * 3 / 5)


def test_drop_is_sorted_and_has_three_shapes(drawn: dict[str, Any]) -> None:
    panels = drawn["drop"].axes[:2]
    mono = np.mean([panel.lines[0].get_xdata()[:-1] for panel in panels], axis=0)
    assert [*mono] == sorted(mono, reverse=True)
    assert len({line.get_marker() for line in panels[0].lines[:3]}) == 3
    assert panels[0].get_xlim() == panels[1].get_xlim()


def names(results: Sequence[Result]) -> list[str]:
    return [name for name, _ in plots.draw(results)]


def test_what_the_evidence_lacks_is_left_out(
    tmp_path: Path, two: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing.Sheet, "finish", lambda sheet, *_, **__: sheet.figure)  # which takes most of the time
    assert names([]) == []
    assert names([made(tmp_path / "1", ["en"])]) == []
    assert names([made(tmp_path / "2", FOUR, settings=["mono"])]) == []
    assert names([made(tmp_path / "3", FOUR, settings=["mono", "cross"])]) == ["matrix", "drop", "scatter"]
    assert names([made(tmp_path / "4", FOUR, settings=["multi"])]) == ["share", "distance"]
    assert names(two[:1]) == ONE_MODEL
    whole = two[0].says
    for field, plot in (("strong", "alignment"), ("language_share", "share"), ("bias", "distance")):
        without = Result(two[0].folder, whole | {field: []})
        assert names([without]) == [name for name in ONE_MODEL if name != plot]
        both, alone = (dict(plots.draw(results))[plot] for results in ([two[1], without], [two[1]]))
        assert len(both.axes) == len(alone.axes), "a model without it has no panel, and takes none from the others"
    assert names([Result(tmp_path, whole)]) == [name for name in ONE_MODEL if name != "distance"]
    with pytest.raises(UserError, match="nDCG@7"):
        next(plots.draw(two, "nDCG@7"))


def test_an_answer_in_one_language_only(tmp_path: Path) -> None:
    """A question with one answer has a rank distance of 0, which a logarithm has no place for."""
    result = made(tmp_path, FOUR)
    ranks = result.ranks()
    alone = ranks["topic"].isin(["t0", "t1"]) & (ranks["doc_lang"] != "en")
    ranks[~alone].to_parquet(tmp_path / "ranks.parquet", index=False)
    figures = dict(plots.draw([result]))
    check(figures["distance"], "distance")
    assert figures["distance"].axes[0].get_xscale() == "symlog"
    ranks[ranks["doc_lang"] == "en"].to_parquet(tmp_path / "ranks.parquet", index=False)
    assert "distance" not in names([result])


HOSTILE = {
    "$x_$ \\frac{a}{b} ^_ 50%$": "$x_$ \\frac{a}{b} ^_ 50%$",
    "$\\undefined{": "$\\undefined{",
    "a\nb\tc\x00\x1b[31m\u202ed\u2066\ud800": "a b c[31md",
    "中文模型-base": "□□□□-base",
    "हिन्दी": "□□□",
    "🤗": "□",
    "": "□",
    "\u200b\u0007": "□",
    "<b>&amp;</b> -- ]]> \"'": "<b>&amp;</b> -- ]]> \"'",
    "o\u0301\u0302\u0303\u0304\u0305": "ó\u0302\u0303",
    "می‌خواهم": "می‌خواهم",
    "_nolegend_": "_nolegend_",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_made_harmless(name: str) -> None:
    assert drawing.clean(name) == HOSTILE[name]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw only two plots: one with panels, and one with names inside."""
    monkeypatch.setattr(plots, "PLOTS", {name: plots.PLOTS[name] for name in ("drop", "quality-bias")})


@pytest.mark.usefixtures("few")
def test_hostile_names_are_drawn_as_they_are(two: list[Result], tmp_path: Path) -> None:
    titled = two[0].says["task"] | {"title": "$\\frac{_$ <b>\x00\u202e 任务"}
    results = [
        Result(one.folder, one.says | {"key": f"{place:064x}", "model": {"name": name}, "task": titled})
        for place, (name, one) in enumerate(zip(HOSTILE, two * len(HOSTILE), strict=False))
    ]
    for plot, figure in plots.draw(results):
        path = drawing.save(figure, tmp_path / f"{plot}.svg", titled["title"])
        ElementTree.parse(path)
        assert not {*path.read_text(encoding="utf-8")} & {"\x00", "\x1b", "\u202e"}
        written = [text.get_text() for text in check(figure, plot)]
        assert any(text.startswith("$\\frac{_$ <b> □□ · ") for text in written), plot
        shown = [name for name in HOSTILE.values() if any(text.endswith(name) for text in written)]
        assert len(shown) == len(HOSTILE) or plot == "quality-bias"


@pytest.mark.usefixtures("few")
def test_a_long_name_is_cut_and_like_names_are_told_apart(two: list[Result]) -> None:
    def called(*names: str) -> list[Result]:
        return [Result(one.folder, one.says | {"model": {"name": name}}) for one, name in zip(two, names, strict=True)]

    for plot, figure in plots.draw(called("W" * 500, "b")):
        written = [text.get_text() for text in check(figure, plot)]
        assert any(text.startswith("WWW") and text.endswith("…") for text in written), plot
        assert "b" in written, plot
    assert compared.names(called("中", "文")) == [f"{one.says['key'][:8]} □" for one in two]


def test_arabic_is_joined_and_hebrew_runs_from_the_right() -> None:
    with drawing.style():
        sheet = drawing.Sheet(["x"], (1, 1), 1)
        assert sheet.width("ععع") < 0.95 * 3 * sheet.width("ع")

        figure = Figure(figsize=(1, 0.4))
        figure.text(0.1, 0.3, "שלום.", size=14)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100)
    columns = (255 - np.asarray(Image.open(file).convert("L"), dtype=float)).sum(axis=0)
    shown = np.trim_zeros(columns)
    assert shown[:3].sum() < 0.5 * shown[-3:].sum(), "the full stop is on the left"


def test_settings_of_the_reader_are_left_alone(two: list[Result]) -> None:
    with mpl.rc_context({"font.size": 33, "axes.grid": True}):
        before = dict(mpl.rcParams)
        for name, figure in plots.draw(two):
            assert dict(mpl.rcParams) == before, name
            assert not any(line.get_visible() for line in figure.axes[0].get_ygridlines()), name
        assert dict(mpl.rcParams) == before


@pytest.mark.usefixtures("few")
def test_writing_is_whole_or_not_at_all(two: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = plots.write(two, tmp_path / "new", "xquad-r", ["png"])
    assert paths == [tmp_path / "new" / f"xquad-r-{name}.png" for name in ("drop", "quality-bias")]
    assert sorted((tmp_path / "new").iterdir()) == sorted(paths)
    old = paths[0].read_bytes()

    def full(figure: Figure, path: Path, **how: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(UserError, match="No space left"):
        plots.write(two[:1], tmp_path / "new", "xquad-r", ["png"])
    assert paths[0].read_bytes() == old
    assert sorted((tmp_path / "new").iterdir()) == sorted(paths)
    with pytest.raises(UserError, match="cannot be written"):
        plots.write(two[:1], paths[0], "xquad-r")


def test_many_languages_stay_crisp_and_small(place: Path, tmp_path: Path) -> None:
    figure = figures_of(place, 204, 1)["matrix"]
    text = drawing.save(figure, tmp_path / "x.svg").read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert text.count("image-rendering:pixelated") == 3, "the cells and their means"
    assert figure.axes[0].images[0].get_array().shape[0] >= heatmaps.SIDE, "a viewer that smooths blurs edges only"


def lightness(colours: Any) -> Floats:
    """Return CIE L* (0 to 100) of colours."""
    rgb = np.array([mpl.colors.to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16, dtype=np.float32)


def test_colours_can_be_told_apart_in_grey() -> None:
    steps = -np.diff(lightness(drawing.SEQUENCE))
    assert steps.min() > 0.8 * steps.max() > 5
    assert np.diff(lightness(colormaps["PuOr"](np.linspace(0, 0.5, 9)))).min() > 3, "the half that alignment uses"
    assert np.abs(np.diff(lightness(rowplots.SHADES))).min() > 30
    assert np.abs(np.diff(lightness(rowplots.GROUPS.values()))).min() > 25
    assert len(rowplots.SHADES) == rowplots.SEGMENTS


@pytest.mark.parametrize("value", np.linspace(0, 1, 11))
def test_numbers_can_be_read_on_every_colour(value: float) -> None:
    for colours in (mpl.colors.LinearSegmentedColormap.from_list("", drawing.SEQUENCE), colormaps["PuOr"]):
        behind = colours(value)
        low, high = sorted((lightness([behind, drawing.on(behind)]) + 16) ** 3 / 116**3)
        assert (high + 0.05) / (low + 0.05) > 3.5


def test_numbers_are_short() -> None:
    found = [drawing.number(value) for value in (0, 0.8, 1, 0.999, -0.12, -0.004, np.nan)]
    assert found == ["0", ".80", "1", "1", "−.12", "0", ""]
    assert [drawing.SHORT(value, None) for value in (0, 0.1, 0.25, 1, -0.4)] == ["0", ".1", ".25", "1", "−.4"]
    assert [drawing.ceiling(value) for value in (0, 0.01, 0.3, 0.31, 0.65, 0.81, 1)] == [0.1, 0.1, 0.3, 0.4, 0.8, 1, 1]


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    with TemporaryDirectory() as scratch:
        for plot, drawing_of in plots.draw(pair(Path(scratch))):
            picture(drawing_of).quantize(48, dither=Image.Dither.NONE).save(GOLDEN / f"{plot}.png", optimize=True)
