"""How far a rounded p-norm, and its gradient, may lie from the reference; derived, not tried out.

Errors are counted as logarithms here: a computed number is the exact one times exp(t), |t| <= h,
and where numbers are multiplied, divided or raised to powers, h adds up. A rounding costs
-log(1 - u), u as in `bounds.py`. OpenCL C 1.2 allows a quotient of floats 2.5 units in the last
place, 5u; `pow` 16, 32u; `sqrt` is correctly rounded, or brought there by a Newton step: 2u at
most. An exponent is rounded before it is used, from e to e', and a^e' = a^e * exp((e' - e)*log a).
p = 1 needs no power and no root; p = 2 a product and a square root.

The sum.  A power |x|^p costs its own h and those of at most K - 1 additions, and two more of the
overhang factor. So the computed sum lies in [S - D, S + D], with D the sum of |x|^p*(exp(h) - 1).
Signed sums cancel, and then D may exceed S.

The norm.  The root rises with the sum: the norm lies between root(S - D)*exp(-h) and
root(S + D)*exp(h), h what the root costs. If p is odd, signed and above 1, then S - D < 0 <= S + D
leaves open whether there is a root at all: the bound is infinite. For p = 1 there is no root, and
the bound is D.

The gradient is the sum over the windows of dy*f*(|x|/y)^(p - 1). With y in [a, b], a factor lies
between |x|^(p-1)*b^(1-p)*exp(-h) and |x|^(p-1)*a^(1-p)*exp(h), h from the quotient, p - 1 times,
the power, the product and the K - 1 additions. Both the exact and the computed term lie there, so
that they differ by no more than the width; the terms' widths, each times |dy|*f, add up.

The reference commits the same errors with the u of its wide dtype, and this bound, computed in
that dtype, again: so each cost is taken once for the one and twice for the other. Overflow and
underflow are not covered. Infinities are exact; NaN is to be compared with NaN.

References
----------
Khronos, "The OpenCL C 1.2 specification", section 7.4, "Relative error as ULPs".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import pool_axes
from .arrays import Array, wide_dtype, widen_to_float
from .bounds import unit_roundoff
from .layouts import layout_of, permuted
from .pool import spread_over_windows, window_sums
from .pool_lp import norms, power, times_overhang
from .windows import Axes

QUOTIENT, POWER, SQUARE_ROOT = 5, 32, 2  # in units of u
UNSAID = {"stride": None, "padding": 0}  # what lp_pool takes where nothing is said


@dataclass(frozen=True)
class Costs:
    """What operations in `dtype` cost, and in the reference's wide dtype twice, as logarithms."""

    dtype: np.dtype[Any]

    def of(self, units: float) -> float:
        """The cost of a relative error of `units` times u: one rounding is 1."""
        own, wide = (-math.log1p(-units * unit_roundoff(d)) for d in (self.dtype, self.wide))
        return own + 2 * wide

    @property
    def wide(self) -> np.dtype[Any]:
        """The dtype of the reference."""
        return wide_dtype(self.dtype)

    def of_power(self, a: Array, exponent: np.floating[Any]) -> Array:
        """The cost of a^exponent by `pow`, for an `a` off by less than a factor of e."""
        rounded = np.longdouble(self.dtype.type(float(exponent)))
        away = abs(rounded - exponent) + 2 * unit_roundoff(self.wide) * exponent
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithm = np.where((a > 0) & np.isfinite(a), abs(np.log(a)), 0)
        cost: Array = self.of(POWER) + away * (logarithm + 1)
        return cost


@dataclass(frozen=True)
class NormRange:
    """Where the computed norm of every window may lie, whose exact value lies there, too."""

    lowest: Array
    highest: Array
    open: Array  # whether rounding decides if there is a root at all


