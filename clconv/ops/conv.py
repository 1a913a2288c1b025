"""Convolution and its adjoints.

Convolution here is cross-correlation, as in machine learning; `flip=True` reverses the filters
along every spatial axis, which makes it the textbook's convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from clconv.errors import GeometryError
from clconv.ops.arguments import Axes, PaddingLike, sizes
from clconv.ops.arrays import Array, check_out, dtypes_of, operands
from clconv.ops.execute import How, execute
from clconv.ops.layouts import Layout
from clconv.ops.problems import checked_bias, conv_problem, expect_dy
from clconv.program.device import Device
from clconv.spec.dtypes import ALL
from clconv.spec.geometry import Sizes
from clconv.spec.images import BiasGradientProblem


def conv(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    groups: int = 1,
    flip: bool = False,
    padding_mode: str = "zeros",
    activation: str | None = None,
    out: Array | None = None,
    beta: float = 0,
    dimension_numbers: str | None = None,
    algorithm: str = "auto",
    accuracy: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Cross-correlate a batch of images with a bank of filters.

    y[b, o, p...] = bias[o] + sum over c, i... of x[b, c, p*stride + i*dilation - low ...]
                                                 * w[o, c, i...]

    with c running over the channels of the group that o belongs to, and zeros outside the image;
    they are multiplied, and 0*inf is NaN. What is written is activation(y + beta*out).

    Parameters
    ----------
    x : Array (N, C, *spatial), with 1, 2 or 3 spatial axes; float64, float32, float16, bfloat16,
        complex64, complex128 or integers of 8 to 64 bits
    w : Array (O, C/groups, *kernel), the dtype and kind of x; of integers, any of their dtypes
    bias : Array (O,), likewise
    stride, dilation : int or one per axis, in pixels, at least 1
    padding : around the image, in pixels: an int, one per axis, (low, high) pairs, "valid" (none),
        "same" (output = ceil(input/stride), the odd pixel on the high side) or "same_lower" (on
        the low side)
    groups : how many groups the channels fall into; C and O are multiples of it
    flip : reverse the filters along every spatial axis
    padding_mode : what the padding holds: "zeros", "reflect" (the image mirrored in its edge
        pixels), "replicate" (its edge pixels) or "circular" (the image again)
    activation : None, "relu", "leaky_relu" (slope 0.01), "relu6", "sigmoid", "tanh", "silu" or
        "gelu" (by the error function), applied by the kernel that writes y
    out : Array of y's shape, dtype and kind, C-contiguous: y is written there, and it is returned
    beta : how many times what `out` held is added; where it is 0, out is not read
    dimension_numbers : the layouts of x, w and y, as "NHWC,HWIO->NHWC"; channels-first by default
    algorithm : "auto" or a name out of clconv.algorithm_names()
    accuracy : the class that "auto" stays in; by default that of `clconv.settings`, else of
        CLCONV_ACCURACY, else "strict": each element within the bound of a plain sum, and exactly
        zero where all of its products are. "fast" admits algorithms whose errors spread over a
        tile, under a bound of their own (docs/accuracy.md)
    device : for numpy arrays, where to run; see clconv.select_device

    Returns
    -------
    y : Array (N, O, *output), dtype and kind of x, but int32 or int64 for integers;
        output = (spatial + low + high - dilation*(kernel - 1) - 1)//stride + 1

    Raises
    ------
    GeometryError : shapes or sizes do not fit; a ValueError
    TypeError : dtypes or kinds of arrays do not fit
    UnsupportedError : valid arguments, but the device or the named algorithm does not serve

    References
    ----------
    Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016.
    """
    x, w, bias = operands(dtypes=ALL, x=x, w=w, bias=bias)
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "flip": flip,
        "padding_mode": padding_mode,
        "dimension_numbers": dimension_numbers,
    }
    options |= {"activation": activation, "beta": beta}
    with_bias = bias is not None
    problem = conv_problem("forward", dtypes_of(x, w), x.shape, w.shape, options, bias=with_bias)
    tensors = {"x": x, "w": w}
    if bias is not None:
        tensors["bias"] = checked_bias(bias, problem, f"filters w {w.shape}")
    given = {} if out is None else {"y": check_out(out, x, problem.results["y"])}
    if problem.beta and out is None:
        raise ValueError(f"beta={beta} needs the array that it multiplies: out is None")
    how: How = {"device": device, "algorithm": algorithm, "accuracy": accuracy}
    (y,) = execute(problem, tensors, **how, out=given)
    return y


