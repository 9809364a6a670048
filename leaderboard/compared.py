"""Results in; the models that a plot puts side by side out, each under a name of its own that can be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark import evidence
from benchmark.evidence import Result
from leaderboard.drawing import clean
from tasks import languages
from tasks.errors import UserError


@dataclass(frozen=True)
class Model:
    """A model as the plots see it.

    * `measure`: the measure that is shown.
    * `directed`: `evidence.directions`.
    * `means`: query language x setting, the mean over the languages of the documents.
    """

    name: str
    measure: str
    result: Result
    directed: pd.DataFrame
    means: pd.DataFrame

    @property
    def says(self) -> evidence.Json:
        """What the evidence says."""
        return self.result.says

    def title(self, text: str) -> str:
        """Return the title of a plot: the task, and what is shown."""
        task = self.says["task"]
        return f"{clean(task['title'] + (' @' + task['variant'] if task['variant'] else ''))} · {text}"


def models(results: Sequence[Result], measure: str | None = None) -> list[Model]:
    """Return the models of results on the same task and data; `measure` None: the main one of the first."""
    found = []
    for result, name in zip(results, names(results), strict=True):
        shown = measure or str(results[0].says["main_measure"])
        directed = evidence.directions(result.says)
        if shown not in directed:
            raise UserError(f"The result in {result.folder} does not hold the measure {shown}.")
        means = directed.groupby(["query_lang", "setting"])[shown].mean().unstack()  # noqa: PD010 - no aggregation
        found.append(Model(name, shown, result, directed, means))
    return found


def names(results: Sequence[Result]) -> list[str]:
    """Return what the models are called; those that would look alike begin with the first letters of their key."""
    called = [clean(str(result.says["model"]["name"])) for result in results]
    return [
        f"{str(result.says['key'])[:8]} {name}" if called.count(name) > 1 else name
        for result, name in zip(results, called, strict=True)
    ]


def language(tag: str) -> str:
    """Return a language as a row is called: «Thai · th»."""
    return f"{clean(languages.name(tag))} · {tag}"


def ends(tables: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """Return the lowest and the highest value of all tables."""
    values = np.concatenate([table.to_numpy(dtype=np.float64).ravel() for table in tables])
    return float(np.nanmin(values)), float(np.nanmax(values))
