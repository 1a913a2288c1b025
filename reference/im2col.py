"""Convolution as one matrix product: X-hat, the matrix of all windows.

Write every window of an image as a column, and the columns side by side:

    X-hat[k, l] = what window l has under channel and tap k,    k = (c*KH + i)*KW + j
                                                                l = p*OW + q

with zeros for the padding. X-hat is (C*KH*KW, OH*OW): an element of x stands in it once for every
window that touches it. With the filters as rows of a matrix W (O, C*KH*KW), the convolution is

    Y = W X-hat

and, as in any product of matrices, dW = dY X-hat^T, while X-hat's own gradient is W^T dY. From
there to x it is one more step: x -> X-hat (`im2col`) only copies elements, so it is a linear map,
and its transpose (`col2im`) adds all copies of an element up again:

    dX-hat = W^T dY,    dx = col2im(dX-hat)

So the matrix can be made of the image, as here, and then the weight gradient is its transpose; or
of the filters (`conv_matrix.py`), and then the data gradient is. Convolution is bilinear.

Edge cases. Copies are exact: of NaN, infinities and signed zeros too; what `col2im` adds up is a
sum like others, and the sign of a zero in it not promised. The padding is zeros in X-hat, and where
W or dY is infinite or NaN, 0*inf = NaN: this is why `conv` has it so. What X-hat's gradient has in
the padding is dropped. Only the batch may be empty.

The price is memory: X-hat is about KH*KW times as large as x.

References
----------
Chellapilla, Puri & Simard, "High performance convolutional neural networks for document
processing", 2006.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .arguments import check_filled, check_image, check_shape, conv_axes, conv_output_shape
from .arrays import Array, conjugate, widen
from .layouts import layout_of, permuted
from .windows import Axes, Padding, PerAxis, counts, crop, make_axes, pad, padded_sizes, taps


def im2col(
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    layout: str | None = None,
) -> Array:
    """X-hat of every image: the windows of x as columns.

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    kernel_size, stride, dilation : int or one per axis, in elements, at least 1
    padding : int, one per axis, ((low, high), ...), "same", "same_lower" or "valid"
    layout : that of x, "NHWC"; None is channels-first. X-hat is the same in any: its rows and
        columns run over the spatial axes in the order that they have in `layout`

    Returns
    -------
    cols : array (N, C*prod(kernel), L), dtype of x: nothing is added up. Rows run over channel,
        then taps; columns over output positions; the last axis fastest in both.

    Raises
    ------
    ValueError : the shapes do not fit
    """
    layout, canonical = layout_of(layout, np.shape(x))
    x = permuted(x, layout, canonical)
    check_image("x", x.shape)
    axes = make_axes(x.shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation)
    image = pad(x, axes)
    batch, channels = x.shape[:2]
    rows = [image[touched] for _, touched in taps(axes)]
    return np.stack(rows, axis=2).reshape(batch, channels * len(rows), windows_in(axes))


def col2im(
    cols: npt.ArrayLike,
    output_size: Sequence[int],
    kernel_size: PerAxis,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    layout: str | None = None,
) -> Array:
    """The adjoint of im2col: <im2col(x), cols> = <x, col2im(cols)> for every x.

    Parameters
    ----------
    cols : array (N, C*prod(kernel), L)
    output_size : the spatial size of the image that comes back
    kernel_size, stride, padding, dilation : as in `im2col`
    layout : that of the image; `output_size` has its spatial letters in that order

    Returns
    -------
    x : array (N, C, *output_size), or of that layout, in the wide dtype; entries of `cols` that
        stand for the same element are added, those that stand for the padding are dropped

    Raises
    ------
    ValueError : the shapes do not fit
    """
    (cols,) = widen(cols)
    check_filled("output_size", output_size, output_size)
    axes = make_axes(output_size, kernel_size, stride=stride, padding=padding, dilation=dilation)
    filter_taps = taps_in(axes)
    if cols.ndim != 3 or cols.shape[1] % filter_taps or cols.shape[2] != windows_in(axes):
        raise ValueError(
            f"cols {cols.shape} does not fit: wanted (N, C*{filter_taps}, {windows_in(axes)}) "
            f"for output_size {tuple(output_size)} and kernel_size={kernel_size}"
        )
    check_filled("cols", cols.shape, cols.shape[1:])
    layout, canonical = layout_of(layout, (1, 1, *output_size), "output_size, as (1, 1, ...),")
    return permuted(fold(cols, axes), canonical, layout)


def forward(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """Y = W X-hat, for every image and group; arguments and result as in `conv.conv`."""
    x, w = widen(x, w)
    axes = conv_axes(
        x.shape, w.shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    X_hat = im2col(x, w.shape[2:], stride=stride, padding=padding, dilation=dilation)
    Y = filter_rows(w, groups) @ split_rows(X_hat, groups)
    return Y.reshape(conv_output_shape(x.shape, w.shape, axes))


def backward_data(
    dy: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    input_shape: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """dx = col2im(W^T dY); arguments and result as in `conv.conv_backward_data`."""
    dy, w = widen(dy, conjugate(np.asarray(w)))
    axes = conv_axes(
        input_shape,
        w.shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        names=("input_shape", "w"),
    )
    check_shape("dy", dy.shape, conv_output_shape(input_shape, w.shape, axes))
    dY = split_rows(dy.reshape(*dy.shape[:2], windows_in(axes)), groups)
    dX_hat = filter_rows(w, groups).swapaxes(-1, -2) @ dY
    cols = dX_hat.reshape(dy.shape[0], math.prod(w.shape[1:]) * groups, windows_in(axes))
    return fold(cols, axes)


def backward_weights(
    x: npt.ArrayLike,
    dy: npt.ArrayLike,
    *,
    weight_shape: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """dW = sum of dY X-hat^T over all images; as in `conv.conv_backward_weights`."""
    x, dy = widen(conjugate(np.asarray(x)), dy)
    axes = conv_axes(
        x.shape,
        weight_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        names=("x", "weight_shape"),
    )
    check_shape("dy", dy.shape, conv_output_shape(x.shape, weight_shape, axes))
    X_hat = im2col(x, weight_shape[2:], stride=stride, padding=padding, dilation=dilation)
    dY = split_rows(dy.reshape(*dy.shape[:2], windows_in(axes)), groups)
    dW: Array = (dY @ split_rows(X_hat, groups).swapaxes(-1, -2)).sum(axis=0)
    return dW.reshape(tuple(weight_shape))


def fold(cols: Array, axes: Axes) -> Array:
    """`cols` (N, C*prod(kernel), L) added up to images (N, C, *spatial), in their own dtype."""
    batch, channels = cols.shape[0], cols.shape[1] // taps_in(axes)
    rows = cols.reshape(batch, channels, taps_in(axes), *counts(axes))
    image = np.zeros((batch, channels, *padded_sizes(axes)), dtype=cols.dtype)
    for row, (_, touched) in enumerate(taps(axes)):
        image[touched] += rows[:, :, row]
    return crop(image, axes)


def taps_in(axes: Axes) -> int:
    """T, how many taps a window has."""
    return math.prod(axis.taps for axis in axes)


def windows_in(axes: Axes) -> int:
    """L, how many windows there are in the whole image."""
    return math.prod(counts(axes))


def filter_rows(w: Array, groups: int) -> Array:
    """w (O, C/groups, *kernel) with a filter a row: (groups, O/groups, C/groups*prod(kernel))."""
    return w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:]))


def split_rows(a: Array, groups: int) -> Array:
    """a (N, rows, L) as (N, groups, rows/groups, L): channels come first among the rows."""
    return a.reshape(a.shape[0], groups, a.shape[1] // groups, a.shape[2])
