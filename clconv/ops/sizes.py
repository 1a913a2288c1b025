"""Shape arithmetic as a user asks it: one size from the others, along one axis or several.

    output = (input + low + high - dilation*(kernel - 1) - 1)//stride + 1

The floor loses something: `stride` inputs in a row have one output, and so have as many extents of
a filter. The two inverse questions therefore have a range of answers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from clconv.errors import GeometryError
from clconv.ops.arguments import (
    Axes,
    PaddingLike,
    integer,
    padding_pairs,
    per_axis,
    sizes,
    window_geometry,
)
from clconv.spec.cost import Cost, cost
from clconv.spec.geometry import Sizes
from clconv.spec.parse import parse
from clconv.spec.tensor import Problem


class SizeRange(NamedTuple):
    """All sizes from `least` to `most`, ends included, have the same answer."""

    least: Sizes
    most: Sizes


def output_size(
    input_size: Sizes | int,
    kernel_size: Axes,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    ceil_mode: bool = False,
) -> Sizes:
    """Return how many windows there are along each axis.

    Parameters
    ----------
    input_size : pixels along each axis; a number is one axis
    kernel_size, stride, padding, dilation : as for `conv`
    ceil_mode : as for `max_pool`

    Raises
    ------
    GeometryError : a size is out of range, or no window fits
    """
    input = _axes("input_size", input_size)
    kernel = per_axis("kernel_size", kernel_size, len(input))
    window = {"stride": stride, "padding": padding, "dilation": dilation}
    return window_geometry(input, kernel, ceil_mode=ceil_mode, **window).output


def input_size(
    output_size: Sizes | int,
    kernel_size: Axes,
    *,
    stride: Axes = 1,
    padding: Axes | list[tuple[int, int]] = 0,
    dilation: Axes = 1,
) -> SizeRange:
    """Return which inputs give an output: not one, where the stride is more than 1.

    The least is what `conv_transpose` makes with output_padding=0, and output_padding is how many
    pixels more there are, up to the most.

    Raises
    ------
    GeometryError : a size is out of range, or no input of 1 or more gives that output
    """
    output = _axes("output_size", output_size)
    rank = len(output)
    kernel = _positive("kernel_size", kernel_size, rank)
    steps, gaps = _positive("stride", stride, rank), _positive("dilation", dilation, rank)
    pads = _explicit(padding, rank)
    most = [
        n * step - 1 + gap * (k - 1) + 1 - low - high
        for n, k, step, gap, (low, high) in zip(output, kernel, steps, gaps, pads, strict=True)
    ]
    least = [size - step + 1 for size, step in zip(most, steps, strict=True)]
    if min(most) < 1:
        raise GeometryError(f"output_size {output} with padding {pads} has no input of 1 or more")
    return SizeRange(tuple(max(size, 1) for size in least), tuple(most))


def kernel_size(
    input_size: Sizes | int,
    output_size: Sizes | int,
    *,
    stride: Axes = 1,
    padding: Axes | list[tuple[int, int]] = 0,
    dilation: Axes = 1,
) -> SizeRange:
    """Return which filters make an output of an input: not one, where the stride is more than 1.

    Raises
    ------
    GeometryError : a size is out of range, or no filter of 1 or more does
    """
    input = _axes("input_size", input_size)
    output = per_axis("output_size", output_size, len(input))
    rank = len(input)
    steps, gaps = _positive("stride", stride, rank), _positive("dilation", dilation, rank)
    pads = _explicit(padding, rank)
    least, most = [], []
    for n, out, step, gap, (low, high) in zip(input, output, steps, gaps, pads, strict=True):
        extent = n + low + high - (out - 1) * step  # at most
        most.append((extent - 1) // gap + 1)
        least.append(max(-(-(extent - step) // gap) + 1, 1))
    if min(most) < 1 or any(low > high for low, high in zip(least, most, strict=True)):
        raise GeometryError(
            f"no filter with dilation {gaps} makes {output} windows of input_size {input} with"
            f" stride {steps} and padding {pads}"
        )
    return SizeRange(tuple(least), tuple(most))


def weight_shape(channels: int, outputs: int, kernel_size: Sizes, *, groups: int = 1) -> Sizes:
    """Return (O, C/groups, *kernel), the shape of `conv`'s weights.

    Raises
    ------
    GeometryError : groups does not divide the channels or the outputs
    """
    count = integer("groups", groups)
    if count < 1 or channels % count or outputs % count:
        raise GeometryError(f"groups={groups} must divide channels={channels}, outputs={outputs}")
    return (outputs, channels // count, *_axes("kernel_size", kernel_size))


def problem(text: str) -> Problem:
    """Return the problem that a string describes, as `CLCONV_LOG=problem` prints it.

    It answers `operands` and `results` (shapes and dtypes by name), and prints as that string.

    Raises
    ------
    ValueError : it is no problem string, or sizes do not fit
    UnsupportedError : the problem is too large
    """
    return parse(text)


def problem_cost(text: str) -> Cost:
    """Return the flops, the bytes that have to be moved and im2col's bytes of a problem string."""
    return cost(parse(text))


def _axes(name: str, value: Any) -> Sizes:
    given = sizes(name, value) if hasattr(value, "__len__") else (integer(name, value),)
    if not given or min(given) < 1:
        raise GeometryError(f"{name} must be at least 1, got {given}")
    return given


def _positive(name: str, value: Any, rank: int) -> Sizes:
    return _axes(name, per_axis(name, value, rank))


def _explicit(padding: Any, rank: int) -> tuple[tuple[int, int], ...]:
    if isinstance(padding, str):
        raise TypeError(f"padding must be sizes, for what {padding!r} is depends on the input")
    return padding_pairs(padding, (1,) * rank, (1,) * rank, (1,) * rank, (1,) * rank)
