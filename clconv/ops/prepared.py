"""Plans for loops and services: a problem bound to a device once, then run on arrays."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyopencl as cl

from clconv.algorithms.selfcheck import checked_plan, passes
from clconv.errors import GeometryError
from clconv.ops.arrays import Array, is_device_array, is_plain, numpy_dtype, plain
from clconv.ops.host import over_host_memory, show_to_host
from clconv.ops.settings import accuracy_of, limited
from clconv.program.context import Context, context_of, default_context
from clconv.program.device import Device
from clconv.program.memory import Memory
from clconv.program.plan import Plan
from clconv.spec.parse import parse
from clconv.spec.tensor import Problem, Tensor

Buffers = Mapping[str, cl.Buffer]
NONE: Buffers = MappingProxyType({})


def plan(
    problem: str | Problem,
    *,
    device: str | Device | None = None,
    queue: cl.CommandQueue | None = None,
    algorithm: str = "auto",
    accuracy: str | None = None,
) -> PreparedPlan:
    """Bind a problem to a device: choose the algorithm, build the kernels, take the scratch memory.

    Parameters
    ----------
    problem : a problem string (docs/operators.md), or what `clconv.problem` returns
    device : see `conv`
    queue : one of your own instead, for pyopencl arrays in its context
    algorithm, accuracy : see `conv`

    Returns
    -------
    PreparedPlan : call it with the operands, as often as you like

    Raises
    ------
    ValueError, UnsupportedError : as the function that the problem states
    MemoryError : it does not fit `clconv.limits` in one piece; `conv` would run it in several
    """
    if queue is not None and device is not None:
        raise ValueError(f"a queue has its device: device={device!r} cannot be given with it")
    near = context_of(queue) if queue is not None else default_context(device)
    own = Context(near.device, near.queue, near.opencl)  # kernels and scratch memory of its own
    stated = parse(problem) if isinstance(problem, str) else problem
    chosen = checked_plan(own, stated, algorithm, accuracy_of(accuracy))
    need = _need(chosen, own.device)
    if not need.fits(limited(own.room)):
        raise MemoryError(
            f"{stated} needs {need.total_bytes} bytes at once, {need.largest_bytes} in one buffer,"
            " which passes the limits; clconv's functions run it in pieces"
        )
    return PreparedPlan(own, chosen, {} if _is_empty(stated) else own.reserve(chosen))


class PreparedPlan:
    """A problem with its kernels and scratch memory; made by `clconv.plan`.

    A call looks nothing up, compiles nothing and, given `out`, allocates nothing but the driver's
    handles of numpy arrays' memory. It may be called from any thread; calls take turns, for they
    share scratch memory.
    """

    def __init__(
        self, context: Context, plan: Plan, scratch: Buffers, given: Buffers = NONE
    ) -> None:
        self.plan = plan
        self._context, self._given, self._scratch = context, given, scratch
        self._bound = context.bind(plan)
        operands = plan.problem.operands
        self._operands = {n: _Expected(t) for n, t in operands.items() if n not in given}
        self._results = {n: _Expected(t) for n, t in plan.problem.results.items()}
        self._is_empty = _is_empty(plan.problem)
        self._reads_result = getattr(plan.problem, "beta", 0) != 0
        self._lock = threading.Lock()

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return self.plan.problem

    @property
    def device(self) -> Device:
        """Where."""
        return self._context.device

    @property
    def workspace_bytes(self) -> int:
        """Scratch memory that the plan keeps, and the operands prepared for it."""
        return self.plan.workspace_bytes + sum(buffer.size for buffer in self._given.values())

    def __str__(self) -> str:
        return str(self.plan)

    def __call__(self, *arrays: Array, out: Any = None) -> Any:
        """Solve the problem for these operands, in the order of `problem.operands`.

        Parameters
        ----------
        arrays : all numpy, or all pyopencl on a queue of the plan's context; of exactly the shapes
            and dtypes of the problem
        out : where the result goes; a tuple, if there are several. A problem with `beta` needs it

        Returns
        -------
        array, or a tuple of them : pyopencl arrays are enqueued, and nothing waits

        Raises
        ------
        TypeError : another number of operands, another kind of array, or another dtype
        ValueError : another shape; not C-contiguous; `out` is missing where it is read
        """
        if len(arrays) != len(self._operands):
            wanted = ", ".join(self._operands)
            raise TypeError(f"{self.problem} takes {wanted}; got {len(arrays)} arrays")
        on_device = is_device_array(arrays[0]) if arrays else is_device_array(out)
        given = dict(zip(self._operands, arrays, strict=True))
        for name, array in given.items():
            _check(name, array, self._operands[name], on_device)
        results = self._outputs(out, arrays, on_device)
        if self._is_empty:  # no images, or gradients of no terms
            for array in results.values():
                array.fill(0)
        else:
            with self._lock:
                run = self._on_queue if on_device else self._on_host
                run(given, results)
        done = tuple(results.values())
        return done[0] if len(done) == 1 else done

    def prepare_weights(self, w: Array) -> PreparedPlan:
        """Return this plan with the filters given, brought once into the form that kernels read.

        What is left to be called with are the other operands. `w` is copied: it may change.

        Raises
        ------
        ValueError, TypeError : the problem has no operand "w" left, or `w` is no such array
        """
        if "w" not in self._operands:
            raise ValueError(f"{self.problem} has no weights that could be prepared")
        _check("w", w, self._operands["w"], is_device_array(w))
        context = Context(self._context.device, self._context.queue, self._context.opencl)
        plan = self._to_prepare()
        first, rest = plan.split("w")
        scratch = {} if self._is_empty else context.reserve(plan)
        copy = cl.Buffer(context.opencl, cl.mem_flags.READ_WRITE, w.nbytes)
        if is_device_array(w):
            w.finish()
            cl.enqueue_copy(
                context.queue, copy, w.base_data, src_offset=w.offset, byte_count=w.nbytes
            )
        else:
            cl.enqueue_copy(context.queue, copy, plain(w).reshape(-1).view(np.uint8))
        if first.launches and scratch:
            context.run(context.bind(first), {"w": copy}, (), scratch)
        context.queue.finish()
        return PreparedPlan(context, rest, scratch, {**self._given, "w": copy})

    def _to_prepare(self) -> Plan:
        """Return the plan for operands prepared beforehand, if there is another with room."""
        plan = self.plan.prepared
        if plan is None or not _need(plan, self.device).fits(limited(self._context.room)):
            return self.plan
        other = plan.algorithm != self.plan.algorithm
        return self.plan if other and not passes(self._context, self.problem, plan) else plan

    def _outputs(self, out: Any, arrays: Sequence[Array], on_device: bool) -> dict[str, Array]:
        """Return the arrays that results go to: checked, or new."""
        if out is None:
            if self._reads_result:
                raise ValueError(f"{self.problem} adds to its result: out has to be given")
            return {name: self._empty(name, arrays, on_device) for name in self._results}
        several = out if isinstance(out, tuple) else (out,)
        if len(several) != len(self._results):
            raise TypeError(f"out must be {len(self._results)} arrays, got {len(several)}")
        named = dict(zip(self._results, several, strict=True))
        for name, array in named.items():
            _check(f"out ({name})", array, self._results[name], on_device)
            if not on_device and (not array.flags.writeable or not is_plain(array)):
                raise ValueError(f"out ({name}) is read-only or not C-contiguous")
            if not on_device and any(np.may_share_memory(array, other) for other in arrays):
                raise ValueError(f"out ({name}) shares memory with an operand")
        return named

    def _empty(self, name: str, arrays: Sequence[Array], on_device: bool) -> Array:
        wanted = self._results[name]
        if not on_device:
            return np.empty(wanted.shape, wanted.dtype)
        import pyopencl.array as cl_array

        return cl_array.empty(arrays[0].queue, wanted.shape, wanted.dtype)

    def _on_host(self, arrays: Mapping[str, Array], results: Mapping[str, Array]) -> None:
        context, shared = self._context, self._context.device.shares_host_memory
        operands = {name: plain(array) for name, array in arrays.items()}
        if shared:
            buffers = {n: over_host_memory(context, a) for n, a in {**operands, **results}.items()}
            context.run(self._bound, {**buffers, **self._given}, (), self._scratch)
            for name, array in results.items():
                show_to_host(context, buffers[name], array)
            return
        flags, reads = cl.mem_flags, self._reads_result
        buffers = {}
        for name, array in {**operands, **results}.items():
            buffers[name] = cl.Buffer(context.opencl, flags.READ_WRITE, array.nbytes)
            if name in operands or reads:
                cl.enqueue_copy(context.queue, buffers[name], array.reshape(-1).view(np.uint8))
        context.run(self._bound, {**buffers, **self._given}, (), self._scratch)
        for name, array in results.items():
            cl.enqueue_copy(context.queue, array.reshape(-1).view(np.uint8), buffers[name])

    def _on_queue(self, arrays: Mapping[str, Array], results: Mapping[str, Array]) -> None:
        everything = {**arrays, **results}
        for name, array in everything.items():
            if array.queue is None or array.queue.context != self._context.opencl:
                raise ValueError(f"{name} lives in another OpenCL context than the plan")
            if array.offset or not array.flags.c_contiguous:
                raise ValueError(f"{name} must be C-contiguous and begin its buffer")
        buffers = {name: array.base_data for name, array in everything.items()}
        waits = [event for array in everything.values() for event in array.events]
        # What came before on other queues is waited for by the device, not here.
        waits += [a.queue.enqueue_marker() for a in everything.values() if a.queue != self._queue]
        event = self._context.run(self._bound, {**buffers, **self._given}, waits, self._scratch)
        for array in results.values():
            array.add_event(event)

    @property
    def _queue(self) -> cl.CommandQueue:
        return self._context.queue


def _need(plan: Plan, device: Device) -> Memory:
    tensors = {*plan.problem.operands, *plan.problem.results}
    return plan.need(tensors, () if device.shares_host_memory else tensors)


def _is_empty(problem: Problem) -> bool:
    return any(0 in tensor.shape for tensor in problem.operands.values())


class _Expected:
    """What an array has to be: looked up at every call, so kept in numpy's terms."""

    def __init__(self, tensor: Tensor) -> None:
        self.shape, self.dtype = tensor.shape, numpy_dtype(tensor.dtype)


def _check(name: str, array: Any, wanted: _Expected, on_device: bool) -> None:
    if is_device_array(array) != on_device or not (on_device or isinstance(array, np.ndarray)):
        kind = "pyopencl" if on_device else "numpy"
        raise TypeError(
            f"{name} must be a {kind} array like the others, got {type(array).__name__}"
        )
    if array.dtype != wanted.dtype and array.dtype.name != wanted.dtype.name:
        raise TypeError(f"{name} has dtype {array.dtype}, but the plan is for {wanted.dtype}")
    if array.shape != wanted.shape:
        raise GeometryError(
            f"{name} has shape {tuple(array.shape)}, but the plan is for {wanted.shape}"
        )
