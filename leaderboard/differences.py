"""A comparison of two results in; tables out, as data that `formats` turns into text, and what a person is told of it.

A difference is called better or worse where its adjusted p-value is below 5 %; elsewhere the two are not told apart,
which does not mean that they are equal. Where neither end of a bias value is better, it is higher or lower.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from benchmark import evidence
from benchmark.changed import Change
from benchmark.comparable import comparable
from benchmark.evidence import Result
from benchmark.paired import Paired
from benchmark.ranking import NOT_FOUND
from leaderboard.formats import number, plain
from leaderboard.tables import SETTING_NAMES, Table
from tasks import languages
from tasks.card import SETTINGS

LEVEL = 0.05
SAME, WORDS = "not told apart", ("better", "worse", "higher", "lower")
TEXT = 160  # signs of a text that are shown
EXTREMES = 10  # directions that are shown on each side
BIAS = {  # value: its name in tables, and how its numbers are written
    "rank_distance": ("rank distance", "count"), "max_rank": ("Max@R", "count"),
    "max_rank_normalised": ("Max@R, 0–100", "index"), "complete@10": ("Comp@10", "score"),
    "own_first": ("own first", "score"), "own_excess@10": ("own excess@10", "score"),
    "own_excess@100": ("own excess@100", "score"), "awrf_uniform@10": ("AWRF@10, uniform", "score"),
    "awrf_uniform@100": ("AWRF@100, uniform", "score"), "awrf_relevant@10": ("AWRF@10, relevant", "score"),
    "awrf_relevant@100": ("AWRF@100, relevant", "score"), "peer@100": ("PEER@100", "score"),
}  # fmt: skip
KINDS = dict.fromkeys(["before", "after", "difference", "95 % interval", "p, adjusted"], "score") | dict.fromkeys(
    ["topics", "wins", "ties", "losses"], "count"
)


def verdicts(cells: pd.DataFrame) -> "pd.Series[str]":
    """Return what is said of each cell in words."""
    rose = cells["difference"] > 0
    better = rose != (cells["better"] == "lower")
    words = np.where(better, "better", "worse")
    words = np.where(cells["better"] == "even", np.where(rose, "higher", "lower"), words)
    return pd.Series(np.where(cells["p_adjusted"] < LEVEL, words, SAME), index=cells.index, dtype="str")


def names(results: Sequence[Result]) -> list[str]:
    """Return what the models are called, with the folder where two have one name."""
    called = [str(result.says["model"]["name"]) for result in results]
    return [
        name if called.count(name) == 1 else f"{name} [{result.folder}]"
        for name, result in zip(called, results, strict=True)
    ]


def of(found: Paired, called: tuple[str, str]) -> Iterator[Table]:
    """Yield the tables of one comparison; `called` is what its two models are called."""
    cells = found.cells.assign(verdict=verdicts(found.cells))
    kind = {name: cells[cells["kind"] == name] for name in cells["kind"].unique()}
    yield averages(
        kind["average"], f"{called[1]} (after) against {called[0]} (before) on {task(found)}: {found.measure}"
    )
    if len(kind["language"]) > kind["language"]["setting"].nunique():
        yield by_language(kind["language"], found.measure)
    if len(kind["direction"]) > 1:
        yield directions(kind["direction"], found.measure)
    if "bias" in kind:
        yield bias(kind["bias"])


def task(found: Paired) -> str:
    """Return what people call the task of a comparison."""
    says = found.before.says["task"]
    return f"{says['title']} @{says['variant']}" if says["variant"] else str(says["title"])


def averages(cells: pd.DataFrame, title: str) -> Table:
    """Return the averages by setting; micro only where it is another number."""
    macro = cells[cells["query_lang"] == "macro"].set_index("setting")
    other = [(cells[side] - cells["setting"].map(macro[side])).abs() > 1e-12 for side in ("before", "after")]
    cells = cells[(cells["query_lang"] == "macro") | other[0] | other[1]]
    head = pd.DataFrame({"setting": cells["setting"].map(SETTING_NAMES), "average": cells["query_lang"]})
    return _table("averages", title, head, cells, ["score"] * len(cells))


def by_language(cells: pd.DataFrame, measure: str) -> Table:
    """Return one row for each language of the question: the value after and the difference in each setting."""
    wide = cells.pivot(index="query_lang", columns="setting", values=["after", "difference"])  # noqa: PD010
    table = pd.DataFrame({"language": [f"{languages.name(tag)} ({tag})" for tag in wide.index]}, index=wide.index)
    table["topics"] = cells.groupby("query_lang")["n"].max()
    for setting in [name for name in SETTINGS if name in wide["after"]]:
        for side in ("after", "difference"):
            table[f"{setting}\n{side}"] = wide[side, setting]
    real = cells[cells["verdict"] != SAME].groupby(["query_lang", "verdict"])["setting"].agg(", ".join).reset_index()
    said = (real["verdict"] + " in " + real["setting"]).groupby(real["query_lang"]).agg("; ".join)
    table["verdict"] = said.reindex(table.index).fillna(SAME)
    kinds = {name: "signed" if name.endswith("difference") else "score" for name in table.columns[2:-1]}
    return Table(
        "languages", f"{measure} by language of the question", table.reset_index(drop=True), {"topics": "count"} | kinds
    )


def directions(cells: pd.DataFrame, measure: str) -> Table:
    """Return the significant directions, or all where none is; of many, those that lost and gained most."""
    counts = cells["verdict"].value_counts()
    said = ", ".join(f"{counts.get(word, 0):,} {word}" for word in ("better", "worse", SAME))
    title = f"{measure} by direction: {said}"
    real = cells[cells["verdict"] != SAME]
    shown = (real if len(real) else cells).sort_values("difference", kind="stable")
    if len(shown) > 2 * EXTREMES:
        shown = pd.concat([shown.head(EXTREMES), shown.tail(EXTREMES)])
        title += f" (the {EXTREMES} lowest and highest)"
    names = shown["query_lang"] + "→" + shown["pool"]
    head = pd.DataFrame({"direction": names, "setting": shown["setting"]})
    return _table("directions", title, head, shown, ["score"] * len(shown))


def bias(cells: pd.DataFrame) -> Table:
    """Return the macro averages of the bias values, and how many languages changed which way."""
    macro = cells[(cells["query_lang"] == "macro") & (cells["n"] > 0)]
    spoken = cells[cells["query_lang"] != "macro"].groupby("name")["verdict"]
    said = {
        name: ", ".join(f"{words.count(word)} {word}" for word in (*WORDS, SAME) if word in words)
        for name, words in spoken.agg(list).items()
    }
    called = {name: text for name, (text, _) in BIAS.items()}
    head = pd.DataFrame({"value": macro["name"].map(called), "good is": macro["better"]})
    title = "Language bias in the pool of all languages: macro average, and languages of the question"
    found = _table("bias", title, head, macro, [BIAS[name][1] for name in macro["name"]])
    found.cells["by language"] = macro["name"].map(said).to_numpy()
    return found


def _table(name: str, title: str, head: pd.DataFrame, cells: pd.DataFrame, kinds: Sequence[str]) -> Table:
    """Return a table of cells; its rows begin with those of `head`, `kinds` say how the numbers of each are written."""
    written = [
        (
            number(row["before"], kind),
            number(row["after"], kind),
            _signed(row["difference"], kind),
            "" if pd.isna(row["low"]) else f"{_signed(row['low'], kind)} to {_signed(row['high'], kind)}",
            p_value(row["p_adjusted"]),
        )
        for row, kind in zip(cells.to_dict("records"), kinds, strict=True)
    ]
    table = head.assign(topics=cells["n"])
    table[[*KINDS][:5]] = written
    table[["wins", "ties", "losses", "verdict"]] = cells[["wins", "ties", "losses", "verdict"]]
    column = table.columns.get_indexer(pd.Index(["difference"]))[0]
    marks = {(int(row), int(column)): "main" for row in np.flatnonzero(cells["verdict"] != SAME)}
    return Table(name, title, table.reset_index(drop=True), KINDS, marks)


def _signed(value: float, kind: str) -> str:
    text = number(abs(value), kind)
    return text if not text.strip(".0") else f"{'+' if value > 0 else '-'}{text}"


def p_value(p: float) -> str:
    """Write a p-value to three digits: «.012», «<.001»."""
    return "" if np.isnan(p) else "<.001" if p < 0.001 else number(p)


def notes(found: Sequence[Paired], called: Sequence[str], fdr: bool) -> list[str]:
    """Return sentences on how to read the tables of these comparisons."""
    first, held = found[0], found[0].held
    topics = f"the topic, of which there are {held:,}"
    if len(first.topics) < held:
        topics = (
            f"the topic; the ranks of {len(first.topics):,} of {held:,} are kept, and all numbers here are of those"
        )
    method = "Benjamini and Hochberg's" if fdr else "Holm's"
    family = f", and for {len(found)} models" if len(found) > 1 else ""
    said = [
        f"The unit is {topics}. Intervals: topics drawn anew. p: random signs, adjusted by {method} method for how "
        f"many directions, languages or settings there are{family}.",
        f"Better or worse: p below {100 * LEVEL:.0f} %. {SAME.capitalize()} does not mean equal: look at the interval.",
    ]
    if any((one.cells["better"] == "even").any() for one in found):
        said.append("Where good is even, neither end is better, and wins are topics where the value rose.")
    for one, name in zip(found, called[1:], strict=True):
        reasons = [reason for reason in comparable(one.before, one.after, one.measure) if reason.what != "model"]
        if reasons:
            said.append(f"{name} besides: {'; '.join(reason.text for reason in reasons)}.")
    return said


def told(change: Change, measure: str, queries: Mapping[str, str], documents: Mapping[str, str]) -> list[str]:
    """Return what is said of a topic that changed: a heading, then lines below it; ids where there are no texts."""
    direction = f"{change.query_lang}→{change.pool}"
    lines = [
        f"{change.topic}: {measure} {number(change.before)} → {number(change.after)} over all its directions; "
        f"in {direction} {number(change.value_before)} → {number(change.value_after)}",
        f"question: {_text(change.query_id, queries)}",
    ]
    answer = change.answers[0]
    rank = f"rank {_rank(answer.before)} → {_rank(answer.after)}"
    lines.append(f"answer in {answer.lang}, {rank}: {_text(answer.doc_id, documents)}")
    if len(change.answers) > 1:
        best, worst = (
            [end(getattr(one, side) for one in change.answers) for side in ("before", "after")] for end in (min, max)
        )
        lines[-1] = (
            f"{len(change.answers)} answers, ranks {_rank(best[0])} to {_rank(worst[0])} → {_rank(best[1])} to "
            f"{_rank(worst[1])}; {lines[-1]}"
        )
    if change.above is not None and answer.after > answer.before:
        above = [f"{rank}. {_text(doc_id, documents)} ({lang})" for rank, doc_id, lang in change.above]
        lines += [f"now above it: {text}" for text in above]
    return lines


def _rank(rank: int) -> str:
    return "not found" if rank == NOT_FOUND else f"{rank:,}"


def _text(name: str, texts: Mapping[str, str]) -> str:
    if name not in texts:
        return name
    text = plain(texts[name])
    return f"«{text}»" if len(text) <= TEXT else f"«{text[:TEXT].rstrip()}…»"


def every_cell(found: Sequence[Paired], called: Sequence[str]) -> Table:
    """Return one row for each cell of each comparison: for programs, never cut."""
    parts = []
    for one, name in zip(found, called[1:], strict=True):
        cells = one.cells.assign(verdict=verdicts(one.cells))
        cells[["p", "p_adjusted"]] = cells[["p", "p_adjusted"]].map(lambda p: "" if np.isnan(p) else f"{p:.4g}")
        says = {"model": name, "baseline": called[0], "task": evidence.label(one.before.says)}
        parts.append(pd.DataFrame(says, index=cells.index).join(cells))
    cells = pd.concat(parts, ignore_index=True)
    return Table("cells", "Every difference", cells.rename(columns={"query_lang": "query_language"}), {})
