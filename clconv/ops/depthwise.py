"""Depthwise and separable convolution: `conv` with as many groups as channels."""

from __future__ import annotations

from clconv.errors import GeometryError
from clconv.ops.arguments import Axes, PaddingLike, image_shape
from clconv.ops.arrays import Array, operands
from clconv.ops.conv import conv
from clconv.program.device import Device
from clconv.spec.dtypes import ALL


def depthwise_conv(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    flip: bool = False,
    algorithm: str = "auto",
    device: str | Device | None = None,
) -> Array:
    """Correlate every channel with filters of its own.

    y[b, c*M + m, p...] = bias[c*M + m] + sum over i... of x[b, c, ...] * w[c*M + m, 0, i...]

    Its adjoints are those of `conv` with groups = C.

    Parameters
    ----------
    x : Array (N, C, *spatial), float32 or float64
    w : Array (C*M, 1, *kernel), the dtype and kind of x; M is the channel multiplier
    bias : Array (C*M,), likewise
    others : see `conv`

    Returns
    -------
    y : Array (N, C*M, *output), dtype and kind of x

    Raises
    ------
    as `conv`
    """
    x, w = operands(dtypes=ALL, x=x, w=w)
    channels = image_shape("x", x.shape)[1]
    if len(w.shape) != len(x.shape) or w.shape[0] % channels or w.shape[1] != 1:
        raise GeometryError(f"w {w.shape} must be (C*M, 1, *kernel) for x {x.shape}")
    return conv(
        x,
        w,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels,
        flip=flip,
        algorithm=algorithm,
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
    device: str | Device | None = None,
) -> Array:
    """Correlate depthwise with all the geometry, then mix the channels pointwise.

    The filters are the products w_pointwise[o, k] * w_depthwise[k, 0, i...], summed over k.

    Parameters
    ----------
    x : Array (N, C, *spatial), float32 or float64
    w_depthwise : Array (C*M, 1, *kernel), the dtype and kind of x
    w_pointwise : Array (O, C*M, 1, ...), likewise
    bias : Array (O,), likewise, added at the end
    stride, padding, dilation, flip : of the depthwise stage; see `conv`
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
    x, w_depthwise, w_pointwise = operands(
        dtypes=ALL, x=x, w_depthwise=w_depthwise, w_pointwise=w_pointwise
    )
    if any(size != 1 for size in w_pointwise.shape[2:]):
        raise GeometryError(f"w_pointwise {w_pointwise.shape} must be (O, C*M, 1, ...)")
    if w_pointwise.shape[1:2] != w_depthwise.shape[:1]:
        raise GeometryError(
            f"w_pointwise {w_pointwise.shape} must have as many input channels as w_depthwise"
            f" {w_depthwise.shape} has outputs"
        )
    between = depthwise_conv(
        x,
        w_depthwise,
        stride=stride,
        padding=padding,
        dilation=dilation,
        flip=flip,
        device=device,
    )
    return conv(between, w_pointwise, bias, device=device)
