"""Pinned files: verified in the stream, resumed, whole or not there at all."""

import errno
import hashlib
import http.client
import http.server
import os
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks import card, fetch
from tasks.card import File, TaskCard
from tasks.errors import UserError

CONTENT = bytes(range(256)) * 4000  # about a megabyte
PATH = "owner/repo/commit/data.json"


def pinned(content: bytes = CONTENT) -> TaskCard:
    file = File(PATH, len(content), hashlib.sha256(content).hexdigest(), "en")
    return replace(card.find("xquad-r"), files=(file,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mirror that is a folder."""
    path = tmp_path / "mirror" / PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return tmp_path / "mirror"


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; breaks off after `broken` bytes of each answer while `breaks` is above zero."""

    content = CONTENT
    breaks = 0
    broken = 300_000
    ranges = True
    sends_on = ""
    asked: list[str | None]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.server.sends_on and not self.path.startswith("/there"):
            self.send_response(302)
            self.send_header("Location", self.server.sends_on)
            self.end_headers()
            return
        if not self.path.endswith(PATH):
            self.send_error(404)
            return
        start = int(asked.split("=")[1].rstrip("-")) if asked and self.server.ranges else 0
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks > 0:
            self.server.breaks -= 1
            self.wfile.write(body[: self.server.broken])
            self.wfile.flush()
            self.connection.shutdown(2)
        else:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine. It knows no TLS, so what is asked for by https goes to it as it is."""

    def opened(self: urllib.request.HTTPSHandler, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(http.client.HTTPConnection, req)

    monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", opened)
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def address(server: Server) -> str:
    return f"https://127.0.0.1:{server.server_port}"


def only_file(cache: Path) -> list[str]:
    files = (path for path in cache.rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(str(path.relative_to(cache / "data")) for path in files)


def test_from_a_folder(folder: Path, cache: Path) -> None:
    brought: list[int] = []
    (path,) = fetch.fetch(pinned(), str(folder), progress=brought.append).values()
    assert path.read_bytes() == CONTENT
    assert sum(brought) == len(CONTENT)
    assert only_file(cache) == [PATH]
    shutil.rmtree(folder)
    assert fetch.fetch(pinned(), offline=True) == {pinned().files[0]: path}  # there already: nothing is asked


def test_the_cache_serves_as_a_mirror(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch.fetch(pinned(), str(folder))
    monkeypatch.setenv("ISOGLOSS_CACHE", str(cache.with_name("other")))
    monkeypatch.setenv("ISOGLOSS_MIRROR", str(cache / "data"))
    assert fetch.fetch(pinned())


def test_from_a_server(server: Server, cache: Path) -> None:
    (path,) = fetch.fetch(pinned(), address(server)).values()
    assert path.read_bytes() == CONTENT
    assert only_file(cache) == [PATH]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_continued(ranges: bool, server: Server, cache: Path) -> None:
    server.breaks, server.ranges = 2, ranges
    (path,) = fetch.fetch(pinned(), address(server)).values()
    assert path.read_bytes() == CONTENT
    assert only_file(cache) == [PATH]
    assert server.asked[0] is None
    assert server.asked[1] is not None
    assert server.asked[1].startswith("bytes=")


def test_the_next_call_continues_where_this_one_stopped(server: Server, cache: Path) -> None:
    server.breaks, server.broken = 99, 0
    part = cache / "data" / f"{PATH}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:500_000])
    with pytest.raises(UserError, match="cannot be reached"):
        fetch.fetch(pinned(), address(server))
    assert part.read_bytes() == CONTENT[:500_000]
    server.breaks = 0
    fetch.fetch(pinned(), address(server))
    assert server.asked[-1] == "bytes=500000-"
    assert only_file(cache) == [PATH]


def test_a_part_of_something_else_is_thrown_away(server: Server, cache: Path) -> None:
    part = cache / "data" / f"{PATH}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    (path,) = fetch.fetch(pinned(), address(server)).values()
    assert path.read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]
    assert only_file(cache) == [PATH]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (CONTENT[:-1] + b"x", "has another SHA-256"),
        (CONTENT[:-9], "bytes long instead of 1,024,000; the source is damaged"),
        (CONTENT + b"more", "bytes long instead of 1,024,000; the source is damaged"),
    ],
)
@pytest.mark.parametrize("by", ["folder", "server"])
def test_other_content_leaves_nothing(
    by: str, content: bytes, says: str, folder: Path, server: Server, cache: Path
) -> None:
    server.content = content
    (folder / PATH).write_bytes(content)
    with pytest.raises(UserError) as raised:
        fetch.fetch(pinned(), str(folder) if by == "folder" else address(server))
    assert says in str(raised.value)
    assert only_file(cache) == []


def test_a_changed_file_in_the_cache_is_brought_again(folder: Path, cache: Path) -> None:
    (path,) = fetch.fetch(pinned(), str(folder)).values()
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(UserError, match="does not have the pinned content and --offline forbids"):
        fetch.fetch(pinned(), offline=True)
    fetch.fetch(pinned(), str(folder))
    assert path.read_bytes() == CONTENT


def test_offline_names_the_file_and_where_to_put_it(cache: Path) -> None:
    with pytest.raises(UserError) as raised:
        fetch.fetch(pinned(), offline=True)
    assert str(cache / "data" / PATH) in str(raised.value)
    assert f"https://raw.githubusercontent.com/{PATH}" in str(raised.value)
    assert not cache.exists()


def test_no_such_file_and_no_server(server: Server, folder: Path, cache: Path) -> None:
    other = replace(pinned(), files=(replace(pinned().files[0], path="owner/none.json"),))
    with pytest.raises(UserError, match=r"cannot be reached \(HTTP 404\)"):
        fetch.fetch(other, address(server))
    with pytest.raises(UserError, match="has no file owner/none.json"):
        fetch.fetch(other, str(folder))
    with pytest.raises(UserError, match="cannot be reached .*check the network"):
        fetch.fetch(pinned(), "https://127.0.0.1:1")
    assert only_file(cache) == []


@pytest.mark.parametrize("scheme", ["http", "ftp", "HTTP", "file"])
def test_a_server_that_sends_on_to_other_than_https_is_not_followed(scheme: str, server: Server, cache: Path) -> None:
    server.sends_on = f"{scheme}://127.0.0.1:{server.server_port}/there/{PATH}"
    with pytest.raises(UserError, match="cannot be reached .*(not https|HTTP 302)"):
        fetch.fetch(pinned(), address(server))
    assert set(server.asked) == {None}
    assert only_file(cache) == []


def test_a_server_that_sends_on_to_https_is_followed(server: Server, cache: Path) -> None:
    server.sends_on = f"{address(server)}/there/{PATH}"
    fetch.fetch(pinned(), address(server))
    assert only_file(cache) == [PATH]


def test_mirrors_that_are_none(cache: Path) -> None:
    with pytest.raises(UserError, match="neither a folder nor an https address"):
        fetch.fetch(pinned(), "ftp://example.org")
    with pytest.raises(UserError, match="is not a folder"):
        fetch.fetch(pinned(), str(cache / "none"))


def test_no_space_is_said_before_and_while_writing(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        with pytest.raises(UserError, match="no space"):
            fetch.fetch(pinned(), str(folder))

    def full(*_: object) -> None:
        Path(f"{cache / 'data' / PATH}.part").write_bytes(b"some")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(fetch, "_copy", full)
        with pytest.raises(UserError, match=r"no space for .*\(1,024,000 bytes\)"):
            fetch.fetch(pinned(), str(folder))
    assert only_file(cache) == []


def test_a_cache_that_cannot_be_written(folder: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot be written: .* set ISOGLOSS_CACHE"):
        fetch.fetch(pinned(), str(folder))


def test_two_at_once(server: Server, cache: Path) -> None:
    errors: list[BaseException] = []

    def one() -> None:
        try:
            fetch.fetch(pinned(), address(server))
        except BaseException as error:  # noqa: BLE001 - a thread's error is looked at below
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert only_file(cache) == [PATH]
