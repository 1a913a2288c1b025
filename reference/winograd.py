"""Winograd's minimal filtering F(m, r): m outputs of a filter of r taps from m + r - 1 products.

    y = A^T [(G g) . (B^T d)],      . multiplies element by element

for a filter g and m + r - 1 = alpha pixels d; `winograd_matrices` has the matrices, and why.

Several axes are done one after the other (nesting): in two, Y = A^T [(G g G^T) . (B^T d B)] A. An
image is cut into tiles of alpha pixels that overlap by r - 1, and each gives m outputs; channels
are summed between the transforms, where there are fewest numbers. The data gradient of a
convolution of stride 1 is such a convolution again: of dy, with the flipped filter, its channels
exchanged, and padding r - 1 - low.

Every operation is rounded to one dtype, product by product and addition by addition, in order, so
that any arithmetic can be watched: in longdouble the result agrees with `conv` but for the last
digits, in float32 it shows the errors that `bounds_winograd` bounds, and with dtype=object the
numbers are fractions and the result is exact.

Edge cases: rounding errors, NaN and infinities reach all outputs of a tile.

References
----------
Winograd, "Arithmetic complexity of computations", 1980: F(m, r), and that no fewer products do.
Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016: nesting, tiles, channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import check_shape, conv_axes, conv_output_shape
from .arrays import Array, widen
from .matrices import exchange_channels, flipped, split_channels
from .windows import Axes, Padding, PerAxis, counts, pad, per_axis, spread
from .winograd_matrices import Points, Transforms, exactly, minimal_filtering


def forward(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    m: PerAxis,
    padding: Padding = 0,
    groups: int = 1,
    dtype: npt.DTypeLike | None = None,
    filter_dtype: npt.DTypeLike | None = None,
    points: Points | None = None,
) -> Array:
    """`conv(x, w)` of stride and dilation 1 by F(m, r), r the taps of w along an axis.

    Parameters
    ----------
    x : array (N, C, *spatial), of real numbers, with 1, 2 or 3 spatial axes
    w : array (O, C/groups, *kernel)
    m : outputs of a tile, one number or one per axis
    padding, groups : as in `conv`
    dtype : to which the data, the matrices and every operation are rounded: None for the wide
        dtype, floating; object for fractions
    filter_dtype : the same for the transform of w alone, whose result is then rounded to `dtype`
    points : see `minimal_filtering`

    Returns
    -------
    y : array (N, O, *out) in `dtype`

    Raises
    ------
    ValueError : the shapes do not fit, or the points are too few
    TypeError : numbers, or a dtype, that are not real
    """
    x, w = in_float_or_fractions(x, w, dtype)
    axes = conv_axes(x.shape, w.shape, stride=1, padding=padding, dilation=1, groups=groups)
    steps = per_axis("m", m, len(axes))
    transforms = transforms_of(axes, steps, points)
    taps_dtype = x.dtype if filter_dtype is None else np.dtype(filter_dtype)
    of_taps = [each.rounded(taps_dtype).g for each in transforms]
    narrow = [each.rounded(x.dtype) for each in transforms]
    u = transformed(of_taps, w.astype(taps_dtype)).astype(x.dtype)
    v = transformed([each.bt for each in narrow], tiles(pad(x, axes), axes, steps))
    products = channel_sums(u, v, groups)
    return assembled(transformed([each.at for each in narrow], products), counts(axes))


def backward_data(
    dy: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    input_shape: Sequence[int],
    m: PerAxis,
    padding: Padding = 0,
    groups: int = 1,
    dtype: npt.DTypeLike | None = None,
    filter_dtype: npt.DTypeLike | None = None,
    points: Points | None = None,
) -> Array:
    """`conv_backward_data` of stride and dilation 1: the forward pass of `as_forward`.

    Parameters
    ----------
    dy : array (N, O, *out)
    input_shape : (N, C, *spatial) of x
    w, and the others : as in `forward`; m counts pixels of dx

    Returns
    -------
    dx : array of `input_shape` in `dtype`

    Raises
    ------
    ValueError, TypeError : as in `forward`
    """
    image, filters = as_forward(dy, w, input_shape=input_shape, padding=padding, groups=groups)
    return forward(
        image, filters, m=m, groups=groups, dtype=dtype, filter_dtype=filter_dtype, points=points
    )


def as_forward(
    dy: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    input_shape: Sequence[int],
    padding: Padding = 0,
    groups: int = 1,
) -> tuple[Array, Array]:
    """The image and the filters whose convolution, without padding, is the data gradient.

    dy inside a padding of r - 1 - low and r - 1 - high, which cuts off where it is negative; w
    flipped, its O and C/groups exchanged within each group.
    """
    dy, w = np.asarray(dy), np.asarray(w)
    names = ("input_shape", "w")
    options: dict[str, Any] = {"padding": padding, "groups": groups, "names": names}
    axes = conv_axes(input_shape, w.shape, stride=1, dilation=1, **options)
    check_shape("dy", dy.shape, conv_output_shape(input_shape, w.shape, axes))
    for number, axis in enumerate(axes, start=2):
        dy = spread(dy, number, 1, axis.taps - 1 - axis.low, axis.taps - 1 - axis.high)
    return dy, exchange_channels(flipped(w, True), groups)


def depth_as_channels(x: Array, w: Array, padding: tuple[int, int] = (0, 0)) -> tuple[Array, Array]:
    """A convolution of volumes, of stride and dilation 1 along the depth, as one of images.

    Each plane of the result is an image; the KD planes that a window sees of a channel are as many
    channels: x (N, C, D, H, W) and w (O, C/groups, KD, KH, KW) become (N*OD, C*KD, H, W) and
    (O, C/groups*KD, KH, KW), and y (N, O, OD, OH, OW) becomes (N*OD, O, OH, OW).
    """
    planes = spread(x, 2, 1, *padding)
    seen = np.lib.stride_tricks.sliding_window_view(planes, w.shape[2], 2)
    images = np.moveaxis(seen, (2, -1), (1, 3))  # (N, OD, C, KD, H, W)
    n, out, c, taps, *size = images.shape
    outputs, channels, _, *kernel = w.shape
    return images.reshape(n * out, c * taps, *size), w.reshape(outputs, channels * taps, *kernel)


def in_float_or_fractions(
    x: npt.ArrayLike, w: npt.ArrayLike, dtype: npt.DTypeLike | None
) -> tuple[Array, Array]:
    """Both arrays in `dtype`; None is the wide dtype, floating, and object holds fractions."""
    is_complex = np.iscomplexobj(x) or np.iscomplexobj(w)
    x, w = widen(x, w)
    wanted = np.promote_types(x.dtype, np.float64) if dtype is None else np.dtype(dtype)
    if is_complex or wanted.kind not in "fO":
        given = "complex" if is_complex else "real"
        raise TypeError(f"Winograd of {given} numbers in {wanted}: wanted real numbers, or object")
    if wanted.kind == "f":
        return x.astype(wanted), w.astype(wanted)
    as_fractions = np.frompyfunc(exactly, 1, 1)
    return as_fractions(x).astype(object), as_fractions(w).astype(object)


def transforms_of(axes: Axes, steps: Sequence[int], points: Points | None) -> list[Transforms]:
    """The matrices along every axis, for tiles of `steps` outputs."""
    pairs = zip(axes, steps, strict=True)
    return [minimal_filtering(step, axis.taps, points) for axis, step in pairs]


def tiles(image: Array, axes: Axes, steps: Sequence[int]) -> Array:
    """A padded image (..., *padded) in tiles that start `steps` apart: (..., *tiles, *alpha).

    Behind its end the image goes on with zeros, up to the end of the last tile.
    """
    first = image.ndim - len(axes)
    for number, (axis, step) in enumerate(zip(axes, steps, strict=True), start=first):
        alpha, missing = step + axis.taps - 1, -axis.count % step
        image = spread(image, number, 1, 0, missing)
        windows = np.lib.stride_tricks.sliding_window_view(image, alpha, number)
        image = windows[(slice(None),) * number + (slice(None, None, step),)]
    return image


def transformed(matrices: Sequence[Array], a: Array) -> Array:
    """The matrices times `a`, one along each of its last axes, the first matrix first."""
    for number, matrix in enumerate(matrices, start=a.ndim - len(matrices)):
        lines = np.moveaxis(a, number, 0)
        rows = [weighted_sum(weights, lines) for weights in matrix]
        a = np.moveaxis(np.stack(rows), 0, number)
    return a


def weighted_sum(weights: Array, lines: Array) -> Array:
    """The sum of weight*line, one product and one addition at a time, in order; no zero weights."""
    products = [weight * line for weight, line in zip(weights, lines, strict=True) if weight != 0]
    total: Array = products[0]
    for product in products[1:]:
        total = total + product
    return total


def channel_sums(u: Array, v: Array, groups: int) -> Array:
    """sum over c of u*v, element by element of the tiles, in order of the channels.

    u (O, C/groups, *alpha) and v (N, C, *tiles, *alpha) give (N, O, *tiles, *alpha).
    """
    outputs, channels, *alphas = u.shape
    u = u.reshape(groups, outputs // groups, channels, *(1 for _ in alphas), *alphas)
    v = split_channels(v, groups)
    total: Array = u[:, :, 0] * v[:, :, None, 0]
    for c in range(1, channels):
        total = total + u[:, :, c] * v[:, :, None, c]
    return total.reshape(total.shape[0], outputs, *total.shape[3:])


def assembled(y: Array, sizes: Sequence[int]) -> Array:
    """y (N, O, *tiles, *m) as images (N, O, *sizes): what the last tiles have beyond is cut off."""
    rank = len(sizes)
    for number, size in enumerate(sizes, start=2):
        # Tiles, and outputs within a tile, become one axis; the next pair is as far apart again.
        y = np.moveaxis(y, 2 + rank, number + 1)
        count, step = y.shape[number : number + 2]
        y = y.reshape(*y.shape[:number], count * step, *y.shape[number + 2 :])
        y = y[(slice(None),) * number + (slice(size),)]
    return y
