"""Boards in; the pages that a code host shows out: one for all tasks, and one for each.

The first line of every page says that a program made it, so that none is taken for a person's and overwritten.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import pandas as pd

from benchmark.evidence import lists
from leaderboard import formats, tables
from leaderboard.boards import Board, Row
from tasks import languages

MADE = "<!-- Made by bench leaderboard from the evidence beside it; changes are overwritten. -->"
FOLDER = "leaderboard"
SIDE_BY_SIDE = 6  # models in a picture
CAPTIONS = {
    "matrix": "{measure} by language of question (row) and documents (column): the diagonal is mono, the rest cross.",
    "alignment": "Strong minus weak alignment: what an answer loses when documents in all languages compete with it "
    "(answers in other languages taken out). The darker, the more a model puts other languages' documents in front.",
    "share": "Languages of the first ten documents, by language of the question; the first bar is the pool. "
    "The question's own language is outlined.",
    "distance": "Rank distance by language of the question: 5, 25, 50, 75 and 95 % of the questions, and the mean. "
    "The dashed line is a random order.",
    "drop": "{measure} from mono to cross to multi, by language of the question.",
    "scatter": "Mono against cross {measure}, by language of the question and its resource class.",
    "quality-bias": "Multi {measure} against rank distance: up and to the left is better and fairer.",
}
READ = """\
**mono** searches documents in the question's language, **cross** those in one other language, **multi** all languages
together, where the answers in every language count. All figures are macro averages over directions; **95 %** is the
interval of the one before it, from a bootstrap over questions. **rank distance** is how far apart a model puts the
answers to one question that say the same in different languages, **own first** the share of questions whose first
answer is in their own language. Models with the same **rank** cannot be told apart (paired sign-flip tests with
questions as the unit, Holm's correction, 5 %). *Reported* figures are from papers: nobody ran them here, and what
exactly was encoded may differ, so they have no rank."""


def overview(boards: Sequence[Board], drawn: Mapping[str, Sequence[str]]) -> str:
    """Return the page of all boards; `drawn` are the names of the plots of each."""
    parts = [MADE, "# Leaderboard", READ, "[`index.html`](index.html) shows the same with matrices to explore; open it "
             "from a copy of this folder, it needs no network."]  # fmt: skip
    for board in boards:
        parts.append(f"## [{formats.escape_markdown(board.title)}]({_link(f'{FOLDER}/{board.slug}.md')})")
        parts.append(_facts(board))
        parts.append(formats.markdown(standings(board), title=False).rstrip())
        parts += _pictures(
            board, [name for name in ("quality-bias", "matrix") if name in drawn[board.slug]], f"{FOLDER}/"
        )
    parts.append(
        "Made by `bench leaderboard`; `bench leaderboard --check` says whether this is what the evidence gives."
    )
    return "\n\n".join(parts) + "\n"


def page(board: Board, drawn: Sequence[str]) -> str:
    """Return the page of one board; `drawn` are the names of its plots."""
    task = board.task
    parts = [
        MADE,
        f"# {formats.escape_markdown(board.title)}",
        _facts(board),
        *(
            f"**{name}**: {formats.escape_markdown(task[key])}"
            for name, key in (("Licence", "licence"), ("Citation", "citation"), ("Contamination", "contamination"))
            if task[key]
        ),
        formats.markdown(standings(board), title=False).rstrip(),
        *_pictures(board, [name for name in CAPTIONS if name in drawn], ""),
    ]
    for row in board.rows:
        if row.result is None:
            continue
        parts.append(f"## {formats.escape_markdown(row.name)}")
        parts.append(_provenance(row))
        parts.append("<details><summary>All tables</summary>")
        parts += [formats.markdown(table).rstrip() for table in tables.of(row.result.says)]
        parts.append("</details>")
    parts.append("[All tasks](../README.md)")
    return "\n\n".join(parts) + "\n"


def standings(board: Board) -> tables.Table:
    """Return a board as a table: one row for each model, best first, and what a random order scores."""
    measure = board.measure
    cells = [_cells(board, row) for row in board.rows]
    cells.append(_cells(board, board.chance) | {"model": "a random order", "source": "computed"})
    table = pd.DataFrame(cells)
    scores = list(board.settings)
    scores.insert(scores.index(board.setting) + 1, tables.LEVEL)
    columns = ["rank", "model", *scores, "mining\nF1", "rank\ndistance", "own\nfirst", "own excess\n@10",
               "worst language", "parameters", "source"]  # fmt: skip
    table = table.reindex(columns=columns)
    table = table.dropna(axis="columns", how="all")
    kinds = dict.fromkeys(scores, "score") | {
        "rank": "count", "rank\ndistance": "count", "own\nfirst": "score", "own excess\n@10": "signed",
        "parameters": "count", "mining\nF1": "score",
    }  # fmt: skip
    main = list(table.columns).index(board.setting)
    marks = {(place, main): "main" for place, row in enumerate(board.rows) if row.result}
    return tables.Table(
        "standings", f"{measure} on {board.title}", table, {k: v for k, v in kinds.items() if k in table.columns}, marks
    )


def _cells(board: Board, row: Row) -> dict[str, object]:
    worst = row.worst.get(board.setting)
    return {
        "rank": row.rank,
        "model": row.name,
        tables.LEVEL: row.ends.get(board.setting),
        **{setting: row.scores.get(setting, {}).get(board.measure) for setting in board.settings},
        "mining\nF1": row.mined,
        "rank\ndistance": row.bias.get("rank_distance"),
        "own\nfirst": row.bias.get("own_first"),
        "own excess\n@10": row.bias.get("own_excess@10"),
        "worst language": f"{languages.name(worst[0])} {formats.number(worst[1])}" if worst else None,
        "parameters": row.result.says["model"]["parameters"] or None if row.result else None,
        "source": "run here" if row.result else f"reported, {row.source}" + (f" ({row.note})" if row.note else ""),
    }


def _facts(board: Board) -> str:
    task = board.task
    asked, searched = task["query_languages"], task["document_languages"]
    names = (
        f"{len(asked)} languages" if asked == searched else f"{len(asked)} languages asking, {len(searched)} searched"
    )
    unit = f" ({formats.escape_markdown(task['unit'])})" if task["unit"] else ""
    return (
        f"{task['topics']:,} questions in {names}, {task['queries']:,} queries, {task['documents']:,} documents{unit}. "
        f"Main measure: {board.measure}, ordered by {board.setting}."
    )


def _pictures(board: Board, names: Sequence[str], folder: str) -> list[str]:
    parts = []
    for name in names:
        caption = CAPTIONS[name].format(measure=board.measure)
        if len(board.results) > SIDE_BY_SIDE:
            caption += f" The best {SIDE_BY_SIDE} of {len(board.results)} models."
        parts.append(f"![{caption}]({_link(f'{folder}{board.slug}-{name}.svg')})\n\n*{caption}*")
    return parts


def _provenance(row: Row) -> str:
    assert row.result is not None
    says = row.result.says
    model, task, given = says["model"], says["task"], lists(says)
    facts = {
        "made by": _code(says["command"]),
        "model": f"{_code(model['source'])} {_code(model['revision'])}".strip(),
        "fingerprint": _code(model["fingerprint"]),
        "data": _code(task["data_hash"]),
        "first query as sent": _code(model["first_query_as_sent"][:200]),
        "first document as sent": _code(model["first_document_as_sent"][:200]),
        "computed": ""
        if given
        else formats.escape_markdown(
            f"{formats.computed(model) or 'elsewhere'}, {formats.size(model)}, {model['similarity']}; "
            f"{says['cost']['texts_per_second']:,.0f} texts a second; truncated {formats.truncated(model)}"
        ),
        "lists": given,
        "citation": formats.escape_markdown(model["citation"]),
        "notes": formats.escape_markdown(model["notes"]),
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in facts.items() if text)])


def _code(text: str) -> str:
    """Return a text as code that ends where it should, in a cell of a table; "" stays "" ."""
    text = formats.plain(text).replace("|", "\\|")
    if not text:
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if fence != "`" else f"`{text}`"


def _link(path: str) -> str:
    return quote(path)
