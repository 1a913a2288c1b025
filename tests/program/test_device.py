"""clconv/program/device.py: what is listed and what is chosen."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

import clconv
from clconv.algorithms.registry import select
from clconv.program import device as module
from clconv.program import quirks
from clconv.program.context import default_context
from clconv.program.quirks import Quirk
from clconv.spec.parse import parse


@pytest.fixture
def machine(device, monkeypatch):
    """A machine whose devices are made up from a real one."""

    def made_up(index, platform, name, kind, version="OpenCL 3.0"):
        return dataclasses.replace(
            device, index=index, platform=platform, name=name, kind=kind, version=version
        )

    found = (
        made_up("0:0", "Portable Computing Language", "cpu", "CPU", "OpenCL 3.0 PoCL 3.0-rc2"),
        made_up("0:1", "Portable Computing Language", "cpu", "CPU", "OpenCL 3.0 PoCL 3.1"),
        made_up("1:0", "Intel(R) OpenCL", "Xeon", "CPU"),
        made_up("2:0", "Intel(R) OpenCL Graphics", "UHD", "integrated GPU"),
        made_up("3:0", "NVIDIA CUDA", "RTX", "discrete GPU"),
        made_up("4:0", "rusticl", "llvmpipe (LLVM 15.0.6, 256 bits)", "CPU"),
        made_up("5:0", "Broken", "Void", "CPU"),
    )
    monkeypatch.delenv(module.CHOICE_VARIABLE, raising=False)
    broken = Quirk(text="adds up wrong", platform="Broken")
    monkeypatch.setattr(quirks, "QUIRKS", (*quirks.QUIRKS, broken))
    module._select.cache_clear()
    yield lambda *indices: monkeypatch.setattr(
        module, "devices", lambda: tuple(d for d in found if not indices or d.index in indices)
    )
    module._select.cache_clear()


def test_every_device_says_what_matters(device):
    assert device in clconv.devices()
    for each in clconv.devices():
        assert each.kind in module.RANK
        assert min(each.compute_units, each.simd_width_f32, each.local_memory_bytes) >= 1
        assert 0 < each.max_allocation_bytes <= each.global_memory_bytes
        assert each.driver_version
        assert {type(each.fp16), type(each.fp64), type(each.sub_groups)} == {bool}


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        ((), "3:0"),
        (("0:0", "0:1", "1:0", "2:0"), "2:0"),
        (("0:0", "0:1", "1:0"), "1:0"),
        (("0:1", "4:0"), "0:1"),
        (("0:0", "4:0"), "0:0"),
        (("5:0", "4:0"), "4:0"),
    ],
)
def test_rank(machine, present, chosen):
    machine(*present)
    assert clconv.select_device().index == chosen


@pytest.mark.parametrize(
    ("choice", "index"), [("nvidia", "3:0"), ("UHD", "2:0"), ("1:0", "1:0"), ("Portable", "0:1")]
)
def test_choice_by_argument_and_by_variable(machine, monkeypatch, choice, index):
    machine()
    assert clconv.select_device(choice).index == index
    monkeypatch.setenv(module.CHOICE_VARIABLE, choice)
    assert clconv.select_device().index == index
    assert clconv.select_device("3:0").index == "3:0"  # the argument comes first
    chosen = clconv.select_device()
    assert clconv.select_device(chosen) is chosen


def test_choice_by_version(machine):
    machine()
    assert clconv.select_device("PoCL 3.1").index == "0:1"
    assert clconv.select_device("pocl").index == "0:1"  # the one that is not known to be bad


def test_choice_that_matches_nothing_lists_what_there_is(machine):
    machine("1:0", "2:0")
    with pytest.raises(clconv.NoDeviceError, match=r"matches 'amd'; there are\n.*UHD .*2:0.*\n.*"):
        clconv.select_device("amd")


def test_known_bad_is_never_chosen_silently(machine):
    machine("5:0")
    with pytest.raises(clconv.NoDeviceError, match=r"known to be bad: .* adds up wrong"):
        clconv.select_device()
    with pytest.warns(RuntimeWarning, match="adds up wrong"):
        assert clconv.select_device("5:0").index == "5:0"


def test_no_device_names_what_to_install(machine):
    machine("none")
    with pytest.raises(clconv.NoDeviceError, match="no OpenCL device was found") as caught:
        clconv.select_device()
    for text in ("Linux", "pip install 'clconv[cpu]'", "macOS", "Windows"):
        assert text in str(caught.value)


def test_kernels_are_those_of_the_variable(device, monkeypatch):
    monkeypatch.delenv(module.KERNELS_VARIABLE, raising=False)
    assert module.describe(device.handle).kernels == ("cpu" if device.kind == "CPU" else "gpu")
    for kernels in ("cpu", "gpu"):
        monkeypatch.setenv(module.KERNELS_VARIABLE, kernels)
        assert module.describe(device.handle).kernels == kernels
    monkeypatch.setenv(module.KERNELS_VARIABLE, "GPU")
    with pytest.raises(ValueError, match="CLCONV_KERNELS must be one of cpu, gpu; got 'GPU'"):
        module.describe(device.handle)


def test_both_sets_of_kernels_keep_to_themselves(device):
    """Contexts, and with them plans, and what has passed its self-check, go by device."""
    problem = parse("conv_fwd:f32:n2c4o6g1:i9x8:k3x3:s1:p1.1:d1")
    sets = [dataclasses.replace(device, kernels=kernels) for kernels in ("cpu", "gpu")]
    contexts = [default_context(each) for each in sets]
    assert contexts[0] is not contexts[1]
    cpu, gpu = ([launch.macros for launch in select(problem, each).launches] for each in sets)
    assert cpu != gpu


def test_import_starts_no_opencl():
    code = "import sys, clconv; clconv.__version__; print('pyopencl' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.stdout.strip() == "False", finished.stderr
