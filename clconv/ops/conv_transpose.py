"""Transposed convolution: conv's adjoint with respect to x, as an operator of its own.

Its own adjoints are therefore `conv` itself (with respect to x) and conv's weight gradient with
the roles of x and dy exchanged.
"""

from __future__ import annotations

from typing import Any

from clconv.errors import GeometryError
from clconv.ops.arguments import (
    Axes,
    PaddingLike,
    expect_shape,
    image_shape,
    integer,
    padding_pairs,
    per_axis,
    sizes,
    spatial_rank,
)
from clconv.ops.arrays import Array, dtypes_of, operands
from clconv.ops.execute import How, execute
from clconv.ops.problems import Convolution, checked_bias, stated_problem
from clconv.program.device import Device
from clconv.spec.dtypes import ALL, COMPLEX
from clconv.spec.geometry import Geometry, Sizes
from clconv.spec.layout import DimensionNumbers, permuted
from clconv.spec.problem import Direction


def conv_transpose(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    output_padding: Axes = 0,
    dilation: Axes = 1,
    groups: int = 1,
    flip: bool = False,
    dimension_numbers: str | None = None,
    algorithm: str = "auto",
    accuracy: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Spread each pixel of x over a window: the adjoint of `conv` with respect to its input.

    y[b, o, q...] = bias[o] + sum over c, i... of x[b, c, p...] * w[c, o, i...]
                              where p*stride + i*dilation - low = q

    Parameters
    ----------
    x : Array (N, C, *spatial), of any element type, with 1, 2 or 3 spatial axes
    w : Array (C, O/groups, *kernel), the dtype and kind of x
    bias : Array (O,), likewise
    padding : pixels that are left out at the edges of y: an int, one per axis, (low, high) pairs
        or "valid"
    output_padding : int or one per axis: pixels added at the high end of y, for several sizes of
        y belong to one of x; smaller than the stride or the dilation
    dimension_numbers : the layouts of x, w and y, as "NHWC,HWOI->NHWC"; in w, I is the axis of C
        and O that of O/groups; "NCHW,IOHW->NCHW" by default
    stride, dilation, groups, flip, algorithm, accuracy, device : see `conv`

    Returns
    -------
    y : Array (N, O, *output), dtype and kind of x;
        output = (spatial - 1)*stride - low - high + dilation*(kernel - 1) + output_padding + 1

    Raises
    ------
    as `conv`

    References
    ----------
    Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016, chapter 4.
    """
    x, w, bias = operands(dtypes=ALL, x=x, w=w, bias=bias)
    options = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "dilation": dilation,
        "groups": groups,
        "flip": flip,
        "dimension_numbers": dimension_numbers,
    }
    with_bias = bias is not None
    problem = _problem("backward_data", dtypes_of(x, w), x.shape, w.shape, options, with_bias)
    tensors = {"dy": x, "w": w}
    if bias is not None:
        because = f"filters w {w.shape} with groups={groups}"
        tensors["bias"] = checked_bias(bias, problem, because)
    how: How = {"device": device, "algorithm": algorithm, "accuracy": accuracy}
    (y,) = execute(problem, tensors, **how)
    return y


def conv_transpose_backward_data(
    dy: Array,
    w: Array,
    *,
    input_shape: Sizes,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    output_padding: Axes = 0,
    dilation: Axes = 1,
    groups: int = 1,
    flip: bool = False,
    dimension_numbers: str | None = None,
    algorithm: str = "auto",
    accuracy: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of `conv_transpose` with respect to x, which is `conv`.

    Parameters
    ----------
    dy : Array (N, O, *output), the shape that `conv_transpose` gives
    w : Array (C, O/groups, *kernel), the dtype and kind of dy
    input_shape : (N, C, *spatial) of x, in its layout
    others : see `conv_transpose`

    Returns
    -------
    dx : Array of shape `input_shape`, dtype and kind of dy

    Raises
    ------
    as `conv`
    """
    dy, w = operands(dtypes=ALL, dy=dy, w=w)
    options = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "dilation": dilation,
        "groups": groups,
        "flip": flip,
        "dimension_numbers": dimension_numbers,
    }
    shape = sizes("input_shape", input_shape)
    problem = _problem("forward", dtypes_of(dy, w), shape, w.shape, options)
    because = f"input_shape {shape}, w {w.shape} and the options"
    expect_shape("dy", dy.shape, problem.x_shape, because)
    how: How = {"device": device, "algorithm": algorithm, "accuracy": accuracy}
    (dx,) = execute(problem, {"x": dy, "w": w}, **how)
    return dx


