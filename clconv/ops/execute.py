"""Runs a problem on the caller's arrays: finds the plan, binds buffers, returns arrays."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypedDict

import numpy as np
import pyopencl as cl

from clconv.algorithms.base import STRICT
from clconv.algorithms.selfcheck import checked_plan
from clconv.errors import BuildError
from clconv.ops.arrays import Array, is_device_array, numpy_dtype, plain
from clconv.ops.log import log_problem
from clconv.ops.settings import accuracy_of
from clconv.program.context import PLANS_REMEMBERED, BoundPlan, Context, context_of, default_context
from clconv.program.device import Device
from clconv.spec.geometry import Sizes
from clconv.spec.tensor import Problem


class How(TypedDict, total=False):
    """How and where a problem is to be solved."""

    device: str | Device | None
    algorithm: str
    accuracy: str | None


def plan_for(
    context: Context, problem: Problem, algorithm: str = "auto", accuracy: str = STRICT
) -> BoundPlan:
    """Return the plan of `problem` in `context`, bound to kernels; made once."""
    key = (problem, algorithm, accuracy)
    known = context.plans.get(key)
    if known is not None:
        context.plans.move_to_end(key)
        return known
    try:
        plan = checked_plan(context, problem, algorithm, accuracy)
        return context.remember(key, context.bind(plan))
    except BuildError as error:
        error.add_note(f"problem: {problem}")
        raise


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
    MemoryError : the driver could not allocate
    """
    log_problem(problem)
    first = next(iter(tensors.values()))
    if is_device_array(first):
        if device is not None:
            raise TypeError("device is for numpy arrays; pyopencl arrays run where they live")
        context, run = context_of(first.queue), _run_on_queue
    else:
        context, run = default_context(device), _run_from_host
    bound = plan_for(context, problem, algorithm, accuracy_of(accuracy))
    try:
        return run(context, bound, problem, tensors, out)
    except (cl.MemoryError, cl.LogicError) as error:
        if isinstance(error, cl.LogicError) and "INVALID_BUFFER_SIZE" not in str(error):
            raise
        raise MemoryError(f"{problem} on {context.device}: {error}") from error


@lru_cache(maxsize=PLANS_REMEMBERED)
def _results_of(problem: Problem) -> tuple[tuple[str, Sizes, np.dtype[Any]], ...]:
    """Return names, shapes and dtypes of what comes out."""
    results = problem.results.items()
    return tuple((name, result.shape, numpy_dtype(result.dtype)) for name, result in results)


def _is_empty(tensors: Mapping[str, Array]) -> bool:
    return any(array.size == 0 for array in tensors.values())


def _run_from_host(
    context: Context,
    bound: BoundPlan,
    problem: Problem,
    tensors: Mapping[str, Array],
    out: Mapping[str, Array],
) -> tuple[Array, ...]:
    if _is_empty(tensors):  # a batch of no images, so: no images, or gradients of no terms
        zeros = {name: np.zeros(shape, dtype) for name, shape, dtype in _results_of(problem)}
        return tuple({**zeros, **out}.values())
    tensors = {name: plain(array) for name, array in tensors.items()}
    outputs = {
        name: out[name] if name in out else np.empty(shape, dtype)
        for name, shape, dtype in _results_of(problem)
    }
    if context.device.shares_host_memory:
        everything = {**tensors, **outputs}
        buffers = {name: _over_host_memory(context, array) for name, array in everything.items()}
        context.run(bound, buffers)
        for name, array in outputs.items():
            _show_to_host(context.queue, buffers[name], array)
    else:
        flags = cl.mem_flags
        copied = flags.READ_WRITE | flags.COPY_HOST_PTR
        buffers = {
            name: cl.Buffer(context.opencl, copied, hostbuf=_bytes(array))
            for name, array in {**tensors, **out}.items()
        }
        for name in outputs.keys() - out.keys():
            buffers[name] = cl.Buffer(context.opencl, flags.READ_WRITE, outputs[name].nbytes)
        context.run(bound, buffers)
        for name, array in outputs.items():
            cl.enqueue_copy(context.queue, _bytes(array), buffers[name])
    return tuple(outputs.values())


def _bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the memory of a C-contiguous array: bfloat16 knows no buffer protocol."""
    return array.reshape(-1).view(np.uint8)


def _over_host_memory(context: Context, array: np.ndarray[Any, Any]) -> cl.Buffer:
    """Return a buffer that uses the array's own memory.

    READ_WRITE even for what is only read: Intel's CPU runtime copies a READ_ONLY array that is
    not aligned to 128 bytes (3 ms for 4 MB), and a READ_WRITE one never.
    """
    flags = cl.mem_flags
    access = flags.READ_WRITE if array.flags.writeable else flags.READ_ONLY
    return cl.Buffer(context.opencl, access | flags.USE_HOST_PTR, hostbuf=_bytes(array))


def _show_to_host(queue: cl.CommandQueue, buffer: cl.Buffer, array: np.ndarray[Any, Any]) -> None:
    """Wait until `array` holds what was computed into the buffer over it."""
    # Mapping is what makes the host see a buffer over its own memory; it moves nothing there.
    mapped, _ = cl.enqueue_map_buffer(
        queue, buffer, cl.map_flags.READ, 0, (array.nbytes,), np.dtype(np.uint8), is_blocking=True
    )
    mapped.base.release(queue)
    queue.finish()


def _run_on_queue(
    context: Context,
    bound: BoundPlan,
    problem: Problem,
    tensors: Mapping[str, Array],
    out: Mapping[str, Array],
) -> tuple[Array, ...]:
    import pyopencl.array as cl_array

    queue = context.queue
    allocator = next(iter(tensors.values())).allocator
    make = cl_array.zeros if _is_empty(tensors) else cl_array.empty
    outputs = {
        name: out[name] if name in out else make(queue, shape, dtype, allocator=allocator)
        for name, shape, dtype in _results_of(problem)
    }
    if _is_empty(tensors) or any(array.size == 0 for array in outputs.values()):
        return tuple(outputs.values())
    everything = {**tensors, **outputs}
    buffers = {name: _buffer_of(queue, array) for name, array in everything.items()}
    waits = [event for array in everything.values() for event in array.events]
    event = context.run(bound, buffers, wait_for=waits)
    for array in outputs.values():
        array.add_event(event)
    return tuple(outputs.values())


def _buffer_of(queue: cl.CommandQueue, array: Array) -> cl.Buffer:
    """Return a buffer that starts at the array's first element."""
    whole: cl.Buffer = array.base_data
    if array.offset == 0:
        return whole
    align_bytes = queue.device.mem_base_addr_align // 8
    if array.offset % align_bytes == 0 and isinstance(whole, cl.Buffer):
        return whole.get_sub_region(array.offset, array.nbytes)
    # No buffer can start there: a copy on the device can.
    copy = cl.Buffer(queue.context, cl.mem_flags.READ_WRITE, array.nbytes)
    cl.enqueue_copy(
        queue,
        copy,
        whole,
        src_offset=array.offset,
        byte_count=array.nbytes,
        wait_for=array.events,
    )
    return copy
