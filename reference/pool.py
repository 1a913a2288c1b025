"""Average pooling: every window gives its mean.

It works on each channel by itself, with the windows of `windows.py`. A mean counts the padding as
zeros, or leaves it out (`count_include_pad`). A window that overhangs the padded edge (`ceil_mode`)
is cut off there: what lies beyond is never counted. torch and ONNX (as onnxruntime computes it)
agree in this, and both drop a last window that would start behind the image; where they differ is
what they do if nothing is said: torch moves by the window and counts the padding, ONNX moves by one
and does not.

The gradient flows, in equal shares, to every element of the window: the transpose of the linear
forward map, so <y, dy> = <x, dx> here too.

Edge cases. A NaN or an infinity reaches every window it is in, and no other; infinities of both
signs average to NaN. A window without an element of the image gives 0/0 = NaN if the padding is not
counted, and zero if it is; neither has a gradient. The sign of a zero is not promised. Only the
batch may be empty.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .arguments import check_shape, pool_axes
from .arrays import Array, divided, widen_to_float
from .layouts import layout_of, permuted, permuted_shape
from .windows import Axes, Axis, Padding, PerAxis, counts, crop, pad, padded_sizes, taps


def avg_pool(
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool | None = None,
    divisor_override: int | None = None,
    dilation: PerAxis = 1,
    semantics: str = "torch",
    layout: str | None = None,
) -> Array:
    """The mean of every window.

        y[n, c, p, q] = (sum over i, j of x[n, c, p*sh + i*dh - top, q*sw + j*dw - left])
                        / divisor[p, q]

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    kernel_size, stride, padding, ceil_mode, dilation : as in `max_pool`
    count_include_pad : whether the divisor counts the window's taps within the padded image, or
        only those within the image; None is True, or False in ONNX's semantics
    divisor_override : a divisor for all windows instead, at least 1
    semantics : "torch" or "onnx": what None means for stride and count_include_pad, and whether
        padding may be larger than half the extent
    layout : of x and y, "NHWC"; None is channels-first

    Returns
    -------
    y : array (N, C, *out) in the wide dtype; float64 for integers, whose mean is no integer. The
        mean of no elements, 0/0, is NaN

    Raises
    ------
    ValueError : as in `max_pool`
    """
    layout, canonical = layout_of(layout, np.shape(x))
    x = widen_to_float(permuted(x, layout, canonical))
    axes = pool_axes(
        x.shape,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        semantics=semantics,
    )
    total = window_sums(x, axes)
    with np.errstate(invalid="ignore"):  # the mean of nothing
        y = divided(total, pool_divisors(axes, count_include_pad, divisor_override, semantics))
    return permuted(y, canonical, layout)


def avg_pool_backward(
    dy: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    input_shape: Sequence[int],
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool | None = None,
    divisor_override: int | None = None,
    dilation: PerAxis = 1,
    semantics: str = "torch",
    layout: str | None = None,
) -> Array:
    """The gradient of avg_pool: every element of a window gets an equal share of its dy.

        dx[s] = sum over the windows p that touch s  of  dy[p] / divisor[p]

    Parameters
    ----------
    dy : array (N, C, *out)
    input_shape : (N, C, *spatial) of x
    kernel_size, and the others : as in `avg_pool`

    Returns
    -------
    dx : array of `input_shape` in the wide dtype; float64 for integers

    Raises
    ------
    ValueError : as in `avg_pool`, or dy does not fit
    """
    layout, canonical = layout_of(layout, input_shape, "input_shape")
    input_shape = permuted_shape(input_shape, layout, canonical)
    axes = pool_axes(
        input_shape,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        semantics=semantics,
        name="input_shape",
    )
    dy = widen_to_float(permuted(dy, layout, canonical, "dy"))
    check_shape("dy", dy.shape, (*input_shape[:2], *counts(axes)))
    divisor = pool_divisors(axes, count_include_pad, divisor_override, semantics)
    share = divided(dy, np.maximum(divisor, 1))  # where there is nothing, it goes into the padding
    return permuted(spread_over_windows(share, axes), canonical, layout)


def window_sums(x: Array, axes: Axes) -> Array:
    """The sum of every window of x (N, C, *spatial), the padding counted as zeros."""
    image = pad(x, axes)
    total = np.zeros((*x.shape[:2], *counts(axes)), dtype=x.dtype)
    for _, touched in taps(axes):
        total += image[touched]
    return total


def spread_over_windows(share: Array, axes: Axes) -> Array:
    """For every element, the sum of `share` (N, C, *out) over its windows: the adjoint."""
    image = np.zeros((*share.shape[:2], *padded_sizes(axes)), dtype=share.dtype)
    for _, touched in taps(axes):
        image[touched] += share
    return crop(image, axes)


def pool_divisors(
    axes: Axes, count_include_pad: bool | None, divisor_override: int | None, semantics: str
) -> Array:
    """What the sum of each window is divided by: int64 (*out)."""
    if divisor_override is not None:
        if divisor_override < 1:
            raise ValueError(f"divisor_override={divisor_override} is below 1")
        return np.full(counts(axes), divisor_override, np.int64)
    if count_include_pad is None:
        count_include_pad = semantics == "torch"
    return divisors(axes, count_include_pad)


def divisors(axes: Axes, count_include_pad: bool = True) -> Array:
    """How many elements each window averages: int64 (*out), a product of one count per axis."""
    lengths = [np.array(window_lengths(axis, count_include_pad), np.int64) for axis in axes]
    return functools.reduce(np.multiply.outer, lengths)


def window_lengths(axis: Axis, count_include_pad: bool) -> list[int]:
    """How many taps of each window along `axis` lie within the (padded) image."""
    low, high = (axis.low, axis.high) if count_include_pad else (0, 0)
    within = range(-low, axis.size + high)
    return [
        sum(start + tap * axis.dilation in within for tap in range(axis.taps))
        for start in axis.starts
    ]
