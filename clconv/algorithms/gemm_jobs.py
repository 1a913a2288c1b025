"""Convolutions as products with the unfolded image X-hat, cut into chunks: plans of launches.

    Forward          Y       = W X-hat         X-hat goes straight into GEMM panels
    BackwardData     X-hat'  = W^T dY,         dX = col2im(X-hat')
    BackwardWeights  dW      = dY X-hat^T      added up chunk by chunk

The matrix is never whole in memory: chunks keep the workspace near the limit. How the work is
cut does not show in the result, for every element is one chain of additions in one order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clconv.algorithms.base import Limits
from clconv.algorithms.gemm import (
    BIAS,
    CONTINUE,
    ZEROS,
    Matrix,
    Split,
    Tile,
    gemm_launch,
    pack_launch,
)
from clconv.algorithms.im2col import col2im_launch
from clconv.program.device import Device
from clconv.program.plan import Launch, Launches, Plan, round_up
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import INDEX_LIMIT
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem

# ("columns" or "rows" of X-hat, width of a panel, first column, count) -> the launch
Unfold = Callable[[str, int, int, int], Launch]


def chunks(total: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (first, count) pairs that cover `total` in pieces of `size`."""
    for first in range(0, total, size):
        yield first, min(size, total - first)


@dataclass(frozen=True, slots=True)
class Job(ABC):
    """One problem with its tile and limits; the directions share most sizes and matrices.

    `unfold` makes the launches that write X-hat into panels, which a sum over windows of another
    kind replaces by its own.
    """

    problem: ConvProblem
    tile: Tile
    limits: Limits
    unfold: Unfold

    @abstractmethod
    def workspace(self) -> dict[str, int]:
        """Return the elements of each scratch buffer."""

    @abstractmethod
    def launches(self) -> Iterator[Launch]:
        """Yield the launches in order."""

    def refuse(self, algorithm: str, device: Device) -> str | None:
        """Say what cannot be allocated or indexed."""
        for name, elements in self.workspace().items():
            if elements >= INDEX_LIMIT:
                return f"{algorithm} needs {elements} elements for {name}; kernels index 2**31"
            if elements * self.itemsize_bytes > device.max_allocation_bytes:
                return (
                    f"{algorithm} needs {elements * self.itemsize_bytes} bytes for {name}; the"
                    f" device allocates {device.max_allocation_bytes} at most"
                )
        return None

    def plan(self, problem: Problem, algorithm: str) -> Plan:
        """Return the launches of all chunks, as the plan of `problem`."""
        sizes = {name: count * self.itemsize_bytes for name, count in self.workspace().items()}
        return Plan(problem, algorithm, Launches(self.launches), sizes)

    @property
    def itemsize_bytes(self) -> int:
        return dtype_named(self.problem.dtype).itemsize_bytes

    @property
    def taps(self) -> int:
        return self.problem.geometry.taps

    @property
    def positions(self) -> int:
        return self.problem.geometry.positions

    @property
    def columns(self) -> int:
        """Columns of the whole X-hat: batch times positions."""
        return self.problem.batch * self.positions

    @property
    def unfolded(self) -> int:
        """Rows of one group's X-hat: channels times taps."""
        return self.problem.group_channels * self.taps

    def fitting(self, total: int, unit: int, elements: int) -> int:
        """Return how many of `total`, in multiples of `unit`, fit the limit at `elements` each."""
        fit = self.limits.workspace_bytes // (elements * self.itemsize_bytes)
        return min(max(fit // unit * unit, unit), round_up(max(total, 1), unit))

    def filters(self, name: str, skip: int = 0) -> Matrix:
        """Return W as a matrix, output channel by (channel, tap), from channel `skip` on."""
        taps, outputs = self.taps, self.problem.group_outputs
        return Matrix(
            name,
            row=Split.plain(outputs, self.unfolded),
            column=Split(taps, taps, -1 if self.problem.flip else 1),
            group=outputs * self.unfolded,
            origin=skip * taps + (taps - 1 if self.problem.flip else 0),
        )

    def images(self, name: str, first: int = 0) -> Matrix:
        """Return Y or dY as a matrix, output channel by (image, position), from image `first`."""
        outputs, positions = self.problem.group_outputs, self.positions
        image = self.problem.outputs * positions
        return Matrix(
            name,
            row=Split.plain(outputs, positions),
            column=Split(positions, image, 1),
            group=outputs * positions,
            origin=first * image,
        )


def transposed(matrix: Matrix) -> Matrix:
    """Return the same elements with rows and columns exchanged."""
    return Matrix(matrix.name, matrix.column, matrix.row, matrix.group, matrix.origin)


class Forward(Job):
    """Y = W X-hat, a chunk of columns at a time."""

    @property
    def size(self) -> int:
        """Columns of a chunk."""
        return self.fitting(self.columns, self.tile.nr, self.problem.groups * self.unfolded)

    def workspace(self) -> dict[str, int]:
        p = self.problem
        rows = p.groups * round_up(p.group_outputs, self.tile.mr)
        return {
            "packed_w": rows * self.unfolded,
            "columns": self.size * p.groups * self.unfolded,
        }

    def launches(self) -> Iterator[Launch]:
        p, tile = self.problem, self.tile
        m, k, groups = p.group_outputs, self.unfolded, p.groups
        yield pack_launch(
            p.dtype,
            self.filters("w"),
            "packed_w",
            tile,
            width=tile.mr,
            rows=m,
            depth=k,
            groups=groups,
            prepares="w",
        )
        for first, count in chunks(self.columns, self.size):
            yield self.unfold("columns", tile.nr, first, count)
            yield gemm_launch(
                p,
                tile,
                "packed_w",
                "columns",
                self.images("y"),
                m=m,
                n=count,
                k=k,
                groups=groups,
                first=first,
                start=BIAS if p.bias else ZEROS,
            )


class BackwardData(Job):
    """dX = col2im(W^T dY), some images at a time and, if one is too large, some channels of it."""

    @property
    def per_channel(self) -> int:
        """Elements of X-hat for one channel of each group and one image."""
        return self.positions * self.problem.groups * self.taps

    @property
    def size(self) -> tuple[int, int]:
        """Channels of each group and images of a chunk."""
        channels = self.fitting(self.problem.group_channels, 1, self.per_channel)
        images = self.fitting(self.problem.batch, 1, self.per_channel * channels)
        return channels, images

    def workspace(self) -> dict[str, int]:
        p, (channels, images) = self.problem, self.size
        rows = p.groups * round_up(channels * self.taps, self.tile.mr)
        return {
            "packed_w": rows * p.group_outputs,
            "packed_dy": p.outputs * round_up(images * self.positions, self.tile.nr),
            "columns": self.per_channel * channels * images,
        }

    def launches(self) -> Iterator[Launch]:
        p, (channels, images) = self.problem, self.size
        for skip, taken in chunks(p.group_channels, channels):
            yield pack_launch(
                p.dtype,
                transposed(self.filters("w", skip)),
                "packed_w",
                self.tile,
                width=self.tile.mr,
                rows=taken * self.taps,
                depth=p.group_outputs,
                groups=p.groups,
            )
            for first, count in chunks(p.batch, images):
                yield from self.unproject(skip, taken, first, count)

    def unproject(self, skip: int, taken: int, first: int, count: int) -> Iterator[Launch]:
        """Yield dX of `taken` channels of images [first, first + count)."""
        p, tile = self.problem, self.tile
        m, n, k, groups = taken * self.taps, count * self.positions, p.group_outputs, p.groups
        dy = transposed(self.images("dy", first))
        yield pack_launch(
            p.dtype, dy, "packed_dy", tile, width=tile.nr, rows=n, depth=k, groups=groups
        )
        columns = Matrix("columns", row=Split.plain(m, n), column=Split.plain(n, 1), group=m * n)
        yield gemm_launch(p, tile, "packed_w", "packed_dy", columns, m=m, n=n, k=k, groups=groups)
        yield col2im_launch(
            p.dtype,
            p.geometry,
            "columns",
            "dx",
            channels=(p.channels, p.group_channels, taken, skip),
            images=(first, count),
            strides=(self.positions, n),
            has_bias=p.bias,
        )


class BackwardWeights(Job):
    """dW = dY X-hat^T, the sum over columns cut into chunks that continue each other."""

    @property
    def widths(self) -> tuple[int, int]:
        """Elements of packed dY and of packed X-hat^T for one column."""
        p, tile = self.problem, self.tile
        rows = p.groups * round_up(p.group_outputs, tile.mr)
        return rows, p.groups * round_up(self.unfolded, tile.nr)

    @property
    def size(self) -> int:
        """Columns of a chunk."""
        return self.fitting(self.columns, 1, sum(self.widths))

    def workspace(self) -> dict[str, int]:
        rows, columns = self.widths
        return {"packed_dy": rows * self.size, "columns": columns * self.size}

    def launches(self) -> Iterator[Launch]:
        p, tile = self.problem, self.tile
        m, n, groups = p.group_outputs, self.unfolded, p.groups
        dy = self.images("dy")
        for first, count in chunks(self.columns, self.size):
            yield pack_launch(
                p.dtype,
                dy,
                "packed_dy",
                tile,
                width=tile.mr,
                rows=m,
                depth=count,
                groups=groups,
                first=first,
            )
            yield self.unfold("rows", tile.nr, first, count)
            yield gemm_launch(
                p,
                tile,
                "packed_dy",
                "columns",
                self.filters("dw"),
                m=m,
                n=n,
                k=count,
                groups=groups,
                start=CONTINUE if first else ZEROS,
            )


JOBS: dict[str, type[Job]] = {
    "forward": Forward,
    "backward_data": BackwardData,
    "backward_weights": BackwardWeights,
}
