"""reference/fft.py is within the bound of bounds_fft.py, and planted errors are not."""

import math

import numpy as np
import pytest

from clconv.reference import conv, fft
from clconv.reference.bounds import unit_roundoff
from clconv.reference.bounds_fft import fft_bound, transform_growth
from clconv.reference.shapes import CONV_SHAPES


def share(x, w, dtype, **keywords):
    y, bound = fft.forward(x, w, dtype=dtype, **keywords), fft_bound(x, w, dtype, **keywords)
    assert y.dtype == dtype
    assert y.shape == bound.shape
    return (abs(y - conv(x, w, **keywords)) / bound).max()


@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
@pytest.mark.parametrize("name", CONV_SHAPES["edges"])
def test_simulated_convolutions_are_within_the_bound(name, dtype):
    shape = CONV_SHAPES["edges"][name]
    x, w, _, _ = shape.random_tensors(dtype)
    keywords = shape.keywords()
    assert share(x, w, dtype, **keywords) <= 1


@pytest.mark.parametrize("n", [1, 2, 8, 256, 4096])
def test_transforms_are_within_the_bound(n):
    a = np.random.default_rng(n).uniform(-1, 1, (20, n)).astype("complex64")
    exact = np.fft.fft(a.astype("complex128"))
    norm = np.linalg.norm
    relative = norm(fft.radix_2(a) - exact, axis=1) / norm(exact, axis=1)
    assert (relative <= transform_growth(n, "float32")).all()
    assert n == 1 or relative.max() > 0.02 * transform_growth(n, "float32")


def test_worse_weights_are_noticed_and_allowed_for():
    """A transform of two elements whose only weight, 1, is off by 1e-4."""
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, 50))
    turned = (1 + 1e-4) * b
    error = np.hypot(turned - b, turned - b)
    relative = (error / np.hypot(a + b, a - b)).max()
    assert relative > transform_growth(2, "float32")
    assert relative <= transform_growth(2, "float32", weight_error=1e-4)


@pytest.mark.parametrize("channels", [1, 16, 64])
def test_the_bound_is_not_silly(channels):
    rng = np.random.default_rng(channels)
    x = rng.uniform(-1, 1, (1, channels, 14, 14)).astype("float32")
    w = rng.uniform(-1, 1, (3, channels, 3, 3)).astype("float32")
    assert 1e-4 < share(x, w, "float32", padding=1) < 1


def test_planted_errors_exceed_the_bound():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1, 64, 14, 14)).astype("float32")
    w = rng.uniform(-1, 1, (3, 64, 3, 3)).astype("float32")
    exact, bound = conv(x, w), fft_bound(x, w, "float32")
    without_a_tap = w.copy()
    without_a_tap[:, :, 2, 2] = 0
    for wrong in (
        fft.forward(x, without_a_tap, dtype="float32"),
        fft.forward(x[:, :-1], w[:, :-1], dtype="float32"),
    ):
        assert (abs(wrong - exact) > bound).mean() > 0.5


def test_zeros_are_exact_by_the_plane():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, 3, 7)).astype("float32")
    w = rng.uniform(-1, 1, (2, 3, 3)).astype("float32")
    x[0] = 0
    bound = fft_bound(x, w, "float32")
    assert (bound[0] == 0).all()
    assert (bound[1] > 0).all()
    assert (fft.forward(x, w, dtype="float32")[0] == 0).all()
    assert (bound == bound[:, :, :1]).all()


def test_transform_growth():
    u = unit_roundoff("float32")
    assert transform_growth(1, "float32") == 0
    eta = u + 4 * u * math.sqrt(2)
    assert transform_growth(1024, "float32") == pytest.approx(10 * eta, rel=1e-4)
    with pytest.raises(ValueError, match="n=12 is no power of two"):
        transform_growth(12, "float32")
    with pytest.raises(ValueError, match="leaves no digit"):
        transform_growth(2, "float32", weight_error=1)


def test_lengths():
    x, w = np.ones((1, 1, 9)), np.ones((1, 1, 3))
    longer = fft_bound(x, w, "float64", lengths=64)
    assert (longer > fft_bound(x, w, "float64")).all()
    assert (fft_bound(x, w, "float64", lengths=16) == fft_bound(x, w, "float64")).all()
    with pytest.raises(ValueError, match="lengths=8 do not hold the padded image"):
        fft_bound(x, w, "float64", lengths=8)
    assert fft_bound(x[:0], w, "float64").shape == (0, 1, 7)
    assert fft.fft_sizes((1, 2, 3, 9, 16)) == (1, 2, 4, 16, 16)
