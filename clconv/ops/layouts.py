"""Operators on images in any layout: tensors are moved to the plain one and results back."""

from __future__ import annotations

from typing import Any

import numpy as np

from clconv.ops.arguments import image_shape, spatial_rank
from clconv.spec.geometry import Sizes
from clconv.spec.layout import parse_layout, permuted, spatial_letters
from clconv.spec.problem import Problem
from clconv.spec.rearrangement import LaidOut, Move, Rearrangement

C_TYPES = {"float32": "float", "float64": "double", "int64": "long"}


class Layout:
    """The layout of the images of one call, and the plain one with its spatial axes in order."""

    def __init__(self, text: Any, rank: int) -> None:
        self.given = parse_layout(text, rank)
        self.plain = "NC" + spatial_letters(self.given)

    @staticmethod
    def of(text: Any, name: str, shape: Any) -> tuple[Layout, Sizes]:
        """Return the layout of an image of `shape`, and its sizes in the plain order."""
        layout = Layout(text, spatial_rank(name, shape))
        sizes = image_shape(name, shape, layout.given.index("N"))
        return layout, layout.to_plain(sizes)

    def to_plain(self, shape: Sizes) -> Sizes:
        """Return the sizes of a given array in the plain order."""
        return permuted(shape, self.given, self.plain)

    def from_plain(self, shape: Sizes) -> Sizes:
        """Return the sizes of a plain array in the given order."""
        return permuted(shape, self.plain, self.given)

    def lay_out(
        self, problem: Problem, results: tuple[str, ...], **tensors: tuple[Sizes, str]
    ) -> Problem | LaidOut:
        """Return `problem` between `tensors` (plain shape and dtype by name) in this layout."""
        if self.given == self.plain:
            return problem
        moves = tuple(
            Move(
                name,
                C_TYPES[dtype],
                np.dtype(dtype).itemsize,
                Rearrangement.of(self.from_plain(shape), self.given, self.plain),
                is_result=name in results,
            )
            for name, (shape, dtype) in tensors.items()
        )
        return LaidOut(problem, moves)
