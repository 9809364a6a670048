"""A model's scores and a cross-encoder in; the same scores, with what was found first reordered, out.

Of each language, the first k documents that the model finds for a query are its *candidates*: so the pool of one
language is reranked to the same depth, whatever else competes in the pool of all. Each (question, document) is read by
the cross-encoder once, however often it occurs. Candidates stand above all other documents, in the order of the
cross-encoder, over all languages; the others keep the order of the model.

A rank is a count over float32 scores, so both orders must be exact in one number. A candidate gets u (1 + r): r is the
place of its score among the distinct ones of its query, counted from the lowest, 1, and u a power of two so great that
2 u is above whatever the model can score. Such numbers are exact in float32, and candidates that the cross-encoder
cannot tell apart tie. In languages that no setting searches there are no candidates: documents in them stand below.
"""

import math
from collections import Counter
from collections.abc import Collection as Names
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark import lists, ranking, vectors
from benchmark.encoders.cross import Reranked, pair
from benchmark.progress import Progress
from benchmark.scoring import Floats, Index, Scorer
from benchmark.vectors import Encoded
from tasks.card import TaskCard
from tasks.collection import Collection

TOGETHER = 1 << 17  # pairs that are planned and held as texts at a time


@dataclass(frozen=True)
class Candidates:
    """What is reordered: rows of the queries and of the documents of a collection [pairs]."""

    query: Index
    document: Index


def candidates(
    card: TaskCard, collection: Collection, first: ranking.Scorers, settings: Names[str], depth: int, progress: Progress
) -> Candidates:
    """Return the first `depth` documents of each language for each query that a setting asks in that language."""
    queries, documents = collection.queries, collection.documents
    found = [Candidates(np.zeros(0, np.intp), np.zeros(0, np.intp))]
    languages = collection.document_languages
    alone = {"mono", "cross"} if {"multi", "pair"} & {*settings} else settings  # pools of several hold each of them
    with progress.count(f"{card.label}: what to rerank", len(queries) * len(languages), "queries") as done:
        for language in languages:
            row = lists.askers(collection, alone, language)
            place = np.flatnonzero(documents["lang"].to_numpy(object) == language)
            if len(row):
                part = Collection(
                    documents.iloc[place].reset_index(drop=True),
                    queries.iloc[row].reset_index(drop=True),
                    collection.judgements.iloc[:0],
                )
                top = ranking.rank(
                    part,
                    _within(first, row, place),
                    {"multi"},
                    ignore_identical_ids=card.ignore_identical_ids,
                    top=depth,
                    progress=done,
                ).top
                found.append(
                    Candidates(
                        row[_rows(part.queries["query_id"], top["query_id"])],
                        place[_rows(part.documents["doc_id"], top["doc_id"])],
                    )
                )
            done(len(queries) - len(row))
    return Candidates(np.concatenate([one.query for one in found]), np.concatenate([one.document for one in found]))


def _within(first: ranking.Scorers, row: Index, place: Index) -> ranking.Scorers:
    return lambda asked, searched: first(row[asked], place[searched])


def _rows(ids: "pd.Series[str]", found: pd.Series) -> Index:
    """Return in which rows of `ids` the ids of a categorical column stand."""
    return pd.Index(ids).get_indexer(pd.Index(found.cat.categories))[found.cat.codes.to_numpy()]


