"""reference/shapes.py: the shapes are what they say, and integers stay exact in float32."""

import doctest
import math

import numpy as np
import pytest

from clconv.reference import (
    avg_pool,
    conv,
    conv_backward_data,
    conv_backward_weights,
    loops,
    shape_types,
    transpose_shape,
)
from clconv.reference.bounds import exact_integer_limit
from clconv.reference.pool import divisors
from clconv.reference.shapes import (
    CONV_SHAPES,
    DIRECTIONS,
    POOL_SHAPES,
    TRANSPOSE_SHAPES,
    ConvShape,
    PoolShape,
)
from clconv.reference.windows import crop, pad

EDGES = CONV_SHAPES["edges"]
POOL_EDGES = POOL_SHAPES["edges"]
SMALL = {name: shape for name, shape in EDGES.items() if shape.flops <= 25_000}


@pytest.mark.parametrize(
    "shapes", [*CONV_SHAPES.values(), *TRANSPOSE_SHAPES.values(), *POOL_SHAPES.values()]
)
def test_no_shape_stands_twice_in_a_set(shapes):
    assert len(set(map(str, shapes.values()))) == len(shapes)


def test_sets_are_as_large_as_promised():
    assert len(EDGES) >= 40
    assert len(CONV_SHAPES["quick"]) == 16
    assert len(POOL_EDGES) >= 25
    assert {len(shape.spatial) for shape in EDGES.values()} == {1, 2, 3}


def test_str_is_written_in_full():
    shape = ConvShape.of(2, 6, 4, (9, 8), (3, 2), (2, 1), ((1, 1), (0, 2)), (1, 2), groups=2)
    assert str(shape) == "n2c6o4g2:i9x8:k3x2:s2x1:p1.1x0.2:d1x2"
    pool = PoolShape.of(1, 2, (5,), 3, padding=((0, 1),), count_include_pad=False)
    assert str(pool) == "n1c2:i5:k3:s3:p0.1:d1:exclude_pad"


def test_a_shape_knows_its_numbers():
    shape = ConvShape.of(2, 6, 4, (9, 8), (3, 2), stride=(2, 1), padding=1, groups=2)
    assert (shape.x_shape, shape.w_shape) == ((2, 6, 9, 8), (4, 3, 3, 2))
    assert shape.y_shape == (2, 4, 5, 9)
    assert [shape.terms(direction) for direction in DIRECTIONS] == [18, 12, 90]
    assert shape.flops == 2 * 2 * 4 * 5 * 9 * 18
    with pytest.raises(ValueError, match="direction 'sideways' is unknown"):
        shape.terms("sideways")


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="groups=4 does not divide C=6"):
        ConvShape.of(2, 6, 4, (9, 8), 3, groups=4)
    with pytest.raises(ValueError, match="larger than half"):
        PoolShape.of(2, 6, (9, 8), 3, padding=2)


def test_resnet50_has_the_multiplications_of_the_paper():
    # how often each layer occurs, by the residual blocks (3, 4, 6, 3) of the four stages
    shapes = CONV_SHAPES["resnet50"]
    total = sum(shape.flops for shape in shapes.values())
    repeated = {
        "3x3_64_56": 2, "1x1_64_256_56": 3, "1x1_256_64_56": 1,
        "1x1_128_512_28": 3, "1x1_512_128_28": 2, "3x3_128_28": 2,
        "1x1_256_1024_14": 5, "1x1_1024_256_14": 4, "3x3_256_14": 4,
        "1x1_512_2048_7": 2, "1x1_2048_512_7": 1, "3x3_512_7": 1,
    }  # fmt: skip
    total += sum(times * shapes[name].flops for name, times in repeated.items())
    assert total / 2 / 8 == pytest.approx(4.09e9, rel=0.01)


