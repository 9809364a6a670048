"""Results of variants and what they are compared with in; what each costs every language, and whether it is real, out.

A language pays as one that is asked in (`queries`) or as one that is searched (`documents`); in `mono` it is both. In
`multi`, what it pays as one that is searched is by strong alignment: the answers in that language count alone.
"""

from collections.abc import Sequence

import pandas as pd

from benchmark import cells, paired, statistics
from benchmark.compression import Compressed
from benchmark.evidence import Result

AVERAGE, LANGUAGE, DIRECTION, BIAS = "average", "language", "direction", "bias"
COLUMNS = [
    "variant", "kind", "setting", "side", "language", "pool", "name", "better", "n", "before", "after", "difference",
    "low", "high", "p", "p_adjusted",
]  # fmt: skip


def of(found: Sequence[Compressed], measure: str | None = None) -> pd.DataFrame:
    """Return one row for each value of each variant.

    Args:
        found: variants of one model on one task.
        measure: of quality; None: the main one.

    Returns:
        * `variant`: its name.
        * `kind`: `average` (macro), `language`, `direction` (between two languages), or `bias` (macro averages of bias
          values).
        * `setting`; `side` of a language: `queries`, `documents`, or ""; `language`, or ""; `pool` that a direction
          searches, or "".
        * `name` of the value, and which is `better` (`higher`, `lower`, `even`).
        * `n` topics; `before` and `after` the compression; `difference`, and the ends of its 95 % interval (`low`,
          `high`; there is none for the side of the documents).
        * `p` of the paired sign-flip test, and `p_adjusted` by Holm's method: over all variants, settings, sides and
          languages together, over all averages, over all directions, over all variants for each bias value.
    """
    parts = []
    for against, those in _together(found):
        pairs = paired.compare([against, *(one.result for one in those)], measure)
        parts += [_of(pair).assign(variant=one.name) for pair, one in zip(pairs, those, strict=True)]
    table = pd.concat(parts, ignore_index=True)
    order = {one.name: place for place, one in enumerate(found)}
    table = table.sort_values("variant", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    known = table["p"].dropna()
    families = known.groupby([table["kind"], table["name"]])
    table["p_adjusted"] = families.transform(lambda p: statistics.holm(p.to_numpy())).reindex(table.index)
    return table[COLUMNS]


def _together(found: Sequence[Compressed]) -> list[tuple[Result, list[Compressed]]]:
    """Return the variants that are compared with one result, for each."""
    by_folder: dict[str, tuple[Result, list[Compressed]]] = {}
    for one in found:
        by_folder.setdefault(str(one.against.folder), (one.against, []))[1].append(one)
    return list(by_folder.values())


def _of(pair: paired.Paired) -> pd.DataFrame:
    """Return the rows of one comparison."""
    table = pair.cells.rename(columns={"query_lang": "language"})
    spoken = table[table["kind"] == LANGUAGE].assign(side="queries", pool="")
    between = table[(table["kind"] == DIRECTION) & ~table["setting"].isin(["mono", "multi"])]  # those are languages
    macro = table[table["kind"].isin([AVERAGE, BIAS]) & table["language"].eq("macro") & table["n"].gt(0)]
    searched = cells.of_pair(pair).table
    searched = searched[(searched["kind"] == cells.LANGUAGES) & (searched["side"] == "documents")]
    searched = searched.drop(columns="query_lang").rename(columns={"pool": "language"})
    parts = [
        macro.assign(side="", language="", pool=""),
        spoken,
        searched.assign(kind=LANGUAGE, better="higher", pool=""),
        between.assign(side=""),
    ]
    return pd.concat(parts, ignore_index=True)
