"""A few exact cases for each kernel family, run on a device before its results are relied on.

Drivers miscompile. Before the first problem of a family (an algorithm, an operator, an element
type) on a device, the cases of selfcheck.json are run there: whole numbers on which every sum is
exact, so that the stored results have to be met bit for bit. A family that misses is taken out of
use on that device, with one warning, and the next algorithm serves. That a family has passed is
remembered on disk for the device, its driver and the very launches and sources; that it has failed
is found anew in each process. `CLCONV_SELFCHECK=0` turns this off.

The stored results are the reference's: `python -m clconv.conformance.selfcheck` writes them.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pyopencl as cl

from clconv.algorithms.base import STRICT
from clconv.algorithms.registry import grid_of, select
from clconv.algorithms.trust import REQUANTIZE, Family, family_of, rearrange_family, take_out
from clconv.errors import UnsupportedError
from clconv.program import cache as disk
from clconv.program.build import build_options
from clconv.program.context import Context
from clconv.program.device import identity
from clconv.program.plan import Plan
from clconv.program.source import read_source
from clconv.spec.parse import parse
from clconv.spec.quantized import QuantizedConvProblem
from clconv.spec.tensor import Problem, Tensor

VARIABLE = "CLCONV_SELFCHECK"
AVERAGED = 36  # means of up to six windows' pixels, and of 3 x 3, are whole numbers of multiples
UNWRITTEN = 0x5A  # every byte of a result before a kernel writes it
Array = np.ndarray[Any, Any]

_passed: set[tuple[object, Family]] = set()
_lock = threading.RLock()  # checks of one family may need another's


def checked_plan(
    context: Context, problem: Problem, algorithm: str = "auto", accuracy: str = STRICT
) -> Plan:
    """Return the plan that `select` gives once all families in it have passed on the device.

    The first time, this waits for the device, on a queue of its own.

    Raises
    ------
    ValueError, UnsupportedError : as `select`
    BuildError : a kernel of a case does not compile
    """
    while True:
        plan = select(problem, context.device, algorithm, accuracy=accuracy)
        if passes(context, problem, plan):
            return plan


def passes(context: Context, problem: Problem, plan: Plan) -> bool:
    """Tell whether the families that a plan runs have passed, or are not to be asked."""
    off = os.environ.get(VARIABLE) == "0"
    return off or all(_passes(context, family) for family in families_of(problem, plan))


def families_of(problem: Problem, plan: Plan) -> Iterator[Family]:
    """Yield the families that `plan` runs for `problem`, the innermost first."""
    if isinstance(problem, QuantizedConvProblem):
        yield from families_of(problem.sums, plan)
        yield REQUANTIZE
        return
    plain = problem.plain
    yield family_of(plan.algorithm, plain)
    if plain != problem:
        yield rearrange_family(problem)


def _passes(context: Context, family: Family) -> bool:
    with _lock:
        if (context.device, family) in _passed:
            return True
        reason = _fault(context, family)
        if reason:
            take_out(context.device, family, reason)
            return False
        _passed.add((context.device, family))
        return True


@dataclass(frozen=True, slots=True)
class Case:
    """A problem and what its results have to be; operands follow from the problem."""

    problem: Problem
    results: Mapping[str, Array]


@cache
def stored() -> Mapping[str, Mapping[str, Mapping[str, list[float]]]]:
    """Return family -> problem string with {t} for the element type -> result -> elements."""
    text = files("clconv.algorithms").joinpath("selfcheck.json").read_text(encoding="utf-8")
    table: Mapping[str, Mapping[str, Mapping[str, list[float]]]] = json.loads(text)
    return table


def cases_of(family: Family) -> list[Case]:
    """Return the cases of a family, in its element type."""
    cases = []
    for text, results in stored().get(f"{family.algorithm} {family.operator}", {}).items():
        problem = parse(text.replace("{t}", family.code))
        arrays = {
            name: np.array(results[name]).reshape(tensor.shape)
            for name, tensor in problem.results.items()
        }
        cases.append(Case(problem, arrays))
    return cases


def _fault(context: Context, family: Family) -> str | None:
    """Say what a family gets wrong on a context's device, or None."""
    apart = Context(context.device, cl.CommandQueue(context.opencl), context.opencl)
    for case in cases_of(family):
        try:
            plan = _plan(apart, family, case.problem)
        except UnsupportedError:  # nothing is left to rearrange for: the case tells nothing
            continue
        for each in filter(None, (plan, plan.prepared)):
            key = _key(apart, case, each)
            if disk.load(key) is not None:
                continue
            reason = _miss(apart, case, each)
            if reason:
                return f"{case.problem}: {reason}"
            disk.store(key, b"passed")
    return None


