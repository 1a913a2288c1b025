"""Host side of kernels_cl/quantize: the plan of integer sums, and what rounds them at its end."""

from __future__ import annotations

from math import prod

from clconv.algorithms.rearrange import renamed
from clconv.program.plan import Launch, Launches, Plan, line_of_groups
from clconv.spec.dtypes import dtype_named
from clconv.spec.quantized import QuantizedConvProblem


def quantized_plan(problem: QuantizedConvProblem, inner: Plan) -> Plan:
    """Return `inner`, the plan of the sums, with a launch that scales and rounds them."""
    batch, outputs, *spatial = problem.sums.y_shape
    quantum = dtype_named(problem.y_dtype)
    bits, signed = 8 * quantum.itemsize_bytes, quantum.code.startswith("i")
    global_size, local_size = line_of_groups(prod(spatial), outputs, batch)
    launch = Launch(
        source="quantize/requantize.cl",
        kernel="requantize",
        macros={
            "QUANTUM": quantum.c_type,
            "LOWEST": -(2 ** (bits - 1)) if signed else 0,
            "HIGHEST": 2 ** (bits - 1) - 1 if signed else 2**bits - 1,
        },
        global_size=global_size,
        local_size=local_size,
        arguments=("sums", "mantissa", "exponent", "y_zero_point", "y", prod(spatial)),
        turns=0,
    )
    launches = Launches(lambda: (*renamed(inner.launches, {"y": "sums"}), launch))
    sums_bytes = problem.sums.results["y"].size_bytes
    return Plan(problem, inner.algorithm, launches, {**inner.workspace, "sums": sums_bytes})
