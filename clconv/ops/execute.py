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
    accuracy = accuracy_of(accuracy)
    first = next(iter(tensors.values()))
    on_device, is_empty = is_device_array(first), any(a.size == 0 for a in tensors.values())
    if not on_device:
        context = default_context(device)
    elif device is not None:
        raise TypeError("device is for numpy arrays; pyopencl arrays run where they live")
    else:
        context = context_of(first.queue)
    asked = Asked(context, algorithm, accuracy)
    results = _results_of(problem)
    if on_device and not is_empty:
        return run_on_queue(asked, problem, tensors, out, results)
    if on_device:
        return tuple(made_on_queue(context.queue, tensors, out, results, zeros=True).values())
    make = np.zeros if is_empty else np.empty  # of no images, and gradients of no terms
    arrays = {n: out[n] if n in out else make(shape, dtype) for n, shape, dtype in results}
    if not is_empty:
        run_on_host(asked, problem, tensors, arrays)
    return tuple(arrays.values())


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
