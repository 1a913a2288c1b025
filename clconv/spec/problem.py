"""Plain convolution and what belongs to it: frozen, hashable, printable descriptions.

A problem answers every question about sizes and cost and knows nothing of devices. It prints to
one string, and `parse.py` reads it back, so that logs, tests and bug reports name a case the same
way:

    conv_fwd:f32:n8c64o128g1:i56x56:k3x3:s2:p1.1:d1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple

from clconv.errors import GeometryError, UnsupportedError
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import Geometry, Sizes
from clconv.spec.rearrangement import Rearrangement
from clconv.spec.tensor import Tensor, refuse_long_indices
from clconv.spec.text import geometry_text

ACTIVATIONS = ("none", "relu", "leaky_relu", "relu6", "sigmoid", "tanh", "silu", "gelu")
COMPUTED = ("float32", "float64", "int32", "int64")  # what convolution kernels are built for
Direction = Literal["forward", "backward_data", "backward_weights"]
DIRECTION_NAMES: dict[Direction, str] = {
    "forward": "conv_fwd",
    "backward_data": "conv_bwd_data",
    "backward_weights": "conv_bwd_weights",
}
# direction -> the tensors that come in, and the one that goes out
TENSORS: dict[Direction, tuple[tuple[str, str], str]] = {
    "forward": (("x", "w"), "y"),
    "backward_data": (("dy", "w"), "dx"),
    "backward_weights": (("x", "dy"), "dw"),
}


class Gemm(NamedTuple):
    """Sizes of one group's matrix product, (m x k) times (k x n)."""

    m: int
    n: int
    k: int


@dataclass(frozen=True, slots=True)
class ConvProblem:
    """One convolution in one direction; x (N, C, *input), w (O, C/groups, *kernel)."""

    direction: Direction
    dtype: str
    batch: int
    channels: int
    outputs: int
    groups: int
    geometry: Geometry
    bias: bool = False
    flip: bool = False
    activation: str = "none"  # of the forward direction: y = activation(conv + bias + beta*y)
    beta: float = 0.0

    def __post_init__(self) -> None:
        for name in ("channels", "outputs", "groups"):
            if getattr(self, name) < 1:
                raise GeometryError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.channels % self.groups or self.outputs % self.groups:
            raise GeometryError(
                f"groups={self.groups} must divide both C={self.channels} of x"
                f" and O={self.outputs} of w"
            )
        if self.direction != "forward" and (self.beta or self.activation != "none"):
            raise GeometryError(f"activation and beta belong to conv_fwd, not to {self.direction}")
        if self.direction == "backward_weights" and self.bias:
            raise GeometryError("a gradient of weights takes no bias")
        if self.dtype not in COMPUTED:
            raise UnsupportedError(f"dtype {self.dtype} is not one of {', '.join(COMPUTED)}")
        refuse_long_indices(x=self.x_shape, w=self.w_shape, y=self.y_shape)

    def __hash__(self) -> int:
        # Asked for in every call: these tell most problems apart, and equality does the rest.
        sizes = (self.batch, self.channels, self.outputs, self.geometry.input, self.geometry.kernel)
        return hash((self.direction, sizes))

    @property
    def x_shape(self) -> Sizes:
        """(N, C, *input)"""
        return (self.batch, self.channels, *self.geometry.input)

    @property
    def w_shape(self) -> Sizes:
        """(O, C/groups, *kernel)"""
        return (self.outputs, self.channels // self.groups, *self.geometry.kernel)

    @property
    def y_shape(self) -> Sizes:
        """(N, O, *output)"""
        return (self.batch, self.outputs, *self.geometry.output)

    def _tensor(self, name: str) -> Tensor:
        shapes = {"x": self.x_shape, "w": self.w_shape, "y": self.y_shape}
        return Tensor(shapes[name.removeprefix("d")], self.dtype)

    @property
    def operands(self) -> Mapping[str, Tensor]:
        """Two out of x, w and dy, and the bias of what goes out."""
        names, result = TENSORS[self.direction]
        tensors = {name: self._tensor(name) for name in names}
        if self.bias:
            tensors["bias"] = Tensor(self._tensor(result).shape[1:2], self.dtype)
        return tensors

    @property
    def results(self) -> Mapping[str, Tensor]:
        """One out of y, dx and dw."""
        result = TENSORS[self.direction][1]
        return {result: self._tensor(result)}

    @property
    def plain(self) -> ConvProblem:
        """Itself."""
        return self

    @property
    def group_channels(self) -> int:
        """Input channels that one filter sees."""
        return self.channels // self.groups

    @property
    def group_outputs(self) -> int:
        """Output channels that one group makes."""
        return self.outputs // self.groups

    @property
    def gemm(self) -> Gemm:
        """The matrix product of one group in this direction."""
        unfolded, places = self.group_channels * self.geometry.taps, self._places
        return {
            "forward": Gemm(self.group_outputs, places, unfolded),
            "backward_data": Gemm(unfolded, places, self.group_outputs),
            "backward_weights": Gemm(self.group_outputs, unfolded, places),
        }[self.direction]

    @property
    def _places(self) -> int:
        return self.batch * self.geometry.positions

    @property
    def terms(self) -> int:
        """Products that are summed for one element of the result, the bias counted as one more."""
        taps = self.geometry.taps
        return {
            "forward": self.group_channels * taps + self.bias,
            "backward_data": self.group_outputs * taps + self.bias,
            "backward_weights": self._places,
        }[self.direction]

    @property
    def flops(self) -> int:
        """Multiplications and additions; the same in all three directions."""
        return 2 * self.groups * prod(self.gemm)

    @property
    def im2col_elements(self) -> int:
        """Elements of the whole im2col matrix of all groups."""
        return self.channels * self.geometry.taps * self._places

    def rearrangement(self, name: str) -> Rearrangement:
        """Return that of an array which stays as it is."""
        return Rearrangement.flat({**self.operands, **self.results}[name].shape)

    def __str__(self) -> str:
        name, code = DIRECTION_NAMES[self.direction], dtype_named(self.dtype).code
        sizes = f"n{self.batch}c{self.channels}o{self.outputs}g{self.groups}"
        return ":".join([name, code, sizes, geometry_text(self.geometry), *self.flags])

    @property
    def flags(self) -> list[str]:
        """The end of the problem string."""
        flags = [flag for flag in ("bias", "flip") if getattr(self, flag)]
        flags += [f"beta{self.beta!r}"] * (self.beta != 0)
        return flags + [self.activation] * (self.activation != "none")
