"""Lp pooling: the p-norm of every window, p >= 1.

    y = (sum over the window of |x|^p)^(1/p)

p = 1 sums absolute values, p = 2 is the Euclidean norm, and p to infinity is the maximum of |x|;
infinity itself is refused. ONNX means this. torch leaves the absolute value out (`signed`), and
for odd p sums numbers of both signs: p = 1 is then a plain sum, and for p = 3 a negative sum has no
real root, and gives NaN.

Where a window overhangs the padded edge (`ceil_mode`), torch computes avg_pool(x^p) times the size
of the window, and so counts the T taps there are for those that fit: the sum is multiplied by
T/divisor, with the divisor of `avg_pool`. "torch" semantics does that, "onnx" does not.

The gradient, with the sum S, y = (f*S)^(1/p), and f = T/divisor or 1,

    dx = dy * dy/dx = dy * f * y^(1-p) * |x|^(p-1) * sign(x)          (signed: x^(p-1) for the last)

For p > 1 a norm has no derivative where y = 0; the gradient there is set to zero, as in torch.
(torch does so for p = 1 as well. But a plain sum has a gradient where it is zero, and so it is
linear; here it is kept. And an element that no window touches has gradient zero, where torch
multiplies its slope by zero, which may give NaN.)

Edge cases. The padding counts as zeros, and a window in it alone gives 0. A NaN makes its windows
NaN; an infinity, infinite. The gradient of an infinite norm is zero for the finite elements of its
window, and NaN for the infinite ones. Powers are those of C: a negative number to a power that is
no integer is NaN, minus infinity to it is infinite. A batch of no images is one again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import check_shape, pool_axes
from .arrays import Array, widen_to_float
from .layouts import layout_of, permuted
from .pool import divisors, spread_over_windows, window_sums
from .windows import Axes, Padding, PerAxis, counts


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
    layout: str | None = None,
) -> Array:
    """The p-norm of every window.

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    kernel_size, stride, padding, dilation, ceil_mode : as in `max_pool`
    p : the exponent, at least 1 and finite
    signed : sum x^p instead of |x|^p, as torch does
    semantics : "torch" or "onnx": what a window over the edge counts, the stride that None means,
        and whether padding may be larger than half the extent
    layout : of x and y, "NHWC"; None is channels-first

    Returns
    -------
    y : array (N, C, *out) in the wide dtype; float64 for integers

    Raises
    ------
    ValueError : p below 1 or not finite; shapes as in `max_pool`
    """
    check_exponent(p)
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
    return permuted(norms(x, axes, p, signed, semantics), canonical, layout)


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
    layout: str | None = None,
) -> Array:
    """The gradient of lp_pool; it is not linear, so the gradient needs x.

    Parameters
    ----------
    dy : array (N, C, *out)
    x, kernel_size, and the others : as in `lp_pool`; `layout` is that of dy and dx as well

    Returns
    -------
    dx : array of the shape of x in the wide dtype; float64 for integers

    Raises
    ------
    ValueError : as in `lp_pool`, or dy does not fit
    """
    check_exponent(p)
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
    dy = widen_to_float(permuted(dy, layout, canonical, "dy"))
    check_shape("dy", dy.shape, (*x.shape[:2], *counts(axes)))
    y = norms(x, axes, p, signed, semantics)
    with np.errstate(invalid="ignore"):
        share = times_overhang(dy, axes, semantics)
        share = share * (1 if p == 1 else np.where(y == 0, 0, power(y, 1 - p)))
        slope = power(x, p - 1) if signed else power(abs(x), p - 1) * np.sign(x)
        dx = np.where(in_windows(axes), slope * spread_over_windows(share, axes), 0)
    return permuted(dx, canonical, layout)


def in_windows(axes: Axes) -> Array:
    """Which elements of a channel plane any window touches: the others have no gradient."""
    return spread_over_windows(np.ones((1, 1, *counts(axes))), axes) > 0


def check_exponent(p: float) -> None:
    """1 <= p < infinity: below, it is no norm."""
    if not p >= 1:
        raise ValueError(f"p={p} is below 1")
    if not math.isfinite(p):
        raise ValueError(f"p={p} is not finite: the limit is max_pool of |x|")


def norms(x: Array, axes: Axes, p: float, signed: bool, semantics: str) -> Array:
    """The norm of every window: of x wide and channels-first."""
    with np.errstate(invalid="ignore"):  # infinities of both signs
        total = window_sums(power(x if signed else abs(x), p), axes)
    # The exponent is rounded to the wide dtype, not to Python's.
    return power(times_overhang(total, axes, semantics), 1 / x.dtype.type(p))


def times_overhang(a: Array, axes: Axes, semantics: str) -> Array:
    """`a` (N, C, *out) times T/divisor for torch: exact where the quotient is an integer."""
    if semantics == "onnx":
        return a
    scaled: Array = a * math.prod(axis.taps for axis in axes) / divisors(axes)
    return scaled


def power(a: Array, exponent: float | np.floating[Any]) -> Array:
    """a^exponent, NaN where that is not real, without a warning."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = a**exponent
    return result
