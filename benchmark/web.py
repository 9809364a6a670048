"""A URL and JSON in; the JSON that a server answers out, asked again where that may help.

What passes by itself (too many requests, a server that starts anew, a broken connection) is waited for, longer each
time and at least as long as the server asks, a bounded number of times for each request. The key comes from the
environment, goes to the address that was given and to no other (no redirect is followed), and stands in no sentence.

urllib is enough for this: one request, one answer, and no dependency more.
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

from tasks.errors import UserError
from tasks.parsing import json_value

KEY = "ISOGLOSS_API_KEY"
HERE = ("localhost", "127.0.0.1", "::1")
TIMEOUT = 120.0  # seconds without a byte
TRIES = 7
FIRST_WAIT = 1.0  # seconds; doubled for each further try, so a minute in all
LONGEST_WAIT = 120.0  # that a server may ask for
PASSING = {408, 425, 429}  # and 500 and above
MOST_OF_AN_ERROR = 1 << 16
SHOWN = 200


class RefusedError(UserError):
    """A server answered that it does not do what it was asked."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class _PassingError(Exception):
    """What may be gone at the next try: why it failed, and the seconds to wait if the server answered so much."""

    def __init__(self, why: str, seconds: float = 0.0, *, answered: bool = False) -> None:
        super().__init__(why)
        self.seconds, self.answered = seconds, answered


def check(url: str) -> str:
    """Return `url` without a slash at its end. Raises UserError unless it is https, or an address of this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"{url} is not an address ({error}).") from error
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(f"Leave out of the address what is no host or path, and put a key into {KEY} instead.")
    if not host or not url.isascii() or any(letter.isspace() for letter in url):
        raise UserError(f"{url!a} is not an address; write it as https://host/path, in ASCII.")
    if parts.scheme != "https" and host not in HERE:
        raise UserError(f"{url} is not encrypted; texts and keys go over http to this machine only, so write https.")
    return url.rstrip("/")


def ask(url: str, body: Any = None, pause: Callable[[float], object] = time.sleep) -> Any:
    """Return the JSON that a server answers: to a GET, or to a POST of `body`.

    A GET that gets no answer at all is not repeated: it comes first, so the address is wrong, or nothing runs there.

    Args:
        url: where, as `check` returned it, and a path.
        body: what to send as JSON; None for a GET.
        pause: waits so many seconds; if it returns something true, nobody wants the answer any more.

    Raises:
        RefusedError: the server answered with a status that stays, such as 404.
        UserError: there was no answer, it was none of JSON, or it did not come within TRIES.
    """
    request = _request(url, body)
    for number in range(TRIES):
        try:
            return _once(request)
        except _PassingError as error:
            last = error
        if last.seconds > LONGEST_WAIT:
            raise UserError(
                f"{url} asks to wait {last.seconds:,.0f} seconds ({last}); run again then: what came so far is kept."
            ) from last
        if number == TRIES - 1 or (body is None and not last.answered):
            break
        if pause(max(FIRST_WAIT * 2**number, last.seconds)):
            break
    raise UserError(f"{url} does not answer ({last}); see whether the server runs, and run again: what came is kept.")


def _request(url: str, body: Any) -> urllib.request.Request:
    headers = {"Accept": "application/json", "User-Agent": "isogloss"}
    if key := _key():
        if not (key.isascii() and key.isprintable()):
            raise UserError(f"The environment variable {KEY} holds characters that no key has; set it again.")
        headers["Authorization"] = f"Bearer {key}"
    if body is None:
        return urllib.request.Request(url, headers=headers)
    data = json.dumps(body).encode()
    return urllib.request.Request(url, data, headers | {"Content-Type": "application/json"})


def _key() -> str:
    return os.environ.get(KEY, "").strip()


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would carry the key to another address."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _once(request: urllib.request.Request) -> Any:
    proxies = urllib.request.ProxyHandler({} if urlsplit(request.full_url).hostname in HERE else None)
    try:
        with urllib.request.build_opener(proxies, _Stay).open(request, timeout=TIMEOUT) as answer:
            data = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            _fail(request.full_url, error)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise _PassingError(str(reason) if str(reason).strip() else type(reason).__name__) from error
    try:
        return json_value(data.decode("utf-8-sig"))
    except ValueError as error:
        raise RefusedError(
            f"{request.full_url} answers «{_clean(data)}», which is no JSON; is an embeddings server there?",
            200,
        ) from error


def _fail(url: str, error: urllib.error.HTTPError) -> NoReturn:
    """Raise what an HTTP status stands for."""
    status = error.code
    try:
        said = _said(error.read(MOST_OF_AN_ERROR))
    except (OSError, http.client.HTTPException):
        said = ""
    why = f"HTTP {status}" + (f": {said}" if said else "")
    if status in PASSING or status >= 500:
        raise _PassingError(why, _seconds(error.headers.get("Retry-After", "")), answered=True) from error
    if status in (401, 403):
        what = f"refuses the key in {KEY}" if _key() else f"wants a key; put it into the environment variable {KEY}"
        raise RefusedError(f"{url} {what} ({why}).", status) from error
    if 300 <= status < 400:
        place = _clean(error.headers.get("Location", "").encode())
        raise RefusedError(
            f"{url} sends on to {place or 'nowhere'}; give that address, if you trust it.", status
        ) from error
    what = "has nothing to offer; check the address" if status == 404 else "refuses what it is asked"
    raise RefusedError(f"{url} {what} ({why}).", status) from error


def _seconds(text: str) -> float:
    """Return how long a Retry-After asks to wait: seconds, or a date; 0 if it says neither."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError, OSError):  # also of years that no clock has
        return 0.0


def _said(data: bytes) -> str:
    """Return the sentence in the body of an error, as the usual servers put it."""
    try:
        says = json_value(data.decode())
    except ValueError:
        return _clean(data)
    for name in ("error", "message", "detail"):
        if isinstance(says, dict) and name in says:
            says = says[name]
    return _clean((says if isinstance(says, str) else json.dumps(says)).encode())


def _clean(data: bytes) -> str:
    """Return the beginning of what a server sent, on one line and without the key, which some servers repeat."""
    text = " ".join(data.decode("utf-8", "replace").split())
    if key := _key():
        text = text.replace(key, "…")
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
