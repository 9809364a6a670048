"""What is to be loaded in; a model of sentence-transformers that computes it, out, whatever kind of checkpoint it is.

One set of rules for all kinds: the dtype asked for whatever the files hold, safetensors only, and padding on the right,
so that the positions of a text do not depend on the texts beside it (padded on the left, a model with a table of
positions gives a text other vectors in another batch).
"""

import json
import logging
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.encoders import files
from benchmark.encoders.recipe import CLASSES, POOLINGS, Recipe
from tasks.errors import UserError

ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError)


def load(recipe: Recipe) -> Any:
    """Return the model. Raises UserError with the library's own first line where it cannot be loaded."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    try:
        with _complete(recipe):
            model = _made(recipe)
        _settle(model, recipe)
    except UserError:
        raise
    except Exception as error:  # what odd files lead to is of any kind
        kind = f"{'an' if recipe.kind == 'adapter' else 'a'} {recipe.kind}"
        raise UserError(f"{recipe.folder} cannot be loaded as {kind} checkpoint: {first_line(error)}") from error
    return model


def inputs(model: Any) -> list[Any]:
    """Return the modules that texts go into: one, or one for each route of a model that treats roles differently."""
    first = model[0]
    return [route[0] for route in first.sub_modules.values()] if hasattr(first, "sub_modules") else [first]


def first_line(error: BaseException) -> str:
    """Return what an error says, on one line without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return text.splitlines()[0] if text else type(error).__name__


@contextmanager
def _complete(recipe: Recipe) -> Iterator[None]:
    """Raise ValueError for weights that no file holds: transformers draws them at random, and goes on."""
    from transformers import PreTrainedModel

    usual = PreTrainedModel.__dict__["from_pretrained"]

    def checked(cls: type, *args: Any, **options: Any) -> Any:
        model, info = usual.__func__(cls, *args, **(options | {"output_loading_info": True}))
        _require(info["missing_keys"], pooler=recipe.kind == "cross-encoder")
        return model

    PreTrainedModel.from_pretrained = classmethod(checked)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        PreTrainedModel.from_pretrained = usual  # type: ignore[method-assign]


def _require(missing: Iterable[str], pooler: bool = False) -> None:
    """Raise ValueError if anything is missing, the pooler only if asked for: scores are built on it, no vectors are."""
    if lacking := sorted(name for name in missing if pooler or "pooler" not in name.split(".")):
        raise ValueError(f"its files lack {lacking[0]}{f' and {len(lacking) - 1} more weights' if lacking[1:] else ''}")


def _made(recipe: Recipe) -> Any:
    import sentence_transformers
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, StaticEmbedding, Transformer

    folder = str(recipe.folder)
    dtype = torch.float32 if recipe.dtype == "int8" else getattr(torch, recipe.dtype)
    trusted: dict[str, Any] = {
        "trust_remote_code": recipe.trust_remote_code,
        "local_files_only": not recipe.trust_remote_code,
    }
    weights: dict[str, Any] = {"model_kwargs": {"dtype": dtype, "use_safetensors": True, "weights_only": True}}
    if recipe.kind == "adapter":
        return _adapted(recipe)
    if recipe.own_modules or recipe.kind in CLASSES:
        made = getattr(sentence_transformers, CLASSES.get(recipe.kind, "SentenceTransformer"))
        return made(folder, device=recipe.devices[0], **trusted, **weights)
    if recipe.kind == "static":
        normal = bool(files.read(recipe.folder / "config.json").get("normalize"))
        static = StaticEmbedding.load(folder, local_files_only=True)
        return SentenceTransformer(modules=[static, *[Normalize()] * normal], device=recipe.devices[0])
    transformer = Transformer.load(folder, **trusted, **weights)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode=POOLINGS[recipe.pooling])
    return SentenceTransformer(modules=[transformer, pooling], device=recipe.devices[0])


