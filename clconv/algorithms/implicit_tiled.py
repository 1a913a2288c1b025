"""Host side of kernels_cl/implicit_gemm/tiled.cl: implicit_gemm where work-groups share a tile.

Which tile never shows in a result; how a gradient of weights is cut into shares would, so that
follows from the windows alone (see `share_of`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from clconv.algorithms.axes import Axis, forward_axes, phases, taps_of, window_arguments
from clconv.algorithms.element import real_macros, real_type
from clconv.algorithms.epilogue import beta_of, epilogue_macros
from clconv.algorithms.gemm import panels
from clconv.program.device import Device
from clconv.program.plan import Launch, Plan, line_of_groups, loop
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import INDEX_LIMIT, three_axes
from clconv.spec.problem import ConvProblem

VW = 4
MOST_PHASES = 64
MOST_SHARES = 64
TERMS_OF_SHARE = 1024
FAR = 2**29  # pixels from an image that a window may begin or reach


@dataclass(frozen=True, slots=True)
class Tile:
    """What a work-group makes: (wm*tm) rows by (wn*tn) columns, bk terms at a time.

    `cost` is the time of one product in it, of the largest tile's.
    """

    wm: int
    wn: int
    tm: int
    tn: int
    bk: int
    cost: float

    @property
    def rows(self) -> int:
        return self.wm * self.tm

    @property
    def columns(self) -> int:
        return self.wn * self.tn

    @property
    def items(self) -> int:
        return self.wm * self.wn

    def local_bytes(self, itemsize_bytes: int) -> int:
        """Return the local memory of a work-group, tables included."""
        panelled = 2 * self.bk * (self.rows + self.columns + 2 * VW) * itemsize_bytes
        return panelled + 5 * 4 * (self.columns + 2 * self.bk)


# Costs measured on an NVIDIA H200 (OpenCL 3.0 CUDA), float32, layers of ResNet-50, 32 images.
TILES = (
    Tile(wm=8, wn=16, tm=8, tn=8, bk=16, cost=1.0),
    Tile(wm=16, wn=16, tm=8, tn=8, bk=16, cost=1.0),
    Tile(wm=16, wn=16, tm=8, tn=4, bk=16, cost=1.1),
    Tile(wm=16, wn=16, tm=4, tn=4, bk=16, cost=1.3),
    Tile(wm=4, wn=32, tm=4, tn=4, bk=16, cost=1.5),
    Tile(wm=8, wn=8, tm=4, tn=4, bk=8, cost=1.8),
)


@dataclass(frozen=True, slots=True)
class Walk:
    """One product: the axes that windows walk along, and the sizes of its sides."""

    axes: tuple[Axis, ...]
    summed: int  # channels of X-hat in a group
    rows: int  # of the product
    batch: int
    over_windows: bool = False

    @property
    def windows(self) -> int:
        return self.batch * prod(axis.windows for axis in self.axes)

    @property
    def taps(self) -> int:
        return self.summed * taps_of(self.axes)

    @property
    def columns(self) -> int:
        return self.taps if self.over_windows else self.windows

    @property
    def shares(self) -> int:
        """Parts that the sum over windows is cut into."""
        return panels(self.windows, share_of(self.windows)) if self.over_windows else 1


def share_of(windows: int) -> int:
    """Return how many windows a gradient of weights sums in one chain.

    It follows from their number alone: whatever is cut of a problem, its bits stay.
    """
    return max(TERMS_OF_SHARE, panels(windows, MOST_SHARES))


def tile_of(device: Device, walk: Walk, groups: int, itemsize_bytes: int) -> Tile | None:
    """Return the tile that ends first if work-groups take turns on the compute units."""
    fitting = [
        tile
        for tile in TILES
        if tile.items <= device.max_work_group_size
        and tile.local_bytes(itemsize_bytes) <= device.local_memory_bytes
    ]

    def time(tile: Tile) -> float:
        count = panels(walk.rows, tile.rows) * panels(walk.columns, tile.columns)
        rounds = panels(count * groups * walk.shares, device.compute_units)
        return rounds * tile.rows * tile.columns * tile.cost

    return min(fitting, key=time, default=None)


def walks(problem: ConvProblem) -> tuple[Walk, ...]:
    """Return the products that solve a problem."""
    p = problem
    if p.direction == "backward_data":
        return tuple(
            Walk(
                axes, p.group_outputs * bool(prod(a.taps for a in axes)), p.group_channels, p.batch
            )
            for axes in phases(p)
        )
    over_windows = p.direction == "backward_weights"
    return (Walk(forward_axes(p), p.group_channels, p.group_outputs, p.batch, over_windows),)


def refuse_tiled(problem: ConvProblem, device: Device, name: str) -> str | None:
    """Say what has no room, or is too far away."""
    every = walks(problem) if phase_count(problem) <= MOST_PHASES else ()
    if not every:
        return f"{name} takes at most {MOST_PHASES} phases, not {phase_count(problem)}"
    itemsize_bytes = dtype_named(problem.dtype).itemsize_bytes
    if tile_of(device, every[0], problem.groups, itemsize_bytes) is None:
        return f"{name} needs more local memory or larger work-groups than {device} has"
    if any(_reach(walk) >= FAR for walk in every):
        return f"{name} adds up places of windows and taps; those of {problem} pass 2**29"
    partial = _partial_bytes(problem, every[0])
    if partial > device.max_allocation_bytes or partial // itemsize_bytes >= INDEX_LIMIT:
        return f"{name} needs {partial} bytes for parts of sums; {device} has less"
    return None


def phase_count(problem: ConvProblem) -> int:
    """Return how many products make a data gradient; 1 for other directions."""
    if problem.direction != "backward_data":
        return 1
    geometry = problem.geometry
    return prod(map(min, geometry.stride, geometry.input))


def _reach(walk: Walk) -> int:
    """Return the furthest that the places of a window and a tap are from an image's first pixel."""
    far = [
        max(abs(a.low), a.windows * a.stride, max(a.taps, 1) * a.dilation) + a.size
        for a in walk.axes
    ]
    return walk.summed * prod(far)


