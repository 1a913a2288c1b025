"""From a problem, or its string, to the public call that states it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from clconv.conformance.calls import PublicCall
from clconv.conformance.data import Tensors
from clconv.errors import UnsupportedError
from clconv.reference.windows import padding_pairs
from clconv.spec.deform import DeformProblem
from clconv.spec.dtypes import dtype_named
from clconv.spec.general import GeneralConvProblem, generalised
from clconv.spec.geometry import Geometry
from clconv.spec.images import (
    AdaptivePoolProblem,
    BiasGradientProblem,
    ColumnsProblem,
    IndexProblem,
    PoolProblem,
)
from clconv.spec.layout import permuted
from clconv.spec.pool_lp import LpPoolProblem
from clconv.spec.problem import ConvProblem
from clconv.spec.quantized import QuantizedConvProblem
from clconv.spec.tensor import Problem

Convolution = ConvProblem | GeneralConvProblem


def call_of(problem: Problem, tensors: Tensors) -> PublicCall:
    """Return the call that states `problem`, on tensors as `data_for` makes them.

    Raises
    ------
    UnsupportedError : no public function states it, though kernels could solve it
    """
    return _CALLS[type(problem)](problem, tensors)


def calls_of(problem: Problem, tensors: Tensors) -> Iterator[PublicCall]:
    """Yield that call, and those of other functions that state the same problem."""
    call = call_of(problem, tensors)
    yield call
    if call.name == "conv":
        yield PublicCall(f"conv{call.arguments[0].ndim - 2}d", call.arguments, call.options)
        if isinstance(problem, ConvProblem):
            yield from _padded_by_word(call, problem.geometry)
    if isinstance(problem, Convolution) and call.name == "conv" and _is_depthwise(problem):
        options = ("stride", "padding", "dilation", "flip", "dimension_numbers")
        yield _with(call, "depthwise_conv", 3, options)
    if isinstance(problem, AdaptivePoolProblem) and set(problem.output) == {1}:
        if problem.operator == "adaptive_avg_pool":
            yield _with(call, "global_avg_pool", 1, ("layout",))
    elif isinstance(problem, LpPoolProblem) and _is_global(problem):
        yield _with(call, "global_lp_pool", 1, ("p", "signed", "layout"))


def _padded_by_word(call: PublicCall, geometry: Geometry) -> Iterator[PublicCall]:
    """Yield the call with its padding as "same" or "same_lower", if that is what it is."""
    for word in ("same", "same_lower"):
        pairs = padding_pairs(word, geometry.input, geometry.extent, geometry.stride)
        if any(map(any, pairs)) and pairs == geometry.padding:
            yield PublicCall(call.name, call.arguments, {**call.options, "padding": word})


def _with(call: PublicCall, name: str, arguments: int, options: tuple[str, ...]) -> PublicCall:
    """Return another function's call with the first arguments and some options of `call`."""
    kept = {option: call.options[option] for option in options}
    return PublicCall(name, call.arguments[:arguments], kept)


def _is_depthwise(problem: Convolution) -> bool:
    general = generalised(problem)
    inputs = permuted(general.w_shape, general.dimension_numbers.w, "I")
    written = general.beta or general.activation != "none" or general.padding_mode != "zeros"
    return inputs == (1,) and not written


def _is_global(problem: LpPoolProblem) -> bool:
    geometry = problem.geometry
    whole = geometry.kernel == geometry.input and not any(map(any, geometry.padding))
    return whole and problem.operator == "lp_pool"


def _window(geometry: Geometry, pool: bool = False) -> dict[str, Any]:
    options: dict[str, Any] = {
        "stride": geometry.stride,
        "padding": geometry.padding,
        "dilation": geometry.dilation,
    }
    # Every geometry is allowed in ONNX's semantics, and nothing else in them changes.
    return options | ({"ceil_mode": geometry.ceil_mode, "semantics": "onnx"} if pool else {})


