"""The general convolution: any layout, input dilation, signed padding, batch groups, borders.

It is a plain convolution between rearranged arrays, and so are its adjoints:

    y  = Q' conv(R x, P w)          R, P, Q bring x, w and y to the plain layout; R also spreads,
    dx = R' conv_backward_data(Q dy, P w)              pads and cuts x; ' is the adjoint
    dw = P' conv_backward_weights(R x, Q dy)

The set is closed under differentiation (XLA's ConvGeneralDilated): see docs/operators.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from clconv.spec.geometry import Geometry, Padding, Sizes
from clconv.spec.layout import DimensionNumbers
from clconv.spec.problem import ConvProblem, Direction
from clconv.spec.rearrangement import Rearrangement


@dataclass(frozen=True, slots=True)
class GeneralConvProblem:
    """One general convolution in one direction; shapes are as given, in their layouts."""

    direction: Direction
    dtype: str
    x_shape: Sizes
    w_shape: Sizes
    stride: Sizes
    padding: Padding
    input_dilation: Sizes
    dilation: Sizes
    groups: int
    batch_groups: int
    dimension_numbers: DimensionNumbers
    padding_mode: str = "zeros"
    bias: bool = False
    flip: bool = False
    activation: str = "none"
    beta: float = 0.0

    def __post_init__(self) -> None:
        _ = self.plain  # which raises where something does not fit

    @property
    def _padding(self) -> tuple[Padding, Padding]:
        """What x is rearranged with, and what is left to the plain convolution: zeros alone."""
        none = ((0, 0),) * len(self.padding)
        if self.padding_mode == "zeros" and min(map(min, self.padding)) >= 0:
            return none, self.padding
        return self.padding, none

    @property
    def x(self) -> Rearrangement:
        """R: x spread, padded or cut, its batch groups among the channels."""
        numbers = self.dimension_numbers
        return Rearrangement.of(
            self.x_shape,
            numbers.x,
            numbers.plain_x,
            batch_groups=self.batch_groups,
            spread=self.input_dilation,
            padding=self._padding[0],
            mode=self.padding_mode,
        )

    @property
    def w(self) -> Rearrangement:
        """P: w with its output channels first."""
        numbers = self.dimension_numbers
        return Rearrangement.of(self.w_shape, numbers.w, numbers.plain_w)

    @property
    def plain(self) -> ConvProblem:
        """The convolution between the plain arrays."""
        batch, channels, *spatial = self.x.plain_shape
        outputs, _, *kernel = self.w.plain_shape
        geometry = Geometry(
            tuple(spatial), tuple(kernel), self.stride, self.dilation, self._padding[1]
        )
        return ConvProblem(
            self.direction,
            self.dtype,
            batch,
            channels,
            outputs,
            self.groups * self.batch_groups,
            geometry,
            self.bias,
            self.flip,
            self.activation,
            self.beta,
        )

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.w.plain_shape[0]

    @property
    def y_shape(self) -> Sizes:
        """The shape of y, in its layout."""
        numbers = self.dimension_numbers
        batch, outputs, *output = self.plain.y_shape
        sizes = dict(zip(numbers.plain_x, (batch, outputs, *output), strict=True))
        return tuple(sizes[letter] for letter in numbers.y)

    @property
    def y(self) -> Rearrangement:
        """Q: y with its channels first."""
        numbers = self.dimension_numbers
        return Rearrangement.of(self.y_shape, numbers.y, numbers.plain_x)

    def __str__(self) -> str:
        sizes = ("x".join(map(str, sizes)) for sizes in (self.x_shape, self.input_dilation))
        pads = "x".join(f"{low}.{high}" for low, high in self.padding)
        given = "x{}:lhs{}:bg{}:p{}:{}".format(*sizes, self.batch_groups, pads, self.padding_mode)
        return f"{self.plain}:from:{self.dimension_numbers}:{given}"
