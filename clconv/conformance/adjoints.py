"""The adjoint identity, <A u, v> = <u, A' v>, of every problem that is linear, in whole numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from clconv.conformance.calls import Array, Backend, PublicCall, as_tuple
from clconv.conformance.data import data_for
from clconv.conformance.problems import call_of
from clconv.spec.deform import DeformProblem
from clconv.spec.general import GeneralConvProblem
from clconv.spec.images import (
    AdaptivePoolProblem,
    BiasGradientProblem,
    ColumnsProblem,
    IndexProblem,
    PoolProblem,
)
from clconv.spec.pool_lp import LpPoolProblem
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem

Tensors = Mapping[str, Array]
# Data are whole numbers, and results, sampled in quarters along up to three axes, parts of them.
UNIT = 64


class Pair(NamedTuple):
    """A linear problem in one of its operands, and its adjoint.

    `operand` of the problem is where `adjoint` leads back to, with `result` at the place `place`.
    """

    operand: str
    adjoint: Problem
    incoming: str  # the adjoint's operand that stands for the problem's result
    place: int = 0  # of the adjoint's results
    conjugated: bool = False  # linear in the operand's conjugate


def products(backend: Backend, problem: Problem) -> dict[str, tuple[complex, complex]]:
    """Return <A u, v> and <u, A' v> by operand; nothing where the problem is not linear.

    Raises
    ------
    ValueError : no whole numbers are exact
    """
    found: dict[str, tuple[complex, complex]] = {}
    for pair in pairs_of(problem):
        tensors = data_for(problem, "integer")
        there = data_for(pair.adjoint, "integer", seed=1)
        v = there[pair.incoming]
        back = {**there, **{n: a for n, a in tensors.items() if n in there and n != pair.incoming}}
        (y,) = _results(backend, call_of(problem, tensors))[:1]
        if not np.isfinite(y).all():
            continue  # the mean of nothing, 0/0
        u = _results(backend, call_of(pair.adjoint, back))[pair.place]
        second = dot(tensors[pair.operand], u)
        found[pair.operand] = dot(y, v), second.conjugate() if pair.conjugated else second
    return found


def _results(backend: Backend, call: PublicCall) -> tuple[Array, ...]:
    return as_tuple(call.on(backend))


def pairs_of(problem: Problem) -> Iterator[Pair]:
    """Yield the operands in which `problem` is linear, with the adjoints."""
    if isinstance(problem, ConvProblem | GeneralConvProblem):
        if problem.direction == "forward" and _is_linear(problem):
            conjugated = getattr(problem, "conjugate", False)
            yield Pair("x", replace(problem, direction="backward_data"), "dy")
            weights = replace(problem, direction="backward_weights")
            yield Pair("w", weights, "dy", conjugated=conjugated)
    elif isinstance(problem, DeformProblem):
        conv = problem.conv
        if conv.direction == "forward" and not conv.bias:
            # One public call gives all gradients: dx, dw, doffset, dmask.
            gradients = replace(problem, conv=replace(conv, direction="backward_data"))
            yield Pair("x", gradients, "dy")
            yield Pair("w", gradients, "dy", place=1)
            if problem.has_mask:
                yield Pair("mask", gradients, "dy", place=3)
    elif not isinstance(problem, BiasGradientProblem):
        yield from _image_pairs(problem)


def _is_linear(problem: ConvProblem | GeneralConvProblem) -> bool:
    written = problem.bias or problem.beta or problem.activation != "none"
    # conv_integer has no adjoint.
    integers = ("zero_points", "second_dtype", "accumulator")
    return not written and not any(getattr(problem, name, "") for name in integers)


_ADJOINT_NAMES = {
    "im2col": "col2im",
    "avg_pool": "avg_pool_backward",
    "adaptive_avg_pool": "adaptive_avg_pool_backward",
    "max_pool_backward": "max_unpool_backward",
}


def _image_pairs(problem: Problem) -> Iterator[Pair]:
    known = ColumnsProblem | PoolProblem | AdaptivePoolProblem | IndexProblem
    if isinstance(problem, known) and problem.operator in _ADJOINT_NAMES:
        adjoint: Any = replace(problem, operator=_ADJOINT_NAMES[problem.operator])  # type: ignore[arg-type]
        yield Pair("x", adjoint, "x")
    if isinstance(problem, LpPoolProblem) and _is_plain_sum(problem):
        yield Pair("x", replace(problem, operator="lp_pool_backward"), "dy")


def _is_plain_sum(problem: LpPoolProblem) -> bool:
    return problem.operator == "lp_pool" and problem.signed and problem.p == 1


def dot(a: Array, b: Array) -> complex:
    """Return the inner product, times UNIT^2, exactly; the first array is conjugated."""

    def product(p: Array, q: Array) -> int:
        wide = np.rint(UNIT * p.astype(np.float64)), np.rint(UNIT * q.astype(np.float64))
        return int((wide[0].astype(np.int64) * wide[1].astype(np.int64)).sum())

    if a.dtype.kind != "c":
        return product(a, b)
    real = product(a.real, b.real) + product(a.imag, b.imag)
    return complex(real, product(a.real, b.imag) - product(a.imag, b.real))
