"""Arrays brought into a layout."""

from __future__ import annotations

import numpy as np


def moved(array, source, target):
    """Return a C-contiguous copy with the axes in another order."""
    return np.ascontiguousarray(array.transpose([source.index(letter) for letter in target]))
