"""Pooling: every window gives its largest element, or its mean.

Both work on each channel by itself, with the windows of `windows.py`; they differ from
convolution in what they do with a window, and in how they treat the padding:

- A maximum never lies on the padding, as if that were -inf. A NaN is larger than anything, so it
  reaches the output. Where several elements are largest, the first in row-major order is taken;
  of several NaNs, the last.
- A mean counts the padding as zeros, or leaves it out (`count_include_pad`). A window that
  overhangs the padded edge (`ceil_mode`) is cut off there: what lies beyond is never counted.

The gradient of a maximum flows to the element that won; the gradient of a mean, in equal shares,
to every element of the window. Each is the transpose of the (for the maximum: locally) linear
forward map, so <y, dy> = <x, dx> here too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from .arguments import check_image, check_shape, pool_axes
from .arrays import Array, widen, widen_to_float
from .windows import Axes, Axis, Padding, PerAxis, counts, crop, pad, padded_sizes, taps


@overload
def max_pool(
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = ...,
    padding: Padding = ...,
    dilation: PerAxis = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
) -> Array: ...


@overload
def max_pool(
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = ...,
    padding: Padding = ...,
    dilation: PerAxis = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[True],
) -> tuple[Array, Array]: ...


def max_pool(
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Array | tuple[Array, Array]:
    """The largest element of every window.

        y[n, c, p, q] = max over i, j of x[n, c, p*sh + i*dh - top, q*sw + j*dw - left]

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    kernel_size, dilation : int or one per axis, in elements, at least 1
    stride : int or one per axis, at least 1; None is kernel_size
    padding : int, one per axis, ((low, high), ...), "same" or "valid"; at most half the extent
    ceil_mode : let the last window overhang the padded edge
    return_indices : return where the elements came from as well

    Returns
    -------
    y : array (N, C, *out), dtype of x: a maximum is exact in any dtype
    indices : int64 array (N, C, *out), positions in the flattened channel plane, without
        padding. A dilated window can straddle a small image and hold no element of it: then y
        is -inf (the least value of an integer dtype) and the index is -1.

    Raises
    ------
    ValueError : "padding (2, 2) is larger than half of kernel_size=3, which spans 3 elements"
    """
    x = np.asarray(x)
    axes = pool_axes(
        x.shape,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    plane = np.arange(math.prod(x.shape[2:]), dtype=np.int64).reshape(x.shape[2:])
    positions = pad(plane, axes, value=-1)
    image = pad(x, axes)
    y = np.full((*x.shape[:2], *counts(axes)), least_value(x.dtype), dtype=x.dtype)
    indices = np.full(y.shape, -1, dtype=np.int64)
    for _, touched in taps(axes):
        candidate, position = image[touched], positions[touched]
        is_nan = candidate != candidate  # and right for integers, too
        wins = (position >= 0) & ((indices < 0) | (candidate > y) | is_nan)
        y = np.where(wins, candidate, y)
        indices = np.where(wins, position, indices)
    return (y, indices) if return_indices else y


def max_pool_backward(
    dy: npt.ArrayLike, indices: npt.ArrayLike, *, input_shape: Sequence[int]
) -> Array:
    """The gradient of max_pool: each dy is added to the element that was the maximum.

        dx[n, c, s] = sum over p with indices[n, c, p] = s  of  dy[n, c, p]

    Parameters
    ----------
    dy : array (N, C, *out)
    indices : integer array of the shape of dy, as max_pool returns it; -1 is passed over
    input_shape : (N, C, *spatial) of x

    Returns
    -------
    dx : array of `input_shape` in the wide dtype

    Raises
    ------
    ValueError : the shapes do not fit, or an index lies outside the plane
    """
    check_image("input_shape", input_shape)
    (dy,) = widen(dy)
    indices = np.asarray(indices)
    check_image("dy", dy.shape, rank=len(input_shape) - 2)
    check_shape("dy", dy.shape, (*input_shape[:2], *dy.shape[2:]))
    check_shape("indices", indices.shape, dy.shape)
    elements = math.prod(input_shape[2:])
    if indices.size and not -1 <= indices.min() <= indices.max() < elements:
        raise ValueError(
            f"indices run from {indices.min()} to {indices.max()}, but a channel plane of "
            f"input_shape {tuple(input_shape)} has {elements} elements"
        )
    planes = np.arange(math.prod(input_shape[:2])).reshape(*input_shape[:2], *(1,) * (dy.ndim - 2))
    dx = np.zeros(planes.size * elements, dtype=dy.dtype)
    found = indices >= 0
    np.add.at(dx, (planes * elements + indices)[found], dy[found])
    return dx.reshape(tuple(input_shape))


def avg_pool(
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of every window.

        y[n, c, p, q] = (sum over i, j of x[n, c, p*sh + i - top, q*sw + j - left]) / divisor[p, q]

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    kernel_size, stride, padding, ceil_mode : as in `max_pool`; there is no dilation
    count_include_pad : whether the divisor counts the window's elements within the padded image,
        or only those within the image

    Returns
    -------
    y : array (N, C, *out) in the wide dtype; float64 for integers, whose mean is no integer

    Raises
    ------
    ValueError : as in `max_pool`
    """
    axes = pool_axes(np.shape(x), kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    x = widen_to_float(x)
    image = pad(x, axes)
    total = np.zeros((*x.shape[:2], *counts(axes)), dtype=x.dtype)
    for _, touched in taps(axes):
        total += image[touched]
    return total / divisors(axes, count_include_pad)


def avg_pool_backward(
    dy: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    input_shape: Sequence[int],
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The gradient of avg_pool: every element of a window gets an equal share of its dy.

        dx[s] = sum over the windows p that touch s  of  dy[p] / divisor[p]

    Parameters
    ----------
    dy : array (N, C, *out)
    kernel_size, stride, padding, ceil_mode, count_include_pad : as in `avg_pool`
    input_shape : (N, C, *spatial) of x

    Returns
    -------
    dx : array of `input_shape` in the wide dtype; float64 for integers

    Raises
    ------
    ValueError : as in `avg_pool`, or dy does not fit
    """
    axes = pool_axes(
        input_shape,
        kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        name="input_shape",
    )
    dy = widen_to_float(dy)
    check_shape("dy", dy.shape, (*input_shape[:2], *counts(axes)))
    share = dy / divisors(axes, count_include_pad)
    image = np.zeros((*input_shape[:2], *padded_sizes(axes)), dtype=dy.dtype)
    for _, touched in taps(axes):
        image[touched] += share
    return crop(image, axes)


def divisors(axes: Axes, count_include_pad: bool = True) -> Array:
    """How many elements each window averages: int64 (*out), a product of one count per axis."""
    lengths = [np.array(window_lengths(axis, count_include_pad), np.int64) for axis in axes]
    return functools.reduce(np.multiply.outer, lengths)


def window_lengths(axis: Axis, count_include_pad: bool) -> list[int]:
    """How many elements of each window along `axis` lie within the (padded) image."""
    low, high = (axis.low, axis.high) if count_include_pad else (0, 0)
    return [min(start + axis.extent, axis.size + high) - max(start, -low) for start in axis.starts]


def least_value(dtype: np.dtype[Any]) -> float | int | bool:
    """What no element of `dtype` is smaller than: -inf, or the least integer."""
    if dtype.kind == "f":
        return -math.inf
    return False if dtype.kind == "b" else int(np.iinfo(dtype).min)
