"""`bench run`: tasks and a model in, results out."""

from pathlib import Path

from benchmark.commands.common import command_line, errors, json_text, show, summary
from benchmark.commands.options import AsJson, ModelOptions, Results, TaskOptions, expanded


@expanded
def run(
    model: ModelOptions,
    task: TaskOptions,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Encode a model's texts once and score every direction of each task."""
    from benchmark import encoders
    from benchmark import run as runner
    from benchmark.encoders.checkpoint import Checkpoint
    from benchmark.progress import Progress
    from leaderboard import tables

    progress = Progress(errors())
    cards = task.cards(model.model)
    encoder = model.load(offline=task.offline)
    ready = task.prepare(cards, progress)
    for one in ready:
        runner.check(one, encoder)
    instructed = [encoders.instructed(encoder, one.card) for one in ready]
    about, table = encoder.model, isinstance(encoder, Checkpoint) and encoder.recipe.kind == "static"
    usual = about.family in encoders.FAMILIES.values() and about.dtype == "float32" and "backend" not in about.how
    if usual and not table and encoders.computes_bfloat16(about.device):
        progress.say("This processor computes bfloat16 itself: --dtype bfloat16 is about three times as fast here.")
    for one, asked in zip(ready, instructed, strict=True):
        result = runner.run(one, asked, results, progress, command_line())
        if as_json:
            print(json_text(summary(result)))
        else:
            show(result, tables.brief(result.says))
