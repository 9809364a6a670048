"""Lists of documents in, one for each query and pool, cut off somewhere; the Ranking that they amount to, out.

Lists come from elsewhere: a run file, an index that does not look at every document. An answer that its list does not
hold has the rank NOT_FOUND and adds nothing to any measure, which is what trec_eval makes of it; so does a query
without a list. The order is trec_eval's: score as float32, descending; ties by document id, descending.
"""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Collection as Names
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.ranking import ALL, NOT_FOUND, TOGETHER, TOP, Ranking, join, pair_pool, parts
from benchmark.scoring import Floats, Index
from tasks.collection import Collection

Codes = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class _Lists:
    """All lists, in order: by query, pool and rank. A query, pool or document is its place among the names here."""

    queries: pd.Index
    pools: pd.Index
    documents: pd.Index
    """Ids, ascending."""
    query: Codes
    pool: Codes
    document: Codes
    score: Floats
    rank: NDArray[np.int32]
    tied: NDArray[np.bool_]
    """Whether another document of the list has the same score."""

    def key(self, query: Codes, pool: Codes, document: Codes) -> NDArray[np.int64]:
        """Return one number for each (query, pool, document); -1 where no list is of the pool."""
        key = (query.astype(np.int64) * len(self.pools) + pool) * len(self.documents) + document
        return np.where(pool < 0, -1, key)


def ranking(collection: Collection, listed: pd.DataFrame, settings: Sequence[str], **how: Any) -> Ranking:
    """Return the ranks of the relevant documents in their lists at once: `ranked`, joined."""
    return join(list(ranked(collection, listed, settings, **how)))


def ranked(
    collection: Collection,
    listed: pd.DataFrame,
    settings: Sequence[str],
    *,
    ignore_identical_ids: bool = False,
    top: int = TOP,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Ranking]:
    """Yield the ranks of the relevant documents in their lists, some queries after others.

    Args:
        collection: what was asked of what.
        listed: `query_id, pool, doc_id, score`, each document once in a list; ids that the collection knows.
        settings: any of `mono`, `cross`, `multi`, `pair`: which pools are looked at.
        ignore_identical_ids: leave out the document whose id is the query's.
        top: how many documents of the pool of all languages to keep for each query.
        progress: told the number of queries done, as they are done.
    """
    found = _sorted(collection, listed, ignore_identical_ids)
    relevant = np.flatnonzero(_relevant(collection, found))
    hits = pd.Index(found.key(found.query[relevant], found.pool[relevant], found.document[relevant]))
    first = np.flatnonzero((found.rank <= top) & (found.pool == found.pools.get_indexer(pd.Index([ALL]))))
    lang = collection.documents.set_index("doc_id")["lang"].reindex(found.documents)
    spoken, langs = pd.factorize(lang, sort=True)
    for part, _, _ in parts(collection):
        pools, topics = _pools(part, settings), pd.Index(part.queries["topic"].unique())
        for some in _together(part):
            rows = _answers(some, settings, ignore_identical_ids)
            asked, searched, held = (
                names.get_indexer(pd.Index(rows[name]))
                for names, name in (
                    (found.queries, "query_id"), (found.pools, "pool"), (found.documents, "doc_id"),
                )
            )  # fmt: skip
            place = hits.get_indexer(pd.Index(found.key(asked, searched, held)))
            tied = np.append(found.tied[relevant], False)[place]
            counted = (rows["pool"] == ALL).to_numpy() if "multi" in settings else slice(None)
            mine = first[
                np.isin(found.query[first], np.unique(found.queries.get_indexer(pd.Index(some.queries["query_id"]))))
            ]
            ranks = _ranks(rows, np.append(found.rank[relevant], NOT_FOUND)[place], pools, some, ignore_identical_ids)
            progress(len(some.queries))
            yield Ranking(
                # Which topics are kept goes by their place among all.
                ranks=ranks.assign(topic=pd.Categorical(rows["topic"], topics)),
                pools=pools,
                top=pd.DataFrame(
                    {
                        "query_id": pd.Categorical.from_codes(found.query[mine], found.queries),
                        "rank": found.rank[mine],
                        "doc_id": pd.Categorical.from_codes(found.document[mine], found.documents),
                        "doc_lang": pd.Categorical.from_codes(spoken[found.document[mine]], langs),
                        "score": found.score[mine],
                    }
                ),
                answers=len(tied[counted]),
                tied=int(tied[counted].sum()),
            )


