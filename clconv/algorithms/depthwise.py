"""depthwise: filters that see one channel each, computed a vector of neighbours at a time."""

from __future__ import annotations

from math import prod

from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.depthwise_lanes import Lanes
from clconv.algorithms.depthwise_staged import Staged
from clconv.algorithms.element import native_width, real_macros
from clconv.algorithms.epilogue import beta_of, epilogue_macros
from clconv.program.device import MAX_VECTOR_WIDTH, Device
from clconv.program.plan import Argument, Launch, Plan, loop
from clconv.spec.geometry import INDEX_LIMIT
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem


class Depthwise:
    """See the module."""

    name = "depthwise"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only convolutions with one input channel a group."""
        if not isinstance(problem, ConvProblem):
            return "depthwise solves convolutions only"
        if problem.group_channels != 1:
            return f"depthwise needs one channel a group, not C/groups={problem.group_channels}"
        # A vector's lanes go on past the last window, whether they are kept or not.
        geometry = problem.geometry
        lanes = geometry.output[-1] + MAX_VECTOR_WIDTH
        furthest = lanes * geometry.macros()["SW"] + geometry.extent[-1]
        if furthest >= INDEX_LIMIT:
            return f"depthwise reads up to pixel {furthest} of a row; kernels index 2**31"
        return None

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return one launch, or one for each phase, and no workspace."""
        assert isinstance(problem, ConvProblem)
        lanes = Lanes(problem, device)
        if lanes.serves:
            return Plan(problem, self.name, (lanes.launch(),))
        staged = Staged(problem, device)
        if staged.serves:
            return Plan(problem, self.name, tuple(staged.launches()))
        p, geometry = problem, problem.geometry
        multiplier = p.group_outputs
        arguments: tuple[Argument, ...]
        sizes, arguments = {
            "forward": (
                (prod(geometry.output[:-1]), p.outputs, p.batch),
                (
                    *("x", "w", "bias" if p.bias else "y", "y", multiplier),
                    *(int(p.flip), int(p.bias), beta_of(p)),
                ),
            ),
            "backward_data": (
                (prod(geometry.input[:-1]), p.channels, p.batch),
                ("dy", "w", "bias" if p.bias else "dx", "dx", multiplier, int(p.flip), int(p.bias)),
            ),
            "backward_weights": (
                (geometry.taps, p.outputs, 1),
                ("x", "dy", "dw", p.batch, multiplier, int(p.flip)),
            ),
        }[p.direction]
        width = min(max(native_width(device, p.dtype), 4), device.max_vector_width)
        launch = Launch(
            source="depthwise/depthwise.cl",
            kernel=f"depthwise_{p.direction}",
            macros={
                **real_macros(p.dtype),
                "VW": width,
                **epilogue_macros(p),
                **geometry.macros(),
            },
            global_size=sizes,
            local_size=(1, 1, 1),
            arguments=arguments + geometry.scalars(),
            turns=_turns(p, width),
        )
        return Plan(problem, self.name, (launch,))


def _turns(problem: ConvProblem, width: int) -> int:
    geometry = problem.geometry
    lanes, taps, multiplier = loop(width), geometry.taps, problem.group_outputs
    row = loop(taps // geometry.kernel[-1], loop(geometry.kernel[-1], lanes))
    if problem.direction == "forward":
        return loop(-(-geometry.output[-1] // width), row + 2 * lanes)
    if problem.direction == "backward_data":
        pixels = geometry.input[-1]
        vectors = loop(-(-pixels // width), loop(multiplier, row) + lanes)
        return vectors + loop(pixels, loop(multiplier * taps))
    rows = problem.batch * prod(geometry.output[:-1])
    return loop(rows, loop(-(-geometry.output[-1] // width), 2 * lanes)) + lanes
