"""Routes: divisions of a problem, ready to run in a context; and attempts to run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from traceback import clear_frames
from typing import NamedTuple, TypeVar

import pyopencl as cl

from clconv.algorithms.selfcheck import checked_plan
from clconv.errors import BuildError
from clconv.ops.division import Division, Placement, divide
from clconv.program.context import BoundPlan, Context
from clconv.program.memory import Memory
from clconv.spec.pieces import Place
from clconv.spec.tensor import Problem

# How often a call that the driver had no memory for is tried again, each time with half as much.
RETRIES = 4
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Route:
    """A division whose kernels are built."""

    division: Division
    placement: Placement
    scratch: Memory  # what the context's scratch memory may take beside the tensors
    bound: BoundPlan | None
    parts: tuple[tuple[Mapping[str, Place], Route], ...] = ()

    @property
    def plan(self) -> BoundPlan:
        """What runs a problem that is not cut."""
        assert self.bound is not None
        return self.bound


class Asked(NamedTuple):
    """Where, and how, problems are to be solved."""

    context: Context
    algorithm: str
    accuracy: str

    def route(self, problem: Problem, placement: Placement, room: Memory) -> Route:
        """Return the route of `problem` within `room`; made once.

        Raises
        ------
        UnsupportedError : nothing serves the problem
        MemoryError : not even its smallest pieces fit
        """
        plans, key = self.context.plans, (problem, *self[1:], room, placement)
        known: Route | None = plans.get(key)
        if known is not None:
            plans.move_to_end(key)
            return known
        try:
            whole = checked_plan(self.context, problem, self.algorithm, self.accuracy)
            division = divide(whole, self.context.device, room, placement)
            return self.context.remember(key, self._bound(division, placement, room, {}))
        except BuildError as error:
            error.add_note(f"problem: {problem}")
            raise

    def _bound(
        self, division: Division, placement: Placement, room: Memory, made: dict[int, Route]
    ) -> Route:
        """Return a division's route; parts that are alike have one."""
        if id(division) in made:
            return made[id(division)]
        parts = tuple(
            (
                places,
                self._bound(part, placement.of_piece(division.problem, places), room, made),
            )
            for places, part in division.parts
        )
        bound, taken_bytes = None, 0
        if division.plan is not None:
            bound = self.context.bind(division.plan)
            taken_bytes = division.need.total_bytes - division.plan.workspace_bytes
        scratch = Memory(room.total_bytes - taken_bytes, room.largest_bytes)
        made[id(division)] = Route(division, placement, scratch, bound, parts)
        return made[id(division)]

    def smaller(self, route: Route) -> Route:
        """Return a route that needs half as much, or this one where there is none."""
        need = route.division.need
        half = Memory(need.total_bytes // 2, need.largest_bytes // 2)
        try:
            return self.route(route.division.problem, route.placement, half)
        except MemoryError:
            return route

    def attempt(
        self, route: Route, run: Callable[[Route], T], *, repeatable: bool, tries: int = RETRIES
    ) -> T:
        """Run a route; where the driver has no memory for it, again in smaller pieces.

        Once launches are under way, that is so only if the problem is `repeatable`: if it does not
        read what it writes.

        Raises
        ------
        MemoryError : the driver could not allocate; nothing of the call is left allocated
        """
        if route.parts:
            return run(route)
        self.context.launched = False
        try:
            return run(route)
        except (cl.MemoryError, cl.LogicError) as error:
            if not _is_out_of_memory(error):
                raise
            failure = error
            clear_frames(error.__traceback__)  # whose locals are buffers
        again = tries > 0 and (repeatable or not self.context.launched)
        self.context.recover()
        if again:
            smaller = self.smaller(route)
            return self.attempt(smaller, run, repeatable=repeatable, tries=tries - 1)
        need = route.division.need
        raise MemoryError(
            f"{route.division.problem} on {self.context.device}: {failure}; it needed"
            f" {need.total_bytes} bytes at once, {need.largest_bytes} in one buffer"
        ) from failure


def _is_out_of_memory(error: cl.Error) -> bool:
    return isinstance(error, cl.MemoryError) or "INVALID_BUFFER_SIZE" in str(error)
