"""clconv/algorithms/selfcheck.py and trust.py: wrong kernels are found, named and stood in for."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pyopencl as cl
import pytest

import clconv
from clconv import reference
from clconv.algorithms import registry, selfcheck, trust
from clconv.algorithms.registry import select
from clconv.algorithms.selfcheck import cases_of, families_of, stored
from clconv.algorithms.trust import Family
from clconv.conformance.cases import list_cases
from clconv.conformance.selfcheck import expected
from clconv.errors import UnsupportedError
from clconv.program import build, context
from clconv.spec.parse import parse

RNG = np.random.default_rng(0)
X = RNG.integers(-4, 5, (2, 4, 9, 8)).astype(np.float32)
W = RNG.integers(-4, 5, (6, 4, 3, 3)).astype(np.float32)
DEPTHWISE = RNG.integers(-4, 5, (4, 1, 3, 3)).astype(np.float32)
# What is wrong in a kernel file, as (pattern, replacement)
SIGN = (r"\A", "#define fma(a, b, c) ((c) - (a)*(b))\n")
ONE_MORE = (r"\A", "#define fma(a, b, c) ((a)*(b) + (c) + 1)\n")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Return a cache directory; faults have other sources, and so they are built anew."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def fresh(device, monkeypatch, programs):
    """Make clconv forget what it built and checked, and check again; return a planter of faults."""
    monkeypatch.setenv("CLCONV_SELFCHECK", "1")
    monkeypatch.setenv("CLCONV_CACHE", str(programs))
    original, planted = build.read_source, {}

    def read(name):
        pattern, replacement = planted.get(name, (None, ""))
        text = original(name)
        return text if pattern is None else re.sub(pattern, replacement, text)

    def forget():
        monkeypatch.setattr(build, "_programs", OrderedDict())
        monkeypatch.setattr(context, "_contexts", context._PerThread())
        monkeypatch.setattr(selfcheck, "_passed", set())
        monkeypatch.setattr(trust, "_faults", {})

    def plant(**faults):
        """Start as a new process with these faults: file names without folder and ending."""
        files = {f"{folder}/{name}.cl": fault for name, (folder, fault) in faults.items()}
        planted.clear()
        planted.update(files)
        forget()

    monkeypatch.setattr(build, "read_source", read)
    monkeypatch.setattr(selfcheck, "read_source", read)
    forget()
    return plant


def test_stored_results_are_the_references():
    for cases in stored().values():
        for text, results in cases.items():
            assert expected(parse(text.replace("{t}", "f32"))) == results, text


def all_families(device):
    """Yield every family in every element type that it has."""
    for name in stored():
        algorithm, operator = name.split(" ", 1)
        for code in trust._OWN_KERNELS:
            family = Family(algorithm, operator, code)
            try:
                problems = [case.problem for case in cases_of(family)]
            except (ValueError, UnsupportedError):
                continue  # not defined in that type
            real = operator.startswith(("deform", "lp_")) or algorithm.startswith("winograd")
            whole = code.startswith("i") and real
            stored_only = code in ("f16", "bf16") and algorithm != "rearrange"
            if problems and not whole and not stored_only and (device.fp64 or code != "f64"):
                yield family


def test_every_family_passes_here(device, monkeypatch):
    monkeypatch.setattr(selfcheck, "disk", SimpleNamespace(load=lambda key: None, store=print))
    own = context.default_context(device)
    families = list(all_families(device))
    assert len(families) > 60
    for family in families:
        assert selfcheck._fault(own, family) is None, str(family)


def test_every_plan_consists_of_families_that_have_cases(device):
    for case in list_cases("quick", clconv.algorithm_names()):
        for algorithm in case.algorithms:
            try:
                plan = select(case.problem, device, algorithm)
            except UnsupportedError:
                continue
            for family in families_of(case.problem, plan):
                assert cases_of(family), f"{family} for {case.problem}"


@pytest.fixture
def two_serve(fresh, monkeypatch):
    """Leave im2col_gemm, then direct, for a convolution, on a CPU as on a GPU; see `fresh`."""
    left = [entry for entry in registry.ALGORITHMS if entry.name != "implicit_gemm"]
    monkeypatch.setattr(registry, "ALGORITHMS", tuple(left))
    return fresh


def conv(device, x=X, w=W, **options):
    return clconv.conv(x, w, padding=1, device=device, **options)


def test_the_next_algorithm_serves_with_one_warning(device, two_serve):
    two_serve(gemm=("gemm", SIGN))
    with pytest.warns(RuntimeWarning, match=r"im2col_gemm \(conv_fwd, f32\) failed") as caught:
        y = conv(device)
    assert len(caught) == 1
    assert re.search(r"y\[\d+.*\] is .*, not .* \(\d+ of \d+\)", str(caught[0].message))
    np.testing.assert_array_equal(y, reference.conv(X, W, padding=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = conv(device, x=X[:1])  # another problem of the family: no second warning
    np.testing.assert_array_equal(again, reference.conv(X[:1], W, padding=1))
    with pytest.raises(UnsupportedError, match=r"im2col_gemm \(conv_fwd, f32\) failed its self-ch"):
        conv(device, algorithm="im2col_gemm")


def test_each_depthwise_fault_is_stood_in_for(device, fresh):
    wanted = reference.conv(X, DEPTHWISE, padding=1, groups=4)
    fresh(depthwise=("depthwise", ONE_MORE), staged=("depthwise", ONE_MORE))
    with pytest.warns(RuntimeWarning, match=r"depthwise \(conv_fwd, f32\) failed"):
        y = conv(device, w=DEPTHWISE, groups=4)
    np.testing.assert_array_equal(y, wanted)


def test_the_last_algorithm_is_missed_only_where_it_is_needed(device, two_serve):
    two_serve(gemm=("gemm", SIGN), direct=("direct", SIGN))
    with (
        pytest.warns(RuntimeWarning) as caught,
        pytest.raises(UnsupportedError, match="no algorithm is left for conv_fwd:f32") as refused,
    ):
        conv(device)
    assert len(caught) == 2
    for algorithm in ("im2col_gemm", "direct"):
        assert f"{algorithm} (conv_fwd, f32) failed its self-check" in str(refused.value)
    # Max pooling has no part in it.
    np.testing.assert_array_equal(
        clconv.max_pool(X, 2, device=device), reference.max_pool(X, 2, semantics="torch")
    )


@pytest.mark.parametrize(
    ("faults", "call", "family"),
    [
        (
            {"max_pool": ("pool", (r"value > best", "value < best"))},
            lambda d: clconv.max_pool(X, 2, device=d),
            "pool (max_pool, f32)",
        ),
        (
            {"im2col": ("im2col", (r"l >= positions", "l == 3 || l >= positions"))},
            lambda d: clconv.im2col(X, 2, device=d),
            "im2col (im2col, f32)",
        ),
        (
            {"rearrange": ("rearrange", (r"/ *spread < size", "/spread < size - 1"))},
            lambda d: clconv.conv(X, W, dimension_numbers="NCWH,OIHW->NCHW", device=d),
            "rearrange (any operator, f32)",
        ),
        (
            {"requantize": ("quantize", (r"rest > middle", "rest < middle"))},
            lambda d: clconv.qlinear_conv(
                *(X.astype(np.int8), 1.0, 0, W.astype(np.int8), 0.3, 0, 1.0, np.int8(0)), device=d
            ),
            "requantize (qlinear_conv, i32)",
        ),
        (
            {"panels": ("deform", SIGN)},
            lambda d: clconv.deform_conv(X, W, np.zeros((2, 18, 7, 6), np.float32), device=d),
            "deform (deform_conv_fwd, f32)",
        ),
    ],
    ids=["pool", "im2col", "rearrange", "requantize", "deform"],
)
def test_what_nothing_stands_in_for_is_refused(device, fresh, faults, call, family):
    fresh(**faults)
    with (
        pytest.warns(RuntimeWarning, match=re.escape(family)),
        pytest.raises(UnsupportedError, match=re.escape(f"{family} failed its self-check")),
    ):
        call(device)


def test_a_fault_inside_is_not_blamed_on_the_rearrangement(device, two_serve):
    two_serve(gemm=("gemm", SIGN))
    with pytest.warns(RuntimeWarning, match="im2col_gemm") as caught:
        y = clconv.conv(X, W, padding=1, padding_mode="reflect", device=device)
    assert len(caught) == 1
    np.testing.assert_array_equal(y, reference.conv(X, W, padding=1, padding_mode="reflect"))


def test_a_kernel_that_writes_nothing_is_found(device, fresh):
    fresh(direct=("direct", (r"if \(l >= positions\)", "if (l >= 0)")))
    with (
        pytest.warns(RuntimeWarning, match=r"direct \(conv_fwd, f32\)"),
        pytest.raises(UnsupportedError),
    ):
        conv(device, algorithm="direct")


def test_a_kernel_that_the_device_cannot_run_is_found(device, two_serve, monkeypatch, tmp_path):
    monkeypatch.setenv("CLCONV_CACHE", str(tmp_path / "cache"))  # where no check has passed yet
    original = context.Context.run

    def run(self, bound, *given):
        if bound.plan.algorithm == "im2col_gemm":
            raise cl.LogicError("clEnqueueNDRangeKernel failed: INVALID_WORK_GROUP_SIZE")
        return original(self, bound, *given)

    monkeypatch.setattr(context.Context, "run", run)
    with pytest.warns(RuntimeWarning, match="INVALID_WORK_GROUP_SIZE"):
        y = conv(device)
    np.testing.assert_array_equal(y, reference.conv(X, W, padding=1))


def test_a_kernel_that_does_not_compile_is_a_build_error(device, two_serve):
    two_serve(gemm=("gemm", (r"\A", "no C at all\n")))
    with pytest.raises(clconv.BuildError, match=r"gemm/gemm\.cl") as caught:
        conv(device)
    assert caught.value.__notes__


def test_types_and_directions_are_families_of_their_own(device, two_serve):
    if not device.fp64:
        pytest.skip(f"{device} has no float64")
    two_serve(gemm=("gemm", (r"\A", "#ifdef cl_khr_fp64\n#define double float\n#endif\n")))
    conv(device)  # float32 is as it was
    fault = trust.fault_of(device, Family("im2col_gemm", "conv_fwd", "f32"))
    assert fault is None


def test_zero_turns_it_off(device, two_serve, monkeypatch):
    two_serve(gemm=("gemm", SIGN))
    monkeypatch.setenv("CLCONV_SELFCHECK", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = conv(device)
    np.testing.assert_array_equal(y, -reference.conv(X, W, padding=1))


def test_a_passed_check_is_remembered_by_launches_and_sources(
    device, two_serve, monkeypatch, tmp_path
):
    monkeypatch.setenv("CLCONV_CACHE", str(tmp_path / "cache"))
    runs = []
    original = selfcheck._run
    monkeypatch.setattr(selfcheck, "_run", lambda *given: runs.append(1) or original(*given))

    def start():
        """Call as a new process and return how many cases were run."""
        two_serve()
        runs.clear()
        conv(device)
        return len(runs)

    assert [start(), start()] == [2, 0]
    two_serve(gemm=("gemm", (r"\Z", "/* another source */\n")))
    runs.clear()
    conv(device)
    assert len(runs) == 2


def test_a_failed_check_is_found_anew_in_each_process(device, two_serve):
    for _ in range(2):
        two_serve(gemm=("gemm", SIGN))
        with pytest.warns(RuntimeWarning, match="im2col_gemm"):
            conv(device)
    two_serve()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(conv(device), reference.conv(X, W, padding=1))


def test_the_callers_queue_is_not_waited_for(device, fresh):
    """What stands in it may wait for something that the caller does after the call."""
    import pyopencl.array as cl_array

    own = cl.Context([device.handle])
    queue = cl.CommandQueue(own)
    x, w = cl_array.to_device(queue, X), cl_array.to_device(queue, W)
    gate = cl.UserEvent(own)
    cl.enqueue_barrier(queue, wait_for=[gate])
    y = clconv.conv(x, w, padding=1)
    gate.set_status(cl.command_execution_status.COMPLETE)
    np.testing.assert_array_equal(y.get(), reference.conv(X, W, padding=1))
