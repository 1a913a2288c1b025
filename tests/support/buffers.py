"""Counts the buffers that calls make, and lets the driver fail at will."""

from __future__ import annotations

import dataclasses
import weakref
from contextlib import contextmanager

import pyopencl as cl

from clconv.ops.execute import execute

CODES = {
    "Buffer": "MEM_OBJECT_ALLOCATION_FAILURE",
    "enqueue_nd_range_kernel": "OUT_OF_RESOURCES",
    "enqueue_copy": "OUT_OF_HOST_MEMORY",
    "enqueue_map_buffer": "OUT_OF_RESOURCES",
}


def in_mode(device, mode):
    """Return the device as one that shares the host's memory, or as one that does not."""
    return dataclasses.replace(device, shares_host_memory=mode == "shared")


def run(device, problem, tensors, algorithm="auto"):
    """Return the results of a problem; `out` is what beta multiplies, and is left as it is."""
    given = {name: array for name, array in tensors.items() if name != "out"}
    out = {"y": tensors["out"].copy()} if "out" in tensors else {}
    return execute(problem, given, device=device, algorithm=algorithm, out=out)


class Ledger:
    """The live buffers of a process, and the most bytes that they ever took together.

    A buffer over the memory of an array in `callers` takes nothing; the result of a call, which is
    known when it is over, is such an array too: see `peak_bytes`.
    """

    def __init__(self):
        self.live = {}  # number -> bytes, address of the array below or 0
        self.history = []  # (number, bytes or 0 at the end, address)
        self.largest_bytes = 0
        self._count = 0
        self._kept = {}

    def add(self, buffer, hostbuf, over):
        address = hostbuf.__array_interface__["data"][0] if over else 0
        self._count += 1
        number, size_bytes = self._count, buffer.size
        self.live[number] = size_bytes
        self.largest_bytes = max(self.largest_bytes, size_bytes)
        self.history.append((number, size_bytes, address))
        weakref.finalize(buffer, self._remove, number)

    def _remove(self, number):
        self.live.pop(number)
        self.history.append((number, 0, 0))

    def peak_bytes(self, *callers):
        """Return the most that buffers took at once, beyond the arrays of the caller's.

        What was kept from earlier calls counts from the first new buffer on: a call may give it
        back before.
        """
        spans = [_span(array) for array in callers]
        now, peak_bytes = dict(self._kept), 0
        for number, size_bytes, address in self.history:
            inside = any(first <= address < end for first, end in spans)
            now[number] = 0 if inside else size_bytes
            if size_bytes:
                peak_bytes = max(peak_bytes, sum(now.values()))
        return peak_bytes

    def forget(self):
        """Start anew, with what is live."""
        self._kept = dict(self.live)
        self.history = []
        self.largest_bytes = 0


def _span(array):
    first = array.__array_interface__["data"][0]
    return first, first + array.nbytes


@contextmanager
def counted(monkeypatch):
    """Count all buffers made inside."""
    ledger, plain = Ledger(), cl.Buffer

    class Counted(plain):
        def __init__(self, context, flags, size=0, hostbuf=None):
            super().__init__(context, flags, size, hostbuf)
            ledger.add(self, hostbuf, bool(flags & cl.mem_flags.USE_HOST_PTR))

    with monkeypatch.context() as patch:
        patch.setattr(cl, "Buffer", Counted)
        yield ledger


class Failures:
    """Makes every n-th allocation, launch, copy or mapping fail as without memory; 0: none."""

    def __init__(self, monkeypatch):
        self.every = self.calls = self.raised = 0
        for name in CODES:
            monkeypatch.setattr(cl, name, self._failing(name, getattr(cl, name)))

    def _count(self, name):
        self.calls += 1
        if self.every and self.calls % self.every == 0:
            self.raised += 1
            raise cl.MemoryError(f"{name} failed: {CODES[name]}")

    def _failing(self, name, original):
        count = self._count

        class Failing(original if name == "Buffer" else object):
            def __init__(self, *arguments, **options):
                count(name)
                super().__init__(*arguments, **options)

        def call(*arguments, **options):
            count(name)
            return original(*arguments, **options)

        return Failing if name == "Buffer" else call
