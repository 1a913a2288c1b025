"""How many roundings a term of a result may meet: K of `clconv.reference.bounds`, by operator."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from clconv import reference
from clconv.conformance.calls import Array, PublicCall, as_tuple
from clconv.reference.bounds import sample_roundings


def terms_of(call: PublicCall) -> tuple[int, ...]:
    """Return K for each result of a call; 0 where it is exact."""
    if call.dtype.kind in "iu":
        return (0,) * len(call.expected)
    name = "conv" if call.name in ("conv1d", "conv2d", "conv3d") else call.name
    counted = _TERMS[name](call)
    return counted if isinstance(counted, tuple) else (counted,) * len(call.expected)


def _layouts(call: PublicCall) -> tuple[str, str, str]:
    """Return the layouts of x, w and y of a convolution, in the operator's own letters."""
    rank = call.arguments[0].ndim - 2
    letters = "DHW"[3 - rank :]
    first = "IO" if call.name.startswith("conv_transpose") else "OI"
    text = call.options.get("dimension_numbers") or f"NC{letters},{first}{letters}->NC{letters}"
    operands, _, y = text.partition("->")
    x, _, w = operands.partition(",")
    return x, w, y


def _axes(array: Array, layout: str, letters: str) -> int:
    """Return the product of the sizes of the axes that have these letters."""
    sizes = zip(layout, array.shape, strict=True)
    return prod(size for letter, size in sizes if letter in letters)


def _conv(call: PublicCall) -> int:
    extra = len(call.arguments) > 2 and call.arguments[2] is not None
    return _axes(call.arguments[1], _layouts(call)[1], "IDHW") + extra + ("beta" in call.options)


def _conv_data(call: PublicCall) -> int:
    if call.options.get("padding_mode", "zeros") != "zeros":
        return _counted(call)  # an element has as many sums as copies in the padding, and its own
    groups = int(call.options.get("groups", 1))
    return _axes(call.arguments[1], _layouts(call)[1], "ODHW") // groups


def _counted(call: PublicCall) -> int:
    """Return the most products that an element is the sum of, counted by the reference."""
    ones = [np.ones(a.shape) if isinstance(a, np.ndarray) else a for a in call.arguments]
    (counts,) = as_tuple(getattr(reference, call.name)(*ones, **call.options))
    return int(counts.max(initial=1))


def _conv_weights(call: PublicCall) -> int:
    return _axes(call.arguments[1], _layouts(call)[2], "NDHW")


def _conv_bias(call: PublicCall) -> int:
    dy = call.arguments[0]
    return _axes(dy, call.options.get("layout") or "NC" + "DHW"[5 - dy.ndim :], "NDHW")


def _transpose(call: PublicCall) -> int:
    extra = len(call.arguments) > 2 and call.arguments[2] is not None
    groups = int(call.options.get("groups", 1))
    return _axes(call.arguments[1], _layouts(call)[1], "IDHW") // groups + extra


def _transpose_data(call: PublicCall) -> int:
    return _axes(call.arguments[1], _layouts(call)[1], "ODHW")


def _transpose_weights(call: PublicCall) -> int:
    return _axes(call.arguments[0], _layouts(call)[0], "NDHW")


def _separable(call: PublicCall) -> int:
    """Each product passes through the sums of both stages."""
    return sum(_axes(w, _layouts(call)[1], "IDHW") for w in call.arguments[1:3])


def _window(position: int) -> Callable[[PublicCall], int]:
    """Return the taps of the window that is argument `position`."""

    def taps(call: PublicCall) -> int:
        axes = len(call.arguments[1]) if position == 2 else call.arguments[0].ndim - 2
        return int(np.broadcast_to(call.arguments[position], axes).prod())

    return taps


def _adaptive(image: Array, other: Array, layout: Any) -> int:
    """Return the most pixels of `image` in one of the other's windows."""
    axes = layout or "NC" + "DHW"[5 - image.ndim :]
    sizes = zip(axes, image.shape, other.shape, strict=True)
    return prod((n - 1) // out + 2 for axis, n, out in sizes if axis in "DHW")


def _plane(call: PublicCall) -> int:
    """Return the elements of a plane of the first argument."""
    x, layout = call.arguments[0], call.options.get("layout")
    return _axes(x, layout or "NC" + "DHW"[5 - x.ndim :], "DHW")


def _deform(call: PublicCall) -> int:
    return _conv_of(call, with_bias=4) + sample_roundings(call.arguments[0].ndim - 2)


def _conv_of(call: PublicCall, with_bias: int) -> int:
    w, arguments = call.arguments[1], call.arguments
    return int(w[0].size) + (len(arguments) > with_bias and arguments[with_bias] is not None)


def _deform_gradients(call: PublicCall) -> tuple[int, ...]:
    dy, x, w = call.arguments[:3]
    sampled, windows = sample_roundings(x.ndim - 2), int(dy[0, 0].size)
    column = len(w) // int(call.options.get("groups", 1))
    shared = column + x.shape[1] // int(call.options.get("offset_groups", 1)) + sampled
    dx, dw = column + int(w[0, 0].size) * windows + sampled, len(x) * windows + sampled
    return (dx, dw, shared, shared)[: len(call.expected)]


_TERMS: dict[str, Callable[[PublicCall], int | tuple[int, ...]]] = {
    "conv": _conv,
    "conv_backward_data": _conv_data,
    "conv_backward_weights": _conv_weights,
    "conv_backward_bias": _conv_bias,
    "conv_general": _conv,
    "conv_general_backward_data": _conv_data,
    "conv_general_backward_weights": _conv_weights,
    "conv_transpose": _transpose,
    "conv_transpose_backward_data": _transpose_data,
    "conv_transpose_backward_weights": _transpose_weights,
    "deform_conv": _deform,
    "deform_conv_backward": _deform_gradients,
    "depthwise_conv": _conv,
    "separable_conv": _separable,
    "im2col": lambda call: 0,
    "col2im": _window(2),
    "max_pool": lambda call: 0,
    "max_pool_backward": _plane,
    "avg_pool": _window(1),
    "avg_pool_backward": _window(1),
    "adaptive_max_pool": lambda call: 0,
    "adaptive_avg_pool": lambda call: _adaptive(
        call.arguments[0], call.expected[0], call.options.get("layout")
    ),
    # As many windows touch a pixel as pixels would a window, the other way round.
    "adaptive_avg_pool_backward": lambda call: _adaptive(
        call.arguments[0], call.expected[0], call.options.get("layout")
    ),
    "global_max_pool": lambda call: 0,
    "global_avg_pool": _plane,
    "max_unpool": lambda call: 0,
    "max_unpool_backward": lambda call: 0,
}
