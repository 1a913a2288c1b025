"""clconv/conformance: the rules pass what is right, and every kind of fault fails one of them."""

from __future__ import annotations

from math import prod
from types import SimpleNamespace

import numpy as np
import pytest

from clconv import reference
from clconv.conformance.calls import Recorder, as_tuple
from clconv.conformance.cases import (
    INTEGERS,
    OTHERS,
    Case,
    conv_strings,
    list_cases,
    pool_strings,
    transpose_strings,
)
from clconv.conformance.data import data_for
from clconv.conformance.problems import calls_of
from clconv.conformance.rules import check_bound, compare_bits, compare_within
from clconv.conformance.runner import run_case
from clconv.conformance.terms import terms_of
from clconv.errors import UnsupportedError
from clconv.reference.shapes import CONV_SHAPES, POOL_SHAPES, TRANSPOSE_SHAPES
from clconv.spec.dtypes import DTYPES
from clconv.spec.parse import parse

EDGES = CONV_SHAPES["edges"]
STRINGS = [
    *conv_strings(EDGES["groups"], "f32"),
    *conv_strings(EDGES["depthwise_times_3"], "f32"),
    *transpose_strings(TRANSPOSE_SHAPES["edges"]["groups"], "f32"),
    *transpose_strings(TRANSPOSE_SHAPES["edges"]["groups"], "c64"),
    *pool_strings(POOL_SHAPES["edges"]["3x3_stride_2"], "f32"),
    *(text.format(t="f32") for text in OTHERS),
    *INTEGERS,
]
CASES = [Case(parse(text)) for text in STRINGS]


def names_of(case):
    return {call.name for call in calls_of(case.problem, data_for(case.problem, "random"))}


NAMES = sorted(set().union(*map(names_of, CASES)))


def rounded(**faults):
    """Return the reference rounded to float32, with some functions' results changed."""

    def function(name):
        def call(*arguments, **options):
            results = getattr(reference, name)(*arguments, **options)
            several = as_tuple(results)
            narrow = {"f": np.float32, "c": np.complex64}
            dtypes = [narrow.get(r.dtype.kind, r.dtype) for r in several]
            several = tuple(r.astype(d) for r, d in zip(several, dtypes, strict=True))
            several = faults.get(name, lambda *r: r)(*several)
            return several if isinstance(results, tuple) else several[0]

        return call

    return SimpleNamespace(**{name: function(name) for name in NAMES})


def outcomes(backend, cases):
    return [o for case in cases for o in run_case(lambda algorithm: backend, case)]


def misses(backend, cases=CASES):
    return {(o.function, o.rule) for o in outcomes(backend, cases) if not o.finding.passed}


def test_right_backend_passes():
    assert misses(rounded()) == set()


def per_mille(y, *rest):
    return (y + 1 if y.dtype.kind in "iu" else y * np.float32(1.001), *rest)


def one_element(y, *rest):
    y = y.copy()
    y.flat[-1] += 1
    return (y, *rest)


