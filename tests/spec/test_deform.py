"""clconv/spec/deform.py: sizes, names and refusals."""

from __future__ import annotations

import re

import pytest

from clconv.errors import GeometryError, UnsupportedError
from clconv.spec.deform import DeformProblem
from clconv.spec.geometry import Geometry
from clconv.spec.problem import ConvProblem


def conv(channels=6, size=9, direction="forward"):
    geometry = Geometry((size, size), (3, 2), (1, 1), (1, 1), ((1, 1), (0, 1)))
    return ConvProblem(direction, "float32", 2, channels, 4, 2, geometry)


def test_shapes_and_name():
    problem = DeformProblem(conv(), 3, True)
    assert problem.offset_shape == (2, 3 * 6 * 2, 9, 9)
    assert problem.mask_shape == (2, 3 * 6, 9, 9)
    assert problem.offset_channels == 2
    assert problem.dtype == "float32"
    name = "deform_conv_fwd:f32:n2c6o4g2:i9x9:k3x2:s1:p1.1x0.1:d1:og3"
    assert str(problem) == f"{name}:mask"
    assert str(DeformProblem(conv(), 3, False)) == name
    backward = DeformProblem(conv(direction="backward_data"), 1, False)
    assert str(backward).startswith("deform_conv_bwd_data:f32:")


def test_refusals():
    for count in (0, 4):
        with pytest.raises(GeometryError, match=f"offset_groups={count} does not divide C=6 of x"):
            DeformProblem(conv(), count, True)
    wanted = re.escape("offset (2, 72, 4000, 4000) has 2304000000 elements")
    with pytest.raises(UnsupportedError, match=wanted):
        DeformProblem(conv(size=4000), 6, True)
