"""Pooling and its adjoints: host side of kernels_cl/pool."""

from __future__ import annotations

from math import prod

from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.element import real_type
from clconv.program.device import Device
from clconv.program.plan import Argument, Launch, Plan, line_of_groups, loop
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import Geometry, three_axes
from clconv.spec.images import AdaptivePoolProblem, IndexProblem, PoolProblem
from clconv.spec.tensor import Problem

# Spans into which a plane is cut when elements go to indices, until there is a work-item for each
# compute unit and some to spare; every span reads all indices of its plane.
SPANS_PER_COMPUTE_UNIT = 4


class Pool:
    """Every pooling and what follows its indices; buffers "x", "y" and "indices"."""

    name = "pool"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only pooling."""
        known = isinstance(problem, PoolProblem | AdaptivePoolProblem | IndexProblem)
        return None if known else "pool solves pooling only"

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return one launch and no workspace."""
        if isinstance(problem, IndexProblem):
            launch = _index_launch(problem, device)
        elif isinstance(problem, AdaptivePoolProblem):
            launch = _adaptive_launch(problem, device)
        else:
            assert isinstance(problem, PoolProblem)
            launch = _window_launch(problem, device)
        return Plan(problem, self.name, (launch,))


def _compared_type(dtype: str) -> str:
    return dtype_named(dtype).c_type


def _lowest(dtype: str) -> str:
    """Return what is below every element, in OpenCL C."""
    limits = {"char": "CHAR_MIN", "short": "SHRT_MIN", "int": "INT_MIN", "long": "LONG_MIN"}
    c_type = _compared_type(dtype)
    return limits.get(c_type, "0" if c_type.startswith("u") else "-INFINITY")


def exact_divide(dtype: str, device: Device) -> int:
    """Return the macro EXACT_DIVIDE: 1 where quotients and square roots are correctly rounded."""
    return int(device.rounds_division or dtype not in ("float32", "complex64"))


def _window_launch(problem: PoolProblem, device: Device) -> Launch:
    geometry, operator = problem.geometry, problem.operator
    macros: dict[str, int | str] = {"REAL": _compared_type(problem.dtype)}
    arguments: tuple[Argument, ...]
    if operator == "max_pool":
        macros["LOWEST"] = _lowest(problem.dtype)
        arguments = ("x", "y", "indices", *geometry.scalars())
    else:
        macros["COUNT_PAD"] = int(problem.count_include_pad)
        macros["DIVISOR"] = problem.divisor
        macros["EXACT_DIVIDE"] = exact_divide(problem.dtype, device)
        high = three_axes(tuple(pair[1] for pair in geometry.padding), 0)
        arguments = ("x", "y", *high, *geometry.scalars())
    items = geometry.pixels if operator == "avg_pool_backward" else geometry.positions
    global_size, local_size = line_of_groups(items, problem.batch * problem.channels)
    return Launch(
        source="pool/max_pool.cl" if operator == "max_pool" else "pool/avg_pool.cl",
        kernel=operator,
        macros=macros | geometry.macros(),
        global_size=global_size,
        local_size=local_size,
        arguments=arguments,
        turns={
            "max_pool": loop(geometry.taps),
            "avg_pool": loop(geometry.taps) + counting(geometry),
            "avg_pool_backward": loop(geometry.taps, counting(geometry)),
        }[operator],
    )


def counting(geometry: Geometry) -> int:
    """Return the turns of `taps_between` in common/window.clh."""
    return sum(map(loop, three_axes(geometry.kernel, 1)))


def _adaptive_launch(problem: AdaptivePoolProblem, device: Device) -> Launch:
    backward = problem.operator == "adaptive_avg_pool_backward"
    items = prod(problem.input if backward else problem.output)
    global_size, local_size = line_of_groups(items, problem.batch * problem.channels)
    macros: dict[str, int | str] = {"REAL": _compared_type(problem.dtype)}
    buffers: tuple[str, ...] = ("x", "y")
    if problem.operator == "adaptive_max_pool":
        macros["LOWEST"] = _lowest(problem.dtype)
        buffers = ("x", "y", "indices")
    else:
        macros["EXACT_DIVIDE"] = exact_divide(problem.dtype, device)
    return Launch(
        source=f"pool/{problem.operator.removesuffix('_backward')}.cl",
        kernel=problem.operator,
        macros=macros,
        global_size=global_size,
        local_size=local_size,
        arguments=(*buffers, *three_axes(problem.input, 1), *three_axes(problem.output, 1)),
        turns=_adaptive_turns(problem),
    )


def _adaptive_turns(problem: AdaptivePoolProblem) -> int:
    """Return those of all pixels of a window, or of all windows over a pixel."""
    backward, turns = problem.operator == "adaptive_avg_pool_backward", 0
    axes = zip(three_axes(problem.input, 1), three_axes(problem.output, 1), strict=True)
    for pixels, windows in reversed(list(axes)):
        # Where windows begin and end is rounded: one more at each side.
        many = windows // pixels if backward else pixels // windows
        turns = loop(many + 2, turns)
    return turns


def _index_launch(problem: IndexProblem, device: Device) -> Launch:
    planes = problem.batch * problem.channels
    sizes: tuple[int, ...] = (problem.pixels, problem.positions)
    turns = 0
    if problem.operator == "max_unpool_backward":
        items = problem.positions
    else:
        wanted = -(-SPANS_PER_COMPUTE_UNIT * device.compute_units // max(planes, 1))
        span = -(-problem.pixels // min(wanted, problem.pixels))
        items, sizes = -(-problem.pixels // span), (*sizes, span)
        turns = loop(span) + loop(problem.positions)
    unpool = problem.operator != "max_pool_backward"
    return Launch(
        source="pool/max_unpool.cl" if unpool else "pool/max_pool_backward.cl",
        kernel=problem.operator,
        macros={"REAL": real_type(problem.dtype)},
        global_size=(items, planes, 1),
        local_size=(1, 1, 1),
        arguments=("x", "indices", "y", *sizes),
        turns=turns,
    )
