"""A folder with results of checkpoints in; how quality and bias change over the steps of training out.

Checkpoints are told by their models' names: what stands before the last hyphen is the training run, the number behind
it the step (`checkpoint-500`). Everything follows from the evidence alone.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark import averages, bias, evidence
from benchmark.comparable import require
from benchmark.evidence import Result
from tasks.errors import UserError

NEAR = 0.95  # of the last value


@dataclass(frozen=True)
class Training:
    """The checkpoints of one training run on one task, by step."""

    name: str
    steps: tuple[int, ...]
    results: tuple[Result, ...]

    @property
    def task(self) -> str:
        """The task, as the command line takes it."""
        return evidence.label(self.results[0].says)


def read(folder: Path) -> list[Training]:
    """Return the training runs whose checkpoints' results lie in a folder, each task of each run apart.

    Raises UserError if there are none, two results of one step, or checkpoints on other data.
    """
    found: dict[tuple[str, str], dict[int, Result]] = {}
    for path in evidence.below(folder, 2):
        result = evidence.read(path)
        match = re.fullmatch(r"(.*)-(\d{1,15})", str(result.says["model"]["name"]))
        if match is None:
            continue
        steps = found.setdefault((match[1], evidence.label(result.says)), {})
        if (step := int(match[2])) in steps:
            raise UserError(f"{steps[step].folder} and {path} are both of step {step}; move one away.")
        steps[step] = result
    runs = [
        Training(name, tuple(sorted(steps)), tuple(steps[step] for step in sorted(steps)))
        for (name, _), steps in sorted(found.items())
        if len(steps) > 1
    ]
    if not runs:
        raise UserError(
            f"{folder} holds neither a result nor the results of two checkpoints of a run: models whose names end in "
            "their step, as checkpoint-500."
        )
    for run in runs:
        require(run.results)
    return runs


def curves(run: Training, measure: str | None = None) -> pd.DataFrame:
    """Return the values at every step, one row each.

    Args:
        run: the checkpoints.
        measure: of quality; None: the main one.

    Returns:
        `step, setting, query_lang, name, value`: the measure by setting and language of the question (mean over its
        directions), and `macro`; the bias measures, likewise, whose setting is `multi`. What a checkpoint's evidence
        does not hold is not there.
    """
    shown = measure or str(run.results[0].says["main_measure"])
    parts = []
    for step, result in zip(run.steps, run.results, strict=True):
        says = evidence.measured(result, shown).says
        by_lang = averages.by_language(evidence.directions(says), shown).rename("value").reset_index()
        macro = [
            {"setting": row["setting"], "query_lang": "macro", "value": row["measures"][shown]}
            for row in says["averages"]
            if row["average"] == "macro"
        ]
        biased = [
            {"setting": "multi", "query_lang": row["query_language"], "name": name, "value": row[name]}
            for row in says["bias"]
            if row["query_language"] != "micro"
            for name in bias.MEASURES
        ]
        quality = pd.concat([by_lang, pd.DataFrame(macro)]).assign(name=shown)
        parts.append(pd.concat([quality, pd.DataFrame(biased)]).assign(step=step))
    table = pd.concat(parts, ignore_index=True).astype({"value": "float64"}).dropna(subset="value")
    return table[["step", "setting", "query_lang", "name", "value"]]


def reached(table: pd.DataFrame, share: float = NEAR) -> pd.DataFrame:
    """Return when each curve came near its last value, and stayed.

    Args:
        table: `curves` of values of which higher is better.
        share: of the last value.

    Returns:
        `setting, query_lang, name, first, last, best` (values), `step_of_best`, and `step`: the first one from which on
        no value is below the share of the last.
    """
    rows = []
    for (setting, lang, name), part in table.groupby(["setting", "query_lang", "name"], sort=False):
        curve = part.sort_values("step").set_index("step")["value"]
        below = curve.index[curve < share * curve.iloc[-1]]
        rows.append(
            {
                "setting": setting,
                "query_lang": lang,
                "name": name,
                "first": curve.iloc[0],
                "last": curve.iloc[-1],
                "best": curve.max(),
                "step_of_best": curve.idxmax(),
                "step": curve.index[curve.index > below.max()][0] if len(below) else curve.index[0],
            }
        )
    return pd.DataFrame(rows)
