"""An adapter for `clconv verify --backend`: PyTorch on the CPU.

    pip install torch
    clconv verify --quick --backend clconv.conformance.torch_adapter

What PyTorch has of clconv's functions, on float32 and float64; its gradients by its own autograd.
docs/accuracy.md says how it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from clconv.conformance.calls import Array
from clconv.conformance.plain_options import plain_options

Sizes = tuple[int, ...]


def _tensor(array: Array) -> Any:
    return torch.from_numpy(np.ascontiguousarray(array)).requires_grad_()


def _array(tensor: Any) -> Array:
    array: Array = tensor.detach().numpy()
    return array


def _symmetric(padding: Any) -> Sizes:
    """Return one number an axis, where low and high padding are the same."""
    if any(low != high for low, high in padding):
        raise NotImplementedError("PyTorch has no asymmetric padding here")
    return tuple(low for low, _ in padding)


def _gradient(function: Callable[[Any], Any], shape: Any, dy: Array) -> Array:
    """Return the gradient of a linear function at zero: its adjoint, applied to dy."""
    at = torch.zeros(shape, dtype=torch.from_numpy(dy[:0]).dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(at), at, torch.from_numpy(dy.copy()))
    return _array(gradient)


def _conv(array: Array, options: dict[str, Any]) -> Callable[..., Any]:
    """Return a convolution of tensors; padding that differs by side is another call before it."""
    options, rank = dict(options), array.ndim - 2
    flip = options.pop("flip")
    window, groups = plain_options(array, options)
    pads, before = window["padding"], None
    if pads == "same_lower" or (pads == "same" and set(window["stride"]) != {1}):
        raise NotImplementedError("PyTorch has no such padding")
    if pads != "same" and any(low != high for low, high in pads):
        before, pads = [side for pair in reversed(pads) for side in pair], ((0, 0),) * rank
    window["padding"] = pads if pads == "same" else _symmetric(pads)
    function = getattr(functional, f"conv{rank}d")

    def forward(x: Any, w: Any, bias: Any = None) -> Any:
        x = x if before is None else functional.pad(x, before)
        w = w.flip(tuple(range(2, 2 + rank))) if flip else w
        return function(x, w, bias, groups=groups, **window)

    return forward


def conv(x: Array, w: Array, bias: Array | None = None, **options: Any) -> Array:
    """F.conv1d, 2d, 3d."""
    forward = _conv(x, options)
    return _array(forward(_tensor(x), _tensor(w), None if bias is None else _tensor(bias)))


def conv_backward_data(dy: Array, w: Array, *, input_shape: Any, **options: Any) -> Array:
    """The gradient of x."""
    forward = _conv(dy, options)
    return _gradient(lambda x: forward(x, _tensor(w)), input_shape, dy)


def conv_backward_weights(x: Array, dy: Array, *, weight_shape: Any, **options: Any) -> Array:
    """The gradient of w."""
    forward = _conv(x, options)
    return _gradient(lambda w: forward(_tensor(x), w), weight_shape, dy)


def conv_transpose(
    x: Array, w: Array, bias: Array | None = None, *, output_padding: Any, **options: Any
) -> Array:
    """F.conv_transpose1d, 2d, 3d."""
    options["dimension_numbers"] = None if _is_default(x, options) else "others"
    window, groups = plain_options(x, options)
    window["padding"] = _symmetric(window["padding"])
    function = getattr(functional, f"conv_transpose{x.ndim - 2}d")
    given = None if bias is None else _tensor(bias)
    return _array(
        function(
            _tensor(x), _tensor(w), given, output_padding=output_padding, groups=groups, **window
        )
    )


def _is_default(x: Array, options: dict[str, Any]) -> bool:
    letters = "DHW"[5 - x.ndim :]
    return options.get("dimension_numbers") in (None, f"NC{letters},IO{letters}->NC{letters}")


def max_pool(x: Array, kernel: Sizes, **options: Any) -> tuple[Array, Array]:
    """F.max_pool1d, 2d, 3d, with indices."""
    window = _pool_window(x, kernel, options)
    function = getattr(functional, f"max_pool{x.ndim - 2}d")
    y, indices = function(_tensor(x), kernel, return_indices=True, **window)
    return _array(y), _array(indices)


def avg_pool(x: Array, kernel: Sizes, **options: Any) -> Array:
    """F.avg_pool1d, 2d, 3d."""
    return _array(_average(x, kernel, options)(_tensor(x)))


def avg_pool_backward(dy: Array, kernel: Sizes, *, input_shape: Any, **options: Any) -> Array:
    """Its gradient."""
    return _gradient(_average(dy, kernel, options), input_shape, dy)


def _average(array: Array, kernel: Sizes, options: dict[str, Any]) -> Callable[[Any], Any]:
    options = dict(options)
    chosen = {"count_include_pad": options.pop("count_include_pad")}
    divisor = options.pop("divisor_override")
    if divisor is not None:
        chosen["divisor_override"] = divisor
    window = _pool_window(array, kernel, options)
    if set(window.pop("dilation")) != {1} or (divisor is not None and array.ndim == 3):
        raise NotImplementedError("PyTorch's mean has no dilation, and no divisor for signals")
    function = getattr(functional, f"avg_pool{array.ndim - 2}d")
    return lambda x: function(x, kernel, **window, **chosen)


def _pool_window(array: Array, kernel: Sizes, options: dict[str, Any]) -> dict[str, Any]:
    options = {
        name: v for name, v in options.items() if name not in ("semantics", "return_indices")
    }
    ceil_mode = options.pop("ceil_mode")
    window, _ = plain_options(array, options)
    window["padding"] = _symmetric(window["padding"])
    if any(2 * pad > size for pad, size in zip(window["padding"], kernel, strict=True)):
        raise NotImplementedError("PyTorch pads by half a window at most")
    return window | {"ceil_mode": ceil_mode}


def adaptive_max_pool(x: Array, size: Sizes, **options: Any) -> tuple[Array, Array]:
    """F.adaptive_max_pool1d, 2d, 3d, with indices."""
    options.pop("return_indices")
    plain_options(x, options)
    function = getattr(functional, f"adaptive_max_pool{x.ndim - 2}d")
    y, indices = function(_tensor(x), size, return_indices=True)
    return _array(y), _array(indices)


def adaptive_avg_pool(x: Array, size: Sizes, **options: Any) -> Array:
    """F.adaptive_avg_pool1d, 2d, 3d."""
    plain_options(x, options)
    return _array(getattr(functional, f"adaptive_avg_pool{x.ndim - 2}d")(_tensor(x), size))


def adaptive_avg_pool_backward(dy: Array, *, input_shape: Any, **options: Any) -> Array:
    """Its gradient."""
    plain_options(dy, options)
    function = getattr(functional, f"adaptive_avg_pool{dy.ndim - 2}d")
    return _gradient(lambda x: function(x, dy.shape[2:]), input_shape, dy)
