"""clconv/ops/pool_lp.py against reference/pool_lp.py: exact where it can be, else in its bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.within import assert_within

import clconv
from clconv import reference
from clconv.algorithms.registry import select
from clconv.reference.bounds_pool import lp_pool_backward_bound, lp_pool_bound
from clconv.reference.shapes import POOL_SHAPES
from clconv.spec.geometry import Geometry
from clconv.spec.pool_lp import LpPoolProblem

EDGES = POOL_SHAPES["edges"]
EXPONENTS = [1, 1.5, 2, 3, 4, 2.5]
DTYPES = ["float32", "float64"]


@pytest.fixture(autouse=True)
def needs_its_dtype(request, device):
    callspec = getattr(request.node, "callspec", None)
    if callspec and callspec.params.get("dtype") == "float64" and not device.fp64:
        pytest.skip(f"{device} has no float64")


def check(device, x, kernel, rng, **options):
    """Hold norms and gradients of x to the reference, within the bounds."""
    y = clconv.lp_pool(x, kernel, device=device, **options)
    assert y.dtype == x.dtype
    assert_within(y, reference.lp_pool(x, kernel, **options), lp_pool_bound(x, kernel, **options))
    dy = rng.uniform(-1, 1, y.shape).astype(x.dtype)
    dx = clconv.lp_pool_backward(dy, x, kernel, device=device, **options)
    assert dx.dtype == x.dtype
    assert_within(
        dx,
        reference.lp_pool_backward(dy, x, kernel, **options),
        lp_pool_backward_bound(dy, x, kernel, **options),
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("p", EXPONENTS)
def test_random_reals_are_within_the_bound(device, p, signed, dtype):
    rng = np.random.default_rng(1)
    for shape, kernel, options in (
        ((2, 3, 90), 4, {"stride": 1, "padding": 2}),
        ((2, 3, 9, 8), (3, 2), {"stride": 2, "ceil_mode": True}),
        ((2, 2, 6, 5, 7), 2, {"padding": ((1, 0), (0, 1), (1, 1)), "semantics": "onnx"}),
    ):
        x = rng.uniform(-3, 3, shape).astype(dtype)
        x = abs(x) if signed and p % 1 else x
        check(device, x, kernel, rng, p=p, signed=signed, **options)


@pytest.mark.parametrize("p", [1, 2, 3, 2.5])
@pytest.mark.parametrize("name", EDGES)
def test_the_shapes_of_the_other_poolings(device, name, p):
    shape = EDGES[name]
    x = shape.random_tensors("float32").x
    check(device, x, shape.kernel, np.random.default_rng(2), p=p, **shape.max_keywords())


def random_case(rng, rank):
    """Return the shape of an image, a window and options that fit: of every kind there is."""
    semantics = ("torch", "onnx")[rng.integers(2)]
    kernel, dilation = (int(v) for v in rng.integers(1, 4, 2))
    extent = dilation * (kernel - 1) + 1
    most = extent // 2 if semantics == "torch" else extent + 1
    letters = "NC" + "DHW"[3 - rank :]
    layout = "".join(rng.permutation(list(letters)))
    sizes = dict(zip(letters, (2, 3, *rng.integers(extent, extent + 4, rank)), strict=True))
    options = {
        "stride": (None, 1, 2)[rng.integers(3)],
        "padding": tuple((int(a), int(b)) for a, b in rng.integers(0, most + 1, (rank, 2))),
        "dilation": dilation,
        "ceil_mode": bool(rng.integers(2)),
        "semantics": semantics,
        "layout": layout,
    }
    return tuple(int(sizes[letter]) for letter in layout), kernel, options


def integers(rng, shape):
    """Return multiples of every divisor that windows of 3x3x3 have: sums scaled are integers."""
    return (1728 * rng.integers(-3, 4, shape)).astype(np.float32)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_sums_of_integers_are_exact_under_any_options(device, rank, signed):
    rng = np.random.default_rng(10 + rank)
    for _ in range(25):
        shape, kernel, options = random_case(rng, rank)
        x, options = integers(rng, shape), {"p": 1, "signed": signed, **options}
        y = clconv.lp_pool(x, kernel, device=device, **options)
        np.testing.assert_array_equal(y, reference.lp_pool(x, kernel, **options))
        dy = integers(rng, y.shape)
        dx = clconv.lp_pool_backward(dy, x, kernel, device=device, **options)
        np.testing.assert_array_equal(dx, reference.lp_pool_backward(dy, x, kernel, **options))
        if signed:  # a plain sum is linear
            inner = [(a.astype(object) * b.astype(object)).sum() for a, b in ((y, dy), (x, dx))]
            assert inner[0] == inner[1]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_norms_under_any_options(device, rank):
    rng = np.random.default_rng(20 + rank)
    for _ in range(15):
        shape, kernel, options = random_case(rng, rank)
        options |= {"p": (2, 3, 1.5)[rng.integers(3)]}
        check(device, rng.uniform(-2, 2, shape).astype(np.float32), kernel, rng, **options)


SQUARES = [(3, 4, 0, 0), (5, 12, 0, 0), (1, 2, 2, 0), (2, 3, 6, 0), (1, 1, 1, 1), (1, 3, 5, 1)]
SQUARES += [(8, 15, 0, 0), (1, 4, 8, 0), (4, 4, 7, 0), (2, 4, 5, 6), (1, 1, 3, 5), (0, 0, 0, 0)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("signed", [False, True])
def test_roots_of_perfect_squares_are_exact(device, signed, dtype):
    rng = np.random.default_rng(30)
    windows = rng.permuted(np.array(SQUARES * 20), axis=1) * rng.choice([-1, 1], (240, 4))
    windows = windows * rng.integers(1, 100, (240, 1))
    x = windows.reshape(2, 3, 20, 2, 2, 2).swapaxes(3, 4).reshape(2, 3, 40, 4).astype(dtype)
    y = clconv.lp_pool(x, 2, signed=signed, device=device)
    roots = [round(float(each) ** 0.5) for each in (windows**2).sum(axis=1)]
    np.testing.assert_array_equal(np.sort(y, axis=None), np.sort(roots))
    np.testing.assert_array_equal(y, reference.lp_pool(x, 2, signed=signed))
    unrounded = replace(device, rounds_division=False)  # then a Newton step does it
    np.testing.assert_array_equal(clconv.lp_pool(x, 2, signed=signed, device=unrounded), y)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("p", EXPONENTS)
def test_nan_infinities_zeros_and_negatives(device, p, signed):
    rng = np.random.default_rng(40)
    # Of 1, 2 and -3 no four cubes cancel: then a bound could not tell whether there is a root.
    specials = np.array([np.nan, np.inf, -np.inf, 0, 0, 0, -0.0, 1, 2, -3], np.float32)
    x = rng.choice(specials, (3, 4, 8, 9))
    x[0] = np.where(x[0] != x[0], 0, x[0])
    x[1] = 0
    options = {"p": p, "signed": signed, "stride": 1, "padding": 1}
    y, expected = clconv.lp_pool(x, 2, device=device, **options), reference.lp_pool(x, 2, **options)
    assert_within(y, expected, lp_pool_bound(x, 2, **options))
    dy = rng.choice(specials, y.shape)
    dx = clconv.lp_pool_backward(dy, x, 2, device=device, **options)
    expected = reference.lp_pool_backward(dy, x, 2, **options)
    # The bound is for finite dy: here, what is NaN and what is infinite.
    finite = (np.where(np.isfinite(each), 0, each) for each in (dx, expected))
    assert_within(*finite, np.zeros(dx.shape))
    dy = np.where(np.isfinite(dy), dy, 1)
    dx = clconv.lp_pool_backward(dy, x, 2, device=device, **options)
    expected = reference.lp_pool_backward(dy, x, 2, **options)
    assert_within(dx, expected, lp_pool_backward_bound(dy, x, 2, **options))


def test_windows_without_a_pixel_have_norm_zero(device):
    x = np.array([[[3, -4]]], np.float32)
    options = {"padding": 3, "semantics": "onnx"}
    y = clconv.lp_pool(x, 2, device=device, **options)
    np.testing.assert_array_equal(y, [[[0, 0, 3, 5, 4, 0, 0]]])
    dx = clconv.lp_pool_backward(5 * y, x, 2, device=device, **options)
    np.testing.assert_array_equal(dx, [[[15 + 15, -20 - 20]]])


def test_pixels_without_a_window_have_no_gradient(device):
    x = np.array([[[4, 0, np.inf]], [[4, 0, np.nan]]], np.float32)
    for signed in (False, True):
        options = {"p": 1.5, "signed": signed}
        dx = clconv.lp_pool_backward(x[..., :1], x, 2, device=device, **options)
        np.testing.assert_array_equal(dx[..., 1:], np.zeros((2, 1, 2)))
        expected = reference.lp_pool_backward(x[..., :1], x, 2, **options)
        np.testing.assert_array_equal(expected[..., 1:], np.zeros((2, 1, 2)))


def test_a_window_over_the_edge_counts_more_in_torchs_semantics(device):
    x = np.array([[[3, -5, 2]]], np.float32)
    options = {"p": 1, "stride": 2, "ceil_mode": True}
    assert clconv.lp_pool(x, 2, device=device, **options).tolist() == [[[8, 4]]]
    onnx = clconv.lp_pool(x, 2, semantics="onnx", device=device, **options)
    assert onnx.tolist() == [[[8, 2]]]


def test_empty_batch(device):
    x = np.ones((0, 2, 8, 8), np.float32)
    y = clconv.lp_pool(x, 2, device=device)
    assert y.shape == (0, 2, 4, 4)
    assert clconv.lp_pool_backward(y, x, 2, device=device).shape == x.shape
    assert clconv.global_lp_pool(x, device=device).shape == (0, 2, 1, 1)


def test_parity_is_asked_of_p_itself_not_of_p_in_the_dtype(device):
    """2^24 + 1 is even in float32, and 2 + 1e-9 is 2; yet one is odd, the other no integer."""
    x = np.array([[[-1.0], [1]]], np.float32)
    for p in (2**24 + 1, 2 + 1e-9):
        y = clconv.lp_pool(x, 1, p=p, signed=True, device=device)
        np.testing.assert_array_equal(y, [[[np.nan], [1]]])
        np.testing.assert_array_equal(y, reference.lp_pool(x, 1, p=p, signed=True))


@pytest.mark.parametrize("layout", [None, "NHWC"])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_global(device, p, layout):
    rng = np.random.default_rng(50)
    x = rng.uniform(-1, 1, (2, 7, 9, 6)).astype(np.float32)
    y = clconv.global_lp_pool(x, p=p, layout=layout, device=device)
    window = x.shape[2:] if layout is None else x.shape[1:3]
    expected = reference.global_lp_pool(x, p=p, layout=layout)
    assert_within(y, expected, lp_pool_bound(x, window, p=p, layout=layout))
    x = integers(rng, (2, 3, 5, 4, 3))
    np.testing.assert_array_equal(
        clconv.global_lp_pool(x, p=1, signed=True, device=device),
        reference.global_lp_pool(x, p=1, signed=True),
    )


@pytest.mark.parametrize("layout", [None, "NHWC"])
def test_pyopencl_arrays(queue, device, layout):
    import pyopencl.array as cl_array

    rng = np.random.default_rng(60)
    x = rng.uniform(-1, 1, (2, 6, 5, 4)).astype(np.float32)
    options = {"p": 3, "stride": 1, "layout": layout}
    y = clconv.lp_pool(cl_array.to_device(queue, x), 2, **options)
    expected = clconv.lp_pool(x, 2, device=device, **options)
    np.testing.assert_array_equal(y.get(), expected)
    dx = clconv.lp_pool_backward(y, cl_array.to_device(queue, x), 2, **options)
    np.testing.assert_array_equal(
        dx.get(), clconv.lp_pool_backward(expected, x, 2, device=device, **options)
    )
    whole = clconv.global_lp_pool(cl_array.to_device(queue, x), layout=layout)
    np.testing.assert_array_equal(
        whole.get(), clconv.global_lp_pool(x, layout=layout, device=device)
    )


def test_same_bits_every_run(device):
    x = np.random.default_rng(70).uniform(-1, 1, (2, 3, 40, 40)).astype(np.float32)
    first = clconv.lp_pool(x, 3, p=2.5, stride=1, device=device)
    again = clconv.lp_pool(x, 3, p=2.5, stride=1, device=device)
    assert first.tobytes() == again.tobytes()


def test_what_is_launched(device):
    """The gradient needs the norms unless p = 1; one window is built once for all sizes."""
    geometry = Geometry((8, 8), (2, 2), (2, 2), (1, 1), ((0, 0), (0, 0)))
    problem = LpPoolProblem("lp_pool_backward", "float32", 2, 3, geometry, p=2.0, signed=True)
    assert str(problem).endswith("d1:norm2.0:signed")
    plan = select(problem, device)
    assert [launch.kernel for launch in plan.launches] == ["lp_pool", "lp_pool_backward"]
    assert plan.workspace == {"norms": 2 * 3 * 16 * 4}
    sums = LpPoolProblem("lp_pool_backward", "float32", 2, 3, geometry, p=1.0)
    assert [launch.kernel for launch in select(sums, device).launches] == ["lp_pool_backward"]
    macros = []
    for size in (5, 9):
        whole = Geometry((size,), (size,), (1,), (1,), ((0, 0),))
        (launch,) = select(LpPoolProblem("lp_pool", "float32", 1, 1, whole, p=3.0), device).launches
        macros.append(launch.macros)
    assert macros[0] == macros[1]


@pytest.mark.parametrize(
    ("p", "error", "message"),
    [
        (0.5, ValueError, "p must be at least 1, finite, and for float32 at most 8.51e"),
        (float("nan"), ValueError, "p must be at least 1.*got nan"),
        (float("inf"), ValueError, "p must be at least 1.*got inf"),
        (1e39, ValueError, "p must be at least 1.*got 1e"),
        (10**400, ValueError, "p .* is too large"),
        ("2", TypeError, "p must be a number, got '2'"),
        (True, TypeError, "p must be a number, got True"),
        (None, TypeError, "p must be a number, got None"),
        (2j, TypeError, "p must be a number, got 2j"),
    ],
)
def test_wrong_exponents(device, p, error, message):
    x = np.ones((1, 1, 8), np.float32)
    for call in (
        lambda: clconv.lp_pool(x, 2, p=p, device=device),
        lambda: clconv.lp_pool_backward(x, x, 1, p=p, device=device),
        lambda: clconv.global_lp_pool(x, p=p, device=device),
    ):
        with pytest.raises(error, match=message):
            call()


def test_wrong_arguments(device):
    x, run = np.ones((1, 1, 8), np.float32), {"device": device}
    for call, error, message in (
        (lambda: clconv.lp_pool(x, 3, padding=2, **run), ValueError, "must be at most half"),
        (lambda: clconv.lp_pool(x, 9, **run), ValueError, "spans"),
        (lambda: clconv.lp_pool(x, 2, semantics="jax", **run), ValueError, "semantics must be"),
        (lambda: clconv.lp_pool(x, 2, layout="NX", **run), ValueError, "layout 'NX' must name"),
        (lambda: clconv.lp_pool(x.astype(int), 2, **run), TypeError, "x has dtype int64"),
        (
            lambda: clconv.lp_pool_backward(x, x, 2, **run),
            ValueError,
            r"dy has shape \(1, 1, 8\), but x \(1, 1, 8\) and the options give \(1, 1, 4\)",
        ),
        (
            lambda: clconv.lp_pool_backward(x.astype("f8"), x, 1, **run),
            TypeError,
            "dtypes differ: dy has float64, x has float32",
        ),
    ):
        with pytest.raises(error, match=message):
            call()
