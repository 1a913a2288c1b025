"""Wrong input: a ValueError or TypeError that names the argument and both values, and no launch."""

from __future__ import annotations

import numpy as np
import pytest

import clconv
from clconv import reference
from clconv.ops.problems import conv_problem

F32 = np.float32
X, W = np.ones((2, 4, 8, 9), F32), np.ones((6, 4, 3, 3), F32)
DY = np.ones((2, 6, 6, 7), F32)
PLAIN = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "flip": False}


@pytest.fixture(autouse=True)
def no_launch(monkeypatch):
    """Fail the test if anything reaches a device."""
    import pyopencl as cl

    def refuse(*_, **__):
        raise AssertionError("a kernel was launched on wrong input")

    monkeypatch.setattr(cl, "enqueue_nd_range_kernel", refuse)


WRONG_CONV = {
    "rank of x": ({"x": np.ones((4, 8), F32)}, r"x \(4, 8\) must be \(N, C, \*spatial\)"),
    "rank of w": ({"w": np.ones((6, 4, 3), F32)}, r"w \(6, 4, 3\) must have as many axes as x"),
    "channels": ({"w": np.ones((6, 3, 3, 3), F32)}, r"w \(6, 3, 3, 3\) has 3 channels, but x"),
    "groups": ({"groups": 3}, r"groups=3 does not divide C=4 of x .* and O=6 of w"),
    "groups of outputs": ({"groups": 4}, r"groups=4 does not divide C=4 of x .* and O=6 of w"),
    "no groups": ({"groups": 0}, r"groups=0 does not divide"),
    "filter too large": (
        {"w": np.ones((6, 4, 9, 3), F32)},
        r"w \(6, 4, 9, 3\): kernel \(9, 3\) .* spans \(9, 3\) pixels, more than .* \(8, 9\)",
    ),
    "dilated filter too large": ({"dilation": 5}, r"spans \(11, 11\) pixels"),
    "negative padding": ({"padding": -1}, r"padding must be at least 0, got \(\(-1, -1\)"),
    "zero stride": ({"stride": 0}, r"stride must be at least 1, got \(0, 0\)"),
    "negative dilation": ({"dilation": (1, -2)}, r"dilation must be at least 1, got \(1, -2\)"),
    "stride per axis": ({"stride": (1, 1, 1)}, r"stride \(1, 1, 1\) must have one entry for each"),
    "padding per axis": ({"padding": (1, 1, 1)}, r"padding \(1, 1, 1\) must have one entry"),
    "padding pair": ({"padding": ((1, 1, 1), (1, 1))}, r"padding of one axis must be a size or"),
    "padding word": (
        {"padding": "full"},
        r"padding must be 'same', 'same_lower', 'valid' or sizes; got 'full'",
    ),
    "bias": ({"bias": np.ones(5, F32)}, r"bias has shape \(5,\), but filters w .* give \(6,\)"),
    "no channels": ({"x": np.ones((2, 0, 8, 9), F32)}, r"x \(2, 0, 8, 9\) must have all sizes 1"),
    "no filters": ({"w": np.ones((0, 4, 3, 3), F32)}, r"w \(0, 4, 3, 3\) must have all sizes 1"),
    "algorithm": ({"algorithm": "magic"}, r"algorithm must be one of auto, .* 'magic'"),
}
WRONG_TYPE = {
    "integers": ({"x": X.astype(int)}, r"dtypes differ: x has int64, w has float32"),
    "half": ({"w": W.astype(np.float16)}, r"dtypes differ: x has float32, w has float16"),
    "complex": ({"x": X.astype(complex)}, r"dtypes differ: x has complex128"),
    "objects": ({"x": X.astype(object)}, r"x has dtype object; float32, float64, float16, b"),
    "dtypes differ": ({"w": W.astype(float)}, r"dtypes differ: x has float32, w has float64"),
    "float stride": ({"stride": 1.5}, r"stride must be an integer, got 1.5"),
    "boolean groups": ({"groups": True}, r"groups must be an integer, got True"),
    "word for a stride": ({"stride": "two"}, r"stride must be a sequence of integers, got 'two'"),
    "set for a stride": ({"stride": {1, 2}}, r"stride must be a sequence of integers, got {1, 2}"),
    "bytes for padding": ({"padding": b"ab"}, r"padding must be a sequence of integers, got b'ab'"),
    "float padding": ({"padding": ((0.5, 1), (1, 1))}, r"padding must be an integer, got 0.5"),
    "no array": ({"x": None}, r"x has dtype object; float32, float64"),
    "device": ({"device": 3}, r"device must be a Device or a str, got int"),
}


@pytest.mark.parametrize(("change", "message"), WRONG_CONV.values(), ids=WRONG_CONV)
def test_conv_names_wrong_values(device, change, message):
    arguments = {"x": X, "w": W, "device": device} | change
    with pytest.raises(ValueError, match=message):
        clconv.conv(**arguments)


@pytest.mark.parametrize(("change", "message"), WRONG_TYPE.values(), ids=WRONG_TYPE)
def test_conv_names_wrong_types(device, change, message):
    arguments = {"x": X, "w": W, "device": device} | change
    with pytest.raises(TypeError, match=message):
        clconv.conv(**arguments)


