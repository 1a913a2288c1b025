"""Results and gradients of data by implicit_gemm, for CPUs: Y = W X-hat, W in panels of lanes.

A data gradient is one such product for each remainder that pixels leave to the strides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from clconv.algorithms.axes import (
    Axis,
    axes_of,
    forward_axes,
    phases,
    window_arguments,
)
from clconv.algorithms.base import Limits
from clconv.algorithms.element import real_macros
from clconv.algorithms.epilogue import beta_of, epilogue_macros
from clconv.algorithms.gemm import Matrix, Split, pack_launch, panels
from clconv.algorithms.implicit_boxes import Box, box_of, even, local_bytes
from clconv.algorithms.implicit_job import Job, lanes_of, tile_of, turns_of
from clconv.program.device import Device
from clconv.program.plan import Launch, loop, round_up
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import three_axes
from clconv.spec.problem import ConvProblem

TERMS_A_FLAG = 64  # terms that one work-item of pack_filters writes and looks at
MOST_PHASES = 64
INSIDE_BYTES = 20 * 2**10  # of a panel of filters that is packed where it is used
INSIDE_BOXES = 4  # up to which it is
FEWER_ROWS = 7  # of a tile of 8, if boxes of so many windows leave less of it idle
FEW = 1.03  # by so much less: a tile costs more than its rows


def images_job(problem: ConvProblem, device: Device, limits: Limits) -> ImagesJob:
    """Return the job in tiles of the device's rows, or of FEWER_ROWS: planes of 7x7 are many."""
    job = ImagesJob(problem, device, limits, tile_of(device, problem))
    if job.tile.mr != FEWER_ROWS + 1:
        return job
    short = replace(job, tile=replace(job.tile, mr=FEWER_ROWS))
    return short if FEW * short.rows < job.rows else job


