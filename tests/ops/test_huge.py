"""Index arithmetic near 2**31: huge strides, paddings and dilations over little memory.

The reference stores the padding, so the definition is summed here tap by tap.
"""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from support.grid import ALGORITHMS

import clconv

G = 2**30
# size, taps, stride, (low, high), dilation of one axis; the padded image has just under 2**31
# pixels, and windows whose taps meet the image are far apart.
AXES = {
    "padding": (5, 3, G // 2, (G, G - 7), 2),
    "stride": (7, 2, 2**31 - 20, (3, 2**31 - 12), 4),
    "dilation": (6, 3, 1, (G - 1, G - 6), G - 2),
    "dilation and stride": (9, 4, 2 * G - 2**28, (2**27, 2**31 - 2**27 - 10), 2**27),
}


def windows(axis):
    """Yield (window, tap, pixel) wherever a tap lies on a pixel."""
    size, taps, stride, (low, high), dilation = axis
    count = (size + low + high - dilation * (taps - 1) - 1) // stride + 1
    for p, t in itertools.product(range(count), range(taps)):
        pixel = p * stride + t * dilation - low
        if 0 <= pixel < size:
            yield p, t, pixel


def count_of(axis):
    size, taps, stride, (low, high), dilation = axis
    return (size + low + high - dilation * (taps - 1) - 1) // stride + 1


def keywords(axis):
    return {"stride": axis[2], "padding": [axis[3]], "dilation": axis[4]}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
def test_convolution(device, axis, algorithm):
    rng = np.random.default_rng(0)
    (size, taps), count = axis[:2], count_of(axis)
    assert count < 100
    assert size + sum(axis[3]) > 2**31 - 100
    x, w, dy = (
        rng.integers(1, 5, shape).astype(np.float32)
        for shape in ((2, 1, size), (3, 1, taps), (2, 3, count))
    )
    y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(w)
    for p, t, pixel in windows(axis):
        y[:, :, p] += x[:, :, pixel] * w[:, 0, t]
        dx[:, 0, pixel] += dy[:, :, p] @ w[:, 0, t]
        dw[:, 0, t] += (dy[:, :, p] * x[:, :, pixel]).sum(axis=0)
    assert y.any()
    options = keywords(axis) | {"algorithm": algorithm, "device": device}
    # Vectors would go on past the end, but for a single window, of which no stride is asked.
    if algorithm == "depthwise" and (count > 1 or axis[4] > G // 2):
        with pytest.raises(
            clconv.UnsupportedError, match=r"depthwise reads up to pixel .* 2\*\*31"
        ):
            clconv.conv(x, w, **options)
        return
    shapes = {"input_shape": x.shape}, {"weight_shape": w.shape}
    for call, expected in (
        (lambda: clconv.conv(x, w, **options), y),
        (lambda: clconv.conv_backward_data(dy, w, **shapes[0], **options), dx),
        (lambda: clconv.conv_backward_weights(x, dy, **shapes[1], **options), dw),
    ):
        try:
            np.testing.assert_array_equal(call(), expected)
        except clconv.UnsupportedError as error:
            refusal = str(error)
        else:
            continue
        assert algorithm == "implicit_gemm"
        assert re.search("no room in local memory|long loops|at most 64 phases|pass 2", refusal)


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
def test_unfolding_and_pooling(device, axis):
    rng = np.random.default_rng(1)
    (size, taps), count = axis[:2], count_of(axis)
    x = rng.integers(1, 5, (1, 1, size)).astype(np.float32)
    cols = np.zeros((1, taps, count), np.float32)
    for p, t, pixel in windows(axis):
        cols[0, t, p] = x[0, 0, pixel]
    options = keywords(axis) | {"device": device}
    np.testing.assert_array_equal(clconv.im2col(x, taps, **options), cols)
    image = np.zeros_like(x)
    for p, t, pixel in windows(axis):
        image[0, 0, pixel] += cols[0, t, p]
    np.testing.assert_array_equal(clconv.col2im(cols, (size,), taps, **options), image)
    options["semantics"] = "onnx"
    largest = np.full((1, 1, count), -np.inf, np.float32)
    for p, _, pixel in windows(axis):
        largest[0, 0, p] = max(largest[0, 0, p], x[0, 0, pixel])
    np.testing.assert_array_equal(clconv.max_pool(x, taps, **options), largest)
    sums = clconv.avg_pool(x, taps, divisor_override=1, **options)
    np.testing.assert_array_equal(sums[0, 0], cols[0].sum(axis=0))


def test_three_axes_at_once(device):
    """A volume of 2**31 - small pixels, of which three are there."""
    size, padding = (1, 1, 3), ((0, 1289), (646, 644), (640, 645))
    x = np.array([1, 2, 4], np.float32).reshape(1, 1, *size)
    assert 2**31 - 10**7 < np.prod([n + sum(p) for n, p in zip(size, padding, strict=True)]) < 2**31
    w = np.arange(1, 9, dtype=np.float32).reshape(1, 1, 2, 2, 2)
    stride = (1290, 646, 640)
    y = clconv.conv(x, w, stride=stride, padding=padding, device=device)
    # One window alone has its low corner on pixel 0: taps (0, 0, 0) and (0, 0, 1).
    expected = np.zeros(y.shape, np.float32)
    expected[0, 0, 0, 1, 1] = 1 * 1 + 2 * 2
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, w: clconv.conv(x, w, padding=G),
        lambda x, w: clconv.conv(x, w, padding=[(0, 2**31 - 5)]),
        lambda x, w: clconv.im2col(x, 2, padding=G, stride=G),
        lambda x, w: clconv.conv_transpose(x, w, stride=2**31),
        lambda x, w: clconv.conv_general(x, w, input_dilation=G),
        lambda x, w: clconv.conv_general(x, w, padding=[(2**31, -(2**31))]),
        lambda x, w: clconv.adaptive_avg_pool(x, 2**31),
        lambda x, w: clconv.max_unpool(x, np.zeros(x.shape, int), output_size=(2**31,)),
    ],
)
def test_what_cannot_be_indexed_is_refused(device, call):
    x, w = np.ones((1, 1, 5), np.float32), np.ones((1, 1, 2), np.float32)
    with pytest.raises(clconv.UnsupportedError, match=r"2\*\*31"):
        call(x, w)


