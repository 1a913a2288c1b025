"""clconv/algorithms/pointwise.py: the bits of im2col_gemm, however work is cut."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
from support.plans import of, random_operands, solve, whole_numbers

from clconv.algorithms import pointwise, pointwise_weights
from clconv.algorithms.pointwise import Pointwise
from clconv.algorithms.registry import select
from clconv.spec.parse import parse

FORWARD = (
    "conv_fwd:f32:n3c5o7g1:i9x8:k1x1:s1:p0.0:d1:bias",
    "conv_fwd:f32:n2c18o40g2:i14x15:k1x1:s1:p0.0:d1:beta0.5:gelu",
    "conv_fwd:f32:n9c1200o17g1:i7x7:k1x1:s1:p0.0:d1:relu",
    "conv_fwd:f64:n2c20o700g1:i66:k1:s1:p0.0:d1",
    "conv_fwd:f32:n2c3o4g1:i4x5x6:k1x1x1:s1:p0.0:d1:flip",
    "conv_fwd:i32:n3c5o7g1:i9x8:k1x1:s1:p0.0:d1",
    "conv_fwd:f32:n3c5o7g1:i9x41:k1x1:s1x2:p0.0:d1:bias",
    "conv_fwd:f32:n2c18o40g2:i15x14:k1x1:s2:p0.0:d1:beta0.5",
    "conv_fwd:f32:n2c3o9g1:i7x5x50:k1x1x1:s3x2x2:p0.0:d1:relu",
    "conv_fwd:f64:n2c3o9g1:i50:k1:s7:p0.0:d1",
    "conv_fwd:f32:n2c3o9g1:i7x5:k1x1:s2x2000000000:p0.0:d1",
    "conv_fwd:f32:n2c3o9g1:i7x5x10:k1x1x1:s2x1x1:p0.0:d1",
)
BACKWARD = (
    "conv_bwd_data:f32:n3c5o7g1:i9x8:k1x1:s1:p0.0:d1:bias",
    "conv_bwd_data:f32:n2c18o600g2:i14x15:k1x1:s1:p0.0:d1:flip",
)
WEIGHTS = (
    "conv_bwd_weights:f32:n3c5o7g1:i9x8:k1x1:s1:p0.0:d1",
    "conv_bwd_weights:f32:n2c18o600g2:i14x15:k1x1:s1:p0.0:d1:flip",
    "conv_bwd_weights:f32:n9c70o17g1:i7x7:k1x1:s1:p0.0:d1",
    "conv_bwd_weights:f64:n2c20o70g1:i1003:k1:s1:p0.0:d1",
    "conv_bwd_weights:i32:n3c5o7g1:i4x5x6:k1x1x1:s1:p0.0:d1",
)


@pytest.fixture(autouse=True)
def served(device):
    """These kernels are a CPU's."""
    reason = Pointwise().refuse(parse(FORWARD[0]), device)
    if reason:
        pytest.skip(reason)


def operands_for(problem):
    return (whole_numbers if problem.dtype == "int32" else random_operands)(problem)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_bits_of_im2col_gemm(device):
    for problem in of(device, FORWARD + WEIGHTS):
        operands = operands_for(problem)
        results = [solve(device, problem, name, operands) for name in ("pointwise", "im2col_gemm")]
        np.testing.assert_array_equal(*results, err_msg=str(problem))


def test_data_gradients_are_exact_in_whole_numbers(device):
    for problem in of(device, BACKWARD):
        operands = whole_numbers(problem)
        results = [solve(device, problem, name, operands) for name in ("pointwise", "direct")]
        np.testing.assert_array_equal(*results, err_msg=str(problem))


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize(("panels_bytes", "sums_bytes"), [(4096, 65536), (65536, 4096)])
def test_how_work_is_cut_does_not_show(device, monkeypatch, panels_bytes, sums_bytes):
    problems = of(device, FORWARD + BACKWARD + WEIGHTS)
    whole = [solve(device, p, "pointwise", operands_for(p)) for p in problems]
    monkeypatch.setattr(pointwise, "PANELS_BYTES", panels_bytes)
    monkeypatch.setattr(pointwise, "BLOCKS", 2)
    monkeypatch.setattr(pointwise, "SUMS_BYTES", sums_bytes)
    monkeypatch.setattr(pointwise_weights, "PANELS_BYTES", panels_bytes)
    monkeypatch.setattr(pointwise_weights, "SUMS_BYTES", sums_bytes)
    few = dataclasses.replace(device, compute_units=1)
    for problem, expected in zip(problems, whole, strict=True):
        result = solve(few, problem, "pointwise", operands_for(problem))
        np.testing.assert_array_equal(result, expected, err_msg=str(problem))


