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

Edge cases, one rule for all three directions: there is a product for every window and every tap,
and none beside these. The padding holds zeros, and they are multiplied like other elements. So

    y     is NaN where an infinite or NaN weight meets a zero, in the padding too: 0*inf = NaN
    dx    has dy[p] and w[t] in it where tap t of window p lies on the element, and is zero where
          none does; what goes to the padding is dropped, whatever it is
    dw    is NaN where an infinite or NaN dy[p] meets a zero, in the padding too

A window wholly in the padding sums to zero, if w is finite, and y is the bias. The sign of a zero
sum is not promised: 0 == -0 is how results are compared. Infinities of both signs in one sum are
NaN, and a NaN stays one.

torch multiplies the padding where it computes by im2col: in float64, and in float32 if
1 < groups < C. oneDNN, which computes the rest of its float32 on a CPU, mostly leaves the padding
out of y, and out of dw by the shape. Of dx, all agree.

Only the batch may be empty: N = 0 gives a y and a dx of no images, and a dw and db of zeros. An
empty axis elsewhere is an error. (torch: as well, but for C = 0, of which it makes a y without
channels, whatever O is.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .activations import activate, check_activation
from .arguments import check_image, check_shape, conv_axes, conv_output_shape
from .arrays import Array, conjugate, widen
from .layouts import dimension_numbers_of, layout_of, permuted, permuted_shape
from .matrices import (
    columns,
    flipped,
    from_tap_matrices,
    spatial_axes,
    split_channels,
    tap_matrices,
)
from .padding_modes import fold_padding, pad_image
from .windows import Axes, Padding, PerAxis, counts, padded_sizes, taps


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
    padding_mode: str = "zeros",
    activation: str | None = None,
    out: npt.ArrayLike | None = None,
    beta: float = 0,
    dimension_numbers: str | None = None,
) -> Array:
    """Cross-correlate a batch of images with a bank of filters.

    For two spatial axes, with c running over the channels of a group, of which o's is number g,

        y[n, o, p, q] = bias[o] + sum over c, i, j of
            w[o, c, i, j] * x[n, g*C/groups + c, p*sh + i*dh - top, q*sw + j*dw - left]

    and what is returned is activation(y + beta*out).

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    w : array (O, C/groups, *kernel)
    bias : array (O,), or None for zeros
    stride, dilation : int or one per axis, in elements, at least 1; dilation 1 is a dense filter
    padding : int, one per axis, or ((low, high), ...), in elements; or "same", which puts an odd
        element high, "same_lower", which puts it low, or "valid", which is none
    groups : how many blocks the channels are split into; divides C and O
    flip : reverse w along its spatial axes: convolution as mathematicians define it
    padding_mode : "zeros", "reflect", "replicate" or "circular"; see `padding_modes.py`
    activation : None, or a name out of `activations.py`: "relu", "leaky_relu", "relu6",
        "sigmoid", "tanh", "silu", "gelu"
    out : array of the shape of y, which is read and left as it is; needed where beta is not 0
    beta : how many times `out` is added; where it is 0, not even a NaN of `out` gets through
    dimension_numbers : the layouts of x, w and y, "NHWC,HWIO->NHWC"; see `layouts.py`

    Returns
    -------
    y : array (N, O, *out) in the wide dtype; `windows.py` says how large out is

    Raises
    ------
    ValueError : the shapes do not fit: "groups=3 does not divide C=64 of x (8, 64, 56, 56)"
    """
    numbers = dimension_numbers_of(dimension_numbers, np.shape(x))
    image = permuted(x, numbers.x, numbers.image, "x")
    filters = permuted(w, numbers.w, numbers.filters, "w")
    axes = conv_axes(
        image.shape,
        filters.shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
    )
    check_activation(activation, np.iscomplexobj(image) or np.iscomplexobj(filters))
    nothing = np.zeros(filters.shape[0], dtype=bool)  # bool widens with anything
    image, filters, bias = widen(image, filters, nothing if bias is None else bias)
    check_shape("bias", bias.shape, filters.shape[:1])
    y = tap_sums(pad_image(image, axes, padding_mode), flipped(filters, flip), axes, groups)
    y = permuted(y + bias.reshape(-1, *(1 for _ in axes)), numbers.image, numbers.y)
    return activate(accumulate(y, out, beta), activation)


