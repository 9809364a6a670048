"""Boards in; one HTML page out, which needs no network and no other file: the same bytes for the same boards.

Tables are in the page as HTML; a script sorts them and draws the matrices from embedded JSON (values x 10^4, null for a
hole). Names, notes and commands come from anyone's evidence: the template escapes them, the script only ever sets text,
and the page's own policy forbids every script but this one and every request.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmark.evidence import Json, Result, lists
from leaderboard import formats, markdown
from leaderboard.boards import Board, Ends, Row
from tasks import languages

TEMPLATES = Path(__file__).parent / "templates"
SCALE = 10_000
SEEN = 0.02  # the least chance that a tick is drawn for
TOP = 10  # the language share that is shown is of the top 10
AGREEMENT = "RankC@10"
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5}(?:v\d{1,2})?)")
Pair = tuple[str, str]

BIAS = {  # label, kind of number, order at the first click
    "rank_distance": ("rank distance", "count", "ascending"),
    "own_first": ("own language first", "score", "descending"),
    "own_excess@10": ("own in top 10, excess", "signed", "descending"),
    "awrf_uniform@10": ("AWRF@10, uniform", "score", "descending"),
}
ROLES = (("query", "queries"), ("document", "documents"))


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    * `group`: what stands above it and its neighbours; "" for nothing.
    * `kind`: of number, as `formats.number` has it.
    * `value`: of a row; None is a hole.
    * `tag`: of a row, the language that the value is of; "" if it is of none.
    * `first`: the order at the first click.
    * `bar`: whether a bar from 0 to 1 stands under it.
    * `ends`: of a row, the interval of the value, which stands under it; None is a hole.
    """

    label: str
    group: str
    kind: str
    value: Callable[[Row], float | None]
    tag: Callable[[Row], str] = lambda _: ""
    first: str = "descending"
    bar: bool = False
    ends: Callable[[Row], Ends | None] = lambda _: None


def page(boards: Sequence[Board]) -> str:
    """Return the page `results/index.html`, which links to the tasks' pages `leaderboard/<slug>.md` beside it."""
    css, js = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; script-src '{_digest(js)}'; style-src '{_digest(css)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    surroundings = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = surroundings.get_template("index.html").render(
        boards=[_board(board, place) for place, board in enumerate(boards)],
        mining=any(row.mined is not None for board in boards for row in board.rows),
        css=Markup(css),
        js=Markup(js),
        made=Markup(markdown.MADE),
        policy=Markup(policy),
        data=Markup(_embedded(boards)),
    )
    return text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair in a name is no reason to fail


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


# What the template shows


def _board(board: Board, place: int) -> Json:
    """Return what the template shows of a board."""
    columns, chance = _columns(board), board.chance
    ranks = [row.rank for row in board.rows]
    rows = [
        _cells(row, columns, chance)
        | {
            "id": f"_{place}.{number}",  # no slug starts so
            "rank": row.rank,
            "rank_text": "" if row.rank is None else f"{row.rank}{'=' * (ranks.count(row.rank) > 1)}",
            "facts": _facts(row.result),
            "find": " ".join([row.name, row.source, *_sources(row.result)]),
            "source": row.source,
            "arxiv": found[1] if (found := ARXIV.fullmatch(row.source)) else "",
            "note": row.note,
        }
        for number, row in enumerate(board.rows)
    ]
    runs = [
        {"id": shown["id"], "name": row.name, **_details(row.result, board.measure)}
        for shown, row in zip(rows, board.rows, strict=True)
        if row.result
    ]
    groups: list[Json] = []
    for column in columns:
        if not groups or groups[-1]["label"] != column.group:
            groups.append({"label": column.group, "span": 0})
        groups[-1]["span"] += 1
    starts = {sum(group["span"] for group in groups[:i]) for i in range(len(groups))}
    task = board.task
    return {
        "slug": board.slug,
        "anchor": quote(board.slug, safe=""),
        "title": board.title,
        "measure": board.measure,
        "setting": board.setting,
        "columns": columns,
        "groups": groups,
        "starts": starts,
        "rows": rows,
        "chance": _cells(chance, columns, chance),
        "reported": sum(bool(row.source) for row in board.rows),
        "runs": runs,
        "facts": _task_facts(task),
        "languages": [(tag, _name(tag)) for tag in _tags(board)],
        "task": {name: str(task.get(name, "")) for name in ("unit", "licence", "citation", "contamination")},
    }


