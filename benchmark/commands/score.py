"""`bench score`: runs and their task in, results out."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.common import command_line, errors, json_text, show, summary
from benchmark.commands.options import AsJson, Results, TaskOptions, expanded, listed
from tasks.card import MINING
from tasks.errors import UserError


@expanded
def score(
    run: Annotated[
        list[Path],
        typer.Argument(
            help="A TREC run file, or a folder of them, en--de.trec, en--multi.trec, …; several are scored one by one."
        ),
    ],
    task: TaskOptions,
    name: Annotated[str, typer.Option(help="How tables show the run. Default: its file or folder name.")] = "",
    citation: Annotated[str, typer.Option(help="What to cite for the run; kept with the result.")] = "",
    notes: Annotated[str, typer.Option(help="Anything to know of the run; kept with the result.")] = "",
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Score runs that any system wrote, without a model."""
    from benchmark import evidence, runs
    from benchmark import score as scores
    from benchmark.progress import Progress
    from leaderboard import tables

    if not task.task:
        raise UserError("Say which task the run is of: --task xquad-r.")
    cards = task.cards(None)
    if len(cards) > 1:
        raise UserError(f"A run is of one task, and {', '.join(task.task)} are {len(cards)}; name one with --task.")
    asked = listed(task.settings) or []
    if MINING in asked:
        raise UserError(f"A run holds what queries found, and no mined pairs; leave {MINING} out of --settings.")
    called = [evidence.slug(name or runs.name(path)) for path in run]
    if twice := next((path for place, path in enumerate(run) if called[place] in called[:place]), None):
        raise UserError(f"{twice} would take the place of another run of this name; score it by itself, with --name.")
    progress = Progress(errors())
    (ready,) = task.prepare(cards, progress)
    whole = ready.collection
    if task.languages or task.query_languages or task.document_languages:
        everything = replace(task, settings=None, languages=None, query_languages=None, document_languages=None)
        whole = everything.prepare(cards, progress)[0].collection
    about = {"name": name, "citation": citation, "notes": notes}
    for path in run:
        result = scores.score(ready, whole, path, asked, about, results, progress, command_line())
        if as_json:
            print(json_text(summary(result)))
        else:
            show(result, tables.brief(result.says))
