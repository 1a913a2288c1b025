"""clconv/algorithms/implicit_tiled.py: the tile does not show, and infinities stay apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from algorithms.test_implicit_gemm import BACKWARD, FORWARD
from support.plans import hold_infinite_filters, of, random_operands, solve, whole_numbers

from clconv.algorithms import implicit_tiled
from clconv.algorithms.implicit_gemm import ImplicitGemm
from clconv.algorithms.implicit_tiled import TILES, Walk, share_of, tile_of, walks
from clconv.algorithms.registry import select
from clconv.spec.parse import parse

DATA = [text for text in BACKWARD if "_data" in text]
WEIGHTS = [text for text in BACKWARD if "_weights" in text]


@pytest.fixture
def gpu(device):
    """The default device, given the kernels of a GPU."""
    gpu = dataclasses.replace(device, kernels="gpu")
    reason = ImplicitGemm().refuse(parse(FORWARD[0]), gpu)
    if reason:
        pytest.skip(reason)
    return gpu


def only(monkeypatch, tile):
    """Let every product be made by one tile."""
    monkeypatch.setattr(implicit_tiled, "TILES", (tile,))


@pytest.mark.parametrize("tile", TILES, ids=str)
def test_forward_gives_the_bits_of_im2col_gemm(gpu, monkeypatch, tile):
    only(monkeypatch, tile)
    for problem in of(gpu, FORWARD):
        if ImplicitGemm().refuse(problem, gpu):
            continue  # no local memory for this tile
        operands = random_operands(problem)
        results = [solve(gpu, problem, name, operands) for name in ("implicit_gemm", "im2col_gemm")]
        np.testing.assert_array_equal(*results, err_msg=str(problem))


@pytest.mark.parametrize("tile", TILES, ids=str)
def test_gradients_are_exact_in_whole_numbers(gpu, monkeypatch, tile):
    only(monkeypatch, tile)
    monkeypatch.setattr(implicit_tiled, "TERMS_OF_SHARE", 100)
    for problem in of(gpu, BACKWARD):
        if ImplicitGemm().refuse(problem, gpu):
            continue
        operands = whole_numbers(problem)
        results = [solve(gpu, problem, name, operands) for name in ("implicit_gemm", "direct")]
        np.testing.assert_array_equal(*results, err_msg=str(problem))


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan], ids=str)
def test_infinite_filters_do_not_meet_the_zeros_of_a_data_gradient(gpu, special):
    hold_infinite_filters(gpu, of(gpu, DATA), special)


def test_shares_of_a_sum_over_windows():
    assert [share_of(n) for n in (1, 1024, 64 * 1024, 64 * 1024 + 1)] == [1024, 1024, 1024, 1025]
    (walk,) = walks(parse("conv_bwd_weights:f32:n32c3o4g1:i56x56:k3x3:s1:p1.1:d1"))
    assert (walk.windows, walk.shares) == (32 * 56 * 56, 64)
    (walk,) = walks(parse("conv_fwd:f32:n32c3o4g1:i56x56:k3x3:s1:p1.1:d1"))
    assert walk.shares == 1


def test_channels_cut_off_leave_the_bits_of_a_weight_gradient(gpu):
    """What a memory limit does: the shares do not follow from channels."""
    whole = parse("conv_bwd_weights:f32:n3c5o7g1:i29x28:k3x2:s1:p1.0:d1")
    assert walks(whole)[0].shares > 1
    operands = random_operands(whole)
    expected = solve(gpu, whole, "implicit_gemm", operands)
    part = parse("conv_bwd_weights:f32:n3c2o3g1:i29x28:k3x2:s1:p1.0:d1")
    some = {"x": operands["x"][:, :2].copy(), "dy": operands["dy"][:, :3].copy()}
    np.testing.assert_array_equal(solve(gpu, part, "implicit_gemm", some), expected[:3, :2])


def test_small_products_get_small_tiles(device):
    units = dataclasses.replace(
        device, compute_units=100, local_memory_bytes=2**16, max_work_group_size=1024
    )

    def tile(rows, windows, itemsize_bytes=4, device=units):
        (axes,) = [w.axes for w in walks(parse(f"conv_fwd:f32:n1c1o1g1:i{windows}:k1:s1:p0.0:d1"))]
        return tile_of(device, Walk(axes, 64, rows, 1), 1, itemsize_bytes)

    assert tile(512, 10**6).rows * tile(512, 10**6).columns >= 8192
    assert tile(16, 10**6).rows == 16
    assert tile(32, 3200).rows == tile(32, 3200).columns == 32
    assert tile(512, 10**6, 8).local_bytes(8) <= 2**16
    little = dataclasses.replace(units, local_memory_bytes=2**14)
    assert tile(512, 10**6, 4, little).local_bytes(4) <= 2**14
    few = dataclasses.replace(units, max_work_group_size=64)
    assert tile(512, 10**6, 4, few).items == 64
    assert tile(1, 1, 4, dataclasses.replace(units, local_memory_bytes=2**10)) is None


def test_refusals(gpu):
    refuse = ImplicitGemm().refuse
    dense = "conv_fwd:f32:n2c3o4g1:i5x6:k3x3:s1:p1.1:d1"
    little = dataclasses.replace(gpu, local_memory_bytes=1024)
    assert "more local memory or larger work-groups" in refuse(parse(dense), little)
    far = parse("conv_bwd_data:f32:n1c1o1g1:i99x99:k3x3:s9:p0.0:d1")
    assert refuse(far, gpu) == "implicit_gemm takes at most 64 phases, not 81"
    away = parse("conv_fwd:f32:n1c1o1g1:i9:k2:s1:p0.600000000:d600000000")
    assert "pass 2**29" in refuse(away, gpu)
    tight = dataclasses.replace(gpu, max_allocation_bytes=2**10)
    summed = parse("conv_bwd_weights:f32:n2c9o9g1:i40x40:k3x3:s1:p0.0:d1")
    assert "bytes for parts of sums" in refuse(summed, tight)
    assert refuse(parse(dense), tight) is None


def test_what_a_driver_would_end_is_left_to_others(gpu):
    short = dataclasses.replace(gpu, max_loop_turns=65536)
    assert select(parse(FORWARD[0]), short).algorithm == "implicit_gemm"
    long = parse("conv_fwd:f32:n1c70000o2g1:i2:k1:s1:p0.0:d1:bias:relu")
    assert select(long, short).algorithm == "im2col_gemm"
