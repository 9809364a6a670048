"""Options that several commands share, and how results and errors reach the terminal. Imports nothing heavy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from benchmark.evidence import Json, Result
    from benchmark.slices import Slices
    from leaderboard.tables import Table

Model = Annotated[
    str | None,
    typer.Option(help="A sentence-transformers checkpoint (folder or hub name), muse (the default), or random."),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        help="A task, task@variant, suite, or folder of your own; may be repeated. "
        "Default: the suite core for a model that is named, the embedded task demo otherwise."
    ),
]
Name = Annotated[str, typer.Option(help="How tables show the model. Default: its folder or hub name.")]
QueryPrompt = Annotated[
    str | None, typer.Option(help='Prompt of the queries: its name in the checkpoint or its text; "" is none.')
]
DocumentPrompt = Annotated[str | None, typer.Option(help="Prompt of the documents, likewise.")]
Dtype = Annotated[str, typer.Option(help="What the model computes in: float32, bfloat16 or float16.")]
Revision = Annotated[str, typer.Option(help="Commit, tag or branch of a model on the hub.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that comes with the checkpoint. Read it first.")
]
Settings = Annotated[
    str | None,
    typer.Option(help="Of mono, cross, multi, pair, mining: which ones, comma between. Default: the card's."),
]
Languages = Annotated[str | None, typer.Option(help="Only these languages on both sides: en,sw,am.")]
QueryLanguages = Annotated[str | None, typer.Option(help="Only queries in these languages.")]
DocumentLanguages = Annotated[str | None, typer.Option(help="Only documents in these languages.")]
Mirror = Annotated[
    str | None,
    typer.Option(help="Folder or https address that stands for raw.githubusercontent.com (or ISOGLOSS_MIRROR)."),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never touch the network; say what is missing and where it goes.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables, one line for each task.")]
Results = Annotated[Path, typer.Option(help="Folder for results.")]
MeasureOption = Annotated[
    list[str] | None, typer.Option("--measure", help="A measure such as nDCG@10, besides the card's. May be repeated.")
]


def show(result: "Result", shown: "Iterable[Table]") -> None:
    """Print tables of a result, and below them what it was measured on and what it cost."""
    from leaderboard import formats

    terminal, says = console(), result.says
    for table in shown:
        grid = formats.terminal(table)
        terminal.width = max(terminal.width, terminal.measure(grid).maximum)  # lines may break, numbers are never cut
        terminal.print()
        terminal.print(grid)
    task, model, cost = says["task"], says["model"], says["cost"]
    cut = model["truncated"]
    lines = [
        "",
        f"{task['topics']:,} topics, {task['queries']:,} queries, {task['documents']:,} documents; "
        f"{model['dimensions']} dimensions, {model['dtype']} on {model['device']}",
        f"truncated: {cut['query']:.1%} of the queries, {cut['document']:.1%} of the documents; "
        f"tied with another document: {says['ties']:.2%} of the answers",
        f"first query as sent:    {model['first_query_as_sent'][:90]!r}",
        f"first document as sent: {model['first_document_as_sent'][:90]!r}",
        f"{cost['texts_encoded']:,} texts encoded in {cost['encode_seconds']:,.1f} s, "
        f"ranked in {cost['rank_seconds']:,.1f} s; evidence: {result.folder}",
    ]
    terminal.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def json_text(says: "Json") -> str:
    """Return JSON on one line."""
    import json

    return json.dumps(says, ensure_ascii=False)


def summary(result: "Result", setting: str | None = None, cut: "Slices | None" = None) -> "Json":
    """Return what `--json` prints of a result: its tables, or those of one setting, and those of its slices."""
    from benchmark import evidence

    says = result.says
    found = {
        "task": evidence.label(says),
        "model": says["model"]["name"],
        "main_measure": says["main_measure"],
        "intervals": says.get("intervals"),
        **_tables(says, setting),
        "ties": says["ties"],
        "cost": says["cost"],
        "evidence": str(result.folder),
    }
    if cut:
        values = [
            {"value": part.value, "topics": part.topics} | _tables(part.says, setting, ("bias",)) for part in cut.parts
        ]
        found["slices"] = {"by": cut.by, "of": cut.of, "every": cut.every, "values": values}
    return found


def _tables(
    says: "Json", setting: str | None, biases: tuple[str, ...] = ("bias", "language_share", "consistency")
) -> "Json":
    return {
        **{
            name: [row for row in says.get(name, []) if setting in (None, row["setting"])]
            for name in ("averages", "directions", "languages")
        },
        "strong": says["strong"] if setting in (None, "strong") else [],
        "mining": says.get("mining", []) if setting in (None, "mining") else [],
        **{name: says[name] if setting in (None, "multi") else [] for name in biases},
    }


def listed(text: str | None) -> list[str] | None:
    """Return the words of a list with commas between; None if there is none."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def console() -> "Console":
    """Return the terminal for results; 200 columns wide where nobody is looking."""
    from rich.console import Console

    terminal = Console()
    terminal.width = max(terminal.width, 110) if terminal.is_terminal else 200
    return terminal


def errors() -> "Console":
    """Return the terminal for progress and notices."""
    from rich.console import Console

    return Console(stderr=True)
