"""How far a convolution by Winograd's F(m, r) may lie from the reference; derived, not tried out.

u, gamma_K and the dtypes as in `bounds.py`, the matrices and stages as in `winograd.py`. A number
on its way into a sum is rounded once as a product and at most n - 1 times in additions, n the terms
of the sum, in any order, with or without fused multiply-adds, with or without sub-sums that rows
share. So does a pixel on its way through a transform, along one axis after the other: with

    k = n - 1 + 1 (if a product is rounded: a weight is no power of two)
              + 1 (if a weight is rounded: no number of the dtype, as 1/6)

of the worst row of each matrix, added up over the axes, k_B for B^T, k_G for G, k_A for A^T.

The factors.  V = B^T d and U = G g, all axes at once, come out within

    dV = gamma_kB * (|B^T| |d|)          dU = gamma_kG * (|G| |g|)

where U is formed in a wider dtype and rounded once, dU = e + u*(|U| + e), e = gamma_kG * (|G| |g|)
with that dtype's gamma.

The products.  Let U' = |U| + dU and V' = |V| + dV, no less than what was computed in absolute
value. Multiplied and summed over C = C/groups channels, and then by A^T, a product meets C + k_A
roundings. What is computed of U V lies within dU*V' + |U|*dV of it. Together,

    |y - exact| <= |A^T| sum over c of [gamma_(C + kA) * U'*V'  +  dU*V' + U'*dV]

This is element by element: row i of |A^T| for output i of the tile. But it is not in proportion to
the output's own magnitude conv(|x|, |w|), and so not of the plain sum's accuracy: |d| holds all
pixels of the tile, those of the neighbours' windows as well, which cancel in exact numbers only.
An output whose own pixels are all zero need not come out as zero. It does where the whole tile is
zero, or the filter.

How much that costs is in the matrices. For data of one size, |d| <= 1 and |g| <= 1, the magnitude
|A^T| (|G||g| . |B^T||d|) may be so many times the plain sum's r, for each axis: `amplification`. It
grows exponentially with m + r. The shares of this bound that are used, and the errors beside those
of a plain sum, are measured in docs/accuracy.md.

Underflow.  The entries of G may be small (1/90 in F(6, 3), 1/8100 in two dimensions), so that in
float16 products of harmless numbers underflow. Gradual underflow adds to a product at most t, half
the smallest positive number. In a transform these are n*t for an axis, times the largest row sum
of every later matrix; in the channels' sums C*t; and sums do not underflow. Where all products are
of zeros, nothing is added. Devices that flush small numbers to zero are not covered, nor is
overflow.

The reference's own rounding is that of a plain sum of K terms in the wide dtype, gamma'_K times
conv(|x|, |w|). The bound is itself computed in the wide dtype, where |U| and |V| may come out too
small by their dU and dV of that dtype, which are added; and a sum of positive terms by a factor.

References
----------
Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., 2002, sections 2.2, 3.1 and 3.5.
Barabasz, Anderson, Soodhalter & Gregg, "Error analysis and improving the accuracy of Winograd
    convolution for deep neural networks", 2020: the same in norms, for one and two dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import conv_axes
from .arrays import Array, wide_dtype
from .bounds import gamma, unit_roundoff
from .conv import conv
from .windows import Padding, PerAxis, counts, pad, per_axis
from .winograd import as_forward, assembled, channel_sums, tiles, transformed, transforms_of
from .winograd_matrices import Points, exactly, minimal_filtering, nearest, rounded


@dataclass(frozen=True)
class Stage:
    """A transform by one matrix of fractions per axis, in `dtype`, judged in `wide`."""

    matrices: Sequence[Array]
    dtype: np.dtype[Any]
    wide: np.dtype[Any]

    @property
    def exact(self) -> list[Array]:
        """The matrices in the wide dtype."""
        return [rounded(each, self.wide) for each in self.matrices]

    @property
    def magnitudes(self) -> list[Array]:
        """Their absolute values."""
        return [abs(each) for each in self.exact]

    @property
    def roundings(self) -> int:
        """k: how many roundings a number meets on its way through."""
        return sum(roundings_of(each, self.dtype) for each in self.matrices)

    @property
    def underflow(self) -> float:
        """What products too small for the dtype may add up to in one result."""
        largest, terms = 0.0, (np.count_nonzero(each, axis=1).max() for each in self.matrices)
        for matrix, n in zip(self.magnitudes, terms, strict=True):
            largest = largest * float(matrix.sum(axis=1).max()) + float(n)
        return largest * smallest_error(self.dtype) * (1 + gamma(self.roundings, self.dtype))

    def bounded(self, a: Array) -> tuple[Array, Array]:
        """|the transform of a|, and how far what is computed may lie from it."""
        magnitude = transformed(self.magnitudes, abs(a))
        own = gamma(self.roundings, self.wide)
        error = (gamma(self.roundings, self.dtype) + own) / (1 - own) * magnitude
        error = np.where(magnitude > 0, error + self.underflow, 0)
        return abs(transformed(self.exact, a)), error


def roundings_of(matrix: Array, dtype: npt.DTypeLike) -> int:
    """The most roundings in a row: additions, a product, a weight; see the module's text."""
    most = 0
    for row in matrix:
        weights = [each for each in row if each != 0]
        is_inexact = any(exactly(nearest(each, dtype)) != each for each in weights)
        is_multiplied = not all(is_power_of_two(each) for each in weights)
        most = max(most, len(weights) - 1 + is_multiplied + is_inexact)
    return most


