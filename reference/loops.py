"""The definition: convolution one multiplication at a time.

A convolution is a list of *connections*. Each says that one element of x, multiplied by one
element of w, goes into one element of y:

    (n, c, s)  *  (o, k, t)  ->  (n, o, p)      wherever  s = start of window p + t*dilation
                                                and c is channel k of the group of o

x is the padded image: there is a connection for every window and every tap. Given the list,
convolution and its two gradients are three one-line loops over it. In the sum for y[p] stands
x[s]*w[t]; by the product rule, what y[p] gains, x[s] gets times w[t], and w[t] gets times x[s]:

    y[p] += x[s] * w[t]        dx[s] += dy[p] * w[t]        dw[t] += dy[p] * x[s]

A term of each sum is a product of two of the three tensors and goes to the third, so all three
directions do the same multiplications, and <y, dy> = <x, dx> = <w, dw>: each is the sum of
x[s]*w[t]*dy[p] over all connections.

Everything else in this package only orders these terms in another way. With complex numbers the
gradients are those of the adjoint: w and x are conjugated in them.

Edge cases. All of them follow: the padding is zeros that are multiplied like other elements of x,
and 0*inf = NaN; what dx gathers there is thrown away, be it what it may. No connections, as in a
batch of no images, make zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .arguments import check_shape, conv_axes, conv_output_shape
from .arrays import Array, conjugate, widen
from .windows import Axes, Padding, PerAxis, crop, pad, padded_sizes

Position = tuple[int, ...]


class Connection(NamedTuple):
    """One term x[source] * w[weight] of y[target]; `source` counts from the padding's first."""

    source: Position
    weight: Position
    target: Position


def connections(
    x_shape: Sequence[int], w_shape: Sequence[int], axes: Axes, groups: int
) -> Iterator[Connection]:
    """Every term of the convolution, those with the padding too."""
    outputs_per_group = w_shape[0] // groups
    for n, o, k in product(range(x_shape[0]), range(w_shape[0]), range(w_shape[1])):
        c = (o // outputs_per_group) * w_shape[1] + k
        for p in product(*(range(axis.count) for axis in axes)):
            for t in product(*(range(axis.taps) for axis in axes)):
                yield Connection((n, c, *touched_element(axes, p, t)), (o, k, *t), (n, o, *p))


def touched_element(axes: Axes, window: Position, tap: Position) -> Position:
    """Where tap `tap` of window `window` lies in the padded image."""
    return tuple(
        p * axis.stride + t * axis.dilation for axis, p, t in zip(axes, window, tap, strict=True)
    )


def forward(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """y[p] += x[s] * w[t] over all connections; arguments and result as in `conv.conv`."""
    x, w = widen(x, w)
    axes = conv_axes(
        x.shape, w.shape, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    y = np.zeros(conv_output_shape(x.shape, w.shape, axes), dtype=x.dtype)
    image = pad(x, axes)
    for s, t, p in connections(x.shape, w.shape, axes, groups):
        y[p] += image[s] * w[t]
    return y


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
    """dx[s] += dy[p] * w[t] over all connections; as in `conv.conv_backward_data`."""
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
    image = np.zeros((*input_shape[:2], *padded_sizes(axes)), dtype=dy.dtype)
    for s, t, p in connections(input_shape, w.shape, axes, groups):
        image[s] += dy[p] * w[t]
    return crop(image, axes)


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
    """dw[t] += dy[p] * x[s] over all connections; as in `conv.conv_backward_weights`."""
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
    dw = np.zeros(tuple(weight_shape), dtype=x.dtype)
    image = pad(x, axes)
    for s, t, p in connections(x.shape, weight_shape, axes, groups):
        dw[t] += dy[p] * image[s]
    return dw
