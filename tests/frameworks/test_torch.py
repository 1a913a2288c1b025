"""Random configurations against PyTorch on the CPU: forward and gradients, in exact integers.

Data are whole numbers in float64, small enough that every sum is exact: the results must be equal.
Norms have roots: they must lie within the derived bounds. Convolutions run by `direct`, which is
built once for all geometries; test_conv.py holds the other algorithms to it.
"""

from __future__ import annotations

import numpy as np
import pytest
from support.within import assert_within

import clconv
from clconv.reference.bounds_pool import lp_pool_backward_bound, lp_pool_bound

torch = pytest.importorskip("torch", reason="torch is an optional test dependency")
functional = torch.nn.functional

CASES = 100  # of each kind and seed
SEEDS = range(5)


@pytest.fixture(autouse=True)
def needs_float64(device):
    if not device.fp64:
        pytest.skip(f"{device} has no float64")


def integers(rng, shape):
    return rng.integers(-5, 6, shape).astype(np.float64)


def per_axis(rng, rank, low, high):
    return tuple(int(v) for v in rng.integers(low, high, rank))


def tensor(array):
    return torch.from_numpy(array).requires_grad_()


def gradients(y, dy, *leaves):
    return [g.numpy() for g in torch.autograd.grad(y, leaves, torch.from_numpy(dy))]


