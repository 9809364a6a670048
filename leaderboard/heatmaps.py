"""Models in; heat maps of question language x document language out: the measure, and what strong alignment loses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from benchmark import averages
from leaderboard.compared import Model, ends
from leaderboard.drawing import FAR, INK, LABEL, SEQUENCE, Sheet, ceiling, number, on

SIDE = 1200  # pixels of an image: a cell is many, for viewers that smooth pixels whatever they are told
ANNOTATED = 20  # languages; the numbers of more could not be read


def matrix(models: Sequence[Model]) -> Figure | None:
    """Draw the measure by language of question and documents."""
    if not all((model.directed["setting"] == "cross").any() for model in models):
        return None
    grids = [averages.matrix(model.directed, model.measure) for model in models]
    return _heat(
        models,
        grids,
        ScalarMappable(Normalize(0, ceiling(ends(grids)[1])), LinearSegmentedColormap.from_list("pale", SEQUENCE)),
        f"{models[0].measure} in every direction",
        "Outlined: question and documents in one language (mono); elsewhere in two (cross).",
    )


def alignment(models: Sequence[Model]) -> Figure | None:
    """Draw strong less weak alignment: what is lost when the answers must stand above the texts of all languages."""
    grids = [_strong(model) - averages.matrix(model.directed, model.measure) for model in models]
    if any(grid.size < 2 or grid.isna().all(axis=None) for grid in grids):
        return None
    most = ceiling(max(map(abs, ends(grids))))
    return _heat(
        models,
        grids,
        ScalarMappable(Normalize(-most, most), colormaps["PuOr"]),
        f"strong − weak alignment ({models[0].measure})",
        "What is lost when the answers in one language must stand above the texts of all languages (strong), not only "
        "above those of their own (weak); answers in the other languages are taken out.",
    )


def _strong(model: Model) -> pd.DataFrame:
    rows = {
        (row["query_language"], row["document_language"]): row["measures"][model.measure]
        for row in model.says["strong"]
    }
    return pd.Series(rows, index=pd.MultiIndex.from_tuples(rows, names=["query_lang", "pool"])).unstack()  # noqa: PD010


def _heat(
    models: Sequence[Model], grids: Sequence[pd.DataFrame], scale: ScalarMappable, title: str, note: str
) -> Figure:
    """Draw a heat map for each model, its languages in alphabetical order, its means set apart."""
    asked = sorted({tag for grid in grids for tag in grid.index})
    found = sorted({tag for grid in grids for tag in grid.columns})
    grids = [grid.reindex(index=asked, columns=found) for grid in grids]
    count = max(len(asked), len(found))
    cell = 0.36 if count <= ANNOTATED else float(np.clip(6.4 / count, 0.085, 0.2))
    gap, strip = max(0.25, 0.06 / cell), max(1.0, 0.18 / cell)  # in cells
    times = -(-SIDE // count)
    wide, high = (len(tags) + gap + strip for tags in (found, asked))
    sheet = Sheet([model.name for model in models], (wide * cell, high * cell), 3)
    for panel, grid in zip(sheet.panels, grids, strict=True):
        parts = {
            (0, 0, len(found), len(asked)): grid.to_numpy(),
            (len(found) + gap, 0, strip, len(asked)): grid.mean(axis=1).to_numpy()[:, None],
            (0, len(asked) + gap, len(found), strip): grid.mean(axis=0).to_numpy()[None],
        }
        for (x, y, across, down), values in parts.items():
            if np.isnan(values).any():
                look: dict[str, Any] = {"hatch": "/////", "facecolor": "white", "edgecolor": "#bbbbbb", "linewidth": 0}
                panel.add_patch(Rectangle((x, y), across, down, **look))
            panel.imshow(
                values.repeat(times, axis=0).repeat(times, axis=1),
                cmap=scale.get_cmap(), norm=Normalize(*scale.get_clim()), aspect="auto", interpolation="none",
                extent=(x, x + across, y + down, y),
            )  # fmt: skip
            if count <= ANNOTATED:
                _numbers(panel, values, (x, y, across, down), scale)
        _diagonal(panel, asked, found, cell)
        panel.set(xlim=(0, wide), ylim=(high, 0))
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0, pad=2, labelsize=min(LABEL, cell * 72 * 0.85))
        left, lower = (edge or cell * count > FAR for edge in sheet.edge(panel))
        for axis, tags, shown in ((panel.yaxis, asked, left), (panel.xaxis, found, lower)):
            axis.set_ticks(np.append(np.arange(len(tags)) + 0.5, len(tags) + gap + strip / 2))
            axis.set_ticklabels([*tags, "mean"] if shown else [])
        panel.tick_params("x", rotation=90 if max(map(len, found)) > 3 else 0)
        panel.set(ylabel="question" if left else "", xlabel="documents" if lower else "")
    if any(grid.isna().any(axis=None) for grid in grids):
        note += " Hatched: no such direction."
    return sheet.finish(models[0].title(title), note, scale=scale)


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
