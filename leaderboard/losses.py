"""What compression costs each language in; tables as data out, and what a person is told of it.

A row or column is a variant: an index, a quantiser, a dtype. A difference is called real where its adjusted p-value is
below 5 %, and bold then.
"""

from collections.abc import Iterator, Sequence

import pandas as pd

from benchmark import evidence
from benchmark.compression import Compressed
from benchmark.evidence import Json, Result
from benchmark.exposure import DEPTHS
from benchmark.losses import AVERAGE, BIAS, DIRECTION, LANGUAGE
from leaderboard import differences
from leaderboard.differences import LEVEL
from leaderboard.formats import number
from leaderboard.tables import MOST, Table
from tasks import languages
from tasks.card import SETTINGS

EXACT = "exact"
EXTREMES = 10  # languages that are shown where there are many
SHOWN = ("own_first", "own_excess@10", "awrf_uniform@10", "rank_distance")
SIDES = {"queries": "of the question", "documents": "of the documents"}
COST = {  # field of the evidence: heading, and how its numbers are written
    "bytes_per_vector": ("bytes\na vector", "index"), "megabytes": ("MB\nin all", "index"),
    "smaller": ("times\nsmaller", "index"), "build_seconds": ("build\nseconds", "index"),
    "milliseconds": ("ms\na query", "score"), "queries_per_second": ("queries\na second", "count"),
}  # fmt: skip


def of(exact: Result, found: Sequence[Compressed], cells: pd.DataFrame) -> Iterator[Table]:
    """Yield the tables: averages, bias, costs, then what each language loses, directions, and recall by language.

    Args:
        exact: the result of exact search.
        found: the variants.
        cells: `benchmark.losses.of` them.
    """
    yield averages(exact, cells)
    if (cells["kind"] == BIAS).any():
        yield bias(exact, cells)
    yield costs(exact, found)
    spoken = cells[cells["kind"] == LANGUAGE]
    for (setting, side), part in spoken.groupby(["setting", "side"], sort=False):
        if len(part["language"].unique()) > 1:
            yield by_language(part, str(setting), str(side))
    if (cells["kind"] == DIRECTION).any():
        yield directions(cells)
    yield from recall(found)


def measure(cells: pd.DataFrame) -> str:
    """Return the measure of quality that cells are of."""
    return str(cells.loc[cells["kind"] == AVERAGE, "name"].iloc[0])


def title(exact: Result) -> str:
    """Return the model and the task: «muse on XQuAD-R»."""
    task = exact.says["task"]
    return f"{exact.says['model']['name']} on {task['title']}" + (f" @{task['variant']}" if task["variant"] else "")


def averages(exact: Result, cells: pd.DataFrame) -> Table:
    """Return a row for each variant: the macro average of each setting, the difference, and its interval."""
    cells = cells[cells["kind"] == AVERAGE]
    name = measure(cells)
    had = [setting for setting in SETTINGS if (cells["setting"] == setting).any()]
    before = {row["setting"]: row["measures"][name] for row in exact.says["averages"] if row["average"] == "macro"}
    rows: list[Json] = [{"index": EXACT} | {f"{setting}\n{name}": before[setting] for setting in had}]
    marks = {}
    for place, (variant, part) in enumerate(cells.groupby("variant", sort=False), 1):
        row: Json = {"index": variant}
        for one in part.to_dict("records"):
            setting = one["setting"]
            row |= {f"{setting}\n{name}": one["after"], f"{setting}\ndifference": one["difference"]}
            row[f"{setting}\n95 %"] = _interval(one["difference"], one["low"], one["high"])
            if one["p_adjusted"] < LEVEL:
                marks[place, 3 * had.index(setting) + 2] = "main"
        rows.append(row)
    columns = [f"{setting}\n{what}" for setting in had for what in (name, "difference", "95 %")]
    kinds = {column: "signed" if column.endswith("difference") else "score" for column in columns}
    table = pd.DataFrame(rows, columns=["index", *columns])
    return Table("averages", f"{title(exact)}, searched through", table, kinds, marks, _breaks(table["index"]))


def _interval(difference: float, low: float, high: float) -> str:
    """Return the ends of an interval as text; "" where nothing moved at all, or there are too few topics."""
    return "" if not difference or pd.isna(low) else f"{number(low, 'signed')} to {number(high, 'signed')}"


def _breaks(names: "pd.Series[str]") -> tuple[int, ...]:
    """Return the row at which lists begin."""
    return tuple(place for place, name in enumerate(names) if place and str(name).startswith("top"))


