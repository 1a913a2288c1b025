"""direct: one work-item an output, by the definition; takes every convolution.

The fallback where the others refuse, and the second opinion in tests.
"""

from __future__ import annotations

from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.element import real_macros
from clconv.algorithms.epilogue import beta_of, epilogue_macros
from clconv.program.device import Device
from clconv.program.plan import Argument, Launch, Plan, line_of_groups, loop
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem


class Direct:
    """See the module."""

    name = "direct"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only convolutions, all of them."""
        return None if isinstance(problem, ConvProblem) else "direct solves convolutions only"

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return one launch and no workspace."""
        assert isinstance(problem, ConvProblem)
        p, geometry = problem, problem.geometry
        Cg, Og = p.group_channels, p.group_outputs
        arguments: tuple[Argument, ...]
        sizes, arguments = {
            "forward": (
                (geometry.positions, p.outputs, p.batch),
                (
                    *("x", "w", "bias" if p.bias else "y", "y", Cg, Og, int(p.flip), int(p.bias)),
                    beta_of(p),
                ),
            ),
            "backward_data": (
                (geometry.pixels, p.channels, p.batch),
                ("dy", "w", "bias" if p.bias else "dx", "dx", Cg, Og, int(p.flip), int(p.bias)),
            ),
            "backward_weights": (
                (geometry.taps, Cg, p.outputs),
                ("x", "dy", "dw", p.batch, p.groups, Og, int(p.flip)),
            ),
        }[p.direction]
        global_size, local_size = line_of_groups(*sizes)
        launch = Launch(
            source="direct/direct.cl",
            kernel=f"direct_{p.direction}",
            macros={**real_macros(p.dtype), **epilogue_macros(p)},
            global_size=global_size,
            local_size=local_size,
            arguments=arguments + geometry.scalars(generic=True),
            turns={
                "forward": loop(Cg, loop(geometry.taps)),
                "backward_data": loop(geometry.taps, loop(Og)),
                "backward_weights": loop(p.batch, loop(geometry.positions)),
            }[p.direction],
        )
        return Plan(problem, self.name, (launch,))
