"""clconv/algorithms/implicit_runs.py: the bits of im2col_gemm, however rows and boxes are cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.plans import of, random_operands, solve

from clconv.algorithms import implicit_runs
from clconv.algorithms.implicit_runs import RunsJob
from clconv.algorithms.pointwise import Pointwise
from clconv.algorithms.registry import select
from clconv.spec.parse import parse

TEXTS = (
    "conv_fwd:f32:n2c3o20g1:i9x32:k3x3:s1:p1.1:d1",
    "conv_fwd:f32:n2c6o22g2:i9x62:k3x2:s2x2:p1.2x1.2:d1x3:bias:relu",
    "conv_fwd:f32:n1c5o9g1:i301:k3:s1:p20.0:d20:beta0.5",
    "conv_fwd:f32:n1c4o9g1:i900:k3:s1:p0.0:d330",  # by taps
    "conv_fwd:f32:n1c2o17g1:i5x6x31:k3x2x3:s2x1x1:p1.1x1.0x1.1:d1x2x1:bias",
    "conv_fwd:f32:n2c3o5g1:i11x130:k4x4:s4:p0.2x0.1:d1:gelu",
    "conv_fwd:f32:n1c3o7g1:i7x150:k2x2:s3x5:p3.0x4.4:d2x1",
    "conv_fwd:f64:n2c4o10g1:i6x50:k3x3:s1:p2.0x0.0:d1",
)
FIRST = "conv_fwd:f32:n1c3o64g1:i224x224:k3x3:s1:p1.1:d1"
WAVES = "conv_fwd:f32:n1c64o128g1:i16512:k2:s1:p0.0:d512"


@pytest.fixture(autouse=True)
def served(device):
    """These kernels are a CPU's."""
    reason = Pointwise().refuse(parse("conv_fwd:f32:n1c1o1g1:i9:k1:s1:p0.0:d1"), device)
    if reason or not RunsJob(parse(FIRST), device).serves:
        pytest.skip(reason or f"{device} has too little local memory")


@pytest.fixture
def any_width(monkeypatch):
    """Rows that leave lanes idle are served as well."""
    monkeypatch.setattr(implicit_runs, "IDLE", np.inf)


def kernels_of(problem, device):
    return [launch.kernel for launch in select(problem, device, "implicit_gemm").launches]


@pytest.mark.parametrize("kilobytes", [96, 8, 5])
def test_the_bits_are_those_of_im2col_gemm(device, monkeypatch, any_width, kilobytes):
    monkeypatch.setattr(implicit_runs, "STAGED_BYTES", kilobytes * 1024)
    served = 0
    for problem in of(device, TEXTS):
        if kernels_of(problem, device) != ["implicit_runs"]:
            continue  # no room
        operands = random_operands(problem)
        names = ("implicit_gemm", "im2col_gemm")
        results = [solve(device, problem, name, operands) for name in names]
        np.testing.assert_array_equal(*results, err_msg=str(problem))
        served += 1
    assert served >= len(of(device, TEXTS)) - (2 if kilobytes < 8 else 0)


@pytest.mark.parametrize("width", [1, 4, 8, 16])
def test_processors_with_other_vectors(device, any_width, width):
    other = dataclasses.replace(device, simd_width_f32=width, simd_width_f64=max(width // 2, 1))
    for problem in of(device, TEXTS):
        if "gelu" in str(problem):
            continue  # of other vectors, another last bit of erfc
        operands = random_operands(problem)
        results = [solve(on, problem, "implicit_gemm", operands) for on in (other, device)]
        np.testing.assert_array_equal(*results, err_msg=str(problem))


def test_what_lies_far_apart_is_staged_by_taps(device):
    far, near = RunsJob(parse(WAVES), device), RunsJob(parse(FIRST), device)
    assert far.box().slots == (True, 2, 0)
    assert near.box().slots == (False, 1, 2)
    for job in (far, near):
        assert 0 < job.staged(job.box()) <= job.room


def test_boxes_are_many_enough_for_all_cores(device):
    many = dataclasses.replace(device, compute_units=28)
    job = RunsJob(parse(FIRST), many)
    assert job.boxes(job.box()) == 224
    assert job.launch().global_size[0] == 224


@pytest.mark.parametrize(
    "text",
    [
        FIRST + ":flip",
        FIRST.replace("k3x3", "k1x1"),
        FIRST.replace("c3o", "c29o"),  # 261 terms
        FIRST.replace("i224x224", "i224x56"),  # 64 lanes for 56 windows
        FIRST.replace("conv_fwd", "conv_bwd_data"),
        FIRST.replace("i224x224", "i900x224").replace("d1", "d400x1"),  # no window has room
    ],
    ids=str,
)
def test_others_are_left_to_images(device, text):
    wide = dataclasses.replace(device, simd_width_f32=16, max_vector_width=16)
    assert not RunsJob(parse(text), wide).serves
    assert "implicit_runs" not in kernels_of(parse(text), wide)


def test_little_local_memory(device):
    job = RunsJob(parse(FIRST), device)
    assert RunsJob(
        parse(FIRST), dataclasses.replace(device, local_memory_bytes=job.local_bytes)
    ).serves
    assert not RunsJob(
        parse(FIRST), dataclasses.replace(device, local_memory_bytes=job.local_bytes - 1)
    ).serves