def test_what_a_work_item_takes_has_room(device):
    for groups, channels, outputs, pixels, dtype in product(
        (1, 3), (1, 40, 1025, 5000), (1, 600, 4000), (1, 49, 9999), ("f32", "f64")
    ):
        sizes = f"n2c{channels * groups}o{outputs * groups}g{groups}"
        job = pointwise._Job(parse(f"conv_fwd:{dtype}:{sizes}:i{pixels}:k1:s1:p0.0:d1"), device)
        share, tile = job.share(), job.tile
        assert min(share) >= 1
        assert share.panels * share.depth * tile.nr <= job.elements(pointwise.PANELS_BYTES)
        if share.depth < channels:
            kept = share.blocks * share.panels * tile.mr * tile.nr
            assert kept <= job.elements(pointwise.SUMS_BYTES)


def test_what_a_work_item_takes_of_weights_has_room(device):
    for groups, channels, outputs, pixels, dtype in product(
        (1, 3), (1, 40, 5000), (1, 600, 9000), (1, 49, 257, 9999), ("f32", "f64")
    ):
        sizes = f"n2c{channels * groups}o{outputs * groups}g{groups}"
        text = f"conv_bwd_weights:{dtype}:{sizes}:i{pixels}:k1:s1:p0.0:d1"
        job = pointwise_weights.WeightsJob(parse(text), device)
        share, tile = job.share(), job.tile
        assert min(share) >= 1
        staged = share.panels * share.images * share.span * tile.nr
        assert staged <= job.elements(pointwise_weights.PANELS_BYTES)
        kept = share.blocks * share.panels * tile.mr * tile.nr
        assert kept <= job.elements(pointwise_weights.SUMS_BYTES)


def test_refusals(device):
    refuse = Pointwise().refuse
    layer = "conv_fwd:f32:n2c3o4g1:i5x6:k1x1:s1:p0.0:d1"
    assert refuse(parse(layer), device) is None
    assert refuse(parse("max_pool:f32:n1c1:i4:k2:s1:p0.0:d1"), device).endswith("only")
    for changes in ({"kernels": "gpu"}, {"max_loop_turns": 65536}):
        assert "suits the caches" in refuse(parse(layer), dataclasses.replace(device, **changes))
    assert "one tap" in refuse(parse(layer.replace("k1x1", "k1x2")), device)
    for padding in ("p1.0", "p0.1"):
        assert "inside the image" in refuse(parse(layer.replace("p0.0", padding)), device)
    for direction in ("bwd_data", "bwd_weights"):
        strided = layer.replace("fwd", direction).replace("s1", "s2")
        assert "the image's pixels" in refuse(parse(strided), device)
    assert "vectors of 8" in refuse(parse(layer), dataclasses.replace(device, max_vector_width=4))
    little = dataclasses.replace(device, local_memory_bytes=32768)
    for direction in ("fwd", "bwd_weights"):
        assert "more local memory" in refuse(parse(layer.replace("fwd", direction)), little)
    tight = dataclasses.replace(device, max_allocation_bytes=2**5)
    assert "bytes for packed_w" in refuse(parse(layer.replace("fwd", "bwd_data")), tight)
    assert refuse(parse(layer), tight) is None  # filters are read where they lie


def test_auto_takes_it(device):
    for text in (FORWARD[0], BACKWARD[0], WEIGHTS[0]):
        assert select(parse(text), device).algorithm == "pointwise"
    assert select(parse(FORWARD[0].replace("p0.0", "p1.0")), device).algorithm == "implicit_gemm"
