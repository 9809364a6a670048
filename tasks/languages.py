"""Language tags in; names, scripts, families and resource classes out: BCP 47 (RFC 5646) as langcodes reads it.

Tags are kept as the data writes them (`zh`, `zh-Hans`, `prs`): a tag is an identity here, never replaced by an
equivalent one.

`languages.tsv` holds what langcodes does not know, by primary subtag: the resource class of Joshi et al. 2020
(arXiv:2004.09095, the list that goes with it), the top-level family of Glottolog 5.2, and the script where langcodes
has none or a wrong one. The class is empty where that list does not name the language; a standard variety (`arb`,
`swh`) has the class of the language it stands for.
"""

import csv
from functools import cache
from pathlib import Path

import langcodes

from tasks.errors import UserError, nearest


def check(tag: str, where: str = "") -> str:
    """Return `tag`, or raise UserError, which says `where`, if it is no registered tag in its usual spelling."""
    at = f"{where}: " if where else ""
    if not langcodes.tag_is_valid(tag):
        raise UserError(f"{at}«{tag}» is not a language tag; write BCP 47 tags such as en, sw or zh-Hans.")
    usual = langcodes.Language.get(tag, normalize=False).to_tag()
    if usual != tag:
        raise UserError(f"{at}«{tag}» is usually spelt {usual}; write that.")
    return tag


def hint(tag: str, known: list[str]) -> str:
    """Return which of the known tags may be meant by one that is not known, or all of them, as the end of a sentence.

    Tags of two letters are all alike, so those of the same language are meant: zh-Hans by zho_Hans, sw by swh.
    """
    try:
        language = _language(tag)
    except ValueError:  # not even the shape of a tag
        return nearest(tag, known) or f"; there are {', '.join(known)}."
    same = [other for other in known if _language(other) == language]
    return f"; did you mean {', '.join(same)}?" if same else f"; there are {', '.join(known)}."


@cache
def _language(tag: str) -> str | None:
    """Return the primary subtag of a tag in any spelling; that of the macrolanguage whose usual member it is."""
    return langcodes.Language.get(tag).prefer_macrolanguage().language


@cache
def name(tag: str) -> str:
    """Return the English name of a language: «Swahili»."""
    return str(langcodes.Language.get(tag, normalize=False).display_name())


@cache
def script(tag: str) -> str:
    """Return the ISO 15924 code of the script that a language is most often written in: «Ethi»."""
    language = langcodes.Language.get(tag, normalize=False)
    return language.script or _row(tag).get("script") or str(language.maximize().script)


@cache
def _table() -> dict[str, dict[str, str]]:
    with (Path(__file__).parent / "languages.tsv").open(encoding="utf-8") as file:
        return {row["tag"]: row for row in csv.DictReader(file, delimiter="\t")}


def _row(tag: str) -> dict[str, str]:
    return _table().get(tag.split("-")[0], {})


def resource_class(tag: str) -> int | None:
    """Return how much there is to train on, from 0 (nothing) to 5 (the most); None where it is not known."""
    found = _row(tag).get("resource_class")
    return int(found) if found else None


def family(tag: str) -> str:
    """Return the top-level family of a language: «Atlantic-Congo»; "" where it is not known."""
    return _row(tag).get("family", "")
