"""The operator test cases that ship with onnx, translated one by one into calls of a library.

The library is `clconv.reference`, or anything with its functions.
"""

import warnings
from functools import cache

import numpy as np
import pytest

OPERATORS = {
    "Conv": 6,
    "ConvTranspose": 11,
    "ConvInteger": 2,
    "QLinearConv": 1,
    "DeformConv": 4,
    "AveragePool": 20,
    "MaxPool": 19,
    "LpPool": 8,
    "GlobalAveragePool": 2,
    "GlobalMaxPool": 2,
    "MaxUnpool": 2,
    "Col2Im": 5,
}  # and how many cases there are at least


@cache
def cases():
    """Every case of the standard: operator, name, attributes, inputs, outputs."""
    reason = "onnx, which brings the standard's own cases, is not installed"
    node = pytest.importorskip("onnx.backend.test.case.node", reason=reason)
    helper = pytest.importorskip("onnx.helper", reason=reason)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cases of other operators
        collected = node.collect_testcases(None)
    found = []
    for case in collected:
        if len(case.model.graph.node) == 1:
            (operator,) = case.model.graph.node
            attributes = {
                each.name: helper.get_attribute_value(each) for each in operator.attribute
            }
            inputs, outputs = case.data_sets[0]
            found.append((operator.op_type, case.name, attributes, inputs, outputs))
    return found


def windows(attributes, rank):
    """Stride, padding and dilation in the words of this package."""
    pads = attributes.get("pads", [0] * (2 * rank))
    words = {b"SAME_UPPER": "same", b"SAME_LOWER": "same_lower", b"VALID": "valid"}
    explicit = [*zip(pads[:rank], pads[rank:], strict=True)]
    return {
        "stride": attributes.get("strides", [1] * rank),
        "padding": words.get(attributes.get("auto_pad"), explicit),
        "dilation": attributes.get("dilations", [1] * rank),
    }


def conv(library, attributes, x, w, bias=None):
    keywords = windows(attributes, x.ndim - 2)
    return [library.conv(x, w, bias, groups=attributes.get("group", 1), **keywords)]


def conv_transpose(library, attributes, x, w, bias=None):
    rank = x.ndim - 2
    keywords = windows(attributes, rank) | {"groups": attributes.get("group", 1)}
    keywords["output_padding"] = attributes.get("output_padding", [0] * rank)
    upper = keywords["padding"] == "same"
    wanted = attributes.get("output_shape")
    if upper:
        wanted = [size * s for size, s in zip(x.shape[2:], keywords["stride"], strict=True)]
    if wanted is not None:  # then padding, or what there is too little, follows from it
        keywords |= {"padding": 0, "output_padding": 0}
        natural = library.conv_transpose(x, w, **keywords).shape[2:]
        surplus = [size - each for size, each in zip(natural, wanted, strict=True)]
        totals = [max(each, 0) for each in surplus]
        pairs = [(total // 2, total - total // 2) for total in totals]
        keywords["padding"] = pairs if upper else [pair[::-1] for pair in pairs]
        keywords["output_padding"] = [max(-each, 0) for each in surplus]
    return [library.conv_transpose(x, w, bias, **keywords)]


def conv_integer(library, attributes, x, w, x_zero_point=0, w_zero_point=0):
    keywords = windows(attributes, x.ndim - 2)
    return [
        library.conv_integer(x, w, x_zero_point=x_zero_point, w_zero_point=w_zero_point, **keywords)
    ]


def qlinear_conv(library, attributes, x, *others):
    return [library.qlinear_conv(x, *others, **windows(attributes, x.ndim - 2))]


def deform_conv(library, attributes, x, w, offset, bias=None, mask=None):
    keywords = windows(attributes, x.ndim - 2)
    keywords["groups"] = attributes.get("group", 1)
    keywords["offset_groups"] = attributes.get("offset_group", 1)
    return [library.deform_conv(x, w, offset, mask, bias, **keywords)]


def pool_keywords(attributes, x):
    ceil_mode = bool(attributes.get("ceil_mode", 0))
    return windows(attributes, x.ndim - 2) | {"ceil_mode": ceil_mode, "semantics": "onnx"}


def average_pool(library, attributes, x):
    include = bool(attributes.get("count_include_pad", 0))
    keywords = pool_keywords(attributes, x) | {"count_include_pad": include}
    return [library.avg_pool(x, attributes["kernel_shape"], **keywords)]


def max_pool(library, attributes, x):
    keywords = pool_keywords(attributes, x)
    y, indices = library.max_pool(x, attributes["kernel_shape"], return_indices=True, **keywords)
    if attributes.get("storage_order", 0):  # column-major
        h, w = np.divmod(indices, x.shape[3])
        indices = w * x.shape[2] + h
    planes = np.arange(np.prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))
    return [y, indices + planes * np.prod(x.shape[2:])]


def lp_pool(library, attributes, x):
    keywords = pool_keywords(attributes, x) | {"p": attributes.get("p", 2)}
    return [library.lp_pool(x, attributes["kernel_shape"], **keywords)]


def max_unpool(library, attributes, y, indices, output_shape=None):
    numbers = zip(y.shape[2:], attributes["strides"], attributes["kernel_shape"], strict=True)
    size = [(each - 1) * stride + k for each, stride, k in numbers]
    x = library.max_unpool(y, indices % np.prod(size), output_size=size)
    if output_shape is not None:
        x = np.pad(x, [(0, want - have) for want, have in zip(output_shape, x.shape, strict=True)])
    return [x]


def col2im(library, attributes, cols, image_shape, block_shape):
    keywords = windows(attributes, len(image_shape))
    return [library.col2im(cols, image_shape.tolist(), block_shape.tolist(), **keywords)]


TRANSLATIONS = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "ConvInteger": conv_integer,
    "QLinearConv": qlinear_conv,
    "DeformConv": deform_conv,
    "AveragePool": average_pool,
    "MaxPool": max_pool,
    "LpPool": lp_pool,
    "GlobalAveragePool": lambda library, attributes, x: [library.global_avg_pool(x)],
    "GlobalMaxPool": lambda library, attributes, x: [library.global_max_pool(x)],
    "MaxUnpool": max_unpool,
    "Col2Im": col2im,
}


def check_all_of(operator, library):
    """Run every case of an operator; return how many passed."""
    passed = 0
    for op_type, name, attributes, inputs, outputs in cases():
        if op_type != operator:
            continue
        given = [None if np.size(each) == 0 else each for each in inputs]
        results = TRANSLATIONS[operator](library, attributes, *given)
        rounded = name == "test_averagepool_2d_ceil_last_window_starts_on_pad"  # to 4 decimals
        for result, expected in zip(results, outputs, strict=False):
            np.testing.assert_allclose(
                result.astype(float),
                expected,
                rtol=2e-5,
                atol=6e-5 if rounded else 1e-6,
                err_msg=name,
            )
        passed += 1
    return passed
