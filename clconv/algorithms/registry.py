"""The ordered list of algorithms, and the choice between them."""

from __future__ import annotations

from dataclasses import replace

from clconv.algorithms.base import FAST, STRICT, Algorithm, Limits, default_limits
from clconv.algorithms.bias_gradient import BiasGradient
from clconv.algorithms.deform import NAME as DEFORM
from clconv.algorithms.deform import deform_plan
from clconv.algorithms.depthwise import Depthwise
from clconv.algorithms.direct import Direct
from clconv.algorithms.im2col import Im2col
from clconv.algorithms.im2col_gemm import Im2colGemm
from clconv.algorithms.implicit_gemm import ImplicitGemm
from clconv.algorithms.loops import within_loop_limit
from clconv.algorithms.pointwise import Pointwise
from clconv.algorithms.pool import Pool
from clconv.algorithms.pool_lp import LpPool
from clconv.algorithms.quantize import quantized_plan
from clconv.algorithms.rearrange import rearranged_plan
from clconv.algorithms.trust import (
    REQUANTIZE,
    family_of,
    fault_of,
    rearrange_family,
    refuse_faulty,
)
from clconv.algorithms.winograd import Winograd
from clconv.errors import UnsupportedError
from clconv.program.device import Device
from clconv.program.plan import Plan
from clconv.spec.deform import DeformProblem
from clconv.spec.problem import ConvProblem
from clconv.spec.quantized import QuantizedConvProblem
from clconv.spec.tensor import Problem

# "auto" takes the first that does not refuse, but see `_in_turn`; direct comes last and takes every
# convolution.
CONVOLUTIONS: tuple[Algorithm, ...] = (
    Winograd(4),
    Winograd(2),
    Depthwise(),
    Pointwise(),
    ImplicitGemm(),
    Im2colGemm(),
    Direct(),
)
SMALL_PLANE = 64  # windows of an image
ALGORITHMS: tuple[Algorithm, ...] = (*CONVOLUTIONS, Im2col(), Pool(), LpPool(), BiasGradient())


def algorithm_names(accuracy: str = FAST) -> tuple[str, ...]:
    """Return what the convolutions take as `algorithm`, "auto" aside: strict ones, or all."""
    return tuple(entry.name for entry in CONVOLUTIONS if accuracy in (FAST, entry.accuracy))


def grid_of(name: str) -> int:
    """Return the multiples, along space, at which pieces of a result have to begin.

    A Winograd tile is computed as a whole: other tiles, other bits.
    """
    tiled = {each.name: each.m for each in CONVOLUTIONS if isinstance(each, Winograd)}
    return tiled.get(name, 1)


def select(
    problem: Problem,
    device: Device,
    algorithm: str = "auto",
    limits: Limits | None = None,
    accuracy: str = STRICT,
) -> Plan:
    """Return the plan of the named algorithm, or of the first that serves.

    "auto" takes none of the accuracy class "fast" where "strict" is asked for; an algorithm that is
    named is taken whatever its class. Where tensors have to be moved, the plan is the plain
    problem's, between rearrangements.

    Raises
    ------
    ValueError : no algorithm has that name
    UnsupportedError : the named algorithm refuses, the device lacks the dtype, or the kernels
        failed their self-check on it (selfcheck.py) and nothing else serves
    """
    if problem.dtype in ("float64", "complex128") and not device.fp64:
        raise UnsupportedError(f"{device} has no float64 arithmetic")
    if isinstance(problem, QuantizedConvProblem):
        refuse_faulty(device, REQUANTIZE)
        sums = select(problem.sums, device, algorithm, limits, accuracy)
        return within_loop_limit(quantized_plan(problem, sums), device)
    plain = problem.plain
    if plain != problem:
        refuse_faulty(device, rearrange_family(problem))
        inner = select(plain, device, algorithm, limits, accuracy)
        return within_loop_limit(rearranged_plan(problem, inner), device)
    limits = limits or default_limits(device)
    if isinstance(problem, DeformProblem):
        refuse_faulty(device, family_of(DEFORM, problem))
        return within_loop_limit(deform_plan(problem, device, limits), device)
    allowed = [entry for entry in ALGORITHMS if accuracy == FAST or entry.accuracy == STRICT]
    entries = _in_turn(allowed, problem) if algorithm == "auto" else [_named(algorithm)]
    refusals, barred = [], []
    for entry in entries:
        reason = entry.refuse(problem, device)
        if reason is not None:
            refusals.append(reason)
            continue
        reason = fault_of(device, family_of(entry.name, problem))
        if reason is None:
            try:
                plan = entry.plan(problem, device, limits)
                if algorithm == "auto":
                    plan = _when_prepared(plan, device, limits)
                return within_loop_limit(plan, device)
            except UnsupportedError as error:
                reason = str(error)
        barred.append(reason)
    if len(entries) == 1:
        raise UnsupportedError(*refusals, *barred)
    raise UnsupportedError(f"no algorithm is left for {problem}: {'; '.join(barred)}")


def _in_turn(entries: list[Algorithm], problem: Problem) -> list[Algorithm]:
    """Return the order in which "auto" asks.

    Winograd's tiles come first where they are the fewest products, and not at all where there are
    so few channels that their transforms take longer. depthwise goes through a channel once for
    each of its outputs; with a few of them, implicit_gemm is ahead, which fills a vector with them:
    measured 0.39 ms against 4.2 for 1 channel to 64.
    """
    tiled = [entry for entry in entries if isinstance(entry, Winograd) and entry.pays(problem)]
    order = [entry for entry in entries if not isinstance(entry, Winograd)]
    if not isinstance(problem, ConvProblem) or problem.group_outputs <= 2:
        return [*tiled, *order]
    late = [entry for entry in order if isinstance(entry, Depthwise)]
    order = [entry for entry in order if not isinstance(entry, Depthwise)]
    first = [isinstance(entry, ImplicitGemm) for entry in order]
    behind = first.index(True) + 1 if any(first) else 0
    return [*tiled, *order[:behind], *late, *order[behind:]]


def _when_prepared(plan: Plan, device: Device, limits: Limits) -> Plan:
    """Return a plan of "auto" with what is better where filters are prepared, if something is.

    pointwise gathers lanes from all images, of which small planes give a few at a time.
    implicit_gemm, of the same bits, is ahead by a tenth at 7x7 once filters are packed.
    """
    problem, packed = plan.problem, ImplicitGemm()
    if plan.algorithm != Pointwise.name or not isinstance(problem, ConvProblem):
        return plan
    if problem.direction == "backward_weights" or problem.geometry.positions >= SMALL_PLANE:
        return plan
    if packed.refuse(problem, device) or fault_of(device, family_of(packed.name, problem)):
        return plan
    other = packed.plan(problem, device, limits)
    return replace(plan, prepared=other.prepared or other)


def _named(name: str) -> Algorithm:
    for algorithm in CONVOLUTIONS:
        if algorithm.name == name:
            return algorithm
    known = ", ".join(("auto", *algorithm_names()))
    raise ValueError(f"algorithm must be one of {known}; got {name!r}")
