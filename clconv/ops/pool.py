"""Max and average pooling and their adjoints.

Semantics are PyTorch's; `semantics="onnx"` takes ONNX's where the two disagree: a stride that is
not given is 1, the divisor of an average counts no padding unless told to, and padding may be
larger than half the window.
"""

from __future__ import annotations

from math import prod
from typing import Any

from clconv.errors import GeometryError
from clconv.ops.arguments import (
    Axes,
    PaddingLike,
    expect_shape,
    image_shape,
    integer,
    per_axis,
    window_geometry,
)
from clconv.ops.arrays import Array, operands
from clconv.ops.execute import execute
from clconv.ops.indices import checked_indices
from clconv.ops.layouts import Layout
from clconv.program.device import Device
from clconv.spec.dtypes import ALL, INTEGER, REAL
from clconv.spec.geometry import Geometry, Sizes
from clconv.spec.images import IndexProblem, PoolProblem

SEMANTICS = ("torch", "onnx")


def max_pool(
    x: Array,
    kernel_size: Axes,
    *,
    stride: Axes | None = None,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    semantics: str = "torch",
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array | tuple[Array, Array]:
    """Return the largest element of each window.

    y[b, c, p...] = max over i... of x[b, c, p*stride + i*dilation - low ...], padding left out

    A NaN wins over every number. A window that touches no pixel gives -infinity.

    Parameters
    ----------
    x : Array (N, C, *spatial), real or integer, with 1, 2 or 3 spatial axes
    kernel_size : int or one per axis, in pixels
    stride : int or one per axis, in pixels; by default the kernel size ("onnx": 1)
    padding : as for `conv`; at most half of what the window spans ("onnx": any)
    dilation : int or one per axis, in pixels
    ceil_mode : keep windows that overhang the padded image by less than a stride, if they start
        inside the image or its low padding
    return_indices : return the places of the maxima too
    semantics : "torch" or "onnx"
    layout : of x and of the results, as "NHWC"; channels-first by default
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
    wanted = bool(return_indices)  # what is no truth value is refused before anything runs
    (x,) = operands(dtypes=REAL + INTEGER, x=x)
    laid_out, shape = Layout.of(layout, "x", x.shape)
    window = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    geometry = pool_geometry(shape[2:], kernel_size, semantics, **window)
    sizes = (shape[0], shape[1], geometry)
    problem = PoolProblem("max_pool", x.dtype.name, *sizes, layout=laid_out.text)
    y, indices = execute(problem, {"x": x}, device=device)
    return (y, indices) if wanted else y


def max_pool_backward(
    dy: Array,
    indices: Array,
    *,
    input_shape: Sizes,
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of max pooling: add each dy where its maximum came from.

    dx[b, c, i] = sum over l with indices[b, c, l] = i of dy[b, c, l]

    Parameters
    ----------
    dy : Array (N, C, *output), of any element type
    indices : int64 Array of dy's shape, from `max_pool(..., return_indices=True)`. -1 adds
        nowhere; so does any index outside the plane in a pyopencl array, which is not looked
        into beforehand.
    input_shape : (N, C, *spatial) of x, in its layout
    layout : of all of these, as "NHWC"; channels-first by default
    device : see `conv`

    Returns
    -------
    dx : Array of shape `input_shape`, dtype and kind of dy

    Raises
    ------
    GeometryError, TypeError : shapes or arrays do not fit, or an index lies outside the plane
    """
    (dy,) = operands(dtypes=ALL, dy=dy)
    laid_out, shape = Layout.of(layout, "input_shape", input_shape)
    if len(dy.shape) != len(shape):
        raise GeometryError(f"dy {dy.shape} must have as many axes as input_shape {shape}")
    dy_shape = laid_out.to_plain(image_shape("dy", dy.shape, laid_out.given.index("N")))
    expect_shape("dy", dy_shape[:2], shape[:2], f"the first two axes of input_shape {shape}")
    indices = checked_indices(indices, "dy", dy, pixels=prod(shape[2:]))
    expect_shape("indices", indices.shape, dy.shape, f"dy's {dy.shape}")
    sizes = (shape[0], shape[1], shape[2:], dy_shape[2:])
    problem = IndexProblem("max_pool_backward", dy.dtype.name, *sizes, layout=laid_out.text)
    (dx,) = execute(problem, {"x": dy, "indices": indices}, device=device)
    return dx


def avg_pool(
    x: Array,
    kernel_size: Axes,
    *,
    stride: Axes | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool | None = None,
    divisor_override: int | None = None,
    dilation: Axes = 1,
    semantics: str = "torch",
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Return the mean of each window.

    y[b, c, p...] = (sum over i... of x[b, c, p*stride + i*dilation - low ...]) / divisor(p...)

    Parameters
    ----------
    count_include_pad : whether the divisor counts the padding's zeros too; either way a window
        that overhangs the padded image (ceil_mode) is cut off at its edge. By default True
        ("onnx": False)
    divisor_override : the divisor of all windows instead, at least 1
    others : see `max_pool`

    Returns
    -------
    y : Array (N, C, *output), dtype and kind of x

    Raises
    ------
    GeometryError, TypeError : sizes or arrays do not fit
    """
    (x,) = operands(x=x)
    laid_out, shape = Layout.of(layout, "x", x.shape)
    window = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    geometry = pool_geometry(shape[2:], kernel_size, semantics, **window)
    divisor = _divisor(count_include_pad, divisor_override, semantics)
    sizes = (shape[0], shape[1], geometry)
    problem = PoolProblem("avg_pool", x.dtype.name, *sizes, *divisor, layout=laid_out.text)
    (y,) = execute(problem, {"x": x}, device=device)
    return y


def avg_pool_backward(
    dy: Array,
    kernel_size: Axes,
    *,
    input_shape: Sizes,
    stride: Axes | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool | None = None,
    divisor_override: int | None = None,
    dilation: Axes = 1,
    semantics: str = "torch",
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of average pooling: spread each dy over its window.

    dx[b, c, q...] = sum over windows p... that touch q of dy[b, c, p...] / divisor(p...)

    Parameters
    ----------
    dy : Array (N, C, *output), real or complex
    input_shape : (N, C, *spatial) of x, in its layout
    others : see `avg_pool`

    Returns
    -------
    dx : Array of shape `input_shape`, dtype and kind of dy

    Raises
    ------
    GeometryError, TypeError : sizes or arrays do not fit
    """
    (dy,) = operands(dy=dy)
    laid_out, shape = Layout.of(layout, "input_shape", input_shape)
    window = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    geometry = pool_geometry(shape[2:], kernel_size, semantics, **window)
    divisor = _divisor(count_include_pad, divisor_override, semantics)
    sizes = (shape[0], shape[1], geometry)
    given = (dy.dtype.name, *sizes, *divisor)
    problem = PoolProblem("avg_pool_backward", *given, layout=laid_out.text)
    because = f"input_shape {tuple(input_shape)} and the options"
    expect_shape("dy", dy.shape, problem.operands["x"].shape, because)
    (dx,) = execute(problem, {"x": dy}, device=device)
    return dx


def _divisor(count_include_pad: Any, override: Any, semantics: str) -> tuple[bool, int]:
    """Return whether padding is counted, and the divisor of all windows or 0."""
    counted = semantics == "torch" if count_include_pad is None else bool(count_include_pad)
    if override is None:
        return counted, 0
    divisor = integer("divisor_override", override)
    if not 1 <= divisor < 2**31:
        raise GeometryError(f"divisor_override must be at least 1 and below 2**31, got {divisor}")
    return counted, divisor


def pool_geometry(
    input: Sizes, kernel_size: Any, semantics: str, *, stride: Any, ceil_mode: Any, **window: Any
) -> Geometry:
    """Return the windows of a pooling, or raise: `semantics` says what a stride of None means."""
    if semantics not in SEMANTICS:
        raise ValueError(f"semantics must be one of {', '.join(SEMANTICS)}; got {semantics!r}")
    kernel = per_axis("kernel_size", kernel_size, len(input))
    default = kernel if semantics == "torch" else 1
    window["stride"] = default if stride is None else stride
    geometry = window_geometry(input, kernel, ceil_mode=bool(ceil_mode), **window)
    axes = zip(geometry.padding, geometry.extent, strict=True)
    if semantics == "torch" and any(2 * max(pair) > extent for pair, extent in axes):
        raise GeometryError(
            f"padding {geometry.padding} must be at most half of what kernel_size"
            f" {geometry.kernel} with dilation {geometry.dilation} spans, {geometry.extent}"
        )
    return geometry
