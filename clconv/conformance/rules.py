"""The rules that a result is held to. None of them has a tolerance that was tried out.

bits     integer data for which every partial sum is exact: the result equals the reference's,
         rounded once to the type that it is stored in
specials integer data with NaN, infinities and zeros in it: likewise, or within the bound where
         the numbers beside them are not exact
bound    real data: |y - y_ref| <= gamma_K * (|x| conv |w|), plus that rounding, by element
repeat   real data: the same call again, on arrays elsewhere in memory, gives the same bits
adjoint  integer data: <A x, y> = <x, A^T y>, in exact arithmetic, for every linear problem
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clconv.conformance.adjoints import products
from clconv.conformance.calls import Array, Backend, Call, PublicCall, call_on
from clconv.conformance.terms import terms_of
from clconv.reference.bounds import activation_bound, computed_dtype, stored_bound, sum_bound
from clconv.reference.bounds_pool import lp_pool_backward_bound, lp_pool_bound
from clconv.spec.dtypes import dtype_named
from clconv.spec.pool_lp import LpPoolProblem
from clconv.spec.tensor import Problem

EXACT_ACTIVATIONS = ("none", "relu", "relu6")
REPEATS, REPEATED_S = 8, 0.02  # of a call, at most, and when it is enough


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: `share` is the worst error as a share of what is allowed."""

    passed: bool
    share: float
    message: str = ""


def why_not(problem: Problem, rule: str) -> str:
    """Say why a rule does not apply to a problem; "" if it does."""
    if rule == "bound" and dtype_named(problem.dtype).kind == "i":
        return "integers are whole"
    if rule == "bits":
        if getattr(problem, "activation", "none") not in EXACT_ACTIVATIONS:
            return "the activation is not exact"
        if not float(getattr(problem, "beta", 0)).is_integer():
            return "beta is no whole number"
        if isinstance(problem, LpPoolProblem) and problem.p != 1:
            return "roots are not exact"
    return ""


def check_bits(call: Call) -> Finding:
    """Hold a call to the reference's very values; the data has to be exact."""
    pairs = zip(call.results, call.public.expected, strict=True)
    return _worst([compare_bits(actual, as_stored(actual, expected)) for actual, expected in pairs])


def as_stored(actual: Array, expected: Array) -> Array:
    """Return `expected` rounded once, where the result is of a type that is stored only."""
    if computed_dtype(actual.dtype) == actual.dtype:
        return expected
    with np.errstate(over="ignore"):
        return expected.astype(actual.dtype).astype(expected.dtype)


def check_bound(call: Call) -> Finding:
    """Hold a call to its derived error bound, element by element."""
    allowed = allowed_error(call.public)
    if allowed is None:
        return check_bits(call)
    triples = zip(call.results, call.public.expected, allowed, strict=True)
    return _worst([compare_within(*triple) for triple in triples])


def allowed_error(public: PublicCall) -> list[Array] | None:
    """Return how far each result may lie from the reference's; None where it has to be equal."""
    computed = computed_dtype(public.dtype)
    if public.name.removeprefix("global_").startswith("lp_pool"):
        bounds = [_norm_bound(public, computed)]
    else:
        terms = terms_of(public)
        if not any(terms):
            return None
        counted = zip(public.magnitude, terms, strict=True)
        bounds = [sum_bound(magnitude, count, computed) for magnitude, count in counted]
    activation = public.options.get("activation")
    if activation:
        linear = public.before_activation
        bounds = [activation_bound(each, linear, activation, computed) for each in bounds]
    pairs = zip(bounds, public.expected, strict=True)
    return [stored_bound(bound, expected, public.dtype) for bound, expected in pairs]