@dataclass(frozen=True, slots=True)
class ImagesJob(Job):
    """One problem, forward or of a data gradient, on one device, within limits."""

    inside: bool = False  # whether filters are packed where they are used

    def workspace(self) -> dict[str, int]:
        """Return the bytes of packed filters, and of flags."""
        p, size = self.problem, self.itemsize_bytes
        panelled = p.groups * self.lanes * size
        if p.direction == "forward":
            packed = panelled * p.group_channels * p.geometry.taps
            return {} if self.inside else {"packed_w": packed}
        terms = p.group_outputs * sum(prod(axis.taps for axis in axes) for axes in self.walks)
        flags = p.groups * panels(p.group_channels, self.tile.nr)
        flags *= sum(map(self.blocks, self.walks))
        return {"packed_w": panelled * max(terms, 1), "flags": max(flags, 1) * size}

    @property
    def walks(self) -> tuple[tuple[Axis, ...], ...]:
        """Return the walks of the windows, each of which is a product."""
        p = self.problem
        return phases(p) if p.direction == "backward_data" else (forward_axes(p),)

    @property
    def rows(self) -> int:
        """Windows of all tiles, with those that are summed for nothing."""
        boxes = [(axes, self.box(axes)) for axes in self.walks]
        return sum(
            box.count(axes, self.problem.batch) * round_up(box.positions, self.tile.mr)
            for axes, box in boxes
            if box is not None
        )

    @property
    def goes_inside(self) -> bool:
        """Whether so few boxes use a panel of filters that it is better packed where it is used."""
        if self.problem.direction != "forward":
            return False
        axes = forward_axes(self.problem)
        box = self.box(axes)
        if box is None or box.count(axes, self.problem.batch) > INSIDE_BOXES:
            return False
        kept = local_bytes(self.tile, self.problem.dtype, self.tiles)
        if kept + INSIDE_BYTES > self.device.local_memory_bytes:
            return False
        terms = box.channels * self.problem.geometry.taps
        return terms * self.tile.nr * self.itemsize_bytes <= INSIDE_BYTES

    def blocks(self, axes: tuple[Axis, ...]) -> int:
        """Return the flags that packing the filters of a phase writes for each panel."""
        return panels(self.problem.group_outputs * prod(a.taps for a in axes), TERMS_A_FLAG)

    def refuse(self, name: str) -> str | None:
        """Say what there is too much of, or what has no room."""
        p = self.problem
        count = prod(min(axis.stride, axis.size) for axis in axes_of(p))
        if p.direction == "backward_data" and count > MOST_PHASES:
            return f"{name} takes at most {MOST_PHASES} phases, not {count}"
        return Job.refuse(self, name)

    def has_box(self) -> bool:
        return all(self.box(axes) is not None for axes in self.walks)

    def box(self, axes: tuple[Axis, ...]) -> Box | None:
        """Return what a work-item stages at once."""
        p, kept = self.problem, (self.tile, self.problem.dtype, self.tiles)
        summed = p.group_outputs if p.direction == "backward_data" else p.group_channels
        return box_of(axes, p.batch, summed, lanes_of(p), *kept)

    def launches(self) -> Iterator[Launch]:
        """Yield packing and products in order."""
        return self.forward() if self.problem.direction == "forward" else self.backward_data()

    def forward(self) -> Iterator[Launch]:
        p = self.problem
        if not self.inside:
            yield self.pack_launch()
        yield self.images_launch("x", "y", forward_axes(p), p.group_channels, p.group_outputs)

    def pack_launch(self) -> Launch:
        """Pack all filters of results."""
        p, taps = self.problem, self.problem.geometry.taps
        terms = p.group_channels * taps
        filters = Matrix(
            "w",
            row=Split.plain(p.group_outputs, terms),
            column=Split(taps, taps, -1 if p.flip else 1),
            group=p.group_outputs * terms,
            origin=taps - 1 if p.flip else 0,
        )
        return pack_launch(
            p.dtype,
            filters,
            "packed_w",
            self.tile,
            width=self.tile.nr,
            rows=p.group_outputs,
            depth=terms,
            groups=p.groups,
            prepares="w",
        )

    def backward_data(self) -> Iterator[Launch]:
        p = self.problem
        blocks, first, origin = sum(map(self.blocks, self.walks)), 0, 0
        for axes in self.walks:
            terms = p.group_outputs * prod(axis.taps for axis in axes)
            if terms:
                yield self.filters_launch(axes, blocks, first, origin)
            summed = p.group_outputs if terms else 0
            yield self.images_launch("dy", "dx", axes, summed, p.group_channels, origin)
            first += self.blocks(axes)
            origin += p.groups * self.lanes * terms
        if blocks and dtype_named(p.dtype).kind == "f":
            yield self.mend_launch(blocks)

    def filters_launch(
        self, axes: tuple[Axis, ...], blocks: int, first: int, origin: int
    ) -> Launch:
        """Pack the filters of one phase, from `origin` on; its flags begin at `first`."""
        p, tile = self.problem, self.tile
        return Launch(
            source="implicit_gemm/pack_filters.cl",
            kernel="pack_filters",
            macros={
                **real_macros(p.dtype),
                "VW": tile.vw,
                "WIDTH": tile.nr,
                "DEPTH": TERMS_A_FLAG,
            },
            global_size=(panels(p.group_channels, tile.nr), self.blocks(axes), p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *("w", "packed_w", "flags", p.group_channels, p.group_outputs, blocks, first),
                origin,
                *three_axes(p.geometry.kernel, 1),
                *(axis.taps for axis in axes),
                *(axis.tap_first for axis in axes),
                *(axis.tap_step for axis in axes),
            ),
            turns=loop(TERMS_A_FLAG, loop(tile.nr) + loop(tile.nv)) + loop(tile.vw),
            prepares="w",
        )

    def mend_launch(self, blocks: int) -> Launch:
        """Compute anew what infinite or NaN filters took part in."""
        p, geometry = self.problem, self.problem.geometry
        channels = self.tile.nr
        return Launch(
            source="implicit_gemm/mend.cl",
            kernel="mend",
            macros={**real_macros(p.dtype), "WIDTH": channels},
            global_size=(panels(p.group_channels, channels), p.batch, p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *("dy", "w", "flags", "bias" if p.bias else "dx", "dx", blocks),
                *(p.group_channels, p.group_outputs, int(p.bias), int(p.flip)),
                *geometry.scalars(generic=True),
            ),
            turns=loop(blocks)
            + loop(channels, loop(geometry.pixels, loop(p.group_outputs, loop(geometry.taps)))),
        )

    def images_launch(
        self,
        image: str,
        result: str,
        axes: tuple[Axis, ...],
        summed: int,
        out: int,
        origin: int = 0,
    ) -> Launch:
        """Multiply packed filters by the X-hat of `image`: `summed` channels a group to `out`.

        The filters begin at `origin` of what is packed.
        """
        p, box = self.problem, self.box(axes)
        assert box is not None
        boxes = box.count(axes, p.batch)
        outs = panels(out, self.tile.nr)
        # Fewer panels, if that is what it takes to keep every core busy to the end.
        spread = max(boxes * outs * p.groups // (4 * self.device.compute_units), 1)
        taken = even(outs, min(box.panels, spread))
        return Launch(
            source="implicit_gemm/images.cl",
            kernel="implicit_images",
            macros={
                **self.macros(),
                **epilogue_macros(p),
                "INSIDE": int(self.inside),
                "FILTERS": INSIDE_BYTES // self.itemsize_bytes,
            },
            global_size=(boxes, panels(outs, taken), p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *(image, "w" if self.inside else "packed_w"),
                *("bias" if p.bias else result, result, p.batch),
                *(origin, summed, out, int(p.bias), int(p.flip), beta_of(p)),
                *box.windows,
                *(box.channels, taken),
                *(axis.result_size for axis in axes),
                *(axis.result_first for axis in axes),
                *(axis.result_step for axis in axes),
                *window_arguments(axes),
            ),
            turns=turns_of(self.tile, box, axes, max(summed, 1)) * taken,
        )
