"""clconv/spec/pieces.py and tiles.py: pieces cover the results, and see what they need."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from clconv.spec.parse import parse
from clconv.spec.pieces import cut_axes, is_contiguous, pieces, samples
from clconv.spec.tiles import Axis, tile_of_pixels, tile_of_windows

STRINGS = (
    "conv_fwd:f32:n4c4o6g2:i9x8:k3x2:s2x1:p1.2x2.0:d1x2:bias",
    "conv_fwd:f32:n2c3o4g1:i6x7:k3x2:s1x2:p1.-1x0.2:d1:lhs1x3:NHWC,HWIO->NCHW",
    "conv_fwd:f32:n4c3o4g1:i6x7:k3x2:s1:p1.1:d1:bg2",
    "conv_fwd:u8.i8:n2c4o6g2:i9x8:k3x2:s2x1:p1.2x2.0:d1:xzero:wzero",
    "conv_fwd:f32:n2c4o6g2:i9x8:k3x2:s2x1:p1.2x2.0:d1x2:reflect",
    "conv_bwd_data:f32:n2c4o6g2:i4x3x5:k2x3x2:s2x1x1:p0.1x1.0x1.2:d1:lhs2x1x2",
    "conv_bwd_data:f32:n1c2o3g1:i11:k2:s5:p3.1:d2:bias",
    "conv_bwd_weights:f32:n3c4o3g1:i5x4:k3x2:s1:p1.0:d1",
    "qlinear_conv:u8.i8:n2c4o6g2:i9x8:k3x2:s2x1:p1.2x2.0:d1:xzero:wzero:bias:tou8",
    "deform_conv_fwd:f32:n3c4o6g1:i9x8:k3x2:s1x2:p1.0x0.1:d1:bias:og2:mask",
    "deform_conv_bwd_data:f32:n3c4o6g2:i9x8:k3x2:s1x2:p1.0x0.1:d1:og2:mask",
    "avg_pool:f32:n2c3:i7x9:k3x2:s2:p1.1x1.0:d1:ceil:NHWC",
    "avg_pool_backward:f32:n2c3:i7x9:k3x2:s2:p1.1x1.0:d1:ceil",
    "lp_pool:f32:n2c3:i9x8:k3x2:s2x1:p1.0x0.1:d1:norm2.0",
    "max_pool:f32:n2c3:i7x9:k3x2:s2:p1.1x1.0:d1:CHWN",
    "max_unpool:f32:n2c3:i7x9:o3x4",
    "adaptive_avg_pool:f32:n2c3:i7x9:o3x4:NHWC",
    "im2col:f32:n2c3:i7x9:k3x2:s2:p1.1:d1x2:NHWC",
    "col2im:f32:n2c3:i7x9:k3x2:s2:p1.1:d1x2",
    "conv_bwd_bias:f32:n3o4:i5x7:NHWC",
)


@pytest.mark.parametrize("text", STRINGS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_results_are_covered_once_and_shapes_fit(text, size):
    problem = parse(text)
    axes = cut_axes(problem)
    tensors = {**problem.operands, **problem.results}
    for names in ([*axes], *([name] for name in axes)):
        sizes = {name: min(size, axes[name]) for name in names}
        written = {name: np.zeros(t.shape, int) for name, t in problem.results.items()}
        for part, places in pieces(problem, sizes):
            for name, tensor in {**part.operands, **part.results}.items():
                view = np.empty(tensors[name].shape, np.int8)[places[name]]
                assert (view.shape, tensors[name].dtype) == (tensor.shape, tensor.dtype), name
                assert is_contiguous(tensors[name].shape, places[name]) == view.flags.c_contiguous
            for name, counts in written.items():
                counts[places[name]] += 1
        assert all((counts == 1).all() for counts in written.values())


def test_what_is_offered():
    def offered(text):
        return list(cut_axes(parse(text)))

    assert offered(STRINGS[0]) == ["batch", "space0", "groups", "space1"]
    assert offered(STRINGS[4]) == ["batch", "groups"]  # a border copies pixels from anywhere
    assert offered(STRINGS[6]) == ["space0", "channels"]
    assert offered(STRINGS[7]) == ["outputs", "channels"]  # a sum over images is not cut
    assert offered(STRINGS[9]) == ["batch", "outputs"]
    assert offered("max_pool:f32:n1c1:i7:k3:s2:p1.1:d1") == []  # indices are of the whole plane
    assert offered("avg_pool_backward:f32:n1c1:i7:k3:s2:p1.1:d1:exclude_pad") == []
    assert offered("avg_pool:f32:n1c1:i7:k2:s1:p3.0:d1") == []  # windows of padding alone


def test_samples_are_of_the_largest():
    problem = parse("conv_fwd:f32:n1c2o3g1:i60x8:k3x3:s1:p1.1:d1")
    largest = max(prod(p.operands["x"].shape) for p, _ in pieces(problem, {"space0": 7}))
    sampled = max(prod(p.operands["x"].shape) for p, _ in samples(problem, {"space0": 7}))
    assert sampled == largest


AXES = [
    Axis(n, spread, extent, stride, low, high, windows)
    for n, spread, extent, stride, low, high in [
        (9, 1, 3, 1, 1, 1),
        (9, 1, 3, 2, 0, 2),
        (9, 1, 2, 5, 4, 3),
        (9, 1, 5, 2, 7, 6),
        (6, 3, 4, 2, 2, 1),
        (6, 2, 3, 1, -2, -1),
        (7, 1, 3, 1, 2, -4),
    ]
    if (windows := ((n - 1) * spread + 1 + low + high - extent) // stride + 1) > 0
]


def spans(axis, pixels, windows, low):
    """Return, for each window, the places of pixels that it spans."""
    return {
        (p, i)
        for p in range(*windows)
        for i in range(*pixels)
        if 0 <= i * axis.spread - (p * axis.stride - low) < axis.extent
    }


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("of", [tile_of_windows, tile_of_pixels])
def test_a_tile_spans_what_the_whole_does(axis, of):
    whole = spans(axis, (0, axis.size), (0, axis.windows), axis.low)
    total = axis.windows if of is tile_of_windows else axis.size
    for first in range(total):
        for end in range(first + 1, total + 1):
            (i0, i1), (p0, p1), (low, high) = of(axis, (first, end))
            mine = {(p, i) for p, i in whole if first <= (p if of is tile_of_windows else i) < end}
            local = spans(axis, (0, i1 - i0), (0, p1 - p0), low)
            found = {(p + p0, i + i0) for p, i in local}
            assert {pair for pair in found if mine >= {pair}} == mine
            assert found <= whole
            room = (i1 - i0 - 1) * axis.spread + 1 + low + high - axis.extent
            assert room // axis.stride + 1 == p1 - p0
            if axis.all_meet_pixels and axis.spread == 1 and axis.low >= 0:
                assert low >= 0
