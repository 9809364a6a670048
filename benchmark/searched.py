"""A task whose documents stand in indexes in; the rankings that it amounts to, out.

Whole indexes go through the one pass: their decoded vectors are scored as any others are. Lists are looked up in each
pool's own index and go through `benchmark.lists`. A list counts down to its last answer only, so what stands below is
left out before anything is sorted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark import lists
from benchmark.indexes import Index, Places
from benchmark.ranking import ALL, NOT_FOUND, TOP, Ranking
from benchmark.scoring import Floats
from benchmark.systems import System
from tasks.collection import Collection

LISTED = 2_000_000  # places in the lists that are held at a time
COLUMNS = ["query_id", "pool", "doc_id", "score"]


def pools(collection: Collection, settings: Sequence[str]) -> dict[str, Places]:
    """Return the rows of the documents in each pool that some query searches: by language, then all."""
    spoken = collection.documents["lang"].to_numpy(object)
    found = {lang: np.flatnonzero(spoken == lang) for lang in collection.document_languages}
    found[ALL] = np.arange(len(spoken))
    return {pool: held for pool, held in found.items() if len(lists.askers(collection, settings, pool))}


@dataclass(frozen=True, kw_only=True)
class Cut(System):
    """A system whose lists are cut off after `depth` documents."""

    depth: int

    def ranked(
        self,
        collection: Collection,
        settings: Sequence[str],
        *,
        ignore_identical_ids: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Ranking]:
        """Rank as the system does; what stands below the first `depth` was not found."""
        whole = super().ranked(collection, settings, ignore_identical_ids=ignore_identical_ids, progress=progress)
        for found in whole:
            rank = found.ranks["rank"]
            cut = found.ranks.assign(rank=rank.where(rank <= self.depth, NOT_FOUND))
            yield replace(found, ranks=cut, top=found.top[found.top["rank"] <= self.depth])


@dataclass(frozen=True, kw_only=True)
class Listed(System):
    """A system that finds documents by an index for each pool, `depth` of them at most.

    * `queries`: their vectors [n, width], as the model gives them.
    * `indexes`: by pool.
    """

    queries: Floats
    indexes: Mapping[str, Index]
    depth: int

    def ranked(
        self,
        collection: Collection,
        settings: Sequence[str],
        *,
        ignore_identical_ids: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Ranking]:
        """Rank the answers by the lists in which they are, some queries after others."""
        topics = pd.unique(collection.queries["topic"])
        search = _Search(collection, ignore_identical_ids)
        step = max(1, LISTED // (self.depth * len(self.indexes)))
        for start in range(0, len(self.queries), step):
            rows = np.arange(start, min(start + step, len(self.queries)))
            found = [
                search.rows(index, pool, np.intersect1d(rows, lists.askers(collection, settings, pool)), self)
                for pool, index in self.indexes.items()
            ]
            some = replace(collection, queries=collection.queries.iloc[rows].reset_index(drop=True))
            listed = lists.ranking(some, pd.concat(found), settings, ignore_identical_ids=ignore_identical_ids)
            # Which topics are kept goes by their place among all.
            in_order = listed.ranks["topic"].cat.set_categories(topics)
            yield replace(listed, ranks=listed.ranks.assign(topic=in_order))
            progress(len(rows))


class _Search:
    """What searching needs to know of a collection: ids, and which documents answer which queries."""

    def __init__(self, collection: Collection, ignore_identical_ids: bool) -> None:
        documents, queries = collection.documents, collection.queries
        self.doc_ids, self.query_ids = (table.to_numpy(object) for table in (documents["doc_id"], queries["query_id"]))
        place = pd.Index(self.doc_ids)
        self.held = pools(collection, ("mono", "cross", "multi"))
        self.topic, topics = pd.factorize(queries["topic"])
        relevant = collection.judgements[collection.judgements["relevance"] > 0]
        of_topic = topics.get_indexer(pd.Index(relevant["topic"]))
        asked = of_topic >= 0
        self.answers = np.sort((of_topic * len(place) + place.get_indexer(pd.Index(relevant["doc_id"])))[asked])
        self.ignored = place.get_indexer(pd.Index(self.query_ids)) if ignore_identical_ids else None

    def rows(self, index: Index, pool: str, asked: Places, system: Listed) -> pd.DataFrame:
        """Return the lists of the queries `asked` in a pool, as `lists.ranking` takes them, down to the last answer.

        Of the pool of all languages, the first TOP are there too.
        """
        spare = self.ignored is not None
        with threadpool_limits(1):
            scores, places = index.search(system.queries[asked], min(system.depth + spare, len(index)))
        there = places >= 0
        places = np.where(there, self.held[pool][places], -1)
        if self.ignored is not None:
            there &= places != self.ignored[asked][:, None]
            there &= there.cumsum(axis=1) <= system.depth
        last = np.where(there & self._answer(asked, places), scores, np.inf).min(axis=1, initial=np.inf)
        if pool == ALL and scores.size:
            last = np.minimum(last, scores[:, min(TOP + spare, scores.shape[1]) - 1])
        row, column = np.nonzero(there & (scores >= last[:, None]))
        cells = self.query_ids[asked][row], pool, self.doc_ids[places[row, column]], scores[row, column]
        return pd.DataFrame(dict(zip(COLUMNS, cells, strict=True)), columns=COLUMNS)

    def _answer(self, asked: Places, places: Places) -> NDArray[np.bool_]:
        """Return which of the documents at `places` [n, k] are answers to the queries `asked` [n]."""
        key = self.topic[asked][:, None] * len(self.doc_ids) + places
        at = np.minimum(np.searchsorted(self.answers, key), len(self.answers) - 1)
        return self.answers[at] == key  # type: ignore[no-any-return]
