"""Deformable convolution as a problem: a convolution whose taps lie where offsets put them.

deform_conv_fwd:f32:n8c64o128g1:i56x56:k3x3:s1x1:p1.1x1.1:d1x1:og2:mask
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from clconv.errors import GeometryError, UnsupportedError
from clconv.spec.geometry import INDEX_LIMIT, Sizes
from clconv.spec.problem import ConvProblem


@dataclass(frozen=True, slots=True)
class DeformProblem:
    """One deformable convolution, in the direction of `conv`, which has its sizes.

    backward_data gives the gradients of x, offset and mask together: all need W^T dY.
    """

    conv: ConvProblem
    offset_groups: int
    has_mask: bool

    def __post_init__(self) -> None:
        if self.offset_groups < 1 or self.conv.channels % self.offset_groups:
            raise GeometryError(
                f"offset_groups={self.offset_groups} does not divide C={self.conv.channels} of x"
                f" {self.conv.x_shape}"
            )
        if prod(self.offset_shape) >= INDEX_LIMIT:
            raise UnsupportedError(
                f"offset {self.offset_shape} has {prod(self.offset_shape)} elements; kernels index"
                " fewer than 2**31"
            )

    @property
    def dtype(self) -> str:
        """Of every tensor."""
        return self.conv.dtype

    @property
    def offset_channels(self) -> int:
        """Channels of x that share an offset."""
        return self.conv.channels // self.offset_groups

    @property
    def mask_shape(self) -> Sizes:
        """(N, offset_groups*taps, *output)"""
        geometry = self.conv.geometry
        return (self.conv.batch, self.offset_groups * geometry.taps, *geometry.output)

    @property
    def offset_shape(self) -> Sizes:
        """(N, offset_groups*taps*rank, *output)"""
        batch, masks, *output = self.mask_shape
        return (batch, masks * self.conv.geometry.rank, *output)

    def __str__(self) -> str:
        return f"deform_{self.conv}:og{self.offset_groups}" + ":mask" * self.has_mask
