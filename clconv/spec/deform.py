"""Deformable convolution as a problem: a convolution whose taps lie where offsets put them.

deform_conv_fwd:f32:n8c64o128g1:i56x56:k3x3:s1:p1.1:d1:og2:mask
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from clconv.errors import GeometryError
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import Sizes
from clconv.spec.problem import ConvProblem
from clconv.spec.rearrangement import Rearrangement
from clconv.spec.tensor import Tensor, refuse_long_indices


@dataclass(frozen=True, slots=True)
class DeformProblem:
    """One deformable convolution, in the direction of `conv`, which has its sizes.

    backward_data gives the gradients of x, offset and mask together: all need W^T dY.
    """

    conv: ConvProblem
    offset_groups: int
    has_mask: bool
    stored: str = ""  # the tensors' element type, where it is not the one that is computed in

    def __post_init__(self) -> None:
        if self.offset_groups < 1 or self.conv.channels % self.offset_groups:
            raise GeometryError(
                f"offset_groups={self.offset_groups} does not divide C={self.conv.channels} of x"
                f" {self.conv.x_shape}"
            )
        refuse_long_indices(offset=self.offset_shape)

    @property
    def dtype(self) -> str:
        """Of every tensor."""
        return self.stored or self.conv.dtype

    @property
    def operands(self) -> Mapping[str, Tensor]:
        """x, w, offset, mask and bias forward; dy with what of these a gradient needs."""
        conv = self.conv
        forward, weights = conv.direction == "forward", conv.direction == "backward_weights"
        shapes = {} if forward else {"dy": conv.y_shape}
        shapes["x"] = conv.x_shape
        if not weights:
            shapes["w"] = conv.w_shape
        shapes["offset"] = self.offset_shape
        if self.has_mask:
            shapes["mask"] = self.mask_shape
        if conv.bias:
            shapes["bias"] = (conv.outputs,)
        return self._tensors(shapes)

    @property
    def results(self) -> Mapping[str, Tensor]:
        """y; dx, doffset and dmask; or dw."""
        conv = self.conv
        if conv.direction == "forward":
            return self._tensors({"y": conv.y_shape})
        if conv.direction == "backward_weights":
            return self._tensors({"dw": conv.w_shape})
        shapes = {"dx": conv.x_shape, "doffset": self.offset_shape}
        return self._tensors(shapes | ({"dmask": self.mask_shape} if self.has_mask else {}))

    def _tensors(self, shapes: Mapping[str, Sizes]) -> Mapping[str, Tensor]:
        return {name: Tensor(shape, self.dtype) for name, shape in shapes.items()}

    @property
    def plain(self) -> DeformProblem:
        """The same in the type that is computed in."""
        return replace(self, stored="")

    def rearrangement(self, name: str) -> Rearrangement:
        """Return that of an array whose type alone changes."""
        return Rearrangement.flat({**self.operands, **self.results}[name].shape)

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
        name, _, rest = str(self.conv).split(":", 2)
        text = f"deform_{name}:{dtype_named(self.dtype).code}:{rest}:og{self.offset_groups}"
        return text + ":mask" * self.has_mask
