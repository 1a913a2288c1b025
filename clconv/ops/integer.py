"""Convolution of integers with zero points, exact; ONNX's ConvInteger and QLinearConv."""

from __future__ import annotations

from typing import Any

import numpy as np

from clconv.errors import GeometryError
from clconv.ops.arguments import Axes, PaddingLike
from clconv.ops.arrays import Array, dtypes_of, is_device_array, operands
from clconv.ops.execute import execute
from clconv.ops.problems import Convolution, checked_bias, conv_problem
from clconv.program.device import Device
from clconv.spec.dtypes import INTEGER, summed
from clconv.spec.quantized import RESULTS, QuantizedConvProblem

ACCUMULATORS = ("int32", "int64")


def conv_integer(
    x: Array,
    w: Array,
    *,
    x_zero_point: int = 0,
    w_zero_point: Any = 0,
    accumulator: str = "int32",
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    groups: int = 1,
    algorithm: str = "auto",
    device: str | Device | None = None,
) -> Array:
    """Correlate integers less their zero points.

    y[b, o, p...] = sum over c, i... of (x[b, c, p*stride + i*dilation - low ...] - x_zero_point)
                                      * (w[o, c, i...] - w_zero_point[o])

    The padding holds x_zero_point and adds nothing. Sums are exact modulo 2^32 or 2^64: one that
    fits in the end is right.

    Parameters
    ----------
    x : Array (N, C, *spatial) of int8, uint8, int16, uint16, int32 or int64
    w : Array (O, C/groups, *kernel), of the kind of x and any of these dtypes
    x_zero_point : integer that stands for zero in x
    w_zero_point : integer, or (O,) of them, one for each output
    accumulator : "int32" or "int64", the type of the sums and of y
    others : see `conv`

    Returns
    -------
    y : Array (N, O, *output) of the accumulator's dtype, kind of x

    Raises
    ------
    as `conv`

    References
    ----------
    ONNX operators, ConvInteger-10.
    """
    x, w = operands(dtypes=INTEGER, x=x, w=w)
    if accumulator not in ACCUMULATORS:
        raise ValueError(
            f"accumulator must be one of {', '.join(ACCUMULATORS)}; got {accumulator!r}"
        )
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    zeros = _zero_points(x, w, x_zero_point, w_zero_point, accumulator)
    problem = _sums(x, w, options, zeros, accumulator)
    tensors = {"x": x, "w": w, **zeros}
    (y,) = execute(problem, tensors, device=device, algorithm=algorithm)
    return y


def qlinear_conv(
    x: Array,
    x_scale: float,
    x_zero_point: int,
    w: Array,
    w_scale: Any,
    w_zero_point: Any,
    y_scale: float,
    y_zero_point: Any,
    bias: Array | None = None,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    groups: int = 1,
    algorithm: str = "auto",
    device: str | Device | None = None,
) -> Array:
    """Correlate quantised images with quantised filters, into a quantised result.

    y = saturate(round((conv_integer(x, w) + bias) * (x_scale*w_scale/y_scale)) + y_zero_point)

    The scales are multiplied and divided in float64, the product with the sum is rounded to
    float64 and then to an integer, a half to even: the same bits on every device, whether it has
    float64 or not.

    Parameters
    ----------
    x, w, x_zero_point, w_zero_point : as in `conv_integer`
    x_scale, y_scale : what one step of x and of y stands for; finite, y_scale not 0
    w_scale : of w; a number, or (O,) of them
    y_zero_point : numpy integer of 8 or 16 bits that stands for zero in y, whose dtype it gives
    bias : Array (O,) of int32, in steps of x_scale*w_scale, or None
    others : see `conv`

    Returns
    -------
    y : Array (N, O, *output), dtype of y_zero_point, kind of x

    Raises
    ------
    as `conv`

    References
    ----------
    ONNX operators, QLinearConv-10.
    """
    x, w, bias = operands(dtypes=INTEGER, x=x, w=w, bias=bias)
    zero = np.asarray(y_zero_point)
    if zero.dtype.name not in RESULTS or zero.size != 1:
        raise TypeError(
            f"y_zero_point must be one numpy integer of {', '.join(RESULTS)}; got {y_zero_point!r}"
            f" of {zero.dtype}"
        )
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    zeros = _zero_points(x, w, x_zero_point, w_zero_point, "int32")
    sums = _sums(x, w, options, zeros, "int32", bias=bias is not None)
    problem = QuantizedConvProblem(sums, zero.dtype.name)
    tensors = {"x": x, "w": w}
    if bias is not None:
        tensors["bias"] = checked_bias(bias, sums, f"filters w {w.shape}")
    mantissa, exponent = _scale(x_scale, w_scale, y_scale, outputs=w.shape[0])
    given = {
        "mantissa": mantissa,
        "exponent": exponent,
        "y_zero_point": zero.reshape(1).astype(np.int32),
    }
    tensors |= zeros | {name: _beside(x, array) for name, array in given.items()}
    (y,) = execute(problem, tensors, device=device, algorithm=algorithm)
    return y


