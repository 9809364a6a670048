"""A folder of results in; boards out: models side by side that answered the same questions.

Markdown, plots and the page read boards and nothing else, so they cannot tell different stories. A board holds the
results of one card, data and main measure; the same task on fewer languages is another board. Numbers that papers
report stand beside them as rows of their own, marked: nobody ran them here.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark import averages, evidence, statistics, summary
from benchmark.evidence import Json, Result
from benchmark.measures import evaluate, parse
from tasks import card
from tasks.errors import UserError

SETTINGS = ("multi", "cross", "mono", "pair")  # a board is ordered by the first of these that it has
PUBLISHED = Path(__file__).parent / "published.csv"
FEW = 8  # languages that a heading names
Scores = dict[str, dict[str, float]]
Ends = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """A model on a board.

    * `name`: unique on the board.
    * `scores`: macro averages, by setting and measure; of `mining`, the mean F1 over pairs of languages.
    * `bias`: macro averages of the bias measures.
    * `worst`: by setting, the query language with the lowest value of the main measure, and that value.
    * `rank`: its rank group; None if it was not run here, or not in the board's setting.
    * `source`: where a reported row is from; "" for one that was run.
    * `note`: what makes a reported number another one than ours; "" if nothing does.
    * `ends`: by setting, the interval of the main measure, where there is one.
    """

    name: str
    scores: Scores
    bias: dict[str, float | None]
    worst: dict[str, tuple[str, float]]
    rank: int | None = None
    result: Result | None = None
    source: str = ""
    note: str = ""
    ends: dict[str, Ends] = field(default_factory=dict)

    @property
    def mined(self) -> float | None:
        """The mean F1 of mining; None where nothing was mined for."""
        return self.scores.get(card.MINING, {}).get("F1")


@dataclass(frozen=True)
class Board:
    """Models that can be compared, best first.

    * `slug`: name of its files: `xquad-r`, `mlqa-r@context`, `xquad-r~1a2b3c4d` for a part of the data, another card or
      another main measure.
    * `task`: what the evidence says of the task.
    * `measure`, `setting`: what it is ordered by.
    """

    slug: str
    title: str
    task: Json
    measure: str
    setting: str
    rows: tuple[Row, ...]

    @property
    def results(self) -> list[Result]:
        """The results on the board, best first."""
        return [row.result for row in self.rows if row.result]

    @property
    def chance(self) -> Row:
        """What a random order of the documents scores, as a row."""
        scores: Scores = {}
        bias: dict[str, float | None] = {}
        for result in self.results:
            for row in result.says["averages"]:
                if row["average"] == "chance":
                    scores.setdefault(row["setting"], dict(row["measures"]))
        for row in self.rows:
            for name in ("rank_distance", "own_first"):
                if (value := row.bias.get(f"{name}_chance")) is not None:
                    bias.setdefault(name, value)
                    bias["own_excess@10"] = 0.0  # a random top 10 has every language by its share of the pool
        return Row("chance", scores, bias, {})

    @property
    def settings(self) -> list[str]:
        """The settings that some row has, in the order of tables: mono, cross, multi, pair."""
        return [name for name in ("mono", "cross", "multi", "pair") if any(name in row.scores for row in self.rows)]


def read(results: Path) -> list[Board]:
    """Return the boards of all results below `results`, by name. What was kept aside (`task~key`) is left out.

    Raises:
        UserError: if there is no result, or one that cannot be read.
    """
    found = [evidence.read(path) for path in evidence.below(results, 2)]
    if not found:
        raise UserError(
            f"{results} holds no result (no */*/evidence.json); make one with bench run --results {results}."
        )
    parts: dict[tuple[str, ...], list[Result]] = {}
    for result in found:
        task = result.says["task"]
        key: tuple[str, ...] = (
            evidence.label(result.says),
            task["card_hash"],
            task["data_hash"],
            str(result.says["main_measure"]),
        )
        parts.setdefault(key, []).append(result)
    whole: dict[str, tuple[str, ...]] = {}
    for key in sorted(parts, key=lambda key: (_size(parts[key][0]), key)):
        whole[key[0]] = key  # the largest is the task itself
    return sorted((_board(key, same, key == whole[key[0]]) for key, same in parts.items()), key=lambda b: b.slug)


def _size(result: Result) -> tuple[int, int]:
    return result.says["task"]["queries"], result.says["task"]["documents"]


def title(task: Json) -> str:
    """Return what a task is called where people read."""
    return f"{task['title']}, variant {task['variant']}" if task["variant"] else str(task["title"])


def _board(key: tuple[str, ...], results: list[Result], whole: bool) -> Board:
    task, measure = results[0].says["task"], str(results[0].says["main_measure"])
    had = {row["setting"] for result in results for row in result.says["averages"]}
    setting = next(name for name in SETTINGS if name in had)
    ranks = _ranks(results, measure, setting)
    papers = reported(task, measure)
    names = _names(results, {row.name for row in papers})
    rows = [_row(names[i], result, measure, ranks.get(i)) for i, result in enumerate(results)] + papers

    def order(row: Row) -> tuple[float, str, str]:
        return -row.scores.get(setting, {}).get(measure, -1.0), row.name, row.source

    slug, heading = key[0], title(task)
    if not whole:
        slug += f"~{hashlib.sha256(repr(key).encode()).hexdigest()[:8]}"
        asked, searched = (_listed(task[f"{side}_languages"]) for side in ("query", "document"))
        heading += f" ({asked if asked == searched else f'{asked} → {searched}'}; {measure})"
    return Board(slug, heading, task, measure, setting, tuple(sorted(rows, key=order)))


def _listed(tags: Sequence[str]) -> str:
    return ", ".join(tags) if len(tags) <= FEW else f"{len(tags)} languages"


def _names(results: Sequence[Result], taken: set[str]) -> list[str]:
    """Return what to call each result's model: its name, with the folder where that would not tell it from another."""
    names = [str(result.says["model"]["name"]) for result in results]
    return [
        name
        if names.count(name) == 1 and name not in taken
        else f"{name} [{result.folder.parent.name}/{result.folder.name}]"
        for name, result in zip(names, results, strict=True)
    ]


