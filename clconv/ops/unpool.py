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
from clconv.spec.geometry import Sizes
from clconv.spec.problem import IndexProblem, Problem
from clconv.spec.rearrangement import LaidOut


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
    y : Array (N, C, *output), float32 or float64
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
    (y,) = operands(y=y)
    laid_out, shape = Layout.of(layout, "y", y.shape)
    spatial = sizes("output_size", output_size)
    if len(spatial) != len(shape) - 2 or min(spatial) < 1:
        raise GeometryError(f"output_size {spatial} does not fit the spatial axes of y {y.shape}")
    indices = checked_indices(indices, "y", y, pixels=prod(spatial))
    expect_shape("indices", indices.shape, y.shape, f"y's {y.shape}")
    planes = {"pixels": prod(spatial), "positions": prod(shape[2:])}
    problem = IndexProblem("max_unpool", y.dtype.name, shape[0], shape[1], **planes)
    x_shape = (*shape[:2], *spatial)
    whole = _lay_out(laid_out, problem, x=shape, indices=shape, y=x_shape)
    results = {"y": (laid_out.from_plain(x_shape), problem.dtype)}
    (x,) = execute(whole, {"x": y, "indices": indices}, results, device=device)
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
    dx : Array (N, C, *output_size), float32 or float64
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
    (dx,) = operands(dx=dx)
    laid_out, shape = Layout.of(layout, "dx", dx.shape)
    indices = checked_indices(indices, "dx", dx, pixels=prod(shape[2:]))
    given = image_shape("indices", indices.shape)
    if len(given) != len(shape) or laid_out.to_plain(given)[:2] != shape[:2]:
        raise GeometryError(f"indices {given} must have the batch and channels of dx {dx.shape}")
    dy_shape = laid_out.to_plain(given)
    planes = {"pixels": prod(shape[2:]), "positions": prod(dy_shape[2:])}
    problem = IndexProblem("max_unpool_backward", dx.dtype.name, shape[0], shape[1], **planes)
    whole = _lay_out(laid_out, problem, x=shape, indices=dy_shape, y=dy_shape)
    results = {"y": (given, problem.dtype)}
    (dy,) = execute(whole, {"x": dx, "indices": indices}, results, device=device)
    return dy


def _lay_out(laid_out: Layout, problem: IndexProblem, **shapes: Sizes) -> Problem | LaidOut:
    """Return `problem` between "x", "indices" and "y" of these shapes (plain) in a layout."""
    dtypes = {"x": problem.dtype, "indices": "int64", "y": problem.dtype}
    tensors = {name: (shape, dtypes[name]) for name, shape in shapes.items()}
    return laid_out.lay_out(problem, ("y",), **tensors)
