"""How a problem fits the memory that it may take: whole, in smaller chunks, or in pieces.

All of it is known before anything is allocated, and none of it shows in the bits: what is cut are
results (`spec/pieces.py`), and all pieces are solved by the algorithm that would solve the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from clconv.algorithms.base import Limits, default_limits
from clconv.algorithms.registry import algorithm_names, grid_of, select
from clconv.errors import UnsupportedError
from clconv.program.device import Device
from clconv.program.memory import Memory
from clconv.program.plan import Plan, round_up
from clconv.spec.pieces import SPACE, Place, cut_axes, is_contiguous, pieces, samples
from clconv.spec.tensor import Problem

SHARED, COPIED, ON_DEVICE = "shared", "copied", "on the device"
# Parts of the memory that chunks aim at, tried in turn: the larger, the fewer launches. What is
# left by the second is for the tensors of pieces.
CHUNK_SHARES = (2, 4, 16)


class Placement(NamedTuple):
    """Where a call's arrays are: numpy's in SHARED or COPIED memory, or pyopencl's.

    `odd` are those that take memory all the same: in shared memory, what has to be copied; on the
    device, results that the caller has not made, and what no buffer can begin at.
    """

    mode: str
    odd: tuple[str, ...] = ()

    def need(self, plan: Plan) -> Memory:
        """Return what a plan takes with its arrays here."""
        if self.mode == ON_DEVICE:
            return plan.need(self.odd, self.odd)
        every = (*plan.problem.operands, *plan.problem.results)
        return plan.need(every, self.odd if self.mode == SHARED else every)

    def of_piece(self, problem: Problem, places: Mapping[str, Place]) -> Placement:
        """Return where the arrays of a piece are."""
        if self.mode != SHARED:
            return self
        tensors = {**problem.operands, **problem.results}
        odd = (n for n, p in places.items() if not is_contiguous(tensors[n].shape, p))
        return Placement(SHARED, tuple(dict.fromkeys((*self.odd, *odd))))


class Part(NamedTuple):
    """One piece, and where its tensors lie in the whole's."""

    places: Mapping[str, Place]
    division: Division


class Division(NamedTuple):
    """How a problem is run: by a plan, or in parts, one after the other."""

    problem: Problem
    need: Memory  # at its fullest
    plan: Plan | None
    parts: tuple[Part, ...] = ()

    @property
    def plans(self) -> Iterator[Plan]:
        """Every plan that is run, in order."""
        if self.plan is not None:
            yield self.plan
        for part in self.parts:
            yield from part.division.plans

    def __str__(self) -> str:
        head = f"needs {self.need.total_bytes} B at once, {self.need.largest_bytes} B in one buffer"
        if self.plan is not None:
            return f"{head}\n{self.plan}"
        distinct = dict.fromkeys(str(part.division.problem) for part in self.parts)
        count = len(self.parts)
        return "\n  ".join([f"{head}\n{self.problem} in {count} pieces, of the kinds", *distinct])


def divide(whole: Plan, device: Device, room: Memory, placement: Placement) -> Division:
    """Return how the problem that `whole` solves, where there is no limit, is run within `room`.

    Raises
    ------
    MemoryError : not even its smallest pieces fit
    """
    need = placement.need(whole)
    if need.fits(room):
        return Division(whole.problem, need, whole)
    named = whole.algorithm if whole.algorithm in algorithm_names() else "auto"
    return _Divider(device, named, room).division(whole.problem, placement)


