"""clconv/ops/prepared.py: plans give the bits of the functions, call after call."""

from __future__ import annotations

import threading

import numpy as np
import pyopencl as cl
import pyopencl.array as cl_array
import pytest

import clconv
from clconv.conformance.problems import call_of
from clconv.spec.parse import parse

TEXTS = (
    "conv_fwd:f32:n2c5o35g1:i9x8:k3x2:s1:p1.0:d1:bias:gelu",
    "conv_fwd:f32:n2c6o6g6:i9x8:k3x2:s1:p1.0:d1",
    "conv_fwd:f16:n2c4o6g2:i9x8:k3x3:s2:p1.1:d1",
    "conv_bwd_data:f32:n2c35o5g1:i9x8:k3x3:s2x3:p1.0:d1:flip",
    "conv_fwd:i8:n2c3o9g1:i9x8:k3x3:s1:p1.1:d1",
    "conv_bwd_weights:f32:n2c5o7g1:i9x8:k3x3:s1:p1.1:d1",
    "conv_fwd:f32:n2c70o9g1:i9x8:k3x3:s1:p1.1:d1",
    "conv_fwd:f32:n1c9o6g1:i9x8:k3x3:s1:p1.1:d1:NHWC,HWIO->NHWC:bias",
)
RNG = np.random.default_rng(0)


def operands_of(problem):
    return [
        RNG.uniform(-1, 1, tensor.shape).astype(tensor.dtype)
        for tensor in problem.operands.values()
    ]


def by_function(problem, arrays, device, algorithm):
    """Solve by the public function that the problem states."""
    call = call_of(problem, dict(zip(problem.operands, arrays, strict=True)))
    return call.on(clconv, device=device, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ["auto", *clconv.algorithm_names()])
@pytest.mark.parametrize("text", TEXTS)
def test_plans_give_the_bits_of_the_functions(device, text, algorithm):
    problem = parse(text)
    try:
        plan = clconv.plan(text, device=device, algorithm=algorithm)
    except clconv.UnsupportedError:
        assert algorithm not in ("auto", "im2col_gemm", "direct")
        return
    arrays = operands_of(problem)
    expected = by_function(problem, arrays, device, algorithm)
    out = np.empty_like(expected)
    for _ in range(2):
        np.testing.assert_array_equal(plan(*arrays), expected)
        assert plan(*arrays, out=out) is out
        np.testing.assert_array_equal(out, expected)
    if "w" in problem.operands:
        names = list(problem.operands)
        w = arrays.pop(names.index("w"))
        prepared = plan.prepare_weights(w)
        w[...] = 77  # it was copied
        for _ in range(2):
            np.testing.assert_array_equal(prepared(*arrays), expected)
        assert prepared.workspace_bytes >= plan.workspace_bytes + w.nbytes
        if algorithm == "implicit_gemm" and device.kernels == "cpu":
            whole = plan.plan.prepared or plan.plan
            assert len(prepared.plan.launches) < len(whole.launches)


def test_weights_are_prepared_as_far_as_there_is_room(device):
    """Winograd's filters are four times as large prepared as they are given."""
    text = "conv_fwd:f32:n1c64o64g1:i8x8:k3x3:s1:p1.1:d1"
    x, w = operands_of(parse(text))
    try:
        plan = clconv.plan(text, device=device, algorithm="winograd_f4")
    except clconv.UnsupportedError as error:
        pytest.skip(str(error))
    roomy = plan.prepare_weights(w)
    with clconv.limits(memory=plan.workspace_bytes + x.nbytes + w.nbytes + 2**17):
        tight = plan.prepare_weights(w)
    assert tight.workspace_bytes < roomy.workspace_bytes
    for each in (roomy, tight):
        np.testing.assert_array_equal(each(x), plan(x, w))


def test_results_may_be_several(device):
    plan = clconv.plan("max_pool:f32:n2c3:i8x9:k2x3:s2:p0.0:d1", device=device)
    (x,) = operands_of(plan.problem)
    y, indices = plan(x)
    expected = clconv.max_pool(x, (2, 3), stride=2, return_indices=True, device=device)
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(indices, expected[1])
    again = plan(x, out=(y, indices))
    assert again[0] is y
    assert again[1] is indices


def test_device_arrays_are_enqueued(device):
    opencl, elsewhere = cl.Context([device.handle]), cl.Context([device.handle])
    queue = cl.CommandQueue(opencl)
    plan = clconv.plan(TEXTS[0], queue=queue)
    arrays = operands_of(plan.problem)
    expected = by_function(plan.problem, arrays, device, "auto")
    x, w, b = (cl_array.to_device(queue, array) for array in arrays)
    y = plan(x, w, b)
    np.testing.assert_array_equal(y.get(), expected)
    out = cl_array.zeros_like(y)
    prepared = plan.prepare_weights(w)
    assert prepared(x, b, out=out) is out
    np.testing.assert_array_equal(out.get(), expected)
    other = cl.CommandQueue(elsewhere)
    with pytest.raises(ValueError, match="lives in another OpenCL context"):
        prepared(cl_array.to_device(other, arrays[0]), b, out=out)