def is_power_of_two(value: Fraction) -> bool:
    """Whether multiplying by it is exact: 2, -1/4; short of underflow."""
    parts = abs(value.numerator), value.denominator
    return all(each & (each - 1) == 0 for each in parts)


def smallest_error(dtype: npt.DTypeLike) -> float:
    """t: what a product is off by, at most, where it underflows gradually; 0 below float64's."""
    return float(np.finfo(dtype).smallest_subnormal) / 2


def amplification(m: int, r: int, points: Points | None = None) -> Fraction:
    """The magnitude that passes through F(m, r), beside that of a plain sum, for one axis.

    max over i of (sum over p of |A^T|[i, p] * |G|[p, :].sum() * |B^T|[p, :].sum()) / r
    """
    along = minimal_filtering(m, r, points)
    g, bt = (abs(each).sum(axis=1) for each in (along.g, along.bt))
    return Fraction(max(abs(along.at) @ (g * bt))) / r


def winograd_bound(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    dtype: npt.DTypeLike,
    *,
    m: PerAxis,
    padding: Padding = 0,
    groups: int = 1,
    filter_dtype: npt.DTypeLike | None = None,
    points: Points | None = None,
) -> Array:
    """The largest |y - y_ref| that rounding explains in `winograd.forward`, element by element.

        |A^T| sum over c of [gamma_(C + kA) * U'*V'  +  dU*V' + U'*dV]

    and the reference's own error; the module's text derives it.

    Parameters
    ----------
    x, w, m, padding, groups, points : as in `winograd.forward`; x and w hold numbers of `dtype`.
        An algorithm that has its divisors elsewhere than in G rounds otherwise
    dtype : in which all transforms and sums were computed, in any order; float16 means float16,
        and sums that are only stored in it need `stored_bound` on top of float32's
    filter_dtype : a wider one, for the transform of w before it is rounded to `dtype`

    Returns
    -------
    bound : array of the shape of y, in the wide dtype. It is zero where the tile is, or the filter

    Raises
    ------
    ValueError : the shapes do not fit, or C + k_A roundings leave no correct digit
    """
    x, w, dtype = np.asarray(x), np.asarray(w), np.dtype(dtype)
    wide = np.result_type(wide_dtype(x.dtype, w.dtype), wide_dtype(dtype))
    axes = conv_axes(x.shape, w.shape, stride=1, padding=padding, dilation=1, groups=groups)
    steps = per_axis("m", m, len(axes))
    transforms = transforms_of(axes, steps, points)
    of_taps = Stage([each.g for each in transforms], np.dtype(filter_dtype or dtype), wide)
    of_tiles = Stage([each.bt for each in transforms], dtype, wide)
    of_sums = Stage([each.at for each in transforms], dtype, wide)
    u, u_error = of_taps.bounded(w.astype(wide))
    if of_taps.dtype != dtype:
        u_error = stored(u, u_error, dtype)
    v, v_error = of_tiles.bounded(tiles(pad(x.astype(wide), axes), axes, steps))
    spread = summed(u, u_error, v, v_error, of_sums, groups)
    terms = math.prod(w.shape[1:])
    own = gamma(terms + of_sums.roundings + 10, wide)  # ten for the formula itself
    spread = assembled(spread, counts(axes))
    return (spread + own * conv(abs(x), abs(w), padding=padding, groups=groups)) / (1 - own)


def stored(a: Array, error: Array, dtype: npt.DTypeLike) -> Array:
    """`error`, of a number of absolute value `a`, and that of its rounding to `dtype`."""
    last = unit_roundoff(dtype) * (a + error) + smallest_error(dtype)
    return np.where(a + error > 0, error + last, 0)


def summed(u: Array, u_error: Array, v: Array, v_error: Array, last: Stage, groups: int) -> Array:
    """The bound on all outputs of all tiles, from those on the factors: (N, O, *tiles, *m)."""
    channels = u.shape[1]
    u_most, v_most = u + u_error, v + v_error
    growth = gamma(channels + last.roundings, last.dtype)
    error = channel_sums(growth * u_most + u_error, v_most, groups)
    error += channel_sums(u_most, v_error, groups)
    error = np.where(error > 0, error + (1 + growth) * channels * smallest_error(last.dtype), 0)
    spread = transformed(last.magnitudes, error)
    return np.where(spread > 0, spread + last.underflow, 0)


def winograd_backward_data_bound(
    dy: npt.ArrayLike,
    w: npt.ArrayLike,
    dtype: npt.DTypeLike,
    *,
    input_shape: Sequence[int],
    m: PerAxis,
    padding: Padding = 0,
    groups: int = 1,
    filter_dtype: npt.DTypeLike | None = None,
    points: Points | None = None,
) -> Array:
    """The largest |dx - dx_ref| that rounding explains in `winograd.backward_data`.

    It is the bound of the forward pass that computes dx; see `winograd_bound`.
    """
    image, filters = as_forward(dy, w, input_shape=input_shape, padding=padding, groups=groups)
    return winograd_bound(
        image, filters, dtype, m=m, groups=groups, filter_dtype=filter_dtype, points=points
    )
