"""Device memory: what something needs, and what there is room for."""

from __future__ import annotations

from typing import NamedTuple

from clconv.program.device import Device

# A part of what a device reports is left to its programs, its queues, its display and others.
RESERVED_SHARE = 8


class Memory(NamedTuple):
    """Bytes of device memory: what something needs, or what it may take."""

    total_bytes: int  # at once, in all
    largest_bytes: int  # in one buffer

    def fits(self, room: Memory) -> bool:
        """Whether there is room for this."""
        return self.total_bytes <= room.total_bytes and self.largest_bytes <= room.largest_bytes


def room_of(device: Device) -> Memory:
    """Return what the device reports, less a reserve."""
    total_bytes = device.global_memory_bytes - device.global_memory_bytes // RESERVED_SHARE
    return Memory(total_bytes, min(device.max_allocation_bytes, total_bytes))
