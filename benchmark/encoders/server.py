"""The address of an embeddings server in; the vectors that it returns, out.

Two protocols are spoken, and which one is found out by asking: that of text-embeddings-inference (`/info`, `/embed`)
and the one named after OpenAI that most other servers speak (`/v1/models`, `/v1/embeddings`).

What model a server runs is for the server to say. So its fingerprint is of the address, of what the server tells, and
of a probe: a few fixed texts are sent each time, and where their vectors are not those of before, it is another model,
whatever its name, and gets a store and results of its own.
"""

import base64
import hashlib
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmark import web
from benchmark.encoders import Asked, Model, Role, sent, similarity_of
from benchmark.encoders.prompts import undeclared
from benchmark.store import blake
from tasks import parsing
from tasks.errors import UserError, nearest
from tasks.fetch import cache_folder

TAKES = frozenset({"query_prompt", "document_prompt", "similarity", "server_model"})
PARALLEL = 4  # requests at a time
TEXTS = 32  # in a request
TOO_MUCH = {400, 413, 422}  # perhaps: half as many are tried, down to the one text that is refused
TELLING = ("model_sha", "model_dtype", "model_type", "max_input_length", "version", "root")  # of a model, if not told
PROBES = ("Where is the station?", "Der Himmel ist heute blau.", "水在一百度沸腾。", "Сколько стоит хлеб?")
LIMITLESS = 1 << 31  # tokens
SHOWN = 20  # names of models in a sentence
NOISE = 0.01  # of a vector's length: above what batches and processors change, below what training changes
WRONG = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)  # what reading another answer raises
Floats = NDArray[np.float32]
Json = dict[str, Any]


@dataclass(frozen=True)
class Protocol:
    """How a server is asked: where, with which body, and where in its answers the vectors and models are."""

    texts: str
    models: str
    body: Callable[[str, list[str], bool], Json]
    """Of the model's name, the texts, and whether vectors are to have length one."""
    vectors: Callable[[Any], list[Any]]
    """Of an answer, in the order of the texts. What it raises is in `WRONG`."""
    listed: Callable[[Any], list[tuple[str, Json]]]
    """Of an answer: each model's name, and what is said of it."""


def _by_index(answer: Any) -> list[Any]:
    items = sorted(answer["data"], key=lambda item: item["index"])
    if [item["index"] for item in items] != list(range(len(items))):
        raise ValueError("the indices are not 0, 1, 2, …")
    return [item["embedding"] for item in items]


OPENAI = Protocol(
    texts="/embeddings",
    models="/models",
    body=lambda model, texts, _: {"model": model, "input": texts, "encoding_format": "float"},
    vectors=_by_index,
    listed=lambda answer: [(model["id"], model) for model in answer["data"]],
)
INFERENCE = Protocol(
    texts="/embed",
    models="/info",
    body=lambda _, texts, normalise: {"inputs": texts, "normalize": normalise, "truncate": True},
    vectors=list,
    listed=lambda answer: [(answer["model_id"], answer)],
)


def load(source: str, asked: Asked) -> "Server":
    """Return the encoder of a server.

    Raises UserError if there is none at that address, it does not say its models, or has several and none was chosen.
    """
    url = web.check(source)
    if asked.offline and url.startswith("https:"):
        raise UserError(f"{source} is in the network, which --offline forbids; leave one of the two out.")
    base, protocol = _where(url)
    return Server(base, protocol, *_model(base, protocol, asked.server_model), asked)


def _where(url: str) -> tuple[str, Protocol]:
    """Return the root of the server's paths and its protocol, as the address says, or else the server."""
    for protocol in (OPENAI, INFERENCE):
        if url.endswith(protocol.texts):
            return url.removesuffix(protocol.texts), protocol
    if url.endswith("/v1"):
        return url, OPENAI
    try:
        INFERENCE.listed(web.ask(url + INFERENCE.models))
    except (web.RefusedError, *WRONG):  # it speaks the other protocol, or wants a key, which it then says there
        return f"{url}/v1", OPENAI
    return url, INFERENCE


