"""`conv` for one rank and nothing else: conv1d, conv2d, conv3d."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import check_image
from .arrays import Array
from .conv import conv


def of_rank(rank: int) -> Callable[..., Array]:
    """`conv` that refuses images of another number of spatial axes, with conv's own options."""

    @wraps(conv)
    def ranked(
        x: npt.ArrayLike, w: npt.ArrayLike, bias: npt.ArrayLike | None = None, **options: Any
    ) -> Array:
        check_image("x", np.shape(x), rank=rank)
        return conv(x, w, bias, **options)

    ranked.__name__ = ranked.__qualname__ = f"conv{rank}d"
    ranked.__doc__ = f"`conv` for x with {rank} spatial axes; ValueError for another rank."
    return ranked


conv1d, conv2d, conv3d = map(of_rank, (1, 2, 3))
