"""reference/bounds.py: the bound holds in any order, and a little more than it is noticed."""

import numpy as np
import pytest

from clconv.reference import avg_pool, conv, conv_backward_data, loops
from clconv.reference.arrays import wide_dtype
from clconv.reference.bounds import (
    exact_integer_limit,
    gamma,
    split_terms,
    stored_bound,
    sum_bound,
    unit_roundoff,
)
from clconv.reference.im2col import backward_data
from clconv.reference.shapes import CONV_SHAPES


def test_unit_roundoff():
    assert unit_roundoff("float16") == 2.0**-11
    assert unit_roundoff("float32") == 2.0**-24
    assert unit_roundoff("float64") == 2.0**-53
    assert unit_roundoff("complex64") == 2.0**-24


def test_unit_roundoff_of_bfloat16():
    ml_dtypes = pytest.importorskip(
        "ml_dtypes", reason="ml_dtypes, which has bfloat16, is not installed"
    )
    assert unit_roundoff(ml_dtypes.bfloat16) == 2.0**-8
    assert ml_dtypes.bfloat16(1 + 2.0**-8) == 1  # a tie, to even


def test_complex_sums_are_within_the_bound():
    shape = CONV_SHAPES["edges"]["primes"]
    real, imaginary = shape.random_tensors("float32"), shape.random_tensors("float32", seed=1)
    x, w = ((a + 1j * b).astype("complex64") for a, b in zip(real[:2], imaginary[:2], strict=True))
    keywords = shape.keywords()
    exact = conv(x, w, **keywords)
    narrow = np.zeros(exact.shape, "complex64")
    padded = np.pad(x, ((0, 0), (0, 0), *shape.padding))
    for o, i, j in np.ndindex(*exact.shape[1:]):
        for term in np.ndindex(*w.shape[1:]):
            c, p, q = term
            narrow[:, o, i, j] += padded[:, c, i + p, j + q] * w[o, c, p, q]
        if i:
            break
    bound = sum_bound(conv(abs(x), abs(w), **keywords), shape.terms("forward"), "complex64")
    assert bound.dtype == np.float64
    done = narrow != 0
    assert (abs(narrow - exact)[done] <= bound[done]).all()
    assert (abs(narrow - exact)[done] > 0).any()


def test_gamma():
    assert gamma(0, "float32") == 0
    assert gamma(1, "float32") == pytest.approx(2.0**-24)
    assert gamma(2**23, "float32") == 1
    assert gamma(10, "float32") > 10 * unit_roundoff("float32")
    with pytest.raises(ValueError, match="terms=16777216 roundings in float32"):
        gamma(2**24, "float32")


def sums(products):
    """The same terms added forwards, backwards, in a tree, and in eight lanes."""
    lanes = [products[lane::8].cumsum()[-1] for lane in range(min(8, len(products)))]
    in_lanes = np.array(lanes, products.dtype).cumsum()[-1]
    return [products.cumsum()[-1], products[::-1].cumsum()[-1], products.sum(), in_lanes]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("terms", [1, 7, 64, 501])
def test_a_sum_in_any_order_is_within_the_bound(dtype, terms):
    rng = np.random.default_rng(terms)
    x, w = rng.uniform(-1, 1, (2, 50, terms)).astype(dtype)
    wide = wide_dtype(dtype)
    exact = (x.astype(wide) * w.astype(wide)).sum(axis=1)
    bound = sum_bound((abs(x).astype(wide) * abs(w).astype(wide)).sum(axis=1), terms, dtype)
    for products, expected, allowed in zip(x * w, exact, bound, strict=True):
        for actual in sums(products):
            assert actual.dtype == dtype
            assert abs(actual.astype(wide) - expected) <= allowed


@pytest.mark.parametrize("blocks", [1, 2, 7, 23, 501])
def test_a_split_sum_is_within_the_bound_of_fewer_terms(blocks):
    """Blocks summed apart, one term after the other, and then their sums."""
    rng = np.random.default_rng(blocks)
    products = rng.uniform(0, 1, (50, 501)).astype(np.float32)
    parts = [part.cumsum(axis=1)[:, -1] for part in np.array_split(products, blocks, axis=1)]
    total = np.stack(parts).cumsum(axis=0)[-1]
    assert total.dtype == np.float32
    exact = products.astype(np.float64).sum(axis=1)
    terms = split_terms(501, blocks)
    assert terms <= 501
    assert (abs(total - exact) <= sum_bound(exact, terms, "float32")).all()


def test_split_terms():
    assert [split_terms(100, blocks) for blocks in (1, 3, 10, 100)] == [100, 36, 19, 100]
    for blocks in (0, 9):
        with pytest.raises(ValueError, match=f"blocks={blocks} of terms=8: wanted 1 to 8"):
            split_terms(8, blocks)


