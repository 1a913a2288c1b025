"""`clconv verify`: the conformance suite on devices or a backend; progress bar, tables, files."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from clconv.algorithms import selfcheck
from clconv.conformance.cases import Case, case_of, list_cases
from clconv.conformance.implementations import Implementation, from_elsewhere, on_device
from clconv.conformance.report import Miss, Report, Tally, as_json, as_junit, skips, tallies, tally
from clconv.conformance.runner import Outcome, fails_likewise, run_case
from clconv.conformance.shrink import shrink
from clconv.conformance.walk import walk
from clconv.frontends.tables import usable_devices
from clconv.spec.parse import parse

MISSES_SHOWN = 10
SHRUNK = 3  # of them: the same fault has many faces, and each takes seconds


@dataclass(frozen=True, slots=True)
class Choice:
    """What is run, on what, and where it is written to."""

    grid: str = "edges"  # or "quick"
    deep: int = 0  # so many steps of a random walk instead
    seed: int = 0
    problems: tuple[str, ...] = ()  # these instead
    only: tuple[str, ...] = ()  # shell patterns of problem strings; all of them if none
    device: str | None = None
    backend: str | None = None  # module:object
    fail_fast: bool = False
    json: Path | None = None
    junit: Path | None = None


def run_verify(console: Console, choice: Choice) -> bool:
    """Run the suite, print what was found, write the files, and return whether all passed.

    Raises
    ------
    ValueError : no problem string, no such backend, or patterns that no case matches
    """
    os.environ[selfcheck.VARIABLE] = "0"  # a wrong kernel is to be seen, not stood in for
    reports = []
    for implementation in _implementations(console, choice):
        cases = _cases(choice, implementation.algorithms)
        start = time.monotonic()
        outcomes = _run_with_progress(console, implementation, cases, choice.fail_fast)
        seconds = time.monotonic() - start
        misses = _shrunk(console, implementation, outcomes)
        reports.append(Report(implementation.name, tuple(outcomes), misses, seconds))
        console.print(_table(reports[-1]))
        _print_misses(console, misses)
    if len(reports) > 1:
        console.print(_summary(reports))
    if choice.json:
        choice.json.write_text(json.dumps(as_json(reports), indent=1) + "\n")
    if choice.junit:
        choice.junit.write_bytes(as_junit(reports))
    return _verdict(console, reports)


def _verdict(console: Console, reports: list[Report]) -> bool:
    passed = all(report.passed for report in reports)
    if passed:
        console.print("[green]every result conforms[/]")
    elif any(report.misses for report in reports):
        console.print("[red]there are misses[/]")
    else:
        console.print("[red]nothing was checked: everything was skipped[/]")
    return passed


def _implementations(console: Console, choice: Choice) -> list[Implementation]:
    if choice.backend:
        return [from_elsewhere(choice.backend)]
    devices = usable_devices(choice.device)
    if choice.grid == "quick" and len(devices) > 1:  # one device builds its kernels in a minute
        names = ", ".join(f"--device {device.index}" for device in devices[1:])
        console.print(f"the default device only; for the others: {names}", highlight=False)
        devices = devices[:1]
    return [on_device(device) for device in devices]


def _cases(choice: Choice, algorithms: tuple[str, ...]) -> list[Case]:
    if choice.problems:
        cases = [case_of(parse(text), algorithms) for text in choice.problems]
    elif choice.deep:
        cases = list(islice(walk(choice.seed, ("auto", *algorithms)), choice.deep))
    else:
        cases = list_cases(choice.grid, algorithms)
    if not choice.only:
        return cases
    kept = [case for case in cases if any(fnmatchcase(str(case), p) for p in choice.only)]
    if not kept:
        raise ValueError(
            f"none of {len(cases)} cases matches {' or '.join(choice.only)}; they are like"
            f" {cases[0]}"
        )
    return kept


def _run_with_progress(
    console: Console, implementation: Implementation, cases: list[Case], fail_fast: bool
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(escape(implementation.name), total=len(cases))
        for case in cases:
            for outcome in run_case(implementation.backend_of, case):
                outcomes.append(outcome)
                if fail_fast and outcome.is_miss:
                    return outcomes
            progress.advance(task)
    return outcomes


def _shrunk(
    console: Console, implementation: Implementation, outcomes: Iterable[Outcome]
) -> tuple[Miss, ...]:
    """Return what failed, the first few of different rules and functions with a smaller problem."""
    misses: list[Miss] = []
    seen: set[tuple[str, str]] = set()
    for outcome in outcomes:
        if not outcome.is_miss:
            continue
        smallest = outcome.case.problem
        kind = (outcome.function, outcome.rule)
        if kind not in seen and len(seen) < SHRUNK:
            seen.add(kind)
            with console.status(f"looking for a smaller problem than {smallest}"):
                smallest = shrink(smallest, fails_likewise(implementation.backend_of, outcome))
        command = f"clconv verify {implementation.option} --problem {shlex.quote(str(smallest))}"
        misses.append(Miss(outcome, smallest, command))
    return tuple(misses)


def _table(report: Report) -> Table:
    table = Table(title=escape(report.implementation), title_justify="left")
    table.add_column("function", no_wrap=True)
    for heading in ("cases", "checks", "passed", "skipped", "worst error / bound"):
        table.add_column(heading, justify="right")
    for by in ("function", "rule"):
        for name, counts in tallies(report.outcomes, by).items():
            table.add_row(name, *_counts(counts))
        table.add_section()
        if by == "function":
            table.add_row("[bold]rule[/]")
    table.add_row("all", *_counts(tally(report.outcomes)), style="bold")
    reasons = skips(report.outcomes).items()
    skipped = [f"skipped {count}: {escape(reason)}" for reason, count in reasons]
    table.caption = "\n".join([f"{report.seconds:.0f} s", *skipped])
    table.caption_justify = "left"
    return table


def _summary(reports: list[Report]) -> Table:
    """Return a table with a row for each implementation."""
    table = Table(title="All implementations", title_justify="left")
    table.add_column("implementation", overflow="fold")
    for heading in ("cases", "checks", "passed", "skipped", "worst error / bound"):
        table.add_column(heading, justify="right")
    for report in reports:
        table.add_row(escape(report.implementation), *_counts(tally(report.outcomes)))
    return table


def _counts(counts: Tally) -> tuple[str, ...]:
    passed = str(counts.passed)
    shown = passed if counts.passed == counts.checks else f"[red]{passed}[/]"
    cells = str(counts.cases), str(counts.checks), shown, str(counts.skipped)
    return (*cells, f"{counts.worst:.3f}")


def _print_misses(console: Console, misses: tuple[Miss, ...]) -> None:
    for miss in misses[:MISSES_SHOWN]:
        outcome = miss.outcome
        console.print(
            f"[red]miss[/] {outcome.function}, {outcome.rule}, {outcome.case} by"
            f" {outcome.algorithm}: {escape(miss.message)}",
            highlight=False,
        )
        console.print(f"     {escape(miss.command)}", highlight=False, soft_wrap=True)
    if len(misses) > MISSES_SHOWN:
        console.print(f"... and {len(misses) - MISSES_SHOWN} more")
