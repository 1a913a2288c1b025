"""clconv/program/context.py: who owns what, and for how long."""

from __future__ import annotations

import threading

import numpy as np
import pyopencl as cl

import clconv
from clconv.ops.division import Placement
from clconv.ops.routes import Asked
from clconv.program import context as module
from clconv.program.context import context_of, default_context
from clconv.spec.geometry import Geometry
from clconv.spec.problem import ConvProblem


def problem(size, direction="forward"):
    geometry = Geometry((size,), (3,), (1,), (1,), ((1, 1),))
    return ConvProblem(direction, "float32", 2, 3, 4, 1, geometry)


def plan_for(context, problem, algorithm="auto"):
    asked = Asked(context, algorithm, "strict")
    return asked.route(problem, Placement("shared"), context.room).plan


def test_plans_are_made_once_and_forgotten_in_order(device, monkeypatch):
    monkeypatch.setattr(module, "PLANS_REMEMBERED", 2)
    opencl = cl.Context([device.handle])
    context = context_of(cl.CommandQueue(opencl))
    first = plan_for(context, problem(5))
    assert plan_for(context, problem(5)) is first
    plan_for(context, problem(6))
    plan_for(context, problem(5))  # used again, so the other one is the oldest
    plan_for(context, problem(7))
    assert plan_for(context, problem(5)) is first
    assert len(context.plans) == 2


def test_scratch_memory_is_shared_by_plans_and_grows(device):
    context = default_context(device)
    small, large = (
        plan_for(context, problem(n, "backward_weights"), "im2col_gemm").plan for n in (50, 5000)
    )
    first = context.reserve(large)["packed_dy"]
    assert context.reserve(small)["packed_dy"] is first
    assert first.size >= large.workspace["packed_dy"] > small.workspace["packed_dy"]


def test_queue_that_outlives_the_callers_context(device):
    """A queue of Intel's runtime does not keep its context alive; clconv does."""
    import pyopencl.array as cl_array

    opencl = cl.Context([device.handle])
    queue = cl.CommandQueue(opencl)
    x = cl_array.to_device(queue, np.ones((1, 1, 5), np.float32))
    w = cl_array.to_device(queue, np.ones((1, 1, 3), np.float32))
    clconv.conv(x, w)
    del opencl
    np.testing.assert_array_equal(clconv.conv(x, w).get(), [[[3, 3, 3]]])


def test_threads_have_contexts_of_their_own(device):
    """Kernel objects hold their arguments: two threads never share one."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 12, 13)).astype(np.float32)
    w = rng.standard_normal((5, 3, 3, 3)).astype(np.float32)
    expected = clconv.conv(x, w, device=device)
    contexts, wrong = [], []

    def work():
        contexts.append(default_context(device))
        for _ in range(20):
            if not np.array_equal(clconv.conv(x, w, device=device), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len({id(context) for context in contexts}) == len(contexts) == 4
