"""Unpooling: elements back to where max pooling found them."""

from __future__ import annotations

from math import prod

from clconv.errors import GeometryError
from clconv.ops.arguments import expect_shape, image_shape, sizes
from clconv.ops.arrays import Array, operands
from clconv.ops.execute import execute
from clconv.ops.indices import checked_indices
from clconv.program.device import Device
from clconv.spec.dtypes import ALL
from clconv.spec.geometry import Sizes
from clconv.spec.images import IndexProblem


def max_unpool(
    y: Array, indices: Array, *, output_size: Sizes, device: str | Device | None = None
) -> Array:
    """Put each element where its index says, zeros elsewhere; the last of several stays.

    x[b, c, indices[b, c, l]] = y[b, c, l]

    Where windows overlap this is not max_pool's adjoint, which adds: `max_pool_backward`.

    Parameters
    ----------
    y : Array (N, C, *output), float32 or float64
    indices : int64 Array of y's shape, as `max_pool` gives; -1 is passed over
    output_size : spatial sizes of x, one per axis
    device : see `conv`

    Returns
    -------
    x : Array (N, C, *output_size), dtype and kind of y

    Raises
    ------
    GeometryError, TypeError : shapes or arrays do not fit, or an index lies outside the plane
    """
    (y,) = operands(dtypes=ALL, y=y)
    shape = image_shape("y", y.shape)
    spatial = sizes("output_size", output_size)
    if len(spatial) != len(shape) - 2 or min(spatial) < 1:
        raise GeometryError(f"output_size {spatial} does not fit the spatial axes of y {shape}")
    indices = checked_indices(indices, "y", y, pixels=prod(spatial))
    expect_shape("indices", indices.shape, shape, f"y's {shape}")
    planes = (shape[0], shape[1], spatial, shape[2:])
    problem = IndexProblem("max_unpool", y.dtype.name, *planes)
    (x,) = execute(problem, {"x": y, "indices": indices}, device=device)
    return x


def max_unpool_backward(dx: Array, indices: Array, *, device: str | Device | None = None) -> Array:
    """Apply the adjoint of `max_unpool`, for indices of which none is there twice.

    dy[b, c, l] = dx[b, c, indices[b, c, l]]

    Parameters
    ----------
    dx : Array (N, C, *output_size), float32 or float64
    indices : int64 Array (N, C, *output); -1 gives 0
    device : see `conv`

    Returns
    -------
    dy : Array of the shape of `indices`, dtype and kind of dx

    Raises
    ------
    GeometryError, TypeError : shapes or arrays do not fit, or an index lies outside the plane
    """
    (dx,) = operands(dtypes=ALL, dx=dx)
    shape = image_shape("dx", dx.shape)
    indices = checked_indices(indices, "dx", dx, pixels=prod(shape[2:]))
    dy_shape = image_shape("indices", indices.shape)
    if len(dy_shape) != len(shape) or dy_shape[:2] != shape[:2]:
        raise GeometryError(f"indices {dy_shape} must have the batch and channels of dx {shape}")
    planes = (shape[0], shape[1], shape[2:], dy_shape[2:])
    problem = IndexProblem("max_unpool_backward", dx.dtype.name, *planes)
    (dy,) = execute(problem, {"x": dx, "indices": indices}, device=device)
    return dy
