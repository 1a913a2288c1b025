"""A context: one queue, the kernels bound to it, its scratch memory and its plans.

Kernel objects hold their arguments and scratch memory is reused from call to call, so a context
belongs to one thread and one queue. `default_context` and `context_of` keep one per thread.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import numpy as np
import pyopencl as cl

from clconv.program.build import build
from clconv.program.device import Device, describe, select_device, warn_if_bad
from clconv.program.fork import refuse_inherited
from clconv.program.memory import Memory, room_of
from clconv.program.plan import Launch, Plan, Size3

NOTHING, UNLIMITED = Memory(0, 0), Memory(sys.maxsize, sys.maxsize)
T = TypeVar("T")
QUEUES_REMEMBERED = 16  # per thread
PLANS_REMEMBERED = 512  # per context


@dataclass(frozen=True, slots=True)
class BoundLaunch:
    """A launch whose kernel is built and whose scalars are set; buffers are set at each run."""

    kernel: cl.Kernel
    global_size: Size3
    local_size: Size3
    buffers: tuple[tuple[int, str], ...]  # argument position, buffer name


@dataclass(frozen=True, slots=True)
class BoundPlan:
    """A plan ready to run in one context."""

    plan: Plan
    launches: tuple[BoundLaunch, ...]


@dataclass(slots=True)
class Context:
    """Everything that belongs to one queue of one thread."""

    device: Device
    queue: cl.CommandQueue
    opencl: cl.Context  # held: a queue of Intel's CPU runtime does not keep its context alive
    plans: OrderedDict[object, Any] = field(default_factory=OrderedDict)
    room: Memory = field(init=False)
    launched: bool = False  # since it was last set to False
    _scratch: dict[str, cl.Buffer] = field(default_factory=dict)
    _taken: Memory = NOTHING  # by scratch, as last reserved
    _last: list[cl.Event] = field(default_factory=list)
    _out_of_order: bool = field(init=False)

    def __post_init__(self) -> None:
        self.room = room_of(self.device)
        flag = cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE
        self._out_of_order = bool(self.queue.properties & flag)

    def bind(self, plan: Plan) -> BoundPlan:
        """Build the kernels of `plan` and fix their scalar arguments."""
        return BoundPlan(plan, tuple(self._bind(launch) for launch in plan.launches))

    def _bind(self, launch: Launch) -> BoundLaunch:
        program = build(self.opencl, self.device, launch.source, launch.macros)
        kernel = cl.Kernel(program, launch.kernel)
        buffers = []
        for position, argument in enumerate(launch.arguments):
            if isinstance(argument, str):
                buffers.append((position, argument))
            else:
                scalar = np.int32(argument) if isinstance(argument, int) else argument
                kernel.set_arg(position, scalar)
        return BoundLaunch(kernel, launch.global_size, launch.local_size, tuple(buffers))

    def remember(self, key: object, plan: T) -> T:
        """Keep `plan` under `key`, forgetting the one that was used longest ago if need be."""
        self.plans[key] = plan
        if len(self.plans) > PLANS_REMEMBERED:
            self.plans.popitem(last=False)
        return plan

    def run(
        self,
        bound: BoundPlan,
        tensors: Mapping[str, cl.Buffer],
        wait_for: Sequence[cl.Event] = (),
        scratch: Mapping[str, cl.Buffer] | None = None,
    ) -> cl.Event:
        """Enqueue the plan's launches in order and return the event of the last one.

        Nothing waits. On an out-of-order queue the launches are chained by events, this call's
        first one after the previous call's last: they share scratch memory. `scratch` is what
        `reserve` gave, if it has been asked.
        """
        buffers = {**tensors, **(self.reserve(bound.plan) if scratch is None else scratch)}
        waits = [*wait_for, *self._last]
        for launch in bound.launches:
            for position, name in launch.buffers:
                launch.kernel.set_arg(position, buffers[name])
            event = self._enqueue(launch, waits)
            self.launched = True
            waits = [event] if self._out_of_order else []
        self._last = waits
        return event

    def _enqueue(self, launch: BoundLaunch, waits: list[cl.Event]) -> cl.Event:
        sizes = (launch.kernel, launch.global_size, launch.local_size)
        try:
            return cl.enqueue_nd_range_kernel(self.queue, *sizes, wait_for=waits)
        except cl.MemoryError:  # once more, when what is under way has given its memory back
            self.queue.finish()
            return cl.enqueue_nd_range_kernel(self.queue, *sizes, wait_for=waits)

    def reserve(self, plan: Plan, room: Memory = UNLIMITED) -> dict[str, cl.Buffer]:
        """Return the plan's scratch buffers; they grow as needed and are kept between calls.

        Where those kept would not let all of them keep to `room`, they are given back first.
        """
        scratch, sizes = self._scratch, plan.workspace
        if self._taken.fits(room) and all(
            name in scratch and scratch[name].size >= size for name, size in sizes.items()
        ):
            return {name: scratch[name] for name in sizes}
        kept = {name: buffer.size for name, buffer in scratch.items()}
        after = kept | {name: max(kept.get(name, 0), size) for name, size in sizes.items()}
        if not _taken(after).fits(room):
            scratch.clear()
            kept, after = {}, dict(sizes)
        for name, size_bytes in sizes.items():
            if kept.get(name, 0) < size_bytes:
                scratch.pop(name, None)
                scratch[name] = cl.Buffer(self.opencl, cl.mem_flags.READ_WRITE, size_bytes)
        self._taken = _taken(after)
        return {name: scratch[name] for name in sizes}

    def recover(self) -> None:
        """After a failure: wait for what was enqueued all the same, and give scratch back."""
        with suppress(cl.Error):
            self.queue.finish()
        self._last = []
        self._scratch.clear()
        self._taken = NOTHING


def _taken(sizes: Mapping[str, int]) -> Memory:
    return Memory(sum(sizes.values()), max(sizes.values(), default=0))


class _PerThread(threading.local):
    """The contexts of one thread, by device and by queue."""

    def __init__(self) -> None:
        self.by_device: dict[Device, Context] = {}
        self.by_queue: OrderedDict[cl.CommandQueue, Context] = OrderedDict()


_contexts = _PerThread()
_lock = threading.Lock()


@cache
def _describe(handle: cl.Device) -> Device:
    device = describe(handle)
    warn_if_bad(device)
    return device


@cache
def _opencl_context_once(device: Device) -> cl.Context:
    return cl.Context([device.handle])


def _opencl_context(device: Device) -> cl.Context:
    with _lock:  # threads that come at the same time shall share one, and what is built in it
        return _opencl_context_once(device)


def default_context(choice: str | Device | None = None) -> Context:
    """Return this thread's context for a device (see `select_device` for `choice`).

    Raises
    ------
    NoDeviceError : there is none, or OpenCL was in use before this process was forked
    """
    refuse_inherited()
    device = select_device(choice)
    context = _contexts.by_device.get(device)
    if context is None:
        opencl = _opencl_context(device)
        queue = cl.CommandQueue(opencl, device.handle)
        context = _contexts.by_device[device] = Context(device, queue, opencl)
    return context


def context_of(queue: cl.CommandQueue) -> Context:
    """Return this thread's context for the caller's own queue; raises as `default_context`."""
    refuse_inherited()
    known = _contexts.by_queue
    if queue not in known:
        known[queue] = Context(_describe(queue.device), queue, queue.context)
        if len(known) > QUEUES_REMEMBERED:
            known.popitem(last=False)
    known.move_to_end(queue)
    return known[queue]
