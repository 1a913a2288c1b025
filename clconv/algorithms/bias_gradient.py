"""The adjoint of adding a bias: dy summed over batch and space."""

from __future__ import annotations

from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.element import real_type
from clconv.program.device import Device
from clconv.program.plan import Launch, Plan, loop
from clconv.spec.images import BiasGradientProblem
from clconv.spec.tensor import Problem

LANES = 16  # partial sums of a channel; fixed, so that every device adds in the same order


class BiasGradient:
    """See the module."""

    name = "bias_gradient"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only bias gradients."""
        known = isinstance(problem, BiasGradientProblem)
        return None if known else "bias_gradient sums bias gradients only"

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return one launch and no workspace."""
        assert isinstance(problem, BiasGradientProblem)
        launch = Launch(
            source="reduce/bias_gradient.cl",
            kernel="bias_gradient",
            macros={"REAL": real_type(problem.dtype), "LANES": LANES},
            global_size=(problem.channels, 1, 1),
            local_size=(1, 1, 1),
            arguments=("dy", "db", problem.batch, problem.positions),
            turns=_turns(problem),
        )
        return Plan(problem, self.name, (launch,))


def _turns(problem: BiasGradientProblem) -> int:
    rest = problem.positions % LANES
    plane = loop(problem.positions // LANES, loop(LANES)) + loop(rest)
    return loop(LANES) + loop(problem.batch, plane) + loop(LANES)
