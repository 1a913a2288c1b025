"""Runs routes on pyopencl arrays: on their own queue, with no wait and no copy to the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyopencl as cl

from clconv.ops.arrays import Array
from clconv.ops.division import ON_DEVICE, Placement
from clconv.ops.routes import Asked, Route
from clconv.ops.settings import limited
from clconv.spec.geometry import Sizes
from clconv.spec.tensor import Problem

Results = tuple[tuple[str, Sizes, np.dtype[Any]], ...]


def run_on_queue(
    asked: Asked,
    problem: Problem,
    tensors: Mapping[str, Array],
    out: Mapping[str, Array],
    results: Results,
) -> tuple[Array, ...]:
    """Return the results of `problem`: those in `out`, and new arrays of these shapes."""
    queue = asked.context.queue
    odd = [name for name in problem.results if name not in out]
    odd += [name for name, array in tensors.items() if not _begins_a_buffer(queue, array)]
    placement = Placement(ON_DEVICE, tuple(odd))
    route = asked.route(problem, placement, limited(asked.context.room))

    def run(route: Route) -> tuple[Array, ...]:
        context = asked.context
        scratch = context.reserve(route.plan.plan, route.scratch)  # before arrays beside it
        outputs = made_on_queue(queue, tensors, out, results)
        if all(array.size for array in outputs.values()):
            everything = {**tensors, **outputs}
            buffers = {name: _buffer_of(queue, array) for name, array in everything.items()}
            waits = [event for array in everything.values() for event in array.events]
            event = context.run(route.plan, buffers, waits, scratch)
            for array in outputs.values():
                array.add_event(event)
        return tuple(outputs.values())

    return asked.attempt(route, run, repeatable=getattr(problem, "beta", 0) == 0)


def made_on_queue(
    queue: cl.CommandQueue,
    tensors: Mapping[str, Array],
    out: Mapping[str, Array],
    results: Results,
    zeros: bool = False,
) -> dict[str, Array]:
    """Return the arrays that results go to, by name."""
    import pyopencl.array as cl_array

    allocator = next(iter(tensors.values())).allocator
    make = cl_array.zeros if zeros else cl_array.empty
    return {
        name: out[name] if name in out else make(queue, shape, dtype, allocator=allocator)
        for name, shape, dtype in results
    }


def _begins_a_buffer(queue: cl.CommandQueue, array: Array) -> bool:
    """Tell whether a buffer can begin at the array's first element, where its memory lies."""
    if array.offset == 0:
        return True
    align_bytes = queue.device.mem_base_addr_align // 8
    return array.offset % align_bytes == 0 and isinstance(array.base_data, cl.Buffer)


def _buffer_of(queue: cl.CommandQueue, array: Array) -> cl.Buffer:
    """Return a buffer that starts at the array's first element."""
    whole: cl.Buffer = array.base_data
    if array.offset == 0:
        return whole
    if _begins_a_buffer(queue, array):
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
