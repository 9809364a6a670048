"""A card whose options name a data set on the hub in; its files in a local folder, then rows, out.

`options.hub` is `owner/name` with `options.revision`, a full commit, or a local folder of the same layout (`./folder`,
from the card). `bring` downloads the files that the configurations need, of that commit and no other; reading looks at
the disk alone, so that the hub and a folder are one path. `datasets` reads files, it never runs code that comes with
a data set. `ISOGLOSS_HUB` names a folder with copies, `<owner>/<name>`, for machines that reach no hub.
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

DATA = ("*.parquet", "*.jsonl", "*.json", "*.csv", "*.tsv", "*.jsonl.gz", "*.json.gz", "*.csv.gz", "*.tsv.gz")


def check(card: TaskCard) -> None:
    """Raise UserError unless the options name a pinned data set or a local folder."""
    name, revision = card.options.get("hub"), card.options.get("revision")
    if not isinstance(name, str) or not re.fullmatch(r"\.{0,2}/.*|[\w.-]+/[\w.-]+", name):
        raise UserError(f'{card.name}: options.hub must be "owner/name" on the hub, or a folder: "./folder".')
    if _is_folder(name):
        if not (card.folder / name).is_dir():
            raise UserError(f"{card.name}: {card.folder / name}, which options.hub names, is not a folder.")
    elif not isinstance(revision, str) or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise UserError(f"{card.name}: options.revision must be the full commit of {name}, 40 hexadecimal digits.")


def _is_folder(name: str) -> bool:
    return name.startswith((".", "/"))


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
        raise UserError(
            f"{card.label}: {name} at {revision[:8]} cannot be had from the hub: {str(error).strip().splitlines()[0]}"
        ) from error


def _patterns(folder: Path, card: TaskCard) -> list[str]:
    """Return which files the card's languages and split need, as the data set's README.md tells."""
    from huggingface_hub import metadata_load

    said = (metadata_load(folder / "README.md") or {}) if (folder / "README.md").is_file() else {}
    found: list[str] = []
    for configuration in said.get("configs", []):
        if not _needed(str(configuration.get("config_name")), card):
            continue
        files = configuration.get("data_files", [])
        files = [files] if isinstance(files, str | dict) else files
        wanted = [file for file in files if isinstance(file, dict) and file.get("split") == _split(card)]
        for file in wanted or files:
            paths = file["path"] if isinstance(file, dict) else file
            found += [paths] if isinstance(paths, str) else paths
        if not files:
            found += [f"{configuration.get('data_dir', configuration.get('config_name'))}/{data}" for data in DATA]
    return found or list(DATA)


def _needed(configuration: str, card: TaskCard) -> bool:
    names = tags(card)
    shared = configuration in {"corpus", "queries", "qrels", "default"}
    return shared or not names or any(configuration == name or configuration.startswith(f"{name}-") for name in names)


def _split(card: TaskCard) -> str:
    return text_option(card, "split", "test")


def configurations(card: TaskCard) -> list[str]:
    """Return the names of the configurations that the data set has."""
    folder = bring(card, offline=True)
    with _said(card, folder):
        return list(_datasets().get_dataset_config_names(str(folder)))


def rows(card: TaskCard, configuration: str) -> Iterator[Record]:
    """Yield the rows of a configuration: of `options.split`, or of its only split.

    They are streamed from the files as they are: what `datasets` keeps in its cache is neither checked against them nor
    needed twice.
    """
    folder, wanted = bring(card, offline=True), _split(card)
    where = f"{card.options['hub']} {configuration}"
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


def _datasets() -> Any:
    import datasets

    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)  # what it has to say, the error says
    return datasets


@contextmanager
def _said(card: TaskCard, folder: Path, where: str = "") -> Iterator[None]:
    """Make sentences of the errors of `datasets`, which name neither file nor line."""
    from datasets.exceptions import DatasetsError

    try:
        yield
    except (DatasetsError, StopIteration, RuntimeError, ValueError, OSError) as error:
        for path in sorted(folder.rglob("*")):
            if plain(path)[1] == ".jsonl":
                deque(records(path), maxlen=0)
            elif path.suffix == ".parquet":
                _check_parquet(path)
        why = str(error.__cause__ or error).strip() or "a file is missing"
        raise UserError(f"{card.label}: {where or folder} cannot be read: {why.splitlines()[0]}.") from error


def _check_parquet(path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        parquet.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
