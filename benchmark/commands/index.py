"""`bench index`: a model and ways to compress or search its vectors in; what each costs every language, out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.common import command_line, console, errors, json_text
from benchmark.commands.options import ModelOptions, Results, TaskOptions, expanded, listed
from tasks.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from benchmark.compression import Compressed
    from benchmark.evidence import Json, Result

FORMATS = ("terminal", "md", "csv", "json")


@expanded
def index(
    model: ModelOptions,
    task: TaskOptions,
    index: Annotated[
        list[str] | None,
        typer.Option(
            help="Search through this index of faiss: HNSW32, IVF64,Flat, SQ8, PQ48, ...; search parameters follow "
            "a plus: HNSW32+efSearch=64. May be repeated, as may the next two: a row each."
        ),
    ] = None,
    dim: Annotated[
        list[int] | None, typer.Option(min=1, help="Keep so many numbers of each vector (Matryoshka).")
    ] = None,
    quantize: Annotated[
        list[str] | None, typer.Option(help="Keep the vectors as int8 or binary, as sentence-transformers does.")
    ] = None,
    dtypes: Annotated[
        str | None, typer.Option(help="Also let the model compute in these dtypes, comma between; a row each.")
    ] = None,
    depth: Annotated[
        int, typer.Option(min=10, help="How many documents an index that gives lists is asked for.")
    ] = 100,
    results: Results = Path("results"),
    form: Annotated[
        str, typer.Option("--format", help="terminal, md, csv (every difference, one row each) or json.")
    ] = "terminal",
    plots: Annotated[Path | None, typer.Option(help="Draw what each language loses into this folder.")] = None,
) -> None:
    """Search a model's vectors through indexes, quantised or cut short, and tell what that costs each language."""
    if form not in FORMATS:
        raise UserError(f"«{form}» is not a format; take {', '.join(FORMATS)}.")
    from benchmark import compression, encoders, losses
    from benchmark.indexes import QUANTISERS, parse
    from benchmark.progress import Progress

    if wrong := [one for one in quantize or [] if one not in QUANTISERS]:
        raise UserError(f"«{wrong[0]}» is no quantiser; take {' or '.join(QUANTISERS)}.")
    texts = [*(f"dim{one}" for one in dim or []), *(quantize or []), *(index or [])]
    variants = list(dict.fromkeys(parse(text) for text in texts))
    progress = Progress(errors())
    cards = task.cards(model.model)
    encoder = model.load(offline=task.offline)
    name = encoder.model.name
    others = [
        model.load(offline=task.offline, dtype=other, name=f"{name}+dtype={other}")
        for other in dict.fromkeys(listed(dtypes) or [])
        if other != encoder.model.dtype
    ]
    if not variants and not others:
        raise UserError("There is nothing to search through; name an --index, a --dim, a --quantize or other --dtypes.")
    ready = task.prepare(cards, progress)
    instructed = [[encoders.instructed(each, one.card) for each in (encoder, *others)] for one in ready]
    for one, (asked, *changed) in zip(ready, instructed, strict=True):
        exact, found = compression.measure(
            one, asked, variants, results, progress, command_line(), dtypes=changed, depth=depth
        )
        cells = losses.of(found)
        _show(form, exact, found, cells)
        if plots is not None:
            _draw(exact, cells, plots)


def _show(form: str, exact: "Result", found: "Sequence[Compressed]", cells: "pd.DataFrame") -> None:
    """Print what was found: tables and sentences, or every number."""
    from leaderboard import formats, losses

    if form == "csv":
        print(formats.comma_separated(losses.every_cell(exact, cells)), end="")
        return
    if form == "json":
        print(json_text(_as_json(exact, found, cells)))
        return
    tables, notes = losses.of(exact, found, cells), losses.notes(exact, found, cells)
    if form == "md":
        print("\n".join(formats.markdown(table) for table in tables))
        print("\n".join(f"- {formats.escape_markdown(note)}" for note in notes))
        return
    terminal = console()
    for table in tables:
        grid = formats.terminal(table)
        terminal.width = max(terminal.width, terminal.measure(grid).maximum)
        terminal.print()
        terminal.print(grid)
    terminal.print("\n" + "\n".join(notes), highlight=False, markup=False, soft_wrap=True)
    terminal.print(f"evidence: {exact.folder} and beside it", highlight=False, markup=False, soft_wrap=True)


def _as_json(exact: "Result", found: "Sequence[Compressed]", cells: "pd.DataFrame") -> "Json":
    import math

    from benchmark import evidence

    def rows(name: str) -> "list[Json]":
        part = cells[cells["variant"] == name].drop(columns="variant")
        return [
            {str(key): None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
            for row in part.to_dict("records")
        ]

    return {
        "task": evidence.label(exact.says),
        "model": exact.says["model"]["name"],
        "evidence": str(exact.folder),
        "index": exact.says["index"],
        "variants": [
            {
                "name": one.name,
                "evidence": str(one.result.folder),
                "against": str(one.against.folder),
                "index": one.result.says.get("index"),
                "cells": rows(one.name),
            }
            for one in found
        ],
    }


def _draw(exact: "Result", cells: "pd.DataFrame", folder: Path) -> None:
    from leaderboard import plots

    for path in plots.write_losses(exact, cells, folder):
        print(path, file=sys.stderr)
