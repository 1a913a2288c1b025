"""What lies in the padding: zeros, or copies of elements of the image.

Padding copies, so it is a list of sources: padded element u is element source(u) of the image, or
zero where there is none. Along an axis of `size` elements, at image coordinate s,

    zeros       s inside [0, size), else none        . . [a b c d] . .
    replicate   the nearest element                  a a [a b c d] d d
    reflect     mirrored at the outermost elements   c b [a b c d] c b      padding <= size - 1
    circular    s modulo size                        c d [a b c d] a b      padding <= size

All axes are padded at once, each by its own list, so corners hold copies of copies. Padding is a
linear map, and its adjoint adds up what the copies of an element receive: `fold_padding`.

Edge cases. A NaN or an infinity is in all of its copies. Copies are elements like others, and an
infinite weight meets a zero only where the image has one. What the adjoint does with the padding of
"zeros" is to drop it; of the other modes nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .arrays import Array
from .windows import Axes, Axis, crop, pad

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def check_padding_mode(axes: Axes, mode: str) -> None:
    """`mode` exists, and the image is large enough for it.

    Raises
    ------
    ValueError : "padding (4, 4) is too large for padding_mode='reflect' and size 4: at most 3"
    """
    if mode not in PADDING_MODES:
        raise ValueError(f"padding_mode={mode!r} is unknown: wanted one of {PADDING_MODES}")
    for axis in axes:
        widest = max(axis.low, axis.high)
        largest = {"reflect": axis.size - 1, "circular": axis.size}.get(mode, widest)
        if widest > largest:
            raise ValueError(
                f"padding ({axis.low}, {axis.high}) is too large for padding_mode={mode!r} "
                f"and size {axis.size}: at most {largest}"
            )


def sources(axis: Axis, mode: str) -> Array:
    """Which element of the image each element of the padded axis copies; not for "zeros"."""
    at = np.arange(-axis.low, axis.size + axis.high)
    last = axis.size - 1
    if mode == "replicate":
        return at.clip(0, last)
    if mode == "circular":
        return at % axis.size
    return last - abs(last - abs(at))  # mirrored at 0, then at the last element


def pad_image(x: Array, axes: Axes, mode: str) -> Array:
    """`x` (..., *spatial) inside its padding."""
    if mode == "zeros":
        return pad(x, axes)
    for number, axis in padded_axes(x, axes):
        x = x.take(sources(axis, mode), axis=number)
    return x


def fold_padding(padded: Array, axes: Axes, mode: str) -> Array:
    """The adjoint of `pad_image`: every element gets what its copies have, added up."""
    if mode == "zeros":
        return crop(padded, axes)
    for number, axis in padded_axes(padded, axes):
        copies = np.moveaxis(padded, number, 0)
        image = np.zeros((axis.size, *copies.shape[1:]), padded.dtype)
        np.add.at(image, sources(axis, mode), copies)
        padded = np.moveaxis(image, 0, number)
    return padded


def padded_axes(x: Array, axes: Axes) -> Iterator[tuple[int, Axis]]:
    """Those that have any padding, with their number in `x`."""
    for number, axis in enumerate(axes, start=x.ndim - len(axes)):
        if axis.low or axis.high:
            yield number, axis
