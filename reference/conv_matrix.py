"""Convolution as a sparse matrix: W-hat, whose transpose is the backward pass.

For fixed filters, x -> y is linear. With all elements of an image in one long vector, it is a
matrix W-hat, with a row for every element of y and a column for every element of x. For one
channel, the filter (a b c), five elements and no padding:

              [ a b c . . ]
    W-hat  =  [ . a b c . ]        y = W-hat x
              [ . . a b c ]

A Toeplitz matrix, a combination of shifts: let S[t] be the 0/1 matrix that takes from x what every
window has under tap t; then W-hat = a S[0] + b S[1] + c S[2]. In full,

    W-hat = sum over taps t of  W[t] (x) S[t],      S[t] = S[t_1] (x) S[t_2] (x) ...

where (x) is the Kronecker product, S[t_i] the shift along spatial axis i, and W[t] the (O, C)
matrix that tap t applies to channels (block-diagonal for groups). Stride, padding and dilation
only say where the ones of S[t] are; padding, having no element of x, has no one in its row.

The chain rule turns a matrix into its transpose: dx = W-hat^T dy. Look at the columns above,

                [ a . . ]
                [ b a . ]          dx[s] = a dy[s] + b dy[s - 1] + c dy[s - 2]
    W-hat^T  =  [ c b a ]
                [ . c b ]
                [ . . c ]

and see a convolution again, with the filter flipped, (c b a), and dy padded so far that the filter
may hang over its ends by all but one element. `backward_data_by_flipping` does this in general.

Edge cases. Finite numbers only: where no tap lies there is no entry, so zeros of the padding are
not multiplied, nor are zeros of the filter that `scipy.sparse` drops, and infinities and NaN reach
less than in `conv`, which defines them. `backward_data_by_flipping` multiplies zeros around and
between the elements of dy that the transpose does not have, and there they reach more. For
complex numbers the backward pass is the conjugate transpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from .arguments import check_shape, conv_axes, conv_output_shape
from .arrays import Array, conjugate, widen
from .conv import conv
from .matrices import exchange_channels, tap_matrices
from .windows import Axis, Padding, PerAxis, spread, taps

Keywords = dict[str, Any]


def conv_matrix(
    w: npt.ArrayLike,
    input_spatial: Sequence[int],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Any:
    """W-hat, the matrix of the convolution with w: y = W-hat x, dx = W-hat^T dy.

    Parameters
    ----------
    w : array (O, C/groups, *kernel)
    input_spatial : the spatial size of x
    stride, padding, dilation, groups : as in `conv.conv`

    Returns
    -------
    W_hat : scipy.sparse CSR array (O*prod(out), C*prod(input_spatial)) in the wide dtype; rows and
        columns run over channel, then positions, the last axis fastest, as y[n] and x[n] in memory

    Raises
    ------
    ValueError : the shapes do not fit
    """
    (w,) = widen(w)
    x_shape = (1, w.shape[1] * groups, *input_spatial)
    axes = conv_axes(
        x_shape,
        w.shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        names=("input_spatial, as (1, C, ...),", "w"),
    )
    matrices = tap_matrices(w, groups)
    return sum(
        scipy.sparse.kron(
            scipy.sparse.csr_array(scipy.sparse.block_diag(list(matrices[tap]))),
            reduce(scipy.sparse.kron, map(shift_matrix, axes, tap)),
            format="csr",
        ).astype(w.dtype)  # without a nonzero, kron forgets the dtype
        for tap, _ in taps(axes)
    )


def shift_matrix(axis: Axis, tap: int) -> Any:
    """S[tap] along one axis, sparse (count, size): S[p, s] = 1 where window p has s under `tap`."""
    at = np.array(axis.starts) + tap * axis.dilation
    windows = np.flatnonzero((at >= 0) & (at < axis.size))
    ones = np.ones(len(windows), dtype=np.int8)
    return scipy.sparse.csr_array((ones, (windows, at[windows])), shape=(axis.count, axis.size))


def forward(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """y = W-hat x for every image; arguments and result as in `conv.conv`."""
    keywords: Keywords = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    axes = conv_axes(np.shape(x), np.shape(w), **keywords)
    W_hat = conv_matrix(w, np.shape(x)[2:], **keywords)
    x, w = widen(x, w)
    y: Array = (W_hat @ x.reshape(x.shape[0], W_hat.shape[1]).T).T
    return y.reshape(conv_output_shape(x.shape, w.shape, axes))


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
    """dx = W-hat^T dy for every image; as in `conv.conv_backward_data`."""
    keywords: Keywords = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    axes = conv_axes(input_shape, np.shape(w), **keywords, names=("input_shape", "w"))
    check_shape("dy", np.shape(dy), conv_output_shape(input_shape, np.shape(w), axes))
    W_hat = conv_matrix(w, input_shape[2:], **keywords)
    dy, _ = widen(dy, w)
    dx: Array = (conjugate(W_hat).T @ dy.reshape(dy.shape[0], W_hat.shape[0]).T).T
    return dx.reshape(tuple(input_shape))


def backward_data_by_flipping(
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
    """dx = W-hat^T dy, without the matrix: dy convolved with the flipped filter.

    In dx[s] = sum over p, t with p*stride - low + t*dilation = s of W[t]^T dy[p], let r = k - 1 - t
    count the k taps from the other end. The condition becomes

        s + r*dilation - (dilation*(k - 1) - low) = p*stride,

    that of a forward convolution at output s, with tap r, dilation as before, stride 1, and padding
    dilation*(k - 1) - low, on an image that has dy[p] at p*stride and zeros between. Its filter has
    at tap r the matrix W[k - 1 - r]^T: flipped, and with input and output channels exchanged. The
    padding may be negative, where a window lay in the padding alone: then elements are cut off.
    `conv_general` does such things in general.

    Arguments and result are those of `conv.conv_backward_data`.
    """
    dy, w = np.asarray(dy), np.asarray(w)
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
    for number, axis in enumerate(axes):
        low = axis.extent - 1 - axis.low
        high = axis.size - 1 - axis.starts[-1]  # so that the result is as long as the image
        dy = spread(dy, 2 + number, axis.stride, low, high)
    exchanged = exchange_channels(conjugate(w), groups)
    return conv(dy, exchanged, dilation=dilation, groups=groups, flip=not flip)
