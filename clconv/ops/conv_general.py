"""The general convolution, closed under differentiation, and its adjoints."""

from __future__ import annotations

from clconv.ops.arguments import Axes, PaddingLike, sizes
from clconv.ops.arrays import Array, dtypes_of, operands
from clconv.ops.execute import How, execute
from clconv.ops.problems import expect_dy, general_problem
from clconv.program.device import Device
from clconv.spec.dtypes import ALL
from clconv.spec.geometry import Sizes


def conv_general(
    x: Array,
    w: Array,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    input_dilation: Axes = 1,
    dilation: Axes = 1,
    groups: int = 1,
    batch_groups: int = 1,
    dimension_numbers: str | None = None,
    flip: bool = False,
    algorithm: str = "auto",
    accuracy: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Correlate with everything that a convolution or a derivative of one can ask for.

    x is first spread (`input_dilation - 1` zeros between pixels), then padded, then correlated
    as by `conv`. With batch groups, image n of block g of the batch meets the g-th part of the
    filters only, and the blocks' results stand beside each other as channels.

    Parameters
    ----------
    x : Array (N, C, *spatial) in its layout, of any element type
    w : Array (O, C/groups, *kernel) in its layout, the dtype and kind of x
    stride, input_dilation, dilation : int or one per axis, at least 1
    padding : as for `conv`, but (low, high) may be negative, which cuts pixels off
    groups : feature groups; divides C and O
    batch_groups : divides N and O; not together with groups
    dimension_numbers : the layouts of x, w and y, as "NHWC,HWIO->NHWC"; channels-first by default.
        Spatial letters may stand in any order; options per axis follow w's.
    flip, algorithm, accuracy, device : see `conv`

    Returns
    -------
    y : Array (N/batch_groups, O, *output) in its layout, dtype and kind of x

    Raises
    ------
    as `conv`

    References
    ----------
    XLA's operation semantics, ConvWithGeneralPadding (convolution).
    """
    x, w = operands(dtypes=ALL, x=x, w=w)
    options = {
        "stride": stride,
        "padding": padding,
        "input_dilation": input_dilation,
        "dilation": dilation,
        "groups": groups,
        "batch_groups": batch_groups,
        "dimension_numbers": dimension_numbers,
        "flip": flip,
    }
    problem = general_problem("forward", dtypes_of(x, w), x.shape, w.shape, options)
    how: How = {"device": device, "algorithm": algorithm, "accuracy": accuracy}
    (y,) = execute(problem, {"x": x, "w": w}, **how)
    return y


def conv_general_backward_data(
    dy: Array,
    w: Array,
    *,
    input_shape: Sizes,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    input_dilation: Axes = 1,
    dilation: Axes = 1,
    groups: int = 1,
    batch_groups: int = 1,
    dimension_numbers: str | None = None,
    flip: bool = False,
    algorithm: str = "auto",
    accuracy: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of `conv_general` with respect to x.

    <conv_general(x, w), dy> = <x, conv_general_backward_data(dy, w)> for all x and dy.

    Parameters
    ----------
    dy : Array of the shape that `conv_general` gives
    input_shape : of x, in its layout
    others : see `conv_general`

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
        "input_dilation": input_dilation,
        "dilation": dilation,
        "groups": groups,
        "batch_groups": batch_groups,
        "dimension_numbers": dimension_numbers,
        "flip": flip,
    }
    x_shape = sizes("input_shape", input_shape)
    problem = general_problem("backward_data", dtypes_of(dy, w), x_shape, w.shape, options)
    expect_dy(dy, problem)
    how: How = {"device": device, "algorithm": algorithm, "accuracy": accuracy}
    (dx,) = execute(problem, {"dy": dy, "w": w}, **how)
    return dx


def conv_general_backward_weights(
    x: Array,
    dy: Array,
    *,
    weight_shape: Sizes,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    input_dilation: Axes = 1,
    dilation: Axes = 1,
    groups: int = 1,
    batch_groups: int = 1,
    dimension_numbers: str | None = None,
    flip: bool = False,
    algorithm: str = "auto",
    accuracy: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of `conv_general` with respect to w.

    <conv_general(x, w), dy> = <w, conv_general_backward_weights(x, dy)> for all w and dy.

    Parameters
    ----------
    x : Array, as for `conv_general`
    dy : Array of the shape that `conv_general` gives, the dtype and kind of x
    weight_shape : of w, in its layout
    others : see `conv_general`

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
        "input_dilation": input_dilation,
        "dilation": dilation,
        "groups": groups,
        "batch_groups": batch_groups,
        "dimension_numbers": dimension_numbers,
        "flip": flip,
    }
    w_shape = sizes("weight_shape", weight_shape)
    problem = general_problem("backward_weights", dtypes_of(x, dy), x.shape, w_shape, options)
    expect_dy(dy, problem)
    how: How = {"device": device, "algorithm": algorithm, "accuracy": accuracy}
    (dw,) = execute(problem, {"x": x, "dy": dy}, **how)
    return dw
