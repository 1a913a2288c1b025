"""Host side of kernels_cl/gemm: tiles, packed operands and the product launch.

Not an algorithm of its own; the ones that end in a matrix product build their plans from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from clconv.algorithms.element import native_width, real_macros
from clconv.algorithms.epilogue import NO_EPILOGUE, beta_of, epilogue_macros
from clconv.program.device import Device
from clconv.program.plan import Launch, loop, round_up
from clconv.spec.dtypes import dtype_named
from clconv.spec.problem import ConvProblem

INT_MAX = 2**31 - 1
DEPTH = 64  # k-steps that one work-item of `pack` writes
ZEROS, BIAS, CONTINUE = 0, 1, 2  # what a product starts from; `start` in gemm.cl


@dataclass(frozen=True, slots=True)
class Tile:
    """Register tile of one work-item (mr x nv*vw) and work-items of a group (wg_m x wg_n)."""

    mr: int
    nv: int
    vw: int
    wg_m: int = 1
    wg_n: int = 1

    @property
    def nr(self) -> int:
        """Columns of the tile."""
        return self.nv * self.vw


def tile_for(device: Device, dtype: str, size: tuple[int, int] | None = None) -> Tile:
    """Return the tile that suits the device's registers and, if given, a product's rows and lanes.

    CPU: 6 rows by two native vectors fill AVX2's 16 registers (12 sums, 2 of B, 1 of A), as
    BLIS does; AVX-512 has 32, so 8 rows. Measured on AMD Zen 3 at 128 x 6272 x 1152, float32:
    136 GFLOP/s on Intel's runtime, 129 on PoCL 3.1, against 57 and 83 for 8 rows. A vector type
    of twice the native width does as well as two native ones and is the shorter program.

    4 rows by three native vectors are 12 sums, too, and take 7 loads a step where 6 by two take 8:
    7 % less time, unless more rows and lanes go to waste.
    """
    if device.kernels == "gpu":
        return Tile(mr=4, nv=1, vw=4, wg_m=8, wg_n=8)
    native = native_width(device, dtype)
    wide = native * dtype_named(dtype).itemsize_bytes == 64
    vw = min(max(2 * native, 4), device.max_vector_width)
    tall = Tile(mr=8 if wide else 6, nv=max(2 * native // vw, 1), vw=vw)
    if size is None or native != 8 or wide:
        return tall
    rows, lanes = size
    long = Tile(mr=4, nv=3, vw=8)
    turns = [panels(rows, tile.mr) * panels(lanes, tile.nr) for tile in (tall, long)]
    return long if turns[1] < 1.07 * turns[0] else tall


@dataclass(frozen=True, slots=True)
class Split:
    """An axis whose index i stands at (i // inner)*outer + (i % inner)*step of an array."""

    inner: int
    outer: int
    step: int

    @staticmethod
    def plain(length: int, step: int) -> Split:
        """Return an axis of one stride."""
        return Split(length, 0, step)

    @property
    def joined(self) -> Split:
        """Return the same axis, plain where its runs follow each other: longer runs."""
        return Split.plain(INT_MAX, self.step) if self.outer == self.inner * self.step else self


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix inside an array: `origin + g*group + row(i) + column(j)` for group g."""

    name: str
    row: Split
    column: Split
    group: int
    origin: int = 0


def panels(rows: int, width: int) -> int:
    """Return how many panels of `width` hold `rows` rows."""
    return -(-rows // width)


def pack_launch(
    dtype: str,
    src: Matrix,
    dst: str,
    tile: Tile,
    *,
    width: int,
    rows: int,
    depth: int,
    groups: int,
    first: int = 0,
    prepares: str | None = None,
) -> Launch:
    """Pack `rows` rows of `src`, columns [first, first + depth), into panels of `width` rows."""
    row, column = src.row.joined, src.column.joined
    return Launch(
        source="gemm/pack.cl",
        kernel="pack",
        macros={**real_macros(dtype), "VW": tile.vw, "WIDTH": width, "DEPTH": DEPTH},
        global_size=(panels(rows, width), panels(depth, DEPTH), groups),
        local_size=(1, 1, 1),
        arguments=(
            *(src.name, dst, rows, depth, first, src.origin, src.group),
            *(row.inner, row.outer, row.step, column.inner, column.outer, column.step),
        ),
        turns=2 * loop(width) + loop(DEPTH, 2 * loop(width)),
        prepares=prepares,
    )


def gemm_launch(
    problem: ConvProblem,
    tile: Tile,
    a: str,
    b: str,
    c: Matrix,
    *,
    m: int,
    n: int,
    k: int,
    groups: int,
    first: int = 0,
    start: int = ZEROS,
) -> Launch:
    """Multiply packed `a` (m x k) by packed `b` (k x n) into columns [first, first + n) of `c`.

    `c` has rows of one stride. With `start=BIAS` the plan's tensor "bias" is what rows start from.
    The epilogue of a forward `problem` is applied.
    """
    return Launch(
        source="gemm/gemm.cl",
        kernel="gemm",
        macros={
            **real_macros(problem.dtype),
            "MR": tile.mr,
            "NV": tile.nv,
            "VW": tile.vw,
            **epilogue_macros(problem),
        },
        global_size=(
            round_up(panels(m, tile.mr), tile.wg_m),
            round_up(panels(n, tile.nr), tile.wg_n),
            groups,
        ),
        local_size=(tile.wg_m, tile.wg_n, 1),
        # A buffer has to be bound to `bias` even where it is not read: c will do.
        arguments=(
            *(a, b, "bias" if start == BIAS else c.name, c.name, m, n, k, k, 0),
            *(start, c.origin, first),
            *(c.column.inner, c.column.outer, c.column.step, c.row.step, c.group),
            beta_of(problem),
        ),
        turns=_around(tile.mr, tile.nv, tile.vw) + k * _step(tile.mr, tile.nv),
    )


def _step(mr: int, nv: int) -> int:
    """Return the turns of one term."""
    return 1 + loop(nv) + loop(mr, loop(nv))


def _around(mr: int, nv: int, vw: int) -> int:
    """Return the turns of a product before and behind its terms, at most."""
    row = 2 + nv * vw + loop(nv)
    return loop(mr, loop(nv)) + 2 * loop(mr, row) + loop(mr, loop(nv * vw)) + 1


def cut_product(launch: Launch, limit: int) -> tuple[Launch, ...]:
    """Return products that continue each other and make `launch`, none of more turns than `limit`.

    None if that is no product, or begins with what is added at its end (beta*y).
    """
    macros, arguments = launch.macros, launch.arguments
    if launch.kernel != "gemm" or macros["ACCUMULATE"]:
        return ()
    mr, nv, vw = (int(macros[name]) for name in ("MR", "NV", "VW"))
    around, step = _around(mr, nv, vw), _step(mr, nv)
    most = (limit - around) // step
    depth, start = arguments[7], arguments[9]
    if most < 1 or not isinstance(depth, int):
        return ()
    return tuple(
        replace(
            launch,
            macros={**macros, **({} if skip + most >= depth else NO_EPILOGUE)},
            arguments=(
                *(*arguments[:6], min(most, depth - skip), depth, skip),
                *(CONTINUE if skip else start, *arguments[10:]),
            ),
            turns=around + min(most, depth - skip) * step,
        )
        for skip in range(0, depth, most)
    )
