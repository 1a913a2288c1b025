"""A plan: the kernel launches that solve one problem, as data.

Making a plan touches no OpenCL, so that it can be printed, compared and tested anywhere;
`context.py` binds it to kernels and runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Size3 = tuple[int, int, int]
Argument = str | int | np.number[Any]


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel launch.

    `arguments` are in the kernel's order: a str names a tensor of the problem or a workspace
    buffer of the plan, an int is passed as a 32-bit int, a numpy scalar as it is. `turns` says how
    often a work-item tests the conditions of its loops, all together, at most; see `loop`.
    """

    source: str
    kernel: str
    macros: Mapping[str, int | str]
    global_size: Size3
    local_size: Size3
    arguments: tuple[Argument, ...]
    turns: int

    def __str__(self) -> str:
        arguments = ", ".join(map(str, self.arguments))
        return f"{self.kernel}<{self.global_size}, {self.local_size}>({arguments})"


@dataclass(frozen=True, slots=True)
class Plan:
    """What running one problem takes: launches in order, and scratch buffers by name."""

    problem: object
    algorithm: str
    launches: tuple[Launch, ...]
    workspace: Mapping[str, int] = field(default_factory=dict)  # bytes of each scratch buffer

    @property
    def workspace_bytes(self) -> int:
        """Device memory beyond the operands."""
        return sum(self.workspace.values())

    def __str__(self) -> str:
        head = f"{self.problem} by {self.algorithm}, {self.workspace_bytes} B workspace"
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
