"""Models in; scatter plots out: across languages against within one, and quality against language bias.

Labels stand where they cover nothing; where there is no room for all, those of the outermost points remain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from leaderboard.compared import Model, ends
from leaderboard.drawing import COUNT, DARK, GREY, INK, SHORT, Floats, Sheet, ceiling
from tasks import languages

TAGGED, OUTERMOST = 40, 40  # languages that are all labelled, and how many of more
NEAR = 0.15  # inches from a point that a label may be without a line that leads to it
# Resource class: the shape and, from dark to light, the colour of its points.
CLASSES: dict[int | None, tuple[str, str]] = {
    5: ("o", "#1f4068"),
    4: ("D", "#2f6690"),
    3: ("^", "#5b9ab8"),
    2: ("P", "#8fc1cf"),
    1: ("s", "#e3b65b"),
    0: ("v", "#f6dcae"),
    None: ("X", "#c9c9c9"),
}
EDGE: dict[str, Any] = {"linestyle": "", "markersize": 6, "markeredgecolor": INK, "markeredgewidth": 0.5}


def scatter(models: Sequence[Model]) -> Figure | None:
    """Draw the cross value of each language of the question over its mono value."""
    models = [
        model
        for model in models
        if {"mono", "cross"} <= {*model.means} and model.means[["mono", "cross"]].notna().all(axis=1).any()
    ]
    if not models:
        return None
    tables = [model.means[["mono", "cross"]].dropna() for model in models]
    low, high = ends(tables)
    low = np.floor(low * 10) / 10
    high = max(low + 0.1, ceiling(high))
    side = 4.4 if len(models) == 1 else 3.8
    sheet = Sheet([model.name for model in models], (side, side), 3)
    size = 6 if len(models) == 1 and max(map(len, tables)) <= TAGGED else 4.5
    seen: set[int | None] = set()
    for panel, table in zip(sheet.panels, tables, strict=True):
        panel.plot([low, high], [low, high], color="#b5b5b5", linewidth=0.8, zorder=0)
        classes = np.array([languages.resource_class(tag) for tag in table.index], dtype=object)
        for kind in [kind for kind in CLASSES if kind in classes]:  # a line without points upsets the layout
            marker, colour = CLASSES[kind]
            part = table[classes == kind]
            look = EDGE | {"marker": marker, "color": colour, "markersize": size}
            panel.plot(part["mono"], part["cross"], clip_on=False, **look)
        seen |= {*classes}
        panel.set(xlim=(low, high), ylim=(low, high))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(SHORT)
        away = ((table - table.median()) ** 2).sum(axis=1).sort_values(ascending=False, kind="stable").index
        few = len(away) <= TAGGED
        named = list(away)[: None if few else OUTERMOST]
        _label(sheet, panel, table.loc[away], named, np.linspace((0, 0), sheet.size, 100), lines=few)
        left, lower = sheet.edge(panel)
        panel.set(ylabel="cross: documents in one other language" if left else "")
        panel.set(xlabel="mono: documents in the question's language" if lower else "")
    keys = [
        Line2D([], [], marker=marker, color=colour, label="not classed" if kind is None else f"class {kind}", **EDGE)
        for kind, (marker, colour) in CLASSES.items()
        if kind in seen
    ]
    return sheet.finish(
        models[0].title(f"{models[0].measure} across languages and within"),
        "One point for each language of the question; on the line nothing is lost across languages. Shapes: how much "
        "there is to train on in the language, from class 0 (nothing) to 5 (the most).",
        keys,
    )


def quality_bias(models: Sequence[Model]) -> Figure | None:
    """Draw the multi value of each model over its macro rank distance."""
    macro = [(model, row) for model in models for row in model.says["bias"] if row["query_language"] == "macro"]
    known = [(model, row) for model, row in macro if row["rank_distance"] is not None]
    if len(known) < 2:
        return None
    models, rows = zip(*known, strict=True)
    values = pd.DataFrame(
        {
            "distance": [row["rank_distance"] for row in rows],
            "value": [model.means["multi"].mean() for model in models],
        },
        index=[model.name for model in models],
    )
    if (values["distance"] <= 0).any():
        return None
    by_chance = next(
        row["measures"][models[0].measure]
        for row in models[0].says["averages"]
        if (row["setting"], row["average"]) == ("multi", "chance")
    )
    chance = (rows[0]["rank_distance_chance"], by_chance)
    sheet = Sheet([""], (4.8, 3.6), 1)
    panel = sheet.panels[0]
    panel.set_xscale("log")
    panel.axvline(chance[0], color=GREY, linewidth=0.9, linestyle="--", zorder=0)
    panel.plot(values["distance"], values["value"], "o", color=DARK, markersize=7, clip_on=False)
    panel.plot(*chance, "X", color="white", markeredgecolor=INK, markersize=7, clip_on=False)
    values = pd.concat([values, pd.DataFrame([chance], columns=values.columns, index=["chance"])])
    low, high = ends([values[["distance"]]])
    panel.set(
        xlim=(min(low / 1.6, high / 10), high * 1.6),
        ylim=(0, ceiling(ends([values[["value"]]])[1] * 1.06)),
        xlabel="rank distance, macro (log scale)",
        ylabel=f"{models[0].measure} in the pool of all languages, macro",
    )
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(COUNT)
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.yaxis.set_major_formatter(SHORT)
    line = pd.DataFrame({"distance": chance[0], "value": np.linspace(*panel.get_ylim(), 100)})
    _label(sheet, panel, values, [sheet.shorten(name, 2) for name in values.index], _inches(sheet, panel, line))
    return sheet.finish(
        models[0].title("quality and language bias"),
        "One point for each model. Up and to the left is better; a random order has the place of the cross.",
    )


def _inches(sheet: Sheet, panel: Axes, values: pd.DataFrame) -> Floats:
    """Return points (x, y) in inches from the lower left corner of their panel."""
    low, high = panel.transScale.transform(np.column_stack([panel.get_xlim(), panel.get_ylim()]))
    return np.array((panel.transScale.transform(values.to_numpy()) - low) / (high - low) * sheet.size)


def _label(
    sheet: Sheet, panel: Axes, values: pd.DataFrame, labels: Sequence[str], ink: Floats, *, lines: bool = True
) -> None:
    """Write labels beside the first points of `values` (x, y), each where it covers nothing.

    Without `lines` from labels to points, those that would need one are left out.
    """
    points = _inches(sheet, panel, values)
    sizes = np.array([(sheet.width(label, 7) + 0.02, 7 * 1.1 / 72) for label in labels])
    places = _beside(points, sizes, sheet.size, ink)
    for label, point, (x, y), place in zip(labels, points, values.to_numpy(), places, strict=False):
        if place is not None and (lines or not place.far):
            away = (place.x - point[0]) * 72, (place.y - point[1]) * 72
            line = {
                "arrowstyle": "-",
                "linewidth": 0.4,
                "color": GREY,
                "shrinkA": 0,
                "shrinkB": 3,
                "relpos": place.start,
            }
            panel.annotate(
                label, (x, y), away, textcoords="offset points", size=7, ha="center", va="center",
                arrowprops=line if place.far else None, in_layout=False,
            )  # fmt: skip


@dataclass(frozen=True)
class _Place:
    """The centre of a label; if it is `far`, a line should lead to its point from `start` (0 to 1 across and up)."""

    x: float
    y: float
    far: bool
    start: tuple[float, float]


def _beside(
    points: Floats, sizes: Floats, room: tuple[float, float], ink: Floats, free: float = 0.06
) -> list[_Place | None]:
    """Find for each label a place beside its point where it covers nothing and is not taken for another point's.

    Args:
        points: [n, 2], from the lower left corner of a panel; those first in order get the nearest places.
        sizes: [m, 2], width and height of the labels of the first m points.
        room: width and height of the panel.
        ink: [k, 2], what else is not to be covered.
        free: radius of a point.

    Returns:
        A place for each label; None where there is no room. All in inches.
    """
    turns = np.deg2rad([0, 180, 90, 270, 45, 315, 135, 225, 20, 340, 160, 200])
    rays = np.column_stack([np.cos(turns), np.sin(turns)])
    sides = np.clip(rays * 1.5, -1, 1)  # the corner of a label, or the middle of its side, points at its point
    away = np.repeat([0.08, 0.13, 0.2, 0.3, 0.42], len(turns))
    ends, halves = np.tile(rays, (5, 1)) * away[:, None], np.tile(sides, (5, 1)) / 2
    taken = np.vstack([np.hstack([points - free, points + free]), np.hstack([ink - 0.01, ink + 0.01])])
    written = np.empty((0, 4))  # labels, and the lines that lead to them
    found: list[_Place | None] = []
    for number, (point, size) in enumerate(zip(points, sizes, strict=False)):
        centres = point + ends + halves * size
        low, high = centres - size / 2, centres + size / 2
        good = (low >= 0).all(axis=1) & (high <= room).all(axis=1) & ~_meet(low, high, np.vstack([taken, written]))
        others = np.delete(points, number, axis=0)
        shut = np.vstack([written, np.hstack([others - free / 2, others + free / 2])])
        ways = point + ends * np.linspace(0.3, 1, 12)[:, None, None]
        good &= (away < NEAR) | ~np.any([_meet(way, way, shut) for way in ways], axis=0)
        gaps = np.hypot(*np.maximum(np.abs(points - centres[:, None]) - size / 2, 0).T).T
        good &= (away > NEAR) | (gaps >= gaps[:, [number]]).all(axis=1)
        best = int(np.argmax(good))
        if not good[best]:
            found.append(None)
            continue
        far, start = bool(away[best] > NEAR), 0.5 - halves[best]
        found.append(_Place(float(centres[best, 0]), float(centres[best, 1]), far, (float(start[0]), float(start[1]))))
        line = ways[:, best] if far else np.empty((0, 2))
        written = np.vstack([written, np.hstack([low[best], high[best]]), np.hstack([line - 0.01, line + 0.01])])
    return found


def _meet(low: Floats, high: Floats, boxes: Floats) -> NDArray[np.bool_]:
    """Say which of the boxes from `low` to `high` meet any of `boxes`."""
    overlap = (low[:, None] < boxes[:, 2:]) & (high[:, None] > boxes[:, :2])
    return np.asarray(np.any(np.all(overlap, axis=2), axis=1))
