"""The text of a variant and vectors of documents in; the index that people would deploy, and what it finds, out.

A variant is written as its stages, a plus between: `dim128` keeps the first 128 numbers of each vector (Matryoshka,
arXiv:2205.13147); `int8` and `binary` are the quantisers of sentence-transformers; everything else is a string of
faiss' index factory (arXiv:2401.08281), followed by search parameters: `dim128+HNSW32+efSearch=64`.

An index whose scores are those of the vectors it keeps (Flat, SQ, PQ, RQ and their like) is *whole*: it scores every
document, so its vectors, decoded, are all that the ranking pass needs. Any other (HNSW, IVF, ...) gives lists.

faiss works on one thread here, with its own fixed seeds: the same machine builds the same index, and finds the same.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.scoring import DotProduct, Floats, dot_product
from benchmark.vectors import normalise
from tasks.errors import UserError, nearest

QUANTISERS = ("int8", "binary")
FACTOR = "k_factor_rf"
PARAMETERS = ("nprobe", "efSearch", "efConstruction", FACTOR, "ht", "max_codes", "quantizer_efSearch")
WORDS = {  # of the index factory, however they are typed
    word.lower(): word
    for word in (
        "Flat", "HNSW", "IVF", "IMI", "NSG", "PQ", "OPQ", "PCA", "PCAR", "PCAW", "PCAWR", "RR", "ITQ", "Pad", "L", "SQ",
        "SQfp", "SQbf", "LSH", "LSHr", "LSHt", "LSHrt", "RQ", "LSQ", "PRQ", "PLSQ", "RFlat", "Refine", "RaBitQ",
        "FlatDedup",
    )
}  # fmt: skip
FATAL = r"(?<!\d)0+(?!\d)|HNSW1(?!\d)|NSG[1-3](?!\d)"  # numbers at which faiss ends the process or never returns
FAILING = (RuntimeError, MemoryError, ValueError)  # what faiss raises
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Variant:
    """What is done to the vectors and how they are searched; its text is its name everywhere."""

    dim: int = 0
    """How many numbers of a vector are kept; 0: all."""
    quantiser: str = ""
    factory: str = ""
    """As faiss writes it; "" is Flat."""
    parameters: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        stages = [f"dim{self.dim}" if self.dim else "", self.quantiser, self.factory]
        stages += [f"{name}={value:.9g}" for name, value in self.parameters]
        return "+".join(stage for stage in stages if stage)

    @property
    def clusters(self) -> int:
        """How many clusters are trained at once, and so how many documents an index needs."""
        lists = [int(count) for count in re.findall(r"IVF(\d+)", self.factory)]
        return max(
            [*lists, *(2 ** int(bits or 8) for bits in re.findall(r"PQ\d+(?:_\d+)?(?:x(\d+))?", self.factory))],
            default=1,
        )


def parse(text: str) -> Variant:
    """Return the variant that a text such as `sq8`, `dim128+int8` or `ivf64,flat+nprobe=8` names.

    Raises UserError if it names none.
    """
    dim, quantiser, factory = 0, "", ""
    parameters: dict[str, float] = {}
    for stage in (part.strip() for part in text.split("+")):
        if match := re.fullmatch(r"dim([1-9]\d{0,8})", stage):
            if dim or quantiser or factory:
                raise UserError(f"«{text}»: {stage} comes first and once; vectors are cut before anything else.")
            dim = int(match[1])
        elif "=" in stage:
            name, value = _parameter(text, stage)
            if not factory:
                raise UserError(f"«{text}»: {stage} is told to an index; write it after one, as in HNSW32+efSearch=64.")
            parameters[name] = value
        elif quantiser or factory:
            raise UserError(f"«{text}»: {stage} after {quantiser or factory}; a variant has one index or quantiser.")
        elif stage.lower() in QUANTISERS:
            quantiser = stage.lower()
        else:
            factory = _factory(text, stage)
    return Variant(dim, quantiser, factory, tuple(parameters.items()))


def _parameter(text: str, stage: str) -> tuple[str, float]:
    name, value = (part.strip() for part in stage.split("=", 1))
    if name not in PARAMETERS:
        hint = nearest(name, list(PARAMETERS)) or f"; there are {', '.join(PARAMETERS)}."
        raise UserError(f"«{text}»: {name} is no search parameter{hint}")
    form, what = (r"\d{1,9}(\.\d{1,9})?", "number") if name == FACTOR else (r"\d{1,9}", "whole number")
    if not re.fullmatch(form, value) or not float(value):
        raise UserError(f"«{text}»: {name} takes a {what} above 0, not «{value}».")
    return name, float(value)


def _factory(text: str, stage: str) -> str:
    """Return the string as faiss writes it, of which it knows the form; the numbers are looked at when it is made."""
    faiss = library()
    if found := re.search(FATAL, stage, re.IGNORECASE):
        raise UserError(f"«{text}»: faiss can build nothing with {found[0]}; take a larger number.")
    for spelled in (stage, re.sub(r"[A-Za-z]+", lambda word: WORDS.get(word[0].lower(), word[0]), stage)):
        try:
            faiss.index_factory(16, spelled)
        except FAILING as error:
            if "could not parse" in str(error) or "could not parse" in _why(error):
                continue
        return spelled
    raise UserError(
        f"«{text}»: {stage or 'nothing'} is no index that faiss knows; write for instance HNSW32, IVF64,Flat, SQ8, "
        "PQ48, dim128, int8 or binary."
    )


def library() -> Any:
    """Return faiss, imported when it is needed."""
    import faiss

    return faiss


def _why(error: Exception) -> str:
    """Return what faiss says went wrong, without where in its code."""
    return re.split(r"failed: ?|: Error: ", str(error).strip() or type(error).__name__)[-1].strip().rstrip(".")


def create(variant: Variant, width: int, cosine: bool) -> Any:
    """Return the empty index of a variant for vectors of `width` numbers.

    It compares by inner product; by L2, which orders vectors of length one alike, where faiss has nothing else.
    Raises UserError if it cannot be made of such vectors.
    """
    faiss = library()
    if variant.dim > width:
        raise UserError(f"{variant} keeps more numbers than the vectors have; {width} is the largest possible.")
    width = variant.dim or width
    if variant.quantiser == "binary":
        return faiss.IndexBinaryFlat(-(-width // 8) * 8)
    if variant.quantiser == "int8":
        return faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    factory, made, why = variant.factory or "Flat", None, ""
    for metric in (faiss.METRIC_INNER_PRODUCT, *([faiss.METRIC_L2] if cosine else [])):
        try:
            made = faiss.index_factory(width, factory, metric)
        except FAILING as error:
            why = _why(error)
        if made is not None and made.metric_type == metric:
            break
        made, why = None, why or "it has no inner product"
    if made is None:
        raise UserError(f"faiss cannot make {factory} of vectors of {width} numbers: {why}.")
    for name, value in variant.parameters:
        try:
            faiss.ParameterSpace().set_index_parameter(made, name, value)
        except FAILING as error:
            raise UserError(f"{factory} has no {name}; leave it out of {variant}.") from error
    return made


def whole(made: Any, variant: Variant) -> bool:
    """Whether an index scores every document by the vectors that it keeps, which can be decoded."""
    faiss = library()
    if variant.quantiser:
        return True
    inner = _inner(made)
    kinds = (faiss.IndexFlat, faiss.IndexScalarQuantizer, faiss.IndexPQ, faiss.IndexAdditiveQuantizer)
    return not variant.parameters and inner.metric_type == faiss.METRIC_INNER_PRODUCT and isinstance(inner, kinds)


def _inner(made: Any) -> Any:
    """Return what stands behind the transformations that an index begins with."""
    faiss = library()
    made = faiss.downcast_index(made)
    return _inner(made.index) if isinstance(made, faiss.IndexPreTransform) else made


@dataclass(frozen=True)
class Index:
    """Documents in an index.

    * `made`: the index of faiss.
    * `cosine`: whether vectors are at length one.
    * `seconds`: what building it took, on one thread.
    * `warned`: what faiss warned of.
    """

    variant: Variant
    made: Any
    cosine: bool
    seconds: float
    warned: str = ""

    def __len__(self) -> int:
        return int(self.made.ntotal)

    @property
    def bytes(self) -> int:
        """Its size as faiss writes it: codes, ids, graph, centroids and tables."""
        faiss = library()
        written = faiss.serialize_index_binary if self.variant.quantiser == "binary" else faiss.serialize_index
        return int(written(self.made).nbytes)

    def search(self, queries: Floats, k: int) -> tuple[Floats, Places]:
        """Return scores (higher is nearer) and places of the first k documents [n, k] of queries [n, width].

        A place is -1 where the index finds no more. Threads are the caller's (`threadpool_limits`): they cost more to
        set than a query. Raises UserError where faiss builds such an index and cannot search it.
        """
        queries = shortened(queries, self.variant, self.cosine)
        if self.variant.quantiser == "binary":
            distances, places = self.made.search(_bits(queries), k)
            return -distances.astype(np.float32), places
        try:
            scores, places = self.made.search(queries, k)
        except FAILING as error:
            raise UserError(f"faiss cannot search {self.variant}: {_why(error)}.") from error
        return (scores if self.made.metric_type == library().METRIC_INNER_PRODUCT else -scores), places

    def decoded(self, queries: Floats) -> DotProduct:
        """Return the scorer of queries [n, width] against all documents, of an index that is `whole`."""
        faiss = library()
        left = shortened(queries, self.variant, self.cosine)
        if self.variant.quantiser == "binary":  # width - 2 Hamming distances: whole numbers, whatever the order of sums
            codes = faiss.vector_to_array(self.made.xb).reshape(len(self), -1)
            width = left.shape[1]
            return DotProduct(_signs(_bits(left), width), _signs(codes, width), error=0.0, highest=float(width))
        inner = faiss.downcast_index(self.made)
        with threadpool_limits(1):
            while isinstance(inner, faiss.IndexPreTransform):
                for place in range(inner.chain.size()):
                    left = faiss.downcast_VectorTransform(inner.chain.at(place)).apply(left)
                inner = faiss.downcast_index(inner.index)
            return dot_product(left, inner.reconstruct_n(0, len(self)))


def shortened(vectors: Floats, variant: Variant, cosine: bool) -> Floats:
    """Return the numbers of each vector that a variant keeps, at length one again where the model compares so."""
    if not variant.dim:
        return np.ascontiguousarray(vectors)
    kept = vectors[:, : variant.dim].copy()
    if cosine:
        normalise(kept)
    return kept


def build(variant: Variant, documents: Floats, cosine: bool) -> Index:
    """Train an index on documents [n, width] and put them in. Raises UserError where faiss cannot."""
    kept, made = shortened(documents, variant, cosine), create(variant, documents.shape[1], cosine)
    said: list[str] = []
    if variant.quantiser:
        _bits(kept[:1])  # imports what quantises, which is not counted
    with threadpool_limits(1), _warnings(said):
        start = time.perf_counter()
        try:
            if variant.quantiser:
                _quantise(made, kept, variant.quantiser)
            else:
                made.train(kept)
                made.add(kept)
        except FAILING as error:
            raise UserError(f"faiss cannot build {variant} of {len(kept):,} documents: {_why(error)}.") from error
    return Index(variant, made, cosine, time.perf_counter() - start, said[0] if said else "")


def _quantise(made: Any, documents: Floats, quantiser: str) -> None:
    """Put documents into an index as sentence-transformers quantises them; int8 by their own ranges."""
    from sentence_transformers.util.quantization import quantize_embeddings

    if quantiser == "binary":
        made.add(quantize_embeddings(documents, "ubinary"))
        return
    ranges = np.vstack([documents.min(axis=0), documents.max(axis=0)])
    library().copy_array_to_vector(np.concatenate([ranges[0], ranges[1] - ranges[0]]), made.sq.trained)
    made.is_trained = True
    made.add_sa_codes(quantize_embeddings(documents, "uint8", ranges=ranges))


def _bits(vectors: Floats) -> NDArray[np.uint8]:
    from sentence_transformers.util.quantization import quantize_embeddings

    return np.asarray(quantize_embeddings(vectors, "ubinary"))


def _signs(bits: NDArray[np.uint8], width: int) -> Floats:
    """Return packed bits as numbers, 1 and -1."""
    return np.unpackbits(bits, axis=1)[:, :width].astype(np.float32) * 2 - 1


@contextmanager
def _warnings(said: list[str]) -> Iterator[None]:
    """Put each different warning of faiss into `said`: it writes one for each sub-quantiser, past Python."""
    sys.stderr.flush()
    usual = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(usual, 2)
            os.close(usual)
            file.seek(0)
            lines = file.read().decode(errors="replace").splitlines()
            said += dict.fromkeys(line.removeprefix("WARNING ") for line in lines if line.startswith("WARNING"))
