"""clconv/algorithms/loops.py: turns that launches state, and plans that keep within a limit."""

from __future__ import annotations

import dataclasses
import re
from functools import partial

import numpy as np
import pyopencl as cl
import pytest

import clconv
from clconv.algorithms.registry import select
from clconv.algorithms.selfcheck import operands_of, stored
from clconv.conformance.cases import Case
from clconv.conformance.runner import DeviceBackend, run_case
from clconv.program.context import default_context
from clconv.program.plan import loop
from clconv.program.source import read_source
from clconv.spec.parse import parse

LONG_SUMS = (
    ("conv_bwd_weights:f32:n2c1o2g1:i40000:k3:s1:p1.1:d1", "im2col_gemm"),  # 80,000 terms
    ("conv_fwd:f32:n1c70000o2g1:i2:k1:s1:p0.0:d1:bias:relu", "im2col_gemm"),
    ("conv_bwd_data:f32:n1c2o70000g1:i2:k1:s1:p0.0:d1", "im2col_gemm"),
)


def limited(device, turns):
    """Return a device whose driver ends loops after so many turns."""
    return dataclasses.replace(device, max_loop_turns=turns)


def test_loop():
    assert loop(0) == 1
    assert loop(3, loop(2)) == 3 * (1 + 3) + 1


@pytest.mark.parametrize(("text", "algorithm"), LONG_SUMS)
def test_sums_longer_than_the_limit_conform(device, text, algorithm):
    """On llvmpipe, this is its own limit."""
    short = limited(device, 65536)
    plan, whole = select(parse(text), short, algorithm), select(parse(text), device, algorithm)
    assert max(launch.turns for launch in plan.launches) <= 65536
    assert len(plan.launches) > len(whole.launches) or device.max_loop_turns
    for outcome in run_case(partial(DeviceBackend, short), Case(parse(text), (algorithm,), False)):
        assert outcome.finding is not None, outcome.skipped
        assert outcome.finding.passed, (outcome.rule, outcome.finding)


@pytest.mark.parametrize("activation", ["none", "gelu"])
def test_how_a_sum_is_cut_does_not_show(device, activation):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 40, 9, 8)).astype(np.float32)
    w = rng.standard_normal((7, 40, 3, 3)).astype(np.float32)
    b = rng.standard_normal(7).astype(np.float32)
    options = {"bias": b, "padding": 1, "algorithm": "im2col_gemm"}
    if activation != "none":
        options["activation"] = activation
    whole = clconv.conv(x, w, device=device, **options)
    cut = clconv.conv(x, w, device=limited(device, 5000), **options)
    np.testing.assert_array_equal(cut, whole)


def test_samples_are_cut_by_windows(device):
    text = "deform_conv_bwd_data:f32:n2c4o6g2:i29x28:k3x2:s1x2:p1.0x0.1:d1:og2:mask"
    short = limited(device, 30000)
    assert max(launch.turns for launch in select(parse(text), short).launches) <= 30000
    backend = partial(DeviceBackend, short)
    for outcome in run_case(backend, Case(parse(text), ("auto",), False)):
        assert outcome.finding is not None, outcome.skipped
        assert outcome.finding.passed, outcome


def test_what_cannot_be_cut_is_refused(device):
    short = limited(device, 65536)
    dense = parse("conv_fwd:f32:n1c70000o2g1:i2:k1:s1:p0.0:d1:beta2.0")
    with pytest.raises(clconv.UnsupportedError, match=r"gemm would turn .* ends them after 65536"):
        select(dense, short, "im2col_gemm")
    with pytest.raises(clconv.UnsupportedError, match=r"direct_forward would turn its loops"):
        select(dense, short, "direct")
    with pytest.raises(clconv.UnsupportedError, match="no algorithm is left for conv_fwd"):
        select(dense, short)
    with pytest.raises(clconv.UnsupportedError, match="bias_gradient would turn its loops"):
        select(parse("conv_bwd_bias:f32:n9o1:i99x99"), short)


