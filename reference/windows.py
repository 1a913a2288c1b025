"""Which elements a window touches: the geometry under convolution and pooling alike.

Along one axis of `size` elements, a window of `taps` elements, `dilation` apart, spans

    extent = dilation*(taps - 1) + 1

elements. It starts at -low, in the padding before element 0, and moves on by `stride` as long as
it fits into the padded axis, which ends at size + high:

                low        size       high
               . . . [0][1][2][3][4] . .
               *   *     *                  window 0: starts at -low = -3; taps=3, dilation=2
                   *     *     *            window 1: starts at -1; stride=2
                         *     *     *      window 2: ends in the padding; a fourth is too far

Tap i of the window that starts at s lies on element s + i*dilation; where that is outside
[0, size), it lies on the padding. The number of windows is the output size. Textbooks give it as
floor((size + low + high - extent)/stride) + 1; here the windows are walked and counted instead,
so that the formula, which others rely on, can be checked against something.

References
----------
Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from .arrays import Array

PerAxis = int | Sequence[int]
Padding = int | str | Sequence[int | Sequence[int]]
PADDING_WORDS = ("same", "same_lower", "valid")
Index = tuple[Any, ...]  # of an array, behind an ellipsis


def window_starts(
    size: int, extent: int, stride: int, low: int, high: int, ceil_mode: bool = False
) -> list[int]:
    """Where the windows along one axis start, counted from element 0 of the image.

    A window fits if it ends inside the padded axis. With `ceil_mode` it may also overhang the
    padded edge, by less than one stride, if it starts inside the image or the low padding.

    >>> window_starts(size=7, extent=3, stride=3, low=1, high=0)
    [-1, 2]
    >>> window_starts(size=7, extent=3, stride=3, low=1, high=0, ceil_mode=True)
    [-1, 2, 5]
    """

    def fits(start: int) -> bool:
        overhang = start + extent - (size + high)
        return overhang <= 0 or (ceil_mode and overhang < stride and start < size)

    return [start for start in range(-low, size + high, stride) if fits(start)]


@dataclass(frozen=True)
class Axis:
    """One spatial axis of an image and the windows on it; sizes in elements."""

    size: int
    taps: int
    stride: int
    dilation: int
    low: int
    high: int
    ceil_mode: bool = False

    @property
    def extent(self) -> int:
        """From the first to the last tap of a window, both included."""
        return extent_of(self.taps, self.dilation)

    @cached_property
    def starts(self) -> list[int]:
        """The start of every window, in image coordinates."""
        return window_starts(
            self.size, self.extent, self.stride, self.low, self.high, self.ceil_mode
        )

    @property
    def count(self) -> int:
        """How many windows there are: the output size."""
        return len(self.starts)

    @property
    def padded_end(self) -> int:
        """Where the padded axis ends in image coordinates, an overhanging window included."""
        return max(self.size + self.high, self.starts[-1] + self.extent)

    def touched(self, tap: int) -> slice:
        """The elements, in padded coordinates, that tap `tap` touches in window 0, 1, 2, ..."""
        first = tap * self.dilation
        return slice(first, first + (self.count - 1) * self.stride + 1, self.stride)


Axes = tuple[Axis, ...]


def extent_of(taps: int, dilation: int) -> int:
    """The elements spanned by `taps` taps that lie `dilation` apart."""
    return dilation * (taps - 1) + 1


def per_axis(name: str, value: PerAxis, rank: int, least: int | None = 1) -> tuple[int, ...]:
    """One whole number for each of `rank` axes: `value` itself, or `value` repeated.

    None for `least` allows any number.

    Raises
    ------
    ValueError : the wrong number of values, or one below `least`
    """
    values = tuple(value) if isinstance(value, Sequence | np.ndarray) else (value,) * rank
    if len(values) != rank:
        raise ValueError(f"{name}={value} has {len(values)} values for {rank} spatial axes")
    if least is not None and min(values) < least:
        raise ValueError(f"{name}={value} is below the least allowed value, {least}")
    return tuple(operator.index(each) for each in values)


def padding_pairs(
    padding: Padding,
    spatial: Sequence[int],
    extents: Sequence[int],
    strides: Sequence[int],
    least: int | None = 0,
) -> tuple[tuple[int, int], ...]:
    """Any way of writing padding as one (low, high) pair per axis.

    An int holds for every side; a sequence has per axis an int or a (low, high) pair. "valid"
    is none. "same" is as much as makes the output ceil(size/stride) long, the odd element high,
    as in torch, TensorFlow, JAX and ONNX's SAME_UPPER; "same_lower" has it low:

        total = max((ceil(size/stride) - 1)*stride + extent - size, 0),  low = total//2

    Raises
    ------
    ValueError : an unknown word, the wrong number of values, or one below `least` (None: any)
    """
    rank = len(spatial)
    if isinstance(padding, str):
        if padding not in PADDING_WORDS:
            wanted = "', '".join(PADDING_WORDS)
            raise ValueError(f"padding={padding!r} is unknown: wanted numbers or one of '{wanted}'")
        if padding == "valid":
            return ((0, 0),) * rank
        sizes = zip(spatial, extents, strides, strict=True)
        totals = [max((-(-size // s) - 1) * s + extent - size, 0) for size, extent, s in sizes]
        halves = [(total // 2, total - total // 2) for total in totals]
        return tuple((b, a) if padding == "same_lower" else (a, b) for a, b in halves)
    sides = (padding,) * rank if isinstance(padding, int | np.integer) else tuple(padding)
    if len(sides) != rank:
        raise ValueError(f"padding={padding} has {len(sides)} values for {rank} spatial axes")
    pairs = [per_axis("padding", side, 2, least) for side in sides]
    return tuple((low, high) for low, high in pairs)


def make_axes(
    spatial: Sequence[int],
    kernel_size: PerAxis,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Axes:
    """The spatial axes of an image of size `spatial`, with the windows on each.

    Raises
    ------
    ValueError : a number out of range, or a window that is larger than the padded image
    """
    rank = len(spatial)
    taps = per_axis("kernel_size", kernel_size, rank)
    strides = per_axis("stride", stride, rank)
    dilations = per_axis("dilation", dilation, rank)
    extents = tuple(map(extent_of, taps, dilations))
    pairs = padding_pairs(padding, spatial, extents, strides)
    axes = tuple(
        Axis(size, k, s, d, low, high, ceil_mode)
        for size, k, s, d, (low, high) in zip(spatial, taps, strides, dilations, pairs, strict=True)
    )
    for axis in axes:
        if axis.count == 0:
            raise ValueError(
                f"kernel_size={axis.taps} with dilation={axis.dilation} spans {axis.extent} "
                f"elements, more than the {axis.low + axis.size + axis.high} of the padded image: "
                f"size {axis.size}, padding ({axis.low}, {axis.high})"
            )
    return axes


def taps(axes: Axes) -> Iterator[tuple[tuple[int, ...], Index]]:
    """Every tap of the window in row-major order, with the part of the padded image it touches.

    For `tap, touched in taps(axes)`, element p of `padded[touched]` is what window p has under
    that tap: the shift that turns a convolution into a sum of products of whole images.
    """
    for tap in product(*(range(axis.taps) for axis in axes)):
        slices = (axis.touched(each) for axis, each in zip(axes, tap, strict=True))
        yield tap, (..., *slices)


def counts(axes: Axes) -> tuple[int, ...]:
    """The output size: how many windows fit along each axis."""
    return tuple(axis.count for axis in axes)


def padded_sizes(axes: Axes) -> tuple[int, ...]:
    """The size of the padded image."""
    return tuple(axis.low + axis.padded_end for axis in axes)


def pad(x: Array, axes: Axes, value: float = 0) -> Array:
    """`x` (..., *spatial) inside its padding, filled with `value`: (..., *padded)."""
    leading = x.shape[: x.ndim - len(axes)]
    padded = np.full((*leading, *padded_sizes(axes)), value, dtype=x.dtype)
    padded[inside(axes)] = x
    return padded


def crop(padded: Array, axes: Axes) -> Array:
    """The image inside `padded` (..., *padded): the adjoint of padding with zeros."""
    image: Array = padded[inside(axes)]
    return image


def inside(axes: Axes) -> Index:
    """The index of the image within its padding."""
    return (..., *(slice(axis.low, axis.low + axis.size) for axis in axes))


def spread(a: Array, number: int, step: int, low: int, high: int) -> Array:
    """`a` with step - 1 zeros between its elements along axis `number`, then padded with zeros.

    Element i comes to lie at low + i*step. Negative padding cuts elements off, zeros first where
    there are any between.

    >>> spread(np.array([1, 2, 3]), 0, step=2, low=1, high=-1)
    array([0, 1, 0, 2, 0])

    Raises
    ------
    ValueError : padding that cuts off more than there is
    """
    size = a.shape[number]
    spread_size = max(step * (size - 1) + 1, 0)
    length = spread_size + low + high
    if length < 0:
        raise ValueError(f"padding ({low}, {high}) cuts off more than the {spread_size} elements")
    at = low + step * np.arange(size)
    kept = np.flatnonzero((at >= 0) & (at < length))
    image = np.zeros((*a.shape[:number], length, *a.shape[number + 1 :]), dtype=a.dtype)
    image[(slice(None),) * number + (at[kept],)] = a.take(kept, axis=number)
    return image


def gather(image: Array, number: int, size: int, step: int, low: int) -> Array:
    """The `size` elements that `spread` laid along axis `number`, zeros where it cut them off.

    It is the adjoint of `spread`.

    >>> gather(np.array([5, 1, 0, 2]), 0, size=3, step=2, low=1)
    array([1, 2, 0])
    """
    at = low + step * np.arange(size)
    kept = np.flatnonzero((at >= 0) & (at < image.shape[number]))
    a = np.zeros((*image.shape[:number], size, *image.shape[number + 1 :]), dtype=image.dtype)
    a[(slice(None),) * number + (kept,)] = image.take(at[kept], axis=number)
    return a
