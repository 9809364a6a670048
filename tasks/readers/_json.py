"""A record in; its fields out. What is wrong with them is one sentence that names the place."""

from typing import Any, TypeVar

from tasks.errors import UserError

Kind = TypeVar("Kind")
KINDS: dict[type, str] = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


def get(record: Any, name: str, kind: type[Kind], where: str) -> Kind:
    """Return the field `name` of a record. Raises UserError if there is none or it is of another kind."""
    if not isinstance(record, dict):
        raise UserError(f"{where} is not an object with fields.")
    if name not in record:
        raise UserError(f"{where} has no field «{name}».")
    if not isinstance(value := record[name], kind):
        raise UserError(f"{where}: «{name}» is not {KINDS[kind]}.")
    return value


def text_or_null(record: Any, name: str, where: str) -> str:
    """Return the field `name` of a record, a text; null is the empty text."""
    return "" if isinstance(record, dict) and record.get(name, "") is None else get(record, name, str, where)
