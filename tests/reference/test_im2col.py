"""reference/im2col.py: X-hat against the tap sums of reference/conv.py."""

import numpy as np
import pytest

from clconv.reference import col2im, conv, conv_backward_data, conv_backward_weights, im2col
from clconv.reference.im2col import backward_data, backward_weights, forward
from clconv.reference.shapes import CONV_SHAPES

EDGES = pytest.mark.parametrize("shape", CONV_SHAPES["edges"].values(), ids=CONV_SHAPES["edges"])


@EDGES
def test_matrix_products_are_tap_sums(shape):
    keywords = shape.keywords()
    x, w, dy, _ = shape.integer_tensors("int64")
    np.testing.assert_array_equal(forward(x, w, **keywords), conv(x, w, **keywords))
    np.testing.assert_array_equal(
        backward_data(dy, w, input_shape=shape.x_shape, **keywords),
        conv_backward_data(dy, w, input_shape=shape.x_shape, **keywords),
    )
    np.testing.assert_array_equal(
        backward_weights(x, dy, weight_shape=shape.w_shape, **keywords),
        conv_backward_weights(x, dy, weight_shape=shape.w_shape, **keywords),
    )


@EDGES
def test_col2im_is_the_adjoint_of_im2col(shape):
    keywords = shape.keywords()
    del keywords["groups"]
    x = shape.integer_tensors("int64").x
    X_hat = im2col(x, shape.kernel, **keywords)
    cols = np.random.default_rng(1).integers(-9, 9, X_hat.shape)
    image = col2im(cols, shape.spatial, shape.kernel, **keywords)
    assert image.shape == x.shape
    assert (X_hat * cols).sum() == (x * image).sum()


def test_order_of_rows_and_columns():
    x = np.arange(24).reshape(1, 2, 3, 4)
    X_hat = im2col(x, (2, 3))
    assert X_hat.shape == (1, 12, 4)
    for c, i, j, p, q in np.ndindex(2, 2, 3, 2, 2):
        assert X_hat[0, (c * 2 + i) * 3 + j, p * 2 + q] == x[0, c, p + i, q + j]


def test_copying_keeps_the_dtype_and_adding_widens_it():
    X_hat = im2col(np.ones((1, 1, 4), np.float32), 3)
    assert X_hat.dtype == np.float32
    image = col2im(X_hat, (4,), 3)
    assert image.dtype == np.float64
    assert image.tolist() == [[[1, 2, 2, 1]]]


def test_empty_batch():
    assert im2col(np.zeros((0, 3, 5, 5)), 3).shape == (0, 27, 9)
    assert col2im(np.zeros((0, 27, 9)), (5, 5), 3).shape == (0, 3, 5, 5)


@pytest.mark.parametrize("layout", ["NHWC", "NWHC", "CHWN"])
def test_layouts(layout):
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 4, 5))
    spatial = [letter for letter in layout if letter in "HW"]
    canonical = x.transpose(["NCHW".index(each) for each in ["N", "C", *spatial]])
    moved = x.transpose(["NCHW".index(each) for each in layout])
    X_hat = im2col(moved, (2, 3), padding=(1, 0), layout=layout)
    np.testing.assert_array_equal(X_hat, im2col(canonical, (2, 3), padding=(1, 0)))
    cols = np.random.default_rng(1).integers(-9, 9, X_hat.shape)
    image = col2im(cols, canonical.shape[2:], (2, 3), padding=(1, 0), layout=layout)
    assert image.shape == moved.shape
    assert (X_hat * cols).sum() == (image * moved).sum()


def test_a_layout_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="layout: 'NHWW' does not have each letter of"):
        im2col(np.zeros((1, 2, 3, 4)), 1, layout="NHWW")
    with pytest.raises(ValueError, match="layout='NWC' has 3 axes"):
        col2im(np.zeros((1, 4, 4)), (2, 2), 1, layout="NWC")
