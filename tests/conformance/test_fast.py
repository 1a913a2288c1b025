"""clconv/conformance/fast.py: Winograd is held to its own bound, whatever stands around it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import clconv
from clconv.algorithms import winograd
from clconv.conformance.cases import Case
from clconv.conformance.data import data_for
from clconv.conformance.fast import winograd_error
from clconv.conformance.runner import DeviceBackend, run_case
from clconv.spec.parse import parse

PLAIN = "conv_fwd:f32:n2c3o4g1:i9x8:k3x3:s1:p1.0x0.2:d1"
REARRANGED = (
    "conv_fwd:f32:n2c3o4g1:i6x5:k3x3:s1:p-1.3x3.1:d1:lhs2x1:NHWC,HWIO->NHWC",
    "conv_bwd_data:f32:n2c3o4g1:i6x5:k3x3:s1:p-1.3x3.1:d1:lhs2x1:NHWC,HWIO->NHWC",
    "conv_bwd_data:f32:n2c6o4g2:i6x5:k3x3:s1:p1.0x0.2:d1:flip:CWHN,HWIO->NHWC",
    "conv_fwd:f32:n2c3o20g1:i5x16x19:k3x3x3:s1:p1.-2x0.-1x1.-2:d1",
    "conv_bwd_data:f32:n2c4o6g2:i5x9x8:k3x3x3:s1:p1.-2x0.-1x1.-2:d1",
    "conv_fwd:f16:n2c12o4g1:i9x8:k3x3:s1:p1.1:d1:bias:relu",
)


@pytest.fixture(autouse=True)
def served(device):
    reason = winograd.Winograd(4).refuse(parse(PLAIN), device)
    if reason:
        pytest.skip(reason)


@pytest.mark.parametrize("text", [PLAIN, *REARRANGED])
def test_every_problem_is_held_to_a_bound(device, text):
    case = Case(parse(text), ("winograd_f4", "winograd_f2"), False)
    outcomes = list(run_case(partial(DeviceBackend, device), case))
    for outcome in outcomes:
        assert outcome.finding is not None, outcome
        assert outcome.finding.passed, outcome
    held = [(o.algorithm, o.rule) for o in outcomes]
    for name in case.algorithms:
        assert {rule for algorithm, rule in held if algorithm == name} >= {"bits", "bound"}
    if ":f32:" in text:  # half a unit of a stored type is a whole bound
        assert all(o.finding.share < 0.5 for o in outcomes)


def test_the_bound_of_a_rearranged_problem_is_that_of_the_plain_one_rearranged():
    plain, moved = (parse(f"{PLAIN}{numbers}") for numbers in ("", ":NHWC,HWIO->NHWC"))
    tensors = data_for(plain, "random")
    there = {
        "x": np.moveaxis(tensors["x"], 1, -1).copy(),
        "w": np.transpose(tensors["w"], (2, 3, 1, 0)).copy(),
    }
    expected = np.moveaxis(winograd_error(plain, tensors, 4), 1, -1)
    np.testing.assert_array_equal(winograd_error(moved, there, 4), expected)


def test_what_has_no_bound_is_skipped_and_says_so(device):
    text = "conv_fwd:f32:n2c3o4g1:i9x8:k3x3:s1:p1.1:d1:reflect"
    case = Case(parse(text), ("winograd_f4",), False)
    outcomes = list(run_case(partial(DeviceBackend, device), case))
    assert {o.rule for o in outcomes if o.skipped} == {"bits", "bound"}
    assert all("no bound is stated" in o.skipped for o in outcomes if o.skipped)


def test_a_wrong_tile_is_a_miss(device):
    class Wrong:
        def conv(self, *arguments, **options):
            y = clconv.conv(*arguments, **options, algorithm="winograd_f4", device=device)
            y[0, 0, 4, 4] *= np.float32(1.001)
            return y

    case = Case(parse(PLAIN), ("winograd_f4",), False)
    outcomes = list(run_case(lambda name: Wrong(), case))
    assert {o.rule for o in outcomes if o.is_miss} == {"bits", "bound"}
