"""Runs cases: every rule on every public call that states a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import clconv
from clconv.conformance.calls import Backend, PublicCall, call_on
from clconv.conformance.cases import Case
from clconv.conformance.data import data_for
from clconv.conformance.problems import calls_of
from clconv.conformance.rules import Finding, check_adjoint, check_bits, check_bound, why_not
from clconv.errors import UnsupportedError
from clconv.program.device import Device
from clconv.reference.bounds import computed_dtype
from clconv.spec.tensor import Problem

DATA = {"bits": "integer", "bound": "random"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule said of one function in one case; `skipped` says why there is no finding."""

    case: Case
    algorithm: str
    function: str
    rule: str
    finding: Finding | None
    skipped: str = ""


class DeviceBackend:
    """clconv's functions on one device, convolutions by one algorithm."""

    def __init__(self, device: Device, algorithm: str = "auto") -> None:
        self.device = device
        self.algorithm = algorithm

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
    calls = {rule: list(_calls(case.problem, rule)) for rule in DATA}
    for algorithm in case.algorithms:
        backend = backend_of(algorithm)
        for rule, check in (("bits", check_bits), ("bound", check_bound)):
            for public in calls[rule]:
                hold = partial(_hold, check, backend, public)
                yield _outcome(case, algorithm, public.name, rule, hold)
        yield from _adjoint(case, algorithm, backend)


def _calls(problem: Problem, rule: str) -> Iterator[PublicCall]:
    """Yield the calls on data for a rule; none where it does not apply."""
    if why_not(problem, rule):
        return
    try:
        tensors = data_for(problem, DATA[rule])
    except ValueError:  # no whole numbers are exact: reals alone will have to do
        return
    yield from calls_of(problem, tensors)


def _adjoint(case: Case, algorithm: str, backend: Backend) -> Iterator[Outcome]:
    # The identity needs results that are not rounded, and those of a stored type are; for them
    # the rule of bits says as much, for the reference is its own adjoint.
    name = clconv.ops.arrays.numpy_dtype(case.problem.dtype)
    if computed_dtype(name) != name:
        return
    function = str(case.problem).split(":")[0]
    try:
        finding = check_adjoint(backend, case.problem)
    except UnsupportedError as error:
        yield Outcome(case, algorithm, function, "adjoint", None, skipped=str(error))
        return
    except ValueError:  # no whole numbers are exact
        return
    if finding is not None:
        yield Outcome(case, algorithm, function, "adjoint", finding)


def _hold(check: Callable[[Any], Finding], backend: Backend, public: PublicCall) -> Finding:
    return check(call_on(backend, public))


def _outcome(
    case: Case, algorithm: str, function: str, rule: str, check: Callable[[], Finding]
) -> Outcome:
    try:
        return Outcome(case, algorithm, function, rule, check())
    except UnsupportedError as error:
        return Outcome(case, algorithm, function, rule, None, skipped=str(error))
