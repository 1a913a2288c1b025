"""Dimension numbers by chance, and arrays brought into them."""

from __future__ import annotations

import numpy as np


class Layouts:
    """Layouts of x, w and y in any order of letters.

    Arrays are channels-first before: `plain` for x and y, `filters` for w, with the spatial letters
    in the order of w's, which is that of options per axis. `first` is "OI", and "IO" for a
    transposed convolution.
    """

    def __init__(self, rng, rank, first="OI"):
        letters = "DHW"[3 - rank :]
        self.x, self.w, self.y = (
            "".join(rng.permutation([*two, *letters])) for two in ("NC", first, "NC")
        )
        spatial = "".join(letter for letter in self.w if letter in letters)
        self.plain, self.filters = "NC" + spatial, first + spatial

    def __str__(self):
        return f"{self.x},{self.w}->{self.y}"

    def give_x(self, x):
        """Bring x or dx into the layout of x."""
        return moved(x, self.plain, self.x)

    def give_w(self, w):
        """Bring w or dw into the layout of w."""
        return moved(w, self.filters, self.w)

    def give_y(self, y):
        """Bring y or dy into the layout of y."""
        return moved(y, self.plain, self.y)


def moved(array, source, target):
    """Return a C-contiguous copy with the axes in another order."""
    return np.ascontiguousarray(array.transpose([source.index(letter) for letter in target]))
