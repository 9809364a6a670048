"""A comparison in; the topics that lost and gained most out, with ranks before and after, and what stands above now.

Each topic is shown by the query and pool in which it changed most. What stands above an answer is read from the top k
of the second result, where it is kept; texts are read from the task's files, where they are on this machine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark import evidence
from benchmark.evidence import Result
from benchmark.measures import evaluate, parse
from benchmark.paired import Paired
from benchmark.ranking import ALL
from tasks import card, fetch, readers
from tasks.errors import UserError

ABOVE = 3  # documents


@dataclass(frozen=True)
class Answer:
    """A relevant document and its ranks in the pool; NOT_FOUND where its list ends before it."""

    doc_id: str
    lang: str
    before: int
    after: int


@dataclass(frozen=True)
class Change:
    """A topic, and where it changed most.

    * `before`, `after`: mean of the measure over all directions of the topic.
    * `query_id`, `query_lang`, `pool`: the wording and the direction that changed most; `value_before`, `value_after`:
      the measure there.
    * `answers`: the relevant documents there, the one whose rank changed most first.
    * `above`: `rank, doc_id, lang` of the first documents, no answers, that stand above that answer after; None where
      the top k is not kept.
    """

    topic: str
    before: float
    after: float
    query_id: str
    query_lang: str
    pool: str
    value_before: float
    value_after: float
    answers: tuple[Answer, ...]
    above: tuple[tuple[int, str, str], ...] | None

    @property
    def ids(self) -> list[str]:
        """The documents that are named."""
        return [*(answer.doc_id for answer in self.answers), *(doc_id for _, doc_id, _ in self.above or ())]


def changed(found: Paired, most: int) -> tuple[list[Change], list[Change]]:
    """Return the topics that lost most and those that gained most, at most `most` each, the greatest change first.

    A topic's change is what it adds to the macro averages of all settings.
    """
    macro = (found.cells["kind"] == "average") & (found.cells["query_lang"] == "macro")
    change = found.differences[:, macro.to_numpy()].sum(axis=1)
    order = np.argsort(change, kind="stable")
    picked = [found.topics[place] for place in [*order[:most], *order[::-1][:most]] if change[place]]
    ranks = [_of(result.ranks(), "topic", picked) for result in (found.before, found.after)]
    values = [evaluate(table, [parse(found.measure)]) for table in ranks] if picked else []
    top = None
    if picked and (found.after.folder / "top.parquet").is_file():
        top = _of(found.after.top(), "query_id", ranks[1]["query_id"].unique())
    moved = dict(zip(found.topics, change, strict=True))
    told = [(_told(topic, moved[topic], found.measure, values, ranks, top), moved[topic]) for topic in picked]
    lost, gained = ([one for one, moved in told if moved * sign > 0] for sign in (-1, 1))
    return lost[:most], gained[:most]


def _of(table: pd.DataFrame, column: str, wanted: Iterable[str]) -> pd.DataFrame:
    part = table[table[column].isin(list(wanted))]
    names = [name for name in ("query_id", "query_lang", "topic", "doc_id", "doc_lang", "pool") if name in part]
    return part.assign(**{name: part[name].astype("str").astype("category") for name in names})


def _told(
    topic: str,
    moved: float,
    measure: str,
    values: Sequence[pd.DataFrame],
    ranks: Sequence[pd.DataFrame],
    top: pd.DataFrame | None,
) -> Change:
    key = ["query_id", "query_lang", "pool"]
    one, other = (table[table["topic"] == topic].astype(dict.fromkeys(key, "str")).set_index(key) for table in values)
    both = pd.DataFrame({"before": one[measure], "after": other[measure]}).sort_index()
    most = ((both["after"] - both["before"]) * np.sign(moved)).to_numpy().argmax()
    (query_id, query_lang, pool), value = both.index[most], both.iloc[most]
    here = [table[(table["query_id"] == query_id) & (table["pool"] == pool)].set_index("doc_id") for table in ranks]
    placed = pd.DataFrame({"lang": here[0]["doc_lang"], "before": here[0]["rank"], "after": here[1]["rank"]})
    placed["ratio"] = np.log(placed["after"] / placed["before"]) * -np.sign(moved)
    placed = placed.sort_values(["ratio", "before"], ascending=[False, True], kind="stable")
    answers = tuple(
        Answer(str(doc_id), str(lang), int(before), int(after))
        for doc_id, lang, before, after in placed[["lang", "before", "after"]].itertuples(name=None)
    )
    return Change(
        topic=topic,
        before=float(both["before"].mean()),
        after=float(both["after"].mean()),
        query_id=query_id,
        query_lang=query_lang,
        pool=pool,
        value_before=float(value["before"]),
        value_after=float(value["after"]),
        answers=answers,
        above=None if top is None else _above(top[top["query_id"] == query_id], pool, answers),
    )


def _above(top: pd.DataFrame, pool: str, answers: Sequence[Answer]) -> tuple[tuple[int, str, str], ...] | None:
    """Return what stands above the first of the answers in a pool, as far as the query's list of all languages tells.

    None if there is no list: the top k may be kept of some topics only.
    """
    if top.empty:
        return None
    listed = top.sort_values("rank")
    if pool != ALL:
        listed = listed[listed["doc_lang"].isin(pool.split("+"))]
    known = {answer.doc_id for answer in answers}
    rows = enumerate(zip(listed["doc_id"].astype("str"), listed["doc_lang"].astype("str"), strict=True), 1)
    found = [(rank, doc_id, lang) for rank, (doc_id, lang) in rows if doc_id not in known and rank < answers[0].after]
    return tuple(found[:ABOVE])


def texts(
    result: Result, query_ids: Iterable[str], doc_ids: Iterable[str]
) -> tuple[dict[str, str], dict[str, str], str]:
    """Return the texts of queries and of documents by id, and "" or a sentence that says why there are none."""
    says = result.says["task"]
    label = evidence.label(result.says)
    if says["name"] not in card.catalogue():
        return {}, {}, f"Texts are not shown: {label} is a task of your own, and a result does not say where it lies."
    try:
        found = card.find(label)
        if found.hash != says["card_hash"]:
            return {}, {}, f"Texts are not shown: the card of {label} has changed since the result was made."
        collection = readers.load(found, fetch.fetch(found, offline=True))
    except UserError:
        return (
            {},
            {},
            f"Texts are not shown: the files of {label} are not on this machine; bring them with bench fetch {label}.",
        )
    queries, documents = collection.queries, collection.documents
    asked = queries.loc[queries["query_id"].isin(list(query_ids)), ["query_id", "text"]]
    held = documents.loc[documents["doc_id"].isin(list(doc_ids)), ["doc_id", "text"]]
    return dict(asked.itertuples(index=False)), dict(held.itertuples(index=False)), ""