def _partial_bytes(problem: ConvProblem, walk: Walk) -> int:
    sums = problem.groups * walk.rows * walk.columns * walk.shares
    return sums * dtype_named(problem.dtype).itemsize_bytes if walk.shares > 1 else 0


def tiled_plan(problem: ConvProblem, device: Device, name: str) -> Plan:
    """Return one launch for each product, and one that adds up parts of sums."""
    every = walks(problem)
    partial = _partial_bytes(problem, every[0])
    launches = tuple(_launches(problem, device, every))
    return Plan(problem, name, launches, {"parts": partial} if partial else {})


def _launches(problem: ConvProblem, device: Device, every: tuple[Walk, ...]) -> Iterator[Launch]:
    for walk in every:
        yield product_launch(problem, device, walk)
        if walk.shares > 1:
            elements = problem.groups * walk.rows * walk.columns
            global_size, local_size = line_of_groups(elements)
            yield Launch(
                source="reduce/partial_sums.cl",
                kernel="partial_sums",
                macros={"REAL": real_type(problem.dtype), "INTEGER": 0},
                global_size=global_size,
                local_size=local_size,
                arguments=("parts", "dw", elements, walk.shares),
                turns=loop(walk.shares - 1),
            )


def product_launch(problem: ConvProblem, device: Device, walk: Walk) -> Launch:
    """Return the launch of one product; a problem's tensors follow from its direction."""
    p, axes, summed = problem, walk.axes, walk.over_windows
    tile = tile_of(device, walk, p.groups, dtype_named(p.dtype).itemsize_bytes)
    assert tile is not None
    image, a, c = {
        "forward": ("x", "w", "y"),
        "backward_data": ("dy", "w", "dx"),
        "backward_weights": ("x", "dy", "parts" if walk.shares > 1 else "dw"),
    }[p.direction]
    # Elements of a group, and of a row of the product, in weights and in images.
    stored = p.group_channels * p.geometry.taps
    plane = prod(axis.result_size for axis in axes)
    weights = (
        p.group_outputs * stored,
        p.geometry.taps if p.direction == "backward_data" else stored,
    )
    images = (walk.rows * plane, plane)
    return Launch(
        source="implicit_gemm/tiled.cl",
        kernel="tiled",
        macros=_macros(p, tile, walk, along_m=not summed and weights[1] == 1),
        global_size=(
            panels(walk.columns, tile.columns) * tile.items,
            panels(walk.rows, tile.rows),
            p.groups * walk.shares,
        ),
        local_size=(tile.items, 1, 1),
        arguments=(
            *(image, a, "bias" if p.bias else c, c, p.batch, walk.summed, walk.rows, int(p.bias)),
            *(beta_of(p), p.groups, share_of(walk.windows) if summed else max(walk.taps, 1)),
            *(images if summed else weights),
            *(weights if summed else images),
            p.groups * weights[0] if summed else 0,
            *_filters(p, axes),
            p.groups * images[0],
            *(axis.result_size for axis in axes),
            *(axis.result_first for axis in axes),
            *(axis.result_step for axis in axes),
            *window_arguments(axes),
        ),
        turns=_turns(tile, walk),
    )


