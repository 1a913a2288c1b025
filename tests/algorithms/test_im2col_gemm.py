"""clconv/algorithms/im2col_gemm.py and gemm.py: how work is cut does not show in the result."""

from __future__ import annotations

import numpy as np
import pytest
from support.plans import solve as solution

from clconv import reference
from clconv.algorithms import im2col_gemm
from clconv.algorithms.base import Limits, default_limits
from clconv.algorithms.gemm import Tile
from clconv.algorithms.im2col_gemm import Im2colGemm
from clconv.algorithms.registry import select
from clconv.reference.shapes import CONV_SHAPES, DIRECTIONS
from clconv.spec.geometry import Geometry
from clconv.spec.images import PoolProblem
from clconv.spec.problem import ConvProblem

SHAPES = [
    CONV_SHAPES["edges"][name]
    for name in ("primes", "groups_stride_dilation", "wide_channels_grouped", "3d_anisotropic")
]
# A register tile with several work-items in a group, as for GPUs; an odd one; the widest.
TILES = [Tile(4, 1, 4, 8, 8), Tile(3, 2, 2, 2, 1), Tile(8, 2, 16)]


def problem_of(shape, direction):
    geometry = Geometry(shape.spatial, shape.kernel, shape.stride, shape.dilation, shape.padding)
    sizes = (shape.batch, shape.channels, shape.outputs, shape.groups)
    return ConvProblem(direction, "float32", *sizes, geometry)


def solve(device, problem, tensors, limits):
    """Run the plan for `limits`; return what it gives, and the plan."""
    operands = {name: getattr(tensors, name) for name in problem.operands}
    result = solution(device, problem, "im2col_gemm", operands, limits)
    return result, select(problem, device, "im2col_gemm", limits)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_limit_gives_the_same_bits(device, shape, direction):
    problem = problem_of(shape, direction)
    tensors = shape.random_tensors("float32", seed=0)
    whole, plan = solve(device, problem, tensors, default_limits(device))
    for limit_bytes in (0, 1000, 20000):
        cut, cut_plan = solve(device, problem, tensors, Limits(limit_bytes))
        np.testing.assert_array_equal(cut, whole)
        assert len(cut_plan.launches) >= len(plan.launches)
        assert cut_plan.workspace_bytes <= plan.workspace_bytes
        # A chunk is a tile at least, which on a wide device may hold everything.
        assert len(cut_plan.launches) > len(plan.launches) or cut_plan.workspace == plan.workspace


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_any_tile_gives_the_definitions_bits(device, monkeypatch, tile, direction):
    monkeypatch.setattr(im2col_gemm, "tile_for", lambda *_: tile)
    for shape in SHAPES:
        tensors = shape.integer_tensors("float32", seed=1)
        result, _ = solve(device, problem_of(shape, direction), tensors, default_limits(device))
        expected = {
            "forward": lambda t, s: reference.conv(t.x, t.w, **s.keywords()),
            "backward_data": lambda t, s: reference.conv_backward_data(
                t.dy, t.w, input_shape=s.x_shape, **s.keywords()
            ),
            "backward_weights": lambda t, s: reference.conv_backward_weights(
                t.x, t.dy, weight_shape=s.w_shape, **s.keywords()
            ),
        }[direction](tensors, shape)
        np.testing.assert_array_equal(result, expected)


def test_workspace_keeps_to_the_limit(device):
    """The chunked matrix, not the packed operands, is what the limit cuts."""
    geometry = Geometry((224, 224), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    for direction in DIRECTIONS:
        problem = ConvProblem(direction, "float32", 8, 64, 64, 1, geometry)
        plan = Im2colGemm().plan(problem, device, Limits(4_000_000))
        assert plan.workspace["columns"] <= 4_000_000 < problem.im2col_elements * 4 / 50


def test_refusals(device):
    geometry = Geometry((4, 4), (2, 2), (1, 1), (1, 1), ((0, 0), (0, 0)))
    pool = PoolProblem("max_pool", "float32", 1, 1, geometry)
    assert Im2colGemm().refuse(pool, device) == "im2col_gemm solves convolutions only"
    wide = Geometry((2**20,), (1,), (1,), (1,), ((0, 0),))
    huge = ConvProblem("backward_data", "float32", 1, 1, 1, 1, wide)
    assert Im2colGemm().refuse(huge, device) is None
    import dataclasses

    small = dataclasses.replace(device, max_allocation_bytes=2**20)
    assert "bytes for packed_dy; the device allocates 1048576" in Im2colGemm().refuse(huge, small)
