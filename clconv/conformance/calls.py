"""Records calls of a backend's functions, so that each can be asked what it should have given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from clconv import reference

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
        absolute = [_absolute(a) for a in self.arguments]
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

    def terms(self) -> int:
        """Return how many roundings a term may meet; see clconv.reference.bounds. 0: exact."""
        if self.dtype.kind in "iu":
            return 0
        counts: dict[str, Callable[[], int]] = {
            "conv": self._conv_terms,
            "conv_backward_data": lambda: (
                int(self.arguments[1][:, 0].size) // int(self.options.get("groups", 1))
            ),
            "conv_backward_weights": lambda: int(self.arguments[1][:, 0].size),
            "conv_backward_bias": lambda: int(self.arguments[0][:, 0].size),
            "conv_general": lambda: self._filter_elements("I") * self._taps(1),
            "conv_general_backward_data": lambda: self._filter_elements("O") * self._taps(1),
            "conv_general_backward_weights": lambda: self.arguments[1].size,
            "conv_transpose": self._transpose_terms,
            "conv_transpose_backward_data": lambda: int(self.arguments[1][0].size),
            "conv_transpose_backward_weights": lambda: int(self.arguments[0][:, 0].size),
            "depthwise_conv": self._conv_terms,
            # Each product passes through the sums of both stages.
            "separable_conv": lambda: sum(int(w[0].size) for w in self.arguments[1:3]),
            "im2col": lambda: 0,
            "col2im": lambda: self._window(2, len(self.arguments[1])),
            "max_pool": lambda: 0,
            "max_pool_backward": lambda: int(self.arguments[0][0, 0].size),
            "avg_pool": lambda: self._window(1, self.arguments[0].ndim - 2),
            "avg_pool_backward": lambda: self._window(1, self.arguments[0].ndim - 2),
            "adaptive_max_pool": lambda: 0,
            "adaptive_avg_pool": lambda: self._adaptive(self.arguments[0], self.results[0]),
            # As many windows touch a pixel as pixels would a window, the other way round.
            "adaptive_avg_pool_backward": lambda: self._adaptive(*self.arguments, *self.results),
            "global_max_pool": lambda: 0,
            "global_avg_pool": lambda: int(self.arguments[0][0, 0].size),
            "max_unpool": lambda: 0,
            "max_unpool_backward": lambda: 0,
        }
        return counts[self.name]()

    def _conv_terms(self) -> int:
        has_bias = len(self.arguments) > 2 and self.arguments[2] is not None
        return int(self.arguments[1][0].size) + has_bias + ("beta" in self.options)

    def _transpose_terms(self) -> int:
        has_bias = len(self.arguments) > 2 and self.arguments[2] is not None
        return int(self.arguments[1][:, 0].size) // int(self.options.get("groups", 1)) + has_bias

    def _filter_elements(self, letter: str) -> int:
        """Return w's channels of a kind, where its layout has them."""
        w = self.arguments[1]
        numbers = self.options.get("dimension_numbers") or ",OI->"
        count = int(w.shape[numbers.split(",")[1].split("->")[0].index(letter)])
        return count // int(self.options.get("groups", 1)) if letter == "O" else count

    def _taps(self, position: int) -> int:
        w = self.arguments[position]
        numbers = self.options.get("dimension_numbers") or ",OI" + "DHW"[: w.ndim - 2] + "->"
        layout = numbers.split(",")[1].split("->")[0]
        spatial = (size for size, letter in zip(w.shape, layout, strict=True) if letter in "DHW")
        return int(prod(spatial))

    def _adaptive(self, image: Array, other: Array) -> int:
        """Return the most pixels of `image` in one of the other's windows."""
        layout = self.options.get("layout") or "NC" + "DHW"[5 - image.ndim :]
        sizes = zip(layout, image.shape, other.shape, strict=True)
        return prod((n - 1) // out + 2 for axis, n, out in sizes if axis in "DHW")

    def _window(self, position: int, rank: int) -> int:
        kernel = np.broadcast_to(self.arguments[position], rank)
        return int(kernel.prod())

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
    return results if isinstance(results, tuple) else (results,)
