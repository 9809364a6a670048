"""Two results in; the cells that a gate looks at, with what each topic adds to their differences, out.

`benchmark.paired` has averages, languages of the question, directions and bias values. A gate needs both sides of a
language, so the means by language of the documents are added: over the languages of the question in `cross` and `pair`,
and in `multi` those of strong alignment, where the answers in one language count at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from benchmark import bias, paired, statistics
from benchmark.bias import STRONG
from benchmark.blame import Directions
from benchmark.evidence import Result
from benchmark.measures import evaluate, parse
from benchmark.paired import Paired

Floats = NDArray[np.float64]
AVERAGES, LANGUAGES, DIRECTIONS, BIAS = KINDS = ("averages", "languages", "directions", "bias")
COLUMNS = ["kind", "side", "setting", "query_lang", "pool", "name", "n", "before", "after", "difference", "p"]


@dataclass(frozen=True)
class Cells:
    """The cells of one measure.

    * `table`: `kind` (of `KINDS`); `side` of a language (`queries` or `documents`); `setting`; `query_lang` (`macro`
      or `micro` for an average, "" for documents); `pool` (the language for documents, "" where there are several);
      `name` of the measure or bias value; `n` topics; `before`, `after`, `difference`; `p`, two-sided. A direction that
      is its language's only one in the setting is there as the language.
    * `differences`: [topics, cells]: what each topic adds to the difference.
    * `directions`: between two languages; those of strong alignment are a setting of their own.
    """

    table: pd.DataFrame
    differences: Floats
    directions: Directions


def of(before: Result, after: Result, measure: str, biases: Iterable[str] = ()) -> Cells:
    """Return the cells of a measure, and the macro averages of some bias values.

    Raises UserError if the two results cannot be read together.
    """
    (pair,) = paired.compare([before, after], measure)
    return of_pair(pair, biases)


def of_pair(pair: Paired, biases: Iterable[str] = ()) -> Cells:
    """Return the cells of a comparison."""
    measure = pair.measure
    cells = pair.cells.assign(side="")
    kind, setting = cells["kind"], cells["setting"]
    two = kind.eq("direction") & setting.ne("multi")
    between = cells[two].assign(doc_lang=[other(*names) for names in cells.loc[two, ["query_lang", "pool"]].to_numpy()])
    tables, differences = [between], [pair.differences[:, two]]
    if setting.eq("multi").any():
        strong, moved = _strong(pair.before, pair.after, measure, pair.topics)
        tables.append(strong)
        differences.append(moved)
    directions = Directions(pd.concat(tables, ignore_index=True), np.hstack(differences))
    documents, documents_moved = _documents(directions, measure)
    pools = cells[two].groupby(["setting", "query_lang"])["pool"].transform("size").reindex(cells.index, fill_value=0)
    shown = kind.isin(["average", "language"]) | (two & pools.gt(1))  # an only direction is there as its language
    shown |= kind.eq("bias") & cells["query_lang"].eq("macro") & cells["name"].isin(list(biases))
    names = {"average": AVERAGES, "language": LANGUAGES, "direction": DIRECTIONS, "bias": BIAS}
    kept = cells[shown].assign(kind=kind[shown].map(names))
    kept.loc[kept["kind"] == LANGUAGES, "side"] = "queries"
    table = pd.concat([kept[COLUMNS], documents[COLUMNS]], ignore_index=True)
    return Cells(table, np.hstack([pair.differences[:, shown], documents_moved]), directions)


def other(query_lang: str, pool: str) -> str:
    """Return the language of a pool that is not the query's; the query's, if there is none."""
    return next((lang for lang in pool.split("+") if lang != query_lang), pool)


def _strong(before: Result, after: Result, measure: str, topics: pd.Index) -> tuple[pd.DataFrame, Floats]:
    """Return the directions of strong alignment, and what each topic adds to their differences [topics, directions]."""
    key = ["query_id", "pool"]
    first, second = (
        evaluate(bias.strong(result.ranks()), [parse(measure)])
        .astype(dict.fromkeys([*key, "query_lang", "topic"], "str"))
        .set_index(key)
        .rename(columns={measure: name})
        for result, name in ((before, "before"), (after, "after"))
    )
    both = first[["query_lang", "topic", "before"]].join(second["after"], how="inner").reset_index()
    both = both.rename(columns={"pool": "doc_lang"})
    grouped = both.groupby(["query_lang", "doc_lang"])
    table = grouped[["before", "after"]].mean()
    table["n"] = grouped["topic"].nunique()
    direction = grouped.ngroup().to_numpy()
    added = (both["after"] - both["before"]) / np.bincount(direction)[direction]
    cell = topics.get_indexer(pd.Index(both["topic"])) * len(table) + direction
    differences = np.bincount(cell, added, len(topics) * len(table)).astype(np.float64)
    table = table.reset_index().assign(setting=STRONG, kind="direction", name=measure)
    return table, differences.reshape(len(topics), -1)


def _documents(directions: Directions, measure: str) -> tuple[pd.DataFrame, Floats]:
    """Return the means by language of the documents, and what each topic adds to their differences [topics, cells]."""
    table = directions.table
    part = table[table["setting"] != "mono"]
    grouped = part.groupby(["setting", "doc_lang"])
    means = grouped[["before", "after"]].mean().join(grouped["n"].max()).reset_index()
    weights = 1 / grouped["before"].transform("size")
    differences = directions.differences @ csr_array(
        (weights, (part.index, grouped.ngroup())), shape=(len(table), len(means))
    )
    means = means.rename(columns={"doc_lang": "pool"}).assign(
        kind=LANGUAGES,
        side="documents",
        setting=means["setting"].replace(STRONG, "multi"),
        query_lang="",
        name=measure,
        difference=means["after"] - means["before"],
        p=statistics.sign_flip(differences) if len(means) else [],
    )
    return means, differences
