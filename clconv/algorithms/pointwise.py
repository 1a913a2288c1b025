"""pointwise: filters of one tap, forward and data gradient, for CPU devices: a product in place.

The im2col matrix of a 1x1 filter of stride 1 is the image. Lanes are pixels of all images in one
line; see kernels_cl/pointwise/pointwise.cl. The data gradient is a product of dY with W^T.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from clconv.algorithms.axes import axes_of
from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.element import real_macros
from clconv.algorithms.epilogue import beta_of, epilogue_macros
from clconv.algorithms.gemm import Matrix, Split, pack_launch, panels
from clconv.algorithms.gemm_jobs import transposed
from clconv.algorithms.places import PlacesJob, refuse_device
from clconv.program.device import Device
from clconv.program.plan import Launch, Launches, Plan, loop, round_up
from clconv.spec.geometry import INDEX_LIMIT
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem

PANELS_BYTES = 128 * 2**10  # of images in local memory: a part of a second-level cache
SUMS_BYTES = 64 * 2**10
MOST_PANELS = 4  # neighbours that a work-item takes: longer runs of each channel


class Pointwise:
    """See the module."""

    name = "pointwise"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only filters of one tap, stride 1 and no padding, on CPU devices."""
        reason = refuse_device(self.name, problem, device)
        if reason or not isinstance(problem, ConvProblem):
            return reason
        if problem.direction == "backward_weights" or problem.geometry.taps > 1:
            return f"{self.name} makes results and gradients of data by filters of one tap"
        if not all(axis.pointwise for axis in axes_of(problem)):
            return f"{self.name} takes windows that are the image's pixels"
        return _Job(problem, device).refuse(self.name)

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return the launches: filters are packed, then multiplied."""
        assert isinstance(problem, ConvProblem)
        job = _Job(problem, device)
        return Plan(problem, self.name, Launches(job.launches), job.workspace())


class Share(NamedTuple):
    """What a work-item takes: panels, channels of them at a time, and blocks of outputs."""

    panels: int
    depth: int
    blocks: int


@dataclass(frozen=True, slots=True)
class _Job(PlacesJob):
    """One problem on one device."""

    @property
    def panels(self) -> int:
        """Panels in the line of all pixels."""
        return panels(self.problem.batch * self.problem.geometry.pixels, self.tile.nr)

    def elements(self, size_bytes: int) -> int:
        return size_bytes // self.itemsize_bytes

    def share(self) -> Share:
        """Return what a work-item takes: most, but no core is to wait for another."""
        incoming, outgoing = self.channels
        room = self.elements(PANELS_BYTES) // self.tile.nr  # channels of one panel
        sums = self.elements(SUMS_BYTES) // (self.tile.mr * self.tile.nr)
        wanted = 4 * self.device.compute_units
        count = MOST_PANELS
        while count > 1 and (
            count * incoming > room or panels(self.panels, count) * self.problem.groups < wanted
        ):
            count //= 2
        blocks = panels(outgoing, self.tile.mr)
        items = max(panels(self.panels, count) * self.problem.groups, 1)
        taken = panels(blocks, panels(wanted, items))
        depth = min(room // count, incoming)
        return Share(count, depth, taken if depth == incoming else min(taken, sums // count))

    def workspace(self) -> dict[str, int]:
        """Return the bytes of packed filters."""
        incoming, outgoing = self.channels
        packed = self.problem.groups * incoming * round_up(outgoing, self.tile.mr)
        return {"packed_w": packed * self.itemsize_bytes}

    def refuse(self, name: str) -> str | None:
        """Say what has no room."""
        if self.device.local_memory_bytes < PANELS_BYTES + SUMS_BYTES + 4096:
            return f"{name} needs more local memory than {self.device} has"
        needed = self.workspace()["packed_w"]
        if needed > self.device.max_allocation_bytes or needed >= INDEX_LIMIT:
            return f"{name} needs {needed} bytes for packed_w; {self.device} has less"
        return None

    def launches(self) -> Iterator[Launch]:
        p, tile, (incoming, outgoing) = self.problem, self.tile, self.channels
        filters = Matrix(
            "w",
            row=Split.plain(p.group_outputs, p.group_channels),
            column=Split.plain(p.group_channels, 1),
            group=p.group_outputs * p.group_channels,
        )
        yield pack_launch(
            p.dtype,
            transposed(filters) if self.backward else filters,
            "packed_w",
            width=tile.mr,
            rows=outgoing,
            depth=incoming,
            groups=p.groups,
            prepares="w",
        )
        yield self.product_launch()

    def product_launch(self) -> Launch:
        p, tile, (incoming, outgoing) = self.problem, self.tile, self.channels
        share, blocks = self.share(), panels(outgoing, tile.mr)
        image, result = ("dy", "dx") if self.backward else ("x", "y")
        return Launch(
            source="pointwise/pointwise.cl",
            kernel="pointwise",
            macros={
                **real_macros(p.dtype),
                **epilogue_macros(p),
                "VW": tile.vw,
                "MR": tile.mr,
                "NV": tile.nv,
                "PANELS": self.elements(PANELS_BYTES),
                "SUMS": self.elements(SUMS_BYTES),
            },
            global_size=(panels(self.panels, share.panels), panels(blocks, share.blocks), p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *(image, "packed_w", "bias" if p.bias else result, result, p.batch),
                *(incoming, outgoing, p.geometry.pixels, blocks),
                *(share.depth, share.panels, share.blocks, int(p.bias), beta_of(p)),
            ),
            # An upper bound: this algorithm refuses devices that count.
            turns=64 * loop(incoming + 1, loop(blocks + 1, loop(prod((tile.mr, tile.nr)), 8))),
        )