def _conv_call(problem: Convolution, t: Tensors) -> PublicCall:
    general = generalised(problem)
    if dtype_named(problem.dtype).kind == "i" and _is_integer_call(general):
        return _integer_call(general, t)
    biased = general.bias and general.direction == "backward_data"
    if general.conjugate or biased:
        return _transpose_call(general, t)
    options: dict[str, Any] = {
        "stride": general.stride,
        "padding": general.padding,
        "dilation": general.dilation,
        "groups": general.groups,
        "flip": general.flip,
        "dimension_numbers": str(general.dimension_numbers),
    }
    name = "conv"
    if _needs_general(general):
        if general.bias or general.activation != "none" or general.beta:
            raise UnsupportedError(f"no public function states {problem}")
        name = "conv_general"
        options["input_dilation"] = general.input_dilation
        options["batch_groups"] = general.batch_groups
    else:
        options["padding_mode"] = general.padding_mode
    if general.direction == "backward_data":
        options["input_shape"] = general.x_shape
        return PublicCall(f"{name}_backward_data", (t["dy"], t["w"]), options)
    if general.direction == "backward_weights":
        options["weight_shape"] = general.w_shape
        return PublicCall(f"{name}_backward_weights", (t["x"], t["dy"]), options)
    if name == "conv_general":
        return PublicCall(name, (t["x"], t["w"]), options)
    if general.activation != "none":
        options["activation"] = general.activation
    if general.beta:
        options |= {"beta": general.beta, "out": t["out"]}
    return PublicCall(name, (t["x"], t["w"], t.get("bias")), options)


def _needs_general(problem: GeneralConvProblem) -> bool:
    negative = min(map(min, problem.padding)) < 0
    return max(problem.input_dilation) > 1 or problem.batch_groups > 1 or negative


def _is_integer_call(problem: GeneralConvProblem) -> bool:
    return bool(problem.accumulator or problem.zero_points)


def _integer_call(problem: GeneralConvProblem, t: Tensors) -> PublicCall:
    options: dict[str, Any] = {
        "stride": problem.stride,
        "padding": problem.padding,
        "dilation": problem.dilation,
        "groups": problem.groups,
        "accumulator": problem.plain.dtype,
    }
    if "x" in problem.zero_points:
        options["x_zero_point"] = int(t["x_zero_point"][0])
    if "w" in problem.zero_points:
        options["w_zero_point"] = t["w_zero_point"]
    return PublicCall("conv_integer", (t["x"], t["w"]), options)


def _quantized_call(problem: QuantizedConvProblem, t: Tensors) -> PublicCall:
    options = dict(_integer_call(generalised(problem.sums), t).options)
    del options["accumulator"]
    zeros = options.pop("x_zero_point", 0), options.pop("w_zero_point", 0)
    scale = np.ldexp(t["mantissa"].astype(float), t["exponent"])
    y_zero = np.dtype(problem.y_dtype).type(abs(int(t["y_zero_point"][0])))
    arguments = (t["x"], 1.0, zeros[0], t["w"], scale, zeros[1], 1.0, y_zero, t.get("bias"))
    return PublicCall("qlinear_conv", arguments, options)


def _transpose_call(problem: GeneralConvProblem, t: Tensors) -> PublicCall:
    """Return a call of conv_transpose or an adjoint: its x is the y that conv would give."""
    if not _is_transposed(problem):
        raise UnsupportedError(f"no public function states {problem}")
    options: dict[str, Any] = {
        "stride": problem.stride,
        "padding": tuple((low, max(high, 0)) for low, high in problem.padding),
        "dilation": problem.dilation,
        "groups": problem.groups,
        "flip": problem.flip,
        "output_padding": tuple(max(-high, 0) for _, high in problem.padding),
        "dimension_numbers": str(problem.dimension_numbers.transposed),
    }
    if problem.direction == "backward_data":
        return PublicCall("conv_transpose", (t["dy"], t["w"], t.get("bias")), options)
    if problem.direction == "forward":
        options["input_shape"] = problem.y_shape
        return PublicCall("conv_transpose_backward_data", (t["x"], t["w"]), options)
    options["weight_shape"] = problem.w_shape
    return PublicCall("conv_transpose_backward_weights", (t["dy"], t["x"]), options)


def _is_transposed(problem: GeneralConvProblem) -> bool:
    """Tell whether conv_transpose states it: windows up to the last pixel, w not conjugated."""
    if max(problem.input_dilation) > 1 or problem.batch_groups > 1:
        return False
    if problem.padding_mode != "zeros" or min(low for low, _ in problem.padding) < 0:
        return False
    geometry = problem.plain.geometry
    axes = zip(geometry.input, geometry.padding, geometry.output, strict=True)
    steps = zip(geometry.stride, geometry.extent, strict=True)
    ends = all(
        size + sum(pads) == (windows - 1) * step + extent
        for (size, pads, windows), (step, extent) in zip(axes, steps, strict=True)
    )
    return ends and problem.conjugate == problem.is_complex


