"""Panels, a title and a key in; one figure out, in which nothing is clipped, and the same bytes wherever it is saved.

A sheet is a grid of panels of one size, under a title, a sentence and a key, all measured before they are placed.
Nothing is read from the reader's settings and nothing is left behind in them. Names are untrusted: no name is read as
mathematics, and what the font does not have is shown as □.
"""

import os
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from tasks.errors import UserError

INK, GREY, FAINT = "#1c1c1c", "#666666", "#dddddd"
DARK, MIDDLE, PALE = "#1f4068", "#5b9ab8", "#dfe3e6"
# Pale where little is found; equal steps of lightness, which the colour-blind and a grey print keep.
SEQUENCE = ("#f4f1e6", "#cad9c0", "#99c1b3", "#6ea7a9", "#498ba0", "#326e94", "#255381", "#1e3768", "#1a1f4a")
# From what is lost (dark, brown) over no difference to what is gained (pale, green): lighter all the way.
SIGNED = ("#501b14", "#81321e", "#ac542b", "#c08357", "#b6b3ae", "#94cec9", "#8be4db", "#a7f4e8", "#e3fcf6")
DPI = 100  # of measuring
SHARP, MOST_PIXELS = 200, 5000  # dots per inch of a saved picture, and its longest side
MARGIN, GAP = 0.15, 0.25  # inches
FAR = 8.0  # inches; a panel longer than this has its labels at hand, whatever stands beside it
NARROW = 4.2  # inches that a title may use over a body that is narrower
TITLE, NOTE, LABEL = 11.0, 8.5, 8.0  # points
MISSING = "□"
JOINERS = "\u200c\u200d"  # Persian and others are not written without them
Floats = NDArray[np.float64]
STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": LABEL,
    "text.color": INK,
    "text.parse_math": False,
    "text.hinting": "none",  # so that a text is as wide as it was measured, whatever the resolution
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.labelsize": LABEL,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0,
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.4,
    "svg.hashsalt": "isogloss",
}
ABOUT: dict[str, dict[str, str | None]] = {
    "svg": {"Creator": "Isogloss", "Date": None},
    "png": {"Software": "Isogloss"},
}


