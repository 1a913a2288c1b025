"""The shape of a transposed convolution, and data for it; see `shape_types.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import transpose_axes
from .shape_types import ConvTensors, Pairs, Sizes
from .windows import Padding, PerAxis, per_axis


@dataclass(frozen=True)
class TransposeShape:
    """A conv_transpose of x (batch, channels, *spatial) with w (channels, outputs/groups, *kernel).

    >>> str(TransposeShape.of(2, 6, 4, (5, 4), 3, stride=2, padding=1, output_padding=1, groups=2))
    'n2c6o4g2:i5x4:k3x3:s2x2:p1.1x1.1:d1x1:e1x1'
    """

    batch: int
    channels: int
    outputs: int
    spatial: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Pairs
    dilation: Sizes
    output_padding: Sizes
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
        output_padding: PerAxis = 0,
        groups: int = 1,
    ) -> TransposeShape:
        """The shape with every number per axis; arguments as for `conv_transpose`."""
        kernel = per_axis("kernel", kernel, len(spatial))
        axes = transpose_axes(
            (batch, channels, *spatial),
            (channels, outputs // groups, *kernel),
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            dilation=dilation,
            groups=groups,
        )
        return cls(
            batch,
            channels,
            outputs,
            tuple(spatial),
            kernel,
            tuple(axis.stride for axis in axes),
            tuple((axis.low, axis.high) for axis in axes),
            tuple(axis.dilation for axis in axes),
            tuple(axis.output_padding for axis in axes),
            groups,
        )

    @property
    def x_shape(self) -> Sizes:
        """(N, C, *spatial), of x and dx."""
        return (self.batch, self.channels, *self.spatial)

    @property
    def w_shape(self) -> Sizes:
        """(C, O/groups, *kernel), of w and dw."""
        return (self.channels, self.outputs // self.groups, *self.kernel)

    @property
    def y_shape(self) -> Sizes:
        """(N, O, *out), of y and dy."""
        axes = transpose_axes(self.x_shape, self.w_shape, **self.keywords())
        return (self.batch, self.outputs, *(axis.count for axis in axes))

    def keywords(self) -> dict[str, Any]:
        """What `conv_transpose` takes beside the tensors."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def integer_tensors(self, dtype: npt.DTypeLike, seed: int = 0) -> ConvTensors:
        """Whole numbers within [-4, 4]; the shapes are so small that all sums are exact."""
        rng = np.random.default_rng(seed)
        shapes = (self.x_shape, self.w_shape, self.y_shape, (self.outputs,))
        return ConvTensors(*(rng.integers(-4, 5, shape).astype(dtype) for shape in shapes))

    def random_tensors(self, dtype: npt.DTypeLike, seed: int = 0) -> ConvTensors:
        """Numbers spread evenly over [-1, 1)."""
        rng = np.random.default_rng(seed)
        shapes = (self.x_shape, self.w_shape, self.y_shape, (self.outputs,))
        return ConvTensors(*(rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes))

    def __str__(self) -> str:
        def joined(values: Sizes) -> str:
            return "x".join(map(str, values))

        padding = "x".join(f"{low}.{high}" for low, high in self.padding)
        return (
            f"n{self.batch}c{self.channels}o{self.outputs}g{self.groups}:i{joined(self.spatial)}"
            f":k{joined(self.kernel)}:s{joined(self.stride)}:p{padding}"
            f":d{joined(self.dilation)}:e{joined(self.output_padding)}"
        )
