"""reference/bounds_pool.py: rounded norms and gradients are within it; a little more is noticed."""

import numpy as np
import pytest
from support.within import assert_within

from clconv.reference import lp_pool, lp_pool_backward
from clconv.reference.bounds import unit_roundoff
from clconv.reference.bounds_pool import lp_pool_backward_bound, lp_pool_bound

EXPONENTS = [1, 1.5, 2, 3, 4, 2.5, 7.3]


def narrow_norms(x, k, p, signed):
    """Norms of windows side by side, every step rounded to the dtype of x, added one by one."""
    real = x.dtype.type
    with np.errstate(invalid="ignore"):
        powers = (x if signed else abs(x)) ** real(p)
        sums = powers.reshape(-1, k).cumsum(axis=1, dtype=x.dtype)[:, -1]
        return sums ** real(1 / p)


def narrow_gradients(dy, x, k, p, signed):
    """The gradient as the kernels form it."""
    real = x.dtype.type
    y = np.repeat(narrow_norms(x, k, p, signed), k)
    with np.errstate(invalid="ignore"):
        slope = (abs(x) / y) ** real(p - 1) * (1 if signed and p % 2 else np.sign(x))
    return np.repeat(dy, k) * slope


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("p", EXPONENTS)
def test_rounded_norms_are_within_the_bound(p, signed, dtype):
    rng = np.random.default_rng(0)
    k, keywords = 7, {"p": p, "signed": signed}
    x = rng.uniform(-2, 2, 700).astype(dtype)
    x = abs(x) if signed and p % 1 else x
    dy = rng.uniform(-1, 1, 100).astype(dtype)
    image, image_dy = x.reshape(1, 1, -1), dy.reshape(1, 1, -1)
    y = narrow_norms(x, k, p, signed).reshape(1, 1, -1)
    assert y.dtype == dtype
    exact = lp_pool(image, k, **keywords)
    assert_within(y, exact, lp_pool_bound(image, k, **keywords))
    assert p == 1 or (y != exact).any()
    dx = narrow_gradients(dy, x, k, p, signed).reshape(1, 1, -1)
    exact = lp_pool_backward(image_dy, image, k, **keywords)
    assert_within(dx, exact, lp_pool_backward_bound(image_dy, image, k, **keywords))


@pytest.mark.parametrize("p", EXPONENTS)
def test_what_is_off_by_twice_what_one_operation_may_be_is_noticed(p):
    """Windows of one element, |x| near 1: the bound is a few roundings wide, or a few powers."""
    x = np.random.default_rng(1).uniform(0.5, 1, (1, 1, 50)).astype(np.float32)
    units = 10 if p in (1, 2) else 100
    bound = lp_pool_bound(x, 1, p=p) / lp_pool(x, 1, p=p)
    assert (bound <= units * unit_roundoff(np.float32)).all()
    dy = np.ones_like(x)
    bound = lp_pool_backward_bound(dy, x, 1, p=p) / lp_pool_backward(dy, x, 1, p=p)
    assert (bound <= 20 * units * unit_roundoff(np.float32)).all()
    y, bound = lp_pool(x, 1, p=p), lp_pool_bound(x, 1, p=p)
    with pytest.raises(AssertionError, match="are off"):
        assert_within(y + 1.01 * bound, y, bound)


def test_cancelling_sums_leave_open_whether_there_is_a_root():
    x = np.array([[[1, 0.5, 1, -1, -1, 0.5, 0, 0]]], np.float32)
    keywords = {"p": 3, "signed": True}
    bound = lp_pool_bound(x, 2, **keywords)[0, 0]
    assert np.isfinite(bound).tolist() == [True, False, True, True]
    np.testing.assert_array_equal(lp_pool(x, 2, **keywords)[0, 0, 2:], [np.nan, 0])
    dy = np.ones((1, 1, 4), np.float32)
    bound = lp_pool_backward_bound(dy, x, 2, **keywords)[0, 0]
    assert np.isinf(bound[2:4]).all()
    assert bound[-2:].tolist() == [0, 0]
    # A plain sum has no root: its bound grows with the terms, not with the sum.
    plain = lp_pool_bound(x, 2, p=1, signed=True)[0, 0]
    assert plain[1] == pytest.approx(plain[0] * 2 / 1.5)


def test_nothing_and_infinities_are_exact():
    x = np.array([[[0, 0, np.inf, 1, np.nan, 1]]], np.float32)
    for p in (1, 2, 3):
        assert lp_pool_bound(x, 2, p=p)[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("layout", ["NHWC", "CWHN"])
def test_layouts(layout):
    x = np.random.default_rng(2).uniform(-1, 1, (2, 3, 6, 5)).astype(np.float32)
    axes = ["NCHW".index(each) for each in layout]
    spatial = [letter for letter in layout if letter in "HW"]
    plain = x.transpose(["NCHW".index(each) for each in ("N", "C", *spatial)])
    keywords = {"p": 3, "stride": (2, 1), "padding": ((1, 0), (0, 1)), "ceil_mode": True}
    dy = np.ones(lp_pool(plain, 2, **keywords).shape)
    order = [["N", "C", *spatial].index(each) for each in layout]
    np.testing.assert_array_equal(
        lp_pool_bound(x.transpose(axes), 2, layout=layout, **keywords),
        lp_pool_bound(plain, 2, **keywords).transpose(order),
    )
    np.testing.assert_array_equal(
        lp_pool_backward_bound(
            dy.transpose(order), x.transpose(axes), 2, layout=layout, **keywords
        ),
        lp_pool_backward_bound(dy, plain, 2, **keywords).transpose(order),
    )
