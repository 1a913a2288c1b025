"""clconv/conformance/shrink.py: the smallest problem that still fails."""

from __future__ import annotations

import pytest

from clconv.conformance.shrink import shrink
from clconv.conformance.words import Words
from clconv.errors import UnsupportedError
from clconv.spec.parse import parse

LARGE = "conv_fwd:f32:n3c12o18g3:i17x19:k5x4:s2x3:p1.2x2.0:d1x2:bias:flip:relu"


def smallest(text, fails):
    return str(shrink(parse(text), lambda problem: fails(Words.of(problem))))


@pytest.mark.parametrize(
    ("fails", "expected"),
    [
        (lambda w: True, "conv_fwd:f32:n1c1o1g1:i1:k1:s1:p0.0:d1"),
        (lambda w: w.sizes["n"] > 1, "conv_fwd:f32:n2c1o1g1:i1:k1:s1:p0.0:d1"),
        (lambda w: w.sizes["g"] > 1, "conv_fwd:f32:n1c2o2g2:i1:k1:s1:p0.0:d1"),
        (lambda w: "flip" in w.flags, "conv_fwd:f32:n1c1o1g1:i1:k1:s1:p0.0:d1:flip"),
        (lambda w: w.axis("k")[-1] >= 3, "conv_fwd:f32:n1c1o1g1:i3:k3:s1:p0.0:d1"),
        (lambda w: w.axis("p")[0][1] > 0, "conv_fwd:f32:n1c1o1g1:i1:k1:s1:p0.1:d1"),
        (lambda w: w.rank == 2, "conv_fwd:f32:n1c1o1g1:i1x1:k1x1:s1:p0.0:d1"),
    ],
)
def test_what_does_not_matter_goes(fails, expected):
    assert smallest(LARGE, fails) == expected


def test_every_operator_shrinks():
    for text, expected in (
        (
            "max_pool:f16:n2c3:i9x8:k3x2:s2:p1.1:d1x2:ceil:NHWC",
            "max_pool:f16:n1c1:i1:k1:s1:p0.0:d1",
        ),
        ("adaptive_avg_pool:f32:n2c3:i9x8:o3x2", "adaptive_avg_pool:f32:n1c1:i1:o1"),
        ("conv_bwd_bias:f32:n2o3:i9", "conv_bwd_bias:f32:n1o1:i1"),
        (
            "conv_fwd:f32:n4c3o4g1:i6x7:k3x2:s1x2:p1.-1x0.2:d1:lhs1x3:bg2",
            "conv_fwd:f32:n1c1o1g1:i1:k1:s1:p0.0:d1",
        ),
    ):
        assert smallest(text, lambda words: True) == expected


def test_no_step_makes_a_smaller_one_that_fails():
    found = smallest(LARGE, lambda w: w.axis("i")[0] * w.sizes["c"] >= 20)
    words = Words.of(parse(found))
    assert words.axis("i")[0] * words.sizes["c"] >= 20
    assert (words.axis("i")[0] - 1) * words.sizes["c"] < 20


def test_problems_that_no_function_states_are_passed_over():
    def fails(words):
        if words.sizes["c"] < 12:
            raise UnsupportedError("no public function states it")
        return True

    assert Words.of(parse(smallest(LARGE, fails))).sizes["c"] == 12


def test_time_is_limited():
    assert str(shrink(parse(LARGE), lambda problem: True, limit_s=0)) == LARGE
