"""Every operator under test: how it is called on a shape, and on what data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from clconv import reference
from clconv.conformance.calls import Array, Backend
from clconv.reference.shapes import ConvShape, PoolShape, TransposeShape

Shape = ConvShape | PoolShape | TransposeShape
Tensors = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Operator:
    """One use of a public function on the tensors of a shape."""

    name: str
    apply: Callable[[Backend, Any, Tensors], Any]
    has_algorithms: bool = False  # whether it takes `algorithm`
    serves: Callable[[Any], bool] = lambda shape: True
    compares: bool = False  # elements, which complex numbers do not let


CONVOLUTIONS = (
    Operator("conv", lambda f, s, t: f.conv(t["x"], t["w"], **s.keywords()), True),
    Operator(
        "conv with bias",
        lambda f, s, t: f.conv(t["x"], t["w"], t["bias"], **s.keywords()),
        True,
    ),
    Operator(
        "conv flipped",
        lambda f, s, t: f.conv(t["x"], t["w"], flip=True, **s.keywords()),
        True,
    ),
    Operator(
        "conv_backward_data",
        lambda f, s, t: f.conv_backward_data(
            t["dy"], t["w"], input_shape=s.x_shape, **s.keywords()
        ),
        True,
    ),
    Operator(
        "conv_backward_data flipped",
        lambda f, s, t: f.conv_backward_data(
            t["dy"], t["w"], input_shape=s.x_shape, flip=True, **s.keywords()
        ),
        True,
    ),
    Operator(
        "conv_backward_weights",
        lambda f, s, t: f.conv_backward_weights(
            t["x"], t["dy"], weight_shape=s.w_shape, **s.keywords()
        ),
        True,
    ),
    Operator(
        "conv_backward_weights flipped",
        lambda f, s, t: f.conv_backward_weights(
            t["x"], t["dy"], weight_shape=s.w_shape, flip=True, **s.keywords()
        ),
        True,
    ),
    Operator("conv_backward_bias", lambda f, s, t: f.conv_backward_bias(t["dy"])),
    Operator("im2col", lambda f, s, t: f.im2col(t["x"], s.kernel, **window_keywords(s))),
    Operator(
        "col2im",
        lambda f, s, t: f.col2im(t["cols"], s.spatial, s.kernel, **window_keywords(s)),
    ),
)

GENERAL = (
    Operator(
        "conv_general",
        lambda f, s, t: f.conv_general(t["last_x"], t["last_w"], **general_keywords(s)),
        True,
    ),
    Operator(
        "conv_general_backward_data",
        lambda f, s, t: f.conv_general_backward_data(
            t["last_dy"], t["last_w"], input_shape=t["last_x"].shape, **general_keywords(s)
        ),
        True,
    ),
    Operator(
        "conv_general_backward_weights",
        lambda f, s, t: f.conv_general_backward_weights(
            t["last_x"], t["last_dy"], weight_shape=t["last_w"].shape, **general_keywords(s)
        ),
        True,
    ),
)

DEPTHWISE = (
    Operator(
        "depthwise_conv",
        lambda f, s, t: f.depthwise_conv(t["x"], t["w"], t["bias"], **window_keywords(s)),
        True,
        serves=lambda s: s.channels == s.groups,
    ),
    Operator(
        "separable_conv",
        lambda f, s, t: f.separable_conv(t["x"], t["w"], t["pointwise"], **window_keywords(s)),
        serves=lambda s: s.channels == s.groups,
    ),
)

TRANSPOSED = (
    Operator(
        "conv_transpose",
        lambda f, s, t: f.conv_transpose(t["x"], t["w"], t["bias"], **s.keywords()),
        True,
    ),
    Operator(
        "conv_transpose_backward_data",
        lambda f, s, t: f.conv_transpose_backward_data(
            t["dy"], t["w"], input_shape=s.x_shape, **s.keywords()
        ),
        True,
    ),
    Operator(
        "conv_transpose_backward_weights",
        lambda f, s, t: f.conv_transpose_backward_weights(
            t["x"], t["dy"], weight_shape=s.w_shape, **s.keywords()
        ),
        True,
    ),
)

POOLINGS = (
    Operator(
        "max_pool",
        lambda f, s, t: f.max_pool(t["x"], s.kernel, return_indices=True, **s.max_keywords()),
        compares=True,
    ),
    Operator(
        "max_pool_backward",
        lambda f, s, t: f.max_pool_backward(t["dy"], t["indices"], input_shape=s.x_shape),
    ),
    Operator(
        "avg_pool",
        lambda f, s, t: f.avg_pool(t["x"], s.kernel, **s.avg_keywords()),
        serves=lambda s: s.has_average,
    ),
    Operator(
        "avg_pool_backward",
        lambda f, s, t: f.avg_pool_backward(
            t["dy"], s.kernel, input_shape=s.x_shape, **s.avg_keywords()
        ),
        serves=lambda s: s.has_average,
    ),
)


def operators_of(shape: Shape, dtype: str) -> tuple[Operator, ...]:
    """Return the operators that a shape can be put through in an element type."""
    table: tuple[Operator, ...] = POOLINGS
    if isinstance(shape, ConvShape):
        table = CONVOLUTIONS + DEPTHWISE + GENERAL
    elif isinstance(shape, TransposeShape):
        table = TRANSPOSED
    orders = not dtype.startswith("complex")
    return tuple(
        operator
        for operator in table
        if operator.serves(shape) and (orders or not operator.compares)
    )


def general_keywords(shape: ConvShape) -> dict[str, Any]:
    """Return options that make of a shape a general convolution: channels last, pixels apart.

    The first axis has its padding moved by a pixel, so that it is negative where there was none.
    """
    rank = len(shape.spatial)
    letters = "DHW"[3 - rank :]
    low, high = shape.padding[0]
    return {
        **shape.keywords(),
        "padding": ((low - 1, high + 1), *shape.padding[1:]),
        "input_dilation": (2, *[1] * (rank - 1)),
        "dimension_numbers": f"N{letters}C,{letters}IO->N{letters}C",
    }


def window_keywords(shape: ConvShape) -> dict[str, Any]:
    """Return what im2col takes of a convolution's keywords."""
    keywords = shape.keywords()
    del keywords["groups"]
    return keywords


