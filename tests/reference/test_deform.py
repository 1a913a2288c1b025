"""reference/deform.py: without displacement it is conv, and its gradients."""

import re

import numpy as np
import pytest

from clconv.reference import conv, deform_conv, deform_conv_backward
from clconv.reference.deform import deform_conv_backward_magnitude

CASES = {
    "1d": ((2, 3, 9), (4, 3, 3), {"padding": 1, "stride": 2}),
    "2d": ((1, 4, 6, 5), (2, 4, 3, 2), {"padding": ((1, 0), (0, 1))}),
    "2d_groups": ((2, 4, 7, 6), (6, 2, 2, 3), {"groups": 2, "offset_groups": 4, "dilation": 2}),
    "3d": ((1, 2, 4, 3, 5), (2, 2, 2, 2, 2), {"offset_groups": 2, "stride": (1, 1, 2)}),
}
EACH = pytest.mark.parametrize(("x_shape", "w_shape", "keywords"), CASES.values(), ids=CASES)


def problem(x_shape, w_shape, keywords, seed=0):
    """x, w, whole offsets, mask and dy, all integers as float64."""
    rng = np.random.default_rng(seed)
    options = {key: value for key, value in keywords.items() if key != "offset_groups"}
    x, w = (rng.integers(-5, 6, shape) * 1.0 for shape in (x_shape, w_shape))
    y = conv(x, w, **options)
    taps = keywords.get("offset_groups", 1) * int(np.prod(w_shape[2:]))
    rank = len(x_shape) - 2
    offset = rng.integers(-3, 4, (x_shape[0], taps * rank, *y.shape[2:])) * 1.0
    mask = rng.integers(-3, 4, (x_shape[0], taps, *y.shape[2:])) * 1.0
    dy = rng.integers(-5, 6, y.shape) * 1.0
    return x, w, offset, mask, dy, y


@EACH
def test_without_displacement_it_is_conv(x_shape, w_shape, keywords):
    x, w, offset, mask, _, y = problem(x_shape, w_shape, keywords)
    np.testing.assert_array_equal(deform_conv(x, w, 0 * offset, **keywords), y)
    bias = np.arange(w_shape[0])
    np.testing.assert_array_equal(
        deform_conv(x, w, 0 * offset, 0 * mask + 2, bias, **keywords),
        2 * y + bias.reshape(-1, *(1,) * (len(x_shape) - 2)),
    )


@EACH
def test_gradients_are_adjoint_where_it_is_linear(x_shape, w_shape, keywords):
    x, w, offset, mask, dy, _ = problem(x_shape, w_shape, keywords)
    offset = offset / 4  # quarters are exact
    y = deform_conv(x, w, offset, mask, **keywords)
    dx, dw, _, dmask = deform_conv_backward(dy, x, w, offset, mask, **keywords)
    assert (y * dy).sum() == (x * dx).sum() == (w * dw).sum() == (mask * dmask).sum()


@EACH
def test_the_gradient_of_the_offset_is_a_difference(x_shape, w_shape, keywords):
    x, w, offset, mask, dy, _ = problem(x_shape, w_shape, keywords)
    offset = offset / 2 + 0.25  # inside a cell, x is linear along each axis
    _, _, doffset, _ = deform_conv_backward(dy, x, w, offset, mask, **keywords)
    assert doffset.shape == offset.shape
    rng = np.random.default_rng(1)
    for _ in range(10):
        at = tuple(rng.integers(0, offset.shape))
        ahead, behind = offset.copy(), offset.copy()
        ahead[at] += 0.125
        behind[at] -= 0.125
        change = deform_conv(x, w, ahead, mask, **keywords) - deform_conv(
            x, w, behind, mask, **keywords
        )
        assert (change * dy).sum() * 4 == doffset[at]


def test_interpolation_and_its_edge():
    x, w = np.array([[[4.0, 8.0]]]), np.ones((1, 1, 1))
    for shift, expected in [(0.25, [5, 6]), (-0.5, [2, 6]), (-1, [0, 4]), (9, [0, 0])]:
        offset = np.full((1, 1, 2), float(shift))
        assert deform_conv(x, w, offset).tolist() == [[expected]]
    _, _, doffset, dmask = deform_conv_backward(np.ones((1, 1, 2)), x, w, np.zeros((1, 1, 2)))
    assert doffset.tolist() == [[[4, -8]]]  # to the right
    assert dmask is None


