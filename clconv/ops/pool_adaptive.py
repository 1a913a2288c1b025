"""Pooling into a given number of windows, or into one."""

from __future__ import annotations

from typing import Any, Literal

from clconv.errors import GeometryError
from clconv.ops.arguments import Axes, image_shape, per_axis
from clconv.ops.arrays import Array, operands
from clconv.ops.execute import execute
from clconv.ops.layouts import Layout
from clconv.program.device import Device
from clconv.spec.dtypes import INTEGER, REAL
from clconv.spec.geometry import Sizes
from clconv.spec.images import AdaptivePoolProblem

Operator = Literal["adaptive_max_pool", "adaptive_avg_pool", "adaptive_avg_pool_backward"]


def adaptive_avg_pool(
    x: Array,
    output_size: Axes,
    *,
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Return the means of as many windows as asked for, as even as they can be.

    Window p of O along an axis of I pixels is [floor(p*I/O), ceil((p + 1)*I/O)), as in PyTorch.

    Parameters
    ----------
    x : Array (N, C, *spatial), with 1, 2 or 3 spatial axes, real or complex (for maxima: real or
        integer)
    output_size : int or one per axis, at least 1; it may be larger than the image
    layout : of x and y, as "NHWC"; channels-first by default
    device : see `conv`

    Returns
    -------
    y : Array (N, C, *output_size), dtype and kind of x

    Raises
    ------
    GeometryError, TypeError : sizes or arrays do not fit
    """
    (x,) = operands(x=x)
    laid_out, shape = Layout.of(layout, "x", x.shape)
    problem = _problem("adaptive_avg_pool", x.dtype.name, shape, output_size, laid_out)
    (y,) = execute(problem, {"x": x}, device=device)
    return y


def adaptive_avg_pool_backward(
    dy: Array,
    *,
    input_shape: Sizes,
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of `adaptive_avg_pool`: spread each dy over its window.

    Parameters
    ----------
    dy : Array (N, C, *output_size), real or complex
    input_shape : (N, C, *spatial) of x, in its layout
    layout : of both, as "NHWC"; channels-first by default
    device : see `conv`

    Returns
    -------
    dx : Array of shape `input_shape`, dtype and kind of dy

    Raises
    ------
    GeometryError, TypeError : sizes or arrays do not fit
    """
    (dy,) = operands(dy=dy)
    laid_out, shape = Layout.of(layout, "input_shape", input_shape)
    if len(dy.shape) != len(shape) or laid_out.to_plain(dy.shape)[:2] != shape[:2]:
        raise GeometryError(
            f"dy {tuple(dy.shape)} must have the batch and channels of {tuple(input_shape)}"
        )
    dy_shape = laid_out.to_plain(image_shape("dy", dy.shape, laid_out.given.index("N")))
    given = (dy.dtype.name, shape, dy_shape[2:])
    problem = _problem("adaptive_avg_pool_backward", *given, laid_out)
    (dx,) = execute(problem, {"x": dy}, device=device)
    return dx


def adaptive_max_pool(
    x: Array,
    output_size: Axes,
    *,
    return_indices: bool = False,
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array | tuple[Array, Array]:
    """Return the maxima of as many windows as asked for; `max_pool_backward` is the adjoint.

    Parameters
    ----------
    x, output_size, layout, device : see `adaptive_avg_pool`
    return_indices : return the places of the maxima too; see `max_pool`

    Returns
    -------
    y : Array (N, C, *output_size), dtype and kind of x
    indices : int64 Array of y's shape, if asked for

    Raises
    ------
    GeometryError, TypeError : sizes or arrays do not fit
    """
    wanted = bool(return_indices)  # what is no truth value is refused before anything runs
    (x,) = operands(dtypes=REAL + INTEGER, x=x)
    laid_out, shape = Layout.of(layout, "x", x.shape)
    problem = _problem("adaptive_max_pool", x.dtype.name, shape, output_size, laid_out)
    y, indices = execute(problem, {"x": x}, device=device)
    return (y, indices) if wanted else y


def global_avg_pool(
    x: Array, *, layout: str | None = None, device: str | Device | None = None
) -> Array:
    """Return the mean of each channel plane, (N, C, 1, ...): `adaptive_avg_pool` to 1."""
    return adaptive_avg_pool(x, 1, layout=layout, device=device)


def global_max_pool(
    x: Array, *, layout: str | None = None, device: str | Device | None = None
) -> Array:
    """Return the maximum of each channel plane, (N, C, 1, ...): `adaptive_max_pool` to 1."""
    return adaptive_max_pool(x, 1, layout=layout, device=device)


def _problem(
    operator: Operator, dtype: str, shape: Sizes, output_size: Any, layout: Layout
) -> AdaptivePoolProblem:
    output = per_axis("output_size", output_size, len(shape) - 2)
    if min(output) < 1:
        raise GeometryError(f"output_size must be at least 1, got {output}")
    sizes = (shape[0], shape[1], shape[2:], output)
    return AdaptivePoolProblem(operator, dtype, *sizes, layout=layout.text)
