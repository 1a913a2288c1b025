"""Activation, out and beta of clconv/ops/conv.py, for every algorithm, shape of tile and layout."""

from __future__ import annotations

import numpy as np
import pytest
from support.grid import ALGORITHMS

import clconv
from clconv import reference
from clconv.reference.bounds import activation_bound, sum_bound
from clconv.reference.shapes import CONV_SHAPES

SHAPES = [CONV_SHAPES["edges"][name] for name in ("primes", "depthwise_times_3", "3d_anisotropic")]
SERVED = [
    (shape, algorithm)
    for shape in SHAPES
    for algorithm in ALGORITHMS
    if algorithm != "depthwise" or shape.channels == shape.groups
]
SMOOTH = ("leaky_relu", "sigmoid", "tanh", "silu", "gelu")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "algorithm"), SERVED, ids=str)
def test_piecewise_linear_activations_and_beta_are_exact(device, shape, algorithm, dtype):
    if dtype == "float64" and not device.fp64:
        pytest.skip(f"{device} has no float64")
    tensors = shape.integer_tensors(dtype, seed=0)
    for activation, beta in (("relu", 0), ("relu6", 0), (None, 1), (None, -2), ("relu", 0.5)):
        held = 2 * tensors.dy  # halves of it are whole
        options = {"activation": activation, "beta": beta, **shape.keywords()}
        expected = reference.conv(tensors.x, tensors.w, tensors.bias, out=held, **options)
        out = held.copy()
        run = {"algorithm": algorithm, "device": device}
        y = clconv.conv(tensors.x, tensors.w, tensors.bias, out=out, **options, **run)
        assert y is out
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("activation", SMOOTH)
def test_smooth_activations_are_within_their_bound(device, activation):
    for shape, algorithm in SERVED:
        tensors = shape.random_tensors("float32", seed=1)
        arguments = (tensors.x, tensors.w, tensors.bias)
        options = shape.keywords()
        run = {"algorithm": algorithm, "device": device}
        y = clconv.conv(*arguments, activation=activation, **options, **run)
        linear = reference.conv(*arguments, **options)
        magnitude = reference.conv(*map(abs, arguments), **options)
        allowed = sum_bound(magnitude, shape.terms("forward") + 1, np.float32)
        allowed = activation_bound(allowed, linear, activation, np.float32)
        expected = reference.conv(*arguments, activation=activation, **options)
        assert (abs(y - expected) <= allowed).all()


def test_nan_passes_through_activations(device):
    x = np.array([[[np.nan, -1, 7]]], np.float32)
    w = np.ones((1, 1, 1), np.float32)
    for activation in ("relu", "leaky_relu", "relu6", "sigmoid", "tanh", "silu", "gelu"):
        y = clconv.conv(x, w, activation=activation, device=device)
        np.testing.assert_array_equal(np.isnan(y), [[[True, False, False]]])


def test_out_is_not_read_where_beta_is_zero(device):
    x, w = np.ones((1, 1, 20), np.float32), np.ones((1, 1, 1), np.float32)
    out = np.full((1, 1, 20), np.nan, np.float32)
    np.testing.assert_array_equal(clconv.conv(x, w, out=out, device=device), x)


def test_beta_in_another_layout(device):
    rng = np.random.default_rng(0)
    x, w, held = (
        rng.integers(-4, 5, s).astype(np.float32)
        for s in ((2, 5, 6, 3), (2, 2, 3, 4), (2, 4, 5, 4))
    )
    options = {"dimension_numbers": "NHWC,HWIO->NHWC", "beta": 3, "activation": "relu"}
    expected = reference.conv(x, w, out=held, **options)
    y = clconv.conv(x, w, out=held.copy(), device=device, **options)
    np.testing.assert_array_equal(y, expected)


def test_out_on_a_queue(device, queue):
    import pyopencl.array as cl_array

    x, w = np.ones((1, 2, 9), np.float32), np.ones((3, 2, 2), np.float32)
    out = cl_array.to_device(queue, np.full((1, 3, 8), 10, np.float32))
    y = clconv.conv(cl_array.to_device(queue, x), cl_array.to_device(queue, w), out=out, beta=1)
    assert y is out
    np.testing.assert_array_equal(y.get(), np.full((1, 3, 8), 14))


def test_wrong_arguments(device):
    x, w = np.ones((1, 1, 4), np.float32), np.ones((1, 1, 2), np.float32)
    out = np.zeros((1, 1, 3), np.float32)
    frozen = out.copy()
    frozen.flags.writeable = False
    for change, error, message in (
        (
            {"activation": "swish"},
            ValueError,
            r"activation must be None or one of relu, .* 'swish'",
        ),
        ({"beta": 1}, ValueError, "beta=1 needs the array that it multiplies: out is None"),
        ({"beta": 10**400, "out": out}, ValueError, "beta 10* is too large"),
        ({"beta": "1"}, TypeError, "beta must be a number, got '1'"),
        ({"out": out[..., :2]}, ValueError, r"out has shape \(1, 1, 2\), but the result has"),
        (
            {"out": out.astype(float)},
            TypeError,
            "out has dtype float64, but the result has float32",
        ),
        ({"out": out.tolist()}, TypeError, "out must be a numpy array as x is, got list"),
        ({"out": frozen}, ValueError, "out is read-only"),
        ({"out": x[..., :3]}, ValueError, "out shares memory with x"),
        ({"out": np.zeros((1, 1, 6), np.float32)[..., ::2]}, ValueError, "not C-contiguous"),
    ):
        with pytest.raises(error, match=message):
            clconv.conv(x, w, device=device, **change)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", SMOOTH)
def test_an_activation_does_not_depend_on_the_place_in_a_tile(device, activation, dtype):
    """PoCL 3.1's exp(double8) and exp(double) differ in the last bit."""
    if dtype == "float64" and not device.fp64:
        pytest.skip(f"{device} has no float64")
    values = np.linspace(-3, 3, 99).astype(dtype)
    x, w = np.repeat(values[:, None, None], 27, axis=2), np.ones((1, 1, 1), dtype)
    for algorithm in ("im2col_gemm", "direct"):
        options = {"activation": activation, "algorithm": algorithm, "device": device}
        y = clconv.conv(x, w, **options)
        alone = [clconv.conv(image[None], w, **options)[0] for image in x[::7]]
        np.testing.assert_array_equal(y, np.broadcast_to(y[:, :, :1], y.shape))
        np.testing.assert_array_equal(np.array(alone), y[::7])
