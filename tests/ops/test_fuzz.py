"""Random arguments, fitting or not: clconv and the reference agree on both."""

from __future__ import annotations

from functools import partial

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clconv
from clconv import reference

QUICKLY = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,  # the same cases everywhere
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def conv_cases(draw):
    """Return x, w, and options that fit each other more often than not."""
    rank = draw(st.integers(1, 3))
    groups = draw(st.integers(0, 3))
    channels = draw(st.integers(1, 3)) * max(groups, 1)
    outputs = draw(st.integers(1, 3)) * max(groups, 1)
    per_group = channels // max(groups, 1) + draw(st.sampled_from([0] * 9 + [1]))
    sizes = st.integers(1, 7 if rank < 3 else 4)
    x_shape = (draw(st.integers(0, 2)), channels, *(draw(sizes) for _ in range(rank)))
    w_shape = (outputs, per_group, *(draw(st.integers(1, 4)) for _ in range(rank)))
    one_or_each = st.one_of(st.integers(0, 3), st.tuples(*[st.integers(1, 3)] * rank))
    pads = st.integers(-1, 3)
    padding = st.one_of(
        pads,
        st.tuples(*[pads] * rank),
        st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * rank),
        st.sampled_from(["same", "valid", "full"]),
    )
    options = {
        "groups": groups,
        "stride": draw(one_or_each),
        "dilation": draw(one_or_each),
        "padding": draw(padding),
        "flip": draw(st.booleans()),
    }
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x, w = (rng.integers(-8, 9, shape).astype(np.float32) for shape in (x_shape, w_shape))
    return x, w, options


def both(ours, theirs):
    """Return the two results, or None for each that is a ValueError."""
    results = []
    for call in (ours, theirs):
        try:
            results.append(call())
        except ValueError:
            results.append(None)
    return results


@QUICKLY
@given(case=conv_cases())
def test_conv_and_its_adjoints(device, case):
    x, w, options = case
    direct = {"algorithm": "direct", "device": device}  # generic: nothing is built anew
    y, expected = both(
        lambda: clconv.conv(x, w, **options, **direct), lambda: reference.conv(x, w, **options)
    )
    assert (y is None) == (expected is None), (x.shape, w.shape, options)
    if y is None:
        return
    np.testing.assert_array_equal(y, expected)
    dx = clconv.conv_backward_data(y, w, input_shape=x.shape, **options, **direct)
    dw = clconv.conv_backward_weights(x, y, weight_shape=w.shape, **options, **direct)
    for actual, adjoint, arguments in (
        (dx, partial(reference.conv_backward_data, input_shape=x.shape, **options), (y, w)),
        (dw, partial(reference.conv_backward_weights, weight_shape=w.shape, **options), (x, y)),
    ):
        # y is not small: its products need not sum up exactly.
        if adjoint(*map(abs, arguments)).max(initial=0) <= 2**24:
            np.testing.assert_array_equal(actual, adjoint(*arguments))
