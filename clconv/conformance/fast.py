"""How algorithms of the accuracy class "fast" are held to bounds of their own.

Winograd's rounding errors spread over a tile, so that whole numbers do not come out whole, zeros
beside other numbers do not come out as zeros, and NaN and infinities reach their neighbours. What
holds is the bound of `reference/bounds_winograd.py`, element by element, on any data; and that
bits repeat, whatever the batch.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from clconv.algorithms.registry import grid_of
from clconv.conformance.calls import Array, Call
from clconv.conformance.data import Tensors, data_for
from clconv.conformance.rules import Finding, compare_within
from clconv.reference.bounds import activation_bound, sum_bound
from clconv.reference.bounds_winograd import winograd_backward_data_bound, winograd_bound
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem

# Finite points of kernels_cl/winograd/transforms.clh; None for the reference's default ones.
POINTS = {
    2: None,
    4: (0, Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)),
}
BIT_BY_BIT = ("batch", "reals")  # of conformance.metamorphic, that hold bit by bit


def is_fast(algorithm: str) -> bool:
    """Whether an algorithm is held to a bound of its own."""
    return grid_of(algorithm) > 1


def check_fast(problem: Problem, kind: str, algorithm: str, call: Call) -> Finding | None:
    """Hold a call on `data_for(problem, kind)` to the bound of its algorithm.

    None where the problem is not plain, that is rearranged around a plain one.
    """
    if not isinstance(problem, ConvProblem):
        return None
    linear = winograd_error(problem, data_for(problem, kind), grid_of(algorithm))
    public = call.public
    (magnitude,), (expected,), (result,) = public.magnitude, public.expected, call.results
    more = bool(problem.bias) + bool(problem.beta)  # additions behind the transforms
    allowed = linear
    if more:
        allowed = linear * (1 + 1e-6) + sum_bound(magnitude + linear, more, public.dtype)
    if problem.activation != "none":
        before = public.before_activation
        allowed = activation_bound(allowed, before, problem.activation, public.dtype)
    return compare_within(result, expected, allowed)


def winograd_error(problem: ConvProblem, tensors: Tensors, m: int) -> Array:
    """Return the bound of F(m, 3) for a problem without bias and what comes after it."""
    p, w = problem, tensors["w"]
    w = np.ascontiguousarray(w[..., ::-1, ::-1] if p.flip else w)
    options: dict[str, Any] = {
        "m": m,
        "padding": p.geometry.padding,
        "groups": p.groups,
        "points": POINTS[m],
    }
    if p.direction == "forward":
        return winograd_bound(tensors["x"], w, p.dtype, **options)
    options["input_shape"] = p.x_shape
    return winograd_backward_data_bound(tensors["dy"], w, p.dtype, **options)
