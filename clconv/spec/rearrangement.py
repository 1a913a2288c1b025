"""How an array as the user has it becomes the plain one that the algorithms know.

Axes in any order become (N, C, *spatial); batch groups become channels; pixels are spread apart
(input dilation), padded by zeros or by the image's own pixels, or cut off; complex numbers become
real ones. See kernels_cl/rearrange/rearrange.cl for the formula, which this is the size sheet of.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from clconv.errors import GeometryError
from clconv.spec.geometry import Padding, Sizes, three_axes
from clconv.spec.layout import permuted, strides_of

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
# How complex numbers become real ones. "beside": real and imaginary part as channels beside each
# other. "matrix": a filter as the real matrix ((re, -im), (im, re)) that multiplies such channels.
# Its transpose is the conjugate's, so that real adjoints are complex ones. "matrix_conjugate":
# that of the conjugate.
PARTS = ("", "beside", "matrix", "matrix_conjugate")


@dataclass(frozen=True, slots=True)
class Rearrangement:
    """Sizes and strides of the given array, (n, g, c, *spatial), and what is done to its space."""

    batch: int
    groups: int
    channels: int  # of one group
    spatial: Sizes
    strides: Sizes  # of n, g, c and the spatial axes, in elements
    spread: Sizes
    padding: Padding
    mode: str = "zeros"
    parts: str = ""  # of complex numbers, see PARTS

    @staticmethod
    def of(
        shape: Sizes,
        layout: str,
        plain_layout: str,
        *,
        batch_groups: int = 1,
        spread: Sizes | None = None,
        padding: Padding | None = None,
        mode: str = "zeros",
        parts: str = "",
    ) -> Rearrangement:
        """Describe an array of `shape` in `layout`; `plain_layout` has its letters in order."""
        batch, channels, *spatial = permuted(shape, layout, plain_layout)
        n, c, *steps = strides_of(shape, layout, plain_layout)
        rank = len(spatial)
        block = batch // batch_groups
        return Rearrangement(
            block,
            batch_groups,
            channels,
            tuple(spatial),
            (n, block * n, c, *steps),
            # Between the pixels of one there is nothing: any number may have been given.
            tuple(
                gap if size > 1 else 1
                for gap, size in zip(spread or (1,) * rank, spatial, strict=True)
            ),
            padding or ((0, 0),) * rank,
            mode,
            parts,
        )

    @staticmethod
    def flat(shape: Sizes, parts: str = "") -> Rearrangement:
        """Describe an array that has no layout: a bias, the columns of im2col."""
        one_row = (1, shape[0], prod(shape[1:])) if parts else (1, 1, prod(shape))
        return Rearrangement.of(one_row, "NCW", "NCW", parts=parts)

    @property
    def plain_spatial(self) -> Sizes:
        """Spatial sizes of the plain array."""
        axes = zip(self.spatial, self.spread, self.padding, strict=True)
        return tuple((size - 1) * gap + 1 + low + high for size, gap, (low, high) in axes)

    @property
    def plain_shape(self) -> Sizes:
        """(N, C, *spatial) of the plain array."""
        rows, channels = self.batch, self.groups * self.channels
        if self.parts:
            channels *= 2
        if self.parts.startswith("matrix"):
            rows *= 2
        return (rows, channels, *self.plain_spatial)

    @property
    def is_identity(self) -> bool:
        """Whether the given array is plain already."""
        shape = (self.batch, self.groups, self.channels, *self.spatial)
        contiguous = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
        strides = zip(shape, self.strides, contiguous, strict=True)
        return (
            all(size == 1 or step == plain for size, step, plain in strides)
            and self.plain_spatial == self.spatial
            and not self.parts
            and all(low == 0 for low, _ in self.padding)
        )

    def scalars(self) -> Sizes:
        """Return the kernels' GIVEN_ARGUMENTS."""
        low = tuple(pair[0] for pair in self.padding)
        steps = self.strides[3:]
        return (
            self.channels,
            *three_axes(self.spatial, 1),
            *three_axes(self.plain_spatial, 1),
            *self.strides[:3],
            *three_axes(steps, 0),
            *three_axes(self.spread, 1),
            *three_axes(low, 0),
        )


def check_padding_mode(mode: str, padding: Padding, input: Sizes) -> None:
    """Raise unless `mode` is known and the image has the pixels that it asks for."""
    if mode not in PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}; got {mode!r}")
    spare = {"reflect": 1, "circular": 0}
    for (low, high), size in zip(padding, input, strict=True):
        if mode in spare and max(low, high) > size - spare[mode]:
            raise GeometryError(
                f"padding {padding} with padding_mode={mode!r} needs more pixels than the image"
                f" {input} has"
            )
