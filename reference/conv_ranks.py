"""`conv` for images of one rank and no other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .arguments import check_image
from .arrays import Array
from .conv import conv
from .windows import Padding, PerAxis


def conv1d(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    flip: bool = False,
) -> Array:
    """`conv` for x (N, C, L) and nothing else; ValueError for another rank."""
    check_image("x", np.shape(x), rank=1)
    return conv(
        x, w, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, flip=flip
    )


def conv2d(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    flip: bool = False,
) -> Array:
    """`conv` for x (N, C, H, W) and nothing else; ValueError for another rank."""
    check_image("x", np.shape(x), rank=2)
    return conv(
        x, w, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, flip=flip
    )


def conv3d(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    flip: bool = False,
) -> Array:
    """`conv` for x (N, C, D, H, W) and nothing else; ValueError for another rank."""
    check_image("x", np.shape(x), rank=3)
    return conv(
        x, w, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, flip=flip
    )
