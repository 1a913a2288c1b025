"""reference/conv.py: the tap sums against scipy, and against themselves transposed."""

import numpy as np
import pytest
import scipy.signal

from clconv.reference import (
    conv,
    conv1d,
    conv2d,
    conv3d,
    conv_backward_bias,
    conv_backward_data,
    conv_backward_weights,
)
from clconv.reference.shapes import CONV_SHAPES

EDGES = pytest.mark.parametrize("shape", CONV_SHAPES["edges"].values(), ids=CONV_SHAPES["edges"])


@EDGES
@pytest.mark.parametrize("flip", [False, True])
def test_both_gradients_are_adjoint_to_forward(shape, flip):
    keywords = shape.keywords() | {"flip": flip}
    x, w, dy, _ = shape.integer_tensors("int64")
    y = conv(x, w, **keywords)
    dx = conv_backward_data(dy, w, input_shape=shape.x_shape, **keywords)
    dw = conv_backward_weights(x, dy, weight_shape=shape.w_shape, **keywords)
    assert (y.shape, dx.shape, dw.shape) == (shape.y_shape, shape.x_shape, shape.w_shape)
    assert (y * dy).sum() == (x * dx).sum() == (w * dw).sum()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_the_derivative(dtype):
    shape = CONV_SHAPES["edges"]["groups_stride_dilation"]
    x, w, dy, bias = shape.integer_tensors(dtype)
    dx, dw, _, db = shape.integer_tensors(dtype, seed=1)
    keywords = shape.keywords()
    # conv is linear in each argument, so a difference is the derivative with no remainder
    by_x = conv(x + dx, w, bias, **keywords) - conv(x, w, bias, **keywords)
    by_w = conv(x, w + dw, bias, **keywords) - conv(x, w, bias, **keywords)
    by_bias = conv(x, w, bias + db, **keywords) - conv(x, w, bias, **keywords)
    gradient_x = conv_backward_data(dy, w, input_shape=x.shape, **keywords)
    gradient_w = conv_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    assert (by_x * dy).sum() == (gradient_x * dx).sum()
    assert (by_w * dy).sum() == (gradient_w * dw).sum()
    assert (by_bias * dy).sum() == (conv_backward_bias(dy) * db).sum()


@pytest.mark.parametrize("spatial", [(9,), (6, 7), (4, 5, 6)])
@pytest.mark.parametrize(("padding", "mode"), [(0, "valid"), (2, "full"), ("same", "same")])
def test_agrees_with_scipy(spatial, padding, mode):
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (2, 3, *spatial))
    w = rng.integers(-9, 9, (4, 3, *(3 for _ in spatial)))
    for operator, flip in [(scipy.signal.correlate, False), (scipy.signal.convolve, True)]:
        expected = [
            [
                sum(operator(x[n, c], w[o, c], mode, method="direct") for c in range(3))
                for o in range(4)
            ]
            for n in range(2)
        ]
        np.testing.assert_array_equal(conv(x, w, padding=padding, flip=flip), expected)


def test_a_case_by_hand():
    x = np.array([[[1, 2, 3, 4, 5]]])
    w = np.array([[[1, 10, 100]]])
    assert conv(x, w).tolist() == [[[321, 432, 543]]]
    assert conv(x, w, flip=True).tolist() == [[[123, 234, 345]]]
    assert conv(x, w, stride=2, padding=((1, 2),)).tolist() == [[[210, 432, 54]]]
    assert conv(x, w, dilation=2).tolist() == [[[531]]]
    assert conv(x, w, [7]).tolist() == [[[328, 439, 550]]]


def test_groups_are_convolutions_side_by_side():
    shape = CONV_SHAPES["edges"]["groups"]
    x, w, _, bias = shape.integer_tensors("int64")
    keywords = shape.keywords() | {"groups": 1}
    parts = [
        conv(x[:, 3 * g : 3 * g + 3], w[2 * g : 2 * g + 2], bias[2 * g : 2 * g + 2], **keywords)
        for g in range(2)
    ]
    np.testing.assert_array_equal(conv(x, w, bias, **shape.keywords()), np.concatenate(parts, 1))


def test_flip_reverses_all_spatial_axes():
    shape = CONV_SHAPES["edges"]["stride_per_axis"]
    x, w, dy, _ = shape.integer_tensors("int64")
    keywords = shape.keywords()
    turned = w[:, :, ::-1, ::-1]
    np.testing.assert_array_equal(conv(x, w, flip=True, **keywords), conv(x, turned, **keywords))
    np.testing.assert_array_equal(
        conv_backward_weights(x, dy, weight_shape=w.shape, flip=True, **keywords),
        conv_backward_weights(x, dy, weight_shape=w.shape, **keywords)[:, :, ::-1, ::-1],
    )


def test_empty_batch():
    x, w, dy = (
        np.zeros((0, 4, 5, 5), np.float32),
        np.ones((6, 2, 3, 3), np.float32),
        np.zeros((0, 6, 3, 3)),
    )
    assert conv(x, w, groups=2).shape == (0, 6, 3, 3)
    assert conv_backward_data(dy, w, input_shape=x.shape, groups=2).shape == x.shape
    dw = conv_backward_weights(x, dy, weight_shape=w.shape, groups=2)
    assert dw.shape == w.shape
    assert not dw.any()
    assert not conv_backward_bias(dy).any()


def test_elements_no_window_touches_have_no_gradient():
    dx = conv_backward_data(np.ones((1, 1, 2)), np.ones((1, 1, 1)), input_shape=(1, 1, 6), stride=3)
    assert dx.tolist() == [[[1, 0, 0, 1, 0, 0]]]


@pytest.mark.parametrize(("function", "rank"), [(conv1d, 1), (conv2d, 2), (conv3d, 3)])
def test_one_function_a_rank(function, rank):
    x, w = np.ones((1, 2) + (5,) * rank), np.ones((3, 2) + (2,) * rank)
    np.testing.assert_array_equal(function(x, w, padding=1), conv(x, w, padding=1))
    with pytest.raises(ValueError, match=rf"x \(1, 2, 5, 5, .* {rank} spatial axes"):
        function(np.ones((1, 2, 5, 5, 5, 5)), w)
