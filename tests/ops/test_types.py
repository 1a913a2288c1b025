"""Every operator on every element type: stored narrower than computed, complex, integer."""

from __future__ import annotations

from functools import partial

import ml_dtypes
import numpy as np
import pytest
from support.grid import hold

import clconv
from clconv import reference
from clconv.conformance.cases import (
    INTEGERS,
    OTHERS,
    conv_strings,
    is_defined,
    pool_strings,
    transpose_strings,
)
from clconv.reference.shapes import CONV_SHAPES, POOL_SHAPES, TRANSPOSE_SHAPES

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
INTEGER = ("int8", "uint8", "int16", "uint16", "int32", "int64")
SHAPES = [
    strings
    for table, strings in (
        (CONV_SHAPES, conv_strings),
        (TRANSPOSE_SHAPES, transpose_strings),
        (POOL_SHAPES, pool_strings),
    )
    for strings in [partial(strings, shape) for shape in list(table["quick"].values())[::3]]
]


@pytest.mark.parametrize("algorithm", ["auto", "direct"])
@pytest.mark.parametrize("code", ["f16", "bf16", "c64", "c128"])
@pytest.mark.parametrize("strings_of", SHAPES, ids=lambda of: str(of.args[0]))
def test_bits_bounds_and_adjoints(device, strings_of, code, algorithm):
    strings = [text for text in strings_of(code) if is_defined(text)]
    hold(device, strings, algorithm)


@pytest.mark.parametrize("code", ["f16", "bf16", "c64", "c128"])
@pytest.mark.parametrize("text", OTHERS)
def test_the_other_operators(device, text, code):
    """Deformable, norms, adaptive, unpooling, padding modes, layouts, activations."""
    if is_defined(text.format(t=code)):
        hold(device, [text.format(t=code)])


@pytest.mark.parametrize("text", INTEGERS)
def test_integers(device, text):
    hold(device, [text])


def integers(rng, shape, dtype):
    """Return numbers over the whole range of a type."""
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("numbers", [None, "NHWC,HWIO->NHWC"])
@pytest.mark.parametrize("algorithm", ["direct", "im2col_gemm", "depthwise"])
@pytest.mark.parametrize("dtype", INTEGER)
def test_integer_convolution_is_exact(device, dtype, algorithm, numbers):
    """Sums wrap around as two's complement does: modulo 2^32 or 2^64."""
    rng = np.random.default_rng(0)
    groups = 4 if algorithm == "depthwise" else 2
    x, w = integers(rng, (2, 4, 6, 5), dtype), integers(rng, (8, 4 // groups, 3, 2), dtype)
    if numbers:
        x, w = x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0)
    accumulator = "int64" if dtype == "int64" else "int32"
    options = {"stride": (2, 1), "padding": 1, "groups": groups, "dimension_numbers": numbers}
    bias = integers(rng, 8, accumulator)
    run = {"algorithm": algorithm, "device": device}

    def check(function, *arguments, **shapes):
        actual = getattr(clconv, function)(*arguments, **shapes, **options, **run)
        expected = getattr(reference, function)(*arguments, **shapes, **options)
        assert actual.dtype == accumulator
        np.testing.assert_array_equal(actual, expected.astype(accumulator))
        return actual

    y = check("conv", x, w, bias)
    check("conv_backward_data", y, w, input_shape=x.shape)
    check("conv_backward_weights", x, y, weight_shape=w.shape)


@pytest.mark.parametrize("layout", [None, "NHWC"])
@pytest.mark.parametrize("dtype", INTEGER)
def test_integers_are_selected_and_copied_as_they_are(device, dtype, layout):
    rng = np.random.default_rng(1)
    x = integers(rng, (2, 3, 6, 7), dtype)
    options = {"layout": layout}
    both = {"return_indices": True, "padding": 1} | options
    y, indices = clconv.max_pool(x, 2, device=device, **both)
    expected, where = reference.max_pool(x, 2, **both)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, where)
    dx = clconv.max_pool_backward(y, indices, input_shape=x.shape, device=device, **options)
    gradient = reference.max_pool_backward(y, indices, input_shape=x.shape, **options)
    np.testing.assert_array_equal(dx, gradient.astype(dx.dtype))
    cols = clconv.im2col(x, 3, padding=1, device=device, **options)
    assert cols.dtype == dtype
    np.testing.assert_array_equal(cols, reference.im2col(x, 3, padding=1, **options))


