"""Transposed convolution: the data gradient of a convolution, as an operator of its own.

Where `conv` gathers, `conv_transpose` scatters: every pixel of x lays a copy of the filter, times
itself, on the output, the copies `stride` apart, and what falls on the padding is cut off:

    y[i*stride + t*dilation - low] += W[t] x[i]        for all pixels i and taps t

The weights are stored as for the convolution that this is the transpose of, (C, O/groups, *kernel)
with C the channels of *this* operator's x. Each axis has

    out = (size - 1)*stride - low - high + dilation*(k - 1) + 1 + output_padding

elements. A strided convolution makes the same output of inputs of `stride` sizes; output_padding
chooses among them, by as many more elements at the high end. Up to stride - 1 of them, y is the
data gradient of `conv`. torch also allows output_padding below the dilation; with that much, `conv`
would have had more windows than x has pixels, and y is that gradient for x with zeros appended.

The adjoints need no more: that of a scatter is the gather, and the gather is a `conv_general` whose
padding at the high end is high - output_padding, negative if need be.

Edge cases. There is a product for every pixel of x and every tap, and none beside these. An element
that no copy reaches is the bias, and what falls on the padding is dropped, be it NaN; so infinities
stay where the filter reaches, and 0*inf within its reach is NaN. Both gradients read dy with zeros
where the padding was cut off, and these are multiplied: infinities of w, or of x, meet them. torch
agrees where its convolution does; see `conv.py`. Only the batch may be empty. For complex numbers
this is the transpose, without conjugation; the data gradient of a convolution
(`conv_backward_data`) conjugates w, and is its adjoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import TransposeAxis, check_shape, transpose_axes
from .arrays import Array, conjugate, widen
from .conv_general import conv_general, conv_general_backward_weights
from .layouts import dimension_numbers_of, permuted, permuted_shape
from .matrices import columns, flipped, split_channels, tap_matrices
from .windows import Axes, Axis, Index, Padding, PerAxis, counts, taps


def conv_transpose(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    flip: bool = False,
    dimension_numbers: str | None = None,
) -> Array:
    """Scatter a batch of images through a bank of filters; torch's conv_transpose.

        y[n, o, i*stride + t*dilation - low] += x[n, c, i] * w[c, o', t]

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    w : array (C, O/groups, *kernel); o' counts o within its group
    bias : array (O,), or None for zeros
    stride, dilation : int or one per axis, in elements, at least 1
    padding : int, one per axis, or ((low, high), ...): elements cut off the output, at least 0
    output_padding : int or one per axis; below the stride or below the dilation
    groups : how many blocks the channels are split into; divides C
    flip : reverse w along its spatial axes
    dimension_numbers : the layouts of x, w and y, "NHWC,HWOI->NHWC", with I for the C of w and O
        for its O/groups; "NCHW,IOHW->NCHW" by default; see `layouts.py`

    Returns
    -------
    y : array (N, O, *out) in the wide dtype

    Raises
    ------
    ValueError : the shapes do not fit: "output_padding=2 is neither below stride=2 nor ..."
    """
    numbers = dimension_numbers_of(dimension_numbers, np.shape(x), filters="IO")
    image = permuted(x, numbers.x, numbers.image, "x")
    filters = permuted(w, numbers.w, numbers.transposed_filters, "w")
    axes = transpose_axes(
        image.shape,
        filters.shape,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )
    outputs = filters.shape[1] * groups
    no_bias = np.zeros(outputs, dtype=bool)  # bool widens with anything
    image, filters, bias = widen(image, filters, no_bias if bias is None else bias)
    check_shape("bias", bias.shape, (outputs,))
    windows = copies(axes)
    matrices = tap_matrices(flipped(filters, flip), groups)
    vectors = columns(split_channels(image, groups))
    canvas = np.zeros((len(image), groups, outputs // groups, *canvas_sizes(axes)), image.dtype)
    for tap, touched in taps(windows):
        part = matrices[tap].swapaxes(-1, -2) @ vectors
        canvas[touched] += part.reshape(*canvas.shape[:3], *counts(windows))
    y = canvas.reshape(len(image), outputs, *canvas_sizes(axes))
    kept: Index = (..., *(slice(axis.low, axis.low + axis.count) for axis in axes))
    return permuted(y[kept] + bias.reshape(-1, *(1 for _ in axes)), numbers.image, numbers.y)


def conv_transpose_backward_data(
    dy: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    input_shape: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    flip: bool = False,
    dimension_numbers: str | None = None,
) -> Array:
    """The gradient with respect to x, given that with respect to y = conv_transpose(x, w).

        dx[i] = sum over t  of  W[t]^T dy[i*stride + t*dilation - low]

    a `conv_general` with w as it stands: its O is the C of x here.

    Parameters
    ----------
    dy : array (N, O, *out), in the layout of y
    input_shape : (N, C, *spatial) of x
    w, and the others : as in `conv_transpose`

    Returns
    -------
    dx : array of `input_shape` in the wide dtype; by conj(w) where w is complex

    Raises
    ------
    ValueError : the shapes do not fit
    """
    numbers = dimension_numbers_of(dimension_numbers, input_shape, "input_shape", filters="IO")
    dy = permuted(dy, numbers.y, numbers.image, "dy")
    filters = permuted(w, numbers.w, numbers.transposed_filters, "w")
    keywords = gather_keywords(
        permuted_shape(input_shape, numbers.x, numbers.image),
        filters.shape,
        dy.shape,
        ("input_shape", "w"),
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )
    dx = conv_general(dy, conjugate(filters), **keywords, flip=flip)
    return permuted(dx, numbers.image, numbers.x)


def conv_transpose_backward_weights(
    x: npt.ArrayLike,
    dy: npt.ArrayLike,
    *,
    weight_shape: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    flip: bool = False,
    dimension_numbers: str | None = None,
) -> Array:
    """The gradient with respect to w, given that with respect to y = conv_transpose(x, w).

        dW[t] = sum over images and pixels i  of  x[i] dy[i*stride + t*dilation - low]^T

    the weight gradient of the gather above, with dy as its image and x as its "dy".

    Parameters
    ----------
    dy : array (N, O, *out), in the layout of y
    weight_shape : (C, O/groups, *kernel) of w
    x, and the others : as in `conv_transpose`

    Returns
    -------
    dw : array of `weight_shape` in the wide dtype; by conj(x) where x is complex

    Raises
    ------
    ValueError : the shapes do not fit
    """
    numbers = dimension_numbers_of(dimension_numbers, np.shape(x), filters="IO")
    image = permuted(x, numbers.x, numbers.image, "x")
    dy = permuted(dy, numbers.y, numbers.image, "dy")
    canonical = numbers.transposed_filters
    w_shape = permuted_shape(weight_shape, numbers.w, canonical, "weight_shape")
    keywords = gather_keywords(
        image.shape,
        w_shape,
        dy.shape,
        ("x", "weight_shape"),
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )
    dw = conv_general_backward_weights(dy, image, weight_shape=w_shape, **keywords, flip=flip)
    # There the image, dy, is conjugated; here it is x.
    return permuted(conjugate(dw), canonical, numbers.w)


def gather_keywords(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    dy_shape: Sequence[int],
    names: tuple[str, str],
    **options: Any,
) -> dict[str, Any]:
    """The options of the `conv_general` that takes dy to dx; padding high - output_padding."""
    axes = transpose_axes(x_shape, w_shape, **options, names=names)
    outputs = w_shape[1] * options["groups"]
    check_shape("dy", dy_shape, (x_shape[0], outputs, *(axis.count for axis in axes)))
    return {
        "stride": tuple(axis.stride for axis in axes),
        "padding": tuple((axis.low, axis.high - axis.output_padding) for axis in axes),
        "dilation": tuple(axis.dilation for axis in axes),
        "groups": options["groups"],
    }


def canvas_sizes(axes: Sequence[TransposeAxis]) -> tuple[int, ...]:
    """What all copies of the filter cover, and the output padding: before anything is cut off."""
    return tuple(axis.low + axis.count + axis.high for axis in axes)


def copies(axes: Sequence[TransposeAxis]) -> Axes:
    """The windows that the filter is laid on, one for every pixel of x."""
    return tuple(
        Axis(
            (axis.size - 1) * axis.stride + axis.extent, axis.taps, axis.stride, axis.dilation, 0, 0
        )
        for axis in axes
    )
