"""reference/windows.py: counted windows against the formulas that others use."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clconv.reference import windows
from clconv.reference.windows import crop, make_axes, pad, padding_pairs, taps, window_starts

SIZES = st.integers(1, 40)
SMALL = st.integers(1, 7)
PADDING = st.integers(0, 9)


@settings(deadline=None)
@given(size=SIZES, k=SMALL, dilation=SMALL, stride=SMALL, low=PADDING, high=PADDING)
def test_count_is_the_floor_formula(size, k, dilation, stride, low, high):
    extent = dilation * (k - 1) + 1
    count = (size + low + high - extent) // stride + 1
    assert len(window_starts(size, extent, stride, low, high)) == max(count, 0)


@settings(deadline=None)
@given(size=SIZES, k=SMALL, dilation=SMALL, stride=SMALL, padding=PADDING)
def test_ceil_mode_count_is_the_formula_of_torch(size, k, dilation, stride, padding):
    extent = dilation * (k - 1) + 1
    assume(2 * padding <= extent)
    count = -((extent - size - 2 * padding) // stride) + 1
    if (count - 1) * stride >= size + padding:
        count -= 1
    assert len(window_starts(size, extent, stride, padding, padding, True)) == max(count, 0)


@settings(deadline=None)
@given(size=SIZES, k=SMALL, dilation=SMALL, stride=SMALL)
def test_same_padding_makes_one_window_for_every_stride(size, k, dilation, stride):
    (axis,) = make_axes((size,), k, stride=stride, padding="same", dilation=dilation)
    assert axis.count == math.ceil(size / stride)
    assert 0 <= axis.high - axis.low <= 1


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        (np.int64(2), ((2, 2), (2, 2))),
        ((1, 3), ((1, 1), (3, 3))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ([[1, 2], 5], ((1, 2), (5, 5))),
        (np.array([[1, 2], [3, 4]]), ((1, 2), (3, 4))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((1, 1), (0, 1))),
    ],
)
def test_padding_in_every_spelling(padding, expected):
    assert padding_pairs(padding, (6, 5), extents=(3, 2), strides=(1, 1)) == expected


def test_strided_same_padding_may_be_none():
    assert padding_pairs("same", (9, 10), extents=(3, 1), strides=(2, 4)) == ((1, 1), (0, 0))


def test_taps_show_what_every_window_touches():
    axes = make_axes((6,), 3, stride=2, padding=((1, 2),), dilation=2)
    image = pad(np.arange(1, 7), axes)
    assert [image[touched].tolist() for _, touched in taps(axes)] == [
        [0, 2, 4],
        [2, 4, 6],
        [4, 6, 0],
    ]


def test_taps_are_in_row_major_order():
    axes = make_axes((3, 4), (2, 2))
    assert [tap for tap, _ in taps(axes)] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_pad_reaches_to_the_end_of_an_overhanging_window_and_crop_undoes_it():
    axes = make_axes((5, 4), 2, stride=(2, 3), padding=(0, 1), ceil_mode=True)
    x = np.arange(40).reshape(2, 5, 4)
    padded = pad(x, axes, value=-1)
    assert padded.shape == (2, 6, 6)
    assert (padded == -1).sum() == padded.size - x.size
    np.testing.assert_array_equal(crop(padded, axes), x)


def test_examples_in_docstrings():
    assert doctest.testmod(windows).failed == 0
