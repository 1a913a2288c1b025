"""Deformable convolution: im2col + GEMM whose columns are sampled. Host side of kernels_cl/deform.

    forward           Y  = W X-hat          as a convolution, X-hat by deform_columns
    backward_weights  dW = dY X-hat^T       as a convolution, X-hat^T by deform_rows
    backward_data     X-hat' = W^T dY       then deform_data makes dX of it, and deform_offset the
                                            gradients of offset and mask

The chunks of the last are of windows with all their channels: the gradients of offset and mask are
sums over channels, and so each is made in one piece.

Source: Dai et al., "Deformable convolutional networks", 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from clconv.algorithms.base import Limits
from clconv.algorithms.element import real_type
from clconv.algorithms.gemm import Matrix, Split, gemm_launch, pack_launch, panels, tile_for
from clconv.algorithms.gemm_jobs import JOBS, Job, chunks, transposed
from clconv.algorithms.im2col import channel_block
from clconv.errors import UnsupportedError
from clconv.program.device import Device
from clconv.program.plan import Launch, Plan, line_of_groups, loop, round_up
from clconv.spec.deform import DeformProblem

NAME = "deform"
# Work-items for each compute unit, among which deform_data divides channels and pixels. All of them
# go through all samples of their image: 16 channels of 112 x 112 took 5, 8 and 15 ms with 1, 2 and
# 4 on two Zen cores (Intel's runtime). With one, cores idle where work does not divide evenly. A
# GPU needs many to hide its latency; that number is a guess, not a measurement.
CPU_ITEMS, GPU_ITEMS = 2, 32


def deform_plan(problem: DeformProblem, device: Device, limits: Limits) -> Plan:
    """Return the launches that solve `problem`.

    Raises
    ------
    UnsupportedError : the smallest chunk cannot be allocated or indexed
    """
    reason = _job(problem, device, Limits(workspace_bytes=0)).refuse(NAME, device)
    if reason:
        raise UnsupportedError(reason)
    return _job(problem, device, limits).plan(problem, NAME)


def _job(problem: DeformProblem, device: Device, limits: Limits) -> Job:
    conv, tile = problem.conv, tile_for(device, problem.dtype)
    unfold = partial(unfold_launch, problem, channel_block(device))
    if conv.direction == "backward_data":
        return _Gradients(conv, tile, limits, unfold, problem, device)
    return JOBS[conv.direction](conv, tile, limits, unfold)


class _Chunk(NamedTuple):
    """Some windows of some images."""

    first_image: int
    images: int
    first_window: int
    windows: int

    @property
    def columns(self) -> int:
        """Columns of X-hat'."""
        return self.images * self.windows


@dataclass(frozen=True, slots=True)
class _Gradients(Job):
    """dX, doffset and dmask from X-hat' = W^T dY, some windows at a time."""

    deform: DeformProblem
    device: Device

    @property
    def size(self) -> tuple[int, int]:
        """Windows of each image, and images, of a chunk."""
        rows = self.problem.groups * self.unfolded
        windows = self.fitting(self.positions, self.tile.nr, rows)
        windows = min(windows, self.positions, _most_windows(self.deform, self.device))
        return windows, self.fitting(self.problem.batch, 1, rows * windows)

    def workspace(self) -> dict[str, int]:
        p, (windows, images) = self.problem, self.size
        return {
            "packed_w": p.groups * round_up(self.unfolded, self.tile.mr) * p.group_outputs,
            "packed_dy": p.outputs * round_up(images * windows, self.tile.nr),
            "columns": p.groups * self.unfolded * images * windows,
        }

    def launches(self) -> Iterator[Launch]:
        p, (windows, images) = self.problem, self.size
        yield pack_launch(
            p.dtype,
            transposed(self.filters("w")),
            "packed_w",
            self.tile,
            width=self.tile.mr,
            rows=self.unfolded,
            depth=p.group_outputs,
            groups=p.groups,
        )
        for some_images in chunks(p.batch, images):
            for some_windows in chunks(self.positions, windows):
                chunk = _Chunk(*some_images, *some_windows)
                yield from self.unproject(chunk)
                yield data_launch(self.deform, self.device, chunk)
                yield offset_launch(self.deform, chunk)

    def unproject(self, chunk: _Chunk) -> Iterator[Launch]:
        """Yield X-hat' of one chunk."""
        p, tile, whole = self.problem, self.tile, self.images("dy", chunk.first_image)
        dy = Matrix(
            whole.name,
            row=Split(chunk.windows, p.outputs * self.positions, 1),
            column=whole.row,
            group=whole.group,
            origin=whole.origin + chunk.first_window,
        )
        m, n, k, groups = self.unfolded, chunk.columns, p.group_outputs, p.groups
        yield pack_launch(
            p.dtype, dy, "packed_dy", tile, width=tile.nr, rows=n, depth=k, groups=groups
        )
        columns = Matrix("columns", row=Split.plain(m, n), column=Split.plain(n, 1), group=m * n)
        yield gemm_launch(p, tile, "packed_w", "packed_dy", columns, m=m, n=n, k=k, groups=groups)


