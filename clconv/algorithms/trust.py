"""Kernel families, and which of them are out of use on which device."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from clconv.errors import UnsupportedError
from clconv.program.device import Device
from clconv.spec.dtypes import BY_CODE
from clconv.spec.tensor import Problem

# Complex numbers are computed as pairs of real ones, and small integers as int32.
_COMPUTED_AS = {"c64": "f32", "c128": "f64"}
_OWN_KERNELS = ("f32", "f64", "f16", "bf16", "i32", "i64")


@dataclass(frozen=True, slots=True)
class Family:
    """The kernels that an algorithm runs for an operator in an element type."""

    algorithm: str  # or "rearrange" or "requantize", which stand around any
    operator: str  # as problem strings begin
    code: str  # of the element type

    def __str__(self) -> str:
        return f"{self.algorithm} ({self.operator}, {self.code})"


def family_of(algorithm: str, problem: Problem) -> Family:
    """Return the family that solves `problem`, a plain one, by `algorithm`."""
    operator, codes = str(problem).split(":")[:2]
    return Family(algorithm, operator, _code(codes))


def rearrange_family(problem: Problem) -> Family:
    """Return the family that makes the tensors of `problem` plain ones."""
    return Family("rearrange", "any operator", _code(str(problem).split(":")[1]))


REQUANTIZE = Family("requantize", "qlinear_conv", "i32")


def _code(codes: str) -> str:
    """Return the type that stands for that of a problem string's first operand."""
    code = codes.split(".")[0]
    if code in _OWN_KERNELS:
        return code
    return _COMPUTED_AS.get(code, "i32") if code in BY_CODE else "f32"


_faults: dict[tuple[Device, Family], str] = {}


def take_out(device: Device, family: Family, reason: str) -> None:
    """Take a family out of use on a device, for good, and warn once."""
    if (device, family) in _faults:
        return
    _faults[device, family] = f"{family} failed its self-check on {device}: {reason}"
    warnings.warn(
        f"{_faults[device, family]}. It is out of use there; where another algorithm serves, it"
        " does. Please report this",
        RuntimeWarning,
        stacklevel=2,
    )


def fault_of(device: Device, family: Family) -> str | None:
    """Say why a family is out of use on a device, if it is."""
    return _faults.get((device, family))


def refuse_faulty(device: Device, family: Family) -> None:
    """Raise UnsupportedError where a family that nothing can stand in for is out of use."""
    reason = fault_of(device, family)
    if reason:
        raise UnsupportedError(reason)
