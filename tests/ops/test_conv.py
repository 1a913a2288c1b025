"""clconv/ops/conv.py: every shape, dtype and algorithm against reference/conv.py."""

from __future__ import annotations

import numpy as np
import pytest
from support.grid import ALGORITHMS, hold

import clconv
from clconv import reference
from clconv.conformance.cases import conv_strings, transpose_strings
from clconv.reference.shapes import CONV_SHAPES, TRANSPOSE_SHAPES

EDGES = CONV_SHAPES["edges"]


SERVED = [
    (name, algorithm)
    for name, shape in EDGES.items()
    for algorithm in ALGORITHMS
    if algorithm != "depthwise" or shape.channels == shape.groups
]


CHOSEN = ("conv_fwd", "conv_bwd_data", "conv_bwd_weights")  # what takes `algorithm`


@pytest.mark.parametrize("code", ["f32", "f64"])
@pytest.mark.parametrize(("name", "algorithm"), SERVED)
def test_bits_bounds_and_adjoints(device, name, algorithm, code):
    """All directions, with bias and flipped, and as general convolutions."""
    strings = [s for s in conv_strings(EDGES[name], code) if s.split(":")[0] in CHOSEN]
    hold(device, strings, algorithm)


@pytest.mark.parametrize("code", ["f32", "f64"])
@pytest.mark.parametrize("name", EDGES)
def test_unfolding_and_the_bias_gradient(device, name, code):
    hold(device, [s for s in conv_strings(EDGES[name], code) if s.split(":")[0] not in CHOSEN])


TRANSPOSED = TRANSPOSE_SHAPES["edges"]
TRANSPOSED_SERVED = [
    (name, algorithm)
    for name, shape in TRANSPOSED.items()
    for algorithm in ALGORITHMS
    # As conv sees it, input and output channels are exchanged.
    if algorithm != "depthwise" or shape.outputs == shape.groups
]


@pytest.mark.parametrize("code", ["f32", "f64"])
@pytest.mark.parametrize(("name", "algorithm"), TRANSPOSED_SERVED)
def test_transposed_bits_bounds_and_adjoints(device, name, algorithm, code):
    hold(device, transpose_strings(TRANSPOSED[name], code), algorithm)


def test_auto_is_one_of_the_algorithms(device):
    tensors = EDGES["depthwise"].random_tensors("float32", seed=1)
    keywords = EDGES["depthwise"].keywords()
    auto = clconv.conv(tensors.x, tensors.w, device=device, **keywords)
    depthwise = clconv.conv(tensors.x, tensors.w, algorithm="depthwise", device=device, **keywords)
    np.testing.assert_array_equal(auto, depthwise)


def test_result_has_the_shape_and_dtype_of_the_arguments(device):
    x, w = np.ones((2, 3, 8, 9), np.float32), np.ones((4, 3, 3, 3), np.float32)
    y = clconv.conv(x, w, device=device)
    assert isinstance(y, np.ndarray)
    assert y.dtype == np.float32
    assert y.shape == (2, 4, 6, 7)
    assert y.flags.c_contiguous
    assert y.flags.writeable


