"""clconv/conformance/metamorphic.py: each relation passes the reference and catches its fault."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from clconv import reference
from clconv.conformance.calls import as_tuple
from clconv.conformance.cases import OTHERS, list_cases
from clconv.conformance.metamorphic import RELATIONS, relations
from clconv.spec.parse import parse


class Planted:
    """The reference, in the dtype of its operands, its calls passed through a fault."""

    def __init__(
        self, fault=lambda function, *arguments, **options: function(*arguments, **options)
    ):
        self.fault = fault

    def __getattr__(self, name):
        def call(*arguments, **options):
            results = self.fault(getattr(reference, name), *arguments, **options)
            dtype = arguments[0].dtype
            if dtype.kind in "iu":
                return results
            narrow = [r if r.dtype.kind in "iu" else r.astype(dtype) for r in as_tuple(results)]
            return tuple(narrow) if isinstance(results, tuple) else narrow[0]

        return call


def findings(backend, text):
    """Return what each relation finds, where it says anything."""
    found = {name: check() for name, check in relations(backend, parse(text))}
    return {name: finding for name, finding in found.items() if finding is not None}


def broken(fault, text):
    return {name for name, finding in findings(Planted(fault), text).items() if not finding.passed}


CONV = "conv_fwd:f32:n2c4o6g2:i9x8:k3x2:s2x1:p1.2x2.0:d1x2"


def test_the_reference_obeys_them_all():
    texts = [text.format(t=code) for text in OTHERS for code in ("f32", "bf16")]
    held = set()
    for text in (CONV, *texts, *(str(case) for case in list_cases("quick", ("auto",))[::5])):
        found = findings(Planted(), text)
        assert all(finding.passed for finding in found.values()), (text, found)
        held |= found.keys()
    assert held == RELATIONS.keys()
    assert findings(Planted(), CONV).keys() == RELATIONS.keys()


def test_the_quick_grid_holds_every_relation():
    held = defaultdict(int)
    for case in list_cases("quick", ("auto",)):
        if case.related:
            for name in findings(Planted(), str(case)):
                held[name] += 1
    assert held.keys() == RELATIONS.keys()
    assert min(held.values()) >= 10


def first_pixel_is_off(function, x, *rest, **options):
    y = function(x, *rest, **options).copy()
    y[..., 0] += 1
    return y


def first_channel_counts_double(function, x, *rest, **options):
    x = x.copy()
    x[:, 0] *= 2
    return function(x, *rest, **options)


def saturates(function, *arguments, **options):
    return np.clip(function(*arguments, **options), -20, 20)


def every_group_takes_the_first_filters(function, x, w, bias=None, *, groups=1, **options):
    first = w[: len(w) // groups]
    return function(x, np.concatenate([first] * groups), bias, groups=groups, **options)


def dilation_is_dropped_where_it_is_even(function, x, w, *rest, dilation, padding, **options):
    right = function(x, w, *rest, dilation=dilation, padding=padding, **options)
    less = tuple(1 if d % 2 == 0 else d for d in dilation)
    wrong = function(x, w, *rest, dilation=less, padding=padding, **options)
    return wrong[tuple(slice(size) for size in right.shape)]


def images_are_transposed(function, x, w, *rest, **options):
    y = function(x, w, *rest, **options)
    return y if y.ndim > 4 else np.flip(y, -1)


def later_images_repeat_the_first(function, x, *rest, **options):
    y = function(x, *rest, **options)
    return np.broadcast_to(y[:1], y.shape)


def order_of_sums_depends_on_the_batch(function, x, *rest, **options):
    y = function(x, *rest, **options)
    fraction = y - np.rint(y)  # whole numbers stay what they are
    return y + fraction * 2.0**-22 * (len(x) > 1)


@pytest.mark.parametrize(
    ("relation", "fault"),
    [
        ("shift", first_pixel_is_off),
        ("channels", first_channel_counts_double),
        ("linear", saturates),
        ("groups", every_group_takes_the_first_filters),
        ("dilation", dilation_is_dropped_where_it_is_even),
        ("depth", images_are_transposed),
        ("batch", later_images_repeat_the_first),
        ("reals", order_of_sums_depends_on_the_batch),
    ],
)
def test_a_fault_of_its_kind_is_caught(relation, fault):
    assert relation in broken(fault, CONV)


def test_sums_in_another_order_break_the_batch_on_reals_alone():
    assert broken(order_of_sums_depends_on_the_batch, CONV) == {"reals"}


@pytest.mark.parametrize(
    ("text", "silent"),
    [
        ("conv_fwd:f32:n2c4o6g2:i9:k3:s1:p1.1:d1:reflect", "shift"),
        ("avg_pool:f32:n2c2:i9:k3:s2:p1.1:d1:exclude_pad", "shift"),
        ("deform_conv_fwd:f32:n2c4o6g2:i9:k3:s1:p1.1:d1:og2", "channels"),
        ("conv_fwd:f32:n2c4o6g2:i9:k3:s1:p1.1:d1:bias", "linear"),
        ("conv_fwd:f16:n2c4o6g2:i9:k3:s1:p1.1:d1", "linear"),
        ("conv_fwd:f32:n2c4o6g1:i9:k3:s1:p1.1:d2", "groups"),
        ("conv_fwd:f32:n2c4o6g1:i9:k1:s1:p1.1:d2", "dilation"),
        ("conv_fwd:f32:n2c4o6g1:i9x8x7:k3x3x3:s1:p1.1:d2", "depth"),
        ("conv_fwd:f32:n1c4o6g1:i9:k3:s1:p1.1:d2", "batch"),
        ("conv_bwd_weights:f32:n2c4o6g1:i9:k3:s1:p1.1:d2", "batch"),
        ("conv_fwd:i8:n2c4o6g1:i9:k3:s1:p1.1:d2", "reals"),
        ("lp_pool:f32:n2c4:i9:k3:s1:p1.1:d1:norm2.0", "shift"),
    ],
)
def test_a_relation_is_silent_where_it_says_nothing(text, silent):
    assert silent not in findings(Planted(), text)
