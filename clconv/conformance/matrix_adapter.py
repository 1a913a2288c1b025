"""An adapter for `clconv verify --backend`: the reference's second formulation, by matrices.

    clconv verify --quick --backend clconv.conformance.matrix_adapter

Convolution is W-hat x and its data gradient W-hat^T dy (`reference/conv_matrix.py`); the gradient
of weights is dY X-hat^T (`im2col`). Its misses are of the rule "specials" alone: a sparse matrix
has no zeros, of the padding or among the weights, that an infinity could be multiplied by.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clconv.conformance.calls import Array
from clconv.conformance.plain_options import per_group, plain_options
from clconv.reference import conv_matrix
from clconv.reference import im2col as unfold


def conv(x: Array, w: Array, bias: Array | None = None, **options: Any) -> Array:
    """y = W-hat x + bias."""
    window, groups = plain_options(x, options)
    y: Array = conv_matrix.forward(x, w, groups=groups, **window)
    if bias is not None:
        y = y + bias.reshape(-1, *[1] * (x.ndim - 2))
    return y.astype(x.dtype)


def conv_backward_data(dy: Array, w: Array, *, input_shape: Any, **options: Any) -> Array:
    """dx = W-hat^T dy."""
    window, groups = plain_options(dy, options)
    dx = conv_matrix.backward_data(dy, w, input_shape=input_shape, groups=groups, **window)
    result: Array = dx.astype(dy.dtype)
    return result


def conv_backward_weights(x: Array, dy: Array, *, weight_shape: Any, **options: Any) -> Array:
    """dW = dY X-hat^T, group by group, summed over the images."""
    window, groups = plain_options(x, options)
    gradients = []
    for images, adjoints in zip(per_group(x, groups), per_group(dy, groups), strict=True):
        columns = unfold(images, weight_shape[2:], **window)
        rows = adjoints.reshape(*adjoints.shape[:2], -1).astype(columns.dtype)
        gradients.append(sum(rows[n] @ columns[n].T for n in range(len(rows))))
    dw: Array = np.concatenate(gradients).reshape(weight_shape).astype(x.dtype)
    return dw
