"""Every operator under test: how it is called on a shape, and on what data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from clconv import reference
from clconv.conformance.calls import Array, Backend
from clconv.reference.shapes import ConvShape, PoolShape

Shape = ConvShape | PoolShape
Tensors = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Operator:
    """One use of a public function on the tensors of a shape."""

    name: str
    apply: Callable[[Backend, Any, Tensors], Any]
    has_algorithms: bool = False  # whether it takes `algorithm`
    serves: Callable[[Any], bool] = lambda shape: True


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

POOLINGS = (
    Operator(
        "max_pool",
        lambda f, s, t: f.max_pool(t["x"], s.kernel, return_indices=True, **s.max_keywords()),
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


def operators_of(shape: Shape) -> tuple[Operator, ...]:
    """Return the operators that a shape can be put through."""
    table = CONVOLUTIONS if isinstance(shape, ConvShape) else POOLINGS
    return tuple(operator for operator in table if operator.serves(shape))


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
    else:
        _, tensors["indices"] = reference.max_pool(
            tensors["x"], shape.kernel, return_indices=True, **shape.max_keywords()
        )
    return tensors
