"""A plan: the kernel launches that solve one problem, as data.

Making a plan touches no OpenCL, so that it can be printed, compared and tested anywhere;
`context.py` binds it to kernels and runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, overload

import numpy as np

from clconv.program.memory import Memory
from clconv.spec.tensor import Problem

Size3 = tuple[int, int, int]
Argument = str | int | np.number[Any]


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel launch.

    `arguments` are in the kernel's order: a str names a tensor of the problem or a workspace
    buffer of the plan, an int is passed as a 32-bit int, a numpy scalar as it is. `turns` says how
    often a work-item tests the conditions of its loops, all together, at most; see `loop`.
    `prepares` names the only operand that it reads, if what it writes is written by it alone: then
    it need not run again while that operand stays.
    """

    source: str
    kernel: str
    macros: Mapping[str, int | str]
    global_size: Size3
    local_size: Size3
    arguments: tuple[Argument, ...]
    turns: int
    prepares: str | None = None

    def __str__(self) -> str:
        arguments = ", ".join(map(str, self.arguments))
        return f"{self.kernel}<{self.global_size}, {self.local_size}>({arguments})"


class Launches(Sequence[Launch]):
    """Launches that are made when they are first looked at.

    What a plan needs is asked for many times before one is run, and chunks may be thousands.
    """

    def __init__(self, make: Callable[[], Iterable[Launch]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> tuple[Launch, ...]:
        return tuple(self._make())

    @overload
    def __getitem__(self, index: int) -> Launch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Launch]: ...
    def __getitem__(self, index: int | slice) -> Launch | Sequence[Launch]:
        return self._made[index]

    def __len__(self) -> int:
        return len(self._made)


@dataclass(frozen=True, slots=True)
class Plan:
    """What running one problem takes: launches in order, and scratch buffers by name.

    `prepared` is the plan to take instead where operands are prepared for many calls (`split`), if
    that is another one; it gives the same bits.
    """

    problem: Problem
    algorithm: str
    launches: Sequence[Launch]
    workspace: Mapping[str, int] = field(default_factory=dict)  # bytes of each scratch buffer
    prepared: Plan | None = None

    @property
    def workspace_bytes(self) -> int:
        """Device memory beyond the tensors."""
        return sum(self.workspace.values())

    def split(self, operand: str) -> tuple[Plan, Plan]:
        """Return what depends on one operand alone, and the rest: two plans, one workspace."""
        first = tuple(launch for launch in self.launches if launch.prepares == operand)
        rest = tuple(launch for launch in self.launches if launch.prepares != operand)
        return replace(self, launches=first), replace(self, launches=rest)

    def need(self, buffers: Collection[str], counted: Collection[str]) -> Memory:
        """Return what running takes, workspace included.

        `buffers` are the tensors that a buffer is made for, `counted` those of them that take
        memory of the device beyond the caller's.
        """
        tensors = {**self.problem.operands, **self.problem.results}
        sizes = {name: tensor.size_bytes for name, tensor in tensors.items() if name in buffers}
        total_bytes = self.workspace_bytes + sum(sizes.get(name, 0) for name in counted)
        return Memory(total_bytes, max((*self.workspace.values(), *sizes.values()), default=0))

    def __str__(self) -> str:
        tensors = {**self.problem.operands, **self.problem.results}.values()
        moved = sum(tensor.size_bytes for tensor in tensors)
        head = (
            f"{self.problem} by {self.algorithm}, {self.workspace_bytes} B workspace,"
            f" {moved} B of tensors"
        )
        return "\n  ".join([head, *map(str, self.launches)])


def round_up(size: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is not below `size`."""
    return -(-size // multiple) * multiple


def loop(trips: int, inside: int = 0) -> int:
    """Return the turns of a loop that goes round `trips` times, with `inside` turns each time.

    One more ends it.
    """
    return trips * (1 + inside) + 1


def line_of_groups(items: int, *others: int) -> tuple[Size3, Size3]:
    """Return global and local sizes for a work-item an element, in groups along the first axis.

    Two group sizes only: PoCL compiles a kernel anew for each.
    """
    wide = 64 if items > 16 else 16
    y, z = (*others, 1, 1)[:2]
    return (round_up(items, wide), y, z), (wide, 1, 1)
