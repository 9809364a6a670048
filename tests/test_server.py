"""Servers, by real ones on this machine with a real model behind them: what they say, and all that can go wrong."""

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark import encoders, vectors, web
from benchmark.encoders import Asked
from benchmark.encoders import server as servers
from benchmark.encoders.random import Random
from tasks.errors import UserError
from tests.conftest import Ran

Bench = Callable[..., Ran]
TEXTS = [f"is nairobi {number} a city of kenya" for number in range(300)]
SECRET = "sk-very-secret"
Answer = Callable[["Handler", Any], None]
"""Sends something else than what was to be sent."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Local"

    def log_message(self, *_: object) -> None:
        pass

    def send(self, status: int, body: Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        local = self.server
        local.asked.append(self.path)
        if local.wanted and self.headers.get("Authorization") != f"Bearer {local.wanted}":
            self.send(401, {"error": {"message": f"not {self.headers.get('Authorization')}"}})
        elif self.path in local.pages:
            local.pages[self.path](self)
        elif local.kind == "inference" and self.path == "/info":
            self.send(200, local.info)
        elif local.kind == "openai" and self.path == "/v1/models":
            models = [{"id": name, "object": "model", "created": int(time.time() * 1e6)} for name in local.names]
            self.send(200, {"object": "list", "data": models})
        else:
            self.send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        local = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if local.wanted and self.headers.get("Authorization") != f"Bearer {local.wanted}":
            self.send(403, {"message": "no"})
            return
        texts = body["input"] if local.kind == "openai" else body["inputs"]
        if len(texts) > local.most:
            self.send(422, {"error": f"batch size {len(texts)} > maximum allowed batch size {local.most}"})
            return
        if self.path == "/tokenize" and local.kind == "inference" and local.tokenizes:
            self.send(200, [[{"id": 1}] * (2 + len(text.split())) for text in texts])
            return
        if self.path not in ("/v1/embeddings", "/embed"):
            self.send(404, {"error": "no such path"})
            return
        with local.lock:
            local.bodies.append(body)
            fault = local.faults.pop(0) if local.faults and texts != list(servers.PROBES) else None
        found = local.encode(texts)
        if local.kind == "openai":
            items = [{"index": place, "embedding": row.tolist()} for place, row in enumerate(found)]
            answer: Any = {"object": "list", "model": body["model"], "data": items}
        else:
            answer = found.tolist()
        if fault:
            fault(self, answer)
        else:
            self.send(200, answer)


class Local(ThreadingHTTPServer):
    """A server with a model, which can be told to fail."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, kind: str, encode: Callable[[list[str]], NDArray[np.float32]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kind, self.encode = kind, encode
        self.names, self.wanted, self.tokenizes, self.most = ["tiny"], "", True, 32
        self.info: dict[str, Any] = {
            "model_id": "org/tiny", "model_sha": "abc123", "model_dtype": "float16", "max_input_length": 8,
            "model_type": {"embedding": {"pooling": "mean"}}, "version": "1.7.1", "max_client_batch_size": 32,
        }  # fmt: skip
        self.pages: dict[str, Callable[[Handler], None]] = {}
        self.faults: list[Answer | None] = []
        self.bodies: list[Any] = []
        self.asked: list[str] = []
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    @property
    def sent(self) -> list[str]:
        """The texts that came, but for those that every run begins with."""
        bodies = [body.get("input") or body.get("inputs") for body in self.bodies]
        return [text for texts in bodies if texts != list(servers.PROBES) for text in texts]


def of_random(texts: list[str]) -> NDArray[np.float32]:
    return np.asarray(Random().encode(texts, "query"))


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Callable[..., Local]]:
    """Start servers; waits are short."""
    monkeypatch.setattr(web, "FIRST_WAIT", 0.001)
    monkeypatch.delenv(web.KEY, raising=False)
    started: list[Local] = []

    def start(kind: str = "openai", encode: Callable[[list[str]], NDArray[np.float32]] = of_random) -> Local:
        one = Local(kind, encode)
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        started.append(one)
        return one

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


def status(code: int, body: Any = b"", **headers: str) -> Answer:
    return lambda handler, _: handler.send(code, body, **headers)


