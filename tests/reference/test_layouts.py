"""reference/layouts.py in the operators that are made of others: layouts change no number.

Those of `conv` and `conv_general` are in test_conv_options.py and test_conv_general.py.
"""

import numpy as np
import pytest
from support.layouts import moved

from clconv.reference import conv_backward_bias


@pytest.mark.parametrize("layout", ["NWC", "CNHW", "HWCN", "DNWHC"])
def test_gradient_of_the_bias(layout):
    plain = "NC" + "DHW"[5 - len(layout) :]
    dy = np.random.default_rng(2).integers(-9, 10, (2, 3, 4, 5, 6)[: len(layout)])
    expected = conv_backward_bias(dy)
    np.testing.assert_array_equal(
        conv_backward_bias(moved(dy, plain, layout), layout=layout), expected
    )


def test_gradient_of_the_bias_refuses():
    x = np.ones((1, 5, 6, 4))
    with pytest.raises(ValueError, match="layout: 'NHWX' does not have each letter of 'NCHW"):
        conv_backward_bias(x, layout="NHWX")
    with pytest.raises(ValueError, match="layout='NWC' has 3 axes, dy"):
        conv_backward_bias(x, layout="NWC")
