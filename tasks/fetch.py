"""Pinned files in (a path below a raw-content root, size, SHA-256), verified local paths out.

The root is a folder or an https address; nothing is ever asked for over plain http, not even where a server sends one.
A file is streamed through SHA-256 into `<name>.part` and renamed when the hash is right, so a file under its own name
is always whole. An interrupted download leaves its `.part` and the next call continues it by an HTTP range; a file
that is whole but wrong, or for which there is no space, leaves nothing. The cache has the layout of the upstream
root, `<owner>/<repo>/<commit>/<path>`, so it can itself be copied to a closed network and serve there as a mirror.
"""

import errno
import hashlib
import http.client
import os
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import quote, urlsplit

from filelock import FileLock
from platformdirs import user_cache_path

from tasks.card import File, TaskCard
from tasks.errors import UserError

UPSTREAM = "https://raw.githubusercontent.com/"
CHUNK = 1 << 20
TRIES = 3
TIMEOUT = 60  # seconds without a byte
NETWORK_ERRORS = (http.client.HTTPException, ConnectionError, TimeoutError, urllib.error.URLError, ssl.SSLError)

Progress = Callable[[int], None]


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows a server that sends on to an https address, and no other."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError("it sends on to an address that is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def cache_folder() -> Path:
    """Return where data and vectors are kept: `ISOGLOSS_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("ISOGLOSS_CACHE") or user_cache_path("isogloss"))


def mirror_root(mirror: str | None) -> str:
    """Return the root that stands for UPSTREAM: `mirror`, else `ISOGLOSS_MIRROR`, else UPSTREAM itself.

    It is a folder, also as `file:///folder`, or an https address, which has nothing secret in it: no user, no query.
    """
    root = mirror or os.environ.get("ISOGLOSS_MIRROR") or UPSTREAM
    try:
        parts = urlsplit(root)
        secret = "@" in parts.netloc or bool(parts.query or parts.fragment)
        here = parts.scheme == "file" and parts.netloc in ("", "localhost")
    except ValueError:  # brackets that hold no IPv6 address
        raise UserError("The mirror is no address; give a folder or an https address.") from None
    if "://" in root and secret:  # which is not shown, and would be kept in the evidence as part of the command
        raise UserError(
            f"The address of the mirror {parts.scheme}://{parts.hostname or ''} has a user or a query in it; give one "
            "without."
        )
    if here or "://" not in root:
        folder = urllib.request.url2pathname(parts.path) if here else root
        if not Path(folder).is_dir():
            raise UserError(f"The mirror {folder} is not a folder; give a folder or an https address.")
        return folder
    if parts.scheme != "https" or not parts.hostname:
        raise UserError(f"The mirror {root} is neither a folder nor an https address.")
    return root.rstrip("/") + "/"


def on_disk(file: File) -> bool:
    """Whether the cache holds the file with the right size; `fetch` looks at the hash as well."""
    path = cache_folder() / "data" / file.path
    return path.is_file() and path.stat().st_size == file.bytes


def missing_bytes(card: TaskCard) -> int:
    """Bytes that a fetch of this card would have to bring."""
    return sum(file.bytes for file in card.files if not on_disk(file))


def fetch(
    card: TaskCard, mirror: str | None = None, offline: bool = False, progress: Progress = lambda *_: None
) -> dict[File, Path]:
    """Return a verified local path for each of the card's files, bringing what is missing.

    Raises UserError (one sentence) for a wrong hash or size, no space, no network, or a file that is missing offline.
    `progress` is told the number of bytes brought, as they come.
    """
    if "hub" in card.options:
        from tasks import hub  # which looks for the cache here

        hub.bring(card, offline)
    return {file: _one(file, mirror, offline, progress) for file in card.files}


def _one(file: File, mirror: str | None, offline: bool, progress: Progress) -> Path:
    path = cache_folder() / "data" / file.path
    if path.is_file() and _sha256(path) == file.sha256:
        return path
    if offline:
        state = "does not have the pinned content" if path.is_file() else "is missing"
        raise UserError(f"{path} {state} and --offline forbids the network; put a copy of {UPSTREAM}{file.path} there.")
    root = mirror_root(mirror)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        if free < file.bytes:
            raise OSError(errno.ENOSPC, "")
        with FileLock(cache_folder() / "data" / ".lock"):
            if not (path.is_file() and _sha256(path) == file.sha256):
                _bring(file, root, path, progress)
    except OSError as error:
        with suppress(OSError):
            Path(f"{path}.part").unlink()
        if error.errno == errno.ENOSPC:
            raise UserError(
                f"There is no space for {path} ({file.bytes:,} bytes); free some or set ISOGLOSS_CACHE elsewhere."
            ) from error
        raise UserError(f"{path} cannot be written: {error.strerror}; set ISOGLOSS_CACHE to another folder.") from error
    return path


def _bring(file: File, root: str, path: Path, progress: Progress) -> None:
    """Stream `file` into its `.part`, over at most TRIES broken connections in a row, check it and rename it."""
    part = Path(f"{path}.part")
    left, tries = part.is_file(), 0
    while True:
        start = part.stat().st_size if part.is_file() else 0
        if start > file.bytes:
            part.unlink()
            start = 0
        try:
            if start < file.bytes:
                with _open(root, file.path, start) as source:
                    _copy(source, part, file.bytes, progress)
            break
        except NETWORK_ERRORS as error:
            tries = tries + 1 if not part.is_file() or part.stat().st_size == start else 1
            status = getattr(error, "code", None)
            if tries >= TRIES or status is not None:
                reason = getattr(error, "reason", None) or error
                why = f"HTTP {status}" if status else str(reason) or type(error).__name__
                raise UserError(
                    f"{root}{file.path} cannot be reached ({why}); check the network, name another root with --mirror, "
                    f"or put the file at {path}."
                ) from error
    size, sha256 = part.stat().st_size, _sha256(part)
    if sha256 != file.sha256:
        part.unlink()
        if left:  # by an earlier call, and perhaps of something else
            _bring(file, root, path, progress)
            return
        fault = (
            f"is {size:,} bytes long instead of {file.bytes:,}"
            if size != file.bytes
            else "has another SHA-256 than pinned"
        )
        raise UserError(
            f"{root.rstrip('/')}/{file.path} {fault}; the source is damaged or was changed, so use another one "
            "with --mirror."
        )
    part.replace(path)


def _open(root: str, path: str, start: int) -> BinaryIO:
    if "://" not in root:
        source = Path(root) / path
        if not source.is_file():
            raise UserError(f"The mirror {root} has no file {path}; add it or name another root with --mirror.")
        try:
            stream = source.open("rb")
        except OSError as error:
            raise UserError(f"{source} cannot be read: {error.strerror}; name another root with --mirror.") from error
        stream.seek(start)
        return stream
    headers = {"User-Agent": "isogloss", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(root + quote(path), headers=headers)
    response: http.client.HTTPResponse = urllib.request.build_opener(_HttpsOnly).open(request, timeout=TIMEOUT)
    if start and response.status != 206:  # the server knows no ranges: take what is already here as read
        response.read(start)
    return response


def _copy(source: BinaryIO, part: Path, size: int, progress: Progress) -> None:
    """Append `source` to `part`, at most one byte more than `size`, so that a file too long is seen and not kept."""
    with part.open("ab") as target:
        while chunk := source.read(min(CHUNK, size + 1 - target.tell())):
            target.write(chunk)
            progress(len(chunk))
            if target.tell() > size:
                return
    if isinstance(source, http.client.HTTPResponse) and source.length:  # bytes that were announced and did not come
        raise ConnectionError("the connection closed early")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
