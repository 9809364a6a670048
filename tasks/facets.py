"""A Collection in; its facets out: what else is said of a question or of a document (`domain`, `year`), as text.

A facet changes no number. It says which numbers belong together, so that results can be told apart by it afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from tasks.collection import Collection

MOST = 1000
"""Values that a facet has at most; a column with more (an address, an answer) tells texts apart and groups none."""
SIDES = {"query": ("queries", "query_id"), "document": ("documents", "doc_id")}


@dataclass(frozen=True)
class Facet:
    """What is said of the queries, or of the documents that are relevant to some topic.

    * `of`: `query` or `document`; `name`: the column.
    * `values`: text by `query_id` or `doc_id`; a hole where nothing is said.
    """

    of: str
    name: str
    values: "pd.Series[str]"

    @property
    def column(self) -> str:
        """The name that no other facet of the collection has: `query.domain`."""
        return f"{self.of}.{self.name}"

    @property
    def kept(self) -> bool:
        """Whether results keep it: it says something, and not of each text another thing."""
        return 0 < self.values.nunique() <= MOST


def of(texts: Collection) -> Iterator[Facet]:
    """Yield the facets of a collection, those of the queries first."""
    for side, (table, key) in SIDES.items():
        frame: pd.DataFrame = getattr(texts, table)
        if (names := texts.facets(table)) and side == "document":
            relevant = texts.judgements.loc[texts.judgements["relevance"] > 0, "doc_id"]
            frame = frame[frame["doc_id"].isin(relevant.unique())]
        for name in names:
            yield Facet(side, str(name), as_text(frame[name]).set_axis(pd.Index(frame[key])))


def as_text(values: pd.Series) -> "pd.Series[str]":
    """Return values as text without space around it; what is blank is a hole, and whole numbers have no point."""
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():  # integers with holes among them
        values = values.astype("Int64")
    text = values.astype("str").str.strip()
    return text.where(text != "")
