"""Walks of windows along the axes of an image: forward, and the phases of a data gradient.

Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016, chapter 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import gcd, prod

from clconv.spec.problem import ConvProblem


@dataclass(frozen=True, slots=True)
class Axis:
    """How windows walk along one axis of an image, and where their results go."""

    size: int  # of the image
    windows: int
    stride: int
    dilation: int
    low: int  # padding; negative where the first window begins inside
    taps: int
    tap_first: int = 0  # of the stored filter
    tap_step: int = 1
    result_size: int = 0
    result_first: int = 0
    result_step: int = 1

    @property
    def pointwise(self) -> bool:
        """Whether window i is pixel i and makes result i."""
        steps = (self.stride, self.taps, self.result_step)
        return steps == (1, 1, 1) and self.low == 0 and self.size == self.windows

    def times(self, inner: Axis) -> Axis:
        """Return this axis and the next one inside as one; both are pointwise."""
        size = self.size * inner.size
        return replace(inner, size=size, windows=size, result_size=size)


ONE = Axis(1, 1, 1, 1, 0, 1, result_size=1)


def forward_axes(problem: ConvProblem) -> tuple[Axis, ...]:
    """Return the walk of the windows over x, three axes."""
    return merged(axes_of(problem))


def axes_of(problem: ConvProblem) -> tuple[Axis, ...]:
    """Return the same with every axis by itself."""
    geometry = problem.geometry
    scalars = geometry.scalars(generic=True)
    sizes, windows, low, taps, stride, dilation = (scalars[i : i + 3] for i in range(0, 18, 3))
    walks = zip(sizes, windows, stride, dilation, low, taps, strict=True)
    return tuple(replace(Axis(*walk), result_size=walk[1]) for walk in walks)


def phases(problem: ConvProblem) -> tuple[tuple[Axis, ...], ...]:
    """Return the walks over dy that make dx: one for each remainder of pixels to the strides."""
    along = [
        [_phase(phase, axis, problem.flip) for phase in range(min(axis.stride, axis.size))]
        for axis in axes_of(problem)
    ]
    return tuple(merged((d, h, w)) for d, h, w in product(*along))


def _phase(phase: int, axis: Axis, flip: bool) -> Axis:
    """Return the walk over dy that makes pixels phase, phase + stride, ... of dx.

    Tap i lies on such a pixel where (phase + low - i*dilation) is a multiple of the stride: taps
    first, first + step, ... do, with step = stride/gcd(stride, dilation). Windows of dy begin
    under the last of them, which comes first here.
    """
    s, d, k = axis.stride, axis.dilation, axis.taps
    places, common = -(-(axis.size - phase) // s), gcd(s, d)
    result = (axis.size, phase, s)
    step, dilation = s // common, d // common
    reaching = [i for i in range(min(k, step)) if (phase + axis.low - i * d) % s == 0]
    if not reaching:
        return Axis(axis.windows, places, 1, 1, 0, 0, 0, 1, *result)
    first = reaching[0]
    taps = -(-(k - first) // step)
    begins = (phase + axis.low - first * d) // s - (taps - 1) * dilation
    last = first + (taps - 1) * step
    stored = (k - 1 - last, step) if flip else (last, -step)
    return Axis(axis.windows, places, 1, dilation, -begins, taps, *stored, *result)


def merged(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Return the same walk with pixels in fewer, longer rows, where each pixel is a window."""
    d, h, w = axes
    if all(axis.pointwise for axis in (h, w)):
        h, w = ONE, h.times(w)
        if d.pointwise:
            d, w = ONE, d.times(w)
    return d, h, w


def taps_of(axes: Sequence[Axis]) -> int:
    """Return the taps of a window, 1 where no tap reaches."""
    return prod(max(axis.taps, 1) for axis in axes)


def pixels_of(axes: Sequence[Axis], windows: Sequence[int]) -> int:
    """Return the pixels of a box under so many windows (common/staged.clh)."""
    staged = 1
    for axis, count in zip(axes, windows, strict=True):
        stride = axis.stride if axis.taps > 1 else 1
        staged *= (count - 1) * stride + (max(axis.taps, 1) - 1) * axis.dilation + 1
    return staged


def window_arguments(axes: tuple[Axis, ...]) -> tuple[int, ...]:
    """Return a kernel's WINDOW_ARGUMENTS; a phase without taps has one, of no channel."""
    return (
        *(axis.size for axis in axes),
        *(axis.windows for axis in axes),
        *(axis.low for axis in axes),
        *(max(axis.taps, 1) for axis in axes),
        *(axis.stride for axis in axes),
        *(axis.dilation for axis in axes),
    )
