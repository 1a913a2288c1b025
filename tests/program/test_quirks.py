"""clconv/program/quirks.py: which devices are described, and what of them is routed around."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest

from clconv.algorithms.registry import select
from clconv.conformance.cases import Case
from clconv.conformance.runner import DeviceBackend, run_case
from clconv.program import device as module
from clconv.program.quirks import QUIRKS, Quirk, find_quirk
from clconv.spec.parse import parse

POCL = "Portable Computing Language"
PROBLEMS = (
    "conv_fwd:f32:n2c4o6g1:i9x48:k3x3:s1:p1.1:d1",
    "conv_bwd_data:f32:n2c4o8g4:i9x48:k3x3:s2:p1.1:d1",
    "conv_bwd_weights:f32:n2c4o4g4:i9x48:k3x3:s1:p1.1:d1",
)


def test_quirks_are_told_apart():
    bad = "OpenCL 3.0 PoCL 3.0-rc2  Linux, Release, RELOC, LLVM 14.0.6, SLEEF 3.0-rc2"
    good = "OpenCL 3.0 PoCL 3.1+debian  Linux, None+Asserts, RELOC, SPIR, LLVM 15.0.6 3.1+debian"
    assert find_quirk(POCL, "pthread-AMD EPYC", bad).vector_width == 4
    assert not find_quirk(POCL, "pthread-haswell-AMD EPYC", good)
    llvmpipe = find_quirk("rusticl", "llvmpipe (LLVM 15.0.6, 256 bits)", "OpenCL 3.0  22.3.6")
    assert llvmpipe.loop_turns == 65536
    assert llvmpipe.emulated
    assert not find_quirk("rusticl", "AMD Radeon RX 6600", "OpenCL 3.0  22.3.6")


def test_what_names_no_limit_is_not_handled():
    assert not Quirk(text="adds up wrong").is_handled
    assert all(quirk.is_handled for quirk in QUIRKS)


def test_a_device_carries_the_limits_of_its_quirk(device, monkeypatch):
    for quirk in (Quirk("narrow", vector_width=4), Quirk("short", loop_turns=1000)):
        monkeypatch.setattr(module, "find_quirk", lambda *_, quirk=quirk: quirk)
        described = module.describe(device.handle)
        assert described.max_vector_width == (quirk.vector_width or module.MAX_VECTOR_WIDTH)
        assert described.max_loop_turns == quirk.loop_turns
        assert described.known_bad is None


@pytest.mark.parametrize("text", PROBLEMS)
def test_vectors_are_no_wider_than_the_device_can(device, text):
    narrow = dataclasses.replace(device, max_vector_width=8, simd_width_f32=16, kernels="cpu")
    for algorithm in ("auto", "im2col_gemm"):
        launches = select(parse(text), narrow, algorithm).launches
        assert {8} == {launch.macros["VW"] for launch in launches if "VW" in launch.macros}
        for outcome in run_case(partial(DeviceBackend, narrow), Case(parse(text), (algorithm,))):
            assert not outcome.is_miss, outcome
