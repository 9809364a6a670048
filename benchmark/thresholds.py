"""TOML in; how much a checkpoint may lose against its baseline, out.

```toml
measures = ["AP", "R@10"]   # default: the main measure of each task
max_drop = 0.01             # how far an average, a language or a direction may fall
level = 0.05                # the risk of any false alarm
allow = ["dtype"]           # differences between the runs that are let pass

[max_rise]                  # of bias values in the pool of all languages
rank_distance = 0.1         # a tenth of what it was

[[where]]                   # other limits for some of the cells; the last one that fits counts
setting = "multi"
language = "th"
max_drop = 0.03
min_score = 0.2
```
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.measures import parse
from tasks import languages, parsing
from tasks.card import SETTINGS
from tasks.errors import UserError, located, nearest

FILE = "bench-check.toml"
RISES = ("rank_distance", "max_rank", "own_first", "own_excess@10", "own_excess@100")
RELATIVE = ("rank_distance", "max_rank")  # their limits are shares of what they were
ALLOWED = ("prompts", "dtype", "length", "how")
SELECTORS = ("task", "setting", "language", "measure")
LIMITS = ("max_drop", "min_score")


@dataclass(frozen=True)
class Where:
    """Other limits for the cells that fit; an empty selector fits all."""

    task: str = ""
    setting: str = ""
    language: str = ""
    measure: str = ""
    max_drop: float | None = None
    min_score: float | None = None

    def fits(self, task: str, setting: str, spoken: Sequence[str], measure: str) -> bool:
        """Whether a cell is meant: `spoken` are the languages that it is of, none for an average."""
        return (
            self.task in ("", task)
            and self.setting in ("", setting)
            and self.measure in ("", measure)
            and (not self.language or self.language in spoken)
        )


@dataclass(frozen=True)
class Thresholds:
    """What is checked, and how far it may fall. The module's docstring has the file."""

    measures: tuple[str, ...] = ()
    max_drop: float = 0.01
    level: float = 0.05
    allow: tuple[str, ...] = ()
    max_rise: Mapping[str, float] = field(default_factory=lambda: {"rank_distance": 0.1})
    where: tuple[Where, ...] = ()
    source: Path | None = None

    def drop(self, task: str, setting: str, spoken: Sequence[str], measure: str) -> float:
        """Return how far a cell may fall."""
        limits = [one.max_drop for one in self.where if one.fits(task, setting, spoken, measure)]
        return next((limit for limit in reversed(limits) if limit is not None), self.max_drop)

    def floor(self, task: str, setting: str, spoken: Sequence[str], measure: str) -> float | None:
        """Return what an average (`spoken` is empty) or the mean of a question language must reach; None for nothing.

        A floor without a language is one of the averages, not of every language.
        """
        limits = [
            one.min_score
            for one in self.where
            if bool(one.language) == bool(spoken) and one.fits(task, setting, spoken, measure)
        ]
        return next((limit for limit in reversed(limits) if limit is not None), None)


def beside(baseline: Path) -> Path | None:
    """Return the thresholds in the folder of a baseline or the one above it, if there are any."""
    places = (baseline / FILE, baseline.resolve().parent / FILE)
    return next((path for path in places if path.is_file()), None)


def read(path: Path) -> Thresholds:
    """Return what a file says. Raises UserError for an unknown key, a wrong type, an unknown language or measure."""
    if not path.exists():
        raise UserError(f"There are no thresholds at {path}.")
    says = parsing.toml(path)
    _known(says, ("measures", "max_drop", "level", "allow", "max_rise", "where"), str(path))
    found: dict[str, Any] = {name: says[name] for name in ("max_drop", "level") if name in says}
    for name, value in found.items():
        _number(value, f"{path}: {name}")
    if not 0 < found.get("level", 0.05) <= 0.5:
        raise UserError(f"{path}: level should be above 0 and at most 0.5, and is {found['level']}.")
    if "measures" in says:
        found["measures"] = tuple(
            dict.fromkeys(_measure(name, f"{path}: measures") for name in _texts(says, "measures", path))
        )
    if "allow" in says:
        found["allow"] = tuple(_one_of(name, ALLOWED, f"{path}: allow") for name in _texts(says, "allow", path))
    if "max_rise" in says:
        found["max_rise"] = _rises(says["max_rise"], path)
    if "where" in says:
        rows = says["where"]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UserError(f"{path}: where should be tables; begin each with [[where]].")
        found["where"] = tuple(_where(row, f"{path}: [[where]] {number}") for number, row in enumerate(rows, 1))
    return Thresholds(**found, source=path)


def _rises(says: object, path: Path) -> dict[str, float]:
    if not isinstance(says, dict):
        raise UserError(f"{path}: max_rise should be a table; begin it with [max_rise].")
    _known(says, RISES, f"{path}: [max_rise]")
    for name, value in says.items():
        _number(value, f"{path}: [max_rise] {name}", most=float("inf") if name in RELATIVE else 1)
    return says


def _where(says: dict[str, Any], at: str) -> Where:
    _known(says, (*SELECTORS, *LIMITS), at)
    if not set(says) & set(SELECTORS) or not set(says) & set(LIMITS):
        raise UserError(f"{at} should have one of {', '.join(SELECTORS)}, and one of {' and '.join(LIMITS)}.")
    for name in LIMITS:
        if name in says:
            _number(says[name], f"{at}: {name}")
    for name in SELECTORS:
        if name in says and not isinstance(says[name], str):
            raise UserError(f"{at}: {name} should be a text, and is {says[name]!r}.")
    if "setting" in says:
        _one_of(says["setting"], SETTINGS, f"{at}: setting")
    if "measure" in says:
        says["measure"] = _measure(says["measure"], f"{at}: measure")
    if "language" in says:
        languages.check(says["language"], at)
    return Where(**says)


def _known(says: Mapping[str, Any], known: Sequence[str], at: str) -> None:
    for name in says:
        if name not in known:
            raise UserError(f"{at}: «{name}» is not known{nearest(name, list(known)) or '; take ' + ', '.join(known)}")


def _number(value: object, at: str, most: float = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        limit = f"from 0 to {most:g}" if most < float("inf") else "of 0 or more"
        raise UserError(f"{at} should be a number {limit}, and is {value!r}.")


def _texts(says: Mapping[str, Any], name: str, path: Path) -> list[str]:
    value = says[name]
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise UserError(f"{path}: {name} should be a list of texts, and is {value!r}.")
    return value


def _measure(text: str, at: str) -> str:
    with located(at):
        return str(parse(text))


def _one_of(text: str, known: Sequence[str], at: str) -> str:
    if text not in known:
        raise UserError(f"{at}: «{text}» is not known{nearest(text, list(known)) or '; take ' + ', '.join(known)}")
    return text
