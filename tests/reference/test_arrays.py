"""reference/arrays.py: sums are kept wider than their terms."""

import sys

import numpy as np
import pytest

from clconv.reference import (
    avg_pool,
    conv,
    conv_backward_data,
    conv_backward_weights,
    conv_matrix,
    loops,
    max_pool,
)
from clconv.reference.arrays import wide_dtype, widen

# `clconv.reference.im2col` is the function; the module of that name is behind it
FORMULATIONS = [loops, conv_matrix, sys.modules["clconv.reference.im2col"]]


@pytest.mark.parametrize(
    ("dtypes", "wide"),
    [
        (["float16"], np.float64),
        (["float32"], np.float64),
        (["float64"], np.longdouble),
        (["complex64"], np.complex128),
        (["complex128"], np.clongdouble),
        (["float32", "complex64"], np.complex128),
        (["bool"], np.int64),
        (["uint8"], np.int64),
        (["int64"], np.int64),
        (["float16", "float32"], np.float64),
        (["float32", "float64"], np.longdouble),
        (["int8", "float32"], np.float64),
    ],
)
def test_wide_dtype(dtypes, wide):
    assert wide_dtype(*dtypes) == wide


def test_bfloat16_is_widened():
    ml_dtypes = pytest.importorskip(
        "ml_dtypes", reason="ml_dtypes, which has bfloat16, is not installed"
    )
    x = np.array([[[1, 2, 3]]], ml_dtypes.bfloat16)
    for other in (x, x.astype(np.float16), x.astype(np.float32)):
        assert conv(x, other).dtype == np.float64
        assert conv(x, other).item() == 14


def test_widen_gives_all_arrays_one_dtype():
    a, b = widen(np.float32([1]), [True])
    assert a.dtype == b.dtype == np.float64


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="dtype <U3 is not supported"):
        wide_dtype("<U3")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_results_are_not_rounded_back(dtype):
    x, w = np.ones((1, 2, 5), dtype), np.ones((3, 2, 3), dtype)
    assert conv(x, w).dtype == wide_dtype(dtype)
    average = np.float64 if dtype == "int8" else wide_dtype(dtype)
    assert avg_pool(x, 2).dtype == average
    assert max_pool(x, 2).dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("x_dtype", "w_dtype"),
    [("float32", "float32"), ("float64", "float64"), ("float32", "float64"), ("int8", "float32")],
)
def test_every_formulation_widens_once(x_dtype, w_dtype):
    x, w = np.ones((1, 2, 4), x_dtype), np.ones((3, 2, 3), w_dtype)
    dy = np.ones((1, 3, 2), x_dtype)
    results = [
        *(module.forward(x, w) for module in FORMULATIONS),
        *(module.backward_data(dy, w, input_shape=x.shape) for module in FORMULATIONS),
        conv_matrix.backward_data_by_flipping(dy, w, input_shape=x.shape),
    ]
    assert {each.dtype for each in results} == {wide_dtype(x_dtype, w_dtype)}


def test_integers_do_not_wrap_in_their_own_dtype():
    x = np.full((1, 100, 1), 100, np.int8)
    assert conv(x, x).item() == 1_000_000


def test_every_formulation_of_complex_numbers_conjugates_alike():
    rng = np.random.default_rng(0)
    shapes = (2, 4, 6), (6, 2, 3), (2, 6, 4)
    x, w, dy = (
        (rng.integers(-9, 10, each) + 1j * rng.integers(-9, 10, each)).astype("complex64")
        for each in shapes
    )
    for module in FORMULATIONS:
        np.testing.assert_array_equal(module.forward(x, w, groups=2), conv(x, w, groups=2))
        np.testing.assert_array_equal(
            module.backward_data(dy, w, input_shape=x.shape, groups=2),
            conv_backward_data(dy, w, input_shape=x.shape, groups=2),
        )
        if hasattr(module, "backward_weights"):
            np.testing.assert_array_equal(
                module.backward_weights(x, dy, weight_shape=w.shape, groups=2),
                conv_backward_weights(x, dy, weight_shape=w.shape, groups=2),
            )
    np.testing.assert_array_equal(
        conv_matrix.backward_data_by_flipping(dy, w, input_shape=x.shape, groups=2),
        conv_backward_data(dy, w, input_shape=x.shape, groups=2),
    )
