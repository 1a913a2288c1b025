"""Convolution as a sum of matrix products, one for every tap of the filter.

A filter on images of many channels is best seen as a small image whose pixels are matrices. At
each tap t, W[t] is the (O, C) matrix that carries the C channels of a pixel to O output channels.
Write x[s] for the vector of channels at pixel s, and let window p start at s_p; then

    y[p] = sum over t of  W[t] x[s_p + t*dilation]

is a one-channel convolution, read with matrices for numbers. With groups, W[t] is block-diagonal:
channels of group g reach outputs of group g alone.

The gradients need no new idea. Let f be any number computed from y, and dy = df/dy. In y[p],
x[s_p + t*dilation] is multiplied by W[t], so its gradient is dy[p] multiplied by the transpose,
and a pixel collects this from all windows and taps that touch it; the gradient of W[t] is the
outer product of the two vectors, summed over all windows:

    dx[s] = sum over p, t with s_p + t*dilation = s  of  W[t]^T dy[p]
    dW[t] = sum over p                               of  dy[p] x[s_p + t*dilation]^T
    db    = sum over p                               of  dy[p]

x -> y and dy -> dx are linear maps, transposes of each other: <y, dy> = <x, dx>. The same three
lines stand in `loops.py` one number at a time, in `conv_matrix.py` as a sparse matrix and its
transpose, and in `im2col.py` as one dense product.

Sums are kept, and returned, in the wide dtype of `arrays.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .arguments import check_image, check_shape, conv_axes, conv_output_shape
from .arrays import Array, conjugate, widen
from .matrices import (
    columns,
    flipped,
    from_tap_matrices,
    spatial_axes,
    split_channels,
    tap_matrices,
)
from .windows import Padding, PerAxis, counts, crop, pad, padded_sizes, taps


def conv(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    flip: bool = False,
) -> Array:
    """Cross-correlate a batch of images with a bank of filters.

    For two spatial axes, with c running over the channels of a group, of which o's is number g,

        y[n, o, p, q] = bias[o] + sum over c, i, j of
            w[o, c, i, j] * x[n, g*C/groups + c, p*sh + i*dh - top, q*sw + j*dw - left]

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    w : array (O, C/groups, *kernel)
    bias : array (O,), or None for zeros
    stride, dilation : int or one per axis, in elements, at least 1; dilation 1 is a dense filter
    padding : int, one per axis, or ((low, high), ...), zeros in elements; or "same" or "valid"
    groups : how many blocks the channels are split into; divides C and O
    flip : reverse w along its spatial axes: convolution as mathematicians define it

    Returns
    -------
    y : array (N, O, *out) in the wide dtype; `windows.py` says how large out is

    Raises
    ------
    ValueError : the shapes do not fit: "groups=3 does not divide C=64 of x (8, 64, 56, 56)"
    """
    axes = conv_axes(
        np.shape(x), np.shape(w), stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    no_bias = np.zeros(np.shape(w)[0], dtype=bool)  # bool widens with anything
    x, w, bias = widen(x, w, no_bias if bias is None else bias)
    check_shape("bias", bias.shape, w.shape[:1])
    matrices = tap_matrices(flipped(w, flip), groups)
    image = split_channels(pad(x, axes), groups)
    y_shape = conv_output_shape(x.shape, w.shape, axes)
    y = np.zeros((x.shape[0], groups, w.shape[0] // groups, math.prod(counts(axes))), x.dtype)
    for tap, touched in taps(axes):
        y += matrices[tap] @ columns(image[touched])
    return y.reshape(y_shape) + bias.reshape(-1, *(1 for _ in axes))


def conv_backward_data(
    dy: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    input_shape: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    flip: bool = False,
) -> Array:
    """The gradient with respect to x, given that with respect to y = conv(x, w).

        dx[s] = sum over p, t with s_p + t*dilation = s  of  W[t]^T dy[p]

    Parameters
    ----------
    dy : array (N, O, *out)
    w, stride, padding, dilation, groups, flip : as in `conv`
    input_shape : (N, C, *spatial) of x; several sizes of x may have the same size of y

    Returns
    -------
    dx : array of `input_shape` in the wide dtype; zero where no window touches x

    Raises
    ------
    ValueError : the shapes do not fit
    """
    axes = conv_axes(
        input_shape,
        np.shape(w),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        names=("input_shape", "w"),
    )
    dy, w = widen(dy, w)
    check_shape("dy", dy.shape, conv_output_shape(input_shape, w.shape, axes))
    matrices = tap_matrices(flipped(conjugate(w), flip), groups)
    vectors = columns(split_channels(dy, groups))
    padded_shape = (*input_shape[:2], *padded_sizes(axes))
    image = split_channels(np.zeros(padded_shape, dy.dtype), groups)
    for tap, touched in taps(axes):
        part = matrices[tap].swapaxes(-1, -2) @ vectors
        image[touched] += part.reshape(*image.shape[:3], *counts(axes))
    return crop(image.reshape(padded_shape), axes)


def conv_backward_weights(
    x: npt.ArrayLike,
    dy: npt.ArrayLike,
    *,
    weight_shape: Sequence[int],
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    flip: bool = False,
) -> Array:
    """The gradient with respect to w, given that with respect to y = conv(x, w).

        dW[t] = sum over images and windows p of  dy[p] x[s_p + t*dilation]^T

    Parameters
    ----------
    x, stride, padding, dilation, groups, flip : as in `conv`
    dy : array (N, O, *out)
    weight_shape : (O, C/groups, *kernel) of w

    Returns
    -------
    dw : array of `weight_shape` in the wide dtype

    Raises
    ------
    ValueError : the shapes do not fit
    """
    axes = conv_axes(
        np.shape(x),
        weight_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        names=("x", "weight_shape"),
    )
    x, dy = widen(x, dy)
    check_shape("dy", dy.shape, conv_output_shape(x.shape, weight_shape, axes))
    image = split_channels(pad(conjugate(x), axes), groups)
    vectors = columns(split_channels(dy, groups))
    matrices = tap_matrices(np.zeros(weight_shape, x.dtype), groups)
    for tap, touched in taps(axes):
        outer_products = vectors @ columns(image[touched]).swapaxes(-1, -2)
        matrices[tap] = outer_products.sum(axis=0)
    return flipped(from_tap_matrices(matrices), flip)


def conv_backward_bias(dy: npt.ArrayLike) -> Array:
    """The gradient with respect to the bias: dy (N, O, *out) summed to (O,) in the wide dtype.

    Raises
    ------
    ValueError : dy does not have 1 to 3 spatial axes
    """
    check_image("dy", np.shape(dy))
    (dy,) = widen(dy)
    total: Array = dy.sum(axis=(0, *spatial_axes(dy)))
    return total
