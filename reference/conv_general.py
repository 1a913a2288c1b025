"""One convolution that contains the others: XLA's ConvGeneralDilated.

Two things more than `conv` can: zeros between the elements of the image (`input_dilation`, e), and
padding of either sign, where the negative cuts off. For two spatial axes,

    y[n, o, p, q] = sum over c, i, j of  w[o, c, i, j] * X[n, c, p*sh + i*dh - top, q*sw + ...]

    X[n, c, u, v] = x[n, c, u/eh, v/ew]  where both quotients are whole and inside x, else 0

A gradient connects the same elements (see `loops.py`): x at i, w at t and y at p, wherever

    e*i = p*s + t*d - low                                                              (1)

Solved for another of the three it is (1) again, with the numbers in new places, and so is the
gradient another call of `conv_general`:

    backward data      r = k - 1 - t counts the taps from the other end:
                       s*p = i*e + r*d - (d*(k - 1) - low)
                       the image is dy, dilated by s; stride e; filter dilation d;
                       padding d*(k - 1) - low; w flipped, its O and I exchanged
    backward weights   e*i = t*d + p*s - low
                       the image is x, dilated by e; the filter is dy, dilated by s; stride d;
                       padding low; what is summed over is the batch, so it takes the channel's
                       place, and the channel the batch's

`high` is always what makes the result as long as it has to be, and may turn out negative. The
set of these maps is closed under differentiation: gradients of gradients, of any order, are calls
of `conv_general`. `conv_general_forms.py` writes the calls out.

Groups. `groups` splits the channels into blocks that reach outputs of their own. `batch_groups`
splits the batch instead: output o takes block o // (O/batch_groups), and the result has the batch
N/batch_groups. The one is the other's weight gradient, because there batch and channel change
places.

Edge cases. A filter larger than the padded image is an error, as in torch; XLA returns an empty
array. An image that is cut off wholly is zeros, if padding on the other side gives it a length.
NaN and infinities travel as in `conv`: x spread and padded is the image, and its zeros are
multiplied, in y and in the weight gradient; the data gradient has a product only where a tap lies
on an element of x. The call above for backward data multiplies the zeros between the elements of
dy and around it as well, and so it gives the data gradient only where w is finite.

References
----------
"XLA operation semantics", ConvGeneralDilated (ConvWithGeneralPadding).
Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Array, wide_dtype
from .conv import conv, conv_backward_data
from .conv_general_forms import (
    as_conv_general_backward_weights,
    check_batch_groups,
    check_dy,
    general_axes,
)
from .layouts import dimension_numbers_of, permuted, permuted_shape
from .windows import Padding, PerAxis, gather, spread


def conv_general(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    input_dilation: PerAxis = 1,
    dilation: PerAxis = 1,
    groups: int = 1,
    batch_groups: int = 1,
    dimension_numbers: str | None = None,
    flip: bool = False,
) -> Array:
    """Cross-correlate a dilated and padded, or cropped, image with a dilated filter.

    x is dilated, then padded by (low, high), then correlated; the module's text has the formula.

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes; N a multiple of batch_groups
    w : array (O, C/groups, *kernel); O a multiple of groups and of batch_groups
    stride, input_dilation, dilation : int or one per axis, at least 1
    padding : int, one per axis, or ((low, high), ...), of any sign; or "same", "same_lower",
        "valid", which look at the dilated image
    groups, batch_groups : blocks of the channels, and of the batch; one of them has to be 1
    dimension_numbers : the layouts of x, w and y, "NHWC,HWIO->NHWC"; see `layouts.py`
    flip : reverse w along its spatial axes

    Returns
    -------
    y : array (N/batch_groups, O, *out) in the wide dtype;
        out = (e*(size - 1) + 1 + low + high - d*(k - 1) - 1)//s + 1

    Raises
    ------
    ValueError : the shapes do not fit; a filter larger than the padded image
    """
    numbers = dimension_numbers_of(dimension_numbers, np.shape(x))
    image = permuted(x, numbers.x, numbers.image, "x")
    filters = permuted(w, numbers.w, numbers.filters, "w")
    check_batch_groups(image.shape, filters.shape, groups, batch_groups)
    axes = general_axes(
        image.shape,
        filters.shape,
        stride=stride,
        padding=padding,
        input_dilation=input_dilation,
        dilation=dilation,
        groups=groups,
    )
    for number, axis in enumerate(axes, start=2):
        image = spread(image, number, axis.input_dilation, axis.low, axis.high)
    parts = [
        conv(image_block, filter_block, stride=stride, dilation=dilation, groups=groups, flip=flip)
        for image_block, filter_block in zip(
            np.split(image, batch_groups), np.split(filters, batch_groups), strict=True
        )
    ]
    return permuted(np.concatenate(parts, axis=1), numbers.image, numbers.y)


def conv_general_backward_data(
    dy: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    input_shape: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    input_dilation: PerAxis = 1,
    dilation: PerAxis = 1,
    groups: int = 1,
    batch_groups: int = 1,
    dimension_numbers: str | None = None,
    flip: bool = False,
) -> Array:
    """The gradient with respect to x, given that with respect to y.

    The steps of `conv_general` backwards: the data gradient of `conv`, then the elements of x out
    of the image that they were spread over.

    Parameters
    ----------
    dy : array of the shape and layout of y
    input_shape : of x, in its layout
    w, and the others : as in `conv_general`

    Returns
    -------
    dx : array of `input_shape` in the wide dtype; of complex numbers the adjoint, by conj(w)

    Raises
    ------
    ValueError : the shapes do not fit
    """
    numbers = dimension_numbers_of(dimension_numbers, input_shape, "input_shape")
    x_shape = permuted_shape(input_shape, numbers.x, numbers.image)
    filters = permuted(w, numbers.w, numbers.filters, "w")
    check_batch_groups(x_shape, filters.shape, groups, batch_groups)
    axes = general_axes(
        x_shape,
        filters.shape,
        stride=stride,
        padding=padding,
        input_dilation=input_dilation,
        dilation=dilation,
        groups=groups,
        names=("input_shape", "w"),
    )
    check_dy(np.shape(dy), x_shape, filters.shape, axes, batch_groups, numbers)
    padded = (axis.low + axis.spread_size + axis.high for axis in axes)
    keywords: dict[str, Any] = {
        "input_shape": (x_shape[0] // batch_groups, x_shape[1], *padded),
        "stride": stride,
        "dilation": dilation,
        "groups": groups,
        "flip": flip,
    }
    blocks = zip(
        np.split(permuted(dy, numbers.y, numbers.image, "dy"), batch_groups, axis=1),
        np.split(filters, batch_groups),
        strict=True,
    )
    image = np.concatenate([conv_backward_data(*block, **keywords) for block in blocks])
    for number, axis in enumerate(axes, start=2):
        image = gather(image, number, axis.size, axis.input_dilation, axis.low)
    return permuted(image, numbers.image, numbers.x)


def conv_general_backward_weights(
    x: npt.ArrayLike,
    dy: npt.ArrayLike,
    *,
    weight_shape: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    input_dilation: PerAxis = 1,
    dilation: PerAxis = 1,
    groups: int = 1,
    batch_groups: int = 1,
    dimension_numbers: str | None = None,
    flip: bool = False,
) -> Array:
    """The gradient with respect to w, given that with respect to y: one call of `conv_general`.

    Parameters
    ----------
    dy : array of the shape and layout of y
    weight_shape : of w, in its layout
    x, and the others : as in `conv_general`

    Returns
    -------
    dw : array of `weight_shape` in the wide dtype; of complex numbers the adjoint, by conj(x)

    Raises
    ------
    ValueError : the shapes do not fit
    """
    call = as_conv_general_backward_weights(
        x,
        dy,
        weight_shape=weight_shape,
        stride=stride,
        padding=padding,
        input_dilation=input_dilation,
        dilation=dilation,
        groups=groups,
        batch_groups=batch_groups,
        dimension_numbers=dimension_numbers,
        flip=flip,
    )
    if 0 in np.shape(x):  # the batch, which is what is summed over
        return np.zeros(tuple(weight_shape), wide_dtype(call.x.dtype, call.w.dtype))
    return conv_general(call.x, call.w, **call.keywords)
