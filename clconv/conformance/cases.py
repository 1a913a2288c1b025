"""The grids of cases: problem strings, out of the reference's named shapes and a list of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from clconv.reference.shapes import CONV_SHAPES, POOL_SHAPES, TRANSPOSE_SHAPES
from clconv.reference.shapes import ConvShape as Conv
from clconv.reference.shapes import PoolShape as Pool
from clconv.reference.shapes import TransposeShape as Transpose
from clconv.spec.general import GeneralConvProblem
from clconv.spec.parse import parse
from clconv.spec.problem import ConvProblem
from clconv.spec.quantized import QuantizedConvProblem
from clconv.spec.tensor import Problem

TYPES = ("f32", "f64")
# Each on a few shapes: their kernels are those of f32 between conversions.
OTHER_TYPES = ("f16", "bf16", "c64", "c128")

# What has no named shape; {t} is a type.
OTHERS = (
    "conv_fwd:{t}:n2c4o6g2:i9x8:k3x2:s2x1:p1.2x2.0:d1x2:reflect",
    "conv_fwd:{t}:n1c2o3g1:i7:k4:s1:p2.5:d1:replicate",
    "conv_fwd:{t}:n1c2o2g2:i4x5x6:k3x2x3:s1x2x1:p1.0x3.2x2.2:d1:circular",
    "conv_fwd:{t}:n2c4o6g2:i9x8:k3x3:s2:p1.2x2.0:d1:circular:NHWC,HWIO->NHWC",
    "conv_fwd:{t}:n2c3o4g1:i6x7:k3x2:s1:p1.1:d1:bias:flip:CHWN,OHWI->NCHW",
    "conv_fwd:{t}:n2c4o8g4:i9x8:k3x3:s1x2:p1.1:d1:NHWC,HWIO->NHWC:bias",
    "conv_fwd:{t}:n2c3o5g1:i11x9:k3x3:s1:p1.1:d1:bias:relu",
    "conv_fwd:{t}:n2c4o4g4:i11x9:k3x3:s1:p1.1:d1:bias:beta-2.0:relu6",
    "conv_fwd:{t}:n1c3o5g1:i11:k3:s1:p1.1:d1:leaky_relu",
    "conv_fwd:{t}:n1c3o5g1:i11:k3:s1:p1.1:d1:sigmoid",
    "conv_fwd:{t}:n1c3o5g1:i11:k3:s1:p1.1:d1:tanh",
    "conv_fwd:{t}:n1c3o5g1:i11:k3:s1:p1.1:d1:silu",
    "conv_fwd:{t}:n1c4o8g4:i11:k3:s1:p1.1:d1:beta0.5:gelu",
    "conv_fwd:{t}:n4c3o4g1:i6x7:k3x2:s1x2:p1.-1x0.2:d1:lhs1x3:bg2",
    "conv_fwd:{t}:n2c4o6g2:i4x3x5:k2x3x2:s2x1x1:p0.1x1.0x-1.2:d1:lhs2x1x2:NDHWC,DHWIO->NDHWC",
    "conv_bwd_bias:{t}:n3o4:i5x7:NHWC",
    "conv_bwd_bias:{t}:n3o4:i5x2x3:DCWNH",
    "deform_conv_fwd:{t}:n2c4o6g2:i9x8:k3x2:s1x2:p1.0x0.1:d1:bias:og2:mask",
    "deform_conv_fwd:{t}:n1c3o4g1:i12:k3:s2:p1.1:d2:og1",
    "deform_conv_fwd:{t}:n1c4o3g1:i4x5x4:k2x2x3:s1:p1.1:d1:og2:mask",
    "deform_conv_bwd_data:{t}:n2c4o6g2:i9x8:k3x2:s1x2:p1.0x0.1:d1:og2:mask",
    "lp_pool:{t}:n2c3:i9x8:k3x2:s2x1:p1.0x0.1:d1:norm1.0",
    "lp_pool:{t}:n2c3:i9x8:k3x2:s2x1:p1.0x0.1:d1:ceil:norm2.0:scale_overhang:NHWC",
    "lp_pool:{t}:n2c3:i5x4:k5x4:s1:p0.0:d1:norm2.0",
    "lp_pool:{t}:n1c3:i11:k3:s1:p1.1:d2:norm3.0:signed",
    "lp_pool_backward:{t}:n1c2:i4x5x6:k2x3x2:s1:p0.0:d1:norm1.0:signed",
    "lp_pool_backward:{t}:n2c3:i9x8:k3x2:s2x1:p1.0x0.1:d1:norm2.5",
    "adaptive_max_pool:{t}:n2c3:i7x9:o3x4",
    "adaptive_avg_pool:{t}:n2c3:i7x9:o3x4",
    "adaptive_avg_pool:{t}:n2c3:i5:o8",
    "adaptive_avg_pool:{t}:n1c2:i4x5x6:o1x1x1:NDHWC",
    "adaptive_avg_pool_backward:{t}:n2c3:i7x9:o3x4:NHWC",
    "adaptive_avg_pool_backward:{t}:n1c2:i4x5x6:o2x3x7",
    "max_pool:{t}:n2c3:i7x9:k3x2:s2:p1.1:d1x2:NHWC",
    "avg_pool:{t}:n2c3:i7x9:k3x2:s2:p1.1:d1x2:divisor7:CNWH",
    "max_pool_backward:{t}:n2c3:i7x9:o3x4:NHWC",
    "max_unpool:{t}:n2c3:i7x9:o3x4",
    "max_unpool_backward:{t}:n1c2:i4x5x6:o2x3x2",
    "im2col:{t}:n2c3:i7x9:k3x2:s2:p1.1:d1x2:NHWC",
    "col2im:{t}:n2c3:i7x9:k3x2:s2:p1.1:d1x2:CWHN",
    "lp_pool_backward:{t}:n2c3:i9x8:k3x2:s2x1:p1.0x0.1:d1:norm2.0",
    "deform_conv_bwd_data:{t}:n1c1o3g1:i7x6:k3x3:s1:p1.1:d1:og1",
)
# Larger than a chunk of a CPU's workspace, so that the work is cut: by windows, by channels, by
# terms.
CUT = (
    "conv_fwd:f32:n2c18o4g2:i99x98:k5x5:s1:p2.2:d1:bias",
    "conv_bwd_data:f32:n2c34o4g2:i99x98:k5x5:s1:p2.2:d1:flip",
    "conv_bwd_data:f32:n5c4o4g1:i99x98:k5x5:s1:p2.2:d1",
    "conv_bwd_weights:f32:n2c18o4g2:i99x98:k5x5:s1:p2.2:d1:flip",
    "conv_fwd:f32:n2c230o4g1:i41x37:k3x3:s1:p1.1:d1",  # by panels of tiles
    # and a box of windows: along each axis, and the batch
    "conv_fwd:f32:n2c3o5g1:i9x11x13:k2x3x2:s1:p1.0x0.1x1.1:d1:bias",
    "conv_fwd:f32:n23c9o34g1:i8x6:k3x3:s1:p0.1x1.1:d1",
    "conv_fwd:f32:n2c130o9g1:i1301:k1:s1:p0.0:d1",
    "conv_bwd_data:f32:n2c5o3g1:i9x11x13:k2x3x2:s1x2x1:p1.0x0.1x1.1:d1",
    "conv_bwd_weights:f32:n2c3o5g1:i9x11x13:k2x3x2:s1:p1.0x0.1x1.1:d1:flip",
    "conv_bwd_weights:f32:n13c9o34g1:i8x6:k3x3:s1:p0.1x1.1:d1",
    "conv_bwd_weights:f32:n2c4o3g1:i901:k3:s1:p1.1:d1",
    "conv_fwd:f32:n1c2o4g2:i71x90:k3x3:s1:p1.1:d1:bias",
    "conv_bwd_data:f32:n1c2o2g2:i150x95:k3x3:s2x1:p1.1:d1",
    "conv_bwd_weights:f32:n2c2o2g2:i71x90:k3x3:s1:p1.1:d1",
    "conv_fwd:f32:n1c1o2g1:i9001:k3:s1:p1.1:d1",
    "conv_bwd_data:f32:n1c1o2g1:i9001:k3:s1:p1.1:d1",
    "conv_bwd_weights:f32:n1c1o2g1:i9001:k3:s1:p1.1:d1",
    "deform_conv_fwd:f32:n2c66o2g2:i60x61:k3x3:s1:p1.1:d1:og2",
    "deform_conv_bwd_data:f32:n2c130o2g2:i3782:k9:s1:p4.4:d1:og2:mask",
)
# Sums that lie halfway between two numbers of a stored type.
HALFWAY = (
    "conv_fwd:bf16:n2c16o4g1:i9x8:k3x3:s1:p1.1:d1",
    "conv_fwd:f16:n2c128o4g1:i9x8:k3x3:s1:p1.1:d1",
)
# Rows of more than a vector, with a stride.
WIDE = (
    "conv_fwd:f32:n1c4o8g4:i5x75:k3x3:s2:p1.1:d1:bias",
    "conv_bwd_data:f32:n1c4o8g4:i5x75:k3x3:s2:p1.1:d1",
    "conv_bwd_weights:f32:n1c4o8g4:i5x76:k3x3:s2x3:p1.1:d1:flip",
)
# Vectors of planes, the last of them not full, in strips of rows; few pixels of a row.
LANES = (
    "conv_fwd:f32:n3c19o19g19:i9x13:k3x2:s2x1:p1.0x0.2:d1x2:bias:flip",
    "conv_fwd:f32:n2c17o17g17:i23x70:k3x3:s1:p1.1:d1:beta0.5:relu",
    "conv_fwd:f32:n20c9o9g9:i5x2:k5x3:s1x2:p2.3x1.1:d1:bias",
    "conv_bwd_data:f32:n3c19o19g19:i9x13:k3x2:s2x1:p1.0x0.2:d1x2",
    "conv_bwd_data:f32:n2c17o17g17:i43x70:k3x3:s1x2:p0.1x5.1:d1:flip",
    "conv_bwd_weights:f32:n3c19o19g19:i9x13:k3x2:s2x1:p1.0x0.2:d1x2:flip",
    "conv_bwd_weights:f32:n2c9o9g9:i23x70:k6x3:s1:p1.1:d1",
    "conv_fwd:f32:n1c9o9g9:i90x70:k3x3:s2:p1.1:d1",
    "conv_fwd:f32:n1c17o17g17:i90000:k3:s90000:p0.0:d1",  # a window, and a row that has no room
)
# Panels of pixels and of Winograd's tiles that run on from image to image, and blocks of channels.
PANELS = (
    "conv_fwd:f32:n3c6o38g2:i9x13:k1x1:s1:p0.0:d1:bias",
    "conv_bwd_data:f32:n3c38o6g2:i9x13:k1x1:s1:p0.0:d1:bias",
    "conv_fwd:f32:n2c1100o9g1:i7x7:k1x1:s1:p0.0:d1:beta0.5",
    "conv_fwd:f32:n3c6o38g2:i9x77:k3x3:s1:p1.0:d1:bias:flip",
    "conv_bwd_data:f32:n3c38o6g2:i9x77:k3x3:s1:p1.0x0.1:d1",
    "conv_fwd:f32:n40c3o5g1:i7x7:k3x3:s1:p1.1:d1:beta0.5:relu",
    "conv_fwd:f32:n2c6o38g2:i4x5x19:k2x3x3:s1:p1.0x1.1x0.1:d1:bias:flip",
    "conv_bwd_data:f32:n2c10o6g2:i4x5x19:k3x3x3:s1:p2.0x1.1x0.1:d1",
    "conv_fwd:f32:n2c70o9g1:i9x11:k3x3:s1:p1.1:d1:bias",  # filters in several turns
    "conv_bwd_data:f32:n1c9o70g1:i9x11:k3x3:s1:p1.1:d1",
)
# Lanes of neighbouring windows where terms are few: rows taken apart by strides and by taps, boxes
# cut along each axis, a last run that is not full; and planes that fill tiles of seven rows.
RUNS = (
    "conv_fwd:f32:n2c6o20g2:i9x62:k3x2:s2x2:p1.2x1.2:d1x3:bias:relu",
    "conv_fwd:f32:n1c5o9g1:i301:k3:s1:p20.0:d20:beta0.5",
    "conv_fwd:f32:n1c2o17g1:i5x6x31:k3x2x3:s2x1x1:p1.1x1.0x1.1:d2x3x1:bias",
    "conv_fwd:f32:n16c9o2g1:i19x128:k5x3:s1:p2.2x1.1:d1",  # as many rows as have room
    "conv_fwd:f32:n1c60o9g1:i4000:k2:s1:p0.0:d600",
    "conv_fwd:f32:n2c20o40g1:i7x7:k3x3:s1:p1.1:d1",
    "conv_fwd:f32:n2c20o40g1:i7x7:k1x1:s1:p0.0:d1:bias",
)
# What faults that were put into kernels and shapes got past all others (tests/mutants).
FOUND = (
    # each axis with sizes of its own
    "conv_fwd:f32:n2c3o6g3:i7x9x12:k2x3x2:s2x1x3:p1.2x2.1x3.0:d3x2x4",
    "conv_bwd_data:f32:n2c3o6g3:i7x9x12:k2x3x2:s2x1x3:p1.2x2.1x3.0:d3x2x4",
    "conv_bwd_weights:f32:n2c3o6g3:i7x9x12:k2x3x2:s2x1x3:p1.2x2.1x3.0:d3x2x4",
    "lp_pool_backward:f32:n1c2:i7x9x8:k2x3x2:s1x2x3:p1.0x0.1x1.1:d3x2x2:norm1.0",
    "avg_pool:f32:n2c2:i6x7:k3x3:s2:p0.1x1.0:d1",
    "avg_pool_backward:f32:n2c2:i6x7:k3x3:s2:p0.1x1.0:d1",
    "conv_bwd_weights:f32:n2c4o8g4:i6x5:k3x2:s1x2:p1.1x0.0:d1",  # a pixel behind the last window
    "conv_bwd_data:f32:n3c4o8g4:i9x7:k3x2:s2x2:p1.1x0.0:d1",  # windows that no tap brings a pixel
    "conv_bwd_data:f32:n2c70o3g1:i6x4:k2x3:s1:p1.1:d1",  # filters that are not finite, far behind
    # every pixel is a window, or nearly
    "conv_fwd:f32:n2c3o5g1:i5x7:k1x1:s1:p1.-1:d1",
    "conv_fwd:f32:n2c3o20g1:i5x7:k3x3:s1:p1.-1x0.-2:d1",
    "conv_bwd_data:f32:n2c3o20g1:i5x7:k3x3:s1:p1.-1x0.-2:d1",
    "conv_fwd:f32:n2c3o5g1:i5x7:k1x1:s1:p0.2x0.1:d1",
    # many channels, in several turns; strides of one tap without padding; pixels in turns
    "conv_fwd:f32:n1c700o3g1:i2x3:k1x1:s1:p0.0:d1:beta0.5",
    "conv_fwd:f32:n2c3o5g1:i7x5x43:k1x1x1:s2x3x2:p0.0:d1",
    "conv_fwd:f32:n2c3o5g1:i5x40:k1x1:s2x3:p0.0:d1",
    "conv_bwd_weights:f32:n3c38o10g2:i17x19:k1x1:s1:p0.0:d1",
    "conv_bwd_weights:f32:n1c17o6000g1:i3x3:k1x1:s1:p0.0:d1",  # as many blocks of sums as have room
    "conv_fwd:f32:n2c3o5g1:i5x7:k1x1:s1:p0.0x0.1:d1",  # one window behind the image
    "conv_fwd:f32:n1c2o70g1:i5x4:k3x3:s1:p1.1:d1:beta0.5",  # panels of outputs, each added to once
    # As a run of 6 or 8 but for the order.
    "conv_bwd_weights:f32:n2c3o5g1:i19:k5:s1:p2.1:d1:flip",
    "conv_bwd_weights:f32:n2c3o5g1:i19:k7:s1:p2.1:d1:flip",
    # Scratch that is taken too small ends pages before what is written to it.
    "conv_bwd_data:f32:n1c300o8g1:i10x10:k9x9:s1:p0.0:d1",
    "conv_bwd_weights:f32:n1c2o3g1:i10x8x8:k2x2x2:s1:p0.0:d1",  # boxes of two sizes along depth
    # the stride of one tap
    "conv_fwd:f32:n2c3o5g1:i9x11:k2x1:s1x3:p1.0x0.1:d1",
    "conv_fwd:f32:n2c3o5g1:i9x11:k2x1:s3x1:p1.0x0.1:d1",
    "conv_fwd:f32:n2c3o5g1:i9x11x7:k1x2x2:s3x1x2:p1.0x0.1x1.0:d1",
    # the stride of one window, the dilation of one tap, the distance of one pixel
    "conv_fwd:f32:n1c2o2g2:i1x3:k1x3:s1x5000000000:p0.0:d5000000000x1:lhs5000000000x1:NHWC,HWIO->NHWC",
    "conv_fwd:f32:n1c3o2g1:i7x6:k2x4:s1:p1.0x2.1:d1",  # "same_lower"
    "conv_fwd:f32:n1c3o2g1:i7x6:k2x4:s1:p0.1x1.2:d1",  # "same"
    "deform_conv_fwd:f32:n1c8o2g2:i5x6:k2x2:s1:p1.0:d1:og4:mask",
    "deform_conv_bwd_data:f32:n1c8o2g2:i5x6:k2x2:s1:p1.0:d1:og4:mask",
    "lp_pool:f32:n2c3:i8:k3:s2:p0.0:d1:ceil:norm1.0",
    "max_unpool:f32:n1c1:i60x100:o10x9",
    "max_pool_backward:f32:n1c1:i60x100:o10x9",
    "qlinear_conv:i8:n1c32o4g1:i6x5:k3x3:s1:p1.1:d1:toi8",
    "qlinear_conv:u8.i8:n1c32o4g1:i6x5:k3x3:s1:p1.1:d1:tou8",
    "conv_bwd_bias:f32:n64o3:i4000",  # so many terms that two cores are at it at once
)
INTEGERS = (
    "conv_fwd:u8.i8:n2c4o6g2:i9x8:k3x2:s2x1:p1.2x2.0:d1:xzero:wzero",
    "conv_fwd:i16:n1c3o4g1:i5x4x6:k2x3x2:s1:p1.1:d1:acci64:xzero",
    "conv_fwd:i64:n2c4o4g4:i9:k3:s1:p1.1:d2:bias",
    "conv_bwd_data:i32:n2c4o6g2:i9x8:k3x2:s2x1:p1.2x2.0:d1",
    "qlinear_conv:u8.i8:n2c4o6g2:i9x8:k3x2:s2x1:p1.2x2.0:d1:xzero:wzero:bias:tou8",
    "qlinear_conv:i8:n1c3o4g1:i9:k3:s1:p0.0:d1:toi16",
    "max_pool:u8:n2c3:i7x9:k3x2:s2:p1.1:d1x2:ceil:NHWC",
    "adaptive_max_pool:i64:n2c3:i7x9:o3x4",
    "max_pool_backward:i8:n2c3:i7x9:o3x4",
    "max_unpool:u16:n2c3:i7x9:o3x4",
    "im2col:i8:n2c3:i7x9:k3x2:s2:p1.1:d1x2",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One problem, by one or more algorithms; it prints as its problem string."""

    problem: Problem
    algorithms: tuple[str, ...] = ("auto",)
    related: bool = True  # held to the metamorphic relations, too

    def __str__(self) -> str:
        return str(self.problem)


