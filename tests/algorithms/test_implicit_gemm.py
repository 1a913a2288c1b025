"""clconv/algorithms/implicit_gemm.py: how work is cut does not show, and infinities stay apart."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
from support.plans import hold_infinite_filters, of, random_operands, solve

import clconv
from clconv.algorithms import implicit_boxes, implicit_gemm, implicit_images, implicit_job
from clconv.algorithms.axes import phases
from clconv.algorithms.base import Limits
from clconv.algorithms.gemm import Tile
from clconv.algorithms.implicit_gemm import ImplicitGemm
from clconv.algorithms.registry import select
from clconv.spec.parse import parse

FORWARD = (
    "conv_fwd:f32:n3c5o7g1:i9x8:k3x2:s1:p1.0:d1:bias",
    "conv_fwd:f32:n2c66o35g1:i7x9:k3x3:s2x1:p1.2:d1x2:bias:flip:gelu",
    "conv_fwd:f32:n3c6o68g2:i5x6x7:k2x1x3:s1x2x3:p1.0x0.0x2.1:d2x1x1:beta0.5",
    "conv_fwd:f32:n2c40o9g1:i45:k5:s3:p2.2:d4:relu",
    "conv_fwd:f64:n2c20o20g1:i6x11:k1x1:s1:p0.0:d1",
)
BACKWARD = (
    "conv_bwd_data:f32:n3c7o5g1:i9x8:k3x2:s1:p1.0:d1:bias",
    "conv_bwd_data:f32:n2c35o66g1:i7x9:k3x3:s2x3:p1.2:d1x2:flip",
    "conv_bwd_data:f32:n2c68o6g2:i5x6x7:k2x1x3:s1x2x3:p1.0x0.0x2.1:d2x1x1",
    "conv_bwd_weights:f32:n3c5o7g1:i9x8:k3x2:s1:p1.0:d1",
    "conv_bwd_weights:f32:n2c66o35g1:i7x9:k3x3:s2x1:p1.2:d1x2:flip",
    "conv_bwd_weights:f32:n3c6o68g2:i5x6x7:k2x1x3:s1x2x3:p1.0x0.0x2.1:d2x1x1",
    "conv_bwd_weights:f64:n2c20o20g1:i6x11:k1x1:s1:p0.0:d1",
)


PLANES = (
    "conv_fwd:f32:n3c20o40g1:i7x7:k1x1:s1:p0.0:d1",
    "conv_fwd:f32:n2c9o17g1:i7x7:k3x3:s1:p1.1:d1:bias",
    "conv_fwd:f32:n2c9o17g1:i15x14:k3x3:s2:p1.1:d1:beta0.5",
)
FOURTEEN = "conv_fwd:f32:n2c64o64g1:i14x14:k3x3:s1:p1.1:d1"


@pytest.fixture(autouse=True)
def served(device):
    """These kernels are a CPU's."""
    reason = ImplicitGemm().refuse(parse(FORWARD[0]), device)
    if reason or device.kernels == "gpu":
        pytest.skip(reason or f"{device} has a GPU's kernels: test_implicit_tiled.py")


def test_forward_gives_the_bits_of_im2col_gemm(device):
    for problem in of(device, FORWARD):
        operands = random_operands(problem)
        results = [
            solve(device, problem, name, operands) for name in ("implicit_gemm", "im2col_gemm")
        ]
        np.testing.assert_array_equal(*results, err_msg=str(problem))


