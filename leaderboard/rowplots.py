"""Models in; plots with a row for each language of the question out: share, rank distance, the three settings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from benchmark import bias
from leaderboard.compared import Model, ends, language
from leaderboard.drawing import (
    COUNT,
    DARK,
    FAR,
    GREY,
    INK,
    LABEL,
    MIDDLE,
    PALE,
    PERCENT,
    SHORT,
    Floats,
    Sheet,
    ceiling,
    on,
)
from tasks import languages

SEGMENTS = 15  # document languages that a bar can show one by one
# Dark and light by turns: neighbours differ in grey, too.
SHADES = (
    "#1f4068", "#f0bf57", "#7b2442", "#a9d3e4", "#1f5d50", "#f2aca3", "#5b3f80", "#c3dd9b",
    "#70481a", "#d8c5e8", "#29607a", "#f6dcae", "#8a331f", "#a3d8c8", "#455a1f",
)  # fmt: skip
GROUPS = {"own language": DARK, "others in its script": MIDDLE, "other scripts": PALE}
THICK = 0.78  # of a bar, where a row is 1
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "mono": ("mono: own language", {"marker": "o", "color": DARK, "markersize": 6}),
    "cross": ("cross: one other", {"marker": "s", "color": MIDDLE, "markersize": 5}),
    "multi": ("multi: all together", {"marker": "D", "color": "white", "markersize": 5, "markeredgecolor": INK}),
}
BOX: dict[str, Any] = {"facecolor": "#a9cbdc", "edgecolor": GREY, "linewidth": 0.6}
MEAN: dict[str, Any] = {"linestyle": "", "marker": "D", "color": "white", "markeredgecolor": INK, "markersize": 4}
LINES: dict[str, dict[str, Any]] = {
    "best possible": {"linestyle": ":", "color": INK, "linewidth": 0.9},
    "chance": {"linestyle": "--", "color": INK, "linewidth": 0.9},
}
QUANTILES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def share(models: Sequence[Model]) -> Figure | None:
    """Draw the languages of the first ten documents, beside those of the pool."""
    models = [model for model in models if model.says["language_share"]]
    tables = [
        pd.DataFrame({row["query_language"]: row["shares"] for row in model.says["language_share"] if row["k"] == 10}).T
        for model in models
    ]
    found = sorted({tag for table in tables for tag in table.columns})
    if len(found) < 2:
        return None
    asked = sorted({tag for table in tables for tag in table.index})
    tables = [table.reindex(index=asked, columns=found) for table in tables]
    size = models[0].result.pools().set_index("pool")["documents"].reindex(found)
    drawn = _segments if len(found) <= SEGMENTS else _groups
    sheet, keys = drawn([model.name for model in models], tables, size / size.sum())
    for panel in sheet.panels:
        panel.set(xlim=(0, 1), xlabel="share of the first ten")
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.xaxis.set_major_formatter(PERCENT)
    return sheet.finish(
        models[0].title("languages of the first ten documents"),
        "Mean share in the pool of all languages, by language of the question.",
        keys,
    )


def _segments(names: Sequence[str], tables: Sequence[pd.DataFrame], pool: pd.Series) -> tuple[Sheet, list[Patch]]:
    """Draw a segment for each document language; those of the pool stand first."""
    colours = dict(zip(pool.index, SHADES, strict=False))
    at = np.array([0, *(np.arange(len(tables[0])) + 1.5)])
    sheet = _rows(names, ["the pool", *map(language, tables[0].index)], at)
    outline: dict[str, Any] = {"edgecolor": "black", "linewidth": 1.6}
    for panel, table in zip(sheet.panels, tables, strict=True):
        shares = pd.concat([pool.to_frame("").T, table])
        lefts = shares.cumsum(axis=1) - shares
        for tag in pool.index:
            left, width = lefts[tag].to_numpy(), shares[tag].to_numpy()
            panel.barh(at, width, THICK, left, color=colours[tag])
            panel.vlines(left[width > 0.01], *_sides(at[width > 0.01]), "white", linewidth=0.8)
            for row in np.flatnonzero(width * sheet.size[0] > sheet.width(tag, 6.5) + 0.06):
                middle, ink = left[row] + width[row] / 2, on(colours[tag])
                panel.text(middle, at[row], tag, size=6.5, color=ink, ha="center", va="center_baseline")
            for row in np.flatnonzero(shares.index == tag):
                corner = (left[row], at[row] - THICK / 2)
                panel.add_patch(Rectangle(corner, width[row], THICK, fill=False, clip_on=False, zorder=3, **outline))
    keys = [Patch(facecolor=colour, label=tag) for tag, colour in colours.items()]
    return sheet, [*keys, Patch(facecolor="white", label="the question's own", **outline)]


def _groups(names: Sequence[str], tables: Sequence[pd.DataFrame], pool: pd.Series) -> tuple[Sheet, list[Any]]:
    """Draw the own language, others in its script, and the rest, with a line where each would end in the pool."""
    asked, found = tables[0].index, tables[0].columns
    scripts = np.array([languages.script(tag) for tag in found])
    own = np.array([found == tag for tag in asked])
    alike = np.array([scripts == languages.script(tag) for tag in asked])
    order = np.argsort(-sum(np.where(own, table, 0).sum(axis=1) for table in tables), kind="stable")
    at = np.arange(len(asked), dtype=np.float64)
    sheet = _rows(names, [language(tag) for tag in asked[order]], at)
    halo = [withStroke(linewidth=2.2, foreground="white")]
    for panel, table in zip(sheet.panels, tables, strict=True):
        left = np.zeros(len(asked))
        for group, colour in zip((own, alike & ~own, ~alike & ~own), GROUPS.values(), strict=True):
            width = np.where(group, table, 0).sum(axis=1)[order]
            panel.barh(at, width, THICK, left, color=colour)
            left += width
        for group in (own, alike | own):
            panel.vlines((group @ pool.to_numpy())[order], *_sides(at), INK, linewidth=1, path_effects=halo)
    keys = [Patch(facecolor=colour, label=name) for name, colour in GROUPS.items()]
    line = Line2D(
        [], [], linestyle="", color=INK, marker="|", markersize=8, label="where the first two would end in the pool"
    )
    return sheet, [*keys, line]


def _sides(at: Floats) -> tuple[Floats, Floats]:
    return at - THICK / 2, at + THICK / 2


def distance(models: Sequence[Model]) -> Figure | None:
    """Draw how far apart the answers to one question stand, as quantiles over the questions."""
    models = [model for model in models if _known(model) and (model.result.folder / "ranks.parquet").is_file()]
    tables = [_distances(model) for model in models]
    if not any((table["chance"] > 0).any() for table in tables):  # one answer to each question
        return None
    order = np.log1p(pd.concat(tables)["mean"]).groupby(level=0).mean().sort_values(kind="stable").index
    at = np.arange(len(order), dtype=np.float64)
    sheet = _rows([model.name for model in models], [language(tag) for tag in order], at)
    low, high = ends(tables)
    for panel, table in zip(sheet.panels, [table.reindex(order) for table in tables], strict=True):
        if low >= 1:
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(LogLocator(subs=(1,) if high / low > 300 else (1, 2, 5)))
        else:
            panel.set_xscale("symlog", linthresh=1, linscale=0.4)
        panel.hlines(at, table[0.05], table[0.95], GREY, linewidth=0.8, zorder=0.9)
        panel.barh(at, table[0.75] - table[0.25], 0.6, table[0.25], **BOX)
        panel.vlines(table[0.5], at - 0.3, at + 0.3, INK, linewidth=1.6)
        panel.plot(table["mean"], at, **MEAN)
        for name, look in LINES.items():
            panel.plot(np.repeat(table[name], 2), np.column_stack([at - 0.5, at + 0.5]).ravel(), **look)
        panel.set(xlim=(low / 1.4, high * 1.4), xlabel="rank distance (log scale)")
        panel.xaxis.set_major_formatter(COUNT)
        panel.xaxis.set_minor_formatter(NullFormatter())
    keys = [
        Patch(label="25–75 % of the questions", **BOX),
        Line2D([], [], color=GREY, linewidth=0.8, label="5–95 %"),
        Line2D([], [], linestyle="", color=INK, marker="|", markersize=8, markeredgewidth=1.6, label="median"),
        Line2D([], [], label="mean", **MEAN),
        *(Line2D([], [], label=name, **look) for name, look in LINES.items()),
    ]
    return sheet.finish(
        models[0].title("rank distance by language of the question"),
        "How many ranks lie between the first and the last of the answers to a question, in the pool of all languages.",
        keys,
    )


def _known(model: Model) -> bool:
    """Say whether the rank distance is known: not where lists are cut off before the last answer."""
    return any(row["rank_distance"] is not None for row in model.says["bias"])


def _distances(model: Model) -> pd.DataFrame:
    """Return by query language the quantiles of the rank distance, its mean, the best possible, and by chance."""
    values = bias.by_query(model.result.ranks())
    grouped = values.groupby(values["query_lang"].astype("str"))
    table = grouped["rank_distance"].quantile(QUANTILES).unstack()  # noqa: PD010 - no aggregation
    table["mean"] = grouped["rank_distance"].mean()
    table["best possible"] = grouped["relevant"].mean() - 1
    table["chance"] = grouped["rank_distance_chance"].mean()
    return table


def drop(models: Sequence[Model]) -> Figure | None:
    """Draw the measure in the three settings, the language with the highest value first."""
    models = [model for model in models if len({*SETTINGS} & {*model.means}) > 1]
    shown = [setting for setting in SETTINGS if all(setting in model.means for model in models)]
    if not models or len(shown) < 2 or not _many(models):
        return None
    tables = [model.means[shown] for model in models]
    order = pd.concat(tables).groupby(level=0).mean().sort_values(shown, ascending=False, kind="stable").index
    at = np.append(np.arange(len(order)), len(order) + 0.5)
    sheet = _rows([model.name for model in models], [*map(language, order), "mean"], at)
    for panel, table in zip(sheet.panels, tables, strict=True):
        values = pd.concat([table.reindex(order), table.mean().to_frame("mean").T])
        panel.hlines(at, values.min(axis=1), values.max(axis=1), "#b5b5b5", linewidth=1.6)
        for setting in shown:
            panel.plot(values[setting], at, linestyle="", clip_on=False, **SETTINGS[setting][1])
        panel.set(xlim=(0, ceiling(ends(tables)[1])), xlabel=models[0].measure)
        panel.xaxis.set_major_formatter(SHORT)
        panel.grid(axis="x")
    return sheet.finish(
        models[0].title(f"{models[0].measure} in the three settings"),
        "Mean over the questions in a language; cross: over the languages of the documents.",
        [Line2D([], [], linestyle="", label=name, **look) for name, look in (SETTINGS[setting] for setting in shown)],
    )


def _many(models: Sequence[Model]) -> bool:
    """Say whether there is more than one language to find or to ask in."""
    task = models[0].says["task"]
    return len({*task["query_languages"], *task["document_languages"]}) > 1


def _rows(names: Sequence[str], labels: Sequence[str], at: Floats) -> Sheet:
    """Return a sheet whose panels have a labelled row at each place of `at`, counted from above."""
    pitch = next(pitch for most, pitch in ((25, 0.24), (60, 0.18), (np.inf, 0.13)) if len(labels) <= most)
    width = {1: 4.8, 2: 3.6}.get(len(names), 3.0)
    sheet = Sheet(names, (width, (at[-1] + 1) * pitch), 4)
    for panel in sheet.panels:
        left, _ = sheet.edge(panel)
        panel.set_yticks(at, labels if left else [])
        panel.set(ylim=(at[-1] + 0.5, -0.5), ylabel="question" if left else "")
        panel.tick_params("y", length=0, pad=6, labelsize=min(LABEL, pitch * 72 * 0.7))
        panel.tick_params("x", top=sheet.size[1] > FAR, labeltop=sheet.size[1] > FAR)
        panel.spines["left"].set_visible(False)
    return sheet
