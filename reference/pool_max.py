"""Max pooling: the largest element of every window, and the way back.

The windows are those of `windows.py`, on each channel by itself. The padding is never a maximum,
as if it were -inf. A NaN is larger than anything, so it reaches the output. Where several elements
are largest, the first in row-major order is taken; of several NaNs, the last: torch does so.

The gradient flows to the element that won. With the winners fixed, pooling is linear, and this its
transpose: <y, dy> = <x, dx>.

Edge cases. Of -inf alone the first is taken, and a zero of either sign is equal to the other, so
the first again, and y has its sign. A window without an element of the image gives -inf and the
index -1, and its gradient goes nowhere. Gradients add: NaN and infinities of dy reach the elements
that won, and no others. Unpooling copies. Only the batch may be empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from .arguments import check_image, check_shape, pool_axes
from .arrays import Array, widen
from .layouts import layout_of, permuted, permuted_shape
from .windows import Padding, PerAxis, counts, pad, per_axis, taps


@overload
def max_pool(
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = ...,
    padding: Padding = ...,
    dilation: PerAxis = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    semantics: str = ...,
    layout: str | None = ...,
) -> Array: ...


@overload
def max_pool(
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = ...,
    padding: Padding = ...,
    dilation: PerAxis = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[True],
    semantics: str = ...,
    layout: str | None = ...,
) -> tuple[Array, Array]: ...


def max_pool(
    x: npt.ArrayLike,
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    semantics: str = "torch",
    layout: str | None = None,
) -> Array | tuple[Array, Array]:
    """The largest element of every window.

        y[n, c, p, q] = max over i, j of x[n, c, p*sh + i*dh - top, q*sw + j*dw - left]

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    kernel_size, dilation : int or one per axis, in elements, at least 1
    stride : int or one per axis, at least 1; None is kernel_size, or 1 in ONNX's semantics
    padding : int, one per axis, ((low, high), ...), "same", "same_lower" or "valid"
    ceil_mode : let the last window overhang the padded edge
    return_indices : return where the elements came from as well
    semantics : "torch", which allows padding up to half the extent, or "onnx", which allows any
    layout : of x and of the results, "NHWC"; None is channels-first

    Returns
    -------
    y : array (N, C, *out), dtype of x: a maximum is exact in any dtype
    indices : int64 array (N, C, *out), positions in the flattened channel plane, without
        padding, its axes in the order of `layout`. (ONNX counts through the whole of x
        (N, C, *spatial): (n*C + c)*prod(spatial) + index.) A window in the padding alone, or a
        dilated one that straddles a small image, holds no element: then y is -inf (the least
        value of an integer dtype) and the index is -1.

    Raises
    ------
    ValueError : "padding (2, 2) is larger than half of kernel_size=3, which spans 3 elements"
    """
    layout, canonical = layout_of(layout, np.shape(x))
    x = permuted(x, layout, canonical)
    axes = pool_axes(
        x.shape,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        semantics=semantics,
    )
    plane = np.arange(math.prod(x.shape[2:]), dtype=np.int64).reshape(x.shape[2:])
    positions = pad(plane, axes, value=-1)
    image = pad(x, axes)
    y = np.full((*x.shape[:2], *counts(axes)), least_value(x.dtype), dtype=x.dtype)
    indices = np.full(y.shape, -1, dtype=np.int64)
    for _, touched in taps(axes):
        candidate, position = image[touched], positions[touched]
        is_nan = candidate != candidate  # and right for integers, too
        wins = (position >= 0) & ((indices < 0) | (candidate > y) | is_nan)
        y = np.where(wins, candidate, y)
        indices = np.where(wins, position, indices)
    y, indices = (permuted(each, canonical, layout) for each in (y, indices))
    return (y, indices) if return_indices else y


def max_pool_backward(
    dy: npt.ArrayLike,
    indices: npt.ArrayLike,
    *,
    input_shape: Sequence[int],
    layout: str | None = None,
) -> Array:
    """The gradient of max_pool: each dy is added to the element that was the maximum.

        dx[n, c, s] = sum over p with indices[n, c, p] = s  of  dy[n, c, p]

    Parameters
    ----------
    dy : array (N, C, *out)
    indices : integer array of the shape of dy, as max_pool returns it; -1 is passed over
    input_shape : (N, C, *spatial) of x
    layout : of all of these

    Returns
    -------
    dx : array of `input_shape` in the wide dtype

    Raises
    ------
    ValueError : the shapes do not fit, or an index lies outside the plane
    """
    layout, canonical = layout_of(layout, input_shape, "input_shape")
    input_shape = permuted_shape(input_shape, layout, canonical)
    check_image("input_shape", input_shape)
    (dy,) = widen(permuted(dy, layout, canonical, "dy"))
    indices = permuted(indices, layout, canonical, "indices")
    check_image("dy", dy.shape, rank=len(input_shape) - 2)
    check_shape("dy", dy.shape, (*input_shape[:2], *dy.shape[2:]))
    check_shape("indices", indices.shape, dy.shape)
    at, found = flat_positions(indices, input_shape)
    dx = np.zeros(math.prod(input_shape), dtype=dy.dtype)
    np.add.at(dx, at[found], dy[found])
    return permuted(dx.reshape(input_shape), canonical, layout)


def max_unpool(
    y: npt.ArrayLike,
    indices: npt.ArrayLike,
    *,
    output_size: Sequence[int],
    layout: str | None = None,
) -> Array:
    """Put every element back to where max_pool found it, and zeros elsewhere.

        x[n, c, indices[n, c, p]] = y[n, c, p]    one after the other: the last of several stays

    So where windows overlap and share a maximum, this is not max_pool's adjoint, which adds. torch
    and ONNX overwrite, too. (ONNX counts indices through the whole array, of the size that the
    output has by default; where output_shape asks for more, its standard has them still mean
    that smaller one, and what is more is zeros.)

    Parameters
    ----------
    y : array (N, C, *out)
    indices : integer array of the shape of y, as max_pool returns it; -1 is passed over
    output_size : the spatial size of the result
    layout : of y, indices and the result; None is channels-first

    Returns
    -------
    x : array (N, C, *output_size), dtype of y: nothing is added up

    Raises
    ------
    ValueError : the shapes do not fit, or an index lies outside the plane
    """
    layout, canonical = layout_of(layout, np.shape(y), "y")
    y = permuted(y, layout, canonical, "y")
    indices = permuted(indices, layout, canonical, "indices")
    check_image("y", y.shape, rank=len(output_size))
    check_shape("indices", indices.shape, y.shape)
    shape = (*y.shape[:2], *per_axis("output_size", output_size, len(output_size)))
    at, found = flat_positions(indices, shape)
    x = np.zeros(math.prod(shape), dtype=y.dtype)
    for position, value in zip(at[found], y[found], strict=True):
        x[position] = value
    return permuted(x.reshape(shape), canonical, layout)


def max_unpool_backward(
    dx: npt.ArrayLike, indices: npt.ArrayLike, *, layout: str | None = None
) -> Array:
    """The gradient of max_unpool: dy[n, c, p] = dx[n, c, indices[n, c, p]].

    Its adjoint, as long as no index is there twice. Of several that are equal, all get the
    gradient, though only the last was kept: so does torch.

    Parameters
    ----------
    dx : array (N, C, *output_size)
    indices : integer array (N, C, *out)
    layout : of both and of the result

    Returns
    -------
    dy : array of the shape of `indices` in the wide dtype; zero where the index is -1

    Raises
    ------
    ValueError : the shapes do not fit, or an index lies outside the plane
    """
    layout, canonical = layout_of(layout, np.shape(dx), "dx")
    (dx,) = widen(permuted(dx, layout, canonical, "dx"))
    indices = permuted(indices, layout, canonical, "indices")
    check_image("indices", indices.shape, rank=dx.ndim - 2)
    check_shape("indices", indices.shape, (*dx.shape[:2], *indices.shape[2:]))
    at, found = flat_positions(indices, dx.shape)
    dy = np.zeros(indices.shape, dtype=dx.dtype)
    dy[found] = dx.reshape(-1)[at[found]]
    return permuted(dy, canonical, layout)


def flat_positions(indices: Array, shape: Sequence[int]) -> tuple[Array, Array]:
    """`indices` into planes as positions in an array of `shape` (N, C, *spatial), and which are.

    Raises
    ------
    ValueError : an index outside the plane, other than -1
    """
    elements = math.prod(shape[2:])
    if indices.size and not -1 <= indices.min() <= indices.max() < elements:
        raise ValueError(
            f"indices run from {indices.min()} to {indices.max()}, but a channel plane of "
            f"input_shape {tuple(shape)} has {elements} elements"
        )
    ones = (1,) * (len(shape) - 2)
    planes = np.arange(math.prod(shape[:2])).reshape(*shape[:2], *ones)
    return planes * elements + indices, indices >= 0


def least_value(dtype: np.dtype[Any]) -> float | int | bool:
    """What no element of `dtype` is smaller than: -inf, or the least integer.

    ValueError for complex numbers.
    """
    if dtype.kind == "c":
        raise ValueError(f"dtype {dtype} has no order: there is no largest element")
    if dtype.kind == "f" or dtype.name == "bfloat16":
        return -math.inf
    return False if dtype.kind == "b" else int(np.iinfo(dtype).min)
