"""Lists cases and runs them: every operator, shape, dtype, algorithm and rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import clconv
from clconv.conformance.calls import Backend, Recorder
from clconv.conformance.operators import Operator, Shape, Tensors, operators_of, tensors_of
from clconv.conformance.rules import Finding, check_adjoint, check_bits, check_bound
from clconv.errors import UnsupportedError
from clconv.program.device import Device
from clconv.reference.bounds import computed_dtype
from clconv.reference.shapes import CONV_SHAPES, POOL_SHAPES, TRANSPOSE_SHAPES

DTYPES = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class Case:
    """One shape in one dtype by one algorithm; `shared` adds operators that have no algorithms."""

    name: str
    shape: Shape
    dtype: str
    algorithm: str
    shared: bool

    def __str__(self) -> str:
        return f"{self.dtype}:{self.shape} by {self.algorithm}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule said of one operator in one case; `skipped` says why there is no finding."""

    case: Case
    operator: str
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


def list_cases(shapes: str, algorithms: tuple[str, ...]) -> list[Case]:
    """Return the cases of a set of shapes: "quick" or "edges".

    The quick set takes every third shape in float64: most of its time goes into builds, and the
    element types share their sources.
    """
    cases = []
    for dtype in DTYPES:
        step = 3 if shapes == "quick" and dtype == "float64" else 1
        convolutions: list[tuple[str, Shape]] = [*CONV_SHAPES[shapes].items()]
        convolutions += TRANSPOSE_SHAPES[shapes].items()
        for name, shape in convolutions[::step]:
            cases += [
                Case(name, shape, dtype, algorithm, shared=algorithm == algorithms[0])
                for algorithm in algorithms
            ]
        for name, pool_shape in list(POOL_SHAPES[shapes].items())[::step]:
            cases.append(Case(name, pool_shape, dtype, "auto", shared=True))
    return cases


def run_case(backend: Backend, case: Case) -> Iterator[Outcome]:
    """Yield an outcome for every operator and rule of `case`."""
    held = {"bits": (check_bits, "integer"), "bound": (check_bound, "random")}
    for rule, (check, kind) in held.items():
        try:
            tensors = tensors_of(case.shape, case.dtype, kind)
        except ValueError as error:  # no integers are exact
            yield Outcome(case, "all", rule, None, skipped=str(error))
            continue
        for operator in operators_of(case.shape, case.dtype):
            if operator.has_algorithms or case.shared:
                hold = partial(_hold, check, backend, operator, case.shape, tensors)
                yield _outcome(case, operator.name, rule, hold)
    # The identity needs results that are not rounded, and those of a stored type are; for them
    # the rule of bits says as much, for the reference is its own adjoint.
    if computed_dtype(case.dtype) == case.dtype:
        integers = tensors_of(case.shape, case.dtype, "integer")
        adjoint = partial(check_adjoint, backend, case.shape, integers)
        yield _outcome(case, "adjoints", "adjoint", adjoint)


def _hold(
    check: Callable[[Any], Finding],
    backend: Backend,
    operator: Operator,
    shape: Shape,
    tensors: Tensors,
) -> Finding:
    recorder = Recorder(backend)
    operator.apply(recorder, shape, tensors)
    return check(recorder.log[-1])


def _outcome(case: Case, operator: str, rule: str, check: Callable[[], Finding]) -> Outcome:
    try:
        return Outcome(case, operator, rule, check())
    except UnsupportedError as error:
        return Outcome(case, operator, rule, None, skipped=str(error))
