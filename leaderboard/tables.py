"""What an evidence says in; tables for the terminal out.

Three tables for a result: the averages of each setting beside what a random order scores; the query language x document
language matrix; one row for each language.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from benchmark import averages, evidence
from tasks import languages

MATRIX_LANGUAGES = 20  # more do not fit a terminal
SETTING_NAMES = {
    "mono": "mono: own language",
    "cross": "cross: one other",
    "multi": "multi: all together",
    "pair": "pair: own and one other",
}


def of(says: evidence.Json, measure: str | None = None) -> Iterator[Table]:
    """Yield the tables of one result; `measure` is what the matrix and the rows show (None: the main one)."""
    measure = measure or str(says["main_measure"])
    yield summary(says)
    directed = evidence.directions(says)
    grid = averages.matrix(directed, measure)
    if grid.size > 1 and max(grid.shape) <= MATRIX_LANGUAGES:
        yield matrix(grid, measure)
    yield rows(says, directed, measure)


def summary(says: evidence.Json) -> Table:
    """Return the averages by setting: macro, micro and by chance for the main measure, macro for the others."""
    main = str(says["main_measure"])
    others = [name for name in says["directions"][0]["measures"] if name != main]
    model, task = says["model"], says["task"]
    table = _table(f"{model['name']} on {task['title']}{' @' + task['variant'] if task['variant'] else ''}")
    table.add_column("setting", no_wrap=True)
    for name in ("directions", "n"):
        table.add_column(name, justify="right")
    for name in (f"{main}\nmacro", f"{main}\nmicro", f"{main}\nchance", *(f"{name}\nmacro" for name in others)):
        table.add_column(name, justify="right")
    table.add_column("rank\ndistance", justify="right")
    found = {(row["setting"], row["average"]): row for row in says["averages"]}
    distance = {row["query_language"]: row["rank_distance"] for row in says["bias"]}
    for setting in [row["setting"] for row in says["averages"] if row["average"] == "macro"]:
        macro, micro, chance = (found[setting, average] for average in ("macro", "micro", "chance"))
        table.add_row(
            SETTING_NAMES[setting],
            f"{macro['directions']}",
            f"{macro['n']:,}",
            Text(_number(macro["measures"][main]), style="bold"),
            _number(micro["measures"][main]),
            Text(_number(chance["measures"][main]), style="dim"),
            *(_number(macro["measures"][name]) for name in others),
            f"{distance['macro']:,.0f}" if setting == "multi" and distance else "",
        )
    return table


def matrix(grid: pd.DataFrame, measure: str) -> Table:
    """Return the query x document language matrix with macro margins; own language bold, the worst cell underlined."""
    table = _table(f"{measure} by language of question (row) and documents", padding=(0, 0, 0, 1))
    table.add_column("q \\ d")
    for name in grid.columns:
        table.add_column(str(name), justify="right")
    table.add_column("mean", justify="right", style="dim")
    worst = grid.min().min()
    for query, values in grid.iterrows():
        cells = [
            Text(_number(value), style=_style(query == document, bool(value == worst)))
            for document, value in values.items()
        ]
        table.add_row(str(query), *cells, _number(values.mean()))
    table.add_section()
    table.add_row(
        "mean", *(_number(value) for value in grid.mean()), _number(float(np.nanmean(grid.to_numpy()))), style="dim"
    )
    return table


def rows(says: evidence.Json, directed: pd.DataFrame, measure: str) -> Table:
    """Return one row a language: what it finds, how it is found, and the bias of its ranking of the pool of all."""
    table = _table(f"{measure} and language bias, by language of the question")
    bias = {row["query_language"]: row for row in says["bias"]}
    complete = any(row["complete@10"] for row in bias.values())  # impossible with more than ten answers to a query
    columns = ["language", "n", "mono", "cross\nasking", "cross\nfound", "multi", "rank\ndistance", "chance"]
    for name in [*columns, "Max@R\n0-100", *(["Comp@10"] if complete else [])]:
        table.add_column(name, justify="left" if name == "language" else "right", no_wrap=True)

    def mean(setting: str, column: str, tag: str) -> str:
        return _number(directed.loc[(directed["setting"] == setting) & (directed[column] == tag), measure].mean())

    task = says["task"]
    for tag in sorted({*task["query_languages"], *task["document_languages"]}):
        asked = directed.loc[directed["query_lang"] == tag, "queries"].max()
        table.add_row(
            f"{languages.name(tag)} ({tag})",
            "" if pd.isna(asked) else f"{asked:,}",
            mean("mono", "query_lang", tag),
            mean("cross", "query_lang", tag),
            mean("cross", "pool", tag),
            mean("multi", "query_lang", tag),
            *_bias(bias.get(tag), complete),
        )
    if bias:
        table.add_section()
        for average in ("macro", "micro"):
            table.add_row(
                f"{average} average", f"{bias[average]['n']:,}", "", "", "", "", *_bias(bias[average], complete)
            )
    return table


def _bias(row: dict[str, Any] | None, complete: bool) -> list[str]:
    if row is None:
        return []
    distance, chance = f"{row['rank_distance']:,.0f}", f"{row['rank_distance_chance']:,.0f}"
    cells = [distance, chance, f"{row['max_rank_normalised']:.1f}"]
    return [*cells, _number(row["complete@10"])] if complete else cells


def _table(title: str, padding: tuple[int, int, int, int] = (0, 1, 0, 1)) -> Table:
    # Names are untrusted text: a Text is never read as markup.
    return Table(
        title=Text(title, style="bold"), title_justify="left", box=None, padding=padding, header_style="cyan"
    )  # fmt: skip


def _number(value: float) -> str:
    """Three decimals without the leading zero, as tables of this field print them; "" for a hole."""
    if pd.isna(value):
        return ""
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def _style(own: bool, worst: bool) -> str:
    return " ".join(["bold"] * own + ["underline red"] * worst)
