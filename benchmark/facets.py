"""Ranks and the facets of a collection in; ranks that carry them out, as the columns `query.domain`, `document.domain`.

No number depends on a facet, so the pass knows nothing of them: they join the ranks when these are written, and a
result that is reused takes up those that have changed.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from benchmark import evidence
from benchmark.evidence import Result
from tasks import facets
from tasks.collection import Collection


def columns(names: Iterable[str]) -> list[str]:
    """Return those of the columns of `ranks.parquet` that are facets."""
    return [name for name in names if name.partition(".")[0] in facets.SIDES and "." in name]


def attached(ranks: pd.DataFrame, texts: Collection) -> pd.DataFrame:
    """Return `Ranking.ranks` with a categorical column for each facet that the collection has."""
    found = {}
    for facet in facets.of(texts):
        if facet.kept:
            ids = ranks[facets.SIDES[facet.of][1]].cat.remove_unused_categories()
            found[facet.column] = by_category(ids, facet.values.reindex(ids.cat.categories))
    return ranks.assign(**found)


def by_category(values: pd.Series, said: "pd.Series[str]") -> pd.Categorical:
    """Return what is said of each value, where `said` has it of each category of `values`."""
    codes, names = pd.factorize(said, sort=True)
    small = codes.astype(np.min_scalar_type(-len(names) - 1))
    return pd.Categorical.from_codes(small[values.cat.codes], pd.Index(names, dtype="str"))


def renewed(result: Result, texts: Collection) -> Result:
    """Return a result with the facets that its texts have now, rewritten if they are others than it has."""
    digest = texts.facets_digest()
    if result.says["task"].get("facets_hash") == digest:
        return result
    ranks = result.ranks()
    ranks = attached(ranks.drop(columns=columns(ranks.columns)), texts)
    return evidence.amend(result, ranks, task=result.says["task"] | {"facets_hash": digest})