def test_a_tiny_offset_keeps_its_weight():
    """position = 5 + 1e-20 would be 5: the weight of the next element would be lost."""
    x, w = np.array([[[0.0, 0, 0, 0, 1, 0, 1]]]), np.ones((1, 1, 1))
    for tiny in (1e-20, -1e-20):
        offset = np.full((1, 1, 7), tiny)
        y = deform_conv(x, w, offset)
        assert y[0, 0, 5] == np.longdouble(1e-20)
        assert y[0, 0, 4] == y[0, 0, 6] == np.longdouble(1) - np.longdouble(1e-20)


@pytest.mark.parametrize("huge", [3.0e9, -3.0e9, 1e30, -1e30])
def test_huge_offsets_are_outside(huge):
    x, w = np.ones((1, 1, 4)), np.ones((1, 1, 1))
    y = deform_conv(x, w, np.full((1, 1, 4), huge))
    assert not y.any()


def test_an_infinity_reaches_only_the_samples_around_it():
    x, w = np.array([[[np.inf, 1, 2, 3]]]), np.ones((1, 1, 1))
    y = deform_conv(x, w, np.full((1, 1, 4), 1.0))
    assert y.tolist() == [[[1, 2, 3, 0]]]
    dy = np.array([[[0, 0, 0, np.inf]]])  # a sample that is outside
    with np.errstate(invalid="ignore"):
        dx, *_ = deform_conv_backward(dy, x, w, np.full((1, 1, 4), 1.0))
    assert dx.tolist() == [[[0, 0, 0, 0]]]


@EACH
def test_magnitudes_are_of_absolute_values(x_shape, w_shape, keywords):
    x, w, offset, mask, dy, _ = problem(x_shape, w_shape, keywords)
    offset = offset / 4
    arguments = (dy, x, w, offset, mask)
    magnitudes = deform_conv_backward_magnitude(*arguments, **keywords)
    absolute = [abs(each) for each in (dy, x, w)]
    others = deform_conv_backward(*absolute, offset, abs(mask), **keywords)
    for magnitude, gradient, other in zip(
        magnitudes, deform_conv_backward(*arguments, **keywords), others, strict=True
    ):
        assert magnitude.shape == gradient.shape
        assert (magnitude >= abs(gradient)).all()
        assert (magnitude >= abs(other)).all()
    for i in (0, 1, 3):
        np.testing.assert_array_equal(magnitudes[i], others[i])
    assert (magnitudes[2] > abs(others[2])).any()  # slopes of both signs
    assert deform_conv_backward_magnitude(*arguments[:4], **keywords)[3] is None


def test_integers_are_interpolated_too():
    y = deform_conv([[[4, 8]]], [[[1]]], [[[0.5, 0.5]]])
    assert y.tolist() == [[[6, 4]]]


def test_refuses():
    x, w, offset, mask, dy, _ = problem(*CASES["2d"])
    with pytest.raises(ValueError, match=re.escape("does not fit: wanted (1, 12, 4, 4)")):
        deform_conv(x, w, offset[:, 1:])
    with pytest.raises(ValueError, match=re.escape("does not fit: wanted (1, 6, 5, 5)")):
        deform_conv(x, w, offset, mask[:, 1:], padding=((1, 0), (0, 1)))
    with pytest.raises(ValueError, match="offset_groups=3 does not divide C=4"):
        deform_conv(x, w, offset, offset_groups=3)
    with pytest.raises(ValueError, match="no complex numbers"):
        deform_conv(x * 1j, w, offset, padding=((1, 0), (0, 1)))
    with pytest.raises(ValueError, match="offset has to be finite"):
        deform_conv(x, w, offset * 0 + np.inf, padding=((1, 0), (0, 1)))
    with pytest.raises(ValueError, match=r"dy \(.* does not fit"):
        deform_conv_backward(dy[:, :1], x, w, offset, padding=((1, 0), (0, 1)))


def test_empty_batch():
    x, w, offset, mask, dy, _ = problem(*CASES["1d"])
    keywords = CASES["1d"][2]
    empty = [each[:0] for each in (x, offset, mask, dy)]
    assert deform_conv(empty[0], w, *empty[1:3], **keywords).shape == empty[3].shape
    gradients = deform_conv_backward(empty[3], empty[0], w, *empty[1:3], **keywords)
    assert [each.shape for each in gradients] == [
        each.shape for each in (empty[0], w, empty[1], empty[2])
    ]
