"""The checks on arguments, each written once and used by every formulation.

A message names the argument, what it was, and what it does not fit to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .padding_modes import check_padding_mode
from .windows import (
    Axes,
    Padding,
    PerAxis,
    counts,
    extent_of,
    make_axes,
    padding_pairs,
    per_axis,
)


def check_image(name: str, shape: Sequence[int], rank: int | None = None) -> None:
    """`shape` is (N, C, *spatial) with 1 to 3 spatial axes, or with exactly `rank`; N may be 0."""
    check_rank(name, shape, rank)
    check_filled(name, shape, shape[1:])


def check_filled(name: str, shape: Sequence[int], sizes: Sequence[int]) -> None:
    """Of `shape`, those `sizes` are 1 or more that are no batch's."""
    if any(size < 1 for size in sizes):
        raise ValueError(f"{name} {tuple(shape)} has an empty axis: only the batch may be empty")


def check_rank(name: str, shape: Sequence[int], rank: int | None = None) -> None:
    """`shape` has 1 to 3 spatial axes, or exactly `rank`, beside two others, in any order."""
    wanted = (1, 2, 3) if rank is None else (rank,)
    if len(shape) - 2 not in wanted:
        axes = "1 to 3" if rank is None else str(rank)
        raise ValueError(f"{name} {tuple(shape)} is not (N, C, *spatial) with {axes} spatial axes")


def check_shape(name: str, shape: Sequence[int], wanted: Sequence[int]) -> None:
    """`shape` is what the other arguments make it."""
    if tuple(shape) != tuple(wanted):
        raise ValueError(f"{name} {tuple(shape)} does not fit: wanted {tuple(wanted)}")


def conv_axes(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    *,
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
    groups: int,
    padding_mode: str = "zeros",
    names: tuple[str, str] = ("x", "w"),
) -> Axes:
    """The windows of a convolution of x (N, C, *spatial) with w (O, C/groups, *kernel).

    Raises
    ------
    ValueError : the shapes do not fit each other, under the argument names `names`
    """
    check_filters(x_shape, w_shape, groups, names)
    axes = make_axes(x_shape[2:], w_shape[2:], stride=stride, padding=padding, dilation=dilation)
    check_padding_mode(axes, padding_mode)
    return axes


def check_filters(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    groups: int,
    names: tuple[str, str] = ("x", "w"),
) -> None:
    """w (O, C/groups, *kernel) fits x (N, C, *spatial) in everything but the spatial sizes."""
    x, w = (f"{name} {tuple(shape)}" for name, shape in zip(names, (x_shape, w_shape), strict=True))
    check_image(names[0], x_shape)
    if len(w_shape) != len(x_shape):
        raise ValueError(f"{w} has {len(w_shape)} axes, but {x} has {len(x_shape)}")
    check_filled(names[1], w_shape, w_shape)
    if groups < 1:
        raise ValueError(f"groups={groups} is below the least allowed value, 1")
    if x_shape[1] % groups:
        raise ValueError(f"groups={groups} does not divide C={x_shape[1]} of {x}")
    if w_shape[0] % groups:
        raise ValueError(f"groups={groups} does not divide O={w_shape[0]} of {w}")
    if w_shape[1] * groups != x_shape[1]:
        raise ValueError(
            f"{w} has filters of {w_shape[1]} channels, but {x} with groups={groups} "
            f"has {x_shape[1] // groups}"
        )


def conv_output_shape(
    x_shape: Sequence[int], w_shape: Sequence[int], axes: Axes
) -> tuple[int, ...]:
    """(N, O, *out), the shape of y and dy."""
    return (x_shape[0], w_shape[0], *counts(axes))


@dataclass(frozen=True)
class TransposeAxis:
    """One spatial axis of a transposed convolution; `size` is that of its input."""

    size: int
    taps: int
    stride: int
    dilation: int
    low: int
    high: int
    output_padding: int

    @property
    def extent(self) -> int:
        """From the first to the last tap of the filter, both included."""
        return extent_of(self.taps, self.dilation)

    @property
    def count(self) -> int:
        """The size of the output: what the taps reach, less the padding."""
        reached = (self.size - 1) * self.stride + self.extent
        return reached - self.low - self.high + self.output_padding


