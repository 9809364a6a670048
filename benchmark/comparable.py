"""Two results in; why they cannot be compared, and what else differs between them, out.

Every comparison is paired by topic, so it needs the same questions and the same documents in the same pools. What a
model is and how it was run may differ: that is what is compared.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.encoders import ROLES
from benchmark.evidence import Json, Result, label, lists, share
from tasks.errors import UserError

RUN = {  # of the key's parts, what is said of each
    name: f"the {name}" for name in ("similarity", "query prompt", "document prompt", "dtype", "device", "engine")
} | {"how": "what else was chosen"}


@dataclass(frozen=True)
class Reason:
    """How two results differ: in `what`, in words, and whether it `prevents` a comparison."""

    what: str
    text: str
    prevents: bool = False


def comparable(before: Result, after: Result, measure: str | None = None) -> list[Reason]:
    """Return how two results differ, what prevents a comparison first; empty if only the numbers may.

    Args:
        before: the one that is compared with.
        after: the other.
        measure: by which they shall be compared; None: the main measure, which must then be the same.
    """
    one, other = before.says, after.says
    reasons = [Reason(what, text, prevents=True) for what, text in _prevents(one, other, measure).items()]
    parts, others = one["key_parts"], other["key_parts"]
    if one["model"]["name"] != other["model"]["name"]:
        reasons.append(Reason("model", f"the model was {one['model']['name']} and is {other['model']['name']}"))
    elif parts.get("model") != others.get("model"):
        reasons.append(Reason("model", "the model has the same name and other weights"))
    if "lists" in one or "lists" in other:  # of which it is not known how they were made
        held = [f"lists ({lists(says)})" if "lists" in says else "whole pools" for says in (one, other)]
        if held[0] != held[1]:
            reasons.append(Reason("lists", f"the ranks were from {held[0]} and are from {held[1]}"))
    else:
        reasons += [
            Reason(name, f"{said} was {_text(parts.get(name))} and is {_text(others.get(name))}")
            for name, said in RUN.items()
            if parts.get(name) != others.get(name)
        ]
        if cut := _length(one["model"], other["model"]):
            reasons.append(Reason("length", cut))
        if (halves := [_halved(says) for says in (one, other)])[0] != halves[1]:
            text = f"{halves[0]} batches were encoded in halves for want of memory, and now {halves[1]}"
            reasons.append(Reason("halved", f"{text}, which moves the last bits of vectors"))
    if one["kept"] != other["kept"]:
        reasons.append(Reason("kept", "the ranks of other topics are kept; those of both are compared"))
    return reasons


def require(results: Sequence[Result], measure: str | None = None) -> None:
    """Raise UserError, with the reason, unless the first result can be compared with each of the others."""
    for other in results[1:]:
        if reasons := [reason.text for reason in comparable(results[0], other, measure) if reason.prevents]:
            raise UserError(f"{results[0].folder} and {other.folder} cannot be compared: {'; '.join(reasons)}.")


def _prevents(one: Json, other: Json, measure: str | None) -> dict[str, str]:
    """Return what prevents a comparison, and why; of reasons that follow from each other the first."""
    if label(one) != label(other):
        return {"task": f"one is of the task {label(one)}, the other of {label(other)}"}
    first, second = one["task"], other["task"]
    found = {}
    for side, what in (("query_languages", "questions"), ("document_languages", "documents")):
        if lone := sorted({*first[side]} ^ {*second[side]}):
            some = f"{', '.join(lone[:5])}{', …' if len(lone) > 5 else ''}"
            found[side.replace("_", " ")] = f"the languages of the {what} differ by {some}"
    if not found and first["card_hash"] != second["card_hash"]:
        found["card"] = "the cards of the task differ, and so what is measured"
    if not found and first["data_hash"] != second["data_hash"]:
        found["data"] = "the texts or judgements differ"
    settings = [{row["setting"] for row in says["directions"]} for says in (one, other)]
    if lone := sorted(settings[0] ^ settings[1]):
        found["settings"] = f"only one was run in the setting {', '.join(lone)}"
    if measure is None and one["main_measure"] != other["main_measure"]:
        found["measure"] = (
            f"the main measures are {one['main_measure']} and {other['main_measure']} (name one with --measure)"
        )
    return found


def _length(one: Json, other: Json) -> str:
    """Say that another maximum length is at work: texts of as many tokens as before, of which another share is cut."""
    cuts = [[model.get("truncated", {}).get(role) for role in ROLES] for model in (one, other)]
    if one.get("tokens") != other.get("tokens") or cuts[0] == cuts[1]:
        return ""
    shares = [
        f"{share(cut['query'])} of the queries and {share(cut['document'])} of the documents"
        for cut in (one["truncated"], other["truncated"])
    ]
    return f"the maximum length was another: it cut {shares[0]}, and now {shares[1]}"


def _halved(says: Json) -> int:
    return sum(row["batches"] for row in says.get("cost", {}).get("halved", ()))


def _text(value: object) -> str:
    if isinstance(value, dict) and value:
        return ", ".join(f"{name} {version}" for name, version in value.items())
    return f"«{value}»" if isinstance(value, str) else json.dumps(value) if value else "nothing"
