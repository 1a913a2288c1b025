"""What the jobs of implicit_gemm for CPUs share: tiles of lanes, what they keep, macros."""

from __future__ import annotations

from dataclasses import dataclass, replace

from clconv.algorithms.axes import Axis, taps_of
from clconv.algorithms.base import Limits
from clconv.algorithms.element import real_macros
from clconv.algorithms.gemm import Tile, panels, tile_for
from clconv.algorithms.implicit_boxes import ROWS, Box, local_bytes, staged_elements, tiles_kept
from clconv.program.device import Device
from clconv.program.plan import round_up
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import INDEX_LIMIT
from clconv.spec.problem import ConvProblem

FEWEST_LANES = 8  # of a vector: a finished tile is written in runs of so many


def tile_of(device: Device, problem: ConvProblem) -> Tile:
    """Return the tile of gemm/gemm.cl, or half of it where one vector holds all lanes."""
    tile = tile_for(device, problem.dtype)
    if tile.vw < FEWEST_LANES:
        return replace(tile, nv=1, vw=FEWEST_LANES)
    return replace(tile, nv=1) if lanes_of(problem) <= tile.vw else tile


def lanes_of(problem: ConvProblem) -> int:
    """Return the channels of one group that go out."""
    p = problem
    return p.group_channels if p.direction == "backward_data" else p.group_outputs


@dataclass(frozen=True, slots=True)
class Job:
    """One problem on one device, within limits, in tiles of some size."""

    problem: ConvProblem
    device: Device
    limits: Limits
    tile: Tile

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
        return round_up(lanes_of(self.problem), self.tile.nr)

    def workspace(self) -> dict[str, int]:
        """Return the bytes of packed operands."""
        raise NotImplementedError

    def has_box(self) -> bool:
        """Whether what a window sees has room in local memory."""
        raise NotImplementedError

    def refuse(self, name: str) -> str | None:
        """Say what has no room."""
        p, size = self.problem, self.itemsize_bytes
        if self.device.local_memory_bytes < local_bytes(self.tile, p.dtype, self.tiles):
            return f"{name} needs more local memory than {self.device} has"
        for buffer, needed in self.workspace().items():
            if needed > self.device.max_allocation_bytes or needed // size >= INDEX_LIMIT:
                return (
                    f"{name} needs {needed} bytes for {buffer}; the device allocates"
                    f" {self.device.max_allocation_bytes} at most, and kernels index 2**31 elements"
                )
        if not self.has_box():
            return f"{name} finds no room in local memory for what a window of {p} sees"
        return None

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


def turns_of(tile: Tile, box: Box, axes: tuple[Axis, ...], summed: int) -> int:
    """Return an upper bound: this algorithm refuses devices that count."""
    steps = (tile.mr + 2) * (tile.nv + 2) + 1
    terms = summed * taps_of(axes)
    around = 64 * tile.nr * 16
    staged = 8 * (box.images * (summed + 1) * (9 * box.pixels + 8) + 64)
    tiles = panels(max(box.positions, box.share), tile.mr)
    terms = max(terms, box.positions)
    return (tiles + 1) * (terms * steps + around * (summed + 1)) + staged * 4 + 4 * ROWS
