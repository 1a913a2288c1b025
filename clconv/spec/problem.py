"""What is to be computed: frozen, hashable, printable descriptions.

A problem answers every question about sizes and cost and knows nothing of devices. It prints to
one string, so that logs, tests and bug reports name a case the same way:

    conv_fwd:f32:n8c64o128g1:i56x56:k3x3:s2x2:p1.1x1.1:d1x1
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple

from clconv.errors import GeometryError, UnsupportedError
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import INDEX_LIMIT, Geometry, Sizes

ACTIVATIONS = ("none", "relu", "leaky_relu", "relu6", "sigmoid", "tanh", "silu", "gelu")
Direction = Literal["forward", "backward_data", "backward_weights"]


class Gemm(NamedTuple):
    """Sizes of one group's matrix product, (m x k) times (k x n)."""

    m: int
    n: int
    k: int


def _refuse_long_indices(**shapes: Sizes) -> None:
    for name, shape in shapes.items():
        elements = prod(max(size, 1) for size in shape)  # of one image, where there is none
        if elements >= INDEX_LIMIT:
            raise UnsupportedError(
                f"{name} {shape} has {elements} elements; kernels index fewer than 2**31"
            )


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
        dtype_named(self.dtype)
        _refuse_long_indices(x=self.x_shape, w=self.w_shape, y=self.y_shape)

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

    def __str__(self) -> str:
        name = {v: k for k, v in _DIRECTION_NAMES.items()}[self.direction]
        sizes = f"n{self.batch}c{self.channels}o{self.outputs}g{self.groups}"
        flags = [flag for flag in ("bias", "flip") if getattr(self, flag)]
        flags += [f"beta{self.beta:g}"] * (self.beta != 0)
        flags += [self.activation] * (self.activation != "none")
        return ":".join(
            [name, dtype_named(self.dtype).code, sizes, format_geometry(self.geometry), *flags]
        )


_DIRECTION_NAMES: dict[str, Direction] = {
    "conv_fwd": "forward",
    "conv_bwd_data": "backward_data",
    "conv_bwd_weights": "backward_weights",
}


def format_geometry(geometry: Geometry) -> str:
    """Return `i56x56:k3x3:s2x2:p1.1x1.1:d1x1`: input, kernel, stride, padding, dilation."""

    def sizes(values: Sizes) -> str:
        return "x".join(map(str, values))

    padding = "x".join(f"{low}.{high}" for low, high in geometry.padding)
    text = (
        f"i{sizes(geometry.input)}:k{sizes(geometry.kernel)}:s{sizes(geometry.stride)}"
        f":p{padding}:d{sizes(geometry.dilation)}"
    )
    return text + ":ceil" * geometry.ceil_mode


@dataclass(frozen=True, slots=True)
class BiasGradientProblem:
    """Sum dy (N, O, *spatial) over batch and space."""

    dtype: str
    batch: int
    outputs: int
    positions: int

    def __post_init__(self) -> None:
        dtype_named(self.dtype)
        _refuse_long_indices(dy=(self.batch, self.outputs, self.positions))

    def __str__(self) -> str:
        code = dtype_named(self.dtype).code
        return f"conv_bwd_bias:{code}:n{self.batch}o{self.outputs}:i{self.positions}"


@dataclass(frozen=True, slots=True)
class ColumnsProblem:
    """im2col or its adjoint col2im: image (N, C, *input), columns (N, C*taps, positions)."""

    direction: Literal["im2col", "col2im"]
    dtype: str
    batch: int
    channels: int
    geometry: Geometry

    def __post_init__(self) -> None:
        dtype_named(self.dtype)
        _refuse_long_indices(x=self.image_shape, columns=self.columns_shape)

    @property
    def image_shape(self) -> Sizes:
        """(N, C, *input)"""
        return (self.batch, self.channels, *self.geometry.input)

    @property
    def columns_shape(self) -> Sizes:
        """(N, C*taps, positions)"""
        return (self.batch, self.channels * self.geometry.taps, self.geometry.positions)

    def __str__(self) -> str:
        code, shape = dtype_named(self.dtype).code, f"n{self.batch}c{self.channels}"
        return f"{self.direction}:{code}:{shape}:{format_geometry(self.geometry)}"


@dataclass(frozen=True, slots=True)
class PoolProblem:
    """Max or average pooling of x (N, C, *input), or the adjoint of average pooling."""

    operator: Literal["max_pool", "avg_pool", "avg_pool_backward"]
    dtype: str
    batch: int
    channels: int
    geometry: Geometry
    count_include_pad: bool = True
    divisor: int = 0  # of every window; 0: counted

    def __post_init__(self) -> None:
        dtype_named(self.dtype)
        _refuse_long_indices(x=self.x_shape, y=self.y_shape)

    @property
    def x_shape(self) -> Sizes:
        """(N, C, *input)"""
        return (self.batch, self.channels, *self.geometry.input)

    @property
    def y_shape(self) -> Sizes:
        """(N, C, *output)"""
        return (self.batch, self.channels, *self.geometry.output)

    def __str__(self) -> str:
        code, shape = dtype_named(self.dtype).code, f"n{self.batch}c{self.channels}"
        text = f"{self.operator}:{code}:{shape}:{format_geometry(self.geometry)}"
        text += ":exclude_pad" * (not self.count_include_pad)
        return text + f":divisor{self.divisor}" * (self.divisor != 0)


@dataclass(frozen=True, slots=True)
class AdaptivePoolProblem:
    """Pooling of x (N, C, *input) into as many windows as asked for, or the average's adjoint."""

    operator: Literal["adaptive_max_pool", "adaptive_avg_pool", "adaptive_avg_pool_backward"]
    dtype: str
    batch: int
    channels: int
    input: Sizes
    output: Sizes

    def __post_init__(self) -> None:
        dtype_named(self.dtype)
        for name in ("input", "output"):
            _refuse_long_indices(**{name: (self.batch, self.channels, *getattr(self, name))})

    def __str__(self) -> str:
        code, shape = dtype_named(self.dtype).code, f"n{self.batch}c{self.channels}"
        sizes = ("x".join(map(str, sizes)) for sizes in (self.input, self.output))
        return "{}:{}:{}:i{}:o{}".format(self.operator, code, shape, *sizes)


@dataclass(frozen=True, slots=True)
class IndexProblem:
    """What follows the indices of max pooling, between planes of `pixels` and of `positions`.

    max_pool_backward adds dy (positions) at its index in dx (pixels); max_unpool puts y there;
    max_unpool_backward takes dx from there.
    """

    operator: Literal["max_pool_backward", "max_unpool", "max_unpool_backward"]
    dtype: str
    batch: int
    channels: int
    pixels: int
    positions: int

    def __post_init__(self) -> None:
        dtype_named(self.dtype)
        planes = self.batch * self.channels
        _refuse_long_indices(image=(planes, self.pixels), indices=(planes, self.positions))

    def __str__(self) -> str:
        code, shape = dtype_named(self.dtype).code, f"n{self.batch}c{self.channels}"
        return f"{self.operator}:{code}:{shape}:i{self.pixels}:o{self.positions}"


Problem = (
    ConvProblem
    | BiasGradientProblem
    | ColumnsProblem
    | PoolProblem
    | AdaptivePoolProblem
    | IndexProblem
)
