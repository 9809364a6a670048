"""The slices of a result in; tables of them out, as data that `formats` turns into text.

By value of the facet: the averages of each setting beside what a random order scores, and the bias that follows from
ranks. Of one setting also all tables of that setting, for each value.
"""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from benchmark.bias import STRONG
from benchmark.evidence import Json
from benchmark.slices import Slice, Slices
from leaderboard import tables
from leaderboard.tables import SETTING_NAMES, Table
from tasks.card import SETTINGS

MOST = 50  # values that are read
FEW = 30  # topics below which a slice says little
SAID_OF = {"query": "the question", "document": "the relevant documents", "language": "the language that asks"}
AVERAGES = {name: (name, "score") for name in ("macro", "micro", "chance")}
BIAS = {
    "rank\ndistance": ("rank_distance", "count"),
    "\nchance": ("rank_distance_chance", "count"),
    "Max@R\n0-100": ("max_rank_normalised", "index"),
    "Comp\n@10": ("complete@10", "score"),
    "own\nfirst": ("own_first", "score"),
    "own first\nchance": ("own_first_chance", "score"),
}


def of(found: Slices, measure: str, setting: str | None = None) -> Iterator[Table]:
    """Yield the tables by value; of one setting, those and then the tables of the setting for each value.

    Raises UserError if the result was not run in the setting.
    """
    whole = found.whole.says
    if setting is not None:
        next(tables.of_setting(whole, setting, measure))
    for name in [setting] if setting else [name for name in SETTINGS if name in found.whole.topics_in]:
        yield averages(found, measure, name)
    if setting in (None, "multi") and whole["bias"]:
        yield bias(found)
    if setting is not None:
        for part in found.parts[:MOST]:
            if _averages(part, setting, measure):
                yield from _tables(found, part, setting, measure)


def averages(found: Slices, measure: str, setting: str) -> Table:
    """Return one row for each value: the averages of one setting (or of `strong` alignment), then of all together."""
    rows = [_averages(part, setting, measure) for part in _shown(found)]
    name = SETTING_NAMES.get(setting, "strong: the pool of all, answers in one language counting")
    return _table(found, setting, f"{measure}, {name}", rows, AVERAGES)


def bias(found: Slices) -> Table:
    """Return one row for each value: the bias in the pool of all languages, as far as it follows from ranks."""
    rows = [_macro(part.says["bias"]) for part in _shown(found)]
    title = "Language bias in the pool of all languages (macro; what needs the top 100 is not sliced)"
    return _table(found, "multi", title, rows, BIAS)


def every_direction(found: Slices, setting: str | None = None) -> Table:
    """Return the directions of every value with all measures: for programs, never cut."""
    parts = []
    for part in found.parts:
        table = tables.every_direction(part.says, setting)
        topics = [part.topics_in["multi" if name == STRONG else name] for name in table.cells["setting"]]
        for place, (name, cell) in enumerate({"by": found.by, "value": label(part), "topics": topics}.items(), 2):
            table.cells.insert(place, name, cell)
        parts.append(table)
    cells = pd.concat([table.cells for table in parts], ignore_index=True)
    return replace(parts[0], cells=cells, kinds=parts[0].kinds | {"topics": "count"})


def label(part: Slice) -> str:
    """Return the value of a slice as tables show it."""
    return "(none)" if part.value is None else part.value


def _shown(found: Slices) -> list[Slice]:
    return [*found.parts[:MOST], found.whole]


def _topics(part: Slice, setting: str) -> int:
    return part.topics_in.get("multi" if setting == STRONG else setting, 0)


def _averages(part: Slice, setting: str, measure: str) -> Json:
    """Return the averages of one slice; nothing if it has no query in the setting."""
    if setting != STRONG:
        found = {row["average"]: row for row in part.says["averages"] if row["setting"] == setting}
        counts = {name: found["macro"][name] for name in ("directions", "n")} if found else {}
        return counts | {name: row["measures"][measure] for name, row in found.items()}
    rows = pd.DataFrame([row["measures"] | {"n": row["n"]} for row in part.says["strong"]])
    if rows.empty:
        return {}
    micro = (rows[measure] * rows["n"]).sum() / rows["n"].sum()
    return {"directions": len(rows), "n": int(rows["n"].sum()), "macro": rows[measure].mean(), "micro": micro}


def _macro(rows: list[Json]) -> Json:
    return next((row for row in rows if row["query_language"] == "macro"), {})


def _table(found: Slices, setting: str, title: str, rows: list[Json], columns: dict[str, tuple[str, str]]) -> Table:
    """Return a table with a row for each value that is shown, and one for all together."""
    shown = _shown(found)
    topics = [_topics(part, setting) for part in shown]
    cells = pd.DataFrame({"value": [*map(label, shown[:-1]), "all"], "topics": topics})
    cells["directions"] = [row.get("directions") for row in rows]
    cells["n"] = [row.get("n", 0) for row in rows]
    for column, (name, _) in columns.items():
        cells[column] = [row.get(name) for row in rows]
    cells[""] = ["few topics" if count < FEW else None for count in topics]
    cells = cells.dropna(axis="columns", how="all")
    kinds = dict.fromkeys(["topics", "directions", "n"], "count") | {name: kind for name, (_, kind) in columns.items()}
    title = f"{title}, by {found.by} of {SAID_OF[found.of]}"
    if len(found.parts) > MOST:
        title += f": the {MOST} values with most topics of {len(found.parts)} (csv and json have all)"
    if found.every > 1:
        title += f"; of one topic in {found.every}, whose ranks are kept"
    last = len(cells) - 1
    marks = {(last, place): "mean" for place in range(cells.shape[1])}
    return Table(f"{setting} by value", title, cells, {n: k for n, k in kinds.items() if n in cells}, marks, (last,))


def _tables(found: Slices, part: Slice, setting: str, measure: str) -> Iterator[Table]:
    """Yield the tables of a setting for one value."""
    topics = _topics(part, setting)
    front = f"{found.by} = {label(part)} ({topics:,} topic{'s' * (topics != 1)}{', few' if topics < FEW else ''})"
    for table in tables.of_setting(part.says, setting, measure):
        cells = table.cells.dropna(axis="columns", how="all") if table.name == "bias" else table.cells
        yield replace(table, title=f"{front}: {table.title}", cells=cells)
