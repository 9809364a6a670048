"""The record of a run: what it holds, and how it is written, found again and read.

`results/<model>/<task>[@variant]/` holds `evidence.json` (described field by field in `evidence.schema.json`),
`ranks.parquet` and `top.parquet` (the Ranking). A result may be handed on without its top k, which is the largest part:
all tables and plots follow from the other two. A result is written to a folder of its own and renamed into place, so it
is there whole or not at all.

A result has a *key*: everything that its numbers depend on. One with an equal key is reused. One with another key is
kept: it moves to `<task>~<first letters of its key>`, and the plain path always holds what was asked for last.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from benchmark import files
from benchmark.files import SCHEMA as SCHEMA
from benchmark.files import Json as Json
from benchmark.measures import parse
from benchmark.ranking import ALL, Ranking
from benchmark.summary import tables
from tasks.errors import UserError
from tasks.fetch import cache_folder

ENDS = ("_low", "_high")


@dataclass(frozen=True)
class Result:
    """A folder of evidence and what its `evidence.json` says."""

    folder: Path
    says: Json

    def ranks(self) -> pd.DataFrame:
        """Return `Ranking.ranks`."""
        return files.ranks(self.folder / "ranks.parquet", self.says)

    def pools(self) -> pd.DataFrame:
        """Return `Ranking.pools`."""
        return pd.DataFrame(self.says["pools"])

    def top(self) -> pd.DataFrame:
        """Return `Ranking.top`."""
        return files.top(self.folder / "top.parquet", self.says)


def key_of(parts: Json) -> str:
    """Return the key (hex) of the parts that a result's numbers depend on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def measured(result: Result, measure: str) -> Result:
    """Return a result with the values of another measure too, computed from its ranks."""
    names = list(result.says["directions"][0]["measures"])
    if measure in names:
        return result
    if result.says["kept"]["every"] > 1:
        raise UserError(
            f"{result.folder} keeps the ranks of some topics only, so {measure} cannot be computed from them; run "
            f"again with --measure {measure}."
        )
    ranks = result.ranks()
    values = [parse(name) for name in [*names, measure]]
    found = tables([Ranking(ranks, result.pools(), pd.DataFrame(), 0, 0)], values, with_top=False)
    return Result(result.folder, result.says | found)


def directions(says: Json) -> pd.DataFrame:
    """Return the directions of an evidence as a table: `setting, query_lang, pool, queries, documents`, the measures.

    The ends of the interval of `AP` are `AP_low` and `AP_high`.
    """
    rows = [
        {
            "setting": row["setting"],
            "query_lang": row["query_language"],
            "pool": ALL if row["setting"] == "multi" else "+".join(row["document_languages"]),
            "queries": row["n"],
            "documents": row["documents"],
        }
        | row["measures"]
        | {
            name + end: pair and pair[place]
            for name, pair in row.get("intervals", {}).items()
            for place, end in enumerate(ENDS)
        }
        for row in says["directions"]
    ]
    return pd.DataFrame(rows)


def ends(row: Json, measure: str) -> tuple[float, float] | None:
    """Return the interval of a measure in a row of the evidence; None if there is none."""
    found = row.get("intervals", {}).get(measure)
    return found and (found[0], found[1])


def share(value: float | None, digits: int = 1) -> str:
    """Return a share of texts in words: `1.5%`."""
    return "an unknown share" if value is None else f"{value:.{digits}%}"


def lists(says: Json) -> str:
    """Return what lists were given that the ranks come from, in words; "" where every document was ranked."""
    if "lists" not in says:
        return ""
    found = says["lists"]
    depths = ", ".join(f"{setting} down to {depth:,} documents" for setting, depth in found["depth"].items())
    empty = f"; {found['empty']:,} of {found['asked']:,} hold nothing" if found["empty"] else ""
    names = ", ".join(found["filtered"])
    filtered = f"; {names}: taken out of lists with other languages, and true as far as those go" if names else ""
    return depths + empty + filtered


def label(says: Json) -> str:
    """Return `task` or `task@variant`."""
    task = says["task"]
    return f"{task['name']}@{task['variant']}" if task["variant"] else str(task["name"])


def slug(name: str) -> str:
    """Return a model's name as a folder's name."""
    text = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    if not text:
        raise UserError(f"The name «{name}» has no letters or digits; give another with --name.")
    return text


