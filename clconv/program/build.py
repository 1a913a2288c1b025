"""Compiles kernel files for a device, once per context and set of macros.

Built programs are remembered in memory, and on disk (cache.py) if the driver does not do that.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pyopencl as cl
from pyopencl._cl import _Program as RawProgram
from pyopencl.characterize import has_src_build_cache

from clconv.errors import BuildError
from clconv.program import cache
from clconv.program.device import Device, identity
from clconv.program.source import read_source

# A program keeps its context alive, so contexts that callers have dropped must not pile up.
PROGRAMS_REMEMBERED = 256

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
    """Return a program out of the disk's cache, or built and put there."""
    text = read_source(source)
    if keeps_own_cache(device):
        return cl.Program(_from_source(context, device, source, text, options))
    key = cache_key(device, text, options)
    binary = cache.load(key)
    if binary is not None:
        with suppress(cl.Error):  # the driver refuses its own binary: it is built again
            program = RawProgram(context, [device.handle], [binary])
            _build(program, device, options)
            return cl.Program(program)
    program = _from_source(context, device, source, text, options)
    with suppress(cl.Error):  # a driver that hands out no binaries
        binaries: Any = program.get_info(cl.program_info.BINARIES)
        if binaries[0]:
            cache.store(key, binaries[0])
    return cl.Program(program)


def keeps_own_cache(device: Device) -> bool:
    """Tell whether the driver keeps built programs on disk itself: PoCL and NVIDIA's do.

    Two caches of the same would only disagree; and a binary of PoCL's is of use only if it is taken
    after the first launch, for only then are its kernels compiled.
    """
    return has_src_build_cache(device.handle) is True


def cache_key(device: Device, text: str, options: str) -> str:
    """Return everything that a built program depends on."""
    return "\n".join([identity(device), options, text])


def _from_source(
    context: cl.Context, device: Device, source: str, text: str, options: str
) -> RawProgram:
    program = RawProgram(context, text)
    try:
        _build(program, device, options)
    except (cl.RuntimeError, cl.LogicError) as error:
        log = program.get_build_info(device.handle, cl.program_build_info.LOG)
        message = f"{source} on {device}\noptions: {options}\n{error}\n{log}"
        raise BuildError(message) from error
    return program


def _build(program: RawProgram, device: Device, options: str) -> None:
    """Build without pyopencl's own disk cache and without a warning for notes in the log.

    Its cache unpickles what it finds in a directory whose owner it does not check, and one lock
    file holds up every process. Its warning could be silenced for all threads only.
    """
    quiet = getattr(program, "_build", program.build)
    quiet(options.encode(), [device.handle])
