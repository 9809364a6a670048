"""A card whose options name a data set on the hub in; its files in a local folder, then rows, out.

`options.hub` is `owner/name` with `options.revision`, a full commit, or a folder below the card (`./folder`) of the
same layout: a README.md that lists the configurations and their files, which are Parquet, JSON or CSV. `bring`
downloads the files that the configurations need, of that commit and no other; reading looks at the disk alone, so that
the hub and a folder are one path. Code that comes with a data set is neither downloaded nor run. `ISOGLOSS_HUB` names a
folder with copies, `<owner>/<name>`, for machines that reach no hub.
"""

import csv
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tasks.assembly import tags, text_option
from tasks.card import TaskCard
from tasks.errors import UserError
from tasks.lines import LONGEST, Record, lines, plain, records
from tasks.parsing import inside, json_file, matching, parquet, require_inside, why

DATA = (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".jsonl.gz", ".csv.gz", ".tsv.gz")
ROWS = 1000  # of a Parquet file that are Python objects at once
Splits = dict[str, list[str]]
"""Split -> patterns of its files."""


def check(card: TaskCard) -> None:
    """Raise UserError unless the options name a pinned data set or a local folder."""
    name, revision = card.options.get("hub"), card.options.get("revision")
    if not isinstance(name, str) or not (re.fullmatch(r"\./.*|\w[\w.-]*/\w[\w.-]*", name) and inside(name)):
        raise UserError(
            f'{card.name}: options.hub must be "owner/name" on the hub, or a folder below the card: "./folder".'
        )
    if _is_folder(name):
        if not require_inside(card.folder / name, card.folder).is_dir():
            raise UserError(f"{card.name}: {card.folder / name}, which options.hub names, is not a folder.")
    elif not isinstance(revision, str) or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise UserError(f"{card.name}: options.revision must be the full commit of {name}, 40 hexadecimal digits.")


def _is_folder(name: str) -> bool:
    return name.startswith(".")


