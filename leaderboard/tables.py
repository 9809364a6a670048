"""What an evidence says in; tables out, as data that `formats` turns into text.

A result has the averages of each setting beside what a random order scores; the query language x document language
matrix; one row for each language; the bias of the ranking of the pool of all; the spread between languages; the means
by resource class, script and family. Where there are too many languages for a matrix, it is by these groups instead,
and the best and the worst directions stand beside it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from benchmark import averages, bca, evidence
from benchmark.bias import STRONG
from tasks import languages
from tasks.card import MINING, SETTINGS
from tasks.errors import UserError

MOST = 20  # languages in a matrix that is read
EXTREMES = 10
PAIRED = ["F1", "precision", "recall", "threshold"]  # what is told of mined pairs
LEVEL = f"{bca.LEVEL:.0%}".replace("%", " %")  # what stands above intervals
SETTING_NAMES = {
    "mono": "mono: own language",
    "cross": "cross: one other",
    "multi": "multi: all together",
    "pair": "pair: own and one other",
}
GROUPS: dict[str, Callable[[str], str]] = {
    "resource class": lambda tag: _class(tag),
    "script": languages.script,
    "family": lambda tag: languages.family(tag) or "not known",
}


@dataclass(frozen=True)
class Table:
    """A table as data.

    * `name`: what a program calls it; `title`: what people read.
    * `cells`: texts and numbers; NaN or None is a hole. A column's label may have a line break.
    * `kinds`: how a column's numbers are written: `score` (.123), `signed` (+.123), `count` (1,234), `index` (12.3);
      texts need none. A pair of numbers is an interval.
    * `marks`: (row, column), by place, to what is said of the cell: `own` language, `worst` of the table (or
      `own worst`), `mean`, `main` figure, `chance`.
    * `breaks`: rows before which a line is drawn.
    """

    name: str
    title: str
    cells: pd.DataFrame
    kinds: dict[str, str]
    marks: dict[tuple[int, int], str] = field(default_factory=dict)
    breaks: tuple[int, ...] = ()


def of(says: evidence.Json, measure: str | None = None) -> Iterator[Table]:
    """Yield all tables of a result; `measure` is what they show besides the summary (None: the main one)."""
    measure = measure or str(says["main_measure"])
    directed = evidence.directions(says)
    yield summary(says)
    single = directed[directed["setting"].isin(["mono", "cross"])]
    if len(single) > 1:
        yield from between(single, measure, f"{measure} by language of question (row) and documents")
    yield rows(says, directed, measure)
    if says["bias"]:
        yield bias(says)
    if MINING in says:
        yield mined(says)
    yield spread(directed, measure)
    if len(directed["query_lang"].unique()) > 1:
        yield groups(directed, measure)


def brief(says: evidence.Json) -> Iterator[Table]:
    """Yield what is shown after a run: all but spread and groups."""
    return (table for table in of(says) if table.name not in ("spread", "groups"))


def of_setting(says: evidence.Json, setting: str, measure: str | None = None) -> Iterator[Table]:
    """Yield the tables of one setting (`mono`, `cross`, `multi`, `pair`, `mining`), or of `strong` alignment.

    Args:
        says: the evidence.
        setting: which one.
        measure: what matrices show (None: the main one).
    """
    measure = measure or str(says["main_measure"])
    directed = evidence.directions(says)
    if setting == STRONG:
        yield from aligned(says, directed, measure)
        return
    if setting == MINING:
        yield mined(says)
        return
    part = directed[directed["setting"] == setting]
    if part.empty:
        had = ", ".join(dict.fromkeys(directed["setting"]))
        raise UserError(f"This result was not run in the setting {setting}; it has {had}.")
    if setting in ("mono", "multi"):
        yield by_direction(says, setting, measure)
    else:
        pool = [_other(lang, pool) for lang, pool in zip(part["query_lang"], part["pool"], strict=True)]
        second = "documents" if setting == "cross" else "the second language of the pool"
        title = f"{measure} in the setting {setting}, by language of question (row) and {second}"
        yield from between(part.assign(pool=pool), measure, title)
    if setting == "multi" and says["bias"]:
        yield bias(says)
    yield spread(part, measure)
    if len(part["query_lang"].unique()) > 1:
        yield groups(part, measure)


def _other(lang: str, pool: str) -> str:
    """Return the language of a pool besides the query's."""
    rest = [name for name in pool.split("+") if name != lang]
    return rest[0] if rest else pool


