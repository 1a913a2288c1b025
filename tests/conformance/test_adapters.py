"""clconv/conformance/*_adapter.py: others' functions under the rules of conformance."""

from __future__ import annotations

import pytest

from clconv.conformance import matrix_adapter
from clconv.conformance.cases import Case, list_cases
from clconv.conformance.runner import run_case

CASES = [case for case in list_cases("quick", ("auto",)) if case.problem.dtype == "float32"]


def findings(backend):
    """Return (function, rule, passed) of whatever `backend` has."""
    found = set()
    for case in CASES[::5]:
        for outcome in run_case(lambda _: backend, Case(case.problem)):
            if not outcome.skipped:
                found.add((outcome.function, outcome.rule, not outcome.is_miss))
    return found


def test_the_second_formulation_misses_specials_alone():
    found = findings(matrix_adapter)
    for name in ("conv", "conv_backward_data", "conv_backward_weights"):
        assert {(name, "bits", True), (name, "bound", True)} <= found
    assert {rule for _, rule, passed in found if not passed} == {"specials"}


def test_pytorch_computes_what_it_has():
    torch_adapter = pytest.importorskip(
        "clconv.conformance.torch_adapter", reason="torch is an optional test dependency"
    )
    found = findings(torch_adapter)
    for name in ("conv", "conv_backward_data", "conv_backward_weights", "max_pool", "avg_pool"):
        assert (name, "bits", True) in found
    # Where its sums begin depends on the batch, and oneDNN leaves the padding out.
    assert {rule for _, rule, passed in found if not passed} <= {"reals", "specials"}