def _macros(problem: DeformProblem) -> dict[str, int | str]:
    geometry = problem.conv.geometry
    return {
        "REAL": real_type(problem.dtype),
        "MASK": int(problem.has_mask),
        "RANK": geometry.rank,
        **geometry.macros(),
    }


def _mask(problem: DeformProblem) -> str:
    """Return what is bound to `mask`, which is not read where there is none."""
    return "mask" if problem.has_mask else "offset"


def unfold_launch(
    problem: DeformProblem, block: int, way: str, nr: int, first: int, count: int
) -> Launch:
    """Sample columns [first, first + count) of X-hat into panels of `nr` columns or rows.

    `way` is what lies beside each other in a panel: "columns" or "rows".
    """
    conv = problem.conv
    channels = conv.group_channels
    return Launch(
        source="deform/panels.cl",
        kernel=f"deform_{way}",
        macros={**_macros(problem), "NR": nr},
        global_size=(panels(count, nr), panels(channels, block), conv.groups),
        local_size=(1, 1, 1),
        arguments=(
            *("x", "offset", _mask(problem), "columns", channels, conv.groups),
            *(problem.offset_groups, first, count, block, *conv.geometry.scalars()),
        ),
        turns=_unfold_turns(problem, block, nr),
    )


def _unfold_turns(problem: DeformProblem, block: int, nr: int) -> int:
    geometry = problem.conv.geometry
    axes, corners = loop(geometry.rank), 2**geometry.rank
    located = loop(nr, axes + loop(corners, 2 * axes))
    taken = loop(nr) + loop(corners, loop(nr)) + loop(nr)
    # The channels of a block in turns, one for each offset group that they belong to.
    parts = min(panels(block, problem.offset_channels) + 1, block)
    channels = loop(parts, located + 1) + block * (1 + taken + loop(nr))
    return loop(nr) + loop(geometry.taps, channels) + loop(nr, loop(nr))


def _sample_turns(problem: DeformProblem, block: int) -> int:
    """Return those of deform_data for one window."""
    geometry = problem.conv.geometry
    axes, corners = loop(geometry.rank), 2**geometry.rank
    return 1 + loop(geometry.taps, axes + loop(corners, 2 * axes + loop(block)))


def _begin_turns(block: int, span: int) -> int:
    """Return those of deform_data before its windows and behind them."""
    return loop(block, loop(span)) + 1


def _most_windows(problem: DeformProblem, device: Device) -> int:
    """Return how many windows a work-item of deform_data, of one channel, may go through."""
    geometry = problem.conv.geometry
    if device.max_loop_turns is None:
        return geometry.positions
    left = device.max_loop_turns - _begin_turns(1, geometry.pixels)
    return max(left // _sample_turns(problem, 1), 1)


def data_launch(problem: DeformProblem, device: Device, chunk: _Chunk) -> Launch:
    """Scatter the columns of a chunk into dx, which the first windows of an image begin anew."""
    conv, shared = problem.conv, problem.offset_channels
    pixels = conv.geometry.pixels
    items = device.compute_units * (CPU_ITEMS if device.kernels == "cpu" else GPU_ITEMS)
    wanted = panels(items, chunk.images * problem.offset_groups)
    blocks = min(wanted, shared) if device.max_loop_turns is None else shared
    block = panels(shared, blocks)
    parts = problem.offset_groups * panels(shared, block)
    span = panels(pixels, min(panels(items, chunk.images * parts), pixels))
    return Launch(
        source="deform/gradients.cl",
        kernel="deform_data",
        macros=_macros(problem),
        global_size=(parts, panels(pixels, span), chunk.images),
        local_size=(1, 1, 1),
        arguments=(
            *("columns", "offset", _mask(problem), "dx", conv.channels, shared, block, span),
            *(chunk.first_image, chunk.first_window, chunk.windows, *conv.geometry.scalars()),
        ),
        turns=_begin_turns(block, span) + chunk.windows * _sample_turns(problem, block),
    )


def offset_launch(problem: DeformProblem, chunk: _Chunk) -> Launch:
    """Make doffset and dmask of the windows of a chunk."""
    conv = problem.conv
    taps, offset_groups = conv.geometry.taps, problem.offset_groups
    global_size, local_size = line_of_groups(chunk.columns, taps, offset_groups)
    return Launch(
        source="deform/gradients.cl",
        kernel="deform_offset",
        macros=_macros(problem),
        global_size=global_size,
        local_size=local_size,
        arguments=(
            *("columns", "x", "offset", _mask(problem), "doffset"),
            *("dmask" if problem.has_mask else "doffset", conv.channels, problem.offset_channels),
            *(chunk.first_image, chunk.first_window, chunk.windows, chunk.columns),
            *conv.geometry.scalars(),
        ),
        turns=_offset_turns(problem),
    )


def _offset_turns(problem: DeformProblem) -> int:
    geometry = problem.conv.geometry
    axes, corners = loop(geometry.rank), 2**geometry.rank
    channel = axes + loop(corners, axes + loop(geometry.rank, axes)) + axes
    return 3 * axes + loop(corners, axes) + loop(problem.offset_channels, channel)