def test_beta_reads_the_result(device):
    plan = clconv.plan("conv_fwd:f32:n1c2o3g1:i5x5:k3x3:s1:p1.1:d1:beta0.5", device=device)
    x, w = operands_of(plan.problem)
    with pytest.raises(ValueError, match="out has to be given"):
        plan(x, w)
    out = np.full(plan.problem.y_shape, 4, np.float32)
    expected = clconv.conv(x, w, padding=1, beta=0.5, out=out.copy(), device=device)
    np.testing.assert_array_equal(plan(x, w, out=out), expected)


@pytest.mark.parametrize("change", [">f4", "F", "unaligned"])
def test_operands_may_lie_in_memory_as_they_like(device, change):
    plan = clconv.plan("conv_fwd:f32:n1c2o3g1:i5x6:k3x3:s1:p1.1:d1", device=device)
    x, w = operands_of(plan.problem)
    expected = plan(x, w)

    def changed(array):
        if change == ">f4":
            return array.astype(">f4")
        if change == "F":
            return np.asfortranarray(array)
        memory = np.zeros(array.nbytes + 1, np.uint8)[1:].view(np.float32)
        memory = memory.reshape(array.shape)
        memory[...] = array
        return memory

    np.testing.assert_array_equal(plan(changed(x), changed(w)), expected)
    np.testing.assert_array_equal(plan.prepare_weights(changed(w))(changed(x)), expected)
    out = np.empty(expected.shape, ">f4")
    with pytest.raises(ValueError, match="not C-contiguous"):
        plan(x, w, out=out)


def test_no_images(device):
    text = "n0c2o3g1:i5x6:k3x3:s1:p1.1:d1"
    plan = clconv.plan(f"conv_fwd:f32:{text}", device=device)
    x, w = operands_of(plan.problem)
    assert plan(x, w).shape == (0, 3, 5, 6)
    assert plan.prepare_weights(w)(x).shape == (0, 3, 5, 6)
    gradient = clconv.plan(f"conv_bwd_weights:f32:{text}", device=device)
    dw = gradient(*operands_of(gradient.problem))
    np.testing.assert_array_equal(dw, np.zeros((3, 2, 3, 3), np.float32))


def test_threads_take_turns(device):
    plan = clconv.plan(TEXTS[0], device=device)
    arrays = operands_of(plan.problem)
    expected, failures = plan(*arrays), []

    def work():
        for _ in range(50):
            if not np.array_equal(plan(*arrays), expected):
                failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x, w: (x,), TypeError, "takes x, w; got 1"),
        (
            lambda x, w: (x, w[:, :, :1]),
            ValueError,
            r"w has shape \(3, 2, 1, 3\), but .* \(3, 2, 3, 3\)",
        ),
        (lambda x, w: (x.astype(np.float64), w), TypeError, "x has dtype float64, but .* float32"),
        (
            lambda x, w: (x.tolist(), w),
            TypeError,
            "x must be a numpy array .*, got list",
        ),
    ],
)
def test_wrong_operands_are_refused(device, change, error, message):
    plan = clconv.plan("conv_fwd:f32:n1c2o3g1:i5x5:k3x3:s1:p1.1:d1", device=device)
    with pytest.raises(error, match=message):
        plan(*change(*operands_of(plan.problem)))


def test_wrong_results_are_refused(device):
    plan = clconv.plan("conv_fwd:f32:n1c3o3g1:i5x5:k3x3:s1:p1.1:d1", device=device)
    x, w = operands_of(plan.problem)
    y = np.empty(plan.problem.y_shape, np.float32)
    for out, error, message in (
        (y[0], ValueError, r"out \(y\) has shape"),
        (np.broadcast_to(y[:, :1, :1], y.shape), ValueError, "read-only or not C-contiguous"),
        (x, ValueError, "shares memory with an operand"),
        ((y, y), TypeError, "out must be 1 arrays, got 2"),
    ):
        with pytest.raises(error, match=message):
            plan(x, w, out=out)


def test_what_cannot_be_planned(device):
    with pytest.raises(ValueError, match="has no weights"):
        clconv.plan(TEXTS[5], device=device).prepare_weights(np.zeros((7, 5, 3, 3), np.float32))
    with (
        clconv.limits(memory=1000),
        pytest.raises(MemoryError, match="clconv's functions run it in pieces"),
    ):
        clconv.plan(TEXTS[5], device=device)
    opencl = cl.Context([device.handle])
    with pytest.raises(ValueError, match="a queue has its device"):
        clconv.plan(TEXTS[0], device=device, queue=cl.CommandQueue(opencl))
