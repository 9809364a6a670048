"""`bench report` and `bench leaderboard`: results in; tables, plots and pages out."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.common import json_text, show, summary
from tasks.errors import UserError


def report(
    result: Annotated[
        list[Path],
        typer.Argument(help="Folder of a result, such as results/muse/demo; several for plots side by side."),
    ],
    measure: Annotated[
        str | None,
        typer.Option(help="What the tables show; computed from the ranks if need be. Default: the main one."),
    ] = None,
    setting: Annotated[
        str | None,
        typer.Option(help="Only mono, cross, multi, pair, mining, or strong (alignment). Default: all tables."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Slice the tables by a facet of the task (domain, …), or by script, family or class of the language "
            "that asks."
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format", help="terminal, md, latex, csv (every direction, one row each), json, or mteb (what it keeps)."
        ),
    ] = "terminal",
    plots: Annotated[
        Path | None, typer.Option(help="Draw the plots into this folder, SVG and PNG, the results side by side.")
    ] = None,
) -> None:
    """Show the tables of a result, and draw its plots, from its evidence alone."""
    from benchmark import evidence, slices
    from benchmark.bias import STRONG
    from benchmark.measures import parse
    from leaderboard import formats, mteb, sliced, tables
    from tasks.card import EVERY_SETTING, MINING
    from tasks.errors import nearest

    known = ["terminal", *formats.TEXTS, "csv", "json", "mteb"]
    if form not in known:
        raise UserError(f"«{form}» is not a format; take {', '.join(known)}.")
    kinds = [*EVERY_SETTING, STRONG]
    if setting is not None and setting not in kinds:
        raise UserError(f"«{setting}» is not a setting{nearest(setting, kinds) or '; take ' + ', '.join(kinds) + '.'}")
    if form == "mteb" and (measure or by or len(result) > 1):
        raise UserError("mteb keeps a file for each result, with all measures and no slices; leave the rest out.")
    name = str(parse(measure)) if measure else None
    found = [evidence.read(folder) for folder in result]
    if by and setting == MINING:
        raise UserError("Mined pairs are not of one question each, so mining has no slices; leave out --by.")
    if plots is not None and len({(evidence.label(one.says), one.says["task"]["data_hash"]) for one in found}) > 1:
        raise UserError("Plots side by side need results on the same data; draw other tasks one by one.")
    cuts = [None if by is None else slices.of(one, by, name) for one in found]
    if name:  # slices are of the topics that are kept in any case, all else is of all topics
        kept = [cut is None or cut.every == 1 or plots is not None for cut in cuts]
        found = [evidence.measured(one, name) if all_of_it else one for one, all_of_it in zip(found, kept, strict=True)]
    for one, cut in zip(found, cuts, strict=True):
        if form == "json":
            print(json_text(summary(one, setting, cut)))
        elif form == "mteb":
            text, without = mteb.text(one, setting)
            print(text)
            if without:
                print(f"{without} directions have no place in mteb's task and are left out.", file=sys.stderr)
        elif form == "csv":
            if setting == MINING:
                table = tables.every_pair(one.says)
            else:
                table = sliced.every_direction(cut, setting) if cut else tables.every_direction(one.says, setting)
            rows = formats.comma_separated(table)
            print(rows if one is found[0] else rows.partition("\n")[2], end="")
        else:
            if cut:
                shown = sliced.of(cut, name or str(one.says["main_measure"]), setting)
            else:
                shown = tables.of_setting(one.says, setting, name) if setting else tables.of(one.says, name)
            if form == "terminal":
                show(one, shown)
            else:
                print("\n".join(formats.TEXTS[form](part) for part in shown), end="")
    if plots is not None:
        from leaderboard import plots as drawing

        for path in drawing.write(found, plots, evidence.label(found[0].says), measure=name):
            print(path, file=sys.stderr)


def leaderboard(
    results: Annotated[Path, typer.Argument(help="Folder of results.")] = Path("results"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if what is there is not what would be written.")
    ] = False,
) -> None:
    """Write README.md, a page for each task, plots and index.html from all results in a folder."""
    from leaderboard import publish

    if check:
        stale = publish.stale(results)
        for path in stale:
            print(f"stale: {path}")
        raise typer.Exit(1 if stale else 0)
    for path in publish.write(results):
        print(path)
