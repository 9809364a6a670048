"""Results and their baselines in; cell by cell, whether the model got worse, out: the gate.

A *cell* is an average, a language on one side (questions in Thai, documents in Thai), a direction between two
languages, or a bias value. It regressed if three things hold: it fell by more than the thresholds let pass, by more
than the noise floor, and not by chance. The last is a one-sided sign-flip test by topic, since the question is whether
something got *worse*; Holm's method keeps the risk of any false alarm, over all cells of all tasks, below the level.
Averages, languages, directions and bias values each bear an equal part of that risk, or else hundreds of directions
would hide an average.

A language that got worse pulls down the means of the others; `benchmark.blame` tells which one is the cause.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmark import cells, noise, statistics
from benchmark.bias import STRONG
from benchmark.blame import fell_through
from benchmark.cells import AVERAGES, BIAS, DIRECTIONS, LANGUAGES, Cells, other
from benchmark.comparable import comparable
from benchmark.evidence import Result, below, label, read
from benchmark.thresholds import RELATIVE, Thresholds
from tasks.errors import UserError, nearest

VERDICTS = ("regressed", "not comparable", "improved", "same", "within noise")
REGRESSED, NOT_COMPARABLE, IMPROVED, SAME, WITHIN_NOISE = VERDICTS
STOPPING = {"query prompt": "prompts", "document prompt": "prompts", "dtype": "dtype", "length": "length", "how": "how"}
POWER = 0.8
Floats = NDArray[np.float64]
Row = Mapping[Any, Any]  # a cell


@dataclass(frozen=True)
class Checked:
    """A result beside its baseline, on one task.

    * `reasons`: why they cannot be compared; if there are any, `cells` is empty.
    * `remarks`: what else differs, and what a reader should know.
    * `cells`: those of `benchmark.cells`, with `p` one-sided (of having got worse) and

        * `p_adjusted`: by Holm's method;
        * `noise`: the floor; 0 where none was measured;
        * `limit`: how far it may move for the worse; it improved if it moved by more for the better;
        * `least`: what it must reach; NaN for anything;
        * `seen`: the fall that would be told from chance four times in five;
        * `below`: whether it is below what it must reach;
        * `verdict`: of `VERDICTS`;
        * `through`: the languages that it fell through, such as `documents in th`; "" for none.
    """

    task: str
    before: Result | None
    after: Result | None
    reasons: list[str]
    remarks: list[str] = field(default_factory=list)
    cells: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"kind": [], "verdict": []}))

    @property
    def regressed(self) -> pd.DataFrame:
        """The cells that regressed."""
        return self.cells[self.cells["verdict"] == REGRESSED]

    @property
    def verdict(self) -> str:
        """Of the task: `regressed` if any cell is, or else what the averages say."""
        if self.reasons:
            return NOT_COMPARABLE
        if len(self.regressed):
            return REGRESSED
        said = set(self.cells.loc[self.cells["kind"] == AVERAGES, "verdict"])
        return next(verdict for verdict in VERDICTS if verdict in said)


@dataclass(frozen=True)
class _Part:
    """The cells of one task and measure; `table` with `noise`, `limit` and `least`."""

    task: str
    cells: Cells
    table: pd.DataFrame


def check(before: Mapping[str, Result], after: Mapping[str, Result], thresholds: Thresholds) -> list[Checked]:
    """Check results against baselines, both by task, on every task that either has.

    Raises UserError if the thresholds name what no result has.
    """
    _require_known(thresholds, [*before.values(), *after.values()])
    found: list[Checked] = []
    parts: list[_Part] = []
    for task in sorted({*before, *after}):
        one, other = before.get(task), after.get(task)
        reasons, remarks = _differences(one, other, thresholds)
        if one is not None and other is not None and not reasons:
            try:
                parts += _parts(task, one, other, thresholds)
            except UserError as error:  # what is said of the other tasks stands
                reasons = [str(error).rstrip(".")]
        found.append(Checked(task, one, other, reasons, remarks))
    if not parts:
        return found
    table = pd.concat([part.table.assign(part=place) for place, part in enumerate(parts)], ignore_index=True)
    spread = np.concatenate([_spread(part.cells.differences) for part in parts])
    table = _judged(table, spread, thresholds.level)
    _blame(table, parts, thresholds.level)
    places = {one.task: [place for place, part in enumerate(parts) if part.task == one.task] for one in found}
    table = table.drop(columns="language")
    return [replace(one, cells=table[table["part"].isin(places[one.task])].drop(columns="part")) for one in found]


def results_in(folder: Path) -> dict[str, Result]:
    """Return by task the result in a folder, or those of a model below it, without earlier ones that are kept aside."""
    found = [read(path) for path in ([folder] if (folder / "evidence.json").is_file() else below(folder, 1))]
    if not found:
        raise UserError(f"{folder} holds no result; name the folder of a result, or of a model with its results.")
    return {label(result.says): result for result in found}


def exit_code(checked: Sequence[Checked]) -> int:
    """Return 1 if anything regressed, 2 if nothing did but something could not be judged, 0 if all passed."""
    verdicts = {one.verdict for one in checked}
    return 1 if REGRESSED in verdicts else 2 if NOT_COMPARABLE in verdicts else 0


def _require_known(thresholds: Thresholds, results: Sequence[Result]) -> None:
    """Raise UserError if the thresholds are of a task, a setting, a language or a measure that no result has."""
    says = [result.says for result in results]
    known = {
        "task": {label(one) for one in says},
        "setting": {row["setting"] for one in says for row in one["directions"]},
        "language": {tag for one in says for side in ("query", "document") for tag in one["task"][f"{side}_languages"]},
        "measure": {*thresholds.measures} or {str(one["main_measure"]) for one in says},
    }
    for where in thresholds.where:
        for name, names in known.items():
            asked = getattr(where, name)
            if asked and asked not in names:
                hint = nearest(asked, sorted(names)) if name != "language" else ""
                hint = hint or f"; take {', '.join(sorted(names))}."
                raise UserError(f"{thresholds.source or 'thresholds'}: the {name} «{asked}» is not checked{hint}")


def _differences(before: Result | None, after: Result | None, thresholds: Thresholds) -> tuple[list[str], list[str]]:
    """Return why two results cannot be judged, and what else a reader should know."""
    if before is None:
        return ["the baseline lacks this task"], []
    if after is None:
        return ["only the baseline has this task"], []
    measures = thresholds.measures or (str(before.says["main_measure"]),)
    differing = dict.fromkeys(reason for measure in measures for reason in comparable(before, after, measure))
    reasons: list[str] = []
    remarks: list[str] = []
    for reason in differing:
        stops = reason.prevents or (reason.what in STOPPING and STOPPING[reason.what] not in thresholds.allow)
        (reasons if stops else remarks).append(reason.text)
    if (every := before.says["kept"]["every"]) > 1:
        remarks.append(f"the ranks of one topic in {every} are kept, and all numbers here are of those")
    remarks += [
        f"in lists that end before the last answer {name} is not known, and not judged"
        for name in _unseen(before, after, thresholds)
    ]
    return reasons, remarks


def _parts(task: str, before: Result, after: Result, thresholds: Thresholds) -> list[_Part]:
    """Return the cells of every measure; bias values stand with the first."""
    floors, bias_floors = noise.floor([before.says, after.says])
    unseen = _unseen(before, after, thresholds)
    rises = [name for name in thresholds.max_rise if name not in unseen]
    found = []
    for place, measure in enumerate(thresholds.measures or (str(before.says["main_measure"]),)):
        taken = cells.of(before, after, measure, () if place else rises)
        if len(unknown := taken.table.loc[taken.table["difference"].isna(), "name"]):
            raise UserError(f"{unknown.iloc[0]} is not there for every language of the question; judge it by another.")
        rows = taken.table.to_dict("records")
        limits = [_limits(task, row, thresholds) for row in rows]
        floor = [_noise(row, floors, bias_floors) for row in rows]
        limit, least = zip(*limits, strict=True)
        found.append(_Part(task, taken, taken.table.assign(limit=limit, least=least, noise=floor)))
    missing = [name for name in rises if name not in set(found[0].table["name"])]
    if missing and before.says["bias"]:
        raise UserError(
            f"{missing[0]} follows from the top k, and {before.folder} or {after.folder} was handed on without its "
            "top.parquet; run again, or leave it out of [max_rise]."
        )
    return found


def _unseen(before: Result, after: Result, thresholds: Thresholds) -> list[str]:
    """Return the bias values that nobody asked to judge and that lists do not tell, since they end before the last."""
    if thresholds.max_rise != Thresholds().max_rise:
        return []
    rows = [row for result in (before, after) if "lists" in result.says for row in result.says["bias"]]
    return [name for name in thresholds.max_rise if any(row[name] is None for row in rows)]


def _limits(task: str, cell: Row, thresholds: Thresholds) -> tuple[float, float]:
    """Return how far a cell may move for the worse, and what it must reach (NaN: anything)."""
    name = cell["name"]
    if cell["kind"] == BIAS:
        share = thresholds.max_rise[name]
        return share * cell["before"] if name in RELATIVE else share, np.nan
    spoken = () if cell["kind"] == AVERAGES else (cell["query_lang"], *cell["pool"].split("+"))
    about = task, cell["setting"], spoken, name
    asked = cell["query_lang"] == "macro" or cell["side"] == "queries"
    least = thresholds.floor(*about) if asked else None
    return thresholds.drop(*about), np.nan if least is None else least


def _noise(cell: Row, floors: pd.DataFrame, of_bias: "pd.Series[float]") -> float:
    """Return the noise floor of a cell; 0 where none was measured."""
    if cell["kind"] == BIAS:
        return float(of_bias.get(cell["name"], 0.0))
    strong = cell["setting"] == "multi" and cell["side"] == "documents"
    place = (STRONG if strong else cell["setting"], cell["kind"])
    if place not in floors.index or cell["name"] not in floors.columns:
        return 0.0
    return float(np.nan_to_num(floors[cell["name"]].to_dict()[place]))


def _spread(differences: Floats) -> Floats:
    """Return the standard error of the difference of each cell, from what the topics add to it [topics, cells]."""
    spread: Floats = np.sqrt(((differences - differences.mean(axis=0)) ** 2).sum(axis=0))
    return spread


def _judged(table: pd.DataFrame, spread: Floats, level: float) -> pd.DataFrame:
    """Return the cells of all tasks with a verdict each, before anyone is acquitted."""
    fall = table["difference"].where(table["kind"] == BIAS, -table["difference"])
    two_sided = table["p"].to_numpy()
    worse, better = (np.where(side > 0, two_sided / 2, 1 - two_sided / 2) for side in (fall, -fall))
    weights = 1 / table.groupby("kind")["kind"].transform("size").to_numpy(np.float64)
    first = level * weights / weights.sum()  # what Holm's method asks of the smallest p
    table = table.assign(
        p=worse,
        p_adjusted=statistics.holm(worse, weights),
        seen=(ndtri(1 - first) + ndtri(POWER)) * spread,
        below=table["after"] < table["least"],
        verdict=SAME,
        through="",
    )
    quiet = (fall != 0) & (fall.abs() <= table["noise"])
    enough = table[["limit", "noise"]].max(axis=1)
    up = (statistics.holm(better, weights) < level) & (-fall > enough)
    down = (table["p_adjusted"] < level) & (fall > enough)
    for verdict, those in ((WITHIN_NOISE, quiet), (IMPROVED, up), (REGRESSED, down | table["below"])):
        table.loc[those, "verdict"] = verdict
    return table


def _blame(table: pd.DataFrame, parts: Sequence[_Part], level: float) -> None:
    """Acquit the languages that fell through others, and say of every direction whose fault it is; in place."""
    table["language"] = table["query_lang"].where(table["side"] == "queries", table["pool"])
    down = table["verdict"] == REGRESSED
    for place, part in enumerate(parts):
        mine = down & (table["part"] == place)
        language = mine & (table["kind"] == LANGUAGES)
        own = language & (table["setting"] == "mono")
        fallen = table[language & ~own]
        limits = fallen[["limit", "noise"]].max(axis=1)
        suspects = list(table.loc[own, "language"])
        each = level / max(1, len(fallen))
        through = fell_through(fallen.assign(limit=limits), part.cells.directions, suspects, each)
        named = set()
        for row, names in zip(fallen.index, through, strict=True):
            if names is None:
                named.add(f"{table.loc[row, 'side']} in {table.loc[row, 'language']}")
                continue
            table.loc[row, "through"] = ", ".join(names)
            if not table.loc[row, "below"]:
                table.loc[row, "verdict"] = SAME
        directions = table[mine & (table["kind"] == DIRECTIONS)]
        sides = [
            (f"queries in {asked}", f"documents in {other(asked, pool)}")
            for asked, pool in directions[["query_lang", "pool"]].to_numpy().tolist()
        ]
        table.loc[directions.index, "through"] = [", ".join(name for name in pair if name in named) for pair in sides]
