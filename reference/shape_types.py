"""A shape: all the numbers of a problem except its data, which are made from it and a seed.

`integer_tensors` are problems without rounding: every product and partial sum is a whole number
that the dtype holds, in any order of summation, so results must agree to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from .arguments import conv_axes, conv_output_shape, pool_axes
from .arrays import Array
from .bounds import exact_integer_limit, unit_roundoff
from .pool import divisors
from .windows import Axes, Padding, PerAxis, counts, per_axis

Direction = Literal["forward", "backward_data", "backward_weights"]
DIRECTIONS: tuple[Direction, ...] = ("forward", "backward_data", "backward_weights")
Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

LARGEST_INTEGER = 8  # of integer tensors; small numbers make a wrong result easy to read


class ConvTensors(NamedTuple):
    """The data of a convolution and its gradients."""

    x: Array
    w: Array
    dy: Array
    bias: Array


class PoolTensors(NamedTuple):
    """The data of a pooling and its gradient."""

    x: Array
    dy: Array


@dataclass(frozen=True)
class ConvShape:
    """A convolution of x (batch, channels, *spatial) with w (outputs, channels/groups, *kernel).

    `of` fills in what is left out; written in full, everything is one entry per spatial axis,
    padding a (low, high) pair.

    >>> str(ConvShape.of(2, 6, 4, (9, 8), (3, 2), (2, 1), padding=((1, 1), (0, 2)), groups=2))
    'n2c6o4g2:i9x8:k3x2:s2x1:p1.1x0.2:d1'
    """

    batch: int
    channels: int
    outputs: int
    spatial: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Pairs
    dilation: Sizes
    groups: int

    @classmethod
    def of(
        cls,
        batch: int,
        channels: int,
        outputs: int,
        spatial: Sizes,
        kernel: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
    ) -> ConvShape:
        """The shape with every number per axis; arguments are written as for `conv.conv`."""
        x_shape = (batch, channels, *spatial)
        w_shape = (outputs, channels // groups, *per_axis("kernel", kernel, len(spatial)))
        axes = conv_axes(
            x_shape, w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        return cls(batch, channels, outputs, *_fields(axes), groups)

    @cached_property
    def axes(self) -> Axes:
        """The windows along each spatial axis."""
        return conv_axes(self.x_shape, self.w_shape, **self.keywords())

    @property
    def x_shape(self) -> Sizes:
        """(N, C, *spatial), of x and dx."""
        return (self.batch, self.channels, *self.spatial)

    @property
    def w_shape(self) -> Sizes:
        """(O, C/groups, *kernel), of w and dw."""
        return (self.outputs, self.channels // self.groups, *self.kernel)

    @property
    def y_shape(self) -> Sizes:
        """(N, O, *out), of y and dy; the windows are counted."""
        return conv_output_shape(self.x_shape, self.w_shape, self.axes)

    def keywords(self) -> dict[str, Any]:
        """What the functions of this package take beside the tensors and their shapes."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def terms(self, direction: Direction) -> int:
        """K, the most products that add up to one element of the result; see `bounds.py`."""
        if direction == "forward":
            return self.channels // self.groups * math.prod(self.kernel)
        if direction == "backward_data":
            return self.outputs // self.groups * math.prod(self.kernel)
        if direction == "backward_weights":
            return self.batch * math.prod(counts(self.axes))
        raise ValueError(f"direction {direction!r} is unknown: wanted one of {DIRECTIONS}")

    @property
    def flops(self) -> int:
        """Multiplications and additions of any one direction, those with the padding included."""
        return 2 * math.prod(self.y_shape) * self.terms("forward")

    def integer_tensors(self, dtype: npt.DTypeLike, seed: int = 0) -> ConvTensors:
        """Whole numbers for which all directions, with a bias too, are exact in `dtype`.

        Raises
        ------
        ValueError : the sums are too long for `dtype`, even of -1, 0 and 1
        """
        terms = max(self.terms(direction) for direction in DIRECTIONS) + 1
        limit = min(exact_integer_limit(terms, dtype), LARGEST_INTEGER)
        rng = np.random.default_rng(seed)
        return ConvTensors(*(_integers(rng, limit, shape, dtype) for shape in self._shapes()))

    def random_tensors(self, dtype: npt.DTypeLike, seed: int = 0) -> ConvTensors:
        """Numbers spread evenly over [-1, 1)."""
        rng = np.random.default_rng(seed)
        return ConvTensors(*(_uniform(rng, shape, dtype) for shape in self._shapes()))

    def _shapes(self) -> tuple[Sizes, Sizes, Sizes, Sizes]:
        return self.x_shape, self.w_shape, self.y_shape, (self.outputs,)

    def __str__(self) -> str:
        sizes = f"n{self.batch}c{self.channels}o{self.outputs}g{self.groups}"
        return f"{sizes}:{_format_axes(self)}"


