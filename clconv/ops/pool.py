"""Max and average pooling and their adjoints, with PyTorch's semantics."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import numpy as np

from clconv.errors import GeometryError
from clconv.ops.arguments import (
    Axes,
    PaddingLike,
    expect_shape,
    image_shape,
    per_axis,
    window_geometry,
)
from clconv.ops.arrays import Array, is_device_array, operands
from clconv.ops.execute import execute
from clconv.program.device import Device
from clconv.spec.geometry import Geometry, Sizes
from clconv.spec.problem import MaxPoolBackwardProblem, PoolProblem

Operator = Literal["max_pool", "avg_pool", "avg_pool_backward"]


def max_pool(
    x: Array,
    kernel_size: Axes,
    *,
    stride: Axes | None = None,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    device: str | Device | None = None,
) -> Array | tuple[Array, Array]:
    """Return the largest element of each window.

    y[b, c, p...] = max over i... of x[b, c, p*stride + i*dilation - low ...], padding left out

    A NaN wins over every number. A window that touches no pixel gives -infinity.

    Parameters
    ----------
    x : Array (N, C, *spatial), float32 or float64, with 1, 2 or 3 spatial axes
    kernel_size : int or one per axis, in pixels
    stride : int or one per axis, in pixels; by default the kernel size
    padding : as for `conv`; at most half of what the window spans
    dilation : int or one per axis, in pixels
    ceil_mode : keep windows that overhang the padded image by less than a stride, if they start
        inside the image or its low padding
    return_indices : return the places of the maxima too
    device : see `conv`

    Returns
    -------
    y : Array (N, C, *output), dtype and kind of x
    indices : int64 Array of y's shape, if asked for: the flat position of the maximum in its
        plane of x; the first of equal ones, the last of several NaN, -1 where there is none

    Raises
    ------
    GeometryError, TypeError : sizes or arrays do not fit
    """
    (x,) = operands(x=x)
    image_shape("x", x.shape)
    geometry = _geometry(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    problem = _problem("max_pool", x.shape, x.dtype.name, geometry)
    results = {"y": (problem.y_shape, problem.dtype), "indices": (problem.y_shape, "int64")}
    y, indices = execute(problem, {"x": x}, results, device=device)
    return (y, indices) if return_indices else y


def max_pool_backward(
    dy: Array, indices: Array, *, input_shape: Sizes, device: str | Device | None = None
) -> Array:
    """Apply the adjoint of max pooling: add each dy where its maximum came from.

    dx[b, c, i] = sum over l with indices[b, c, l] = i of dy[b, c, l]

    Parameters
    ----------
    dy : Array (N, C, *output), float32 or float64
    indices : int64 Array of dy's shape, from `max_pool(..., return_indices=True)`. -1 adds
        nowhere; so does any index outside the plane in a pyopencl array, which is not looked
        into beforehand.
    input_shape : (N, C, *spatial) of x
    device : see `conv`

    Returns
    -------
    dx : Array of shape `input_shape`, dtype and kind of dy

    Raises
    ------
    GeometryError, TypeError : shapes or arrays do not fit, or an index lies outside the plane
    """
    (dy,) = operands(dy=dy)
    shape = image_shape("input_shape", input_shape)
    expect_shape("dy", dy.shape[:2], shape[:2], f"the first two axes of input_shape {shape}")
    indices = _checked_indices(indices, dy, pixels=prod(shape[2:]))
    problem = MaxPoolBackwardProblem(
        dy.dtype.name, shape[0], shape[1], pixels=prod(shape[2:]), positions=prod(dy.shape[2:])
    )
    tensors = {"dy": dy, "indices": indices}
    (dx,) = execute(problem, tensors, {"dx": (shape, problem.dtype)}, device=device)
    return dx


def avg_pool(
    x: Array,
    kernel_size: Axes,
    *,
    stride: Axes | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    device: str | Device | None = None,
) -> Array:
    """Return the mean of each window.

    y[b, c, p...] = (sum over i... of x[b, c, p*stride + i - low ...]) / divisor(p...)

    Parameters
    ----------
    count_include_pad : whether the divisor counts the padding's zeros too; either way a window
        that overhangs the padded image (ceil_mode) is cut off at its edge
    others : see `max_pool`

    Returns
    -------
    y : Array (N, C, *output), dtype and kind of x

    Raises
    ------
    GeometryError, TypeError : sizes or arrays do not fit
    """
    (x,) = operands(x=x)
    image_shape("x", x.shape)
    geometry = _geometry(x.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    problem = _problem("avg_pool", x.shape, x.dtype.name, geometry, count_include_pad)
    (y,) = execute(problem, {"x": x}, {"y": (problem.y_shape, problem.dtype)}, device=device)
    return y


def avg_pool_backward(
    dy: Array,
    kernel_size: Axes,
    *,
    input_shape: Sizes,
    stride: Axes | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of average pooling: spread each dy over its window.

    dx[b, c, q...] = sum over windows p... that touch q of dy[b, c, p...] / divisor(p...)

    Parameters
    ----------
    dy : Array (N, C, *output), float32 or float64
    input_shape : (N, C, *spatial) of x
    others : see `avg_pool`

    Returns
    -------
    dx : Array of shape `input_shape`, dtype and kind of dy

    Raises
    ------
    GeometryError, TypeError : sizes or arrays do not fit
    """
    (dy,) = operands(dy=dy)
    shape = image_shape("input_shape", input_shape)
    geometry = _geometry(shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    problem = _problem("avg_pool_backward", shape, dy.dtype.name, geometry, count_include_pad)
    expect_shape("dy", dy.shape, problem.y_shape, f"input_shape {shape} and the options")
    (dx,) = execute(problem, {"x": dy}, {"y": (shape, problem.dtype)}, device=device)
    return dx


def _geometry(
    input: Sizes, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Geometry:
    kernel = per_axis("kernel_size", kernel_size, len(input))
    return window_geometry(
        input,
        kernel,
        stride=kernel if stride is None else stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=bool(ceil_mode),
    )


def _problem(
    operator: Operator, shape: Sizes, dtype: str, geometry: Geometry, count_include_pad: bool = True
) -> PoolProblem:
    batch, channels = shape[:2]
    return PoolProblem(operator, dtype, batch, channels, geometry, bool(count_include_pad))


def _checked_indices(indices: Any, dy: Array, pixels: int) -> Array:
    """Return the indices ready for a buffer."""
    if is_device_array(indices) != is_device_array(dy):
        raise TypeError("dy and indices must be both numpy or both pyopencl arrays")
    if not is_device_array(indices):
        indices = np.asarray(indices)
    if indices.dtype != np.int64:
        raise TypeError(f"indices must have dtype int64, got {indices.dtype}")
    expect_shape("indices", indices.shape, dy.shape, f"dy's {dy.shape}")
    if is_device_array(indices):
        if not indices.flags.c_contiguous:
            raise ValueError(f"indices with strides {indices.strides} is not C-contiguous")
        return indices
    if indices.size and not -1 <= indices.min() <= indices.max() < pixels:
        raise GeometryError(
            f"indices lie in [{indices.min()}, {indices.max()}], but a plane of input_shape has"
            f" {pixels} pixels"
        )
    return indices
