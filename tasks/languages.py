"""Language tags in, names and scripts out: BCP 47 (RFC 5646) as the library langcodes reads it.

Tags are kept as the data writes them (`zh`, `zh-Hans`, `prs`): a tag is an identity here, never replaced by an
equivalent one.
"""

from functools import cache

import langcodes

from tasks.errors import UserError


def check(tag: str) -> str:
    """Return `tag`, or raise UserError if it is no registered language tag in its usual spelling."""
    if not langcodes.tag_is_valid(tag):
        raise UserError(f"«{tag}» is not a language tag; write BCP 47 tags such as en, sw or zh-Hans.")
    usual = langcodes.Language.get(tag, normalize=False).to_tag()
    if usual != tag:
        raise UserError(f"The language tag «{tag}» is usually spelt {usual}; write that.")
    return tag


@cache
def name(tag: str) -> str:
    """Return the English name of a language: «Swahili»."""
    return str(langcodes.Language.get(tag, normalize=False).display_name())


@cache
def script(tag: str) -> str:
    """Return the ISO 15924 code of the script that a language is most often written in: «Ethi»."""
    return str(langcodes.Language.get(tag, normalize=False).maximize().script)