def tensors_of(shape: Shape, dtype: str, kind: str, seed: int = 0) -> Tensors:
    """Return all tensors that the operators of `shape` take; `kind` is "integer" or "random"."""
    integer = kind == "integer"
    given = shape.integer_tensors(dtype, seed) if integer else shape.random_tensors(dtype, seed)
    tensors: dict[str, Array] = given._asdict()
    if isinstance(shape, ConvShape):
        rows, positions = shape.channels * prod(shape.kernel), prod(shape.y_shape[2:])
        rng = np.random.default_rng(seed + 1)
        size = (shape.batch, rows, positions)
        cols = rng.integers(-8, 9, size) if integer else rng.uniform(-1, 1, size)
        tensors["cols"] = cols.astype(dtype)
        tensors |= _general_tensors(shape, tensors)
        pointwise = (3, shape.outputs, *[1] * len(shape.spatial))
        signs = rng.choice([-1.0, 1.0], pointwise)
        tensors["pointwise"] = (signs if integer else rng.uniform(-1, 1, pointwise)).astype(dtype)
    elif isinstance(shape, PoolShape):
        _, tensors["indices"] = reference.max_pool(
            tensors["x"].real, shape.kernel, return_indices=True, **shape.max_keywords()
        )
    return tensors


def _general_tensors(shape: ConvShape, tensors: Tensors) -> Tensors:
    """Return x and w with their channels last, and a dy of the shape that those give."""
    x = np.ascontiguousarray(np.moveaxis(tensors["x"], 1, -1))
    w = np.ascontiguousarray(np.moveaxis(tensors["w"], (0, 1), (-1, -2)))
    y = reference.conv_general(x, w, **general_keywords(shape))
    values = np.resize(tensors["dy"], y.shape)
    return {"last_x": x, "last_w": w, "last_dy": values}