def _norm_bound(public: PublicCall, computed: np.dtype[np.generic]) -> Array:
    arrays = [a.astype(computed) if isinstance(a, np.ndarray) else a for a in public.arguments]
    if public.name == "lp_pool_backward":
        return lp_pool_backward_bound(*arrays, **public.options)
    if public.name == "global_lp_pool":
        layout = public.options.get("layout") or "NC" + "DHW"[5 - arrays[0].ndim :]
        sizes = zip(layout, arrays[0].shape, strict=True)
        arrays.append(tuple(size for letter, size in sizes if letter in "DHW"))
    return lp_pool_bound(*arrays, **public.options)


def _worst(findings: list[Finding]) -> Finding:
    return max(findings, key=lambda finding: (not finding.passed, finding.share))


def compare_bits(actual: Array, expected: Array) -> Finding:
    """Compare values that both sides can hold exactly; a NaN equals a NaN."""
    if actual.shape != expected.shape:
        return Finding(False, np.inf, f"shape {actual.shape}, expected {expected.shape}")
    actual = actual.astype(expected.dtype)
    wrong = ~((actual == expected) | (np.isnan(actual) & np.isnan(expected)))
    if not wrong.any():
        return Finding(True, 0.0)
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return Finding(
        False,
        np.inf,
        f"{wrong.sum()} of {wrong.size} elements differ, the first at {place}:"
        f" {actual[place]}, expected {expected[place]}",
    )


def compare_within(actual: Array, expected: Array, allowed: Array) -> Finding:
    """Compare element by element; where nothing is allowed, only equality will do.

    A NaN equals a NaN, and where everything is allowed, anything will do.
    """
    if actual.shape != expected.shape:
        return Finding(False, np.inf, f"shape {actual.shape}, expected {expected.shape}")
    if actual.size == 0:
        return Finding(True, 0.0)
    actual = actual.astype(expected.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.abs(actual - expected)
        share = np.where(actual == expected, 0, error / allowed)
    share = np.where(np.isnan(actual) & np.isnan(expected), 0, share)
    share = np.where(np.isposinf(allowed), 0, np.where(np.isnan(share), np.inf, share))
    place = tuple(int(i) for i in np.unravel_index(np.argmax(share), share.shape))
    worst = float(share[place])
    if worst <= 1:
        return Finding(True, worst)
    return Finding(
        False,
        worst,
        f"{(share > 1).sum()} of {share.size} elements are off, the worst at {place}:"
        f" {actual[place]}, expected {expected[place]} within {float(allowed[place]):.3g}",
    )


def check_repeat(backend: Backend, public: PublicCall) -> Finding:
    """Hold a backend to giving the same bits every time, on copies of the operands, too.

    Neither who adds first nor where an array lies may say in which order a sum is formed. Who is
    first is chance, so that short calls are made more often than once again.
    """
    first = call_on(backend, public)
    moved = PublicCall(public.name, tuple(map(_elsewhere, public.arguments)), public.options)
    seconds = 0.0
    for _ in range(REPEATS):
        again = call_on(backend, moved)
        for one, other in zip(first.results, again.results, strict=True):
            if one.tobytes() != other.tobytes():
                changed = f"{(one != other).sum()} of {one.size} elements"
                return Finding(False, np.inf, f"{changed} change from call to call")
        seconds += again.seconds
        if seconds > REPEATED_S:
            break
    return Finding(True, 0.0)


def _elsewhere(argument: object) -> object:
    """Return a copy of an array that begins an element behind the beginning of its memory."""
    if not isinstance(argument, np.ndarray):
        return argument
    memory = np.empty(argument.size + 1, argument.dtype)
    memory[1:] = argument.reshape(-1)
    return memory[1:].reshape(argument.shape)


def check_adjoint(backend: Backend, problem: Problem) -> Finding | None:
    """Hold a linear problem to its adjoints' identity; None where it is not linear."""
    found = products(backend, problem)
    for operand, (there, back) in found.items():
        if there != back:
            message = f"inner products by {operand} differ: {there} and {back}"
            return Finding(False, np.inf, message)
    return Finding(True, 0.0) if found else None
