"""Plants NaN, infinities and zeros where sums begin and end: at corners, on edges and inside."""

from __future__ import annotations

import numpy as np

SPECIALS = (np.nan, np.inf, -np.inf, 0.0, -0.0)


def planted(rng, array, count=1):
    """Return a copy of `array` with `count` specials, half of them at ends of the last axes."""
    array = array.copy()
    for _ in range(count):
        ends = [
            (0, size - 1, int(rng.integers(size)), int(rng.integers(size))) for size in array.shape
        ]
        array[tuple(int(rng.choice(end)) for end in ends)] = rng.choice(SPECIALS)
    return array


def planted_tensors(rng, tensors, share=0.4):
    """Return `tensors` (by name) with one or two specials in some of those that hold reals."""
    chosen = [n for n, a in tensors.items() if a.dtype.kind == "f" and rng.random() < share]
    return {**tensors, **{n: planted(rng, tensors[n], int(rng.integers(1, 3))) for n in chosen}}
