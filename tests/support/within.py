"""Comparing with bounds that are derived element by element, where NaN and infinities may be."""

import numpy as np


def assert_within(actual, expected, bound):
    """|actual - expected| <= bound; NaN where NaN is expected, anything where the bound is inf.

    Infinities have to be equal. At most one element in a hundred may be free: or nothing is tested.
    """
    assert actual.shape == expected.shape
    free = np.isinf(bound)
    assert free.sum() <= 0.01 * max(free.size, 100), f"{free.sum()} of {free.size} are not judged"
    judged = ~free & ~np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual)[~free], np.isnan(expected)[~free])
    actual, expected, bound = (each[judged] for each in (actual, expected, bound))
    with np.errstate(invalid="ignore"):
        wrong = (actual != expected) & ~(abs(actual - expected) <= bound)
    assert not wrong.any(), (
        f"{wrong.sum()} of {wrong.size} are off, the first {actual[wrong][0]} for"
        f" {expected[wrong][0]} within {bound[wrong][0]:.3g}"
    )
