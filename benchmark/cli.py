"""The roof: the commands of `bench`. The only file that sees all three wings, and it imports them when needed.

Exit codes: 0 done; 1 a check says no; 2 something outside the program is wrong, which one sentence on the error stream
says.
"""

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from benchmark.evidence import Json, Result
    from leaderboard.tables import Table
    from tasks.check import Table as Understood

USAGE_ERROR: type[typer.BadParameter] = typer.BadParameter.__mro__[1]  # of the click that typer brings or needs

app = typer.Typer(
    name="bench",
    help="How well an embedding model retrieves across languages.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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


@app.command()
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
        str | None, typer.Option(help="Of mono, cross, multi, pair: which ones, comma between. Default: the card's.")
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

    progress = Progress(_errors())
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
            settings=_listed(settings) or (),
            measured=measure or (),
            query_languages=_listed(query_languages) or _listed(languages),
            document_languages=_listed(document_languages) or _listed(languages),
            mirror=mirror,
            offline=offline,
            progress=progress,
        )
        for card in cards
    ]
    if encoder.model.family == "checkpoint" and dtype == "float32" and encoders.computes_bfloat16(encoder.model.device):
        progress.say("This processor computes bfloat16 itself: --dtype bfloat16 is about three times as fast here.")
    command = " ".join(["bench", *(_quoted(word) for word in sys.argv[1:])])
    from leaderboard import tables

    for one in ready:
        result = runner.run(one, encoder, results, progress, command)
        if as_json:
            print(_json(_summary(result)))
        else:
            _show(result, tables.brief(result.says))


tasks_app = typer.Typer(help="List the tasks; write and check your own.", rich_markup_mode=None)
app.add_typer(tasks_app, name="tasks")


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
            print(_json(says))
        return
    table = Table(box=None, header_style="cyan", padding=(0, 2, 0, 0))
    for column in ("task", "variants", "languages", "download", "on disk", "licence"):
        table.add_column(column)
    for one in cards:
        size, missing = sum(file.bytes for file in one.files), fetch.missing_bytes(one)
        hub = "hub" in one.options
        table.add_row(
            one.name,
            ", ".join(one.variants),
            "many" if "mul" in one.languages else f"{len(one.languages) or 'embedded'}",
            "from the hub" if hub else f"{size / 1e6:.1f} MB" if size else "",
            "" if hub else "yes" if not missing else "no" if missing == size else "partly",
            one.licence,
        )
    console = _console()
    console.print(table)
    for name, members in card.suites().items():
        console.print(f"\nsuite {name}: {', '.join(members)}")


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
    from tasks.errors import InvalidCollectionError

    found = card.find(task)
    for name in found.measures:
        measures.parse(name)
    with Progress(_errors()).bytes(f"fetching {found.label}", fetch.missing_bytes(found)) as advance:
        files = fetch.fetch(found, mirror, offline, advance)
    try:
        texts = readers.load(found, files)
    except InvalidCollectionError as error:
        for problem in error.problems:
            print(f"{problem[0].upper()}{problem[1:]}.")
        raise UserError(f"{found.label} is not valid: {len(error.problems)} problem(s), listed above.") from error
    tables, problems = check.understood(found, texts), check.problems(found, texts)
    if as_json:
        shown = {table.title: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in tables}
        print(_json({"task": found.label, "hash": texts.digest(), "problems": problems, "understood": shown}))
        return
    _show_check(tables, problems)


@app.command()
def fetch(
    task: Annotated[list[str], typer.Argument(help="Tasks or suites.")],
    mirror: Mirror = None,
    offline: Offline = False,
) -> None:
    """Bring the files of tasks ahead of time, verified by size and SHA-256."""
    from benchmark.progress import Progress
    from tasks import fetch as fetching
    from tasks.card import resolve

    progress = Progress(_errors())
    for card in resolve(task):
        missing = fetching.missing_bytes(card)
        with progress.bytes(f"fetching {card.label}", missing) as advance:
            fetching.fetch(card, mirror, offline, advance)
        brought = f"{missing / 1e6:.1f} MB brought" if missing else "all there already"
        _console().print(f"{card.label}: {len(card.files)} files, {brought}; licence: {card.licence}", highlight=False)