def cases_of(name):
    return [case for case in CASES if name in names_of(case)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", [per_mille, one_element])
def test_every_faulty_function_is_caught(name, fault):
    """A small relative error, or one wrong element, in any function."""
    cases = cases_of(name)
    found = misses(rounded(**{name: fault}), cases)
    held = {o.rule for o in outcomes(rounded(), cases) if o.function == name}
    assert held & {"bits", "bound"}
    for rule in held & {"bits", "bound"}:
        assert (name, rule) in found


@pytest.mark.parametrize("name", ["conv", "max_pool", "avg_pool_backward", "deform_conv"])
def test_lost_nan_and_infinities_are_caught_by_specials_alone(name):
    def lose(y, *rest):
        return (np.nan_to_num(y, nan=0, posinf=0, neginf=0), *rest)

    assert misses(rounded(**{name: lose}), cases_of(name)) == {(name, "specials")}


def test_specials_are_planted_the_same_every_time_and_leave_finite_results():
    problem = parse("conv_fwd:f32:n2c3o4g1:i6x7:k3x3:s1:p1.1:d1")
    first, second = data_for(problem, "specials"), data_for(problem, "specials")
    assert all(first[n].tobytes() == second[n].tobytes() for n in first)
    assert not all(np.isfinite(a).all() for a in first.values())
    with pytest.raises(ValueError, match="can hold a NaN"):
        data_for(parse(INTEGERS[0]), "specials")


@pytest.mark.parametrize("by", ["turn", "address"])
def test_sums_in_an_order_that_changes_are_caught_by_repeat(by):
    """By who is first, as with float atomics, or by where an array lies, as with peeled loops."""
    turns = iter(range(100))

    def conv(x, w, *arguments, **options):
        y = reference.conv(x, w, *arguments, **options)
        changed = (next(turns) if by == "turn" else x.ctypes.data // x.itemsize) % 2
        return (y * (1 + changed * 2.0**-23)).astype(np.float32)

    case = Case(parse("conv_fwd:f32:n2c6o4g2:i7x6:k3x3:s1:p1.1:d1"), related=False)
    found = outcomes(SimpleNamespace(conv=conv), [case])
    passed = {o.rule: o.finding.passed for o in found if o.finding}
    assert (passed["bound"], passed["repeat"]) == (True, False)


@pytest.mark.parametrize(
    ("function", "adjoint"),
    [
        ("conv_backward_data", "conv"),
        ("conv_backward_weights", "conv"),
        ("conv_general_backward_data", "conv_general"),
        ("col2im", "im2col"),
        ("avg_pool_backward", "avg_pool"),
        ("adaptive_avg_pool_backward", "adaptive_avg_pool"),
        ("max_unpool_backward", "max_pool_backward"),
        ("deform_conv_backward", "deform_conv"),
    ],
)
def test_adjoints_that_do_not_belong_together_are_caught(function, adjoint):
    def shift(dx, *rest):
        return (np.roll(dx, 1), *rest)

    assert (adjoint, "adjoint") in misses(rounded(**{function: shift}))


def test_wrong_shapes_and_nan_are_caught():
    assert not compare_bits(np.zeros(3), np.zeros(4)).passed
    assert not compare_within(np.zeros(3), np.zeros(4), np.ones(4)).passed
    nan = np.array([np.nan, 0])
    assert not compare_within(nan, np.zeros(2), np.ones(2)).passed
    assert not compare_bits(nan, np.zeros(2)).passed
    assert compare_bits(nan, nan).passed


def test_share_is_the_error_over_what_is_allowed():
    finding = compare_within(np.array([1.0, 2.5]), np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    assert (finding.passed, finding.share) == (True, 0.5)
    finding = compare_within(np.array([1.0, 4.0]), np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    assert (finding.passed, finding.share) == (False, 2.0)
    assert "worst at (1,): 4.0, expected 2.0 within 1" in finding.message
    # Where nothing is allowed, the smallest error is too much.
    assert not compare_within(np.array([1e-30]), np.zeros(1), np.zeros(1)).passed


def test_refusals_are_shown_and_not_counted_as_passed():
    def refuse(*_, **__):
        raise UnsupportedError("no such thing here")

    backend = rounded()
    backend.conv_backward_data = refuse
    skipped = [o for o in outcomes(backend, CASES) if o.skipped]
    assert {o.function for o in skipped} == {"conv_backward_data", "conv"}
    assert all(o.finding is None and o.skipped == "no such thing here" for o in skipped)


@pytest.mark.parametrize("numbers", [None, "NHWC,HWIO->NCHW"])
def test_terms_and_flops(numbers):
    shape = CONV_SHAPES["edges"]["groups"]
    x, w, dy, bias = shape.random_tensors("float32", seed=0)
    if numbers:
        x, w = x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0)
    recorder = Recorder(reference)
    keywords = shape.keywords() | {"dimension_numbers": numbers}
    recorder.conv(x, w, bias, **keywords)
    recorder.conv_backward_data(dy, w, input_shape=x.shape, **keywords)
    recorder.conv_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    forward, data, weights = (call.public for call in recorder.log)
    assert terms_of(forward) == (shape.terms("forward") + 1,)
    assert terms_of(data) == (shape.terms("backward_data"),)
    assert terms_of(weights) == (shape.terms("backward_weights"),)
    assert forward.flops == data.flops == weights.flops == shape.flops
    for call in recorder.log:
        assert check_bound(call).passed


@pytest.mark.parametrize(("mode", "terms"), [("zeros", 1), ("reflect", 3), ("circular", 3)])
def test_terms_count_the_copies_in_the_padding(mode, terms):
    """Seven pixels out of three: the one in the middle is copied to both ends."""
    recorder = Recorder(reference)
    dy, w = np.ones((1, 1, 7)), np.ones((1, 1, 1))
    recorder.conv_backward_data(dy, w, input_shape=(1, 1, 3), padding=2, padding_mode=mode)
    (call,) = recorder.log
    assert terms_of(call.public) == (terms,)


@pytest.mark.parametrize("numbers", [None, "NHWC,HWOI->NHWC"])
def test_terms_of_transposed_and_separable_convolution(numbers):
    shape = TRANSPOSE_SHAPES["edges"]["groups"]
    x, w, dy, bias = shape.random_tensors("float32", seed=0)
    pointwise = np.ones((5, 3, 1, 1), np.float32)
    depthwise = np.ones((3, 1, 3, 2), np.float32)
    image = np.ones((1, 3, 4, 5), np.float32)
    if numbers:
        x, dy, image = (each.transpose(0, 2, 3, 1) for each in (x, dy, image))
        w = w.transpose(2, 3, 1, 0)
        pointwise, depthwise = (each.transpose(2, 3, 0, 1) for each in (pointwise, depthwise))
    recorder = Recorder(reference)
    keywords = shape.keywords() | {"dimension_numbers": numbers}
    recorder.conv_transpose(x, w, bias, **keywords)
    recorder.conv_transpose_backward_data(dy, w, input_shape=x.shape, **keywords)
    recorder.conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    recorder.separable_conv(image, depthwise, pointwise, dimension_numbers=numbers)
    recorder.conv_backward_bias(dy, layout=numbers and "NHWC")
    taps, pixels = prod(shape.kernel), prod(shape.spatial)
    assert [terms_of(call.public)[0] for call in recorder.log] == [
        shape.channels // shape.groups * taps + 1,
        shape.outputs // shape.groups * taps,
        shape.batch * pixels,
        3 * 2 + 3,
        shape.batch * prod(shape.y_shape[2:]),
    ]
    for call in recorder.log:
        assert check_bound(call).passed


def test_grid_holds_every_function_shape_and_type():
    cases = list_cases("edges", ("a", "b"))
    held = {str(case) for case in cases}
    for table, strings in (
        (CONV_SHAPES, conv_strings),
        (TRANSPOSE_SHAPES, transpose_strings),
        (POOL_SHAPES, pool_strings),
    ):
        for shape in table["edges"].values():
            for code in ("f32", "f64"):
                assert {str(parse(text)) for text in strings(shape, code)} <= held
    assert {case.problem.dtype for case in cases} >= set(DTYPES)
    # What has no problem of its own: a chain of two, and two that are others' by name.
    aliases = {"separable_conv", "global_max_pool"}
    assert set(NAMES) | aliases == set(reference.__all__)


def test_convolutions_run_by_every_algorithm():
    for case in list_cases("quick", ("a", "b")):
        chosen = str(case).startswith(("conv_fwd", "conv_bwd_d", "conv_bwd_w", "qlinear"))
        assert case.algorithms == (("a", "b") if chosen else ("auto",))
