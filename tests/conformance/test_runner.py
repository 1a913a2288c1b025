"""clconv/conformance/runner.py: what a case finds does not hang on those before it."""

from __future__ import annotations

import pytest

from clconv.algorithms.registry import select
from clconv.conformance.runner import DeviceBackend
from clconv.program.context import default_context
from clconv.spec.parse import parse


def test_each_case_takes_scratch_anew(device):
    context = default_context(device)
    plan = select(parse("conv_fwd:f32:n2c3o4g1:i9x9:k3x3:s1:p1.1:d1"), device, "im2col_gemm")
    if not plan.workspace:
        pytest.skip("im2col_gemm takes no scratch here")
    context.reserve(plan)
    assert context._scratch
    DeviceBackend(device)
    assert not context._scratch
