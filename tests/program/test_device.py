"""clconv/program/device.py and quirks.py: what is listed and what is chosen."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

import clconv
from clconv.program import device as module
from clconv.program.quirks import find_quirk


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
    )
    monkeypatch.delenv(module.CHOICE_VARIABLE, raising=False)
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
        (("0:0", "0:1"), "0:1"),
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
    machine("0:0")
    with pytest.raises(clconv.NoDeviceError, match=r"known to be bad: .* aborts the whole process"):
        clconv.select_device()
    with pytest.warns(RuntimeWarning, match="aborts the whole process"):
        assert clconv.select_device("0:0").index == "0:0"


def test_no_device_names_what_to_install(machine):
    machine("none")
    with pytest.raises(clconv.NoDeviceError, match="no OpenCL device was found") as caught:
        clconv.select_device()
    for text in ("Linux", "pip install 'clconv[cpu]'", "macOS", "Windows"):
        assert text in str(caught.value)


def test_quirks_are_told_apart():
    pocl = "Portable Computing Language"
    bad = "OpenCL 3.0 PoCL 3.0-rc2  Linux, Release, RELOC, LLVM 14.0.6, SLEEF 3.0-rc2"
    good = "OpenCL 3.0 PoCL 3.1+debian  Linux, None+Asserts, RELOC, SPIR, LLVM 15.0.6 3.1+debian"
    assert find_quirk(pocl, "pthread-AMD EPYC", bad)
    assert not find_quirk(pocl, "pthread-haswell-AMD EPYC", good)
    assert find_quirk("rusticl", "llvmpipe (LLVM 15.0.6, 256 bits)", "OpenCL 3.0  22.3.6")
    assert not find_quirk("rusticl", "AMD Radeon RX 6600", "OpenCL 3.0  22.3.6")


def test_import_starts_no_opencl():
    code = "import sys, clconv; clconv.__version__; print('pyopencl' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.stdout.strip() == "False", finished.stderr
