"""The boxes that implicit_gemm stages: how many windows and channels a work-item takes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from clconv.algorithms.axes import Axis, pixels_of, taps_of
from clconv.algorithms.gemm import Tile, panels
from clconv.spec.dtypes import dtype_named

STAGED_BYTES = 48 * 1024  # of image, with its padding: about a first-level cache
SUMS_BYTES = 128 * 1024  # of register tiles that a work-item keeps
WINDOWS = 64  # that meet a panel of filters while it is near, wanted at least
ROWS = 2048  # offsets of terms that are summed in one go
PANEL_TERMS = 160  # of a panel of filters, where taps use pixels again: both stay near
TERMS = 64  # of a sum, wanted at least before the sums are put aside
TERMS_OF_WINDOWS = 384  # likewise, where the sum is over windows
USES = 32  # of a staged pixel, in panels of lanes, wanted at least


@dataclass(frozen=True, slots=True)
class Box:
    """Windows along (image, d, h, w), channels staged with them, and how often they are used.

    A box serves so many panels of lanes; `share` is how many rows of X-hat stand for windows where
    windows are summed.
    """

    windows: tuple[int, int, int, int]
    channels: int
    pixels: int  # staged of one channel of one image
    panels: int
    share: int = 0

    @property
    def images(self) -> int:
        return self.windows[0]

    @property
    def positions(self) -> int:
        """Columns of X-hat."""
        return prod(self.windows)

    def count(self, axes: Sequence[Axis], batch: int) -> int:
        """Return how many boxes cover all windows."""
        totals = (batch, *(axis.windows for axis in axes))
        return prod(-(-total // taken) for total, taken in zip(totals, self.windows, strict=True))


def staged_elements(dtype: str) -> int:
    """Return the elements that STAGED_BYTES hold."""
    return STAGED_BYTES // dtype_named(dtype).itemsize_bytes


def tiles_kept(tile: Tile, dtype: str, local_memory_bytes: int) -> int:
    """Return the register tiles whose sums a work-item keeps in a device's local memory."""
    each = tile.mr * tile.nr * dtype_named(dtype).itemsize_bytes
    return max(min(SUMS_BYTES, local_memory_bytes // 2) // each, 1)


def local_bytes(tile: Tile, dtype: str, tiles: int) -> int:
    """Return the local memory of a work-item that keeps so many tiles."""
    sums = tiles * tile.mr * tile.nr * dtype_named(dtype).itemsize_bytes
    return STAGED_BYTES + sums + 4 * ROWS + 8 * tiles * tile.mr


def box_of(
    axes: Sequence[Axis],
    batch: int,
    channels: int,
    lanes: int,
    tile: Tile,
    dtype: str,
    tiles: int,
) -> Box | None:
    """Return the box for sums over `channels` and taps, which go to so many lanes.

    As many windows and panels of lanes as tiles can be kept for, with channels enough for a long
    sum; fewer of either where pixels have no room. None if not even one window of one channel has.
    """
    room, taps = staged_elements(dtype), taps_of(axes)
    if taps == 1:
        room //= 2  # a panel meets every pixel once; both stay in a first-level cache
    wanted = min(channels, -(-TERMS // taps))
    total = max(batch, 1) * prod(axis.windows for axis in axes)
    shared = min(_panels(axes, lanes, tile), max(tiles // panels(min(total, WINDOWS), tile.mr), 1))
    most = max(channels, 1) if taps == 1 else max(PANEL_TERMS // taps, 1)
    for least in (min(wanted, most), 1):
        target = tiles // shared * tile.mr
        while target:
            windows = _windows(axes, batch, target)
            pixels = pixels_of(axes, windows[1:])
            fit = min(room // (windows[0] * pixels), ROWS // taps, max(channels, 1), most)
            if fit >= min(least, ROWS // taps) > 0:
                return Box(windows, even(max(channels, 1), fit), pixels, shared)
            target //= 2
    return None


def box_of_rows(
    axes: Sequence[Axis],
    batch: int,
    channels: int,
    lanes: int,
    tile: Tile,
    dtype: str,
    tiles: int,
) -> Box | None:
    """Return the box for sums over windows, one for each row (channel, tap) of X-hat.

    Rows for a few tiles at least, so that what is staged is used; fewer where pixels have no room.
    """
    room, taps = staged_elements(dtype), taps_of(axes)
    whole, shared = panels(channels * taps, tile.mr), min(_panels(axes, lanes, tile), tiles)
    most = tiles // shared
    for least in (min(4, whole, most), 1):
        target = TERMS_OF_WINDOWS
        while target:
            windows = _windows(axes, batch, target)
            pixels = pixels_of(axes, windows[1:])
            # A share of rows that begins inside a channel touches one more.
            fit = min(room // (windows[0] * pixels), channels)
            taken = min(whole if fit == channels else (fit - 1) * taps // tile.mr, most)
            if taken >= least:
                return Box(windows, fit, pixels, shared, even(whole, taken) * tile.mr)
            target //= 2
    return None


def _panels(axes: Sequence[Axis], lanes: int, tile: Tile) -> int:
    """Return how many panels share a box: what is staged is to be used often."""
    # Windows see a pixel so often; along an axis of one tap, what they skip is not staged.
    uses = prod(axis.taps / axis.stride if axis.taps > 1 else 1 for axis in axes)
    return min(ceil(USES / uses), panels(lanes, tile.nr))


def even(total: int, most: int) -> int:
    """Return the size of equal pieces of `total`, none above `most`."""
    return -(-total // -(-total // most))


def _windows(axes: Sequence[Axis], batch: int, target: int) -> tuple[int, int, int, int]:
    """Return at most `target` windows: an axis is cut only where the inner ones are whole."""
    taken = []
    for total in (*(axis.windows for axis in reversed(axes)), max(batch, 1)):
        taken.append(even(total, max(min(total, target), 1)))
        target = target // taken[-1] if taken[-1] == total else 1
    w, h, d, n = taken
    return n, d, h, w