def _model(base: str, protocol: Protocol, wanted: str) -> tuple[str, Json]:
    """Return the name of the server's model (the one that is wanted, or the only one) and what tells it from others."""
    url = base + protocol.models
    try:
        models = dict(protocol.listed(web.ask(url)))
        known = {str(name): {key: says[key] for key in TELLING if says.get(key)} for name, says in models.items()}
    except web.RefusedError as refused:
        if refused.status not in (404, 405):
            raise
        if not wanted:
            raise UserError(
                f"{str(refused)[:-1]}; a server that does not list its models needs --server-model."
            ) from refused
        known = {wanted: {}}
    except WRONG as error:
        raise UserError(f"{url} does not say which models there are; is an embeddings server there?") from error
    if not known:
        raise UserError(f"{url} lists no model; start the server with one.")
    if not wanted and len(known) > 1:
        raise UserError(f"{url} lists several models; name one with --server-model: {', '.join([*known][:SHOWN])}.")
    name = wanted or next(iter(known))
    if name not in known:
        hint = nearest(name, [*known]) or f"; there are {', '.join([*known][:SHOWN])}."
        raise UserError(f"{url} lists no model «{name}»{hint}")
    return name, known[name]


class Server:
    """A model behind an address."""

    kind: Final = "vector"
    threads = 0

    def __init__(self, base: str, protocol: Protocol, name: str, says: Json, asked: Asked) -> None:
        prompts, similarity = undeclared(asked), similarity_of(asked)
        self.base, self.protocol, self.name = base, protocol, name
        self.normalise = similarity == "cosine"
        self.width = 0
        probe = self._vectors(list(PROBES))
        self.width = probe.shape[1]
        limit = says.get("max_input_length")
        self.limit = limit if type(limit) is int and 0 < limit < LIMITLESS and self._counts() else 0
        self.budget = PARALLEL * TEXTS * (self.limit or 1)
        known = json.dumps([base + protocol.texts, name, says, similarity], sort_keys=True)
        self.model = Model(
            name=asked.name or name,
            family="server",
            source=base + protocol.texts,
            revision=str(says.get("model_sha", "")),
            fingerprint=hashlib.sha256(f"{known}\n{_seen(known, probe)}".encode()).hexdigest(),
            parameters=0,
            similarity=similarity,
            dtype=str(says.get("model_dtype", "")),
            device="",
            prompts=prompts,
            engine={"server": str(says["version"])} if "version" in says else {},
            citation=asked.citation,
            notes=asked.notes,
        )

    def space(self, role: Role) -> Json:  # noqa: ARG002 - a server knows of no roles, and sees prompts as text
        """Return what tells these vectors from others."""
        return {"family": "server", "fingerprint": self.model.fingerprint}

    def lengths(self, texts: Sequence[str], role: Role) -> tuple[NDArray[np.int32], int]:
        """Return tokens where the server counts them; where it does not, nothing is known."""
        if not self.limit:
            return np.full(len(texts), -1, dtype=np.int32), 0
        return self._each(self._tokens, texts, role), self.limit

    def encode(self, texts: Sequence[str], role: Role) -> Floats:
        """Return [n, dim], a few requests at a time."""
        return self._each(self._vectors, texts, role)

    def _each(self, one: Callable[..., NDArray[Any]], texts: Sequence[str], role: Role) -> NDArray[Any]:
        """Return what `one` makes of the texts as sent, request by request, in their order."""
        whole = [sent(self.model, text, role) for text in texts]
        parts = [whole[start : start + TEXTS] for start in range(0, len(whole), TEXTS)]
        stop = threading.Event()  # ends the waiting of the others where one has failed, or a person stops the run
        with ThreadPoolExecutor(self.threads or PARALLEL) as pool:
            try:
                return np.concatenate(list(pool.map(partial(one, pause=stop.wait), parts)))
            finally:
                stop.set()

    def _vectors(self, texts: list[str], pause: Callable[[float], object] = time.sleep) -> Floats:
        """Return the vectors [n, dim] of the texts of one request."""
        url = self.base + self.protocol.texts
        found = _answers(url, lambda some: self.protocol.body(self.name, some, self.normalise), texts, pause)
        return np.concatenate([self._read(url, *one) for one in found])

    def _read(self, url: str, texts: list[str], answer: Any) -> Floats:
        try:
            rows = self.protocol.vectors(answer)
            with np.errstate(over="ignore"):
                found = np.array([_numbers(row) for row in rows], dtype=np.float32)
        except WRONG as error:
            raise UserError(f"{url} answers with no vectors of one length each ({error}).") from error
        if found.ndim != 2 or len(found) != len(texts) or not found.shape[1]:
            raise UserError(f"{url} returns {len(rows)} vectors for {len(texts)} texts.")
        if self.width and found.shape[1] != self.width:
            raise UserError(f"{url} returns {found.shape[1]} dimensions where it returned {self.width} before.")
        return found

    def _tokens(self, texts: list[str], pause: Callable[[float], object] = time.sleep) -> NDArray[np.int32]:
        """Return the tokens [n] of the texts of one request, before truncation."""
        url, counts = f"{self.base}/tokenize", []
        for some, answer in _answers(url, lambda some: {"inputs": some, "add_special_tokens": True}, texts, pause):
            try:
                counts += [len(tokens) for tokens in answer]
            except WRONG as error:
                raise UserError(f"{url} answers with no lists of tokens ({error}).") from error
            if len(answer) != len(some):
                raise UserError(f"{url} returns {len(answer)} lists of tokens for {len(some)} texts.")
        return np.array(counts, dtype=np.int32)

    def _counts(self) -> bool:
        """Whether the server counts tokens."""
        if self.protocol is not INFERENCE:
            return False
        try:
            return bool(len(self._tokens(list(PROBES))))
        except web.RefusedError:
            return False


