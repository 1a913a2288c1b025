"""im2col + GEMM: convolution as a product with the unfolded image, in all directions.

gemm_jobs.py says which products, and cuts them into chunks; here they are given X-hat by im2col.

Source: Chellapilla, Puri & Simard, "High performance convolutional neural networks for document
processing", 2006.
"""

from __future__ import annotations

from functools import partial

from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.gemm import tile_for
from clconv.algorithms.gemm_jobs import JOBS, Job
from clconv.algorithms.im2col import channel_block, unfold_launch
from clconv.program.device import Device
from clconv.program.plan import Plan
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem


class Im2colGemm:
    """See the module."""

    name = "im2col_gemm"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only convolutions, and only if the smallest chunk can be allocated and indexed."""
        if not isinstance(problem, ConvProblem):
            return f"{self.name} solves convolutions only"
        return _job(problem, device, Limits(workspace_bytes=0)).refuse(self.name, device)

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return the launches of all chunks."""
        assert isinstance(problem, ConvProblem)
        return _job(problem, device, limits).plan(problem, self.name)


def _job(problem: ConvProblem, device: Device, limits: Limits) -> Job:
    tile, unfold = (
        tile_for(device, problem.dtype),
        partial(unfold_launch, problem, channel_block(device)),
    )
    return JOBS[problem.direction](problem, tile, limits, unfold)
