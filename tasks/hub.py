"""A card whose options name a data set on the hub in; its files in a local folder, then rows, out.

`options.hub` is `owner/name` with `options.revision`, a full commit, or a folder below the card (`./folder`) of the
same layout. `bring` downloads the files that the configurations need, of that commit and no other; reading looks at
the disk alone, so that the hub and a folder are one path. `datasets` reads files, it never runs code that comes with
a data set, and is given none that points elsewhere. `ISOGLOSS_HUB` names a folder with copies, `<owner>/<name>`, for
machines that reach no hub.
"""

import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.assembly import tags, text_option
from tasks.card import TaskCard
from tasks.errors import UserError
from tasks.lines import Record, plain, records
from tasks.parsing import inside, parquet, require_inside, why

DATA = ("*.parquet", "*.jsonl", "*.json", "*.csv", "*.tsv", "*.jsonl.gz", "*.json.gz", "*.csv.gz", "*.tsv.gz")


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
    if copies := os.environ.get("ISOGLOSS_HUB"):
        if not Path(copies).is_dir():
            raise UserError(f"ISOGLOSS_HUB names {copies}, which is not a folder; name one, or take it away.")
        if (Path(copies) / name).is_dir():
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
    found: list[str] = []
    for configuration, splits in _configurations(folder).items():
        if _needed(configuration, card):
            found += splits.get(_split(card)) or [path for paths in splits.values() for path in paths]
    return found or list(DATA)


def _configurations(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Return the configurations that README.md lists: the patterns of their files, by split ("": not told).

    Raises UserError unless each stays below the folder: `datasets` would follow it anywhere, into the network too.
    """
    from huggingface_hub import metadata_load
    from yaml import YAMLError

    path = folder / "README.md"
    try:
        said = (metadata_load(path) or {}) if path.is_file() else {}
        return {str(one["config_name"]): _splits(one) for one in said.get("configs") or []}
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise UserError(f"{path} does not list configurations as the hub has them: {why(error)}.") from error


def _splits(configuration: dict[str, Any]) -> dict[str, list[str]]:
    files, place = configuration.get("data_files") or [], configuration.get("data_dir", configuration["config_name"])
    found: dict[str, list[str]] = {"": [f"{place}/{data}" for data in DATA]} if not files else {}
    for file in files if isinstance(files, list) else [files]:
        said = file if isinstance(file, dict) else {"path": file}
        paths = said["path"]
        found.setdefault(str(said.get("split", "")), []).extend(paths if isinstance(paths, list) else [paths])
    for path in [path for paths in found.values() for path in paths]:
        if not isinstance(path, str) or not inside(path) or ":" in path:
            raise ValueError(f"«{path}» is no path below it")
    return found


def _needed(configuration: str, card: TaskCard) -> bool:
    names = tags(card)
    return not names or configuration in names or configuration.rpartition("-")[0] in names


def _split(card: TaskCard) -> str:
    return text_option(card, "split", "test")


def configurations(card: TaskCard) -> list[str]:
    """Return the names of the configurations that the data set has."""
    folder = _checked(card)
    with _said(card, folder):
        return list(_datasets().get_dataset_config_names(str(folder)))


def rows(card: TaskCard, configuration: str) -> Iterator[Record]:
    """Yield the rows of a configuration: of `options.split`, or of its only split.

    They are streamed from the files as they are: what `datasets` keeps in its cache is neither checked against them nor
    needed twice.
    """
    folder, wanted = _checked(card), _split(card)
    where = f"{card.label}: {card.options['hub']} {configuration}"
    with _said(card, folder, where):
        splits = _datasets().get_dataset_split_names(str(folder), configuration)
        if wanted not in splits and len(splits) > 1:
            raise UserError(f"{where} has no split «{wanted}»; options.split can be {', '.join(splits)}.")
        split = wanted if wanted in splits else splits[0]
        where = f"{where}/{split}"
    with _said(card, folder, where):
        data = _datasets().load_dataset(str(folder), configuration, split=split, streaming=True)
        for number, row in enumerate(data, 1):
            yield f"{where}, row {number}", row


def _checked(card: TaskCard) -> Path:
    """Return the folder with the data set's files, once nothing in it leads elsewhere."""
    folder = bring(card, offline=True)
    _configurations(folder)
    if _is_folder(str(card.options["hub"])):  # in the hub's own cache, files are links
        for path in folder.rglob("*"):
            require_inside(path, card.folder)
    return folder


def _datasets() -> Any:
    import datasets

    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)  # what it has to say, the error says
    return datasets


@contextmanager
def _said(card: TaskCard, folder: Path, where: str = "") -> Iterator[None]:
    """Make sentences of the errors of `datasets`, which name neither file nor line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # it hands on whatever the libraries below it raise
        for path in sorted(folder.rglob("*")):
            if plain(path)[1] == ".jsonl":
                deque(records(path), maxlen=0)
            elif path.suffix == ".parquet":
                with parquet(path) as file:
                    file.read().validate(full=True)
        because = why(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        raise UserError(f"{where or f'{card.label}: {folder}'} cannot be read: {because}.") from error
