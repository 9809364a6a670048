"""Ranks and top k of the pool of all languages in; how a model treats the languages of the answers out, by query.

Three rooms measure bias: this one from the ranks of the answers, `exposure` from the languages of the top k,
`consistency` from the top k of the same question in two languages. `docs/measures.md` has the formulas, ranges and
what each of them does not show.

Rank distance is from arXiv:2408.10536 (section 4), Max@R and Comp@10 from arXiv:2604.05684, the preference rate after
arXiv:2605.07249, strong alignment from LAReQA (arXiv:2004.05484, section 3).
"""

import numpy as np
import pandas as pd

from benchmark import exposure
from benchmark.ranking import ALL, NOT_FOUND

STRONG = "strong"  # the setting that strong alignment is in tables
DISTANCES = ("rank_distance", "max_rank", "max_rank_normalised")  # known of all queries, or of none
FROM_RANKS = (*DISTANCES, "complete@10", "own_first")
MEASURES = (*FROM_RANKS, *exposure.MEASURES)
CHANCE = ("rank_distance_chance", "own_first_chance")
RANGES = {  # of those that are not between 0 and 1
    "rank_distance": (0.0, np.inf), "max_rank": (1.0, np.inf), "max_rank_normalised": (0.0, 100.0),
    **{f"own_excess@{k}": (-1.0, 1.0) for k in exposure.DEPTHS},
}  # fmt: skip
PARTIAL = ("own_first", exposure.PEER)  # what some queries may lack


def by_query(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return the bias measures of each query that follow from the ranks of its answers in the pool of all languages.

    Args:
        ranks: `Ranking.ranks`.

    Returns:
        `query_id, query_lang, topic, relevant` and, with N documents in the pool:

        * `rank_distance`: worst minus best rank of the relevant documents; 0 to N - 1, lower is better.
        * `max_rank`: rank of the worst placed one (Max@R); lower is better.
        * `max_rank_normalised`: the same on a log scale; 100 when all relevants are on top, 0 when one is last.
        * `complete@10`: 1 if all relevants are among the first ten (Comp@10), else 0.
        * `own_first`: 1 if the best placed relevant document is in the query's language, else 0; NaN unless there are
          relevant documents both in that language and in another.
        * `rank_distance_chance`, `own_first_chance`: what a random order would give.

        Where lists of limited length do not hold every answer, the distances, Max@R and its normalised form are NaN
        for all queries (those that found everything are the easy ones), and `own_first` for queries that found nothing.
    """
    pool = ranks[ranks["pool"] == ALL]
    langs = pool["query_lang"].cat.categories.get_indexer(pool["doc_lang"].cat.categories)
    pool = pool.assign(own=langs[pool["doc_lang"].cat.codes] == pool["query_lang"].cat.codes)
    grouped = pool.groupby("query_id", observed=True, sort=False)
    first = grouped[["query_lang", "topic"]].first()
    spread = grouped["rank"].agg(["min", "max", "size"])
    relevant, worst, documents = spread["size"], spread["max"], grouped["documents"].first().astype("int64")
    room = np.log2(documents) - np.log2(relevant)
    own = grouped["own"].sum()
    best = pool.loc[grouped["rank"].idxmin()].set_index("query_id")["own"]
    first["relevant"] = relevant
    first["rank_distance"] = worst - spread["min"]
    first["max_rank"] = worst
    first["max_rank_normalised"] = np.where(room > 0, 100 * (np.log2(documents) - np.log2(worst)) / room, 100.0)
    first["complete@10"] = (worst <= 10).astype(float)
    mixed = (own > 0) & (own < relevant)
    first["own_first"] = best.astype(float).where(mixed & (spread["min"] != NOT_FOUND))
    if (worst == NOT_FOUND).any():
        first[list(DISTANCES)] = np.nan
    first["rank_distance_chance"] = chance_rank_distance(relevant, documents)
    first["own_first_chance"] = (own / relevant).where(mixed)
    return first.reset_index()


def chance_rank_distance(relevant: "pd.Series[int]", documents: "pd.Series[int]") -> "pd.Series[float]":
    """Return the expected rank distance in a random order: (N + 1)(n - 1) / (n + 1) for n relevants of N documents."""
    return (documents + 1) * (relevant - 1) / (relevant + 1)


def strong(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return the ranks of strong alignment: each answer in the pool of all languages without the answers in others.

    LAReQA's matrix of question language x answer language: only the answers in one language count, and those in other
    languages are taken out of the pool, so that they neither help nor stand in the way.

    Args:
        ranks: `Ranking.ranks`.

    Returns:
        The rows of the pool of all, `pool` replaced by the answer's language and `rank` by its rank there.
    """
    pool = ranks[ranks["pool"] == ALL].sort_values(["query_id", "rank"], kind="stable")
    above = pool.groupby("query_id", observed=True).cumcount()
    above_own = pool.groupby(["query_id", "doc_lang"], observed=True).cumcount()
    rank = (pool["rank"] - (above - above_own)).where(pool["rank"] != NOT_FOUND, NOT_FOUND)
    return pool.assign(rank=rank, pool=pool["doc_lang"]).reset_index(drop=True)
