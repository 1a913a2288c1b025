"""No kernel writes outside its buffers: guard zones around every operand, result and scratch."""

from __future__ import annotations

import numpy as np
import pytest
from support.guards import run_guarded

import clconv
from clconv.algorithms.base import Limits
from clconv.algorithms.registry import select
from clconv.conformance.cases import list_cases
from clconv.conformance.data import data_for
from clconv.program import build
from clconv.spec.parse import parse

CASES = list_cases("quick", clconv.algorithm_names())
LAUNCHES = 4000  # more, of a few sums each, take seconds and cut nothing new
KINDS = sorted({str(case).split(":")[0] for case in CASES})


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_written_around_any_buffer_however_work_is_cut(queue, device, kind):
    for case in (case for case in CASES if str(case).split(":")[0] == kind):
        if case.problem.dtype in ("float64", "complex128") and not device.fp64:
            continue
        tensors = dict(data_for(case.problem, "random"))
        out = tensors.pop("out", None)  # what beta multiplies is the result's own buffer
        for algorithm in case.algorithms:
            runs = []
            for limits in (None, tightest(case.problem, device, algorithm)):
                try:
                    results, touched = run_guarded(queue, case.problem, tensors, algorithm, limits)
                except clconv.UnsupportedError:
                    continue  # verify counts refusals
                assert not touched, f"{case} by {algorithm} wrote around {touched}"
                runs.append(results)
            if len(runs) == 2 and out is None:  # in as small pieces as can be: the same bits
                for name, array in runs[0].items():
                    assert array.tobytes() == runs[1][name].tobytes(), f"{case} by {algorithm}"


def tightest(problem, device, algorithm):
    """Return the limit of the smallest pieces that are not too many."""
    for workspace_bytes in (0, *(4**i for i in range(5, 15))):
        limits = Limits(workspace_bytes=workspace_bytes)
        try:
            launches = len(select(problem, device, algorithm, limits).launches)
        except clconv.UnsupportedError:
            continue  # needs more than that
        if launches <= LAUNCHES:
            break
    return limits


def test_a_kernel_that_writes_too_far_is_caught(queue, monkeypatch):
    read = build.read_source

    def faulty(name):
        return read(name).replace("if (l >= positions)\n        return;", "")

    monkeypatch.setattr(build, "read_source", faulty)
    problem = parse("avg_pool:f32:n1c1:i7:k3:s2:p0.0:d1")
    _, touched = run_guarded(queue, problem, {"x": np.ones((1, 1, 7), np.float32)})
    assert touched == ["y"]
