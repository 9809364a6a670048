"""A table as data in; text for a terminal, Markdown, CSV or LaTeX out.

What stands in a table may come from anywhere (a model's name, a facet), so it is escaped here, for every format, and
nowhere else: as `rich.Text`, never markup; as Markdown without its signs; as CSV that no spreadsheet takes for a
formula; as LaTeX without commands.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from rich.console import Group
from rich.table import Table as Grid
from rich.text import Text

from benchmark.evidence import share
from benchmark.summary import DIGITS
from leaderboard.tables import Table

STYLES = {
    "own": "bold", "worst": "underline red", "own worst": "bold underline red", "mean": "dim", "main": "bold",
    "chance": "dim",
}  # fmt: skip
MARKDOWN = {
    "own": "**{}**", "worst": "<ins>{}</ins>", "own worst": "<ins>**{}**</ins>", "mean": "{}", "main": "**{}**",
    "chance": "{}",
}  # fmt: skip
LATEX = {
    "own": r"\textbf{{{}}}", "worst": r"\underline{{{}}}", "own worst": r"\underline{{\textbf{{{}}}}}",
    "mean": r"\textit{{{}}}", "main": r"\textbf{{{}}}", "chance": r"\textit{{{}}}",
}  # fmt: skip
DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
LATEX_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "→": r"$\rightarrow$", "<": r"\textless{}",
    ">": r"\textgreater{}", "[": "{[}",
}  # fmt: skip


def number(value: object, kind: str = "score") -> str:
    """Write a number as tables of this field do: .800, +.012, 1,234, 12.3; a text as it is; "" for a hole.

    An interval, a pair of numbers, is `.780–.815`.
    """
    if isinstance(value, tuple):
        return "–".join(number(end) for end in value)
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return ""
    if isinstance(value, str):
        return value
    if kind == "count":
        return f"{value:,.0f}"
    if kind == "index":
        return f"{value:.1f}"
    text = f"{value:+.3f}" if kind == "signed" else f"{value:.3f}"
    if not float(text):
        return ".000"  # nothing has no sign
    return re.sub(r"^([+-]?)0\.", r"\1.", text)


def computed(model: Mapping[str, Any]) -> str:
    """Say in what and where a model of an evidence was computed, as far as it was told, and what else was chosen."""
    where = " on ".join(str(model[name]) for name in ("dtype", "device") if model.get(name))
    chosen = model.get("how", {})
    how = [f"{name} {value}" for name, value in chosen.items() if name not in ("rerank", "rerank-depth")]
    if depth := chosen.get("rerank-depth"):
        how.append(f"a cross-encoder on the first {depth} of each language")
    return ", ".join(filter(None, [where, *how]))


def size(model: Mapping[str, Any]) -> str:
    """Say how large that is which a model of an evidence makes of a text."""
    many, family = model.get("dimensions", 0), model.get("family")
    of = {"late": "dimensions for each token", "sparse": "terms", "lexical": "terms"}.get(str(family), "dimensions")
    return f"{many:,} {of}"


def truncated(model: Mapping[str, Any], digits: int = 1) -> str:
    """Say what share of the texts of an evidence were cut."""
    cut, named = model["truncated"], {"query": "queries", "document": "documents", "pair": "reranked pairs"}
    if set(cut.values()) == {None}:
        return "unknown"
    return ", ".join(f"{share(cut[of], digits)} of the {many}" for of, many in named.items() if of in cut)


def plain(text: str) -> str:
    """Return a text on one line, without control characters and direction marks, which could hide or reorder it."""
    kept = (
        sign
        for sign in text
        if sign.isspace() or not (unicodedata.category(sign) in ("Cc", "Cs") or sign in DIRECTIONS)
    )
    return " ".join("".join(kept).split())


def terminal(table: Table) -> Group:
    """Return a table for `rich`, its title above it, however narrow it is."""
    dense = len(table.kinds) == table.cells.shape[1] - 1 > 12  # a matrix
    grid = Grid(box=None, padding=(0, 0, 0, 1) if dense else (0, 1, 0, 1), header_style="cyan")
    for name in table.cells.columns:
        right = name in table.kinds
        grid.add_column(Text(name), justify="right" if right else "left", no_wrap=True)
    for row, texts in enumerate(_texts(table)):
        if row in table.breaks:
            grid.add_section()
        cells = [
            Text(plain(text), style=STYLES.get(table.marks.get((row, column), ""), ""))
            for column, text in enumerate(texts)
        ]
        grid.add_row(*cells)
    return Group(Text(plain(table.title), style="bold", no_wrap=True), grid)


def escape_markdown(text: str) -> str:
    """Return a text that Markdown and the HTML in it show as it is."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*_{}\[\]#|~$]|:(?=//|\w+:)|(?<=www)\.", r"\\\g<0>", text)


def markdown(table: Table, *, title: bool = True) -> str:
    """Return a table in GitHub's Markdown, its title above it."""
    head = [escape_markdown(name) for name in table.cells.columns]
    lines = [f"**{escape_markdown(table.title)}**", ""] if title else []
    lines.append("| " + " | ".join(head) + " |")
    lines.append("|" + "|".join("---:" if name in table.kinds else "---" for name in table.cells.columns) + "|")
    for row, texts in enumerate(_texts(table)):
        cells = []
        for column, text in enumerate(texts):
            mark = MARKDOWN.get(table.marks.get((row, column), ""), "{}")
            cells.append(mark.format(escape_markdown(text)) if text else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """Return a table for LaTeX with the package booktabs."""
    columns = table.cells.columns
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(table.title)}}}",
        rf"\begin{{tabular}}{{{''.join('r' if name in table.kinds else 'l' for name in columns)}}}",
        r"\toprule",
        " & ".join(_latex(name) for name in columns) + r" \\",
        r"\midrule",
    ]
    for row, texts in enumerate(_texts(table)):
        if row in table.breaks:
            lines.append(r"\midrule")
        cells = [
            LATEX.get(table.marks.get((row, column), ""), "{}").format(_latex(text)) if text else ""
            for column, text in enumerate(texts)
        ]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def _latex(text: str) -> str:
    return "".join(LATEX_SIGNS.get(sign, sign) for sign in plain(text))


def comma_separated(table: Table) -> str:
    """Return a table as CSV, numbers in full, holes empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(plain(name)) for name in table.cells.columns])
    for row in table.cells.itertuples(index=False):
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: object) -> object:
    """Return a value that no spreadsheet runs: a text that begins like a formula gets an apostrophe in front."""
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return ""
    if isinstance(value, str):
        text = plain(value)
        return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
    return round(value, DIGITS) if isinstance(value, float) else value


def _texts(table: Table) -> list[list[str]]:
    """Return the cells as they are written."""
    kinds = [table.kinds.get(name, "score") for name in table.cells.columns]
    columns = [table.cells.iloc[:, place].astype(object).tolist() for place in range(table.cells.shape[1])]
    return [
        [number(value, kind) for value, kind in zip(values, kinds, strict=True)]
        for values in zip(*columns, strict=True)
    ]


TEXTS: dict[str, Callable[[Table], str]] = {"md": markdown, "latex": latex}
