"""Records calls of a backend's functions, so that each can be asked what it should have given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from clconv import reference
from clconv.reference.deform import deform_conv_backward_magnitude

Array = np.ndarray[Any, Any]
Backend = Any  # has functions named and called as clconv's, on numpy arrays


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a public function and what came back."""

    name: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    results: tuple[Array, ...]
    seconds: float

    def expected(self) -> tuple[Array, ...]:
        """Return the reference's results, in its wide dtype."""
        return _tuple(getattr(reference, self.name)(*self.arguments, **self.options))

    def magnitude(self) -> tuple[Array, ...]:
        """Return the reference's results on absolute values: what rounding errors grow with.

        An activation is left out: see `reference.bounds.activation_bound`.
        """
        if self.name == "deform_conv_backward":
            return _tuple(deform_conv_backward_magnitude(*self.arguments, **self.options))
        absolute = [_absolute(a) for a in self.arguments]
        if self.name == "deform_conv":
            absolute[2] = self.arguments[2]  # offsets are places, not terms
        options = {name: _absolute(value) for name, value in self.options.items()}
        if "beta" in options:
            options["beta"] = abs(options["beta"])
        options.pop("activation", None)
        return _tuple(getattr(reference, self.name)(*absolute, **options))

    def without_activation(self) -> Array:
        """Return the reference's result before its activation."""
        options = {name: value for name, value in self.options.items() if name != "activation"}
        (y,) = _tuple(getattr(reference, self.name)(*self.arguments, **options))
        return y

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that was computed in."""
        dtype: np.dtype[Any] = self.arguments[0].dtype
        return dtype

    def flops(self) -> int:
        """Return the multiplications and additions of a convolution, 0 for anything else."""
        if self.name == "conv":
            return 2 * int(self.results[0].size) * int(self.arguments[1][0].size)
        if self.name == "conv_backward_data":
            return 2 * int(self.arguments[0].size) * int(self.arguments[1][0].size)
        if self.name == "conv_backward_weights":
            return 2 * int(self.arguments[1].size) * int(prod(self.options["weight_shape"][1:]))
        return 0


class Recorder:
    """Passes calls on to a backend and keeps a log of them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.log: list[Call] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._backend, name)

        def recorded(*arguments: Any, **options: Any) -> Any:
            given = {n: v.copy() if n == "out" else v for n, v in options.items()}
            start = time.perf_counter()
            results = function(*arguments, **options)
            seconds = time.perf_counter() - start
            self.log.append(Call(name, arguments, given, _tuple(results), seconds))
            return results

        return recorded


def _absolute(value: Any) -> Any:
    """Return the absolute values of an array of numbers, and anything else as it is."""
    return abs(value) if isinstance(value, np.ndarray) and value.dtype.kind not in "iu" else value


def _tuple(results: Any) -> tuple[Array, ...]:
    """Return results as a tuple, without those that there are none of."""
    given = results if isinstance(results, tuple) else (results,)
    return tuple(each for each in given if each is not None)
