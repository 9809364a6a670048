"""What compression costs each language in; a figure for each setting out, with a panel for each variant."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from benchmark.losses import LANGUAGE
from leaderboard.compared import language
from leaderboard.differences import LEVEL
from leaderboard.drawing import DARK, GREY, INK, MIDDLE, SHORT, clean
from leaderboard.rowplots import rows
from tasks.card import SETTINGS

SIDES = {
    "documents": ("as the language of the documents", DARK),
    "queries": ("as the language of the question", MIDDLE),
}
BOTH = ("as the language of both", DARK)
ROOM = 0.78  # that the bars of a row take, where a row is 1
EDGE = 0.04  # of the scale: beyond the longest bar


def draw(cells: pd.DataFrame, title: str) -> Iterator[tuple[str, Figure]]:
    """Yield each setting with more than one language, and its figure: the languages that lose most stand first.

    Args:
        cells: `benchmark.losses.of` variants.
        title: of the figures: the model and the task.
    """
    spoken = cells[cells["kind"] == LANGUAGE]
    for setting in SETTINGS:
        part = spoken[spoken["setting"] == setting]
        if len(part["language"].unique()) > 1:
            yield setting, _figure(part, setting, title)


def _figure(cells: pd.DataFrame, setting: str, title: str) -> Figure:
    variants = list(cells["variant"].unique())
    sides = {side: look for side, look in SIDES.items() if (cells["side"] == side).any()}
    if len(sides) == 1:
        sides = {side: BOTH if setting == "mono" else look for side, look in sides.items()}
    order = cells.groupby("language")["difference"].mean().sort_values(kind="stable").index
    at = np.arange(len(order), dtype=np.float64)
    sheet = rows([clean(name) for name in variants], [language(tag) for tag in order], at, "language")
    low, high = min(0.0, cells["difference"].min()), max(0.0, cells["difference"].max())
    spare = EDGE * max(high - low, 1e-3)
    thick = ROOM / len(sides)
    for panel, variant in zip(sheet.panels, variants, strict=True):
        table = cells[cells["variant"] == variant].set_index(["side", "language"])
        for place, (side, (_, colour)) in enumerate(sides.items()):
            values = table.loc[side].reindex(order)
            real = (values["p_adjusted"] < LEVEL).to_numpy()
            middle = at + (place - (len(sides) - 1) / 2) * thick
            for those, look in ((real, _full(colour)), (~real, _hollow(colour))):
                panel.barh(middle[those], values["difference"].to_numpy()[those], 0.82 * thick, **look)
        panel.axvline(0, color=INK, linewidth=0.8)
        panel.set(xlim=(low - spare, high + spare), xlabel=f"{cells['name'].iloc[0]}: difference")
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.xaxis.set_major_formatter(SHORT)
        panel.grid(axis="x")
    keys = [Patch(label=label, **_full(colour)) for label, colour in sides.values()]
    return sheet.finish(
        f"{title} · what each language loses in {setting}",
        "To the left: lost against exact search, of lists as long. Those that lose most, on the mean, stand first.",
        [*keys, Patch(label="not told apart from nothing", **_hollow(GREY))],
    )


def _full(colour: str) -> dict[str, Any]:
    return {"facecolor": colour, "edgecolor": colour, "linewidth": 0.7}


def _hollow(colour: str) -> dict[str, Any]:
    return {"facecolor": "white", "edgecolor": colour, "linewidth": 0.7}
