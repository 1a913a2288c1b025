"""clconv/conformance/problems.py: a problem, its string and the public call are one thing."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import clconv
from clconv import reference
from clconv.conformance.calls import call_on
from clconv.conformance.cases import list_cases
from clconv.conformance.data import data_for
from clconv.conformance.problems import call_of
from clconv.conformance.rules import check_bits, check_bound
from clconv.conformance.runner import DeviceBackend, run_case
from clconv.ops import execute
from clconv.spec.parse import parse

STRINGS = [
    "conv_fwd:f32:n2c4o6g2:i9x8:k3x3:s2:p1.1:d1",
    "conv_fwd:f32:n1c4o6g2:i9:k3:s1:p0.2:d2:bias:flip:beta-2.0:relu",
    "conv_fwd:f32:n1c4o6g2:i9:k3:s1:p0.2:d2:bias:beta0.3:silu",
    "conv_fwd:bf16:n1c4o4g1:i5x6x7:k3x2x1:s1x2x3:p1.0x0.0x2.2:d1:reflect",
    "conv_fwd:f32:n2c4o6g2:i5x6:k3x2:s1:p-1.2x0.-1:d1:lhs2x1:NHWC,HWIO->NHWC",
    "conv_bwd_data:f32:n2c4o6g2:i5x6:k3x2:s1:p-1.2x0.-1:d1:lhs2x1",
    "conv_bwd_weights:f32:n4c4o6g1:i5x6:k3x2:s1:p0.0:d1:bg2",
    "conv_bwd_data:c64:n1c2o4g2:i6:k3:s2:p0.1:d2:conj:bias",
    "conv_bwd_data:f32:n1c2o4g2:i8:k3:s1:p0.-1:d3",
    "conv_fwd:f32:n1c2o4g2:i8:k3:s1:p0.-1:d3",
    "conv_bwd_weights:c64:n1c2o4g2:i8:k3:s1:p0.-1:d3:conj",
    "conv_bwd_data:f32:n2c4o6g2:i9x8:k3x2:s2x3:p1.-1x0.-2:d1x2:NHWC,HWIO->NHWC:bias:flip",
    "conv_bwd_data:f16:n2c4o2g2:i7x4x5:k2x3x2:s1:p0.0x1.0x0.0:d1:DNWCH,IWDHO->CNHDW:bias",
    "conv_bwd_data:c64:n1c2o4g2:i6x9:k3x3:s2x1:p0.1x0.0:d2x1:conj:NHWC,HWIO->NHWC:bias",
    "conv_fwd:c64:n1c2o4g2:i8:k3:s1:p0.-1:d3:conj:CWN,WOI->WNC",
    "conv_bwd_weights:c64:n1c2o4g2:i8x6:k3x2:s1:p0.-1x0.0:d3x1:conj:NWHC,OHWI->CHNW",
    "conv_bwd_data:f64:n2c4o6g2:i9x8:k3x3:s2:p1.1:d1:flip",
    "conv_fwd:u8.i8:n1c2o4g2:i5x6:k3x2:s1:p0.0:d1:acci64:xzero:wzero",
    "conv_fwd:i32:n1c2o4g2:i5x6:k3x2:s1:p1.1:d1",
    "qlinear_conv:u8.i8:n1c2o4g2:i5x6:k3x2:s1:p0.0:d1:xzero:wzero:bias:toi16",
    "deform_conv_fwd:f32:n2c4o6g2:i7x6:k3x2:s1:p1.1:d1:bias:og2:mask",
    "deform_conv_bwd_weights:f16:n1c4o2g1:i7:k3:s1:p0.0:d1:og1",
    "conv_bwd_bias:f16:n3o4:i35",
    "conv_bwd_bias:c64:n3o4:i5x7:NHWC",
    "im2col:i8:n1c2:i5x6:k3x2:s1:p0.0:d1:NHWC",
    "col2im:c64:n1c2:i5:k3:s1:p1.0:d1",
    "max_pool:f32:n1c2:i5x6:k3x2:s2x1:p1.1x0.0:d1:ceil:CNHW",
    "avg_pool:f32:n1c2:i5x6:k3x3:s2:p1.1:d1:exclude_pad",
    "avg_pool_backward:f32:n1c2:i7:k3:s2:p1.1:d1:divisor7",
    "adaptive_max_pool:i16:n1c2:i5x6:o2x3",
    "adaptive_avg_pool:f32:n1c2:i5x6:o2x3:NHWC",
    "adaptive_avg_pool_backward:f32:n1c2:i5x6:o2x3",
    "max_pool_backward:f32:n1c2:i5x6:o2x3",
    "max_unpool:f16:n1c2:i6:o3",
    "max_unpool_backward:f32:n1c2:i6:o3",
]


@pytest.fixture
def stated(monkeypatch):
    """Return the list to which every call adds its problem."""
    problems = []
    monkeypatch.setattr(execute, "log_problem", problems.append)
    return problems


@pytest.mark.parametrize("text", STRINGS)
def test_a_string_is_a_call_that_states_it(device, stated, text):
    if "f64" in text and not device.fp64:
        pytest.skip(f"{device} has no float64")
    problem = parse(text)
    for kind, check in (("integer", check_bits), ("random", check_bound)):
        if kind == "integer" and ("silu" in text or "0.3" in text):
            continue  # not exact
        call = call_on(DeviceBackend(device), call_of(problem, data_for(problem, kind)))
        assert stated.pop() == problem
        finding = check(call)
        assert finding.passed, finding


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_every_call_prints_a_string_that_is_read_back(device, stated, dtype):
    """The quick grid: what calls state is what was asked for, or an adjoint of it."""
    cases = [case for case in list_cases("quick", ("auto",)) if case.problem.dtype == dtype]
    for case in cases:
        for _ in run_case(partial(DeviceBackend, device), case):
            pass
    assert len(set(stated)) >= len(cases) > 5
    assert {case.problem for case in cases} <= set(stated)
    for problem in set(stated):
        assert parse(str(problem)) == problem


def test_what_no_function_states():
    for text in (
        "conv_fwd:f32:n1c1o1g1:i5:k3:lhs2:bias",
        "conv_bwd_data:f32:n1c1o1g1:i5:k3:bias:reflect:p1.1",
        "conv_bwd_data:f32:n1c1o1g1:i8:k3:s2:bias",  # no window ends at the last pixel
        "conv_bwd_data:c64:n1c1o1g1:i7:k3:s2:bias",  # conv's own adjoint has no bias
    ):
        problem = parse(text)
        with pytest.raises(clconv.UnsupportedError, match="no public function states conv_"):
            call_of(problem, data_for(problem, "random"))


def test_average_data_are_multiples_of_all_divisors():
    problem = parse("avg_pool:f32:n1c2:i5x6:k3x3:s2:p1.1:d1:exclude_pad")
    call = call_of(problem, data_for(problem, "integer"))
    y = call.on(reference)
    np.testing.assert_array_equal(y, np.rint(y))
    assert abs(y).max() > 0


def test_the_log(device, monkeypatch, capsys):
    x = np.ones((1, 2, 5), np.float32)
    monkeypatch.setenv("CLCONV_LOG", "problem")
    clconv.max_pool(x, 2, device=device)
    captured = capsys.readouterr()
    assert captured.err == "max_pool:f32:n1c2:i5:k2:s2:p0.0:d1\n"
    assert captured.out == ""
    monkeypatch.setenv("CLCONV_LOG", "all")
    with pytest.warns(UserWarning, match="CLCONV_LOG=all means nothing; it may be 'problem'"):
        clconv.max_pool(x, 2, device=device)
