"""clconv/conformance: the rules pass what is right, and every kind of fault fails one of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from clconv import reference
from clconv.conformance.calls import Recorder
from clconv.conformance.operators import CONVOLUTIONS, DEPTHWISE, GENERAL, POOLINGS, TRANSPOSED
from clconv.conformance.rules import check_bound, compare_bits, compare_within
from clconv.conformance.runner import Case, list_cases, run_case
from clconv.conformance.terms import terms_of
from clconv.errors import UnsupportedError
from clconv.reference.shapes import CONV_SHAPES, POOL_SHAPES, TRANSPOSE_SHAPES

OPERATORS = CONVOLUTIONS + DEPTHWISE + GENERAL + TRANSPOSED + POOLINGS
NAMES = sorted({operator.name.split()[0] for operator in OPERATORS})
CONV = Case("plain", CONV_SHAPES["edges"]["groups"], "float32", "auto", shared=True)
TRANSPOSE = Case("transpose", TRANSPOSE_SHAPES["edges"]["groups"], "float32", "auto", shared=True)
DEPTHWISE_CASE = Case(
    "depthwise", CONV_SHAPES["edges"]["depthwise_times_3"], "float32", "auto", shared=True
)
POOL = Case("pool", POOL_SHAPES["edges"]["3x3_stride_2"], "float32", "auto", shared=True)


def rounded(**faults):
    """Return the reference rounded to float32, with some functions' results changed."""

    def function(name):
        def call(*arguments, **options):
            results = getattr(reference, name)(*arguments, **options)
            several = results if isinstance(results, tuple) else (results,)
            dtypes = [np.int64 if r.dtype == np.int64 else np.float32 for r in several]
            several = tuple(r.astype(d) for r, d in zip(several, dtypes, strict=True))
            several = faults.get(name, lambda *r: r)(*several)
            return several if isinstance(results, tuple) else several[0]

        return call

    return SimpleNamespace(**{name: function(name) for name in NAMES})


def misses(backend):
    outcomes = [
        o for case in (CONV, DEPTHWISE_CASE, TRANSPOSE, POOL) for o in run_case(backend, case)
    ]
    return {(o.operator, o.rule) for o in outcomes if not o.finding.passed}


def test_right_backend_passes():
    assert misses(rounded()) == set()


def per_mille(y, *rest):
    return (y * np.float32(1.001), *rest)


def one_element(y, *rest):
    y = y.copy()
    y.flat[-1] += 1
    return (y, *rest)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", [per_mille, one_element])
def test_every_faulty_function_is_caught(name, fault):
    """A small relative error, or one wrong element, in any function."""
    found = misses(rounded(**{name: fault}))
    rules = {rule for operator, rule in found if operator.startswith(name)}
    assert "bits" in rules
    assert "bound" in rules


def test_adjoints_that_do_not_belong_together_are_caught():
    def shift(dx):
        return (np.roll(dx, 1, axis=-1),)

    assert ("adjoints", "adjoint") in misses(rounded(conv_backward_data=shift))


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
    skipped = [o for o in run_case(backend, CONV) if o.skipped]
    assert {o.operator for o in skipped} == {
        "conv_backward_data",
        "conv_backward_data flipped",
        "adjoints",
    }
    assert all(o.finding is None and o.skipped == "no such thing here" for o in skipped)


def test_recorder_counts_terms_and_flops():
    shape = CONV_SHAPES["edges"]["groups"]
    tensors = shape.random_tensors("float32", seed=0)
    recorder = Recorder(reference)
    recorder.conv(tensors.x, tensors.w, tensors.bias, **shape.keywords())
    recorder.conv_backward_data(
        tensors.dy, tensors.w, input_shape=shape.x_shape, **shape.keywords()
    )
    recorder.conv_backward_weights(
        tensors.x, tensors.dy, weight_shape=shape.w_shape, **shape.keywords()
    )
    forward, data, weights = recorder.log
    assert terms_of(forward) == (shape.terms("forward") + 1,)
    assert terms_of(data) == (shape.terms("backward_data"),)
    assert terms_of(weights) == (shape.terms("backward_weights"),)
    assert forward.flops() == data.flops() == weights.flops() == shape.flops
    assert check_bound(forward).passed


def test_grid_holds_every_operator_shape_and_dtype():
    cases = list_cases("edges", ("a", "b"))
    for shapes in (CONV_SHAPES["edges"], TRANSPOSE_SHAPES["edges"], POOL_SHAPES["edges"]):
        for name, shape in shapes.items():
            held = {case.dtype for case in cases if case.name == name and case.shape == shape}
            assert held == {"float32", "float64"}
    assert len(OPERATORS) == 22
    assert set(NAMES) <= set(reference.__all__)