@contextmanager
def style() -> Iterator[None]:
    """Draw inside this: the project's style, whatever the reader's own settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def clean(text: str) -> str:
    """Return untrusted text as it can be drawn: one line, no control characters, □ for what the font lacks."""
    kept = ""
    for letter in " ".join(unicodedata.normalize("NFC", text).split()):
        kind, drawn = unicodedata.category(letter)[0], ord(letter) in _letters()
        if kind == "M":  # no towers of marks, and none on a letter that is not there
            piled = [unicodedata.category(last)[0] for last in kept[-2:]] == ["M", "M"]
            kept += letter if drawn and not piled and not kept.endswith(MISSING) else ""
        elif kind != "C" or letter in JOINERS:
            kept += letter if drawn else MISSING
    return kept.strip() or MISSING


@cache
def _letters() -> frozenset[int]:
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    regular, bold = (FT2Font(folder / f"{name}.ttf").get_charmap() for name in ("DejaVuSans", "DejaVuSans-Bold"))
    return frozenset(regular) & frozenset(bold)


def number(value: float, digits: int = 2) -> str:
    """Return a value without the leading zero: «.80», «−.12», «0», «1»; "" for a hole."""
    if np.isnan(value):
        return ""
    text = f"{abs(value):.{digits}f}"
    if not float(text) % 1:
        text = text.split(".")[0]
    return ("−" if value < 0 and text != "0" else "") + (text[1:] if text.startswith("0.") else text)


SHORT = FuncFormatter(lambda value, _: number(round(value, 3), 3).rstrip("0") or "0")
COUNT = FuncFormatter(lambda value, _: f"{value:,.0f}")
PERCENT = FuncFormatter(lambda value, _: f"{value:.0%}")


def ceiling(value: float) -> float:
    """Return the end of a scale from 0 that holds `value`: a tenth at least, so that noise does not look like more."""
    return next((end for end in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8) if value <= end), 1.0)


def on(colour: Any) -> str:
    """Return the colour of text that can be read on `colour`."""
    red, green, blue = np.array(mpl.colors.to_rgb(colour)) ** 2.2
    return INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.2 else "white"


class Sheet:
    """A figure of panels, each `size` (inches) large, named by `names`, at most `most` in a row."""

    def __init__(self, names: Sequence[str], size: tuple[float, float], most: int) -> None:
        self.figure = Figure(figsize=(10, 10), dpi=DPI)
        self._renderer = FigureCanvasAgg(self.figure).get_renderer()  # type: ignore[no-untyped-call]
        self.size = size
        self.across = -(-len(names) // -(-len(names) // most))
        self.panels: list[Axes] = []
        for name in names:
            panel = self.figure.add_axes((0.1, 0.1, size[0] / 10, size[1] / 10))
            panel.set_title(self.shorten(name, max(size[0], 2.2), 9, "bold"))
            self.panels.append(panel)

    def edge(self, panel: Axes) -> tuple[bool, bool]:
        """Say whether a panel carries the labels of its left and of its lower side for others."""
        place = self.panels.index(panel)
        return place % self.across == 0, place + self.across >= len(self.panels)

    def width(self, text: str, points: float = LABEL, weight: str = "normal") -> float:
        """Return the width of a text in inches."""
        font = FontProperties(family=STYLE["font.family"], size=points, weight=weight)
        return float(self._renderer.get_text_width_height_descent(text, font, False)[0]) / DPI

    def shorten(self, text: str, room: float, points: float = LABEL, weight: str = "normal") -> str:
        """Return a text cut to fit `room` inches, with an ellipsis."""
        if self.width(text, points, weight) <= room:
            return text
        cuts = range(len(text))
        most = bisect_right(cuts, room, key=lambda cut: self.width(f"{text[:cut]}…", points, weight))
        return f"{text[: max(most - 1, 0)].rstrip()}…"

    def finish(
        self,
        title: str,
        note: str,
        keys: Sequence[Artist] = (),
        scale: ScalarMappable | None = None,
        shown: tuple[float, float] | None = None,
    ) -> Figure:
        """Place the panels so that nothing of them is clipped, and the title, a sentence and the key above them.

        The key is a legend of `keys`, or the colours of a `scale`, as far as they are `shown` (None: all).
        """
        left, right, above, below = self._overhang()
        xs = MARGIN + np.cumsum(left + np.append(0, right[:-1] + self.size[0] + GAP))
        body = xs[-1] + self.size[0] + right[-1] - MARGIN
        width = max(body, NARROW)
        head = [(line, TITLE, INK, "bold") for line in self._wrap(title, width, TITLE, "bold")]
        head += [(line, NOTE, GREY, "normal") for line in self._wrap(note, width, NOTE)]
        legend = self._legend(keys, width) if keys else None
        key = legend.get_window_extent(self._renderer).height / DPI if legend else 0.32 if scale else 0
        top = MARGIN + sum(points * 1.35 / 72 for _, points, *_ in head) + (0.08 + key if key else 0) + 0.1
        downs = top + np.cumsum(above + np.append(0, below[:-1] + self.size[1] + GAP))
        height = downs[-1] + self.size[1] + below[-1] + MARGIN
        width += 2 * MARGIN
        self.figure.set_size_inches(width, height)
        for place, panel in enumerate(self.panels):
            row, column = divmod(place, self.across)
            x, y = xs[column], height - downs[row] - self.size[1]
            panel.set_position((x / width, y / height, self.size[0] / width, self.size[1] / height))
        down = MARGIN
        for line, points, colour, weight in head:
            self.figure.text(
                MARGIN / width, 1 - down / height, line, size=points, color=colour, weight=weight, va="top"
            )
            down += points * 1.35 / 72
        down += 0.08
        if legend:
            legend.set_bbox_to_anchor((MARGIN / width, 1 - down / height))
        elif scale:
            self._scale(scale, shown, (MARGIN + 0.1, height - down), (width, height))
        return self.figure

    def _overhang(self) -> tuple[Floats, ...]:
        """Return in inches what stands out of the panels: left and right by column, above and below by row."""
        rows = -(-len(self.panels) // self.across)
        left, right, above, below = np.zeros(self.across), np.zeros(self.across), np.zeros(rows), np.zeros(rows)
        for place, panel in enumerate(self.panels):
            row, column = divmod(place, self.across)
            inner, outer = panel.bbox, panel.get_tightbbox(self._renderer)
            assert outer is not None
            left[column] = max(left[column], (inner.x0 - outer.x0) / DPI)
            right[column] = max(right[column], (outer.x1 - inner.x1) / DPI)
            above[row] = max(above[row], (outer.y1 - inner.y1) / DPI)
            below[row] = max(below[row], (inner.y0 - outer.y0) / DPI)
        return left, right, above, below

    def _wrap(self, text: str, room: float, points: float, weight: str = "normal") -> list[str]:
        lines: list[str] = []
        for word in text.split():
            if lines and self.width(f"{lines[-1]} {word}", points, weight) <= room:
                lines[-1] += f" {word}"
            else:
                lines.append(self.shorten(word, room, points, weight))
        return lines

    def _legend(self, keys: Sequence[Artist], room: float) -> Any:
        """Return a legend of as few rows as fit, with its entries in reading order."""
        for columns in range(len(keys), 0, -1):
            rows = -(-len(keys) // columns)
            order = [keys[place] for start in range(columns) for place in range(start, len(keys), columns)]
            if -(-len(keys) // rows) < columns:  # the same number of rows in fewer columns
                continue
            legend = self.figure.legend(handles=order, loc="upper left", ncols=columns, fontsize=LABEL)
            if columns == 1 or legend.get_window_extent(self._renderer).width / DPI <= room:
                break
            legend.remove()
        return legend

    def _scale(
        self,
        scale: ScalarMappable,
        shown: tuple[float, float] | None,
        corner: tuple[float, float],
        size: tuple[float, float],
    ) -> None:
        """Draw the colours of a scale in a strip, its upper left corner at `corner` on a page of `size` (inches)."""
        (x, y), (width, height), (long, thick) = corner, size, (2.4, 0.11)
        low, high = scale.get_clim()
        assert low is not None
        assert high is not None
        start, end = shown or (low, high)
        strip = self.figure.add_axes((x / width, (y - thick) / height, long / width, thick / height))
        steps = np.linspace(start, end, 256)[None]
        strip.imshow(steps, cmap=scale.get_cmap(), norm=Normalize(low, high), aspect="auto", extent=(start, end, 0, 1))
        strip.set_yticks([])
        strip.xaxis.set_major_formatter(SHORT)
        strip.tick_params(labelsize=7.5)
        strip.spines[:].set_visible(False)


def save(figure: Figure, path: Path, title: str = "") -> Path:
    """Write a figure, whole or not at all, in the format that the path ends in."""
    kind = path.suffix[1:]
    about = ABOUT.get(kind, {}) | ({"Title": clean(title)} if title else {})
    part = path.with_name(f".{path.name}.{os.getpid()}")
    sharp = min(SHARP, MOST_PIXELS / max(figure.get_size_inches()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with style():
                figure.savefig(part, format=kind, dpi=sharp, metadata=about)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path
