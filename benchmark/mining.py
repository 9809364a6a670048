"""A collection and the vectors of its documents in; for each pair of languages, how well its gold pairs are mined, out.

Bitext mining pairs the sentences of two languages, most of which have no translation (BUCC). The protocol is XTREME's
(arXiv:2003.11080) with the ratio margin of arXiv:1811.01136: the score of two sentences is their cosine, divided by the
mean of what it is between each and its four nearest of the other language. Of those four, each sentence proposes the
one with the highest margin; all proposals together, in both directions, are taken from the best down, each sentence
once; and F1 is that at the threshold which is best on the gold pairs.

Neighbours and cosines are those of the ranking pass (`counting` finds the neighbours, `scoring` scores them exactly),
so margins are equal on every machine that has equal vectors; memory depends on the block, not on the languages.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.counting import Documents, Pairs, count
from benchmark.ranking import PART_COLUMN, ROWS, processors
from benchmark.scoring import Floats, Index, Scorer, dot_product
from benchmark.summary import DIGITS
from tasks.collection import Collection

NEIGHBOURS = 4
Json = dict[str, Any]
Doubles = NDArray[np.float64]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Mined:
    """Pairs of sentences, the best margin first, each sentence in one pair at most."""

    left: Index
    right: Index
    margin: Doubles


@dataclass(frozen=True)
class _Side:
    """The distinct sentences of one language (in one part), in descending order of their greatest id."""

    row: Index
    """Sentence -> a document that says it."""
    once: NDArray[np.bool_]
    """Sentence -> whether a single document says it."""
    answers: pd.DataFrame
    """Its relevant documents: `topic, doc_id, sentence`."""


@dataclass(frozen=True)
class Job:
    """Two sides to mine."""

    languages: tuple[str, str]
    left: _Side
    right: _Side

    @property
    def sentences(self) -> int:
        """How many there are on both sides."""
        return len(self.left.row) + len(self.right.row)

    def gold(self) -> pd.DataFrame:
        """Return one row for each gold pair of documents: `sentence_x, sentence_y`."""
        both = self.left.answers.merge(self.right.answers, on="topic")
        return both.drop_duplicates(["doc_id_x", "doc_id_y"])


def jobs(collection: Collection) -> list[Job]:
    """Return what there is to mine: every two languages of a part that have a topic with an answer in each.

    Sentences are told apart by their text: one that several documents say is one sentence.
    """
    found = []
    for sides in _sides(collection).values():
        topics = {lang: set(side.answers["topic"]) for lang, side in sides.items()}
        for one, other in combinations(sorted(sides), 2):
            if not topics[one].isdisjoint(topics[other]):
                found.append(Job((one, other), sides[one], sides[other]))
    return found


def table(work: list[Job], vectors: Floats, progress: Progress = lambda _: None) -> list[Json]:
    """Return the table `mining` of the evidence: one row for each pair of languages, its parts taken together.

    Args:
        work: what `jobs` found.
        vectors: of the documents of the collection [documents, dim], of length one (or zero).
        progress: told the number of sentences done, as they are done.
    """
    mined: dict[tuple[str, str], list[tuple[Doubles, NDArray[np.bool_]]]] = {}
    gold: dict[tuple[str, str], int] = {}
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(processors()) as pool:
        for job in work:
            pairs, true = mine(vectors[job.left.row], vectors[job.right.row], pool, progress), job.gold()
            mined.setdefault(job.languages, []).append(_judged(pairs, true, job))
            gold[job.languages] = gold.get(job.languages, 0) + len(true)
    rows = []
    for languages, parts in sorted(mined.items()):
        margin, correct = (np.concatenate(column) for column in zip(*parts, strict=True))
        rows.append({"languages": list(languages), "gold": gold[languages]} | cut(margin, correct, gold[languages]))
    return rows


def mine(left: Floats, right: Floats, pool: ThreadPoolExecutor, progress: Progress = lambda _: None) -> Mined:
    """Return the pairs that are mined from the vectors [n, dim] and [m, dim] of the sentences of two languages.

    The margin is 0 where the mean cosine of the neighbours is not positive (the ratio would say nothing), and a pair
    with a margin of 0 or less is not mined. What is equal is decided by order: the earlier sentence is the nearer
    neighbour, the better proposal, and the one whose pair is taken first (of the left side, then of the right).
    """
    scorer = dot_product(left, right)
    there, cosine_there = _nearest(scorer, len(left), len(right), pool, progress)
    turned = replace(scorer, queries=scorer.documents, documents=scorer.queries)
    back, cosine_back = _nearest(turned, len(right), len(left), pool, progress)
    mean_left, mean_right = _mean(cosine_there), _mean(cosine_back)
    partner_right, margin_left = _proposed(there, cosine_there, mean_left, mean_right)
    partner_left, margin_right = _proposed(back, cosine_back, mean_right, mean_left)
    one = np.concatenate([np.arange(len(left)), partner_left])
    other = np.concatenate([partner_right, np.arange(len(right))])
    margin = np.concatenate([margin_left, margin_right])
    order = np.lexsort((other, one, -margin))
    order = order[margin[order] > 0]
    kept = order[_greedy(one[order].tolist(), other[order].tolist())]
    return Mined(one[kept], other[kept], margin[kept])


def cut(margin: Doubles, correct: NDArray[np.bool_], gold: int) -> Json:
    """Return how right pairs are at the threshold with the best F1: `mined, F1, precision, recall, threshold`.

    Args:
        margin: of the pairs [n], in any order.
        correct: which of them are gold [n].
        gold: how many gold pairs there are, found or not; at least one.

    Pairs of one margin stand or fall together. The threshold lies midway to the first pair that is left out; of several
    that are equally good it is the highest. Where no pair is gold, nothing is mined and the threshold is null.
    """
    if not correct.any():
        return {"mined": 0, "F1": 0.0, "precision": 0.0, "recall": 0.0, "threshold": None}
    order = np.argsort(-margin, kind="stable")
    margin, right = margin[order], np.cumsum(correct[order])
    size = np.arange(1, len(margin) + 1)
    last = np.append(margin[1:] < margin[:-1], True)
    best = int(np.argmax(np.where(last, 2 * right / (size + gold), -1.0)))
    threshold = (margin[best] + margin[min(best + 1, len(margin) - 1)]) / 2
    values = {
        "F1": 2 * right[best] / (size[best] + gold),
        "precision": right[best] / size[best],
        "recall": right[best] / gold,
        "threshold": threshold,
    }
    return {"mined": best + 1} | {name: round(float(value), DIGITS) for name, value in values.items()}


def _judged(pairs: Mined, gold: pd.DataFrame, job: Job) -> tuple[Doubles, NDArray[np.bool_]]:
    """Return the margins of the pairs, and which pairs are gold, without sentences that several documents say.

    Which of these documents is meant cannot be told from the text, so such a pair is neither right nor wrong.
    """
    told = job.left.once[pairs.left] & job.right.once[pairs.right]
    many = len(job.right.row)
    known = gold["sentence_x"].to_numpy() * many + gold["sentence_y"].to_numpy()
    return pairs.margin[told], np.isin(pairs.left[told] * many + pairs.right[told], known)


def _nearest(
    scorer: Scorer, queries: int, documents: int, pool: ThreadPoolExecutor, progress: Progress
) -> tuple[Index, Doubles]:
    """Return the nearest documents of each query and their exact scores, [queries, NEIGHBOURS] or fewer, best first."""
    k = min(NEIGHBOURS, documents)
    held = Documents(np.array([0, documents]), np.arange(documents)[::-1])
    none = np.zeros(0, dtype=np.intp)
    nothing = Pairs(none, none, np.zeros(0, dtype=np.float32), none)
    width = max(part.stop - part.start for part in held.parts)

    def work(start: int) -> Index:
        block = slice(start, min(start + ROWS, queries))
        size = block.stop - start
        scratch = np.empty(size * width, dtype=np.float32)
        _, listed = count(block, scorer, held, nothing, np.full(size, -1), k, scratch)
        progress(size)
        return listed.document

    near = np.concatenate(list(pool.map(work, range(0, queries, ROWS)))).reshape(queries, k)
    scores = scorer.pairs(np.repeat(np.arange(queries), k), near.ravel())
    return near, scores.reshape(queries, k).astype(np.float64)


def _mean(cosine: Doubles) -> Doubles:
    """Return the mean of each row, summed from left to right on every machine."""
    mean: Doubles = np.add.accumulate(cosine, axis=1)[:, -1] / cosine.shape[1]
    return mean


def _proposed(near: Index, cosine: Doubles, own: Doubles, other: Doubles) -> tuple[Index, Doubles]:
    """Return for each sentence, of its neighbours, the one with the highest margin, and that margin.

    Args:
        near: its neighbours [n, k].
        cosine: with them [n, k].
        own: the mean cosine of each sentence with its neighbours [n].
        other: the same of the sentences of the other language [m].
    """
    around = (own[:, None] + other[near]) / 2
    margin = np.divide(cosine, around, out=np.zeros_like(cosine), where=around > 0)
    best = margin.max(axis=1)
    return np.where(margin == best[:, None], near, len(other)).min(axis=1), best


def _greedy(left: list[int], right: list[int]) -> list[int]:
    """Return which pairs are taken, going through them in order, if each sentence may be taken once."""
    taken_left, taken_right = set[int](), set[int]()
    kept = []
    for place, (one, other) in enumerate(zip(left, right, strict=True)):
        if one not in taken_left and other not in taken_right:
            taken_left.add(one)
            taken_right.add(other)
            kept.append(place)
    return kept


def _sides(collection: Collection) -> dict[str, dict[str, _Side]]:
    """Return the sides of each part by language; a collection without parts is one part."""
    documents = collection.documents
    order = np.argsort(documents["doc_id"].to_numpy(object), kind="stable")[::-1]
    every = pd.DataFrame(
        {
            "row": order,
            "doc_id": documents["doc_id"].to_numpy(object)[order],
            "lang": documents["lang"].to_numpy(object)[order],
            "text": np.array(collection.document_texts, dtype=object)[order],
            "part": documents[PART_COLUMN].to_numpy(object)[order] if PART_COLUMN in documents else "",
        }
    )
    every["sentence"] = every.groupby(["part", "lang"])["text"].transform(lambda said: pd.factorize(said)[0])
    relevant = collection.judgements.loc[collection.judgements["relevance"] > 0, ["topic", "doc_id"]]
    answers = relevant.merge(every[["doc_id", "part", "lang", "sentence"]], on="doc_id")
    answered = dict(list(answers.groupby(["part", "lang"])[["topic", "doc_id", "sentence"]]))
    nothing = answers.iloc[:0]
    sides: dict[str, dict[str, _Side]] = {}
    for (part, lang), said in every.groupby(["part", "lang"]):
        first = ~said["sentence"].duplicated()
        once = np.bincount(said["sentence"]) == 1
        side = _Side(said.loc[first, "row"].to_numpy(), once, answered.get((part, lang), nothing))
        sides.setdefault(str(part), {})[str(lang)] = side
    return sides