@dataclass(frozen=True)
class PoolShape:
    """A pooling of x (batch, channels, *spatial); `of` fills in what is left out.

    >>> str(PoolShape.of(2, 3, (9, 8), 3, stride=2, padding=1, ceil_mode=True))
    'n2c3:i9x8:k3x3:s2:p1.1:d1:ceil'
    """

    batch: int
    channels: int
    spatial: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Pairs
    dilation: Sizes
    ceil_mode: bool
    count_include_pad: bool

    @classmethod
    def of(
        cls,
        batch: int,
        channels: int,
        spatial: Sizes,
        kernel: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> PoolShape:
        """The shape with every number per axis; arguments are written as for `pool.max_pool`."""
        axes = pool_axes(
            (batch, channels, *spatial),
            kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            ceil_mode=ceil_mode,
        )
        return cls(batch, channels, *_fields(axes), ceil_mode, count_include_pad)

    @cached_property
    def axes(self) -> Axes:
        """The windows along each spatial axis."""
        return pool_axes(self.x_shape, self.kernel, **self.max_keywords())

    @property
    def x_shape(self) -> Sizes:
        """(N, C, *spatial), of x and dx."""
        return (self.batch, self.channels, *self.spatial)

    @property
    def y_shape(self) -> Sizes:
        """(N, C, *out), of y and dy; the windows are counted."""
        return (self.batch, self.channels, *counts(self.axes))

    @property
    def has_average(self) -> bool:
        """Whether there is no dilation, which `avg_keywords` leaves out."""
        return all(each == 1 for each in self.dilation)

    @property
    def terms(self) -> int:
        """K of `bounds.py` for avg_pool and its gradient: the taps of a window."""
        return math.prod(self.kernel)

    def max_keywords(self) -> dict[str, Any]:
        """What max_pool takes beside x and `kernel`."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }

    def avg_keywords(self) -> dict[str, Any]:
        """What avg_pool and its gradient take beside x or dy, `kernel` and `input_shape`."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "ceil_mode": self.ceil_mode,
            "count_include_pad": self.count_include_pad,
        }

    def integer_tensors(self, dtype: npt.DTypeLike, seed: int = 0) -> PoolTensors:
        """Whole numbers for which pooling and its gradient are exact in `dtype`; x has ties.

        All are multiples of every divisor of avg_pool, and few enough to repeat in a window.

        Raises
        ------
        ValueError : the sums are too large for `dtype`
        """
        multiple = math.lcm(*map(int, divisors(self.axes, self.count_include_pad).flat))
        # terms*multiple products of integers up to a bound terms numbers up to multiple*a
        limit = min(exact_integer_limit(self.terms * multiple, dtype), 3)
        if np.dtype(dtype).kind not in "iu":
            limit = min(limit, int(1 / unit_roundoff(dtype)) // multiple)
        if limit < 1:
            raise ValueError(f"multiples of {multiple} are not always exact in {np.dtype(dtype)}")
        rng = np.random.default_rng(seed)
        x = _integers(rng, limit, self.x_shape, dtype) * multiple
        return PoolTensors(x, _integers(rng, limit, self.y_shape, dtype) * multiple)

    def random_tensors(self, dtype: npt.DTypeLike, seed: int = 0) -> PoolTensors:
        """Numbers spread evenly over [-1, 1)."""
        rng = np.random.default_rng(seed)
        return PoolTensors(_uniform(rng, self.x_shape, dtype), _uniform(rng, self.y_shape, dtype))

    def __str__(self) -> str:
        flags = ":ceil" * self.ceil_mode + ":exclude_pad" * (not self.count_include_pad)
        return f"n{self.batch}c{self.channels}:{_format_axes(self)}{flags}"


def _fields(axes: Axes) -> tuple[Sizes, Sizes, Sizes, Pairs, Sizes]:
    """spatial, kernel, stride, padding, dilation of a shape."""
    return (
        tuple(axis.size for axis in axes),
        tuple(axis.taps for axis in axes),
        tuple(axis.stride for axis in axes),
        tuple((axis.low, axis.high) for axis in axes),
        tuple(axis.dilation for axis in axes),
    )


def _format_axes(shape: ConvShape | PoolShape) -> str:
    """The numbers per axis, "i9x8:k3x2:s2x1:p1.1x0.2:d1"; steps and sides that agree stand once."""
    sizes = {"i": shape.spatial, "k": shape.kernel}
    parts = [letter + "x".join(map(str, values)) for letter, values in sizes.items()]
    parts.append("s" + _once(tuple(map(str, shape.stride))))
    parts.append("p" + _once(tuple(f"{low}.{high}" for low, high in shape.padding)))
    parts.append("d" + _once(tuple(map(str, shape.dilation))))
    return ":".join(parts)


def _once(numbers: tuple[str, ...]) -> str:
    return "x".join(numbers if len(set(numbers)) > 1 else numbers[:1])


def _integers(rng: np.random.Generator, limit: int, shape: Sizes, dtype: npt.DTypeLike) -> Array:
    """From -limit to limit, without zero: a term that is left out always shows."""
    sign = rng.choice([-1, 1], size=shape)
    values = sign * rng.integers(1, limit, size=shape, endpoint=True)
    if np.dtype(dtype).kind == "c":
        return (values + 1j * rng.integers(-limit, limit, size=shape, endpoint=True)).astype(dtype)
    return values.astype(dtype)


def _uniform(rng: np.random.Generator, shape: Sizes, dtype: npt.DTypeLike) -> Array:
    values = rng.uniform(-1, 1, size=shape)
    if np.dtype(dtype).kind == "c":
        return (values + 1j * rng.uniform(-1, 1, size=shape)).astype(dtype)
    return values.astype(dtype)
