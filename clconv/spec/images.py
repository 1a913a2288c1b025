"""Problems on images in one layout: unfolding, pooling, its indices, the bias's gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal, Self

from clconv.errors import GeometryError
from clconv.spec.dtypes import averaged, compared, copied, dtype_named, result_of_sum, summed
from clconv.spec.geometry import SPATIAL_RANKS, Geometry, Sizes
from clconv.spec.layout import SPATIAL_LETTERS, permuted, spatial_letters
from clconv.spec.rearrangement import Rearrangement
from clconv.spec.tensor import Tensor, refuse_long_indices
from clconv.spec.text import geometry_text, sizes_text


@dataclass(frozen=True, slots=True)
class ImageProblem:
    """What they share. Sizes are those of the plain layout; `layout` is the arrays' own.

    A class says in `_inputs` and `_outputs` which tensors it has, in the plain layout, and in
    `_computed` which element type kernels solve it in.
    """

    operator: str
    dtype: str
    batch: int
    channels: int
    layout: str = field(default="", kw_only=True)  # "" is channels first

    def __post_init__(self) -> None:
        _ = self._computed  # raises where the operator is not defined for the type
        tensors = {**self._inputs, **self._outputs}
        for name, (shape, _) in tensors.items():
            if name not in self._unlaid and len(shape) - 2 not in SPATIAL_RANKS:
                raise GeometryError(f"{name} {shape} must have 1 to 3 spatial axes")
        refuse_long_indices(**{name: tensor.shape for name, tensor in tensors.items()})

    @property
    def _inputs(self) -> Mapping[str, Tensor]:
        raise NotImplementedError

    @property
    def _outputs(self) -> Mapping[str, Tensor]:
        raise NotImplementedError

    @property
    def _computed(self) -> str:
        return summed(self.dtype)

    @property
    def _unlaid(self) -> tuple[str, ...]:
        """Tensors that are no images."""
        return ()

    @property
    def operands(self) -> Mapping[str, Tensor]:
        """The tensors that come in, in their layout."""
        return {name: self._given(name, tensor) for name, tensor in self._inputs.items()}

    @property
    def results(self) -> Mapping[str, Tensor]:
        """The tensors that go out, in their layout."""
        return {name: self._given(name, tensor) for name, tensor in self._outputs.items()}

    @property
    def plain(self) -> Self:
        """The same, channels first, in a type that kernels compute in."""
        return replace(self, dtype=self._computed, layout="")

    def rearrangement(self, name: str) -> Rearrangement:
        """Return how a tensor becomes the plain one."""
        shape = {**self.operands, **self.results}[name].shape
        if name in self._unlaid:
            return Rearrangement.flat(shape)
        plain = self._plain_layout(len(shape))
        return Rearrangement.of(shape, self.layout or plain, plain)

    def _given(self, name: str, tensor: Tensor) -> Tensor:
        if not self.layout or name in self._unlaid:
            return tensor
        plain = self._plain_layout(len(tensor.shape))
        return tensor._replace(shape=permuted(tensor.shape, plain, self.layout))

    def _plain_layout(self, axes: int) -> str:
        return "NC" + (spatial_letters(self.layout) or SPATIAL_LETTERS[axes - 2])

    def _text(self, *parts: str) -> str:
        code, shape = dtype_named(self.dtype).code, f"n{self.batch}c{self.channels}"
        return ":".join([self.operator, code, shape, *filter(None, (*parts, self.layout))])


@dataclass(frozen=True, slots=True)
class ColumnsProblem(ImageProblem):
    """im2col or its adjoint col2im: image (N, C, *input), columns (N, C*taps, positions)."""

    operator: Literal["im2col", "col2im"]
    geometry: Geometry

    @property
    def image_shape(self) -> Sizes:
        """(N, C, *input)"""
        return (self.batch, self.channels, *self.geometry.input)

    @property
    def columns_shape(self) -> Sizes:
        """(N, C*taps, positions)"""
        return (self.batch, self.channels * self.geometry.taps, self.geometry.positions)

    @property
    def _unlaid(self) -> tuple[str, ...]:
        return ("y",) if self.operator == "im2col" else ("x",)

    @property
    def _inputs(self) -> Mapping[str, Tensor]:
        shape = self.image_shape if self.operator == "im2col" else self.columns_shape
        return {"x": Tensor(shape, self.dtype)}

    @property
    def _outputs(self) -> Mapping[str, Tensor]:
        if self.operator == "im2col":
            return {"y": Tensor(self.columns_shape, self.dtype)}
        return {"y": Tensor(self.image_shape, result_of_sum(self.dtype))}

    @property
    def _computed(self) -> str:
        return copied(self.dtype) if self.operator == "im2col" else summed(self.dtype)

    def __str__(self) -> str:
        return self._text(geometry_text(self.geometry))


@dataclass(frozen=True, slots=True)
class BiasGradientProblem(ImageProblem):
    """Sum dy (N, O, *output) over batch and space: db (O,). Its O are `channels`."""

    operator: Literal["conv_bwd_bias"]
    output: Sizes

    @property
    def positions(self) -> int:
        """Elements of a channel plane."""
        return prod(self.output)

    @property
    def _unlaid(self) -> tuple[str, ...]:
        return ("db",)

    @property
    def _inputs(self) -> Mapping[str, Tensor]:
        return {"dy": Tensor((self.batch, self.channels, *self.output), self.dtype)}

    @property
    def _outputs(self) -> Mapping[str, Tensor]:
        return {"db": Tensor((self.channels,), result_of_sum(self.dtype))}

    def __str__(self) -> str:
        code, shape = dtype_named(self.dtype).code, f"n{self.batch}o{self.channels}"
        parts = (self.operator, code, shape, f"i{sizes_text(self.output)}", self.layout)
        return ":".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class WindowProblem(ImageProblem):
    """Something made of each window of x (N, C, *input)."""

    geometry: Geometry

    @property
    def x_shape(self) -> Sizes:
        """(N, C, *input)"""
        return (self.batch, self.channels, *self.geometry.input)

    @property
    def y_shape(self) -> Sizes:
        """(N, C, *output)"""
        return (self.batch, self.channels, *self.geometry.output)


@dataclass(frozen=True, slots=True)
class PoolProblem(WindowProblem):
    """Max or average pooling of x (N, C, *input), or the adjoint of average pooling."""

    operator: Literal["max_pool", "avg_pool", "avg_pool_backward"]
    count_include_pad: bool = True
    divisor: int = 0  # of every window; 0: counted

    @property
    def _inputs(self) -> Mapping[str, Tensor]:
        backward = self.operator == "avg_pool_backward"
        return {"x": Tensor(self.y_shape if backward else self.x_shape, self.dtype)}

    @property
    def _outputs(self) -> Mapping[str, Tensor]:
        if self.operator == "avg_pool_backward":
            return {"y": Tensor(self.x_shape, self.dtype)}
        tensors = {"y": Tensor(self.y_shape, self.dtype)}
        if self.operator == "max_pool":
            tensors["indices"] = Tensor(self.y_shape, "int64")
        return tensors

    @property
    def _computed(self) -> str:
        kind = compared if self.operator == "max_pool" else averaged
        return kind(self.dtype)

    def __str__(self) -> str:
        exclude = "exclude_pad" * (not self.count_include_pad)
        divisor = f"divisor{self.divisor}" * (self.divisor != 0)
        return self._text(geometry_text(self.geometry), exclude, divisor)


@dataclass(frozen=True, slots=True)
class AdaptivePoolProblem(ImageProblem):
    """Pooling of x (N, C, *input) into as many windows as asked for, or the average's adjoint."""

    operator: Literal["adaptive_max_pool", "adaptive_avg_pool", "adaptive_avg_pool_backward"]
    input: Sizes
    output: Sizes

    def _image(self, spatial: Sizes) -> Tensor:
        return Tensor((self.batch, self.channels, *spatial), self.dtype)

    @property
    def _inputs(self) -> Mapping[str, Tensor]:
        backward = self.operator == "adaptive_avg_pool_backward"
        return {"x": self._image(self.output if backward else self.input)}

    @property
    def _outputs(self) -> Mapping[str, Tensor]:
        if self.operator == "adaptive_avg_pool_backward":
            return {"y": self._image(self.input)}
        tensors = {"y": self._image(self.output)}
        if self.operator == "adaptive_max_pool":
            tensors["indices"] = tensors["y"]._replace(dtype="int64")
        return tensors

    @property
    def _computed(self) -> str:
        kind = compared if self.operator == "adaptive_max_pool" else averaged
        return kind(self.dtype)

    def __str__(self) -> str:
        return self._text(f"i{sizes_text(self.input)}", f"o{sizes_text(self.output)}")


