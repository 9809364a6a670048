"""A checkpoint's folder and what was asked of it in; what is to be loaded, and how, out.

Whatever does not go with the checkpoint, with this machine, or together is said here, in a sentence, before any weight
is loaded.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmark.encoders import Asked, devices, files
from tasks.errors import UserError

DTYPES = ("float32", "bfloat16", "float16", "int8")
BACKENDS = ("torch", "onnx", "openvino")
POOLINGS = {"mean": "mean", "cls": "cls", "last": "lasttoken"}  # what sentence-transformers calls them
CLASSES = {  # what sentence-transformers loads a kind as, where that is no SentenceTransformer
    "sparse": "SparseEncoder",
    "multi-vector": "MultiVectorEncoder",
    "cross-encoder": "CrossEncoder",
}
NEEDED = {  # the packages of a backend or an adapter beside those of every checkpoint; an extra has the same name
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "onnxruntime", "openvino"),
    "peft": ("peft",),
}


@dataclass(frozen=True)
class Recipe:
    """What a checkpoint is made of, and how."""

    folder: Path
    kind: str
    """As `files.kind` says."""
    base: Path | None
    """What an adapter is put on."""
    pooling: str
    """Of `POOLINGS`, for a transformer that comes without; "" for others."""
    max_length: int
    """Tokens after which a text is cut; 0 is the checkpoint's own."""
    dtype: str
    devices: tuple[str, ...]
    """Of one kind; the first is where the model is loaded to."""
    backend: str
    """Of `BACKENDS`."""
    trust_remote_code: bool

    @property
    def own_modules(self) -> bool:
        """Whether the folder says itself what its modules are."""
        return (self.folder / "modules.json").is_file()

    @property
    def home(self) -> Path:
        """The folder that says what the modules and the prompts are: the base's, if an adapter does not."""
        return self.folder if self.own_modules or not self.base else self.base

    @property
    def parts(self) -> list[Path]:
        """The folders whose files make the model."""
        return [self.folder, *([self.base] if self.base else [])]

    @property
    def device_kind(self) -> str:
        """Return cpu, cuda or mps: cuda:0 and cuda:1 compute alike."""
        return self.devices[0].partition(":")[0]

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that it takes beside those of every checkpoint."""
        return NEEDED.get(self.backend, ()) + NEEDED["peft"] * (self.kind == "adapter")


def of(folder: Path, source: str, asked: Asked) -> Recipe:
    """Return what is to be loaded.

    Raises UserError for whatever was asked that does not go with the checkpoint, with this machine, or together.
    """
    kind = files.kind(folder)
    on_cpu = asked.backend != "torch" or asked.dtype == "int8"
    recipe = Recipe(
        folder=folder,
        kind=kind,
        base=_base(folder, source, asked) if kind == "adapter" else None,
        pooling=asked.pooling,
        max_length=asked.max_length or 0,
        dtype=asked.dtype,
        devices=("cpu",) if on_cpu and not asked.device else devices.chosen(asked.device),
        backend=asked.backend,
        trust_remote_code=asked.trust_remote_code,
    )
    for part in recipe.parts:
        files.check(part, asked.trust_remote_code)
    if kind in CLASSES and (files.backbone(folder) / "adapter_config.json").is_file():
        raise UserError(f"{source} is an adapter of a {kind} model; merge it into its base and run the result.")
    if asked.base and not recipe.base:
        raise UserError(f"{source} is no adapter (it has no adapter_config.json); leave --base out.")
    _check_pooling(recipe, source)
    limit = files.positions(recipe.base or folder)
    if limit and recipe.max_length > limit:
        raise UserError(f"{source} has positions for {limit:,} tokens, less than --max-length {recipe.max_length:,}.")
    _check_computing(recipe, source)
    return recipe


def _check_pooling(recipe: Recipe, source: str) -> None:
    bare = files.kind(recipe.home) == "transformers"
    if bare and not recipe.pooling:
        raise UserError(
            f"{source} is a transformer without pooling: it has a config.json, and no modules.json beside it. Say how "
            "the vectors of its tokens become one: --pooling mean, cls or last."
        )
    if recipe.pooling and not bare:
        raise UserError(f"{source} says itself how its vectors are made (modules.json); leave --pooling out.")
    if recipe.pooling and recipe.pooling not in POOLINGS:
        raise UserError(f"«{recipe.pooling}» is not a pooling; take one of {', '.join(POOLINGS)}.")


def _check_computing(recipe: Recipe, source: str) -> None:
    """Raise UserError for a dtype or a backend that is none, does not go with the rest, or lacks its package."""
    dtype, backend = recipe.dtype, recipe.backend
    if dtype not in DTYPES:
        raise UserError(f"«{dtype}» is not a dtype to compute in; take one of {', '.join(DTYPES)}.")
    if backend not in BACKENDS:
        raise UserError(f"«{backend}» is not a backend; take one of {', '.join(BACKENDS)}.")
    if (dtype == "int8" or backend != "torch") and recipe.devices != ("cpu",):
        what = "int8" if dtype == "int8" else f"The backend {backend}"
        raise UserError(f"{what} is for one processor; leave --device out.")
    if dtype == "int8" and recipe.kind == "adapter":
        raise UserError(f"{source} is an adapter, which int8 does not know; merge it into its base and run the result.")
    if backend != "torch" and dtype != "float32":
        raise UserError(f"The backend {backend} computes in float32; leave --dtype out.")
    if backend != "torch" and recipe.kind == "static":
        raise UserError(f"{source} looks its vectors up in a table; leave --backend out.")
    for package in recipe.packages:
        if find_spec(package) is None:
            what, extra = (
                (f"The adapter {source}", "peft") if package == "peft" else (f"The backend {backend}", backend)
            )
            raise UserError(f'{what} needs the package {package}; pip install "isogloss[{extra}]" brings it.')


def _base(folder: Path, source: str, asked: Asked) -> Path:
    """Return the folder of an adapter's base: the one asked for, or the one that the adapter names."""
    place = files.backbone(folder)
    if (place / "config.json").is_file():
        raise UserError(f"{source} holds a whole model and an adapter on it; merge the two and run the result.")
    says = files.read(place / "adapter_config.json")
    name = asked.base or says.get("base_model_name_or_path")
    if not name or not isinstance(name, str):
        raise UserError(f"The adapter {source} does not say what its base is; name it with --base FOLDER.")
    try:
        base, _ = files.locate(name, "" if asked.base else str(says.get("revision") or ""), asked.offline)
    except UserError as error:
        raise UserError(f"The base of the adapter {source} is not there: {error} Or name it with --base.") from error
    if (kind := files.kind(base)) not in ("sentence-transformers", "transformers"):
        raise UserError(
            f"The base of the adapter {source}, {name}, is itself of the kind {kind}; name another with --base."
        )
    return base