def lp_pool_bound(
    x: npt.ArrayLike,
    kernel_size: Any,
    *,
    p: float = 2,
    signed: bool = False,
    semantics: str = "torch",
    layout: str | None = None,
    **window: Any,
) -> Array:
    """The largest |y - y_ref| that rounding explains, element by element.

    Parameters
    ----------
    x : array in the dtype that was computed in
    others : those of `lp_pool`

    Returns
    -------
    bound : array of the shape of y. Infinite where rounding decides whether a signed sum has a
        root; where y_ref is NaN otherwise, only NaN will do
    """
    x = np.asarray(x)
    layout, canonical = layout_of(layout, x.shape)
    a = widen_to_float(permuted(x, layout, canonical))
    axes = pool_axes(a.shape, kernel_size, semantics=semantics, **(UNSAID | window))
    around = norm_range(a, axes, p, signed, semantics, Costs(x.dtype))
    y = norms(a, axes, p, signed, semantics)
    with np.errstate(invalid="ignore"):
        bound = np.fmax(around.highest - y, y - around.lowest)
    bound = np.where(np.isfinite(y), bound, 0)
    return permuted(np.where(around.open, np.inf, bound), canonical, layout)


def lp_pool_backward_bound(
    dy: npt.ArrayLike,
    x: npt.ArrayLike,
    kernel_size: Any,
    *,
    p: float = 2,
    signed: bool = False,
    semantics: str = "torch",
    layout: str | None = None,
    **window: Any,
) -> Array:
    """The largest |dx - dx_ref| that rounding explains, for finite dy; see `lp_pool_bound`."""
    x = np.asarray(x)
    layout, canonical = layout_of(layout, x.shape)
    a = widen_to_float(permuted(x, layout, canonical))
    axes = pool_axes(a.shape, kernel_size, semantics=semantics, **(UNSAID | window))
    costs, exponent = Costs(x.dtype), np.longdouble(p) - 1
    around = norm_range(a, axes, p, signed, semantics, costs)
    # Windows without a gradient: those of norm zero, and, of which nothing is known, the open ones.
    known = (around.lowest > 0) & ~around.open if p > 1 else np.full(around.lowest.shape, True)
    low, high = (np.where(known, each, 1) for each in (around.lowest, around.highest))
    h = costs.of(products_of(axes)) + costs.of(QUOTIENT * float(exponent))
    h_norms, h_image = np.zeros_like(low), np.zeros_like(a)
    if p not in (1, 2):
        h_norms = np.maximum(costs.of_power(low, exponent), costs.of_power(high, exponent))
        h_image = costs.of_power(abs(a), exponent)
    most = power(low, -exponent) * np.exp(h + h_norms)
    least = power(high, -exponent) * np.exp(-h - h_norms)
    share = abs(times_overhang(widen_to_float(permuted(dy, layout, canonical)), axes, semantics))
    above, below = (spread_over_windows(share * each * known, axes) for each in (most, least))
    with np.errstate(invalid="ignore"):
        bound = power(abs(a), exponent) * (above * np.exp(h_image) - below * np.exp(-h_image))
    is_open = spread_over_windows(around.open * share, axes) > 0
    return permuted(np.where(is_open, np.inf, bound), canonical, layout)


def norm_range(
    x: Array, axes: Axes, p: float, signed: bool, semantics: str, costs: Costs
) -> NormRange:
    """Between what the norms of x, wide and channels-first, lie in exact and in rounded numbers."""
    powers = power(abs(x), p)
    h = np.full_like(x, costs.of(products_of(axes)))
    if p == 2:
        h += costs.of(1)
    elif p > 1:
        h += costs.of_power(abs(x), np.longdouble(p))
    with np.errstate(invalid="ignore"):
        total = window_sums(power(x, p) if signed else powers, axes)
        widths = window_sums(np.where(np.isfinite(powers), powers * np.expm1(h), 0), axes)
    total, widths = (times_overhang(each, axes, semantics) for each in (total, widths))
    lowest, highest = total - widths, total + widths
    if p == 1:
        return NormRange(lowest, highest, np.full(total.shape, False))
    return NormRange(
        root(lowest, p, costs, -1),
        root(highest, p, costs, +1),
        open=(lowest <= 0) & (highest >= 0) & (widths > 0),
    )


def root(total: Array, p: float, costs: Costs, sign: int) -> Array:
    """The p-th root of `total` and, by `sign`, above or below it what the root costs."""
    exponent = 1 / np.longdouble(p)
    h = costs.of(SQUARE_ROOT) if p == 2 else costs.of_power(total, exponent)
    result: Array = power(total, exponent) * np.exp(sign * h)
    return result


def products_of(axes: Axes) -> int:
    """The roundings that one term meets: K - 1 additions, a product, and two of the overhang."""
    return math.prod(axis.taps for axis in axes) + 2