def every_direction(says: evidence.Json, setting: str | None = None) -> Table:
    """Return one row for each direction (of one setting, or all) with all measures: for programs, never cut.

    Strong alignment is a setting of its own here: `strong`.
    """
    directed = pd.concat([evidence.directions(says), _strong(says)], ignore_index=True)
    if setting:
        directed = directed[directed["setting"] == setting]
    names = list(says["directions"][0]["measures"])
    cells = pd.DataFrame(
        {
            "model": says["model"]["name"],
            "task": evidence.label(says),
            "setting": directed["setting"],
            "query_language": directed["query_lang"],
            "document_languages": directed["pool"],
            "n": directed["queries"],
            "documents": directed["documents"].astype("Int64"),
        }
    )
    columns = [f"{name}{end}" for name in names for end in ("", *evidence.ENDS)]
    cells[columns] = directed.reindex(columns=columns)
    return Table("directions", "Every direction", cells, {"n": "count", "documents": "count"} | _scores(columns))


def _strong(says: evidence.Json) -> pd.DataFrame:
    """Return strong alignment as directions: from a query language to the answers in another."""
    return pd.DataFrame(
        [
            {
                "setting": STRONG,
                "query_lang": row["query_language"],
                "pool": row["document_language"],
                "queries": row["n"],
            }
            | row["measures"]
            for row in says["strong"]
        ]
    )


def summary(says: evidence.Json) -> Table:
    """Return the averages by setting: macro, micro and by chance for the main measure, macro for the others."""
    main = str(says["main_measure"])
    others = [name for name in says["directions"][0]["measures"] if name != main]
    model, task = says["model"], says["task"]
    found = {(row["setting"], row["average"]): row for row in says["averages"]}
    distance = next((row["rank_distance"] for row in says["bias"] if row["query_language"] == "macro"), None)
    cells = [
        {
            "setting": SETTING_NAMES[setting],
            "directions": macro["directions"],
            "n": macro["n"],
            f"{main}\nmacro": macro["measures"][main],
            f"{main}\n{LEVEL}": evidence.ends(macro, main),
            f"{main}\nmicro": found[setting, "micro"]["measures"][main],
            f"{main}\nchance": found[setting, "chance"]["measures"][main],
            **{f"{name}\nmacro": macro["measures"][name] for name in others},
            "rank\ndistance": distance if setting == "multi" else None,
        }
        for (setting, average), macro in found.items()
        if average == "macro"
    ]
    table = _known(pd.DataFrame(cells))
    kinds = dict.fromkeys(table.columns[3:], "score") | {
        "directions": "count", "n": "count", "rank\ndistance": "count",
    }  # fmt: skip
    places = {list(table.columns).index(f"{main}\n{name}"): mark for name, mark in (("macro", "main"), ("chance",) * 2)}
    marks = {(row, place): mark for place, mark in places.items() for row in range(len(table))}
    variant = f" @{task['variant']}" if task["variant"] else ""
    return Table("summary", f"{model['name']} on {task['title']}{variant}", table, kinds, marks)


def _known(cells: pd.DataFrame) -> pd.DataFrame:
    """Leave out columns of intervals where there is none: few topics, or the evidence of an earlier version."""
    return cells.drop(columns=[name for name in cells if str(name).endswith(LEVEL) and cells[name].isna().all()])


def between(
    single: pd.DataFrame, measure: str, title: str, name: str = "matrix", kind: str = "score"
) -> Iterator[Table]:
    """Yield the matrix of directions between two languages; by groups of languages, with the extremes, if it is large.

    Args:
        single: directions whose `pool` is one language.
        measure: the column that is shown.
        title: of the matrix.
        name: of the matrix, for programs.
        kind: of its numbers.
    """
    if max(single["query_lang"].nunique(), single["pool"].nunique()) <= MOST:
        yield matrix(single, measure, title, name, kind)
        return
    for label, group in GROUPS.items():
        grouped = single.assign(query_lang=single["query_lang"].map(group), pool=single["pool"].map(group))
        if 1 < max(grouped["query_lang"].nunique(), grouped["pool"].nunique()) <= MOST:
            yield matrix(grouped, measure, f"{title}: means by {label}", f"{name} by {label}", kind)
    if (single["query_lang"] != single["pool"]).any():
        yield extremes(single, measure, title, kind)


