"""Which axis of an array means what: layouts, written as strings with a letter an axis.

    N  image of the batch        O  output channel of the weights
    C  channel of x or y         I  input channel of the weights (of one group)
    D  H  W                      the spatial axes: depth, height, width

"NCHW" is channels-first, "NHWC" channels-last. A convolution has three layouts, its *dimension
numbers*, "NHWC,HWIO->NHWC": of x, of w, and of y. In a transposed convolution the letters of w are
its own: I for the channels of its x, O for those of its y (of one group), "IOHW" by default.

Every function computes channels-first, in the *canonical* layouts "NC" + spatial and "OI" +
spatial. Other layouts are transposed into these on the way in, and back on the way out: a layout
says where numbers lie, and never what they are. Options with an entry per axis (stride, padding,
...) follow the spatial letters of w, and of x where there is no w; so does XLA.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .arguments import check_rank
from .arrays import Array

SPATIAL = "DHW"


class DimensionNumbers(NamedTuple):
    """The layouts of x, w and y, and the canonical ones they are brought to."""

    x: str
    w: str
    y: str

    @property
    def spatial(self) -> str:
        """The spatial letters in the order of w, which is that of the options."""
        return spatial_letters(self.w)

    @property
    def image(self) -> str:
        """The canonical layout of x and y, "NCHW" for two spatial axes."""
        return "NC" + self.spatial

    @property
    def filters(self) -> str:
        """The canonical layout of w, "OIHW" for two spatial axes."""
        return "OI" + self.spatial

    @property
    def transposed_filters(self) -> str:
        """The canonical layout of w in a transposed convolution, "IOHW" for two spatial axes."""
        return "IO" + self.spatial

    def __str__(self) -> str:
        return f"{self.x},{self.w}->{self.y}"


def dimension_numbers_of(
    text: str | None, shape: Sequence[int], name: str = "x", filters: str = "OI"
) -> DimensionNumbers:
    """`text` taken apart, for an image of `shape`; None is channels-first.

    `filters` are the first letters of w's layout where `text` is None.

    >>> dimension_numbers_of("NHWC,HWIO->NCHW", (2, 9, 8, 3)).y
    'NCHW'

    Raises
    ------
    ValueError : `text` is not of the form, a letter is missing, unknown or there twice, or the
        number of axes is not that of `shape`
    """
    check_rank(name, shape)
    letters = SPATIAL[len(SPATIAL) + 2 - len(shape) :]
    if text is None:
        return DimensionNumbers("NC" + letters, filters + letters, "NC" + letters)
    left, arrow, y = text.replace(" ", "").partition("->")
    x, comma, w = left.partition(",")
    if not (arrow and comma):
        raise ValueError(f"dimension_numbers={text!r} is not of the form 'NCHW,OIHW->NCHW'")
    spatial = spatial_letters(w)
    for layout, roles in ((x, "NC"), (w, "OI"), (y, "NC")):
        check_layout("dimension_numbers", layout, roles + spatial)
    if len(x) != len(shape):
        raise ValueError(f"dimension_numbers={text!r} has {len(x)} axes, {name} {tuple(shape)} not")
    return DimensionNumbers(x, w, y)


def layout_of(layout: str | None, shape: Sequence[int], name: str = "x") -> tuple[str, str]:
    """The layout of an image of `shape`, and the canonical one; None is channels-first.

    >>> layout_of("NHWC", (2, 9, 8, 3))
    ('NHWC', 'NCHW')

    Raises
    ------
    ValueError : letters or number of axes do not fit
    """
    check_rank(name, shape)
    if layout is None:
        layout = "NC" + SPATIAL[len(SPATIAL) + 2 - len(shape) :]
    canonical = "NC" + spatial_letters(layout)
    check_layout("layout", layout, canonical)
    if len(layout) != len(shape):
        raise ValueError(f"layout={layout!r} has {len(layout)} axes, {name} {tuple(shape)} not")
    return layout, canonical


def spatial_letters(layout: str) -> str:
    """Those of `layout` that are D, H or W, in its order."""
    return "".join(letter for letter in layout if letter in SPATIAL)


def check_layout(name: str, layout: str, wanted: str) -> None:
    """`layout` has the letters of `wanted`, each once, in any order, and 1 to 3 spatial ones."""
    if sorted(layout) != sorted(wanted) or len(set(layout)) != len(layout) or len(layout) < 3:
        raise ValueError(f"{name}: {layout!r} does not have each letter of {wanted!r} once")


def permuted(a: npt.ArrayLike, source: str, target: str, name: str = "array") -> Array:
    """`a` of layout `source` with its axes in the order of `target`.

    Raises
    ------
    ValueError : `a` has another number of axes
    """
    a = np.asarray(a)
    if source == target:
        return a
    check_axes(name, a.shape, source)
    return a.transpose([source.index(letter) for letter in target])


def permuted_shape(
    shape: Sequence[int], source: str, target: str, name: str = "shape"
) -> tuple[int, ...]:
    """The shape of `permuted`."""
    if source == target:
        return tuple(shape)
    check_axes(name, shape, source)
    return tuple(shape[source.index(letter)] for letter in target)


def check_axes(name: str, shape: Sequence[int], layout: str) -> None:
    """`shape` has as many axes as `layout` has letters."""
    if len(shape) != len(layout):
        raise ValueError(f"{name} {tuple(shape)} has {len(shape)} axes, layout {layout!r} not")
