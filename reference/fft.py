"""Convolution by fast Fourier transforms, rounded at every step to complex numbers of one dtype.

The circular correlation of two signals of n elements is, with F the discrete Fourier transform and
the conjugate element by element,

    y = F^-1 (F x * conj(F w)),        X[k] = sum over i of x[i]*exp(-2*pi*i*k/n)

and a window that does not wrap is a window of the correlation. So the image in its padding, and the
filter with its dilation's zeros, are laid into 2^t elements along each axis, and of the result the
windows are taken that the stride asks for. F is radix-2, and for several axes one after the other:

    X[k] = E[k] + q^k*O[k],  X[k + n/2] = E[k] - q^k*O[k],       q = exp(-2*pi*i/n)

with E and O the transforms of the even and of the odd elements. Errors reach all of a plane, and so
do NaN and infinities: `bounds_fft`.

References
----------
Cooley & Tukey, "An algorithm for the machine calculation of complex Fourier series", 1965.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import conv_axes
from .arrays import Array
from .matrices import split_channels
from .windows import Padding, PerAxis, padded_sizes


def forward(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    dtype: npt.DTypeLike,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """`conv(x, w)` by radix-2 transforms.

    Parameters
    ----------
    x : array (N, C, *spatial), of real numbers, with 1, 2 or 3 spatial axes
    w : array (O, C/groups, *kernel)
    dtype : float32, float64 or longdouble, to which the parts of complex numbers are rounded
    stride, padding, dilation, groups : as in `conv`

    Returns
    -------
    y : array (N, O, *out) in `dtype`

    Raises
    ------
    ValueError : the shapes do not fit
    """
    x, w, dtype = np.asarray(x), np.asarray(w), np.dtype(dtype)
    axes = conv_axes(
        x.shape, w.shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    lengths = fft_sizes(padded_sizes(axes))
    inside = [slice(axis.low, axis.low + axis.size) for axis in axes]
    images = split_channels(transformed_within(x, lengths, inside, dtype), groups)
    taps = [slice(0, axis.extent, axis.dilation) for axis in axes]
    filters = transformed_within(w, lengths, taps, dtype).conj()
    filters = filters.reshape(groups, len(w) // groups, *filters.shape[1:])
    sums = filters[:, :, 0] * images[:, :, None, 0]
    for c in range(1, w.shape[1]):
        sums = sums + filters[:, :, c] * images[:, :, None, c]
    sums = sums.reshape(len(x), len(w), *lengths).conj()
    y = transformed(sums, len(axes)).conj().real / dtype.type(math.prod(lengths))
    windows = [slice(0, axis.count * axis.stride, axis.stride) for axis in axes]
    return np.asarray(y[(..., *windows)])


def fft_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """The least powers of two that hold `sizes`, the padded image, so that no window wraps."""
    return tuple(1 << (size - 1).bit_length() for size in sizes)


def transformed_within(
    a: Array, lengths: Sequence[int], place: Sequence[slice], dtype: npt.DTypeLike
) -> Array:
    """The transforms of the planes of `a`, laid at `place` into zeros."""
    planes = np.zeros((*a.shape[:2], *lengths), np.result_type(dtype, np.complex64))
    inside: tuple[Any, ...] = (..., *place)
    planes[inside] = a
    return transformed(planes, len(lengths))


def transformed(a: Array, rank: int) -> Array:
    """F along each of the last `rank` axes, in the dtype of `a`."""
    for number in range(a.ndim - rank, a.ndim):
        a = np.moveaxis(radix_2(np.moveaxis(a, number, -1)), -1, number)
    return a


def radix_2(a: Array) -> Array:
    """F along the last axis, of 2^t elements."""
    n = a.shape[-1]
    if n == 1:
        return a
    even, odd = radix_2(a[..., 0::2]), radix_2(a[..., 1::2])
    turned = roots_of_unity(n, a.dtype) * odd
    return np.concatenate([even + turned, even - turned], axis=-1)


def roots_of_unity(n: int, dtype: npt.DTypeLike) -> Array:
    """q^k for k < n/2, computed in longdouble and rounded."""
    angles = -8 * np.arctan(np.longdouble(1)) * np.arange(n // 2) / n
    roots: Array = (np.cos(angles) + 1j * np.sin(angles)).astype(dtype)
    return roots
