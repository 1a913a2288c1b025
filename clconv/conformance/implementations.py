"""What can be put to the test: clconv on a device, or anybody's functions of the same names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from clconv.algorithms.registry import algorithm_names
from clconv.conformance.calls import Backend
from clconv.conformance.runner import DeviceBackend
from clconv.program.device import Device


@dataclass(frozen=True, slots=True)
class Implementation:
    """Functions under test, by the name of an algorithm of convolutions."""

    name: str
    option: str  # of `clconv verify`, which chooses it
    algorithms: tuple[str, ...]
    backend_of: Callable[[str], Backend]


def on_device(device: Device) -> Implementation:
    """Return clconv on a device."""
    return Implementation(
        f"{device}, driver {device.driver_version}",
        f"--device {device.index}",
        algorithm_names(),
        partial(DeviceBackend, device),
    )


def from_elsewhere(name: str) -> Implementation:
    """Return the object that "module:object" names, or the module itself; `import` finds it.

    The folder that Python was started in is searched, too.

    Raises
    ------
    ValueError : there is no such module, or nothing of that name in it
    """
    module_name, _, path = name.partition(":")
    if "" not in sys.path:
        sys.path.append("")
    try:
        backend: Backend = import_module(module_name)
        for part in filter(None, path.split(".")):
            backend = getattr(backend, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"backend {name!r} is no module:object: {error}") from error
    return Implementation(name, f"--backend {name}", ("auto",), lambda algorithm: backend)
