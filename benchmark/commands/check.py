"""`bench check`: the gate."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.common import console, errors, json_text
from tasks.errors import UserError

FORMATS = ["terminal", "md", "json"]


def check(
    result: Annotated[Path, typer.Argument(help="Folder of a result, or of a model: then all its results.")],
    baseline: Annotated[Path, typer.Option(help="What it must not fall behind: a result, or the results of a model.")],
    thresholds: Annotated[
        Path | None,
        typer.Option(
            help="How much may be lost (TOML). Default: bench-check.toml beside the baseline, if it is there."
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the verdicts to this file, as JUnit XML.")] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Print annotations, and append to the job's summary (GITHUB_STEP_SUMMARY).")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="terminal, md or json (every cell).")] = "terminal",
) -> None:
    """Fail if a model got worse than its baseline: exit code 0 passed, 1 regressed, 2 could not be judged."""
    from benchmark import check as gates
    from benchmark import thresholds as limits
    from leaderboard import ci, formats, gate

    if form not in FORMATS:
        raise UserError(f"«{form}» is not a format; take {', '.join(FORMATS)}.")
    path = thresholds or limits.beside(baseline)
    agreed = limits.read(path) if path else limits.Thresholds()
    checked = gates.check(gates.results_in(baseline), gates.results_in(result), agreed)
    code = gates.exit_code(checked)
    if junit is not None:
        junit.write_bytes(ci.junit(checked))
    if form == "json":
        print(json_text(ci.says(checked, code) | {"thresholds": str(path) if path else None}))
    elif form == "md":
        print(ci.markdown(checked), end="")
    else:
        if path:
            errors().print(f"thresholds: {path}", style="dim", markup=False, highlight=False, soft_wrap=True)
        terminal = console()
        for one in checked:
            terminal.print()
            terminal.print(gate.headline(one), style="bold", markup=False, highlight=False, soft_wrap=True)
            for table in gate.tables(one):
                terminal.print()
                terminal.print(formats.terminal(table))
            for note in gate.notes(one):
                terminal.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)
    if github:
        print("\n".join(ci.annotations(checked)), file=sys.stdout if form == "terminal" else sys.stderr)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(summary).open("a", encoding="utf-8") as stream:
                stream.write(ci.markdown(checked))
    if code == 2:
        lost = [finding for one in checked if one.reasons for finding in gate.findings(one)]
        raise UserError("; ".join(f"{finding.title}, {finding.text}" for finding in lost) + ".")
    raise typer.Exit(code)
