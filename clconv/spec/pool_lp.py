"""Pooling by p-norms: what is to be computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import Geometry, Sizes, format_geometry, refuse_long_indices


@dataclass(frozen=True, slots=True)
class LpPoolProblem:
    """The p-norm of each window of x (N, C, *input), or its gradient."""

    operator: Literal["lp_pool", "lp_pool_backward"]
    dtype: str
    batch: int
    channels: int
    geometry: Geometry
    p: float
    signed: bool = False
    scale_overhang: bool = False  # a window over the padded edge by its taps / those inside

    def __post_init__(self) -> None:
        dtype_named(self.dtype)
        refuse_long_indices(x=self.x_shape, y=self.y_shape)

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
        text = f"{self.operator}:{code}:{shape}:{format_geometry(self.geometry)}:norm{self.p}"
        return text + ":signed" * self.signed + ":scale_overhang" * self.scale_overhang