class _Divider:
    """Divides one problem; what is known of a piece serves its likes."""

    def __init__(self, device: Device, algorithm: str, room: Memory) -> None:
        self.device, self.algorithm, self.room = device, algorithm, room
        self.known: dict[Any, Division] = {}

    def division(self, problem: Problem, placement: Placement) -> Division:
        """Return how the problem, or a piece of it, is run."""
        key = (problem, placement)
        if key not in self.known:
            self.known[key] = self._whole(problem, placement) or self._cut(problem, placement)
        return self.known[key]

    def _aims(self) -> Iterator[int]:
        """Yield the bytes that chunks aim at, the last of them 0: the smallest chunks."""
        most = default_limits(self.device).workspace_bytes
        yield from (min(most, self.room.total_bytes // share) for share in CHUNK_SHARES)
        yield 0

    def _plan(self, problem: Problem, placement: Placement, aim: int) -> Plan | None:
        """Return the plan whose chunks are near `aim` bytes, if it fits."""
        plan = self._any_plan(problem, aim)
        return plan if plan and placement.need(plan).fits(self.room) else None

    def _any_plan(self, problem: Problem, aim: int) -> Plan | None:
        try:
            return select(problem, self.device, self.algorithm, Limits(workspace_bytes=aim))
        except UnsupportedError:  # too large for the algorithm as well
            return None

    def _whole(self, problem: Problem, placement: Placement) -> Division | None:
        for aim in self._aims():
            plan = self._plan(problem, placement, aim)
            if plan:
                return Division(problem, placement.need(plan), plan)
        return None

    def _cut(self, problem: Problem, placement: Placement) -> Division:
        sizes = {} if placement.mode == ON_DEVICE else self._sizes(problem, placement)
        if not sizes:
            raise MemoryError(self._too_much(problem, placement))
        parts = tuple(
            Part(places, self.division(piece, placement.of_piece(problem, places)))
            for piece, places in pieces(problem, sizes)
        )
        needs = [part.division.need for part in parts]
        need = Memory(max(n.total_bytes for n in needs), max(n.largest_bytes for n in needs))
        return Division(problem, need, None, parts)

    def _sizes(self, problem: Problem, placement: Placement) -> dict[str, int]:
        """Return how long pieces are along the axes that have to be cut, {} if there are none.

        One axis if one is enough, else as many as it takes, and then as long as can be.
        """
        axes = {name: n for name, n in cut_axes(problem).items() if n > self._unit(name)}
        names = list(axes)
        attempts = [[name] for name in names] + [names[:count] for count in range(2, len(axes) + 1)]
        for aim in (self.room.total_bytes // CHUNK_SHARES[1], 0):
            for cut in attempts:
                sizes = {name: self._unit(name) for name in cut}
                if self._fit(problem, placement, sizes, aim):
                    return self._grown(problem, placement, sizes, axes, aim)
        # And these may have axes of their own.
        return {name: self._unit(name) for name in names}

    def _unit(self, name: str) -> int:
        """Return what pieces have to be multiples of along an axis."""
        return grid_of(self.algorithm) if name in SPACE else 1

    def _grown(
        self,
        problem: Problem,
        placement: Placement,
        sizes: dict[str, int],
        axes: Mapping[str, int],
        aim: int,
    ) -> dict[str, int]:
        grows = True
        while grows:
            grows = False
            for name in reversed(sizes):
                larger = {**sizes, name: min(2 * sizes[name], axes[name])}
                if larger != sizes and self._fit(problem, placement, larger, aim):
                    sizes, grows = larger, True
        # As many pieces, of sizes that differ little.
        counts = {name: -(-axes[name] // size) for name, size in sizes.items()}
        even = {name: -(-axes[name] // count) for name, count in counts.items()}
        return {name: round_up(size, self._unit(name)) for name, size in even.items()}

    def _fit(
        self, problem: Problem, placement: Placement, sizes: Mapping[str, int], aim: int
    ) -> bool:
        try:
            return all(
                self._plan(piece, placement.of_piece(problem, places), aim)
                for piece, places in samples(problem, sizes)
            )
        except UnsupportedError:  # a piece whose padding cannot be indexed
            return False

    def _too_much(self, problem: Problem, placement: Placement) -> str:
        plan = self._any_plan(problem, 0)
        needs = "more than can be indexed"
        if plan:
            least = placement.need(plan)
            needs = f"{least.total_bytes} bytes at once, {least.largest_bytes} in one buffer"
        return (
            f"{problem} on {self.device} needs {needs}, and cannot be cut further; the limits are"
            f" {self.room.total_bytes} bytes at once, {self.room.largest_bytes} in one buffer"
        )
