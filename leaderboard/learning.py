"""The curves of a training run in; tables as data, and a figure with a panel for each value, out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from benchmark.bias import MEASURES
from benchmark.evidence import Json
from benchmark.learning import NEAR, Training, reached
from leaderboard.drawing import COUNT, GREY, INK, SHORT, Sheet, ceiling, clean, style
from leaderboard.tables import SETTING_NAMES, Table
from tasks import languages
from tasks.card import SETTINGS

MACRO = "macro"
BIAS = {"rank_distance": "rank distance", "own_first": "own first", "own_excess@10": "own excess@10"}
DRAWN = ("rank_distance", "own_excess@10")
SHARE = f"{100 * NEAR:.0f} %"
FEW = 15  # languages that have a colour and a name each; of more, the highest and lowest have a name
ENDS = 3
COLOURS, DASHES = ("#1f4068", "#b5562b", "#3f8fae", "#7b2442", "#1f7a63"), ("-", "--", ":")
NAMED = 5  # steps
DOUBLINGS = 8  # times the first step; from then on steps stand by their logarithm
LINE = 7 * 1.15 / 72  # inches between two names
STEP = FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")


def tables(run: Training, found: pd.DataFrame) -> Iterator[Table]:
    """Yield the averages by step, and when each language of the question came near its last value."""
    measure = _measure(found)
    macro = found[found["query_lang"] == MACRO].pivot_table(index="step", columns=["name", "setting"], values="value")
    cells = pd.DataFrame({"step": [f"{step:,}" for step in macro.index]})
    kinds = {"step": "count"}
    for setting in _settings(found):
        cells[f"{measure}\n{setting}"] = macro[measure, setting].to_numpy()
        kinds[f"{measure}\n{setting}"] = "score"
    for name, text in BIAS.items():
        if name in macro:
            label = "\n".join(text.rsplit(" ", 1))
            cells[label] = macro[name, "multi"].to_numpy()
            kinds[label] = "count" if name == "rank_distance" else "signed" if "excess" in name else "score"
    yield Table("steps", f"{run.name} on {_task(run)}: macro averages by step", cells, kinds)

    speed = reached(found[found["name"] == measure]).set_index(["query_lang", "setting"])
    tags = [*sorted({tag for tag, _ in speed.index} - {MACRO}), MACRO]
    rows = []
    for tag in tags:
        row: dict[str, Any] = {"language": tag if tag == MACRO else f"{languages.name(tag)} ({tag})"}
        for setting in _settings(found):
            if (tag, setting) in speed.index:
                one = speed.loc[(tag, setting)]
                row |= {
                    f"{setting}\nfirst": one["first"], f"{setting}\nlast": one["last"],
                    f"{setting}\n{SHARE} from": f"{one['step']:,}",
                }  # fmt: skip
        rows.append(row)
    cells = pd.DataFrame(rows)
    kinds = {name: "count" if name.endswith(" from") else "score" for name in cells.columns[1:]}
    title = f"{measure}: first and last value, and the step from which on it is at least {SHARE} of the last"
    yield Table("speed", title, cells, kinds, breaks=(len(cells) - 1,))


def as_data(run: Training, found: pd.DataFrame) -> Json:
    """Return a run's curves, and when they came near their last values, for programs."""
    measure = _measure(found)
    called = {"query_lang": "query_language"}
    return {
        "run": run.name,
        "task": run.task,
        "measure": measure,
        "steps": list(run.steps),
        "curves": found.rename(columns=called).to_dict("records"),
        "near": NEAR,
        "reached": reached(found[found["name"] == measure]).rename(columns=called).to_dict("records"),
    }


def every_value(runs: Sequence[Training], found: Sequence[pd.DataFrame]) -> Table:
    """Return one row for each value at each step: for programs, never cut."""
    parts = []
    key = ["setting", "query_lang", "name"]
    for run, table in zip(runs, found, strict=True):
        speed = reached(table[table["name"] == _measure(table)])[[*key, "step"]].rename(
            columns={"step": "near_from_step"}
        )
        part = table.merge(speed, on=key, how="left").astype({"near_from_step": "Int64"})
        parts.append(pd.DataFrame({"run": run.name, "task": run.task}, index=part.index).join(part))
    cells = pd.concat(parts, ignore_index=True).rename(columns={"query_lang": "query_language"})
    return Table("curves", "Every value at every step", cells, {})


