"""Every public function on pyopencl arrays gives the bits that it gives on numpy's."""

from __future__ import annotations

import numpy as np
import pytest

import clconv
from clconv.conformance.calls import as_tuple
from clconv.conformance.cases import (
    INTEGERS,
    OTHERS,
    conv_strings,
    is_defined,
    pool_strings,
    transpose_strings,
)
from clconv.conformance.data import data_for
from clconv.conformance.problems import calls_of
from clconv.reference.shapes import CONV_SHAPES, POOL_SHAPES, TRANSPOSE_SHAPES
from clconv.spec.parse import parse

STRINGS = [
    *conv_strings(CONV_SHAPES["edges"]["groups_stride_dilation"], "f32"),
    *conv_strings(CONV_SHAPES["edges"]["depthwise_times_3"], "f32"),
    *transpose_strings(TRANSPOSE_SHAPES["edges"]["output_padding_below_dilation"], "c64"),
    *pool_strings(POOL_SHAPES["edges"]["3x3_stride_2"], "f32"),
    *(text.format(t=code) for text in OTHERS for code in ("f32", "bf16")),
    *INTEGERS,
]
HOST = {"qlinear_conv": (4, 5, 7)}  # places of arguments that are numbers of the host


def uploaded(queue, name, arguments):
    """Return a call's arguments with its tensors on the device."""
    import pyopencl.array as cl_array

    def upload(a):
        if a.dtype.name != "bfloat16":  # which knows no buffer protocol
            return cl_array.to_device(queue, a)
        return cl_array.to_device(queue, a.view(np.uint16)).view(a.dtype)

    host = HOST.get(name, ())
    return [
        upload(a) if isinstance(a, np.ndarray) and place not in host else a
        for place, a in enumerate(arguments)
    ]


def downloaded(array):
    if array.dtype.name != "bfloat16":
        return array.get()
    return widened(array.view(np.dtype(np.uint16)).get().view(array.dtype))


def widened(array):
    """Return a bfloat16 array, of whose NaN numpy knows nothing, as float32."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


@pytest.mark.parametrize("text", [text for text in STRINGS if is_defined(text)])
def test_bits_are_those_of_numpy_arrays(device, queue, text):
    import pyopencl.array as cl_array

    problem = parse(text)
    for call in calls_of(problem, data_for(problem, "random")):
        expected = as_tuple(call.on(clconv, device=device))
        options = dict(call.options)
        if "out" in options:
            (options["out"],) = uploaded(queue, "", [options["out"]])
        arguments = uploaded(queue, call.name, call.arguments)
        results = as_tuple(getattr(clconv, call.name)(*arguments, **options))
        for actual, wanted in zip(results, expected, strict=True):
            assert isinstance(actual, cl_array.Array)
            np.testing.assert_array_equal(downloaded(actual), widened(wanted))
