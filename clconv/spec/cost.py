"""What a problem costs, whatever the algorithm: arithmetic, memory traffic, the im2col matrix."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from clconv.spec.deform import DeformProblem
from clconv.spec.dtypes import dtype_named
from clconv.spec.images import (
    AdaptivePoolProblem,
    BiasGradientProblem,
    ColumnsProblem,
    PoolProblem,
)
from clconv.spec.problem import ConvProblem
from clconv.spec.quantized import QuantizedConvProblem
from clconv.spec.tensor import Problem


class Cost(NamedTuple):
    """Of one problem.

    flops : multiplications and additions of its definition, those with padding included; those of
        real numbers, of which a complex product has four and two
    bytes_moved : every operand read once, every result written once: the least possible
    im2col_bytes : the whole matrix X-hat of all groups, which no algorithm here ever stores; 0
        where there is none
    """

    flops: int
    bytes_moved: int
    im2col_bytes: int


def cost(problem: Problem) -> Cost:
    """Return the cost of a problem."""
    tensors = (*problem.operands.values(), *problem.results.values())
    moved = sum(tensor.size_bytes for tensor in tensors)
    return Cost(_flops(problem), moved, _im2col_bytes(problem))


def _flops(problem: Problem) -> int:
    if isinstance(problem, QuantizedConvProblem):
        problem = problem.sums
    plain = problem.conv if isinstance(problem, DeformProblem) else problem.plain
    if isinstance(plain, ConvProblem):
        return plain.flops
    if isinstance(plain, BiasGradientProblem):
        return prod(plain.operands["dy"].shape)
    planes = prod(plain.results["y"].shape[:2])
    if isinstance(plain, PoolProblem) or getattr(plain, "operator", "") == "col2im":
        geometry = plain.geometry  # type: ignore[attr-defined]
        return planes * int(geometry.taps * geometry.positions)
    if isinstance(plain, AdaptivePoolProblem):
        sides = [
            sum(-(-(p + 1) * n // out) - p * n // out for p in range(out))
            for n, out in zip(plain.input, plain.output, strict=True)
        ]
        return planes * prod(sides)
    return 0  # copies


def _im2col_bytes(problem: Problem) -> int:
    if isinstance(problem, QuantizedConvProblem):
        problem = problem.sums
    plain = problem.conv if isinstance(problem, DeformProblem) else problem.plain
    if isinstance(plain, ConvProblem):
        return plain.im2col_elements * dtype_named(plain.dtype).itemsize_bytes
    if isinstance(problem, ColumnsProblem):
        return prod(problem.columns_shape) * dtype_named(problem.dtype).itemsize_bytes
    return 0