def tap_sums(image: Array, w: Array, axes: Axes, groups: int) -> Array:
    """y[p] = sum over t of W[t] x[s_p + t*dilation], for a padded image; all of one dtype."""
    matrices = tap_matrices(w, groups)
    image = split_channels(image, groups)
    y = np.zeros((*image.shape[:2], w.shape[0] // groups, math.prod(counts(axes))), image.dtype)
    for tap, touched in taps(axes):
        y += matrices[tap] @ columns(image[touched])
    return y.reshape(image.shape[0], w.shape[0], *counts(axes))


def accumulate(y: Array, out: npt.ArrayLike | None, beta: float) -> Array:
    """y + beta*out."""
    if out is not None:
        check_shape("out", np.shape(out), y.shape)
    elif beta != 0:
        raise ValueError(f"beta={beta} needs `out`, which it multiplies")
    if out is None or beta == 0:
        return y
    (out,) = widen(out)
    return y + beta * out


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
    padding_mode: str = "zeros",
    dimension_numbers: str | None = None,
) -> Array:
    """The gradient with respect to x, given that with respect to y = conv(x, w).

        dx[s] = sum over p, t with s_p + t*dilation = s  of  W[t]^T dy[p]

    Parameters
    ----------
    dy : array (N, O, *out), in the layout of y
    w, and the others : as in `conv`; of `padding_mode`, every copy of an element adds to it
    input_shape : (N, C, *spatial) of x; several sizes of x may have the same size of y

    Returns
    -------
    dx : array of `input_shape` in the wide dtype; zero where no window touches x. Of complex
        numbers it is the adjoint, which takes conj(w)

    Raises
    ------
    ValueError : the shapes do not fit
    """
    numbers = dimension_numbers_of(dimension_numbers, input_shape, "input_shape")
    x_shape = permuted_shape(input_shape, numbers.x, numbers.image)
    filters = permuted(w, numbers.w, numbers.filters, "w")
    axes = conv_axes(
        x_shape,
        filters.shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
        names=("input_shape", "w"),
    )
    dy, filters = widen(permuted(dy, numbers.y, numbers.image, "dy"), filters)
    check_shape("dy", dy.shape, conv_output_shape(x_shape, filters.shape, axes))
    matrices = tap_matrices(flipped(conjugate(filters), flip), groups)
    vectors = columns(split_channels(dy, groups))
    padded_shape = (*x_shape[:2], *padded_sizes(axes))
    image = split_channels(np.zeros(padded_shape, dy.dtype), groups)
    for tap, touched in taps(axes):
        part = matrices[tap].swapaxes(-1, -2) @ vectors
        image[touched] += part.reshape(*image.shape[:3], *counts(axes))
    dx = fold_padding(image.reshape(padded_shape), axes, padding_mode)
    return permuted(dx, numbers.image, numbers.x)


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
    padding_mode: str = "zeros",
    dimension_numbers: str | None = None,
) -> Array:
    """The gradient with respect to w, given that with respect to y = conv(x, w).

        dW[t] = sum over images and windows p of  dy[p] x[s_p + t*dilation]^T

    Parameters
    ----------
    x, and the others : as in `conv`
    dy : array (N, O, *out), in the layout of y
    weight_shape : (O, C/groups, *kernel) of w

    Returns
    -------
    dw : array of `weight_shape` in the wide dtype; of complex numbers by conj(x)

    Raises
    ------
    ValueError : the shapes do not fit
    """
    numbers = dimension_numbers_of(dimension_numbers, np.shape(x))
    image = permuted(x, numbers.x, numbers.image, "x")
    w_shape = permuted_shape(weight_shape, numbers.w, numbers.filters, "weight_shape")
    axes = conv_axes(
        image.shape,
        w_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
        names=("x", "weight_shape"),
    )
    image, dy = widen(image, permuted(dy, numbers.y, numbers.image, "dy"))
    check_shape("dy", dy.shape, conv_output_shape(image.shape, w_shape, axes))
    image = split_channels(pad_image(conjugate(image), axes, padding_mode), groups)
    vectors = columns(split_channels(dy, groups))
    matrices = tap_matrices(np.zeros(w_shape, dy.dtype), groups)
    for tap, touched in taps(axes):
        outer_products = vectors @ columns(image[touched]).swapaxes(-1, -2)
        matrices[tap] = outer_products.sum(axis=0)
    dw = flipped(from_tap_matrices(matrices), flip)
    return permuted(dw, numbers.filters, numbers.w)


def conv_backward_bias(dy: npt.ArrayLike, *, layout: str | None = None) -> Array:
    """The gradient with respect to the bias: dy (N, O, *out) summed to (O,) in the wide dtype.

    Parameters
    ----------
    dy : array (N, O, *out)
    layout : which axis of dy is what, "NHWC" with C for O; channels-first by default

    Raises
    ------
    ValueError : dy does not have 1 to 3 spatial axes, or not those of `layout`; an empty axis
        other than the batch
    """
    given, canonical = layout_of(layout, np.shape(dy), "dy")
    (dy,) = widen(permuted(dy, given, canonical, "dy"))
    check_image("dy", dy.shape)
    total: Array = dy.sum(axis=(0, *spatial_axes(dy)))
    return total
