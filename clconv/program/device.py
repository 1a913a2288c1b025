"""OpenCL devices: what they can do, and which one is taken."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from platform import machine, processor
from typing import Literal

import pyopencl as cl

from clconv.errors import NoDeviceError
from clconv.program.drivers import expose_installed_drivers
from clconv.program.fork import note_start
from clconv.program.quirks import Quirk, find_quirk

Kernels = Literal["cpu", "gpu"]
Kind = Literal["discrete GPU", "integrated GPU", "CPU", "accelerator"]
RANK: tuple[Kind, ...] = ("discrete GPU", "integrated GPU", "CPU", "accelerator")
# Between CPU drivers: starts a kernel in 3 us where PoCL 3.1 takes 18 (AMD Zen 4).
PREFERRED_PLATFORM = "Intel(R) OpenCL"
# CPU drivers whose buffers over host memory are that memory: mapping them, as others need, moves
# nothing and takes longer than a small kernel.
IN_PLACE_PLATFORMS = ("Intel(R) OpenCL", "Portable Computing Language")
CHOICE_VARIABLE = "CLCONV_DEVICE"
KERNELS_VARIABLE = "CLCONV_KERNELS"
MAX_VECTOR_WIDTH = 16  # elements, in OpenCL C

NO_DEVICE = """no OpenCL device was found. Install a driver:
  Linux    CPU: pip install 'clconv[cpu]'   (x86-64), or apt install pocl-opencl-icd
           GPU: apt install nvidia-opencl-icd, intel-opencl-icd or rocm-opencl-icd
  macOS    OpenCL is part of the system; another driver: conda install -c conda-forge pocl
  Windows  the graphics driver brings OpenCL; for a CPU install Intel's CPU Runtime for OpenCL"""


@dataclass(frozen=True, slots=True)
class Device:
    """One OpenCL device and what of it matters for convolution."""

    index: str  # "platform:device", as CLCONV_DEVICE takes it
    platform: str
    name: str
    kind: Kind
    version: str  # of the platform, which tells implementations apart
    driver_version: str
    compute_units: int
    simd_width_f32: int  # native vector width for float, in elements
    simd_width_f64: int
    local_memory_bytes: int
    global_memory_bytes: int
    max_allocation_bytes: int
    max_work_group_size: int
    fp16: bool
    fp64: bool
    sub_groups: bool
    rounds_division: bool  # float division can be built correctly rounded
    shares_host_memory: bool
    kernels: Kernels  # meant for: one work-item a group and wide vectors, or groups and narrow ones
    max_vector_width: int  # elements of a vector type that its compiler can be trusted with
    max_loop_turns: int | None  # of a work-item's loops in all, where the driver ends them then
    handle: cl.Device = field(repr=False, compare=True)

    def __hash__(self) -> int:
        return hash(self.handle)  # asked for in every call

    def answers_to(self, wanted: str) -> bool:
        """Whether `wanted` is this device's number or part of its names: "pocl" is in a version."""
        names = f"{self.platform} {self.name} {self.version}".lower()
        return wanted == self.index or wanted.lower() in names

    @property
    def known_bad(self) -> str | None:
        """Why this device is never chosen silently, if so."""
        quirk = self.quirk
        return quirk.text if quirk and not quirk.is_handled else None

    @property
    def quirk(self) -> Quirk | None:
        """What it is known to do wrong."""
        return find_quirk(self.platform, self.name, self.version)

    @property
    def works_in_place(self) -> bool:
        """Whether the host sees what kernels wrote over its memory, once they have ended."""
        in_place = self.platform in IN_PLACE_PLATFORMS
        return in_place and self.kind == "CPU" and self.shares_host_memory

    def rank(self) -> tuple[bool, bool, int, bool, bool]:
        """Return the sort key of the default choice, best first."""
        quirk = self.quirk
        return (
            self.known_bad is not None,
            quirk is not None and quirk.emulated,
            RANK.index(self.kind),
            quirk is not None,
            self.platform != PREFERRED_PLATFORM,
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.platform}, {self.index})"


@cache
def devices() -> tuple[Device, ...]:
    """List every OpenCL device of every platform, in the loader's order.

    A platform that lists no device or fails while asked (Mesa's old Clover does) is passed over.
    """
    note_start()
    expose_installed_drivers()
    found = []
    try:
        platforms = cl.get_platforms()
    except cl.Error:  # the loader's answer to "no driver at all" is an error
        platforms = []
    for p, platform in enumerate(platforms):
        try:
            handles = platform.get_devices()
        except cl.Error:
            continue
        found += [describe(handle, f"{p}:{d}") for d, handle in enumerate(handles)]
    return tuple(found)


