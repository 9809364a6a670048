"""Options that several commands share, and how results and errors reach the terminal. Imports nothing heavy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from benchmark.evidence import Json, Result
    from leaderboard.tables import Table

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


def summary(result: "Result", setting: str | None = None) -> "Json":
    """Return what `--json` prints of a result: its tables, or those of one setting."""
    from benchmark import evidence

    says = result.says
    return {
        "task": evidence.label(says),
        "model": says["model"]["name"],
        "main_measure": says["main_measure"],
        "intervals": says.get("intervals"),
        **{
            name: [row for row in says.get(name, []) if setting in (None, row["setting"])]
            for name in ("averages", "directions", "languages")
        },
        "strong": says["strong"] if setting in (None, "strong") else [],
        **{
            name: says[name] if setting in (None, "multi") else [] for name in ("bias", "language_share", "consistency")
        },
        "ties": says["ties"],
        "cost": says["cost"],
        "evidence": str(result.folder),
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
