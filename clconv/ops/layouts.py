"""The layout of a call's images, and the plain order of their axes."""

from __future__ import annotations

from typing import Any

from clconv.ops.arguments import image_shape, spatial_rank
from clconv.spec.geometry import Sizes
from clconv.spec.layout import parse_layout, permuted, spatial_letters


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

    @property
    def text(self) -> str:
        """What a problem says of it: nothing where it is plain."""
        return "" if self.given == self.plain else self.given

    def to_plain(self, shape: Sizes) -> Sizes:
        """Return the sizes of a given array in the plain order."""
        return permuted(shape, self.given, self.plain)
