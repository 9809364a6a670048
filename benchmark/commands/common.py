"""How results and errors reach the terminal. Imports nothing heavy."""

import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from benchmark.evidence import Json, Result
    from benchmark.slices import Slices
    from leaderboard.tables import Table


def show(result: "Result", shown: "Iterable[Table]") -> None:
    """Print tables of a result, and below them what it was measured on and what it cost."""
    from benchmark.evidence import lists
    from leaderboard import formats

    terminal, says = console(), result.says
    for table in shown:
        grid = formats.terminal(table)
        terminal.width = max(terminal.width, terminal.measure(grid).maximum)  # lines may break, numbers are never cut
        terminal.print()
        terminal.print(grid)
    task, model, cost = says["task"], says["model"], says["cost"]
    texts = f"{task['topics']:,} topics, {task['queries']:,} queries, {task['documents']:,} documents; "
    tied = f"tied with another document: {says['ties']:.2%} of the answers"
    ranked = f"ranked in {cost['rank_seconds']:,.1f} s; evidence: {result.folder}"
    read = ""
    if "pairs_reranked" in cost:
        read = f"{cost['pairs_reranked']:,} pairs reranked in {cost.get('rerank_seconds', 0):,.1f} s, "
    if given := lists(says):
        lines = ["", texts + tied, f"lists: {given}", ranked]
    else:
        lines = [
            "",
            texts + ", ".join(filter(None, [formats.size(model), formats.computed(model)])),
            f"truncated: {formats.truncated(model)}; {tied}",
            f"first query as sent:    {model['first_query_as_sent'][:90]!r}",
            f"first document as sent: {model['first_document_as_sent'][:90]!r}",
            f"{cost['texts_encoded']:,} texts encoded in {cost['encode_seconds']:,.1f} s, {read}{ranked}",
        ]
    zeros = model.get("zeros", {})
    if any(zeros.values()):
        lines.insert(3, f"nothing but zeros: {zeros['query']:,} queries, {zeros['document']:,} documents")
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
        **({"lists": says["lists"]} if "lists" in says else {}),
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


def command_line() -> str:
    """Return the command as it was typed."""
    return " ".join(["bench", *(shlex.quote(word) for word in sys.argv[1:])])


def console(least: int = 110) -> "Console":
    """Return the terminal for results, at least so wide; 200 columns where nobody is looking."""
    from rich.console import Console

    terminal = Console()
    terminal.width = max(terminal.width, least) if terminal.is_terminal else 200
    return terminal


def errors() -> "Console":
    """Return the terminal for progress and notices."""
    from rich.console import Console

    return Console(stderr=True)
