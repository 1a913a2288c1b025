"""reference/arguments.py and windows.py: each refusal, and that it says what is wrong."""

import re

import numpy as np
import pytest

from clconv.reference import (
    avg_pool,
    avg_pool_backward,
    col2im,
    conv,
    conv_backward_bias,
    conv_backward_data,
    conv_backward_weights,
    conv_matrix,
    im2col,
    loops,
    max_pool,
    max_pool_backward,
)
from clconv.reference.im2col import forward as im2col_forward

X = np.ones((2, 6, 5, 7))
W = np.ones((4, 6, 3, 3))

CONV_REFUSALS = [
    ((np.ones((2, 6)), W), {}, "x (2, 6) is not (N, C, *spatial) with 1 to 3 spatial axes"),
    ((X, np.ones((4, 6, 3))), {}, "w (4, 6, 3) has 3 axes, but x (2, 6, 5, 7) has 4"),
    (
        (X, np.ones((4, 5, 3, 3))),
        {},
        "w (4, 5, 3, 3) has filters of 5 channels, but x (2, 6, 5, 7)",
    ),
    ((X, W), {"groups": 0}, "groups=0 is below the least allowed value, 1"),
    ((X, W), {"groups": 4}, "groups=4 does not divide C=6 of x (2, 6, 5, 7)"),
    ((X, W), {"groups": 3}, "groups=3 does not divide O=4 of w (4, 6, 3, 3)"),
    ((X, W), {"stride": 0}, "stride=0 is below the least allowed value, 1"),
    ((X, W), {"stride": (1, 2, 3)}, "stride=(1, 2, 3) has 3 values for 2 spatial axes"),
    ((X, W), {"dilation": (1, 0)}, "dilation=(1, 0) is below the least allowed value, 1"),
    ((X, W), {"padding": -1}, "padding=-1 is below the least allowed value, 0"),
    ((X, W), {"padding": (1, 2, 3)}, "padding=(1, 2, 3) has 3 values for 2 spatial axes"),
    ((X, W), {"padding": ((0, 1), (0, -1))}, "padding=(0, -1) is below the least allowed value, 0"),
    ((X, W), {"padding": "full"}, "padding='full' is unknown"),
    (
        (X, np.ones((4, 6, 0, 3))),
        {},
        "w (4, 6, 0, 3) has an empty axis: only the batch may be empty",
    ),
    (
        (X, W),
        {"dilation": 3, "padding": ((0, 1), (0, 0))},
        "kernel_size=3 with dilation=3 spans 7 elements, more than the 6 of the padded image",
    ),
]


@pytest.mark.parametrize(("arguments", "keywords", "message"), CONV_REFUSALS)
@pytest.mark.parametrize("function", [conv, loops.forward, conv_matrix.forward, im2col_forward])
def test_every_formulation_refuses(function, arguments, keywords, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        function(*arguments, **keywords)


DY = np.ones((2, 4, 3, 5))
OTHER_REFUSALS = {
    "bias": (
        lambda: conv(X, W, np.ones(3)),
        "bias (3,) does not fit: wanted (4,)",
    ),
    "dy_data": (
        lambda: conv_backward_data(DY, W, input_shape=(2, 6, 5, 8)),
        "dy (2, 4, 3, 5) does not fit: wanted (2, 4, 3, 6)",
    ),
    "dy_weights": (
        lambda: conv_backward_weights(X, DY[:1], weight_shape=W.shape),
        "dy (1, 4, 3, 5) does not fit: wanted (2, 4, 3, 5)",
    ),
    "dy_bias": (
        lambda: conv_backward_bias(np.ones((2, 3))),
        "dy (2, 3) is not (N, C, *spatial)",
    ),
    "input_shape": (
        lambda: conv_backward_data(DY, W, input_shape=(2, 5, 5, 7)),
        "w (4, 6, 3, 3) has filters of 6 channels, but input_shape (2, 5, 5, 7)",
    ),
    "weight_shape": (
        lambda: conv_backward_weights(X, DY, weight_shape=(4, 5, 3, 3)),
        "weight_shape (4, 5, 3, 3) has filters of 5 channels, but x (2, 6, 5, 7)",
    ),
    "flipping": (
        lambda: conv_matrix.backward_data_by_flipping(DY, W, input_shape=(2, 6, 5, 8)),
        "dy (2, 4, 3, 5) does not fit: wanted (2, 4, 3, 6)",
    ),
    "im2col": (
        lambda: im2col(np.ones((6, 5)), 3),
        "x (6, 5) is not (N, C, *spatial)",
    ),
    "cols_length": (
        lambda: col2im(np.ones((1, 18, 14)), (5, 7), 3),
        "cols (1, 18, 14) does not fit: wanted (N, C*9, 15)",
    ),
    "cols_rows": (
        lambda: col2im(np.ones((1, 17, 15)), (5, 7), 3),
        "cols (1, 17, 15) does not fit: wanted (N, C*9, 15)",
    ),
    "max_padding": (
        lambda: max_pool(X, 3, padding=2),
        "padding (2, 2) is larger than half of kernel_size=3, which spans 3 elements",
    ),
    "average_padding": (
        lambda: avg_pool(X, (2, 3), padding=((0, 0), (0, 2))),
        "padding (0, 2) is larger than half of kernel_size=3, which spans 3 elements",
    ),
    "pool_rank": (
        lambda: avg_pool(np.ones((2, 3)), 1),
        "x (2, 3) is not (N, C, *spatial)",
    ),
    "pool_window": (
        lambda: max_pool(X, 6),
        "kernel_size=6 with dilation=1 spans 6 elements, more than the 5 of the padded image",
    ),
    "pool_empty": (
        lambda: avg_pool(np.ones((1, 1, 0)), 2, padding=1),
        "x (1, 1, 0) has an empty axis",
    ),
    "pool_dy": (
        lambda: avg_pool_backward(np.ones((2, 6, 2, 2)), 2, input_shape=X.shape),
        "dy (2, 6, 2, 2) does not fit: wanted (2, 6, 2, 3)",
    ),
    "pool_indices": (
        lambda: max_pool_backward(
            np.ones((1, 1, 2)), np.zeros((1, 1, 3), int), input_shape=(1, 1, 4)
        ),
        "indices (1, 1, 3) does not fit: wanted (1, 1, 2)",
    ),
    "pool_index_range": (
        lambda: max_pool_backward(np.ones((1, 1, 2)), [[[0, 4]]], input_shape=(1, 1, 4)),
        "indices run from 0 to 4, but a channel plane of input_shape (1, 1, 4) has 4 elements",
    ),
    "pool_channels": (
        lambda: max_pool_backward(np.ones((1, 2, 2)), np.zeros((1, 2, 2)), input_shape=(1, 1, 4)),
        "dy (1, 2, 2) does not fit: wanted (1, 1, 2)",
    ),
}


@pytest.mark.parametrize(("call", "message"), OTHER_REFUSALS.values(), ids=OTHER_REFUSALS)
def test_refuses(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
