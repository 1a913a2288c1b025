"""The checks on arguments, each written once and used by every formulation.

A message names the argument, what it was, and what it does not fit to.
"""

from __future__ import annotations

from collections.abc import Sequence

from .windows import Axes, Padding, PerAxis, counts, make_axes


def check_image(name: str, shape: Sequence[int], rank: int | None = None) -> None:
    """`shape` is (N, C, *spatial) with 1 to 3 spatial axes, or with exactly `rank`."""
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
    names: tuple[str, str] = ("x", "w"),
) -> Axes:
    """The windows of a convolution of x (N, C, *spatial) with w (O, C/groups, *kernel).

    Raises
    ------
    ValueError : the shapes do not fit each other, under the argument names `names`
    """
    x, w = (f"{name} {tuple(shape)}" for name, shape in zip(names, (x_shape, w_shape), strict=True))
    check_image(names[0], x_shape)
    if len(w_shape) != len(x_shape):
        raise ValueError(f"{w} has {len(w_shape)} axes, but {x} has {len(x_shape)}")
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
    return make_axes(x_shape[2:], w_shape[2:], stride=stride, padding=padding, dilation=dilation)


def conv_output_shape(
    x_shape: Sequence[int], w_shape: Sequence[int], axes: Axes
) -> tuple[int, ...]:
    """(N, O, *out), the shape of y and dy."""
    return (x_shape[0], w_shape[0], *counts(axes))


def pool_axes(
    x_shape: Sequence[int],
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None,
    padding: Padding,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
    name: str = "x",
) -> Axes:
    """The windows of a pooling of x (N, C, *spatial); `stride=None` is the kernel size.

    Raises
    ------
    ValueError : an empty image, or padding larger than half a window, so that a window could
        lie in the padding alone
    """
    check_image(name, x_shape)
    if 0 in x_shape[2:]:
        raise ValueError(f"{name} {tuple(x_shape)} has an empty spatial axis: nothing to pool")
    axes = make_axes(
        x_shape[2:],
        kernel_size,
        stride=kernel_size if stride is None else stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    for axis in axes:
        if 2 * max(axis.low, axis.high) > axis.extent:
            raise ValueError(
                f"padding ({axis.low}, {axis.high}) is larger than half of "
                f"kernel_size={axis.taps}, which spans {axis.extent} elements"
            )
    return axes
