"""Models or comparisons in; heat maps of question language x document language out.

They show the measure, what strong alignment loses, and by how much results differ from another.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from benchmark import averages
from benchmark.paired import Paired
from benchmark.ranking import ALL
from leaderboard.compared import Model, ends
from leaderboard.drawing import FAR, INK, LABEL, SEQUENCE, SIGNED, Sheet, ceiling, number, on

SIDE = 1200  # pixels of an image: a cell is many, for viewers that smooth pixels whatever they are told
ANNOTATED = 20  # languages; the numbers of more could not be read
MEAN = "mean"
HOLE: dict[str, Any] = {"hatch": "/////", "facecolor": "white", "edgecolor": "#bbbbbb", "linewidth": 0}
UNSURE: dict[str, Any] = {"facecolor": "none", "edgecolor": "#5f5f5f", "linewidth": 0}


def matrix(models: Sequence[Model]) -> Figure | None:
    """Draw the measure by language of question and documents."""
    models = [model for model in models if (model.directed["setting"] == "cross").any()]
    if not models:
        return None
    grids = [averages.matrix(model.directed, model.measure) for model in models]
    return _heat(
        [model.name for model in models],
        [_with_means(grid) for grid in grids],
        ScalarMappable(Normalize(0, ceiling(ends(grids)[1])), LinearSegmentedColormap.from_list("pale", SEQUENCE)),
        models[0].title(f"{models[0].measure} in every direction"),
        "Outlined: question and documents in one language (mono); elsewhere in two (cross).",
    )


def alignment(models: Sequence[Model]) -> Figure | None:
    """Draw strong less weak alignment: what is lost when the answers must stand above the texts of all languages."""
    drops = [(model, _strong(model) - averages.matrix(model.directed, model.measure)) for model in models]
    drops = [(model, grid) for model, grid in drops if grid.size > 1 and grid.notna().any(axis=None)]
    if not drops:
        return None
    models, grids = zip(*drops, strict=True)
    most = ceiling(max(map(abs, ends(grids))))
    return _heat(
        [model.name for model in models],
        [_with_means(grid) for grid in grids],
        ScalarMappable(Normalize(-most, most), colormaps["PuOr"]),
        models[0].title(f"strong − weak alignment ({models[0].measure})"),
        "What is lost when the answers in one language must stand above the texts of all languages (strong), not only "
        "above those of their own (weak); answers in the other languages are taken out.",
        shown=(-most, 0),
    )


def differences(found: Sequence[Paired], names: Sequence[str], title: str, level: float) -> Figure | None:
    """Draw by how much each result differs from the first, by direction; what is not told apart is hatched."""
    tables = [one.cells[one.cells["kind"] == "direction"].set_index(["query_lang", "pool"]) for one in found]
    tables = [cells[cells["setting"] != "pair"] for cells in tables]
    if not all((cells["setting"] == "cross").any() for cells in tables):
        return None
    grids = [cells["difference"].unstack() for cells in tables]  # noqa: PD010 - no aggregation
    most = ceiling(max(map(abs, ends(grids))))
    note = "Outlined: question and documents in one language. "
    if any(ALL in grid for grid in grids):
        note += f"{ALL}: documents in all languages together. "
    return _heat(
        names,
        grids,
        ScalarMappable(Normalize(-most, most), LinearSegmentedColormap.from_list("signed", SIGNED)),
        title,
        f"{note}Dark: lower; pale: higher. Hatched: not told apart from no difference.",
        unsure=[(cells["p_adjusted"] >= level).unstack(fill_value=False) for cells in tables],  # noqa: PD010
    )


def _strong(model: Model) -> pd.DataFrame:
    rows = {
        (row["query_language"], row["document_language"]): row["measures"][model.measure]
        for row in model.says["strong"]
    }
    return pd.Series(rows, index=pd.MultiIndex.from_tuples(rows, names=["query_lang", "pool"])).unstack()  # noqa: PD010


def _with_means(grid: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the means of its rows and columns as its last column and row."""
    table = grid.assign(**{MEAN: grid.mean(axis=1)})
    table.loc[MEAN] = grid.mean(axis=0)
    return table


