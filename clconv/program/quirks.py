"""What OpenCL implementations are known to do wrong, and what clconv does about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirk:
    """A fault of the implementations whose platform and version contain these substrings."""

    platform: str
    version: str
    text: str


# Known-bad implementations: never chosen unless asked for by name, and then with a warning.
KNOWN_BAD = (
    Quirk(
        platform="Portable Computing Language",
        version="PoCL 3.0-rc2",
        text="PoCL 3.0-rc2 (PyPI's pocl-binary-distribution) aborts the whole process while"
        " compiling kernels with 16-wide vectors",
    ),
)

# Software rasterisers that offer compute: right, but several times slower than a CPU driver.
SLOW = (
    Quirk(platform="rusticl", version="", text="rusticl on llvmpipe emulates a GPU on the CPU"),
)


def find_quirk(table: tuple[Quirk, ...], platform: str, version: str) -> Quirk | None:
    """Return the first entry of `table` that describes this implementation."""
    for quirk in table:
        if quirk.platform in platform and quirk.version in version:
            return quirk
    return None
