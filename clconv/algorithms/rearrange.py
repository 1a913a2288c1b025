"""General convolutions as plain ones: operands are rearranged before, results after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from clconv.program.plan import Launch, Plan, line_of_groups
from clconv.spec.dtypes import dtype_named
from clconv.spec.general import GeneralConvProblem
from clconv.spec.problem import ConvProblem
from clconv.spec.rearrangement import PADDING_MODES, Rearrangement

# direction -> the tensors that come in, and the one that goes out
OPERANDS = {
    "forward": (("x", "w"), "y"),
    "backward_data": (("dy", "w"), "dx"),
    "backward_weights": (("x", "dy"), "dw"),
}


def rearranged_plan(problem: GeneralConvProblem, plan_plain: Callable[[ConvProblem], Plan]) -> Plan:
    """Return the plan of a general convolution around that of its plain one."""
    inner = plan_plain(problem.plain)
    inputs, output = OPERANDS[problem.direction]
    moves = {name: _rearrangement(problem, name) for name in (*inputs, output)}
    moved = {name: f"plain_{name}" for name, move in moves.items() if not move.is_identity}
    itemsize_bytes = dtype_named(problem.dtype).itemsize_bytes
    workspace = {moved[name]: prod(moves[name].plain_shape) * itemsize_bytes for name in moved}
    # What beta is multiplied by has to be plain, too.
    read = (*inputs, output) if problem.beta else inputs
    before = [move_launch(problem.dtype, moves[n], "to_plain", n) for n in read if n in moved]
    after = [move_launch(problem.dtype, moves[output], "from_plain", output)] * (output in moved)
    launches = (*before, *renamed(inner.launches, moved), *after)
    return Plan(problem, inner.algorithm, launches, {**inner.workspace, **workspace})


def _rearrangement(problem: GeneralConvProblem, name: str) -> Rearrangement:
    return {"x": problem.x, "w": problem.w, "y": problem.y}[name.removeprefix("d")]


def renamed(launches: tuple[Launch, ...], names: dict[str, str]) -> tuple[Launch, ...]:
    """Return `launches` with buffers of other names."""

    def other(launch: Launch) -> Launch:
        arguments = (names.get(a, a) if isinstance(a, str) else a for a in launch.arguments)
        return replace(launch, arguments=tuple(arguments))

    return tuple(other(launch) for launch in launches)


def move_launch(dtype: str, move: Rearrangement, kernel: str, name: str) -> Launch:
    """Bring tensor `name` to "plain_<name>" (`to_plain`) or back (`from_plain`)."""
    given_to_plain = kernel == "to_plain"
    plane = prod(move.plain_spatial if given_to_plain else move.spatial)
    global_size, local_size = line_of_groups(plane, move.groups * move.channels, move.batch)
    plain = f"plain_{name}"
    return Launch(
        source="rearrange/rearrange.cl",
        kernel=kernel,
        macros={"REAL": dtype_named(dtype).c_type, "MODE": PADDING_MODES.index(move.mode)},
        global_size=global_size,
        local_size=local_size,
        arguments=(*((name, plain) if given_to_plain else (plain, name)), *move.scalars()),
    )