def test_image_of_a_batch_has_the_bits_it_has_alone(device):
    """The result of image i does not depend on the batch around it."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((5, 7, 9, 10)), rng.standard_normal((6, 7, 3, 3))
    x, w = x.astype(np.float32), w.astype(np.float32)
    together = clconv.conv(x, w, padding=1, algorithm="im2col_gemm", device=device)
    for i in range(len(x)):
        alone = clconv.conv(x[i : i + 1], w, padding=1, algorithm="im2col_gemm", device=device)
        np.testing.assert_array_equal(together[i : i + 1], alone)


def test_same_call_gives_the_same_bits(device):
    tensors = EDGES["wide_channels"].random_tensors("float32", seed=2)
    keywords = EDGES["wide_channels"].keywords()
    first = clconv.conv_backward_weights(
        tensors.x, tensors.dy, weight_shape=tensors.w.shape, device=device, **keywords
    )
    for _ in range(5):
        again = clconv.conv_backward_weights(
            tensors.x, tensors.dy, weight_shape=tensors.w.shape, device=device, **keywords
        )
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_ranked_names_check_the_rank(device, rank):
    ranked = getattr(clconv, f"conv{rank}d")
    shapes = {n: ((1, 2, *[4] * n), (3, 2, *[2] * n)) for n in (1, 2, 3)}
    x, w = (np.ones(shape, np.float32) for shape in shapes[rank])
    np.testing.assert_array_equal(ranked(x, w, device=device), clconv.conv(x, w, device=device))
    for other in {1, 2, 3} - {rank}:
        x, w = (np.ones(shape, np.float32) for shape in shapes[other])
        with pytest.raises(clconv.GeometryError, match=rf"conv{rank}d takes x with {rank}"):
            ranked(x, w, device=device)


def test_empty_batch_gives_empty_results_and_zero_gradients(device):
    x, w = np.ones((0, 3, 8, 9), np.float32), np.ones((4, 3, 3, 3), np.float32)
    y = clconv.conv(x, w, device=device)
    assert y.shape == (0, 4, 6, 7)
    assert clconv.conv_backward_data(y, w, input_shape=x.shape, device=device).shape == x.shape
    dw = clconv.conv_backward_weights(x, y, weight_shape=w.shape, device=device)
    np.testing.assert_array_equal(dw, np.zeros_like(w))
    np.testing.assert_array_equal(clconv.conv_backward_bias(y, device=device), np.zeros(4))


def test_padding_is_written_in_any_way(device):
    x = np.random.default_rng(0).standard_normal((1, 2, 7, 8)).astype(np.float32)
    w = np.random.default_rng(1).standard_normal((3, 2, 3, 3)).astype(np.float32)
    expected = clconv.conv(x, w, padding=((1, 1), (1, 1)), device=device)
    for padding in (1, (1, 1), [1, (1, 1)], ((1, 1), [1, 1]), np.array([1, 1]), "same"):
        np.testing.assert_array_equal(clconv.conv(x, w, padding=padding, device=device), expected)
    valid = clconv.conv(x, w, padding="valid", device=device)
    np.testing.assert_array_equal(valid, clconv.conv(x, w, device=device))


def test_textbook_convolution_agrees_with_scipy(device):
    """flip=True with one channel is scipy.signal.convolve2d, in exact integers."""
    from scipy.signal import convolve2d

    rng = np.random.default_rng(3)
    image = rng.integers(-9, 10, (12, 13)).astype(np.float32)
    taps = rng.integers(-9, 10, (4, 3)).astype(np.float32)
    y = clconv.conv(image[None, None], taps[None, None], flip=True, device=device)
    np.testing.assert_array_equal(y[0, 0], convolve2d(image, taps, mode="valid"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_numbers_that_say_nothing_may_be_huge(device, algorithm):
    """The stride of a single window, and the dilation of a single tap."""
    x = np.arange(1, 9, dtype=np.float32).reshape(1, 1, 8)
    w = np.array([[[3]]], np.float32)
    options = {"algorithm": algorithm, "device": device}
    y = clconv.conv(x, w, dilation=2**40, **options)
    np.testing.assert_array_equal(y, 3 * x)
    y = clconv.conv(x, w, stride=2**40, **options)
    np.testing.assert_array_equal(y, [[[3]]])
    dx = clconv.conv_backward_data(y, w, input_shape=x.shape, stride=2**40, **options)
    np.testing.assert_array_equal(dx, [[[9, 0, 0, 0, 0, 0, 0, 0]]])


def test_large_sums_stay_in_bounds(device):
    """A sum longer than one workspace chunk: the chunks continue one another."""
    rng = np.random.default_rng(4)
    x = rng.uniform(-1, 1, (1, 8, 200, 200)).astype(np.float32)
    dy = rng.uniform(-1, 1, (1, 24, 200, 200)).astype(np.float32)
    options = {"weight_shape": (24, 8, 3, 3), "padding": 1}
    dw = clconv.conv_backward_weights(x, dy, device=device, **options)
    exact = reference.conv_backward_weights(x, dy, **options)
    magnitude = reference.conv_backward_weights(abs(x), abs(dy), **options)
    from clconv.reference.bounds import sum_bound

    assert (abs(dw - exact) <= sum_bound(magnitude, 200 * 200, np.float32)).all()
