"""Deformable convolution: every tap of every window may lie anywhere, and between elements.

An ordinary window has tap t at s_p + t*dilation. Here an offset is added, another for every window
and tap, and what stands there is interpolated, and multiplied by a mask:

    y[p] = sum over t of  W[t] (mask[t, p] * x(s_p + t*dilation + offset[t, p]))

The channels of x are split into `offset_groups` blocks, each with offsets and masks of its own.

Between elements x is multilinear: along each axis, an element at distance d < 1 has the weight
1 - d, and the weight of a corner of the cell is the product over the axes. Outside the image are
zeros, so x falls to zero within one element of its edge. With f the fraction along an axis, the
weight of a corner is f or 1 - f, and its derivative with respect to the offset 1 or -1, times the
other axes' weights. On the grid, where there is a kink, that is the derivative to the right: ONNX
does not say, and torchvision does so.

In the gradients a sample v = x(...) takes the place of x[s_p + t*dilation]. With g = W[t]^T dy[p],

    dW[t]   = sum over p of  dy[p] (mask*v)^T          dmask   = sum over channels of  g * v
    dx      : mask*g, shared out by the corners' weights        (the adjoint of sampling)
    doffset = sum over channels of  mask*g * dv/doffset

y is linear in x, in w and in the mask, and the three gradients are adjoint to it.

Edge cases. An infinity or NaN in x reaches every sample in whose cell it is, even with weight zero:
0*inf is NaN. Offsets have to be finite. A sample wholly outside is zero. A batch of no images is
one again.

References
----------
Dai et al., "Deformable convolutional networks", 2017; Zhu et al., "Deformable ConvNets v2", 2019.
ONNX operators, DeformConv-19.
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
from .matrices import columns, from_tap_matrices, split_channels, tap_matrices
from .windows import Axes, Padding, PerAxis, counts, taps


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


def deform_conv(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    offset: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    offset_groups: int = 1,
) -> Array:
    """Correlate images, sampled at displaced positions, with a bank of filters.

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes; real
    w : array (O, C/groups, *kernel)
    offset : array (N, offset_groups*T*rank, *out), in elements. T is the taps of the filter and
        rank the spatial axes; an offset group varies slowest, then the tap, then the axis
    mask : array (N, offset_groups*T, *out), or None for ones
    bias : array (O,), or None for zeros
    stride, padding, dilation, groups : as in `conv`
    offset_groups : how many blocks of channels have offsets of their own; divides C

    Returns
    -------
    y : array (N, O, *out) in the wide dtype; float64 for integers

    Raises
    ------
    ValueError : the shapes do not fit
    """
    problem = sampling(
        x,
        w,
        offset,
        mask,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        offset_groups=offset_groups,
    )
    x, w, axes = problem.x, problem.w, problem.axes
    (bias,) = widen(np.zeros(w.shape[0], dtype=bool) if bias is None else bias)
    check_shape("bias", bias.shape, w.shape[:1])
    matrices = tap_matrices(w, groups)
    y = np.zeros((x.shape[0], groups, w.shape[0] // groups, math.prod(counts(axes))), x.dtype)
    for number, (tap, _) in enumerate(taps(axes)):
        samples = masked(sample(problem, tap, number), problem, number)
        y += matrices[tap] @ columns(split_channels(samples, groups))
    return y.reshape(x.shape[0], w.shape[0], *counts(axes)) + bias.reshape(-1, *(1 for _ in axes))


def deform_conv_backward(
    dy: npt.ArrayLike,
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    offset: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    offset_groups: int = 1,
) -> tuple[Array, Array, Array, Array | None]:
    """All gradients of deform_conv but the bias's, which is `conv_backward_bias(dy)`.

    Parameters
    ----------
    dy : array (N, O, *out)
    x, w, offset, mask, and the others : as in `deform_conv`

    Returns
    -------
    dx, dw, doffset, dmask : arrays of the shapes of x, w, offset and mask in the wide dtype; None
        for the last where there is no mask

    Raises
    ------
    ValueError : the shapes do not fit
    """
    problem = sampling(
        x,
        w,
        offset,
        mask,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        offset_groups=offset_groups,
    )
    x, w, axes = problem.x, problem.w, problem.axes
    (dy,) = widen(dy)
    check_shape("dy", dy.shape, (x.shape[0], w.shape[0], *counts(axes)))
    vectors = columns(split_channels(dy, groups))
    matrices = tap_matrices(w, groups)
    d_matrices = np.zeros_like(matrices)
    dx, doffset, dmask = map(np.zeros_like, (x, problem.offset, problem.mask))
    for number, (tap, _) in enumerate(taps(axes)):
        v = sample(problem, tap, number)
        inputs = columns(split_channels(masked(v, problem, number), groups))
        d_matrices[tap] = (vectors @ inputs.swapaxes(-1, -2)).sum(axis=0)
        g = (matrices[tap].swapaxes(-1, -2) @ vectors).reshape(v.shape)
        dmask[:, :, number] = over_channels(g * v, offset_groups)
        g = masked(g, problem, number)
        add_sample_adjoint(dx, g, problem, tap, number)
        for axis in range(len(axes)):
            slope = sample(problem, tap, number, slope_along=axis)
            doffset[:, :, number, axis] = over_channels(g * slope, offset_groups)
    return (
        dx,
        from_tap_matrices(d_matrices),
        doffset.reshape(np.shape(offset)),
        None if mask is None else dmask.reshape(np.shape(mask)),
    )


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
    ValueError : the shapes do not fit
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
    lows, fractions = [], []
    for i, axis in enumerate(axes):
        along = np.array(axis.starts) + tap[i] * axis.dilation
        position = along.reshape(-1, *(1,) * (rank - 1 - i)) + problem.offset[:, :, number, i]
        lows.append(np.floor(position).astype(np.int64))
        fractions.append(position - lows[-1])
    for corner in product((0, 1), repeat=rank):
        at = [low + each for low, each in zip(lows, corner, strict=True)]
        inside = np.ones(at[0].shape, dtype=bool)
        for each, axis in zip(at, axes, strict=True):
            inside &= (each >= 0) & (each < axis.size)
        factors = [f if each else 1 - f for f, each in zip(fractions, corner, strict=True)]
        slopes = tuple(
            (1 if corner[i] else -1) * math.prod(factors[:i] + factors[i + 1 :])
            for i in range(rank)
        )
        weight = math.prod(factors[1:], start=factors[0])
        yield Corner(inside, tuple(np.where(inside, each, 0) for each in at), weight, slopes)


def sample(
    problem: Sampling, tap: Sequence[int], number: int, slope_along: int | None = None
) -> Array:
    """v, what every window has under a tap: (N, C, *out); or its derivative along an axis."""
    x = by_offset_group(problem.x, problem.offset_groups)
    out = counts(problem.axes)
    v = np.zeros((*x.shape[:3], *out), x.dtype)
    for corner in corners(problem, tap, number):
        weight = corner.weight if slope_along is None else corner.slopes[slope_along]
        values = x[cell_index(x.shape, corner)]
        v += np.where(corner.inside, weight, 0)[:, :, None] * values
    return v.reshape(*problem.x.shape[:2], *out)


def add_sample_adjoint(
    dx: Array, g: Array, problem: Sampling, tap: Sequence[int], number: int
) -> None:
    """Share g (N, C, *out) out to the elements of dx by the corners' weights."""
    image = by_offset_group(dx, problem.offset_groups)
    g = by_offset_group(g, problem.offset_groups)
    for corner in corners(problem, tap, number):
        share = np.where(corner.inside, corner.weight, 0)[:, :, None] * g
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
