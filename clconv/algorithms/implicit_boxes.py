"""The boxes that implicit_gemm stages: how many windows and channels a work-item takes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

from clconv.algorithms.gemm import Tile
from clconv.spec.dtypes import dtype_named

STAGED_BYTES = 96 * 1024  # of image, with its padding: part of a second-level cache
TILES = 48  # register tiles whose sums a work-item keeps
ROWS = 2048  # offsets of terms that are summed in one go
TERMS = 256  # of a sum, wanted at least before the sums are put aside


class Walk(Protocol):
    """What is asked of an axis; see implicit_gemm.py."""

    @property
    def windows(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def dilation(self) -> int: ...
    @property
    def taps(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Box:
    """Windows along (image, d, h, w), channels staged with them, and rows of X-hat in a share."""

    windows: tuple[int, int, int, int]
    channels: int
    pixels: int  # staged of one channel of one image
    rows: int

    @property
    def images(self) -> int:
        return self.windows[0]

    @property
    def positions(self) -> int:
        """Columns of X-hat."""
        return prod(self.windows)

    @property
    def rows_staged(self) -> int:
        """At most so many rows of pixels."""
        return self.pixels

    def count(self, axes: Sequence[Walk], batch: int) -> int:
        """Return how many boxes cover all windows."""
        totals = (batch, *(axis.windows for axis in axes))
        return prod(-(-total // taken) for total, taken in zip(totals, self.windows, strict=True))


def staged_elements(dtype: str) -> int:
    """Return the elements that STAGED_BYTES hold."""
    return STAGED_BYTES // dtype_named(dtype).itemsize_bytes


def local_bytes(tile: Tile) -> int:
    """Return the local memory of a work-item, at most."""
    return STAGED_BYTES + 8 * TILES * tile.mr * tile.nr + 4 * ROWS + 8 * TILES * tile.mr


def box_of(
    axes: Sequence[Walk], batch: int, channels: int, tile: Tile, dtype: str, *, rows: bool
) -> Box | None:
    """Return the box for sums over `channels` and taps, or, with `rows`, over windows.

    As many windows as tiles can be kept for, with channels enough for a long sum; fewer of either
    where pixels have no room. None if not even one window of one channel has.
    """
    room = staged_elements(dtype)
    taps = prod(max(axis.taps, 1) for axis in axes)
    wanted = min(channels, -(-TERMS // taps))
    most = TILES * tile.mr
    for least in (wanted, 1):
        target = most
        while target:
            windows = _windows(axes, batch, target)
            pixels = _pixels(axes, windows)
            fit = room // (windows[0] * pixels)
            if fit >= least:
                box = _filled(windows, pixels, fit, channels, taps, most, rows)
                if box is not None:
                    return box
            target //= 2
    return None


def _filled(
    windows: tuple[int, int, int, int],
    pixels: int,
    fit: int,
    channels: int,
    taps: int,
    most: int,
    rows: bool,
) -> Box | None:
    """Return the box with as many of the `fit` channels as tables and tiles have room for."""
    if rows:
        # A share of rows that begins inside a channel touches one more.
        share = min((fit - 1) * taps if fit > 1 else 1, most, channels * taps)
        return Box(windows, fit, pixels, even(channels * taps, share))
    fit = min(fit, ROWS // taps, channels)
    return Box(windows, even(channels, fit), pixels, 0) if fit else None


def even(total: int, most: int) -> int:
    """Return the size of equal pieces of `total`, none above `most`."""
    return -(-total // -(-total // most))


def _windows(axes: Sequence[Walk], batch: int, target: int) -> tuple[int, int, int, int]:
    """Return at most `target` windows: an axis is cut only where the inner ones are whole."""
    taken = []
    for total in (*(axis.windows for axis in reversed(axes)), max(batch, 1)):
        taken.append(even(total, max(min(total, target), 1)))
        target = target // taken[-1] if taken[-1] == total else 1
    w, h, d, n = taken
    return n, d, h, w


def _pixels(axes: Sequence[Walk], windows: tuple[int, int, int, int]) -> int:
    """Return the staged pixels of a channel (staged.clh, box_under)."""
    return prod(
        (count - 1) * (1 if axis.taps <= 1 else axis.stride) + (max(axis.taps, 1) - 1) * axis.dilation + 1
        for axis, count in zip(axes, windows[1:], strict=True)
    )