def _answers(
    url: str, body: Callable[[list[str]], Json], texts: list[str], pause: Callable[[float], object]
) -> Iterator[tuple[list[str], Any]]:
    """Yield what a server answers to all texts at once, or to halves of them where that is too much."""
    try:
        answer = web.ask(url, body(texts), pause)
    except web.RefusedError as refused:
        if refused.status not in TOO_MUCH:
            raise
        if len(texts) == 1:
            sentence = f"{str(refused)[:-1]}, for the text «{texts[0][:80]}»."
            raise web.RefusedError(sentence, refused.status) from refused
        middle = len(texts) // 2
        for half in (texts[:middle], texts[middle:]):
            yield from _answers(url, body, half, pause)
    else:
        yield texts, answer


def _numbers(row: Any) -> Any:
    """Return a vector as numbers: as they are, or from float32, little-endian, in base64."""
    return np.frombuffer(base64.b64decode(row, validate=True), dtype="<f4") if isinstance(row, str) else row


def _seen(known: str, probe: Floats) -> str:
    """Return the name of a probe: of one that was seen before, if this is as good as equal to it, or a new one.

    Vectors move in their last bits from one request to the next, so no rounding of them is always the same; they are
    compared with those in `<cache>/probes`.

    Args:
        known: what is known of the server without the probe.
        probe: the vectors of PROBES [n, dim].
    """
    if not np.isfinite(probe).all():
        raise UserError("The server returns vectors with NaN or infinity; its model is broken.")
    folder = cache_folder() / "probes" / blake(known.encode()).hexdigest()
    for path in sorted(folder.glob("*.npy")):
        with suppress(UserError):  # it is damaged: as if it had not been seen
            before = parsing.array(path)
            if (before.shape, before.dtype) != (probe.shape, probe.dtype):
                continue
            new, old = probe.astype(np.float64), before.astype(np.float64)
            if (np.linalg.norm(new - old, axis=-1) <= NOISE * np.linalg.norm(old, axis=-1)).all():
                return path.stem
    data = io.BytesIO()
    np.save(data, probe, allow_pickle=False)
    path = folder / f"{blake(data.getvalue()).hexdigest()}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_bytes(data.getvalue())
        part.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; set ISOGLOSS_CACHE to another folder.") from error
    return path.stem
