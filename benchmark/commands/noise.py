"""`bench noise`: how far scores move when nothing changes."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.common import command_line, console, errors, json_text
from benchmark.commands.options import AsJson, ModelOptions, Results, TaskOptions, expanded, listed
from tasks.errors import UserError


@expanded
def noise(
    model: ModelOptions,
    task: TaskOptions,
    vary: Annotated[
        str, typer.Option(help="What to vary, comma between; each costs an encoding of all texts.")
    ] = "batches,order,threads",
    dtypes: Annotated[
        str | None, typer.Option(help="Also measure what these dtypes change; listed apart, no part of the noise.")
    ] = None,
    texts: Annotated[
        int | None,
        typer.Option(help="Encode only so many queries and documents again, and infer the rest. Default: all.", min=1),
    ] = None,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Encode a result's texts again in other batches, order and threads, and keep how far its scores move."""
    from benchmark import encoders, evidence
    from benchmark import noise as noises
    from benchmark import run as runner
    from benchmark.progress import Progress
    from leaderboard import formats, gate

    progress = Progress(errors())
    cards = task.cards(model.model)
    encoder = model.load(offline=task.offline)
    varied = listed(vary) or []
    noises.repetitions(encoder, varied)
    others = [other for other in dict.fromkeys(listed(dtypes) or []) if other != model.dtype]
    changes = [model.load(offline=task.offline, dtype=other) for other in others]
    if not varied and not changes:
        raise UserError("There is nothing to measure; name what to vary with --vary, or another dtype with --dtypes.")
    command = command_line()
    ready = task.prepare(cards, progress)
    instructed = [[encoders.instructed(each, one.card) for each in (encoder, *changes)] for one in ready]
    for one, (asked, *changed) in zip(ready, instructed, strict=True):
        folder = evidence.prepare(results, asked.model.name, one.card.label)
        key = evidence.key_of(runner.key_parts(one, asked))
        result = evidence.stored(folder, one.card.label, key) or runner.run(one, asked, results, progress, command)
        rows = noises.measure(one, asked, result, progress, varied=varied, changes=changed, texts=texts)
        result = evidence.amend(result, noise=rows)
        if as_json:
            says = {"task": one.card.label, "model": encoder.model.name, "noise": rows, "evidence": str(result.folder)}
            print(json_text(says))
            continue
        terminal = console()
        terminal.print()
        terminal.print(formats.terminal(gate.noise(result.says)))
        moved = [row["moved"] for row in rows if not row["change"] and row["varied"] != "machine"]
        if moved and not any(moved):
            terminal.print("No vector moved: what this model makes of a text depends on the text alone.")
