"""The other convolutions written as calls of `conv_general`: which operands, which keywords.

Each function returns a `Call`, and `conv_general(call.x, call.w, **call.keywords)` is the result.

    conv                     as_conv_general
    conv_backward_data       as_conv_general_backward_data
    conv_backward_weights    as_conv_general_backward_weights
    conv_transpose           as_conv_general_transpose

The two gradients take all options of `conv_general` itself, of which `conv` is the case
input_dilation = batch_groups = 1. Only numbers are worked out here, and no sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .arguments import check_filters, check_shape, transpose_axes
from .arrays import Array, conjugate
from .layouts import DimensionNumbers, dimension_numbers_of, permuted, permuted_shape
from .matrices import exchange_channels
from .windows import Padding, PerAxis, extent_of, make_axes, padding_pairs, per_axis


class Call(NamedTuple):
    """The arguments of one call of `conv_general`."""

    x: Array
    w: Array
    keywords: dict[str, Any]


@dataclass(frozen=True)
class GeneralAxis:
    """One spatial axis of a `conv_general`; `count` is the size of the output."""

    size: int
    taps: int
    stride: int
    dilation: int
    input_dilation: int
    low: int
    high: int
    count: int

    @property
    def spread_size(self) -> int:
        """The size of the image with zeros between its elements, without padding."""
        return spread_size(self.size, self.input_dilation)

    @property
    def extent(self) -> int:
        """From the first to the last tap of the dilated filter, both included."""
        return extent_of(self.taps, self.dilation)


def spread_size(size: int, step: int) -> int:
    """How long `size` elements are with step - 1 zeros between them."""
    return extent_of(size, step) if size else 0


def general_axes(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    *,
    stride: PerAxis,
    padding: Padding,
    input_dilation: PerAxis,
    dilation: PerAxis,
    groups: int,
    names: tuple[str, str] = ("x", "w"),
) -> list[GeneralAxis]:
    """The numbers of every axis, from canonical shapes; ValueError where they do not fit."""
    check_filters(x_shape, w_shape, groups, names)
    rank = len(x_shape) - 2
    kernel = per_axis("kernel_size", tuple(w_shape[2:]), rank)
    strides = per_axis("stride", stride, rank)
    dilations = per_axis("dilation", dilation, rank)
    steps = per_axis("input_dilation", input_dilation, rank)
    sizes = [spread_size(size, step) for size, step in zip(x_shape[2:], steps, strict=True)]
    extents = list(map(extent_of, kernel, dilations))
    pairs = padding_pairs(padding, sizes, extents, strides, least=None)
    padded = [max(size + low + high, 0) for size, (low, high) in zip(sizes, pairs, strict=True)]
    windows = make_axes(padded, kernel, stride=strides, dilation=dilations)
    return [
        GeneralAxis(size, each.taps, each.stride, each.dilation, step, low, high, each.count)
        for size, step, (low, high), each in zip(x_shape[2:], steps, pairs, windows, strict=True)
    ]


def check_batch_groups(
    x_shape: Sequence[int], w_shape: Sequence[int], groups: int, batch_groups: int
) -> None:
    """`batch_groups` divides N and O, and is not used together with `groups`."""
    if batch_groups < 1:
        raise ValueError(f"batch_groups={batch_groups} is below the least allowed value, 1")
    if groups > 1 and batch_groups > 1:
        raise ValueError(f"groups={groups} and batch_groups={batch_groups}: one has to be 1")
    if x_shape[0] % batch_groups:
        raise ValueError(f"batch_groups={batch_groups} does not divide N={x_shape[0]}")
    if w_shape[0] % batch_groups:
        raise ValueError(f"batch_groups={batch_groups} does not divide O={w_shape[0]}")


def as_conv_general(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    dimension_numbers: str | None = None,
    flip: bool = False,
) -> Call:
    """`conv`: the call with the same numbers."""
    keywords = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "dimension_numbers": dimension_numbers,
        "flip": flip,
    }
    return Call(np.asarray(x), np.asarray(w), keywords)


def as_conv_general_backward_data(
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
) -> Call:
    """The data gradient: s*p = i*e + r*d - (d*(k - 1) - low), with r = k - 1 - t.

    dy is the image. Stride and input dilation change places, the filter is flipped, and its
    outputs and channels are exchanged within each group. `high` makes dx as long as x:

        e*(size - 1) + d*(k - 1) + 1  =  s*(out - 1) + 1 + low' + high'

    Batch groups become groups, for a block of dy's channels belongs to a block of the batch of
    dx; what comes out has those blocks among its channels, (N/b, b*C, *spatial).
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
    pairs = []
    for axis in axes:
        low = axis.extent - 1 - axis.low
        padded = axis.input_dilation * (axis.size - 1) + axis.extent
        pairs.append((low, padded - spread_size(axis.count, axis.stride) - low))
    keywords = {
        "stride": tuple(axis.input_dilation for axis in axes),
        "padding": tuple(pairs),
        "input_dilation": tuple(axis.stride for axis in axes),
        "dilation": tuple(axis.dilation for axis in axes),
        "groups": groups * batch_groups,
        "dimension_numbers": f"{numbers.y},{numbers.filters}->{numbers.x}",
        "flip": not flip,
    }
    exchanged = exchange_channels(conjugate(filters), groups * batch_groups)
    return Call(np.asarray(dy), exchanged, keywords)


