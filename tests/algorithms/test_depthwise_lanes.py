"""clconv/algorithms/depthwise_lanes.py: planes in lanes, and how rows are cut does not show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plans import hold_whole_numbers, of, random_operands, solve, whole_numbers

import clconv
from clconv.algorithms import depthwise_lanes
from clconv.algorithms.depthwise_lanes import BLOCK, Lanes
from clconv.algorithms.registry import select
from clconv.spec.parse import parse

TEXTS = (
    "conv_fwd:f32:n3c19o19g19:i7x7:k7x7:s1:p3.3:d1:bias:gelu",
    "conv_fwd:f32:n2c32o32g32:i45x23:k5x3:s2x3:p3.1:d1x2:flip:beta0.5",
    "conv_fwd:f32:n9c17o17g17:i14x13:k3x3:s2:p1.1:d1:bias",
    "conv_fwd:f32:n2c18o18g18:i37:k5:s1:p2.2:d3:bias:relu",
    "conv_fwd:f32:n1c16o16g16:i9x2:k3x1:s1:p4.0x0.3:d1",
    "conv_fwd:f64:n2c17o17g17:i11x9:k2x3:s1x2:p0.1x1.0:d2x1",
    "conv_bwd_data:f32:n3c19o19g19:i7x7:k7x7:s1:p3.3:d1:bias",
    "conv_bwd_data:f32:n2c32o32g32:i45x23:k5x3:s2x3:p3.1:d1x2:flip",
    "conv_bwd_data:f32:n1c17o17g17:i9x12:k2x2:s2x3:p5.5:d1",  # more padding than taps
    "conv_bwd_data:f32:n9c18o18g18:i37:k5:s2:p2.2:d3",
    "conv_bwd_weights:f32:n3c19o19g19:i7x7:k7x7:s1:p3.3:d1:flip",
    "conv_bwd_weights:f32:n2c32o32g32:i45x23:k4x3:s2x3:p3.1:d1x2",
    "conv_bwd_weights:f32:n9c3o3g3:i14x13:k3x3:s2:p1.1:d1",
    "conv_bwd_weights:f32:n2c16o16g16:i9x8:k9x7:s1:p0.0:d1",  # two windows: no block
)
SOURCE = "depthwise/lanes.cl"


@pytest.fixture(autouse=True)
def served(device):
    """These kernels are a CPU's."""
    if not Lanes(parse(TEXTS[0]), device).serves:
        pytest.skip(f"{device} has a GPU's kernels, ends loops, or has vectors of another width")


def sources(problem, device):
    return {launch.source for launch in select(problem, device, "depthwise").launches}


def test_plans_are_made_of_it(device):
    """But of what does not fill vectors, or has no room."""
    for problem in of(device, TEXTS):
        if problem.dtype == "f32" or device.simd_width_f64 in depthwise_lanes.WIDTHS:
            assert sources(problem, device) == {SOURCE}
    few = TEXTS[0].replace("c19o19g19", "c7o7g7")
    wide = TEXTS[0].replace("i7x7", "i7x9000")
    volume = TEXTS[0].replace("i7x7:k7x7", "i7x7x7:k7x7x7").replace("p3.3", "p3.3x3.3x3.3")
    outside = "conv_fwd:f32:n1c16o16g16:i9x1:k3x1:s4:p4.0x0.0:d1"  # seven pixels are seen
    large = "conv_bwd_weights:f32:n1c16o16g16:i131x129:k3x3:s1:p1.1:d1"
    for text in (few, wide, volume, outside, large, TEXTS[0].replace("o19", "o38")):
        assert SOURCE not in sources(parse(text), device)
    for changes in ({"max_vector_width": 8}, {"simd_width_f32": 4}, {"local_memory_bytes": 2**15}):
        assert SOURCE not in sources(parse(TEXTS[0]), dataclasses.replace(device, **changes))


@pytest.mark.parametrize("room_bytes", [2**16, 12000])
def test_whole_numbers_are_exact(device, monkeypatch, room_bytes):
    monkeypatch.setattr(depthwise_lanes, "STAGED_BYTES", room_bytes)
    hold_whole_numbers(device, of(device, TEXTS), "depthwise")


