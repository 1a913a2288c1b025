"""clconv/algorithms/winograd.py: within its bound, and how work is cut does not show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.grid import hold
from support.plans import of, random_operands, solve

import clconv
from clconv.algorithms import winograd
from clconv.algorithms.base import Limits
from clconv.algorithms.registry import select
from clconv.algorithms.selfcheck import operands_of, stored
from clconv.algorithms.winograd import Winograd
from clconv.conformance.fast import winograd_error
from clconv.spec.parse import parse

NAMES = ("winograd_f4", "winograd_f2")
TEXTS = (
    "conv_fwd:f32:n1c1o1g1:i1x1:k3x3:s1:p1.1:d1",
    "conv_fwd:f32:n3c5o7g1:i9x8:k3x3:s1:p1.0:d1:bias",
    "conv_fwd:f32:n2c34o20g2:i14x15:k3x3:s1:p1.1:d1:flip",
    "conv_fwd:f32:n40c17o9g1:i7x7:k3x3:s1:p1.1:d1:beta0.5:relu",
    "conv_fwd:f32:n1c3o4g1:i25x150:k3x3:s1:p2.1:d1:bias:gelu",
    "conv_fwd:f64:n2c20o20g1:i6x11:k3x3:s1:p0.0:d1",
    "conv_bwd_data:f32:n3c5o7g1:i9x8:k3x3:s1:p1.0:d1:bias",
    "conv_bwd_data:f32:n2c18o34g2:i14x15:k3x3:s1:p4.1x0.3:d1:flip",
    "conv_fwd:f32:n2c5o7g1:i4x9x8:k3x3x3:s1:p1.2x1.0x0.1:d1:bias",
    "conv_fwd:f32:n1c6o9g3:i5x14x6:k2x3x3:s1:p0.0x1.1x1.1:d1:flip",
    "conv_bwd_data:f32:n2c5o18g1:i6x5x9:k4x3x3:s1:p5.2x1.1x0.1:d1",
    "conv_bwd_data:f32:n2c4o6g2:i3x5x4:k3x3x3:s1:p1.1:d1:flip:bias",
)


@pytest.fixture(autouse=True)
def served(device):
    """These kernels are a CPU's."""
    reason = Winograd(4).refuse(parse(TEXTS[0]), device)
    if reason:
        pytest.skip(reason)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_holds(device, name):
    texts = [text for text in TEXTS if device.fp64 or ":f64:" not in text]
    assert hold(device, texts, name) >= 4 * len(texts)


@pytest.mark.parametrize("name", NAMES)
def test_how_panels_are_cut_into_chunks_does_not_show(device, monkeypatch, name):
    problems = of(device, TEXTS)
    whole = [solve(device, p, name, random_operands(p)) for p in problems]
    monkeypatch.setattr(winograd, "CHUNK_BYTES", 0)
    few = dataclasses.replace(device, compute_units=1)
    chunked = 0
    for problem, expected in zip(problems, whole, strict=True):
        plan = select(problem, few, name)
        chunked += len(plan.launches) > 3
        result = solve(few, problem, name, random_operands(problem))
        np.testing.assert_array_equal(result, expected, err_msg=str(problem))
    assert chunked >= 2


@pytest.mark.parametrize("name", NAMES)
def test_filters_among_the_products_have_the_bits_of_stored_ones(device, monkeypatch, name):
    texts = ("conv_fwd:f32:n1c130o9g1:i14x14:k3x3:s1:p1.1:d1:bias", *TEXTS)
    for problem in of(device, texts):
        operands, results = random_operands(problem), []
        for panels, together in ((0, 4), (1000, 1), (1000, 4)):
            monkeypatch.setattr(winograd, "INSIDE", panels)
            monkeypatch.setattr(winograd, "TOGETHER", together)
            plan = select(problem, device, name)
            if problem.dtype == "float32" or together == 1:  # else local memory may be too small
                assert ("u" in plan.workspace) == (panels == 0)
            results.append(solve(device, problem, name, operands))
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0], err_msg=str(problem))


def test_filters_go_inside_where_they_have_no_room(device):
    problem = parse("conv_fwd:f32:n8c40o64g1:i30x31:k3x3:s1:p1.1:d1")
    assert "u" in select(problem, device, "winograd_f4").workspace
    tight = dataclasses.replace(device, max_allocation_bytes=3 * 10**5)
    plan = select(problem, tight, "winograd_f4", Limits(workspace_bytes=3 * 10**5))
    assert set(plan.workspace) == {"v"}
    assert plan.prepared is None