def describe(handle: cl.Device, index: str = "?:?") -> Device:
    """Read the facts of one device; asked once, they do not change."""
    note_start()
    extensions = handle.extensions.split()
    rounded = handle.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
    platform, name = handle.platform.name.strip(), handle.name.strip()
    version, kind = f"{handle.platform.version} {handle.driver_version}", _kind(handle)
    quirk = find_quirk(platform, name, version)
    return Device(
        index=index,
        platform=platform,
        name=name,
        kind=kind,
        version=version,
        driver_version=handle.driver_version,
        compute_units=handle.max_compute_units,
        simd_width_f32=max(handle.native_vector_width_float, 1),
        simd_width_f64=max(handle.native_vector_width_double, 1),
        local_memory_bytes=handle.local_mem_size,
        global_memory_bytes=handle.global_mem_size,
        max_allocation_bytes=handle.max_mem_alloc_size,
        max_work_group_size=handle.max_work_group_size,
        fp16="cl_khr_fp16" in extensions,
        fp64="cl_khr_fp64" in extensions,
        sub_groups="cl_khr_subgroups" in extensions or "cl_intel_subgroups" in extensions,
        rounds_division=bool(rounded),
        shares_host_memory=bool(handle.host_unified_memory),
        kernels=kernels_for(kind),
        max_vector_width=(quirk and quirk.vector_width) or MAX_VECTOR_WIDTH,
        max_loop_turns=quirk.loop_turns if quirk else None,
        handle=handle,
    )


def kernels_for(kind: Kind) -> Kernels:
    """Return which kernels a device of this kind gets: CLCONV_KERNELS, else what suits it.

    Raises
    ------
    ValueError : the variable is neither "cpu" nor "gpu"
    """
    wanted = os.environ.get(KERNELS_VARIABLE) or ("cpu" if kind == "CPU" else "gpu")
    kernels: Kernels
    for kernels in ("cpu", "gpu"):
        if kernels == wanted:
            return kernels
    raise ValueError(f"{KERNELS_VARIABLE} must be one of cpu, gpu; got {wanted!r}")


def identity(device: Device) -> str:
    """Return what tells a device and its driver from others: what a built program depends on.

    A CPU's compiler takes whatever instructions the processor has, and homes are shared between
    machines: so the processor's features belong to it.
    """
    # Not what changes with the machine's load (PoCL's memory) or with what else is installed.
    facts = {
        "names": (device.platform, device.name, device.version, device.driver_version),
        "vector widths": (device.simd_width_f32, device.simd_width_f64),
        "extensions": device.handle.extensions,
        "machine": _processor() if device.kind == "CPU" else machine(),
        "settings": sorted(item for item in os.environ.items() if item[0].startswith("CL_")),
    }
    return repr(facts)


@cache
def _processor() -> str:
    """Return the processor's model and features, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{machine()} {processor()}"
    told = ("model name", "flags", "Features")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(told)))


def _kind(handle: cl.Device) -> Kind:
    if handle.type & cl.device_type.GPU:
        return "integrated GPU" if handle.host_unified_memory else "discrete GPU"
    return "CPU" if handle.type & cl.device_type.CPU else "accelerator"


def select_device(choice: str | Device | None = None) -> Device:
    """Return the device that `choice`, else CLCONV_DEVICE, else the rank names.

    Parameters
    ----------
    choice : a Device; a substring of a platform's or a device's name or version, case ignored
        ("intel", "pocl"); or "platform:device" numbers as `clconv.devices()` lists them

    Raises
    ------
    NoDeviceError : there is no device, none matches, or only known-bad ones are left by default
    """
    if isinstance(choice, Device):
        return choice
    if choice is not None and not isinstance(choice, str):
        raise TypeError(f"device must be a Device or a str, got {type(choice).__name__}")
    return _select(choice or os.environ.get(CHOICE_VARIABLE))


@cache
def _select(wanted: str | None) -> Device:
    found = sorted(devices(), key=Device.rank)
    if not found:
        raise NoDeviceError(NO_DEVICE)
    return _named(wanted, found) if wanted else _best(found[0])


def _named(wanted: str, found: list[Device]) -> Device:
    for device in found:
        if device.answers_to(wanted):
            warn_if_bad(device)
            return device
    listing = "\n".join(f"  {device}" for device in found)
    raise NoDeviceError(f"no OpenCL device matches {wanted!r}; there are\n{listing}")


def warn_if_bad(device: Device) -> None:
    """Say so where somebody uses a device that is known to be bad."""
    if device.known_bad:
        warnings.warn(f"{device}: {device.known_bad}", RuntimeWarning, stacklevel=2)


def _best(device: Device) -> Device:
    if device.known_bad:
        raise NoDeviceError(
            f"the only OpenCL device is known to be bad: {device}: {device.known_bad}."
            f" Set {CHOICE_VARIABLE}={device.index} to use it all the same.\n{NO_DEVICE}"
        )
    return device
