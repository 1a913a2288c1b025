"""Depthwise and separable convolution: `conv` with as many groups as channels.

    depthwise     every channel has filters of its own, `multiplier` of them:
                  y[n, c*multiplier + m] = x[n, c] correlated with w[c*multiplier + m, 0]
    separable     a depthwise convolution, then a pointwise one: the filters' matrices
                  W[t] = W_pointwise diag(w_depthwise[t]) all share one factor

The gradients are those of `conv`, with groups = C; for a separable convolution, of one stage after
the other. Edge cases are those of `conv`, too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .arguments import check_image
from .arrays import Array
from .conv import conv
from .layouts import dimension_numbers_of, permuted_shape
from .windows import Padding, PerAxis


def depthwise_conv(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    flip: bool = False,
    dimension_numbers: str | None = None,
) -> Array:
    """Correlate every channel with filters of its own.

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    w : array (C*multiplier, 1, *kernel)
    bias : array (C*multiplier,), or None for zeros
    stride, padding, dilation, flip, dimension_numbers : as in `conv`

    Returns
    -------
    y : array (N, C*multiplier, *out) in the wide dtype

    Raises
    ------
    ValueError : the shapes do not fit
    """
    numbers = dimension_numbers_of(dimension_numbers, np.shape(x))
    x_shape = permuted_shape(np.shape(x), numbers.x, numbers.image)
    check_image("x", x_shape)
    check_multiplier(x_shape[1], permuted_shape(np.shape(w), numbers.w, numbers.filters, "w"))
    return conv(
        x,
        w,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=x_shape[1],
        flip=flip,
        dimension_numbers=dimension_numbers,
    )


def separable_conv(
    x: npt.ArrayLike,
    w_depthwise: npt.ArrayLike,
    w_pointwise: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    flip: bool = False,
    dimension_numbers: str | None = None,
) -> Array:
    """A depthwise convolution with all the geometry, then a pointwise one that mixes channels.

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    w_depthwise : array (C*multiplier, 1, *kernel)
    w_pointwise : array (O, C*multiplier, 1, ...), with a 1 for each spatial axis
    bias : array (O,), added at the end, or None for zeros
    stride, padding, dilation, flip : of the depthwise stage, as in `conv`
    dimension_numbers : as in `conv`; both weights lie in the layout of w

    Returns
    -------
    y : array (N, O, *out) in the wide dtype; what lies between the stages is not rounded

    Raises
    ------
    ValueError : the shapes do not fit
    """
    numbers = dimension_numbers_of(dimension_numbers, np.shape(x))
    filters = permuted_shape(np.shape(w_pointwise), numbers.w, numbers.filters, "w_pointwise")
    if any(size != 1 for size in filters[2:]):
        raise ValueError(f"w_pointwise {filters} is not (O, C*multiplier, 1, ...)")
    between = depthwise_conv(
        x,
        w_depthwise,
        stride=stride,
        padding=padding,
        dilation=dilation,
        flip=flip,
        dimension_numbers=dimension_numbers,
    )
    from_y = numbers._replace(x=numbers.y)  # what lies between the stages has the layout of y
    return conv(between, w_pointwise, bias, dimension_numbers=str(from_y))


def check_multiplier(channels: int, w_shape: tuple[int, ...]) -> None:
    """w has a whole number of one-channel filters for each channel."""
    if len(w_shape) < 2 or w_shape[0] % channels or w_shape[1] != 1:
        raise ValueError(f"w {w_shape} is not (C*multiplier, 1, *kernel) for C={channels} of x")