def _adapted(recipe: Recipe) -> Any:
    """Return an adapter on its base, whose place in the adapter's files may be one of another machine."""
    assert recipe.base is not None
    if not recipe.own_modules:
        model = _made(replace(recipe, folder=recipe.base, kind=files.kind(recipe.base), base=None))
        if {path.name for path in recipe.folder.iterdir()} & {"tokenizer.json", "tokenizer_config.json"}:
            _take_tokenizer(model, recipe)
        _require(model.load_adapter(str(recipe.folder)).missing_keys)
        return model
    with tempfile.TemporaryDirectory() as scratch:  # the library takes the base from the adapter's file, nowhere else
        copy = Path(scratch) / recipe.folder.name
        for path in files.listing(recipe.folder):
            if path.suffix not in files.OTHER_ENDINGS:
                to = copy / path.relative_to(recipe.folder)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, to)
        config = files.backbone(copy) / "adapter_config.json"
        says = files.read(config) | {"base_model_name_or_path": str(recipe.base.resolve())}
        config.write_text(json.dumps(says), encoding="utf-8")
        return _made(replace(recipe, folder=copy, kind="sentence-transformers", base=None))


def _take_tokenizer(model: Any, recipe: Recipe) -> None:
    """Let a model read texts as its adapter does, which may have been trained with other tokens around them."""
    from transformers import AutoTokenizer

    first, limit = model[0], model[0].max_seq_length
    first.processor = AutoTokenizer.from_pretrained(
        str(recipe.folder), trust_remote_code=recipe.trust_remote_code, local_files_only=not recipe.trust_remote_code
    )
    first.max_seq_length = limit


def _settle(model: Any, recipe: Recipe) -> None:
    """Set dtype, length and padding, of all modules there are."""
    import torch
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    if recipe.dtype in ("float32", "int8"):
        model.float()
    for module in model.modules():
        if isinstance(module, StaticEmbedding) and recipe.dtype != "int8":
            module.to(getattr(torch, recipe.dtype))
    said = files.read(files.backbone(recipe.home) / "sentence_bert_config.json").get("max_seq_length")
    positions = 0 if said else files.positions(recipe.base or recipe.folder)
    for module in inputs(model):
        tokenizer: Any = getattr(module, "tokenizer", None)
        if recipe.max_length and isinstance(module, StaticEmbedding):
            module.tokenizer.enable_truncation(recipe.max_length)
        elif recipe.max_length:
            if not hasattr(tokenizer, "model_max_length"):
                raise ValueError(f"its {type(module).__name__} has no maximum length; leave --max-length out")
            special = tokenizer.num_special_tokens_to_add(pair=recipe.kind == "cross-encoder")
            if recipe.max_length <= special:
                raise ValueError(f"{special} tokens stand around every text; --max-length has to be more")
            module.max_seq_length = recipe.max_length
            for name in ("query_length", "document_length"):
                if getattr(module, name, None):
                    setattr(module, name, recipe.max_length)
            if (filled := (getattr(module, "query_expansion", None) or {}).get("length", 0)) > recipe.max_length:
                raise ValueError(f"its queries are filled up to {filled} tokens; --max-length has to be as many")
        elif positions and hasattr(tokenizer, "model_max_length"):
            module.max_seq_length = min(module.max_seq_length or positions, positions)
        last = getattr(module, "transformer_task", "") == "text-generation"  # the score is of the last position
        if hasattr(tokenizer, "padding_side") and not recipe.trust_remote_code and not last:
            tokenizer.padding_side = "right"
    if recipe.dtype == "int8":
        _quantise(model)


def _quantise(model: Any) -> None:
    """Make the linear layers compute in int8: weights once, what flows into them batch by batch."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its end in a later torch
        try:
            from torch.ao.nn.quantized.dynamic import Linear
            from torch.ao.quantization import quantize_dynamic
        except ImportError as error:
            raise ValueError(f"torch {torch.__version__} has no dynamic int8 any more; leave --dtype out") from error
        quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)  # type: ignore[no-untyped-call]
    if not any(isinstance(module, Linear) for module in model.modules()):
        raise ValueError("it has no linear layers, which are what int8 is for; leave --dtype out")
