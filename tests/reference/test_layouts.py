"""reference/layouts.py in the operators that are made of others: layouts change no number.

Those of `conv` and `conv_general` are in test_conv_options.py and test_conv_general.py.
"""

import re

import numpy as np
import pytest
from support.layouts import Layouts, moved

from clconv.reference import (
    conv_backward_bias,
    conv_transpose,
    conv_transpose_backward_data,
    conv_transpose_backward_weights,
    depthwise_conv,
    separable_conv,
)
from clconv.reference.shapes import CONV_SHAPES, TRANSPOSE_SHAPES

TRANSPOSED = TRANSPOSE_SHAPES["edges"]
DEPTHWISE = {n: s for n, s in CONV_SHAPES["edges"].items() if s.groups == s.channels}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("shape", TRANSPOSED.values(), ids=TRANSPOSED)
def test_transposed_convolution_and_its_adjoints(shape, seed):
    layouts = Layouts(np.random.default_rng(seed), len(shape.spatial), "IO")
    x, w, dy, bias = shape.integer_tensors("int64")
    keywords = shape.keywords()
    y = conv_transpose(x, w, bias, **keywords)
    dx = conv_transpose_backward_data(dy, w, input_shape=x.shape, **keywords)
    dw = conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    keywords |= {"dimension_numbers": str(layouts)}
    x, w, dy = layouts.give_x(x), layouts.give_w(w), layouts.give_y(dy)
    np.testing.assert_array_equal(conv_transpose(x, w, bias, **keywords), layouts.give_y(y))
    data = conv_transpose_backward_data(dy, w, input_shape=x.shape, **keywords)
    np.testing.assert_array_equal(data, layouts.give_x(dx))
    weights = conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    np.testing.assert_array_equal(weights, layouts.give_w(dw))


@pytest.mark.parametrize("shape", DEPTHWISE.values(), ids=DEPTHWISE)
def test_depthwise_and_separable_convolution(shape):
    layouts = Layouts(np.random.default_rng(1), len(shape.spatial))
    x, w, _, bias = shape.integer_tensors("int64")
    pointwise = np.arange(3 * len(w)).reshape(3, len(w), *[1] * len(shape.spatial)) - len(w)
    keywords = shape.keywords()
    del keywords["groups"]
    y = depthwise_conv(x, w, bias, **keywords)
    z = separable_conv(x, w, pointwise, [1, 2, 3], **keywords)
    keywords |= {"dimension_numbers": str(layouts)}
    x, w, pointwise = layouts.give_x(x), layouts.give_w(w), layouts.give_w(pointwise)
    np.testing.assert_array_equal(depthwise_conv(x, w, bias, **keywords), layouts.give_y(y))
    separable = separable_conv(x, w, pointwise, [1, 2, 3], **keywords)
    np.testing.assert_array_equal(separable, layouts.give_y(z))


@pytest.mark.parametrize("layout", ["NWC", "CNHW", "HWCN", "DNWHC"])
def test_gradient_of_the_bias(layout):
    plain = "NC" + "DHW"[5 - len(layout) :]
    dy = np.random.default_rng(2).integers(-9, 10, (2, 3, 4, 5, 6)[: len(layout)])
    expected = conv_backward_bias(dy)
    np.testing.assert_array_equal(
        conv_backward_bias(moved(dy, plain, layout), layout=layout), expected
    )


X, W = np.ones((1, 5, 6, 4)), np.ones((3, 3, 2, 4))  # NHWC, and HWOI for two outputs


def test_options_follow_the_spatial_letters_of_w():
    y = conv_transpose(X, W, stride=(1, 2), dimension_numbers="NHWC,HWOI->NHWC")
    assert y.shape == (1, 7, 13, 2)
    y = conv_transpose(X, W, stride=(1, 2), dimension_numbers="NHWC,WHOI->NHWC")
    assert y.shape == (1, 11, 8, 2)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ("NHWC", "dimension_numbers='NHWC' is not of the form"),
        ("NHWC,HWOO->NHWC", "dimension_numbers: 'HWOO' does not have each letter of 'OIHW' once"),
        ("NHWC,HWIO->NHWC", "w (2, 4, 3, 3) has filters for 2 channels, but x (1, 4, 5, 6) has 4"),
        ("NWC,WOI->NWC", "has 3 axes, x (1, 5, 6, 4) not"),
    ],
)
def test_transposed_convolution_refuses(numbers, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        conv_transpose(X, W, dimension_numbers=numbers)


def test_others_refuse():
    numbers = {"dimension_numbers": "NHWC,HWOI->NHWC"}
    for shape in ((3, 3, 1), (3, 3, 1, 4)):
        with pytest.raises(ValueError, match=r"w \("):
            depthwise_conv(X, np.ones(shape), **numbers)
    with pytest.raises(ValueError, match=r"w_pointwise \(4, 4, 3, 3\) is not \(O, C\*mult"):
        separable_conv(X, np.ones((3, 3, 4, 1)), np.ones((3, 3, 4, 4)), **numbers)
    with pytest.raises(ValueError, match="layout: 'NHWX' does not have each letter of 'NCHW"):
        conv_backward_bias(X, layout="NHWX")
    with pytest.raises(ValueError, match="layout='NWC' has 3 axes, dy"):
        conv_backward_bias(X, layout="NWC")
