"""Unpooling: elements back to where max pooling found them."""

from __future__ import annotations

from math import prod

from clconv.errors import GeometryError
from clconv.ops.arguments import expect_shape, image_shape, sizes
from clconv.ops.arrays import Array, operands
from clconv.ops.execute import execute
from clconv.ops.indices import checked_indices
from clconv.ops.layouts import Layout
from clconv.program.device import Device
from clconv.spec.dtypes import ALL
from clconv.spec.geometry import Sizes
from clconv.spec.images import IndexProblem


def max_unpool(
    y: Array,
    indices: Array,
    *,
    output_size: Sizes,
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Put each element where its index says, zeros elsewhere; the last of several stays.

    x[b, c, indices[b, c, l]] = y[b, c, l]

    Where windows overlap this is not max_pool's adjoint, which adds: `max_pool_backward`.

    Parameters
    ----------
    y : Array (N, C, *output), of any element type
    indices : int64 Array of y's shape, as `max_pool` gives; -1 is passed over
    output_size : spatial sizes of x, one per axis
    layout : of y, indices and x, as "NHWC"; channels-first by default
    device : see `conv`

    Returns
    -------
    x : Array (N, C, *output_size), dtype and kind of y

    Raises
    ------
    GeometryError, TypeError : shapes or arrays do not fit, or an index lies outside the plane
    """
    (y,) = operands(dtypes=ALL, y=y)
    laid_out, shape = Layout.of(layout, "y", y.shape)
    spatial = sizes("output_size", output_size)
    if len(spatial) != len(shape) - 2 or min(spatial) < 1:
        raise GeometryError(f"output_size {spatial} does not fit the spatial axes of y {y.shape}")
    indices = checked_indices(indices, "y", y, pixels=prod(spatial))
    expect_shape("indices", indices.shape, y.shape, f"y's {y.shape}")
    planes = (shape[0], shape[1], spatial, shape[2:])
    problem = IndexProblem("max_unpool", y.dtype.name, *planes, layout=laid_out.text)
    (x,) = execute(problem, {"x": y, "indices": indices}, device=device)
    return x


def max_unpool_backward(
    dx: Array,
    indices: Array,
    *,
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of `max_unpool`, for indices of which none is there twice.

    dy[b, c, l] = dx[b, c, indices[b, c, l]]

    Parameters
    ----------
    dx : Array (N, C, *output_size), of any element type
    indices : int64 Array (N, C, *output); -1 gives 0
    layout : of dx, indices and dy, as "NHWC"; channels-first by default
    device : see `conv`

    Returns
    -------
    dy : Array of the shape of `indices`, dtype and kind of dx

    Raises
    ------
    GeometryError, TypeError : shapes or arrays do not fit, or an index lies outside the plane
    """
    (dx,) = operands(dtypes=ALL, dx=dx)
    laid_out, shape = Layout.of(layout, "dx", dx.shape)
    indices = checked_indices(indices, "dx", dx, pixels=prod(shape[2:]))
    given = image_shape("indices", indices.shape)
    if len(given) != len(shape) or laid_out.to_plain(given)[:2] != shape[:2]:
        raise GeometryError(f"indices {given} must have the batch and channels of dx {dx.shape}")
    dy_shape = laid_out.to_plain(given)
    planes = (shape[0], shape[1], shape[2:], dy_shape[2:])
    problem = IndexProblem("max_unpool_backward", dx.dtype.name, *planes, layout=laid_out.text)
    (dy,) = execute(problem, {"x": dx, "indices": indices}, device=device)
    return dy
