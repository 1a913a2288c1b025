"""clconv's kernels against the operator test cases that ship with onnx."""

import pytest
from support.onnx_cases import OPERATORS, check_all_of

from clconv.conformance.runner import DeviceBackend


@pytest.mark.parametrize("operator", OPERATORS)
def test_all_cases_of(operator, device):
    assert check_all_of(operator, DeviceBackend(device)) >= OPERATORS[operator]