def test_stored_sums_are_off_by_one_rounding_more():
    """Float32 sums that are stored as float16, down to subnormal ones and zero."""
    rng = np.random.default_rng(0)
    scale = 2.0 ** -rng.integers(0, 30, (400, 1))
    x = (scale * rng.uniform(-1, 1, (400, 30))).astype(np.float16).astype(np.float32)
    total = x.cumsum(axis=1)[:, -1]
    exact = x.astype(np.float64).sum(axis=1)
    bound = sum_bound(abs(x.astype(np.float64)).sum(axis=1), 30, "float32")
    error = abs(total.astype(np.float16) - exact)
    assert (error <= stored_bound(bound, exact, "float16")).all()
    assert (error > bound).any()
    assert stored_bound([0.0], [0.0], "float16") == 0
    assert (stored_bound(bound, exact, "float32") == bound).all()


def test_a_term_too_few_is_noticed():
    # 1 + u rounds to 1 (a tie, to even): every addition loses u, as much as one can
    K, u = 1000, np.float32(unit_roundoff("float32"))
    products = np.full(K, u, np.float32)
    products[0] = 1
    total = products.cumsum()[-1]
    assert total == 1
    exact = products.astype(np.float64).sum()
    assert exact - total <= sum_bound(exact, K, "float32")
    assert exact - total > sum_bound(exact, K - 2, "float32")


def test_an_error_slightly_over_the_bound_is_noticed():
    shape = CONV_SHAPES["edges"]["plain"]
    x, w, _, _ = shape.random_tensors("float32")
    y = conv(x, w)
    bound = sum_bound(conv(abs(x), abs(w)), shape.terms("forward"), "float32")
    assert (abs((y + 0.999 * bound) - y) <= bound).all()
    assert not (abs((y + 1.001 * bound) - y) <= bound).any()


def test_the_bound_is_of_each_element():
    magnitude = np.array([0.0, 1e-6, 1e6])
    bound = sum_bound(magnitude, 10, "float32")
    assert bound[0] == 0
    assert bound[2] == pytest.approx(1e12 * bound[1])


def test_the_bound_has_room_for_the_reference():
    assert sum_bound(1.0, 5, "float32") > gamma(5, "float32")
    assert sum_bound(1.0, 5, "float32").dtype == np.float64
    assert sum_bound(1.0, 5, "float64").dtype == np.longdouble


def test_narrow_and_wide_formulations_agree_within_the_bound(monkeypatch):
    """The loops and GEMM + col2im, made to round to float32, against the wide reference."""
    shape = CONV_SHAPES["edges"]["groups"]
    x, w, dy, _ = shape.random_tensors("float32")
    keywords = shape.keywords()
    monkeypatch.setattr("clconv.reference.arrays.wide_dtype", lambda *_: np.dtype("float32"))
    forward = loops.forward(x, w, **keywords)
    data = backward_data(dy, w, input_shape=x.shape, **keywords)
    monkeypatch.undo()
    assert forward.dtype == data.dtype == np.float32

    bound = sum_bound(conv(abs(x), abs(w), **keywords), shape.terms("forward"), "float32")
    error = abs(forward - conv(x, w, **keywords))
    assert error.max() > 0
    assert (error <= bound).all()

    keywords |= {"input_shape": x.shape}
    magnitude = conv_backward_data(abs(dy), abs(w), **keywords)
    bound = sum_bound(magnitude, shape.terms("backward_data"), "float32")
    assert (abs(data - conv_backward_data(dy, w, **keywords)) <= bound).all()


def test_average_pooling_is_within_the_bound():
    x = np.random.default_rng(0).uniform(-1, 1, (1, 1, 300)).astype(np.float32)
    narrow = x.reshape(1, 1, 60, 5).sum(axis=-1, dtype=np.float32) / np.float32(5)
    assert narrow.dtype == np.float32
    bound = sum_bound(avg_pool(abs(x), 5), 5, "float32")
    assert (abs(narrow - avg_pool(x, 5)) <= bound).all()


@pytest.mark.parametrize(
    ("terms", "dtype", "limit"),
    [
        (1, "float32", 4096),
        (2**24, "float32", 1),
        (2**22 + 1, "float32", 1),
        (2**22, "float32", 2),
        (1, "float64", 94906265),
        (9, "int8", 3),
        (1, "float16", 4096),
        (1, "bfloat16", 4096),
        (2, "complex64", 2048),
    ],
)
def test_exact_integer_limit(terms, dtype, limit):
    assert exact_integer_limit(terms, dtype) == limit


def test_no_exact_integers():
    terms = 2**24 + 1  # float16 is summed in float32
    with pytest.raises(ValueError, match=f"terms={terms} products of integers"):
        exact_integer_limit(terms, "float16")