def conv_case(rng):
    """Return x, w, bias and options that fit."""
    rank, groups = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    channels, outputs = (groups * int(v) for v in rng.integers(1, 4, 2))
    kernel, dilation = per_axis(rng, rank, 1, 4), per_axis(rng, rank, 1, 3)
    padding = per_axis(rng, rank, 0, 3)
    spans = [d * (k - 1) + 1 - 2 * p for k, d, p in zip(kernel, dilation, padding, strict=True)]
    spatial = tuple(max(span, 3) + int(rng.integers(0, 5)) for span in spans)
    x = integers(rng, (int(rng.integers(1, 3)), channels, *spatial))
    w = integers(rng, (outputs, channels // groups, *kernel))
    options = {"stride": per_axis(rng, rank, 1, 4), "dilation": dilation, "groups": groups}
    return x, w, integers(rng, outputs), padding, options


@pytest.mark.parametrize("seed", SEEDS)
def test_conv(device, seed):
    rng = np.random.default_rng(seed)
    for _ in range(CASES):
        x, w, bias, padding, options = conv_case(rng)
        function = getattr(functional, f"conv{x.ndim - 2}d")
        tx, tw, tb = map(tensor, (x, w, bias))
        expected = function(tx, tw, tb, padding=padding, **options)
        dy = integers(rng, tuple(expected.shape))
        options |= {"padding": padding, "algorithm": "direct", "device": device}
        y = clconv.conv(x, w, bias, **options)
        dx = clconv.conv_backward_data(dy, w, input_shape=x.shape, **options)
        dw = clconv.conv_backward_weights(x, dy, weight_shape=w.shape, **options)
        db = clconv.conv_backward_bias(dy, device=device)
        np.testing.assert_array_equal(y, expected.detach().numpy())
        for actual, exact in zip((dx, dw, db), gradients(expected, dy, tx, tw, tb), strict=True):
            np.testing.assert_array_equal(actual, exact)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(device, mode):
    rng = np.random.default_rng(17)
    for _ in range(CASES):
        x, w, bias, _, options = conv_case(rng)
        rank = x.ndim - 2
        sides = (
            rng.integers(0, 3, (rank, 2)) if mode != "reflect" else rng.integers(0, 2, (rank, 2))
        )
        padding = tuple((int(low), int(high)) for low, high in sides)
        if any(max(pair) >= size for pair, size in zip(padding, x.shape[2:], strict=True)):
            continue
        flat = [int(side) for pair in reversed(padding) for side in pair]
        tx, tw, tb = map(tensor, (x, w, bias))
        padded = functional.pad(tx, flat, mode=mode)
        extents = [d * (k - 1) + 1 for k, d in zip(w.shape[2:], options["dilation"], strict=True)]
        if any(e > n for e, n in zip(extents, padded.shape[2:], strict=True)):
            continue
        expected = getattr(functional, f"conv{rank}d")(padded, tw, tb, **options)
        dy = integers(rng, tuple(expected.shape))
        options |= {"padding": padding, "padding_mode": mode}
        options |= {"algorithm": "direct", "device": device}
        y = clconv.conv(x, w, bias, **options)
        dx = clconv.conv_backward_data(dy, w, input_shape=x.shape, **options)
        dw = clconv.conv_backward_weights(x, dy, weight_shape=w.shape, **options)
        np.testing.assert_array_equal(y, expected.detach().numpy())
        for actual, exact in zip((dx, dw), gradients(expected, dy, tx, tw), strict=True):
            np.testing.assert_array_equal(actual, exact)


@pytest.mark.parametrize("seed", SEEDS)
def test_conv_transpose(device, seed):
    rng = np.random.default_rng(100 + seed)
    for _ in range(CASES):
        x, w, _, _, options = conv_case(rng)
        rank, groups = x.ndim - 2, options["groups"]
        w = integers(rng, (x.shape[1], int(rng.integers(1, 4)), *w.shape[2:]))
        bias = integers(rng, w.shape[1] * groups)
        room = [max(s, d) for s, d in zip(options["stride"], options["dilation"], strict=True)]
        options["output_padding"] = tuple(int(rng.integers(0, r)) for r in room)
        limit = [d * (k - 1) for k, d in zip(w.shape[2:], options["dilation"], strict=True)]
        options["padding"] = tuple(int(rng.integers(0, n // 2 + 1)) for n in limit)
        tx, tw, tb = map(tensor, (x, w, bias))
        expected = getattr(functional, f"conv_transpose{rank}d")(tx, tw, tb, **options)
        dy = integers(rng, tuple(expected.shape))
        options |= {"algorithm": "direct", "device": device}
        y = clconv.conv_transpose(x, w, bias, **options)
        dx = clconv.conv_transpose_backward_data(dy, w, input_shape=x.shape, **options)
        dw = clconv.conv_transpose_backward_weights(x, dy, weight_shape=w.shape, **options)
        np.testing.assert_array_equal(y, expected.detach().numpy())
        for actual, exact in zip((dx, dw), gradients(expected, dy, tx, tw), strict=True):
            np.testing.assert_array_equal(actual, exact)


def pool_case(rng):
    """Return x, a window of few kinds (each is built anew) and options that fit."""
    rank, kernel, dilation = (int(v) for v in (rng.integers(1, 4), *rng.integers(1, 4, 2)))
    dilation = min(dilation, 2)
    extent = dilation * (kernel - 1) + 1
    padding = int(rng.integers(0, min(extent, kernel) // 2 + 1))
    spatial = tuple(int(v) + extent for v in rng.integers(0, 5, rank))
    options = {"stride": int(rng.integers(1, 3)), "padding": padding}
    options["ceil_mode"] = bool(rng.integers(2))
    return integers(rng, (2, 3, *spatial)), kernel, dilation, options


@pytest.mark.parametrize("seed", SEEDS)
def test_max_pool(device, seed):
    rng = np.random.default_rng(200 + seed)
    for _ in range(CASES):
        x, kernel, dilation, options = pool_case(rng)
        options["dilation"] = dilation
        tx = tensor(x)
        pool = getattr(functional, f"max_pool{x.ndim - 2}d")
        expected, where = pool(tx, kernel, return_indices=True, **options)
        y, indices = clconv.max_pool(x, kernel, return_indices=True, device=device, **options)
        np.testing.assert_array_equal(y, expected.detach().numpy())
        np.testing.assert_array_equal(indices, where.numpy())
        dy = integers(rng, y.shape)
        dx = clconv.max_pool_backward(dy, indices, input_shape=x.shape, device=device)
        np.testing.assert_array_equal(dx, gradients(expected, dy, tx)[0])


@pytest.mark.parametrize("seed", SEEDS)
def test_avg_pool(device, seed):
    rng = np.random.default_rng(300 + seed)
    multiple = 1728  # of every divisor that windows of 3x3x3 can have
    for _ in range(CASES):
        x, kernel, dilation, options = pool_case(rng)
        if dilation > 1:
            continue
        options["count_include_pad"] = bool(rng.integers(2))
        tx = tensor(multiple * x)
        expected = getattr(functional, f"avg_pool{x.ndim - 2}d")(tx, kernel, **options)
        y = clconv.avg_pool(multiple * x, kernel, device=device, **options)
        np.testing.assert_array_equal(y, expected.detach().numpy())
        dy = multiple * integers(rng, y.shape)
        dx = clconv.avg_pool_backward(dy, kernel, input_shape=x.shape, device=device, **options)
        np.testing.assert_array_equal(dx, gradients(expected, dy, tx)[0])


def test_avg_pool_by_a_divisor_of_ones_own(device):
    rng = np.random.default_rng(400)
    for _ in range(CASES):
        x, kernel, dilation, options = pool_case(rng)
        rank, divisor = x.ndim - 2, int(rng.integers(1, 8))
        if dilation > 1 or rank == 1:  # torch has neither
            continue
        options["divisor_override"] = divisor
        tx = tensor(divisor * x)
        expected = getattr(functional, f"avg_pool{rank}d")(tx, kernel, **options)
        y = clconv.avg_pool(divisor * x, kernel, device=device, **options)
        np.testing.assert_array_equal(y, expected.detach().numpy())
        dy = divisor * integers(rng, y.shape)
        dx = clconv.avg_pool_backward(dy, kernel, input_shape=x.shape, device=device, **options)
        np.testing.assert_array_equal(dx, gradients(expected, dy, tx)[0])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_conv_same(device):
    rng = np.random.default_rng(450)
    for _ in range(CASES):
        x, w, bias, _, options = conv_case(rng)
        options["stride"] = 1  # torch has no other here
        tx, tw = map(tensor, (x, w))
        function = getattr(functional, f"conv{x.ndim - 2}d")
        expected = function(tx, tw, torch.from_numpy(bias), padding="same", **options)
        dy = integers(rng, tuple(expected.shape))
        options |= {"padding": "same", "algorithm": "direct", "device": device}
        y = clconv.conv(x, w, bias, **options)
        dx = clconv.conv_backward_data(dy, w, input_shape=x.shape, **options)
        dw = clconv.conv_backward_weights(x, dy, weight_shape=w.shape, **options)
        np.testing.assert_array_equal(y, expected.detach().numpy())
        for actual, exact in zip((dx, dw), gradients(expected, dy, tx, tw), strict=True):
            np.testing.assert_array_equal(actual, exact)


def test_adaptive_pools(device):
    rng = np.random.default_rng(500)
    for _ in range(CASES):
        rank = int(rng.integers(1, 4))
        size = per_axis(rng, rank, 1, 6)
        multiple = 420**rank  # of every number of pixels that a window may have: 1 to 7 an axis
        x = multiple * integers(rng, (2, 3, *per_axis(rng, rank, 1, 8)))
        tx = tensor(x)
        expected = getattr(functional, f"adaptive_avg_pool{rank}d")(tx, size)
        y = clconv.adaptive_avg_pool(x, size, device=device)
        np.testing.assert_array_equal(y, expected.detach().numpy())
        dy = multiple * integers(rng, y.shape)
        dx = clconv.adaptive_avg_pool_backward(dy, input_shape=x.shape, device=device)
        np.testing.assert_array_equal(dx, gradients(expected, dy, tx)[0])
        pool = getattr(functional, f"adaptive_max_pool{rank}d")
        expected, where = pool(tx, size, return_indices=True)
        y, indices = clconv.adaptive_max_pool(x, size, return_indices=True, device=device)
        np.testing.assert_array_equal(y, expected.detach().numpy())
        np.testing.assert_array_equal(indices, where.numpy())
        dx = clconv.max_pool_backward(dy, indices, input_shape=x.shape, device=device)
        np.testing.assert_array_equal(dx, gradients(expected, dy, tx)[0])


def test_max_unpool(device):
    """Indices of which none is there twice, anywhere in the plane."""
    rng = np.random.default_rng(550)
    for _ in range(CASES):
        rank, kernel = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        spatial = per_axis(rng, rank, 3, 8)
        shape = (2, 3, *(size // kernel for size in spatial))
        y, pixels = integers(rng, shape), int(np.prod(spatial))
        planes = [rng.permutation(pixels)[: y[0, 0].size] for _ in range(6)]
        indices = np.reshape(planes, shape)
        ty = tensor(y)
        unpool = getattr(functional, f"max_unpool{rank}d")
        expected = unpool(ty, torch.from_numpy(indices), kernel, output_size=spatial)
        x = clconv.max_unpool(y, indices, output_size=spatial, device=device)
        np.testing.assert_array_equal(x, expected.detach().numpy())
        dx = integers(rng, x.shape)
        dy = clconv.max_unpool_backward(dx, indices, device=device)
        np.testing.assert_array_equal(dy, gradients(expected, dx, ty)[0])


def lp_case(rng):
    """Return the shape of an image, a window, and options that torch has, too."""
    rank, kernel = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    shape = (2, 3, *(kernel + int(v) for v in rng.integers(0, 6, rank)))
    stride, ceil_mode = (None, 1, 2)[rng.integers(3)], bool(rng.integers(2))
    return shape, kernel, {"stride": stride, "ceil_mode": ceil_mode}


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 4, 2.5])
def test_lp_pool(device, p):
    """Both lie within the bound of the reference: torch adds in its order, and its `pow` is better.

    Of cubes that cancel, rounding decides whether there is a root; torch may decide otherwise.
    """
    rng = np.random.default_rng(600 + int(10 * p))
    for _ in range(CASES):
        shape, kernel, options = lp_case(rng)
        x = rng.uniform(-2, 2, shape)
        x = abs(x) if p % 1 and rng.integers(2) else x
        tx = tensor(x)
        expected = getattr(functional, f"lp_pool{x.ndim - 2}d")(tx, float(p), kernel, **options)
        options |= {"p": p, "signed": True}
        y = clconv.lp_pool(x, kernel, device=device, **options)
        allowed = 2 * lp_pool_bound(x, kernel, **options)
        assert_within(y, expected.detach().numpy(), allowed)
        dy = rng.uniform(-1, 1, y.shape)
        dx = clconv.lp_pool_backward(dy, x, kernel, device=device, **options)
        allowed = 2 * lp_pool_backward_bound(dy, x, kernel, **options)
        (exact,) = gradients(expected, dy, tx)
        # Where no window is, torch multiplies zero by the slope, which may be NaN.
        del options["p"], options["signed"]
        ones = np.ones(y.shape)
        touched = clconv.avg_pool_backward(ones, kernel, input_shape=x.shape, **options) > 0
        assert_within(dx, np.where(touched, exact, 0), np.where(touched, allowed, 0))


def test_lp_pool_of_p_1_is_a_sum(device):
    """Of numbers of one sign: where a sum is zero, torch drops the gradient."""
    rng = np.random.default_rng(700)
    multiple = 1728  # of every divisor that windows of 3x3x3 can have
    for _ in range(CASES):
        shape, kernel, options = lp_case(rng)
        x = float(rng.choice([-1, 1])) * multiple * rng.integers(1, 6, shape)
        tx = tensor(x)
        expected = getattr(functional, f"lp_pool{x.ndim - 2}d")(tx, 1, kernel, **options)
        options |= {"p": 1, "signed": True, "device": device}
        y = clconv.lp_pool(x, kernel, **options)
        np.testing.assert_array_equal(y, expected.detach().numpy())
        dy = multiple * integers(rng, y.shape)
        dx = clconv.lp_pool_backward(dy, x, kernel, **options)
        np.testing.assert_array_equal(dx, gradients(expected, dy, tx)[0])