def _columns(board: Board) -> list[Column]:
    main, quality = board.measure, f"{board.measure}, macro"

    def score(setting: str, row: Row) -> float | None:
        return row.scores.get(setting, {}).get(main)

    def ends(setting: str, row: Row) -> Ends | None:
        return row.ends.get(setting)

    def drop(row: Row) -> float | None:
        mono, multi = score("mono", row), score("multi", row)
        return None if mono is None or multi is None else multi - mono

    def bias(name: str, row: Row) -> float | None:
        return row.bias.get(name)

    def worst(row: Row) -> tuple[str, float | None]:
        return row.worst.get(board.setting, ("", None))

    def speed(row: Row) -> float | None:
        cost = row.result.says["cost"] if row.result else {}
        return cost.get("texts_per_second") if cost.get("texts_encoded") else None  # 0 texts take no time

    columns = [
        Column(setting, quality, "score", partial(score, setting), bar=True, ends=partial(ends, setting))
        for setting in board.settings
    ]
    if {"mono", "multi"} <= set(board.settings):
        columns.append(Column("mono → multi", quality, "signed", drop))
    if any(row.mined is not None for row in board.rows):
        columns.append(Column("F1", "mining", "score", lambda row: row.mined, bar=True))
    columns += [
        Column(label, "language bias, in the pool of all", kind, partial(bias, name), first=first, bar=kind == "score")
        for name, (label, kind, first) in BIAS.items()
        if any(row.bias.get(name) is not None for row in board.rows)
    ]
    columns.append(
        Column(f"worst language, {board.setting}", "", "score", lambda row: worst(row)[1], lambda row: worst(row)[0])
    )
    return [*columns, Column("texts/s", "", "count", speed)]


def _cells(row: Row, columns: Sequence[Column], chance: Row) -> Json:
    cells = []
    for column in columns:
        value, floor, tag = _finite(column.value(row)), _finite(column.value(chance)), column.tag(row)
        cells.append(
            {
                "text": _number(value, column.kind),
                "value": "" if value is None else round(value, 4),
                "bar": _percent(value) if column.bar else "",
                "tick": _percent(floor) if (floor or 0) >= SEEN else "",
                "ends": formats.number(column.ends(row)),
                "tag": tag,
                "language": _name(tag) if tag else "",
            }
        )
    return {"name": row.name, "cells": cells}


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * min(max(value, 0), 1):.2f}"


def _facts(result: Result | None) -> str:
    """Return what stands small under a model's name: family, parameters, dtype."""
    if result is None:
        return ""
    model = result.says["model"]
    count = model.get("parameters") or 0
    size = f"{count / 1e9:.1f} B" if count >= 1e9 else f"{count / 1e6:.0f} M" if count >= 1e6 else f"{count:,}"
    return " · ".join(
        str(part) for part in (model.get("family"), f"{size} parameters" if count else "", model.get("dtype")) if part
    )


def _sources(result: Result | None) -> list[str]:
    return [str(result.says["model"].get(name, "")) for name in ("family", "source")] if result else []


def _details(result: Result, measure: str) -> Json:
    """Return what the block of a model shows: label, text, and whether the text is to be shown letter by letter."""
    says = result.says
    task, model, cost, place = says["task"], says["model"], says["cost"], says.get("environment", {})
    prompts, tokens = (model.get(name, {}) for name in ("prompts", "tokens"))
    versions = {**model.get("engine", {}), **place.get("libraries", {})}
    given = lists(says)
    unknown = {"vectors", "prompt, query", "prompt, document", "truncated"} if given else set()
    shown = [
        ("source", " @ ".join(str(model[name]) for name in ("source", "revision") if model.get(name)), True),
        ("fingerprint", model.get("fingerprint"), True),
        ("computed in", formats.computed(model), False),
        ("vectors", f"{formats.size(model)}, {model.get('similarity', '')}", False),
        *((f"prompt, {role}", prompts.get(role) or "none", bool(prompts.get(role))) for role in ("query", "document")),
        ("first query as sent", model.get("first_query_as_sent"), True),
        ("first document as sent", model.get("first_document_as_sent"), True),
        ("truncated", formats.truncated(model, 2), False),
        ("tokens", ", ".join(f"{tokens[role]:,} in {many}" for role, many in ROLES if tokens.get(role)), False),
        ("lists", given, False),
        ("tied answers", f"{says['ties']:.2%}", False),
        ("citation", model.get("citation"), False),
        ("notes", model.get("notes"), False),
        ("cost", _cost(cost), False),
        ("libraries", ", ".join(f"{name} {version}" for name, version in sorted(versions.items())), False),
        ("machine", _machine(place), False),
        ("data", task.get("data_hash"), True),
        ("card", task.get("card_hash"), True),
        ("created", says.get("created"), False),
    ]
    means = [row for row in says["averages"] if row["average"] == "macro"]
    names = list(means[0]["measures"]) if means else []
    return {
        "command": str(says.get("command", "")),
        "facts": _facts(result),
        "shown": [(label, str(text), code) for label, text, code in shown if text and label not in unknown],
        "measures": sorted(names, key=lambda name: name != measure),
        "means": [
            (row["setting"], {name: _number(_finite(row["measures"].get(name))) for name in names}) for row in means
        ],
    }


