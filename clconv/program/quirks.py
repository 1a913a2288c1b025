"""What OpenCL implementations are known to do wrong, and what clconv does about it.

A quirk that names a limit is routed around: no kernel goes past the limit. One without makes the
device a known-bad one, which is never chosen unless asked for by name, and then with a warning.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirk:
    """A fault of the devices whose platform, name and version contain these substrings."""

    text: str
    platform: str = ""
    device: str = ""
    version: str = ""
    loop_turns: int | None = None  # of all loops of a work-item: see clconv/algorithms/loops.py
    vector_width: int | None = None  # elements of the widest vector that can be compiled
    emulated: bool = False  # stands in for a device that is not there: chosen last

    @property
    def is_handled(self) -> bool:
        """Whether kernels keep clear of the fault."""
        return self.loop_turns is not None or self.vector_width is not None


# The first that describes a device counts.
QUIRKS = (
    Quirk(
        text="PoCL 3.0-rc2 (PyPI's pocl-binary-distribution) aborts the whole process while"
        " compiling kernels with vectors of 8 doubles or 16 floats",
        platform="Portable Computing Language",
        version="PoCL 3.0-rc2",
        vector_width=4,
    ),
    Quirk(  # docs/driver-issues/llvmpipe_loop_limit.py shows it
        text="llvmpipe ends a work-item's loops after 65536 turns in all and says nothing",
        platform="rusticl",
        device="llvmpipe",
        loop_turns=65536,
        emulated=True,
    ),
)


def find_quirk(platform: str, device: str, version: str) -> Quirk | None:
    """Return the first entry that describes this device."""
    for quirk in QUIRKS:
        if quirk.platform in platform and quirk.device in device and quirk.version in version:
            return quirk
    return None
