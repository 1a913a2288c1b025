"""clconv/conformance/walk.py: valid problems of every kind, the same for the same seed."""

from __future__ import annotations

from itertools import islice

from clconv import reference
from clconv.conformance.data import data_for
from clconv.conformance.problems import calls_of
from clconv.conformance.walk import walk
from clconv.conformance.words import Words
from clconv.spec.dtypes import DTYPES
from clconv.spec.parse import parse


def steps(seed, count):
    return list(islice(walk(seed, ("auto", "direct")), count))


def test_a_seed_is_a_walk():
    assert steps(5, 50) == steps(5, 50)
    assert steps(5, 50) != steps(6, 50)


def test_everything_is_met():
    cases = [case for seed in range(4) for case in steps(seed, 400)]
    words = [Words.of(case.problem) for case in cases]
    assert {case.problem.dtype for case in cases} == set(DTYPES)
    assert {w.rank for w in words} == {1, 2, 3}
    flags = {flag.rstrip("0123456789.-") for w in words for flag in w.flags}
    assert flags >= {
        *("bias", "flip", "beta", "relu", "gelu", "reflect", "replicate", "circular", "bg", "conj"),
        *("acci", "xzero", "wzero", "toi", "tou", "og", "mask", "ceil", "exclude_pad", "divisor"),
        *("norm", "signed", "NHWC"),
    }
    assert any(max(w.axis("lhs")) > 1 for w in words)
    assert any(min(map(min, w.axis("p"))) < 0 for w in words)
    assert any("->" in flag for w in words for flag in w.flags)
    names = {
        call.name
        for case in cases
        for call in calls_of(case.problem, data_for(case.problem, "random"))
    }
    # One is a chain of two, the other another's by name.
    assert names >= set(reference.__all__) - {"separable_conv", "global_max_pool"}


def test_strings_are_read_back_and_the_reference_takes_them():
    for case in steps(0, 150):
        assert parse(str(case)) == case.problem
        for call in calls_of(case.problem, data_for(case.problem, "random")):
            assert all(result.size for result in call.expected)