def _cost(cost: Json) -> str:
    return (
        f"{cost.get('texts_encoded', 0):,} texts encoded in {cost.get('encode_seconds', 0):,.1f} s, "
        f"ranked in {cost.get('rank_seconds', 0):,.1f} s; {cost.get('total_seconds', 0):,.1f} s in all, "
        f"at most {cost.get('peak_memory_bytes', 0) / 2**30:.1f} GiB"
    )


def _machine(place: Json) -> str:
    python = f"Python {place['python']}" if "python" in place else ""
    processors = f"{place['processors']} processors" if "processors" in place else ""
    return ", ".join(str(part) for part in (place.get("platform"), processors, python) if part)


def _task_facts(task: Json) -> list[str]:
    unit = str(task.get("unit", ""))
    counted = {"topics": "topics", "queries": "queries", "documents": f"{unit}s" if unit.isalpha() else "documents"}
    spoken = {*task["query_languages"], *task["document_languages"]}
    facts = [f"{task[name]:,} {many}" for name, many in counted.items() if isinstance(task.get(name), int)]
    return [*facts, f"{len(spoken)} languages", *filter(None, [str(task.get("licence", ""))])]


def _tags(board: Board) -> list[str]:
    return sorted({*board.task["query_languages"], *board.task["document_languages"]})


def _name(tag: str) -> str:
    """Return the English name of a language, or the tag itself where it is none."""
    try:
        return languages.name(tag)
    except ValueError:
        return tag


def _finite(value: object) -> float | None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    return number if math.isfinite(number) else None


def _number(value: float | None, kind: str = "score") -> str:
    return formats.number(value, kind).replace("-", "−")


# What the script draws


def _embedded(boards: Sequence[Board]) -> str:
    """Return the matrices of all boards as JSON that can stand in an HTML script element."""
    tags = sorted({tag for board in boards for tag in _tags(board)})
    says = {"names": [[tag, _name(tag)] for tag in tags], "boards": [_matrices(board) for board in boards]}
    text = json.dumps(says, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _matrices(board: Board) -> Json:
    """Return the matrices of a board's models: values by row, `n` as one number where it is the same in all cells."""
    asked, searched = (list(board.task[f"{side}_languages"]) for side in ("query", "document"))
    cells = [(q, d) for q in asked for d in searched]
    pairs = [(q, other) for q in asked for other in asked]
    size: dict[str, int] = {}
    counts: dict[Pair, int] = {}
    agreed: dict[Pair, int] = {}
    models = []
    for row in board.rows:
        if row.result is None:
            continue
        says = row.result.says
        size.update({pool["pool"]: pool["documents"] for pool in says["pools"]})
        alone = [entry for entry in says["directions"] if entry["setting"] in ("mono", "cross")]
        weak = {(entry["query_language"], entry["document_languages"][0]): entry for entry in alone}
        strong = {(entry["query_language"], entry["document_language"]): entry for entry in says["strong"]}
        alike = {_sorted(entry["query_languages"]): entry for entry in says["consistency"]}
        shares = {
            (entry["query_language"], tag): share
            for entry in says["language_share"]
            if entry["k"] == TOP
            for tag, share in entry["shares"].items()
        }
        for entries in (weak, strong):
            counts.update({pair: entry["n"] for pair, entry in entries.items()})
        agreed.update({pair: entry["n"] for pair, entry in alike.items()})
        main = board.measure
        models.append(
            {
                "name": row.name,
                "weak": _grid(cells, {pair: entry["measures"].get(main) for pair, entry in weak.items()}),
                "strong": _grid(cells, {pair: entry["measures"].get(main) for pair, entry in strong.items()}),
                "share": _grid(cells, shares),
                "consistency": _grid(
                    map(_sorted, pairs), {pair: entry["measures"].get(AGREEMENT) for pair, entry in alike.items()}
                ),
            }
        )
    total = sum(size.get(tag, 0) for tag in searched)
    return {
        "slug": board.slug,
        "measure": board.measure,
        "asked": asked,
        "searched": searched,
        "pool": [_scaled(size.get(tag, 0) / total) if total else None for tag in searched],
        "n": _folded([counts.get(pair) for pair in cells]),
        "pairs": _folded([agreed.get(_sorted(pair)) for pair in pairs]),
        "models": models,
    }


def _sorted(pair: Sequence[str]) -> Pair:
    first, second = sorted(pair)
    return first, second


def _grid(cells: Iterable[Pair], values: dict[Pair, object]) -> list[int | None] | None:
    return [_scaled(values.get(pair)) for pair in cells] if values else None


def _scaled(value: object) -> int | None:
    number = _finite(value)
    return None if number is None else round(number * SCALE)


def _folded(counts: list[int | None]) -> int | list[int | None] | None:
    """Return the one number that all cells have, or the number of each."""
    known = set(counts) - {None}
    return counts if len(known) > 1 else known.pop() if known else None
