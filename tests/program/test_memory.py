"""clconv/program/memory.py, and how a context keeps to it."""

from __future__ import annotations

import dataclasses

import pyopencl as cl
import pytest
from support.buffers import counted

from clconv.algorithms.registry import select
from clconv.program.context import context_of
from clconv.program.memory import Memory, room_of
from clconv.spec.parse import parse


def test_a_reserve_is_left(device):
    sizes = {"global_memory_bytes": 800, "max_allocation_bytes": 750}
    assert room_of(dataclasses.replace(device, **sizes)) == Memory(700, 700)
    sizes["max_allocation_bytes"] = 200
    assert room_of(dataclasses.replace(device, **sizes)) == Memory(700, 200)


@pytest.mark.parametrize(("need", "fits"), [((7, 3), True), ((8, 3), False), ((7, 4), False)])
def test_both_have_to_fit(need, fits):
    assert Memory(*need).fits(Memory(7, 3)) == fits


def test_a_plan_says_what_it_needs(device):
    plan = select(parse("conv_fwd:f32:n2c3o4g1:i5x6:k3x3:s1:p1.1:d1:bias"), device, "direct")
    x, w, y, bias = 4 * 2 * 3 * 30, 4 * 4 * 3 * 9, 4 * 2 * 4 * 30, 4 * 4
    assert plan.need("xwy", "") == Memory(0, y)
    assert plan.need(("x", "w", "bias"), ("w", "bias")) == Memory(w + bias, x)
    assert f", {x + w + y + bias} B of tensors\n" in str(plan)


def test_launches_are_made_when_they_are_looked_at(device, monkeypatch):
    plan = select(parse("conv_fwd:f32:n2c3o4g1:i5x6:k3x3:s1:p1.1:d1"), device, "im2col_gemm")
    with monkeypatch.context() as patch:
        patch.setattr("clconv.algorithms.gemm_jobs.pack_launch", None)
        assert plan.workspace_bytes > 0
        with pytest.raises(TypeError):
            len(plan.launches)
    assert [launch.kernel for launch in plan.launches[:2]] == ["pack", "im2col_columns"]


def test_scratch_that_stands_in_the_way_is_given_back(queue):
    context = context_of(queue)
    large, small = (
        select(parse(f"conv_fwd:f32:n1c3o4g1:i{n}:k3:s1:p1.1:d1"), context.device, "im2col_gemm")
        for n in (500, 50)
    )
    kept = context.reserve(large)["columns"]
    assert context.reserve(small)["columns"] is kept
    room = Memory(small.workspace_bytes, small.workspace_bytes)
    assert context.reserve(small, room)["columns"].size == small.workspace["columns"]
    assert sum(buffer.size for buffer in context._scratch.values()) == small.workspace_bytes


def test_a_launch_is_tried_again_when_the_queue_is_empty(queue, monkeypatch):
    context = context_of(queue)
    plan = select(parse("conv_fwd:f32:n1c3o4g1:i50:k3:s1:p1.1:d1"), context.device, "direct")
    enqueue, calls = cl.enqueue_nd_range_kernel, []

    def failing(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise cl.MemoryError("clEnqueueNDRangeKernel failed: OUT_OF_RESOURCES")
        return enqueue(*arguments, **options)

    monkeypatch.setattr(cl, "enqueue_nd_range_kernel", failing)
    sizes = {"x": 600, "w": 144, "y": 800}
    buffers = {n: cl.Buffer(queue.context, cl.mem_flags.READ_WRITE, b) for n, b in sizes.items()}
    context.run(context.bind(plan), buffers).wait()
    assert len(calls) == 2


def test_scratch_that_grows_is_given_back_before(queue, monkeypatch):
    context = context_of(queue)
    small, large = (
        select(parse(f"conv_fwd:f32:n1c3o4g1:i{n}:k3:s1:p1.1:d1"), context.device, "im2col_gemm")
        for n in (50, 500)
    )
    room = Memory(large.workspace_bytes, large.workspace_bytes)
    with counted(monkeypatch) as ledger:
        context.reserve(small)
        ledger.forget()
        context.reserve(large, room)
    assert ledger.peak_bytes() == large.workspace_bytes
