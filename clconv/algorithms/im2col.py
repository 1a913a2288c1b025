"""Host side of kernels_cl/im2col: image patches to columns and back.

`Im2col` is the algorithm behind the public `im2col` and `col2im`; the launches that unfold into
GEMM panels and fold back from a product serve gemm_jobs.py.
"""

from __future__ import annotations

from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.element import real_type
from clconv.algorithms.gemm import panels
from clconv.program.device import Device
from clconv.program.plan import Launch, Plan, line_of_groups, loop
from clconv.spec.geometry import Geometry
from clconv.spec.images import ColumnsProblem
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem

# Channels that one work-item of im2col_columns unfolds; where a driver ends long loops, few.
CHANNEL_BLOCK, SHORT_BLOCK = 32, 4
COLUMN_BLOCK = 64  # columns that one work-item of im2col_rows unfolds


class Im2col:
    """The public im2col and col2im, (N, C, *input) <-> (N, C*taps, positions)."""

    name = "im2col"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only unfolding and folding."""
        return None if isinstance(problem, ColumnsProblem) else "im2col only unfolds and folds"

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return one launch, from buffer "x" to buffer "y"."""
        assert isinstance(problem, ColumnsProblem)
        p, geometry = problem, problem.geometry
        if p.operator == "im2col":
            launch = im2col_launch(p)
        else:
            rows = p.channels * geometry.taps
            launch = col2im_launch(
                p.dtype,
                geometry,
                "x",
                "y",
                channels=(p.channels, p.channels, p.channels, 0),
                images=(0, p.batch),
                strides=(rows * geometry.positions, geometry.positions),
            )
        return Plan(problem, self.name, (launch,))


def _macros(dtype: str, geometry: Geometry) -> dict[str, int | str]:
    return {"REAL": real_type(dtype), **geometry.macros()}


def im2col_launch(problem: ColumnsProblem) -> Launch:
    """Unfold "x" into "y"."""
    geometry = problem.geometry
    rows = problem.channels * geometry.taps
    global_size, local_size = line_of_groups(geometry.positions, rows, problem.batch)
    return Launch(
        source="im2col/im2col.cl",
        kernel="im2col",
        macros=_macros(problem.dtype, geometry),
        global_size=global_size,
        local_size=local_size,
        arguments=("x", "y", *geometry.scalars()),
        turns=0,
    )


def col2im_launch(
    dtype: str,
    geometry: Geometry,
    src: str,
    dst: str,
    *,
    channels: tuple[int, int, int, int],
    images: tuple[int, int],
    strides: tuple[int, int],
    has_bias: bool = False,
) -> Launch:
    """Fold `src` into images [first, first + count) of `dst`, `images` = (first, count).

    `channels` = (C of dst, C of one group, channels taken of each group, channels skipped in it);
    `strides` = (from image to image, from row to row) in `src`.
    """
    total, group, taken, skip = channels
    first, count = images
    global_size, local_size = line_of_groups(geometry.pixels, total // group * taken, count)
    return Launch(
        source="im2col/im2col.cl",
        kernel="col2im",
        macros=_macros(dtype, geometry),
        global_size=global_size,
        local_size=local_size,
        arguments=(
            *(src, "bias" if has_bias else dst, dst, first, total, taken, group, skip, *strides),
            *(int(has_bias), *geometry.scalars()),
        ),
        turns=loop(geometry.taps),
    )


def channel_block(device: Device) -> int:
    """Return how many channels one work-item of im2col_columns and its like goes through."""
    return CHANNEL_BLOCK if device.max_loop_turns is None else SHORT_BLOCK


def unfold_launch(
    problem: ConvProblem, channel_block: int, way: str, nr: int, first: int, count: int
) -> Launch:
    """Unfold columns [first, first + count) of X-hat into panels of `nr` columns or rows.

    `way` is what lies beside each other in a panel: "columns" or "rows".
    """
    geometry, channels = problem.geometry, problem.group_channels
    if way == "columns":
        block, size = channel_block, (panels(count, nr), panels(channels, channel_block))
        turns = loop(nr) + loop(geometry.taps, loop(nr) + loop(block, loop(nr)))
    else:
        rows = channels * geometry.taps
        block, size = COLUMN_BLOCK, (panels(rows, nr), panels(count, COLUMN_BLOCK))
        turns = loop(nr) + loop(block, loop(nr))
    return Launch(
        source="im2col/panels.cl",
        kernel=f"im2col_{way}",
        macros={**_macros(problem.dtype, geometry), "NR": nr},
        global_size=(*size, problem.groups),
        local_size=(1, 1, 1),
        arguments=(
            *("x", "columns", channels, problem.groups, first, count, block),
            *geometry.scalars(),
        ),
        turns=turns,
    )
