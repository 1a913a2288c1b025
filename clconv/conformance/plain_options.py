"""What adapters have in common: which calls they take, and arrays cut into groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from clconv.conformance.calls import Array

Options = dict[str, Any]
WINDOW = ("stride", "padding", "dilation")
# What changes nothing, by option: any other value is not for an adapter.
NEUTRAL: Options = {
    "flip": False,
    "padding_mode": "zeros",
    "layout": None,
    "activation": None,
    "beta": 0,
    "out": None,
}


def plain_options(array: Array, options: Options) -> tuple[Options, int]:
    """Return stride, padding and dilation, and the groups, of a call without other options.

    Raises
    ------
    NotImplementedError : there are others, channels are not first, or numbers are not real
    """
    if array.dtype not in (np.float32, np.float64):
        raise NotImplementedError(f"no {array.dtype} in this adapter")
    rest = dict(options)
    window: Options = {
        name: rest.pop(name) for name in ("stride", "padding", "dilation") if name in rest
    }
    groups = int(rest.pop("groups", 1))
    letters = "DHW"[5 - array.ndim :]
    first = f"NC{letters},OI{letters}->NC{letters}"
    if rest.pop("dimension_numbers", None) not in (None, first):
        raise NotImplementedError("channels first only in this adapter")
    for name, value in rest.items():
        if name not in NEUTRAL or value != NEUTRAL[name]:
            raise NotImplementedError(f"no {name} in this adapter")
    return window, groups


def per_group(array: Array, groups: int) -> Iterator[Array]:
    """Yield the channels of each group of (N, C, *spatial)."""
    yield from np.split(array, groups, axis=1)