@dataclass(frozen=True, slots=True)
class IndexProblem(ImageProblem):
    """What follows the indices of max pooling, between planes of `image` and of `output`.

    max_pool_backward adds dy (output) at its index in dx (image); max_unpool puts y there;
    max_unpool_backward takes dx from there.
    """

    operator: Literal["max_pool_backward", "max_unpool", "max_unpool_backward"]
    image: Sizes
    output: Sizes

    @property
    def pixels(self) -> int:
        """Elements of a plane that indices point into."""
        return prod(self.image)

    @property
    def positions(self) -> int:
        """Indices of a plane."""
        return prod(self.output)

    def _planes(self, spatial: Sizes, dtype: str) -> Tensor:
        return Tensor((self.batch, self.channels, *spatial), dtype)

    @property
    def _inputs(self) -> Mapping[str, Tensor]:
        backward = self.operator == "max_unpool_backward"
        return {
            "x": self._planes(self.image if backward else self.output, self.dtype),
            "indices": self._planes(self.output, "int64"),
        }

    @property
    def _outputs(self) -> Mapping[str, Tensor]:
        if self.operator == "max_unpool_backward":
            return {"y": self._planes(self.output, self.dtype)}
        adds = self.operator == "max_pool_backward"
        return {"y": self._planes(self.image, result_of_sum(self.dtype) if adds else self.dtype)}

    @property
    def _computed(self) -> str:
        return summed(self.dtype) if self.operator == "max_pool_backward" else copied(self.dtype)

    def __str__(self) -> str:
        return self._text(f"i{sizes_text(self.image)}", f"o{sizes_text(self.output)}")