def draw(run: Training, found: pd.DataFrame) -> Figure:
    """Draw every value over the step: a line for each language of the question, and the macro average."""
    measure = _measure(found)
    panels = [(measure, setting, SETTING_NAMES[setting]) for setting in _settings(found)]
    panels += [(name, "multi", BIAS[name]) for name in DRAWN if (found["name"] == name).any()]
    tags = sorted({*found["query_lang"]} - {MACRO})
    highest = ceiling(found.loc[found["name"] == measure, "value"].max())
    with style():
        sheet = Sheet([text for *_, text in panels], (2.7, 2.4), 3)
        for panel, (name, setting, _) in zip(sheet.panels, panels, strict=True):
            part = found[(found["name"] == name) & (found["setting"] == setting)]
            table = part.pivot_table(index="step", columns="query_lang", values="value")
            near: dict[Any, Any] = {}
            if name == measure:
                near = reached(part).set_index("query_lang")["step"].to_dict()
            for tag in [*(tag for tag in tags if tag in table), MACRO]:
                panel.plot(table.index, table[tag], **_look(tags, tag))
                if tag in near and (tag == MACRO or len(tags) <= FEW):
                    panel.plot(
                        near[tag],
                        table.loc[near[tag], tag],
                        "o",
                        color=_look(tags, tag)["color"],
                        markersize=3.5,
                        clip_on=False,
                    )
            _steps(panel, run.steps)
            _values(panel, table, name, highest if name == measure else None)
            _names(panel, table.iloc[-1], tags, sheet)
            panel.set(xlabel="step", ylabel=name if name == measure else "")
        return sheet.finish(
            f"{clean(run.name)} on {clean(_task(run))} · {measure} and language bias over training",
            "A line for each language of the question; thick: macro average. From the dot on, a value is at least "
            f"{SHARE} of the last.",
        )


def _measure(found: pd.DataFrame) -> str:
    return str(next(name for name in found["name"] if name not in MEASURES))


def _settings(found: pd.DataFrame) -> list[str]:
    had = {*found.loc[found["name"] == _measure(found), "setting"]}
    return [setting for setting in SETTINGS if setting in had]


def _task(run: Training) -> str:
    says = run.results[0].says["task"]
    return f"{says['title']} @{says['variant']}" if says["variant"] else str(says["title"])


def _look(tags: Sequence[str], tag: str) -> dict[str, Any]:
    """Return how a curve is drawn."""
    if tag == MACRO:
        return {"color": INK, "linewidth": 2.2}
    if len(tags) > FEW:
        return {"color": "#b5b5b5", "linewidth": 0.6, "zorder": 1}
    place = tags.index(tag)
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place // len(COLOURS)], "linewidth": 1.1}


def _steps(panel: Axes, steps: Sequence[int]) -> None:
    """Lay out the axis of steps: by their logarithm where the last is many times the first; few are all named."""
    if steps[0] > 0 and steps[-1] / steps[0] >= DOUBLINGS:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if steps[-1] / steps[0] < 50 else (1,)))
        panel.xaxis.set_minor_formatter(NullFormatter())
    else:
        panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    if len(steps) <= NAMED:
        panel.xaxis.set_major_locator(FixedLocator(steps))
        panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(STEP)
    panel.set_xlim(steps[0], steps[-1])


def _values(panel: Axes, table: pd.DataFrame, name: str, highest: float | None) -> None:
    """Lay out the axis of values: one for all panels of the measure."""
    panel.grid(axis="y")
    low, high = table.min().min(), table.max().max()
    if highest is not None:
        panel.set_ylim(0, highest)
        panel.yaxis.set_major_formatter(SHORT)
    elif name == "rank_distance":
        panel.set_ylim(0, 1.05 * high or 1)
        panel.yaxis.set_major_formatter(COUNT)
    else:
        panel.set_ylim(min(0, 1.1 * low), max(0.1, 1.1 * high))
        panel.yaxis.set_major_formatter(SHORT)


def _names(panel: Axes, last: "pd.Series[float]", tags: Sequence[str], sheet: Sheet) -> None:
    """Write the names of curves beside their ends, apart from each other; of many the highest and the lowest."""
    order = last.sort_values(ascending=False, kind="stable")
    if len(tags) > FEW:
        alone = order.drop(MACRO)
        order = order[order.index.isin([*alone.index[:ENDS], *alone.index[-ENDS:], MACRO])]
    low, high = panel.get_ylim()
    ends = (order.to_numpy() - low) / (high - low)
    down = np.arange(len(ends)) * LINE / sheet.size[1]
    lowest = np.minimum.accumulate(ends + down) - down  # each a line below the one before, and none above its end
    highest = np.maximum.accumulate((ends + down)[::-1])[::-1] - down  # the same, and none below
    at = (lowest + highest) / 2
    at += max(0, -at[-1]) - max(0, at[0] - 1)
    for tag, end, place in zip(order.index, ends, at, strict=True):
        look = _look(tags, tag)
        panel.plot([1, 1.03], [end, place], transform=panel.transAxes, clip_on=False, color=GREY, linewidth=0.4)
        text = "macro" if tag == MACRO else tag
        panel.text(
            1.045, place, text, transform=panel.transAxes, size=7, va="center",
            color=look["color"] if len(tags) <= FEW else INK, weight="bold" if tag == MACRO else "normal",
        )  # fmt: skip
