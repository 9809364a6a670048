"""What an evidence says in; tables out, as data that `formats` turns into text.

A result has six tables: the averages of each setting beside what a random order scores; the query language x document
language matrix; one row for each language; the bias of the ranking of the pool of all; the spread between languages;
the means by resource class, script and family. Where there are too many languages for a matrix, the matrix is by
resource class, and the best and the worst directions stand beside it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from benchmark import averages, evidence
from tasks import languages
from tasks.card import SETTINGS
from tasks.errors import UserError

MOST = 20  # languages in a matrix that is read
EXTREMES = 10
STRONG = "strong"
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
      texts need none.
    * `marks`: (row, column), by place, to what is said of the cell: `own` language, `worst` of the table, `mean`,
      `main` figure, `chance`.
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
    grid = averages.matrix(directed, measure)
    if grid.size > 1 and max(grid.shape) <= MOST:
        yield matrix(grid, f"{measure} by language of question (row) and documents")
    elif grid.size > 1:
        single = directed[directed["setting"].isin(["mono", "cross"])]
        yield by_class(single, measure)
        yield extremes(single, measure)
    yield rows(says, directed, measure)
    if says["bias"]:
        yield bias(says)
    yield spread(directed, measure)
    if grid.shape[0] > 1:
        yield groups(directed, measure)


def brief(says: evidence.Json) -> Iterator[Table]:
    """Yield what is shown after a run: all but spread and groups."""
    return (table for table in of(says) if table.name not in ("spread", "groups"))


def of_setting(says: evidence.Json, setting: str, measure: str | None = None, most: int = MOST) -> Iterator[Table]:
    """Yield the tables of one setting, or of `strong` alignment.

    Args:
        says: the evidence.
        setting: `mono`, `cross`, `multi`, `pair` or `strong`.
        measure: what matrices show (None: the main one).
        most: languages in a matrix; more are summarised.
    """
    measure = measure or str(says["main_measure"])
    directed = evidence.directions(says)
    if setting == STRONG:
        if not says["strong"]:
            raise UserError("This result has no strong alignment: it was not run in the setting multi.")
        yield from aligned(says, measure, most)
        return
    part = directed[directed["setting"] == setting]
    if part.empty:
        had = ", ".join(dict.fromkeys(directed["setting"]))
        raise UserError(f"This result was not run in the setting {setting}; it has {had}.")
    if setting in ("mono", "multi"):
        yield by_direction(part, setting)
    else:
        other = part.assign(
            pool=[_other(lang, pool) for lang, pool in zip(part["query_lang"], part["pool"], strict=True)]
        )
        grid = other.set_index(["query_lang", "pool"])[measure].unstack()  # noqa: PD010 - no aggregation
        second = "documents" if setting == "cross" else "the second language of the pool"
        if max(grid.shape) <= most:
            yield matrix(grid, f"{measure} in the setting {setting}, by language of question (row) and {second}")
        else:
            yield by_class(other, measure)
            yield extremes(other, measure)
    if setting == "multi" and says["bias"]:
        yield bias(says)
    yield spread(part, measure)


def _other(lang: str, pool: str) -> str:
    """Return the language of a pool besides the query's."""
    rest = [name for name in pool.split("+") if name != lang]
    return rest[0] if rest else pool


def every_direction(says: evidence.Json) -> Table:
    """Return one row for each direction with all measures, strong alignment among them: for programs, never cut."""
    directed = evidence.directions(says)
    names = list(says["directions"][0]["measures"])
    strong = pd.DataFrame(
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
    table = pd.concat([directed, strong], ignore_index=True) if len(strong) else directed
    table["documents"] = table["documents"].astype("Int64")
    table = table[["setting", "query_lang", "pool", "queries", "documents", *names]]
    table.columns = pd.Index(["setting", "query_language", "document_languages", "n", "documents", *names])
    return Table("directions", "Every direction", table, {"n": "count", "documents": "count"} | _scores(names))


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
            f"{main}\nmicro": found[setting, "micro"]["measures"][main],
            f"{main}\nchance": found[setting, "chance"]["measures"][main],
            **{f"{name}\nmacro": macro["measures"][name] for name in others},
            "rank\ndistance": distance if setting == "multi" else None,
        }
        for (setting, average), macro in found.items()
        if average == "macro"
    ]
    table = pd.DataFrame(cells)
    kinds = dict.fromkeys(table.columns[3:], "score") | {
        "directions": "count", "n": "count", "rank\ndistance": "count",
    }  # fmt: skip
    marks = {(row, 3): "main" for row in range(len(table))} | {(row, 5): "chance" for row in range(len(table))}
    variant = f" @{task['variant']}" if task["variant"] else ""
    return Table("summary", f"{model['name']} on {task['title']}{variant}", table, kinds, marks)


