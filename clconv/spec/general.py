"""The general convolution: any layout, input dilation, signed padding, batch groups, borders.

It is a plain convolution between rearranged arrays, and so are its adjoints:

    y  = Q' conv(R x, P w)          R, P, Q bring x, w and y to the plain layout; R also spreads,
    dx = R' conv_backward_data(Q dy, P w)              pads and cuts x; ' is the adjoint
    dw = P' conv_backward_weights(R x, Q dy)

An element type that convolution kernels are not built for is brought into one that they are on the
way: float16 into float32, small integers (less their zero point) into int32, a complex number into
two real ones.

The set is closed under differentiation (XLA's ConvGeneralDilated): see docs/operators.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from clconv.errors import GeometryError
from clconv.spec.dtypes import dtype_named, result_of_sum, summed
from clconv.spec.geometry import Geometry, Padding, Sizes
from clconv.spec.layout import DimensionNumbers, permuted
from clconv.spec.problem import DIRECTION_NAMES, TENSORS, ConvProblem, Direction
from clconv.spec.rearrangement import Rearrangement
from clconv.spec.tensor import Tensor, refuse_long_indices
from clconv.spec.text import padding_text, sizes_text, steps_text


@dataclass(frozen=True)
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
    conjugate: bool = False  # of w
    second_dtype: str = ""  # of the second operand (w, or dy beside x), where it is another
    accumulator: str = ""  # of integers, where it is not the smallest that is used
    zero_points: str = ""  # "x", "w" or "xw": what is subtracted from these first; see `operands`

    def __post_init__(self) -> None:
        _ = self.plain  # which raises where something does not fit
        if self.conjugate and not self.is_complex:
            raise GeometryError(f"conjugate weights are complex, not {self.dtype}")
        # Plain tensors may be smaller: pixels that are cut off have to be indexed, too.
        tensors = {**self.operands, **self.results}
        refuse_long_indices(**{name: tensor.shape for name, tensor in tensors.items()})

    @property
    def _padding(self) -> tuple[Padding, Padding]:
        """What x is rearranged with, and what is left to the plain convolution: zeros alone.

        Negative high padding is left to it, too: it is windows that there are not.
        """
        none = ((0, 0),) * len(self.padding)
        if self.padding_mode == "zeros" and min(low for low, _ in self.padding) >= 0:
            return none, self.padding
        return self.padding, none

    @property
    def is_complex(self) -> bool:
        """Whether two real channels stand for one."""
        return dtype_named(self.dtype).kind == "c"

    @cached_property
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
            parts="beside" * self.is_complex,
        )

    @cached_property
    def w(self) -> Rearrangement:
        """P: w with its output channels first."""
        numbers = self.dimension_numbers
        parts = ("matrix" + "_conjugate" * self.conjugate) * self.is_complex
        return Rearrangement.of(self.w_shape, numbers.w, numbers.plain_w, parts=parts)

    @property
    def _computed(self) -> str:
        if self.is_complex:
            return {"complex64": "float32", "complex128": "float64"}[self.dtype]
        if self.accumulator:
            return self.accumulator
        return max(summed(self.dtype), summed(self.second_dtype or self.dtype))  # int64 > int32

    @cached_property
    def plain(self) -> ConvProblem:
        """The convolution between the plain arrays."""
        batch, channels, *spatial = self.x.plain_shape
        outputs, _, *kernel = self.w.plain_shape
        geometry = Geometry(
            tuple(spatial), tuple(kernel), self.stride, self.dilation, self._padding[1]
        )
        return ConvProblem(
            self.direction,
            self._computed,
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
    def simplest(self) -> ConvProblem | GeneralConvProblem:
        """The plain problem, if this one asks for nothing beyond it."""
        plain = self.plain
        is_plain = self._flags() == plain.flags and not self.second_dtype
        return (
            plain
            if is_plain and (self.dtype, self.padding) == (plain.dtype, plain.geometry.padding)
            else self
        )

    def rearrangement(self, name: str) -> Rearrangement:
        """Return how a tensor becomes the plain one."""
        known = {"x": self.x, "w": self.w, "y": self.y}
        if name.removeprefix("d") in known:
            return known[name.removeprefix("d")]
        return Rearrangement.flat(self.operands[name].shape, "beside" * self.is_complex)

    def _tensor(self, name: str) -> Tensor:
        shapes = {"x": self.x_shape, "w": self.w_shape, "y": self.y_shape}
        return Tensor(shapes[name.removeprefix("d")], self.dtype)

    @property
    def operands(self) -> Mapping[str, Tensor]:
        """Two out of x, w and dy, the bias of what goes out, and the zero points of integers.

        x_zero_point (1,) and w_zero_point (O,) are of the type that is computed in.
        """
        (first, second), result = TENSORS[self.direction]
        tensors = {first: self._tensor(first), second: self._tensor(second)}
        if self.second_dtype:
            tensors[second] = tensors[second]._replace(dtype=self.second_dtype)
        if self.bias:
            channels = self.outputs if result == "y" else self._channels
            tensors["bias"] = Tensor((channels,), result_of_sum(self._kept))
        if "x" in self.zero_points:
            tensors["x_zero_point"] = Tensor((1,), self._computed)
        if "w" in self.zero_points:
            tensors["w_zero_point"] = Tensor((self.outputs,), self._computed)
        return tensors

    @property
    def _kept(self) -> str:
        """The dtype of the result: an integer sum stays in the accumulator."""
        return self._computed if dtype_named(self.dtype).kind == "i" else self.dtype

    @property
    def results(self) -> Mapping[str, Tensor]:
        """One out of y, dx and dw."""
        result = TENSORS[self.direction][1]
        return {result: self._tensor(result)._replace(dtype=self._kept)}

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.w.batch

    @property
    def _channels(self) -> int:
        """Input channels, those of all batch groups."""
        return self.x.channels * self.x.groups

    @cached_property
    def y_shape(self) -> Sizes:
        """The shape of y, in its layout."""
        numbers = self.dimension_numbers
        batch, _, *output = self.plain.y_shape
        sizes = dict(zip(numbers.plain_x, (batch, self.outputs, *output), strict=True))
        return tuple(sizes[letter] for letter in numbers.y)

    @cached_property
    def y(self) -> Rearrangement:
        """Q: y with its channels first."""
        numbers = self.dimension_numbers
        parts = "beside" * self.is_complex
        return Rearrangement.of(self.y_shape, numbers.y, numbers.plain_x, parts=parts)

    def __str__(self) -> str:
        numbers = self.dimension_numbers
        batch, channels, *spatial = permuted(self.x_shape, numbers.x, numbers.plain_x)
        outputs, _, *kernel = permuted(self.w_shape, numbers.w, numbers.plain_w)
        codes = [dtype_named(d).code for d in (self.dtype, self.second_dtype) if d]
        fields = [DIRECTION_NAMES[self.direction], ".".join(codes)]
        fields.append(f"n{batch}c{channels}o{outputs}g{self.groups}")
        fields += [f"i{sizes_text(tuple(spatial))}", f"k{sizes_text(tuple(kernel))}"]
        fields += [f"s{steps_text(self.stride)}", f"p{padding_text(self.padding)}"]
        fields += [f"d{steps_text(self.dilation)}", *self._flags()]
        return ":".join(fields)

    def _flags(self) -> list[str]:
        """Return what a plain problem has no word for, and then what it has."""
        flags = []
        if max(self.input_dilation) > 1:
            flags.append(f"lhs{steps_text(self.input_dilation)}")
        if self.batch_groups > 1:
            flags.append(f"bg{self.batch_groups}")
        if self.accumulator:
            flags.append(f"acc{dtype_named(self.accumulator).code}")
        flags += [f"{name}zero" for name in self.zero_points]
        flags += ["conj"] * self.conjugate
        flags += [self.padding_mode] * (self.padding_mode != "zeros")
        numbers = self.dimension_numbers
        flags += [str(numbers)] * (numbers != DimensionNumbers.channels_first(len(self.stride)))
        return flags + self.plain.flags


def generalised(problem: ConvProblem | GeneralConvProblem) -> GeneralConvProblem:
    """Return the same problem, as a general one."""
    if isinstance(problem, GeneralConvProblem):
        return problem
    geometry = problem.geometry
    return GeneralConvProblem(
        problem.direction,
        problem.dtype,
        problem.x_shape,
        problem.w_shape,
        geometry.stride,
        geometry.padding,
        (1,) * geometry.rank,
        geometry.dilation,
        problem.groups,
        1,
        DimensionNumbers.channels_first(geometry.rank),
        bias=problem.bias,
        flip=problem.flip,
        activation=problem.activation,
        beta=problem.beta,
    )
