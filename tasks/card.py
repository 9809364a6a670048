"""TOML in, TaskCard out: what a card says of a task, and the catalogue of the cards that ship with the package.

A card is data: every number of a result depends on it only through the fields in `TaskCard.hash`, so correcting a
description or a citation leaves old results comparable.
"""

import hashlib
import json
import math
import re
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from tasks import languages, parsing
from tasks.errors import UserError, located, nearest

CARDS = Path(__file__).parent / "cards"
SUITES = Path(__file__).parent / "suites"
SETTINGS = ("mono", "cross", "multi", "pair")  # in which queries are asked: each has directions
MINING = "mining"  # in which none is: the documents of two languages are paired; `cross` comes with it
EVERY_SETTING = (*SETTINGS, MINING)
KINDS: dict[str, tuple[type, str]] = {  # of the fields that are no texts
    "settings": (list, "a list of texts"),
    "measures": (list, "a list of texts"),
    "languages": (list, "a list of texts"),
    "ignore_identical_ids": (bool, "true or false"),
    "files": (list, "a list of tables"),
    "variants": (dict, "a table of tables"),
    "symmetric": (bool, "true or false"),
    "options": (dict, "a table"),
}
LISTED = ("settings", "measures", "languages")  # lists of texts
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")  # a folder's name, and with what is put before and behind it, still one
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # names that Windows keeps for devices
VARIED = {  # what a variant may change
    "unit", "instruction", "title", "description", "settings", "options", "languages", "files",
}  # fmt: skip


@dataclass(frozen=True)
class File:
    """A pinned file: `path` below the root of raw upstream content, its size and SHA-256.

    Without a language it is no text, but says something of all of them.
    """

    path: str
    bytes: int
    sha256: str
    language: str = ""


