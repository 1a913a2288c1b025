"""Counts the buffers that calls make, and lets the driver fail at will."""

from __future__ import annotations

import weakref
from contextlib import contextmanager

import pyopencl as cl


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
        """Return the most that buffers took at once beyond the arrays of the caller's."""
        spans = [_span(array) for array in callers]
        now, peak_bytes = {}, 0
        for number, size_bytes, address in self.history:
            inside = any(first <= address < end for first, end in spans)
            now[number] = 0 if inside else size_bytes
            peak_bytes = max(peak_bytes, sum(now.values()))
        return peak_bytes

    def forget(self):
        """Start anew, with what is live."""
        self.history = [(number, size, 0) for number, size in self.live.items()]
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
    """Makes every n-th allocation, launch or copy fail as a driver without memory does."""

    def __init__(self, monkeypatch):
        self.every, self.calls, self.raised = 0, 0, 0
        buffer, launch, copy = cl.Buffer, cl.enqueue_nd_range_kernel, cl.enqueue_copy
        show = cl.enqueue_map_buffer
        wrapped = {
            "Buffer": (buffer, "MEM_OBJECT_ALLOCATION_FAILURE"),
            "enqueue_nd_range_kernel": (launch, "OUT_OF_RESOURCES"),
            "enqueue_copy": (copy, "OUT_OF_HOST_MEMORY"),
            "enqueue_map_buffer": (show, "MAP_FAILURE"),
        }
        for name, (function, code) in list(wrapped.items())[:3]:
            monkeypatch.setattr(cl, name, self._failing(function, code))

    def _failing(self, function, code):
        def call(*arguments, **options):
            self.calls += 1
            if self.every and self.calls % self.every == 0:
                self.raised += 1
                raise cl.MemoryError(f"{function.__name__} failed: {code}")
            return function(*arguments, **options)

        return call
