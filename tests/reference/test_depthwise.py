"""reference/depthwise.py: a channel at a time, and one stage after the other."""

import re

import numpy as np
import pytest

from clconv.reference import conv, depthwise_conv, separable_conv

KEYWORDS = {"stride": 2, "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "flip": True}
RNG = np.random.default_rng(0)
X, W, BIAS = RNG.integers(-9, 9, (2, 3, 7, 8)), RNG.integers(-9, 9, (6, 1, 3, 2)), np.arange(6)
POINTWISE = RNG.integers(-9, 9, (4, 6, 1, 1))


def test_every_channel_by_itself():
    y = depthwise_conv(X, W, BIAS, **KEYWORDS)
    parts = [conv(X[:, o // 2 : o // 2 + 1], W[o : o + 1], [o], **KEYWORDS) for o in range(6)]
    np.testing.assert_array_equal(y, np.concatenate(parts, axis=1))


def test_separable_is_a_convolution_with_a_factored_filter():
    dense = np.zeros((4, 3, 3, 2), int)
    for o, m in np.ndindex(4, 6):
        dense[o, m // 2] += POINTWISE[o, m, 0, 0] * W[m, 0]
    bias = np.arange(4)
    np.testing.assert_array_equal(
        separable_conv(X, W, POINTWISE, bias, **KEYWORDS), conv(X, dense, bias, **KEYWORDS)
    )


def test_refuses():
    with pytest.raises(ValueError, match=re.escape("w (4, 1, 3, 2) is not (C*multiplier, 1")):
        depthwise_conv(X, W[:4])
    with pytest.raises(ValueError, match=re.escape("w_pointwise (6, 1, 3, 2) is not (O, C*mul")):
        separable_conv(X, W, W)
    with pytest.raises(ValueError, match=re.escape("x (2, 0, 7, 8) has an empty axis")):
        depthwise_conv(X[:, :0], W[:0])


def test_empty_batch():
    assert separable_conv(X[:0], W, POINTWISE).shape == (0, 4, 5, 7)
