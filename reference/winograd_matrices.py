"""The matrices of Winograd's minimal filtering F(m, r), as exact fractions.

    y = A^T [(G g) . (B^T d)]        . multiplies element by element

are the m outputs of a filter g of r taps on alpha = m + r - 1 pixels d, by alpha products.

Where they come from (Cook-Toom).  The product of two polynomials, g of r coefficients and h of m,
has alpha coefficients, and is determined by its values at alpha points. One of them may be
infinity, where a polynomial's value is its leading coefficient. With V_k the matrix of k powers, a
row (1, p, ..., p^(k - 1)) for every point p and (0, ..., 0, 1) for infinity, and V = V_alpha, the
product is

    V^-1 [(V_r g) . (V_m h)]

For a fixed g this is a matrix times h: column i holds g, shifted down by i. Its transpose takes
alpha numbers d to y_i = sum over k of g_k d_{i + k}, the correlation, and so it is

    y = A^T [(G g) . (B^T d)],      A^T = V_m^T,   G = V_r,   B^T = V^-T

Row p of V^-T has the coefficients of the polynomial that is 1 at p and 0 at the other points, the
product of (t - q)/(p - q); the row of infinity, those of the product of all (t - q). As in the
literature, the divisors, product of (p - q), are moved from the rows of B^T to those of G.

References
----------
Winograd, "Arithmetic complexity of computations", 1980.
Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016: F(2, 3) as printed.
Lavin, "wincnn", 2016: a program that prints such matrices; F(4, 3) and F(6, 3).
Barabasz, Anderson, Soodhalter & Gregg, "Error analysis and improving the accuracy of Winograd
    convolution for deep neural networks", 2020: the construction, and what points do to errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Array

Points = Sequence[int | Fraction]


@dataclass(frozen=True)
class Transforms:
    """The matrices of F(m, r) along one axis; fractions, or rounded to a dtype."""

    at: Array  # A^T, (m, alpha): products to outputs
    g: Array  # G, (alpha, r): taps to factors
    bt: Array  # B^T, (alpha, alpha): pixels to factors

    def rounded(self, dtype: npt.DTypeLike) -> Transforms:
        """Each entry's nearest number in `dtype`; the fractions themselves for object."""
        return Transforms(*(rounded(each, dtype) for each in (self.at, self.g, self.bt)))


def default_points(count: int) -> tuple[Fraction, ...]:
    """The first `count` finite points: 0, 1, -1, 2, -2, 1/2, -1/2, 3, -3, 1/3, -1/3, ...

    Small numbers and their reciprocals, so that powers stay near 1; and opposite ones, whose rows
    are alike but for signs.
    """
    points = [Fraction(0), Fraction(1), Fraction(-1)]
    for n in range(2, count):
        points += [Fraction(n), Fraction(-n), Fraction(1, n), Fraction(-1, n)]
    return tuple(points[:count])


def minimal_filtering(m: int, r: int, points: Points | None = None) -> Transforms:
    """A^T, G and B^T of F(m, r), as exact fractions.

    The divisors stand in G, that of the first point without its sign. With the default points these
    are the matrices of Lavin & Gray and of their program wincnn, but for signs: where a row of B^T
    has the other ones, so has the row of G, or the column of A^T.

    Parameters
    ----------
    m, r : outputs of a tile and taps of the filter, at least 1
    points : m + r - 2 different finite points; None for `default_points`. Infinity is the last

    Raises
    ------
    ValueError : "points=(0, 1) of F(2, 3): wanted 3 different ones"
    """
    if m < 1 or r < 1:
        raise ValueError(f"F({m}, {r}) needs at least one output and one tap")
    count = m + r - 2
    finite = default_points(count) if points is None else tuple(map(Fraction, points))
    if len(set(finite)) != count or len(finite) != count:
        shown = ", ".join(map(str, finite))
        raise ValueError(f"points=({shown}) of F({m}, {r}): wanted {count} different ones")
    g, bt = [], []
    for i, p in enumerate(finite):
        others = finite[:i] + finite[i + 1 :]
        divisor = math.prod((p - q for q in others), start=Fraction(1))
        sign = -1 if i == 0 and divisor < 0 else 1
        g.append([sign * p**k / divisor for k in range(r)])
        bt.append([*(sign * each for each in from_roots(others)), Fraction(0)])
    g.append([Fraction(k == r - 1) for k in range(r)])
    bt.append(from_roots(finite))
    at = [[*(p**i for p in finite), Fraction(i == m - 1)] for i in range(m)]
    return Transforms(*(np.array(each, dtype=object) for each in (at, g, bt)))


def from_roots(roots: Sequence[Fraction]) -> list[Fraction]:
    """The coefficients, lowest first, of the product of (t - q) over `roots`.

    >>> [int(each) for each in from_roots([Fraction(1), Fraction(2)])]
    [2, -3, 1]
    """
    polynomial = [Fraction(1)]
    for q in roots:
        times_t, times_q = [Fraction(0), *polynomial], [*polynomial, Fraction(0)]
        polynomial = [a - q * b for a, b in zip(times_t, times_q, strict=True)]
    return polynomial


def nearest(value: Fraction, dtype: npt.DTypeLike) -> Any:
    """The number of `dtype` that is nearest to `value`.

    Rounded by way of a wider dtype, a number may end up as the nearest but one.
    """
    quotient = np.longdouble(value.numerator) / np.longdouble(value.denominator)
    real: Any = np.dtype(dtype).type
    guess = real(quotient)
    around = [guess, *(np.nextafter(guess, real(side)) for side in (-np.inf, np.inf))]
    return min(around, key=lambda each: abs(exactly(each) - value))


def exactly(number: Any) -> Fraction:
    """A finite number of any real dtype as a fraction."""
    return Fraction(*number.as_integer_ratio())


def rounded(matrix: Array, dtype: npt.DTypeLike) -> Array:
    """A matrix of fractions in `dtype`, every entry the nearest number."""
    if np.dtype(dtype) == object:
        return matrix
    entries = [nearest(each, dtype) for each in matrix.flat]
    return np.array(entries, dtype).reshape(matrix.shape)
