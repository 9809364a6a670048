"""`bench noise`: how far scores move when nothing changes."""

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
    console,
    errors,
    json_text,
    listed,
)
from tasks.errors import UserError


def noise(
    model: Model = None,
    task: Tasks = None,
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
    name: Name = "",
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
    """Encode a result's texts again in other batches, order and threads, and keep how far its scores move."""
    from benchmark import encoders, evidence
    from benchmark import noise as noises
    from benchmark import run as runner
    from benchmark.progress import Progress
    from leaderboard import formats, gate
    from tasks.card import resolve

    progress = Progress(errors())
    cards = resolve(task or ["core" if model else "demo"])

    def load(computed_in: str) -> encoders.Encoder:
        return encoders.load(
            model or "muse",
            name=name,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
            dtype=computed_in,
            revision=revision,
            trust_remote_code=trust_remote_code,
            offline=offline,
        )

    encoder = load(dtype)
    varied = listed(vary) or []
    noises.repetitions(encoder, varied)
    changes = [load(other) for other in dict.fromkeys(listed(dtypes) or []) if other != dtype]
    if not varied and not changes:
        raise UserError("There is nothing to measure; name what to vary with --vary, or another dtype with --dtypes.")
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
    command = " ".join(["bench", *(shlex.quote(word) for word in sys.argv[1:])])
    for one in ready:
        folder = evidence.prepare(results, encoder.model.name, one.card.label)
        key = evidence.key_of(runner.key_parts(one, encoder))
        result = evidence.stored(folder, one.card.label, key) or runner.run(one, encoder, results, progress, command)
        rows = noises.measure(one, encoder, result, progress, varied=varied, changes=changes, texts=texts)
        result = evidence.amend(result, noise=rows)
        if as_json:
            says = {"task": one.card.label, "model": encoder.model.name, "noise": rows, "evidence": str(result.folder)}
            print(json_text(says))
            continue
        terminal = console()
        terminal.print()
        terminal.print(formats.terminal(gate.noise(result.says)))
        still = all(not row["moved"] for row in rows if not row["change"] and row["varied"] != "machine")
        if still:
            terminal.print("No vector moved: what this model makes of a text depends on the text alone.")
