"""Runs a problem on the caller's arrays: finds the context, and runs there by kind of array."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TypedDict

import numpy as np

from clconv.algorithms.registry import select
from clconv.ops.arrays import Array, is_device_array, numpy_dtype
from clconv.ops.division import Division, divide
from clconv.ops.host import run_on_host, whole_placement
from clconv.ops.log import log_problem
from clconv.ops.queue import Results, made_on_queue, run_on_queue
from clconv.ops.routes import Asked
from clconv.ops.settings import accuracy_of, limited
from clconv.program.context import PLANS_REMEMBERED, context_of, default_context
from clconv.program.device import Device, select_device
from clconv.program.memory import room_of
from clconv.spec.parse import parse
from clconv.spec.tensor import Problem


class How(TypedDict, total=False):
    """How and where a problem is to be solved."""

    device: str | Device | None
    algorithm: str
    accuracy: str | None


def execute(
    problem: Problem,
    tensors: Mapping[str, Array],
    *,
    device: str | Device | None = None,
    algorithm: str = "auto",
    accuracy: str | None = None,
    out: Mapping[str, Array] = MappingProxyType({}),
) -> tuple[Array, ...]:
    """Return the results of `problem` on `tensors` (validated already), of the same kind.

    `tensors` are the problem's operands by name.

    pyopencl arrays: enqueued on the first one's queue, nothing waits and nothing is copied to the
    host. numpy arrays: on the device's shared memory where there is one, else by copies. A result
    in `out` is written there.

    Raises
    ------
    UnsupportedError : the device or the named algorithm does not serve this problem
    MemoryError : not even the smallest pieces fit the limits (`clconv.limits`), or the driver could
        not allocate them; `out` then holds nothing that means anything
    """
    log_problem(problem)
    first = next(iter(tensors.values()))
    on_device = is_device_array(first)
    if on_device and device is not None:
        raise TypeError("device is for numpy arrays; pyopencl arrays run where they live")
    context = context_of(first.queue) if on_device else default_context(device)
    asked = Asked(context, algorithm, accuracy_of(accuracy))
    try:
        return (_on_queue if on_device else _on_host)(asked, problem, tensors, out)
    except MemoryError as error:
        error.add_note(f"problem: {problem}")  # of which a piece may have failed
        raise


def _is_empty(tensors: Mapping[str, Array]) -> bool:
    """Tell whether there are no images, or gradients of no terms: all results are zero."""
    return any(array.size == 0 for array in tensors.values())


def _on_host(
    asked: Asked, problem: Problem, tensors: Mapping[str, Array], out: Mapping[str, Array]
) -> tuple[Array, ...]:
    empty = _is_empty(tensors)
    make = np.zeros if empty else np.empty
    arrays = {
        name: out[name] if name in out else make(shape, dtype)
        for name, shape, dtype in _results_of(problem)
    }
    if not empty:
        run_on_host(asked, problem, tensors, arrays)
    return tuple(arrays.values())


def _on_queue(
    asked: Asked, problem: Problem, tensors: Mapping[str, Array], out: Mapping[str, Array]
) -> tuple[Array, ...]:
    results = _results_of(problem)
    if not _is_empty(tensors):
        return run_on_queue(asked, problem, tensors, out, results)
    queue = asked.context.queue
    return tuple(made_on_queue(queue, tensors, out, results, zeros=True).values())


def plan_of(
    text: str,
    *,
    device: str | Device | None = None,
    algorithm: str = "auto",
    accuracy: str | None = None,
) -> Division:
    """Return how the problem of a string would be run on numpy arrays, within `clconv.limits`.

    Nothing is built or allocated. `need` has the bytes of device memory that the call takes at once
    and in one buffer, `plans` what is run for each piece (one, where nothing is cut); it prints.

    Raises
    ------
    ValueError : it is no problem string, or no algorithm has that name
    UnsupportedError : the device or the named algorithm does not serve this problem
    MemoryError : not even its smallest pieces fit
    """
    problem, chosen = parse(text), select_device(device)
    plan = select(problem, chosen, algorithm, accuracy=accuracy_of(accuracy))
    return divide(plan, chosen, limited(room_of(chosen)), whole_placement(chosen))


@lru_cache(maxsize=PLANS_REMEMBERED)
def _results_of(problem: Problem) -> Results:
    """Return names, shapes and dtypes of what comes out."""
    results = problem.results.items()
    return tuple((name, result.shape, numpy_dtype(result.dtype)) for name, result in results)
