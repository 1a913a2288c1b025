"""implicit_gemm: products with the unfolded image X-hat, read in place.

On GPUs that is implicit_tiled.py; the rest is for CPUs. It does what im2col_gemm does without ever
making X-hat: an entry of it lies in the padded image at the sum of two offsets, of its row and its
column. So each work-item stages a box of the image in local memory and multiplies out of it, lanes
being output channels but where sums are short.

    Forward          Y  = W X-hat             windows a box at a time         implicit_images.py
                                              few terms: lanes are windows    implicit_runs.py
    BackwardData     dX = one such product for each remainder that pixels leave to the strides
    BackwardWeights  dW = dY X-hat^T          rows of X-hat for the windows   implicit_weights.py

Source: Anderson et al., "High-performance low-memory lowering: GEMM-based algorithms for DNN
convolution", 2020.
"""

from __future__ import annotations

from dataclasses import replace

from clconv.algorithms.base import STRICT, Limits
from clconv.algorithms.implicit_images import images_job
from clconv.algorithms.implicit_job import FEWEST_LANES, tile_of
from clconv.algorithms.implicit_runs import RunsJob
from clconv.algorithms.implicit_tiled import refuse_tiled, tiled_plan
from clconv.algorithms.implicit_weights import WeightsJob
from clconv.program.device import Device
from clconv.program.plan import Launches, Plan
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem


class ImplicitGemm:
    """See the module."""

    name = "implicit_gemm"
    accuracy = STRICT

    def refuse(self, problem: Problem, device: Device) -> str | None:
        """Only convolutions; on CPU devices those whose boxes and packed operands have room."""
        if not isinstance(problem, ConvProblem):
            return f"{self.name} solves convolutions only"
        if device.kernels == "gpu":
            return refuse_tiled(problem, device, self.name)
        if device.max_loop_turns is not None:
            return f"{self.name} stages boxes in long loops, which {device} ends"
        if device.max_vector_width < FEWEST_LANES:
            return f"{self.name} transposes vectors of {FEWEST_LANES}, which {device} gets wrong"
        least = Limits(workspace_bytes=0)
        if problem.direction == "backward_weights":
            return WeightsJob(problem, device, least, tile_of(device, problem)).refuse(self.name)
        return images_job(problem, device, least).refuse(self.name)

    def plan(self, problem: Problem, device: Device, limits: Limits) -> Plan:
        """Return the launches: filters or the incoming adjoint are packed, then multiplied."""
        assert isinstance(problem, ConvProblem)
        if device.kernels == "gpu":
            return tiled_plan(problem, device, self.name)
        if problem.direction == "backward_weights":
            weights = WeightsJob(problem, device, limits, tile_of(device, problem))
            return Plan(problem, self.name, Launches(weights.launches), weights.workspace())
        runs = RunsJob(problem, device)
        if runs.serves:
            return Plan(problem, self.name, (runs.launch(),))
        job = images_job(problem, device, limits)
        packed = Plan(problem, self.name, Launches(job.launches), job.workspace())
        if not job.goes_inside:
            return packed
        inside = replace(job, inside=True)
        return Plan(problem, self.name, Launches(inside.launches), {}, packed)
