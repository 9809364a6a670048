"""`bench compare`: results on the same data in; whether they differ, where, and by how much, out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.common import console, json_text
from tasks.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.changed import Change
    from benchmark.evidence import Json
    from benchmark.paired import Paired
    from leaderboard.tables import Table

FORMATS = ("terminal", "md", "csv", "json")


def compare(
    result: Annotated[
        list[Path],
        typer.Argument(help="Folders of results on the same data; the first is what others are compared with."),
    ],
    measure: Annotated[
        str | None, typer.Option(help="By what; computed from the ranks if need be. Default: the main measure.")
    ] = None,
    fdr: Annotated[
        bool,
        typer.Option(
            "--fdr",
            help="Adjust p by Benjamini and Hochberg's method (few of the finds are false), not Holm's (none, likely).",
        ),
    ] = False,
    worst: Annotated[
        int, typer.Option(min=0, help="How many topics that lost most are shown, and that gained most.")
    ] = 3,
    form: Annotated[
        str, typer.Option("--format", help="terminal, md, csv (every difference, one row each) or json.")
    ] = "terminal",
    plots: Annotated[
        Path | None, typer.Option(help="Draw the differences by direction into this folder, SVG and PNG.")
    ] = None,
) -> None:
    """Say whether the differences between results are real, by setting, language and direction, from their evidence.

    Given one folder that holds results of checkpoints (models whose names end in -STEP), show their learning curves.
    """
    from benchmark import changed, evidence, paired
    from benchmark.measures import parse
    from leaderboard import differences, formats

    if form not in FORMATS:
        raise UserError(f"«{form}» is not a format; take {', '.join(FORMATS)}.")
    name = str(parse(measure)) if measure else None
    if missing := [folder for folder in result if not folder.is_dir()]:
        raise UserError(f"There is no folder {missing[0]}; name folders of results, such as results/muse/demo.")
    if len(result) == 1 and not (result[0] / "evidence.json").exists() and result[0].is_dir():
        _learning(result[0], name, form, plots)
        return
    if len(result) < 2:
        raise UserError(f"A comparison needs two results; name another beside {result[0]}.")
    if len({path.resolve() for path in result}) < len(result):
        raise UserError("A result is named twice; name each once.")
    results = [evidence.read(folder) for folder in result]
    found = paired.compare(results, name, fdr=fdr)
    called = differences.names(results)
    if form == "csv":
        print(formats.comma_separated(differences.every_cell(found, called)), end="")
    else:
        topics = [changed.changed(one, worst) for one in found]
        texts = _texts(found, topics)
        if form == "json":
            print(json_text(_as_json(found, called, fdr, topics, texts)))
        else:
            _show(form, found, called, fdr, topics, texts)
    if plots is not None:
        _draw(found, plots)


def _texts(
    found: "Sequence[Paired]", topics: "Sequence[tuple[list[Change], list[Change]]]"
) -> tuple[dict[str, str], dict[str, str], str]:
    """Return the texts of the topics that are shown: queries, documents, and "" or why there are none."""
    from benchmark import changed

    shown = [change for both in topics for side in both for change in side]
    if not shown:
        return {}, {}, ""
    documents = {doc_id for change in shown for doc_id in change.ids}
    return changed.texts(found[0].before, {change.query_id for change in shown}, documents)


def _show(
    form: str,
    found: "Sequence[Paired]",
    called: "Sequence[str]",
    fdr: bool,
    topics: "Sequence[tuple[list[Change], list[Change]]]",
    texts: tuple[dict[str, str], dict[str, str], str],
) -> None:
    """Print the tables of each comparison, the topics that changed most, and how to read it all."""
    from leaderboard import differences, formats

    terminal = console()
    queries, documents, why = texts

    def say(text: str, indent: int = 0) -> None:
        if form == "terminal":
            terminal.print("  " * indent + text, highlight=False, markup=False, soft_wrap=True)
        else:
            print(
                f"{'  ' * (indent - 1)}- {formats.escape_markdown(text)}"
                if indent
                else f"{formats.escape_markdown(text)}\n"
            )

    for one, name, sides in zip(found, called[1:], topics, strict=True):
        for table in differences.of(one, (called[0], name)):
            _print(form, table)
        for word, changes in zip(("lost", "gained"), sides, strict=True):
            if changes:
                terminal.print() if form == "terminal" else print()
                say(f"Topics that {word} most")
            for change in changes:
                head, *lines = differences.told(change, one.measure, queries, documents)
                say(head, 1)
                for line in lines:
                    say(line, 2)
            if form == "md" and changes:
                print()
        if any(change.above is None for side in sides for change in side):
            say(f"What stands above them now is not known for all: {one.after.folder} lacks their top k (top.parquet).")
    terminal.print() if form == "terminal" else None
    for note in [why, *differences.notes(found, called, fdr)]:
        if note:
            say(note)


def _print(form: str, table: "Table") -> None:
    """Print a table; lines may break, numbers are never cut."""
    from leaderboard import formats

    if form == "md":
        print(formats.markdown(table))
        return
    terminal, grid = console(), formats.terminal(table)
    terminal.width = max(terminal.width, terminal.measure(grid).maximum)
    terminal.print()
    terminal.print(grid)


def _as_json(
    found: "Sequence[Paired]",
    called: "Sequence[str]",
    fdr: bool,
    topics: "Sequence[tuple[list[Change], list[Change]]]",
    texts: tuple[dict[str, str], dict[str, str], str],
) -> "Json":
    """Return everything as one object: for each comparison its cells and the topics that changed most."""
    import math
    from dataclasses import asdict

    from benchmark import evidence
    from benchmark.comparable import comparable
    from benchmark.ranking import NOT_FOUND
    from leaderboard import differences

    queries, documents, why = texts

    def rows(one: "Paired") -> "list[Json]":
        cells = one.cells.assign(verdict=differences.verdicts(one.cells))
        cells = cells.rename(columns={"query_lang": "query_language"})
        return [
            {str(key): None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
            for row in cells.to_dict("records")
        ]

    def topic(change: "Change") -> "Json":
        named = {name: documents[name] for name in change.ids if name in documents}
        answers = [
            asdict(one) | {side: None for side in ("before", "after") if getattr(one, side) == NOT_FOUND}
            for one in change.answers
        ]
        return asdict(change) | {"answers": answers, "question": queries.get(change.query_id), "texts": named}

    return {
        "task": evidence.label(found[0].before.says),
        "measure": found[0].measure,
        "adjusted": "Benjamini-Hochberg" if fdr else "Holm",
        "topics": len(found[0].topics),
        "topics_of_the_task": found[0].held,
        "baseline": {"model": called[0], "evidence": str(found[0].before.folder)},
        "comparisons": [
            {
                "model": name,
                "evidence": str(one.after.folder),
                "besides": [reason.text for reason in comparable(one.before, one.after, one.measure)],
                "cells": rows(one),
                "lost_most": [topic(change) for change in lost],
                "gained_most": [topic(change) for change in gained],
            }
            for one, name, (lost, gained) in zip(found, called[1:], topics, strict=True)
        ],
        "no_texts": why or None,
    }


def _draw(found: "Sequence[Paired]", folder: Path) -> None:
    from leaderboard import plots

    paths = plots.write_differences(found, folder)
    for path in paths:
        print(path, file=sys.stderr)
    if not paths:
        print("Nothing is drawn: a heat map needs directions between two languages.", file=sys.stderr)


def _learning(folder: Path, measure: str | None, form: str, plots: Path | None) -> None:
    """Show the learning curves of the checkpoints in a folder."""
    from benchmark import evidence, learning
    from leaderboard import drawing, formats
    from leaderboard import learning as shown

    runs = learning.read(folder)
    found = [learning.curves(run, measure) for run in runs]
    if form == "csv":
        print(formats.comma_separated(shown.every_value(runs, found)), end="")
    elif form == "json":
        print(json_text({"runs": [shown.as_data(run, table) for run, table in zip(runs, found, strict=True)]}))
    else:
        for run, table in zip(runs, found, strict=True):
            for one in shown.tables(run, table):
                _print(form, one)
    if plots is not None:
        for run, table in zip(runs, found, strict=True):
            figure = shown.draw(run, table)
            for kind in ("svg", "png"):
                path = plots / f"{run.task}-{evidence.slug(run.name)}-learning.{kind}"
                print(drawing.save(figure, path, f"{run.task}: learning curves"), file=sys.stderr)