def list_cases(grid: str, algorithms: tuple[str, ...]) -> list[Case]:
    """Return the cases of a grid, "quick" or "edges"; convolutions by all `algorithms`.

    The quick grid takes every third shape in f64: most of its time goes into builds, and the
    types share their sources. It holds every third case to the metamorphic relations.
    """
    quick = grid == "quick"
    strings = list(_grid_strings(grid, "f32", step=1))
    strings += _grid_strings(grid, "f64", step=3 if quick else 1)
    for number, code in enumerate(OTHER_TYPES):
        others = filter(is_defined, _grid_strings(grid, code, step=9 if quick else 5))
        strings += list(others)[number::5]
    strings += INTEGERS + CUT + HALFWAY + WIDE + LANES + PANELS + RUNS + FOUND
    problems = dict.fromkeys(map(parse, strings))
    return [
        case_of(problem, algorithms, related=not quick or number % 3 == 0)
        for number, problem in enumerate(problems)
    ]


def case_of(problem: Problem, algorithms: tuple[str, ...], related: bool = True) -> Case:
    """Return a problem as a case: by all `algorithms` if it is a convolution."""
    chosen = isinstance(problem, ConvProblem | GeneralConvProblem | QuantizedConvProblem)
    return Case(problem, algorithms if chosen else ("auto",), related)


