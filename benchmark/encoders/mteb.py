"""A model's name in mteb's registry in (`mteb:NAME`); its vectors, from mteb's own loader, out.

So the prompts are those that mteb's leaderboard was made with. mteb chooses them by task: here always those of a
retrieval task without a prompt of its own (its XQuADRetrieval), as query or as document.

The registry pins the commit of a model. The fingerprint is of what the registry says (name, commit, loader and its
options); the weights themselves are not hashed, and mteb's version is part of the engine.
"""

import hashlib
import json
import logging
import os
import warnings
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

from benchmark.encoders import ROLES, Asked, Model, Role, similarity_of
from benchmark.encoders.checkpoint import ENGINE
from benchmark.encoders.given import Given, theirs
from tasks.errors import UserError

TAKES = frozenset({"revision", "trust_remote_code"})
STANDARD = {"SentenceTransformerEncoderWrapper", "InstructSentenceTransformerModel"}
"""Loaders that load with the usual library, and run no code of the checkpoint unless an option says so."""
TASK = "XQuADRetrieval"
TEXT = "text"  # one to look at what is put before it
UNSEEN = "«prompt of mteb's loader, which does not show it» "


def load(source: str, asked: Asked) -> Given:
    """Return the encoder of a model that mteb knows.

    Raises UserError if mteb is not installed or does not know it, it makes other than one vector of a text, or its
    loader may run code that comes with the checkpoint and that was not allowed.
    """
    if find_spec("mteb") is None:
        raise UserError(f"The package mteb, which {source} needs, is not installed; run pip install mteb.")
    if asked.offline:
        _stay_offline()
    with theirs(source, "mteb was imported"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mteb: Any = import_module("mteb")
        _quiet()
    meta = _meta(mteb, source.partition(":")[2], asked.revision)
    kinds = list(meta.model_type)
    if "dense" not in kinds:
        raise UserError(f"{source} is {', '.join(kinds)} in mteb; only models that make one vector of a text run here.")
    loader = f"{getattr(meta.loader, '__module__', '')}.{getattr(meta.loader, '__qualname__', meta.loader)}"
    options = json.dumps(meta.loader_kwargs, default=_stable, sort_keys=True)
    if not asked.trust_remote_code:
        if '"trust_remote_code": true' in options:
            raise UserError(
                f"mteb loads {meta.name} with code that comes with the checkpoint, which is not run unless you have "
                "read it and say --trust-remote-code."
            )
        if loader.rpartition(".")[2] not in STANDARD:
            raise UserError(
                f"mteb loads {meta.name} with a loader of its own ({loader}), which may run code that comes with the "
                "checkpoint; read it, and say --trust-remote-code."
            )
    with theirs(source, "mteb loaded it"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of, prompts that are not used, goes on record
        loaded = meta.load_model()
        task = mteb.get_task(TASK).metadata
    below = getattr(loaded, "model", None)

    def encode(_: Model, texts: list[str], role: Role) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return loaded.encode(
                _batches(texts, role),
                task_metadata=task,
                hf_split="test",
                hf_subset="default",
                prompt_type=import_module("mteb.types").PromptType(role),
                batch_size=32,
                show_progress_bar=False,
            )

    said = getattr(below, "similarity_fn_name", None) or getattr(meta.similarity_fn_name, "value", None) or "cosine"
    model = Model(
        name=asked.name or meta.name,
        family="mteb",
        source=source,
        revision=meta.revision or "",
        fingerprint=hashlib.sha256(f"{meta.name}\n{meta.revision}\n{loader}\n{options}".encode()).hexdigest(),
        parameters=meta.n_parameters or 0,
        similarity=similarity_of(asked, str(said)),
        dtype=str(getattr(below, "dtype", "")).removeprefix("torch."),
        device=str(getattr(below, "device", "")).partition(":")[0],
        prompts={"query": "", "document": ""},
        engine={package: version(package) for package in ("mteb", *ENGINE)},
        citation=asked.citation,
        notes=asked.notes,
    )
    prompts = {role: _before(partial(encode, model), below, role) for role in ROLES}
    return Given(replace(model, prompts=prompts), encode)


def _quiet() -> None:
    """Let the libraries that load models say nothing but errors."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for library in ("sentence_transformers", "mteb"):
        logging.getLogger(library).setLevel(logging.ERROR)


def _stay_offline() -> None:
    """Let the hub's library, which all loaders use, stay off the network, whether it was imported before or not."""
    from huggingface_hub import constants

    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True


def _meta(mteb: Any, name: str, revision: str) -> Any:
    """Return what mteb's registry says of a model."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # renamed models have a new name, which goes on record
            found = mteb.get_model_meta(name, revision=revision or None)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{str(error.args[0]).rstrip('.?')}; --model mteb:NAME takes a name of its registry."
        ) from error
    if found.loader is None:
        raise UserError(f"mteb knows {name} and has no loader for it; run it as a checkpoint or a server.")
    return found


def _batches(texts: list[str], role: Role) -> Any:
    """Return texts as mteb's loaders take them."""
    from datasets import Dataset
    from torch.utils.data import DataLoader

    return DataLoader(
        Dataset.from_dict({"text": texts, {"query": "query", "document": "body"}[role]: texts}), batch_size=32
    )


def _stable(value: object) -> str:
    """Return a text for an option of a loader that is the same in every process."""
    if isinstance(value, set | frozenset):
        return str(sorted(map(str, value)))
    text = repr(value)
    return getattr(value, "__qualname__", type(value).__qualname__) if " at 0x" in text else text


def _before(encode: Any, below: Any, role: Role) -> str:
    """Return what stands before a text of a role, as the library below mteb's loader gets it.

    The loader is let run until it hands the text on, with its prompt or the name of one; there it is stopped.
    """
    seen: list[str] = []

    def look(*texts: Any, prompt: str | None = None, prompt_name: str | None = None, **named: Any) -> None:
        name = prompt_name or getattr(below, "default_prompt_name", None)
        declared = getattr(below, "prompts", None) or {}
        whole = texts[0] if texts else named["inputs"]
        seen.append(f"{(declared.get(name) if prompt is None else prompt) or ''}{whole[0]}")
        raise InterruptedError

    if callable(getattr(below, "encode", None)):
        with patch.object(below, "encode", look), suppress(Exception):
            encode([TEXT], role)
    return seen[0].removesuffix(TEXT) if seen and seen[0].endswith(TEXT) else UNSEEN