def prepare(results: Path, model: str, label: str) -> Path:
    """Make the folder for a model's results and make sure that the result can be put there, before any work is done."""
    folder = results / slug(model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Path(tempfile.mkdtemp(prefix=".probe-", dir=folder)).rmdir()
        plain = folder / label
        if plain.is_dir() and not any(plain.iterdir()):
            plain.rmdir()
    except OSError as error:
        raise UserError(
            f"Results cannot be written to {folder}: {error.strerror}; name another folder with --results."
        ) from error
    if plain.exists() and not (plain / "evidence.json").is_file():
        raise UserError(f"{plain} is there and is no result; move it away, or name another folder with --results.")
    return folder


def find(folder: Path, label: str, key: str) -> Result | None:
    """Return the whole result of this task with an equal key, moved to the plain path if it was kept aside."""
    with _alone(folder):
        for path in [folder / label, *sorted(folder.glob(f"{label}~*"))]:
            if _key(path) == key and (path / "top.parquet").is_file():
                if path.name != label:
                    _place(path, folder / label)
                return read(folder / label)
    return None


def stored(folder: Path, label: str, key: str) -> Result | None:
    """Return the result of this task with an equal key, at the plain path even if its top k was left out."""
    return read(folder / label) if _key(folder / label) == key else find(folder, label, key)


def _key(path: Path) -> str:
    """Return the key of the result at `path`; "" if there is none that can be read. The top k may be left out."""
    try:
        result = read(path)
        files.columns(path / "ranks.parquet", files.RANKS)
        if (path / "top.parquet").exists():
            files.columns(path / "top.parquet", files.TOP)
    except UserError:
        return ""
    return str(result.says["key"])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time move results in `folder`. The lock lies in the cache: results are for committing."""
    locks = cache_folder() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]):
        yield


def difference(folder: Path, label: str, parts: Json) -> str:
    """Say why the result at the plain path is not reused; "" if there is none."""
    path = folder / label
    if not path.exists():
        return ""
    if not _key(path):
        return "it is damaged, or of another version"
    old = read(path).says["key_parts"]
    if old == parts:
        return "its top.parquet is not there"
    shown = [
        f"{name} was {_short(old.get(name))} and is {_short(parts[name])}" if name in old else f"{name} is new"
        for name in parts
        if parts[name] != old.get(name)
    ]
    return "; ".join(shown)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:12]}…" if re.fullmatch("[0-9a-f]{64}", text) else text


def write(folder: Path, label: str, says: Json, ranking: Ranking) -> Result:
    """Write a result whole, in the place of an older one, which is kept aside if its key differs."""
    made = None
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{label}.", dir=folder))
        (made / "evidence.json").write_text(dumps(says), encoding="utf-8")
        for name in ("ranks", "top"):
            _write_table(getattr(ranking, name), made / f"{name}.parquet")
        made.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        with _alone(folder):
            _place(made, folder / label)
    except OSError as error:
        raise UserError(
            f"The result cannot be written to {folder / label}: {error.strerror or error}; the vectors are kept, so "
            "free some space or name another folder with --results, and run again."
        ) from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
    return read(folder / label)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _place(made: Path, path: Path) -> None:
    """Rename `made` to `path`. What is there first moves aside by its key, and goes at last if `made` has the same.

    At every moment either the old result or the new one is whole; `find` looks for it at both places.
    """
    aside = None
    if path.exists():
        aside = path.with_name(f"{path.name}~{_key(path)[:8] or 'damaged'}")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
    made.rename(path)
    if aside is not None and _key(aside) == _key(path):
        shutil.rmtree(aside, ignore_errors=True)


def amend(result: Result, ranks: pd.DataFrame | None = None, **fields: Any) -> Result:
    """Rewrite fields that no other number depends on, and the facets beside the ranks."""
    says = result.says | fields
    if says == result.says:
        return result
    if ranks is not None:  # first, so that evidence never speaks of facets that are not there
        _replace(result.folder / "ranks.parquet", lambda part: _write_table(ranks, part))
    _replace(result.folder / "evidence.json", lambda part: part.write_text(dumps(says), encoding="utf-8"))
    return read(result.folder)


def _replace(path: Path, write_to: Callable[[Path], object]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_to(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{path.parent} cannot be written: {error.strerror}.") from error


def _write_table(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False, compression="zstd")


def dumps(says: Json) -> str:
    """Return JSON with one row of a table on a line: small, and readable in a diff."""

    def inner(value: object, indent: str) -> str:
        if isinstance(value, dict) and value and indent.count(" ") < 2:
            lines = [f"{indent} {json.dumps(name)}: {inner(item, indent + ' ')}" for name, item in value.items()]
            return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in value]
            return "[\n" + ",\n".join(f"{indent} {row}" for row in rows) + f"\n{indent}]"
        return json.dumps(value, ensure_ascii=False)

    return inner(says, "") + "\n"


def below(folder: Path, depth: int) -> list[Path]:
    """Return the folders of the results so far below a folder, by name; not those kept aside or left half-written."""
    paths = (path.parent for path in sorted(folder.glob("*/" * depth + "evidence.json")))
    return [path for path in paths if "~" not in path.name and not path.name.startswith(".")]


def read(folder: Path) -> Result:
    """Read a result. Raises UserError if the folder holds none, or one of a schema this version does not know."""
    path = folder / "evidence.json"
    if not path.exists():
        raise UserError(f"{folder} holds no result: there is no evidence.json in it.")
    return Result(folder, files.evidence(path))