def _heat(
    names: Sequence[str],
    tables: Sequence[pd.DataFrame],
    scale: ScalarMappable,
    title: str,
    note: str,
    *,
    unsure: Sequence[pd.DataFrame] | None = None,
    shown: tuple[float, float] | None = None,
) -> Figure:
    """Draw a heat map for each table, its languages in alphabetical order.

    Args:
        names: of the panels.
        tables: question language x document language; a last row or column `MEAN` or `ALL` is set apart.
        scale: of the colours.
        title: of the figure.
        note: below the title.
        unsure: tables of the same shape; what is true is hatched.
        shown: the part of the scale that is shown; None: the whole.
    """
    rows, columns = (
        sorted({tag for table in tables for tag in table.axes[side]}, key=lambda tag: (tag in (MEAN, ALL), tag))
        for side in (0, 1)
    )
    asked, found = ([tag for tag in tags if tag not in (MEAN, ALL)] for tags in (rows, columns))
    count = max(len(asked), len(found))
    cell = 0.36 if count <= ANNOTATED else float(np.clip(6.4 / count, 0.085, 0.2))
    gap, strip = max(0.25, 0.06 / cell), max(1.0, 0.18 / cell)  # in cells
    down, across = (
        [
            (0.0, float(len(tags)), slice(len(tags))),
            *[(len(tags) + gap, strip, slice(-1, None))][: len(every) - len(tags)],
        ]
        for tags, every in ((asked, rows), (found, columns))
    )
    high, wide = (start + length for start, length, _ in (down[-1], across[-1]))
    parts = [(first, second) for first in down for second in across if first == down[0] or second == across[0]]
    sheet = Sheet(names, (wide * cell, high * cell), 3)
    holes = False
    for place, (panel, table) in enumerate(zip(sheet.panels, tables, strict=True)):
        for (y, tall, row), (x, broad, column) in parts:
            box, values = (x, y, broad, tall), table.reindex(index=rows[row], columns=columns[column]).to_numpy(float)
            times = -(-SIDE // count)
            if np.isnan(values).any():
                panel.add_patch(Rectangle((x, y), broad, tall, **HOLE))
                holes = True
            panel.imshow(
                values.repeat(times, axis=0).repeat(times, axis=1),
                cmap=scale.get_cmap(), norm=Normalize(*scale.get_clim()), aspect="auto", interpolation="none",
                extent=(x, x + broad, y + tall, y),
            )  # fmt: skip
            if unsure is not None:
                hatched = unsure[place].reindex(index=rows[row], columns=columns[column], fill_value=False)
                _hatch(panel, hatched.to_numpy(bool), box, cell)
            if count <= ANNOTATED:
                _numbers(panel, values, box, scale)
        _diagonal(panel, asked, found, cell)
        panel.set(xlim=(0, wide), ylim=(high, 0))
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0, pad=2, labelsize=min(LABEL, cell * 72 * 0.85))
        left, lower = (edge or cell * count > FAR for edge in sheet.edge(panel))
        for axis, tags, every, labelled in ((panel.yaxis, asked, rows, left), (panel.xaxis, found, columns, lower)):
            axis.set_ticks([*np.arange(len(tags)) + 0.5, *[len(tags) + gap + strip / 2][: len(every) - len(tags)]])
            axis.set_ticklabels(every if labelled else [])
        panel.tick_params("x", rotation=90 if max(map(len, found)) > 3 else 0)
        panel.set(ylabel="question" if left else "", xlabel="documents" if lower else "")
    if holes:
        note += " White: no such direction." if unsure else " Hatched: no such direction."
    return sheet.finish(title, note, scale=scale, shown=shown)


def _hatch(panel: Axes, hatched: NDArray[np.bool_], box: tuple[float, float, float, float], cell: float) -> None:
    """Hatch cells of a part of a heat map, `cell` inches wide: those of a row that stand side by side as one piece."""
    (x, y, across, down), (rows, columns) = box, hatched.shape
    edges = np.diff(np.pad(hatched, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    if not len(row):
        return
    left, right, upper = x + start * across / columns, x + end * across / columns, y + row * down / rows
    lower = upper + down / rows
    corners = np.stack([left, upper, right, upper, right, lower, left, lower, left, upper], axis=1).reshape(-1, 5, 2)
    density = max(3, round(0.7 / cell))  # so that the smallest has two lines
    patch = PathPatch(Path.make_compound_path_from_polys(corners), hatch="\\" * density, **UNSURE)
    patch.set_hatch_linewidth(min(0.5, 3 * cell))
    panel.add_patch(patch)


def _numbers(panel: Axes, values: Any, box: tuple[float, float, float, float], scale: ScalarMappable) -> None:
    """Write the values of a part of a heat map into its cells."""
    (x, y, across, down), (rows, columns) = box, values.shape
    for (row, column), value in np.ndenumerate(values):
        panel.text(
            x + (column + 0.5) * across / columns, y + (row + 0.5) * down / rows, number(value),
            size=7, ha="center", va="center_baseline", color=on(scale.to_rgba(value)),
        )  # fmt: skip


def _diagonal(panel: Axes, asked: Sequence[str], found: Sequence[str], cell: float) -> None:
    """Outline the cells of one language: dark on white, so that it is seen on every colour."""
    line = min(1.2, cell * 9)
    for tag in sorted({*asked} & {*found}):
        box = Rectangle((found.index(tag), asked.index(tag)), 1, 1, fill=False, clip_on=False)
        box.set(linewidth=line, edgecolor=INK)
        box.set_path_effects([withStroke(linewidth=2.2 * line, foreground="white")])
        panel.add_patch(box)
