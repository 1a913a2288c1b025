"""clconv/ops/pool.py against reference/pool.py, and what PyTorch's semantics say of odd cases."""

from __future__ import annotations

import numpy as np
import pytest

import clconv
from clconv import reference
from clconv.conformance.runner import Case, DeviceBackend, run_case
from clconv.reference.shapes import POOL_SHAPES

EDGES = POOL_SHAPES["edges"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EDGES)
def test_bits_bounds_and_adjoints(device, name, dtype):
    if dtype == "float64" and not device.fp64:
        pytest.skip(f"{device} has no float64")
    case = Case(name, EDGES[name], dtype, "auto", shared=True)
    for outcome in run_case(DeviceBackend(device), case):
        assert outcome.finding.passed, (outcome.operator, outcome.rule, outcome.finding.message)


def test_nan_wins_and_the_last_one_is_pointed_at(device):
    x = np.array([[[1, np.nan, 3, np.nan, 5, 6]]], np.float32)
    y, indices = clconv.max_pool(x, 5, stride=1, return_indices=True, device=device)
    np.testing.assert_array_equal(y, [[[np.nan, np.nan]]])
    np.testing.assert_array_equal(indices, [[[3, 3]]])


def test_ties_and_infinities_give_the_first_element(device):
    x = np.array([[[2, 7, 7, 1]], [[-np.inf] * 4]], np.float32)
    y, indices = clconv.max_pool(x, 4, return_indices=True, device=device)
    np.testing.assert_array_equal(y, [[[7]], [[-np.inf]]])
    np.testing.assert_array_equal(indices, [[[1]], [[0]]])


def test_random_specials_equal_the_reference(device):
    rng = np.random.default_rng(0)
    x = rng.choice(np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1, 2], np.float32), (3, 4, 9, 10))
    options = {"stride": 2, "padding": 1, "ceil_mode": True, "return_indices": True}
    y, indices = clconv.max_pool(x, 3, device=device, **options)
    expected, where = reference.max_pool(x, 3, **options)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(indices, where)


def test_average_of_nan_and_infinity(device):
    x = np.array([[[1, np.nan, np.inf, 2, -np.inf, np.inf]]], np.float32)
    np.testing.assert_array_equal(
        clconv.avg_pool(x, 2, device=device), [[[np.nan, np.inf, np.nan]]]
    )


def test_padding_is_at_most_half_the_window(device):
    x = np.ones((1, 1, 8), np.float32)
    with pytest.raises(clconv.GeometryError, match=r"padding \(\(2, 2\),\) must be at most half"):
        clconv.max_pool(x, 3, padding=2, device=device)


def test_indices_outside_the_plane_are_refused(device):
    dy, indices = np.ones((1, 1, 2), np.float32), np.array([[[0, 9]]])
    with pytest.raises(clconv.GeometryError, match=r"\[0, 9\], but a plane of input_shape has 9"):
        clconv.max_pool_backward(dy, indices, input_shape=(1, 1, 9), device=device)
    with pytest.raises(TypeError, match="indices must have dtype int64, got float32"):
        clconv.max_pool_backward(dy, dy, input_shape=(1, 1, 9), device=device)


def test_plane_cut_into_spans_adds_in_one_order(device):
    """One plane: several work-items share it, repeated indices add up in order."""
    rng = np.random.default_rng(5)
    dy = rng.uniform(-1, 1, (1, 1, 500)).astype(np.float32)
    indices = rng.integers(-1, 37, (1, 1, 500))
    dx = clconv.max_pool_backward(dy, indices, input_shape=(1, 1, 37), device=device)
    expected = np.zeros(37, np.float32)
    for value, i in zip(dy[0, 0], indices[0, 0], strict=True):
        if i >= 0:
            expected[i] += value
    np.testing.assert_array_equal(dx[0, 0], expected)


def test_empty_batch(device):
    x = np.ones((0, 2, 8, 8), np.float32)
    y, indices = clconv.max_pool(x, 2, return_indices=True, device=device)
    assert y.shape == indices.shape == (0, 2, 4, 4)
    assert clconv.max_pool_backward(y, indices, input_shape=x.shape, device=device).shape == x.shape
    assert clconv.avg_pool(x, 2, device=device).shape == (0, 2, 4, 4)
