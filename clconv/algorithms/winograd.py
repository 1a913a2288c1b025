"""winograd: 3x3 and kx3x3 convolution of stride 1 by Winograd's F(4, 3) and F(2, 3), for CPUs.

A tile of M x M outputs takes (M + 2)^2 products instead of 9 M^2: a quarter of them for M = 4, four
ninths for M = 2. Tiles of all images stand in one line, and panels of neighbours in it fill
vectors, so that no size of an image wastes lanes.

    U = G g G^T        once for each filter         filters.cl
    V = B^T d B        once for each tile           images.cl
    Y = A^T [U . V] A  summed over channels         products.cl

V is never whole in memory: panels are transformed and multiplied a chunk at a time, which stays in
the cache between the two launches. A data gradient is a forward product of dY with the reversed
filters, channels exchanged, and padding taps - 1 - low.

A volume is its planes, one image for each plane of the result; the k planes that a window sees are
k times as many channels (`depth_as_channels` in reference/winograd.py). Depth is no axis of a tile,
whose (M + 2)^3 products, 216 for M = 4, would not stay in a cache.

Errors spread over a tile; reference/bounds_winograd.py bounds them.

Source: Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from clconv.algorithms.base import FAST, Limits
from clconv.algorithms.element import real_macros
from clconv.algorithms.epilogue import beta_of, epilogue_macros
from clconv.algorithms.gemm import Tile, panels
from clconv.algorithms.gemm_jobs import chunks
from clconv.algorithms.places import FEWEST_LANES, PlacesJob, refuse_device
from clconv.program.device import Device
from clconv.program.plan import Launch, Launches, Plan, loop
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import INDEX_LIMIT, three_axes
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem

SIZES = (4, 2)
FEWEST_CHANNELS = 16  # in and out: with fewer, transforms take as long as the products save
FEWEST_TILES = 16  # with fewer, so does the transform of filters, and lanes are idle
CHANNELS = 16  # that one work-item of images.cl transforms
FILTERS = 64  # input channels of filters, likewise: runs of factors that are copied out
TOGETHER = 4  # panels that filters serve which are transformed among the products
INSIDE = 8  # panels up to which they are
CHUNK_BYTES = 4 * 2**20  # of V: what the cores' caches hold between the launches


class Winograd:
    """F(m, 3) along both axes; see the module."""

    accuracy = FAST

    def __init__(self, m: int) -> None:
        self.m = m
        self.name = f"winograd_f{m}"

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only filters of 3x3 taps in a plane, forward and backward, on CPU devices."""
        reason = refuse_device(self.name, problem, device)
        if reason or not isinstance(problem, ConvProblem):
            return reason
        least = _Job(problem, device, Limits(workspace_bytes=0), self.m)
        return self._refuse_shape(problem) or least.refuse(self.name)

    def _refuse_shape(self, problem: ConvProblem) -> str | None:
        geometry = problem.geometry
        if problem.direction == "backward_weights" or dtype_named(problem.dtype).kind != "f":
            return f"{self.name} makes results and gradients of data, of floating-point numbers"
        steps = {*geometry.stride, *geometry.dilation}
        if geometry.rank < 2 or geometry.kernel[-2:] != (3, 3) or steps != {1}:
            return f"{self.name} takes 3x3 and kx3x3 filters of stride and dilation 1 only"
        return None

    def pays(self, problem: Problem) -> bool:
        """Whether fewer products than any other way takes are worth the transforms."""
        if not isinstance(problem, ConvProblem):
            return False
        tiles = {m: images_of(problem) * prod(tiles_of(problem, m)) for m in SIZES}
        enough = [m for m in SIZES if tiles[m] >= FEWEST_TILES]
        least = min(enough, key=lambda m: tiles[m] * (m + 2) ** 2, default=None)
        channels = min(problem.group_channels, problem.group_outputs)
        return self.m == least and channels >= FEWEST_CHANNELS

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return the launches: filters, then images and products, a chunk of panels at a time.

        Where panels are few, filters are transformed among the products: U would be written to
        memory to be read once or twice. It is worth that if it is done beforehand.
        """
        assert isinstance(problem, ConvProblem)
        job = _Job(problem, device, limits, self.m)
        stored = Plan(problem, self.name, Launches(job.launches), job.workspace())
        if not job.goes_inside:
            return stored
        inside = replace(job, inside=True)
        prepared = stored if job.u_bytes <= device.max_allocation_bytes else None
        return Plan(problem, self.name, Launches(inside.launches), inside.workspace(), prepared)


def result_of(problem: ConvProblem) -> tuple[int, ...]:
    """Return depth, height and width of what comes out."""
    geometry = problem.geometry
    backward = problem.direction == "backward_data"
    return three_axes(geometry.input if backward else geometry.output, 1)


def images_of(problem: ConvProblem) -> int:
    """Return the planes of all results."""
    return problem.batch * result_of(problem)[0]


def tiles_of(problem: ConvProblem, m: int) -> tuple[int, ...]:
    """Return the tiles along height and width that cover a plane of a result."""
    return tuple(panels(size, m) for size in result_of(problem)[1:])


@dataclass(frozen=True, slots=True)
class _Job(PlacesJob):
    """One problem on one device, within limits."""

    limits: Limits
    m: int  # outputs of a tile along an axis
    inside: bool = False  # whether filters are transformed among the products

    @property
    def image(self) -> tuple[int, ...]:
        """Depth, height and width of what is transformed."""
        geometry = self.problem.geometry
        return three_axes(geometry.output if self.backward else geometry.input, 1)

    @property
    def low(self) -> tuple[int, ...]:
        """Pixels of padding before the first one, along the three axes."""
        geometry = self.problem.geometry
        lows = three_axes(tuple(low for low, _ in geometry.padding), 0)
        if not self.backward:
            return lows
        taps = three_axes(geometry.kernel, 1)
        return tuple(k - 1 - low for k, low in zip(taps, lows, strict=True))

    @property
    def depth(self) -> int:
        """Taps of a filter along the depth."""
        return three_axes(self.problem.geometry.kernel, 1)[0]

    @property
    def summed(self) -> int:
        """Planes that a sum of products goes over: the taps along the depth of all channels."""
        return self.channels[0] * self.depth

    @property
    def places(self) -> int:
        """All tiles."""
        return images_of(self.problem) * prod(tiles_of(self.problem, self.m))

    @property
    def panels(self) -> int:
        return panels(self.places, self.tile.nr)

    @property
    def panel_bytes(self) -> int:
        """Bytes of V for one panel."""
        factors = (self.m + 2) ** 2
        return self.problem.groups * factors * self.summed * self.tile.nr * self.itemsize_bytes

    @property
    def chunk(self) -> int:
        """Panels that are transformed and multiplied at a time, evenly.

        Two for each core at least, so that none waits, if the limit has room.
        """
        fit = max(CHUNK_BYTES // self.panel_bytes, 2 * self.device.compute_units)
        fit = max(fit, TOGETHER) if self.inside else fit
        fit = max(min(fit, self.limits.workspace_bytes // self.panel_bytes), 1)
        return panels(self.panels, panels(self.panels, fit)) if self.panels else 1

    @property
    def u_bytes(self) -> int:
        """Bytes of U."""
        blocks = panels(self.channels[1], self.tile.mr)
        factors = self.problem.groups * (self.m + 2) ** 2 * self.summed
        return factors * blocks * self.tile.mr * self.itemsize_bytes

    @property
    def goes_inside(self) -> bool:
        """Whether filters are better transformed among the products, or have to be."""
        if self.local_bytes(TOGETHER, FILTERS) > self.device.local_memory_bytes:
            return False
        return self.panels <= INSIDE or self.u_bytes > self.device.max_allocation_bytes

    def local_bytes(self, together: int, filters: int) -> int:
        """Return the local memory of a work-item: so many panels' sums, factors of filters."""
        factors, tile = (self.m + 2) ** 2, self.tile
        sums = together * factors * tile.mr * tile.nr
        outputs = self.m * (self.m * tile.nr + tile.vw)
        return (sums + outputs + factors * (filters * tile.mr + 8)) * self.itemsize_bytes

    def workspace(self) -> dict[str, int]:
        """Return the bytes of U, if it is stored, and of a chunk of V."""
        v = {"v": self.chunk * self.panel_bytes}
        return v if self.inside else {"u": self.u_bytes, **v}

    def refuse(self, name: str) -> str | None:
        """Say what has no room."""
        most = self.device.max_allocation_bytes
        if self.device.local_memory_bytes < max(
            self.local_bytes(1, 0), self.local_bytes(0, FILTERS)
        ):
            return f"{name} needs more local memory than {self.device} has"
        sizes = replace(self, inside=self.goes_inside).workspace()
        for buffer, needed in sizes.items():
            if needed > most:
                return f"{name} needs {needed} bytes for {buffer}; {self.device} has less"
        reach = max(self.panels * self.tile.nr, *self.image, *map(abs, self.low))
        if 4 * reach >= INDEX_LIMIT:
            return f"{name} counts pixels of all tiles; {self.problem} has 2**31 or more"
        return None

    def launches(self) -> Iterator[Launch]:
        if not self.inside:
            yield self.filters_launch()
        for first, count in chunks(self.panels, self.chunk):
            yield self.images_launch(first, count)
            yield self.products_launch(first, count)

    def macros(self) -> dict[str, int | str]:
        tile = self.tile
        return {**real_macros(self.problem.dtype), "VW": tile.vw, "M": self.m}

    def filters_launch(self) -> Launch:
        p, tile, outgoing = self.problem, self.tile, self.channels[1]
        return Launch(
            source="winograd/filters.cl",
            kernel="filters",
            macros={**self.macros(), "VW": FEWEST_LANES, "MR": tile.mr, "CHANNELS": FILTERS},
            global_size=(panels(outgoing, tile.mr), panels(self.summed, FILTERS), p.groups),
            local_size=(1, 1, 1),
            arguments=("w", "u", outgoing, self.summed, *self.filters()),
            turns=_turns(FILTERS, tile),
            prepares="w",
        )

    def filters(self) -> tuple[int, ...]:
        """Return how filters lie: factors.clh."""
        inner = 9 * self.depth
        outer = inner * self.problem.group_channels
        steps = (inner, outer) if self.backward else (outer, inner)
        return self.depth, *steps, int(self.problem.flip != self.backward)

    def images_launch(self, first: int, count: int) -> Launch:
        """Transform the tiles of panels [first, first + count)."""
        p, tile = self.problem, self.tile
        return Launch(
            source="winograd/images.cl",
            kernel="images",
            macros={**self.macros(), "NV": tile.nv, "CHANNELS": CHANNELS},
            global_size=(count, panels(self.summed, CHANNELS), p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *("dy" if self.backward else "x", "v", first, images_of(p), self.summed),
                *(self.depth, result_of(p)[0], *self.image),
                *self.low,
                *tiles_of(p, self.m),
            ),
            turns=_turns(CHANNELS, tile),
        )

    def products_launch(self, first: int, count: int) -> Launch:
        """Make the results of the same."""
        p, tile, outgoing = self.problem, self.tile, self.channels[1]
        blocks = panels(outgoing, tile.mr)
        together = TOGETHER if self.inside else 1
        groups_of_panels = panels(count, together)
        # All blocks of a panel by one work-item, unless cores would wait for each other.
        ranges = min(panels(4 * self.device.compute_units, groups_of_panels * p.groups), blocks)
        result = "dx" if self.backward else "y"
        return Launch(
            source="winograd/products.cl",
            kernel="products",
            macros={
                **self.macros(),
                **epilogue_macros(p),
                "MR": tile.mr,
                "NV": tile.nv,
                "INSIDE": int(self.inside),
                "TOGETHER": together,
                "CHANNELS": FILTERS,
            },
            global_size=(groups_of_panels, ranges, p.groups),
            local_size=(1, 1, 1),
            arguments=(
                *("w" if self.inside else "u", "v", "bias" if p.bias else result, result),
                *(first, count, images_of(p), self.summed, outgoing, *result_of(p)),
                *tiles_of(p, self.m),
                *(blocks, panels(blocks, ranges), int(p.bias), beta_of(p)),
                *(self.filters() if self.inside else ()),
            ),
            turns=_turns(self.summed, tile) * blocks * TOGETHER,
        )


def _turns(channels: int, tile: Tile) -> int:
    """Return an upper bound: this algorithm refuses devices that count."""
    return 64 * loop(channels, loop(tile.mr * tile.nr, 64))
