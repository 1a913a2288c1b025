"""Turns what users write into what problems hold, or says what is wrong with it."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence, Set
from typing import Any, SupportsFloat

from clconv.errors import GeometryError
from clconv.spec.geometry import SPATIAL_RANKS, Geometry, Padding, Sizes, same_padding

Axes = int | Sequence[int]  # one for all axes, or one per axis
PaddingLike = str | int | Sequence[int] | Sequence[tuple[int, int]]


def integer(name: str, value: Any) -> int:
    """Return `value` as an int; numpy's integers pass, booleans and floats do not."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


def real(name: str, value: Any) -> float:
    """Return `value` as a float; booleans and strings do not pass."""
    if type(value) in (int, float):  # asking for a protocol takes a while
        pass
    elif isinstance(value, bool | str) or not isinstance(value, SupportsFloat):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} {value} is too large") from None


def sizes(name: str, value: Any) -> Sizes:
    """Return a sequence of integers as a tuple."""
    return tuple(integer(name, entry) for entry in _entries(name, value))


def _entries(name: str, value: Any) -> tuple[Any, ...]:
    """Return a sequence as a tuple; a set has no order, and text no integers."""
    try:
        if isinstance(value, str | bytes | Set | Mapping):
            raise TypeError
        return tuple(value)
    except TypeError:
        raise TypeError(f"{name} must be a sequence of integers, got {value!r}") from None


def per_axis(name: str, value: Any, rank: int) -> Sizes:
    """Return an int, or one per axis, as one per axis."""
    if not hasattr(value, "__len__"):
        return (integer(name, value),) * rank
    given = sizes(name, value)
    if len(given) != rank:
        raise GeometryError(f"{name} {given} must have one entry for each of {rank} spatial axes")
    return given


def padding_pairs(
    value: Any, input: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> Padding:
    """Return padding as (low, high) pairs; `value` as the public functions document it."""
    if isinstance(value, str):
        if value == "valid":
            return ((0, 0),) * len(input)
        if value in ("same", "same_lower"):
            return same_padding(input, kernel, stride, dilation, lower=value == "same_lower")
        raise ValueError(f"padding must be 'same', 'same_lower', 'valid' or sizes; got {value!r}")
    if not hasattr(value, "__len__"):
        return ((integer("padding", value),) * 2,) * len(input)
    entries = _entries("padding", value)
    if len(entries) != len(input):
        raise GeometryError(
            f"padding {value} must have one entry for each of {len(input)} spatial axes"
        )
    return tuple(_pair(entry) for entry in entries)


def _pair(entry: Any) -> tuple[int, int]:
    if not hasattr(entry, "__len__"):
        size = integer("padding", entry)
        return size, size
    pair = sizes("padding", entry)
    if len(pair) != 2:
        raise GeometryError(f"padding of one axis must be a size or (low, high), got {entry}")
    return pair[0], pair[1]


def window_geometry(
    input: Sizes,
    kernel: Sizes,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Geometry:
    """Return the geometry that the public keywords describe.

    Raises
    ------
    GeometryError : a size is out of range, or no window fits
    """
    rank = len(input)
    strides, dilations = per_axis("stride", stride, rank), per_axis("dilation", dilation, rank)
    # Before the padding, for "same" divides by the stride.
    for name, entries in (("kernel_size", kernel), ("stride", strides), ("dilation", dilations)):
        if min(entries) < 1:
            raise GeometryError(f"{name} must be at least 1, got {entries}")
    pairs = padding_pairs(padding, input, kernel, strides, dilations)
    if min(map(min, pairs)) < 0:
        raise GeometryError(f"padding must be at least 0, got {pairs}")
    return Geometry(input, kernel, strides, dilations, pairs, ceil_mode)


def spatial_rank(name: str, shape: Any) -> int:
    """Return how many spatial axes an image of `shape` has: 1 to 3."""
    given = sizes(name, shape)
    if len(given) - 2 not in SPATIAL_RANKS:
        raise GeometryError(f"{name} {given} must be (N, C, *spatial) with 1 to 3 spatial axes")
    return len(given) - 2


def image_shape(name: str, shape: Any, batch_axis: int = 0) -> Sizes:
    """Return the shape of an (N, C, *spatial) array, in any order; the batch alone may be 0."""
    spatial_rank(name, shape)
    given = sizes(name, shape)
    if any(size < (axis != batch_axis) for axis, size in enumerate(given)):
        raise GeometryError(f"{name} {given} must have all sizes 1 or more (N may be 0)")
    return given


def expect_shape(name: str, shape: Sizes, expected: Sizes, because: str) -> None:
    """Raise GeometryError unless `shape` is `expected`."""
    if tuple(shape) != tuple(expected):
        raise GeometryError(f"{name} has shape {tuple(shape)}, but {because} give {expected}")
