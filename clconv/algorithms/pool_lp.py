"""Pooling by p-norms and its gradient: host side of kernels_cl/pool/lp_pool.cl."""

from __future__ import annotations

from math import prod

import numpy as np

from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.pool import counting, exact_divide
from clconv.program.device import Device
from clconv.program.plan import Argument, Launch, Plan, line_of_groups, loop
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import three_axes
from clconv.spec.pool_lp import LpPoolProblem
from clconv.spec.tensor import Problem


class LpPool:
    """The p-norms of windows; buffers "x" and "y", of the gradient "dy", "x" and "dx"."""

    name = "lp_pool"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only pooling by p-norms."""
        return None if isinstance(problem, LpPoolProblem) else "lp_pool solves p-norms only"

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return one launch, or two of the gradient, which wants the norms again: workspace."""
        assert isinstance(problem, LpPoolProblem)
        if problem.operator == "lp_pool":
            return Plan(problem, self.name, (_norms(problem, device, "y"),))
        if problem.p == 1:  # no norms are read: any buffer will do
            return Plan(problem, self.name, (_gradient(problem, device, norms="dy"),))
        launches = _norms(problem, device, "norms"), _gradient(problem, device, norms="norms")
        norms_bytes = prod(problem.y_shape) * dtype_named(problem.dtype).itemsize_bytes
        return Plan(problem, self.name, launches, {"norms": norms_bytes})


def _norms(problem: LpPoolProblem, device: Device, to: str) -> Launch:
    exponents = (problem.p, 1 / problem.p)
    return _launch(problem, device, "lp_pool", ("x", to), exponents, problem.geometry.positions)


def _gradient(problem: LpPoolProblem, device: Device, norms: str) -> Launch:
    buffers = ("dy", "x", norms, "dx")
    items, exponents = problem.geometry.pixels, (problem.p - 1,)
    return _launch(problem, device, "lp_pool_backward", buffers, exponents, items)


def _launch(
    problem: LpPoolProblem,
    device: Device,
    kernel: str,
    buffers: tuple[str, ...],
    exponents: tuple[float, ...],
    items: int,
) -> Launch:
    geometry, real = problem.geometry, np.dtype(problem.dtype).type
    # A single window is as large as the image, for which nothing is to be built anew.
    generic = geometry.positions == 1
    high = three_axes(tuple(pair[1] for pair in geometry.padding), 0)
    scalars: tuple[Argument, ...] = (*map(real, exponents), *high, *geometry.scalars(generic))
    global_size, local_size = line_of_groups(items, problem.batch * problem.channels)
    return Launch(
        source="pool/lp_pool.cl",
        kernel=kernel,
        macros=_macros(problem, device) | ({} if generic else geometry.macros()),
        global_size=global_size,
        local_size=local_size,
        arguments=(*buffers, *scalars),
        turns=_turns(problem) if kernel == "lp_pool" else _gradient_turns(problem),
    )


def _turns(problem: LpPoolProblem) -> int:
    turns = 0
    for taps in reversed(three_axes(problem.geometry.kernel, 1)):
        turns = loop(taps, turns)
    return turns + counting(problem.geometry)


def _gradient_turns(problem: LpPoolProblem) -> int:
    """Return those of the windows that may have a tap on a pixel."""
    geometry, turns = problem.geometry, counting(problem.geometry)
    axes = list(zip(geometry.extent, geometry.stride, geometry.output, strict=True))
    for extent, stride, windows in reversed([(1, 1, 1)] * (3 - len(axes)) + axes):
        turns = loop(min(extent // stride + 1, windows), turns)
    return turns


def _macros(problem: LpPoolProblem, device: Device) -> dict[str, int | str]:
    """Return what the kernels are told of p; its parity is asked before p is rounded."""
    p = problem.p
    return {
        "REAL": dtype_named(problem.dtype).c_type,
        "POWER": int(p) if p in (1, 2) else 0,
        "SIGNED": {0.0: 0, 1.0: 1}.get(p % 2, 2) if problem.signed else 0,
        "OVERHANG": int(problem.scale_overhang and problem.geometry.ceil_mode),
        "EXACT_DIVIDE": exact_divide(problem.dtype, device),
    }
