"""Any problem as a plain one: operands are rearranged before, results after.

Host side of kernels_cl/rearrange: layouts, borders, stored element types, complex numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from math import prod

from clconv.algorithms.element import real_type, stored_macros
from clconv.program.plan import Launch, Launches, Plan, line_of_groups, loop
from clconv.spec.dtypes import copied
from clconv.spec.geometry import three_axes
from clconv.spec.rearrangement import PADDING_MODES, PARTS, Rearrangement
from clconv.spec.tensor import Problem, Tensor


@dataclass(frozen=True, slots=True)
class Move:
    """One tensor that is not plain as it is given."""

    name: str
    given: Tensor
    plain: Tensor
    rearrangement: Rearrangement
    zero: int = 0  # 1: less one zero point, 2: less one for each filter

    @property
    def scratch(self) -> str:
        """The buffer that holds it in the plain form."""
        return f"plain_{self.name}"


def moves_of(problem: Problem) -> tuple[Move, ...]:
    """Return the tensors that have to be moved between `problem` and its plain one."""
    given = {**problem.operands, **problem.results}
    plain = {**problem.plain.operands, **problem.plain.results}
    zeros = {"x": int("x_zero_point" in given), "w": 2 * ("w_zero_point" in given)}
    moves = (
        Move(name, given[name], plain[name], problem.rearrangement(name), zeros.get(name, 0))
        for name in plain
    )
    return tuple(move for move in map(_copied, moves) if _is_needed(move))


def _copied(move: Move) -> Move:
    """Return `move` of the bits alone, where nothing is computed with elements."""
    if move.plain.dtype != copied(move.given.dtype):
        return move
    return replace(move, given=move.given._replace(dtype=move.plain.dtype))


def _is_needed(move: Move) -> bool:
    retyped = move.given.dtype != move.plain.dtype
    return retyped or bool(move.zero) or not move.rearrangement.is_identity


def rearranged_plan(problem: Problem, inner: Plan) -> Plan:
    """Return `inner`, the plan of the plain problem, between tensors as they are given."""
    moves = moves_of(problem)
    names = {move.name: move.scratch for move in moves}
    # What beta is multiplied by has to be plain, too.
    reads_result = getattr(problem, "beta", 0) != 0
    read = (move for move in moves if reads_result or move.name in problem.operands)
    before = [to_plain_launch(move) for move in read]
    after = [from_plain_launch(move) for move in moves if move.name in problem.results]
    # With a zero point, what is plain hangs on two operands.
    loose = {move.name for move in moves if move.zero}
    launches = Launches(lambda: (*before, *renamed(inner.launches, names, loose), *after))
    scratch = {move.scratch: move.plain.size_bytes for move in moves}
    prepared = rearranged_plan(problem, inner.prepared) if inner.prepared else None
    return Plan(problem, inner.algorithm, launches, {**inner.workspace, **scratch}, prepared)


def renamed(
    launches: Iterable[Launch], names: dict[str, str], loose: Collection[str] = ()
) -> tuple[Launch, ...]:
    """Return `launches` with buffers of other names; nothing prepares an operand in `loose`."""

    def other(launch: Launch) -> Launch:
        arguments = (names.get(a, a) if isinstance(a, str) else a for a in launch.arguments)
        prepares = None if launch.prepares in loose else launch.prepares
        return replace(launch, arguments=tuple(arguments), prepares=prepares)

    return tuple(other(launch) for launch in launches)


def to_plain_launch(move: Move) -> Launch:
    """Bring a tensor into its scratch buffer."""
    rearrangement = move.rearrangement
    rows, channels, *spatial = rearrangement.plain_shape
    # A buffer has to be bound to the zero point even where there is none: the tensor will do.
    zero = f"{move.name}_zero_point" if move.zero else move.scratch
    launch = _launch("to_plain", move, (prod(spatial), channels, rows), (move.name, zero))
    return launch if move.zero else replace(launch, prepares=move.name)


def from_plain_launch(move: Move) -> Launch:
    """Bring a tensor back out of its scratch buffer."""
    given = move.rearrangement
    sizes = (prod(given.spatial), given.groups * given.channels, given.batch)
    return _launch("from_plain", move, sizes, (move.name,))


def _launch(
    kernel: str, move: Move, sizes: tuple[int, int, int], buffers: tuple[str, ...]
) -> Launch:
    global_size, local_size = line_of_groups(*sizes)
    rearrangement, to_plain = move.rearrangement, kernel == "to_plain"
    return Launch(
        source="rearrange/rearrange.cl",
        kernel=kernel,
        macros={
            "REAL": real_type(move.plain.dtype),
            **stored_macros(move.given.dtype, part=bool(rearrangement.parts)),
            "MODE": PADDING_MODES.index(rearrangement.mode),
            "PARTS": PARTS.index(rearrangement.parts),
            "ZERO": move.zero,
        },
        global_size=global_size,
        local_size=local_size,
        arguments=(
            *((*buffers, move.scratch) if to_plain else (move.scratch, *buffers)),
            *rearrangement.scalars(),
        ),
        turns=0 if to_plain else _turns(rearrangement),
    )


def _turns(rearrangement: Rearrangement) -> int:
    """Return those of from_plain: each axis goes through a pixel's place and the copies of it."""
    has_copies = PADDING_MODES.index(rearrangement.mode) > 0
    plain = three_axes(rearrangement.plain_spatial, 1)
    turns = 0
    for size, pixels in zip(plain, three_axes(rearrangement.spatial, 1), strict=True):
        turns = loop(1 + has_copies * (size - pixels), turns)
    return turns * (1, 2, 4, 4)[PARTS.index(rearrangement.parts)]
