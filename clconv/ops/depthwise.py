"""Depthwise and separable convolution: `conv` with as many groups as channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clconv.errors import GeometryError
from clconv.ops.arguments import Axes, PaddingLike, image_shape, spatial_rank
from clconv.ops.arrays import Array, dtypes_of, operands
from clconv.ops.conv import conv
from clconv.ops.problems import checked_bias, conv_problem
from clconv.program.device import Device
from clconv.spec.dtypes import ALL
from clconv.spec.geometry import Sizes
from clconv.spec.layout import DimensionNumbers, permuted


def depthwise_conv(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    flip: bool = False,
    dimension_numbers: str | None = None,
    algorithm: str = "auto",
    accuracy: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Correlate every channel with filters of its own.

    y[b, c*M + m, p...] = bias[c*M + m] + sum over i... of x[b, c, ...] * w[c*M + m, 0, i...]

    Its adjoints are those of `conv` with groups = C.

    Parameters
    ----------
    x : Array (N, C, *spatial), of any element type
    w : Array (C*M, 1, *kernel), the dtype and kind of x; M is the channel multiplier
    bias : Array (C*M,), likewise
    dimension_numbers : see `conv`; in w, O is the axis of C*M and I that of 1
    others : see `conv`

    Returns
    -------
    y : Array (N, C*M, *output), dtype and kind of x

    Raises
    ------
    as `conv`
    """
    x, w = operands(dtypes=ALL, x=x, w=w)
    numbers = _numbers(dimension_numbers, x.shape, "w", w.shape)
    (channels,) = permuted(x.shape, numbers.x, "C")
    outputs, inputs = permuted(w.shape, numbers.w, "OI")
    if outputs % channels or inputs != 1:
        raise GeometryError(
            f"w {w.shape} must be (C*M, 1, *kernel) for x {x.shape}; dimension_numbers {numbers}"
        )
    return conv(
        x,
        w,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels,
        flip=flip,
        dimension_numbers=dimension_numbers,
        algorithm=algorithm,
        accuracy=accuracy,
        device=device,
    )


def separable_conv(
    x: Array,
    w_depthwise: Array,
    w_pointwise: Array,
    bias: Array | None = None,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    flip: bool = False,
    dimension_numbers: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Correlate depthwise with all the geometry, then mix the channels pointwise.

    The filters are the products w_pointwise[o, k] * w_depthwise[k, 0, i...], summed over k.

    Parameters
    ----------
    x : Array (N, C, *spatial), of any element type
    w_depthwise : Array (C*M, 1, *kernel), the dtype and kind of x
    w_pointwise : Array (O, C*M, 1, ...), likewise
    bias : Array (O,), likewise, added at the end
    stride, padding, dilation, flip : of the depthwise stage; see `conv`
    dimension_numbers : see `conv`; both weights lie in the layout of w
    device : see `conv`

    Returns
    -------
    y : Array (N, O, *output), dtype and kind of x

    Raises
    ------
    as `conv`

    References
    ----------
    Chollet, "Xception: deep learning with depthwise separable convolutions", 2017.
    """
    x, w_depthwise, w_pointwise, bias = operands(
        dtypes=ALL, x=x, w_depthwise=w_depthwise, w_pointwise=w_pointwise, bias=bias
    )
    numbers = _numbers(dimension_numbers, x.shape, "w_depthwise", w_depthwise.shape)
    _numbers(dimension_numbers, x.shape, "w_pointwise", w_pointwise.shape)
    _, inputs, *kernel = permuted(w_pointwise.shape, numbers.w, numbers.plain_w)
    if any(size != 1 for size in kernel):
        raise GeometryError(
            f"w_pointwise {w_pointwise.shape} must be (O, C*M, 1, ...); dimension_numbers {numbers}"
        )
    if permuted(w_depthwise.shape, numbers.w, "O") != (inputs,):
        raise GeometryError(
            f"w_pointwise {w_pointwise.shape} must have as many input channels as w_depthwise"
            f" {w_depthwise.shape} has outputs; dimension_numbers {numbers}"
        )
    from_y = replace(numbers, x=numbers.y)  # what lies between the stages has the layout of y
    window: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "flip": flip,
    }
    _check_stages(x, w_depthwise, w_pointwise, bias, (numbers, from_y), window)
    between = depthwise_conv(
        x, w_depthwise, **window, dimension_numbers=dimension_numbers, device=device
    )
    return conv(between, w_pointwise, bias, dimension_numbers=str(from_y), device=device)


def _check_stages(
    x: Array,
    w_depthwise: Array,
    w_pointwise: Array,
    bias: Array | None,
    numbers: tuple[DimensionNumbers, DimensionNumbers],
    window: Mapping[str, Any],
) -> None:
    """Raise what either stage would, before the first is run."""
    (channels,) = permuted(x.shape, numbers[0].x, "C")
    options = {**window, "groups": channels, "dimension_numbers": str(numbers[0])}
    dtypes = dtypes_of(x, w_depthwise)
    first = conv_problem("forward", dtypes, x.shape, w_depthwise.shape, options)
    between = first.results["y"]
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "flip": False}
    second = conv_problem(
        "forward",
        (between.dtype, dtypes_of(x, w_pointwise)[1]),
        between.shape,
        w_pointwise.shape,
        {**options, "dimension_numbers": str(numbers[1])},
        bias=bias is not None,
    )
    if bias is not None:
        checked_bias(bias, second, f"filters w_pointwise {w_pointwise.shape}")


def _numbers(text: str | None, x_shape: Sizes, name: str, w_shape: Sizes) -> DimensionNumbers:
    """Return the dimension numbers, x and the weights `name` having as many axes as they."""
    numbers = DimensionNumbers.parse(text, spatial_rank("x", x_shape))
    image_shape("x", x_shape, numbers.x.index("N"))
    if len(w_shape) != len(x_shape):
        raise GeometryError(f"{name} {w_shape} must have as many axes as x {x_shape}")
    return numbers
