"""What a gate found in; JUnit XML, GitHub's annotations and job summary, and JSON out."""

import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import pandas as pd

from benchmark import evidence
from benchmark.cells import DIRECTIONS
from benchmark.check import REGRESSED, Checked
from benchmark.evidence import Json
from leaderboard import formats, gate

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(checked: Sequence[Checked]) -> bytes:
    """Return JUnit XML: a suite for each task, in it a case for each average, language and bias value.

    The directions of a language of the question are one case, or there would be thousands.
    """
    root = ElementTree.Element("testsuites", name="bench check")
    for one in checked:
        cases = _cases(one)
        failed = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error")}
        suite = ElementTree.SubElement(
            root, "testsuite", name=_xml(one.task), tests=str(len(cases)), failures=str(failed["failure"]),
            errors=str(failed["error"]), skipped="0", time="0",
        )  # fmt: skip
        suite.extend(cases)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root, " ")
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _cases(one: Checked) -> list[ElementTree.Element]:
    if one.reasons:
        (finding,) = gate.findings(one)
        return [_case(one.task, "comparable", "error", finding.text, "not comparable")]
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in one.cells.to_dict("records"):
        single = f"{row['name']}, {gate.cell(row)}"
        several = f"{row['name']}, from {row['query_lang']}, {row['setting']}"
        groups.setdefault((row["kind"], several if row["kind"] == DIRECTIONS else single), []).append(row)
    cases = []
    for (kind, name), rows in groups.items():
        down = [f"{gate.cell(row)}: {gate.sentence(row)}" for row in rows if row["verdict"] == REGRESSED]
        cases.append(_case(f"{one.task}.{kind}", name, "failure" if down else "", "\n".join(down), REGRESSED))
    return cases


def _case(group: str, name: str, kind: str, text: str, verdict: str) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=_xml(group), name=_xml(name), time="0")
    if kind:
        first = text.partition("\n")[0]
        ElementTree.SubElement(case, kind, message=_xml(first), type=verdict).text = _xml(text)
    return case


def _xml(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return NOT_XML.sub("", text)


def annotations(checked: Sequence[Checked]) -> list[str]:
    """Return GitHub's workflow commands, a line each: an error for each finding, a notice for a task that passed."""
    lines = []
    for one in checked:
        lines += [f"::error title={_property(found.title)}::{_data(found.text)}" for found in gate.findings(one)]
        if not gate.findings(one):
            lines.append(f"::notice title={_property(one.task)}::{_data(gate.headline(one))}")
    return lines


def _data(text: str) -> str:
    return formats.plain(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def markdown(checked: Sequence[Checked]) -> str:
    """Return all of it as Markdown: for a job's summary, or a comment."""
    parts = []
    for one in checked:
        parts.append(f"## {formats.escape_markdown(gate.headline(one))}")
        found = [] if one.reasons else gate.findings(one)
        parts += [f"**{formats.escape_markdown(each.title)}**: {formats.escape_markdown(each.text)}" for each in found]
        parts += [formats.markdown(table).rstrip() for table in gate.tables(one)]
        parts += ["\n".join(f"* {formats.escape_markdown(note)}" for note in gate.notes(one))]
    return "\n\n".join(part for part in parts if part) + "\n"


def says(checked: Sequence[Checked], code: int) -> Json:
    """Return all of it for a program, every cell included."""
    return {
        "exit_code": code,
        "tasks": [
            {
                "task": one.task,
                "verdict": one.verdict,
                "reasons": one.reasons,
                "remarks": one.remarks,
                "baseline": _result(one.before),
                "result": _result(one.after),
                "cells": one.cells.astype(object).where(pd.notna(one.cells), None).to_dict("records"),
            }
            for one in checked
        ],
    }


def _result(result: evidence.Result | None) -> Json | None:
    if result is None:
        return None
    return {"folder": str(result.folder), "model": result.says["model"]["name"], "key": result.says["key"]}