@pytest.mark.parametrize("dtype", INTEGER)
def test_windows_without_pixels_give_the_least_integer(device, dtype):
    x = np.zeros((1, 1, 2), dtype)
    y = clconv.max_pool(x, 1, stride=1, padding=2, semantics="onnx", device=device)
    np.testing.assert_array_equal(y[0, 0, [0, 1, 4, 5]], np.iinfo(dtype).min)
    np.testing.assert_array_equal(y[0, 0, 2:4], 0)


@pytest.mark.parametrize("dtype", ["float16", BFLOAT16], ids=str)
def test_every_number_survives_storage(device, dtype):
    """All 65536 bit patterns through a convolution with 1: subnormals, infinities, NaN."""
    x = np.arange(2**16, dtype=np.uint16).view(dtype).reshape(1, 1, -1)
    y = clconv.conv(x, np.ones((1, 1, 1), dtype), device=device)
    with np.errstate(invalid="ignore"):  # signalling NaN
        is_nan = np.isnan(x)
    np.testing.assert_array_equal(np.isnan(y), is_nan)
    signless = x.view(np.uint16) & 0x7FFF  # 0 times -0: the sign of a sum of zeros is not promised
    kept = ~is_nan & ((signless != 0) | (x.view(np.uint16) == 0))
    np.testing.assert_array_equal(y.view(np.uint16)[kept], x.view(np.uint16)[kept])


@pytest.mark.parametrize("dtype", ["float16", BFLOAT16], ids=str)
def test_results_are_rounded_to_nearest_even(device, dtype):
    """x + x*2^-k for all x: ties and near ties, rounded as numpy rounds the exact sum."""
    x = np.arange(1, 2**15, 7, dtype=np.uint16).view(dtype)
    with np.errstate(invalid="ignore"):
        x = x[np.isfinite(x)]
    for k in (5, 8, 9, 11, 12):
        w = np.array([1, 2.0**-k]).astype(dtype)
        pair = np.stack([x, x])[None]
        y = clconv.conv(pair, w.reshape(1, 2, 1), device=device)
        exact = x.astype(np.float64) * (1 + 2.0**-k)
        tiny = abs(exact) < 2.0**-100  # where float32 itself loses bits
        with np.errstate(over="ignore"):
            expected = exact.astype(np.float32).astype(dtype)
        np.testing.assert_array_equal(y[0, 0][~tiny], expected[~tiny])


def test_mixtures_are_refused(device):
    x, w = np.ones((1, 1, 3), np.float16), np.ones((1, 1, 1), np.float32)
    with pytest.raises(TypeError, match="dtypes differ: x has float16, w has float32"):
        clconv.conv(x, w, device=device)
    with pytest.raises(TypeError, match="x has dtype bool"):
        clconv.conv(x.astype(bool), w, device=device)
    with pytest.raises(TypeError, match=r"activation 'relu' takes .*, not int32"):
        clconv.conv(x.astype(np.int32), w.astype(np.int32), activation="relu", device=device)
    with pytest.raises(TypeError, match="x has dtype complex64; float32"):
        clconv.max_pool(x.astype(np.complex64), 1, device=device)
    with pytest.raises(TypeError, match="x has dtype int8; float32"):
        clconv.avg_pool(x.astype(np.int8), 1, device=device)
    with pytest.raises(ValueError, match="beta must be a whole number for integers"):
        clconv.conv(*(a.astype(int) for a in (x, w)), out=x.astype(int), beta=0.5, device=device)
