"""Valid input and a source of chance in; input with a fault in it out: what the fuzz tests feed to the command line.

Everything draws from a `random.Random`, which hypothesis can shrink.
"""

import copy
import gzip
import io
import json
import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

TEXTS = (
    "", " ", "\x00", "a\nb", "a\tb", "\r", "\x1b[31mred\x1b[0m", "\u202e", "\ufeff", "\ud800", "x" * 300, "é" * 200,
    "..", ".", "../x", "/etc/hostname", "C:\\x", "a\\..\\b", "~", "con", "*", "**", "[", "{}", "{0}", "%s", "=1+1",
    "<b>", "[/b]", "http://127.0.0.1:1/x", "https://user:secret@127.0.0.1:1/", "file:///etc/hostname", "nan", "1e999",
    "en", "EN", "zh-Hans", "xx", "i-klingon", "x-private", "en-x-a", "und", "*", "macro", "1", "-1",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, math.nan, math.inf, -math.inf, [],
    {}, [[]], [None], [1], ["a"], {"a": 1}, {"": ""}, [[1, 2]], [{}], {"a": {"b": [1]}},
)  # fmt: skip
TOKENS = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\r\n", b"\r", b"\n", b"\t", b'"',
    b"{", b"}", b"[", b"]", b"<", b">", b"<DOC>", b"</DOC>", b"<top>", b",", b":", b"=", b"#", b"null", b"true", b"1",
    b"-", b"1e999", b"NaN", b"9" * 5000, b"0x" + b"f" * 5000, b"[" * 2000, b'{"a":' * 2000, b"\x1f\x8b", b"PK\x03\x04",
    b"..", b"/", b"\\", b"\xe2\x80\xa8", b"\xc2\x85", b"inf", b"1979-05-27", b"\"\"\"", b"'",
)  # fmt: skip


def nasty(rnd: Random) -> Any:
    """A value that hardly anybody expects."""
    return copy.deepcopy(rnd.choice(TEXTS if rnd.random() < 0.5 else VALUES))


def changed(value: Any, rnd: Random) -> Any:
    """A structure of dicts and lists with one to three changes anywhere in it."""
    value = copy.deepcopy(value)
    for _ in range(rnd.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return nasty(rnd)
        parent, key = rnd.choice(places)
        what = rnd.choice(("replace", "replace", "replace", "delete", "wrap", "copy", "rename", "swap"))
        if what == "replace":
            parent[key] = nasty(rnd)
        elif what == "delete":
            del parent[key]
        elif what == "wrap":
            parent[key] = rnd.choice(([parent[key]], {"a": parent[key]}))
        elif what == "copy" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif what == "rename" and isinstance(parent, dict):
            name = nasty(rnd)
            parent[name if isinstance(name, str) else "x"] = parent.pop(key)
        else:
            other, place = rnd.choice(places)
            parent[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(parent[key])
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        for key in list(value):
            yield value, key
            yield from _places(value[key])
    elif isinstance(value, list):
        for place in range(len(value)):
            yield value, place
            yield from _places(value[place])


def harmed(content: bytes, rnd: Random) -> bytes:
    """Bytes with one to four flips, cuts, splices or insertions."""
    found = bytearray(content)
    for _ in range(rnd.choice((1, 1, 2, 4))):
        place, end = sorted((rnd.randint(0, len(found)), rnd.randint(0, len(found))))
        what = rnd.choice(("flip", "flip", "cut", "tail", "insert", "insert", "double", "move", "fill"))
        if what == "flip" and found:
            for _ in range(rnd.choice((1, 1, 3, 20))):
                found[rnd.randrange(len(found))] ^= 1 << rnd.randrange(8)
        elif what == "cut":
            del found[place : min(end, place + 64)]
        elif what == "tail":
            del found[place:]
        elif what == "insert":
            found[place:place] = rnd.choice(TOKENS)
        elif what == "double":
            found[place:place] = found[place : min(end, place + 2000)]
        elif what == "move":
            part = bytes(found[place:end])
            del found[place:end]
            at = rnd.randint(0, len(found))
            found[at:at] = part
        elif what == "fill" and found:
            found[place : place + 8] = bytes([rnd.choice((0, 255))]) * 8
    return bytes(found)


def toml_text(value: dict[str, Any]) -> str:
    """TOML with inline tables."""
    return "".join(f"{_quoted(name)} = {_toml(one)}\n" for name, one in value.items())


def _quoted(text: str) -> str:
    out = "".join(
        letter if " " <= letter < "\x7f" and letter not in '"\\' else f"\\U{ord(letter):08x}" for letter in text
    )
    return f'"{out}"'


def _toml(value: Any) -> str:
    if value is None:
        return "1979-05-27"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return hex(value) if value >= 0 else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(str(name))} = {_toml(one)}" for name, one in value.items()) + "}"
    return "[" + ", ".join(_toml(one) for one in value) + "]"


