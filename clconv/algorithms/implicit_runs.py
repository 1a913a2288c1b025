"""Results of filters of few terms by implicit_gemm, for CPUs: lanes are runs of windows.

A first layer of three channels sums so few terms that writing takes as long; runs are written in
whole vectors. See kernels_cl/implicit_gemm/runs.cl.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from clconv.algorithms.axes import Axis, forward_axes, window_arguments
from clconv.algorithms.element import real_macros
from clconv.algorithms.epilogue import beta_of, epilogue_macros
from clconv.algorithms.gemm import Tile, panels, tile_for
from clconv.algorithms.implicit_boxes import even
from clconv.program.device import Device
from clconv.program.plan import Launch, Size3, loop, round_up
from clconv.spec.dtypes import dtype_named
from clconv.spec.problem import ConvProblem

STAGED_BYTES = 96 * 2**10  # of image, taken apart, in a second-level cache
MOST_TERMS = 256
IDLE = 1.1  # times as many lanes as windows, at most
SHARES = 8  # boxes for each core, wanted at least: none is to wait for another


class Slots(NamedTuple):
    """How rows are taken apart: one slot for each tap, or for each remainder to the stride."""

    apart: bool
    number: int
    beyond: int  # pixels of a slot that the taps add to those of the windows


class Box(NamedTuple):
    """Windows along three axes that are staged at once, and how."""

    windows: Size3
    slots: Slots
    pitch: int  # pixels of a slot


@dataclass(frozen=True, slots=True)
class RunsJob:
    """One problem on one device."""

    problem: ConvProblem
    device: Device

    @property
    def axes(self) -> tuple[Axis, ...]:
        return forward_axes(self.problem)

    @property
    def tile(self) -> Tile:
        """The register tile of gemm/gemm.cl, whose rows are outgoing channels."""
        p = self.problem
        windows = p.batch * p.geometry.positions
        return tile_for(self.device, p.dtype, (p.group_outputs, windows))

    @property
    def terms(self) -> int:
        """Terms of a sum."""
        return self.problem.group_channels * self.problem.geometry.taps

    @property
    def room(self) -> int:
        """Elements of a staged box."""
        return STAGED_BYTES // dtype_named(self.problem.dtype).itemsize_bytes

    def slots(self) -> tuple[Slots, Slots]:
        """Return both ways."""
        w = self.axes[2]
        reach = (w.taps - 1) * w.dilation
        return Slots(False, w.stride, reach // w.stride), Slots(True, w.taps, 0)

    def box(self) -> Box | None:
        """Return the box for which least is staged in all, if one has room."""
        found = [box for box in map(self.box_in, self.slots()) if box is not None]
        return min(found, key=lambda box: self.boxes(box) * self.staged(box), default=None)

    def box_in(self, slots: Slots) -> Box | None:
        """Return the box that has room: an axis is cut only where the inner ones are whole."""
        d, h, w = self.axes
        room = self.room // (self.problem.group_channels * slots.number)
        wanted = panels(SHARES * self.device.compute_units, max(self.problem.batch, 1))
        lanes = room // (_rows(d, 1) * _rows(h, 1)) - slots.beyond
        lanes -= lanes % self.tile.vw
        if lanes <= 0:
            return None
        if lanes < w.windows:
            taken = round_up(even(w.windows, lanes), self.tile.vw)
            return Box((1, 1, taken), slots, taken + slots.beyond)
        pitch = round_up(w.windows, self.tile.vw) + slots.beyond
        most = _windows(h, room // (pitch * _rows(d, 1)))
        high = even(h.windows, max(min(most, h.windows // panels(wanted, d.windows)), 1))
        if high < h.windows:
            return Box((1, high, w.windows), slots, pitch)
        most = _windows(d, room // (pitch * _rows(h, high)))
        deep = even(d.windows, max(min(most, d.windows // wanted), 1))
        return Box((deep, high, w.windows), slots, pitch)

    def boxes(self, box: Box) -> int:
        """Return how many cover all windows."""
        counts = zip(self.axes, box.windows, strict=True)
        return self.problem.batch * prod(panels(axis.windows, taken) for axis, taken in counts)

    def staged(self, box: Box) -> int:
        """Return the elements of a box."""
        rows = prod(map(_rows, self.axes[:2], box.windows[:2]))
        return self.problem.group_channels * rows * box.slots.number * box.pitch

    @property
    def local_bytes(self) -> int:
        """Return the local memory of a work-item: the box, tables of terms and of runs."""
        tile, size = self.tile, dtype_named(self.problem.dtype).itemsize_bytes
        return (self.room + tile.vw) * size + 4 * MOST_TERMS + 12 * (self.room // tile.vw + tile.nv)

    @property
    def serves(self) -> bool:
        """Whether terms are few, and lanes as good as full."""
        p, w = self.problem, self.axes[2]
        if p.direction != "forward" or p.flip or not self.terms:
            return False
        few = p.geometry.taps > 1 and self.terms <= MOST_TERMS
        full = round_up(w.windows, self.tile.vw) <= IDLE * w.windows
        room = self.local_bytes <= self.device.local_memory_bytes
        return few and full and room and self.box() is not None

    def launch(self) -> Launch:
        """Return the product."""
        p, tile, box = self.problem, self.tile, self.box()
        assert box is not None
        blocks = panels(p.group_outputs, tile.mr)
        boxes = self.boxes(box)
        wanted = panels(SHARES * self.device.compute_units, max(boxes * p.groups, 1))
        taken = even(blocks, panels(blocks, min(wanted, blocks)))
        return Launch(
            source="implicit_gemm/runs.cl",
            kernel="implicit_runs",
            macros={
                **real_macros(p.dtype),
                **epilogue_macros(p),
                "VW": tile.vw,
                "MR": tile.mr,
                "NV": tile.nv,
                "STAGED": self.room,
                "ROWS": MOST_TERMS,
            },
            global_size=(boxes, panels(blocks, taken), p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *("x", "w", "bias" if p.bias else "y", "y", p.group_channels, p.group_outputs),
                *(int(p.bias), beta_of(p)),
                *box.windows,
                *(int(box.slots.apart), box.slots.number, box.pitch, taken),
                *window_arguments(self.axes),
            ),
            # An upper bound: this algorithm refuses devices that count.
            turns=loop(self.room, 64) + blocks * loop(self.room, loop(self.terms, 64)),
        )


def _rows(axis: Axis, windows: int) -> int:
    """Return the pixels that so many windows see along an axis, and between."""
    return (windows - 1) * axis.stride + (axis.taps - 1) * axis.dilation + 1


def _windows(axis: Axis, rows: int) -> int:
    """Return the windows, none or all at most, that see so many pixels."""
    return max(min((rows - _rows(axis, 1)) // axis.stride + 1, axis.windows), 0)
