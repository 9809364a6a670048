"""A task and a run (lists that some system wrote) in; the Result that they amount to, out. No model is needed.

A run is a system of which no more is known than what it found, so what it is made of is what is on record of it: the
hash of its files, and how deep its lists are.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
import pandas as pd

from benchmark import lists, pools, run, runs
from benchmark.encoders import ROLES, Model, NoVectors
from benchmark.evidence import Result
from benchmark.progress import Progress
from benchmark.ranking import Ranking
from benchmark.runs import Direction
from benchmark.systems import System
from benchmark.vectors import Encoded
from tasks.collection import Collection
from tasks.errors import UserError


def score(
    task: run.Task,
    whole: Collection,
    path: Path,
    asked: Sequence[str],
    about: dict[str, str],
    results: Path,
    progress: Progress,
    command: str,
) -> Result:
    """Return the result of a run on a task: the one there is, if its key is equal, or a new one.

    Args:
        task: what was asked, and in which languages.
        whole: the task in all its languages, of which a run may hold documents.
        path: a run file, or a folder of them.
        asked: the settings to score; none stands for what the run is of.
        about: `name`, `citation` and `notes`; "" for none.
        results: the folder for results.
        progress: told what a person should know.
        command: the command line.
    """
    files = runs.find(path)
    found = pools.read(task, whole, path, files, asked)
    if found.disordered:
        progress.say(
            f"{path}: {found.disordered:,} lists have another order by their rank column than by their scores; the "
            "scores count, as float32, and ties go by document id, descending."
        )
    model = Model(
        name=about["name"] or runs.name(path),
        family="run",
        source=str(path),
        revision="",
        fingerprint=_fingerprint(files),
        parameters=0,
        similarity="",
        dtype="",
        device="",
        prompts={"query": "", "document": ""},
        engine={},
        citation=about["citation"],
        notes=about["notes"],
    )
    nothing = Encoded(np.zeros((0, 0), np.float32), np.zeros(0, np.int32), None, tokens=0, encoded=0, seconds=0.0)
    system = _Listed(
        scorers=_unknown,
        encoded=dict.fromkeys(ROLES, nothing),
        sent=dict.fromkeys(ROLES, ""),
        about={"lists": found.about},
        listed=found.listed,
    )
    task = replace(task, settings=found.settings)
    return run.run(task, _Unknown(model), results, progress, command, lambda *_: system)


@dataclass(frozen=True, kw_only=True)
class _Listed(System):
    """A system of which no more is known than what it found."""

    listed: pd.DataFrame

    def ranked(
        self,
        collection: Collection,
        settings: Sequence[str],
        *,
        ignore_identical_ids: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Ranking]:
        """Rank the answers by the lists in which they are."""
        return lists.ranked(
            collection, self.listed, settings, ignore_identical_ids=ignore_identical_ids, progress=progress
        )


class _Unknown(NoVectors):
    """What stands in the place of a model: what is on record of it."""

    kind: Final = "vector"

    def __init__(self, model: Model) -> None:
        self.model = model


def _unknown(*_: object) -> NoReturn:
    raise UserError("Of a run the lists are known, not the model that made them.")


def _fingerprint(files: dict[Path, Direction | None]) -> str:
    sha = hashlib.sha256()
    for path, direction in files.items():
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.") from error
        sha.update(f"{runs.stem(*direction) if direction else ''} {digest}\n".encode())
    return sha.hexdigest()
