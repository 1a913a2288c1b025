"""reference/winograd.py: exact in fractions, and conv's numbers in longdouble."""

from fractions import Fraction

import numpy as np
import pytest

from clconv.reference import conv, conv_backward_data, winograd, winograd_matrices
from clconv.reference.bounds import sum_bound
from clconv.reference.bounds_winograd import winograd_backward_data_bound, winograd_bound
from clconv.reference.shapes import CONV_SHAPES

EDGES = {
    name: shape
    for name, shape in CONV_SHAPES["edges"].items()
    if set(shape.stride) == {1} == set(shape.dilation) and max(shape.kernel) <= 5
}
SMALL = [name for name, each in EDGES.items() if each.channels * each.outputs < 50]  # for fractions

LAVIN = {  # as printed: Lavin & Gray, 2016, section 4.1, and wincnn for (4, 3) and (6, 3)
    (2, 3): (
        "1 1 1 0; 0 1 -1 -1",
        "1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1",
        "1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1",
    ),
    (4, 3): (
        "1 1 1 1 1 0; 0 1 -1 2 -2 0; 0 1 1 4 4 0; 0 1 -1 8 -8 1",
        "1/4 0 0; -1/6 -1/6 -1/6; -1/6 1/6 -1/6; 1/24 1/12 1/6; 1/24 -1/12 1/6; 0 0 1",
        "4 0 -5 0 1 0; 0 -4 -4 1 1 0; 0 4 -4 -1 1 0; 0 -2 -1 2 1 0; 0 2 -1 -2 1 0; 0 4 0 -5 0 1",
    ),
    (6, 3): (
        "1 1 1 1 1 1 1 0; 0 1 -1 2 -2 1/2 -1/2 0; 0 1 1 4 4 1/4 1/4 0;"
        "0 1 -1 8 -8 1/8 -1/8 0; 0 1 1 16 16 1/16 1/16 0; 0 1 -1 32 -32 1/32 -1/32 1",
        "1 0 0; -2/9 -2/9 -2/9; -2/9 2/9 -2/9; 1/90 1/45 2/45; 1/90 -1/45 2/45;"
        "32/45 16/45 8/45; 32/45 -16/45 8/45; 0 0 1",
        "1 0 -21/4 0 21/4 0 -1 0; 0 1 1 -17/4 -17/4 1 1 0; 0 -1 1 17/4 -17/4 -1 1 0;"
        "0 1/2 1/4 -5/2 -5/4 2 1 0; 0 -1/2 1/4 5/2 -5/4 -2 1 0; 0 2 4 -5/2 -5 1/2 1 0;"
        "0 -2 4 5/2 -5 -1/2 1 0; 0 -1 0 21/4 0 -21/4 0 1",
    ),
}


def fractions(text):
    return np.array([[Fraction(each) for each in row.split()] for row in text.split(";")])


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-9, 10, shape)


@pytest.mark.parametrize(("m", "r"), LAVIN)
def test_matrices_are_the_literature_s(m, r):
    ours = winograd_matrices.minimal_filtering(m, r)
    at, g, bt = map(fractions, LAVIN[m, r])
    signs = np.array(
        [1 if (row == its).all() else -1 for row, its in zip(ours.bt, bt, strict=True)]
    )
    assert (signs[:-1] == 1).all()  # F(2, 3) is printed with the other signs for infinity
    np.testing.assert_array_equal(ours.bt, bt * signs[:, None])
    np.testing.assert_array_equal(ours.g, g)
    np.testing.assert_array_equal(ours.at, at * signs)


@pytest.mark.parametrize("points", [None, [0, -1, 1, Fraction(1, 2), -2], [3, 1, 4, -5, 9]])
@pytest.mark.parametrize(
    ("m", "r"), [(1, 1), (1, 3), (4, 1), (2, 3), (4, 3), (3, 4), (5, 2), (6, 3)]
)
def test_one_tile_is_exact(m, r, points):
    if points is not None and m + r - 2 != len(points):
        points = None
    along = winograd_matrices.minimal_filtering(m, r, points)
    d, g = integers(m + r - 1).astype(object), integers(r, seed=1).astype(object)
    expected = [sum(g[k] * d[i + k] for k in range(r)) for i in range(m)]
    assert (along.at @ ((along.g @ g) * (along.bt @ d))).tolist() == expected


