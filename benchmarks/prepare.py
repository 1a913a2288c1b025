"""What the benchmarks share: tensors on the device, and the calls that are timed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cl_array
from pyopencl.tools import ImmediateAllocator, MemoryPool

import clconv
from clconv.reference.shapes import ConvShape, Direction, PoolShape

Launch = Callable[[], cl.Event]
POOLINGS = ("max_pool", "max_pool_backward", "avg_pool", "avg_pool_backward")


@cache
def _home() -> tuple[cl.Context, cl.CommandQueue, MemoryPool]:
    """Return a context, kept alive for its queue, and memory that results take turns in."""
    context = cl.Context([clconv.select_device().handle])
    queue = cl.CommandQueue(context)
    # A pool: fresh memory for every result would time the operating system's page faults.
    return context, queue, MemoryPool(ImmediateAllocator(queue))


def to_device(array: np.ndarray[Any, Any]) -> Any:
    """Return a copy on the default device, or the one that CLCONV_DEVICE names."""
    _, queue, pool = _home()
    return cl_array.to_device(queue, array, allocator=pool)


def conv_call(
    shape: ConvShape, direction: Direction, algorithm: str = "auto", *, on_device: bool
) -> Callable[[], Any]:
    """Return a call of one direction, float32, on pyopencl arrays or on numpy's."""
    data = shape.random_tensors("float32")
    x, w, dy = map(to_device, data[:3]) if on_device else data[:3]
    options = {**shape.keywords(), "algorithm": algorithm}
    if direction == "forward":
        return partial(clconv.conv, x, w, **options)
    if direction == "backward_data":
        options["input_shape"] = shape.x_shape
        return partial(clconv.conv_backward_data, dy, w, **options)
    return partial(clconv.conv_backward_weights, x, dy, weight_shape=shape.w_shape, **options)


def prepare_conv(shape: ConvShape, direction: Direction, algorithm: str) -> Launch:
    """Return what enqueues a convolution whose tensors are on the device already."""
    return _launch(conv_call(shape, direction, algorithm, on_device=True))


def prepare_pool(shape: PoolShape, operator: str) -> Launch:
    """Return what enqueues one of POOLINGS on float32 tensors that are on the device already."""
    x, dy = map(to_device, shape.random_tensors("float32"))
    if operator == "max_pool":
        return _launch(partial(clconv.max_pool, x, shape.kernel, **shape.max_keywords()))
    if operator == "max_pool_backward":
        options = shape.max_keywords()
        _, indices = clconv.max_pool(x, shape.kernel, return_indices=True, **options)
        call = partial(clconv.max_pool_backward, dy, indices, input_shape=shape.x_shape)
        return _launch(call)
    options = shape.avg_keywords()
    if operator == "avg_pool":
        return _launch(partial(clconv.avg_pool, x, shape.kernel, **options))
    if operator == "avg_pool_backward":
        options["input_shape"] = shape.x_shape
        return _launch(partial(clconv.avg_pool_backward, dy, shape.kernel, **options))
    raise ValueError(f"operator must be one of {', '.join(POOLINGS)}; got {operator!r}")


def _launch(call: Callable[[], Any]) -> Launch:
    """Return `call` with the event of its result in place of the result."""
    return lambda: call().events[-1]
