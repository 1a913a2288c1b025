"""The reference against the operator test cases that ship with onnx."""

import pytest
from support.onnx_cases import OPERATORS, check_all_of

from clconv import reference


@pytest.mark.parametrize("operator", OPERATORS)
def test_all_cases_of(operator):
    assert check_all_of(operator, reference) >= OPERATORS[operator]
