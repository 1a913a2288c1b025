"""Holds problem strings to the rules of conformance."""

from __future__ import annotations

from functools import partial

import pytest

import clconv
from clconv.conformance.cases import Case
from clconv.conformance.metamorphic import RELATIONS
from clconv.conformance.runner import DeviceBackend, run_case
from clconv.spec.parse import parse

# Strict, and for filters of any size; depthwise is so for its groups.
ALGORITHMS = tuple(name for name in clconv.algorithm_names("strict") if name != "pointwise")


def hold(device, strings, algorithm="auto"):
    """Assert that every rule finds every problem right; return how many findings there were."""
    findings = 0
    for text in strings:
        problem = parse(text)
        if problem.dtype in ("float64", "complex128") and not device.fp64:
            pytest.skip(f"{device} has no float64")
        for outcome in run_case(partial(DeviceBackend, device), Case(problem, (algorithm,))):
            if outcome.skipped and algorithm != "auto" and outcome.rule in RELATIONS:
                continue  # it leads to a problem that this algorithm does not serve
            assert not outcome.skipped, outcome
            assert outcome.finding.passed, (text, outcome.function, outcome.rule, outcome.finding)
            findings += 1
    assert findings > 0
    return findings
