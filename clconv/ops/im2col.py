"""im2col and its adjoint col2im."""

from __future__ import annotations

from clconv.errors import GeometryError
from clconv.ops.arguments import (
    Axes,
    PaddingLike,
    expect_shape,
    per_axis,
    sizes,
    window_geometry,
)
from clconv.ops.arrays import Array, operands
from clconv.ops.execute import execute
from clconv.ops.layouts import Layout
from clconv.program.device import Device
from clconv.spec.dtypes import ALL
from clconv.spec.geometry import SPATIAL_RANKS, Sizes
from clconv.spec.images import ColumnsProblem


def im2col(
    x: Array,
    kernel_size: Axes,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Unfold image patches into the columns of a matrix.

    cols[b, (c*KH + i)*KW + j, p*OW + q] = x[b, c, p*stride + i*dilation - low, ...], 0 outside

    Parameters
    ----------
    x : Array (N, C, *spatial), of any element type, with 1, 2 or 3 spatial axes
    kernel_size : int or one per axis, in pixels
    stride, padding, dilation, device : see `conv`
    layout : of x, as "NHWC"; channels-first by default. Rows run over channels, then taps, always

    Returns
    -------
    cols : Array (N, C*prod(kernel_size), L), dtype and kind of x; L windows, the last axis fastest

    Raises
    ------
    GeometryError, TypeError : sizes or arrays do not fit

    References
    ----------
    Chellapilla, Puri & Simard, "High performance convolutional neural networks", 2006.
    """
    (x,) = operands(dtypes=ALL, x=x)
    laid_out, shape = Layout.of(layout, "x", x.shape)
    kernel = per_axis("kernel_size", kernel_size, len(shape) - 2)
    geometry = window_geometry(shape[2:], kernel, stride=stride, padding=padding, dilation=dilation)
    given = (x.dtype.name, shape[0], shape[1], geometry)
    problem = ColumnsProblem("im2col", *given, layout=laid_out.text)
    (cols,) = execute(problem, {"x": x}, device=device)
    return cols


def col2im(
    cols: Array,
    output_size: Sizes,
    kernel_size: Axes,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of `im2col`: add every column's elements back to where they came from.

    Parameters
    ----------
    cols : Array (N, C*prod(kernel_size), L), of any element type
    output_size : spatial sizes of the image, one per axis, in the order of its layout
    layout : of the image, as "NHWC"; channels-first by default
    others : see `im2col`

    Returns
    -------
    x : Array (N, C, *output_size) in its layout, dtype and kind of cols

    Raises
    ------
    GeometryError, TypeError : sizes or arrays do not fit
    """
    (cols,) = operands(dtypes=ALL, cols=cols)
    input = sizes("output_size", output_size)
    if len(input) not in SPATIAL_RANKS or min(input) < 1:
        raise GeometryError(f"output_size {input} must have 1 to 3 axes of 1 or more")
    kernel = per_axis("kernel_size", kernel_size, len(input))
    geometry = window_geometry(input, kernel, stride=stride, padding=padding, dilation=dilation)
    if len(cols.shape) != 3 or cols.shape[1] % geometry.taps or cols.shape[1] < 1:
        raise GeometryError(
            f"cols {cols.shape} must be (N, C*{geometry.taps}, L) for kernel_size {kernel}"
        )
    channels = cols.shape[1] // geometry.taps
    given = (cols.dtype.name, cols.shape[0], channels, geometry)
    problem = ColumnsProblem("col2im", *given, layout=Layout(layout, len(input)).text)
    because = f"output_size {input} and the options"
    expect_shape("cols", cols.shape, problem.columns_shape, because)
    (x,) = execute(problem, {"x": cols}, device=device)
    return x
