"""reference/pool.py: against windows looked at one by one, and cases worked out by hand."""

from itertools import product

import numpy as np
import pytest

from clconv.reference import avg_pool, avg_pool_backward, max_pool, max_pool_backward
from clconv.reference.shapes import POOL_SHAPES

EDGES = POOL_SHAPES["edges"]
AVERAGES = {name: shape for name, shape in EDGES.items() if shape.has_average}
INF, NAN = np.inf, np.nan


def elements(shape, window, padded=False):
    """The positions in the (padded) image that `window` touches, in row-major order."""
    lines = []
    for axis, number in zip(shape.axes, window, strict=True):
        low, high = (axis.low, axis.high) if padded else (0, 0)
        touched = [axis.starts[number] + tap * axis.dilation for tap in range(axis.taps)]
        lines.append([each for each in touched if -low <= each < axis.size + high])
    return list(product(*lines))


@pytest.mark.parametrize("shape", EDGES.values(), ids=EDGES)
def test_max_is_the_first_largest_of_the_window(shape):
    x = shape.integer_tensors("float32").x
    y, indices = max_pool(x, shape.kernel, return_indices=True, **shape.max_keywords())
    assert y.shape == indices.shape == shape.y_shape
    for n, c, *window in np.ndindex(*shape.y_shape):
        found = elements(shape, window)
        values = [x[n, c, *each] for each in found]
        first = found[int(np.argmax(values))]
        assert y[n, c, *window] == max(values)
        assert indices[n, c, *window] == np.ravel_multi_index(first, shape.spatial)


@pytest.mark.parametrize("shape", EDGES.values(), ids=EDGES)
def test_max_backward_is_the_adjoint_where_the_maxima_stay(shape):
    x, dy = shape.integer_tensors("int64")
    y, indices = max_pool(x, shape.kernel, return_indices=True, **shape.max_keywords())
    dx = max_pool_backward(dy, indices, input_shape=shape.x_shape)
    assert dx.shape == shape.x_shape
    assert (y * dy).sum() == (x * dx).sum()


@pytest.mark.parametrize("shape", AVERAGES.values(), ids=AVERAGES)
def test_average_of_the_window(shape):
    x = shape.integer_tensors("float32").x
    y = avg_pool(x, shape.kernel, **shape.avg_keywords())
    assert y.shape == shape.y_shape
    for n, c, *window in np.ndindex(*shape.y_shape):
        total = sum(x[n, c, *each] for each in elements(shape, window))
        assert y[n, c, *window] == total / len(elements(shape, window, shape.count_include_pad))


@pytest.mark.parametrize("shape", AVERAGES.values(), ids=AVERAGES)
def test_average_backward_is_the_adjoint(shape):
    x, dy = shape.integer_tensors("float64")
    keywords = shape.avg_keywords()
    y = avg_pool(x, shape.kernel, **keywords)
    dx = avg_pool_backward(dy, shape.kernel, input_shape=shape.x_shape, **keywords)
    assert (y * dy).sum() == (x * dx).sum()


def max_1d(values, kernel_size, **keywords):
    y, indices = max_pool(np.array([[values]]), kernel_size, return_indices=True, **keywords)
    return y[0, 0].tolist(), indices[0, 0].tolist()


def test_nan_propagates_and_the_last_one_is_the_index():
    y, indices = max_1d([1.0, NAN, NAN, 5.0, INF], 3, stride=1)
    assert np.isnan(y).all()
    assert indices == [2, 2, 2]


def test_ties_give_the_first_index():
    assert max_1d([2.0, 7.0, 7.0, 7.0], 3, stride=1) == ([7.0, 7.0], [1, 1])
    assert max_1d([0.0, -0.0], 2) == ([0.0], [0])


def test_all_minus_infinity_gives_the_first_element_in_the_image():
    assert max_1d([-INF] * 4, 3, stride=2, padding=1) == ([-INF] * 2, [0, 1])


def test_padding_is_never_the_maximum():
    assert max_1d([-5, -6, -7], 2, padding=1) == ([-5, -6], [0, 1])
    least = np.iinfo(np.int64).min
    assert max_1d([least] * 3, 2, padding=1) == ([least] * 2, [0, 1])


def test_a_dilated_window_may_straddle_the_image():
    y, indices = max_1d([3.0], 2, stride=1, padding=1, dilation=2)
    assert (y, indices) == ([-INF], [-1])
    assert not max_pool_backward([[[4.0]]], [[indices]], input_shape=(1, 1, 1)).any()


def test_indices_are_positions_in_the_unpadded_plane():
    x = np.zeros((2, 2, 3, 4))
    x[:, :, 2, 3] = 1
    _, indices = max_pool(x, 3, stride=2, padding=1, return_indices=True)
    assert indices.dtype == np.int64
    assert (indices[:, :, -1, -1] == 11).all()


def test_repeated_indices_add():
    dx = max_pool_backward([[[1, 10, 100]]], [[[2, 2, 0]]], input_shape=(1, 1, 3))
    assert dx.tolist() == [[[100, 0, 11]]]


def test_ceil_mode_keeps_a_window_that_starts_inside_and_drops_one_that_does_not():
    assert max_1d([1, 2, 3, 4], 3, stride=2, padding=1, ceil_mode=True) == ([2, 4, 4], [1, 3, 3])
    assert max_1d([1, 2, 3, 4, 5], 2, stride=3, padding=1, ceil_mode=True) == ([1, 4], [0, 3])


@pytest.mark.parametrize(
    ("count_include_pad", "expected"), [(True, [1, 3, 2]), (False, [1.5, 3, 4])]
)
def test_divisor_stops_at_the_padded_edge(count_include_pad, expected):
    # windows (pad 1 2), (2 3 4), (4 pad beyond): sums 3, 9, 4
    y = avg_pool(
        [[[1, 2, 3, 4]]],
        3,
        stride=2,
        padding=1,
        ceil_mode=True,
        count_include_pad=count_include_pad,
    )
    assert y.tolist() == [[expected]]


def test_divisors_in_two_dimensions():
    y = avg_pool(np.ones((1, 1, 2, 3)) * 36, 2, stride=2, padding=1)
    assert y.tolist() == [[[[9, 18], [9, 18]]]]
    y = avg_pool(np.ones((1, 1, 2, 3)) * 36, 2, stride=2, padding=1, count_include_pad=False)
    assert y.tolist() == [[[[36, 36], [36, 36]]]]


def test_average_backward_shares_equally():
    dx = avg_pool_backward([[[6, 12]]], 3, input_shape=(1, 1, 5), stride=2)
    assert dx.tolist() == [[[2, 2, 6, 4, 4]]]


def test_stride_is_the_window_by_default():
    assert max_pool(np.zeros((1, 1, 9, 9)), (2, 3)).shape == (1, 1, 4, 3)


def test_empty_batch():
    y, indices = max_pool(np.zeros((0, 2, 4)), 2, return_indices=True)
    assert y.shape == avg_pool(np.zeros((0, 2, 4)), 2).shape == (0, 2, 2)
    assert max_pool_backward(y, indices, input_shape=(0, 2, 4)).shape == (0, 2, 4)
    assert avg_pool_backward(y, 2, input_shape=(0, 2, 4)).shape == (0, 2, 4)
