"""Runs cases: every rule on every public call that states a problem.

A backend skips what it has no function for, and what it refuses by NotImplementedError (of which
UnsupportedError is one). Anything else that it raises is a miss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

import clconv
from clconv.conformance.calls import Backend, Call, PublicCall, call_on
from clconv.conformance.cases import Case
from clconv.conformance.data import data_for
from clconv.conformance.fast import BIT_BY_BIT, check_fast, is_fast
from clconv.conformance.metamorphic import relations
from clconv.conformance.problems import call_of, calls_of
from clconv.conformance.rules import (
    Finding,
    check_adjoint,
    check_bits,
    check_bound,
    check_repeat,
    why_not,
)
from clconv.ops.arrays import numpy_dtype
from clconv.program.context import default_context
from clconv.program.device import Device
from clconv.reference.bounds import computed_dtype
from clconv.spec.tensor import Problem

Check = Callable[[Call], Finding]
DATA = {"bits": "integer", "specials": "specials", "bound": "random"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule said of one function in one case; `skipped` says why there is no finding."""

    case: Case
    algorithm: str
    function: str
    rule: str
    finding: Finding | None
    skipped: str = ""

    @property
    def is_miss(self) -> bool:
        """Whether the rule was broken."""
        return self.finding is not None and not self.finding.passed


class DeviceBackend:
    """clconv's functions on one device, convolutions by one algorithm.

    The first call takes scratch anew: room that earlier cases left would hide a plan that states
    too little.
    """

    def __init__(self, device: Device, algorithm: str = "auto") -> None:
        self.device = device
        self.algorithm = algorithm
        default_context(device).recover()

    def __getattr__(self, name: str) -> Any:
        options: dict[str, Any] = {"device": self.device}
        if name.startswith(("conv", "depthwise", "qlinear")) and name != "conv_backward_bias":
            options["algorithm"] = self.algorithm
        return partial(getattr(clconv, name), **options)


def run_case(backend_of: Callable[[str], Backend], case: Case) -> Iterator[Outcome]:
    """Yield an outcome for every algorithm, function and rule of `case`.

    `backend_of` gives the functions under test for the name of an algorithm. The reference is asked
    once, for all algorithms.
    """
    problem = case.problem
    calls = {rule: list(_calls(problem, rule)) for rule in DATA}
    first = next(chain(*calls.values()), None)
    if first is None:
        return  # no data for it
    for algorithm in case.algorithms:
        backend = backend_of(algorithm)
        refused = False
        for rule, check in checks_of(problem, algorithm).items():
            for public in calls[rule]:
                hold = partial(_hold, check, backend, public)
                for outcome in _outcome(case, algorithm, public.name, rule, hold):
                    refused |= outcome.finding is None and outcome.function == first.name
                    yield outcome
        if refused:
            continue  # and so would it be below
        repeats = (("repeat", partial(check_repeat, backend, p)) for p in calls["bound"][:1])
        identity = ("adjoint", partial(_adjoint, backend, problem))
        related = relations(backend, problem) if case.related else ()
        for rule, relation in (*repeats, identity, *related):
            if not is_fast(algorithm) or rule in ("repeat", *BIT_BY_BIT):
                yield from _outcome(case, algorithm, first.name, rule, relation)


def checks_of(problem: Problem, algorithm: str) -> dict[str, Check]:
    """Return the rules that a call is held to by itself, and how."""
    if is_fast(algorithm):
        return {
            rule: partial(check_fast, problem, DATA[rule], algorithm) for rule in ("bits", "bound")
        }
    special = check_bound if why_not(problem, "bits") else check_bits
    return {"bits": check_bits, "specials": special, "bound": check_bound}


def _calls(problem: Problem, rule: str) -> Iterator[PublicCall]:
    """Yield the calls on data for a rule; none where it does not apply."""
    if why_not(problem, rule):
        return
    try:
        tensors = data_for(problem, DATA[rule])
    except ValueError:  # no whole numbers are exact: reals alone will have to do
        return
    # What a problem's other functions do with specials is what the first does.
    yield from calls_of(problem, tensors) if rule != "specials" else [call_of(problem, tensors)]


def _adjoint(backend: Backend, problem: Problem) -> Finding | None:
    # The identity needs results that are not rounded, and those of a stored type are; for them
    # the rule of bits says as much, for the reference is its own adjoint.
    dtype = numpy_dtype(problem.dtype)
    if computed_dtype(dtype) != dtype:
        return None
    try:
        data_for(problem, "integer")
    except ValueError:  # no whole numbers are exact
        return None
    return check_adjoint(backend, problem)


def _hold(check: Check, backend: Backend, public: PublicCall) -> Finding:
    with np.errstate(invalid="ignore"):  # inf - inf, in the reference
        return check(call_on(backend, public))


def _outcome(
    case: Case, algorithm: str, function: str, rule: str, check: Callable[[], Finding | None]
) -> Iterator[Outcome]:
    """Yield what a check found; nothing where the rule says nothing of the problem."""
    outcome = partial(Outcome, case, algorithm, function, rule)
    try:
        finding = check()
    except NotImplementedError as error:
        yield outcome(None, skipped=str(error) or "not implemented")
    except Exception as error:
        message = f"raised {type(error).__name__}: {error}".split("\n")[0]
        yield outcome(Finding(False, math.inf, message))
    else:
        if finding is not None:
            yield outcome(finding)


def fails_likewise(
    backend_of: Callable[[str], Backend], miss: Outcome
) -> Callable[[Problem], bool]:
    """Return a function that tells whether another problem breaks the rule that `miss` broke.

    An exception has to be of the same type again, or a smaller problem would be a wrong one.
    """

    def fails(problem: Problem) -> bool:
        outcomes = run_case(backend_of, Case(problem, (miss.algorithm,)))
        kind = _kind(miss)
        return any(o.is_miss and o.rule == miss.rule and _kind(o) == kind for o in outcomes)

    return fails


def _kind(outcome: Outcome) -> str:
    message = outcome.finding.message if outcome.finding else ""
    return message.split(":")[0] if message.startswith("raised ") else ""
