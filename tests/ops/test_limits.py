"""clconv.limits: no call takes more, and what it gives does not depend on it."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.buffers import counted, in_mode, run

import clconv
from clconv.conformance.cases import CUT, list_cases
from clconv.conformance.data import data_for
from clconv.ops.settings import limited
from clconv.program.context import default_context
from clconv.program.memory import Memory
from clconv.spec.dtypes import dtype_named
from clconv.spec.parse import parse

MODES = ("shared", "copied")
CASES = [case for case in list_cases("quick", clconv.algorithm_names()) if str(case) not in CUT]


def last_route(device):
    plans = default_context(device).plans
    return plans[next(reversed(plans))]


def held(device, problem, tensors, algorithm, expected, **limits):
    """Assert that a call within limits takes no more, and gives the expected bits, or raises."""
    with pytest.MonkeyPatch.context() as patch, counted(patch) as ledger:
        ledger.forget()
        try:
            with clconv.limits(**limits):
                results = run(device, problem, tensors, algorithm)
        except MemoryError:  # said before anything is begun
            assert not ledger.history, "something was allocated all the same"
            return False
    for name, actual, wanted in zip(problem.results, results, expected, strict=True):
        assert actual.tobytes() == wanted.tobytes(), f"{name} of {problem} by {algorithm}"
    callers = (*tensors.values(), *results) if device.shares_host_memory else ()
    assert ledger.peak_bytes(*callers) <= limits["memory"]
    assert ledger.largest_bytes <= limits.get("allocation", ledger.largest_bytes)
    return True


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_limit_is_kept_to_and_gives_the_same_bits(device, mode, data):
    case = data.draw(st.sampled_from(CASES), label="case")
    algorithm = data.draw(st.sampled_from(case.algorithms), label="algorithm")
    device = in_mode(device, mode)
    if dtype_named(case.problem.dtype).code in ("f64", "c128") and not device.fp64:
        return
    tensors = dict(data_for(case.problem, "random"))
    try:
        whole = run(device, case.problem, tensors, algorithm)
    except clconv.UnsupportedError:
        return
    need = last_route(device).division.need
    limits = {"memory": data.draw(st.integers(1, max(need.total_bytes, 1)), label="memory")}
    if data.draw(st.booleans()):
        limits["allocation"] = data.draw(st.integers(1, need.largest_bytes), label="allocation")
    held(device, case.problem, tensors, algorithm, whole, **limits)


LAYER = "n4c16o16g1:i40x40:k5x5:s1:p2.2:d1"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("direction", ["conv_fwd", "conv_bwd_data", "conv_bwd_weights"])
def test_an_im2col_matrix_of_fifty_times_the_limit(device, mode, direction):
    text = f"{direction}:f32:{LAYER}"
    problem, device = parse(text), in_mode(device, mode)
    memory = clconv.problem_cost(text).im2col_bytes // 50
    tensors = data_for(problem, "random")
    for algorithm in ("im2col_gemm", "direct"):
        whole = run(device, problem, tensors, algorithm)
        assert held(device, problem, tensors, algorithm, whole, memory=memory)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("conv_fwd:f32:n8c2o3g1:i9x8:k3x3:s1:p1.1:d1", "n4c2o3g1:i9x8"),
        ("conv_fwd:f32:n1c2o3g1:i60x8:k3x3:s1:p1.1:d1", "i31x8:k3x3:s1:p1.0x1.1"),
        ("conv_fwd:f32:n1c2o300g1:i3x3:k3x3:s1:p1.1:d1:bias", "n1c2o100g1"),
        ("conv_bwd_data:f32:n1c2o3g1:i60x8:k3x3:s1:p1.1:d1", "i30x8:k3x3:s1:p2.1x1.1"),
        ("conv_bwd_weights:f32:n1c200o1g1:i3x3:k3x3:s1:p1.1:d1", "n1c100o1g1"),
        ("avg_pool:f32:n1c1:i90x8:k3x3:s2:p1.1:d1:ceil", "i33x8:k3x3:s2:p0.0x1.1"),
        ("max_pool_backward:f32:n8c2:i9x8:o3x4", "n4c2:i9x8:o3x4"),
    ],
)
def test_what_is_cut(device, text, kind):
    """Batch, tiles with halos, outputs, channels: the first that is enough."""
    problem, device = parse(text), in_mode(device, "copied")
    tensors = data_for(problem, "random")
    algorithm = "direct" if text.startswith("conv") else "auto"
    whole = run(device, problem, tensors, algorithm)
    memory = last_route(device).division.need.total_bytes * 2 // 3
    assert held(device, problem, tensors, algorithm, whole, memory=memory)
    kinds = {str(plan.problem) for plan in last_route(device).division.plans}
    assert any(kind in text for text in kinds), kinds


@pytest.mark.parametrize("algorithm", ["im2col_gemm", "direct"])
def test_what_fits_no_piece_is_refused_before_anything_is_begun(device, algorithm):
    problem, device = parse(f"conv_fwd:f32:{LAYER}"), in_mode(device, "copied")
    tensors = data_for(problem, "random")
    message = r"needs \d+ bytes at once, .* cannot be cut further; the limits are 100 bytes at once"
    with clconv.limits(memory=100), pytest.raises(MemoryError, match=message):
        run(device, problem, tensors, algorithm)


def test_an_array_larger_than_one_allocation_is_cut_where_it_lies(device):
    device = in_mode(device, "shared")
    problem = parse("max_pool:f32:n6c2:i9x8:k3x3:s2:p0.0:d1")
    tensors = data_for(problem, "random")
    limits = {"memory": 1, "allocation": tensors["x"].nbytes // 3}
    assert held(device, problem, tensors, "auto", run(device, problem, tensors), **limits)


def test_arrays_that_have_to_be_copied_count(device):
    device = in_mode(device, "shared")
    problem = parse("max_pool:f32:n6c2:i9x8:k3x3:s2:p0.0:d1")
    x = np.asfortranarray(data_for(problem, "random")["x"])
    whole = run(device, problem, {"x": x})
    assert last_route(device).division.need.total_bytes == x.nbytes
    assert held(device, problem, {"x": x}, "auto", whole, memory=x.nbytes // 2)


def test_arrays_on_the_device_are_not_cut(device, queue):
    import pyopencl.array as cl_array

    x = np.ones((2, 8, 60), np.float32)
    w = np.ones((4, 8, 3), np.float32)
    expected = clconv.conv(x, w, device=device)
    device_x, device_w = cl_array.to_device(queue, x), cl_array.to_device(queue, w)
    with clconv.limits(memory=expected.nbytes + 4096):  # one chunk and the packed filters
        y = clconv.conv(device_x, device_w)
    np.testing.assert_array_equal(y.get(), expected)
    with clconv.limits(memory=expected.nbytes - 1), pytest.raises(MemoryError, match="needs"):
        clconv.conv(device_x, device_w)
    beside = cl_array.to_device(queue, np.append(np.float32(0), x))[1:].reshape(x.shape)
    with clconv.limits(memory=expected.nbytes + x.nbytes):  # no buffer begins there: a copy
        np.testing.assert_array_equal(
            clconv.conv(beside, device_w, algorithm="direct").get(), expected
        )
    with clconv.limits(memory=expected.nbytes + x.nbytes - 1), pytest.raises(MemoryError):
        clconv.conv(beside, device_w, algorithm="direct")
    out = cl_array.empty(queue, expected.shape, np.float32)  # takes nothing more
    with clconv.limits(memory=1):
        clconv.conv(device_x, device_w, out=out, algorithm="direct")
    np.testing.assert_array_equal(out.get(), expected)


def test_limits_nest_and_belong_to_a_thread():
    room, seen = Memory(1000, 500), []
    assert limited(room) is room
    with clconv.limits(memory=800):
        assert limited(room) == (800, 500)
        with clconv.limits(allocation=np.int64(100)):
            assert limited(room) == (800, 100)
        with clconv.limits(memory=2**40, allocation=2**40):  # no device grows by being asked
            assert limited(room) == room
        thread = threading.Thread(target=lambda: seen.append(limited(room)))
        thread.start()
        thread.join()
    assert limited(room) is room
    assert seen == [room]


@pytest.mark.parametrize(
    ("limits", "error", "message"),
    [
        ({"memory": 0}, ValueError, "memory must be at least 1 byte, got 0"),
        ({"allocation": -1}, ValueError, "allocation must be at least 1 byte, got -1"),
        ({"memory": 1e9}, TypeError, r"memory must be an integer, got 1000000000\.0"),
        ({"memory": True}, TypeError, "memory must be an integer, got True"),
        ({"allocation": "1 GB"}, TypeError, "allocation must be an integer, got '1 GB'"),
    ],
)
def test_wrong_limits(limits, error, message):
    with pytest.raises(error, match=message), clconv.limits(**limits):
        pass


def test_a_plan_is_shown_before_anything_is_allocated(device):
    text = f"conv_fwd:f32:{LAYER}"
    with pytest.MonkeyPatch.context() as patch, counted(patch) as ledger:
        whole = clconv.plan_of(text, device=device, algorithm="im2col_gemm")
        with clconv.limits(memory=300_000):
            cut = clconv.plan_of(text, device=in_mode(device, "copied"), algorithm="im2col_gemm")
        with clconv.limits(memory=10), pytest.raises(MemoryError, match="limits are 10 bytes"):
            clconv.plan_of(text, device=device, algorithm="im2col_gemm")
    assert not ledger.history
    assert len([*whole.plans]) == 1
    assert str(whole).startswith(f"needs {whole.need.total_bytes} B at once, ")
    assert len([*cut.plans]) > 1
    assert cut.need.total_bytes <= 300_000
    assert f"{text} in {len(cut.parts)} pieces" in str(cut)
