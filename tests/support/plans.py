"""Runs one algorithm's plan of a problem, as data says, with nothing clean to begin with."""

from __future__ import annotations

import numpy as np
import pyopencl as cl

from clconv.algorithms.base import default_limits
from clconv.algorithms.registry import select
from clconv.program.context import default_context
from clconv.spec.parse import parse


def of(device, texts):
    """Return the problems of strings, without those of float64 where the device has none."""
    problems = [parse(text) for text in texts]
    return [p for p in problems if device.fp64 or p.dtype != "float64"]


def random_operands(problem, seed=0):
    """Return normal numbers for every operand."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(tensor.shape).astype(problem.dtype)
        for name, tensor in problem.operands.items()
    }


def whole_numbers(problem, seed=0):
    """Return small whole numbers for every operand."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(-3, 4, tensor.shape).astype(problem.dtype)
        for name, tensor in problem.operands.items()
    }


def hold_whole_numbers(device, problems, algorithm):
    """Hold an algorithm to direct, the definition, in whole numbers; erfc of a gelu has none."""
    for problem in problems:
        if problem.activation == "gelu":
            continue
        operands = whole_numbers(problem)
        results = [solve(device, problem, name, operands) for name in (algorithm, "direct")]
        np.testing.assert_array_equal(*results, err_msg=str(problem))


def hold_infinite_filters(device, problems, special):
    """Hold implicit_gemm to direct, the definition: filters that are not finite meet no padding.

    Results are whole numbers but where a filter is not.
    """
    for index, problem in enumerate(problems):
        rng, operands = np.random.default_rng(index), whole_numbers(problem, index)
        operands["w"].flat[rng.integers(operands["w"].size)] = special
        expected = solve(device, problem, "direct", operands)
        assert 0 < np.isfinite(expected).mean() < 1
        result = solve(device, problem, "implicit_gemm", operands)
        np.testing.assert_array_equal(result, expected, err_msg=str(problem))


def solve(device, problem, algorithm, operands, limits=None):
    """Return the only result of an algorithm's plan.

    Scratch memory is filled with NaN first, and so is the result unless it is read.
    """
    context = default_context(device)
    plan = select(problem, device, algorithm, limits or default_limits(device))
    (name, tensor), *_ = problem.results.items()
    result = np.full(tensor.shape, 1 if getattr(problem, "beta", 0) else np.nan, problem.dtype)
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    arrays = operands | {name: result}
    buffers = {key: cl.Buffer(context.opencl, flags, hostbuf=a) for key, a in arrays.items()}
    context._scratch.clear()
    for key, size_bytes in plan.workspace.items():
        scratch = np.full(size_bytes // result.itemsize, np.nan, problem.dtype)
        context._scratch[key] = cl.Buffer(context.opencl, flags, hostbuf=scratch)
    context.run(context.bind(plan), buffers)
    cl.enqueue_copy(context.queue, result, buffers[name])
    return result
