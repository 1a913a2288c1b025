"""Runs routes on numpy arrays: over their memory where the device shares it, else on copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyopencl as cl

from clconv.ops.arrays import is_plain, plain
from clconv.ops.division import COPIED, SHARED, Placement
from clconv.ops.routes import Asked, Route
from clconv.ops.settings import limited
from clconv.program.context import Context
from clconv.program.device import Device
from clconv.spec.tensor import Problem

Array = np.ndarray[Any, Any]
EVERYTHING_SHARED, EVERYTHING_COPIED = Placement(SHARED), Placement(COPIED)


def run_on_host(
    asked: Asked, problem: Problem, tensors: Mapping[str, Array], results: Mapping[str, Array]
) -> None:
    """Write the results of `problem` on `tensors` into `results`, C-contiguous arrays."""
    context = asked.context
    placement = whole_placement(context.device)
    if placement is EVERYTHING_SHARED:
        odd = tuple(name for name, array in tensors.items() if not is_plain(array))
        placement = Placement(SHARED, odd) if odd else placement
    route = asked.route(problem, placement, limited(context.room))
    _run(asked, route, tensors, results)


def whole_placement(device: Device) -> Placement:
    """Return where numpy arrays are for a device, if all of them are plain."""
    return EVERYTHING_SHARED if device.shares_host_memory else EVERYTHING_COPIED


def _run(
    asked: Asked, route: Route, tensors: Mapping[str, Array], results: Mapping[str, Array]
) -> None:
    """Run a route; of a part that fails, that part alone is tried again."""

    def run(route: Route) -> None:
        for places, part in route.parts:
            operands = {name: array[places[name]] for name, array in tensors.items()}
            _run(asked, part, operands, {n: array[places[n]] for n, array in results.items()})
        if not route.parts:
            _run_whole(asked.context, route, tensors, results)

    in_place = asked.context.device.shares_host_memory and _reads_result(route)
    asked.attempt(route, run, repeatable=not in_place)


def _reads_result(route: Route) -> bool:
    return getattr(route.division.problem, "beta", 0) != 0


def _run_whole(
    context: Context, route: Route, tensors: Mapping[str, Array], results: Mapping[str, Array]
) -> None:
    scratch = context.reserve(route.plan.plan, route.scratch)  # before buffers are made beside it
    operands = {name: plain(array) for name, array in tensors.items()}
    runs = {name: plain(array) for name, array in results.items()}
    if context.device.shares_host_memory:
        buffers = {n: over_host_memory(context, a) for n, a in {**operands, **runs}.items()}
    else:
        buffers = _copies(context, operands, runs, read=_reads_result(route))
    context.run(route.plan, buffers, (), scratch)
    for name, array in runs.items():
        if context.device.shares_host_memory:
            show_to_host(context, buffers[name], array)
        else:
            cl.enqueue_copy(context.queue, _bytes(array), buffers[name])
        if array is not results[name]:
            results[name][...] = array


def _copies(
    context: Context, operands: Mapping[str, Array], results: Mapping[str, Array], read: bool
) -> dict[str, cl.Buffer]:
    """Return buffers of the device's own; results are copied there only if they are to be read."""
    flags = cl.mem_flags
    copied = flags.READ_WRITE | flags.COPY_HOST_PTR
    given = {**operands, **results} if read else operands
    buffers = {n: cl.Buffer(context.opencl, copied, hostbuf=_bytes(a)) for n, a in given.items()}
    for name in results.keys() - given.keys():
        buffers[name] = cl.Buffer(context.opencl, flags.READ_WRITE, results[name].nbytes)
    return buffers


def _bytes(array: Array) -> Array:
    """Return the memory of a C-contiguous array: bfloat16 knows no buffer protocol."""
    return array.reshape(-1).view(np.uint8)


def over_host_memory(context: Context, array: Array) -> cl.Buffer:
    """Return a buffer that uses the array's own memory.

    READ_WRITE even for what is only read: Intel's CPU runtime copies a READ_ONLY array that is
    not aligned to 128 bytes (3 ms for 4 MB), and a READ_WRITE one never.
    """
    flags = cl.mem_flags
    access = flags.READ_WRITE if array.flags.writeable else flags.READ_ONLY
    memory = _bytes(array) if array.dtype.kind == "V" else array
    return cl.Buffer(context.opencl, access | flags.USE_HOST_PTR, hostbuf=memory)


def show_to_host(context: Context, buffer: cl.Buffer, array: Array) -> None:
    """Wait until `array` holds what was computed into the buffer over it."""
    queue = context.queue
    if not context.device.works_in_place:
        # Mapping is what makes the host see a buffer over its own memory, by the standard.
        whole, byte = (array.nbytes,), np.dtype(np.uint8)
        read = cl.map_flags.READ
        mapped, _ = cl.enqueue_map_buffer(queue, buffer, read, 0, whole, byte, is_blocking=True)
        mapped.base.release(queue)
    queue.finish()
