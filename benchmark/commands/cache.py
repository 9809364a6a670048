"""`bench cache`: what was fetched and encoded: how much it is, whether it is whole, and what of it can go."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.common import console, errors

if TYPE_CHECKING:
    from collections.abc import Sequence

cache_app = typer.Typer(help="List, verify and prune what was fetched and encoded.", rich_markup_mode=None)


@cache_app.callback(invoke_without_command=True)
def cache(context: typer.Context) -> None:
    """List what is kept and when it was last used, vectors by model, role and dtype; or verify it, or make room."""
    if context.invoked_subcommand:
        return
    from benchmark import cache
    from tasks.fetch import cache_folder

    root = cache_folder()
    parts, spaces = cache.parts(root), cache.spaces(root)
    if not parts:
        print(f"There is nothing in {root}.")
        return
    rows = [(part.name, f"{part.files:,}", _megabytes(part.bytes), _day(part.used)) for part in parts]
    _show(f"In {root}", ("part", "files>", "size>", "last used"), rows)
    if spaces:
        about = [
            (
                *(space.names[0], space.role, space.dtype),
                f"{space.texts():,}" if space.readable else "of another version",
                *(f"{len(space.shards):,}", _megabytes(space.bytes), _day(space.used), space.folder.name[:8]),
            )
            for space in spaces
        ]
        columns = ("model", "role", "dtype", "texts>", "shards>", "size>", "last used", "folder")
        _show("Vectors", columns, about)


@cache_app.command()
def verify() -> None:
    """Read every shard of vectors and name those that are damaged; exit code 1 if there are any."""
    from benchmark import cache
    from benchmark.progress import Progress
    from tasks.fetch import cache_folder

    spaces = cache.spaces(cache_folder())
    shards = damaged = 0
    with Progress(errors()).bytes("verifying", sum(space.bytes for space in spaces)) as advance:
        for space in spaces:
            for path, size, why in cache.verified(space):
                shards += 1
                advance(size)
                if why:
                    damaged += 1
                    print(f"{path}: {why}")
    print(f"{shards:,} shards of vectors, {damaged:,} of them damaged.")
    if damaged:
        print("bench cache prune --damaged removes them, and the next run encodes their texts again.")
        raise typer.Exit(1)


@cache_app.command()
def prune(
    older_than: Annotated[
        str | None, typer.Option(help="What was not used for so long: 45m, 12h, 30d. With the other options: 1h.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Vectors of this model, by its name or path.")] = None,
    part: Annotated[str | None, typer.Option(help="This part of the cache, such as vectors or data.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is not in use.")] = False,
    damaged: Annotated[bool, typer.Option("--damaged", help="Damaged shards of vectors.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and leave it.")] = False,
) -> None:
    """Remove what is asked for; and always, what killed runs left behind, and small shards by merging them."""
    from benchmark import cache
    from tasks.fetch import cache_folder

    root, age = cache_folder(), cache.seconds("1h" if older_than is None else older_than)
    going, stays = cache.useless(root), False
    if everything or older_than or model or part:
        asked = cache.unused(root, age, model, part)
        going += asked
        stays = older_than is None and asked != cache.unused(root, 0, model, part)
    gone = {file for one in going for file in one.files}
    left = [space for space in cache.spaces(root) if not gone.issuperset(space.shards)]
    if damaged:
        going += [found for space in left if (found := cache.damaged(space)).files]
    groups = [group for space in left for group in cache.small(space)]
    if not dry_run:
        cache.remove(root, going)
        for group in groups:
            cache.merge(root, group)
    for one in going:
        print(f"{one.what}: {len(one.files):,} files, {_megabytes(one.bytes)}")
    if groups:
        print(f"{sum(map(len, groups)):,} small shards merged into {len(groups):,}")
    if stays:
        print("What was used within the last hour stays; --older-than 0m takes that too.")
    print(f"{_megabytes(sum(one.bytes for one in going))} {'would be ' * dry_run}freed.")


def _show(title: str, columns: tuple[str, ...], rows: "Sequence[tuple[str, ...]]") -> None:
    """Print a table; a column whose name ends with > stands to the right."""
    from rich.table import Table
    from rich.text import Text

    from tasks.errors import printable

    table = Table(box=None, header_style="cyan", padding=(0, 2, 0, 0), title=title, title_justify="left")
    for column in columns:
        table.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console().print(table, "")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}" if seconds else ""
