"""A result in; the same scores in the JSON that mteb keeps of a task (its `TaskResult`), out.

Only directions into one language have a place there. mteb names a direction documents first (`deu_Latn-eng_Latn` asks
in English), and so does this file, in `hf_subset` as in `languages`. A task that is mteb's own has mteb's names, its
split, and only the directions that mteb has; any other has its name here, and `de` or `de-en` for its directions.

The scores were not computed by mteb, so `mteb_version` is null. `dataset_revision` is the commit of the data on the hub
where mteb pins the same, and elsewhere the hash of the data as used: mteb's tools then see that it is another copy.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

import langcodes
import pandas as pd

from benchmark import averages, evidence
from benchmark.evidence import Result
from benchmark.measures import Measure, evaluate
from benchmark.ranking import ALL
from benchmark.summary import DIGITS
from tasks import card, languages
from tasks.card import TaskCard
from tasks.errors import UserError

CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)
NAMES = {"nDCG": "ndcg", "AP": "map", "R": "recall", "P": "precision", "RR": "mrr", "Success": "hit_rate"}
MEASURES = [Measure(name, cutoff) for name in NAMES for cutoff in CUTOFFS]
MAIN = "nDCG@10"  # of the tasks that mteb has
SETTINGS = ("mono", "cross")

Place = tuple[str, list[str]]
"""How mteb names a direction: `hf_subset`, and `languages`."""


def _own(_: TaskCard | None, query: str, document: str) -> Place | None:
    codes = [_code(document), _code(query)]
    return (document, codes[:1]) if query == document else (f"{document}-{query}", codes)


def _mono(_: TaskCard | None, query: str, document: str) -> Place | None:
    return (document, [_code(document)]) if query == document else None


def _xquad(_: TaskCard | None, query: str, document: str) -> Place | None:
    return (document, ["arb-Arab" if document == "ar" else _code(document)]) if query == document else None


def _belebele(of: TaskCard | None, query: str, document: str) -> Place | None:
    """One language, or one beside what is written of it in Latin letters, or English on one side."""
    names = {tag: name for name, tag in of.options["languages"].items()} if of else {}
    pair = [names[document], names[query]]
    (one, script), (other, its_script) = (name.split("_") for name in pair)
    latin = one == other and "Latn" in (script, its_script)
    if not (document == query or latin or "eng_Latn" in pair):
        return None
    return "-".join(pair), [name.replace("_", "-") for name in pair]


class _Task(NamedTuple):
    """What mteb calls a task, on which split it runs it, and which directions it has."""

    name: str
    split: str
    place: Callable[[TaskCard | None, str, str], Place | None]


TASKS = {
    "xquad-p": _Task("XQuADRetrieval", "validation", _xquad),
    "belebele": _Task("BelebeleRetrieval", "test", _belebele),
    "miracl": _Task("MIRACLRetrieval", "dev", _mono),
    "wikipedia": _Task("WikipediaRetrievalMultilingual", "test", _mono),
}


def text(result: Result, setting: str | None = None) -> tuple[str, int]:
    """Return the JSON, and how many directions into one language have no place in it. Raises UserError if all.

    It has every measure that mteb has of a ranking where all ranks were kept, and otherwise those that were asked for.
    """
    says, task, label = result.says, result.says["task"], evidence.label(result.says)
    of = card.find(label) if task["name"] in TASKS else None
    if of is not None and of.hash != task["card_hash"]:  # a task of one's own that has the name of another
        of = None
    known = TASKS[task["name"]] if of else _Task(label, "test", _own)
    directed = _directions(result)
    directed = directed[directed["setting"].isin(SETTINGS if setting is None else [setting])]
    names = {name: key for name in directed.columns if (key := _key(name))}  # the rest has no place there
    main = MAIN if of else says["main_measure"]
    scores = [
        {
            "hf_subset": place[0],
            "languages": place[1],
            "main_score": row[main],
            **{key: row[name] for name, key in names.items()},
        }
        for row in directed.round(DIGITS).to_dict("records")
        if (place := known.place(of, row["query_lang"], row["pool"]))
    ]
    if not scores:
        raise UserError(f"{result.folder} has no direction that mteb's {known.name} has, so there is nothing to write.")
    model = says["model"]
    found = {
        "dataset_revision": _revision(of) or task["data_hash"],
        "task_name": known.name,
        "mteb_version": None,
        "scores": {known.split: scores},
        "evaluation_time": says["cost"]["total_seconds"],
        "kg_co2_emissions": None,
        "date": says["created"],
        "isogloss": {
            "version": says["environment"]["libraries"].get("isogloss", ""),
            "task": label,
            "key": says["key"],
            "data_hash": task["data_hash"],
            "model": {name: model[name] for name in ("name", "source", "revision", "fingerprint", "prompts")},
        },
    }
    return json.dumps(found, indent=2, ensure_ascii=False), len(directed) - len(scores)


def _directions(result: Result) -> pd.DataFrame:
    """Return directions: `setting, query_lang, pool, queries`, and the measures that are known of them."""
    says = result.says
    stored = evidence.directions(says)
    if says["kept"]["every"] > 1:
        return stored
    ranks = result.ranks()
    pools = [pool for pool in ranks["pool"].cat.categories if pool != ALL and "+" not in pool]
    found = evaluate(ranks[ranks["pool"].isin(pools)], MEASURES)
    directed = averages.directions(averages.sums(found, MEASURES), MEASURES)
    more = [name for name in says["directions"][0]["measures"] if name not in directed.columns]
    return directed.merge(stored[["query_lang", "pool", *more]], on=["query_lang", "pool"], how="left")


def _key(measure: str) -> str:
    """Return mteb's name of a measure, `ndcg_at_10`; "" for what is none of its measures."""
    name, _, cutoff = measure.partition("@")
    if name not in NAMES or not (cutoff.isdigit() or name == measure):
        return ""
    return f"{NAMES[name]}_at_{cutoff}" if cutoff else NAMES[name]


def _revision(of: TaskCard | None) -> str:
    return str(of.options["revision"]) if of and str(of.options.get("hub", "")).startswith("mteb/") else ""


def _code(tag: str) -> str:
    """Return a language as mteb names it: `deu-Latn`."""
    return f"{langcodes.Language.get(tag).to_alpha3()}-{languages.script(tag)}"
