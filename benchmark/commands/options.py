"""Groups of options that several commands share, and how a command takes a group. Imports nothing heavy.

A command whose parameter is one of these records shows the fields of the record as options of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from benchmark.encoders import Encoder
    from benchmark.progress import Progress
    from benchmark.run import Task
    from tasks.card import TaskCard

Mirror = Annotated[
    str | None,
    typer.Option(help="Folder or https address that stands for raw.githubusercontent.com (or ISOGLOSS_MIRROR)."),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never touch the network; say what is missing and where it goes.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables, one line for each task.")]
Results = Annotated[Path, typer.Option(help="Folder for results.")]


LIMITS = ("languages", "query_languages", "document_languages")


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and what is asked of it: `benchmark.encoders.Asked`, field by field."""

    model: Annotated[
        str | None,
        typer.Option(
            help="A checkpoint (folder or hub name), muse (the default), bm25, ngrams, random, the https address of a "
            "server, package.module:factory, mteb:NAME, or vectors:FOLDER."
        ),
    ] = None
    name: Annotated[str, typer.Option(help="How tables show the model. Default: its folder or hub name.")] = ""
    citation: Annotated[str, typer.Option(help="What to cite for the model; kept with the result.")] = ""
    notes: Annotated[str, typer.Option(help="Anything to know of the model; kept with the result.")] = ""
    query_prompt: Annotated[
        str | None,
        typer.Option(
            help='Prompt of the queries: its name in the checkpoint, its text, or a template with {text} in it; "" is '
            "none. {task} is the instruction of the task."
        ),
    ] = None
    document_prompt: Annotated[str | None, typer.Option(help="Prompt of the documents, likewise.")] = None
    dtype: Annotated[
        str, typer.Option(help="What the model computes in: float32, bfloat16, float16, or int8 on the processor.")
    ] = "float32"
    max_length: Annotated[
        int | None, typer.Option(help="Tokens after which a text is cut. Default: the checkpoint's.", min=1)
    ] = None
    pooling: Annotated[
        str, typer.Option(help="For a transformer that comes without: mean, cls or last (the last token's).")
    ] = ""
    base: Annotated[str, typer.Option(help="What an adapter is put on. Default: the base that it names.")] = ""
    backend: Annotated[str, typer.Option(help="What computes: torch, onnx or openvino.")] = "torch"
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, mps, or several: cuda:0,cuda:1. Default: a GPU where there is one.")
    ] = ""
    revision: Annotated[str, typer.Option(help="Commit, tag or branch of a model on the hub.")] = ""
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the checkpoint. Read it first.")
    ] = False
    similarity: Annotated[
        str,
        typer.Option(help="How vectors are compared, if the model does not say: cosine (the default) or dot."),
    ] = ""
    server_model: Annotated[str, typer.Option(help="Which model of a server that has several.")] = ""
    rerank: Annotated[
        str, typer.Option(help="A cross-encoder (folder or hub name) that reorders what the model finds first.")
    ] = ""
    rerank_depth: Annotated[int, typer.Option(help="How many documents of each language it reorders.")] = 20

    def load(self, *, offline: bool, **changes: Any) -> "Encoder":
        """Return the encoder, with `changes` to what was asked."""
        from benchmark import encoders

        given = {name: value for name, value in vars(self).items() if name != "model"}
        return encoders.load(self.model or "muse", encoders.Asked(**(given | {"offline": offline} | changes)))


@dataclass(frozen=True)
class TaskOptions:
    """Which tasks, in which languages and settings, and where their files come from."""

    task: Annotated[
        list[str] | None,
        typer.Option(
            help="A task, task@variant, suite, or folder of your own; may be repeated. "
            "Default: the suite core for a model that is named, the embedded task demo otherwise."
        ),
    ] = None
    settings: Annotated[
        str | None,
        typer.Option(help="Of mono, cross, multi, pair, mining: which ones, comma between. Default: the card's."),
    ] = None
    measure: Annotated[
        list[str] | None,
        typer.Option("--measure", help="A measure such as nDCG@10, besides the card's. May be repeated."),
    ] = None
    languages: Annotated[str | None, typer.Option(help="Only texts in these languages: en,sw,am.")] = None
    query_languages: Annotated[str | None, typer.Option(help="Only queries in these languages.")] = None
    document_languages: Annotated[str | None, typer.Option(help="Only documents in these languages.")] = None
    mirror: Mirror = None
    offline: Offline = False

    def cards(self, model: str | None) -> "list[TaskCard]":
        """Return the cards of the tasks, or of what a model is run on by default."""
        from tasks.card import resolve

        return resolve(self.task or ["core" if model else "demo"])

    def prepare(self, cards: "list[TaskCard]", progress: "Progress") -> "list[Task]":
        """Fetch and read the tasks, and check what is asked of them.

        Of several tasks, each is asked in the languages and settings that it has; one that has none is passed over.
        """
        from benchmark import run
        from tasks import languages
        from tasks.errors import NothingAskedError, UserError

        limits = {name: listed(getattr(self, name)) for name in LIMITS}
        if empty := [name for name, tags in limits.items() if tags == []]:
            option = f"--{empty[0].replace('_', '-')}"
            raise UserError(f"{option} names no language; name some, as in {option} en,sw, or leave it out.")
        ready: list[Task] = []
        for card in cards:
            try:
                one = run.prepare(
                    card,
                    settings=listed(self.settings) or (),
                    measured=self.measure or (),
                    lenient=len(cards) > 1,
                    mirror=self.mirror,
                    offline=self.offline,
                    progress=progress,
                    **limits,
                )
            except NothingAskedError:
                if len(cards) == 1:
                    raise
                progress.say(f"{card.label} is passed over: it has nothing to ask in these languages and settings.")
                continue
            ready.append(one)
            if without := [tag for tag in _tags(limits) if tag not in _spoken([one])]:
                progress.say(f"{card.label}: nothing is asked in {', '.join(without)}.")
        if unknown := [tag for tag in _tags(limits) if tag not in _spoken(ready)]:
            said = languages.hint(unknown[0], sorted(_spoken(ready))) if ready else "."
            raise UserError(f"In these settings, no task asks anything in «{unknown[0]}»{said}")
        if not ready:
            raise UserError("No task has a query with an answer in these settings; choose others.")
        return ready


def _tags(limits: dict[str, list[str] | None]) -> list[str]:
    """Return all languages that are asked for, each once."""
    return list(dict.fromkeys(tag for tags in limits.values() for tag in tags or ()))


def _spoken(tasks: "list[Task]") -> set[str]:
    """Return the languages that tasks have."""
    both = [task.collection.query_languages + task.collection.document_languages for task in tasks]
    return {tag for tags in both for tag in tags}


def listed(text: str | None) -> list[str] | None:
    """Return the words of a list with commas between; None if there is none."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the fields of its groups of options as options."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        if parameter.name in groups:
            group = groups[parameter.name]
            types = get_type_hints(group, include_extras=True)
            parameters += [
                Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=types[one.name])
                for one in fields(group)
            ]
        else:
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[parameter.name]))

    def run(**given: Any) -> None:
        made = {
            name: group(**{one.name: given.pop(one.name) for one in fields(group)}) for name, group in groups.items()
        }
        command(**made, **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
