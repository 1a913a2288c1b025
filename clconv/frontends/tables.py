"""Tables that the command line prints, and the devices it goes through."""

from __future__ import annotations

import os

from rich.table import Table

from clconv.errors import NoDeviceError
from clconv.program.device import CHOICE_VARIABLE, NO_DEVICE, Device, devices, select_device

GIBIBYTE = 2**30


def usable_devices(choice: str | None) -> list[Device]:
    """Return the device that `choice` or CLCONV_DEVICE names, or all that are not known to be bad.

    The best comes first.
    """
    if choice or os.environ.get(CHOICE_VARIABLE):
        return [select_device(choice)]
    found = [device for device in sorted(devices(), key=Device.rank) if not device.known_bad]
    return found or [select_device()]  # which explains why there is none


def device_table() -> Table:
    """Return a table of all devices.

    Raises
    ------
    NoDeviceError : there is none
    """
    if not devices():
        raise NoDeviceError(NO_DEVICE)
    table = Table(title="OpenCL devices, the default first", show_lines=True)
    table.add_column("")
    table.add_column("device", overflow="fold")
    table.add_column("compute", no_wrap=True)
    table.add_column("memory", no_wrap=True)
    for device in sorted(devices(), key=Device.rank):
        table.add_row(device.index, _identity(device), _compute(device), _memory(device))
    table.caption = (
        "Choose one by CLCONV_DEVICE=NAME, or device=NAME in Python; numbers do as well."
    )
    return table


def _identity(device: Device) -> str:
    lines = [f"[bold]{device.name}[/]", device.platform, f"driver {device.driver_version}"]
    if device.known_bad:
        lines.append(f"[red]known bad: {device.known_bad}[/]")
    return "\n".join(lines)


def _compute(device: Device) -> str:
    features = {"fp16": device.fp16, "fp64": device.fp64, "sub-groups": device.sub_groups}
    return "\n".join(
        [
            device.kind,
            f"{device.compute_units} compute units",
            f"SIMD of {device.simd_width_f32} floats",
            " ".join(name for name, present in features.items() if present),
        ]
    )


def _memory(device: Device) -> str:
    return "\n".join(
        [
            f"{device.global_memory_bytes / GIBIBYTE:.1f} GiB",
            f"{device.max_allocation_bytes / GIBIBYTE:.1f} GiB at once",
            f"{device.local_memory_bytes // 1024} KiB local",
            "shared with the host" if device.shares_host_memory else "of its own",
        ]
    )
