"""Runs cases on the one OpenCL device that this process sees; started by driver_matrix.py.

    driver_worker.py GRID STEP FIRST

writes a line of JSON when it starts a case and one with what came of it, from case FIRST on, so
that whoever reads knows which case a driver died in. The grids are "quick", "small" (without the
problems larger than a chunk of workspace) and "tiny" (the self-check's); of these every STEP-th.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import warnings
from collections import Counter
from dataclasses import replace

from clconv.algorithms import selfcheck
from clconv.conformance.cases import CUT, Case, case_of, list_cases
from clconv.conformance.implementations import on_device
from clconv.conformance.runner import run_case
from clconv.program.device import devices
from clconv.spec.parse import parse


def cases_of(grid: str, algorithms: tuple[str, ...]) -> list[Case]:
    """Return the cases of a grid."""
    if grid == "tiny":
        strings = dict.fromkeys(text for texts in selfcheck.stored().values() for text in texts)
        problems = [parse(text.replace("{t}", "f32")) for text in strings]
        return [case_of(problem, algorithms, related=False) for problem in problems]
    cut = CUT if grid == "small" else ()
    return [case for case in list_cases("quick", algorithms) if str(case) not in cut]


def tell(**facts: object) -> None:
    """Write a line of JSON."""
    print(json.dumps(facts), flush=True)


def main() -> None:
    """Run from the command line's arguments; see above."""
    grid, step, first = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.environ[selfcheck.VARIABLE] = "0"  # a wrong kernel is to be seen, not stood in for
    warnings.simplefilter("ignore")
    (device,) = devices()
    if device.platform == "Oclgrind":  # it takes memory of the host's for uninitialised
        device = replace(device, shares_host_memory=False)
    implementation = on_device(device)
    cases = cases_of(grid, implementation.algorithms)[::step]
    tell(device=str(device), kernels=device.kernels, cases=len(cases))
    cpu_s = 0.0
    for number, case in enumerate(cases[first:], first):
        tell(begins=number, problem=str(case))
        outcomes = list(run_case(implementation.backend_of, case))
        findings = [outcome.finding for outcome in outcomes if outcome.finding]
        skips = Counter(re.sub(r"\b\d+\b", "..", o.skipped) for o in outcomes if not o.finding)
        misses = [
            f"{o.function}, {o.rule}, {case} by {o.algorithm}: {o.finding.message}"
            for o in outcomes
            if o.finding and o.is_miss
        ]
        cpu_s, used_s = time.process_time(), cpu_s
        share = max((finding.share for finding in findings), default=0.0)
        tell(
            ended=number,
            checks=len(findings),
            misses=misses,
            skips=skips,
            share=min(share, 1e9),  # JSON has no infinity
            cpu_s=cpu_s - used_s,
        )


if __name__ == "__main__":
    main()