@pytest.mark.parametrize("name", SMALL)
def test_fractions_are_exact(name):
    shape = EDGES[name]
    x, w, dy, _ = shape.integer_tensors("float32")
    keywords = {"padding": shape.padding, "groups": shape.groups}
    y = winograd.forward(x, w, m=2, dtype=object, **keywords)
    assert all(isinstance(each, Fraction) for each in y.flat)
    np.testing.assert_array_equal(y, conv(x, w, **keywords))
    keywords["input_shape"] = x.shape
    dx = winograd.backward_data(dy, w, m=2, dtype=object, **keywords)
    np.testing.assert_array_equal(dx, conv_backward_data(dy, w, **keywords))


@pytest.mark.parametrize(
    ("m", "dtype"), [(1, "float32"), (2, "float32"), (4, "float64"), (6, "float32")]
)
@pytest.mark.parametrize("name", EDGES)
def test_wide_numbers_agree_with_conv(name, m, dtype):
    """Both are rounded to the wide dtype, each within its own bound."""
    shape = EDGES[name]
    x, w, dy, _ = shape.random_tensors(dtype)
    keywords = {"padding": shape.padding, "groups": shape.groups}
    y, exact = winograd.forward(x, w, m=m, **keywords), conv(x, w, **keywords)
    assert y.dtype == exact.dtype
    bound = winograd_bound(x, w, y.dtype, m=m, **keywords)
    plain = sum_bound(conv(abs(x), abs(w), **keywords), shape.terms("forward"), y.dtype)
    assert (abs(y - exact) <= bound + plain).all()
    keywords["input_shape"] = x.shape
    dx, exact = (
        winograd.backward_data(dy, w, m=m, **keywords),
        conv_backward_data(dy, w, **keywords),
    )
    bound = winograd_backward_data_bound(dy, w, dx.dtype, m=m, **keywords)
    magnitude = conv_backward_data(abs(dy), abs(w), **keywords)
    plain = sum_bound(magnitude, shape.terms("backward_data"), dx.dtype)
    assert (abs(dx - exact) <= bound + plain).all()


def test_tiles_and_filters_differ_by_axis():
    x, w = integers((1, 2, 7, 8, 6)), integers((3, 2, 3, 1, 2), seed=1)
    y = winograd.forward(x, w, m=(4, 3, 2), padding=((1, 0), 0, (0, 3)), dtype=object)
    np.testing.assert_array_equal(y, conv(x, w, padding=((1, 0), 0, (0, 3))))


@pytest.mark.parametrize("padding", [(0, 0), (2, 1), (3, 3)])
def test_a_volume_is_images_of_more_channels(padding):
    """Two images of four channels in two groups; filters of three taps along the depth."""
    x, w = integers((2, 4, 5, 6, 7)), integers((6, 2, 3, 3, 3), seed=1)
    exact = conv(x, w, padding=(padding, (1, 0), (0, 2)), groups=2)
    images, filters = winograd.depth_as_channels(x, w, padding)
    assert images.shape == (2 * exact.shape[2], 12, 6, 7)
    assert filters.shape == (6, 6, 3, 3)
    plain = conv(images, filters, padding=((1, 0), (0, 2)), groups=2)
    planes = plain.reshape(2, -1, *plain.shape[1:])
    np.testing.assert_array_equal(np.moveaxis(planes, 2, 1), exact)


