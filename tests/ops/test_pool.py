"""clconv/ops/pool.py against reference/pool.py, and what PyTorch's semantics say of odd cases."""

from __future__ import annotations

import numpy as np
import pytest
from support.grid import hold

import clconv
from clconv import reference
from clconv.conformance.cases import pool_strings
from clconv.reference.bounds import sum_bound
from clconv.reference.shapes import POOL_SHAPES

EDGES = POOL_SHAPES["edges"]


@pytest.mark.parametrize("code", ["f32", "f64"])
@pytest.mark.parametrize("name", EDGES)
def test_bits_bounds_and_adjoints(device, name, code):
    hold(device, pool_strings(EDGES[name], code))


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


def multiples(rng, shape, divisor):
    return (divisor * rng.integers(-3, 4, shape)).astype(np.float32)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_semantics_layouts_divisors_and_dilation(device, rank):
    """Random options of few window kinds, in exact integers against the reference."""
    rng = np.random.default_rng(rank)
    for _ in range(40):
        semantics = ("torch", "onnx")[rng.integers(2)]
        kernel, dilation = (int(v) for v in rng.integers(1, 4, 2))
        extent = dilation * (kernel - 1) + 1
        most = extent // 2 if semantics == "torch" else extent + 1
        letters = "NC" + "DHW"[3 - rank :]
        layout = "".join(rng.permutation(list(letters)))
        sizes = dict(zip(letters, (2, 3, *rng.integers(extent, extent + 4, rank)), strict=True))
        shape = tuple(int(sizes[letter]) for letter in layout)
        window = {
            "stride": (None, 1, 2)[rng.integers(3)],
            "padding": int(rng.integers(0, most + 1)),
            "dilation": dilation,
            "ceil_mode": bool(rng.integers(2)),
            "semantics": semantics,
            "layout": layout,
        }
        x = multiples(rng, shape, 1)
        y, indices = clconv.max_pool(x, kernel, return_indices=True, device=device, **window)
        expected, where = reference.max_pool(x, kernel, return_indices=True, **window)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(indices, where)
        dy = multiples(rng, y.shape, 1)
        back = {"input_shape": shape, "layout": layout}
        np.testing.assert_array_equal(
            clconv.max_pool_backward(dy, indices, device=device, **back),
            reference.max_pool_backward(dy, indices, **back),
        )
        window["count_include_pad"] = (None, True, False)[rng.integers(3)]
        window["divisor_override"] = (None, None, 4)[rng.integers(3)]
        x, dy = multiples(rng, shape, 1728), multiples(rng, y.shape, 1728)
        np.testing.assert_array_equal(
            clconv.avg_pool(x, kernel, device=device, **window),
            reference.avg_pool(x, kernel, **window),
        )
        np.testing.assert_array_equal(
            clconv.avg_pool_backward(dy, kernel, input_shape=shape, device=device, **window),
            reference.avg_pool_backward(dy, kernel, input_shape=shape, **window),
        )


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_adaptive_and_global(device, rank):
    rng = np.random.default_rng(10 + rank)
    for _ in range(25):
        shape = (2, 3, *(int(v) for v in rng.integers(1, 8, rank)))
        output = tuple(int(v) for v in rng.integers(1, 5, rank))
        x = multiples(rng, shape, 1)
        y, indices = clconv.adaptive_max_pool(x, output, return_indices=True, device=device)
        expected, where = reference.adaptive_max_pool(x, output, return_indices=True)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(indices, where)
        # Sums of integers are exact, and the quotient is correctly rounded.
        for ours, theirs in (
            (
                clconv.adaptive_avg_pool(x, output, device=device),
                reference.adaptive_avg_pool(x, output),
            ),
            (clconv.global_avg_pool(x, device=device), reference.global_avg_pool(x)),
            (clconv.global_max_pool(x, device=device), reference.global_max_pool(x)),
        ):
            np.testing.assert_array_equal(ours, theirs.astype(np.float32))
        dy = multiples(rng, (*shape[:2], *output), 1)
        dx = clconv.adaptive_avg_pool_backward(dy, input_shape=shape, device=device)
        exact = reference.adaptive_avg_pool_backward(dy, input_shape=shape)
        magnitude = reference.adaptive_avg_pool_backward(abs(dy), input_shape=shape)
        assert (abs(dx - exact) <= sum_bound(magnitude, dy[0, 0].size, np.float32)).all()


