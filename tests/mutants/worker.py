"""Runs inside a sandbox: cases of the quick grid until the first miss, or all of them, traced.

A task comes on the standard input, the answer is the last line of the standard output.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType
from typing import Any

# What has to be cut for a driver that ends loops after so many turns, and must not be refused.
CUT = {
    "conv_fwd:f32:n2c40o7g1:i9x8:k3x3:s1:p1.1:d1:bias:gelu": ("im2col_gemm", 5000),
    "conv_fwd:f32:n2c40o7g1:i9x8:k3x3:s1:p1.1:d1:beta-2.0": ("auto", 5000),
    "conv_bwd_data:f32:n2c8o80g2:i9x8:k3x3:s1:p1.1:d1": ("im2col_gemm", 5000),
    "conv_bwd_weights:f32:n2c3o4g1:i23x24:k3x3:s1:p1.1:d1": ("im2col_gemm", 5000),
    "deform_conv_bwd_data:f32:n2c4o6g2:i29x28:k3x2:s1x2:p1.0x0.1:d1:og2:mask": ("auto", 30000),
}
# What is cut for a device that allocates few bytes at once, likewise.
SMALL = {"conv_bwd_weights:f32:n3c2o3g1:i9x8:k3x3:s1:p1.1:d1": ("implicit_gemm", 2**14)}


@dataclass(frozen=True, slots=True)
class Run:
    """A case, and the device that it is run on."""

    case: Any
    device: Any
    may_be_refused: bool = True

    def __str__(self) -> str:
        return str(self.case)

    def outcomes(self) -> Any:
        """Yield what each rule says."""
        from clconv.conformance.runner import DeviceBackend, run_case

        return run_case(partial(DeviceBackend, self.device), self.case)


def main() -> None:
    task = json.load(sys.stdin)
    answer = trace(task) if task["do"] == "trace" else hunt(task)
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a driver whose memory was overwritten may not come down


def hunt(task: dict[str, Any]) -> dict[str, Any]:
    """Run the numbered cases until one misses."""
    try:
        from clconv.errors import BuildError
    except Exception:  # an import that fails has been caught
        return {"verdict": "caught", "by": f"import: {_told()}"}
    case = "making the grid"
    try:
        runs = _grid()
        chosen = [runs[number] for number in task["cases"]]
        for each in chosen:
            case = str(each)
            for outcome in each.outcomes():
                if outcome.skipped and not each.may_be_refused:
                    by = f"refused, {outcome.function} by {outcome.algorithm}"
                    return {"verdict": "caught", "by": by, "case": case, "message": outcome.skipped}
                if outcome.finding is not None and not outcome.finding.passed:
                    by = f"{outcome.rule}, {outcome.function} by {outcome.algorithm}"
                    told = outcome.finding.message[:200]
                    if "BuildError" in told:
                        return {"verdict": "build", "by": told, "case": case}
                    return {"verdict": "caught", "by": by, "case": case, "message": told}
        sys.path.append(task["tests"])
        for each in chosen if task.get("guards", True) else ():
            case = str(each)
            told = guards(each)
            if told:
                return {"verdict": "guarded", "by": "guard zones", "case": case, "message": told}
    except BuildError:
        return {"verdict": "build", "by": _told(), "case": case}
    except Exception:
        return {"verdict": "caught", "by": f"error: {_told()}", "case": case}
    return {"verdict": "survived", "by": "", "case": ""}


def guards(run: Run) -> str:
    """Run a case in guarded buffers, as tests/program/test_guards.py does; say what it wrote."""
    import pyopencl as cl
    from support.guards import run_guarded

    from clconv.conformance.data import data_for
    from clconv.errors import UnsupportedError
    from clconv.program.context import default_context

    case = run.case
    tensors = dict(data_for(case.problem, "random"))
    tensors.pop("out", None)  # what beta multiplies is the result's own buffer
    context = default_context()
    queue = cl.CommandQueue(context.opencl, context.device.handle)
    for algorithm in case.algorithms:
        try:
            _, touched = run_guarded(queue, case.problem, tensors, algorithm, device=run.device)
        except UnsupportedError:
            continue
        if touched:
            return f"wrote around {touched}"
    return ""


def _told() -> str:
    return traceback.format_exc().strip().splitlines()[-1][:200]


def _grid() -> list[Run]:
    """Return the quick grid, and behind it what a CPU without quirks has no use for.

    That is sums that are cut for a driver that ends long loops, as all of the grid is on such a
    one, or for little memory, and convolution by the kernels of a GPU.
    """
    from clconv.algorithms.depthwise import Depthwise
    from clconv.algorithms.implicit_gemm import ImplicitGemm
    from clconv.algorithms.registry import algorithm_names
    from clconv.conformance.cases import Case, list_cases
    from clconv.program.device import select_device
    from clconv.spec.parse import parse

    device = select_device(None)
    gpu = replace(device, kernels="gpu")
    grid = list_cases("quick", algorithm_names())
    cut = [
        Run(Case(parse(text), (algorithm,), False), replace(device, max_loop_turns=turns), False)
        for text, (algorithm, turns) in CUT.items()
    ]
    small = [
        Run(
            Case(parse(text), (algorithm,), False),
            replace(device, max_allocation_bytes=most),
            False,
        )
        for text, (algorithm, most) in SMALL.items()
    ]
    of_gpu = [
        Run(Case(case.problem, (algorithm.name,), False), gpu)
        for algorithm in (Depthwise(), ImplicitGemm())
        for case in grid
        if not algorithm.refuse(case.problem, gpu)
    ]
    return [*(Run(case, device) for case in grid), *cut, *small, *of_gpu]


def trace(task: dict[str, Any]) -> dict[str, Any]:
    """Run a share of the cases; of each say its time, the programs it built, the lines it ran."""
    import clconv.program.context as context

    root = os.path.dirname(os.path.dirname(context.__file__))
    watched = {os.path.join(root, name.removeprefix("clconv/")): name for name in task["watched"]}
    lines: set[tuple[str, int]] = set()
    programs: set[tuple[str, str]] = set()

    def within(frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            lines.add((watched[frame.f_code.co_filename], frame.f_lineno))
        return within

    def entered(frame: FrameType, event: str, _: object) -> Any:
        return within if frame.f_code.co_filename in watched else None

    build = context.build

    def logged(opencl: Any, device: Any, source: str, macros: Any) -> Any:
        programs.update((source, f"{name}={value}") for name, value in macros.items())
        programs.add((source, ""))
        return build(opencl, device, source, macros)

    context.build = logged
    told = []
    sys.settrace(entered)
    runs = _grid()
    before = set(lines)
    for run in runs[task["share"] :: task["of"]]:
        lines.clear()
        programs.clear()
        start = time.monotonic()
        for outcome in run.outcomes():
            if outcome.skipped and not run.may_be_refused:
                return {"verdict": "refused", "by": f"{run}: {outcome.skipped}"}
            if outcome.finding is not None and not outcome.finding.passed:
                return {"verdict": "missed", "by": f"{run}: {outcome.finding.message}"}
        told.append(
            {
                "case": str(run),
                "seconds": time.monotonic() - start,
                "lines": sorted(lines),
                "programs": sorted(programs),
            }
        )
    sys.settrace(None)
    return {"verdict": "traced", "cases": told, "always": sorted(before)}


if __name__ == "__main__":
    main()