@pytest.mark.parametrize("width", [1, 4, 8])
def test_processors_with_narrow_vectors(device, width):
    narrow = dataclasses.replace(device, simd_width_f32=width, simd_width_f64=max(width // 2, 1))
    for problem in of(device, TEXTS):
        operands = random_operands(problem)
        if "gelu" in str(problem):
            continue  # of other vectors, another last bit of erfc
        results = [solve(on, problem, "winograd_f4", operands) for on in (narrow, device)]
        np.testing.assert_array_equal(*results, err_msg=str(problem))


@pytest.mark.parametrize("name", NAMES)
def test_pieces_of_an_image_have_its_tiles(device, name):
    """A limit on memory cuts where tiles meet."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 3, 150, 70)).astype(np.float32)
    w = rng.standard_normal((5, 3, 3, 3)).astype(np.float32)
    options = {"padding": (1, 2), "algorithm": name, "device": device}
    whole = clconv.conv(x, w, **options)
    dx = clconv.conv_backward_data(whole, w, input_shape=x.shape, **options)
    shape = {"input_shape": x.shape}
    for allocation in (2**15, 2**16, 70000):  # pieces of as many rows as fit would be 8, 15 and 30
        with clconv.limits(allocation=allocation):
            np.testing.assert_array_equal(clconv.conv(x, w, **options), whole)
            again = clconv.conv_backward_data(whole, w, **shape, **options)
            np.testing.assert_array_equal(again, dx)


def test_auto_takes_it_where_errors_may_spread(device):
    layer = "conv_{}:f32:n4c{}o32g1:i{}x{}:k3x3:s1:p1.1:d1"
    for text, fast in (
        (layer.format("fwd", 16, 14, 14), "winograd_f4"),
        (layer.format("bwd_data", 16, 14, 14), "winograd_f4"),
        (layer.format("fwd", 16, 2, 16), "winograd_f2"),
        (layer.format("fwd", 16, 4, 4), "winograd_f2"),
        (layer.format("fwd", 16, 2, 4), "implicit_gemm"),
        (layer.format("fwd", 3, 14, 14), "implicit_gemm"),
        (layer.format("bwd_weights", 16, 14, 14), "implicit_gemm"),
        ("conv_fwd:f32:n1c16o32g1:i4x14x14:k3x3x3:s1:p1.1:d1", "winograd_f4"),
    ):
        assert select(parse(text), device, accuracy="fast").algorithm == fast
        assert select(parse(text), device).algorithm == "implicit_gemm"


def test_refusals(device):
    refuse = Winograd(4).refuse
    dense = "conv_fwd:f32:n2c3o4g1:i5x6:k3x3:s1:p1.1:d1"
    assert refuse(parse(dense), device) is None
    assert refuse(parse("max_pool:f32:n1c1:i4:k2:s1:p0.0:d1"), device).endswith("only")
    for changes in ({"kernels": "gpu"}, {"max_loop_turns": 65536}):
        assert "suits the caches" in refuse(parse(dense), dataclasses.replace(device, **changes))
    volume = dense.replace("i5x6:k3x3", "i4x5x6:k3x3x3")
    assert refuse(parse(volume), device) is None
    for text in (dense, volume):
        for old, new in (("3:s1", "2:s1"), ("s1", "s2"), ("d1", "d2")):
            assert "takes 3x3 and kx3x3" in refuse(parse(text.replace(old, new)), device)
    assert "takes 3x3 and kx3x3" in refuse(parse(dense.replace("5x6:k3x3", "9:k3")), device)
    assert "floating-point" in refuse(parse(dense.replace("f32", "i32")), device)
    assert "gradients of data" in refuse(parse(dense.replace("fwd", "bwd_weights")), device)
    assert "vectors of 8" in refuse(parse(dense), dataclasses.replace(device, max_vector_width=4))
    little = dataclasses.replace(device, local_memory_bytes=2**10)
    assert "more local memory" in refuse(parse(dense), little)
    tight = dataclasses.replace(device, max_allocation_bytes=2**8)
    assert "bytes for v" in refuse(parse(dense), tight)


def test_self_checks_are_rounded_to_the_right_whole_numbers():
    checked = 0
    for family, cases in stored().items():
        name = family.split()[0]
        for text in cases if name in NAMES else ():
            problem = parse(text.replace("{t}", "f32"))
            arrays = {n: a.astype(np.float32) for n, a in operands_of(problem).items()}
            assert winograd_error(problem, arrays, int(name[-1])).max() < 0.4
            checked += 1
    assert checked == 8
