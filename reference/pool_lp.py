"""Lp pooling: the p-norm of every window, p >= 1.

    y = (sum over the window of |x|^p)^(1/p)

p = 1 sums absolute values, p = 2 is the Euclidean norm, and p to infinity is the maximum of |x|.
ONNX means this. torch leaves the absolute value out (`signed`), and for odd p sums numbers of both
signs: p = 1 is then a plain sum, and for p = 3 a negative sum has no real root, and gives NaN.

Where a window overhangs the padded edge (`ceil_mode`), torch computes avg_pool(x^p) times the size
of the window, and so counts the T taps there are for those that fit: the sum is multiplied by
T/divisor, with the divisor of `avg_pool`. "torch" semantics does that, "onnx" does not.

The gradient, with the sum S, y = (f*S)^(1/p), and f = T/divisor or 1,

    dx = dy * dy/dx = dy * f * y^(1-p) * |x|^(p-1) * sign(x)          (signed: x^(p-1) for the last)

For p > 1 a norm has no derivative where y = 0; the gradient there is set to zero, as in torch.

Edge cases. The padding counts as zeros, and a window in it alone gives 0. A NaN makes its windows
NaN; an infinity, infinite. The gradient of an infinite norm is NaN. A batch of no images is one
again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import check_shape, pool_axes
from .arrays import Array, widen_to_float
from .pool import divisors
from .windows import Axes, Padding, PerAxis, counts, crop, pad, padded_sizes, taps


def lp_pool(
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    p: float = 2,
    signed: bool = False,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    semantics: str = "torch",
) -> Array:
    """The p-norm of every window.

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    kernel_size, stride, padding, dilation, ceil_mode : as in `max_pool`
    p : the exponent, at least 1
    signed : sum x^p instead of |x|^p, as torch does
    semantics : "torch" or "onnx": what a window over the edge counts, the stride that None means,
        and whether padding may be larger than half the extent

    Returns
    -------
    y : array (N, C, *out) in the wide dtype; float64 for integers

    Raises
    ------
    ValueError : p below 1; shapes as in `max_pool`
    """
    check_exponent(p)
    axes = pool_axes(
        np.shape(x),
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        semantics=semantics,
    )
    total = power_sums(widen_to_float(x), axes, p, signed) * overhang_factor(axes, semantics)
    return power(total, 1 / p)


def lp_pool_backward(
    dy: npt.ArrayLike,
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    p: float = 2,
    signed: bool = False,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    semantics: str = "torch",
) -> Array:
    """The gradient of lp_pool; it is not linear, so the gradient needs x.

    Parameters
    ----------
    dy : array (N, C, *out)
    x, kernel_size, and the others : as in `lp_pool`

    Returns
    -------
    dx : array of the shape of x in the wide dtype; float64 for integers

    Raises
    ------
    ValueError : as in `lp_pool`, or dy does not fit
    """
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
        "semantics": semantics,
    }
    check_exponent(p)
    axes = pool_axes(np.shape(x), kernel_size, **options)
    dy, x = widen_to_float(dy), widen_to_float(x)
    check_shape("dy", dy.shape, (*x.shape[:2], *counts(axes)))
    factor = overhang_factor(axes, semantics)
    y = power(power_sums(x, axes, p, signed) * factor, 1 / p)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = dy * factor * (1 if p == 1 else np.where(y == 0, 0, power(y, 1 - p)))
    slope = power(x, p - 1) if signed else power(abs(x), p - 1) * np.sign(x)
    image = np.zeros((*x.shape[:2], *padded_sizes(axes)), dtype=np.result_type(x, share))
    slopes = pad(slope, axes)
    for _, touched in taps(axes):
        image[touched] += share * slopes[touched]
    return crop(image, axes)


def check_exponent(p: float) -> None:
    """p >= 1: below, it is no norm."""
    if not p >= 1:
        raise ValueError(f"p={p} is below 1")


def power_sums(x: Array, axes: Axes, p: float, signed: bool) -> Array:
    """The sum of |x|^p, or of x^p, over every window."""
    powers = pad(power(x if signed else abs(x), p), axes)
    total = np.zeros((*x.shape[:2], *counts(axes)), dtype=x.dtype)
    for _, touched in taps(axes):
        total += powers[touched]
    return total


def overhang_factor(axes: Axes, semantics: str) -> Array:
    """T/divisor for torch, 1 in every other window and for ONNX."""
    if semantics == "onnx":
        return np.ones(counts(axes))
    return math.prod(axis.taps for axis in axes) / divisors(axes)


def power(a: Array, exponent: float) -> Array:
    """a^exponent, NaN where that is not real, without a warning."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = a**exponent
    return result
