"""reference/conv_matrix.py: W-hat against the tap sums, and its transpose against flipping."""

import numpy as np
import pytest

from clconv.reference import conv, conv_backward_data, conv_matrix
from clconv.reference.shapes import CONV_SHAPES

EDGES = pytest.mark.parametrize("shape", CONV_SHAPES["edges"].values(), ids=CONV_SHAPES["edges"])


@EDGES
def test_matrix_and_transpose_are_tap_sums(shape):
    keywords = shape.keywords()
    x, w, dy, _ = shape.integer_tensors("int64")
    y = conv_matrix.forward(x, w, **keywords)
    dx = conv_matrix.backward_data(dy, w, input_shape=shape.x_shape, **keywords)
    assert y.dtype == dx.dtype == np.int64
    np.testing.assert_array_equal(y, conv(x, w, **keywords))
    np.testing.assert_array_equal(
        dx, conv_backward_data(dy, w, input_shape=shape.x_shape, **keywords)
    )


@EDGES
@pytest.mark.parametrize("flip", [False, True])
def test_transpose_is_convolution_with_the_flipped_filter(shape, flip):
    keywords = shape.keywords() | {"input_shape": shape.x_shape, "flip": flip}
    _, w, dy, _ = shape.integer_tensors("int64")
    np.testing.assert_array_equal(
        conv_matrix.backward_data_by_flipping(dy, w, **keywords),
        conv_backward_data(dy, w, **keywords),
    )


def test_matrix_of_one_channel_is_toeplitz():
    W_hat = conv_matrix.conv_matrix(np.array([[[1, 2, 3]]]), (5,))
    assert W_hat.toarray().tolist() == [[1, 2, 3, 0, 0], [0, 1, 2, 3, 0], [0, 0, 1, 2, 3]]


def test_padding_and_stride_take_columns_and_rows_away():
    W_hat = conv_matrix.conv_matrix(np.array([[[1, 2, 3]]]), (5,), stride=2, padding=1)
    assert W_hat.toarray().tolist() == [[2, 3, 0, 0, 0], [0, 1, 2, 3, 0], [0, 0, 0, 1, 2]]


def test_groups_make_it_block_diagonal():
    W_hat = conv_matrix.conv_matrix(np.array([[[1, 2]], [[3, 4]]]), (2,), groups=2)
    assert W_hat.toarray().tolist() == [[1, 2, 0, 0], [0, 0, 3, 4]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matrix_is_wide(dtype):
    shape = CONV_SHAPES["edges"]["plain"]
    x, w, _, _ = shape.integer_tensors(dtype)
    y = conv_matrix.forward(x, w)
    assert y.dtype == conv(x, w).dtype
    np.testing.assert_array_equal(y, conv(x, w))
