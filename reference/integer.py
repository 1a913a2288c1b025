"""Convolution of integers with zero points, exact; ONNX's ConvInteger and QLinearConv.

A quantised tensor stands for scale*(q - zero_point). ConvInteger sums the differences,

    y[p] = sum over t of (W[t] - w_zero_point) (x[s_p + t*dilation] - x_zero_point)

and QLinearConv scales the sum, and rounds it into the type of the result:

    y_q = saturate(round((sum + bias) * x_scale*w_scale/y_scale) + y_zero_point)

round is to nearest, a half to even; saturate cuts off at the ends of the type. The padding stands
for zero, hence holds x_zero_point, and contributes nothing.

The accumulator.  Sums are exact modulo 2^32 or 2^64, by the accumulator, and what does not fit
wraps around, as two's complement does: wrapping is compatible with + and *, so that where it
happens on the way does not matter, and a sum that fits in the end is right. A product of two
differences of 8-bit numbers is at most 255^2, so int32 holds more than 33000 of them.

Rounding.  The scales are multiplied and divided in float64, x_scale*w_scale/y_scale in this order,
and the product is rounded once more, before it is rounded to an integer. An implementation in
float32 may differ by one where the product lies near a half.

Edge cases. Only the batch may be empty.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .arguments import check_shape, conv_axes
from .arrays import Array
from .conv import conv
from .windows import Padding, PerAxis

Accumulator = Literal["int32", "int64"]


def conv_integer(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    x_zero_point: int = 0,
    w_zero_point: npt.ArrayLike = 0,
    accumulator: Accumulator = "int32",
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """Correlate integers less their zero points.

    Parameters
    ----------
    x : integer array (N, C, *spatial), with 1, 2 or 3 spatial axes
    w : integer array (O, C/groups, *kernel)
    x_zero_point : what stands for zero in x, and fills the padding
    w_zero_point : integer, or an array (O,) with one for each output
    accumulator : "int32" or "int64", the type of the sums and of y; they wrap around
    stride, padding, dilation, groups : as in `conv`

    Returns
    -------
    y : array (N, O, *out), int32 or int64

    Raises
    ------
    ValueError : the shapes do not fit, or something is not an integer
    """
    if accumulator not in ("int32", "int64"):
        raise ValueError(f"accumulator={accumulator!r} is unknown: wanted 'int32' or 'int64'")
    x = integers("x", x) - integers("x_zero_point", x_zero_point)
    filters = integers("w", w)
    conv_axes(
        x.shape, filters.shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    filters = filters - per_output("w_zero_point", integers("w_zero_point", w_zero_point), filters)
    y = conv(x, filters, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return y.astype(accumulator)


def qlinear_conv(
    x: npt.ArrayLike,
    x_scale: float,
    x_zero_point: int,
    w: npt.ArrayLike,
    w_scale: npt.ArrayLike,
    w_zero_point: npt.ArrayLike,
    y_scale: float,
    y_zero_point: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """Correlate quantised images with quantised filters, into a quantised result.

    Parameters
    ----------
    x, w, x_zero_point, w_zero_point : as in `conv_integer`
    x_scale, y_scale : what one step of x and y stands for
    w_scale : of w; a number, or an array (O,) with one for each output
    y_zero_point : what stands for zero in y; an 8- or 16-bit integer, whose type y has
    bias : integer array (O,), in steps of x_scale*w_scale, added to the int32 sum; or None
    stride, padding, dilation, groups : as in `conv`

    Returns
    -------
    y : array (N, O, *out), dtype of y_zero_point

    Raises
    ------
    ValueError : the shapes do not fit, or something is not an integer
    """
    total = conv_integer(
        x,
        w,
        x_zero_point=x_zero_point,
        w_zero_point=w_zero_point,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    ).astype(np.int64)
    w = np.asarray(w)
    if bias is not None:
        check_shape("bias", np.shape(bias), w.shape[:1])
        total = (total + per_output("bias", integers("bias", bias), w)[:, 0]).astype(np.int32)
    scale = np.asarray(x_scale, np.float64) * np.asarray(w_scale, np.float64) / np.float64(y_scale)
    scaled = total * per_output("w_scale", scale, w)[:, 0]
    zero = np.asarray(y_zero_point)
    limits = np.iinfo(integer_dtype("y_zero_point", zero))
    rounded: Array = np.clip(np.rint(scaled) + zero, limits.min, limits.max)
    return rounded.astype(zero.dtype)


def integers(name: str, a: npt.ArrayLike) -> Array:
    """`a` in int64.

    Raises
    ------
    ValueError : `a` is no array of integers
    """
    a = np.asarray(a)
    integer_dtype(name, a)
    return a.astype(np.int64)


def integer_dtype(name: str, a: Array) -> np.dtype[Any]:
    """The dtype of `a`, which is of integers; ValueError otherwise."""
    if a.dtype.kind not in "iu":
        raise ValueError(f"{name} is of {a.dtype}: wanted integers")
    return a.dtype


def per_output(name: str, values: Array, w: Array) -> Array:
    """`values`, one or one for each output, in the shape (O, 1, ...) that goes with w."""
    if values.size != 1:
        check_shape(name, values.shape, w.shape[:1])
    return values.reshape(-1, *(1 for _ in w.shape[1:]))
