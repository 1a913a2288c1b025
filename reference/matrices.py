"""A filter on many channels as a small image whose pixels are matrices: the rearranging of arrays.

W[t], the (O, C) matrix of tap t, is block-diagonal where there are groups, and only its blocks are
kept: (O/groups, C/groups) each.
"""

from __future__ import annotations

import math

import numpy as np

from .arrays import Array


def spatial_axes(a: Array) -> tuple[int, ...]:
    """The axes behind the first two."""
    return tuple(range(2, a.ndim))


def flipped(w: Array, flip: bool) -> Array:
    """w (O, C/groups, *kernel), reversed along its spatial axes if `flip`."""
    return np.flip(w, spatial_axes(w)) if flip else w


def tap_matrices(w: Array, groups: int) -> Array:
    """w (O, C/groups, *kernel) as matrices (*kernel, groups, O/groups, C/groups), one for a tap."""
    outputs, channels, *kernel = w.shape
    grouped = w.reshape(groups, outputs // groups, channels, *kernel)
    rank = len(kernel)
    return np.ascontiguousarray(np.moveaxis(grouped, range(3, 3 + rank), range(rank)))


def from_tap_matrices(matrices: Array) -> Array:
    """The inverse of `tap_matrices`: w (O, C/groups, *kernel)."""
    *kernel, groups, outputs, channels = matrices.shape
    rank = len(kernel)
    grouped = np.moveaxis(matrices, range(rank), range(3, 3 + rank))
    return grouped.reshape(groups * outputs, channels, *kernel)


def split_channels(a: Array, groups: int) -> Array:
    """a (N, C, *spatial) as (N, groups, C/groups, *spatial)."""
    return a.reshape(a.shape[0], groups, a.shape[1] // groups, *a.shape[2:])


def columns(a: Array) -> Array:
    """a (N, groups, C/groups, *spatial) with a column for every pixel: (N, groups, C/groups, L)."""
    return a.reshape(*a.shape[:3], math.prod(a.shape[3:]))


def exchange_channels(w: Array, groups: int) -> Array:
    """w (O, C/groups, *kernel) with every W[t] transposed within its group: (C, O/groups, ...)."""
    outputs, channels, *kernel = w.shape
    grouped = w.reshape(groups, outputs // groups, channels, *kernel).swapaxes(1, 2)
    return grouped.reshape(groups * channels, outputs // groups, *kernel)
