"""Per-query values in; means by direction, by setting and by language out, each average named macro or micro.

A *direction* is a query language and a pool, written query first: `en->de`, `en->*`. Its mean runs over the queries
that have a relevant document in that pool; n says how many. *Macro* is the mean over directions (over query languages
in the multilingual setting), *micro* the mean over all queries of the setting. Nothing is averaged over holes: a
direction without queries is not there, and is not counted as zero.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark import bias
from benchmark.measures import Measure, chance
from benchmark.ranking import ALL
from tasks.card import SETTINGS


def setting_of(query_lang: str, pool: str) -> str:
    """Return the setting that a direction belongs to."""
    if pool == ALL:
        return "multi"
    if "+" in pool:
        return "pair"
    return "mono" if pool == query_lang else "cross"


def directions(values: pd.DataFrame, pools: pd.DataFrame, measures: Sequence[Measure]) -> pd.DataFrame:
    """Return one row per direction: `setting, query_lang, pool, documents, queries` and the mean of each measure."""
    names = [str(measure) for measure in measures]
    grouped = values.groupby(["query_lang", "pool"], observed=True)
    table = grouped[names].mean()
    table.insert(0, "queries", grouped.size())
    table = table.reset_index().astype({"query_lang": "str", "pool": "str"})
    table.insert(2, "documents", table["pool"].map(pools.set_index("pool")["documents"]))
    setting = [setting_of(lang, pool) for lang, pool in zip(table["query_lang"], table["pool"], strict=True)]
    table.insert(0, "setting", pd.Series(pd.Categorical(setting, SETTINGS, ordered=True)))
    return table.sort_values(["setting", "query_lang", "pool"]).reset_index(drop=True).astype({"setting": "str"})


def averages(
    directed: pd.DataFrame, values: pd.DataFrame, pools: pd.DataFrame, measures: Sequence[Measure]
) -> pd.DataFrame:
    """Return one row per (setting, average): `setting, average, directions, queries` and the measures.

    `average` is `macro`, `micro`, or `chance`: the macro average that a random order of the documents would score.
    """
    names = [str(measure) for measure in measures]
    floor = _chance(values, pools, measures)
    rows = []
    for setting in [setting for setting in SETTINGS if (directed["setting"] == setting).any()]:
        part = directed[directed["setting"] == setting]
        weights = part["queries"] / part["queries"].sum()
        counts = {"setting": setting, "directions": len(part), "queries": int(part["queries"].sum())}
        macro, micro = part[names].mean(), part[names].mul(weights, axis=0).sum()
        by_chance = part[["query_lang", "pool"]].merge(floor, on=["query_lang", "pool"])[names].mean()
        for average, means in (("macro", macro), ("micro", micro), ("chance", by_chance)):
            rows.append(counts | {"average": average} | means.to_dict())
    return pd.DataFrame(rows)[["setting", "average", "directions", "queries", *names]]


def _chance(values: pd.DataFrame, pools: pd.DataFrame, measures: Sequence[Measure]) -> pd.DataFrame:
    """Return the expected mean of each direction for a random order, from how many relevants its queries have."""
    counts = values.groupby(["query_lang", "pool", "gains"], observed=True).size().rename("queries").reset_index()
    counts = counts.astype({"query_lang": "str", "pool": "str", "gains": "str"})
    counts = counts.merge(pools.astype({"pool": "str"}), on="pool")
    kinds = counts[["gains", "documents"]].drop_duplicates()
    shapes = [([int(gain) for gain in gains.split(",")], documents) for gains, documents in kinds.to_numpy().tolist()]
    for measure in measures:
        kinds[str(measure)] = [chance(measure, gains, documents) for gains, documents in shapes]
    counts = counts.merge(kinds, on=["gains", "documents"])
    names = [str(measure) for measure in measures]
    counts[names] = counts[names].mul(counts["queries"], axis=0)
    sums = counts.groupby(["query_lang", "pool"])[[*names, "queries"]].sum()
    return sums[names].div(sums["queries"], axis=0).reset_index()


def bias_rows(by_query: pd.DataFrame, documents: int) -> pd.DataFrame:
    """Return the bias measures by query language, then their macro (over languages) and micro (over queries) average.

    Columns: `query_lang` (a tag, `macro` or `micro`), `queries`, the measures of `bias.MEASURES`, and
    `rank_distance_chance`, what a random order would give.
    """
    names = list(bias.MEASURES)
    table = by_query.assign(rank_distance_chance=bias.chance_rank_distance(by_query["relevant"], documents))
    names.append("rank_distance_chance")
    grouped = table.groupby("query_lang", observed=True)
    means = grouped[names].mean()
    means.insert(0, "queries", grouped.size())
    rows = means.reset_index().astype({"query_lang": "str"}).sort_values("query_lang")
    total = int(rows["queries"].sum())
    macro = {"query_lang": "macro", "queries": total, **rows[names].mean()}
    micro = {"query_lang": "micro", "queries": total, **rows[names].mul(rows["queries"] / total, axis=0).sum()}
    return pd.concat([rows, pd.DataFrame([macro, micro])], ignore_index=True)


def matrix(directed: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return query language x document language means of `measure`; NaN where there is no such direction."""
    single = directed[directed["setting"].isin(["mono", "cross"])]
    return single.set_index(["query_lang", "pool"])[measure].unstack().astype(np.float64)  # noqa: PD010 - no aggregation
