"""clconv/spec/geometry.py: sizes against windows that are counted one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clconv
from clconv.reference.windows import window_starts
from clconv.spec.geometry import Geometry, output_size, same_padding

sizes = st.integers(1, 12)


@given(sizes, sizes, sizes, st.integers(0, 6), st.integers(0, 6), st.booleans())
def test_output_size_counts_the_windows(size, extent, stride, low, high, ceil_mode):
    starts = window_starts(size, extent, stride, low, high, ceil_mode)
    assert max(output_size(size, extent, stride, low, high, ceil_mode), 0) == len(starts)


@given(sizes, sizes, sizes, sizes)
def test_same_padding_keeps_the_size(size, kernel, stride, dilation):
    pairs = same_padding((size,), (kernel,), (stride,), (dilation,))
    (low, high) = pairs[0]
    assert 0 <= high - low <= 1 or high == low
    geometry = Geometry((size,), (kernel,), (stride,), (dilation,), pairs)
    assert geometry.output == (-(-size // stride),)


def test_what_kernels_are_told():
    geometry = Geometry((9, 8), (3, 2), (2, 1), (1, 3), ((1, 2), (0, 4)))
    assert geometry.output == (5, 9)
    assert geometry.macros() == {
        "FD": 1,
        "FH": 3,
        "FW": 2,
        "SD": 1,
        "SH": 2,
        "SW": 1,
        "DD": 1,
        "DH": 1,
        "DW": 3,
    }
    assert geometry.scalars() == (1, 9, 8, 1, 5, 9, 0, 1, 0)
    assert geometry.scalars(generic=True) == (*geometry.scalars(), 1, 3, 2, 1, 2, 1, 1, 1, 3)


def test_negative_high_padding_leaves_the_last_pixels_without_a_window():
    assert Geometry((9,), (3,), (1,), (1,), ((1, -4),)).output == (4,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": (4, 4)}, "must each have as many axes as the image"),
        ({"input": (2,)}, r"spans \(3,\) pixels, more than the padded image \(2,\)"),
        ({"stride": (0,)}, r"stride must be at least 1, got \(0,\)"),
        ({"padding": ((-1, 0),)}, r"low padding must be at least 0, got \(\(-1, 0\),\)"),
        ({"input": ()}, "1, 2 or 3"),
    ],
)
def test_wrong_sizes_are_refused(change, message):
    right = {
        "input": (4,),
        "kernel": (3,),
        "stride": (1,),
        "dilation": (1,),
        "padding": ((0, 0),),
    }
    with pytest.raises(clconv.GeometryError, match=message):
        Geometry(**(right | change))
