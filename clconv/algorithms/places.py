"""What the algorithms for CPUs share whose lanes are places, and whose rows are outgoing channels.

Places are pixels (pointwise) or tiles (winograd) of all images in one line; see
kernels_cl/common/segments.clh. A data gradient is such a product, too, with the channels exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from clconv.algorithms.gemm import Tile, tile_for
from clconv.program.device import Device
from clconv.spec.dtypes import dtype_named
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem

FEWEST_LANES = 8  # of a vector: rows are copied, taken apart and stored in runs of so many


def refuse_device(name: str, problem: Problem, device: Device) -> str | None:
    """Say why an algorithm in wide vectors does not serve a problem on a device at all, if so."""
    if not isinstance(problem, ConvProblem):
        return f"{name} solves convolutions only"
    if device.kernels == "gpu" or device.max_loop_turns is not None:
        return f"{name} suits the caches and registers of a CPU; {device} has a GPU's"
    if device.max_vector_width < FEWEST_LANES:
        return f"{name} works in vectors of {FEWEST_LANES}, which {device} gets wrong"
    return None


@dataclass(frozen=True, slots=True)
class PlacesJob:
    """One problem, forward or of a data gradient, on one device."""

    problem: ConvProblem
    device: Device

    @property
    def backward(self) -> bool:
        return self.problem.direction == "backward_data"

    @property
    def tile(self) -> Tile:
        """The register tile of gemm/gemm.cl, whose rows are outgoing channels."""
        tile = tile_for(self.device, self.problem.dtype, (self.channels[1], self.places))
        if tile.vw < FEWEST_LANES:
            return Tile(tile.mr, 1, FEWEST_LANES)
        return replace(tile, nv=1) if self.places <= tile.vw else tile

    @property
    def places(self) -> int:
        """All places that are lanes."""
        raise NotImplementedError

    @property
    def itemsize_bytes(self) -> int:
        return dtype_named(self.problem.dtype).itemsize_bytes

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of a group that come in, and that go out."""
        p = self.problem
        sizes = (p.group_channels, p.group_outputs)
        return sizes[::-1] if self.backward else sizes
