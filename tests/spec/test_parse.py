"""clconv/spec/parse.py: problem strings are read as they are printed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clconv
from clconv.spec.general import GeneralConvProblem
from clconv.spec.parse import parse
from clconv.spec.problem import ConvProblem

STRINGS = [
    "conv_fwd:f32:n8c64o128g1:i56x56:k3x3:s2:p1.1:d1",
    "conv_fwd:f64:n1c4o6g2:i9:k3:s1:p0.2:d2:bias:flip:beta-0.5:gelu",
    "conv_fwd:bf16:n1c4o4g1:i5x6x7:k3x2x1:s1x2x3:p1.0x0.0x2.2:d1:reflect",
    "conv_fwd:f32:n2c4o6g2:i5x6:k3x2:s1:p-1.2x0.-1:d1:lhs2x1:NHWC,HWIO->NHWC",
    "conv_bwd_weights:f32:n4c4o6g1:i5x6:k3x2:s1:p0.0:d1:bg2",
    "conv_bwd_data:c64:n1c2o4g2:i6:k3:s2:p0.-1:d2:conj:bias",
    "conv_fwd:u8.i8:n1c2o4g2:i5x6:k3x2:s1:p0.0:d1:acci64:xzero:wzero",
    "qlinear_conv:u8.i8:n1c2o4g2:i5x6:k3x2:s1:p0.0:d1:acci32:wzero:bias:toi16",
    "deform_conv_fwd:f32:n2c4o6g2:i7x6:k3x2:s1:p1.1:d1:bias:og2:mask",
    "deform_conv_bwd_data:bf16:n1c4o2g1:i7:k3:s1:p0.0:d1:og1",
    "conv_bwd_bias:f16:n3o4:i35",
    "conv_bwd_bias:f32:n3o4:i5x7:NHWC",
    "im2col:i8:n1c2:i5x6:k3x2:s1:p0.0:d1:NHWC",
    "col2im:c128:n1c2:i5:k3:s1:p1.0:d1",
    "max_pool:f32:n1c2:i5x6:k3x2:s2x1:p1.1x0.0:d1:ceil:CNHW",
    "avg_pool:f32:n1c2:i5x6:k3x3:s2:p1.1:d1:exclude_pad",
    "avg_pool_backward:f32:n1c2:i7:k3:s2:p1.1:d1:divisor7",
    "adaptive_max_pool:i16:n1c2:i5x6:o2x3",
    "adaptive_avg_pool_backward:f32:n1c2:i5x6:o2x3:NHWC",
    "max_pool_backward:f32:n1c2:i5x6:o2x3",
    "max_unpool:f16:n1c2:i6:o3",
    "max_unpool_backward:f32:n1c2:i6:o3:NWC",
]


@pytest.mark.parametrize("text", STRINGS)
def test_strings_print_back_to_themselves(text):
    assert str(parse(text)) == text
    assert clconv.problem(text) == parse(text)


def test_what_may_be_left_out():
    short = "conv_fwd:f32:n8c64o128g1:i56x56:k3x3"
    assert str(parse(short)) == short + ":s1:p0.0:d1"
    assert parse(short + ":d1x1:s1") == parse(short)
    assert str(parse(f"  {short}\n")) == short + ":s1:p0.0:d1"


def axes(rank, low, high):
    return st.tuples(*[st.integers(low, high)] * rank)


@st.composite
def general_problems(draw):
    rank, groups = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    letters = "DHW"[3 - rank :]
    layouts = ["".join(draw(st.permutations(axis + letters))) for axis in ("NC", "OI", "NC")]
    sizes = dict(zip("DHW", draw(axes(3, 7, 9)), strict=True))
    sizes |= {"N": 4, "C": 2 * groups}
    taps = dict(zip("DHW", draw(axes(3, 1, 3)), strict=True)) | {"O": 4, "I": 2}
    numbers = clconv.spec.layout.DimensionNumbers(*layouts)
    direction = draw(st.sampled_from(["forward", "backward_data", "backward_weights"]))
    dtype = draw(st.sampled_from(["float32", "float16", "complex128", "int8"]))
    return GeneralConvProblem(
        direction,
        dtype,
        tuple(sizes[letter] for letter in layouts[0]),
        tuple(taps[letter] for letter in layouts[1]),
        draw(axes(rank, 1, 3)),
        tuple(draw(st.tuples(st.integers(-1, 2), st.integers(-1, 2))) for _ in range(rank)),
        draw(axes(rank, 1, 2)),
        draw(axes(rank, 1, 2)),
        groups,
        1 if groups > 1 else draw(st.sampled_from([1, 2])),
        numbers,
        bias=direction != "backward_weights" and draw(st.booleans()),
        flip=draw(st.booleans()),
        beta=draw(st.sampled_from([0.0, 1.0, 0.1, -3e-7])) if direction == "forward" else 0.0,
        conjugate=dtype == "complex128" and draw(st.booleans()),
    )


@given(general_problems())
@settings(max_examples=300, deadline=None)
def test_general_problems_print_back_to_themselves(problem):
    again = parse(str(problem))
    assert str(again) == str(problem)
    assert again.operands == problem.operands
    assert again.results == problem.results
    assert again == problem.simplest


def test_plain_problems_are_told_from_general_ones():
    assert isinstance(parse("conv_fwd:f32:n1c1o1g1:i5:k3"), ConvProblem)
    assert isinstance(parse("conv_fwd:f16:n1c1o1g1:i5:k3"), GeneralConvProblem)
    assert isinstance(parse("conv_fwd:i32:n1c1o1g1:i5:k3"), ConvProblem)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("convolve:f32:n1", "begins with none of conv_fwd, "),
        ("conv_fwd", "must have types and sizes"),
        ("conv_fwd:f33:n1c1o1g1:i5:k3", "'f33' is no element type; known: f32, "),
        ("conv_fwd:f32:n1c1o1:i5:k3", "has no size 'g'"),
        ("conv_fwd:f32:n1c1o1g1z3:i5:k3", "nothing is known of z"),
        ("conv_fwd:f32:n1c-1o1g1:i5:k3", "must be like n8c64o128g1"),
        ("conv_fwd:f32:n1c1o1g1:k3", "has no field 'i'"),
        ("conv_fwd:f32:n1c1o1g1:i5x5:k3", "i and k must have as many axes"),
        ("conv_fwd:f32:n1c1o1g1:i5x5x5:k3x3x3:s1x2", "field 's' must have 1 or 3 entries"),
        ("conv_fwd:f32:n1c1o1g1:i5:k3:reluu", "nothing is known of reluu"),
        ("conv_fwd:f32:n1c1o1g0:i5:k3", "g a group"),
        ("conv_fwd:f32:n1c1o1g1:i5:k3:conj", "conjugate weights are complex"),
        ("conv_bwd_weights:f32:n1c1o1g1:i5:k3:bias", "takes no bias"),
        ("conv_bwd_data:f32:n1c1o1g1:i5:k3:relu", "belong to conv_fwd"),
        ("conv_fwd:f32:n1c1o1g1:i5:k9", r"spans \(9,\) pixels, more than the padded image"),
        ("max_pool:c64:n1c1:i5:k3", "complex64 numbers have no order"),
        ("avg_pool:i8:n1c1:i5:k3", "int8 numbers have no mean"),
        ("max_pool:f32:n1c1:i5x5:k3x3:NHC", "must name 4 axes once each"),
        ("conv_bwd_bias:f32:n1o1:i5x5:NWC", "layout 'NWC' must name 4 axes once each"),
        ("conv_bwd_bias:f32:n1o1:i2x2x2x2", r"dy \(1, 1, 2, 2, 2, 2\) must have 1 to 3 spatial"),
        ("qlinear_conv:u8:n1c1o1g1:i5:k3", "has no type of y, as toi8"),
    ],
)
def test_what_is_no_problem(text, message):
    with pytest.raises((ValueError, clconv.UnsupportedError), match=message):
        parse(text)
