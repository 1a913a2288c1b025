"""Host side of kernels_cl/depthwise/lanes.cl: depthwise convolution, lanes being channels, on CPUs.

depthwise.py plans by it where there are channels to fill a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

from clconv.algorithms.axes import Axis, axes_of, window_arguments
from clconv.algorithms.element import native_width, real_macros
from clconv.algorithms.epilogue import beta_of, epilogue_macros
from clconv.algorithms.gemm import panels
from clconv.algorithms.implicit_boxes import even
from clconv.program.device import Device
from clconv.program.plan import Launch, loop
from clconv.spec.dtypes import dtype_named
from clconv.spec.problem import ConvProblem

WIDTHS = (8, 16)  # elements of a vector
BLOCK = 8  # pixels that are transposed at a time
STAGED_BYTES = 96 * 1024  # of a box of planes with filters and results
MOST_TAPS_A_ROW = 16  # straight code
MOST_RUN = 8  # windows at once, one sum each
ITEMS_PER_COMPUTE_UNIT = 8


@dataclass(frozen=True, slots=True)
class Lanes:
    """One problem on one device."""

    problem: ConvProblem
    device: Device

    @property
    def axes(self) -> tuple[Axis, ...]:
        return axes_of(self.problem)

    @property
    def width(self) -> int:
        """Elements of a vector."""
        return native_width(self.device, self.problem.dtype)

    @property
    def run(self) -> int:
        """Windows of a row that are summed at once."""
        return even(self.axes[2].windows, MOST_RUN)

    @property
    def columns(self) -> int:
        """Columns of a plane with its padding, as far as whole runs of windows see."""
        w = self.axes[2]
        return _seen(w, panels(w.windows, self.run) * self.run)

    @property
    def taken(self) -> int:
        """Rows of windows that a work-item takes: as many as have room, evenly; 0 if none has."""
        h, taken = self.axes[1], 0
        while taken < h.windows and self.staged(taken + 1) <= self.room:
            taken += 1
        return even(h.windows, taken) if taken else 0

    @property
    def room(self) -> int:
        """Elements that can be staged."""
        return STAGED_BYTES // dtype_named(self.problem.dtype).itemsize_bytes

    def staged(self, taken: int) -> int:
        """Return the elements of local memory for so many rows of windows: see the kernel."""
        box = _seen(self.axes[1], taken) * self.columns + 1
        results = taken * self.axes[2].windows + BLOCK
        return (box + self.problem.geometry.taps + results) * self.width

    @property
    def serves(self) -> bool:
        """Whether the device is a CPU, channels fill a vector, and a row has room."""
        p, device = self.problem, self.device
        if device.kernels == "gpu" or device.max_loop_turns is not None:
            return False
        if p.direction != "forward" or p.group_outputs != 1 or p.geometry.rank == 3:
            return False
        if self.width not in WIDTHS or device.max_vector_width < max(WIDTHS):
            return False
        w = self.axes[2]
        if w.taps > MOST_TAPS_A_ROW or p.channels < self.width:
            return False
        if device.local_memory_bytes < 2 * STAGED_BYTES or not self.taken:
            return False
        if w.size >= BLOCK:
            return True
        # A block of pixels is of one box: that of all rows, and there are as many.
        h = self.axes[1]
        seen = min(h.size, _seen(h, h.windows) - h.low)
        return self.taken == h.windows and seen * w.size >= BLOCK

    def launch(self) -> Launch:
        """Return the launch: a vector of channels, some rows and images for each work-item."""
        p, axes, taken = self.problem, self.axes, self.taken
        rows = _seen(axes[1], taken)
        names = zip(("F", "S", "D"), ("taps", "stride", "dilation"), strict=True)
        window = {
            prefix + letter: getattr(axis, field)
            for prefix, field in names
            for letter, axis in zip("DHW", axes, strict=True)
        }
        blocks, strips = panels(p.channels, self.width), panels(axes[1].windows, taken)
        wanted = ITEMS_PER_COMPUTE_UNIT * self.device.compute_units
        share = max(panels(p.batch, panels(wanted, blocks * strips)), 1)
        return Launch(
            source="depthwise/lanes.cl",
            kernel="depthwise_lanes",
            macros={
                **real_macros(p.dtype),
                **epilogue_macros(p),
                **window,
                "VW": self.width,
                "RUN": self.run,
                "STAGED": self.room,
                "PIXELS": rows * axes[2].size,
            },
            global_size=(blocks, strips, panels(p.batch, share)),
            local_size=(1, 1, 1),
            arguments=(
                *("x", "w", "bias" if p.bias else "y", "y", p.batch, p.channels),
                *(int(p.flip), int(p.bias), beta_of(p), rows, self.columns),
                *(taken, share),
                *window_arguments(axes)[:9],
            ),
            turns=64 * share * loop(self.room, loop(p.geometry.taps)),
        )


def _seen(axis: Axis, windows: int) -> int:
    """Return the pixels that so many windows see, padding and all."""
    return (windows - 1) * axis.stride + (axis.taps - 1) * axis.dilation + 1
