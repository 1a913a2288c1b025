"""Pieces of problem strings: sizes, and how a window walks."""

from __future__ import annotations

from clconv.spec.geometry import Geometry, Padding, Sizes


def sizes_text(sizes: Sizes) -> str:
    """Return "3x5"."""
    return "x".join(map(str, sizes))


def steps_text(steps: Sizes) -> str:
    """Return "2x1", or "2" where all axes agree."""
    return sizes_text(steps if len(set(steps)) > 1 else steps[:1])


def padding_text(padding: Padding) -> str:
    """Return "1.1x0.1" (low.high of each axis), or "1.1" where all axes agree."""
    pairs = padding if len(set(padding)) > 1 else padding[:1]
    return "x".join(f"{low}.{high}" for low, high in pairs)


def geometry_text(geometry: Geometry) -> str:
    """Return "i56x56:k3x3:s2:p1.1:d1": input, kernel, stride, padding, dilation."""
    text = f"i{sizes_text(geometry.input)}:k{sizes_text(geometry.kernel)}"
    text += f":s{steps_text(geometry.stride)}:p{padding_text(geometry.padding)}"
    return text + f":d{steps_text(geometry.dilation)}" + ":ceil" * geometry.ceil_mode