@pytest.mark.parametrize("cut", [(2, 1, 1, 1), (3, 3, 1, 9), (4, 8, 30, 5)], ids=str)
def test_how_a_box_is_cut_does_not_show(device, monkeypatch, cut):
    kilobytes, tiles, terms, uses = cut
    whole = {
        p: solve(device, p, "implicit_gemm", random_operands(p))
        for p in of(device, FORWARD + BACKWARD)
    }
    monkeypatch.setattr(implicit_boxes, "STAGED_BYTES", kilobytes * 1024)
    monkeypatch.setattr(implicit_boxes, "TERMS", terms)
    monkeypatch.setattr(implicit_boxes, "TERMS_OF_WINDOWS", terms)
    monkeypatch.setattr(implicit_boxes, "USES", uses)
    monkeypatch.setattr(implicit_job, "tiles_kept", lambda *_: tiles)
    served = 0
    for problem, expected in whole.items():
        if ImplicitGemm().refuse(problem, device):
            continue  # no window has room
        result = solve(device, problem, "implicit_gemm", random_operands(problem))
        np.testing.assert_array_equal(result, expected, err_msg=str(problem))
        served += 1
    assert served >= len(whole) - 3


def test_filters_packed_where_they_are_used_have_the_bits_of_others(device, monkeypatch):
    kinds = []
    for problem in of(device, FORWARD):
        operands, results = random_operands(problem), []
        for boxes in (0, 1000):
            monkeypatch.setattr(implicit_images, "INSIDE_BOXES", boxes)
            kinds.append(bool(select(problem, device, "implicit_gemm").workspace))
            results.append(solve(device, problem, "implicit_gemm", operands))
        np.testing.assert_array_equal(*results, err_msg=str(problem))
    assert kinds == [True, False] * (len(kinds) // 2)
    tile = implicit_job.tile_of(device, problem)
    kept = implicit_boxes.local_bytes(tile, problem.dtype, 1)
    monkeypatch.setattr(implicit_job, "tiles_kept", lambda *_: 1)
    monkeypatch.setattr(implicit_images, "local_bytes", lambda *_: kept)
    enough = kept + implicit_images.INSIDE_BYTES
    for room, packed in ((enough, False), (enough - 1, True)):
        little = dataclasses.replace(device, local_memory_bytes=room)
        assert bool(select(problem, little, "implicit_gemm").workspace) == packed


@pytest.mark.parametrize("rows", [6, 7, 8])
def test_rows_of_a_tile_do_not_show(device, monkeypatch, rows):
    """Tiles of 6 and 7 store 8 pixels at once, where the next tile's are behind them."""

    def tile_of(*about):
        return dataclasses.replace(implicit_job.tile_of(*about), mr=rows)

    problems = of(device, (*FORWARD, *BACKWARD, *PLANES))
    for problem in problems:
        operands = random_operands(problem)
        with monkeypatch.context() as patch:
            patch.setattr(implicit_images, "tile_of", tile_of)
            patch.setattr(implicit_gemm, "tile_of", tile_of)
            patch.setattr(implicit_images, "FEW", np.inf)
            result = solve(device, problem, "implicit_gemm", operands)
        expected = solve(device, problem, "im2col_gemm", operands)
        if problem in of(device, BACKWARD):  # sums in another order
            expected = solve(device, problem, "implicit_gemm", operands)
        np.testing.assert_array_equal(result, expected, err_msg=str(problem))


@pytest.mark.parametrize(("problem", "rows"), [(PLANES[0], 7), (PLANES[1], 7), (FOURTEEN, 8)])
def test_planes_of_seven_by_seven_take_tiles_of_seven_rows(device, monkeypatch, problem, rows):
    tile = Tile(mr=8, nv=1, vw=16)
    monkeypatch.setattr(implicit_images, "tile_of", lambda *_: tile)
    job = implicit_images.images_job(parse(problem), device, Limits(0))
    assert job.tile == dataclasses.replace(tile, mr=rows)


@pytest.mark.parametrize("width", [1, 4, 8])
def test_processors_with_narrow_vectors(device, width):
    narrow = dataclasses.replace(device, simd_width_f32=width, simd_width_f64=max(width // 2, 1))
    for problem in of(device, FORWARD + BACKWARD):
        operands = random_operands(problem)
        results = [solve(on, problem, "implicit_gemm", operands) for on in (narrow, device)]
        np.testing.assert_array_equal(*results, err_msg=str(problem))


def test_a_weight_gradient_is_continued_from_images_to_images(device):
    for problem in of(device, [text for text in BACKWARD if "weights" in text]):
        operands = random_operands(problem)
        limits = Limits(workspace_bytes=0)
        assert len(select(problem, device, "implicit_gemm", limits).launches) == 2 * problem.batch
        whole = solve(device, problem, "implicit_gemm", operands)
        np.testing.assert_array_equal(
            solve(device, problem, "implicit_gemm", operands, limits), whole, err_msg=str(problem)
        )


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan], ids=str)
def test_infinite_filters_do_not_meet_the_zeros_of_a_data_gradient(device, special):
    hold_infinite_filters(device, of(device, [t for t in BACKWARD if "_data" in t]), special)


def test_phases_reach_every_product_once():
    """Along one axis, against the definition: pixel + low = window*stride + tap*dilation."""
    for size, k, s, d, low, high in product(
        (5, 8), (1, 2, 4), (1, 2, 3, 4), (1, 2, 3), (0, 2), (0, 1)
    ):
        if size + low + high < d * (k - 1) + 1:
            continue
        text = f"conv_bwd_data:f32:n1c1o1g1:i{size}:k{k}:s{s}:p{low}.{high}:d{d}"
        for flip in (False, True):
            problem = dataclasses.replace(parse(text), flip=flip)
            windows = problem.geometry.output[0]
            defined = {
                (w * s + t * d - low, w, k - 1 - t if flip else t)
                for w in range(windows)
                for t in range(k)
                if 0 <= w * s + t * d - low < size
            }
            found = []
            for *_, axis in phases(problem):
                assert axis.size == windows
                for i, t in product(range(axis.windows), range(axis.taps)):
                    window = i * axis.stride - axis.low + t * axis.dilation
                    if 0 <= window < windows:
                        pixel = axis.result_first + i * axis.result_step
                        found.append((pixel, window, axis.tap_first + t * axis.tap_step))
            assert sorted(found) == sorted(defined), problem


def test_refusals(device):
    refuse = ImplicitGemm().refuse
    dense = parse("conv_fwd:f32:n2c3o4g1:i5x6:k3x3:s1:p1.1:d1")
    assert refuse(parse("max_pool:f32:n1c1:i4:k2:s1:p0.0:d1"), device).endswith("convolutions only")
    assert "long loops" in refuse(dense, dataclasses.replace(device, max_loop_turns=65536))
    narrow = dataclasses.replace(device, max_vector_width=4)
    assert "transposes vectors of 8" in refuse(dense, narrow)
    little = dataclasses.replace(device, local_memory_bytes=32768)
    assert "more local memory" in refuse(dense, little)
    far = parse("conv_bwd_data:f32:n1c1o1g1:i99x99:k3x3:s9:p0.0:d1")
    assert refuse(far, device) == "implicit_gemm takes at most 64 phases, not 81"
    wide = parse("conv_fwd:f32:n1c1o1g1:i9999:k2500:s1:p0.0:d1")
    assert "no room in local memory" in refuse(wide, device)
    tight = dataclasses.replace(device, max_allocation_bytes=2**10)
    assert "bytes for packed_w" in refuse(parse("conv_fwd:f32:n1c9o9g1:i9:k9:s1:p0.0:d1"), tight)


def test_auto_takes_it_where_a_channel_has_several_outputs(device):
    for text, expected in (
        ("conv_fwd:f32:n1c3o9g1:i7x8:k3x3:s1:p1.1:d1", "implicit_gemm"),
        ("conv_fwd:f32:n1c1o64g1:i7x8:k3x3:s1:p1.1:d1", "implicit_gemm"),
        ("conv_fwd:f32:n1c3o3g3:i7x8:k3x3:s1:p1.1:d1", "depthwise"),
    ):
        assert clconv.plan_of(text, device=device).plan.algorithm == expected