def matrix(single: pd.DataFrame, measure: str, title: str, name: str = "matrix", kind: str = "score") -> Table:
    """Return query language (or group) x document language: means over the directions, and margins of the same kind.

    The own language and the worst cell are marked.
    """
    grid = single.groupby(["query_lang", "pool"])[measure].mean().unstack().astype(np.float64)  # noqa: PD010
    table = grid.copy()
    table["mean"] = single.groupby("query_lang")[measure].mean()
    table.loc["mean"] = [*single.groupby("pool")[measure].mean(), single[measure].mean()]
    cells = table.rename_axis("q \\ d").reset_index()
    cells.columns = cells.columns.astype("str")
    last, end = len(grid), cells.shape[1] - 1
    worst = grid.min().min()
    marks = {(last, column): "mean" for column in range(end + 1)} | {(row, end): "mean" for row in range(last)}
    for row, query in enumerate(grid.index):
        for column, document in enumerate(grid.columns, 1):
            own, lowest = query == document, grid.loc[query, document] == worst
            if own or lowest:
                marks[row, column] = "own worst" if own and lowest else "own" if own else "worst"
    return Table(name, title, cells, dict.fromkeys(cells.columns[1:], kind), marks, (last,))


def aligned(says: evidence.Json, directed: pd.DataFrame, measure: str) -> Iterator[Table]:
    """Yield strong alignment, and how far it lies below the weak one."""
    strong = _strong(says)
    if strong.empty:
        raise UserError("This result has no strong alignment: it was not run in the setting multi.")
    pool = f"{measure} in the pool of all languages"
    yield from between(strong, measure, f"{pool}, only the answers in one (column) counting", STRONG)
    key = ["query_lang", "pool"]
    both = strong.merge(directed[directed["setting"].isin(["mono", "cross"])], on=key, suffixes=("", "_weak"))
    if len(both):
        drop = both[key].assign(**{measure: both[measure] - both[f"{measure}_weak"]})
        yield from between(drop, measure, f"{measure}, strong minus weak: the same less single pools", "drop", "signed")


def mined(says: evidence.Json) -> Table:
    """Return how well pairs of sentences were mined: two languages in a row, and the mean; of many, the extremes."""
    every = every_pair(says)
    cells = every.cells.drop(columns=["model", "task"])
    columns, title = list(every.kinds), "Bitext mining, at the threshold that is best on the gold pairs"
    mean = {"language": f"mean of {len(cells):,}", **cells[columns].mean()}
    breaks = []
    if len(cells) > 2 * EXTREMES:
        title += ": the best and the worst languages"
        breaks.append(EXTREMES)
        cells = cells.sort_values(["F1", "language", "other"], ascending=[False, True, True])
        cells = pd.concat([cells.head(EXTREMES), cells.tail(EXTREMES)], ignore_index=True)
    cells[["language", "other"]] = cells[["language", "other"]].map(_language)
    marks = {(row, 4): "main" for row in range(len(cells))}
    if len(every.cells) > 1:
        breaks.append(len(cells))
        marks |= {(len(cells), column): "mean" for column in range(cells.shape[1])}
        cells = pd.concat([cells, pd.DataFrame([mean])], ignore_index=True)
    return Table(MINING, title, cells, every.kinds, marks, tuple(breaks))


def every_pair(says: evidence.Json) -> Table:
    """Return one row for each two languages that were mined: for programs, never cut."""
    if MINING not in says:
        had = ", ".join(says["task"]["settings"])
        raise UserError(f"This result was not run in the setting {MINING}; it has {had}.")
    rows = [
        {"model": says["model"]["name"], "task": evidence.label(says)}
        | dict(zip(("language", "other"), row["languages"], strict=True))
        | {name: row[name] for name in ("gold", "mined", *PAIRED)}
        for row in says[MINING]
    ]
    cells = pd.DataFrame(rows).astype({"threshold": "float64"})
    return Table("pairs", "Every two languages", cells, {"gold": "count", "mined": "count"} | _scores(PAIRED))


