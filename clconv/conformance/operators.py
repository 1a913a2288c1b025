"""Every operator under test: how it is called, on what data, and how many terms it sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from clconv import reference
from clconv.reference.shapes import ConvShape, PoolShape

Shape = ConvShape | PoolShape
Tensors = Mapping[str, np.ndarray[Any, Any]]
Backend = Any  # has functions named and called as clconv's
Results = tuple[np.ndarray[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Operator:
    """One public function, applied to the tensors of a shape."""

    name: str
    apply: Callable[[Backend, Any, Tensors], Results]
    terms: Callable[[Any], int]  # roundings that a term may meet; 0: the result is exact
    has_algorithms: bool = True  # whether it takes `algorithm`
    serves: Callable[[Any], bool] = lambda shape: True


CONVOLUTIONS = (
    Operator(
        "conv",
        lambda f, s, t: (f.conv(t["x"], t["w"], **s.keywords()),),
        lambda s: s.terms("forward"),
    ),
    Operator(
        "conv with bias",
        lambda f, s, t: (f.conv(t["x"], t["w"], t["bias"], **s.keywords()),),
        lambda s: s.terms("forward") + 1,
    ),
    Operator(
        "conv flipped",
        lambda f, s, t: (f.conv(t["x"], t["w"], flip=True, **s.keywords()),),
        lambda s: s.terms("forward"),
    ),
    Operator(
        "conv_backward_data",
        lambda f, s, t: (
            f.conv_backward_data(t["dy"], t["w"], input_shape=s.x_shape, **s.keywords()),
        ),
        lambda s: s.terms("backward_data"),
    ),
    Operator(
        "conv_backward_weights",
        lambda f, s, t: (
            f.conv_backward_weights(t["x"], t["dy"], weight_shape=s.w_shape, **s.keywords()),
        ),
        lambda s: s.terms("backward_weights"),
    ),
    Operator(
        "conv_backward_bias",
        lambda f, s, t: (f.conv_backward_bias(t["dy"]),),
        lambda s: s.terms("backward_weights"),
        has_algorithms=False,
    ),
    Operator(
        "im2col",
        lambda f, s, t: (f.im2col(t["x"], s.kernel, **_window(s)),),
        lambda s: 0,
        has_algorithms=False,
    ),
    Operator(
        "col2im",
        lambda f, s, t: (f.col2im(t["cols"], s.spatial, s.kernel, **_window(s)),),
        lambda s: prod(s.kernel),
        has_algorithms=False,
    ),
)

POOLINGS = (
    Operator(
        "max_pool",
        lambda f, s, t: f.max_pool(t["x"], s.kernel, return_indices=True, **s.max_keywords()),
        lambda s: 0,
        has_algorithms=False,
    ),
    Operator(
        "max_pool_backward",
        lambda f, s, t: (f.max_pool_backward(t["dy"], t["indices"], input_shape=s.x_shape),),
        lambda s: s.terms,
        has_algorithms=False,
    ),
    Operator(
        "avg_pool",
        lambda f, s, t: (f.avg_pool(t["x"], s.kernel, **s.avg_keywords()),),
        lambda s: s.terms,
        has_algorithms=False,
        serves=lambda s: s.has_average,
    ),
    Operator(
        "avg_pool_backward",
        lambda f, s, t: (
            f.avg_pool_backward(t["dy"], s.kernel, input_shape=s.x_shape, **s.avg_keywords()),
        ),
        lambda s: s.terms,
        has_algorithms=False,
        serves=lambda s: s.has_average,
    ),
)


def operators_of(shape: Shape) -> tuple[Operator, ...]:
    """Return the operators that a shape can be put through."""
    table = CONVOLUTIONS if isinstance(shape, ConvShape) else POOLINGS
    return tuple(operator for operator in table if operator.serves(shape))


def tensors_of(shape: Shape, dtype: str, kind: str, seed: int = 0) -> Tensors:
    """Return all tensors that the operators of `shape` take; `kind` is "integer" or "random"."""
    integer = kind == "integer"
    given = shape.integer_tensors(dtype, seed) if integer else shape.random_tensors(dtype, seed)
    tensors: dict[str, np.ndarray[Any, Any]] = given._asdict()
    if isinstance(shape, ConvShape):
        columns_shape = (
            shape.batch,
            shape.channels * prod(shape.kernel),
            prod(shape.y_shape[2:]),
        )
        rng = np.random.default_rng(seed + 1)
        columns = (
            rng.integers(-8, 9, columns_shape) if integer else rng.uniform(-1, 1, columns_shape)
        )
        tensors["cols"] = columns.astype(dtype)
    else:
        keywords = shape.max_keywords()
        _, tensors["indices"] = reference.max_pool(
            tensors["x"], shape.kernel, return_indices=True, **keywords
        )
    return tensors


def _window(shape: ConvShape) -> dict[str, Any]:
    keywords = shape.keywords()
    del keywords["groups"]
    return keywords
