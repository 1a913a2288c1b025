"""reference/conv_transpose.py: against its definition, torch, and itself transposed."""

import re

import numpy as np
import pytest

from clconv.reference import (
    conv_backward_data,
    conv_transpose,
    conv_transpose_backward_data,
    conv_transpose_backward_weights,
)
from clconv.reference.shapes import TRANSPOSE_SHAPES

EDGES = TRANSPOSE_SHAPES["edges"]
SHAPES = pytest.mark.parametrize("shape", EDGES.values(), ids=EDGES)


@SHAPES
@pytest.mark.parametrize("flip", [False, True])
def test_both_gradients_are_adjoint(shape, flip):
    keywords = shape.keywords() | {"flip": flip}
    x, w, dy, _ = shape.integer_tensors("int64")
    y = conv_transpose(x, w, **keywords)
    dx = conv_transpose_backward_data(dy, w, input_shape=x.shape, **keywords)
    dw = conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    assert (y.shape, dx.shape, dw.shape) == (shape.y_shape, shape.x_shape, shape.w_shape)
    assert (y * dy).sum() == (x * dx).sum() == (w * dw).sum()


@SHAPES
def test_below_the_stride_it_is_a_data_gradient(shape):
    keywords = shape.keywords()
    extra = keywords.pop("output_padding")
    x, w, _, _ = shape.integer_tensors("int64")
    y = conv_transpose(x, w, output_padding=extra, **keywords)
    if all(e < s for e, s in zip(extra, shape.stride, strict=True)):
        keywords |= {"input_shape": y.shape}
        np.testing.assert_array_equal(y, conv_backward_data(x, w, **keywords))


@SHAPES
def test_agrees_with_torch(shape):
    torch = pytest.importorskip(
        "torch", reason="torch, an independent implementation, is not installed"
    )
    rank = len(shape.spatial)
    if any(low != high for low, high in shape.padding):
        pytest.skip("torch has no asymmetric padding")
    keywords = shape.keywords() | {"padding": tuple(low for low, _ in shape.padding)}
    x, w, dy, bias = map(torch.from_numpy, shape.integer_tensors("float64"))
    x.requires_grad_()
    w.requires_grad_()
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    y = function(x, w, bias, **keywords)
    y.backward(dy)
    values = [each.detach().numpy() for each in (x, w, dy, bias)]
    x_values, w_values, dy_values, bias_values = values
    np.testing.assert_array_equal(
        conv_transpose(x_values, w_values, bias_values, **keywords), y.detach().numpy()
    )
    np.testing.assert_array_equal(
        conv_transpose_backward_data(dy_values, w_values, input_shape=x.shape, **keywords),
        x.grad.numpy(),
    )
    np.testing.assert_array_equal(
        conv_transpose_backward_weights(x_values, dy_values, weight_shape=w.shape, **keywords),
        w.grad.numpy(),
    )


def test_a_case_by_hand():
    x, w = [[[1, 2]]], [[[1, 10, 100]]]
    assert conv_transpose(x, w).tolist() == [[[1, 12, 120, 200]]]
    assert conv_transpose(x, w, flip=True).tolist() == [[[100, 210, 21, 2]]]
    assert conv_transpose(x, w, stride=2).tolist() == [[[1, 10, 102, 20, 200]]]
    assert conv_transpose(x, w, stride=2, padding=1, output_padding=1).tolist() == [
        [[10, 102, 20, 200]]
    ]
    assert conv_transpose(x, w, [5], stride=4, output_padding=1).tolist() == [
        [[6, 15, 105, 5, 7, 25, 205, 5]]
    ]


X, W = np.ones((1, 4, 3)), np.ones((4, 2, 3))
REFUSALS = [
    ((X, np.ones((4, 2, 3, 3))), {}, "w (4, 2, 3, 3) has 4 axes, but x (1, 4, 3) has 3"),
    ((X, np.ones((3, 2, 3))), {}, "has filters for 3 channels, but x (1, 4, 3) has 4"),
    ((X, W), {"groups": 3}, "groups=3 does not divide C=4"),
    ((X, W), {"groups": 0}, "groups=0 is below"),
    ((X, W), {"padding": "same"}, "padding='same' has no one meaning"),
    ((X, W), {"output_padding": 1}, "output_padding=1 is neither below stride=1 nor below"),
    ((X, W), {"output_padding": -1}, "output_padding=-1 is below"),
    ((X, W), {"padding": 3}, "makes an output of -1 elements"),
    ((X, W, np.ones(3)), {}, "bias (3,) does not fit: wanted (2,)"),
]


@pytest.mark.parametrize(("arguments", "keywords", "message"), REFUSALS)
def test_refuses(arguments, keywords, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        conv_transpose(*arguments, **keywords)


def test_dy_has_to_fit():
    with pytest.raises(ValueError, match=re.escape("dy (1, 2, 4) does not fit: wanted (1, 2, 5)")):
        conv_transpose_backward_data(np.ones((1, 2, 4)), W, input_shape=X.shape)


def test_empty_batch():
    assert conv_transpose(X[:0], W).shape == (0, 2, 5)
    dy = np.ones((0, 2, 5))
    assert conv_transpose_backward_data(dy, W, input_shape=(0, 4, 3)).shape == (0, 4, 3)
    assert not conv_transpose_backward_weights(X[:0], dy, weight_shape=W.shape).any()


def test_complex_gradients_are_adjoint_and_the_operator_does_not_conjugate():
    shape = EDGES["groups"]
    parts = [shape.integer_tensors("float64", seed) for seed in (0, 1)]
    x, w, dy, _ = (real + 1j * imaginary for real, imaginary in zip(*parts, strict=True))
    keywords = shape.keywords()
    y = conv_transpose(x, w, **keywords)
    dx = conv_transpose_backward_data(dy, w, input_shape=x.shape, **keywords)
    dw = conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    wide = y.dtype
    assert np.vdot(y, dy.astype(wide)) == np.vdot(x.astype(wide), dx)
    assert np.vdot(y, dy.astype(wide)) == np.vdot(w.astype(wide), dw)
    assert conv_transpose([[[1j]]], [[[1j]]]).item() == -1


def test_nan_and_infinity_stay_where_the_filter_reaches():
    y = conv_transpose([[[np.inf, 1.0]]], [[[1.0, 2.0]]], stride=3)
    np.testing.assert_array_equal(y, [[[np.inf, np.inf, 0, 1, 2]]])
    y = conv_transpose([[[1.0, np.nan]]], [[[0.0, 1.0]]])
    np.testing.assert_array_equal(y, [[[0, np.nan, np.nan]]])
