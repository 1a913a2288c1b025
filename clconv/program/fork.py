"""Forked processes: OpenCL that was started before a fork is of no use in the child.

A driver's threads do not live on in the child, and locks that they held stay locked. PoCL 3.1 has
threads from the moment its devices are listed, and a forked child waits for them forever. Intel's
CPU runtime has them from the first kernel on; 7 of 520 children hung, in a mutex of TBB that a
thread of the parent had held. No library can mend that from outside, and a call that hangs is the
worst of answers: so it is refused. A child of a process that only imported clconv starts OpenCL for
itself.
"""

from __future__ import annotations

import os

from clconv.errors import NoDeviceError

_REFUSAL = (
    "OpenCL was in use before this process was forked, and drivers do not survive that. Start"
    " processes by multiprocessing.get_context('spawn') or 'forkserver', or make the first call of"
    " clconv after the fork"
)
_started = False
_inherited = False


def note_start() -> None:
    """Remember that drivers are in use from now on; called before the first is."""
    global _started
    _started = True


def refuse_inherited() -> None:
    """Raise NoDeviceError in a process that was forked when OpenCL was in use."""
    if _inherited:
        raise NoDeviceError(_REFUSAL)


def _after_fork() -> None:
    global _inherited
    _inherited = _started


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
