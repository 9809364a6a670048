"""Rankings in, some queries after others; the tables of the evidence out, and the ranks that are kept.

Each ranking is measured, summed up and let go, so memory does not grow with the number of directions: FLORES-200 has 84
million ranks. Where they would be too many to keep, those of every second, third, ... topic are kept; the tables are of
all topics in any case.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark import averages, bias, consistency, exposure, intervals
from benchmark.exposure import Lists
from benchmark.measures import Measure, evaluate
from benchmark.ranking import ALL, TOP, Ranking
from tasks.collection import Collection

DIGITS = 6
KEPT = 2_500_000  # answers whose ranks are kept at most
LISTED = 2_500_000  # documents in the lists (top k) that are kept at most
Json = dict[str, Any]


def every(collection: Collection) -> tuple[int, int]:
    """Return of how many topics one has its ranks kept, and its top k: 1, or more where they would be too many.

    One is a multiple of the other, so that what is kept of fewer topics is kept of topics that have both.
    """
    relevant = collection.judgements.loc[collection.judgements["relevance"] > 0, "topic"].value_counts()
    answers = int(collection.queries["topic"].map(relevant).sum())
    listed = len(collection.queries) * min(TOP, len(collection.documents))
    ranks, top = max(1, -(-answers // KEPT)), max(1, -(-listed // LISTED))
    return (-(-ranks // top) * top, top) if ranks > top else (ranks, -(-top // ranks) * ranks)


def kept(rankings: Iterable[Ranking], steps: tuple[int, int], found: list[Ranking]) -> Iterator[Ranking]:
    """Pass rankings on, and put what is kept of each (every n-th topic, as `every` says) into `found`."""
    for ranking in rankings:
        topic = ranking.ranks["topic"].cat.codes
        ranks, asked = (ranking.ranks if step == 1 else ranking.ranks[topic % step == 0] for step in steps)
        top = ranking.top if steps[1] == 1 else ranking.top[ranking.top["query_id"].isin(asked["query_id"].unique())]
        found.append(Ranking(ranks, ranking.pools, top, ranking.answers, ranking.tied))
        yield ranking


def tables(rankings: Iterable[Ranking], measures: Sequence[Measure], *, with_top: bool = True) -> Json:
    """Return the tables of `evidence.json` that follow from rankings of different queries of one collection.

    Without the top k (`with_top` False) those that need it are left out: bias, language share, consistency.
    """
    names = [str(measure) for measure in measures]
    summed, shaped, strong, biased, shared, shown = [], [], [], [], [], []
    pools: list[pd.DataFrame] = []
    by_topic: list[intervals.Sums] = []
    for ranking in rankings:
        values = evaluate(ranking.ranks, measures)
        summed.append(averages.sums(values, measures))
        shaped.append(averages.shapes(values))
        by_topic += intervals.gather(values, names)
        pools.append(ranking.pools)
        pool = ranking.ranks[ranking.ranks["pool"] == ALL]
        if pool.empty:
            continue
        strong.append(averages.sums(evaluate(bias.strong(pool), measures), measures))
        if with_top:
            by_query, share, lists = _bias(pool, ranking)
            biased.append(by_query)
            shared.append(share)
            shown.append(lists)
    if not any(map(len, summed)):
        return {"directions": []}
    directed = averages.directions(pd.concat(summed), measures)
    means = averages.averages(directed, pd.concat(shaped), measures)
    ends = intervals.bootstrap(by_topic, names, averages.setting_of)
    spoken = _languages(pools[0]) if len(pools) == 1 else sorted({lang for pool in pools for lang in _languages(pool)})
    found: Json = {
        "intervals": intervals.ABOUT,
        "directions": [
            {
                "setting": row["setting"],
                "query_language": row["query_lang"],
                "document_languages": spoken if row["pool"] == ALL else row["pool"].split("+"),
                "n": row["queries"],
                "documents": row["documents"],
                "measures": _rounded(row, names),
                "intervals": ends.directions[row["query_lang"], row["pool"]],
            }
            for row in directed.to_dict("records")
        ],
        "averages": [
            {
                "setting": row["setting"],
                "average": row["average"],
                "directions": row["directions"],
                "n": row["queries"],
                "measures": _rounded(row, names),
            }
            | ({"intervals": ends.averages[of]} if (of := (row["setting"], row["average"])) in ends.averages else {})
            for row in means.to_dict("records")
        ],
        "languages": [
            {"setting": setting, "query_language": lang, "intervals": ends.languages[setting, lang]}
            for setting, lang in averages.by_language(directed, names[0]).index
            if (setting, lang) in ends.languages
        ],
        "strong": [
            {
                "query_language": row["query_lang"],
                "document_language": row["pool"],
                "n": row["queries"],
                "measures": _rounded(row, names),
            }
            for row in _strong(strong, measures)
        ],
    }
    return found | _biases(biased, shared, shown, spoken) if with_top else found


def _strong(summed: Sequence[pd.DataFrame], measures: Sequence[Measure]) -> list[dict[Any, Any]]:
    if not summed:
        return []
    directed = averages.directions(pd.concat(summed), measures)
    return directed.sort_values(["query_lang", "pool"]).to_dict("records")


def _bias(pool: pd.DataFrame, ranking: Ranking) -> tuple[pd.DataFrame, pd.DataFrame, Lists]:
    """Return the bias measures by query, the language share summed over queries, and the top k as tables."""
    size = dict(zip(ranking.pools["pool"], ranking.pools["documents"], strict=True))
    values = bias.by_query(pool)
    spoken = _languages(ranking.pools)
    shown = exposure.lists(ranking.top, values["query_id"], spoken)
    sizes = pd.Series({lang: size[lang] for lang in spoken})
    exposed, share = exposure.by_query(shown, values[["query_id", "query_lang"]], pool, sizes)
    return values.assign(**exposed[list(exposure.MEASURES)]), share, shown


def _biases(
    biased: Sequence[pd.DataFrame], shared: Sequence[pd.DataFrame], shown: Sequence[Lists], spoken: Sequence[str]
) -> Json:
    if not biased:
        return {"bias": [], "language_share": [], "consistency": []}
    values = pd.concat(biased).astype({"query_lang": "str", "topic": "str"})
    if values[list(bias.DISTANCES)].isna().any(axis=None):  # of some of the queries
        values[list(bias.DISTANCES)] = np.nan
    share = pd.concat(shared).groupby(["k", "query_lang"]).sum().reset_index()
    agreed = consistency.by_pair(exposure.joined(shown), values)
    return {
        "bias": bias_rows(values),
        "language_share": [
            {"query_language": row["query_lang"], "k": row["k"], "n": row["queries"]}
            | {"shares": _rounded({lang: row.get(lang, 0.0) / row["queries"] for lang in spoken}, spoken)}
            for row in share.fillna(0.0).to_dict("records")
        ],
        "consistency": [
            {"query_languages": [row["first"], row["second"]], "n": row["topics"]}
            | {"measures": _rounded(row, list(consistency.MEASURES))}
            for row in agreed.to_dict("records")
        ],
    }


def bias_rows(values: pd.DataFrame) -> list[Json]:
    """Return the bias measures of queries as the evidence has them: by query language, then macro and micro."""
    ends = _bias_intervals(values)
    return [
        {"query_language": (lang := row.pop("query_lang")), "n": int(row.pop("queries"))}
        | _rounded(row, map(str, row))
        | {"intervals": {name: None if pd.isna(row[name]) else ends[lang, name] for name in bias.MEASURES}}
        for row in averages.bias_rows(values).to_dict("records")
    ]


def _bias_intervals(values: pd.DataFrame) -> dict[tuple[str, str], list[float] | None]:
    """Return the intervals of the bias measures by (query language, `macro` or `micro`; measure)."""
    coded = values.astype({"query_lang": "category", "topic": "category"})
    parts = []
    for name in bias.MEASURES:
        there = coded[coded[name].notna()]
        named = pd.Categorical.from_codes(np.zeros(len(there), dtype=np.int8), pd.Index([name]))
        parts += intervals.gather(there.assign(pool=named), [name])
    found = intervals.bootstrap(parts, ["value"], lambda _, name: name, bias.RANGES)
    averaged = {(average, name): ends for (name, average), ends in found.averages.items()}
    return {key: ends["value"] for key, ends in (found.directions | averaged).items()}


def _languages(pools: pd.DataFrame) -> list[str]:
    return [pool for pool in pools["pool"] if pool != ALL and "+" not in pool]


def _rounded(row: Mapping[Any, Any], names: Iterable[str]) -> dict[str, float | int | None]:
    """Round to what is the same on every machine, and to no negative zero; a hole is null."""
    return {
        name: None
        if pd.isna(row[name])
        else row[name]
        if isinstance(row[name], int)
        else round(row[name], DIGITS) + 0.0
        for name in names
    }