@dataclass(frozen=True)
class TaskCard:
    """What a task is: one TOML file, read once and never changed."""

    name: str
    version: str
    title: str
    description: str
    reader: str
    licence: str
    citation: str
    settings: tuple[str, ...]
    measures: tuple[str, ...]
    folder: Path
    unit: str = ""
    instruction: str = ""
    """What a model with an instruction in its prompt is told to do; the field {task} of such a prompt."""
    homepage: str = ""
    contamination: str = ""
    ignore_identical_ids: bool = False
    files: tuple[File, ...] = ()
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    symmetric: bool = False
    """Queries and documents are texts of one kind (bitext): both are encoded in the query role."""
    options: dict[str, Any] = field(default_factory=dict)
    """What the reader of the card wants to know besides."""
    variant: str = ""

    @property
    def label(self) -> str:
        """The name with its variant, as the command line takes it: `xquad-r@context`."""
        return f"{self.name}@{self.variant}" if self.variant else self.name

    @property
    def languages(self) -> list[str]:
        """The languages that the card knows of, sorted: those of its files, or of its options."""
        said = self.options.get("languages", {})
        tags = [tag if isinstance(tag, list) else [tag] for tag in (said.values() if isinstance(said, dict) else said)]
        return sorted({file.language for file in self.files if file.language}.union(*tags))

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of everything in the card that a number depends on."""
        says = {
            "name": self.name,
            "version": self.version,
            "variant": self.variant,
            "reader": self.reader,
            "unit": self.unit,
            "ignore_identical_ids": self.ignore_identical_ids,
            "files": [[file.language, file.sha256] for file in self.files],
        }
        says |= {name: value for name in ("symmetric", "options") if (value := getattr(self, name))}
        return hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()


def read(path: Path) -> TaskCard:
    """Read one card. Raises UserError that names the file and the field that is missing, unknown or wrong."""
    says = parsing.toml(path)
    known = set(TaskCard.__dataclass_fields__) - {"folder", "variant"}
    needed = {"name", "version", "title", "description", "reader", "licence", "citation", "settings", "measures"}
    if missing := sorted(needed - says.keys()):
        raise UserError(f"{path} says nothing of {', '.join(missing)}; add it to the card.")
    if unknown := sorted(says.keys() - known):
        hint = nearest(unknown[0], sorted(known)) or "; take it out."
        raise UserError(f"{path} has a field «{unknown[0]}» that no card has{hint}")
    variants = says.get("variants", {})
    _check_fields(says, path)
    for name in (says["name"], *variants):
        if not NAME.fullmatch(name) or RESERVED.fullmatch(name):
            raise UserError(
                f"{path}: the name «{name}» must be small letters, digits, dots and hyphens, 100 at most, and no "
                "device's."
            )
    if MINING in says["settings"] and not says.get("symmetric"):
        raise UserError(f"{path}: the setting {MINING} needs symmetric = true, texts of one kind on both sides.")
    for variant, changes in variants.items():
        if not isinstance(changes, dict) or changes.keys() - VARIED:
            raise UserError(f"{path}: the variant {variant} may change {', '.join(sorted(VARIED))} only.")
        _check_fields(changes, path)
    for part in (says, *variants.values()):
        if "files" in part:
            part["files"] = _files(part["files"], path)
    return TaskCard(folder=path.parent, **says | {name: tuple(says[name]) for name in ("settings", "measures")})


def _check_fields(says: dict[str, Any], path: Path) -> None:
    """Raise UserError unless each field of a card, or of a variant of it, is of its kind."""
    for name, value in says.items():
        kind, what = KINDS.get(name, (str, "a text"))
        if not isinstance(value, kind):
            raise UserError(f"{path}: {name} must be {what}.")
        if name in LISTED and set(map(type, says[name])) != {str}:
            raise UserError(f"{path}: {name} must be a list of texts, at least one.")
        _check_plain(value, f"{path}: {name}")
    for setting in says.get("settings", ()):
        if setting not in EVERY_SETTING:
            raise UserError(f"{path}: «{setting}» is not a setting; they are {', '.join(EVERY_SETTING)}.")


def _check_plain(value: object, where: str) -> None:
    """Raise UserError unless a value can be shown on a terminal and hashed as JSON."""
    if isinstance(value, dict | list):
        for inner in value:
            _check_plain(inner, where)
        for inner in value.values() if isinstance(value, dict) else ():
            _check_plain(inner, where)
    elif isinstance(value, str):
        if not all(letter.isprintable() or letter in "\n\r\t\u00ad\u200b\u200c\u200d" for letter in value):
            raise UserError(f"{where} has a letter that cannot be shown; take it out.")
    elif not isinstance(value, int) and not (isinstance(value, float) and math.isfinite(value)):
        raise UserError(f"{where} is {value}; write a text, a number, or true or false.")


def _files(says: list[dict[str, Any]], path: Path) -> tuple[File, ...]:
    """Return the files that the card at `path`, or a variant of it, names."""
    try:
        files = tuple(File(**file) for file in says)
    except (TypeError, AttributeError) as error:
        raise UserError(f"{path}: a file needs path, bytes, sha256 and language ({error}).") from error
    for file in files:
        if not all(isinstance(value, str) for value in (file.path, file.sha256, file.language)):
            raise UserError(f"{path}: path, sha256 and language of a file must be texts.")
        if type(file.bytes) is not int or file.bytes < 1:
            raise UserError(f"{path}: bytes of a file must be a whole number above 0.")
        if not parsing.inside(file.path):
            raise UserError(f"{path}: the file path «{file.path}» leaves its folder.")
        if not re.fullmatch("[0-9a-f]{64}", file.sha256):
            raise UserError(f"{path}: sha256 of {file.path} must be 64 hexadecimal digits.")
        if file.language:
            languages.check(file.language, str(path))
    return files


@cache
def catalogue() -> dict[str, Path]:
    """Return the cards that ship with the package, by name: `cards/<name>.toml` or `cards/<name>/card.toml`."""
    paths = {path.stem: path for path in CARDS.glob("*.toml")}
    return dict(sorted((paths | {path.parent.name: path for path in CARDS.glob("*/card.toml")}).items()))


@cache
def suites() -> dict[str, tuple[str, ...]]:
    """Return the suites that ship with the package: name -> labels of its tasks."""
    return {path.stem: tuple(parsing.toml(path)["tasks"]) for path in sorted(SUITES.glob("*.toml"))}


def find(label: str) -> TaskCard:
    """Return the card for `name`, `name@variant`, or a folder of one's own with a `card.toml`.

    Raises UserError with the nearest names when there is none.
    """
    folder = Path(label)
    if "/" in label or (folder.is_dir() and label.partition("@")[0] not in catalogue()):
        if not (folder / "card.toml").is_file():
            raise UserError(f"«{label}» is not a task: one of your own is a folder with a card.toml and three tables.")
        return read(folder / "card.toml")
    name, _, variant = label.partition("@")
    if name not in catalogue():
        hint = nearest(name, [*catalogue(), *suites()]) or "; bench tasks lists them."
        raise UserError(f"There is no task «{name}»{hint}")
    card = read(catalogue()[name])
    if not variant:
        return card
    if variant not in card.variants:
        raise UserError(f"{name} has no variant «{variant}»; it has {', '.join(card.variants) or 'none'}.")
    changes = dict(card.variants[variant])
    if kept := changes.pop("languages", None):
        files = changes.get("files", card.files)
        if unknown := sorted(set(kept) - {file.language for file in files}):
            raise UserError(f"{name}: the variant {variant} names a language {unknown[0]} that no file has.")
        changes["files"] = tuple(file for file in files if file.language in kept or not file.language)
    if "settings" in changes:
        changes["settings"] = tuple(changes["settings"])
    changes["options"] = card.options | changes.get("options", {})
    return replace(card, variant=variant, **changes)


def own_suite(path: Path) -> list[str]:
    """Return the labels of a suite of one's own: `tasks = [...]` in a TOML file, folders relative to it."""
    says = parsing.toml(path)
    if "reader" in says:
        raise UserError(f"{path} is a card, not a suite; name its folder {path.parent} instead.")
    labels = says.get("tasks")
    if says.keys() != {"tasks"} or not labels or not isinstance(labels, list) or {type(x) for x in labels} != {str}:
        raise UserError(f'{path} is not a suite: it must hold one list, tasks = ["xquad-r", "./rivers"].')
    found: list[str] = []
    for label in labels:
        with located(path):
            if label in suites():
                found += suites()[label]
                continue
            if (path.parent / label).is_dir() or "/" in label:
                label = f"{path.parent / label}/"
            find(label)
        found.append(label)
    return found


def resolve(labels: list[str]) -> list[TaskCard]:
    """Return the cards for task labels, suites (also `suite.toml`) taken apart, each task once, in the order given."""
    expanded: list[str] = []
    for label in labels:
        if (name := label.partition("@")[0]) != label and name in suites():
            raise UserError(f"{name} is a suite and has no variants; name its tasks: {', '.join(suites()[name])}.")
        expanded += own_suite(Path(label)) if label.endswith(".toml") else suites().get(label, (label,))
    return [find(label) for label in dict.fromkeys(expanded)]