def _sums(
    x: Array,
    w: Array,
    options: dict[str, Any],
    zeros: dict[str, Array],
    accumulator: str,
    bias: bool = False,
) -> Convolution:
    default = max(summed(array.dtype.name) for array in (x, w))  # int64 > int32
    return conv_problem(
        "forward",
        dtypes_of(x, w),
        x.shape,
        w.shape,
        options | {"flip": False},
        bias=bias,
        accumulator="" if accumulator == default else accumulator,
        zero_points="".join(name[0] for name in zeros),
    )


def _zero_points(x: Array, w: Array, of_x: Any, of_w: Any, accumulator: str) -> dict[str, Array]:
    """Return the zero points that are not all 0, in the type of the sums, of the kind of x."""
    x_zero, w_zero = _integers("x_zero_point", of_x), _integers("w_zero_point", of_w)
    if x_zero.size != 1:
        raise GeometryError(f"x_zero_point must be one integer, got shape {x_zero.shape}")
    zeros = {"x_zero_point": x_zero.reshape(1)}
    zeros["w_zero_point"] = _per_output("w_zero_point", w_zero, w.shape[0] if w.shape else 0)
    return {
        name: _beside(x, zero.astype(accumulator)) for name, zero in zeros.items() if zero.any()
    }


def _integers(name: str, value: Any) -> np.ndarray[Any, Any]:
    if is_device_array(value):
        raise TypeError(f"{name} must be numbers of the host, got a pyopencl array")
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.size == 0:
        raise TypeError(f"{name} must be integers, got {value!r}")
    return array


def _per_output(name: str, values: np.ndarray[Any, Any], outputs: int) -> np.ndarray[Any, Any]:
    if values.size != 1 and values.shape != (outputs,):
        raise GeometryError(f"{name} must be one number or ({outputs},), got shape {values.shape}")
    return np.broadcast_to(values.reshape(-1), (outputs,))


def _scale(
    x_scale: Any, w_scale: Any, y_scale: Any, outputs: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return x_scale*w_scale/y_scale of every output as mantissa * 2^exponent, exactly."""
    scales = {"x_scale": x_scale, "w_scale": w_scale, "y_scale": y_scale}
    x, w, y = (np.asarray(scale, np.float64) for scale in scales.values())
    with np.errstate(all="ignore"):
        ratio = x * w / y
    if x.size != 1 or y.size != 1 or not np.isfinite(ratio).all():
        raise ValueError(f"scales must be finite, x_scale and y_scale one number: got {scales}")
    fraction, exponent = np.frexp(_per_output("w_scale", ratio, outputs))
    return np.ldexp(fraction, 53).astype(np.int64), (exponent - 53).astype(np.int32)


def _beside(x: Array, array: np.ndarray[Any, Any]) -> Array:
    """Return `array` of the kind of x."""
    if not is_device_array(x):
        return array
    import pyopencl.array as cl_array

    return cl_array.to_device(x.queue, np.ascontiguousarray(array), allocator=x.allocator)
