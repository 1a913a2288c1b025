"""clconv's kernels against the operator test cases that ship with onnx."""

import pytest
from support.onnx_cases import OPERATORS, check_all_of

from clconv.conformance.runner import DeviceBackend

# Operators and element types that the reference defines and no kernel computes yet.
NOT_YET = {
    "ConvInteger": "integers",
    "QLinearConv": "integers",
    "DeformConv": "deformable convolution",
    "test_maxpool_2d_uint8": "integers",
}


@pytest.mark.parametrize("operator", [name for name in OPERATORS if name not in NOT_YET])
def test_all_cases_of(operator, device):
    left_out = sum(name.startswith("test_maxpool") for name in NOT_YET if operator == "MaxPool")
    passed = check_all_of(operator, DeviceBackend(device), not_yet=NOT_YET)
    assert passed >= OPERATORS[operator] - left_out
