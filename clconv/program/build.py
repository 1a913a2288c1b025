"""Compiles kernel files for a device, once per context and set of macros."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Mapping

import pyopencl as cl

from clconv.errors import BuildError
from clconv.program.device import Device
from clconv.program.source import read_source

# A program keeps its context alive, so contexts that callers have dropped must not pile up.
PROGRAMS_REMEMBERED = 1024

_programs: OrderedDict[tuple[cl.Context, str, str], cl.Program] = OrderedDict()
_lock = threading.Lock()


def build_options(device: Device, macros: Mapping[str, int | str]) -> str:
    """Return the compiler options; OpenCL C 1.2 is what every driver of interest takes."""
    options = ["-cl-std=CL1.2", "-w"]  # PoCL prints its warnings straight to stderr
    if device.rounds_division:
        options.append("-cl-fp32-correctly-rounded-divide-sqrt")
    return " ".join(options + [f"-D{name}={value}" for name, value in sorted(macros.items())])


def build(
    context: cl.Context, device: Device, source: str, macros: Mapping[str, int | str]
) -> cl.Program:
    """Return the program of kernel file `source` with `macros` set.

    Raises
    ------
    BuildError : the driver's compiler refused; carries file, device, options and log
    """
    options = build_options(device, macros)
    key = (context, source, options)
    with _lock:  # compilers inside drivers are not all re-entrant
        if key not in _programs:
            _programs[key] = _compile(context, device, source, options)
            if len(_programs) > PROGRAMS_REMEMBERED:
                _programs.popitem(last=False)
        _programs.move_to_end(key)
        return _programs[key]


def _compile(context: cl.Context, device: Device, source: str, options: str) -> cl.Program:
    program = cl.Program(context, read_source(source))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)  # notes of a build that worked
            built: cl.Program = program.build(options, devices=[device.handle])
    except cl.RuntimeError as error:
        raise BuildError(f"{source} on {device}\noptions: {options}\n{error}") from error
    return built