def reset(handler: Handler, _: Any) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def half(handler: Handler, answer: Any) -> None:
    data = json.dumps(answer).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.close_connection = True


def slow(handler: Handler, _: Any) -> None:
    time.sleep(0.8)
    handler.close_connection = True


def changed(change: Callable[[list[Any]], Any]) -> Answer:
    """An answer of the protocol of OpenAI with other items."""
    return lambda handler, answer: handler.send(200, answer | {"data": change(answer["data"])})


def rows(change: Callable[[list[float]], Any]) -> Answer:
    return changed(lambda items: [item | {"embedding": change(item["embedding"])} for item in items])


def encoded(url: str, texts: list[str] = TEXTS, **asked: Any) -> vectors.Encoded:
    return vectors.encode(encoders.load(url, Asked(**asked)), texts, "query")


def expected(texts: list[str] = TEXTS) -> NDArray[np.float32]:
    found = of_random(texts)
    vectors.normalise(found)
    return found


@pytest.mark.parametrize("kind", ["openai", "inference"])
def test_vectors_are_those_of_the_model_behind_it(kind: str, local: Callable[..., Local]) -> None:
    server = local(kind)
    found = encoded(server.url)
    np.testing.assert_allclose(found.vectors, expected(), atol=1e-6)
    assert found.encoded == 300
    assert sorted(server.sent) == sorted(TEXTS)
    assert max(len(body.get("input") or body.get("inputs")) for body in server.bodies) == servers.TEXTS
    first = server.bodies[0]
    assert (first["model"] == "tiny") if kind == "openai" else (first["normalize"] and first["truncate"])


