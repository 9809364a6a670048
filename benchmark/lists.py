"""Lists of documents in, one for each query and pool, cut off somewhere; the Ranking that they amount to, out.

Lists come from elsewhere: a run file, an index that does not look at every document. An answer that its list does not
hold has the rank NOT_FOUND and adds nothing to any measure, which is what trec_eval makes of it; so does a query
without a list. The order is trec_eval's: score as float32, descending; ties by document id, descending.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.ranking import ALL, NOT_FOUND, TOP, Ranking, pair_pool
from tasks.collection import Collection


def ranking(
    collection: Collection,
    listed: pd.DataFrame,
    settings: Sequence[str],
    *,
    ignore_identical_ids: bool = False,
    top: int = TOP,
) -> Ranking:
    """Return the ranks of the relevant documents in their lists.

    Args:
        collection: what was asked of what.
        listed: `query_id, pool, doc_id, score`, each document once in a list; ids that the collection knows.
        settings: any of `mono`, `cross`, `multi`, `pair`: which pools are looked at.
        ignore_identical_ids: leave out the document whose id is the query's.
        top: how many documents of the pool of all languages to keep for each query.
    """
    if ignore_identical_ids:
        listed = listed[listed["query_id"] != listed["doc_id"]]
    ordered = _ordered(listed)
    answers = _answers(collection, settings)
    if ignore_identical_ids:
        answers = answers[answers["query_id"] != answers["doc_id"]]
    ranks = answers.merge(ordered[["query_id", "pool", "doc_id", "rank", "tied"]], how="left")
    ranks["rank"] = ranks["rank"].fillna(NOT_FOUND).astype(np.int32)
    ranks["relevance"] = ranks["relevance"].astype(np.int32)
    pools = _pools(collection, settings)
    ranks["documents"] = _documents(ranks, pools, collection, ignore_identical_ids)
    tied = ranks.loc[ranks["pool"] == ALL, "tied"] if (ranks["pool"] == ALL).any() else ranks["tied"]
    for name in ("query_id", "query_lang", "topic", "doc_id", "doc_lang", "documents"):
        ranks[name] = ranks[name].astype("category")
    ranks["pool"] = pd.Categorical(ranks["pool"], pools["pool"])
    columns = ["query_id", "query_lang", "topic", "doc_id", "doc_lang", "relevance", "pool", "documents", "rank"]
    first = ordered[(ordered["pool"] == ALL) & (ordered["rank"] <= top)]
    first = first.merge(collection.documents[["doc_id", "lang"]].rename(columns={"lang": "doc_lang"}))
    return Ranking(
        ranks[columns],
        pools,
        first[["query_id", "rank", "doc_id", "doc_lang", "score"]].astype(
            {"query_id": "category", "doc_id": "category", "doc_lang": "category"}
        ),
        len(tied),
        int(tied.fillna(False).astype(bool).sum()),
    )


def _ordered(listed: pd.DataFrame) -> pd.DataFrame:
    """Return the lists in order, with `rank` and whether another document of the list has the same score."""
    listed = listed.assign(score=listed["score"].astype(np.float32))
    keys = ["pool", "query_id"]
    listed = listed.sort_values([*keys, "score", "doc_id"], ascending=[True, True, False, False], kind="stable")
    listed["rank"] = (listed.groupby(keys, sort=False, observed=True).cumcount() + 1).astype(np.int32)
    listed["tied"] = listed.duplicated([*keys, "score"], keep=False)
    return listed.reset_index(drop=True)


def _answers(collection: Collection, settings: Sequence[str]) -> pd.DataFrame:
    """Return a row for each (query, relevant document, pool of these settings)."""
    relevant = collection.judgements[collection.judgements["relevance"] > 0]
    found = (
        collection.queries[["query_id", "lang", "topic"]]
        .rename(columns={"lang": "query_lang"})
        .merge(relevant, on="topic")
        .merge(collection.documents[["doc_id", "lang"]].rename(columns={"lang": "doc_lang"}), on="doc_id")
    )
    own = found["query_lang"] == found["doc_lang"]
    parts = []
    for setting, those in (("mono", found[own]), ("cross", found[~own])):
        if setting in settings:
            parts.append(those.assign(pool=those["doc_lang"]))
    if "multi" in settings:
        parts.append(found.assign(pool=ALL))
    if "pair" in settings:
        languages = collection.document_languages
        spoken = found[found["query_lang"].isin(languages)]
        beside = spoken[["query_lang"]].drop_duplicates().merge(pd.DataFrame({"other": languages}), how="cross")
        beside = beside[beside["query_lang"] != beside["other"]]
        both = spoken.merge(beside, on="query_lang")
        both = both[(both["doc_lang"] == both["query_lang"]) | (both["doc_lang"] == both["other"])]
        pool = [pair_pool(*pair) for pair in zip(both["query_lang"], both["other"], strict=True)]
        parts.append(both.assign(pool=pool).drop(columns="other"))
    return pd.concat(parts, ignore_index=True)


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


def _documents(
    ranks: pd.DataFrame, pools: pd.DataFrame, collection: Collection, ignore_identical_ids: bool
) -> "pd.Series[int]":
    """Return how many documents the pool of each row holds: one less where the ignored document would stand in it."""
    size: pd.Series[int] = ranks["pool"].map(pools.set_index("pool")["documents"]).astype(int)
    if not ignore_identical_ids:
        return size
    lang = ranks["query_id"].map(collection.documents.set_index("doc_id")["lang"])
    holds = [
        isinstance(spoken, str) and (pool == ALL or spoken in pool.split("+"))
        for spoken, pool in zip(lang, ranks["pool"], strict=True)
    ]
    return size - np.array(holds, dtype=int)