@pytest.mark.parametrize("layout", ["NWC", "CHWN", "NHWC", "WNHC", "NDHWC", "HCDNW"])
def test_adaptive_pooling_and_unpooling_in_any_layout(device, layout):
    """Each against the reference, and the layouts with a plain order of space against no layout."""
    rng = np.random.default_rng(40)
    letters = "NC" + "".join(letter for letter in layout if letter in "DHW")
    sizes = dict(zip(letters, (2, 3, 5, 4, 6), strict=False))
    shape, rank = tuple(sizes[letter] for letter in layout), len(layout) - 2
    x, output, on = multiples(rng, shape, 60 * 60), (2, 3, 4)[:rank], {"device": device}
    y, indices = clconv.adaptive_max_pool(x, output, return_indices=True, layout=layout, **on)
    plain = x.transpose([layout.index(letter) for letter in letters])
    back = [letters.index(letter) for letter in layout]
    for ours, theirs in zip(
        (y, indices),
        clconv.adaptive_max_pool(plain, output, return_indices=True, **on),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs.transpose(back))
    dx, size = multiples(rng, shape, 60 * 60), tuple(sizes[letter] for letter in letters[2:])
    dy = multiples(rng, y.shape, 60 * 60)
    for name, arguments, options in (
        ("adaptive_max_pool", (x, output), {}),
        ("adaptive_avg_pool", (x, output), {}),
        ("adaptive_avg_pool_backward", (dy,), {"input_shape": shape}),
        ("global_avg_pool", (x,), {}),
        ("global_max_pool", (x,), {}),
        ("max_unpool", (y, indices), {"output_size": size}),
        ("max_unpool_backward", (dx, indices), {}),
    ):
        ours = getattr(clconv, name)(*arguments, layout=layout, **options, **on)
        theirs = getattr(reference, name)(*arguments, layout=layout, **options)
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_unpooling(device):
    rng = np.random.default_rng(20)
    x = multiples(rng, (2, 3, 8, 9), 1)
    y, indices = clconv.max_pool(x, 3, stride=2, padding=1, return_indices=True, device=device)
    # Windows overlap: indices repeat, and the last one stays.
    np.testing.assert_array_equal(
        clconv.max_unpool(y, indices, output_size=(8, 9), device=device),
        reference.max_unpool(y, indices, output_size=(8, 9)),
    )
    dx = multiples(rng, x.shape, 1)
    np.testing.assert_array_equal(
        clconv.max_unpool_backward(dx, indices, device=device),
        reference.max_unpool_backward(dx, indices),
    )
    with pytest.raises(clconv.GeometryError, match=r"output_size \(8,\) does not fit"):
        clconv.max_unpool(y, indices, output_size=(8,), device=device)
    with pytest.raises(clconv.GeometryError, match="has 4 pixels"):
        clconv.max_unpool(y, indices, output_size=(2, 2), device=device)


def test_wrong_options(device):
    x = np.ones((1, 1, 8), np.float32)
    run = {"device": device}
    for call, message in (
        (lambda: clconv.avg_pool(x, 2, divisor_override=0, **run), "divisor_override must be"),
        (lambda: clconv.max_pool(x, 2, semantics="jax", **run), "semantics must be one of torch"),
        (lambda: clconv.max_pool(x, 2, layout="NX", **run), "layout 'NX' must name 3 axes"),
        (lambda: clconv.adaptive_avg_pool(x, 0, **run), "output_size must be at least 1"),
        (lambda: clconv.global_max_pool(x, layout="NX", **run), "layout 'NX' must name 3 axes"),
        (
            lambda: clconv.adaptive_avg_pool_backward(
                x, input_shape=(8, 2, 1), layout="WNC", **run
            ),
            r"dy \(1, 1, 8\) must have the batch and channels of \(8, 2, 1\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
