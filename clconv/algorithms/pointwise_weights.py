"""pointwise, gradient of weights: dW = dY X^T for filters of one tap, dY read in place.

Neither operand is brought into panels beforehand: a work-item transposes the channels of X that are
its lanes, a few pixels at a time; see kernels_cl/pointwise/weights.cl.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from clconv.algorithms.element import real_macros
from clconv.algorithms.gemm import panels
from clconv.algorithms.implicit_boxes import even
from clconv.algorithms.places import PlacesJob
from clconv.program.plan import Launch, loop, round_up

PANELS_BYTES = 64 * 2**10  # of images in local memory
SUMS_BYTES = 128 * 2**10
TERMS = 256  # pixels that are transposed at a time: half a first-level cache
MOST_PANELS = 2  # of lanes that share rows of dY


class Share(NamedTuple):
    """What a work-item takes: images and pixels at a time, panels of lanes, blocks of outputs."""

    images: int
    span: int
    panels: int
    blocks: int


@dataclass(frozen=True, slots=True)
class WeightsJob(PlacesJob):
    """One problem on one device."""

    def elements(self, size_bytes: int) -> int:
        return size_bytes // self.itemsize_bytes

    @property
    def places(self) -> int:
        """Lanes are channels here."""
        return self.problem.group_channels

    @property
    def blocks(self) -> int:
        """Blocks of outputs of a group."""
        return panels(self.problem.group_outputs, self.tile.mr)

    def share(self) -> Share:
        """Return what a work-item takes: most, but no core is to wait for another."""
        p, tile, pixels = self.problem, self.tile, self.problem.geometry.pixels
        wanted = 4 * self.device.compute_units
        count = MOST_PANELS
        while count > 1 and panels(p.group_channels, count * tile.nr) * p.groups < wanted:
            count //= 2
        items = panels(p.group_channels, count * tile.nr) * p.groups
        terms = min(TERMS, self.elements(PANELS_BYTES) // (count * tile.nr))
        span = pixels if pixels <= terms else min(round_up(even(pixels, terms), 8), terms)
        images = max(min(terms // span, p.batch), 1)
        kept = self.elements(SUMS_BYTES) // (count * tile.mr * tile.nr)
        return Share(images, span, count, min(panels(self.blocks, panels(wanted, items)), kept))

    def refuse(self, name: str) -> str | None:
        """Say what has no room."""
        if self.device.local_memory_bytes < PANELS_BYTES + SUMS_BYTES + 4096:
            return f"{name} needs more local memory than {self.device} has"
        return None

    def launch(self) -> Launch:
        """Return the only launch."""
        p, tile, share = self.problem, self.tile, self.share()
        lanes = panels(p.group_channels, share.panels * tile.nr)
        return Launch(
            source="pointwise/weights.cl",
            kernel="pointwise_weights",
            macros={
                **real_macros(p.dtype),
                "VW": tile.vw,
                "MR": tile.mr,
                "NV": tile.nv,
                "PANELS": self.elements(PANELS_BYTES),
                "SUMS": self.elements(SUMS_BYTES),
            },
            global_size=(lanes, panels(self.blocks, share.blocks), p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *("x", "dy", "dw", p.batch, p.group_channels, p.group_outputs, p.geometry.pixels),
                *(self.blocks, *share),
            ),
            # An upper bound: this algorithm refuses devices that count.
            turns=64
            * loop(p.batch * p.geometry.pixels, loop(prod((tile.mr, tile.nr)), 8))
            * self.blocks,
        )
