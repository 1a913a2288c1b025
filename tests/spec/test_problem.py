"""clconv/spec/problem.py: sizes, names, limits."""

from __future__ import annotations

import pytest

import clconv
from clconv.reference.shapes import CONV_SHAPES, DIRECTIONS
from clconv.spec.geometry import Geometry
from clconv.spec.images import BiasGradientProblem, ColumnsProblem, PoolProblem
from clconv.spec.problem import ConvProblem

GEOMETRY = Geometry((56, 56), (3, 3), (2, 2), (1, 1), ((1, 1), (1, 1)))


def problem_of(shape, direction="forward"):
    geometry = Geometry(shape.spatial, shape.kernel, shape.stride, shape.dilation, shape.padding)
    sizes = (shape.batch, shape.channels, shape.outputs, shape.groups)
    return ConvProblem(direction, "float32", *sizes, geometry)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("shape", CONV_SHAPES["edges"].values(), ids=str)
def test_sizes_agree_with_the_reference(shape, direction):
    problem = problem_of(shape, direction)
    assert problem.x_shape == shape.x_shape
    assert problem.w_shape == shape.w_shape
    assert problem.y_shape == shape.y_shape
    assert problem.terms == shape.terms(direction)
    assert problem.flops == shape.flops


def test_names():
    problem = ConvProblem("forward", "float32", 8, 64, 128, 1, GEOMETRY)
    geometry = "i56x56:k3x3:s2:p1.1:d1"
    assert str(problem) == f"conv_fwd:f32:n8c64o128g1:{geometry}"
    flagged = ConvProblem("backward_data", "float64", 8, 4, 4, 4, GEOMETRY, True, True)
    assert str(flagged) == f"conv_bwd_data:f64:n8c4o4g4:{geometry}:bias:flip"
    bias = BiasGradientProblem("conv_bwd_bias", "float32", 2, 3, (4, 5), layout="NHWC")
    assert str(bias) == "conv_bwd_bias:f32:n2o3:i4x5:NHWC"
    assert str(ColumnsProblem("col2im", "float32", 2, 3, GEOMETRY)) == f"col2im:f32:n2c3:{geometry}"
    pool = PoolProblem("avg_pool", "float32", 2, 3, GEOMETRY, count_include_pad=False)
    assert str(pool) == f"avg_pool:f32:n2c3:{geometry}:exclude_pad"


def test_gemm_of_each_direction():
    sizes = ("float32", 8, 64, 128, 2, GEOMETRY)
    assert ConvProblem("forward", *sizes).gemm == (64, 8 * 28 * 28, 32 * 9)
    assert ConvProblem("backward_data", *sizes).gemm == (32 * 9, 8 * 28 * 28, 64)
    assert ConvProblem("backward_weights", *sizes).gemm == (64, 32 * 9, 8 * 28 * 28)


def test_limits():
    geometry = Geometry((64, 64), (64, 64), (1, 1), (1, 1), ((0, 0), (0, 0)))
    with pytest.raises(clconv.UnsupportedError, match=r"x \(8192, 64, 64, 64\) has 2147483648"):
        ConvProblem("forward", "float32", 8192, 64, 1, 1, geometry)
    with pytest.raises(clconv.UnsupportedError, match="dtype int8 is not one of float32"):
        ConvProblem("forward", "int8", 1, 1, 1, 1, GEOMETRY)
    with pytest.raises(clconv.GeometryError, match="groups=3 must divide both C=4"):
        ConvProblem("forward", "float32", 1, 4, 3, 3, GEOMETRY)
