"""`bench export`: a result, or a task and a model, in; files for other tools out."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.common import errors
from benchmark.commands.options import ModelOptions, TaskOptions, expanded
from tasks.errors import UserError


@expanded
def export(
    model: ModelOptions,
    task: TaskOptions,
    result: Annotated[
        Path | None,
        typer.Argument(help="Folder of a result; or leave it out and name a --task (and a --model, for what is its)."),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            help="Write a TREC run for each direction into this folder; of a result, for the pool of all languages."
        ),
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(help="Write the relevant documents of each direction into this folder, as TREC qrels."),
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(help="Write the vectors (.npy) and their ids (.txt) into this folder.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="Documents in a list at most. Default: 100, or what the result keeps.", min=1)
    ] = None,
) -> None:
    """Write runs, judgements or vectors that other tools read."""
    from benchmark import encoders, evidence, export, systems
    from benchmark.progress import Progress
    from benchmark.ranking import TOP

    folders = [folder for folder in (runs, qrels, vectors) if folder is not None]
    if not folders:
        raise UserError("Say what to write, and where: --runs, --qrels or --vectors, each with a folder.")
    whole = [folder.resolve() for folder in folders]
    if len(set(whole)) < len(whole) or any(one in other.parents for one in whole for other in whole):
        raise UserError("Each export needs a folder of its own; name different ones, none of them in another.")
    if depth is not None and runs is None:
        raise UserError("--depth is of --runs; name a folder for them, too.")
    for folder in folders:
        export.require(folder)
    progress = Progress(errors())
    if result is not None:
        if model != ModelOptions() or task != TaskOptions():
            raise UserError(f"{result} says itself what it is of; leave out the options of models and tasks.")
        if vectors is not None:
            raise UserError("A result holds no vectors; name the --model and the --task instead.")
        found = evidence.read(result)
        about = export.of_result(found)
        every = found.says["kept"]
        if every["every"] > 1:
            progress.say(f"{result} keeps the ranks of one topic in {every['every']}, and only those are exported.")
        if runs is not None:
            export.write_runs(runs, export.kept(found, depth), about)
        if qrels is not None:
            export.write_qrels(qrels, found.ranks(), about)
    else:
        if not task.task:
            raise UserError("Say what to export: the folder of a result, or a --task and its --model.")
        if runs is None and vectors is None and model != ModelOptions():
            raise UserError("Judgements are the task's, whatever the model; leave out the options of models.")
        if task.measure:
            raise UserError("An export has no measures; leave out --measure.")
        cards = task.cards(model.model)
        if len(cards) > 1:
            raise UserError(f"An export is of one task, and {', '.join(task.task)} are {len(cards)}; name one.")
        encoder = model.load(offline=task.offline) if runs is not None or vectors is not None else None
        if vectors is not None and encoder is not None and encoder.kind != "vector":
            raise UserError(f"{encoder.model.name} does not make one vector of a text, so there are none to export.")
        (ready,) = task.prepare(cards, progress)
        encoder = encoders.instructed(encoder, ready.card) if encoder else None
        about = export.of_task(ready, encoder.model if encoder else None)
        system = systems.prepare(ready.card, ready.collection, encoder, progress, ready.settings) if encoder else None
        if system is not None and vectors is not None:
            export.write_vectors(vectors, ready, system, about)
        if system is not None and runs is not None:
            export.write_runs(runs, export.searched(ready, system, depth or TOP), about | {"depth": depth or TOP})
        if qrels is not None:
            export.write_qrels(qrels, export.judged(ready), export.of_task(ready, None))
    for folder in folders:
        print(folder)
