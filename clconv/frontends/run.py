"""`clconv run STRING`: one problem, run, held to the reference, and timed."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from clconv.algorithms import selfcheck
from clconv.conformance.calls import PublicCall, call_on
from clconv.conformance.data import data_for
from clconv.conformance.fast import is_fast
from clconv.conformance.problems import call_of
from clconv.conformance.rules import Finding, why_not
from clconv.conformance.runner import DATA, DeviceBackend, checks_of
from clconv.errors import UnsupportedError
from clconv.frontends.tables import usable_devices
from clconv.ops.division import Division
from clconv.ops.execute import plan_of
from clconv.program.device import Device
from clconv.spec.cost import Cost, cost
from clconv.spec.parse import parse
from clconv.spec.tensor import Problem

LEAST_TIMED_S = 0.3  # of each device, in all


@dataclass(frozen=True, slots=True)
class Report:
    """What one device did with the problem; `refusal` says why nothing."""

    device: Device
    division: Division | None = None
    findings: tuple[tuple[str, Finding | str], ...] = ()
    median_s: float = 0.0
    calls: int = 0
    refusal: str = ""

    @property
    def passed(self) -> bool:
        """Whether no rule was broken."""
        return all(isinstance(f, str) or f.passed for _, f in self.findings)


def run_problem(
    console: Console, text: str, choice: str | None, algorithm: str, repeat: int
) -> bool:
    """Run the problem on the chosen devices, print what came of it, return whether all passed.

    Raises
    ------
    ValueError, UnsupportedError : it is no problem string, or no public function states it
    """
    os.environ[selfcheck.VARIABLE] = "0"  # a wrong kernel is to be seen, not stood in for
    problem = parse(text)
    call_of(problem, data_for(problem, "random"))  # raises before a device is looked for
    price = cost(problem)
    console.print(f"[bold]{problem}[/]", highlight=False)
    console.print(_sizes(problem, price), highlight=False)
    reports = [
        _run_on(device, problem, algorithm, repeat)
        for device in usable_devices(choice)[: None if choice else 1]
    ]
    console.print(_table(reports, price))
    for report in reports:
        for rule, finding in report.findings:
            if isinstance(finding, Finding) and not finding.passed:
                console.print(f"[red]miss[/] {report.device}, {rule}: {finding.message}")
    return all(report.passed and not report.refusal for report in reports)


def _sizes(problem: Problem, price: Cost) -> str:
    tensors = {**problem.operands, **problem.results}
    shapes = ", ".join(f"{name} {tensor.shape} {tensor.dtype}" for name, tensor in tensors.items())
    return (
        f"{shapes}\n{price.flops / 1e9:.4g} GFLOP, {price.bytes_moved / 1e6:.4g} MB moved at least,"
        f" im2col would take {price.im2col_bytes / 1e6:.4g} MB"
    )


def _run_on(device: Device, problem: Problem, algorithm: str, repeat: int) -> Report:
    backend = DeviceBackend(device, algorithm)
    try:
        division = plan_of(str(problem), device=device, algorithm=algorithm)
    except (UnsupportedError, MemoryError) as error:
        return Report(device, refusal=str(error))
    used = next(division.plans).algorithm
    findings = tuple((rule, _hold(problem, backend, rule, used)) for rule in ("bits", "bound"))
    call = call_of(problem, data_for(problem, "random"))
    times_s = _timed(call, backend, repeat)
    return Report(
        device,
        division,
        findings,
        statistics.median(times_s),
        len(times_s),
    )


def _hold(problem: Problem, backend: DeviceBackend, rule: str, algorithm: str) -> Finding | str:
    """Return what a rule finds of an algorithm's results, or why it does not apply."""
    reason = why_not(problem, rule)
    if reason:
        return reason
    try:
        public = call_of(problem, data_for(problem, DATA[rule]))
    except ValueError as error:
        return str(error)
    call = call_on(backend, public)
    try:
        return checks_of(problem, algorithm)[rule](call)
    except UnsupportedError as error:
        return str(error)


def _timed(call: PublicCall, backend: DeviceBackend, repeat: int) -> list[float]:
    """Return the seconds of whole calls on numpy arrays, the first ones left out."""
    call.on(backend)
    times: list[float] = []
    while len(times) < repeat or (sum(times) < LEAST_TIMED_S and len(times) < 100 * repeat):
        start = time.perf_counter()
        call.on(backend)
        times.append(time.perf_counter() - start)
    return times


def _table(reports: list[Report], price: Cost) -> Table:
    """Return a table with a column for each device."""
    table = Table(show_header=False)
    columns = [_column(report, price) for report in reports]
    for heading in columns[0]:
        table.add_row(heading, *(column.get(heading, "") for column in columns))
    return table


def _column(report: Report, price: Cost) -> dict[str, str]:
    column = {"device": str(report.device)}
    if report.refusal:
        return column | {"algorithm": f"[red]refused[/]: {report.refusal}"}
    assert report.division is not None
    shown, plans, need = dict(report.findings), [*report.division.plans], report.division.need
    workspace_bytes = max(plan.workspace_bytes for plan in plans)
    launches = sum(len(plan.launches) for plan in plans)
    pieces = f" in {len(plans)} pieces" * (len(plans) > 1)
    exact, within = "equal the reference, bit for bit", "worst error is {:.3f} of its bound"
    used = plans[0].algorithm
    return column | {
        "algorithm": f"{used}, {launches} launches{pieces}",
        "device memory": f"{need.total_bytes / 1e6:.3g} MB, of which workspace"
        f" {workspace_bytes / 1e6:.3g} MB; largest buffer {need.largest_bytes / 1e6:.3g} MB",
        "whole numbers": _verdict(shown["bits"], within if is_fast(used) else exact),
        "reals": _verdict(shown["bound"], within),
        "time": f"{1e3 * report.median_s:.3g} ms, median of {report.calls} calls on numpy arrays",
        "arithmetic": f"{price.flops / report.median_s / 1e9:.3g} GFLOP/s",
        "memory": f"{price.bytes_moved / report.median_s / 1e9:.3g} GB/s",
    }


def _verdict(finding: Finding | str, good: str) -> str:
    if isinstance(finding, str):
        return f"not held: {finding}"
    if not finding.passed:
        return "[red]miss[/]"
    return f"[green]{good.format(finding.share)}[/]"