def is_defined(text: str) -> bool:
    """Tell whether a problem is defined for its type: complex numbers have no order."""
    ordered = ("max_pool:", "lp_pool", "deform", "relu", "sigmoid", "tanh", "silu", "gelu")
    is_complex = text.split(":")[1].startswith("c")
    return not (is_complex and any(word in text for word in ordered))


def _grid_strings(grid: str, code: str, step: int) -> Iterator[str]:
    for shape in list(CONV_SHAPES[grid].values())[::step]:
        yield from conv_strings(shape, code)
    for transposed in list(TRANSPOSE_SHAPES[grid].values())[::step]:
        yield from transpose_strings(transposed, code)
    for pool in list(POOL_SHAPES[grid].values())[::step]:
        yield from pool_strings(pool, code)
    for text in OTHERS[::step]:
        yield text.format(t=code)


def conv_strings(shape: Conv, code: str) -> Iterator[str]:
    """Yield every use of a convolution's shape: all directions, with bias, flipped, general."""
    sizes = f"{code}:{shape}"
    yield f"conv_fwd:{sizes}"
    yield f"conv_fwd:{sizes}:bias"
    yield f"conv_fwd:{sizes}:flip"
    for direction in ("conv_bwd_data", "conv_bwd_weights"):
        yield f"{direction}:{sizes}"
        yield f"{direction}:{sizes}:flip"
    output = "x".join(map(str, shape.y_shape[2:]))
    yield f"conv_bwd_bias:{code}:n{shape.batch}o{shape.outputs}:i{output}"
    images = f"{code}:n{shape.batch}c{shape.channels}:{str(shape).split(':', 1)[1]}"
    yield f"im2col:{images}"
    yield f"col2im:{images}"
    general = _general(shape, code)
    for direction in ("conv_fwd", "conv_bwd_data", "conv_bwd_weights"):
        yield f"{direction}:{general}"


