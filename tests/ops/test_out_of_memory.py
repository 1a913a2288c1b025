"""A driver that has no memory: the call is tried again in smaller pieces, and nothing leaks."""

from __future__ import annotations

import gc

import numpy as np
import pyopencl as cl
import pytest
from support.buffers import Failures, counted, in_mode, run

import clconv
from clconv.conformance.data import data_for
from clconv.program.context import default_context
from clconv.spec.parse import parse

PROBLEMS = (
    "conv_fwd:f32:n4c3o4g1:i9x8:k3x3:s1:p1.1:d1:bias",
    "conv_fwd:f32:n4c4o4g4:i9x8:k3x3:s1:p1.1:d1",
    "conv_fwd:f32:n2c3o4g1:i9x8:k3x3:s1:p1.1:d1:beta0.5:relu",
    "conv_fwd:f16:n4c3o4g1:i9x8:k3x3:s1:p1.1:d1:NHWC,HWIO->NHWC",
    "conv_bwd_data:f32:n4c3o4g1:i9x8:k3x3:s2:p1.1:d1",
    "conv_bwd_weights:f32:n4c3o4g1:i9x8:k3x3:s1:p1.1:d1",
    "conv_bwd_bias:f32:n3o4:i5x7",
    "deform_conv_bwd_data:f32:n2c4o6g2:i9x8:k3x2:s1x2:p1.0x0.1:d1:og2:mask",
    "qlinear_conv:u8.i8:n2c4o6g2:i9x8:k3x2:s2x1:p1.2x2.0:d1:xzero:wzero:bias:tou8",
    "max_pool:f32:n2c3:i7x9:k3x2:s2:p1.1:d1x2",
    "lp_pool_backward:f32:n2c3:i9x8:k3x2:s2x1:p1.0x0.1:d1:norm2.0",
)
FAILURES = 1000
RAREST = 61  # one in so many calls of the driver fails


def test_nothing_leaks_over_a_thousand_failures(device):
    devices = [in_mode(device, mode) for mode in ("shared", "copied")]
    problems = [parse(text) for text in PROBLEMS]
    tensors = [data_for(problem, "random") for problem in problems]
    jobs = [(d, p, t) for d in devices for p, t in zip(problems, tensors, strict=True)]
    expected = [run(*job) for job in jobs]
    for each in devices:
        default_context(each).recover()
    with pytest.MonkeyPatch.context() as patch, counted(patch) as ledger:
        failures, served, given_up = Failures(patch), 0, 0
        for every in _counts():
            for job, wanted in zip(jobs, expected, strict=True):
                failures.every = every
                try:
                    results = run(*job)
                except MemoryError as error:
                    given_up += "failed: " in str(error)
                else:
                    served += 1
                    assert [r.tobytes() for r in results] == [w.tobytes() for w in wanted]
            if failures.raised >= FAILURES and every == RAREST:  # rounds are whole
                break
        failures.every = 0
        assert [r.tobytes() for r in run(*jobs[0])] == [w.tobytes() for w in expected[0]]
        for each in devices:
            default_context(each).recover()
        gc.collect()
        assert not ledger.live, f"{len(ledger.live)} buffers are left"
    assert min(served, given_up) > 20


def _counts():
    """Yield how often calls fail, from always to rarely, over and over."""
    while True:
        yield from (1, 3, 7, 13, 29, RAREST)


def test_an_error_that_is_kept_keeps_no_buffers(device):
    problem = parse(PROBLEMS[0])
    tensors, device = data_for(problem, "random"), in_mode(device, "copied")
    default_context(device).recover()
    with pytest.MonkeyPatch.context() as patch, counted(patch) as ledger:
        failures = Failures(patch)
        failures.every = 4
        failures.calls = 0
        patch.setattr(clconv.ops.routes, "RETRIES", 0)
        try:
            run(device, problem, tensors)
        except MemoryError as error:
            kept = error
        assert isinstance(kept.__cause__, cl.MemoryError)
        assert not ledger.live


def test_what_is_too_large_for_the_driver_is_cut(device, monkeypatch):
    """A driver that allocates less than it reports."""
    problem = parse(PROBLEMS[0])
    tensors, device = data_for(problem, "random"), in_mode(device, "copied")
    expected = run(device, problem, tensors, "direct")
    default_context(device).recover()
    buffer, most_bytes = cl.Buffer, tensors["x"].nbytes // 2

    class Small(buffer):
        def __init__(self, context, flags, size=0, hostbuf=None):
            if max(size, 0 if hostbuf is None else hostbuf.nbytes) > most_bytes:
                raise cl.MemoryError("clCreateBuffer failed: MEM_OBJECT_ALLOCATION_FAILURE")
            super().__init__(context, flags, size, hostbuf)

    monkeypatch.setattr(cl, "Buffer", Small)
    np.testing.assert_array_equal(run(device, problem, tensors, "direct")[0], expected[0])


def test_arrays_on_the_device_are_tried_again(device, queue, monkeypatch):
    import pyopencl.array as cl_array

    rng = np.random.default_rng(0)
    x, w = (rng.random(shape, np.float32) for shape in ((2, 8, 600), (4, 8, 3)))
    expected = clconv.conv(x, w, device=device)
    device_x, device_w = cl_array.to_device(queue, x), cl_array.to_device(queue, w)
    failures = Failures(monkeypatch)
    failures.every = 7
    results = [clconv.conv(device_x, device_w) for _ in range(5)]
    failures.every = 0
    assert failures.raised
    for y in results:
        np.testing.assert_array_equal(y.get(), expected)
    failures.every = 1
    with pytest.raises(MemoryError, match="failed: "):
        clconv.conv(device_x, device_w)


def test_what_has_begun_to_add_to_its_result_is_not_begun_anew(device, monkeypatch):
    problem = parse("conv_fwd:f32:n40c3o4g1:i9x8:k3x3:s1:p1.1:d1:beta0.5")
    tensors, device = data_for(problem, "random"), in_mode(device, "shared")
    run(device, problem, tensors, "im2col_gemm")
    enqueue, names = cl.enqueue_nd_range_kernel, []

    def failing(queue, kernel, *arguments, **options):
        names.append(kernel.function_name)
        if names.count("gemm") > 1:
            raise cl.MemoryError("clEnqueueNDRangeKernel failed: OUT_OF_RESOURCES")
        return enqueue(queue, kernel, *arguments, **options)

    monkeypatch.setattr(cl, "enqueue_nd_range_kernel", failing)
    with clconv.limits(memory=2**16), pytest.raises(MemoryError, match="OUT_OF_RESOURCES"):
        run(device, problem, tensors, "im2col_gemm")
    assert names.count("pack") == 1