def test_auto_passes_over_what_would_turn_too_long(device):
    problem = parse("conv_bwd_weights:f32:n64c2o2g2:i50x50:k3x3:s1:p1.1:d1")
    assert select(problem, device).algorithm == "depthwise" or device.max_loop_turns
    assert select(problem, limited(device, 65536)).algorithm == "im2col_gemm"


COUNTER = """
#define for(...) if (atomic_inc(&turns[ITEM]), 1) for (__VA_ARGS__) \\
    if (atomic_inc(&turns[ITEM]), 0) ; else
#define ITEM ((get_global_id(2)*get_global_size(1) + get_global_id(1))*get_global_size(0) \\
    + get_global_id(0))
global int turns[1 << 16];
"""
READER = """
kernel void read_turns(global int *to) { to[get_global_id(0)] = turns[get_global_id(0)]; }
"""


def turns_of(context, launch, buffers):
    """Run a launch whose loops count themselves; return the most turns of a work-item."""
    text = re.sub(r'#pragma unroll.*|_Pragma\("unroll"\)', "", read_source(launch.source)).replace(
        "LONE_KERNEL", "kernel"
    )
    text = text.replace("__attribute__((vec_type_hint(float16))) kernel", "kernel")
    text = re.sub(r"#define kernel kernel", "", text)
    macros = [f"-D{name}={value}" for name, value in launch.macros.items()]
    program = cl.Program(context.opencl, COUNTER + text + READER)
    program.build(["-cl-std=CL3.0", "-w", *macros])
    kernel, reader = cl.Kernel(program, launch.kernel), cl.Kernel(program, "read_turns")
    for position, argument in enumerate(launch.arguments):
        scalar = np.int32(argument) if isinstance(argument, int) else argument
        kernel.set_arg(position, buffers[argument] if isinstance(argument, str) else scalar)
    items = int(np.prod(launch.global_size))
    assert items <= 1 << 16
    counted = np.zeros(items, np.int32)
    to = cl.Buffer(context.opencl, cl.mem_flags.READ_WRITE, counted.nbytes)
    cl.enqueue_nd_range_kernel(context.queue, kernel, launch.global_size, launch.local_size)
    reader(context.queue, (items,), None, to)
    cl.enqueue_copy(context.queue, counted, to)
    return int(counted.max())


STRINGS = dict.fromkeys(text.replace("{t}", "f32") for texts in stored().values() for text in texts)


@pytest.mark.filterwarnings("ignore::pyopencl.CompilerWarning")
@pytest.mark.parametrize("kernels", ["cpu", "gpu"])
@pytest.mark.parametrize("text", STRINGS)
def test_launches_state_no_fewer_turns_than_there_are(device, text, kernels):
    """Counted by the kernels themselves, where the compiler knows variables outside of kernels."""
    device = dataclasses.replace(device, kernels=kernels)
    context, problem = default_context(device), parse(text)
    if "Intel" not in device.platform:
        pytest.skip(f"{device}: no global variables, as far as this test knows")
    algorithms = clconv.algorithm_names("strict") if text.startswith("conv_") else ("auto",)
    for algorithm in algorithms:
        try:
            plan = select(problem, device, algorithm if "bias" not in text[:13] else "auto")
        except clconv.UnsupportedError:
            continue
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        tensors = {**problem.operands, **problem.results}
        given = operands_of(problem)
        buffers = {
            name: cl.Buffer(
                context.opencl,
                flags,
                hostbuf=np.ascontiguousarray(given.get(name, np.zeros(tensor.shape)), tensor.dtype),
            )
            for name, tensor in tensors.items()
        }
        buffers |= context.reserve(plan)
        for launch in plan.launches:
            counted = turns_of(context, launch, buffers)
            assert counted <= launch.turns, launch
            assert (counted > 0) == (launch.turns > 0), launch
