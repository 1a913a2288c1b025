"""Gradients of weights by implicit_gemm, for CPUs: dW = dY X-hat^T, dY packed in panels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clconv.algorithms.axes import forward_axes, window_arguments
from clconv.algorithms.epilogue import NO_EPILOGUE
from clconv.algorithms.gemm import Matrix, Split, pack_launch, panels
from clconv.algorithms.gemm_jobs import chunks
from clconv.algorithms.implicit_boxes import Box, box_of_rows
from clconv.algorithms.implicit_job import Job, turns_of
from clconv.program.plan import Launch, round_up


@dataclass(frozen=True, slots=True)
class WeightsJob(Job):
    """One problem on one device, within limits."""

    @property
    def images(self) -> int:
        """Images whose packed dY keeps to the limit."""
        image = self.problem.groups * self.lanes * self.problem.geometry.positions
        fit = self.limits.workspace_bytes // (image * self.itemsize_bytes)
        return min(max(fit, 1), max(self.problem.batch, 1))

    def workspace(self) -> dict[str, int]:
        """Return the bytes of packed dY."""
        p = self.problem
        panelled = p.groups * self.lanes * self.itemsize_bytes
        return {"packed_dy": panelled * self.images * p.geometry.positions}

    def has_box(self) -> bool:
        return self.box() is not None

    def box(self) -> Box | None:
        """Return what a work-item stages at once."""
        p, kept = self.problem, (self.tile, self.problem.dtype, self.tiles)
        axes = forward_axes(p)
        return box_of_rows(axes, p.batch, p.group_channels, p.group_outputs, *kept)

    def launches(self) -> Iterator[Launch]:
        """Yield packing and products of as many images as there is room for, in order."""
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
        box = self.box()
        assert box is not None
        rows, outs = p.group_channels * p.geometry.taps, panels(p.group_outputs, tile.nr)
        # One panel each, and fewer rows, if that is what it takes to keep every core busy.
        wanted, share, taken = 4 * self.device.compute_units, box.share, box.panels
        if panels(rows, share) * panels(outs, taken) * p.groups < wanted:
            taken = 1
        while share > tile.mr and panels(rows, share) * outs * p.groups < wanted:
            share = round_up(share // 2, tile.mr)
        return Launch(
            source="implicit_gemm/weights.cl",
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
            turns=turns_of(tile, box, axes, box.channels) * box.count(axes, p.batch) * taken,
        )