def matrix(grid: pd.DataFrame, title: str, name: str = "matrix", kind: str = "score") -> Table:
    """Return a query language x document language matrix with macro margins; own language and worst cell marked."""
    table = grid.copy()
    table["mean"] = grid.mean(axis=1)
    table.loc["mean"] = [*grid.mean(), float(np.nanmean(grid.to_numpy()))]
    cells = table.rename_axis("q \\ d").reset_index()
    cells.columns = cells.columns.astype("str")
    kinds = dict.fromkeys(cells.columns[1:], kind)
    worst = grid.min().min()
    marks = {(len(grid), column): "mean" for column in range(cells.shape[1])}
    marks |= {(row, cells.shape[1] - 1): "mean" for row in range(len(grid))}
    for row, query in enumerate(grid.index):
        for column, document in enumerate(grid.columns, 1):
            if query == document:
                marks[row, column] = "own"
            if grid.loc[query, document] == worst:
                marks[row, column] = "worst"
    return Table(name, title, cells, kinds, marks, (len(grid),))


def aligned(says: evidence.Json, measure: str, most: int) -> Iterator[Table]:
    """Yield the matrix of strong alignment, and how far it lies below the weak one."""
    strong = alignment(says, measure)
    weak = averages.matrix(evidence.directions(says), measure)
    drop = strong - weak.reindex(index=strong.index, columns=strong.columns)
    told = drop.notna().any(axis=None)
    if max(strong.shape) <= most:
        yield matrix(
            strong, f"{measure} in the pool of all, only the answers in one language (column) counting", STRONG
        )
        if told:
            yield matrix(drop, "The same less the matrix of single pools: strong minus weak", "drop", "signed")
        return
    rows = (
        strong.rename_axis("query_lang").reset_index().melt("query_lang", var_name="pool", value_name=measure).dropna()
    )
    yield by_class(rows, measure)
    yield extremes(rows, measure)


def alignment(says: evidence.Json, measure: str) -> pd.DataFrame:
    """Return the matrix of strong alignment, query language x document language."""
    table = pd.DataFrame(
        [(row["query_language"], row["document_language"], row["measures"][measure]) for row in says["strong"]],
        columns=["query_lang", "doc_lang", "value"],
    )
    return table.set_index(["query_lang", "doc_lang"])["value"].unstack().astype(np.float64)  # noqa: PD010


def by_class(directed: pd.DataFrame, measure: str) -> Table:
    """Return the matrix by resource class of the languages: the mean over the directions from one to another."""
    labels = directed.assign(query_lang=directed["query_lang"].map(_class), pool=directed["pool"].map(_class))
    grid = labels.groupby(["query_lang", "pool"])[measure].mean().unstack().astype(np.float64)  # noqa: PD010
    table = matrix(grid, f"{measure} by resource class of question (row) and documents: mean over directions")
    return Table(table.name, table.title, table.cells, table.kinds, {}, table.breaks)


