"""Host side of kernels_cl/depthwise/staged.cl: depthwise convolution out of staged boxes, on CPUs.

depthwise.py plans by it where the device and the box allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from clconv.algorithms.axes import (
    Axis,
    axes_of,
    forward_axes,
    phases,
    pixels_of,
    taps_of,
    window_arguments,
)
from clconv.algorithms.element import native_width, real_macros
from clconv.algorithms.epilogue import NO_EPILOGUE, beta_of, epilogue_macros
from clconv.algorithms.gemm import panels
from clconv.program.device import Device
from clconv.program.plan import Launch, loop, round_up
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import three_axes
from clconv.spec.problem import ConvProblem

STAGED_BYTES = 24 * 1024  # of image and filters: half of a first-level cache
COPIED = 16  # elements of the vectors that rows are copied in (common/staged.clh)
MOST_PHASES = 16
# Compiled as straight code, and summed in private memory: more, and a build takes seconds.
MOST_TAPS_A_ROW, MOST_TAPS = 64, 1024
UNROLLED_TAPS = 49
# Of sums at once: as many as a core has under way; fewer where one soon ends, and the next begins.
CHAINS, CHAINS_OF_FEW, FEW_TAPS = 8, 4, 9
WINDOWS = 1024  # of a work-item, wanted at least
ITEMS_PER_COMPUTE_UNIT = 16
LANES = {4: "int", 8: "long"}


@dataclass(frozen=True, slots=True)
class Staged:
    """One problem on one device."""

    problem: ConvProblem
    device: Device

    @property
    def width(self) -> int:
        """Elements of a vector."""
        native = native_width(self.device, self.problem.dtype)
        return min(max(native, 4), self.device.max_vector_width)

    @property
    def room(self) -> int:
        """Elements that can be staged."""
        return STAGED_BYTES // dtype_named(self.problem.dtype).itemsize_bytes

    @property
    def serves(self) -> bool:
        """Whether the device is a CPU, and everything staged has room."""
        p, device = self.problem, self.device
        if device.kernels == "gpu" or device.max_loop_turns is not None:
            return False
        if device.max_vector_width < COPIED:  # a driver that gets wider ones wrong
            return False
        if p.geometry.kernel[-1] > MOST_TAPS_A_ROW or p.geometry.taps > MOST_TAPS:
            return False
        if device.local_memory_bytes < 2 * STAGED_BYTES:
            return False
        if p.direction != "backward_data":
            return self.box(forward_axes(p), 1) is not None
        count = prod(min(axis.stride, axis.size) for axis in axes_of(p))
        return count <= MOST_PHASES and all(
            self.box(axes, p.group_outputs) is not None for axes in phases(p)
        )

    def launches(self) -> Iterator[Launch]:
        """Yield the launches: one, or one for each phase of a data gradient."""
        p = self.problem
        if p.direction == "forward":
            yield self.images_launch(forward_axes(p), "x", "y", p.group_outputs, 1)
        elif p.direction == "backward_weights":
            yield self.weights_launch(forward_axes(p))
        else:
            for axes in phases(p):
                reached = all(axis.taps for axis in axes)
                yield self.images_launch(axes, "dy", "dx", 1, p.group_outputs if reached else 0)

    def vectors(self, axes: tuple[Axis, ...]) -> int:
        """Return the vectors of each row that are summed at once."""
        return 2 if axes[2].windows > self.width and taps_of(axes) > FEW_TAPS else 1

    def block(self, axes: tuple[Axis, ...]) -> int:
        """Return the rows of windows that are summed at once."""
        chains = CHAINS if taps_of(axes) > FEW_TAPS else CHAINS_OF_FEW
        return min(chains // self.vectors(axes), axes[1].windows)

    def box(self, axes: tuple[Axis, ...], summed: int) -> tuple[int, int] | None:
        """Return rows and columns of the windows of a box, whole rows if that can be."""
        _, h, w = axes
        block = self.block(axes)
        rows, columns = block, w.windows
        while self.staged(axes, summed, rows, columns) > self.room:
            if columns > self.width:
                columns = round_up(columns // 2, self.width)
            elif rows > 1:
                rows = 1
            else:
                return None
        while rows < h.windows and self.staged(axes, summed, rows + block, columns) <= self.room:
            rows += block
        return min(rows, h.windows), columns

    def staged(self, axes: tuple[Axis, ...], summed: int, rows: int, columns: int) -> int:
        """Return the elements staged for so many windows: see the kernel."""
        w = axes[2]
        size = pixels_of(axes, (1, round_up(rows, self.block(axes)), columns))
        behind = self.vectors(axes) * self.width * w.stride
        return max(summed, 1) * (size + taps_of(axes)) + behind

    def macros(self, axes: tuple[Axis, ...]) -> dict[str, int | str]:
        """Return those of both kernels."""
        p = self.problem
        names = zip(("F", "S", "D"), ("taps", "stride", "dilation"), strict=True)
        window = {
            prefix + letter: max(getattr(axis, field), 1)
            for prefix, field in names
            for letter, axis in zip("DHW", axes, strict=True)
        }
        return {
            **real_macros(p.dtype),
            "VW": self.width,
            "LANE": LANES[dtype_named(p.dtype).itemsize_bytes],
            "STAGED": self.room,
            "BLOCK": self.block(axes),
            "VECTORS": self.vectors(axes),
            "UNROLLED": int(taps_of(axes) <= UNROLLED_TAPS),
            "GRADIENT": int(p.direction == "backward_data"),
            **window,
        }

    def images_launch(
        self, axes: tuple[Axis, ...], image: str, result: str, multiplier: int, summed: int
    ) -> Launch:
        """Sum over taps, and over `summed` channels of `image`, for each channel of `result`."""
        p, box = self.problem, self.box(axes, summed)
        assert box is not None
        rows, columns = box
        depth, h, w = axes
        channels = p.outputs if p.direction == "forward" else p.channels
        forward_flip = p.flip and p.direction == "forward"
        taps = [(a.taps - 1, -1) if forward_flip else (a.tap_first, a.tap_step) for a in axes]
        boxes = depth.windows * panels(h.windows, rows) * panels(w.windows, columns)
        # Small planes some at a time: what a work-item begins with takes as long as one of them.
        spread = boxes * channels * p.batch // (ITEMS_PER_COMPUTE_UNIT * self.device.compute_units)
        share = max(min(spread, WINDOWS // (rows * columns)), 1)
        return Launch(
            source="depthwise/staged.cl",
            kernel="depthwise_staged_images",
            macros={**self.macros(axes), **epilogue_macros(p)},
            global_size=(boxes, panels(channels, share), p.batch),
            local_size=(1, 1, 1),
            arguments=(
                *(image, "w", "bias" if p.bias else result, result, multiplier, summed),
                *(int(p.bias), beta_of(p), rows, columns),
                *three_axes(p.geometry.kernel, 1),
                *(first for first, _ in taps),
                *(step for _, step in taps),
                *(channels, share),
                *(axis.result_size for axis in axes),
                *(axis.result_first for axis in axes),
                *(axis.result_step for axis in axes),
                *window_arguments(axes)[:9],
            ),
            turns=self.turns(axes, max(summed, 1), box) * share,
        )

    def weights_launch(self, axes: tuple[Axis, ...]) -> Launch:
        """Sum over images and windows for each tap."""
        p, box = self.problem, self.box(axes, 1)
        assert box is not None
        boxes = axes[0].windows * panels(axes[1].windows, box[0]) * panels(axes[2].windows, box[1])
        return Launch(
            source="depthwise/staged.cl",
            kernel="depthwise_staged_weights",
            macros={**self.macros(axes), **NO_EPILOGUE},
            global_size=(p.outputs, 1, 1),
            local_size=(1, 1, 1),
            arguments=(
                *("x", "dy", "dw", p.batch, p.group_outputs, int(p.flip), *box),
                *window_arguments(axes)[:9],
            ),
            turns=self.turns(axes, p.batch * boxes, box),
        )

    def turns(self, axes: tuple[Axis, ...], times: int, box: tuple[int, int]) -> int:
        """Return an upper bound: devices that count are not served."""
        taps, lanes = taps_of(axes) + 1, loop(self.width)
        vectors = (round_up(box[0], CHAINS) + 1) * (box[1] + 1)
        return 64 * times * (self.room + vectors * taps * lanes * CHAINS) + 64 * self.room
