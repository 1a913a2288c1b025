"""How far a rounded result may lie from the reference: a bound that is derived, not tried out.

One operation.  In a dtype with p bits of significand, rounding to nearest, and short of overflow
and underflow, a computed sum, product, quotient or fused multiply-add is the exact one times
(1 + d) with |d| <= u = 2^-p, the unit roundoff: 2^-24 in float32, 2^-53 in float64.

A sum of K products.  Follow one product a*b on its way into the sum of K of them. It is rounded
once when it is formed and once in every addition it takes part in, of which there are at most
K - 1, whatever the order: one after the other, in a tree, in blocks, in vector lanes. (The first
addition to an accumulator of zero is exact.) With a fused multiply-add the product is not rounded,
and the additions are the fused ones. So the computed sum is

    sum of a*b*(1 + t),    |t| <= (1 + u)^K - 1 <= gamma_K = K*u/(1 - K*u)       (K*u < 1)

and lies within gamma_K * sum|a*b| of the exact one. The sum of absolute values, the *magnitude*,
comes from the same operation on |x| and |w|. It is taken element by element: a large output must
not excuse a wrong small one.

What K is.
- Convolution: the `terms` of `shapes.ConvShape`: C/groups*T forward, T the taps of a filter;
  O/groups*T for the data gradient; N*prod(out) for the weight gradient. Products with the padding
  are exact zeros.
- A bias takes part in one more addition, and so does everything else: K + 1, with |bias| added to
  the magnitude.
- im2col and GEMM round like any other order of the sum, for copying is exact. The data gradient by
  GEMM and then col2im first forms the T entries of W^T dY that an element of dx collects, each a
  sum of O/groups products, and then adds those: a product is rounded in O/groups operations and in
  T - 1 more, O/groups + T - 1 <= O/groups*T, inside the same gamma_K. Blocking of K is the
  same argument.
- Average pooling: at most K - 1 additions and one division for K taps, hence gamma_K times the
  average of |x|. Its gradient: one division a share and K - 1 additions of shares. A
  multiplication by a rounded 1/K would be one term more.
- Max pooling selects, and is exact.
- A sample of a deformable convolution along R axes, v = sum over corners of weight*pixel: of the
  two weights of an axis one is exact and the other rounded once (see `deform_sampling`), so that
  the weight of a corner meets R roundings of its factors and R - 1 of its product; then come the
  product with the pixel, at most 2^R - 1 additions, and the product with the mask: 2R + 2^R, by
  `sample_roundings`. A slope has a factor less. They add to those of the sum v is a term of:

      y          K + S                 K as in conv (with a bias one more), S = 2R + 2^R
      dw         N*prod(out) + S
      dmask      O/groups + D + S      for the column g = W^T dy, over the D = C/offset_groups
      doffset    O/groups + D + S      channels that share an offset, and g*v itself
      dx         O/groups + T*prod(out) + S      a sample has a pixel for a corner once at most

  The magnitude of doffset takes the slopes without their signs:
  `deform.deform_conv_backward_magnitude`. The others are the operations on absolute values.
- Complex numbers: each part of a sum of K products is a real sum of 2K products, and lies within
  gamma_2K times the sum of |Re a*Re b| + |Im a*Im b| (or the mixed products). The two parts
  together are within sqrt(2)*gamma_2K times the sum of |a|*|b|, the magnitude conv(|x|, |w|).

The reference rounds too, if less: with u' of its wide dtype, by gamma'_K times the magnitude. And
the magnitude is itself computed there, hence may be too small, by a factor of 1 - gamma'_K at the
worst. So between a result in the dtype under test and the reference there may lie

    |y - y_ref| <= (gamma_K + gamma'_K) * magnitude / (1 - gamma'_K)

An error above it is an error of the code, not of the arithmetic.

Exact problems.  Where all numbers are integers, and so small that no partial sum passes 2^p,
nothing is rounded at all, and any order gives the same bits: `exact_integer_limit`.

References
----------
Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., 2002, sections 2.2, 3.1 and 3.5.
Jeannerod & Rump, "Improved error bounds for inner products in floating-point arithmetic", 2013,
    show that K*u alone suffices for sequential sums; the older bound holds in any order.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .arrays import Array, wide_dtype


def unit_roundoff(dtype: npt.DTypeLike) -> float:
    """u = 2^-p: the largest relative error of rounding to nearest in `dtype`; of its parts."""
    dtype = np.dtype(dtype)
    if dtype.name == "bfloat16":  # numpy does not know it: 8 bits of significand
        return 2.0**-8
    return float(np.finfo(dtype).eps) / 2


def sum_growth(terms: int, dtype: npt.DTypeLike) -> float:
    """The bound of a sum of `terms` products, relative to its magnitude: gamma_K if real."""
    dtype = np.dtype(dtype)
    return math.sqrt(2) * gamma(2 * terms, dtype) if dtype.kind == "c" else gamma(terms, dtype)


def gamma(terms: int, dtype: npt.DTypeLike) -> float:
    """gamma_K = K*u/(1 - K*u) for K = `terms` roundings in `dtype`.

    Raises
    ------
    ValueError : K*u >= 1: nothing is known about a sum this long
    """
    error = terms * unit_roundoff(dtype)
    if error >= 1:
        raise ValueError(f"terms={terms} roundings in {np.dtype(dtype)} leave no correct digit")
    return error / (1 - error)


def sum_bound(magnitude: npt.ArrayLike, terms: int, dtype: npt.DTypeLike) -> Array:
    """The largest |y - y_ref| that rounding explains, element by element.

        (gamma_K + gamma'_K) * magnitude / (1 - gamma'_K)

    Parameters
    ----------
    magnitude : array, the reference operation on absolute values: conv(|x|, |w|), avg_pool(|x|)
    terms : K, how many roundings a product may meet; the module's text says how many
    dtype : in which y was computed, with or without fused multiply-adds, in any order

    Returns
    -------
    bound : array of the shape of `magnitude`, in the wide dtype of `dtype`, real for complex
        numbers. It is zero where the magnitude is: a sum of zeros is exact. Underflow is not
        covered.

    Raises
    ------
    ValueError : `terms` roundings leave no correct digit
    """
    wide = wide_dtype(dtype)
    own = sum_growth(terms, wide)
    allowed = (sum_growth(terms, dtype) + own) / (1 - own)
    return np.asarray(magnitude, dtype=np.finfo(wide).dtype) * allowed


def sample_roundings(rank: int) -> int:
    """Roundings of an interpolated, masked pixel beyond those of the sum it is a term of.

    2R + 2^R    for R = `rank` spatial axes; the module's text derives it
    """
    return 2 * rank + (1 << rank)


def exact_integer_limit(terms: int, dtype: npt.DTypeLike) -> int:
    """The largest a for which any `terms` products of integers within [-a, a] sum exactly.

        terms * a * a <= 2^p    (p = 24 in float32, 53 in float64; an integer dtype: its maximum)

    Every partial sum, in every order, is then an integer within [-2^p, 2^p], and all those are in
    the dtype.

    Raises
    ------
    ValueError : not even a = 1 is exact
    """
    dtype = np.dtype(dtype)
    largest = 2 ** (np.finfo(dtype).nmant + 1) if dtype.kind == "f" else int(np.iinfo(dtype).max)
    limit = math.isqrt(largest // max(terms, 1))
    if limit < 1:
        raise ValueError(f"terms={terms} products of integers are not always exact in {dtype}")
    return limit