def bias(exact: Result, cells: pd.DataFrame) -> Table:
    """Return a row for each variant with the macro averages of bias values."""
    cells = cells[(cells["kind"] == BIAS) & cells["name"].isin(SHOWN)]
    before: Json = next(row for row in exact.says["bias"] if row["query_language"] == "macro")
    rows = [{"index": EXACT} | {name: before[name] for name in SHOWN}]
    marks: dict[tuple[int, int], str] = {}
    for place, (variant, part) in enumerate(cells.groupby("variant", sort=False), 1):
        rows.append({"index": variant} | dict(zip(part["name"], part["after"], strict=True)))
        real = part.loc[part["p_adjusted"] < LEVEL, "name"]
        marks |= {(place, SHOWN.index(name) + 1): "main" for name in real}
    table = pd.DataFrame(rows, columns=["index", *SHOWN])
    called = {name: differences.BIAS[name] for name in SHOWN}
    kinds = {text: "signed" if name.startswith("own_excess") else kind for name, (text, kind) in called.items()}
    table = table.rename(columns={name: text for name, (text, _) in called.items()})
    heading = "Language bias in the pool of all languages, macro averages"
    return Table("bias", heading, table, kinds, marks, _breaks(table["index"]))


def costs(exact: Result, found: Sequence[Compressed]) -> Table:
    """Return a row for each variant: how many neighbours it finds, what it takes, and how fast it is."""
    named = [(EXACT, exact), *((one.name, one.result) for one in found)]
    size = exact.says["index"]["bytes_per_vector"]
    rows: list[Json] = []
    for name, result in named:
        says: Json = result.says.get("index", {})
        row: Json = {"index": name}
        if says:
            told = says | {"megabytes": says["bytes"] / 1e6, "smaller": size / says["bytes_per_vector"]}
            row |= {heading: told[field] for field, (heading, _) in COST.items()}
        if result is not exact and says:
            row |= _recalls(says["recall"])
        rows.append(row)
    table = pd.DataFrame(rows)
    recalled = [column for column in table.columns if str(column).startswith("recall")]
    table = table[["index", *recalled, *(heading for heading, _ in COST.values())]]
    kinds = dict(COST.values()) | dict.fromkeys(recalled, "score")
    heading = "Recall of the exact top 10 and 100, size, and time on one thread of this machine"
    return Table("costs", heading, table, kinds, breaks=_breaks(table["index"]))


def _recalls(rows: Sequence[Json]) -> dict[str, float]:
    """Return the mean recall over languages of the question, in the pools of one language and in that of all.

    There is none of pairs of languages, nor of collections that are searched apart.
    """
    told = [row | {f"@{k}": value for k, value in row["recall"].items()} for row in rows if row["side"] == "queries"]
    table, found = pd.DataFrame(told, columns=None if told else ["setting"]), {}
    for heading, settings in (("one language", ("cross", "mono")), ("all", ("multi",))):
        setting = next((name for name in settings if (table["setting"] == name).any()), None)
        for k in DEPTHS:
            if setting and f"@{k}" in table:
                found[f"recall@{k}\n{heading}"] = float(table.loc[table["setting"] == setting, f"@{k}"].mean())
    return found


def by_language(cells: pd.DataFrame, setting: str, side: str) -> Table:
    """Return what each language loses in a setting, a column for each variant; those that lose most come first."""
    name = str(cells["name"].iloc[0])
    wide = cells.pivot(index="language", columns="variant", values="difference")[cells["variant"].unique()]  # noqa: PD010
    real = cells.pivot(index="language", columns="variant", values="p_adjusted")[wide.columns] < LEVEL  # noqa: PD010
    exact = cells.drop_duplicates("language").set_index("language")["before"]
    order = wide.mean(axis=1).sort_values(kind="stable").index
    heading = f"{name} lost in {setting}, by language {SIDES[side]}" if setting != "mono" else f"{name} lost in mono"
    if len(order) > MOST:
        heading += f": the {EXTREMES} of {len(order)} that lose most"
        order = order[:EXTREMES]
    wide, real = wide.loc[order], real.loc[order]
    table = pd.DataFrame(
        {"language": [f"{languages.name(tag)} ({tag})" for tag in order], EXACT: exact[order].to_numpy()}
    )
    table[list(wide.columns)] = wide.to_numpy()
    worst = wide.idxmin()
    marks = {}
    for row, tag in enumerate(order):
        for column, variant in enumerate(wide.columns, 2):
            most = worst[variant] == tag and wide.loc[tag, variant] < 0
            marks[row, column] = ("own worst" if most else "own") if real.loc[tag, variant] else "mean"
    kinds = {EXACT: "score"} | dict.fromkeys(wide.columns, "signed")
    return Table(f"{setting} {side}", heading, table, kinds, marks)


