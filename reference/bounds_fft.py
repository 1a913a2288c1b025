"""How far a convolution by fast Fourier transforms may lie from the reference; derived.

Of the plain scheme in `fft.py`: every plane of x inside its padding and of w, zeros behind, is
transformed by a complex radix-2 FFT of n = 2^t elements, n the product of the lengths of all axes;
X * conj(W) is summed over the C channels of a group, and transformed back. u and gamma_K as in
`bounds.py`; norms are over the elements of a plane.

A transform.  It is t stages; a stage takes pairs (a, b) to a + q*b and a - q*b, |q| = 1: a matrix
of two numbers in each row and column, sqrt(2) times a unitary one. Its weights q are off by mu at
most: u, where cos and sin are correctly rounded. A complex product meets a relative error of
sqrt(2)*gamma_2, the addition one of u, together less than gamma_4. As a matrix, that is gamma_4 for
a and gamma_4*(1 + mu) for b, of norm 2*gamma_4 + sqrt(2)*mu*gamma_4; and sqrt(2)*mu are the
weights' own. Relative to the stage's norm, sqrt(2), this is

    eta = mu + gamma_4*(sqrt(2) + mu)

and t stages, of one axis or of several one after the other, are off by

    |X' - X|_2 <= phi*|X|_2,     phi = t*eta/(1 - t*eta)                  (Higham, theorem 24.2)

in the 2-norm of the plane as a whole: an element's error is not in proportion to the element.

The products.  P = sum over c of X_c*conj(W_c). With |X_c|_2 = sqrt(n)*|x_c|_2, and Cauchy's
inequality for the sum over all frequencies, the error of P in the 1-norm is at most

    n*eps*S,     S = sum over c of |x_c|_2*|w_c|_2,
                 eps = (1 + phi)^2*(1 + sqrt(2)*gamma_2C) - 1

The way back.  An element of the inverse transform of that is at most its 1-norm over n: eps*S. The
inverse transform's own error is phi times the 2-norm of its result: all windows of the circular
correlation, at most Y = sum over c of |x_c|_2*|w_c|_1 (Young's inequality), and what eps*S in each
of n elements comes to. The division by n is exact. So, for every element of a plane,

    |y - exact| <= eps*S + phi*(Y + sqrt(n)*eps*S)

Plane by plane, not element by element: the error of a large window spreads over all. A plane
is exact where x or w is all zeros. Underflow is not covered.

The reference's rounding is gamma'_K*conv(|x|, |w|), and conv(|x|, |w|) <= S by Cauchy's inequality.

References
----------
Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., 2002, sections 3.6 and 24.1.
Cooley & Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .arguments import conv_axes, conv_output_shape
from .arrays import Array, wide_dtype
from .bounds import gamma, sum_growth, unit_roundoff
from .fft import fft_sizes
from .windows import Padding, PerAxis, padded_sizes, per_axis


def transform_growth(n: int, dtype: npt.DTypeLike, weight_error: float | None = None) -> float:
    """phi: the error of a radix-2 transform of n elements, relative, in the 2-norm.

        t*eta/(1 - t*eta),   eta = mu + gamma_4*(sqrt(2) + mu),   t = log2(n)

    Parameters
    ----------
    n : a power of two
    dtype : in which it was computed
    weight_error : mu, how far a weight may lie from the root of unity; None for u

    Raises
    ------
    ValueError : n is no power of two, or nothing is known about the result
    """
    if n < 1 or n & (n - 1):
        raise ValueError(f"n={n} is no power of two")
    mu = unit_roundoff(dtype) if weight_error is None else weight_error
    error = (n.bit_length() - 1) * (mu + gamma(4, dtype) * (math.sqrt(2) + mu))
    if error >= 1:
        raise ValueError(f"a transform of n={n} elements in {np.dtype(dtype)} leaves no digit")
    return error / (1 - error)


def fft_bound(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    dtype: npt.DTypeLike,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    lengths: PerAxis | None = None,
    weight_error: float | None = None,
) -> Array:
    """The largest |y - y_ref| that rounding explains in `fft.forward`.

        eps*S + phi*(Y + sqrt(n)*eps*S)

    for every element of a plane of y, and the reference's own error; the module's text derives it.

    Parameters
    ----------
    x, w, padding, groups : as in `conv`; x and w have been rounded to `dtype` before
    stride, dilation : as in `conv`; of the result some windows are taken, of the filter there are
        zeros between, and neither rounds
    dtype : float32 or float64, the parts of the complex numbers it was computed in, with or
        without fused multiply-adds
    lengths : of the transform along each axis, powers of two; None for `fft_sizes`
    weight_error : see `transform_growth`

    Returns
    -------
    bound : array of the shape of y, in the wide dtype; the same number in all of a plane

    Raises
    ------
    ValueError : the shapes do not fit, or no digit is left
    """
    x, w = np.asarray(x), np.asarray(w)
    wide = np.result_type(wide_dtype(x.dtype, w.dtype), wide_dtype(dtype))
    axes = conv_axes(
        x.shape, w.shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    sizes = padded_sizes(axes)
    n = math.prod(fft_sizes(sizes) if lengths is None else per_axis("lengths", lengths, len(axes)))
    if n < math.prod(sizes):
        raise ValueError(f"lengths={lengths} do not hold the padded image {sizes}")
    by_2_norms = sums_of_norms(x.astype(wide), w.astype(wide), 2, groups)
    by_1_norms = sums_of_norms(x.astype(wide), w.astype(wide), 1, groups)
    phi = transform_growth(n, dtype, weight_error)
    products = sum_growth(w.shape[1], np.result_type(dtype, np.complex64))
    first = (1 + phi) ** 2 * (1 + products) - 1
    own = gamma(
        math.prod(x.shape[1:]) + math.prod(w.shape[1:]) + 10, wide
    )  # of the norms, and of the reference
    error = first * by_2_norms + phi * (by_1_norms + math.sqrt(n) * first * by_2_norms)
    planes = (error + own * by_2_norms) / (1 - own)
    planes = planes.reshape(*planes.shape, *(1 for _ in axes))
    return np.array(np.broadcast_to(planes, conv_output_shape(x.shape, w.shape, axes)))


def sums_of_norms(x: Array, w: Array, order: int, groups: int) -> Array:
    """sum over c of |x_c|_2*|w_c|_order, (N, O), over the channels of o's group."""
    of_x = np.sqrt((x * x).sum(axis=tuple(range(2, x.ndim))))
    of_w = (abs(w) ** order).sum(axis=tuple(range(2, w.ndim))) ** (1 / x.dtype.type(order))
    of_x = of_x.reshape(len(x), groups, 1, w.shape[1])
    of_w = of_w.reshape(groups, len(w) // groups, w.shape[1])
    total: Array = (of_x * of_w).sum(axis=-1)
    return total.reshape(len(x), len(w))
