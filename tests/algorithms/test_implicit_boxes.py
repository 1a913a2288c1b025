"""clconv/algorithms/implicit_boxes.py: what a work-item takes has room in its tables."""

from __future__ import annotations

from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clconv.algorithms.axes import Axis, taps_of
from clconv.algorithms.gemm import Tile, panels
from clconv.algorithms.implicit_boxes import (
    ROWS,
    box_of,
    box_of_rows,
    even,
    staged_elements,
    tiles_kept,
)

AXES = st.builds(
    lambda windows, stride, dilation, taps: Axis(0, windows, stride, dilation, 0, taps),
    *(st.integers(1, 300), st.integers(1, 5), st.integers(1, 70), st.integers(0, 9)),
)
WALKS = st.tuples(AXES, AXES, AXES)
KEPT = st.integers(1, 400)
TILE = st.sampled_from([Tile(8, 2, 16), Tile(8, 1, 16), Tile(6, 1, 16), Tile(8, 1, 8)])


def pixels_under(axes, windows):
    """As staged.clh has it."""
    sizes = []
    for axis, count in zip(axes, windows, strict=True):
        taps, stride = max(axis.taps, 1), axis.stride if axis.taps > 1 else 1
        sizes.append((count - 1) * stride + (taps - 1) * axis.dilation + 1)
    return prod(sizes)


@settings(deadline=None, max_examples=200)
@given(WALKS, st.integers(0, 20), st.integers(0, 3000), st.integers(1, 600), TILE, KEPT)
def test_boxes_have_room(axes, batch, channels, lanes, tile, tiles):
    box = box_of(axes, batch, channels, lanes, tile, "float32", tiles)
    if box is None:
        smallest = pixels_under(axes, (1, 1, 1))
        assert smallest > staged_elements("float32") or taps_of(axes) > ROWS
        return
    assert box.pixels == pixels_under(axes, box.windows[1:])
    assert box.images * box.channels * box.pixels <= staged_elements("float32")
    assert box.channels * taps_of(axes) <= ROWS
    assert panels(box.positions, tile.mr) * box.panels <= tiles
    assert 1 <= box.channels <= max(channels, 1)


@settings(deadline=None, max_examples=200)
@given(WALKS, st.integers(0, 20), st.integers(1, 3000), st.integers(1, 600), TILE, KEPT)
def test_boxes_of_rows_have_room(axes, batch, channels, lanes, tile, tiles):
    box = box_of_rows(axes, batch, channels, lanes, tile, "float32", tiles)
    if box is None:
        return
    taps = taps_of(axes)
    # Wherever a share begins, the channels that it touches are staged.
    touched = max(
        (min(first + box.share, channels * taps) - 1) // taps - first // taps + 1
        for first in range(0, channels * taps, box.share)
    )
    assert box.images * touched * box.pixels <= staged_elements("float32")
    assert box.positions <= ROWS
    assert panels(box.share, tile.mr) * box.panels <= tiles
    # An outer axis is cut only where the inner ones are whole.
    totals = (max(batch, 1), *(axis.windows for axis in axes))
    cut = [index for index, total in enumerate(totals) if box.windows[index] < total]
    assert all(box.windows[index] == 1 for index in range(max(cut, default=0)))


@pytest.mark.parametrize(("total", "most", "size"), [(56, 6, 6), (56, 9, 8), (7, 7, 7), (9, 8, 5)])
def test_even(total, most, size):
    assert even(total, most) == size


def test_sums_are_kept_in_half_of_a_small_local_memory():
    assert tiles_kept(Tile(6, 1, 16), "float32", 2**20) == 341
    assert tiles_kept(Tile(6, 1, 16), "float64", 64 * 2**10) == 42
