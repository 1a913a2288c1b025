"""tests/support: what asserts has to fail where it should."""

import numpy as np
import pytest
from support.within import assert_within

NAN, INF = np.nan, np.inf


def test_what_is_within():
    expected = np.array([1.0, NAN, INF, 2])
    assert_within(np.array([1.1, NAN, INF, 2]), expected, np.array([0.2, 0, 0, 0]))
    assert_within(np.r_[NAN, np.zeros(199)], np.zeros(200), np.r_[INF, np.zeros(199)])


@pytest.mark.parametrize(
    ("actual", "expected", "bound"),
    [(1.1, 1.0, 0.05), (NAN, 1.0, 0.5), (1.0, NAN, 0.5), (1.0, INF, 0.5), (-INF, INF, 0.0)],
)
def test_what_is_not(actual, expected, bound):
    with pytest.raises(AssertionError):
        assert_within(*(np.array([each]) for each in (actual, expected, bound)))


def test_free_elements_are_few():
    with pytest.raises(AssertionError, match="3 of 100 are not judged"):
        assert_within(np.zeros(100), np.zeros(100), np.r_[[INF] * 3, np.zeros(97)])
