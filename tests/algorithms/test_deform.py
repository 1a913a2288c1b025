"""clconv/algorithms/deform.py: how work is cut does not show in the result."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyopencl as cl
import pytest
from support.deform_cases import CASES

import clconv
from clconv.algorithms import deform
from clconv.algorithms.base import Limits, default_limits
from clconv.algorithms.deform import deform_plan
from clconv.algorithms.gemm import Tile
from clconv.program.context import default_context
from clconv.reference.shapes import DIRECTIONS
from clconv.spec.deform import DeformProblem
from clconv.spec.geometry import Geometry
from clconv.spec.problem import ConvProblem

OPERANDS = {
    "forward": (("x", "w", "offset", "mask", "bias"), ("y",)),
    "backward_data": (("dy", "x", "w", "offset", "mask"), ("dx", "doffset", "dmask")),
    "backward_weights": (("dy", "x", "offset", "mask"), ("dw",)),
}
EACH = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def problem_of(case, direction):
    shape = case.shape
    geometry = Geometry(shape.spatial, shape.kernel, shape.stride, shape.dilation, shape.padding)
    sizes = (shape.batch, shape.channels, shape.outputs, shape.groups)
    forward = direction == "forward"
    conv = ConvProblem(direction, "float32", *sizes, geometry, bias=forward)
    return DeformProblem(conv, case.offset_groups, case.has_mask)


def solve(device, case, plan, tensors):
    """Run a plan whose every result and scratch buffer is filled with NaN first."""
    context, problem = default_context(device), plan.problem
    given, wanted = OPERANDS[problem.conv.direction]
    arrays = {name: tensors[name] for name in given if tensors[name] is not None}
    shapes = {
        "y": problem.conv.y_shape,
        "dx": problem.conv.x_shape,
        "dw": problem.conv.w_shape,
        "doffset": problem.offset_shape,
        "dmask": problem.mask_shape,
    }
    wanted = [name for name in wanted if name != "dmask" or case.has_mask]
    results = {name: np.full(shapes[name], np.nan, np.float32) for name in wanted}
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    buffers = {
        name: cl.Buffer(context.opencl, flags, hostbuf=a) for name, a in (arrays | results).items()
    }
    context._scratch.clear()
    for name, size_bytes in plan.workspace.items():
        scratch = np.full(size_bytes // 4, np.nan, np.float32)
        context._scratch[name] = cl.Buffer(context.opencl, flags, hostbuf=scratch)
    context.run(context.bind(plan), buffers)
    for name, array in results.items():
        cl.enqueue_copy(context.queue, array, buffers[name])
    return results


@pytest.mark.parametrize("direction", DIRECTIONS)
@EACH
def test_any_limit_gives_the_same_bits(device, case, direction):
    problem, tensors = problem_of(case, direction), case.tensors("float32", "random")
    plan = deform_plan(problem, device, default_limits(device))
    whole = solve(device, case, plan, tensors)
    for limit_bytes in (0, 2000, 20000):
        cut_plan = deform_plan(problem, device, Limits(limit_bytes))
        cut = solve(device, case, cut_plan, tensors)
        assert cut_plan.workspace_bytes <= plan.workspace_bytes
        assert len(cut_plan.launches) >= len(plan.launches)
        for name, array in cut.items():
            np.testing.assert_array_equal(array, whole[name])


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("tile", [Tile(4, 1, 4, 8, 8), Tile(3, 2, 2, 2, 1)], ids=str)
def test_narrow_tiles_cut_images_and_give_the_same_bits(device, monkeypatch, tile, direction):
    monkeypatch.setattr(deform, "tile_for", lambda *_: tile)
    for name in ("1d", "2d_groups", "3d"):
        case = CASES[name]
        problem, tensors = problem_of(case, direction), case.tensors("float32")
        plan = deform_plan(problem, device, default_limits(device))
        cut_plan = deform_plan(problem, device, Limits(0))
        assert len(cut_plan.launches) > len(plan.launches)
        cut = solve(device, case, cut_plan, tensors)
        for name, array in solve(device, case, plan, tensors).items():
            np.testing.assert_array_equal(array, cut[name])


@pytest.mark.parametrize("items", [1, 7, 1000])
def test_any_division_of_work_gives_the_same_bits(device, monkeypatch, items):
    for case in (CASES["2d_groups"], CASES["2d_many_channels"]):
        problem, tensors = problem_of(case, "backward_data"), case.tensors("float32", "random")
        expected = solve(device, case, deform_plan(problem, device, Limits(0)), tensors)
        monkeypatch.setattr(deform, "CPU_ITEMS", items)
        monkeypatch.setattr(deform, "GPU_ITEMS", items)
        actual = solve(device, case, deform_plan(problem, device, Limits(0)), tensors)
        monkeypatch.undo()
        np.testing.assert_array_equal(actual["dx"], expected["dx"])


def test_the_gradients_workspace_keeps_to_the_limit(device):
    geometry = Geometry((224, 224), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    for direction in DIRECTIONS:
        conv = ConvProblem(direction, "float32", 8, 64, 64, 1, geometry)
        plan = deform_plan(DeformProblem(conv, 1, True), device, Limits(4_000_000))
        assert plan.workspace["columns"] <= 4_000_000 < conv.im2col_elements * 4 / 50


def test_what_cannot_be_allocated_is_refused(device):
    small = dataclasses.replace(device, max_allocation_bytes=2**8)
    problem = problem_of(CASES["2d"], "forward")
    with pytest.raises(clconv.UnsupportedError, match=r"deform needs .* bytes for"):
        deform_plan(problem, small, Limits(0))