def as_conv_general_backward_weights(
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
) -> Call:
    """The weight gradient: e*i = t*d + p*s - low; dy is the filter, and its taps are p.

    Stride and filter dilation change places, and so do groups and batch groups. The dimension
    numbers rename axes: the channels of x are the batch, its batch the channels; y's channels are
    the filter's outputs, y's batch the filter's inputs; and the result, read as (C, O, *kernel),
    is dw. `high` makes dw as long as w:

        d*(k - 1) + s*(out - 1) + 1  =  e*(size - 1) + 1 + low' + high'

    A flipped filter takes image and dy reversed, and so low' and high' exchanged: then dw comes
    out reversed.
    """
    numbers = dimension_numbers_of(dimension_numbers, np.shape(x))
    image = permuted(x, numbers.x, numbers.image, "x")
    w_shape = permuted_shape(weight_shape, numbers.w, numbers.filters, "weight_shape")
    check_batch_groups(image.shape, w_shape, groups, batch_groups)
    axes = general_axes(
        image.shape,
        w_shape,
        stride=stride,
        padding=padding,
        input_dilation=input_dilation,
        dilation=dilation,
        groups=groups,
        names=("x", "weight_shape"),
    )
    check_dy(np.shape(dy), image.shape, w_shape, axes, batch_groups, numbers)
    pairs = []
    for axis in axes:
        padded = axis.dilation * (axis.taps - 1) + extent_of(axis.count, axis.stride)
        high = padded - axis.spread_size - axis.low
        pairs.append((high, axis.low) if flip else (axis.low, high))
    roles = [
        numbers.image.translate(str.maketrans("NC", "CN")),
        numbers.image.translate(str.maketrans("NC", "IO")),
        numbers.w.translate(str.maketrans("IO", "NC")),
    ]
    keywords = {
        "stride": tuple(axis.dilation for axis in axes),
        "padding": tuple(pairs),
        "input_dilation": tuple(axis.input_dilation for axis in axes),
        "dilation": tuple(axis.stride for axis in axes),
        "groups": batch_groups,
        "batch_groups": groups,
        "dimension_numbers": "{},{}->{}".format(*roles),
        "flip": flip,
    }
    if flip:
        image = np.flip(image, tuple(range(2, image.ndim)))
    # options follow the spatial letters of the filter, so dy has to have them in the order of w
    return Call(conjugate(image), permuted(dy, numbers.y, numbers.image), keywords)


def check_dy(
    dy_shape: Sequence[int],
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    axes: Sequence[GeneralAxis],
    batch_groups: int,
    numbers: DimensionNumbers,
) -> None:
    """dy has the shape of y, in y's layout."""
    y_shape = (x_shape[0] // batch_groups, w_shape[0], *(axis.count for axis in axes))
    check_shape("dy", dy_shape, permuted_shape(y_shape, numbers.image, numbers.y))


def as_conv_general_transpose(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    flip: bool = False,
) -> Call:
    """`conv_transpose`: the data gradient of a convolution, with the size of the output stated.

    Stride 1 on x dilated by the stride; padding d*(k - 1) - low, and at the other end
    d*(k - 1) - high + output_padding; the filter flipped, outputs and channels exchanged.
    """
    x, w = np.asarray(x), np.asarray(w)
    axes = transpose_axes(
        x.shape,
        w.shape,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )
    reach = [axis.dilation * (axis.taps - 1) for axis in axes]
    keywords = {
        "padding": tuple(
            (r - axis.low, r - axis.high + axis.output_padding)
            for r, axis in zip(reach, axes, strict=True)
        ),
        "input_dilation": tuple(axis.stride for axis in axes),
        "dilation": tuple(axis.dilation for axis in axes),
        "groups": groups,
        "flip": not flip,
    }
    return Call(x, exchange_channels(w, groups), keywords)
