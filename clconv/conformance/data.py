"""Data for a problem: whole numbers on which everything is exact, or reals."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import lcm, prod
from typing import Any
from zlib import crc32

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

FINITE = ("offset", "mask")  # have no specials
SPECIALS = (np.nan, np.nan, np.inf, -np.inf, -0.0)
# Whole numbers times these are halves, or are until they are rounded to a double, or almost are.
SCALES = (1 / 6, 0.5 + 2**-40, -1 / 10, 0.375, 0.5 - 2**-40, 1 / 14)
LARGEST_INTEGER = 8  # no need for more, and windows shall have ties
Tensors = Mapping[str, Array]


def data_for(problem: Problem, kind: str, seed: int = 0, spare: int = 1) -> Tensors:
    """Return operands: whole numbers on which everything is exact ("integer"), or "random" ones.

    "specials" are the former with NaN, infinities and a zero in some of the operands, and a plane
    of zeros in x. Everything stays exact if whole numbers in one operand grow by a factor of
    `spare`.

    Raises
    ------
    ValueError : no whole numbers are exact, or no operand can hold a NaN
    """
    if kind == "specials":
        return _with_specials(problem, data_for(problem, "integer", seed))
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


def _with_specials(problem: Problem, tensors: Tensors) -> Tensors:
    """Plant specials where sums begin and end: at corners, on edges and inside.

    Not in offsets, which have to be finite, nor in masks: an infinite one times a sum is not the
    sum of its products, and doffset is the former in kernels, the latter in the reference. Not in
    all operands, or no element would be finite.
    """
    rng = np.random.default_rng(crc32(str(problem).encode()))
    able = [name for name, a in tensors.items() if _is_real(a) and name not in FINITE]
    if not able:
        raise ValueError(f"no operand of {problem} can hold a NaN")
    chosen = {able[int(rng.integers(len(able)))], *(n for n in able if rng.random() < 0.3)}
    planted = {name: _planted(rng, a) if name in chosen else a for name, a in tensors.items()}
    x = planted.get("x", np.zeros(0))
    if x.ndim > 2 and x[:, 0].size > x[0, 0].size:
        planted["x"] = x.copy()
        planted["x"][0, 0] = 0
    return planted


def _is_real(array: Array) -> bool:
    return array.dtype.kind == "f" or str(array.dtype) == "bfloat16"


def _planted(rng: np.random.Generator, array: Array) -> Array:
    array = array.copy()
    for special in rng.permutation(SPECIALS)[: max(array.size // 8, 1)]:
        ends = [(0, size - 1, *rng.integers(size, size=2)) for size in array.shape]
        array[tuple(int(rng.choice(end)) for end in ends)] = special
    return array


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
    if name in ("mantissa", "exponent"):
        mantissa, exponent = np.frexp(np.resize(SCALES, shape))
        scaled: Array = np.ldexp(mantissa, 53) if name == "mantissa" else exponent - 53
        return scaled.astype(numpy_dtype(dtype))
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
