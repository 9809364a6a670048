"""What a gate found, and what was measured of noise, in; tables and sentences out.

A sentence names one thing: an average, a language with all its means that regressed, the directions that no language
accounts for, a bias value. `leaderboard.ci` hands the same to the tools that run a gate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark import evidence
from benchmark.cells import AVERAGES, BIAS, DIRECTIONS, LANGUAGES
from benchmark.check import IMPROVED, REGRESSED, SAME, WITHIN_NOISE, Checked
from benchmark.noise import KINDS
from benchmark.thresholds import RELATIVE
from leaderboard.differences import p_value
from leaderboard.formats import number
from leaderboard.tables import MOST, Table
from tasks import languages
from tasks.card import SETTINGS

ORDER = (AVERAGES, LANGUAGES, DIRECTIONS, BIAS)
WORST = 10  # directions that are listed


Row = Any  # a row of `Checked.cells`


@dataclass(frozen=True)
class Finding:
    """One thing that regressed, or why nothing could be judged."""

    title: str
    text: str


def noise(says: evidence.Json) -> Table:
    """Return the table of the field `noise`: what was varied, and the largest change of the main measure by setting."""
    main = str(says["main_measure"])
    cells = [
        {
            "varied": row["varied"],
            "": row["how"],
            "texts": row["texts"] or None,
            "vectors\nmoved": "" if row["moved"] is None else f"{row['moved']:.1%}",
            "by at\nmost": _small(row["largest"]),
            **{
                f"{setting}\n{kind[:-1]}": _small(kinds[kind][main])
                for setting, kinds in row["scores"].items()
                for kind in KINDS[::-1]
                if kind in kinds
            },
        }
        for row in sorted(says["noise"], key=lambda row: bool(row["change"]))
    ]
    table = pd.DataFrame(cells)
    changes = [place for place, row in enumerate(cells) if row["varied"] == "dtype"]
    title = f"Noise of {says['model']['name']} on {evidence.label(says)}: largest change of {main}"
    kinds = {"texts": "count"} | dict.fromkeys(table.columns[3:], "score")
    return Table("noise", title, table, kinds, breaks=tuple(changes[:1]))


def _small(value: float | None) -> str:
    """Write a small number with two digits that count: 0, .000012 as 1.2e-05."""
    return "" if value is None else f"{value:.1e}" if value else "0"


def headline(one: Checked) -> str:
    """Return the task, the verdict and the models in one line."""
    after, before = (result.says["model"]["name"] if result else "no result" for result in (one.after, one.before))
    return f"{one.task}: {one.verdict} ({after} against {before})"


def tables(one: Checked) -> Iterator[Table]:
    """Yield the averages with the bias values, the languages, and the directions that regressed."""
    if one.reasons:
        return
    cells = one.cells
    yield _averages(cells[cells["kind"].isin([AVERAGES, BIAS])])
    for measure, part in cells[cells["kind"] == LANGUAGES].groupby("name", sort=False):
        yield _languages(part, str(measure))
    fallen = one.regressed[one.regressed["kind"] == DIRECTIONS].sort_values("difference")
    if len(fallen):
        title = f"Directions that regressed: {len(fallen)}" + (f", the worst {WORST}" if len(fallen) > WORST else "")
        rows = fallen.head(WORST).to_dict("records")
        named = [{"direction": direction(row), "setting": row["setting"]} for row in rows]
        table = pd.DataFrame(
            [about | _numbers(row) | {"fell through": row["through"]} for about, row in zip(named, rows, strict=True)]
        )
        yield Table("directions", title, table, dict.fromkeys(table.columns[2:-1], "score"))


def _averages(cells: pd.DataFrame) -> Table:
    order = cells["kind"].eq(BIAS) * len(SETTINGS) + cells["setting"].map(SETTINGS.index)
    rows = cells.iloc[order.argsort(kind="stable")].to_dict("records")
    table = pd.DataFrame(
        [
            {"setting": row["setting"], "average": f"{row['name']} {row['query_lang']}"}
            | _numbers(row)
            | {"verdict": row["verdict"] + (f", below {number(row['least'])}" if row["below"] else "")}
            for row in rows
        ]
    )
    places = [place for place, row in enumerate(rows) if row["verdict"] == REGRESSED]
    marks = {(place, list(table).index(name)): "worst" for place in places for name in ("change", "verdict")}
    return Table("averages", "Averages", table, dict.fromkeys(table.columns[2:-1], "score"), marks)


def _languages(cells: pd.DataFrame, measure: str) -> Table:
    """Return the change of each language on each side in each setting; of those with a verdict if there are many."""
    cells = cells.assign(language=cells["query_lang"].where(cells["side"] == "queries", cells["pool"]))
    title = f"Change of {measure} by language"
    if cells["language"].nunique() > MOST:
        moved = cells.loc[cells["verdict"].isin([REGRESSED, IMPROVED]), "language"]
        cells = cells[cells["language"].isin(moved)]
        title += f": the {moved.nunique()} that improved or regressed"
    sides = [(setting, side) for setting in SETTINGS for side in ("queries", "documents")]
    sides = [pair for pair in sides if pair in {*zip(cells["setting"], cells["side"], strict=True)}]
    rows: list[dict[str, str]] = []
    marks: dict[tuple[int, int], str] = {}
    for place, (tag, part) in enumerate(cells.groupby("language")):
        found = {(row["setting"], row["side"]): row for row in part.to_dict("records")}
        verdicts = {row["verdict"] for row in found.values()}
        rows.append(
            {"language": f"{languages.name(str(tag))} ({tag})"}
            | {_heading(*pair): number(found[pair]["difference"], "signed") if pair in found else "" for pair in sides}
            | {"verdict": next(word for word in (REGRESSED, IMPROVED, SAME, WITHIN_NOISE) if word in verdicts)}
        )
        down = [column for column, pair in enumerate(sides, 1) if pair in found and found[pair]["verdict"] == REGRESSED]
        marks |= {(place, column): "worst" for column in [*down, *([len(sides) + 1] if down else [])]}
    columns = ["language", *(_heading(*pair) for pair in sides), "verdict"]
    return Table("languages", title, pd.DataFrame(rows, columns=columns), dict.fromkeys(columns[1:-1], "score"), marks)


def _heading(setting: str, side: str) -> str:
    return setting if setting == "mono" else f"{setting}\n{side}"


def _numbers(row: Row) -> dict[str, str]:
    kind = _kind(row)
    return {
        "baseline": number(row["before"], kind),
        "now": number(row["after"], kind),
        "change": _change(row),
        "allowed": number(row["limit"], kind),
        "noise": _small(row["noise"] or None),
        "p": p_value(row["p_adjusted"]),
    }


def _kind(row: Row) -> str:
    return "index" if row["name"] in RELATIVE else "score"


def _change(row: Row) -> str:
    return f"{row['difference']:+.1f}" if row["name"] in RELATIVE else number(row["difference"], "signed")


def direction(row: Row) -> str:
    """Return `de→th`, or `de→de+th`."""
    return f"{row['query_lang']}→{row['pool']}"


def cell(row: Row) -> str:
    """Return what a cell is of: `macro average, cross`, `queries in th, cross`, `de→th, cross`."""
    kind, setting = row["kind"], row["setting"]
    if kind == AVERAGES:
        return f"{row['query_lang']} average, {setting}"
    if kind == BIAS:
        return f"macro average, {setting}"
    if kind == DIRECTIONS:
        return f"{direction(row)}, {setting}"
    if setting == "mono":
        return f"{row['query_lang']}, mono"
    return f"{row['side']} in {row['query_lang'] if row['side'] == 'queries' else row['pool']}, {setting}"


def sentence(row: Row) -> str:
    """Return what happened to a cell: from where to where, by how much, and what was allowed."""
    kind, limits = _kind(row), []
    if row["below"]:
        limits.append(f"at least {number(row['least'])} is asked for")
    fall = row["difference"] if row["kind"] == BIAS else -row["difference"]
    if fall > row["limit"] and row["verdict"] == REGRESSED:
        limits.append(f"{number(row['limit'], kind)} is allowed, p {_numbers(row)['p']}")
    values = f"{number(row['before'], kind)} → {number(row['after'], kind)}"
    return f"{row['name']} {values} ({'; '.join([_change(row), *limits])})"


def findings(one: Checked) -> list[Finding]:
    """Return what is to be told of a task: why it could not be judged, or what regressed, each thing once."""
    if one.reasons:
        return [Finding(f"{one.task} could not be judged", f"not comparable: {'; '.join(one.reasons)}")]
    groups: dict[str, list[Row]] = {}
    rows = one.regressed.to_dict("records")
    for row in sorted(rows, key=lambda row: (ORDER.index(row["kind"]), row["difference"])):
        if row["kind"] == LANGUAGES:
            tag = row["query_lang"] if row["side"] == "queries" else row["pool"]
            title = f"{languages.name(tag)} ({tag}) regressed"
        elif row["kind"] == DIRECTIONS:
            title = "" if row["through"] else "directions regressed"
        else:
            title = "averages regressed" if row["kind"] == AVERAGES else f"{row['name']} regressed"
        groups.setdefault(title, []).append(row)
    groups.pop("", None)
    return [
        Finding(
            f"{one.task}: {title}",
            "; ".join(f"{cell(row)}: {sentence(row)}" for row in those[:WORST])
            + (f"; and {len(those) - WORST} more" if len(those) > WORST else ""),
        )
        for title, those in groups.items()
    ]


def notes(one: Checked) -> list[str]:
    """Return what a reader of the tables should know besides."""
    if one.reasons:
        return [f"Not comparable: {reason}." for reason in one.reasons]
    cells, found = one.cells, list(one.remarks)
    acquitted = cells[(cells["kind"] == LANGUAGES) & (cells["through"] != "") & (cells["verdict"] != REGRESSED)]
    if len(acquitted):
        names = list(dict.fromkeys(name for text in acquitted["through"] for name in text.split(", ")))
        cause = " and ".join(names) if len(names) <= 2 else "those that regressed"
        found.append(f"{len(acquitted)} other means of languages fell, but only through {cause}")
    seen = cells[cells["kind"] != BIAS].groupby("kind", sort=False)["seen"].median()
    told = [f"{kind} {number(value)}" for kind, value in seen.items() if value > 0]
    if told:
        found.append(f"what would be told from chance four times in five, typically: a fall of {', '.join(told)}")
    if not cells["noise"].any():
        found.append("no noise was measured for either result (bench noise does)")
    return [f"{text[0].upper()}{text[1:]}." for text in found]
