"""Ranks in the pool of all languages in; how a model treats the languages of the answers out, by query language.

Rank distance is from arXiv:2408.10536 (section 4); Max@R and Comp@10 from arXiv:2604.05684. `docs/measures.md` has the
formulas, ranges and what they do not show.
"""

import numpy as np
import pandas as pd

from benchmark.ranking import ALL

MEASURES = ("rank_distance", "max_rank", "max_rank_normalised", "complete@10")


def by_query(ranks: pd.DataFrame, documents: int) -> pd.DataFrame:
    """Return the bias measures of each query in the pool of all languages.

    Args:
        ranks: `Ranking.ranks`.
        documents: number of documents in the pool of all languages.

    Returns:
        `query_id, query_lang, topic, relevant` and:

        * `rank_distance`: worst minus best rank of the relevant documents; 0 to documents - 1, lower is better.
        * `max_rank`: rank of the worst placed one (Max@R); lower is better.
        * `max_rank_normalised`: the same on a log scale; 100 when all relevants are on top, 0 when one is last.
        * `complete@10`: 1 if all relevants are among the first ten (Comp@10), else 0.
    """
    pool = ranks[ranks["pool"] == ALL]
    grouped = pool.groupby("query_id", observed=True, sort=False)
    first = grouped[["query_lang", "topic"]].first()
    spread = grouped["rank"].agg(["min", "max", "size"])
    relevant, worst = spread["size"], spread["max"]
    room = np.log2(documents) - np.log2(relevant)
    first["relevant"] = relevant
    first["rank_distance"] = worst - spread["min"]
    first["max_rank"] = worst
    first["max_rank_normalised"] = np.where(room > 0, 100 * (np.log2(documents) - np.log2(worst)) / room, 100.0)
    first["complete@10"] = (worst <= 10).astype(float)
    return first.reset_index()


def chance_rank_distance(relevant: pd.Series, documents: int) -> pd.Series:
    """Return the expected rank distance in a random order: (N + 1)(n - 1) / (n + 1) for n relevants of N documents."""
    return (documents + 1) * (relevant - 1) / (relevant + 1)