@pytest.mark.parametrize("shape", EDGES.values(), ids=EDGES)
def test_no_partial_sum_leaves_the_integers_of_float32(shape):
    x, w, dy, bias = map(abs, shape.integer_tensors("float32"))
    keywords = shape.keywords()
    assert min(each.min() for each in (x, w, dy, bias)) >= 1
    assert conv(x, w, bias, **keywords).max() <= 2**24
    assert conv_backward_data(dy, w, input_shape=x.shape, **keywords).max() <= 2**24
    assert conv_backward_weights(x, dy, weight_shape=w.shape, **keywords).max() <= 2**24


@pytest.mark.parametrize("shape", SMALL.values(), ids=SMALL)
def test_integers_are_exact_in_float32(shape):
    x, w, dy, bias = shape.integer_tensors("float32")
    y, dx, dw = np.zeros(shape.y_shape, "f4"), np.zeros_like(x), np.zeros_like(w)
    image, gathered = pad(x, shape.axes), pad(dx, shape.axes)
    for s, t, p in loops.connections(x.shape, w.shape, shape.axes, shape.groups):
        y[p] += image[s] * w[t]
        gathered[s] += dy[p] * w[t]
        dw[t] += dy[p] * image[s]
    dx = crop(gathered, shape.axes)
    y += bias.reshape(-1, *(1 for _ in shape.spatial))
    assert y.dtype == dx.dtype == dw.dtype == np.float32
    x, w, dy, bias = (each.astype(np.int64) for each in (x, w, dy, bias))
    keywords = shape.keywords()
    np.testing.assert_array_equal(y, conv(x, w, bias, **keywords))
    np.testing.assert_array_equal(dx, conv_backward_data(dy, w, input_shape=x.shape, **keywords))
    np.testing.assert_array_equal(
        dw, conv_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    )


@pytest.mark.parametrize("name", ["3x3_64_56", "7x7_3_64_224_s2"])
def test_long_sums_make_smaller_integers(name):
    shape = CONV_SHAPES["resnet50"][name]
    longest = max(shape.terms(direction) for direction in DIRECTIONS) + 1
    tensors = shape.integer_tensors("float32")
    largest = max(abs(each).max() for each in tensors)
    assert largest == min(8, exact_integer_limit(longest, "float32"))
    with pytest.raises(ValueError, match="not always exact in int8"):
        shape.integer_tensors("int8")


@pytest.mark.parametrize("shape", POOL_EDGES.values(), ids=POOL_EDGES)
def test_pool_integers_divide_and_stay_exact(shape):
    x, dy = shape.integer_tensors("float32")
    assert x.dtype == dy.dtype == np.float32
    for divisor in np.unique(divisors(shape.axes, shape.count_include_pad)):
        assert not (x % divisor).any()
        assert not (dy % divisor).any()
    assert math.prod(shape.kernel) * max(abs(x).max(), abs(dy).max()) <= 2**24
    if shape.has_average:
        y = avg_pool(x, shape.kernel, **shape.avg_keywords())
        assert (y * 2**20 % 1 == 0).all()


@pytest.mark.parametrize("shape", [EDGES["plain"], POOL_EDGES["plain"]], ids=["conv", "pool"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensors_depend_on_the_seed_alone(shape, dtype):
    for tensors in (shape.integer_tensors, shape.random_tensors):
        first, again, other = tensors(dtype, 3), tensors(dtype, 3), tensors(dtype, 4)
        assert all(each.dtype == dtype for each in first)
        assert all((a == b).all() for a, b in zip(first, again, strict=True))
        assert not all((a == b).all() for a, b in zip(first, other, strict=True))


def test_random_tensors_fill_the_interval():
    x = EDGES["primes"].random_tensors("float32").x
    assert -1 <= x.min() < -0.9
    assert 0.9 < x.max() <= 1


def test_pool_tensors_have_ties():
    x = POOL_EDGES["plain"].integer_tensors("float32").x
    assert len(np.unique(x)) <= 6


def test_examples_in_docstrings():
    assert doctest.testmod(shape_types).failed == 0
    assert doctest.testmod(transpose_shape).failed == 0
