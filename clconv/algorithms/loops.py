"""Turns of loops: what a launch states of itself, and what a device ends loops after.

A driver that ends a work-item's loops after so many turns in all computes long sums wrong without
a word (quirks.py). A turn is every test of a loop's condition: a loop that goes round n times takes
n + 1, for the last one ends it, and each time anew inside another loop. Loops count that a compiler
may unroll. So a launch's `turns` is an upper bound, by its kernel's loops.
"""

from __future__ import annotations

from dataclasses import replace

from clconv.algorithms.gemm import cut_product
from clconv.errors import UnsupportedError
from clconv.program.device import Device
from clconv.program.plan import Launch, Plan


def within_loop_limit(plan: Plan, device: Device) -> Plan:
    """Return `plan` with products cut along their sums, so that no work-item turns too long.

    How a sum is cut does not show in its bits.

    Raises
    ------
    UnsupportedError : a launch would, and cannot be cut
    """
    limit = device.max_loop_turns
    if limit is None or all(launch.turns <= limit for launch in plan.launches):
        return plan
    launches: list[Launch] = []
    for launch in plan.launches:
        pieces = (launch,) if launch.turns <= limit else cut_product(launch, limit)
        if not pieces:
            raise UnsupportedError(
                f"{launch.kernel} would turn its loops {launch.turns} times in a work-item;"
                f" {device} ends them after {limit}"
            )
        launches += pieces
    return replace(plan, launches=tuple(launches))
