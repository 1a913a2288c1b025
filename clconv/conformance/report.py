"""What a run found, counted, as JSON and as JUnit XML."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from clconv.conformance.runner import Outcome
from clconv.spec.tensor import Problem


@dataclass(frozen=True, slots=True)
class Miss:
    """A rule that was broken, the smallest problem found that breaks it, and how to see it."""

    outcome: Outcome
    smallest: Problem
    command: str

    @property
    def message(self) -> str:
        """What the rule said."""
        return self.outcome.finding.message if self.outcome.finding else ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that came out for one implementation."""

    implementation: str
    outcomes: tuple[Outcome, ...]
    misses: tuple[Miss, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether no rule was broken, and one was held."""
        return not self.misses and tally(self.outcomes).checks > 0


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts: cases are problems by an algorithm, checks rules that said something."""

    cases: int
    checks: int
    passed: int
    skipped: int
    worst: float  # error as a share of its bound; infinite where nothing was allowed


def tally(outcomes: Iterable[Outcome]) -> Tally:
    """Count outcomes."""
    listed = list(outcomes)
    findings = [outcome.finding for outcome in listed if outcome.finding]
    return Tally(
        len({(outcome.case, outcome.algorithm) for outcome in listed}),
        len(findings),
        sum(finding.passed for finding in findings),
        len(listed) - len(findings),
        max((finding.share for finding in findings), default=0.0),
    )


def tallies(outcomes: Iterable[Outcome], by: str) -> dict[str, Tally]:
    """Count outcomes by function or by rule."""
    sorted_out: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        sorted_out[getattr(outcome, by)].append(outcome)
    return {key: tally(sorted_out[key]) for key in sorted(sorted_out)}


def skips(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Count the reasons of skips; those that differ in their numbers only are one."""
    return Counter(re.sub(r"\b\d+\b", "..", o.skipped) for o in outcomes if o.finding is None)


def as_json(reports: Iterable[Report]) -> dict[str, Any]:
    """Return what json can write: counts for each implementation, and its misses."""
    listed = [_implementation_json(report) for report in reports]
    return {"passed": all(each["passed"] for each in listed), "implementations": listed}


def _implementation_json(report: Report) -> dict[str, Any]:
    return {
        "name": report.implementation,
        "passed": report.passed,
        "seconds": round(report.seconds, 3),
        "total": _tally_json(tally(report.outcomes)),
        "functions": {k: _tally_json(t) for k, t in tallies(report.outcomes, "function").items()},
        "rules": {k: _tally_json(t) for k, t in tallies(report.outcomes, "rule").items()},
        "skips": dict(skips(report.outcomes)),
        "misses": [
            {
                "problem": str(miss.outcome.case),
                "smallest": str(miss.smallest),
                "algorithm": miss.outcome.algorithm,
                "function": miss.outcome.function,
                "rule": miss.outcome.rule,
                "message": miss.message,
                "command": miss.command,
            }
            for miss in report.misses
        ],
    }


def _tally_json(counts: Tally) -> dict[str, Any]:
    worst = counts.worst if math.isfinite(counts.worst) else None  # JSON has no infinity
    return {
        "cases": counts.cases,
        "checks": counts.checks,
        "passed": counts.passed,
        "skipped": counts.skipped,
        "worst_share_of_bound": worst,
    }


def as_junit(reports: Iterable[Report]) -> bytes:
    """Return JUnit XML: a suite for each implementation, a test case for each of its cases.

    A case fails by its misses, and is skipped where no rule could be held.
    """
    root = ElementTree.Element("testsuites")
    for report in reports:
        root.append(_suite(report))
    ElementTree.indent(root)
    xml: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml


def _suite(report: Report) -> ElementTree.Element:
    cases: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in report.outcomes:
        cases[str(outcome.case), outcome.algorithm].append(outcome)
    elements = [_test_case(*key, outcomes) for key, outcomes in cases.items()]
    count = Counter(child.tag for element in elements for child in element[:1])
    suite = ElementTree.Element(
        "testsuite",
        name=report.implementation,
        tests=str(len(elements)),
        failures=str(count["failure"]),
        errors="0",
        skipped=str(count["skipped"]),
        time=f"{report.seconds:.3f}",
    )
    suite.extend(elements)
    return suite


def _test_case(problem: str, algorithm: str, outcomes: list[Outcome]) -> ElementTree.Element:
    function = outcomes[0].function
    element = ElementTree.Element("testcase", classname=function, name=f"{problem} by {algorithm}")
    for outcome in outcomes:
        finding = outcome.finding
        if finding is not None and not finding.passed:
            message = _printable(f"{outcome.function}, {outcome.rule}: {finding.message}")
            ElementTree.SubElement(element, "failure", message=message)
    if all(outcome.finding is None for outcome in outcomes):
        ElementTree.SubElement(element, "skipped", message=_printable(outcomes[0].skipped))
    return element


def _printable(text: str) -> str:
    """Return text that XML takes: what a backend raises may hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
