"""Per-query values in; means by direction, by setting and by language out, each average named macro or micro.

A *direction* is a query language and a pool, written query first: `en->de`, `en->*`. Its mean runs over the queries
that have a relevant document in that pool; n says how many. *Macro* is the mean over directions (over query languages
in the multilingual setting), *micro* the mean over all queries of the setting. Nothing is averaged over holes: a
direction without queries is not there, and is not counted as zero.
"""

from collections.abc import Callable, Sequence

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


def settings(table: pd.DataFrame) -> "pd.Series[str]":
    """Return the setting of each row, from its `query_lang` and `pool`."""
    (lang, langs), (pool, pools) = pd.factorize(table["query_lang"]), pd.factorize(table["pool"])
    names = np.array([[setting_of(str(one), str(other)) for other in pools] for one in langs], dtype=object)
    return pd.Series(names[lang, pool] if len(table) else [], index=table.index, dtype="str")


def sums(values: pd.DataFrame, measures: Sequence[Measure]) -> pd.DataFrame:
    """Return what `directions` needs of some queries: by `query_lang, pool`: `queries, documents`, measures summed."""
    grouped = values.astype({"documents": "int64"}).groupby(["query_lang", "pool"], observed=True)
    table = grouped[[str(measure) for measure in measures]].sum()
    table.insert(0, "queries", grouped.size())
    table.insert(1, "documents", grouped["documents"].max())
    return table.reset_index().astype({"query_lang": "str", "pool": "str"})


def shapes(values: pd.DataFrame) -> pd.DataFrame:
    """Return how many queries of each `query_lang, pool` have which `gains` among how many `documents`: `queries`."""
    names = ["query_lang", "pool", "gains", "documents"]
    counts = values.groupby(names, observed=True).size().rename("queries").reset_index()
    return counts.astype({"query_lang": "str", "pool": "str", "gains": "str", "documents": "int64"})


def directions(summed: pd.DataFrame, measures: Sequence[Measure]) -> pd.DataFrame:
    """Return one row per direction: `setting, query_lang, pool, documents, queries` and the mean of each measure.

    `summed` are rows of `sums`, those of several parts of the queries one below the other. `documents` is the most that
    a query of the direction is ranked among.
    """
    names = [str(measure) for measure in measures]
    how = {"documents": "max"} | dict.fromkeys(["queries", *names], "sum")
    table = summed.groupby(["query_lang", "pool"]).agg(how).reset_index()
    table[names] = table[names].div(table["queries"], axis=0)
    table.insert(0, "setting", pd.Series(pd.Categorical(settings(table), SETTINGS, ordered=True)))
    return table.sort_values(["setting", "query_lang", "pool"]).reset_index(drop=True).astype({"setting": "str"})


def averages(directed: pd.DataFrame, shaped: pd.DataFrame, measures: Sequence[Measure]) -> pd.DataFrame:
    """Return one row per (setting, average): `setting, average, directions, queries` and the measures.

    `average` is `macro`, `micro`, or `chance`: the macro average that a random order of the documents would score.
    `shaped` are rows of `shapes`.
    """
    names = [str(measure) for measure in measures]
    floor = _chance(shaped, measures)
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


def _chance(counts: pd.DataFrame, measures: Sequence[Measure]) -> pd.DataFrame:
    """Return the expected mean of each direction for a random order, from how many relevants its queries have."""
    kinds = counts[["gains", "documents"]].drop_duplicates()
    pairs = [([int(gain) for gain in gains.split(",")], documents) for gains, documents in kinds.to_numpy().tolist()]
    for measure in measures:
        kinds[str(measure)] = [chance(measure, gains, documents) for gains, documents in pairs]
    counts = counts.merge(kinds, on=["gains", "documents"])
    names = [str(measure) for measure in measures]
    counts[names] = counts[names].mul(counts["queries"], axis=0)
    total = counts.groupby(["query_lang", "pool"])[[*names, "queries"]].sum()
    return total[names].div(total["queries"], axis=0).reset_index()


def bias_rows(by_query: pd.DataFrame) -> pd.DataFrame:
    """Return the bias measures by query language, then their macro (over languages) and micro (over queries) average.

    Columns: `query_lang` (a tag, `macro` or `micro`), `queries`, the measures of `bias.MEASURES`, what a random order
    would give of some (`bias.CHANCE`), and how many queries those stand for that some queries lack (`bias.PARTIAL`,
    named `<measure>_queries`). NaN where no query has a measure, and in macro where a language has none.
    """
    names = [*bias.MEASURES, *bias.CHANCE]
    counts = {name: f"{name}_queries" for name in bias.PARTIAL}
    grouped = by_query.groupby("query_lang", observed=True)
    means = grouped[names].mean()
    means.insert(0, "queries", grouped.size())
    means[list(counts.values())] = grouped[list(counts)].count()
    rows = means.reset_index().astype({"query_lang": "str"}).sort_values("query_lang")
    totals = rows[["queries", *counts.values()]].sum().to_dict()
    macro = {"query_lang": "macro", **totals, **rows[names].mean(skipna=False)}
    micro = {"query_lang": "micro", **totals, **by_query[names].mean()}
    return pd.concat([rows, pd.DataFrame([macro, micro])], ignore_index=True)


def by_language(directed: pd.DataFrame, measure: str) -> pd.Series:
    """Return the mean of each setting and query language, over the pools: index `setting, query_lang`."""
    return directed.groupby(["setting", "query_lang"], sort=False)[measure].mean()


def spread(directed: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return how far the query languages lie apart in each setting.

    A query language's value in the cross setting is its mean over the languages of the documents.

    Returns:
        `setting, languages, best, best_value, worst, worst_value, range, deviation`: the languages by tag (the first
        in alphabetical order where several are equal), best minus worst value, and the standard deviation over the
        languages (divided by their number). Lower range and deviation are more even.
    """
    values = by_language(directed, measure)
    rows = []
    for setting, part in values.groupby("setting", sort=False):
        by_lang = part.droplevel("setting").sort_index()
        best, worst = str(by_lang.idxmax()), str(by_lang.idxmin())
        rows.append(
            {
                "setting": setting,
                "languages": len(by_lang),
                "best": best,
                "best_value": by_lang[best],
                "worst": worst,
                "worst_value": by_lang[worst],
                "range": by_lang[best] - by_lang[worst],
                "deviation": by_lang.std(ddof=0),
            }
        )
    return pd.DataFrame(rows)


def by_group(directed: pd.DataFrame, measure: str, group: Callable[[str], str]) -> pd.DataFrame:
    """Return the mean of each setting by group of query languages, such as their script or resource class.

    Returns:
        `group, languages` and a column for each setting; a language counts once, whatever its number of directions.
    """
    values = by_language(directed, measure).unstack("setting")  # noqa: PD010
    values = values[[setting for setting in SETTINGS if setting in values.columns]]
    grouped = values.groupby([group(tag) for tag in values.index])
    means = grouped.mean().rename_axis("group")
    means.insert(0, "languages", grouped.size())
    return means.reset_index()


def matrix(directed: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return query language x document language means of `measure`; NaN where there is no such direction."""
    single = directed[directed["setting"].isin(["mono", "cross"])]
    return single.set_index(["query_lang", "pool"])[measure].unstack().astype(np.float64)  # noqa: PD010 - no aggregation
