"""clconv/ops/integer.py against reference/integer.py: exact, whatever the types and zero points."""

from __future__ import annotations

import numpy as np
import pytest

import clconv
from clconv import reference

ZERO = np.uint8(0)
TYPES = ("int8", "uint8", "int16", "uint16", "int32", "int64")
QUANTISED = ("int8", "uint8", "int16", "uint16")


def integers(rng, shape, dtype):
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def conv_case(rng, types):
    """Return x, w and options, of any rank and types, over the types' whole ranges."""
    rank, groups = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    x = integers(rng, (2, 2 * groups, *rng.integers(3, 7, rank)), rng.choice(types))
    w = integers(rng, (3 * groups, 2, *rng.integers(1, 4, rank)), rng.choice(types))
    options = {"groups": groups, "stride": int(rng.integers(1, 3)), "dilation": 1}
    return x, w, options | {"padding": int(rng.integers(0, 3))}


def zero_points(rng, w):
    """Return one of x, and one or one for each output of w."""
    of_w = integers(rng, len(w), "int16") if rng.integers(2) else int(rng.integers(-9, 9))
    return int(rng.integers(-200, 200)), of_w


@pytest.mark.parametrize("accumulator", ["int32", "int64"])
@pytest.mark.parametrize("seed", range(4))
def test_conv_integer(device, seed, accumulator):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        x, w, options = conv_case(rng, TYPES)
        x_zero, w_zero = zero_points(rng, w)
        options |= {"x_zero_point": x_zero, "w_zero_point": w_zero, "accumulator": accumulator}
        run = {"algorithm": "direct", "device": device}
        y = clconv.conv_integer(x, w, **options, **run)
        assert y.dtype == accumulator
        np.testing.assert_array_equal(y, reference.conv_integer(x, w, **options))


def scale(rng):
    """Return a factor: a power of two (ties), or anything, of any size."""
    size = 2.0 ** rng.integers(-40, 10)
    return float(size if rng.integers(2) else size * rng.uniform(0.5, 1))


@pytest.mark.parametrize("seed", range(4))
def test_qlinear_conv(device, seed):
    rng = np.random.default_rng(10 + seed)
    for _ in range(20):
        x, w, options = conv_case(rng, QUANTISED)
        x_zero, w_zero = zero_points(rng, w)
        w_scale = scale(rng)
        if rng.integers(2):
            w_scale *= rng.uniform(-1, 1, len(w))
        y_zero = integers(rng, (), rng.choice(QUANTISED))
        bias = integers(rng, len(w), "int32") if rng.integers(2) else None
        given = (x, scale(rng), x_zero, w, w_scale, w_zero, scale(rng), y_zero, bias)
        y = clconv.qlinear_conv(*given, **options, algorithm="direct", device=device)
        expected = reference.qlinear_conv(*given, **options)
        assert y.dtype == y_zero.dtype
        np.testing.assert_array_equal(y, expected)


def requantised(device, sums, factor, zero):
    """Return saturate(round(sums*factor) + zero) by clconv and by the reference."""
    x, w = np.int32(sums).reshape(1, 1, -1), np.ones((1, 1, 1), np.int32)
    given = (x, 1.0, 0, w, factor, 0, 1.0, zero)
    return clconv.qlinear_conv(*given, device=device), reference.qlinear_conv(*given)


@pytest.mark.parametrize("dtype", QUANTISED)
def test_rounding_and_saturation_at_the_ends(device, dtype):
    ends = [0, 1, 2**31 - 1, 2**30, -1, -(2**31), 1 - 2**31]
    sums = [*ends, *range(-40, 40), *(2**15 + k for k in range(-3, 3))]
    zero = np.dtype(dtype).type(3)
    for factor in (
        0.0,
        0.5,
        0.25,
        1.0,
        1.5,
        -0.5,
        1 / 3,
        2.0**-31,
        2.0**-33,
        1e-300,
        1e300,
        5e-324,
    ):
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(*requantised(device, sums, factor, zero))


def test_products_are_rounded_to_float64_first(device):
    """sums*factor lies next to a half, which float64 cannot tell apart and wider numbers can."""
    sums = 2**31 - 1
    factor = np.nextafter(0.5 / sums, 1)
    around = [factor]
    for _ in range(4):
        around = [np.nextafter(around[0], 0), *around, np.nextafter(around[-1], 1)]
    for each in around:
        np.testing.assert_array_equal(*requantised(device, [sums, -sums], each, np.int8(0)))


def test_device_arrays(queue):
    import pyopencl.array as cl_array

    rng = np.random.default_rng(5)
    x, w = integers(rng, (2, 3, 6, 5), "uint8"), integers(rng, (4, 3, 3, 3), "int8")
    zeros = {"x_zero_point": 128, "w_zero_point": np.arange(4)}
    on_device = [cl_array.to_device(queue, a) for a in (x, w)]
    y = clconv.conv_integer(*on_device, **zeros)
    np.testing.assert_array_equal(y.get(), reference.conv_integer(x, w, **zeros))
    scales = (0.5, 128), (0.25, 0), (100.0, np.uint8(7))
    y = clconv.qlinear_conv(on_device[0], *scales[0], on_device[1], *scales[1], *scales[2])
    expected = reference.qlinear_conv(x, *scales[0], w, *scales[1], *scales[2])
    np.testing.assert_array_equal(y.get(), expected)


def test_empty_batch(device):
    x, w = np.zeros((0, 2, 5), np.uint8), np.ones((3, 2, 3), np.int8)
    assert clconv.conv_integer(x, w, x_zero_point=3, device=device).shape == (0, 3, 3)
    y = clconv.qlinear_conv(x, 1.0, 3, w, 1.0, 0, 1.0, np.int8(0), device=device)
    assert y.shape == (0, 3, 3)
    assert y.dtype == np.int8


def test_wrong_arguments(device):
    x, w = np.ones((1, 2, 5), np.uint8), np.ones((3, 2, 3), np.int8)

    def integer(**change):
        return clconv.conv_integer(**({"x": x, "w": w, "device": device} | change))

    with pytest.raises(TypeError, match="x has dtype float64; int8, uint8"):
        integer(x=x.astype(float))
    with pytest.raises(ValueError, match="accumulator must be one of int32, int64; got 'int8'"):
        integer(accumulator="int8")
    with pytest.raises(ValueError, match=r"x_zero_point must be one integer, got shape \(2,\)"):
        integer(x_zero_point=[1, 2])
    with pytest.raises(
        ValueError, match=r"w_zero_point must be one number or \(3,\), got .*\(2,\)"
    ):
        integer(w_zero_point=[1, 2])
    with pytest.raises(TypeError, match=r"w_zero_point must be integers, got 0\.5"):
        integer(w_zero_point=0.5)

    def quantised(x_scale=1.0, y_zero_point=ZERO, y_scale=1.0, **options):
        given = (x, x_scale, 0, w, 1.0, 0, y_scale, y_zero_point)
        return clconv.qlinear_conv(*given, **options, device=device)

    with pytest.raises(TypeError, match="y_zero_point must be one numpy integer of int8, uint8"):
        quantised(y_zero_point=0)
    with pytest.raises(ValueError, match="scales must be finite, x_scale and y_scale one number"):
        quantised(y_scale=0.0)
    with pytest.raises(ValueError, match="scales must be finite"):
        quantised(x_scale=np.nan)
    with pytest.raises(ValueError, match=r"bias has shape \(2,\), but filters w"):
        quantised(bias=np.zeros(2, np.int32))
