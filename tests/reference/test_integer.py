"""reference/integer.py: zero points, wrap-around, rounding, saturation."""

import re

import numpy as np
import pytest

from clconv.reference import conv, conv_integer, qlinear_conv
from clconv.reference.shapes import CONV_SHAPES

QUICK = CONV_SHAPES["quick"]


@pytest.mark.parametrize("shape", QUICK.values(), ids=QUICK)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_zero_points_are_taken_away_before(shape, dtype):
    rng = np.random.default_rng(0)
    info = np.iinfo(dtype)
    x, w = (rng.integers(info.min, info.max + 1, s, dtype) for s in (shape.x_shape, shape.w_shape))
    zeros = rng.integers(0, 100, shape.outputs, dtype)
    y = conv_integer(
        x, w, x_zero_point=7, w_zero_point=zeros, accumulator="int64", **shape.keywords()
    )
    shifted = w.astype(int) - zeros.astype(int).reshape(-1, *(1,) * (w.ndim - 1))
    np.testing.assert_array_equal(y, conv(x.astype(int) - 7, shifted, **shape.keywords()))
    assert y.dtype == np.int64


def test_the_padding_contributes_nothing():
    y = conv_integer(np.uint8([[[9]]]), np.uint8([[[1, 1, 1]]]), x_zero_point=8, padding=2)
    assert y.tolist() == [[[1, 1, 1]]]
    assert y.dtype == np.int32


def test_sums_wrap_around():
    x, w = np.full((1, 4, 1), 2**15, np.int32), np.full((1, 4, 1), 2**15, np.int32)
    assert conv_integer(x, w).item() == 0
    assert conv_integer(x[:, :2], w[:, :2]).item() == -(2**31)
    assert conv_integer(x, w, accumulator="int64").item() == 2**32
    x = np.array([[[2**62], [2**62], [-(2**62)], [1]]])
    assert conv_integer(x[:, :2], np.ones((1, 2, 1), int), accumulator="int64").item() == -(2**63)
    assert conv_integer(x, np.ones((1, 4, 1), int), accumulator="int64").item() == 2**62 + 1


def quantised(total, y_scale=1.0, zero=0, dtype=np.int8, **keywords):
    """qlinear_conv of one number, `total` = total * 1."""
    x, w = np.array([[[total]]], np.int16), np.array([[[1]]], np.int8)
    return qlinear_conv(x, 1.0, 0, w, 1.0, 0, y_scale, dtype(zero), **keywords).item()


@pytest.mark.parametrize(
    ("total", "rounded"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2), (6, 3)]
)
def test_a_half_goes_to_even(total, rounded):
    assert quantised(total, y_scale=2.0) == rounded
    assert quantised(total, y_scale=2.0, zero=1) == rounded + 1  # rounded first, then moved


def test_saturation():
    assert quantised(1000) == 127
    assert quantised(-1000) == -128
    assert quantised(-1000, zero=5, dtype=np.uint8) == 0
    assert quantised(300, zero=5, dtype=np.uint8) == 255


def test_a_scale_and_a_bias_for_each_output():
    x = np.array([[[10]]], np.uint8)
    w = np.array([[[1]], [[2]]], np.int8)
    y = qlinear_conv(x, 0.5, 0, w, [1.0, 2.0], [0, 1], 0.25, np.int8(0), [3, -4])
    assert y.ravel().tolist() == [26, 24]
    assert y.dtype == np.int8


REFUSALS = [
    (lambda x, w: conv_integer(x * 1.0, w), "x is of float64: wanted integers"),
    (lambda x, w: conv_integer(x, w, accumulator="int16"), "accumulator='int16' is unknown"),
    (
        lambda x, w: conv_integer(x, w, w_zero_point=[1, 2, 3]),
        "w_zero_point (3,) does not fit: wanted (2,)",
    ),
    (lambda x, w: conv_integer(x, w[:, :1]), "has filters of 1 channels"),
    (
        lambda x, w: qlinear_conv(x, 1.0, 0, w, 1.0, 0, 1.0, 0.0),
        "y_zero_point is of float64: wanted integers",
    ),
    (
        lambda x, w: qlinear_conv(x, 1.0, 0, w, 1.0, 0, 1.0, np.int8(0), [1]),
        "bias (1,) does not fit: wanted (2,)",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSALS)
def test_refuses(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(np.ones((1, 3, 4), int), np.ones((2, 3, 2), int))


def test_empty_batch():
    x, w = np.ones((0, 3, 4), np.int8), np.ones((2, 3, 2), np.int8)
    assert conv_integer(x, w).shape == (0, 2, 3)
    assert qlinear_conv(x, 1.0, 0, w, 1.0, 0, 1.0, np.int8(0)).shape == (0, 2, 3)
