"""Runs plans in buffers with guard zones around them, which nobody may write to."""

from __future__ import annotations

from math import prod

import numpy as np
import pyopencl as cl

from clconv.algorithms.registry import select
from clconv.ops.arrays import numpy_dtype
from clconv.program.context import context_of

ZONE_BYTES = 4096  # before and behind; as wide as any alignment of sub-buffers that is met
PATTERN = 0xA5


class Guarded:
    """A buffer between two zones of one larger buffer."""

    def __init__(self, queue, size_bytes):
        self.size_bytes = size_bytes
        whole = np.full(2 * ZONE_BYTES + size_bytes, PATTERN, np.uint8)
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        self._whole = cl.Buffer(queue.context, flags, hostbuf=whole)
        self.buffer = self._whole.get_sub_region(ZONE_BYTES, max(size_bytes, 1))

    def zones(self, queue):
        """Return the bytes around the buffer."""
        whole = np.empty(2 * ZONE_BYTES + self.size_bytes, np.uint8)
        cl.enqueue_copy(queue, whole, self._whole)
        return np.concatenate([whole[:ZONE_BYTES], whole[ZONE_BYTES + self.size_bytes :]])


def run_guarded(queue, problem, tensors, algorithm="auto", limits=None, device=None):
    """Return the results of a problem by name, and the names of buffers written around.

    `device` is that of the queue, with other kernels perhaps.
    """
    context = context_of(queue)
    plan = select(problem, device or context.device, algorithm, limits)
    given = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    sizes = {name: array.nbytes for name, array in given.items()}
    results = {
        name: np.empty(result.shape, numpy_dtype(result.dtype))
        for name, result in problem.results.items()
    }
    sizes |= {name: array.nbytes for name, array in results.items()} | dict(plan.workspace)
    guarded = {name: Guarded(queue, size) for name, size in sizes.items()}
    for name, array in given.items():
        cl.enqueue_copy(queue, guarded[name].buffer, array.reshape(-1).view(np.uint8))
    buffers = {name: each.buffer for name, each in guarded.items()}
    context._scratch.update({name: buffers[name] for name in plan.workspace})
    context.run(context.bind(plan), buffers)
    for name, array in results.items():
        cl.enqueue_copy(queue, array.reshape(-1).view(np.uint8), buffers[name])
    context._scratch.clear()
    touched = [name for name, each in guarded.items() if (each.zones(queue) != PATTERN).any()]
    assert all(prod(array.shape) for array in results.values())
    return results, touched
