"""clconv/conformance/report.py: counts, JSON, JUnit XML."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

from clconv.conformance.cases import Case
from clconv.conformance.report import Miss, Report, Tally, as_json, as_junit, skips, tallies, tally
from clconv.conformance.rules import Finding
from clconv.conformance.runner import Outcome
from clconv.spec.parse import parse

CONV = Case(parse("conv_fwd:f32:n1c2o3g1:i7:k3:s1:p0.0:d1"))
POOL = Case(parse("max_pool:f32:n1c2:i7:k3:s1:p0.0:d1"))
MISS = Outcome(CONV, "direct", "conv", "bits", Finding(False, math.inf, "1 < 2 & \x1b[1m"))
OUTCOMES = (
    Outcome(CONV, "auto", "conv", "bound", Finding(True, 0.25)),
    Outcome(CONV, "auto", "conv", "bits", Finding(True, 0.0)),
    MISS,
    Outcome(POOL, "auto", "max_pool", "bits", None, skipped="no 5"),
    Outcome(POOL, "auto", "max_pool", "bound", None, skipped="no 6"),
)
REPORT = Report("a <device>", OUTCOMES, (Miss(MISS, CONV.problem, "clconv verify"),), 1.5)


def test_counts():
    assert tally(OUTCOMES) == Tally(3, 3, 2, 2, math.inf)
    assert tallies(OUTCOMES, "rule")["bound"].worst == 0.25
    assert tallies(OUTCOMES, "function").keys() == {"conv", "max_pool"}
    assert skips(OUTCOMES) == {"no ..": 2}


def test_a_report_passes_only_if_something_was_checked():
    assert not REPORT.passed
    assert Report("a", OUTCOMES[:2], (), 1).passed
    assert not Report("a", OUTCOMES[3:], (), 1).passed


def test_json():
    written = json.loads(json.dumps(as_json([REPORT]), allow_nan=False))
    assert written["passed"] is False
    (one,) = written["implementations"]
    assert one["total"] == {
        "cases": 3,
        "checks": 3,
        "passed": 2,
        "skipped": 2,
        "worst_share_of_bound": None,
    }
    assert one["misses"][0]["problem"] == str(CONV)
    assert one["misses"][0]["rule"] == "bits"


def test_junit():
    root = ElementTree.fromstring(as_junit([REPORT]))
    (suite,) = root
    assert suite.get("name") == "a <device>"
    counts = [suite.get(key) for key in ("tests", "failures", "errors", "skipped", "time")]
    assert counts == ["3", "1", "0", "1", "1.500"]
    (failure,) = root.iter("failure")
    assert failure.get("message") == "conv, bits: 1 < 2 & ?[1m"
    assert [e.get("message") for e in root.iter("skipped")] == ["no 5"]