def _deform_call(problem: DeformProblem, t: Tensors) -> PublicCall:
    """Return the forward call, or that of all gradients, of which the problem is a part."""
    conv = problem.conv
    options: dict[str, Any] = {
        "stride": conv.geometry.stride,
        "padding": conv.geometry.padding,
        "dilation": conv.geometry.dilation,
        "groups": conv.groups,
        "offset_groups": problem.offset_groups,
    }
    if conv.flip or conv.activation != "none" or conv.beta:
        raise UnsupportedError(f"no public function states {problem}")
    if conv.direction == "forward":
        arguments = (t["x"], t["w"], t["offset"], t.get("mask"), t.get("bias"))
        return PublicCall("deform_conv", arguments, options)
    w = t["w"] if "w" in t else np.zeros(conv.w_shape, t["x"].dtype)
    arguments = (t["dy"], t["x"], w, t["offset"], t.get("mask"))
    return PublicCall("deform_conv_backward", arguments, options)


def _bias_call(problem: BiasGradientProblem, t: Tensors) -> PublicCall:
    return PublicCall("conv_backward_bias", (t["dy"],), {"layout": problem.layout or None})


def _columns_call(problem: ColumnsProblem, t: Tensors) -> PublicCall:
    geometry = problem.geometry
    options = _window(geometry) | {"layout": problem.layout or None}
    if problem.operator == "im2col":
        return PublicCall("im2col", (t["x"], geometry.kernel), options)
    return PublicCall("col2im", (t["x"], geometry.input, geometry.kernel), options)


def _pool_call(problem: PoolProblem, t: Tensors) -> PublicCall:
    geometry = problem.geometry
    options = _window(geometry, pool=True) | {"layout": problem.layout or None}
    if problem.operator == "max_pool":
        options["return_indices"] = True
        return PublicCall("max_pool", (t["x"], geometry.kernel), options)
    options["count_include_pad"] = problem.count_include_pad
    options["divisor_override"] = problem.divisor or None
    if problem.operator == "avg_pool_backward":
        options["input_shape"] = problem.results["y"].shape
    return PublicCall(problem.operator, (t["x"], geometry.kernel), options)


def _lp_call(problem: LpPoolProblem, t: Tensors) -> PublicCall:
    geometry = problem.geometry
    options = _window(geometry) | {"layout": problem.layout or None}
    options |= {"p": problem.p, "signed": problem.signed, "ceil_mode": geometry.ceil_mode}
    options["semantics"] = "torch" if problem.scale_overhang else "onnx"
    if problem.operator == "lp_pool":
        return PublicCall("lp_pool", (t["x"], geometry.kernel), options)
    return PublicCall("lp_pool_backward", (t["dy"], t["x"], geometry.kernel), options)


def _adaptive_call(problem: AdaptivePoolProblem, t: Tensors) -> PublicCall:
    options: dict[str, Any] = {"layout": problem.layout or None}
    if problem.operator == "adaptive_avg_pool_backward":
        options["input_shape"] = problem.results["y"].shape
        return PublicCall(problem.operator, (t["x"],), options)
    if problem.operator == "adaptive_max_pool":
        options["return_indices"] = True
    return PublicCall(problem.operator, (t["x"], problem.output), options)


def _index_call(problem: IndexProblem, t: Tensors) -> PublicCall:
    options: dict[str, Any] = {"layout": problem.layout or None}
    if problem.operator == "max_pool_backward":
        options["input_shape"] = problem.results["y"].shape
    elif problem.operator == "max_unpool":
        options["output_size"] = problem.image
    return PublicCall(problem.operator, (t["x"], t["indices"]), options)


_CALLS: dict[type, Callable[[Any, Tensors], PublicCall]] = {
    ConvProblem: _conv_call,
    GeneralConvProblem: _conv_call,
    QuantizedConvProblem: _quantized_call,
    DeformProblem: _deform_call,
    BiasGradientProblem: _bias_call,
    ColumnsProblem: _columns_call,
    PoolProblem: _pool_call,
    LpPoolProblem: _lp_call,
    AdaptivePoolProblem: _adaptive_call,
    IndexProblem: _index_call,
}