def test_windows_that_overhang_too_far_are_refused(device):
    x = np.ones((1, 1, 2**20), np.float32)
    window = {"stride": 2**20 - 1, "dilation": 2**31 - 3, "padding": [(0, 2**31 - 1 - 2**20)]}
    with pytest.raises(clconv.UnsupportedError, match=r"last windows end \(2148532221,\) pixels"):
        clconv.max_pool(x, 2, ceil_mode=True, semantics="onnx", device=device, **window)
    y = clconv.max_pool(x, 2, semantics="onnx", device=device, **window)
    np.testing.assert_array_equal(y, [[[1]]])


def test_arrays_that_are_too_long_are_refused_before_they_are_read(device):
    """Broadcast arrays: 2**31 elements in four bytes."""
    x = np.broadcast_to(np.float32(1), (2**11, 2**10, 2**10))
    w = np.broadcast_to(np.float32(1), (2**21, 2**10, 1))
    with pytest.raises(clconv.UnsupportedError, match=r"x \(2048, 1024, 1024\) has 2147483648"):
        clconv.max_pool(x, 1)
    with pytest.raises(clconv.UnsupportedError, match=r"w \(2097152, 1024, 1\) has 2147483648"):
        clconv.conv(x[:1], w)
    with pytest.raises(clconv.UnsupportedError, match=r"x \(2048, 1024, 1024\) has 2147483648"):
        clconv.conv_general(x, w[:1], padding=[(0, -1000)], dimension_numbers="NCW,OIW->NCW")
