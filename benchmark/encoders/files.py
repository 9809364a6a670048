"""A checkpoint's folder or hub name in; what its files say of it out, before any weight is loaded.

Where it is, which kind of model it is, its fingerprint, its size, how many positions it has, and whether it is safe to
load: only safetensors weights are read, and no code of a checkpoint is run unless asked for.
"""

import hashlib
import math
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from tasks import parsing
from tasks.errors import UserError, advising

LIBRARY = "sentence_transformers."
PYLATE = "pylate.models.Dense.Dense"  # for which the library has a module of its own where it loads a ColBERT
# Files that never change a vector: other backends, training state, papers.
OTHER_FOLDERS = {"onnx", "openvino", "runs", "assets", "eval"}
OTHER_ENDINGS = {".md", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".png", ".jpg", ".csv", ".pdf", ".lock"}
OTHER_FILES = {"trainer_state.json", "LICENSE", "LICENSE.txt", "NOTICE"}
PICKLES = {"pytorch_model*.bin": "model*.safetensors", "adapter_model*.bin": "adapter_model*.safetensors"}
# What sentence-transformers (and PyLate: ColBERT) calls the models that make no single vector of a text.
SAVED_AS = {
    "SparseEncoder": "sparse",
    "MultiVectorEncoder": "multi-vector",
    "ColBERT": "multi-vector",
    "CrossEncoder": "cross-encoder",
}
# Their first positions stand for padding: a table of 514 is good for 512 tokens.
POSITIONS_AFTER_PADDING = {
    "camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta",
    "xlm-roberta-xl", "xmod",
}  # fmt: skip


def locate(source: str, revision: str, offline: bool) -> tuple[Path, str]:
    """Return the folder of a checkpoint and its hub commit ("" for a folder of one's own).

    Raises UserError if there is no such folder, or the hub does not have it or cannot be reached.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if revision:
            raise UserError(f"{source} is a folder and has no revisions; leave --revision out.")
        return folder, ""
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise UserError(
            f"There is no folder {source}, and it is no name on the hub, such as org/name; what else a model may be "
            "is in docs/models.md."
        )
    path = _snapshot(source, revision, offline)
    return path, path.name


@cache
def _snapshot(name: str, revision: str, offline: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    ignore = [f"{name}/*" for name in OTHER_FOLDERS] + [f"*{ending}" for ending in OTHER_ENDINGS]
    try:
        return Path(
            snapshot_download(name, revision=revision or None, ignore_patterns=ignore, local_files_only=offline)
        )
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(f"There is neither a folder {name} nor a model of that name on the hub.") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"There is no folder {name}, and the hub cannot give a model of that name "
            f"({type(error).__name__}); check the path or the network."
        ) from error


def kind(folder: Path) -> str:
    """Return what kind of model a folder holds.

    `sentence-transformers`, `static`, `adapter`, `transformers` (no pooling), `sparse`, `multi-vector` or
    `cross-encoder`. Raises UserError if it holds none.
    """
    saved = read(folder / "config_sentence_transformers.json")
    config = read(folder / "config.json")
    heads = config.get("architectures")
    heads = [str(one) for one in heads] if isinstance(heads, list) else []
    if "HF_ColBERT" in heads:  # as Stanford's ColBERT writes it
        return "multi-vector"
    if (folder / "modules.json").is_file():
        if str(saved.get("model_type")) in SAVED_AS:
            return SAVED_AS[saved["model_type"]]
        if str(saved.get("similarity_fn_name")).lower() == "maxsim":
            return "multi-vector"
        if (backbone(folder) / "adapter_config.json").is_file():
            return "adapter"
        static = str(modules(folder)[0].get("type")).endswith(".StaticEmbedding")
        return "static" if static else "sentence-transformers"
    if (folder / "adapter_config.json").is_file():
        return "adapter"
    if config.get("model_type") == "model2vec":
        return "static"
    if heads and all(one.endswith("ForSequenceClassification") for one in heads):
        return "cross-encoder"
    if config:
        return "transformers"
    raise UserError(
        f"{folder} is no checkpoint: it has neither modules.json (sentence-transformers), config.json "
        "(transformers), nor adapter_config.json (peft)."
    )


def read(path: Path, form: type = dict) -> Any:
    """Return what a JSON file says, which must be of a form; an empty one of that form if there is no such file."""
    with advising("the checkpoint is damaged"):
        found = parsing.json_file(path) if path.is_file() else form()
        if not isinstance(found, form):
            raise UserError(f"{path} should hold a JSON {'object' if form is dict else 'list'}")
    return found


def table(says: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a field of a JSON object that is an object itself; an empty one where it is not."""
    return found if isinstance(found := says.get(name), dict) else {}


def modules(folder: Path) -> list[dict[str, Any]]:
    """Return the modules of a sentence-transformers checkpoint, as `modules.json` lists them."""
    path = folder / "modules.json"
    found = read(path, list)
    if not found or not all(isinstance(module, dict) for module in found):
        raise UserError(f"{path} is not a list of modules; the checkpoint is damaged.")
    for module in found:
        _require_place(module.get("path", ""), path)
    return list(found)