def bring(card: TaskCard, offline: bool = False) -> Path:
    """Return the folder that holds the data set's files at the card's revision, downloading what is missing.

    Raises UserError if the hub cannot be reached, does not have it, or `offline` forbids to ask.
    """
    check(card)
    name, revision = str(card.options["hub"]), str(card.options.get("revision", ""))
    if _is_folder(name):
        return card.folder / name
    if (copies := os.environ.get("ISOGLOSS_HUB")) and (Path(copies) / name).is_dir():
        return Path(copies) / name
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    def snapshot(patterns: list[str]) -> Path:
        return Path(
            snapshot_download(
                name, repo_type="dataset", revision=revision, allow_patterns=patterns, local_files_only=offline
            )
        )

    try:
        return snapshot(["README.md", *_patterns(snapshot(["README.md"]), card)])
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise UserError(
            f"{card.label}: {name} at {revision[:8]} is not on this machine and the hub was not reached; bring it with "
            f"bench fetch where there is a network, or put a copy at FOLDER/{name} and set ISOGLOSS_HUB=FOLDER."
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{card.label}: {name} at {revision[:8]} cannot be had from the hub: {why(error)}.") from error


def _patterns(folder: Path, card: TaskCard) -> list[str]:
    """Return which files the card's languages and split need, as the data set's README.md tells."""
    names, wanted = tags(card), _split(card)
    found = []
    for configuration, splits in _configurations(folder).items():
        shared = configuration in {"corpus", "queries", "qrels", "default"}
        spoken = (configuration == name or configuration.startswith(f"{name}-") for name in names)
        if shared or not names or any(spoken):
            found += splits.get(wanted) or [pattern for patterns in splits.values() for pattern in patterns]
    return found


def _split(card: TaskCard) -> str:
    return text_option(card, "split", "test")


def _configurations(folder: Path) -> dict[str, Splits]:
    """Return the configurations that README.md lists, with the patterns of their files by split.

    A pattern stays below the folder: a data set may point neither elsewhere on this machine nor into the network.
    """
    from huggingface_hub import metadata_load
    from yaml import YAMLError

    path = folder / "README.md"
    try:
        said = (metadata_load(path) or {}) if path.is_file() else {}
        listed = said.get("configs") or []
        return {str(one["config_name"]): _splits(one) for one in listed}
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise UserError(f"{path} does not list configurations as the hub has them: {why(error)}.") from error


def _splits(configuration: dict[str, Any]) -> Splits:
    if not isinstance(configuration["config_name"], str):
        raise TypeError("config_name is not a text")
    files = configuration["data_files"]
    found: Splits = {}
    for file in files if isinstance(files, list) else [files]:
        said = file if isinstance(file, dict) else {"split": "train", "path": file}
        paths = said["path"]
        for pattern in paths if isinstance(paths, list) else [paths]:
            if not isinstance(pattern, str) or not isinstance(said["split"], str):
                raise TypeError("path and split of data_files are not texts")
            if not inside(pattern) or ":" in pattern:
                raise ValueError(f"«{pattern}» leaves the data set")
            found.setdefault(said["split"], []).append(pattern)
    return found


def configurations(card: TaskCard) -> list[str]:
    """Return the names of the configurations that the data set has."""
    return list(_configurations(bring(card, offline=True)))


def rows(card: TaskCard, configuration: str) -> Iterator[Record]:
    """Yield the rows of a configuration: of `options.split`, or of its only split."""
    folder, wanted = bring(card, offline=True), _split(card)
    where = f"{card.options['hub']} {configuration}"
    splits = _configurations(folder).get(configuration, {})
    if wanted not in splits and len(splits) != 1:
        known = ", ".join(splits) or "nothing"
        raise UserError(f"{where} has no split «{wanted}»; options.split can be {known}.")
    patterns = splits.get(wanted) or next(iter(splits.values()))
    paths = dict.fromkeys(path for pattern in patterns for path in matching(folder, pattern) or ())
    if not paths:
        raise UserError(f"{folder} has no file {' or '.join(patterns)}, which its README.md names.")
    for path in paths:
        ending = plain(path)[1]
        if ending + (".gz" if path.suffix == ".gz" else "") not in DATA:
            raise UserError(f"{path} is not read; files of a data set end in {', '.join(DATA)}.")
        if _is_folder(str(card.options["hub"])):  # in the hub's own cache, files are links
            require_inside(path, card.folder)
        yield from READERS[ending](path)


def _parquet_rows(path: Path) -> Iterator[Record]:
    number = 0
    with parquet(path) as file:
        for batch in file.iter_batches(ROWS):
            batch.validate(full=True)
            for number, row in enumerate(batch.to_pylist(), number + 1):  # noqa: B020 - goes on counting
                yield f"{path}, row {number}", row


def _json_rows(path: Path) -> Iterator[Record]:
    """Yield the records of a JSON file: a list of them, or one a line."""
    for _, line in lines(path):
        if line.strip():
            if not line.lstrip().startswith("["):
                yield from records(path)
                return
            break
    listed = json_file(path)
    for number, record in enumerate(listed if isinstance(listed, list) else [listed], 1):
        if not isinstance(record, dict):
            raise UserError(f"{path}, record {number}: this is not a JSON object.")
        yield f"{path}, record {number}", record


def _cells(delimiter: str) -> Callable[[Path], Iterator[Record]]:
    def read(path: Path) -> Iterator[Record]:
        """Yield the rows of a table as the module csv reads it; an empty cell is a hole."""
        numbered, place = lines(path), str(path)
        csv.field_size_limit(LONGEST)

        def texts() -> Iterator[str]:
            nonlocal place
            for place, line in numbered:  # noqa: B007
                yield f"{line}\n"

        try:
            for row in csv.DictReader(texts(), delimiter=delimiter, strict=True):
                if None in row or None in row.values():
                    raise UserError(f"{place}: the number of columns is another than in the header.")
                yield place, {name: cell or None for name, cell in row.items()}
        except csv.Error as error:
            raise UserError(f"{place}: this is no table: {error}.") from error

    return read


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".parquet": _parquet_rows,
    ".jsonl": records,
    ".json": _json_rows,
    ".csv": _cells(","),
    ".tsv": _cells("\t"),
}
