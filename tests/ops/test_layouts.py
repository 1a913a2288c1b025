"""Layouts of the bias's gradient.

In exact integers: what is computed in any layout is, moved, what the reference has channels-first.
"""

from __future__ import annotations

import numpy as np
import pytest
from support.layouts import moved

import clconv
from clconv import reference

TYPES = ("float32", "float16", "complex64")


def integers(rng, shape, dtype="float32"):
    values = rng.integers(-3, 4, shape)
    return (values + 1j * rng.integers(-3, 4, shape) if dtype[0] == "c" else values).astype(dtype)


def inner(a, b):
    """Return the inner product of whole numbers, exactly."""
    wide = "complex128" if a.dtype.kind == "c" else "float64"
    return np.vdot(a.astype(wide), b.astype(wide))


@pytest.mark.parametrize("dtype", [*TYPES, "int16"])
@pytest.mark.parametrize("layout", ["NWC", "CNHW", "NHWC", "HWCN", "DNWHC"])
def test_gradient_of_the_bias(device, layout, dtype):
    """By the reference, and as the adjoint of a bias that is added in that layout."""
    rng = np.random.default_rng(3)
    plain = "NC" + "".join(letter for letter in layout if letter in "DHW")
    shape = (2, 3, 4, 5, 6)[: len(layout)]
    dy, bias = integers(rng, shape, dtype), integers(rng, 3, dtype)
    everywhere = np.zeros_like(dy) + bias.reshape(-1, *[1] * (len(shape) - 2))
    expected = reference.conv_backward_bias(dy)
    dy, everywhere = (moved(each, plain, layout) for each in (dy, everywhere))
    db = clconv.conv_backward_bias(dy, layout=layout, device=device)
    np.testing.assert_array_equal(db, expected)
    assert db.dtype == ("int32" if dtype == "int16" else dtype)
    assert inner(everywhere, dy) == inner(bias, db)


@pytest.mark.parametrize(
    ("layout", "error"), [("NHWX", ValueError), ("NWC", ValueError), (3, TypeError)]
)
def test_wrong_layouts_of_the_bias(device, layout, error):
    with pytest.raises(error, match=r"layout .*must (name 4 axes|be a string)"):
        clconv.conv_backward_bias(np.ones((1, 5, 6, 4)), layout=layout, device=device)