def conv_transpose_backward_weights(
    x: Array,
    dy: Array,
    *,
    weight_shape: Sizes,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    output_padding: Axes = 0,
    dilation: Axes = 1,
    groups: int = 1,
    flip: bool = False,
    dimension_numbers: str | None = None,
    algorithm: str = "auto",
    accuracy: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of `conv_transpose` with respect to w.

    It is conv's weight gradient with the roles of x and dy exchanged.

    Parameters
    ----------
    x : Array (N, C, *spatial)
    dy : Array (N, O, *output), the shape that `conv_transpose` gives, the dtype and kind of x
    weight_shape : (C, O/groups, *kernel) of w, in its layout
    others : see `conv_transpose`

    Returns
    -------
    dw : Array of shape `weight_shape`, dtype and kind of x

    Raises
    ------
    as `conv`
    """
    x, dy = operands(dtypes=ALL, x=x, dy=dy)
    options = {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "dilation": dilation,
        "groups": groups,
        "flip": flip,
        "dimension_numbers": dimension_numbers,
    }
    w_shape = sizes("weight_shape", weight_shape)
    problem = _problem("backward_weights", dtypes_of(dy, x), x.shape, w_shape, options)
    because = f"x {x.shape}, weight_shape {w_shape} and the options"
    expect_shape("dy", dy.shape, problem.x_shape, because)
    tensors = {"x": dy, "dy": x}
    how: How = {"device": device, "algorithm": algorithm, "accuracy": accuracy}
    (dw,) = execute(problem, tensors, **how)
    return dw


def _problem(
    direction: Direction,
    dtypes: tuple[str, str],
    shape: Sizes,
    w_shape: Sizes,
    options: dict[str, Any],
    bias: bool = False,
) -> Convolution:
    """State the convolution whose output, in its own eyes, has `shape` = (N, C, *spatial)."""
    x = "input_shape" if direction == "forward" else "x"
    w = "weight_shape" if direction == "backward_weights" else "w"
    numbers = _numbers(options["dimension_numbers"], (x, w), shape, w_shape)
    groups = integer("groups", options["groups"])
    batch, channels, *spatial = permuted(shape, numbers.y, numbers.plain_x)
    filters, group_outputs, *kernel = permuted(w_shape, numbers.w, numbers.plain_w)
    if filters != channels or groups < 1 or channels % groups:
        raise GeometryError(
            f"{w} {w_shape} must be (C, O/groups, *kernel), groups={groups} dividing C, for {x}"
            f" {shape}; dimension_numbers {numbers.transposed}"
        )
    geometry = _geometry(tuple(spatial), tuple(kernel), options)
    plain_x = (batch, group_outputs * groups, *geometry.input)
    return stated_problem(
        direction,
        dtypes,
        permuted(plain_x, numbers.plain_x, numbers.x),
        w_shape,
        geometry,
        groups,
        numbers,
        bias=bias,
        flip=bool(options["flip"]),
        conjugate=dtypes[0] in COMPLEX,  # conv's adjoint conjugates w; to transpose does not
    )


def _numbers(
    text: str | None, names: tuple[str, str], shape: Sizes, w_shape: Sizes
) -> DimensionNumbers:
    """Return, as the convolution has them, the dimension numbers; check sizes one by one."""
    x, w = names
    rank = spatial_rank(x, shape)
    numbers = DimensionNumbers.channels_first(rank)
    if text is not None:
        numbers = DimensionNumbers.parse(text, rank).transposed
    image_shape(x, shape, numbers.y.index("N"))
    if len(w_shape) != len(shape) or min(w_shape) < 1:
        raise GeometryError(f"{w} {w_shape} must have the axes of {x} {shape}, all sizes 1 or more")
    return numbers


def _geometry(input: Sizes, kernel: Sizes, options: dict[str, Any]) -> Geometry:
    """Return the windows on the result: one for every pixel of x.

    Output padding lies behind the last of them. Were it padding of the convolution, there might be
    windows that x has no pixel for, with output_padding of the stride or more.
    """
    rank = len(input)
    stride, dilation = (per_axis(name, options[name], rank) for name in ("stride", "dilation"))
    for name, entries in (("stride", stride), ("dilation", dilation)):
        if min(entries) < 1:
            raise GeometryError(f"{name} must be at least 1, got {entries}")
    padding = options["padding"]
    if isinstance(padding, str) and padding != "valid":
        raise ValueError(f"padding must be sizes or 'valid', got {padding!r}")
    pads = padding_pairs(padding, input, kernel, stride, dilation)
    if min(map(min, pads)) < 0:
        raise GeometryError(f"padding must be at least 0, got {pads}")
    added = per_axis("output_padding", options["output_padding"], rank)
    sizes = []
    axes = zip(input, kernel, stride, dilation, pads, added, strict=True)
    for n, k, s, d, (low, high), more in axes:
        if more < 0 or more >= max(s, d):
            raise GeometryError(
                f"output_padding {added} must be at least 0 and below stride {stride} or"
                f" dilation {dilation}"
            )
        sizes.append((n - 1) * s - low - high + d * (k - 1) + more + 1)
    if min(sizes) < 1:
        raise GeometryError(f"padding {pads} leaves an output of {tuple(sizes)} pixels")
    windows = tuple((low, high - more) for (low, high), more in zip(pads, added, strict=True))
    return Geometry(tuple(sizes), kernel, stride, dilation, windows)
