"""Lists cases and runs them: every operator, shape, dtype, algorithm and rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import clconv
from clconv.conformance.operators import Backend, Operator, Shape, operators_of, tensors_of
from clconv.conformance.rules import Finding, check_adjoint, check_bits, check_bound
from clconv.errors import UnsupportedError
from clconv.program.device import Device
from clconv.reference.shapes import CONV_SHAPES, POOL_SHAPES, ConvShape

RULES = ("bits", "bound", "adjoint")
DTYPES = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class Case:
    """One shape in one dtype by one algorithm: all operators and rules on the same tensors."""

    name: str
    shape: Shape
    dtype: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule said of one operator in one case; not served: `skipped` says why."""

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
        if name in ("conv", "conv_backward_data", "conv_backward_weights"):
            options["algorithm"] = self.algorithm
        return partial(getattr(clconv, name), **options)


def list_cases(shapes: str, algorithms: tuple[str, ...]) -> list[Case]:
    """Return the cases of a set of shapes ("quick", "edges")."""
    cases = []
    for dtype in DTYPES:
        for name, conv_shape in CONV_SHAPES[shapes].items():
            cases += [Case(name, conv_shape, dtype, algorithm) for algorithm in algorithms]
        for name, pool_shape in POOL_SHAPES[shapes].items():
            cases.append(Case(name, pool_shape, dtype, "auto"))
    return cases


def run_case(backend: Backend, case: Case, *, first_algorithm: bool = True) -> Iterator[Outcome]:
    """Yield an outcome for every operator and rule of `case`.

    Operators that have no algorithms are left out unless `first_algorithm`.
    """
    integers = tensors_of(case.shape, case.dtype, "integer")
    reals = tensors_of(case.shape, case.dtype, "random")
    for operator in operators_of(case.shape):
        if not (first_algorithm or operator.has_algorithms):
            continue
        for rule, check, tensors in (
            ("bits", check_bits, integers),
            ("bound", check_bound, reals),
        ):
            yield _outcome(case, operator, rule, partial(check, backend, operator), tensors)
    adjoint = partial(check_adjoint, backend)
    yield _outcome(case, None, "adjoint", adjoint, integers)


def _outcome(case: Case, operator: Operator | None, rule: str, check: Any, tensors: Any) -> Outcome:
    name = operator.name if operator else "adjoints"
    try:
        return Outcome(case, name, rule, check(case.shape, tensors))
    except UnsupportedError as error:
        return Outcome(case, name, rule, None, skipped=str(error))


def run_cases(device: Device, cases: list[Case]) -> Iterator[list[Outcome]]:
    """Yield the outcomes of one case after the other on `device`."""
    seen: set[tuple[str, str]] = set()
    for case in cases:
        key = (case.name, case.dtype)
        first = key not in seen or not isinstance(case.shape, ConvShape)
        seen.add(key)
        backend = DeviceBackend(device, case.algorithm)
        yield list(run_case(backend, case, first_algorithm=first))
