"""Where the taps of a deformable convolution lie, and what stands there.

A tap lies at base + offset along each axis: base = s_p + t*dilation is whole, the offset is not.
The sum is not formed in floating point, for a large base would swallow a small offset and with it
the weight that it is. Instead, with rest = |offset - trunc(offset)|, which is exact,

    offset >= trunc(offset):  low corner base + trunc(offset),      weights 1 - rest and rest
    offset <  trunc(offset):  low corner base + trunc(offset) - 1,  weights rest and 1 - rest

Of the two weights of an axis one is exact and the other is rounded once, however small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .arguments import check_shape, conv_axes
from .arrays import Array, widen
from .matrices import split_channels
from .windows import Axes, counts

FAR = 2.0**62  # as far as an offset goes: outside every image, and an int64 with room to add


class Sampling(NamedTuple):
    """The checked problem: windows, groups, and every tensor in one dtype."""

    axes: Axes
    offset_groups: int
    x: Array  # (N, C, *spatial)
    w: Array  # (O, C/groups, *kernel)
    offset: Array  # (N, offset_groups, taps, rank, *out)
    mask: Array  # (N, offset_groups, taps, *out)


class Corner(NamedTuple):
    """One corner of the cell that each sample is in; arrays (N, offset_groups, *out)."""

    inside: Array
    at: tuple[Array, ...]  # an index per axis, 0 where outside
    weight: Array
    slopes: tuple[Array, ...]  # the weight's derivative along each axis


def sampling(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    offset: npt.ArrayLike,
    mask: npt.ArrayLike | None,
    *,
    offset_groups: int,
    **options: Any,
) -> Sampling:
    """The arguments of deform_conv, checked, in one wide floating dtype.

    Raises
    ------
    ValueError : the shapes do not fit, or an offset is not finite
    """
    axes = conv_axes(np.shape(x), np.shape(w), **options)
    batch, channels = np.shape(x)[:2]
    if offset_groups < 1 or channels % offset_groups:
        raise ValueError(f"offset_groups={offset_groups} does not divide C={channels} of x")
    tap_count, rank = math.prod(axis.taps for axis in axes), len(axes)
    out = counts(axes)
    if mask is None:
        mask = np.ones((batch, offset_groups * tap_count, *out), dtype=bool)
    x, w, offset, mask, _ = widen(x, w, offset, mask, np.zeros(0, np.float16))
    if x.dtype.kind == "c":
        raise ValueError("deform_conv takes no complex numbers")
    check_shape("offset", offset.shape, (batch, offset_groups * tap_count * rank, *out))
    check_shape("mask", mask.shape, (batch, offset_groups * tap_count, *out))
    if not np.isfinite(offset).all():
        raise ValueError("offset has to be finite: it holds NaN or infinity")
    return Sampling(
        axes,
        offset_groups,
        x,
        w,
        offset.reshape(batch, offset_groups, tap_count, rank, *out),
        mask.reshape(batch, offset_groups, tap_count, *out),
    )


def corners(problem: Sampling, tap: Sequence[int], number: int) -> Iterator[Corner]:
    """The corners of the cells in which tap `tap`, the `number`-th, lies in every window."""
    axes, rank = problem.axes, len(problem.axes)
    lows, shares = [], []
    for i, axis in enumerate(axes):
        base = np.array(axis.starts) + tap[i] * axis.dilation
        low, weights = split(problem.offset[:, :, number, i])
        lows.append(base.reshape(-1, *(1,) * (rank - 1 - i)) + low)
        shares.append(weights)
    for corner in product((0, 1), repeat=rank):
        at = [low + each for low, each in zip(lows, corner, strict=True)]
        inside = np.ones(at[0].shape, dtype=bool)
        for each, axis in zip(at, axes, strict=True):
            inside &= (each >= 0) & (each < axis.size)
        factors = [weights[each] for weights, each in zip(shares, corner, strict=True)]
        slopes = tuple(
            (1 if corner[i] else -1)
            * math.prod(factors[:i] + factors[i + 1 :], start=np.ones_like(factors[i]))
            for i in range(rank)
        )
        weight = math.prod(factors[1:], start=factors[0])
        yield Corner(inside, tuple(np.where(inside, each, 0) for each in at), weight, slopes)


def split(offset: Array) -> tuple[Array, tuple[Array, Array]]:
    """The whole number below each offset, and the weights of the corners below and above."""
    whole = np.trunc(offset)
    rest = abs(offset - whole)
    behind = offset < whole
    low = np.clip(whole, -FAR, FAR).astype(np.int64) - behind
    return low, (np.where(behind, rest, 1 - rest), np.where(behind, 1 - rest, rest))


def sample(
    problem: Sampling,
    tap: Sequence[int],
    number: int,
    slope_along: int | None = None,
    absolute: bool = False,
) -> Array:
    """v, what every window has under a tap: (N, C, *out); or its derivative along an axis.

    With `absolute`, the derivative's weights lose their signs.
    """
    x = by_offset_group(problem.x, problem.offset_groups)
    out = counts(problem.axes)
    v = np.zeros((*x.shape[:3], *out), x.dtype)
    for corner in corners(problem, tap, number):
        weight = corner.weight if slope_along is None else corner.slopes[slope_along]
        weight = abs(weight) if absolute else weight
        values = np.where(corner.inside[:, :, None], x[cell_index(x.shape, corner)], 0)
        v += weight[:, :, None] * values
    return v.reshape(*problem.x.shape[:2], *out)


def add_sample_adjoint(
    dx: Array, g: Array, problem: Sampling, tap: Sequence[int], number: int
) -> None:
    """Share g (N, C, *out) out to the elements of dx by the corners' weights."""
    image = by_offset_group(dx, problem.offset_groups)
    g = by_offset_group(g, problem.offset_groups)
    for corner in corners(problem, tap, number):
        share = corner.weight[:, :, None] * np.where(corner.inside[:, :, None], g, 0)
        np.add.at(image, cell_index(image.shape, corner), share)


def cell_index(shape: Sequence[int], corner: Corner) -> tuple[Array, ...]:
    """The index of a corner in an image (N, offset_groups, channels, *spatial), for all of out."""
    rank = len(corner.at)
    leading = np.ogrid[tuple(slice(size) for size in shape[:3])]
    spread = (each.reshape(*each.shape, *(1,) * rank) for each in leading)
    return (*spread, *(each[:, :, None] for each in corner.at))


def by_offset_group(a: Array, offset_groups: int) -> Array:
    """a (N, C, ...) as (N, offset_groups, C/offset_groups, ...), a view."""
    return split_channels(a, offset_groups)


def over_channels(a: Array, offset_groups: int) -> Array:
    """a (N, C, *out) summed within every offset group: (N, offset_groups, *out)."""
    total: Array = by_offset_group(a, offset_groups).sum(axis=2)
    return total


def masked(v: Array, problem: Sampling, number: int) -> Array:
    """v (N, C, *out), every offset group times its mask for the tap."""
    groups = by_offset_group(v, problem.offset_groups)
    return (groups * problem.mask[:, :, number][:, :, None]).reshape(v.shape)
