"""What is printed of a regression check: for a terminal, a pull request, a CI system, machines."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree as ET

from bench.columns import align
from bench.errors import inert
from bench.report.analysis.regression import EQUAL, GONE, Verdict, sentence

HEADS = ("verdict", "model", "cell", "metric", "in the file", "now", "allowed")


def texts(verdict: Verdict) -> list[tuple[str, ...]]:
    """A row for each number that is not equal: verdict, model, cell, metric, before, now, allowed."""
    return [
        (
            number.verdict,
            number.model,
            f"{number.mask_set}/{number.bucket}",
            number.metric,
            f"{number.before:.6g}",
            "-" if number.verdict == GONE else f"{number.now:.6g}",
            number.reason or f"{number.allowed:.2g}",
        )
        for number in verdict.numbers
        if number.verdict != EQUAL
    ]


def text(verdict: Verdict) -> str:
    """For a terminal."""
    rows = texts(verdict)
    table = align([HEADS, *rows]) if rows else []
    return "\n".join([*table, *_changes(verdict), sentence(verdict)])


def markdown(verdict: Verdict) -> str:
    """For the comment of a pull request."""
    head = f"### Regression gate: {'passed' if verdict.passed else 'failed'}\n\n{sentence(verdict)}\n"
    rows = [f"| {' | '.join(_escaped(word) for word in row)} |" for row in texts(verdict)]
    table = [f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS), *rows, ""] if rows else []
    return "\n".join([head, *table, *_changes(verdict)]).rstrip() + "\n"


def _changes(verdict: Verdict) -> list[str]:
    if not verdict.changed:
        return []
    return [f"Not the code or weights that the file was written with: {', '.join(map(_escaped, verdict.changed))}."]


def _escaped(word: str) -> str:
    return inert(word).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def junit(verdict: Verdict) -> str:
    """For a CI system: a test case for each number."""
    suite = ET.Element("testsuite", name="bench check", tests=str(len(verdict.numbers)))
    suite.set("failures", str(len(verdict.numbers) - verdict.count(EQUAL)))
    for number in verdict.numbers:
        place = f"{number.model}.{number.mask_set}.{number.bucket}"
        case = ET.SubElement(suite, "testcase", classname=place, name=number.metric)
        if number.verdict != EQUAL:
            message = number.reason or f"{number.now!r}, allowed is {number.before!r} +- {number.allowed!r}"
            ET.SubElement(case, "failure", type=number.verdict, message=f"{number.verdict}: {message}")
    ET.indent(suite)
    return inert(ET.tostring(suite, encoding="unicode", xml_declaration=True)) + "\n"


def plain(verdict: Verdict) -> dict[str, Any]:
    """For machines."""
    found = [asdict(number) for number in verdict.numbers]
    for row in found:
        row["now"] = row["now"] if math.isfinite(row["now"]) else None
    return {"passed": verdict.passed, "changed": list(verdict.changed), "findings": found}