def extremes(single: pd.DataFrame, measure: str, title: str, kind: str = "score") -> Table:
    """Return the best and the worst directions between two languages."""
    order = single[single["query_lang"] != single["pool"]]
    order = order.sort_values([measure, "query_lang", "pool"], ascending=[False, True, True])
    half = min(EXTREMES, -(-len(order) // 2))
    found = pd.concat([order.head(half), order.tail(min(half, len(order) - half))])
    cells = pd.DataFrame(
        {
            "": ["best"] * half + ["worst"] * (len(found) - half),
            "direction": found["query_lang"].to_numpy() + "→" + found["pool"].to_numpy(),
            "question": found["query_lang"].map(languages.name).to_numpy(),
            "documents": found["pool"].map(languages.name).to_numpy(),
            measure: found[measure].to_numpy(),
        }
    )
    title = f"{title}: the best and the worst directions"
    return Table("extremes", title, cells, {measure: kind}, breaks=(half,))


def by_direction(says: evidence.Json, setting: str, measure: str) -> Table:
    """Return one row for each query language with all measures of one setting, and their mean.

    Args:
        says: the evidence.
        setting: `mono` or `multi`.
        measure: the one whose interval stands beside it.
    """
    found = [row for row in says["directions"] if row["setting"] == setting]
    (mean,) = (row for row in says["averages"] if (row["setting"], row["average"]) == (setting, "macro"))
    shown = []
    for row in [*found, mean]:
        label = "mean (macro)" if row is mean else _language(row["query_language"])
        shown.append({"language": label, "n": row["n"], "documents": row.get("documents")})
        for name, value in row["measures"].items():
            shown[-1][name] = value
            if name == measure:
                shown[-1][f"{name}\n{LEVEL}"] = evidence.ends(row, name)
    cells = _known(pd.DataFrame(shown))
    marks = {(len(found), column): "mean" for column in range(cells.shape[1])}
    title = f"{SETTING_NAMES[setting]}, by language of the question"
    kinds = _scores(cells.columns[1:]) | {"n": "count", "documents": "count"}
    return Table(setting, title, cells, kinds, marks, (len(found),))


def rows(says: evidence.Json, directed: pd.DataFrame, measure: str) -> Table:
    """Return one row for each language: what it finds in each setting, and how well its documents are found."""
    task = says["task"]
    tags = sorted({*task["query_languages"], *task["document_languages"]})
    asked = averages.by_language(directed, measure)
    found = directed[directed["setting"] == "cross"].groupby("pool")[measure].mean()
    cells = pd.DataFrame(
        {
            "language": [_language(tag) for tag in tags],
            "class": [languages.resource_class(tag) for tag in tags],
            "n": directed.groupby("query_lang")["queries"].max().reindex(tags).to_numpy(),
        }
    )
    ends = _by_language(says, measure)
    for setting in [name for name in SETTINGS if name in asked.index.get_level_values(0)]:
        label = "cross\nasking" if setting == "cross" else setting
        cells[label] = asked[setting].reindex(tags).to_numpy()
        cells[f"{setting}\n{LEVEL}"] = pd.Series([ends.get((setting, tag)) for tag in tags], dtype="object")
        if setting == "cross":
            cells["cross\nfound"] = found.reindex(tags).to_numpy()
    cells = _known(cells)
    kinds = {"class": "count", "n": "count"} | _scores(cells.columns[3:])
    return Table("languages", f"{measure} by language", cells, kinds)


def _by_language(says: evidence.Json, measure: str) -> dict[tuple[str, str], tuple[float, float] | None]:
    """Return the intervals of the means by setting and query language; of a single direction it is its own."""
    rows = [*says["directions"], *says.get("languages", [])]  # a later one takes the place of an earlier one
    return {(row["setting"], row["query_language"]): evidence.ends(row, measure) for row in rows}


def bias(says: evidence.Json) -> Table:
    """Return the bias of the ranking of the pool of all, by language of the question."""
    agreed: dict[str, list[dict[str, float | None]]] = {}
    for row in says["consistency"]:
        for tag in row["query_languages"]:
            agreed.setdefault(tag, []).append(row["measures"])
    everywhere = [row["measures"] for row in says["consistency"]]
    shown: list[tuple[str, evidence.Json, list[dict[str, float | None]]]] = []
    for row in says["bias"]:
        tag = row["query_language"]
        if tag not in ("macro", "micro"):
            shown.append((_language(tag), row, agreed.get(tag, [])))
            continue
        shown.append((f"{tag} average", row, everywhere if tag == "macro" else []))
        for place, word in enumerate(("from", "to") if tag == "macro" and "intervals" in row else ()):
            ends = {name: pair and pair[place] for name, pair in row["intervals"].items()}
            shown.append((f"{LEVEL} {word}", ends, []))
    table = pd.DataFrame(
        [
            {
                "language": label,
                "n": row.get("n"),
                "rank\ndistance": row.get("rank_distance"),
                "\nchance": row.get("rank_distance_chance"),
                "Max@R\n0-100": row.get("max_rank_normalised"),
                "Comp\n@10": row.get("complete@10"),
                "own\nfirst": row.get("own_first"),
                "own first\nchance": row.get("own_first_chance"),
                "own excess\n@10": row.get("own_excess@10"),
                "AWRF@10\nuniform": row.get("awrf_uniform@10"),
                "PEER\n@100": row.get("peer@100"),
                "PEER\nn": row.get("peer@100_queries"),
                "RankC\n@10": _mean(pairs, "RankC@10"),
                "MRC\n@10": _mean(pairs, "MRC@10"),
            }
            for label, row, pairs in shown
        ]
    )
    kinds = dict.fromkeys(table.columns[1:], "score") | {
        "n": "count", "rank\ndistance": "count", "\nchance": "count", "Max@R\n0-100": "index",
        "own excess\n@10": "signed", "PEER\nn": "count", "MRC\n@10": "signed",
    }  # fmt: skip
    labels = [label for label, _, _ in shown]
    ends_at = [place for place, label in enumerate(labels) if label.startswith(LEVEL)]
    marks = {(place, column): "mean" for place in ends_at for column in range(table.shape[1])}
    title = "Language bias in the pool of all languages, by language of the question"
    return Table("bias", title, table, kinds, marks, (labels.index("macro average"),))


def spread(directed: pd.DataFrame, measure: str) -> Table:
    """Return how far the query languages lie apart in each setting, the best and the worst by name."""
    found = averages.spread(directed, measure)
    cells = pd.DataFrame(
        {
            "setting": found["setting"],
            "languages": found["languages"],
            "best": found["best"].map(_language),
            f"best\n{measure}": found["best_value"],
            "worst": found["worst"].map(_language),
            f"worst\n{measure}": found["worst_value"],
            "range": found["range"],
            "standard\ndeviation": found["deviation"],
        }
    )
    kinds = {"languages": "count"} | _scores([f"best\n{measure}", f"worst\n{measure}", "range", "standard\ndeviation"])
    return Table("spread", f"{measure}: how far the languages of the question lie apart", cells, kinds)


def groups(directed: pd.DataFrame, measure: str) -> Table:
    """Return the means by resource class, script and family of the language of the question."""
    parts = []
    for name, group in GROUPS.items():
        part = averages.by_group(directed, measure, group)
        part.insert(0, "by", name)
        parts.append(part)
    cells = pd.concat(parts, ignore_index=True)
    breaks = tuple(np.cumsum([len(part) for part in parts[:-1]]).tolist())
    kinds = {"languages": "count"} | _scores(cells.columns[3:])
    return Table("groups", f"{measure} by group of languages that ask", cells, kinds, breaks=breaks)


def _class(tag: str) -> str:
    found = languages.resource_class(tag)
    return "not known" if found is None else str(found)


def _language(tag: str) -> str:
    return f"{languages.name(tag)} ({tag})"


def _scores(names: "pd.Index[str] | list[str]") -> dict[str, str]:
    return dict.fromkeys(names, "score")


def _mean(rows: list[dict[str, float | None]], name: str) -> float | None:
    values = [row[name] for row in rows]
    return None if not values or None in values else float(np.mean([value for value in values if value is not None]))
