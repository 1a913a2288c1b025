"""Runs a problem on the caller's arrays: finds the context, and runs there by kind of array."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TypedDict

import numpy as np

from clconv.ops.arrays import Array, is_device_array, numpy_dtype
from clconv.ops.host import run_on_host
from clconv.ops.log import log_problem
from clconv.ops.queue import Results, made_on_queue, run_on_queue
from clconv.ops.routes import Asked
from clconv.ops.settings import accuracy_of
from clconv.program.context import PLANS_REMEMBERED, context_of, default_context
from clconv.program.device import Device
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


@lru_cache(maxsize=PLANS_REMEMBERED)
def _results_of(problem: Problem) -> Results:
    """Return names, shapes and dtypes of what comes out."""
    results = problem.results.items()
    return tuple((name, result.shape, numpy_dtype(result.dtype)) for name, result in results)
