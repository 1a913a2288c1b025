"""What every algorithm answers, and the limits it plans within."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from clconv.program.device import Device
from clconv.program.plan import Plan
from clconv.spec.tensor import Problem

# Classes of accuracy. Strict: each element is within the bound of a plain sum of its own products,
# and exactly zero where all of these are. Fast: errors may spread over a tile (Winograd, FFT),
# under a bound of the algorithm's own.
STRICT, FAST = ACCURACIES = ("strict", "fast")

MEBIBYTE = 2**20
# Chunks of the im2col matrix that stay in a CPU's shared cache between unfolding and product.
CPU_WORKSPACE_BYTES = 16 * MEBIBYTE
GPU_WORKSPACE_BYTES = 256 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan may use; the same limits give the same plan, and any limits the same bits."""

    workspace_bytes: int  # aimed at by chunking; one chunk of the smallest size is always allowed


def default_limits(device: Device) -> Limits:
    """Return the limits that suit `device`."""
    wanted = CPU_WORKSPACE_BYTES if device.kernels == "cpu" else GPU_WORKSPACE_BYTES
    return Limits(min(wanted, device.max_allocation_bytes // 4))


class Algorithm(Protocol):
    """One way to solve some problems."""

    name: str
    accuracy: str  # the class that its results are in

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Say in a sentence why this algorithm does not serve, or None if it does."""

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return the launches; only called where `refuse` said None."""