def _require_place(said: object, where: Path) -> None:
    """Raise UserError unless a module lies where `listing` looks: below the checkpoint's folder."""
    inside = isinstance(said, str) and (said in ("", ".") or parsing.inside(said))
    if not inside or any(part in OTHER_FOLDERS or part.startswith(".") for part in Path(str(said)).parts):
        raise UserError(f"{where} has a module at «{said}», where none is looked for; put it below the checkpoint.")


def roles_apart(folder: Path) -> bool:
    """Whether a checkpoint makes other vectors of queries than of documents, whatever their prompts."""
    if kind(folder) == "multi-vector":  # masks fill up a query, words of a document are left out
        return True
    if not (folder / "modules.json").is_file():
        return False
    lengths = read(backbone(folder) / "sentence_bert_config.json")
    routed = any(str(module.get("type")).endswith((".Router", ".Asym")) for module in modules(folder))
    return routed or bool(lengths.get("query_length") or lengths.get("document_length"))


def backbone(folder: Path) -> Path:
    """Return where the first module of a checkpoint lies: the transformer, as a rule."""
    return folder / str(modules(folder)[0].get("path", "")) if (folder / "modules.json").is_file() else folder


def listing(folder: Path) -> Iterator[Path]:
    """Yield all files of a checkpoint in a fixed order, links followed, other backends and hidden ones left out."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in OTHER_FOLDERS and not name.startswith("."))
        yield from (Path(place) / name for name in sorted(files) if not name.startswith("."))


def fingerprint(folder: Path, everything: bool = False) -> str:
    """Return the SHA-256 (hex) over names and contents of all files that can change a vector.

    With `everything` no ending is passed over: code that comes with a checkpoint may read any file.
    """
    sha = hashlib.sha256()
    for path in listing(folder):
        if everything or not (path.suffix in OTHER_ENDINGS or path.name in OTHER_FILES):
            with path.open("rb") as stream:
                place = path.relative_to(folder).as_posix()
                sha.update(f"{place} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return sha.hexdigest()


def parameters(folder: Path) -> int:
    """Return the number of weights in the safetensors files, from their headers."""
    count = 0
    for path in listing(folder):
        if path.suffix == ".safetensors":
            try:
                count += sum(map(math.prod, _shapes(path)))
            except (ValueError, LookupError, TypeError) as error:
                raise UserError(
                    f"{path} holds no safetensors weights; if it is a git-lfs pointer, fetch the file itself."
                ) from error
    return count


def _shapes(path: Path) -> list[list[int]]:
    """Return the shapes of the weights in a file. Raises ValueError, LookupError or TypeError if it is damaged."""
    whole = path.stat().st_size
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = parsing.json_value(stream.read(size).decode() if size < whole else "")
    shapes = [header[name]["shape"] for name in header if name != "__metadata__"]
    sound = all(type(side) is int and side >= 0 for shape in shapes for side in shape)
    if not sound or sum(map(math.prod, shapes)) > 8 * whole:  # no weight is smaller than a bit
        raise ValueError("a shape is none")
    return shapes


def positions(folder: Path) -> int:
    """Return how many tokens a checkpoint has positions for, the fewest of its modules; 0 where no file says it."""
    found = []
    for path in listing(folder):
        if path.name == "config.json":
            says = read(path)
            says = table(says, "text_config") or says
            count, padding = says.get("max_position_embeddings"), says.get("pad_token_id")
            if count is None and "t5" not in str(says.get("model_type")):  # whose positions are relative
                count = says.get("n_positions")
            after = str(says.get("model_type")) in POSITIONS_AFTER_PADDING
            if isinstance(count, int) and count > 0:
                found.append(count - (padding + 1 if after and isinstance(padding, int) else 0))
    return min(found, default=0)


def check(folder: Path, trust_remote_code: bool) -> None:
    """Raise UserError for a checkpoint that cannot be loaded without running what it brings, or a pickle."""
    types = [module.get("type", "") for module in modules(folder)] if (folder / "modules.json").is_file() else []
    for path in listing(folder):
        if path.name.endswith(".safetensors.index.json"):
            for part in table(read(path), "weight_map").values():
                if not str(part).endswith(".safetensors") or Path(str(part)).name != part:
                    raise UserError(f"{path} names weights in «{part}», which is no safetensors file beside it.")
        if path.name in ("config.json", "router_config.json"):
            says = read(path)
            for place in table(says, "types"):
                _require_place(place, path)
            types += table(says, "types").values()
            for external in table(says, "auto_map").values():
                if trust_remote_code and "--" in str(external):
                    raise UserError(f"{folder} takes code from elsewhere ({external}); copy it into the folder.")
        safe = [pattern for pickled, pattern in PICKLES.items() if fnmatch(path.name, pickled)]
        if safe and not [*path.parent.glob(safe[0])]:
            raise UserError(f"{path} is a pickle, and there are no safetensors beside it; convert the weights.")
    known = (LIBRARY, PYLATE) if kind(folder) == "multi-vector" else LIBRARY
    for name in types:
        if not str(name).startswith(known) and not trust_remote_code:
            raise UserError(
                f"{folder} brings code of its own ({name}), which is not run unless you have read it and "
                "say --trust-remote-code."
            )
