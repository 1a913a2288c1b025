"""implicit_gemm: products with the unfolded image X-hat, read in place.

On GPUs that is implicit_tiled.py; this module is for CPU devices. It does what im2col_gemm does
without ever making X-hat: an entry of it lies in the padded image at the sum of two offsets, of its
row and its column. So each work-item stages a box of the image in local memory and multiplies out
of it, lanes being output channels.

    Forward          Y  = W X-hat             windows a box at a time
    BackwardData     dX = one such product for each remainder that pixels leave to the strides
    BackwardWeights  dW = dY X-hat^T          likewise, rows of X-hat for the windows

Source: Anderson et al., "High-performance low-memory lowering: GEMM-based algorithms for DNN
convolution", 2020.
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
    taps_of,
    window_arguments,
)
from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.element import real_macros
from clconv.algorithms.epilogue import NO_EPILOGUE, beta_of, epilogue_macros
from clconv.algorithms.gemm import Matrix, Split, Tile, pack_launch, panels, tile_for
from clconv.algorithms.gemm_jobs import chunks
from clconv.algorithms.implicit_boxes import (
    ROWS,
    Box,
    box_of,
    box_of_rows,
    even,
    local_bytes,
    staged_elements,
    tiles_kept,
)
from clconv.algorithms.implicit_tiled import refuse_tiled, tiled_plan
from clconv.program.device import Device
from clconv.program.plan import Launch, Launches, Plan, loop, round_up
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import INDEX_LIMIT, three_axes
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem

TERMS_A_FLAG = 64  # terms that one work-item of pack_filters writes and looks at
MOST_PHASES = 64
FEWEST_LANES = 8  # of a vector: a finished tile is written in runs of so many


class ImplicitGemm:
    """See the module."""

    name = "implicit_gemm"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only convolutions; on CPU devices those whose boxes and packed operands have room."""
        if not isinstance(problem, ConvProblem):
            return f"{self.name} solves convolutions only"
        if device.kernels == "gpu":
            return refuse_tiled(problem, device, self.name)
        if device.max_loop_turns is not None:
            return f"{self.name} stages boxes in long loops, which {device} ends"
        if device.max_vector_width < FEWEST_LANES:
            return f"{self.name} transposes vectors of {FEWEST_LANES}, which {device} gets wrong"
        job = _Job(problem, device, Limits(workspace_bytes=0))
        if device.local_memory_bytes < local_bytes(job.tile, problem.dtype, job.tiles):
            return f"{self.name} needs more local memory than {device} has"
        return job.refuse(self.name)

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return the launches: filters or the incoming adjoint are packed, then multiplied."""
        assert isinstance(problem, ConvProblem)
        if device.kernels == "gpu":
            return tiled_plan(problem, device, self.name)
        job = _Job(problem, device, limits)
        return Plan(problem, self.name, Launches(job.launches), job.workspace())


def _tile(device: Device, problem: ConvProblem) -> Tile:
    """Return the tile of gemm/gemm.cl, or half of it where one vector holds all lanes."""
    tile = tile_for(device, problem.dtype)
    if tile.vw < FEWEST_LANES:
        return replace(tile, nv=1, vw=FEWEST_LANES)
    return replace(tile, nv=1) if _lanes(problem) <= tile.vw else tile


def _lanes(problem: ConvProblem) -> int:
    """Return the channels of one group that go out."""
    p = problem
    return p.group_channels if p.direction == "backward_data" else p.group_outputs


@dataclass(frozen=True, slots=True)
class _Job:
    """One problem on one device, within limits."""

    problem: ConvProblem
    device: Device
    limits: Limits

    @property
    def tile(self) -> Tile:
        return _tile(self.device, self.problem)

    @property
    def tiles(self) -> int:
        """Register tiles whose sums a work-item keeps."""
        return tiles_kept(self.tile, self.problem.dtype, self.device.local_memory_bytes)

    @property
    def itemsize_bytes(self) -> int:
        return dtype_named(self.problem.dtype).itemsize_bytes

    @property
    def lanes(self) -> int:
        """Channels of one group that go out, in whole panels."""
        return round_up(_lanes(self.problem), self.tile.nr)

    @property
    def images(self) -> int:
        """Images whose packed dY keeps to the limit."""
        image = self.problem.groups * self.lanes * self.problem.geometry.positions
        fit = self.limits.workspace_bytes // (image * self.itemsize_bytes)
        return min(max(fit, 1), max(self.problem.batch, 1))

    def workspace(self) -> dict[str, int]:
        """Return the bytes of packed operands."""
        p, size = self.problem, self.itemsize_bytes
        panelled = p.groups * self.lanes * size
        if p.direction == "forward":
            return {"packed_w": panelled * p.group_channels * p.geometry.taps}
        if p.direction == "backward_weights":
            return {"packed_dy": panelled * self.images * p.geometry.positions}
        every = phases(p)
        terms = p.group_outputs * sum(prod(axis.taps for axis in axes) for axes in every)
        flags = p.groups * panels(p.group_channels, self.tile.nr) * sum(map(self.blocks, every))
        return {"packed_w": panelled * max(terms, 1), "flags": max(flags, 1) * size}

    def blocks(self, axes: tuple[Axis, ...]) -> int:
        """Return the flags that packing the filters of a phase writes for each panel."""
        return panels(self.problem.group_outputs * prod(a.taps for a in axes), TERMS_A_FLAG)

    def refuse(self, name: str) -> str | None:
        """Say what has no room."""
        p, size = self.problem, self.itemsize_bytes
        count = prod(min(axis.stride, axis.size) for axis in axes_of(p))
        if p.direction == "backward_data" and count > MOST_PHASES:
            return f"{name} takes at most {MOST_PHASES} phases, not {count}"
        for buffer, needed in self.workspace().items():
            if needed > self.device.max_allocation_bytes or needed // size >= INDEX_LIMIT:
                return (
                    f"{name} needs {needed} bytes for {buffer}; the device allocates"
                    f" {self.device.max_allocation_bytes} at most, and kernels index 2**31 elements"
                )
        every = phases(p) if p.direction == "backward_data" else (forward_axes(p),)
        if any(self.box(axes) is None for axes in every):
            return f"{name} finds no room in local memory for what a window of {p} sees"
        return None

    def box(self, axes: tuple[Axis, ...]) -> Box | None:
        """Return what a work-item stages at once."""
        p, kept = self.problem, (self.tile, self.problem.dtype, self.tiles)
        if p.direction == "backward_weights":
            return box_of_rows(axes, p.batch, p.group_channels, p.group_outputs, *kept)
        summed = p.group_outputs if p.direction == "backward_data" else p.group_channels
        return box_of(axes, p.batch, summed, _lanes(p), *kept)

    def launches(self) -> Iterator[Launch]:
        """Yield packing and products in order."""
        if self.problem.direction == "forward":
            return self.forward()
        if self.problem.direction == "backward_data":
            return self.backward_data()
        return self.backward_weights()

    def forward(self) -> Iterator[Launch]:
        p, taps = self.problem, self.problem.geometry.taps
        terms = p.group_channels * taps
        filters = Matrix(
            "w",
            row=Split.plain(p.group_outputs, terms),
            column=Split(taps, taps, -1 if p.flip else 1),
            group=p.group_outputs * terms,
            origin=taps - 1 if p.flip else 0,
        )
        yield pack_launch(
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
        yield self.images_launch("x", "y", forward_axes(p), p.group_channels, p.group_outputs)

    def backward_data(self) -> Iterator[Launch]:
        p, every = self.problem, phases(self.problem)
        blocks, first, origin = sum(map(self.blocks, every)), 0, 0
        for axes in every:
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
            source="implicit_gemm/implicit_gemm.cl",
            kernel="implicit_images",
            macros={**self.macros(), **epilogue_macros(p)},
            global_size=(boxes, panels(outs, taken), p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *(image, "packed_w", "bias" if p.bias else result, result, p.batch),
                *(origin, summed, out, int(p.bias), beta_of(p)),
                *box.windows,
                *(box.channels, taken),
                *(axis.result_size for axis in axes),
                *(axis.result_first for axis in axes),
                *(axis.result_step for axis in axes),
                *window_arguments(axes),
            ),
            turns=_turns(self.tile, box, axes, max(summed, 1)) * taken,
        )

    def backward_weights(self) -> Iterator[Launch]:
        p = self.problem
        outputs, positions = p.group_outputs, p.geometry.positions
        for first, count in chunks(p.batch, self.images):
            dy = Matrix(
                "dy",
                row=Split.plain(outputs, positions),
                column=Split(positions, p.outputs * positions, 1),
                group=outputs * positions,
                origin=first * p.outputs * positions,
            )
            yield pack_launch(
                p.dtype,
                dy,
                "packed_dy",
                self.tile,
                width=self.tile.nr,
                rows=outputs,
                depth=count * positions,
                groups=p.groups,
            )
            yield self.weights_launch(first, count)

    def weights_launch(self, first: int, count: int) -> Launch:
        """Multiply packed dY of some images by their X-hat^T."""
        p, axes, tile = self.problem, forward_axes(self.problem), self.tile
        box = self.box(axes)
        assert box is not None
        rows, outs = p.group_channels * p.geometry.taps, panels(p.group_outputs, tile.nr)
        # One panel each, and fewer rows, if that is what it takes to keep every core busy.
        wanted, share, taken = 4 * self.device.compute_units, box.share, box.panels
        if panels(rows, share) * panels(outs, taken) * p.groups < wanted:
            taken = 1
        while share > tile.mr and panels(rows, share) * outs * p.groups < wanted:
            share = round_up(share // 2, tile.mr)
        return Launch(
            source="implicit_gemm/implicit_gemm.cl",
            kernel="implicit_weights",
            macros={**self.macros(), **NO_EPILOGUE},
            global_size=(panels(rows, share), panels(outs, taken), p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *("x", "packed_dy", "dw", first, count, p.group_channels, p.group_outputs),
                *(int(first > 0), int(p.flip)),
                *box.windows,
                *(share, taken),
                *window_arguments(axes),
            ),
            turns=_turns(tile, box, axes, box.channels) * box.count(axes, p.batch) * taken,
        )

    def macros(self) -> dict[str, int | str]:
        tile, dtype = self.tile, self.problem.dtype
        return {
            **real_macros(dtype),
            "MR": tile.mr,
            "NV": tile.nv,
            "VW": tile.vw,
            "STAGED": staged_elements(dtype),
            "ROWS": ROWS,
            "TILES": self.tiles,
        }


def _turns(tile: Tile, box: Box, axes: tuple[Axis, ...], summed: int) -> int:
    """Return an upper bound: this algorithm refuses devices that count."""
    steps = (tile.mr + 2) * (tile.nv + 2) + 1
    terms = summed * taps_of(axes)
    around = 64 * tile.nr * 16
    staged = 8 * (box.images * (summed + 1) * (9 * box.pixels + 8) + 64)
    tiles = panels(max(box.positions, box.share), tile.mr)
    terms = max(terms, box.positions)
    return (tiles + 1) * (terms * steps + around * (summed + 1)) + staged * 4 + 4 * ROWS
