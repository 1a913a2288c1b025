"""Convolution of quantised images into quantised images: integer sums, scaled and rounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clconv.errors import UnsupportedError
from clconv.spec.dtypes import dtype_named
from clconv.spec.general import GeneralConvProblem
from clconv.spec.problem import ConvProblem
from clconv.spec.rearrangement import Rearrangement
from clconv.spec.tensor import Tensor

RESULTS = ("int8", "uint8", "int16", "uint16")


@dataclass(frozen=True, slots=True)
class QuantizedConvProblem:
    """y = saturate(round(sums*scale) + y_zero_point); scale = mantissa * 2^exponent, by output."""

    sums: ConvProblem | GeneralConvProblem  # forward, accumulated in int32
    y_dtype: str

    def __post_init__(self) -> None:
        if self.y_dtype not in RESULTS:
            raise UnsupportedError(f"dtype {self.y_dtype} of y is not one of {', '.join(RESULTS)}")

    @property
    def dtype(self) -> str:
        """The element type of x."""
        return self.sums.dtype

    @property
    def operands(self) -> Mapping[str, Tensor]:
        """Those of the sums, the scale's mantissa and exponent (O,), and y_zero_point (1,)."""
        outputs = (self.sums.outputs,)
        return {
            **self.sums.operands,
            "mantissa": Tensor(outputs, "int64"),
            "exponent": Tensor(outputs, "int32"),
            "y_zero_point": Tensor((1,), "int32"),
        }

    @property
    def results(self) -> Mapping[str, Tensor]:
        """y (N, O, *output)"""
        return {"y": Tensor(self.sums.y_shape, self.y_dtype)}

    @property
    def plain(self) -> QuantizedConvProblem:
        """Itself: its sums are what may have to be made plain."""
        return self

    def rearrangement(self, name: str) -> Rearrangement:
        """Return that of an array which stays as it is."""
        return Rearrangement.flat({**self.operands, **self.results}[name].shape)

    def __str__(self) -> str:
        sums = str(self.sums).removeprefix("conv_fwd")
        return f"qlinear_conv{sums}:to{dtype_named(self.y_dtype).code}"
