"""How far a rounded result may lie from the reference: a bound that is derived, not tried out.

    bounds            sums: plain and split, means, interpolation; storage in less; activations
    bounds_pool       p-norms and their gradients
    bounds_winograd   convolution by Winograd's F(m, r)
    bounds_fft        convolution by FFT

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
  are exact zeros. Where it holds copies of the image instead, the data gradient of an element has
  the products of each copy as well: with ones for all numbers, the operation itself counts them.
- A bias takes part in one more addition, and so does everything else: K + 1, with |bias| added to
  the magnitude.
- im2col and GEMM round like any other order of the sum, for copying is exact. The data gradient by
  GEMM and then col2im first forms the T entries of W^T dY that an element of dx collects, each a
  sum of O/groups products, and then adds those: a product is rounded in O/groups operations and in
  T - 1 more, O/groups + T - 1 <= O/groups*T, inside the same gamma_K.
- A split sum: K terms in B blocks, each summed apart, by a work-group or in a lane, then the B
  results added, in any order. A product meets at most as many roundings as its block has terms, L,
  and B - 1 more. No block is empty, so that L + B - 1 <= K: a split sum is inside gamma_K, and
  where blocks are even, L = ceil(K/B), far inside: `split_terms`. Results in between are kept in
  the dtype of the sum.
- The bias gradient, `col2im`, the adjoints of max pooling: sums of at most K terms without
  products, K - 1 roundings.
- Average pooling: at most K - 1 additions and one correctly rounded division for K taps, hence
  gamma_K times the average of |x|. Its gradient: one division a share and K - 1 additions of
  shares, K the most windows that an element is in. Adaptive and global pooling likewise, K the
  taps of the largest window. A multiplication by a rounded 1/K would be one term more, and a
  division of 2.5 units in the last place, OpenCL's least, four.
- Max pooling and unpooling select, and are exact.
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

Storage in less.  float16 and bfloat16 are widened to float32, which is exact, and summed there; the
sum is rounded to the stored dtype once, at the end. With e the bound of the float32 sum, what is
rounded is at most |y_ref| + e, and that changes it by u of the stored dtype times this, or, where
the stored numbers are subnormal, by half their distance: 2^-25 in float16, 2^-134 in bfloat16. So
the result is off by at most

    e + u*(|y_ref| + e) + t          t: that half distance

and equals the exact sum, rounded once, where the float32 sum is exact: `stored_bound`. Whatever is
summed in several passes is rounded to the stored dtype behind the last one only.

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
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Array, wide_dtype

# name -> the steepest slope, and the ulps of the function itself; see `activation_bound`
ACTIVATION_ERRORS = {
    "relu": (1.0, 0),
    "leaky_relu": (1.0, 3),
    "relu6": (1.0, 0),
    "sigmoid": (0.25, 8),
    "tanh": (1.0, 6),
    "silu": (1.1, 9),
    "gelu": (1.13, 20),
}


def unit_roundoff(dtype: npt.DTypeLike) -> float:
    """u = 2^-p: the largest relative error of rounding to nearest in `dtype`; of its parts."""
    dtype = np.dtype(dtype)
    if dtype.name == "bfloat16":  # numpy does not know it: 8 bits of significand
        return 2.0**-8
    return float(np.finfo(dtype).eps) / 2


def computed_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The dtype that sums of `dtype` are formed in by what is under test."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float32) if dtype.name in ("float16", "bfloat16") else dtype


def stored_bound(allowed: npt.ArrayLike, expected: npt.ArrayLike, dtype: npt.DTypeLike) -> Array:
    """`allowed`, the bound of a result, plus what its storage in `dtype` may add.

    Parameters
    ----------
    allowed : array, the bound of the result before it is stored
    expected : array, the reference's result
    dtype : in which it is stored
    """
    allowed = np.asarray(allowed)
    if computed_dtype(dtype) == np.dtype(dtype):
        return allowed
    half_step = 2.0**-25 if np.dtype(dtype) == np.float16 else 2.0**-134
    last = unit_roundoff(dtype) * (abs(np.asarray(expected)) + allowed) + half_step
    return np.where(allowed + abs(np.asarray(expected)) == 0, 0, allowed + last)


def activation_bound(
    allowed: npt.ArrayLike, linear: npt.ArrayLike, activation: str, dtype: npt.DTypeLike
) -> Array:
    """The bound of activation(y), where y may be off by `allowed`.

    An error grows by the steepest slope of the function; the function adds the roundings of its
    own arithmetic and what OpenCL C 1.2 (section 7.4) allows its parts, in ulps: exp 3, tanh 5,
    erfc 16, division 2.5. These are of |y|, or of 1 where it is smaller.

    Parameters
    ----------
    allowed : array, the bound of y
    linear : array, y itself, before the activation
    activation : a name out of `activations.py`
    dtype : in which it was computed
    """
    slope, ulps = ACTIVATION_ERRORS[activation]
    own = 2 * ulps * unit_roundoff(dtype) * np.maximum(abs(np.asarray(linear)), 1)
    total: Array = slope * np.asarray(allowed) + own
    return total


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


def split_terms(terms: int, blocks: int) -> int:
    """The roundings of a sum of `terms` products in `blocks` even blocks, summed apart, then added.

        ceil(K/B) + B - 1    at most K; the least is near 2*sqrt(K), at B = sqrt(K)

    Raises
    ------
    ValueError : "blocks=9 of terms=8: wanted 1 to 8"
    """
    if not 1 <= blocks <= terms:
        raise ValueError(f"blocks={blocks} of terms={terms}: wanted 1 to {terms}")
    return -(-terms // blocks) + blocks - 1


def sample_roundings(rank: int) -> int:
    """Roundings of an interpolated, masked pixel beyond those of the sum it is a term of.

    2R + 2^R    for R = `rank` spatial axes; the module's text derives it
    """
    return 2 * rank + (1 << rank)


def exact_integer_limit(terms: int, dtype: npt.DTypeLike) -> int:
    """The largest a for which any `terms` products of integers within [-a, a] sum exactly.

        terms * a * a <= 2^p    (p = 24 in float32, 53 in float64; an integer dtype: its maximum)

    for a dtype that sums are formed in; float16 and bfloat16 are summed in float32. Of complex
    numbers, both parts lie within [-a, a], and a product is two.

    Every partial sum, in every order, is then an integer within [-2^p, 2^p], and all those are in
    the dtype.

    Raises
    ------
    ValueError : not even a = 1 is exact
    """
    dtype = computed_dtype(dtype)
    if dtype.kind in "iu":
        largest = int(np.iinfo(dtype).max)
    else:
        largest = 2 ** (np.finfo(dtype).nmant + 1)
        terms *= 2 if dtype.kind == "c" else 1  # real products in each part of a complex sum
    limit = math.isqrt(largest // max(terms, 1))
    if limit < 1:
        raise ValueError(f"terms={terms} products of integers are not always exact in {dtype}")
    return limit