def _of_rank(rank: int) -> Callable[..., Array]:
    """Return `conv` that takes images of `rank` spatial axes only."""

    @wraps(conv)
    def ranked(x: Array, w: Array, bias: Array | None = None, **options: Any) -> Array:
        axes = len(operands(dtypes=ALL, x=x)[0].shape) - 2
        if axes != rank:
            raise GeometryError(f"conv{rank}d takes x with {rank} spatial axes, got {axes}")
        return conv(x, w, bias, **options)

    ranked.__name__ = ranked.__qualname__ = f"conv{rank}d"
    ranked.__doc__ = f"`conv` for x with {rank} spatial axes; GeometryError for any other rank."
    return ranked


conv1d, conv2d, conv3d = map(_of_rank, (1, 2, 3))


def conv_backward_data(
    dy: Array,
    w: Array,
    *,
    input_shape: Sizes,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    groups: int = 1,
    flip: bool = False,
    padding_mode: str = "zeros",
    dimension_numbers: str | None = None,
    algorithm: str = "auto",
    accuracy: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of `conv` with respect to x: the gradient dx of a loss with gradient dy.

    dx[b, c, q...] = sum over o, i... of dy[b, o, p...] * w[o, c, i...]
                     where p*stride + i*dilation - low = q

    that is, <conv(x, w), dy> = <x, conv_backward_data(dy, w)> for all x and dy.

    Parameters
    ----------
    dy : Array (N, O, *output), the shape that `conv` gives
    w : Array (O, C/groups, *kernel), the dtype and kind of dy
    input_shape : (N, C, *spatial) of x, which dy's shape alone does not tell where stride > 1
    others : see `conv`

    Returns
    -------
    dx : Array of shape `input_shape`, dtype and kind of dy

    Raises
    ------
    as `conv`
    """
    dy, w = operands(dtypes=ALL, dy=dy, w=w)
    x_shape = sizes("input_shape", input_shape)
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "flip": flip,
        "padding_mode": padding_mode,
        "dimension_numbers": dimension_numbers,
    }
    problem = conv_problem("backward_data", dtypes_of(dy, w), x_shape, w.shape, options)
    expect_dy(dy, problem)
    tensors = {"dy": dy, "w": w}
    how: How = {"device": device, "algorithm": algorithm, "accuracy": accuracy}
    (dx,) = execute(problem, tensors, **how)
    return dx


def conv_backward_weights(
    x: Array,
    dy: Array,
    *,
    weight_shape: Sizes,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    groups: int = 1,
    flip: bool = False,
    padding_mode: str = "zeros",
    dimension_numbers: str | None = None,
    algorithm: str = "auto",
    accuracy: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Apply the adjoint of `conv` with respect to w: the gradient dw of a loss with gradient dy.

    dw[o, c, i...] = sum over b, p... of dy[b, o, p...] * x[b, c, p*stride + i*dilation - low ...]

    that is, <conv(x, w), dy> = <w, conv_backward_weights(x, dy)> for all w and dy.

    Parameters
    ----------
    x : Array (N, C, *spatial)
    dy : Array (N, O, *output), the shape that `conv` gives, the dtype and kind of x
    weight_shape : (O, C/groups, *kernel) of w
    others : see `conv`

    Returns
    -------
    dw : Array of shape `weight_shape`, dtype and kind of x

    Raises
    ------
    as `conv`
    """
    x, dy = operands(dtypes=ALL, x=x, dy=dy)
    w_shape = sizes("weight_shape", weight_shape)
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "flip": flip,
        "padding_mode": padding_mode,
        "dimension_numbers": dimension_numbers,
    }
    problem = conv_problem("backward_weights", dtypes_of(x, dy), x.shape, w_shape, options)
    expect_dy(dy, problem)
    tensors = {"x": x, "dy": dy}
    how: How = {"device": device, "algorithm": algorithm, "accuracy": accuracy}
    (dw,) = execute(problem, tensors, **how)
    return dw


def conv_backward_bias(
    dy: Array, *, layout: str | None = None, device: str | Device | None = None
) -> Array:
    """Apply the adjoint of adding a bias: db[o] = sum over b, p... of dy[b, o, p...].

    Parameters
    ----------
    dy : Array (N, O, *output), of any element type
    layout : which axis of dy is what, as "NHWC" with C for O; channels-first by default
    device : see `conv`

    Returns
    -------
    db : Array (O,), dtype and kind of dy

    Raises
    ------
    GeometryError : dy has not the axes of `layout`
    """
    (dy,) = operands(dtypes=ALL, dy=dy)
    images, (batch, outputs, *output) = Layout.of(layout, "dy", dy.shape)
    sizes = (dy.dtype.name, batch, outputs, tuple(output))
    problem = BiasGradientProblem("conv_bwd_bias", *sizes, layout=images.text)
    (db,) = execute(problem, {"dy": dy}, device=device)
    return db