def transpose_axes(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    *,
    stride: PerAxis,
    padding: Padding,
    output_padding: PerAxis,
    dilation: PerAxis,
    groups: int,
    names: tuple[str, str] = ("x", "w"),
) -> list[TransposeAxis]:
    """The numbers of a transposed convolution of x (N, C, *spatial) with w (C, O/groups, *kernel).

    Raises
    ------
    ValueError : the shapes do not fit, nothing is left of the output, or an output_padding that is
        neither below the stride nor below the dilation
    """
    check_image(names[0], x_shape)
    x, w = (f"{name} {tuple(shape)}" for name, shape in zip(names, (x_shape, w_shape), strict=True))
    if len(w_shape) != len(x_shape):
        raise ValueError(f"{w} has {len(w_shape)} axes, but {x} has {len(x_shape)}")
    check_filled(names[1], w_shape, w_shape)
    if groups < 1:
        raise ValueError(f"groups={groups} is below the least allowed value, 1")
    if w_shape[0] != x_shape[1]:
        raise ValueError(f"{w} has filters for {w_shape[0]} channels, but {x} has {x_shape[1]}")
    if x_shape[1] % groups:
        raise ValueError(f"groups={groups} does not divide C={x_shape[1]} of {x}")
    if isinstance(padding, str) and padding in ("same", "same_lower"):
        raise ValueError(f"padding={padding!r} has no one meaning in a transposed convolution")
    rank = len(x_shape) - 2
    kernel = per_axis("kernel_size", tuple(w_shape[2:]), rank)
    numbers = zip(
        x_shape[2:],
        kernel,
        per_axis("stride", stride, rank),
        per_axis("dilation", dilation, rank),
        padding_pairs(padding, x_shape[2:], kernel, kernel),
        per_axis("output_padding", output_padding, rank, least=0),
        strict=True,
    )
    axes = [TransposeAxis(i, k, s, d, low, high, e) for i, k, s, d, (low, high), e in numbers]
    for axis in axes:
        if axis.output_padding >= max(axis.stride, axis.dilation):
            raise ValueError(
                f"output_padding={axis.output_padding} is neither below stride={axis.stride} "
                f"nor below dilation={axis.dilation}"
            )
        if axis.count < 1:
            raise ValueError(
                f"size {axis.size} with kernel_size={axis.taps} and padding "
                f"({axis.low}, {axis.high}) makes an output of {axis.count} elements"
            )
    return axes


POOL_SEMANTICS = ("torch", "onnx")


def check_semantics(semantics: str) -> None:
    """`semantics` is "torch" or "onnx"."""
    if semantics not in POOL_SEMANTICS:
        raise ValueError(f"semantics={semantics!r} is unknown: wanted one of {POOL_SEMANTICS}")


def pool_axes(
    x_shape: Sequence[int],
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None,
    padding: Padding,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    semantics: str = "torch",
    name: str = "x",
) -> Axes:
    """The windows of a pooling of x (N, C, *spatial).

    `stride=None` is the kernel size for torch, 1 for ONNX.

    Raises
    ------
    ValueError : an empty image, or, for torch, padding larger than half a window, so that a
        window could lie in the padding alone
    """
    check_semantics(semantics)
    check_image(name, x_shape)
    if stride is None:
        stride = kernel_size if semantics == "torch" else 1
    axes = make_axes(
        x_shape[2:],
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    for axis in axes:
        if semantics == "torch" and 2 * max(axis.low, axis.high) > axis.extent:
            raise ValueError(
                f"padding ({axis.low}, {axis.high}) is larger than half of "
                f"kernel_size={axis.taps}, which spans {axis.extent} elements"
            )
    return axes
