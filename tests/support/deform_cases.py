"""Deformable convolutions to try things on: shapes, tensors, and how often a term is rounded."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from clconv.reference.bounds import sample_roundings
from clconv.reference.shape_types import ConvShape


@dataclass(frozen=True)
class DeformCase:
    """A convolution's shape, and what makes it deformable."""

    shape: ConvShape
    offset_groups: int = 1
    has_mask: bool = True

    @property
    def rank(self):
        return len(self.shape.spatial)

    def keywords(self) -> dict[str, Any]:
        return self.shape.keywords() | {"offset_groups": self.offset_groups}

    def tensors(self, dtype, kind="integer", seed=0):
        """x, w, offset, mask (or None), bias and dy by name; `kind` is "integer" or "random".

        Integers come with offsets in quarters, so that everything is exact in float32. Both have
        offsets that are whole, and some that lead far outside; the random ones have tiny ones.
        """
        shape, rng = self.shape, np.random.default_rng(seed)
        masks = (shape.batch, self.offset_groups * prod(shape.kernel), *shape.y_shape[2:])
        offsets = (masks[0], masks[1] * self.rank, *masks[2:])
        shapes = {"x": shape.x_shape, "w": shape.w_shape, "mask": masks}
        shapes |= {"bias": (shape.outputs,), "dy": shape.y_shape}
        if kind == "integer":
            made = {name: rng.integers(-3, 4, size) for name, size in shapes.items()}
            offset = rng.integers(-8, 9, offsets) / 4
        else:
            made = {name: rng.uniform(-1, 1, size) for name, size in shapes.items()}
            offset = rng.normal(0, 1.5, offsets)
            tiny = rng.choice([1e-9, -1e-9], offsets)
            offset = np.where(rng.random(offsets) < 0.1, tiny, offset)
        offset = np.where(rng.random(offsets) < 0.1, np.rint(offset), offset)
        far = rng.choice([-1e30, -3e9, -1000.5, 1000.25, 2.5e9, 1e30], offsets)
        if dtype == "float16":
            far = np.clip(far, -6e4, 6e4)
        made["offset"] = np.where(rng.random(offsets) < 0.02, far, offset)
        if not self.has_mask:
            made["mask"] = None
        return {name: None if a is None else a.astype(dtype) for name, a in made.items()}

    def roundings(self) -> dict[str, int]:
        """Return, by result, how many roundings a term may meet; see reference/bounds.py."""
        shape, sampled = self.shape, sample_roundings(self.rank)
        column = shape.outputs // shape.groups
        windows = prod(shape.y_shape[2:])
        shared = shape.channels // self.offset_groups
        return {
            "y": shape.terms("forward") + 1 + sampled,
            "dx": column + prod(shape.kernel) * windows + sampled,
            "dw": shape.batch * windows + sampled,
            "doffset": column + shared + sampled,
            "dmask": column + shared + sampled,
        }

    def __str__(self):
        return f"{self.shape}:og{self.offset_groups}" + ":mask" * self.has_mask


CASES = {
    "point": DeformCase(ConvShape.of(1, 1, 1, (1, 1), 1)),
    "1d": DeformCase(ConvShape.of(2, 3, 4, (29,), 3, stride=2, padding=1)),
    "2d": DeformCase(ConvShape.of(2, 4, 5, (9, 8), (3, 2), padding=((1, 0), (0, 1)))),
    "2d_no_mask": DeformCase(
        ConvShape.of(1, 4, 3, (7, 9), 3, stride=(2, 1), padding=1), has_mask=False
    ),
    "2d_groups": DeformCase(
        ConvShape.of(2, 6, 9, (8, 9), (2, 3), dilation=2, padding=(1, 2), groups=3),
        offset_groups=2,  # of three channels each, where the filters have two
    ),
    "2d_offset_groups": DeformCase(
        ConvShape.of(1, 8, 4, (7, 7), 3, padding=1, groups=2), offset_groups=8
    ),
    "2d_many_channels": DeformCase(
        ConvShape.of(1, 70, 3, (5, 6), (2, 1)),
        offset_groups=2,  # 35 channels: more than a work-item samples
    ),
    "3d": DeformCase(
        ConvShape.of(2, 4, 3, (4, 5, 6), (2, 3, 2), stride=(1, 1, 2), padding=((0, 1), (1, 1), 1)),
        offset_groups=2,
    ),
    "3d_no_mask": DeformCase(ConvShape.of(1, 2, 2, (3, 4, 5), 2, dilation=(1, 2, 1)), 1, False),
}
