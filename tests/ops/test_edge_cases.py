"""NaN, infinities, signed zeros and empty windows: kernels against the reference.

The definition is in the "Edge cases" of the reference's modules.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from support.grid import ALGORITHMS
from support.specials import planted, planted_tensors

import clconv
from clconv import reference
from clconv.conformance.calls import call_on
from clconv.conformance.cases import conv_strings, pool_strings, transpose_strings
from clconv.conformance.data import data_for
from clconv.conformance.problems import call_of
from clconv.conformance.runner import DeviceBackend
from clconv.reference.shapes import CONV_SHAPES, POOL_SHAPES, TRANSPOSE_SHAPES
from clconv.spec.parse import parse

NAN, INF = np.nan, np.inf
F32 = np.float32

CONVOLUTIONS = (
    "1d_filter_fills_padded_image",
    "1d_dilation_and_stride",
    "1d_padding_beyond_filter",
    "1d_depthwise",
    "1x1_image_3x3_padded",
    "asymmetric_padding",
    "padding_beyond_filter_strided",
    "stride_leaves_remainder",
    "stride_beyond_filter",
    "dilation_and_stride",
    "dilation_skips_image",
    "groups_stride_dilation",
    "depthwise",
    "depthwise_stride_2",
    "depthwise_times_3",
    "depthwise_5x5_dilated",
    "pointwise_padded",
    "wide_images",
    "even_filters",
    "3d_anisotropic",
    "3d_depthwise",
)
TRANSPOSED = (
    "1d_upsample",
    "1d_output_padding",
    "1d_output_padding_below_dilation",
    "1d_padding_beyond_filter",
    "asymmetric_padding",
    "output_padding_below_dilation",
    "dilation_and_stride",
    "groups",
    "depthwise",
    "depthwise_times_2",
    "3d_anisotropic",
)


def cases():
    """Return the problem strings of a shape, and an algorithm that serves it."""
    found = []
    for kind, names, shapes, strings in (
        ("conv", CONVOLUTIONS, CONV_SHAPES["edges"], conv_strings),
        ("transpose", TRANSPOSED, TRANSPOSE_SHAPES["edges"], transpose_strings),
    ):
        for name in names:
            shape = shapes[name]
            # As conv sees it, channels and outputs of a transposed convolution are exchanged.
            channels = shape.channels if kind == "conv" else shape.outputs
            for algorithm in ALGORITHMS:
                if algorithm != "depthwise" or channels == shape.groups:
                    of_shape = partial(strings, shape)
                    found.append(pytest.param(of_shape, algorithm, id=f"{kind}-{name}-{algorithm}"))
    for name, shape in POOL_SHAPES["edges"].items():
        found.append(pytest.param(partial(pool_strings, shape), "auto", id=f"pool-{name}"))
    return found


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("code", ["f32", "f64"])
@pytest.mark.parametrize(("strings_of", "algorithm"), cases())
def test_planted_specials_reach_what_the_reference_says(device, strings_of, algorithm, code):
    """Every problem of a shape, in exact integers: NaN, infinities and finite elements agree."""
    if code == "f64" and not device.fp64:
        pytest.skip(f"{device} has no float64")
    backend = DeviceBackend(device, algorithm)
    for text in strings_of(code):
        problem = parse(text)
        tensors = data_for(problem, "integer")
        for seed in range(4):
            given = planted_tensors(np.random.default_rng(seed), tensors)
            call = call_on(backend, call_of(problem, given))
            for actual, expected in zip(call.results, call.public.expected, strict=True):
                np.testing.assert_array_equal(actual, expected, err_msg=f"{text}, {seed}")


BY_ALGORITHM = pytest.mark.parametrize("algorithm", ALGORITHMS)


@BY_ALGORITHM
def test_the_padding_is_zeros_that_are_multiplied(device, algorithm):
    run = {"padding": 1, "algorithm": algorithm, "device": device}
    x, w = np.ones((1, 1, 3, 3), F32), np.ones((1, 1, 3, 3), F32)
    w[0, 0, 0, 0] = INF
    y = clconv.conv(x, w, **run)
    np.testing.assert_array_equal(y[0, 0], [[NAN] * 3, [NAN, INF, INF], [NAN, INF, INF]])
    dy = np.ones_like(x)
    dy[0, 0, 0, 0] = INF
    dw = clconv.conv_backward_weights(x, dy, weight_shape=w.shape, **run)
    np.testing.assert_array_equal(dw[0, 0], [[NAN] * 3, [NAN, INF, INF], [NAN, INF, INF]])


@BY_ALGORITHM
def test_a_data_gradient_has_no_products_with_zeros_between_windows(device, algorithm):
    run = {"stride": 2, "algorithm": algorithm, "device": device}
    dy, w = np.ones((1, 1, 2), F32), np.array([[[1, INF]]], F32)
    dx = clconv.conv_backward_data(dy, w, input_shape=(1, 1, 5), **run)
    np.testing.assert_array_equal(dx, [[[1, INF, 1, INF, 0]]])
    y = clconv.conv_transpose(dy, w, np.array([3], F32), output_padding=1, **run)
    np.testing.assert_array_equal(y, [[[4, INF, 4, INF, 3]]])


@BY_ALGORITHM
def test_output_padding_beyond_the_stride_is_the_bias(device, algorithm):
    """There a convolution would have more windows than x has pixels."""
    x, w, bias = np.ones((1, 1, 2), F32), np.full((1, 1, 2), INF, F32), np.array([3], F32)
    options = {"dilation": 4, "output_padding": 3}
    y = clconv.conv_transpose(x, w, bias, algorithm=algorithm, device=device, **options)
    np.testing.assert_array_equal(y, [[[INF, INF, 3, 3, INF, INF, 3, 3, 3]]])
    np.testing.assert_array_equal(y, reference.conv_transpose(x, w, bias, **options))
    x[...], dy = INF, np.ones_like(y)
    run = {"algorithm": algorithm, "device": device}
    dw = clconv.conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **run, **options)
    np.testing.assert_array_equal(dw, [[[INF, INF]]])


@BY_ALGORITHM
def test_pixels_behind_the_last_window_reach_no_gradient(device, algorithm):
    x, dy = np.ones((1, 1, 8), F32), np.ones((1, 1, 2), F32)
    x[0, 0, 6:] = INF
    run = {"stride": 3, "algorithm": algorithm, "device": device}
    dw = clconv.conv_backward_weights(x, dy, weight_shape=(1, 1, 3), **run)
    np.testing.assert_array_equal(dw, [[[2, 2, 2]]])


@BY_ALGORITHM
def test_windows_in_the_padding_alone_are_the_bias(device, algorithm):
    x, w, bias = np.ones((1, 1, 2), F32), np.ones((1, 1, 2), F32), np.array([5], F32)
    run = {"padding": 3, "algorithm": algorithm, "device": device}
    y = clconv.conv(x, w, bias, **run)
    np.testing.assert_array_equal(y, [[[5, 5, 6, 7, 6, 5, 5]]])
    w[0, 0, 1] = -INF
    y = clconv.conv(x, w, bias, **run)
    np.testing.assert_array_equal(y, [[[NAN, NAN, -INF, -INF, NAN, NAN, NAN]]])


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("rank", [1, 2])
def test_padding_modes_copy_specials(device, mode, rank):
    rng = np.random.default_rng(rank)
    x = rng.integers(-8, 9, (2, 3, *[5] * rank)).astype(F32)
    w = rng.integers(-8, 9, (4, 3, *[3] * rank)).astype(F32)
    options = {"padding": ((2, 1),) * rank, "padding_mode": mode, "stride": 2}
    dy = rng.integers(-8, 9, reference.conv(x, w, **options).shape).astype(F32)
    tensors = {"x": x, "w": w, "dy": dy}
    for _ in range(8):
        t = planted_tensors(rng, tensors)
        for name, arguments, more in (
            ("conv", (t["x"], t["w"]), {}),
            ("conv_backward_data", (t["dy"], t["w"]), {"input_shape": x.shape}),
            ("conv_backward_weights", (t["x"], t["dy"]), {"weight_shape": w.shape}),
        ):
            actual = getattr(clconv, name)(*arguments, device=device, **options, **more)
            expected = getattr(reference, name)(*arguments, **options, **more)
            np.testing.assert_array_equal(actual, expected, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", [1, 2, 3, 5, 7])
def test_adaptive_pools_and_unpooling(device, dtype, output):
    if dtype == "float64" and not device.fp64:
        pytest.skip(f"{device} has no float64")
    rng = np.random.default_rng(output)
    for _ in range(8):
        x = planted(rng, 144 * rng.integers(-3, 4, (2, 3, 5, 6)).astype(dtype), count=9)
        y, indices = clconv.adaptive_max_pool(x, output, return_indices=True, device=device)
        expected, where = reference.adaptive_max_pool(x, output, return_indices=True)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(np.signbit(y), np.signbit(expected))
        np.testing.assert_array_equal(indices, where)
        dy = planted(rng, 144 * rng.integers(-3, 4, y.shape).astype(dtype), count=5)
        indices[rng.random(indices.shape) < 0.2] = -1
        back = {"input_shape": x.shape}
        for name, arguments, options in (
            ("adaptive_avg_pool", (x, output), {}),
            ("adaptive_avg_pool_backward", (dy,), back),
            ("max_pool_backward", (dy, indices), back),
            ("max_unpool", (dy, indices), {"output_size": x.shape[2:]}),
            ("max_unpool_backward", (x, indices), {}),
        ):
            actual = getattr(clconv, name)(*arguments, device=device, **options)
            with np.errstate(invalid="ignore"):
                expected = getattr(reference, name)(*arguments, **options).astype(dtype)
            np.testing.assert_array_equal(actual, expected, err_msg=name)


def test_max_pool_takes_the_first_of_zeros_of_either_sign(device):
    x = np.array([[[0.0, -0.0, -0.0, 0.0, -1.0, -0.0]]], F32)
    for pool in (clconv.max_pool, clconv.adaptive_max_pool):
        size = 2 if pool is clconv.max_pool else 3
        y, indices = pool(x, size, return_indices=True, device=device)
        np.testing.assert_array_equal(indices, [[[0, 2, 5]]])
        np.testing.assert_array_equal(np.signbit(y), [[[False, True, True]]])


def test_windows_without_a_pixel(device):
    x, window = np.ones((1, 1, 2), F32), {"padding": 3, "stride": 1, "semantics": "onnx"}
    y, indices = clconv.max_pool(x, 2, return_indices=True, device=device, **window)
    np.testing.assert_array_equal(y, [[[-INF, -INF, 1, 1, 1, -INF, -INF]]])
    np.testing.assert_array_equal(indices, [[[-1, -1, 0, 0, 1, -1, -1]]])
    y = clconv.avg_pool(x, 2, device=device, **window)
    np.testing.assert_array_equal(y, [[[NAN, NAN, 1, 1, 1, NAN, NAN]]])
    y = clconv.avg_pool(x, 2, device=device, count_include_pad=True, **window)
    np.testing.assert_array_equal(y, [[[0, 0, 0.5, 1, 0.5, 0, 0]]])
    dx = clconv.avg_pool_backward(
        np.full_like(y, INF), 2, input_shape=x.shape, device=device, **window
    )
    np.testing.assert_array_equal(dx, [[[INF, INF]]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", sorted(reference.activations.ACTIVATIONS))
def test_activations_of_specials(device, activation, dtype):
    """Several vectors of them, through every algorithm: their epilogues differ.

    NaN and infinities are exact. Limits like tanh(inf) = 1 have the ulps of the device's functions:
    OpenCL C 1.2, section 7.4, grants 16 at most (erfc), and PoCL's tanh takes one.
    """
    if dtype == "float64" and not device.fp64:
        pytest.skip(f"{device} has no float64")
    x = np.tile(np.array([NAN, INF, -INF, 0, -0.0], dtype), 8).reshape(1, 1, 40)
    expected = reference.conv(x, np.ones((1, 1, 1)), activation=activation)
    for algorithm in ALGORITHMS:
        run = {"algorithm": algorithm, "device": device}
        y = clconv.conv(x, np.ones((1, 1, 1), dtype), activation=activation, **run)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(y[~finite], expected[~finite])
        allowed = 16 * np.finfo(dtype).eps * abs(expected[finite])
        assert (abs(y[finite] - expected[finite]) <= allowed).all()


@BY_ALGORITHM
def test_out_with_specials(device, algorithm):
    x, w = np.array([[[1, INF, 3, 4]]], F32), np.ones((1, 1, 1), F32)
    held = np.array([[[NAN, -INF, -INF, 0]]], F32)
    run = {"algorithm": algorithm, "device": device}
    for beta, expected in (
        (0, [1, INF, 3, 4]),
        (1, [NAN, NAN, -INF, 4]),
        (-1, [NAN, INF, INF, 4]),
        (INF, [NAN, NAN, -INF, NAN]),
        (NAN, [NAN, NAN, NAN, NAN]),
    ):
        y = clconv.conv(x, w, out=held.copy(), beta=beta, **run)
        np.testing.assert_array_equal(y[0, 0], expected)


# Every operator on an empty batch: the call, and the shapes of its results.
