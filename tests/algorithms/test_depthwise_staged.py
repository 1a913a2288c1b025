"""clconv/algorithms/depthwise_staged.py: boxes have room, and how they are cut does not show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plans import hold_whole_numbers, of, random_operands, solve, whole_numbers

from clconv.algorithms import depthwise_staged
from clconv.algorithms.axes import Axis, forward_axes
from clconv.algorithms.depthwise_staged import Staged
from clconv.algorithms.registry import select
from clconv.spec.parse import parse

TEXTS = (
    "conv_fwd:f32:n2c3o6g3:i23x45:k3x3:s1:p1.1:d1:bias:gelu",
    "conv_fwd:f32:n2c2o2g2:i45x23:k7x5:s2x3:p3.3:d1x2:flip:beta0.5",
    "conv_fwd:f64:n1c2o4g2:i7x9x21:k3x1x2:s1x2x2:p1.0x0.0x2.1:d2x1x1",
    "conv_bwd_data:f32:n2c3o6g3:i23x45:k3x3:s1:p1.1:d1",
    "conv_bwd_data:f32:n2c2o2g2:i45x23:k7x5:s2x3:p3.3:d1x2:flip",
    "conv_bwd_data:f32:n1c2o2g2:i700:k1:s3:p0.0:d1",
    "conv_bwd_weights:f32:n2c3o6g3:i23x45:k3x3:s1:p1.1:d1:flip",
    "conv_bwd_weights:f32:n2c2o4g2:i45x23:k7x5:s2x3:p3.3:d1x2",
)


@pytest.fixture(autouse=True)
def served(device):
    """These kernels are a CPU's."""
    if not Staged(parse(TEXTS[0]), device).serves:
        pytest.skip(f"{device} has a GPU's kernels, ends loops, or has little local memory")


def test_drivers_of_narrow_vectors_are_spared(device):
    narrow = dataclasses.replace(device, max_vector_width=4)
    plan = select(parse(TEXTS[0]), narrow, "depthwise")
    assert {launch.source for launch in plan.launches} == {"depthwise/depthwise.cl"}


def test_plans_are_made_of_it(device):
    for problem in of(device, TEXTS):
        plan = select(problem, device, "depthwise")
        assert {launch.source for launch in plan.launches} == {"depthwise/staged.cl"}


@pytest.mark.parametrize("room_bytes", [24 * 1024, 3 * 1024])
def test_whole_numbers_are_exact(device, monkeypatch, room_bytes):
    monkeypatch.setattr(depthwise_staged, "STAGED_BYTES", room_bytes)
    hold_whole_numbers(device, of(device, TEXTS), "depthwise")


def test_how_a_box_is_cut_does_not_show(device, monkeypatch):
    """But in a gradient of weights, whose lanes' sums are cut with the rows."""
    problems = [problem for problem in of(device, TEXTS) if problem.direction[-1] != "s"]
    whole = [solve(device, p, "depthwise", random_operands(p)) for p in problems]
    monkeypatch.setattr(depthwise_staged, "STAGED_BYTES", 3 * 1024)
    for problem, expected in zip(problems, whole, strict=True):
        result = solve(device, problem, "depthwise", random_operands(problem))
        np.testing.assert_array_equal(result, expected, err_msg=str(problem))


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan], ids=str)
@pytest.mark.parametrize("name", ["w", "x", "dy"])
def test_infinities_meet_what_the_definition_says(device, special, name):
    for index, problem in enumerate(of(device, TEXTS)):
        if name not in problem.operands or "gelu" in str(problem):
            continue
        operands = whole_numbers(problem, index)
        rng = np.random.default_rng(index)
        operands[name].flat[rng.integers(operands[name].size)] = special
        expected = solve(device, problem, "direct", operands)
        assert not np.isfinite(expected).all()
        result = solve(device, problem, "depthwise", operands)
        np.testing.assert_array_equal(result, expected, err_msg=str(problem))


AXES = st.builds(
    lambda windows, stride, dilation, taps: Axis(0, windows, stride, dilation, 0, taps),
    *(st.integers(1, 3000), st.integers(1, 5), st.integers(1, 99), st.integers(0, 9)),
)


@settings(deadline=None, max_examples=200)
@given(st.tuples(AXES, AXES, AXES), st.integers(0, 5))
def test_boxes_have_room(device, axes, summed):
    staged = Staged(parse(TEXTS[0]), device)
    box = staged.box(axes, summed)
    if box is None:
        vector = min(staged.width, axes[2].windows)
        assert staged.staged(axes, summed, 1, vector) > staged.room
        return
    rows, columns = box
    assert 1 <= rows <= axes[1].windows
    assert 1 <= columns <= axes[2].windows
    assert staged.staged(axes, summed, rows, columns) <= staged.room
    # As the kernel lays it out: rows of a whole block, a vector behind, then the filters.
    size = [1, 1, 1]
    for number, (axis, count) in enumerate(zip(axes, (1, rows, columns), strict=True)):
        apart = axis.stride if axis.taps > 1 else 1
        size[number] = (count - 1) * apart + (max(axis.taps, 1) - 1) * axis.dilation + 1
    apart_h, apart_w = (axis.stride if axis.taps > 1 else 1 for axis in axes[1:])
    below = -rows % staged.block(axes)
    behind = below * apart_h * size[2] + staged.vectors(axes) * staged.width * apart_w
    filters = max(summed, 1) * np.prod([max(axis.taps, 1) for axis in axes])
    assert max(summed, 1) * np.prod(size) + behind + filters <= staged.room


def test_long_rows_are_cut(device):
    problem = parse("conv_fwd:f32:n1c2o2g2:i100000:k3:s1:p1.1:d1")
    rows, columns = Staged(problem, device).box(forward_axes(problem), 1)
    assert rows == 1
    assert 1000 < columns < 10000


@pytest.mark.parametrize("kernel", ["i999:k65:", "i80x80:k33x33:"])
def test_long_filters_are_left_to_the_other_kernels(device, kernel):
    """Their taps would be straight code."""
    problem = parse(f"conv_fwd:f32:n1c2o2g2:{kernel}s1:p0.0:d1")
    (launch,) = select(problem, device, "depthwise").launches
    assert launch.source == "depthwise/depthwise.cl"
