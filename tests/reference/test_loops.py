"""reference/loops.py, the definition, against the tap sums of reference/conv.py."""

import numpy as np
import pytest

from clconv.reference import conv, conv_backward_data, conv_backward_weights, loops
from clconv.reference.shapes import CONV_SHAPES

SMALL = {name: shape for name, shape in CONV_SHAPES["edges"].items() if shape.flops <= 25_000}


def test_most_edges_are_small_enough():
    assert len(SMALL) > 40


@pytest.mark.parametrize("shape", SMALL.values(), ids=SMALL)
def test_loops_are_tap_sums(shape):
    keywords = shape.keywords()
    x, w, dy, _ = shape.integer_tensors("int64")
    np.testing.assert_array_equal(loops.forward(x, w, **keywords), conv(x, w, **keywords))
    np.testing.assert_array_equal(
        loops.backward_data(dy, w, input_shape=shape.x_shape, **keywords),
        conv_backward_data(dy, w, input_shape=shape.x_shape, **keywords),
    )
    np.testing.assert_array_equal(
        loops.backward_weights(x, dy, weight_shape=shape.w_shape, **keywords),
        conv_backward_weights(x, dy, weight_shape=shape.w_shape, **keywords),
    )


def test_every_connection_of_a_small_convolution():
    shape = CONV_SHAPES["edges"]["1d_filter_fills_padded_image"]
    found = list(loops.connections(shape.x_shape, (1, 1, 6), shape.axes, groups=1))
    assert found == [((0, 0, s), (0, 0, s), (0, 0, 0)) for s in range(6)]