def test_adjoints_name_wrong_shapes(device):
    with pytest.raises(ValueError, match=r"dy has shape \(2, 6, 6, 7\), but x .* give \(2, 6, 3"):
        clconv.conv_backward_data(DY, W, input_shape=X.shape, stride=2, device=device)
    with pytest.raises(ValueError, match=r"input_shape \(8, 9\) must be \(N, C, \*spatial\)"):
        clconv.conv_backward_data(DY, W, input_shape=(8, 9), device=device)
    with pytest.raises(ValueError, match=r"dy has shape \(2, 6, 6, 7\), but x .* give \(2, 6, 7"):
        clconv.conv_backward_weights(X, DY, weight_shape=(6, 4, 2, 3), device=device)
    with pytest.raises(TypeError, match="weight_shape must be a sequence of integers, got 6"):
        clconv.conv_backward_weights(X, DY, weight_shape=6, device=device)
    with pytest.raises(ValueError, match=r"dy \(6,\) must be \(N, C, \*spatial\)"):
        clconv.conv_backward_bias(np.ones(6, F32), device=device)


def test_pools_name_wrong_values(device):
    with pytest.raises(ValueError, match=r"kernel_size must be at least 1, got \(0, 0\)"):
        clconv.max_pool(X, 0, device=device)
    with pytest.raises(ValueError, match=r"kernel_size \(2, 2, 2\) must have one entry for each"):
        clconv.avg_pool(X, (2, 2, 2), device=device)
    with pytest.raises(ValueError, match=r"kernel \(9, 9\) .* more than the padded image \(8, 9\)"):
        clconv.avg_pool(X, 9, device=device)
    with pytest.raises(ValueError, match=r"dy has shape \(2, 6, 6, 7\), but input_shape .* give"):
        clconv.avg_pool_backward(DY, 2, input_shape=X.shape, device=device)


def test_the_second_stage_of_a_separable_convolution_is_checked_before_the_first(device):
    depthwise, pointwise = np.ones((4, 1, 3, 3), F32), np.ones((6, 4, 1, 1), F32)
    for bias, error, message in (
        (np.ones(6), TypeError, "dtypes differ: .* bias has float64"),
        (np.ones(5, F32), ValueError, r"bias has shape \(5,\), but filters w_pointwise"),
    ):
        with pytest.raises(error, match=message):
            clconv.separable_conv(X, depthwise, pointwise, bias, device=device)


@pytest.mark.parametrize("pool", [clconv.max_pool, clconv.adaptive_max_pool])
def test_what_is_no_truth_value_is_refused(device, pool):
    with pytest.raises(ValueError, match="truth value"):
        pool(X, 2, return_indices=np.array([1, 2]), device=device)


@pytest.mark.parametrize("missing", ["x", "w", "offset"])
def test_deform_conv_names_a_missing_operand(device, missing):
    given = {"x": X, "w": W, "offset": np.zeros((2, 18, 6, 7), F32)} | {missing: None}
    with pytest.raises(TypeError, match=f"{missing} has dtype object"):
        clconv.deform_conv(**given, device=device)


def test_too_many_elements_are_refused_before_any_allocation(device):
    x = np.broadcast_to(F32(0), (2**16, 1, 2**15))  # no memory behind it
    with pytest.raises(clconv.UnsupportedError, match=r"has 2147483648 elements; kernels index"):
        clconv.conv_backward_data(
            np.broadcast_to(F32(0), (2**16, 1, 2**15)),
            np.ones((1, 1, 1), F32),
            input_shape=x.shape,
            device=device,
        )


def test_planes_past_the_index_are_refused_in_an_empty_batch_too(device):
    y, indices = np.ones((0, 1, 1), F32), np.zeros((0, 1, 1), np.int64)
    with pytest.raises(clconv.UnsupportedError, match=r"has 2147483648 elements; kernels index"):
        clconv.max_unpool(y, indices, output_size=(2**31,), device=device)


def test_padding_that_passes_the_index_is_refused(device):
    with pytest.raises(clconv.UnsupportedError, match=r"the padded image \(8, 2147483657\) has"):
        clconv.conv(X, W, padding=((0, 0), (0, 2**31)), stride=(1, 2**31), device=device)


def test_refused_algorithm_says_why(device):
    with pytest.raises(clconv.UnsupportedError, match="depthwise needs one channel a group"):
        clconv.conv(X, W, algorithm="depthwise", device=device)


# What is clconv's own: the reference knows no algorithms.
OWN_LIMITS = ("algorithm",)


@pytest.mark.parametrize("name", [name for name in WRONG_CONV if name not in OWN_LIMITS])
def test_reference_refuses_the_same(name):
    change, _ = WRONG_CONV[name]
    with pytest.raises(ValueError, match=r"."):
        reference.conv(**({"x": X, "w": W} | change))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ({"stride": 1}, {"stride": 1.0}),
        ({"stride": 1}, {"stride": True}),
        ({"padding": (1, 1)}, {"padding": (True, 1)}),
        ({"padding": ((1, 1), (1, 1))}, {"padding": ((1, 1.0), (1, 1))}),
    ],
    ids=str,
)
def test_problems_are_remembered_by_type_too(right, wrong):
    assert right == wrong  # one key, if types were not looked at
    given = ("forward", ("float32",) * 2, X.shape, W.shape)
    problem = conv_problem(*given, {**PLAIN, **right})
    assert problem is conv_problem(*given, {**PLAIN, **right})
    with pytest.raises(TypeError, match=f"{next(iter(wrong))} must be"):
        conv_problem(*given, {**PLAIN, **wrong})