def _general(shape: Conv, code: str) -> str:
    """Return a shape as a general convolution: channels last, pixels apart.

    The first axis has its padding moved by a pixel, so that it is negative where there was none.
    """
    rank = len(shape.spatial)
    letters = "DHW"[3 - rank :]
    low, high = shape.padding[0]
    moved: Any = replace(shape, padding=((low - 1, high + 1), *shape.padding[1:]))
    gaps = "x".join(["2", *["1"] * (rank - 1)])
    return f"{code}:{moved}:lhs{gaps}:N{letters}C,{letters}IO->N{letters}C"


def transpose_strings(shape: Transpose, code: str) -> Iterator[str]:
    """Yield conv_transpose with a bias and its adjoints, in the eyes of the convolution.

    Channels last, the adjoints are those of the forward problem.
    """
    batch, outputs, *output = shape.y_shape
    sizes = {"i": output, "k": shape.kernel, "s": shape.stride, "d": shape.dilation}
    fields = [letter + "x".join(map(str, values)) for letter, values in sizes.items()]
    # Output padding lies behind the last window.
    sides = zip(shape.padding, shape.output_padding, strict=True)
    fields.append("p" + "x".join(f"{low}.{high - more}" for (low, high), more in sides))
    channels = f"n{batch}c{outputs}o{shape.channels}g{shape.groups}"
    text = f"{code}:{channels}:{':'.join(fields)}" + ":conj" * code.startswith("c")
    yield f"conv_bwd_data:{text}:bias"
    yield f"conv_fwd:{text}"
    yield f"conv_bwd_weights:{text}"
    letters = "DHW"[3 - len(output) :]
    last = f"N{letters}C,{letters}IO->N{letters}C"
    yield f"conv_bwd_data:{text}:{last}:bias"
    yield f"conv_fwd:{text}:{last}"


def pool_strings(shape: Pool, code: str) -> Iterator[str]:
    """Yield max and average pooling and their adjoints."""
    text = str(shape).removesuffix(":exclude_pad")
    exclude = ":exclude_pad" * (not shape.count_include_pad)
    sizes, _, window = text.partition(":")
    spatial = window.split(":")[0]
    yield f"max_pool:{code}:{text}"
    outputs = "x".join(map(str, shape.y_shape[2:]))
    yield f"max_pool_backward:{code}:{sizes}:{spatial}:o{outputs}"
    if shape.has_average:
        yield f"avg_pool:{code}:{text}{exclude}"
        yield f"avg_pool_backward:{code}:{text}{exclude}"
