"""Slow and plain versions of what the package computes, written from the definitions, and pytrec_eval beside them."""

from collections import defaultdict
from fractions import Fraction

import numpy as np
import pandas as pd
import pytrec_eval
from numpy.typing import NDArray

from benchmark.ranking import ALL
from tasks.collection import Collection

TREC = {
    "AP": "map", "AP@5": "map_cut_5", "RR": "recip_rank", "nDCG": "ndcg", "nDCG@10": "ndcg_cut_10", "R@1": "recall_1",
    "R@10": "recall_10", "R@100": "recall_100", "P@10": "P_10", "Success@1": "success_1", "Rprec": "Rprec",
}  # fmt: skip


def exact_scores(queries: NDArray[np.float32], documents: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rational arithmetic: no rounding but the last."""
    left, right = ([[Fraction(float(x)) for x in row] for row in side] for side in (queries, documents))
    return np.array(
        [
            [np.float32(float(sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0)))) for b in right]
            for a in left
        ],
        dtype=np.float32,
    )


def pools_of(collection: Collection, query_lang: str, settings: set[str]) -> list[str]:
    langs = collection.document_languages
    pools = [lang for lang in langs if ("mono" if lang == query_lang else "cross") in settings]
    pools += [ALL] if "multi" in settings else []
    if "pair" in settings and query_lang in langs:
        pools += ["+".join(sorted((query_lang, lang))) for lang in langs if lang != query_lang]
    return pools


def trec(
    collection: Collection,
    scores: NDArray[np.float32],
    settings: set[str],
    measures: dict[str, str],
    ignore_identical_ids: bool = False,
) -> pd.DataFrame:
    """Every direction's full run through pytrec_eval: `query_id, pool` and the measures."""
    documents, queries = collection.documents, collection.queries
    judged: dict[str, dict[str, int]] = defaultdict(dict)
    for topic, doc_id, relevance in collection.judgements.itertuples(index=False):
        judged[topic][doc_id] = int(relevance)
    doc_ids, langs = documents["doc_id"].to_numpy(object), documents["lang"].to_numpy(object)
    by_pool: dict[str, tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]] = defaultdict(lambda: ({}, {}))
    for place, (query_id, lang, topic) in enumerate(queries[["query_id", "lang", "topic"]].itertuples(index=False)):
        for pool in pools_of(collection, lang, settings):
            inside = np.ones(len(documents), bool) if pool == ALL else np.isin(langs, pool.split("+"))
            if ignore_identical_ids:
                inside &= doc_ids != query_id
            ids = doc_ids[inside]
            qrels = {doc_id: judged[topic][doc_id] for doc_id in ids if doc_id in judged[topic]}
            if any(qrels.values()):
                by_pool[pool][0][query_id] = qrels
                by_pool[pool][1][query_id] = dict(zip(ids, scores[place, inside].tolist(), strict=True))
    return _trec_eval(by_pool, measures)


def trec_lists(
    collection: Collection, listed: pd.DataFrame, settings: set[str], measures: dict[str, str]
) -> pd.DataFrame:
    """Lists of `query_id, pool, doc_id, score` through pytrec_eval; a query without a list found nothing."""
    lang_of = collection.documents.set_index("doc_id")["lang"]
    judged = collection.judgements.groupby("topic")
    by_pool: dict[str, tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]] = defaultdict(lambda: ({}, {}))
    of = dict(iter(listed.groupby(["query_id", "pool"])))
    for query_id, lang, topic in collection.queries[["query_id", "lang", "topic"]].itertuples(index=False):
        for pool in pools_of(collection, lang, settings):
            part = judged.get_group(topic)
            inside = part if pool == ALL else part[part["doc_id"].map(lang_of).isin(pool.split("+"))]
            if (inside["relevance"] > 0).any():
                run = of.get((query_id, pool), listed[:0])
                by_pool[pool][0][query_id] = {
                    d: int(r) for d, r in zip(inside["doc_id"], inside["relevance"], strict=True)
                }
                scored = {d: float(np.float32(v)) for d, v in zip(run["doc_id"], run["score"], strict=True)}
                by_pool[pool][1][query_id] = scored or {"nothing": 0.0}
    return _trec_eval(by_pool, measures)


def _trec_eval(
    by_pool: dict[str, tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]], measures: dict[str, str]
) -> pd.DataFrame:
    rows = []
    for pool, (qrels_of, run) in by_pool.items():
        names = {name.rsplit("_", 1)[0] + "." + name.rsplit("_", 1)[1] if name[-1].isdigit() else name
                 for name in measures.values()}  # fmt: skip
        for query_id, values in pytrec_eval.RelevanceEvaluator(qrels_of, names).evaluate(run).items():
            rows.append({"query_id": query_id, "pool": pool} | {m: values[name] for m, name in measures.items()})
    return pd.DataFrame(rows)


def ranks(collection: Collection, scores: NDArray[np.float32], settings: set[str]) -> pd.DataFrame:
    """`query_id, doc_id, pool, rank` by sorting every pool of every query."""
    documents = collection.documents
    relevant = collection.judgements[collection.judgements["relevance"] > 0]
    rows = []
    for place, query in enumerate(collection.queries.itertuples()):
        answers = set(relevant.loc[relevant["topic"] == query.topic, "doc_id"])
        for pool in pools_of(collection, str(query.lang), settings):
            inside = range(len(documents)) if pool == ALL else np.flatnonzero(documents["lang"].isin(pool.split("+")))
            listed = sorted(
                ((scores[place, i], documents["doc_id"].iloc[i]) for i in inside), reverse=True
            )  # score descending, ties by id descending
            rows += [
                (query.query_id, doc_id, pool, number)
                for number, (_, doc_id) in enumerate(listed, 1)
                if doc_id in answers
            ]
    return pd.DataFrame(rows, columns=["query_id", "doc_id", "pool", "rank"])