def spoiled(path: Path, rnd: Random) -> None:
    """Do to a file what happens to files: odd values, other bytes, another encoding, or something else in its place."""
    held, what = path.read_bytes(), rnd.choice(("values", "values", "values", "bytes", "bytes", "encoding", "kind"))
    if what == "kind":
        _replaced(path, rnd)
        return
    packed = path.suffix == ".gz" and rnd.random() < 0.7
    content = gzip.decompress(held) if packed else held
    if path.suffix == ".gz" and not packed:
        content = harmed(content, rnd)
    elif what == "values":
        content = _values(path.name.removesuffix(".gz"), content, rnd)
    elif what == "encoding":
        content = rnd.choice((_utf_16, _marked, _with_cr))(content)
    else:
        content = harmed(content, rnd)
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)


def _utf_16(content: bytes) -> bytes:
    return content.decode(errors="replace").encode("utf-16")


def _marked(content: bytes) -> bytes:
    return b"\xef\xbb\xbf" + content


def _with_cr(content: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")


def _replaced(path: Path, rnd: Random) -> None:
    path.unlink()
    what = rnd.choice(("nothing", "empty", "folder", "loop", "broken link", "blank"))
    if what in ("empty", "blank"):
        path.write_bytes(b"" if what == "empty" else b"\n \n")
    elif what == "folder":
        path.mkdir()
    elif what != "nothing":
        path.symlink_to(path.name if what == "loop" else "not-there")


def _values(name: str, content: bytes, rnd: Random) -> bytes:
    """Return a file whose form is right, and whose values are odd."""
    ending = name.rpartition(".")[2]
    if ending == "json":
        return json.dumps(changed(json.loads(content), rnd)).encode()
    if ending == "toml":
        says = changed(tomllib.loads(content.decode()), rnd)
        return toml_text(says if isinstance(says, dict) else {"": says}).encode()
    if ending == "jsonl":
        records = [json.loads(line) for line in content.splitlines()]
        found = changed(records, rnd)
        return "".join(f"{json.dumps(record)}\n" for record in (found if isinstance(found, list) else [found])).encode()
    if ending == "parquet":
        return _columns(content, rnd)
    if ending == "npy":
        return _numbers(content, rnd)
    if ending == "safetensors":
        size = int.from_bytes(content[:8], "little")
        header = json.dumps(changed(json.loads(content[8 : 8 + size]), rnd)).encode()
        return len(header).to_bytes(8, "little") + header + content[8 + size :]
    return _words(content, rnd)


def _words(content: bytes, rnd: Random) -> bytes:
    """Return lines of which some words or lines are others, gone or there twice."""
    lines = content.split(b"\n")
    for _ in range(rnd.choice((1, 1, 2))):
        place = rnd.randrange(len(lines))
        words = re.split(rb"([ \t]+)", lines[place])
        what = rnd.choice(("word", "word", "less", "more", "line", "double"))
        if what == "word":
            words[rnd.randrange(len(words))] = str(nasty(rnd)).encode("utf-8", "surrogatepass")
        elif what == "less":
            words.pop()
        elif what == "more":
            words += words[-2:]
        lines[place] = b"".join(words)
        if what == "line":
            lines[place] = b""
        elif what == "double":
            lines.insert(place, lines[place])
    return b"\n".join(lines)


def _columns(content: bytes, rnd: Random) -> bytes:
    """Return a Parquet file of which a column or the rows are others."""
    table = pyarrow.parquet.read_table(io.BytesIO(content))
    place = rnd.randrange(table.num_columns)
    name, column = table.column_names[place], table.column(place)
    what = rnd.choice(("values", "values", "drop", "double", "text", "hole", "none", "rows", "again", "mixed"))
    if what == "drop":
        table = table.drop_columns([name])
    elif what == "double":
        table = table.append_column(name, column)
    elif what == "rows":
        table = table.slice(0, rnd.randint(0, table.num_rows))
    elif what == "again":
        table = pyarrow.concat_tables([table, table])
    else:
        values = column.to_pylist()
        if what == "values":
            found = changed(values, rnd)
            values = (found if isinstance(found, list) else [found])[: len(values)]
            values += column.to_pylist()[len(values) :]
        elif what == "text":
            values = [str(value) for value in values]
        elif what == "hole" and values:
            values[rnd.randrange(len(values))] = None
        elif what == "none":
            values = [None] * len(values)
        else:
            rnd.shuffle(values)
        try:
            other = pyarrow.array(values)
        except (pyarrow.ArrowException, OverflowError, ValueError):
            other = pyarrow.array([json.dumps(value) for value in values])
        table = table.set_column(place, name, other)
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


def _numbers(content: bytes, rnd: Random) -> bytes:
    """Return an array of another type or shape, or with other numbers."""
    array = np.load(io.BytesIO(content))
    if array.dtype.names:  # a shard of the store, which holds a second one
        return harmed(content, rnd)
    what = rnd.choice(("type", "shape", "number", "rows", "fields"))
    if what == "type":
        array = array.astype(rnd.choice(("f2", ">f4", "f8", "i4", "?", "c8", "U3", "f4")))
    elif what == "shape":
        array = array.reshape(rnd.choice(((-1,), (1, *array.shape), array.shape[::-1], (*array.shape, 1))))
    elif what == "number":
        array[rnd.randrange(len(array))] = rnd.choice((np.nan, np.inf, 0, 1e38, -0.0))
    elif what == "rows":
        array = array[: rnd.randrange(len(array))]
    else:
        array = np.zeros(len(array), dtype=[("a", "f4"), ("b", "O" if rnd.random() < 0.5 else "f4")])
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()