def test_how_rows_and_batches_are_cut_does_not_show(device, monkeypatch):
    problems = of(device, TEXTS)
    whole = [solve(device, p, "depthwise", random_operands(p)) for p in problems]
    monkeypatch.setattr(depthwise_lanes, "STAGED_BYTES", 16000)
    many = dataclasses.replace(device, compute_units=64)
    cut = 0
    for problem, expected in zip(problems, whole, strict=True):
        launch = select(problem, many, "depthwise").launches[0]
        cut += launch.source == SOURCE and min(launch.global_size[1:]) > 1
        if problem.direction == "backward_weights":
            continue  # summed by strips
        result = solve(many, problem, "depthwise", random_operands(problem))
        np.testing.assert_array_equal(result, expected, err_msg=str(problem))
    assert cut >= 2


@pytest.mark.parametrize("direction", ["fwd", "bwd_data", "bwd_weights"])
def test_pieces_of_few_channels_have_the_same_bits(device, direction):
    problem = parse(f"conv_{direction}:f32:n2c32o32g32:i45x43:k3x3:s2x1:p1.1:d1")
    operands = random_operands(problem)
    whole = solve(device, problem, "depthwise", operands)
    x, w, dy = (operands.get(name) for name in ("x", "w", "dy"))
    options = {"stride": (2, 1), "padding": 1, "groups": 32, "device": device}
    with clconv.limits(allocation=40000):
        if direction == "fwd":
            pieces = clconv.conv(x, w, **options)
        elif direction == "bwd_data":
            pieces = clconv.conv_backward_data(dy, w, input_shape=problem.x_shape, **options)
        else:
            pieces = clconv.conv_backward_weights(x, dy, weight_shape=problem.w_shape, **options)
    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("width", [8, 16])
def test_vectors_of_either_width(device, width):
    other = dataclasses.replace(device, simd_width_f32=width)
    for problem in of(device, TEXTS):
        if "gelu" in str(problem):
            continue  # of other vectors, another last bit of erfc
        operands = random_operands(problem)
        results = [solve(on, problem, "depthwise", operands) for on in (other, device)]
        np.testing.assert_array_equal(*results, err_msg=str(problem))


@pytest.mark.parametrize("special", [np.inf, np.nan], ids=str)
@pytest.mark.parametrize("name", ["w", "x", "dy"])
def test_infinities_meet_what_the_definition_says(device, special, name):
    for index, problem in enumerate(of(device, TEXTS)):
        if name not in problem.operands or "gelu" in str(problem):
            continue
        operands = whole_numbers(problem, index)
        rng = np.random.default_rng(index)
        operands[name].flat[rng.integers(operands[name].size)] = special
        expected = solve(device, problem, "direct", operands)
        result = solve(device, problem, "depthwise", operands)
        np.testing.assert_array_equal(result, expected, err_msg=str(problem))


SIZES = st.integers(1, 60)


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from(["fwd", "bwd_data", "bwd_weights"]),
    *(SIZES, SIZES, *(st.integers(1, 5) for _ in range(6)), st.integers(0, 9), st.integers(0, 9)),
)
def test_boxes_have_room(device, direction, h, w, kh, kw, sh, sw, dh, dw, low_h, low_w):
    geometry = f"i{h}x{w}:k{kh}x{kw}:s{sh}x{sw}:p{low_h}.9x{low_w}.9:d{dh}x{dw}"
    if dh * (kh - 1) >= h + low_h + 9 or dw * (kw - 1) >= w + low_w + 9:
        return
    lanes = Lanes(parse(f"conv_{direction}:f32:n2c16o16g16:{geometry}"), device)
    if not lanes.serves:
        return
    launch = lanes.launch()
    first = 6 if direction == "bwd_weights" else 9
    rows, columns, taken = launch.arguments[first : first + 3]
    _, in_h, in_w, _, out_h, out_w, _, pad_h, _ = launch.arguments[-9:]
    names = ("SH", "SW", "DH", "DW", "UP_H")
    step_h, step_w, apart_h, apart_w, up = (launch.macros[name] for name in names)
    # As the kernel lays it out: the box, a pixel behind it, filters, results and a block.
    used = (rows * columns + 1 + kh * kw + taken * out_w + BLOCK) * lanes.width
    assert used <= launch.macros["STAGED"]
    assert rows >= (taken - 1) * step_h + apart_h * (kh - 1) + 1
    assert columns >= (out_w - 1) * step_w + apart_w * (kw - 1) + 1
    for strip in range(-(-out_h // taken)):
        above = strip * taken * step_h - pad_h
        begin, end = (min(-(-max(at, 0) // up), in_h) for at in (above, above + rows))
        assert (end - begin) * in_w <= launch.macros["PIXELS"]
        assert end <= begin or (end - begin) * in_w >= BLOCK
