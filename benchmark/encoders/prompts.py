"""What a checkpoint declares and what was asked in; what stands around each text of a role out.

A prompt is text before the text (`query: `) or a template (`Instruct: {task} Query: {text}`), in which `{text}` is the
text and `{task}` the instruction of the task's card. A checkpoint that gets conversations has its chat template around
both; what it gets is rendered here, so that it can be shown.
"""

import difflib
import re
from pathlib import Path
from typing import Any

from benchmark.encoders import ROLES, TASK, TEXT, Asked, Role
from benchmark.encoders.files import backbone, read, table
from benchmark.encoders.loading import ERRORS, first_line
from tasks.errors import UserError

PROMPT_NAMES: dict[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}


def of_checkpoint(config: dict[str, Any], given: dict[Role, str | None]) -> dict[Role, str]:
    """Return the prompt of each role for what a checkpoint says of itself; raises UserError as `prompts` does."""
    declared, default = config.get("prompts") or {}, config.get("default_prompt_name")
    texts = isinstance(declared, dict) and all(isinstance(text, str | None) for text in declared.values())
    if not texts or not isinstance(default, str | None):
        raise UserError("The checkpoint's config_sentence_transformers.json declares prompts that are no texts.")
    return prompts(declared, default, given)


def prompts(declared: dict[str, str | None], default: str | None, given: dict[Role, str | None]) -> dict[Role, str]:
    """Return the prompt of each role: the one given (by its declared name or as text), else the checkpoint's own.

    The library writes `"document": ""` beside a declared `passage` and then sends documents without a prompt; here the
    first name with a text counts. Raises UserError when a role finds no prompt while a declared one is used by neither:
    run without the prompts it was trained with, a model loses up to 28 points, silently.
    """
    known = {name: text for name, text in declared.items() if text is not None}
    found: dict[Role, str] = {}
    unresolved = []
    by_role = any(known.get(name) for names in PROMPT_NAMES.values() for name in names)
    for role in ROLES:
        chosen = given[role]
        if chosen is not None:
            if chosen not in known and chosen.isidentifier() and (near := difflib.get_close_matches(chosen, known)):
                raise UserError(f"The checkpoint declares no prompt «{chosen}»; did you mean {near[0]}?")
            found[role] = known[chosen] if chosen in known else written(chosen, role)
            continue
        named = [name for name in PROMPT_NAMES[role] if name in known]
        name = next((name for name in named if known[name]), None if named else default)
        found[role] = known.get(name, "") if name else ""
        if not found[role] and not (named and by_role):
            unresolved.append(role)
    unused = sorted(name for name, text in known.items() if text and text not in found.values())
    if unresolved and unused:
        raise UserError(
            f"The checkpoint declares the prompts {', '.join(unused)}, and none by a name that says it is for the "
            f'{unresolved[0]}; choose with --{unresolved[0]}-prompt NAME ("" for none).'
        )
    return found


def undeclared(asked: Asked) -> dict[Role, str]:
    """Return the prompt of each role where a model declares none by a name: it can only be a text."""
    found: dict[Role, str] = {
        "query": written(asked.query_prompt or "", "query"),
        "document": written(asked.document_prompt or "", "document"),
    }
    for role, text in found.items():
        if text.isidentifier():
            raise UserError(
                f"«{text}» looks like the name of a prompt, and this model declares none; give --{role}-prompt the "
                f'text itself, such as "{text}: ".'
            )
    return found


def written(prompt: str, role: Role) -> str:
    """Return a prompt as it was written on a command line, where a backslash and n are a line break.

    A template that ends in its only `{text}` is the text before it. Raises UserError for a field that is none, and for
    a template that does not say where the text goes.
    """
    prompt = prompt.replace("\\n", "\n")
    fields = re.findall(r"\{\w*\}", prompt)
    if wrong := [field for field in fields if field not in (TEXT, TASK)]:
        raise UserError(
            f"--{role}-prompt has a field {wrong[0]}; a template takes {TEXT}, which is the text, and {TASK}, the "
            "instruction of the task's card."
        )
    if fields and TEXT not in fields:
        raise UserError(f"--{role}-prompt is a template without {TEXT}; write {TEXT} where the text goes.")
    return prompt.removesuffix(TEXT) if fields.count(TEXT) == 1 else prompt


def parts(prompt: str, texts: list[str]) -> tuple[list[str], str]:
    """Return the texts and the prompt that a library is to put before them, which can do nothing else.

    With a template the texts are whole, and the prompt is empty.
    """
    return ([prompt.replace(TEXT, text) for text in texts], "") if TEXT in prompt else (texts, prompt)


def conversation(folder: Path, prompt: str, role: Role) -> str | None:
    """Return the template that a conversation is rendered to, for a checkpoint that gets one; None for others.

    The library sends a prompt as the message of the system, and the text as the one of the user.
    """
    config = read(backbone(folder) / "sentence_bert_config.json")
    if not (message := table(table(config, "modality_config"), "message")):
        return None
    from jinja2 import TemplateError
    from transformers import AutoTokenizer

    (text,), system = parts(prompt, [TEXT])
    structured = message.get("format") == "structured"
    said = [("system", system)] * bool(system) + [("user", text)]
    messages: list[dict[str, Any]] = [
        {"role": who, "content": [{"type": "text", "text": what}] if structured else what} for who, what in said
    ]
    options = {"task": role} | table(table(config, "processing_kwargs"), "chat_template")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(backbone(folder)), local_files_only=True, trust_remote_code=False)
        return str(tokenizer.apply_chat_template(messages, tokenize=False, **options))
    except (*ERRORS, TemplateError) as error:
        raise UserError(f"{folder} has a chat template that cannot be rendered: {first_line(error)}.") from error
