"""Pooling to a given size, down to a single element: adaptive and global pooling.

Adaptive pooling states the size of the output. Window i of `out`, along an axis of `size` elements,
runs

    from  floor(i*size/out)  to before  ceil((i + 1)*size/out)

All of the axis is covered, windows overlap by at most one element, and differ by at most one in
length; where out divides size, they are those of a pooling with kernel size and stride size/out.

A mean shares its gradient equally among the elements of its window, and an element in two windows
adds up both shares: with n[i] the number of elements in window i,

    y[i] = sum over s in window i of  x[s] / n[i]
    dx[s] = sum over i with s in it of  dy[i] / n[i]

Global pooling is one window over everything. Its axes stay, each of size 1. Gradients: of a mean,
`adaptive_avg_pool_backward`; of a maximum, `max_pool_backward` with the indices.

Edge cases. NaN, infinities, ties and -inf are as in `pool.py` and `pool_max.py`. Only the batch may
be empty; an output_size of 0, which torch allows, is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from .arguments import check_image, check_shape
from .arrays import Array, divided, widen_to_float
from .layouts import layout_of, permuted, permuted_shape
from .pool_lp import lp_pool
from .windows import Index, PerAxis, per_axis


def adaptive_avg_pool(
    x: npt.ArrayLike, output_size: PerAxis, *, layout: str | None = None
) -> Array:
    """The mean of every window, of as many windows as asked for.

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes
    output_size : int or one per axis, at least 1; it may be larger than the image
    layout : of x and y, "NHWC"; None is channels-first

    Returns
    -------
    y : array (N, C, *output_size) in the wide dtype; float64 for integers

    Raises
    ------
    ValueError : an empty image, or an output_size that has not one entry per axis, 1 or more
    """
    layout, canonical = layout_of(layout, np.shape(x))
    x = widen_to_float(permuted(x, layout, canonical))
    sizes = output_sizes(x.shape, output_size)
    y = np.zeros((*x.shape[:2], *sizes), x.dtype)
    for window, touched in adaptive_windows(x.shape[2:], sizes):
        inside = elements(x[touched])
        y[window] = divided(inside.sum(axis=-1), inside.shape[-1])
    return permuted(y, canonical, layout)


def adaptive_avg_pool_backward(
    dy: npt.ArrayLike, *, input_shape: Sequence[int], layout: str | None = None
) -> Array:
    """The gradient of adaptive_avg_pool, and its adjoint.

    Parameters
    ----------
    dy : array (N, C, *output_size)
    input_shape : (N, C, *spatial) of x
    layout : of both

    Returns
    -------
    dx : array of `input_shape` in the wide dtype; float64 for integers

    Raises
    ------
    ValueError : the shapes do not fit
    """
    layout, canonical = layout_of(layout, input_shape, "input_shape")
    input_shape = permuted_shape(input_shape, layout, canonical)
    dy = widen_to_float(permuted(dy, layout, canonical, "dy"))
    check_image("dy", dy.shape, rank=len(input_shape) - 2)
    sizes = output_sizes(input_shape, dy.shape[2:], "input_shape")
    check_shape("dy", dy.shape, (*input_shape[:2], *sizes))
    dx = np.zeros(tuple(input_shape), dy.dtype)
    ones = (1,) * len(sizes)
    for window, touched in adaptive_windows(input_shape[2:], sizes):
        share = divided(dy[window], elements(dx[touched]).shape[-1])
        dx[touched] += share.reshape(*share.shape, *ones)
    return permuted(dx, canonical, layout)


@overload
def adaptive_max_pool(
    x: npt.ArrayLike,
    output_size: PerAxis,
    *,
    return_indices: Literal[False] = ...,
    layout: str | None = ...,
) -> Array: ...


@overload
def adaptive_max_pool(
    x: npt.ArrayLike,
    output_size: PerAxis,
    *,
    return_indices: Literal[True],
    layout: str | None = ...,
) -> tuple[Array, Array]: ...


def adaptive_max_pool(
    x: npt.ArrayLike,
    output_size: PerAxis,
    *,
    return_indices: bool = False,
    layout: str | None = None,
) -> Array | tuple[Array, Array]:
    """The largest element of every window, of as many windows as asked for.

    Parameters
    ----------
    x, output_size, layout : as in `adaptive_avg_pool`
    return_indices : return where the elements came from as well

    Returns
    -------
    y : array (N, C, *output_size), dtype of x
    indices : int64 array of that shape, positions in the flattened channel plane, its axes in the
        order of `layout`; the gradient is `max_pool_backward(dy, indices, input_shape=x.shape)`

    Raises
    ------
    ValueError : as in `adaptive_avg_pool`; complex numbers
    """
    layout, canonical = layout_of(layout, np.shape(x))
    x = permuted(x, layout, canonical)
    sizes = output_sizes(x.shape, output_size)
    if x.dtype.kind == "c":
        raise ValueError(f"dtype {x.dtype} has no order: there is no largest element")
    plane = np.arange(math.prod(x.shape[2:]), dtype=np.int64).reshape(1, 1, *x.shape[2:])
    y = np.zeros((*x.shape[:2], *sizes), x.dtype)
    indices = np.zeros(y.shape, np.int64)
    for window, touched in adaptive_windows(x.shape[2:], sizes):
        values = elements(x[touched])
        at = first_largest(values)
        y[window] = np.take_along_axis(values, at, axis=-1)[..., 0]
        indices[window] = elements(plane[touched])[0, 0, at[..., 0]]
    y, indices = (permuted(each, canonical, layout) for each in (y, indices))
    return (y, indices) if return_indices else y


def global_avg_pool(x: npt.ArrayLike, *, layout: str | None = None) -> Array:
    """The mean of every channel plane: (N, C, 1, ...) in the wide dtype; float64 for integers."""
    return adaptive_avg_pool(x, 1, layout=layout)


def global_max_pool(x: npt.ArrayLike, *, layout: str | None = None) -> Array:
    """The largest element of every channel plane: (N, C, 1, ...), dtype of x."""
    return adaptive_max_pool(x, 1, layout=layout)


def global_lp_pool(
    x: npt.ArrayLike, *, p: float = 2, signed: bool = False, layout: str | None = None
) -> Array:
    """The p-norm of every channel plane: (N, C, 1, ...) in the wide dtype; see `lp_pool`."""
    window = permuted_shape(np.shape(x), *layout_of(layout, np.shape(x)))[2:]
    return lp_pool(x, window, p=p, signed=signed, layout=layout)


def output_sizes(x_shape: Sequence[int], output_size: PerAxis, name: str = "x") -> tuple[int, ...]:
    """One output size per axis, each at least 1."""
    check_image(name, x_shape)
    return per_axis("output_size", output_size, len(x_shape) - 2)


def adaptive_windows(spatial: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[Index, Index]]:
    """Every window: its index in the output, and that of its elements in the image."""
    for window in np.ndindex(*sizes):
        numbers = zip(window, spatial, sizes, strict=True)
        touched = (slice(i * size // out, -(-(i + 1) * size // out)) for i, size, out in numbers)
        yield (..., *window), (..., *touched)


def elements(a: Array) -> Array:
    """`a` (N, C, *spatial) with the elements of a plane in one axis: (N, C, n)."""
    return a.reshape(*a.shape[:2], math.prod(a.shape[2:]))


def first_largest(values: Array) -> Array:
    """The index (..., 1) of the first largest along the last axis, or of the last NaN."""
    largest = values.argmax(axis=-1, keepdims=True)
    is_nan = values != values
    last_nan = values.shape[-1] - 1 - is_nan[..., ::-1].argmax(axis=-1, keepdims=True)
    index: Array = np.where(is_nan.any(axis=-1, keepdims=True), last_nan, largest)
    return index
