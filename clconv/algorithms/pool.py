"""Pooling and its adjoints: host side of kernels_cl/pool."""

from __future__ import annotations

from clconv.algorithms.base import Limits
from clconv.program.device import Device
from clconv.program.plan import Launch, Plan, line_of_groups
from clconv.spec.dtypes import dtype_named
from clconv.spec.geometry import three_axes
from clconv.spec.problem import MaxPoolBackwardProblem, PoolProblem, Problem

# Spans into which a plane is cut in max_pool_backward until there is a work-item for each
# compute unit and some to spare; every span reads all indices of its plane.
SPANS_PER_COMPUTE_UNIT = 4


class Pool:
    """Max and average pooling, forward and backward."""

    name = "pool"

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only pooling."""
        known = isinstance(problem, PoolProblem | MaxPoolBackwardProblem)
        return None if known else "pool solves pooling only"

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return one launch and no workspace."""
        if isinstance(problem, MaxPoolBackwardProblem):
            launch = _scatter_launch(problem, device)
        else:
            assert isinstance(problem, PoolProblem)
            launch = _window_launch(problem, device)
        return Plan(problem, self.name, (launch,))


def _window_launch(problem: PoolProblem, device: Device) -> Launch:
    geometry, operator = problem.geometry, problem.operator
    macros: dict[str, int | str] = {"REAL": dtype_named(problem.dtype).c_type}
    arguments: tuple[str | int, ...]
    if operator == "max_pool":
        arguments = ("x", "y", "indices", *geometry.scalars())
    else:
        macros["COUNT_PAD"] = int(problem.count_include_pad)
        macros["EXACT_DIVIDE"] = int(device.rounds_division or problem.dtype == "float64")
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
    )


def _scatter_launch(problem: MaxPoolBackwardProblem, device: Device) -> Launch:
    planes = problem.batch * problem.channels
    wanted = -(-SPANS_PER_COMPUTE_UNIT * device.compute_units // max(planes, 1))
    span = -(-problem.pixels // min(wanted, problem.pixels))
    return Launch(
        source="pool/max_pool_backward.cl",
        kernel="max_pool_backward",
        macros={"REAL": dtype_named(problem.dtype).c_type},
        global_size=(-(-problem.pixels // span), planes, 1),
        local_size=(1, 1, 1),
        arguments=("dy", "indices", "dx", problem.pixels, problem.positions, span),
    )