def directions(cells: pd.DataFrame) -> Table:
    """Return how many directions between two languages lose and gain through each variant, and which loses most."""
    cells = cells[cells["kind"] == DIRECTION]
    rows: list[Json] = []
    marks = {}
    for place, (variant, part) in enumerate(cells.groupby("variant", sort=False)):
        real = part["p_adjusted"] < LEVEL
        worst = part.nsmallest(1, "difference").to_dict("records")[0]
        rows.append(
            {
                "index": variant,
                "directions": len(part),
                "lose": int((real & (part["difference"] < 0)).sum()),
                "gain": int((real & (part["difference"] > 0)).sum()),
                "most of all": f"{worst['language']}→{worst['pool']}",
                **{name: worst[name] for name in ("before", "after", "difference")},
            }
        )
        if worst["p_adjusted"] < LEVEL:
            marks[place, 7] = "main"
    kinds = dict.fromkeys(("directions", "lose", "gain"), "count") | {"before": "score", "after": "score"}
    table = pd.DataFrame(rows)
    heading = f"{cells['name'].iloc[0]} by direction: how many are seen to lose or gain, and which loses most"
    return Table("directions", heading, table, kinds | {"difference": "signed"}, marks, _breaks(table["index"]))


def recall(found: Sequence[Compressed]) -> Iterator[Table]:
    """Yield the recall of the exact top 10 and 100 by language of the question, in the largest pools searched."""
    rows = [
        {"variant": one.name, "setting": row["setting"], "language": row["language"], "k": k, "recall": value}
        for one in found
        for row in one.result.says.get("index", {}).get("recall", [])
        for k, value in row["recall"].items()
        if row["side"] == "queries"
    ]
    table = pd.DataFrame(rows, columns=["variant", "setting", "language", "k", "recall"])
    setting = next((name for name in ("multi", "cross", "mono") if (table["setting"] == name).any()), None)
    table = table[table["setting"] == setting]
    if table["language"].nunique() < 2:
        return
    for k, part in table.groupby("k", sort=False):
        wide = part.pivot(index="language", columns="variant", values="recall")[part["variant"].unique()]  # noqa: PD010
        wide = wide.loc[wide.mean(axis=1).sort_values(kind="stable").index]
        heading = f"Recall of the exact top {k} in {setting}, by language of the question"
        if len(wide) > MOST:
            heading += f": the {EXTREMES} of {len(wide)} with the lowest"
            wide = wide.head(EXTREMES)
        shown = wide.reset_index()
        shown["language"] = [f"{languages.name(tag)} ({tag})" for tag in shown["language"]]
        yield Table(f"recall@{k}", heading, shown, dict.fromkeys(wide.columns, "score"))


def every_cell(exact: Result, cells: pd.DataFrame) -> Table:
    """Return one row for each value of each variant: for programs, never cut."""
    says = {"model": exact.says["model"]["name"], "task": evidence.label(exact.says)}
    shown = pd.DataFrame(says, index=cells.index).join(cells)
    shown[["p", "p_adjusted"]] = shown[["p", "p_adjusted"]].map(lambda p: "" if pd.isna(p) else f"{p:.4g}")
    return Table("cells", "Every difference", shown, {})


def notes(exact: Result, found: Sequence[Compressed], cells: pd.DataFrame) -> list[str]:
    """Return who pays for each variant, then how to read the tables."""
    spoken = cells[cells["kind"] == LANGUAGE]
    said = [_who(one.name, spoken[spoken["variant"] == one.name]) for one in found]
    said.append(
        f"Difference: after less before. The unit is the topic, of which there are {exact.says['task']['topics']:,}. "
        f"Bold: p below {100 * LEVEL:.0f} % (random signs, adjusted by Holm's method for how many variants, settings, "
        "sides and languages there are, or variants and directions). Underlined: who loses most."
    )
    if short := next((one.name for one in found if one.name.startswith("top")), None):
        said.append(
            f"{short} is exact search whose lists end after {short.removeprefix('top')} documents; what stands below "
            "it gives such lists too, and is compared with it."
        )
    return said


def _who(name: str, cells: pd.DataFrame) -> str:
    """Return which languages pay for a variant."""
    real = cells[(cells["p_adjusted"] < LEVEL) & (cells["difference"] < 0)].sort_values("difference", kind="stable")
    if real.empty:
        return f"{name}: no language is seen to lose."
    worst, count, every = real.iloc[0], len(real["language"].unique()), len(cells["language"].unique())
    side = "" if worst["setting"] == "mono" else f" as the language {SIDES[worst['side']]}"
    return (
        f"{name}: {count} of {every} languages lose, most of all {languages.name(worst['language'])}{side} in "
        f"{worst['setting']}: {number(worst['before'])} → {number(worst['after'])}."
    )
