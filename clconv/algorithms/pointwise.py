"""pointwise: filters of one tap, for CPU devices: products in place.

The im2col matrix of a 1x1 filter is the image, or the pixels of it that strides leave. Lanes are
windows of all images in one line; see kernels_cl/pointwise/pointwise.cl. The data gradient is a
product of dY with W^T. The gradient of weights is pointwise_weights.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from clconv.algorithms.axes import Axis, axes_of, forward_axes
from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.element import real_macros
from clconv.algorithms.epilogue import beta_of, epilogue_macros
from clconv.algorithms.gemm import Matrix, Split, pack_launch, panels
from clconv.algorithms.places import PlacesJob, refuse_device
from clconv.algorithms.pointwise_weights import WeightsJob
from clconv.program.device import Device
from clconv.program.plan import Launch, Launches, Plan, loop, round_up
from clconv.spec.geometry import INDEX_LIMIT
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem

PANELS_BYTES = 96 * 2**10  # of panels of images in local memory
SUMS_BYTES = 128 * 2**10
MOST_PANELS = 4  # neighbours that a work-item takes: longer runs of each channel
MOST_PANELS_WHOLE = 16  # likewise, where all channels of them have room
BLOCKS = 16  # of filters that stay in a second-level cache while panels go by


class Pointwise:
    """See the module."""

    name = "pointwise"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only filters of one tap and no padding, gradients of stride 1, on CPU devices."""
        reason = refuse_device(self.name, problem, device)
        if reason or not isinstance(problem, ConvProblem):
            return reason
        if problem.geometry.taps > 1:
            return f"{self.name} takes filters of one tap"
        along = axes_of(problem)
        if problem.direction == "forward" and not all(map(_inside, along)):
            return f"{self.name} takes windows inside the image"
        if problem.direction != "forward" and not all(axis.pointwise for axis in along):
            return f"{self.name} makes gradients where windows are the image's pixels"
        job = WeightsJob if problem.direction == "backward_weights" else _Job
        return job(problem, device).refuse(self.name)

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return the launches: a product, before which a data gradient's filters are packed."""
        assert isinstance(problem, ConvProblem)
        if problem.direction == "backward_weights":
            return Plan(problem, self.name, (WeightsJob(problem, device).launch(),))
        job = _Job(problem, device)
        return Plan(problem, self.name, Launches(job.launches), job.workspace())


def _inside(axis: Axis) -> bool:
    """Tell whether the windows of an axis, of one tap, are pixels."""
    return axis.low == 0 and (axis.windows - 1) * axis.stride < axis.size


def _step(axis: Axis) -> int:
    """Return the stride, unless there is but one window: it may then be of any size."""
    return axis.stride if axis.windows > 1 else 0


class Share(NamedTuple):
    """What a work-item takes: panels, channels of them at a time, and blocks of outputs."""

    panels: int
    depth: int
    blocks: int


@dataclass(frozen=True, slots=True)
class _Job(PlacesJob):
    """One problem on one device."""

    @property
    def places(self) -> int:
        """All windows."""
        return self.problem.batch * self.problem.geometry.positions

    @property
    def panels(self) -> int:
        """Panels in the line of all windows."""
        return panels(self.places, self.tile.nr)

    def elements(self, size_bytes: int) -> int:
        return size_bytes // self.itemsize_bytes

    def share(self) -> Share:
        """Return what a work-item takes: most, but no core is to wait for another."""
        incoming, outgoing = self.channels
        groups, blocks = self.problem.groups, panels(outgoing, self.tile.mr)
        sums = self.elements(SUMS_BYTES) // (self.tile.mr * self.tile.nr)
        wanted = 4 * self.device.compute_units
        room = self.elements(PANELS_BYTES) // self.tile.nr
        count = MOST_PANELS  # that meet each filter once it is in the cache
        if count * incoming > room and count * blocks > sums:
            # Not as many, but more channels: or images were copied again for each range of blocks.
            count = min(max(room // incoming, 1), count)
        while count < MOST_PANELS_WHOLE and 2 * count * incoming <= room:
            count *= 2
        while count > 1 and panels(self.panels, count) * blocks * groups < wanted:
            count //= 2
        items = max(panels(self.panels, count) * groups, 1)
        taken = panels(blocks, panels(wanted, items))
        depth = min(room // count, incoming)
        return Share(count, depth, taken if depth == incoming else min(taken, sums // count))

    def workspace(self) -> dict[str, int]:
        """Return the bytes of packed filters: a data gradient's, for a result's lie right."""
        if not self.backward:
            return {}
        incoming, outgoing = self.channels
        packed = self.problem.groups * incoming * round_up(outgoing, self.tile.mr)
        return {"packed_w": packed * self.itemsize_bytes}

    def refuse(self, name: str) -> str | None:
        """Say what has no room."""
        if self.device.local_memory_bytes < PANELS_BYTES + SUMS_BYTES + 4096:
            return f"{name} needs more local memory than {self.device} has"
        needed = self.workspace().get("packed_w", 0)
        if needed > self.device.max_allocation_bytes or needed >= INDEX_LIMIT:
            return f"{name} needs {needed} bytes for packed_w; {self.device} has less"
        return None

    def launches(self) -> Iterator[Launch]:
        if self.backward:
            yield self.filters_launch()
        yield self.product_launch()

    def filters_launch(self) -> Launch:
        """Pack W^T."""
        p, tile, (incoming, outgoing) = self.problem, self.tile, self.channels
        return pack_launch(
            p.dtype,
            Matrix(
                "w",
                row=Split.plain(p.group_channels, 1),
                column=Split.plain(p.group_outputs, p.group_channels),
                group=p.group_outputs * p.group_channels,
            ),
            "packed_w",
            tile,
            width=tile.mr,
            rows=outgoing,
            depth=incoming,
            groups=p.groups,
            prepares="w",
        )

    def product_launch(self) -> Launch:
        p, tile, (incoming, outgoing) = self.problem, self.tile, self.channels
        share, blocks = self.share(), panels(outgoing, tile.mr)
        image, result = ("dy", "dx") if self.backward else ("x", "y")
        d, h, w = forward_axes(p)
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
                "PACKED": int(self.backward),
                "BLOCKS": BLOCKS,
            },
            global_size=(panels(self.panels, share.panels), panels(blocks, share.blocks), p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *(
                    image,
                    "packed_w" if self.backward else "w",
                    "bias" if p.bias else result,
                    result,
                    p.batch,
                ),
                *(incoming, outgoing, p.geometry.positions, blocks),
                *(share.depth, share.panels, share.blocks, int(p.bias), beta_of(p)),
                *(d.size * h.size * w.size, w.windows, _step(w)),
                *(h.windows, _step(h) * w.size, _step(d) * h.size * w.size),
            ),
            # An upper bound: this algorithm refuses devices that count.
            turns=64 * loop(incoming + 1, loop(blocks + 1, loop(prod((tile.mr, tile.nr)), 8))),
        )
