"""The indices of max pooling, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from clconv.errors import GeometryError
from clconv.ops.arrays import Array, check_device_arrays, is_device_array


def checked_indices(indices: Any, name: str, beside: Array, pixels: int) -> Array:
    """Return the indices ready for a buffer: int64, the kind of `beside`, inside their planes.

    `beside` is argument `name`. A pyopencl array's values are not looked at: that would wait.
    """
    if is_device_array(indices) != is_device_array(beside):
        raise TypeError(f"{name} and indices must be both numpy or both pyopencl arrays")
    if not is_device_array(indices):
        indices = np.asarray(indices)
    if indices.dtype != np.int64:
        raise TypeError(f"indices must have dtype int64, got {indices.dtype}")
    if is_device_array(indices):
        check_device_arrays({name: beside, "indices": indices})
        return indices
    if indices.size and not -1 <= indices.min() <= indices.max() < pixels:
        raise GeometryError(
            f"indices lie in [{indices.min()}, {indices.max()}], but a plane of input_shape has"
            f" {pixels} pixels"
        )
    return indices
