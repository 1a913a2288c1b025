"""Layouts: which axis of an array is what.

A layout is a string with a letter an axis, "NCHW": N batch, C channels, D, H, W space; filters
have O and I for output and input channels, "OIHW". Dimension numbers say all three of a
convolution, "NHWC,HWIO->NHWC": x, w and y. Options per axis follow w's order of spatial letters.
In those of a transposed convolution x, w and y, I and O are that operator's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from clconv.errors import GeometryError
from clconv.spec.geometry import Sizes

SPATIAL_LETTERS = {1: "W", 2: "HW", 3: "DHW"}


def spatial_letters(layout: str) -> str:
    """Return the spatial letters of a layout, in its order."""
    return "".join(letter for letter in layout if letter in "DHW")


def parse_layout(text: str | None, rank: int) -> str:
    """Return the layout of an image of `rank` spatial axes, channels-first if `text` is None.

    Raises
    ------
    GeometryError : a letter missing, double or unknown
    """
    if text is None:
        return f"NC{SPATIAL_LETTERS[rank]}"
    if not isinstance(text, str):
        raise TypeError(f"layout must be a string, got {text!r}")
    spatial = set(spatial_letters(text))
    if len(text) != rank + 2 or len(spatial) != rank or set(text) != spatial | {"N", "C"}:
        raise GeometryError(
            f"layout {text!r} must name {rank + 2} axes once each, as 'NC{SPATIAL_LETTERS[rank]}'"
        )
    return text


def permuted(shape: Sizes, layout: str, wanted: str) -> Sizes:
    """Return the sizes of an array of `layout` in the order of the letters `wanted`."""
    return tuple(shape[layout.index(letter)] for letter in wanted)


def strides_of(shape: Sizes, layout: str, wanted: str) -> Sizes:
    """Return the strides, in elements, of a C-contiguous array, in the order of `wanted`."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(range(len(shape))):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides[layout.index(letter)] for letter in wanted)


@dataclass(frozen=True, slots=True)
class DimensionNumbers:
    """The layouts of x, w and y."""

    x: str
    w: str
    y: str

    @staticmethod
    def channels_first(rank: int) -> DimensionNumbers:
        """Return "NCHW,OIHW->NCHW" for `rank` spatial axes."""
        letters = SPATIAL_LETTERS[rank]
        return DimensionNumbers(f"NC{letters}", f"OI{letters}", f"NC{letters}")

    @staticmethod
    def parse(text: str | None, rank: int) -> DimensionNumbers:
        """Return what `text` says, channels-first if it is None.

        Raises
        ------
        GeometryError : not of the form "x,w->y", a letter missing, double or unknown
        """
        if text is None:
            return DimensionNumbers.channels_first(rank)
        if not isinstance(text, str):
            raise TypeError(f"dimension_numbers must be a string, got {text!r}")
        operands, _, y = text.partition("->")
        x, _, w = operands.partition(",")
        spatial = set(spatial_letters(x))
        wanted = ({"N", "C"} | spatial, {"O", "I"} | spatial, {"N", "C"} | spatial)
        for layout, letters in zip((x, w, y), wanted, strict=True):
            if len(layout) != rank + 2 or set(layout) != letters or len(spatial) != rank:
                raise GeometryError(
                    f"dimension_numbers {text!r} must name the {rank + 2} axes of x, w and y once"
                    f" each, as {DimensionNumbers.channels_first(rank)} does"
                )
        return DimensionNumbers(x, w, y)

    @property
    def spatial(self) -> str:
        """Spatial letters in w's order: the order of options per axis, as XLA has it."""
        return spatial_letters(self.w)

    @property
    def plain_x(self) -> str:
        """Channels-first layout of x and of y."""
        return f"NC{self.spatial}"

    @property
    def plain_w(self) -> str:
        """Output-channels-first layout of w."""
        return f"OI{self.spatial}"

    @property
    def transposed(self) -> DimensionNumbers:
        """Those of the transposed operator, whose x is y here, and I of whose w is O here."""
        swapped = self.w.translate(str.maketrans("IO", "OI"))
        return DimensionNumbers(self.y, swapped, self.x)

    def __str__(self) -> str:
        return f"{self.x},{self.w}->{self.y}"
