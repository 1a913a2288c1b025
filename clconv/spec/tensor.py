"""The tensors of a problem, and what all problems answer."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import NamedTuple, Protocol

from clconv.errors import UnsupportedError
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import INDEX_LIMIT, Sizes
from clconv.spec.rearrangement import Rearrangement


class Tensor(NamedTuple):
    """Shape and element type of an array."""

    shape: Sizes
    dtype: str

    @property
    def size_bytes(self) -> int:
        """What its elements take."""
        return prod(self.shape) * dtype_named(self.dtype).itemsize_bytes


class Problem(Protocol):
    """What is to be computed: frozen, hashable, and printed as one string.

    A problem speaks of arrays as the user has them: in any layout, stored in any element type.
    `plain` is what kernels solve, channels-first in a type that they compute in; it is the problem
    itself where nothing has to be moved. The tensors of both have the same names.
    """

    @property
    def dtype(self) -> str:
        """The element type of the first operand."""

    @property
    def operands(self) -> Mapping[str, Tensor]:
        """The tensors that come in."""

    @property
    def results(self) -> Mapping[str, Tensor]:
        """The tensors that go out."""

    @property
    def plain(self) -> Problem:
        """The problem between plain tensors."""

    def rearrangement(self, name: str) -> Rearrangement:
        """Return how a tensor becomes the plain one."""

    def __hash__(self) -> int:
        """Plans are kept by problem."""


def refuse_long_indices(**shapes: Sizes) -> None:
    """Raise UnsupportedError for a tensor that has more elements than kernels can index."""
    for name, shape in shapes.items():
        elements = prod(max(size, 1) for size in shape)  # of one image, where there is none
        if elements >= INDEX_LIMIT:
            raise UnsupportedError(
                f"{name} {shape} has {elements} elements; kernels index fewer than 2**31"
            )