@app.command()
def report(
    result: Annotated[
        list[Path],
        typer.Argument(help="Folder of a result, such as results/muse/demo; several for plots side by side."),
    ],
    measure: Annotated[
        str | None,
        typer.Option(help="What the tables show; computed from the ranks if need be. Default: the main one."),
    ] = None,
    setting: Annotated[
        str | None, typer.Option(help="Only mono, cross, multi, pair, or strong (alignment). Default: all tables.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="terminal, md, latex, csv (every direction, one row each) or json.")
    ] = "terminal",
    plots: Annotated[
        Path | None, typer.Option(help="Draw the plots into this folder, SVG and PNG, the results side by side.")
    ] = None,
) -> None:
    """Show the tables of a result, and draw its plots, from its evidence alone."""
    from benchmark import evidence
    from benchmark.measures import parse
    from leaderboard import formats, tables
    from tasks.card import SETTINGS
    from tasks.errors import nearest

    known = ["terminal", *formats.TEXTS, "csv", "json"]
    if form not in known:
        raise UserError(f"«{form}» is not a format; take {', '.join(known)}.")
    kinds = [*SETTINGS, tables.STRONG]
    if setting is not None and setting not in kinds:
        raise UserError(f"«{setting}» is not a setting{nearest(setting, kinds) or '; take ' + ', '.join(kinds) + '.'}")
    name = str(parse(measure)) if measure else None
    found = [evidence.read(folder) for folder in result]
    if plots is not None and len({(evidence.label(one.says), one.says["task"]["data_hash"]) for one in found}) > 1:
        raise UserError("Plots side by side need results on the same data; draw other tasks one by one.")
    if name:
        found = [evidence.measured(one, name) for one in found]
    for one in found:
        if form == "json":
            print(_json(_summary(one, setting)))
        elif form == "terminal":
            _show(one, tables.of_setting(one.says, setting, name) if setting else tables.of(one.says, name))
        elif form == "csv":
            rows = formats.comma_separated(tables.every_direction(one.says, setting))
            print(rows if one is found[0] else rows.partition("\n")[2], end="")
        else:
            parts = tables.of_setting(one.says, setting, name) if setting else tables.of(one.says, name)
            print("\n".join(formats.TEXTS[form](part) for part in parts), end="")
    if plots is not None:
        from leaderboard import plots as drawing

        for path in drawing.write(found, plots, evidence.label(found[0].says), measure=name):
            print(path, file=sys.stderr)


@app.command()
def leaderboard(
    results: Annotated[Path, typer.Argument(help="Folder of results.")] = Path("results"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if what is there is not what would be written.")
    ] = False,
) -> None:
    """Write README.md, a page for each task, plots and index.html from all results in a folder."""
    from leaderboard import publish

    if check:
        stale = publish.stale(results)
        for path in stale:
            print(f"stale: {path}")
        raise typer.Exit(1 if stale else 0)
    for path in publish.write(results):
        print(path)


def _show(result: "Result", shown: "Iterable[Table]") -> None:
    from leaderboard import formats

    console, says = _console(), result.says
    for table in shown:
        grid = formats.terminal(table)
        console.width = max(console.width, console.measure(grid).maximum)  # lines may break, numbers are never cut
        console.print()
        console.print(grid)
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
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _show_check(tables: "Iterable[Understood]", problems: list[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = _console()
    for one in tables:
        grid = Table(box=None, header_style="cyan", padding=(0, 2, 0, 0), title=one.title, title_justify="left")
        numbers = [all(not isinstance(row[place], str) for row in one.rows) for place in range(len(one.columns))]
        for column, number in zip(one.columns, numbers, strict=True):
            grid.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in one.rows:
            grid.add_row(*(Text(f"{cell:,}" if isinstance(cell, int | float) else str(cell)) for cell in row))
        console.print(grid)
        console.print()
    for problem in problems:
        console.print(problem, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if not problems:
        console.print("No problem was found.", style="green")


def _json(says: "Json") -> str:
    import json

    return json.dumps(says, ensure_ascii=False)


def _summary(result: "Result", setting: str | None = None) -> "Json":
    from benchmark import evidence

    says = result.says
    return {
        "task": evidence.label(says),
        "model": says["model"]["name"],
        "main_measure": says["main_measure"],
        "averages": [row for row in says["averages"] if setting in (None, row["setting"])],
        "directions": [row for row in says["directions"] if setting in (None, row["setting"])],
        "strong": says["strong"] if setting in (None, "strong") else [],
        **{
            name: says[name] if setting in (None, "multi") else [] for name in ("bias", "language_share", "consistency")
        },
        "ties": says["ties"],
        "cost": says["cost"],
        "evidence": str(result.folder),
    }


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


def _console() -> "Console":
    from rich.console import Console

    console = Console()
    console.width = max(console.width, 110) if console.is_terminal else 200
    return console


def _errors() -> "Console":
    from rich.console import Console

    return Console(stderr=True)


def main() -> None:
    """Run the command line: what a person got wrong is one sentence and exit code 2, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter is no reason to stop
    try:
        for word in sys.argv[1:]:
            if any("\ud800" <= letter <= "\udfff" for letter in word):
                raise UserError(f"The argument {word!a} is not UTF-8; write it in UTF-8.")
        code = app(standalone_mode=False)
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        code = 2
    except USAGE_ERROR as error:
        print(f"bench: {error.format_message()} (bench --help shows how)", file=sys.stderr)
        code = 2
    except BrokenPipeError:
        code = 141
    except OSError as error:
        print(f"bench: {error.filename or 'the system'}: {error.strerror or error}.", file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        print("bench: stopped; what was encoded so far is kept, and the next run goes on from there.", file=sys.stderr)
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
