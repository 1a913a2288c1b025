"""Host side of kernels_cl/depthwise/lanes.cl: depthwise convolution, lanes being channels, on CPUs.

depthwise.py plans by it where there are channels to fill a vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from clconv.algorithms.axes import Axis, axes_of, window_arguments
from clconv.algorithms.element import native_width, real_macros
from clconv.algorithms.epilogue import NO_EPILOGUE, beta_of, epilogue_macros
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
MOST_SUMS = 10  # of a gradient of weights, at once
MOST_POSITIONS = 128 * 128  # likewise: with larger planes, few channels may be all there are
ITEMS_PER_COMPUTE_UNIT = 8


@dataclass(frozen=True, slots=True)
class Lanes:
    """One problem on one device."""

    problem: ConvProblem
    device: Device

    @property
    def gradient(self) -> bool:
        """Whether a gradient of data is made."""
        return self.problem.direction == "backward_data"

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The walk of the windows; of a data gradient, over dy with zeros between its pixels."""
        return tuple(
            map(_adjoint, axes_of(self.problem)) if self.gradient else axes_of(self.problem)
        )

    @property
    def width(self) -> int:
        """Elements of a vector."""
        return native_width(self.device, self.problem.dtype)

    @property
    def run(self) -> int:
        """Windows of a row that are summed at once."""
        return even(self.axes[2].windows, MOST_RUN)

    @property
    def at_once(self) -> int:
        """Rows of taps whose gradient is summed at once: a divisor of all."""
        _, h, w = self.axes
        most = max(MOST_SUMS // w.taps, 1)
        return max(rows for rows in range(1, h.taps + 1) if h.taps % rows == 0 and rows <= most)

    @property
    def columns(self) -> int:
        """Columns of a plane with its padding, as far as whole runs of windows see."""
        w = self.axes[2]
        return _seen(w, panels(w.windows, self.run) * self.run)

    @property
    def taken(self) -> int:
        """Rows of windows that are staged at once: as many as have room, evenly; 0 if none has."""
        h, taken = self.axes[1], 0
        while taken < h.windows and self.staged(taken + 1) <= self.room:
            taken += 1
        return even(h.windows, taken) if taken else 0

    @property
    def room(self) -> int:
        """Elements that can be staged."""
        return STAGED_BYTES // dtype_named(self.problem.dtype).itemsize_bytes

    def staged(self, taken: int) -> int:
        """Return the elements of local memory for so many rows of windows: see the kernels."""
        box = _seen(self.axes[1], taken) * self.columns + 1
        results = taken * self.axes[2].windows + BLOCK
        return (box + self.problem.geometry.taps + results) * self.width

    @property
    def serves(self) -> bool:
        """Whether the device is a CPU, channels fill a vector, and a row has room.

        For gradients of weights planes decide: pieces, of fewer channels, have to have their bits.
        """
        p, device = self.problem, self.device
        if device.kernels == "gpu" or device.max_loop_turns is not None:
            return False
        if p.group_outputs != 1 or p.geometry.rank == 3:
            return False
        if self.width not in WIDTHS or device.max_vector_width < max(WIDTHS):
            return False
        if p.direction == "backward_weights":
            if p.geometry.positions > MOST_POSITIONS:
                return False
        elif p.channels < self.width:
            return False
        if device.local_memory_bytes < 2 * STAGED_BYTES:
            return False
        return self.axes[2].taps <= MOST_TAPS_A_ROW and self.taken > 0 and self._blocks_fit()

    def _blocks_fit(self) -> bool:
        """Tell whether a block of pixels is of one box: a row has as many, or all that are seen.

        Rows may be much longer than what windows see of them; there is a table of their pixels.
        """
        _, h, w = self.axes
        if 4 * _seen(h, self.taken) * w.size > STAGED_BYTES:
            return False
        if w.size >= BLOCK:
            return True
        up = axes_of(self.problem)[1].stride if self.gradient else 1
        above, below = max(-h.low, 0), max(_seen(h, h.windows) - h.low, 0)
        rows = min(panels(below, up), h.size) - min(panels(above, up), h.size)
        return self.taken == h.windows and rows * w.size >= BLOCK

    def launch(self) -> Launch:
        """Return the only launch: a vector of channels for each work-item."""
        if self.problem.direction == "backward_weights":
            return self.weights_launch()
        return self.images_launch()

    def images_launch(self) -> Launch:
        """Return that of results and of gradients of data: some rows of some images."""
        p, axes, taken = self.problem, self.axes, self.taken
        image, result = ("dy", "dx") if self.gradient else ("x", "y")
        blocks, strips = panels(p.channels, self.width), panels(axes[1].windows, taken)
        wanted = ITEMS_PER_COMPUTE_UNIT * self.device.compute_units
        share = max(panels(p.batch, panels(wanted, blocks * strips)), 1)
        return Launch(
            source="depthwise/lanes.cl",
            kernel="depthwise_lanes_images",
            macros={**self.macros(), **epilogue_macros(p)},
            global_size=(blocks, strips, panels(p.batch, share)),
            local_size=(1, 1, 1),
            arguments=(
                *(image, "w", "bias" if p.bias else result, result, p.batch, p.channels),
                *(int(p.flip != self.gradient), int(p.bias), beta_of(p)),
                *(_seen(axes[1], taken), self.columns, taken, share),
                *window_arguments(axes)[:9],
            ),
            turns=64 * share * loop(self.room, loop(p.geometry.taps)),
        )

    def weights_launch(self) -> Launch:
        """Return that of gradients of weights."""
        p, axes, taken = self.problem, self.axes, self.taken
        return Launch(
            source="depthwise/lanes.cl",
            kernel="depthwise_lanes_weights",
            macros={**self.macros(), **NO_EPILOGUE},
            global_size=(panels(p.channels, self.width), 1, 1),
            local_size=(1, 1, 1),
            arguments=(
                *("x", "dy", "dw", p.batch, p.channels, int(p.flip)),
                *(_seen(axes[1], taken), self.columns, taken),
                *window_arguments(axes)[:9],
            ),
            turns=64 * loop(p.batch, loop(self.room, loop(p.geometry.taps))) * axes[1].windows,
        )

    def macros(self) -> dict[str, int | str]:
        """Return those of both kernels."""
        axes = self.axes
        names = zip(("F", "S", "D"), ("taps", "stride", "dilation"), strict=True)
        window = {
            prefix + letter: getattr(axis, field)
            for prefix, field in names
            for letter, axis in zip("DHW", axes, strict=True)
        }
        _, up_h, up_w = (a.stride if self.gradient else 1 for a in axes_of(self.problem))
        return {
            **real_macros(self.problem.dtype),
            **window,
            "UP_H": up_h,
            "UP_W": up_w,
            "VW": self.width,
            "RUN": self.run,
            "AT_ONCE": self.at_once,
            "STAGED": self.room,
            "PIXELS": _seen(axes[1], self.taken) * axes[2].size,
            "GRADIENT": int(self.gradient),
        }


def _seen(axis: Axis, windows: int) -> int:
    """Return the pixels that so many windows see, padding and all."""
    return (windows - 1) * axis.stride + (axis.taps - 1) * axis.dilation + 1


def _adjoint(axis: Axis) -> Axis:
    """Return the walk over an axis of dy, zeros between its pixels, that makes all pixels of dx."""
    low = (axis.taps - 1) * axis.dilation - axis.low
    return replace(axis, size=axis.windows, windows=axis.size, stride=1, low=low)
