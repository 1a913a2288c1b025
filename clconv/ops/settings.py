"""What calls fall back on: the accuracy class, and the limits of memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from clconv.algorithms.base import ACCURACIES, STRICT
from clconv.ops.arguments import integer
from clconv.program.memory import Memory

VARIABLE = "CLCONV_ACCURACY"
_accuracy: ContextVar[str | None] = ContextVar("accuracy", default=None)
_limits: ContextVar[tuple[int | None, int | None]] = ContextVar("limits", default=(None, None))


@contextmanager
def settings(*, accuracy: str) -> Iterator[None]:
    """Set what calls inside the `with` fall back on, in this thread and in tasks begun in it.

    Parameters
    ----------
    accuracy : "strict" or "fast"; see `conv`

    Raises
    ------
    ValueError : it is neither
    """
    token = _accuracy.set(_known("accuracy", accuracy))
    try:
        yield
    finally:
        _accuracy.reset(token)


def accuracy_of(choice: Any) -> str:
    """Return the accuracy class of a call: its own, else that of `settings`, else the variable's.

    Raises
    ------
    ValueError : it is no accuracy class
    """
    if choice is not None:
        return _known("accuracy", choice)
    inherited = _accuracy.get()
    if inherited is not None:
        return inherited
    wanted = os.environ.get(VARIABLE)
    return _known(VARIABLE, wanted) if wanted else STRICT


def _known(name: str, value: Any) -> str:
    if value not in ACCURACIES:
        raise ValueError(f"{name} must be one of {', '.join(ACCURACIES)}; got {value!r}")
    return str(value)


@contextmanager
def limits(*, memory: int | None = None, allocation: int | None = None) -> Iterator[None]:
    """Set what calls inside the `with` may take of a device's memory, in this thread and its tasks.

    A call that would need more is run in pieces: chunks of the im2col matrix, parts of the batch,
    tiles with halos, groups, channels. The bits of the result do not depend on it. What is needed
    is known before anything is allocated.

    Counted are the buffers that a call makes and the scratch memory that its thread keeps for the
    device between calls (given back where it would stand in the way). A numpy array on a device
    that shares the host's memory is used where it lies and takes nothing, unless its order or
    alignment asks for a copy or it is cut other than along its first axes; on any other device it
    is copied. Of pyopencl arrays the operands are the caller's; results count. These are not cut:
    what has to fit is the workspace in its smallest chunks. Not counted are programs and, once for
    each kernel family, a self-check of a few kilobytes. `separable_conv` and `deform_conv_backward`
    are two calls, one after the other.

    Parameters
    ----------
    memory : bytes that a call may have allocated at once, at least 1; by default seven eighths of
        the device's global memory
    allocation : bytes of its largest buffer, at least 1; also of one that lies over an array of the
        caller's. By default what the device allocates at once

    None leaves a limit as it is outside; none reaches beyond what the device reports.

    Raises
    ------
    ValueError, TypeError : not a whole number, or less than 1

    A call inside raises MemoryError, before it allocates, where even its smallest pieces need more.
    """
    outside = _limits.get()
    given = (_bytes("memory", memory), _bytes("allocation", allocation))
    inside = tuple(old if new is None else new for new, old in zip(given, outside, strict=True))
    token = _limits.set((inside[0], inside[1]))
    try:
        yield
    finally:
        _limits.reset(token)


def limited(room: Memory) -> Memory:
    """Return what a call may take of `room`."""
    memory, allocation = _limits.get()
    if memory is None and allocation is None:
        return room
    total_bytes = min(room.total_bytes, memory or room.total_bytes)
    return Memory(total_bytes, min(room.largest_bytes, allocation or room.largest_bytes))


def _bytes(name: str, value: Any) -> int | None:
    if value is None:
        return None
    size_bytes = integer(name, value)
    if size_bytes < 1:
        raise ValueError(f"{name} must be at least 1 byte, got {value!r}")
    return size_bytes
