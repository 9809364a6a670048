"""`bench run`: tasks and a model in, results out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.common import (
    AsJson,
    MeasureOption,
    Mirror,
    Offline,
    Results,
    errors,
    json_text,
    listed,
    show,
    summary,
)


def run(
    model: Annotated[
        str | None,
        typer.Option(help="A sentence-transformers checkpoint (folder or hub name), muse (the default), or random."),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="A task, task@variant, suite, or folder of your own; may be repeated. "
            "Default: the suite core for a model that is named, the embedded task demo otherwise."
        ),
    ] = None,
    results: Results = Path("results"),
    name: Annotated[str, typer.Option(help="How tables show the model. Default: its folder or hub name.")] = "",
    citation: Annotated[str, typer.Option(help="What to cite for the model; kept with the result.")] = "",
    notes: Annotated[str, typer.Option(help="Anything to know of the model; kept with the result.")] = "",
    query_prompt: Annotated[
        str | None, typer.Option(help='Prompt of the queries: its name in the checkpoint or its text; "" is none.')
    ] = None,
    document_prompt: Annotated[str | None, typer.Option(help="Prompt of the documents, likewise.")] = None,
    dtype: Annotated[str, typer.Option(help="What the model computes in: float32, bfloat16 or float16.")] = "float32",
    revision: Annotated[str, typer.Option(help="Commit, tag or branch of a model on the hub.")] = "",
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the checkpoint. Read it first.")
    ] = False,
    settings: Annotated[
        str | None,
        typer.Option(help="Of mono, cross, multi, pair, mining: which ones, comma between. Default: the card's."),
    ] = None,
    measure: MeasureOption = None,
    languages: Annotated[str | None, typer.Option(help="Only these languages on both sides: en,sw,am.")] = None,
    query_languages: Annotated[str | None, typer.Option(help="Only queries in these languages.")] = None,
    document_languages: Annotated[str | None, typer.Option(help="Only documents in these languages.")] = None,
    mirror: Mirror = None,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Encode a model's texts once and score every direction of each task."""
    from benchmark import encoders
    from benchmark import run as runner
    from benchmark.progress import Progress
    from tasks.card import resolve

    progress = Progress(errors())
    cards = resolve(task or ["core" if model else "demo"])
    encoder = encoders.load(
        model or "muse",
        name=name,
        citation=citation,
        notes=notes,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
        offline=offline,
    )
    ready = [
        runner.prepare(
            card,
            settings=listed(settings) or (),
            measured=measure or (),
            query_languages=listed(query_languages) or listed(languages),
            document_languages=listed(document_languages) or listed(languages),
            mirror=mirror,
            offline=offline,
            progress=progress,
        )
        for card in cards
    ]
    if encoder.model.family == "checkpoint" and dtype == "float32" and encoders.computes_bfloat16(encoder.model.device):
        progress.say("This processor computes bfloat16 itself: --dtype bfloat16 is about three times as fast here.")
    command = " ".join(["bench", *(shlex.quote(word) for word in sys.argv[1:])])
    from leaderboard import tables

    for one in ready:
        result = runner.run(one, encoder, results, progress, command)
        if as_json:
            print(json_text(summary(result)))
        else:
            show(result, tables.brief(result.says))
