"""General convolutions as plain ones: operands are rearranged before, results after."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import prod

from clconv.program.plan import Launch, Plan, line_of_groups
from clconv.spec.dtypes import dtype_named
from clconv.spec.general import GeneralConvProblem
from clconv.spec.problem import ConvProblem
from clconv.spec.rearrangement import PADDING_MODES, LaidOut, Move

# direction -> the tensors that come in, and the one that goes out
OPERANDS = {
    "forward": (("x", "w"), "y"),
    "backward_data": (("dy", "w"), "dx"),
    "backward_weights": (("x", "dy"), "dw"),
}


def rearranged_plan(problem: GeneralConvProblem, plan_plain: Callable[[ConvProblem], Plan]) -> Plan:
    """Return the plan of a general convolution around that of its plain one."""
    inputs, output = OPERANDS[problem.direction]
    moves = tuple(_move(problem, name, is_result=name == output) for name in (*inputs, output))
    moves = tuple(move for move in moves if not move.rearrangement.is_identity)
    # What beta is multiplied by has to be plain, too.
    return _around(problem, plan_plain(problem.plain), moves, reads_result=problem.beta != 0)


def _move(problem: GeneralConvProblem, name: str, is_result: bool) -> Move:
    rearrangement = {"x": problem.x, "w": problem.w, "y": problem.y}[name.removeprefix("d")]
    dtype = dtype_named(problem.dtype)
    return Move(name, dtype.c_type, dtype.itemsize_bytes, rearrangement, is_result)


def laid_out_plan(problem: LaidOut, inner: Plan) -> Plan:
    """Return the plan of a problem in other layouts around that of the plain one."""
    return _around(problem, inner, problem.moves)


def _around(
    problem: GeneralConvProblem | LaidOut,
    inner: Plan,
    moves: tuple[Move, ...],
    reads_result: bool = False,
) -> Plan:
    """Return `inner` between tensors that are moved to the plain layout before, or back after."""
    names = {move.name: f"plain_{move.name}" for move in moves}
    read = (move for move in moves if reads_result or not move.is_result)
    before = [move_launch(move, "to_plain") for move in read]
    after = [move_launch(move, "from_plain") for move in moves if move.is_result]
    launches = (*before, *renamed(inner.launches, names), *after)
    return Plan(problem, inner.algorithm, launches, {**inner.workspace, **_scratch(moves)})


def _scratch(moves: Iterable[Move]) -> dict[str, int]:
    return {
        f"plain_{move.name}": prod(move.rearrangement.plain_shape) * move.itemsize_bytes
        for move in moves
    }


def renamed(launches: tuple[Launch, ...], names: dict[str, str]) -> tuple[Launch, ...]:
    """Return `launches` with buffers of other names."""

    def other(launch: Launch) -> Launch:
        arguments = (names.get(a, a) if isinstance(a, str) else a for a in launch.arguments)
        return replace(launch, arguments=tuple(arguments))

    return tuple(other(launch) for launch in launches)


def move_launch(moved: Move, kernel: str) -> Launch:
    """Bring a tensor to "plain_<name>" (`to_plain`) or back (`from_plain`)."""
    move, given_to_plain = moved.rearrangement, kernel == "to_plain"
    plane = prod(move.plain_spatial if given_to_plain else move.spatial)
    global_size, local_size = line_of_groups(plane, move.groups * move.channels, move.batch)
    given, plain = moved.name, f"plain_{moved.name}"
    return Launch(
        source="rearrange/rearrange.cl",
        kernel=kernel,
        macros={"REAL": moved.c_type, "MODE": PADDING_MODES.index(move.mode)},
        global_size=global_size,
        local_size=local_size,
        arguments=(*((given, plain) if given_to_plain else (plain, given)), *move.scalars()),
    )