def extremes(directed: pd.DataFrame, measure: str) -> Table:
    """Return the best and the worst directions between two languages."""
    order = directed[directed["query_lang"] != directed["pool"]]
    order = order.sort_values([measure, "query_lang", "pool"], ascending=[False, True, True])
    half = min(EXTREMES, len(order) // 2)
    found = pd.concat([order.head(half), order.tail(half)])
    cells = pd.DataFrame(
        {
            "": ["best"] * half + ["worst"] * half,
            "direction": found["query_lang"].to_numpy() + "→" + found["pool"].to_numpy(),
            "question": found["query_lang"].map(languages.name).to_numpy(),
            "documents": found["pool"].map(languages.name).to_numpy(),
            measure: found[measure].to_numpy(),
        }
    )
    title = f"{measure}: the best and the worst directions between two languages"
    return Table("extremes", title, cells, {measure: "score"}, breaks=(half,))


def by_direction(part: pd.DataFrame, setting: str) -> Table:
    """Return one row for each query language with all measures of one setting, and their mean."""
    names = list(part.columns[5:])
    cells = pd.DataFrame({"language": [_language(tag) for tag in part["query_lang"]]})
    cells[["n", "documents", *names]] = part[["queries", "documents", *names]].to_numpy()
    mean = {"language": "mean (macro)", "n": cells["n"].sum(), **cells[names].mean()}
    marks = {(len(cells), column): "mean" for column in range(cells.shape[1])}
    title = f"{SETTING_NAMES[setting]}, by language of the question"
    kinds = {"n": "count", "documents": "count"} | _scores(names)
    return Table(
        setting, title, pd.concat([cells, pd.DataFrame([mean])], ignore_index=True), kinds, marks, (len(cells),)
    )


def rows(says: evidence.Json, directed: pd.DataFrame, measure: str) -> Table:
    """Return one row for each language: what it finds in each setting, and how well its documents are found."""
    task = says["task"]
    tags = sorted({*task["query_languages"], *task["document_languages"]})
    asked = directed.groupby(["setting", "query_lang"])[measure].mean()
    found = directed[directed["setting"] == "cross"].groupby("pool")[measure].mean()
    cells = pd.DataFrame(
        {
            "language": [_language(tag) for tag in tags],
            "class": [languages.resource_class(tag) for tag in tags],
            "n": directed.groupby("query_lang")["queries"].max().reindex(tags).to_numpy(),
        }
    )
    for setting in [name for name in SETTINGS if name in asked.index.get_level_values(0)]:
        label = "cross\nasking" if setting == "cross" else setting
        cells[label] = asked[setting].reindex(tags).to_numpy()
        if setting == "cross":
            cells["cross\nfound"] = found.reindex(tags).to_numpy()
    kinds = {"class": "count", "n": "count"} | _scores(cells.columns[3:])
    return Table("languages", f"{measure} by language", cells, kinds)


def bias(says: evidence.Json) -> Table:
    """Return the bias of the ranking of the pool of all, by language of the question."""
    agreed: dict[str, list[dict[str, float | None]]] = {}
    for row in says["consistency"]:
        for tag in row["query_languages"]:
            agreed.setdefault(tag, []).append(row["measures"])
    everywhere = [row["measures"] for row in says["consistency"]]
    cells = []
    for row in says["bias"]:
        tag = row["query_language"]
        average = tag in ("macro", "micro")
        pairs = (everywhere if tag == "macro" else []) if average else agreed.get(tag, [])
        cells.append(
            {
                "language": f"{tag} average" if average else _language(tag),
                "n": row["n"],
                "rank\ndistance": row["rank_distance"],
                "\nchance": row["rank_distance_chance"],
                "Max@R\n0-100": row["max_rank_normalised"],
                "Comp\n@10": row["complete@10"],
                "own\nfirst": row["own_first"],
                "own first\nchance": row["own_first_chance"],
                "own excess\n@10": row["own_excess@10"],
                "AWRF\n@10": row["awrf_relevant@10"],
                "PEER\n@100": row["peer@100"],
                "RankC\n@10": _mean(pairs, "RankC@10"),
                "MRC\n@10": _mean(pairs, "MRC@10"),
            }
        )
    table = pd.DataFrame(cells)
    if not table["Comp\n@10"].any():
        table = table.drop(columns="Comp\n@10")  # impossible with more than ten answers to a query
    kinds = dict.fromkeys(table.columns[1:], "score") | {
        "n": "count", "rank\ndistance": "count", "\nchance": "count", "Max@R\n0-100": "index",
        "own excess\n@10": "signed", "MRC\n@10": "signed",
    }  # fmt: skip
    kinds = {name: kind for name, kind in kinds.items() if name in table.columns}
    breaks = tuple(place for place, row in enumerate(says["bias"]) if row["query_language"] == "macro")
    title = "Language bias in the pool of all languages, by language of the question"
    return Table("bias", title, table, kinds, breaks=breaks)


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