def test_data_gradient_with_padding_beyond_the_filter():
    x, w = integers((2, 4, 3, 5)), integers((6, 2, 2, 3), seed=1)
    keywords = {"padding": ((3, 4), (0, 5)), "groups": 2, "input_shape": x.shape}
    dy = integers(conv(x, w, padding=keywords["padding"], groups=2).shape, seed=2)
    dx = winograd.backward_data(dy, w, m=3, dtype=object, **keywords)
    np.testing.assert_array_equal(dx, conv_backward_data(dy, w, **keywords))


def test_empty_batch():
    assert winograd.forward(np.ones((0, 2, 5)), np.ones((3, 2, 3)), m=2).shape == (0, 3, 3)
    y = winograd.forward(np.ones((0, 2, 5)), np.ones((3, 2, 3)), m=2, dtype=object)
    assert y.shape == (0, 3, 3)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble"])
def test_nearest(dtype):
    real = np.dtype(dtype).type
    halfway = 1 + winograd_matrices.exactly(np.finfo(dtype).eps) / 2
    above = halfway + Fraction(1, 2**200)  # in a wider dtype it is halfway, and that rounds to 1
    assert winograd_matrices.nearest(halfway - Fraction(1, 2**200), dtype) == 1
    assert winograd_matrices.nearest(above, dtype) == real(1) + np.finfo(dtype).eps
    for value in (Fraction(1, 3), Fraction(-21, 4), Fraction(0), Fraction(32, 45)):
        found = winograd_matrices.nearest(value, dtype)
        assert found.dtype == dtype
        assert abs(winograd_matrices.exactly(found) - value) <= abs(value) * Fraction(
            *(np.finfo(dtype).eps / 2).as_integer_ratio()
        )


def test_every_stage_is_rounded():
    """In float16, which BLAS would sum in float32, 1 and 2048 ones add up to 2048."""
    x, w = np.ones((1, 2049, 1), np.float16), np.ones((1, 2049, 1), np.float16)
    y = winograd.forward(x, w, m=1, dtype="float16")
    assert y.dtype == np.float16
    assert y.item() == 2048


def test_filters_transformed_in_a_wider_dtype_are_nearer():
    x, w, _, _ = CONV_SHAPES["edges"]["primes"].random_tensors("float32")
    along = winograd_matrices.minimal_filtering(6, 3)
    narrow = winograd.transformed([along.rounded("float32").g] * 2, w)
    exact = winograd.transformed([along.rounded("float64").g] * 2, w.astype("float64"))
    assert narrow.dtype == np.float32
    assert abs(narrow - exact).max() > abs(exact.astype("float32") - exact).max()
    options = {"m": 6, "padding": 1, "dtype": "float32"}
    wider = winograd.forward(x, w, filter_dtype="float64", **options)
    assert wider.dtype == np.float32
    assert (wider != winograd.forward(x, w, **options)).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": (0, 1)}, r"points=\(0, 1\) of F\(2, 3\): wanted 3 different ones"),
        ({"points": (0, 1, 1)}, "wanted 3 different ones"),
        ({"m": 0}, "m=0 is below the least"),
        ({"m": (2, 2)}, "m=.* has 2 values for 1 spatial axes"),
        ({"groups": 3}, "groups=3 does not divide C=2"),
        ({"padding": -1}, "padding"),
    ],
)
def test_refusals(change, message):
    options = {"m": 2, "groups": 1, "padding": 0} | change
    with pytest.raises(ValueError, match=message):
        winograd.forward(np.ones((1, 2, 9)), np.ones((2, 2, 3)), **options)
    with pytest.raises(ValueError, match=r"F\(0, 3\) needs at least one"):
        winograd_matrices.minimal_filtering(0, 3)


def test_complex_numbers_and_integers_are_refused():
    x, w = np.ones((1, 1, 5)), np.ones((1, 1, 3))
    with pytest.raises(TypeError, match="Winograd of complex numbers"):
        winograd.forward(x + 1j, w, m=2)
    with pytest.raises(TypeError, match="in int32: wanted real numbers, or object"):
        winograd.forward(x, w, m=2, dtype="int32")
