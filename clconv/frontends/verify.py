"""`clconv verify`: the conformance grid, with a progress bar and a table."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterable
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from clconv.algorithms import selfcheck
from clconv.algorithms.registry import algorithm_names
from clconv.conformance.cases import Case, list_cases
from clconv.conformance.runner import DeviceBackend, Outcome, run_case
from clconv.frontends.tables import usable_devices
from clconv.program.device import Device

MISSES_SHOWN = 10


def run_verify(console: Console, shapes: str, choice: str | None) -> bool:
    """Run the grid on the chosen devices, print what was found, and return whether all passed."""
    os.environ[selfcheck.VARIABLE] = "0"  # a wrong kernel is to be seen, not stood in for
    cases = list_cases(shapes, algorithm_names())
    passed = True
    devices = usable_devices(choice)
    if shapes == "quick" and len(devices) > 1:  # one device builds its kernels in half a minute
        names = ", ".join(f"--device {device.index}" for device in devices[1:])
        console.print(f"the default device only; for the others: {names}", highlight=False)
        devices = devices[:1]
    for device in devices:
        start = time.monotonic()
        outcomes = _run_with_progress(console, device, cases)
        console.print(_table(device, outcomes, time.monotonic() - start))
        passed &= _report_misses(console, outcomes)
    verdict = "[green]every result conforms[/]" if passed else "[red]there are misses[/]"
    console.print(verdict)
    return passed


def _run_with_progress(console: Console, device: Device, cases: list[Case]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"{device.name} ({device.platform})", total=len(cases))
        for case in cases:
            outcomes += run_case(partial(DeviceBackend, device), case)
            progress.advance(task)
    return outcomes


def _table(device: Device, outcomes: list[Outcome], seconds: float) -> Table:
    table = Table(title=f"{device}, driver {device.driver_version}", title_justify="left")
    table.add_column("function", no_wrap=True)
    for heading in ("checks", "passed", "skipped", "worst error / bound"):
        table.add_column(heading, justify="right")
    for function in sorted({outcome.function for outcome in outcomes}):
        table.add_row(function, *_counts(o for o in outcomes if o.function == function))
    table.add_section()
    table.add_row("all", *_counts(outcomes), style="bold")
    # One line for reasons that differ in their numbers only.
    reasons = Counter(re.sub(r"\d+", "..", o.skipped) for o in outcomes if o.skipped)
    skipped = [f"skipped {count}: {reason}" for reason, count in reasons.items()]
    table.caption = "\n".join([f"{seconds:.0f} s", *skipped])
    table.caption_justify = "left"
    return table


def _counts(outcomes: Iterable[Outcome]) -> tuple[str, str, str, str]:
    everything = list(outcomes)
    findings = [outcome.finding for outcome in everything if outcome.finding]
    passed = sum(finding.passed for finding in findings)
    worst = max((finding.share for finding in findings), default=0.0)
    skipped = len(everything) - len(findings)
    shown = str(passed) if passed == len(findings) else f"[red]{passed}[/]"
    return str(len(findings)), shown, str(skipped), f"{worst:.3f}"


def _report_misses(console: Console, outcomes: list[Outcome]) -> bool:
    misses = [o for o in outcomes if o.finding is not None and not o.finding.passed]
    for outcome in misses[:MISSES_SHOWN]:
        assert outcome.finding is not None
        console.print(
            f"[red]miss[/] {outcome.function}, {outcome.rule}, {outcome.case} by"
            f" {outcome.algorithm}: {outcome.finding.message}",
            highlight=False,
        )
    if len(misses) > MISSES_SHOWN:
        console.print(f"... and {len(misses) - MISSES_SHOWN} more")
    return not misses