def _macros(problem: ConvProblem, tile: Tile, walk: Walk, along_m: bool) -> dict[str, int | str]:
    infinite = dtype_named(problem.dtype).kind == "f" and problem.direction == "backward_data"
    return {
        **real_macros(problem.dtype),
        **epilogue_macros(problem),
        "VW": VW,
        "WM": tile.wm,
        "WN": tile.wn,
        "TM": tile.tm,
        "TN": tile.tn,
        "BK": tile.bk,
        "OVER_WINDOWS": int(walk.over_windows),
        "ALONG_M": int(along_m),
        "VOLUME": int(_is_volume(walk.axes[0])),
        "ANEW": int(infinite),
    }


def _is_volume(depth: Axis) -> bool:
    """Whether windows and taps can leave an image along its depth."""
    return (depth.size, depth.windows, depth.taps, depth.low) != (1, 1, 1, 0)


def _filters(problem: ConvProblem, axes: tuple[Axis, ...]) -> tuple[int, ...]:
    """Return where taps are stored: the first, and how far channels and taps are apart."""
    p = problem
    _, height, width = sizes = three_axes(p.geometry.kernel, 1)
    apart = (height * width, width, 1)
    if p.direction == "backward_data":
        first, steps = [a.tap_first for a in axes], [a.tap_step for a in axes]
        channel = p.group_channels * p.geometry.taps
    else:
        first = [size - 1 if p.flip else 0 for size in sizes]
        steps = [-1 if p.flip else 1] * 3
        channel = p.geometry.taps
    origin = sum(i * step for i, step in zip(first, apart, strict=True))
    return origin, channel, *(step * far for step, far in zip(steps, apart, strict=True))


def _turns(tile: Tile, walk: Walk) -> int:
    """Return an upper bound."""
    terms = min(share_of(walk.windows), walk.windows) if walk.over_windows else walk.taps
    vectors = tile.tn // VW
    moved = [panels(size * tile.bk, tile.items) for size in (tile.rows, tile.columns)]
    step = loop(tile.tm // VW) + loop(vectors) + loop(tile.tm, loop(vectors))
    turn = 2 * sum(loop(count) for count in moved) + loop(tile.bk, step) + loop(1)
    tables = loop(panels(tile.columns, tile.items)) + loop(1)
    finish = loop(tile.tm, loop(vectors, 2 * loop(VW)))
    anew = loop(tile.tm * tile.tn, loop(terms))
    start = loop(tile.tm, loop(vectors))
    return tables + start + loop(panels(terms, tile.bk) + 1, turn) + finish + anew