def test_a_server_scores_what_its_checkpoint_scores(
    local: Callable[..., Local], made: Path, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    model, lock = SentenceTransformer(str(made), device="cpu"), threading.Lock()

    def encode(texts: list[str]) -> NDArray[np.float32]:
        with lock:
            return np.asarray(model.encode(texts, normalize_embeddings=True))

    monkeypatch.chdir(tmp_path)
    server = local("inference", encode)
    common = ("--task", "demo", "--languages", "en,sw", "--json")
    prompts = ("--query-prompt", "query: ", "--document-prompt", "passage: ")
    ran = bench("run", "--model", server.url, *prompts, *common)
    assert ran.code == 0, ran.err
    by_server, by_file = json.loads(ran.out), json.loads(bench("run", "--model", made, *common).out)
    for one, other in zip(by_server["averages"], by_file["averages"], strict=True):
        assert one["measures"] == pytest.approx(other["measures"], abs=0.01)
    about = json.loads((tmp_path / "results/org-tiny/demo/evidence.json").read_text(encoding="utf-8"))["model"]
    assert about["source"] == f"{server.url}/embed"
    assert (about["revision"], about["dtype"], about["device"]) == ("abc123", "float16", "")
    assert about["first_query_as_sent"].startswith("query: ")
    assert about["engine"] == {"server": "1.7.1"}
    assert about["truncated"]["document"] > 0  # it counts tokens, and takes eight


@pytest.mark.parametrize(
    ("path", "kind", "asks"),
    [
        ("", "openai", ["/info", "/v1/models"]), ("/", "openai", ["/info", "/v1/models"]),
        ("", "inference", ["/info", "/info"]),
        ("/v1", "openai", ["/v1/models"]), ("/v1/embeddings", "openai", ["/v1/models"]),
        ("/embed", "inference", ["/info"]),
    ],
)  # fmt: skip
def test_the_protocol_is_in_the_address_or_asked_for(
    path: str, kind: str, asks: list[str], local: Callable[..., Local]
) -> None:
    server = local(kind)
    encoder = encoders.load(server.url + path)
    assert encoder.model.source == server.url + ("/v1/embeddings" if kind == "openai" else "/embed")
    assert server.asked == asks
    assert encoder.model.fingerprint == encoders.load(server.url).model.fingerprint


def test_one_of_several_models_must_be_named(local: Callable[..., Local]) -> None:
    server = local()
    server.names = ["small", "large"]
    with pytest.raises(UserError, match="lists several models; name one with --server-model: small, large"):
        encoders.load(server.url)
    with pytest.raises(UserError, match="no model «lrge»; did you mean large"):
        encoders.load(server.url, Asked(server_model="lrge"))
    one, other = (encoders.load(server.url, Asked(server_model=name)).model for name in server.names)
    assert (one.name, other.name) == ("small", "large")
    assert one.fingerprint != other.fingerprint
    server.names = []
    with pytest.raises(UserError, match="lists no model"):
        encoders.load(server.url)


def test_a_server_that_does_not_list_its_models(local: Callable[..., Local]) -> None:
    server = local()
    server.pages["/v1/models"] = lambda handler: handler.send(404, {"error": "unknown path"})
    with pytest.raises(UserError, match=r"unknown path\); a server that does not list its models needs --serv"):
        encoders.load(f"{server.url}/v1/embeddings")
    found = encoded(f"{server.url}/v1/embeddings", server_model="tiny")
    np.testing.assert_allclose(found.vectors, expected(), atol=1e-6)


def test_base64_is_read(local: Callable[..., Local]) -> None:
    server = local()
    server.faults = [
        rows(lambda row: base64.b64encode(np.array(row, dtype="<f4").tobytes()).decode())
    ] * 99  # fmt: skip
    np.testing.assert_allclose(encoded(server.url).vectors, expected(), atol=1e-6)


@pytest.mark.parametrize(
    "fault",
    [
        [status(429, {"error": "slow down"}, Retry_After="0")] * 3, [status(500)] * 2, [status(503, b"<html>")],
        [reset], [reset, half], [half] * 3, [slow], [changed(lambda items: items[::-1])],
    ],
)  # fmt: skip
def test_what_passes_is_waited_for(
    fault: list[Answer], local: Callable[..., Local], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "TIMEOUT", 0.4)
    server = local()
    server.faults = list(fault)
    np.testing.assert_allclose(encoded(server.url).vectors, expected(), atol=1e-6)
    assert not server.faults


def test_patience_is_for_each_request(local: Callable[..., Local]) -> None:
    server = local()
    server.faults = ([status(500)] * 4 + [None]) * 10  # more failures than tries, but never that many of one request
    encoder = encoders.load(server.url)
    encoder.threads = 1
    np.testing.assert_allclose(vectors.encode(encoder, TEXTS, "query").vectors, expected(), atol=1e-6)


def test_waits_grow_and_are_as_long_as_the_server_asks(
    local: Callable[..., Local], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, waits = local(), list[float]()
    body = {"model": "tiny", "input": ["nairobi"]}
    monkeypatch.setattr(web, "FIRST_WAIT", 1.0)
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    server.faults = [status(429), status(429, Retry_After="30"), reset, status(429, Retry_After=later)]
    web.ask(f"{server.url}/v1/embeddings", body, waits.append)
    assert waits == [1, 30, 4, pytest.approx(60, abs=3)]
    server.faults = [status(500, {"error": {"message": "out of memory"}})] * 99
    waits.clear()
    with pytest.raises(UserError, match=r"does not answer \(HTTP 500: out of memory\); see whether"):
        web.ask(f"{server.url}/v1/embeddings", body, waits.append)
    assert waits == [1, 2, 4, 8, 16, 32]
    assert len(server.faults) == 99 - web.TRIES
    server.faults = [status(429, Retry_After="3600")]
    with pytest.raises(UserError, match="asks to wait 3,600 seconds"):
        web.ask(f"{server.url}/v1/embeddings", body, waits.append)


@pytest.mark.parametrize("code", [413, 400, 422])
def test_a_batch_that_is_too_large_is_halved(code: int, local: Callable[..., Local]) -> None:
    server = local()

    def few(handler: Handler, answer: Any) -> None:
        handler.send(*((code, {"error": "batch size 32 > 5"}) if len(answer["data"]) > 5 else (200, answer)))

    server.faults = [few] * 999
    np.testing.assert_allclose(encoded(server.url).vectors, expected(), atol=1e-6)


def test_the_text_that_is_refused_is_named(local: Callable[..., Local]) -> None:
    server = local()

    def picky(handler: Handler, answer: Any) -> None:
        bad = any(np.allclose(item["embedding"], of_random([TEXTS[77]])[0]) for item in answer["data"])
        handler.send(*((400, {"error": {"message": "too long"}}) if bad else (200, answer)))

    server.faults = [picky] * 999
    with pytest.raises(UserError, match=r"\(HTTP 400: too long\), for the text «is nairobi 77 a city of kenya»\.$"):
        encoded(server.url)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (changed(lambda items: items[1:]), r"the indices are not 0, 1, 2"),
        (changed(lambda items: items[:-1]), r"returns 31 vectors for 32 texts"),
        (changed(lambda items: [item | {"index": 0} for item in items]), "the indices are not 0, 1, 2"),
        (rows(lambda row: row[:5]), "returns 5 dimensions where it returned 64 before"),
        (rows(lambda row: row[: int(abs(row[0]) * 60) + 1]), "answers with no vectors of one length each"),
        (rows(lambda row: [float("nan"), *row[1:]]), "NaN or infinity for the query «is nairobi"),
        (rows(lambda row: [1e300, *row[1:]]), "NaN or infinity for the query «is nairobi"),
        (rows(lambda row: [None, *row[1:]]), "NaN or infinity for the query «is nairobi"),
        (rows(lambda _: "not base64!"), "answers with no vectors"),
        (status(200, {"data": {}}), "returns 0 vectors for 32 texts|answers with no vectors"),
        (status(200, []), "answers with no vectors"),
        (status(200, b"<html>Bad\nGateway"), "answers «<html>Bad Gateway», which is no JSON"),
        (status(200, b"\xff\xfe"), "which is no JSON"),
        (status(404, {"error": {"message": "model not found"}}), r"check the address \(HTTP 404: model not found\)"),
        (status(302, Location="http://elsewhere/"), "sends on to http://elsewhere/"),
        (status(401), "wants a key; put it into the environment variable ISOGLOSS_API_KEY"),
        (status(403, b"no"), r"wants a key.*\(HTTP 403: no\)"),
        (status(418, b"x" * 9999), "x…"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_one_sentence(fault: Answer, says: str, local: Callable[..., Local], cache: Path) -> None:
    server = local()
    server.faults = [None, fault]
    encoder = encoders.load(server.url)
    encoder.threads = 1
    with pytest.raises(UserError, match=says) as raised:
        vectors.encode(encoder, TEXTS, "query")
    assert "\n" not in str(raised.value)


def test_a_run_goes_on_where_the_server_died(local: Callable[..., Local]) -> None:
    server = local()
    server.faults = [None] * 9 + [reset] * 999  # 9 requests of 32 texts; the batch of the last one fails
    with pytest.raises(UserError, match="does not answer"):
        encoded(server.url)
    server.faults, server.bodies = [], []
    found = encoded(server.url)
    np.testing.assert_allclose(found.vectors, expected(), atol=1e-6)
    assert 0 < len(server.sent) < 300


def test_noise_is_the_same_model_and_a_change_is_another(local: Callable[..., Local]) -> None:
    shift = [0.0]

    def moving(texts: list[str]) -> NDArray[np.float32]:
        shift[0] += 1e-4
        return of_random(texts) + np.float32(shift[0] % 1e-3)

    def trained(texts: list[str]) -> NDArray[np.float32]:
        return of_random(texts) + np.float32(0.05) * of_random([f"{text}'" for text in texts])

    server = local("openai", moving)
    first = encoders.load(server.url)
    again = encoders.load(server.url)
    assert again.model.fingerprint == first.model.fingerprint
    assert again.space("query") == first.space("query")
    server.encode = trained  # under the same name
    other = encoders.load(server.url)
    assert other.model.fingerprint != first.model.fingerprint
    assert vectors.space_folder(other, "query") != vectors.space_folder(first, "query")
    server.encode = moving
    assert encoders.load(server.url).model.fingerprint == first.model.fingerprint


def test_a_damaged_probe_is_as_if_it_had_not_been_seen(local: Callable[..., Local], cache: Path) -> None:
    server = local()
    first = encoders.load(server.url)
    (path,) = (cache / "probes").rglob("*.npy")
    path.write_bytes(path.read_bytes()[:40])
    assert encoders.load(server.url).model.fingerprint == first.model.fingerprint  # vectors are equal to the last bit
    assert len(np.load(path)) == len(servers.PROBES)


def test_what_the_server_tells_is_part_of_the_fingerprint(local: Callable[..., Local]) -> None:
    server = local("inference")
    known = {encoders.load(server.url).model.fingerprint}
    for change in ({"model_sha": "def456"}, {"model_dtype": "float32"}, {"max_input_length": 16}, {"version": "1.8"}):
        server.info |= change
        known.add(encoders.load(server.url).model.fingerprint)
    known.add(encoders.load(server.url, Asked(similarity="dot")).model.fingerprint)
    assert len(known) == 6


def test_tokens_are_unknown_where_the_server_does_not_count(local: Callable[..., Local]) -> None:
    server = local("inference")
    counted = encoded(server.url)
    assert counted.tokens == 300 * 9
    assert counted.truncated == 1.0  # it takes eight
    server.tokenizes = False
    encoder = encoders.load(server.url)
    assert encoder.budget == servers.PARALLEL * servers.TEXTS
    lengths, limit = encoder.lengths(TEXTS[:3], "query")
    assert (lengths.tolist(), limit) == ([-1, -1, -1], 0)
    other = local("openai")
    unknown = encoded(other.url)
    assert (unknown.truncated, unknown.tokens) == (None, 0)
    assert encoded(other.url).truncated is None  # nor from the store


def test_what_is_too_much_at_once_is_asked_in_halves(local: Callable[..., Local]) -> None:
    """Vectors and tokens."""
    server = local("inference")
    whole = encoded(server.url)
    server.most = 7
    encoder = encoders.load(server.url)
    assert encoder.lengths(TEXTS, "query")[0].tolist() == [9] * len(TEXTS)
    np.testing.assert_array_equal(np.asarray(encoder.encode(TEXTS, "query")), of_random(TEXTS))
    assert whole.tokens == 300 * 9
    server.most = 0
    with pytest.raises(UserError, match="batch size 1 > maximum allowed batch size 0.*, for the text «is nairobi 0"):
        encoder.encode(TEXTS, "query")


def test_a_dot_product_model_keeps_its_lengths(local: Callable[..., Local]) -> None:
    server = local("inference")
    found = encoded(server.url, TEXTS[:5], similarity="dot")
    np.testing.assert_allclose(found.vectors, of_random(TEXTS[:5]), atol=1e-6)
    assert server.bodies[-1]["normalize"] is False
    with pytest.raises(UserError, match="by «euclid»; only cosine and dot"):
        encoders.load(server.url, Asked(similarity="euclid"))


def test_prompts_are_text_put_before(local: Callable[..., Local]) -> None:
    server = local()
    encoder = encoders.load(server.url, Asked(query_prompt="query: "))
    vectors.encode(encoder, ["nairobi"], "query")
    vectors.encode(encoder, ["nairobi"], "document")
    assert server.sent == ["query: nairobi", "nairobi"]
    with pytest.raises(UserError, match="«query» looks like the name of a prompt.*--query-prompt"):
        encoders.load(server.url, Asked(query_prompt="query"))


@pytest.mark.parametrize("kind", ["openai", "inference"])
def test_the_key_is_sent_and_nowhere_else(
    kind: str, local: Callable[..., Local], bench: Bench, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = local(kind)
    server.wanted = SECRET
    command = ("run", "--model", server.url, "--task", "demo", "--languages", "en")
    bench(*command).failed("wants a key; put it into the environment variable ISOGLOSS_API_KEY")
    monkeypatch.setenv(web.KEY, "sk-wrong-one")
    wrong = bench(*command)  # this server repeats what it was sent
    wrong.failed("refuses the key in ISOGLOSS_API_KEY")
    monkeypatch.setenv(web.KEY, SECRET)
    ran = bench(*command)
    assert ran.code == 0, ran.err
    for key in ("sk-wrong-one", SECRET):
        assert key not in wrong.err + wrong.out + ran.err + ran.out
        for path in (path for path in tmp_path.rglob("*") if path.is_file()):
            assert key.encode() not in path.read_bytes()
    monkeypatch.setenv(web.KEY, "sk\nwith a line")
    bench(*command).failed("ISOGLOSS_API_KEY holds characters")


def test_a_redirect_is_not_followed(local: Callable[..., Local], monkeypatch: pytest.MonkeyPatch) -> None:
    server, other = local(), local()
    monkeypatch.setenv(web.KEY, SECRET)
    server.pages["/v1/models"] = lambda handler: handler.send(307, b"", Location=f"{other.url}/v1/models")
    with pytest.raises(UserError, match=f"sends on to {other.url}/v1/models; give that"):
        encoders.load(f"{server.url}/v1")
    assert not other.asked


def test_a_proxy_is_not_asked_for_this_machine(local: Callable[..., Local], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert encoders.load(local().url).model.name == "tiny"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://example.org", "is not encrypted; texts and keys go over http to this machine only"),
        ("http://10.0.0.1:80/v1", "is not encrypted"),
        ("http://localhost.example.org", "is not encrypted"),
        ("https://name:password@example.org", "put a key into ISOGLOSS_API_KEY"),
        ("https://example.org/v1?key=sk-1", "put a key into ISOGLOSS_API_KEY"),
        ("https://", "is not an address"),
        ("https://exämple.org", "is not an address"),
        ("https://example.org:99999", "is not an address"),
        ("https://[::1", "is not an address"),
        ("https://example.org/a b", "is not an address"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        web.check(url)
    assert "password" not in str(raised.value)
    assert "sk-1" not in str(raised.value)


def test_addresses_of_this_machine_may_be_plain() -> None:
    for url in ("http://localhost:8080", "http://127.0.0.1/v1/", "http://[::1]:80/x", "https://example.org/v1"):
        assert web.check(url) == url.rstrip("/")


def test_nobody_there_is_said_at_once(bench: Bench, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        start = time.monotonic()
        bench("run", "--model", f"http://127.0.0.1:{taken.getsockname()[1]}", "--task", "demo").failed(
            "does not answer"
        )
    assert time.monotonic() - start < 5
    bench("run", "--model", "https://example.org", "--task", "demo", "--offline").failed("--offline forbids")
    bench("run", "--model", "http://localhost", "--dtype", "bfloat16").failed("takes no --dtype")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ([], "does not say which models"),
        ({"data": [{"name": "x"}]}, "does not say which models"),
        ({"data": "none"}, "does not say which models"),
        (b"<html>login</html>", "answers «<html>login</html>», which is no JSON"),
    ],
)
def test_what_is_no_embeddings_server_is_named(answer: Any, says: str, local: Callable[..., Local]) -> None:
    server = local()
    server.pages["/v1/models"] = server.pages["/info"] = lambda handler: handler.send(200, answer)
    with pytest.raises(UserError, match=says):
        encoders.load(server.url)


def test_order_is_kept_when_requests_overtake_each_other(local: Callable[..., Local]) -> None:
    def uneven(texts: list[str]) -> NDArray[np.float32]:
        time.sleep(0.03 if TEXTS[0] in texts else 0)
        return of_random(texts)

    encoder = encoders.load(local("openai", uneven).url)
    np.testing.assert_allclose(encoder.encode(TEXTS, "query"), of_random(TEXTS), atol=1e-6)


def test_the_noise_of_a_server_is_measured(
    local: Callable[..., Local], bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = local()
    ran = bench("noise", "--model", server.url, "--task", "demo", "--languages", "en", "--texts", "10", "--json")
    assert ran.code == 0, ran.err
    assert [row["moved"] for row in json.loads(ran.out)["noise"]] == [0, 0, 0]


def test_who_waits_can_be_stopped(local: Callable[..., Local], cache: Path, tmp_path: Path) -> None:
    server = local()
    server.faults = [status(503, b"", Retry_After="60")] * 99
    command = [sys.executable, "-m", "benchmark.cli", "run", "--model", server.url, "--task", "demo"]
    root = str(Path(__file__).parent.parent)
    running = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    while not server.sent:
        time.sleep(0.05)
        assert running.poll() is None
    start = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=40)
    assert running.returncode == 130
    assert "stopped; what was encoded so far is kept" in said
    assert time.monotonic() - start < 30
