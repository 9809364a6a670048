"""The roof: the commands of `bench`. They see all three wings, and import them when they run.

Exit codes: 0 done; 1 a check says no; 2 something outside the program is wrong, which one sentence on the error stream
says.
"""

import sys
from io import TextIOWrapper

import typer

from benchmark.commands import cache, check, compare, export, noise, report, run, score, tasks
from tasks.errors import UserError, printable

USAGE_ERROR: type[typer.BadParameter] = typer.BadParameter.__mro__[1]  # of the click that typer brings or needs
STOPPED = 130

app = typer.Typer(
    name="bench",
    help="How well an embedding model retrieves across languages.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(run.run)
app.add_typer(tasks.tasks_app, name="tasks")
app.add_typer(cache.cache_app, name="cache")
for command in (
    tasks.fetch, score.score, export.export, report.report, compare.compare, check.check, noise.noise,
    report.leaderboard,
):  # fmt: skip
    app.command()(command)


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
        code = _failed(str(error))
    except USAGE_ERROR as error:
        code = _failed(f"{error.format_message()} (bench --help shows how)")
    except BrokenPipeError:
        code = 141
    except OSError as error:
        code = _failed(f"{error.filename or 'the system'}: {error.strerror or error}.")
    except MemoryError:
        code = _failed("there is not enough memory for this; take fewer languages, or a machine with more.")
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    if code == STOPPED:  # typer, too, turns the interruption of a command into this code
        print("bench: stopped; what was encoded so far is kept, and the next run goes on from there.", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _failed(sentence: str) -> int:
    print(f"bench: {printable(sentence)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