def order(group: Codes, score: Floats, document: Codes) -> Index:
    """Return the order of lists: by group, then by score, descending, then by document, descending.

    Most lists come in order, or nearly, and a stable sort of one key is quick then.
    """
    bits = (score + np.float32(0)).view(np.uint32)  # a negative zero is no other score than zero
    descending = np.where(bits >> 31, bits, ~(bits | np.uint32(1 << 31)))
    key = (group.astype(np.uint64) << np.uint64(32)) | descending
    found: Index = np.argsort(key, kind="stable")
    same = np.diff(key[found]) == 0
    run = np.cumsum(np.insert(~same, 0, True))
    tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    found[tied] = found[tied][np.lexsort((-document[found[tied]], run[tied]))]
    return found


def answers(collection: Collection, settings: Sequence[str], ignore_identical_ids: bool = False) -> pd.DataFrame:
    """Return a row for each (query, relevant document, pool of these settings); pools are those of the query's part.

    Columns: `query_id, query_lang, topic, doc_id, doc_lang, relevance, pool`.
    """
    found = [_answers(part, settings, ignore_identical_ids) for part, _, _ in parts(collection)]
    return pd.concat(found, ignore_index=True)


def _answers(collection: Collection, settings: Sequence[str], ignore_identical_ids: bool) -> pd.DataFrame:
    relevant = collection.judgements[collection.judgements["relevance"] > 0]
    found = (
        collection.queries[["query_id", "lang", "topic"]]
        .rename(columns={"lang": "query_lang"})
        .merge(relevant, on="topic")
        .merge(collection.documents[["doc_id", "lang"]].rename(columns={"lang": "doc_lang"}), on="doc_id")
    )
    if ignore_identical_ids:
        found = found[found["query_id"] != found["doc_id"]]
    return in_pools(found, settings, collection.document_languages)


def askers(collection: Collection, settings: Names[str], pool: str) -> Index:
    """Return the rows of the queries that search a pool in these settings."""
    own = collection.queries["lang"].to_numpy(object) == pool
    if pool == ALL:
        return np.flatnonzero(np.full(len(own), "multi" in settings))
    return np.flatnonzero((own & ("mono" in settings)) | (~own & ("cross" in settings)))


def in_pools(rows: pd.DataFrame, settings: Sequence[str], languages: Sequence[str]) -> pd.DataFrame:
    """Return rows with `query_lang, doc_lang` once for each `pool` of these settings that the document stands in.

    In the pools of two languages, a document in the query's own language stands with every other one, another with
    that; a query in a language that no document is in has no such pool.
    """
    own = rows["query_lang"] == rows["doc_lang"]
    found = [rows[:0].assign(pool="")]
    for setting, those in (("mono", rows[own]), ("cross", rows[~own])):
        if setting in settings:
            found.append(those.assign(pool=those["doc_lang"]))
    if "multi" in settings:
        found.append(rows.assign(pool=ALL))
    if "pair" in settings:
        pairs = [(one, other) for one in languages for other in languages if one != other]
        beside = [(one, lang, pair_pool(one, other)) for one, other in pairs for lang in (one, other)]
        found.append(rows.merge(pd.DataFrame(beside, columns=["query_lang", "doc_lang", "pool"], dtype="str")))
    return pd.concat(found, ignore_index=True)


