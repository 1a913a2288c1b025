"""What OpenCL implementations are known to do wrong, and what clconv does about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirk:
    """A fault of the devices whose platform, name and version contain these substrings."""

    text: str
    platform: str = ""
    device: str = ""
    version: str = ""


# Known-bad implementations: never chosen unless asked for by name, and then with a warning.
KNOWN_BAD = (
    Quirk(
        text="PoCL 3.0-rc2 (PyPI's pocl-binary-distribution) aborts the whole process while"
        " compiling kernels with 16-wide vectors",
        platform="Portable Computing Language",
        version="PoCL 3.0-rc2",
    ),
    Quirk(  # docs/driver-issues/llvmpipe_loop_limit.py shows it
        text="llvmpipe ends a work-item's loops after 65535 iterations and says nothing: long sums"
        " are silently wrong",
        platform="rusticl",
        device="llvmpipe",
    ),
)


def find_quirk(platform: str, device: str, version: str) -> Quirk | None:
    """Return the first known-bad entry that describes this device."""
    for quirk in KNOWN_BAD:
        if quirk.platform in platform and quirk.device in device and quirk.version in version:
            return quirk
    return None
