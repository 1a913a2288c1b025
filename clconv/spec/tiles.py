"""Halo tiles along one spatial axis: which part of the one side belongs to a part of the other.

With pixel i lying at i*spread, window p spans the places [p*stride - low, p*stride - low + extent).
A tile's own padding makes its windows the same ones, counted from its first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from clconv.spec.geometry import Geometry, Padding, Sizes

Range = tuple[int, int]  # [first, end)


class Axis(NamedTuple):
    """How windows walk along one axis of an image."""

    size: int  # pixels
    spread: int
    extent: int
    stride: int
    low: int
    high: int
    windows: int

    @property
    def all_meet_pixels(self) -> bool:
        """Whether every window spans a pixel, where none are spread apart."""
        return self.low < self.extent and (self.windows - 1) * self.stride - self.low < self.size


class Tile(NamedTuple):
    """Pixels and windows that belong together, and the padding of those pixels alone."""

    pixels: Range
    windows: Range
    padding: tuple[int, int]


def axes_of(
    input: Sizes, spread: Sizes, extent: Sizes, stride: Sizes, padding: Padding, output: Sizes
) -> Iterator[Axis]:
    """Yield the axes of an image."""
    for n, gap, reach, step, (low, high), windows in zip(
        input, spread, extent, stride, padding, output, strict=True
    ):
        yield Axis(n, gap, reach, step, low, high, windows)


def axes_of_geometry(geometry: Geometry) -> list[Axis]:
    """Return the axes of an image whose pixels lie beside each other."""
    g = geometry
    ones = (1,) * g.rank
    return list(axes_of(g.input, ones, g.extent, g.stride, g.padding, g.output))


def tile_of_windows(axis: Axis, windows: Range) -> Tile:
    """Return the tile of some windows: with every pixel that they span, and at least one."""
    first, end = windows
    at = first * axis.stride - axis.low
    reach = at + (end - first - 1) * axis.stride + axis.extent
    start = min(max(-(-at // axis.spread), 0), axis.size - 1)
    stop = min(max((reach - 1) // axis.spread + 1, start + 1), axis.size)
    if end == axis.windows:  # all that is left: high padding is counted from the image's end
        stop = axis.size
    return _tile(axis, (start, stop), windows)


def tile_of_pixels(axis: Axis, pixels: Range) -> Tile:
    """Return the tile of some pixels: with every window that spans one, and at least one."""
    first, last = pixels[0] * axis.spread + axis.low, (pixels[1] - 1) * axis.spread + axis.low
    start = -((axis.extent - 1 - first) // axis.stride)
    # No later than the first pixel, or padding would be negative.
    start = max(min(start, first // axis.stride, axis.windows - 1), 0)
    stop = min(max(last // axis.stride, start), axis.windows - 1) + 1
    return _tile(axis, pixels, (start, stop))


def _tile(axis: Axis, pixels: Range, windows: Range) -> Tile:
    low = axis.low + pixels[0] * axis.spread - windows[0] * axis.stride
    if windows[1] == axis.windows:
        return Tile(pixels, windows, (low, axis.high + (axis.size - pixels[1]) * axis.spread))
    spanned = (windows[1] - windows[0] - 1) * axis.stride + axis.extent
    places = (pixels[1] - pixels[0] - 1) * axis.spread + 1
    return Tile(pixels, windows, (low, spanned - low - places))
