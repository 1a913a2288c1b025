"""clconv/algorithms/registry.py: what "auto" takes, and that plans are plain data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.plans import random_operands

import clconv
from clconv.algorithms import trust
from clconv.algorithms.pointwise import Pointwise
from clconv.algorithms.registry import select
from clconv.algorithms.trust import family_of
from clconv.ops import prepared
from clconv.spec.geometry import Geometry
from clconv.spec.images import BiasGradientProblem, ColumnsProblem, IndexProblem, PoolProblem
from clconv.spec.problem import ConvProblem

GEOMETRY = Geometry((9, 9), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
DENSE = ConvProblem("forward", "float32", 2, 4, 6, 1, GEOMETRY)
DEPTHWISE = ConvProblem("forward", "float32", 2, 4, 8, 4, GEOMETRY)


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        (DENSE, None),
        (DEPTHWISE, "depthwise"),
        (ColumnsProblem("im2col", "float32", 2, 4, GEOMETRY), "im2col"),
        (PoolProblem("avg_pool", "float32", 2, 4, GEOMETRY), "pool"),
        (IndexProblem("max_pool_backward", "float32", 2, 4, (9, 9), (7, 7)), "pool"),
        (BiasGradientProblem("conv_bwd_bias", "float32", 2, 4, (9, 9)), "bias_gradient"),
    ],
    ids=str,
)
def test_auto(device, problem, name):
    plan = select(problem, device)
    name = name or "implicit_gemm"
    assert plan.algorithm == name
    assert str(plan).startswith(f"{problem} by {name}, {plan.workspace_bytes} B workspace, ")
    assert all(launch.kernel in str(plan) for launch in plan.launches)


def small_plane(device, size):
    geometry = Geometry((size, size), (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)))
    problem = ConvProblem("forward", "float32", 2, 64, 64, 1, geometry)
    if Pointwise().refuse(problem, device):
        pytest.skip(f"pointwise does not serve {device}")
    return problem


def test_auto_leaves_pointwise_out_of_small_planes_where_filters_are_prepared(device):
    for size, other in ((8, None), (7, "implicit_gemm")):
        plan = select(small_plane(device, size), device)
        assert plan.algorithm == "pointwise"
        assert (plan.prepared.algorithm if plan.prepared else None) == other
    assert select(small_plane(device, 7), device, "pointwise").prepared is None


def test_prepared_filters_of_small_planes_have_the_bits_of_others(device):
    problem = small_plane(device, 7)
    plan = clconv.plan(str(problem), device=device)
    operands = random_operands(problem)
    packed = plan.prepare_weights(operands["w"])
    assert packed.plan.algorithm == "implicit_gemm"
    np.testing.assert_array_equal(packed(operands["x"]), plan(operands["x"], operands["w"]))


def test_a_family_out_of_use_prepares_nothing(device, monkeypatch):
    problem = small_plane(device, 7)
    plan, w = clconv.plan(str(problem), device=device), random_operands(problem)["w"]
    with monkeypatch.context() as patch:
        patch.setattr(prepared, "passes", lambda *_: False)
        assert plan.prepare_weights(w).plan.algorithm == "pointwise"
    monkeypatch.setattr(trust, "_faults", {(device, family_of("implicit_gemm", problem)): "misses"})
    assert select(problem, device).prepared is None


def test_direct_takes_what_the_others_refuse(device):
    """A device that allocates next to nothing still convolves."""
    tiny = dataclasses.replace(device, max_allocation_bytes=300, local_memory_bytes=300)
    assert select(DENSE, tiny).algorithm == "direct"
    with pytest.raises(clconv.UnsupportedError, match=r"im2col_gemm needs .* bytes for"):
        select(DENSE, tiny, "im2col_gemm")


def test_named_algorithm_that_refuses_raises_its_reason(device):
    with pytest.raises(clconv.UnsupportedError, match="one channel a group, not C/groups=4"):
        select(DENSE, device, "depthwise")


def test_device_without_float64(device):
    poor = dataclasses.replace(device, fp64=False)
    with pytest.raises(clconv.UnsupportedError, match="has no float64 arithmetic"):
        select(dataclasses.replace(DENSE, dtype="float64"), poor)


def test_names():
    strict = ("depthwise", "pointwise", "implicit_gemm", "im2col_gemm", "direct")
    assert clconv.algorithm_names("strict") == strict
    assert clconv.algorithm_names() == ("winograd_f4", "winograd_f2", *strict)
