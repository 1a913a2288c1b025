"""Data for a problem: whole numbers on which everything is exact, or reals."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import lcm, prod
from typing import Any

import numpy as np

from clconv.conformance.calls import Array
from clconv.ops.arrays import numpy_dtype
from clconv.reference.arguments import pool_axes
from clconv.reference.bounds import exact_integer_limit, unit_roundoff
from clconv.reference.pool import divisors
from clconv.spec.deform import DeformProblem
from clconv.spec.dtypes import dtype_named
from clconv.spec.images import (
    AdaptivePoolProblem,
    BiasGradientProblem,
    ColumnsProblem,
    IndexProblem,
    PoolProblem,
)
from clconv.spec.pool_lp import LpPoolProblem
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem, Tensor

LARGEST_INTEGER = 8  # no need for more, and windows shall have ties
Tensors = Mapping[str, Array]


def data_for(problem: Problem, kind: str, seed: int = 0, spare: int = 1) -> Tensors:
    """Return operands: whole numbers on which everything is exact ("integer"), or "random" ones.

    Everything stays exact if whole numbers in one operand grow by a factor of `spare`.

    Raises
    ------
    ValueError : no whole numbers are exact
    """
    rng = np.random.default_rng(seed)
    multiple = lcm(*_divisors(problem)) if kind == "integer" else 1
    limit = _exact_limit(problem, multiple) // spare if kind == "integer" else 0
    if kind == "integer" and limit == 0:
        raise ValueError(f"no whole numbers in {problem} leave room for {spare} times as much")
    tensors = {
        name: _values(rng, problem, name, tensor, limit, multiple)
        for name, tensor in problem.operands.items()
    }
    if getattr(problem, "beta", 0):
        (result,) = problem.results.values()
        tensors["out"] = _values(rng, problem, "out", result, limit, multiple)
    return tensors


def _exact_limit(problem: Problem, multiple: int) -> int:
    """Return the largest whole number in data that is summed exactly, in units of `multiple`."""
    if dtype_named(problem.dtype).kind == "i":
        return LARGEST_INTEGER
    limit = exact_integer_limit(_terms(problem) * multiple, numpy_dtype(problem.plain.dtype))
    limit = min(limit, int(1 / unit_roundoff(numpy_dtype(problem.dtype))) // multiple)
    if limit < 1:
        raise ValueError(f"multiples of {multiple} are not always exact in {problem.dtype}")
    return min(limit, LARGEST_INTEGER)


def _terms(problem: Problem) -> int:
    """Return how many products an element of the result may have, one more for what is added."""
    plain = problem.plain
    if isinstance(plain, DeformProblem):  # in quarters along each axis
        return (plain.conv.terms + 1) * int(4**plain.conv.geometry.rank)
    if isinstance(plain, ConvProblem):
        return plain.terms + 1
    if isinstance(plain, PoolProblem | ColumnsProblem | LpPoolProblem):
        return plain.geometry.taps
    if isinstance(plain, BiasGradientProblem):
        return plain.batch * plain.positions
    return max(prod(tensor.shape[2:]) for tensor in plain.operands.values())


def _divisors(problem: Problem) -> set[int]:
    """Return what an average divides by."""
    if isinstance(problem, PoolProblem | LpPoolProblem) and problem.operator != "max_pool":
        geometry = problem.geometry
        if isinstance(problem, PoolProblem) and problem.divisor:
            return {problem.divisor}
        window: dict[str, Any] = {
            "stride": geometry.stride,
            "padding": geometry.padding,
            "dilation": geometry.dilation,
            "ceil_mode": geometry.ceil_mode,
            "semantics": "onnx",  # in which every geometry is allowed
        }
        axes = pool_axes((1, 1, *geometry.input), geometry.kernel, **window)
        return set(map(int, divisors(axes, getattr(problem, "count_include_pad", True)).flat)) - {0}
    if isinstance(problem, AdaptivePoolProblem) and problem.operator != "adaptive_max_pool":
        sides = [
            {-(-(p + 1) * n // out) - p * n // out for p in range(out)}
            for n, out in zip(problem.input, problem.output, strict=True)
        ]
        return {prod(each) for each in product(*sides)}
    return {1}


def _values(
    rng: np.random.Generator,
    problem: Problem,
    name: str,
    tensor: Tensor,
    limit: int,
    multiple: int,
) -> Array:
    """Return an operand; `limit` 0 asks for reals in [-1, 1)."""
    shape, dtype = tensor
    if name == "indices":
        assert isinstance(problem, IndexProblem)
        return rng.integers(-1, problem.pixels, shape)
    if name == "offset":
        return (rng.integers(-8, 9, shape) / 4).astype(numpy_dtype(dtype))
    kind = dtype_named(dtype).kind
    if kind == "i":
        info = np.iinfo(dtype)
        low, high = max(info.min, -LARGEST_INTEGER), min(info.max, LARGEST_INTEGER)
        return rng.integers(low, high, shape, endpoint=True).astype(dtype)

    def part() -> Array:
        if limit == 0:
            return rng.uniform(-1, 1, shape)
        return multiple * rng.integers(-limit, limit, shape, endpoint=True).astype(float)

    values: Array = part() + 1j * part() if kind == "c" else part()
    return values.astype(numpy_dtype(dtype))
