"""Who is to blame, where everybody fell."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.blame import Directions, fell_through

TOPICS = 50
LIMIT = 0.01
Drops = dict[tuple[str, str], float]


def directions(languages: list[str], drops: Drops, kinds: tuple[str, ...] = ("mono", "cross")) -> Directions:
    """Every direction, with the drop that is named for it, spread evenly over the topics."""
    rows = [
        (kind, asked, held, -drops.get((asked, held), 0.0))
        for kind in kinds
        for asked, held in product(languages, languages)
        if kind == "strong" or (asked == held) == (kind == "mono")
    ]
    table = pd.DataFrame(rows, columns=["setting", "query_lang", "doc_lang", "difference"])
    wobble = np.tile([1.1, 0.9], TOPICS // 2)[:, None]
    return Directions(table, table["difference"].to_numpy() / TOPICS * wobble)


def means(found: Directions, setting: str = "cross") -> pd.DataFrame:
    """The means of all languages that fell by more than the limit."""
    table, single = found.table, found.table["setting"] == ("strong" if setting == "multi" else setting)
    rows = [
        {"side": side, "setting": setting, "language": lang, "limit": LIMIT, "difference": mean}
        for side, column in (("queries", "query_lang"), ("documents", "doc_lang"))
        for lang, mean in table[single].groupby(column)["difference"].mean().items()
    ]
    fallen = pd.DataFrame(rows)
    return fallen[fallen["difference"] < -LIMIT].reset_index(drop=True)


def named(found: Directions, setting: str = "cross", suspects: tuple[str, ...] = ()) -> set[str]:
    fallen = means(found, setting)
    through = fell_through(fallen, found, suspects, 0.05)
    return {
        f"{row.side} in {row.language}"
        for row, names in zip(fallen.itertuples(), through, strict=True)
        if names is None
    }


def both(lang: str, languages: list[str], much: float) -> Drops:
    return {pair: much for pair in product(languages, languages) if lang in pair}


LANGUAGES = ["de", "en", "es", "sw", "th", "zh"]


@pytest.mark.parametrize("kinds", [("mono", "cross"), ("cross",), ("mono", "strong")])
def test_one_language_lost_is_one_language_named(kinds: tuple[str, ...]) -> None:
    found = directions(LANGUAGES, both("th", LANGUAGES, 0.3), kinds)
    setting = "multi" if "strong" in kinds else "cross"
    assert len(means(found, setting)) == 12  # all of them fell
    assert named(found, setting) == {"queries in th", "documents in th"}
    through = fell_through(means(found, setting), found, (), 0.05)
    assert {tuple(names) for names in through if names} == {("queries in th",), ("documents in th",)}


def test_one_side_lost_is_one_side_named() -> None:
    documents = {(asked, "th"): 0.3 for asked in LANGUAGES}
    assert named(directions(LANGUAGES, documents)) == {"documents in th"}
    assert named(directions(LANGUAGES, {pair[::-1]: 0.3 for pair in documents})) == {"queries in th"}


def test_most_languages_lost_and_one_kept() -> None:
    drops = {pair: 0.2 for pair in product(LANGUAGES, LANGUAGES) if pair != ("en", "en")}
    found = named(directions(LANGUAGES, drops | {("en", "en"): 0.0}))
    assert {name for name in found if "en" not in name.split()} == {
        f"{side} in {lang}" for lang in LANGUAGES if lang != "en" for side in ("queries", "documents")
    }


def test_a_small_loss_beside_a_great_one_is_seen() -> None:
    drops = both("sw", LANGUAGES, 0.05) | both("th", LANGUAGES, 0.5)
    assert named(directions(LANGUAGES, drops)) == {
        "queries in th", "documents in th", "queries in sw", "documents in sw",
    }  # fmt: skip


def test_of_two_languages_the_one_that_fell_alone_is_named() -> None:
    found = directions(["en", "th"], both("th", ["en", "th"], 0.3))
    assert named(found, suspects=("th",)) == {"queries in th", "documents in th"}
    assert named(directions(["en", "th"], both("th", ["en", "th"], 0.3), ("cross",))) == {
        f"{side} in {lang}" for side in ("queries", "documents") for lang in ("en", "th")
    }  # nothing tells them apart


def test_what_is_left_must_be_more_than_chance() -> None:
    found = directions(LANGUAGES, both("th", LANGUAGES, 0.3))
    rng = np.random.default_rng(0)
    shaken = found.differences + rng.standard_normal(found.differences.shape) * 0.02
    shaken -= shaken.mean(axis=0) - found.differences.mean(axis=0)
    column = (found.table["query_lang"] == "en") & (found.table["doc_lang"] == "de")
    shaken[:, column] -= 0.06 / TOPICS  # en fell by .015 besides, by chance as far as anyone can tell
    table = found.table.assign(difference=shaken.sum(axis=0))
    moved = Directions(table, shaken)
    assert "en" in set(means(moved)["language"])
    assert named(moved) == {"queries in th", "documents in th"}
    firm = Directions(table, np.tile(shaken.mean(axis=0), (TOPICS, 1)))
    assert "queries in en" in named(firm)


def slowly(found: Directions, fallen: pd.DataFrame, suspects: tuple[str, ...]) -> list[list[str] | None]:
    """The same by the letter, one mean and one direction at a time."""
    drops: dict[tuple[str, str, str], Any] = {
        (row["setting"], row["query_lang"], row["doc_lang"]): found.differences[:, place]
        for place, row in enumerate(found.table.to_dict("records"))
    }
    rows = fallen[["side", "setting", "language"]].astype(str).to_numpy().tolist()
    means = [(side, setting.replace("multi", "strong"), lang) for side, setting, lang in rows]
    blamed: list[tuple[str, str]] = []
    guilty = set[int]()

    def left(place: int) -> list[Any]:
        side, setting, lang = means[place]
        for kind in (setting, "mono"):
            rows = [
                columns
                for (of, asked, held), columns in drops.items()
                if of == kind
                and lang == (asked if side == "queries" else held)
                and (("documents", held) if side == "queries" else ("queries", asked)) not in blamed
            ]
            if rows:
                return rows
        return []

    while True:
        worst, value = -1, 0.0
        for place in range(len(means)):
            rows = left(place)
            if place in guilty or not rows:
                continue
            mean = np.mean(rows, axis=0)
            if mean.sum() < -fallen["limit"][place] and mean.sum() / np.sqrt((mean**2).sum()) <= -1.6448536269514722:
                known = {*suspects, *(lang for _, lang in blamed)}
                tie = worst >= 0 and np.isclose(mean.sum(), value, rtol=1e-9, atol=0)
                better = means[place][2] in known and means[worst][2] not in known if tie else mean.sum() < value
                if worst < 0 or better:
                    worst, value = place, mean.sum()
        if worst < 0:
            break
        guilty.add(worst)
        blamed.append((means[worst][0], means[worst][2]))
    return [
        None if place in guilty or not left(place)
        else [f"{side} in {lang}" for side, lang in dict.fromkeys(blamed) if side != means[place][0]]
        for place in range(len(means))
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 5),
    st.sampled_from([("cross",), ("mono", "cross"), ("mono", "cross", "strong")]),
)
def test_it_is_what_going_through_them_one_by_one_gives(seed: int, count: int, kinds: tuple[str, ...]) -> None:
    rng = np.random.default_rng(seed)
    spoken = LANGUAGES[:count]
    drops: Drops = {}
    for lang in spoken:
        much = rng.choice([0.0, 0.0, 0.02, 0.2])
        drops |= {
            pair: drops.get(pair, 0) + much * rng.choice([0.5, 1.0])
            for pair in product(spoken, spoken)
            if lang in pair[: rng.integers(1, 3)]
        }
    found = directions(spoken, drops, kinds)
    shaken = Directions(found.table, found.differences + rng.standard_normal(found.differences.shape) * 1e-3)
    table = shaken.table.assign(difference=shaken.differences.sum(axis=0))
    asked = [
        means(Directions(table, shaken.differences), {"strong": "multi"}.get(kind, kind))
        for kind in kinds
        if kind != "mono"
    ]
    fallen = pd.concat(asked, ignore_index=True)
    suspects = tuple(rng.choice(spoken, size=1))
    assert fell_through(fallen, shaken, suspects, 0.05) == slowly(shaken, fallen, suspects)
