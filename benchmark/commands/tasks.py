"""`bench tasks` and `bench fetch`: what is asked, brought, written and checked."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.common import console, errors, json_text
from benchmark.commands.options import AsJson, Mirror, Offline
from tasks.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmark.evidence import Json
    from tasks.check import Table as Understood

NARROW = 60  # columns that these tables, which are text, need
tasks_app = typer.Typer(help="List the tasks; write and check your own.", rich_markup_mode=None)


@tasks_app.callback(invoke_without_command=True)
def tasks(context: typer.Context, as_json: AsJson = False) -> None:
    """List the tasks: size, licence, what is on disk; or write and check one of your own."""
    if context.invoked_subcommand:
        return
    from rich.table import Table

    from tasks import card, fetch

    cards = [card.find(name) for name in card.catalogue()]
    if as_json:
        for one in cards:
            says: Json = {
                "task": one.name,
                "title": one.title,
                "variants": list(one.variants),
                "languages": one.languages,
                "bytes": sum(file.bytes for file in one.files),
                "missing_bytes": fetch.missing_bytes(one),
                "licence": one.licence,
                "description": one.description,
            }
            print(json_text(says))
        return
    table = Table(box=None, header_style="cyan", padding=(0, 2, 0, 0))
    for column in ("task", "variants", "languages", "download", "on disk", "licence"):
        number = column in ("languages", "download")
        table.add_column(column, justify="right" if number else "left", no_wrap=column not in ("variants", "licence"))
    for one in cards:
        size, missing = sum(file.bytes for file in one.files), fetch.missing_bytes(one)
        hub = "hub" in one.options
        table.add_row(
            one.name,
            ", ".join(one.variants),
            "many" if "mul" in one.languages else f"{len(one.languages) or 'embedded'}",
            "hub" if hub else f"{size / 1e6:.1f} MB" if size else "",
            "" if hub else "yes" if not missing else "no" if missing == size else "partly",
            one.licence,
        )
    terminal = console(NARROW)
    terminal.print(table)
    for name, members in card.suites().items():
        terminal.print(f"\nsuite {name}: {', '.join(members)}", highlight=False)


@tasks_app.command("new")
def new_task(folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet, or is empty.")]) -> None:
    """Write a small task of your own, a commented card and three tables, which runs as it is."""
    from tasks import new

    for path in new.write(folder):
        print(path)
    where = folder if folder.is_absolute() else f"./{folder}"
    print(f"Next: bench tasks check {where} and bench run --task {where}", file=sys.stderr)


@tasks_app.command("check")
def check_task(
    task: Annotated[str, typer.Argument(help="A folder of your own, or a task.")],
    mirror: Mirror = None,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Read a task as a run would and show what was understood of it; exit code 2 if it is not valid."""
    from benchmark import measures
    from benchmark.progress import Progress
    from tasks import card, check, fetch, readers
    from tasks.errors import InvalidCollectionError, printable

    found = card.find(task)
    measures.of_card(found)
    with Progress(errors()).bytes(f"fetching {found.label}", fetch.missing_bytes(found)) as advance:
        files = fetch.fetch(found, mirror, offline, advance)
    try:
        texts = readers.load(found, files)
    except InvalidCollectionError as error:
        for problem in error.problems:
            print(printable(f"{problem[0].upper()}{problem[1:]}."))
        raise UserError(f"{found.label} is not valid: {len(error.problems)} problem(s), listed above.") from error
    tables, problems = check.understood(found, texts), check.problems(found, texts)
    if as_json:
        shown = {table.title: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in tables}
        print(json_text({"task": found.label, "hash": texts.digest(), "problems": problems, "understood": shown}))
        return
    _show_check(tables, problems)


def fetch(
    task: Annotated[list[str], typer.Argument(help="Tasks or suites.")],
    mirror: Mirror = None,
    offline: Offline = False,
) -> None:
    """Bring the files of tasks ahead of time, verified by size and SHA-256."""
    from benchmark.progress import Progress
    from tasks import fetch as fetching
    from tasks.card import resolve

    progress = Progress(errors())
    for card in resolve(task):
        missing = fetching.missing_bytes(card)
        with progress.bytes(f"fetching {card.label}", missing) as advance:
            fetching.fetch(card, mirror, offline, advance)
        brought = f"{missing / 1e6:.1f} MB brought" if missing else "all there already"
        said = [f"{len(card.files)} files, {brought}"] if card.files else []
        said += [f"{card.options['hub']} is here"] if "hub" in card.options else []
        line = f"{card.label}: {'; '.join(said) or 'nothing to bring'}; licence: {card.licence}"
        console().print(line, highlight=False, markup=False, soft_wrap=True)


def _show_check(tables: "Iterable[Understood]", problems: list[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    from leaderboard.formats import plain
    from tasks.errors import printable

    terminal = console(NARROW)
    for one in tables:
        grid = Table(box=None, header_style="cyan", padding=(0, 2, 0, 0), title=one.title, title_justify="left")
        numbers = [all(not isinstance(row[place], str) for row in one.rows) for place in range(len(one.columns))]
        for column, number in zip(one.columns, numbers, strict=True):
            grid.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in one.rows:
            grid.add_row(*(Text(f"{cell:,}" if isinstance(cell, int | float) else plain(str(cell))) for cell in row))
        terminal.print(grid)
        terminal.print()
    for problem in problems:
        terminal.print(printable(problem), style="yellow", markup=False, highlight=False, soft_wrap=True)
    if not problems:
        terminal.print("No problem was found.", style="green")
