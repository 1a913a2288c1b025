"""Pooling by p-norms as a problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from clconv.spec.dtypes import averaged
from clconv.spec.images import WindowProblem
from clconv.spec.tensor import Tensor
from clconv.spec.text import geometry_text


@dataclass(frozen=True, slots=True)
class LpPoolProblem(WindowProblem):
    """The p-norm of each window of x (N, C, *input), or its gradient."""

    operator: Literal["lp_pool", "lp_pool_backward"]
    p: float
    signed: bool = False
    scale_overhang: bool = False  # a window over the padded edge by its taps / those inside

    @property
    def _inputs(self) -> Mapping[str, Tensor]:
        x = {"x": Tensor(self.x_shape, self.dtype)}
        return x if self.operator == "lp_pool" else {"dy": Tensor(self.y_shape, self.dtype), **x}

    @property
    def _outputs(self) -> Mapping[str, Tensor]:
        if self.operator == "lp_pool":
            return {"y": Tensor(self.y_shape, self.dtype)}
        return {"dx": Tensor(self.x_shape, self.dtype)}

    @property
    def _computed(self) -> str:
        return averaged(self.dtype)

    def __str__(self) -> str:
        flags = ("signed" * self.signed, "scale_overhang" * self.scale_overhang)
        return self._text(geometry_text(self.geometry), f"norm{self.p!r}", *flags)