def _plan(context: Context, family: Family, problem: Problem) -> Plan:
    """Return a plan in which `family` alone is unchecked."""
    device = context.device
    if family == REQUANTIZE or family.algorithm == "rearrange":
        inner = problem.sums if isinstance(problem, QuantizedConvProblem) else problem.plain
        checked_plan(context, inner)
        return select(problem, device)
    named = family.algorithm if family.operator.startswith("conv_") else "auto"
    return select(problem, device, "auto" if family.operator == "conv_bwd_bias" else named)


def _key(context: Context, case: Case, plan: Plan) -> str:
    """Return everything that the outcome depends on."""
    device = context.device
    launches = (
        f"{launch} {build_options(device, launch.macros)}\n{read_source(launch.source)}"
        for launch in plan.launches
    )
    expected = repr({name: array.tolist() for name, array in case.results.items()})
    return "\n".join(["self-check", identity(device), str(case.problem), expected, *launches])


def _miss(context: Context, case: Case, plan: Plan) -> str | None:
    """Run a case and say what is wrong with its results, or None."""
    try:
        actual = _run(context, case.problem, plan)
    except cl.MemoryError as error:
        raise MemoryError(f"self-check with {case.problem}: {error}") from error
    except (cl.RuntimeError, cl.LogicError) as error:
        return f"{error}"
    for name, expected in case.results.items():
        if grid_of(plan.algorithm) > 1:  # rounding spreads over Winograd's tiles, far below 1/2
            actual[name] = np.rint(actual[name])
        wrong = actual[name] != expected
        if wrong.any():
            place = tuple(map(int, np.argwhere(wrong)[0]))
            got, wanted = actual[name][place], expected[place]
            return f"{name}{list(place)} is {got}, not {wanted} ({wrong.sum()} of {wrong.size})"
    return None


def _run(context: Context, problem: Problem, plan: Plan) -> dict[str, Array]:
    results = {name: _unwritten(tensor) for name, tensor in problem.results.items()}
    given = {name: _to_bits(array, problem.operands[name]) for name, array in _data(problem)}
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    buffers = {
        name: cl.Buffer(context.opencl, flags, hostbuf=array)
        for name, array in {**given, **results}.items()
    }
    context.run(context.bind(plan), buffers)
    for name, array in results.items():
        cl.enqueue_copy(context.queue, array, buffers[name])
    return {name: _from_bits(array, problem.results[name]) for name, array in results.items()}


def operands_of(problem: Problem) -> dict[str, Array]:
    """Return the operands of a case, small numbers as float64: the same on every machine."""
    return dict(_data(problem))


def _data(problem: Problem) -> Iterator[tuple[str, Array]]:
    for number, (name, tensor) in enumerate(problem.operands.items()):
        # Knuth's multiplicative hash: no period that a shape could share.
        places = np.arange(int(np.prod(tensor.shape)), dtype=np.uint64) + np.uint64(1000 * number)
        noise = (places * np.uint64(2654435761) % np.uint64(2**32)) >> np.uint64(16)
        values = _values(problem, name, noise.astype(np.int64))
        yield name, values.astype(np.float64).reshape(tensor.shape)


def _values(problem: Problem, name: str, noise: Array) -> Array:
    if name == "indices":  # -1: an empty window's
        pixels = int(np.prod(_plane(problem)))
        return noise % (pixels + 1) - 1
    if name == "offset":
        return (noise % 7 - 3) / 2
    if name == "mantissa":
        return 2**52 + noise * (2**36 + 1)  # all 53 bits, so that products are rounded
    if name == "exponent":
        return -52 - noise % 3
    if name == "y_zero_point":
        return noise % 3
    return (noise % 7 - 3) * (AVERAGED if "avg" in str(problem) else 1)


def _plane(problem: Problem) -> tuple[int, ...]:
    """Return the spatial sizes that indices point into."""
    image = "x" if str(problem).startswith("max_unpool_backward") else "y"
    return {**problem.operands, **problem.results}[image].shape[2:]


def _unwritten(tensor: Tensor) -> Array:
    array = _to_bits(np.zeros(tensor.shape), tensor)
    array.view(np.uint8)[...] = UNWRITTEN
    return array


def _to_bits(values: Array, tensor: Tensor) -> Array:
    """Return values in an array's element type; numpy has no bfloat16."""
    if tensor.dtype == "bfloat16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return np.ascontiguousarray(values.astype(tensor.dtype))


def _from_bits(array: Array, tensor: Tensor) -> Array:
    if tensor.dtype == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array