def _row(name: str, result: Result, measure: str, rank: int | None) -> Row:
    says = result.says
    macro = [row for row in says["averages"] if row["average"] == "macro"]
    scores = {row["setting"]: dict(row["measures"]) for row in macro}
    ends = {row["setting"]: evidence.ends(row, measure) for row in macro}
    bias: Json = next((row for row in says["bias"] if row["query_language"] == "macro"), {})
    directed = evidence.directions(says)
    by_lang = averages.by_language(directed, measure)
    worst = {}
    for setting in scores:
        values = by_lang[setting].sort_index()
        worst[setting] = str(values.idxmin()), float(values.min())
    if pairs := says.get(card.MINING):
        scores[card.MINING] = {"F1": float(np.mean([pair["F1"] for pair in pairs]))}
    return Row(
        name,
        scores,
        {key: value for key, value in bias.items() if key not in ("query_language", "n")},
        worst,
        rank,
        result,
        ends={setting: found for setting, found in ends.items() if found},
    )


def _ranks(results: Sequence[Result], measure: str, setting: str) -> dict[int, int]:
    """Return the rank group of each result (by its place) that has the setting."""
    shares: dict[int, pd.Series[float]] = {}
    for place, result in enumerate(results):
        if setting not in {row["setting"] for row in result.says["averages"]}:
            continue
        ranks = result.ranks()
        values = evaluate(ranks[averages.settings(ranks) == setting], [parse(measure)])
        shares[place] = statistics.shares(values, measure)
    if not shares:
        return {}
    return dict(zip(shares, statistics.groups(pd.DataFrame(shares).fillna(0)), strict=True))


def reported(task: Json, measure: str) -> list[Row]:
    """Return what papers report on a task (`published.csv`), as rows: macro averages over the query languages.

    Only for the whole of a task that the package has, as the card has it: all its languages on both sides, no variant.
    A row `*` of the file is an average over questions that the paper gives; where it gives values by language, their
    mean is taken if all languages are there.
    """
    whole = _languages(task["name"])
    if task["variant"] or whole != sorted(task["query_languages"]) or whole != sorted(task["document_languages"]):
        return []
    table = pd.read_csv(PUBLISHED)
    table = table[table["task"] == task["name"]]
    rows = []
    for (source, model), part in table.groupby(["source", "model"], sort=True):
        scores: Scores = {}
        bias: dict[str, float | None] = {}
        worst = {}
        note = "mean over questions" if (part["query_lang"] == "*").any() else ""
        for (setting, name), values in part.groupby(["setting", "measure"]):
            given = values.set_index("query_lang")["value"].sort_index()
            if list(given.index) not in (["*"], whole):
                continue
            mean = round(float(given.mean()), summary.DIGITS)
            if name == "rank_distance":
                bias[name] = mean
                continue
            scores.setdefault(setting, {})[name] = mean
            if name == measure and len(given) > 1:
                worst[setting] = str(given.idxmin()), float(given.min())
        if scores:
            rows.append(Row(str(model), scores, bias, worst, source=str(source), note=note))
    return rows


def _languages(task: str) -> list[str]:
    """Return the languages of a task of the package; none if it has no such task."""
    files = card.find(task).files if task in card.catalogue() else ()
    return sorted({file.language for file in files if file.language})
