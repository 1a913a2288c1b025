"""Public calls: what they should give, what they gave, and a backend that keeps a log of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from clconv import reference
from clconv.errors import UnsupportedError
from clconv.reference.deform import deform_conv_backward_magnitude

Array = np.ndarray[Any, Any]
Backend = Any  # has functions named and called as clconv's, on numpy arrays


@dataclass(frozen=True)
class PublicCall:
    """The name of a public function and what it takes; what the reference says of it, once."""

    name: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def on(self, backend: Backend, **more: Any) -> Any:
        """Call the function of that name; `out` is given as a copy, for it is written to.

        Raises
        ------
        UnsupportedError : the backend has no such function
        """
        function = getattr(backend, self.name, None)
        if function is None:
            raise UnsupportedError(f"there is no function {self.name}")
        options = {n: v.copy() if n == "out" else v for n, v in self.options.items()}
        return function(*self.arguments, **options, **more)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the operands."""
        dtype: np.dtype[Any] = self.arguments[0].dtype
        return dtype

    @cached_property
    def expected(self) -> tuple[Array, ...]:
        """The reference's results, in its wide dtype."""
        return as_tuple(getattr(reference, self.name)(*self.arguments, **self.options))

    @cached_property
    def magnitude(self) -> tuple[Array, ...]:
        """The reference's results on absolute values: what rounding errors grow with.

        An activation is left out: see `reference.bounds.activation_bound`.
        """
        if self.name == "deform_conv_backward":
            return as_tuple(deform_conv_backward_magnitude(*self.arguments, **self.options))
        absolute = [_absolute(a) for a in self.arguments]
        if self.name == "deform_conv":
            absolute[2] = self.arguments[2]  # offsets are places, not terms
        options = {name: _absolute(value) for name, value in self.options.items()}
        if "beta" in options:
            options["beta"] = abs(options["beta"])
        options.pop("activation", None)
        return as_tuple(getattr(reference, self.name)(*absolute, **options))

    @cached_property
    def before_activation(self) -> Array:
        """The reference's result before its activation."""
        options = {name: value for name, value in self.options.items() if name != "activation"}
        (y,) = as_tuple(getattr(reference, self.name)(*self.arguments, **options))
        return y

    @property
    def flops(self) -> int:
        """Multiplications and additions of a convolution, 0 for anything else."""
        known: dict[str, Callable[[], tuple[Any, Any]]] = {
            "conv": lambda: (self.expected[0].size, self.arguments[1].shape),
            "conv_backward_data": lambda: (self.arguments[0].size, self.arguments[1].shape),
            "conv_backward_weights": lambda: (self.arguments[1].size, self.options["weight_shape"]),
        }
        if self.name not in known:
            return 0
        windows, w_shape = known[self.name]()
        layout = (self.options.get("dimension_numbers") or ",O").split(",")[1]
        return 2 * int(windows) * int(prod(w_shape)) // int(w_shape[layout.index("O")])


@dataclass(frozen=True, slots=True)
class Call:
    """A public call and what a backend gave."""

    public: PublicCall
    results: tuple[Array, ...]
    seconds: float


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
            self.log.append(Call(PublicCall(name, arguments, given), as_tuple(results), seconds))
            return results

        return recorded


def call_on(backend: Backend, public: PublicCall) -> Call:
    """Make a call and return it with its results."""
    start = time.perf_counter()
    results = public.on(backend)
    return Call(public, as_tuple(results), time.perf_counter() - start)


def _absolute(value: Any) -> Any:
    """Return the absolute values of an array of numbers, and anything else as it is."""
    return abs(value) if isinstance(value, np.ndarray) and value.dtype.kind not in "iu" else value


def as_tuple(results: Any) -> tuple[Array, ...]:
    """Return results as a tuple, without those that there are none of."""
    given = results if isinstance(results, tuple) else (results,)
    return tuple(each for each in given if each is not None)
