"""What the speed scripts share: XQuAD-R, timing, and one way to print."""

import argparse
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from benchmark.progress import Progress
from benchmark.run import Task, prepare
from tasks import card


def arguments(description: str, **numbers: int) -> argparse.Namespace:
    """Parse --model and --mirror, and whole numbers with these defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", default="random", help="checkpoint folder, muse, or random")
    parser.add_argument("--mirror", help="as for bench run")
    parser.add_argument("--dtype", default="float32", help="as for bench run")
    for name, value in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def xquad(mirror: str | None) -> Task:
    """Return XQuAD-R."""
    return prepare(card.find("xquad-r"), mirror=mirror, progress=Progress(Console(stderr=True)))


def fastest(function: Callable[[], object], times: int) -> float:
    """Return the seconds of the fastest of several calls."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)


def show(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left", box=None)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