def read(card: TaskCard, collection: Collection, encoder: Reranked, those: Candidates, progress: Progress) -> Encoded:
    """Return what the cross-encoder says of pairs, through the store; its vectors are their scores [pairs, 1]."""
    questions, texts = collection.queries["text"].to_numpy(object), np.array(collection.document_texts, dtype=object)
    parts = list[Encoded]()
    with progress.count(f"{card.label}: reranking", len(those.query), "pairs") as done:
        for start in range(0, len(those.query), TOGETHER):
            some = slice(start, start + TOGETHER)
            asked, searched = questions[those.query[some]], texts[those.document[some]]
            pairs = [pair(question, text) for question, text in zip(asked, searched, strict=True)]
            told = 0

            def advance(texts_done: int, *_: int) -> None:
                nonlocal told
                done(texts_done - told)
                told = texts_done

            parts.append(vectors.encode(encoder.cross, pairs, "query", advance, say=progress.say))
            done(len(pairs) - told)
    shares = [len(part.vectors) / max(1, len(those.query)) for part in parts]
    return Encoded(
        vectors=np.concatenate([np.zeros((0, 1), np.float32), *(part.vectors for part in parts)]),
        rows=np.concatenate([np.zeros(0, np.int32), *(part.rows for part in parts)]),
        truncated=sum((part.truncated or 0.0) * share for part, share in zip(parts, shares, strict=True)),
        tokens=sum(part.tokens for part in parts),
        encoded=sum(part.encoded for part in parts),
        seconds=sum(part.seconds for part in parts),
        halved=sum((part.halved for part in parts), Counter[int]()),
    )


def scorers(first: ranking.Scorers, those: Candidates, scores: Floats, queries: int, documents: int) -> ranking.Scorers:
    """Return what scores any rows of the queries and documents of a collection.

    Args:
        first: the model's scorers.
        those: the candidates.
        scores: what the cross-encoder says of them [pairs].
        queries: how many there are.
        documents: how many there are.
    """
    highest = first(slice(None), np.arange(documents)).highest
    unit = 2.0 ** math.ceil(math.log2(max(0.75 * highest, 1.0)))
    values = (unit * (1 + _places(those.query, scores))).astype(np.float32)

    def made(asked: Index | slice, searched: Index) -> Scorer:
        query, document = np.full(queries, -1), np.full(documents, -1)
        asked = np.arange(queries)[asked]
        query[asked], document[searched] = np.arange(len(asked)), np.arange(len(searched))
        row, column = query[those.query], document[those.document]
        here = np.flatnonzero((row >= 0) & (column >= 0))
        here = here[np.lexsort((column[here], row[here]))]
        usual, value = first(asked, searched), values[here]
        highest = max(usual.highest, float(value.max(initial=0.0)))
        return Reordered(usual, len(searched), row[here], column[here], value, usual.error, highest)

    return made


def _places(query: Index, scores: Floats) -> Index:
    """Return the place of each score among the distinct ones of its query, the lowest first, from 1."""
    order = np.lexsort((scores, query))
    query, scores = query[order], scores[order]
    new = np.append(True, query[1:] != query[:-1])
    higher = np.cumsum(np.append(True, new[1:] | (scores[1:] != scores[:-1])))
    found = np.empty(len(query), dtype=np.intp)
    found[order] = higher - np.repeat(higher[new] - 1, np.diff(np.append(np.flatnonzero(new), len(query))))
    return found


@dataclass(frozen=True)
class Reordered:
    """A scorer with other scores for some pairs, in the order of (query, document)."""

    first: Scorer
    documents: int
    query: Index
    document: Index
    value: Floats
    error: float
    highest: float

    def block(self, queries: slice, documents: slice, out: Floats) -> None:
        """Write the estimates of the first scorer, and the values of pairs that have one."""
        self.first.block(queries, documents, out)
        self._put(queries, documents, out)

    def exact(self, queries: slice, documents: slice) -> Floats:
        """Return exact scores."""
        scores = self.first.exact(queries, documents)
        self._put(queries, documents, scores)
        return scores

    def pairs(self, queries: Index, documents: Index) -> Floats:
        """Return exact scores of pairs."""
        scores = self.first.pairs(queries, documents)
        known, asked = self.query * self.documents + self.document, queries * self.documents + documents
        at = np.searchsorted(known, asked)
        there = np.append(known, -1)[at] == asked
        scores[there] = self.value[at[there]]
        return scores

    def _put(self, queries: slice, documents: slice, out: Floats) -> None:
        some = slice(*np.searchsorted(self.query, [queries.start, queries.stop]))
        row, column = self.query[some] - queries.start, self.document[some]
        inside = (column >= documents.start) & (column < documents.stop)
        out[row[inside], column[inside] - documents.start] = self.value[some][inside]
