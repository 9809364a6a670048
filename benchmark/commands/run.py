"""`bench run`: tasks and a model in, results out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.common import (
    AsJson,
    DocumentLanguages,
    DocumentPrompt,
    Dtype,
    Languages,
    MeasureOption,
    Mirror,
    Model,
    Name,
    Offline,
    QueryLanguages,
    QueryPrompt,
    Results,
    Revision,
    Settings,
    Tasks,
    TrustRemoteCode,
    errors,
    json_text,
    listed,
    show,
    summary,
)


def run(
    model: Model = None,
    task: Tasks = None,
    results: Results = Path("results"),
    name: Name = "",
    citation: Annotated[str, typer.Option(help="What to cite for the model; kept with the result.")] = "",
    notes: Annotated[str, typer.Option(help="Anything to know of the model; kept with the result.")] = "",
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    dtype: Dtype = "float32",
    revision: Revision = "",
    trust_remote_code: TrustRemoteCode = False,
    settings: Settings = None,
    measure: MeasureOption = None,
    languages: Languages = None,
    query_languages: QueryLanguages = None,
    document_languages: DocumentLanguages = None,
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
