"""Questions with answers (what `mkqa` reads) and a corpus in; question -> passage by answer string Collection out.

A passage is relevant to a question if one of its answers, or an alias of one, stands in it, title included: NFD,
lower-cased, cut into tokens, the tokens of the answer one after the other. An answer without a token is nowhere.
Questions that are answered by yes or no, and those whose answers stand in no passage, are left out.

Options: `hub` and `revision`, whose configuration `corpus` has the passages (`tasks.hub`; a local folder will do), or
`corpus`, a folder beside the card with `corpus.jsonl` (`_id, title, text`, as BEIR has it); `language` of passages and
answers; `tokens`, one of TOKENS; and what `mkqa` takes.
"""

import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import regex  # type: ignore[import-untyped]

from tasks import assembly, collection, hub
from tasks.card import File, TaskCard
from tasks.collection import Collection
from tasks.errors import UserError, nearest
from tasks.lines import records
from tasks.readers import mkqa

TOKENS = {"words": r"[\p{L}\p{N}\p{M}]+", "words and signs": r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]"}


class Answers:
    """The answers of many questions, indexed so that a text is read once whatever their number."""

    def __init__(self, answers: Iterable[Iterable[str]], tokens: str = "words") -> None:
        """`answers` are those of each question."""
        self._pattern = regex.compile(TOKENS[tokens])
        self._askers: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for question, texts in enumerate(answers):
            for cut in {tuple(self.tokens(text)) for text in texts} - {()}:
                self._askers[cut].append(question)
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for cut in self._askers:
            lengths[cut[0]].add(len(cut))
        self._lengths = {first: sorted(found) for first, found in lengths.items()}

    def tokens(self, text: str) -> list[str]:
        """Cut a text into tokens."""
        # Token by token: what a capital sigma becomes depends on what stands beside it.
        return [token.lower() for token in self._pattern.findall(unicodedata.normalize("NFD", text))]

    def within(self, text: str) -> set[int]:
        """Return the questions that have an answer in this text."""
        tokens = self.tokens(text)
        found: set[int] = set()
        for place, token in enumerate(tokens):
            for length in self._lengths.get(token, ()):
                found.update(self._askers.get(tuple(tokens[place : place + length]), ()))
        return found


def read(files: dict[File, Path], card: TaskCard) -> Collection:
    """Read the questions and the corpus, and judge by answer string."""
    assembly.check_options(card, {"hub", "revision", "corpus", "tokens"} | mkqa.OPTIONS)
    if (tokens := assembly.text_option(card, "tokens", "words")) not in TOKENS:
        hint = nearest(tokens, list(TOKENS)) or f"; there are {', '.join(TOKENS)}."
        raise UserError(f"{card.label}: there are no tokens «{tokens}»{hint}")
    lang = assembly.text_option(card, "language", "en")
    asked = [question for question in mkqa.questions(files, card) if lang in question.answers and not question.binary]
    documents = _corpus(card, lang)
    answers = Answers((question.answers[lang] + question.aliases.get(lang, []) for question in asked), tokens)
    found, passages = array("q"), array("q")
    for number, text in enumerate(Collection(documents, documents, documents).document_texts):
        holds = answers.within(text)
        found.extend(holds)
        passages.extend([number] * len(holds))
    topics = np.array([question.id for question in asked], dtype=object)
    judgements = pd.DataFrame(
        {"topic": topics[np.array(found)], "doc_id": documents["doc_id"].to_numpy()[np.array(passages)], "relevance": 1}
    )
    answered = set(judgements["topic"])
    wordings = mkqa.queries(question for question in asked if question.id in answered)
    return collection.build(documents, wordings, judgements, card.label)


def _corpus(card: TaskCard, lang: str) -> pd.DataFrame:
    if "hub" in card.options:
        return assembly.table(hub.rows(card, "corpus"), "document", card, lang)
    folder = assembly.below(card, "corpus", assembly.text_option(card, "corpus"))
    if (path := assembly.beside(card, folder, "corpus.jsonl")) is None:
        raise UserError(f"{folder} has no corpus.jsonl; name the folder that has by options.corpus or options.hub.")
    return assembly.table(records(path), "document", card, lang)