def _sorted(collection: Collection, listed: pd.DataFrame, ignore_identical_ids: bool) -> _Lists:
    queries = pd.Index(collection.queries["query_id"]).sort_values()
    documents = pd.Index(collection.documents["doc_id"]).sort_values()
    query, document = places(listed["query_id"], queries), places(listed["doc_id"], documents)
    pool, pools = pd.factorize(listed["pool"])
    score = listed["score"].to_numpy(np.float32)
    if ignore_identical_ids:
        kept = document != documents.get_indexer(queries)[query]
        query, document, pool, score = query[kept], document[kept], pool[kept], score[kept]
    group = query * len(pools) + pool
    found = order(group, score, document)
    group, score = group[found], score[found]
    start = np.flatnonzero(np.append(True, group[1:] != group[:-1])[: len(group)])
    same = (group[1:] == group[:-1]) & (score[1:] == score[:-1])
    return _Lists(
        queries=queries,
        pools=pd.Index(pools, dtype="str"),
        documents=documents,
        query=query[found],
        pool=pool[found],
        document=document[found],
        score=score,
        rank=np.arange(1, len(group) + 1, dtype=np.int32)
        - np.repeat(start, np.diff(np.append(start, len(group)))).astype(np.int32),
        tied=(np.append(same, False) | np.insert(same, 0, False))[: len(group)],
    )


def places(values: pd.Series, known: pd.Index) -> NDArray[np.int64]:
    """Return where each value stands in `known`."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        of_category: NDArray[np.int64] = known.get_indexer(pd.Index(values.cat.categories))
        return of_category[values.cat.codes]
    place: NDArray[np.int64] = known.get_indexer(pd.Index(values))
    return place


def _relevant(collection: Collection, found: _Lists) -> NDArray[np.bool_]:
    """Return which documents of the lists are relevant to their query."""
    judged = collection.judgements[collection.judgements["relevance"] > 0]
    asked = collection.queries.set_index("query_id")["topic"].reindex(found.queries)
    topic, topics = pd.factorize(asked)
    of = topics.get_indexer(pd.Index(judged["topic"]))
    document = found.documents.get_indexer(pd.Index(judged["doc_id"]))
    known = (of >= 0) & (document >= 0)
    relevant = pd.Index((of * len(found.documents) + document)[known])
    there: NDArray[np.bool_] = (
        relevant.get_indexer(pd.Index(topic[found.query] * len(found.documents) + found.document)) >= 0
    )
    return there


def _together(part: Collection) -> Iterator[Collection]:
    """Yield the collection with some of its queries after others, that have some TOGETHER answers."""
    judged = part.judgements.loc[part.judgements["relevance"] > 0, "topic"].value_counts()
    count = part.queries["topic"].map(judged).fillna(0).astype(int)
    for _, queries in part.queries.groupby(count.cumsum() // TOGETHER, sort=False):
        yield replace(part, queries=queries)


def _pools(collection: Collection, settings: Sequence[str]) -> pd.DataFrame:
    """Return `pool, documents`: every language, then the pools of several that the settings ask for."""
    languages = collection.document_languages
    sizes = collection.documents["lang"].value_counts()
    rows = [(lang, int(sizes[lang])) for lang in languages]
    if "multi" in settings:
        rows.append((ALL, int(sizes.sum())))
    if "pair" in settings:
        rows += [
            (pair_pool(one, other), int(sizes[one] + sizes[other]))
            for place, one in enumerate(languages)
            for other in languages[place + 1 :]
        ]
    return pd.DataFrame(rows, columns=["pool", "documents"])


def _ranks(
    rows: pd.DataFrame, rank: NDArray[np.int32], pools: pd.DataFrame, collection: Collection, ignore_identical_ids: bool
) -> pd.DataFrame:
    """Return `Ranking.ranks`; a pool has one document less where the ignored one would stand in it."""
    documents = rows["pool"].map(pools.set_index("pool")["documents"]).astype("int64")
    if ignore_identical_ids:
        stands = [
            f"{lang} {pool}"
            for pool in pools["pool"]
            for lang in (collection.document_languages if pool == ALL else pool.split("+"))
        ]
        spoken = rows["query_id"].map(collection.documents.set_index("doc_id")["lang"]).astype("str")
        documents -= (spoken + " " + rows["pool"]).isin(stands)
    names = ("query_id", "query_lang", "topic", "doc_id", "doc_lang")
    return pd.DataFrame(
        {name: rows[name].astype("category") for name in names}
        | {
            "relevance": rows["relevance"].astype(np.int32),
            "pool": pd.Categorical(rows["pool"], pools["pool"]),
            "documents": documents.astype("category"),
            "rank": rank.astype(np.int32),
        }
    )
