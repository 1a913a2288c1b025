"""The hunt: which cases meet a mutant, in what order, and two subprocesses that run them."""

from __future__ import annotations

import queue
import re
from collections.abc import Container, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from mutants.catalogue import KERNELS, ROOT, Mutant, candidates, files, functions, read
from mutants.sandbox import Sandbox
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LIMIT_S = 180  # the whole quick grid takes 80 s where nothing is cached and others run beside it
A_FEW = 3  # cases of the same programs, before others are built
REVIEWED_SHARE = 8  # one in so many cases is run on a fault that is known to change nothing
_INCLUDE = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Found:
    """A mutant and what became of it."""

    mutant: Mutant
    answer: dict[str, Any]

    @property
    def survived(self) -> bool:
        """Whether no case of the grid missed."""
        return bool(self.answer["verdict"] == "survived")


@dataclass(slots=True)
class Hunt:
    """Sandboxes, and what the unmutated grid did in them."""

    folder: Path
    jobs: int
    console: Console
    reviewed: Container[str]  # ids of equivalents
    cases: list[dict[str, Any]] = field(default_factory=list)
    always: set[tuple[str, int]] = field(default_factory=set)
    sandboxes: queue.Queue[Sandbox] = field(default_factory=queue.Queue)

    def trace(self) -> None:
        """Run the grid without a fault, each sandbox a share: what it builds and runs, by case.

        Raises
        ------
        RuntimeError : it does not pass
        """
        sandboxes = [Sandbox(self.folder / str(number)) for number in range(self.jobs)]
        watched = [path for path in files() if not path.startswith(KERNELS)]
        task = {"do": "trace", "watched": watched, "of": self.jobs}
        with ThreadPoolExecutor(self.jobs) as pool:
            shares = [
                pool.submit(each.run, None, task | {"share": number}, 4 * LIMIT_S)
                for number, each in enumerate(sandboxes)
            ]
        answers = [share.result() for share in shares]
        for answer in answers:
            if answer["verdict"] != "traced":
                raise RuntimeError(f"the grid fails without a fault: {answer['by']}")
        self.cases = [
            answers[number % self.jobs]["cases"][number // self.jobs]
            for number in range(sum(len(answer["cases"]) for answer in answers))
        ]
        self.always = {(path, line) for path, line in answers[0]["always"]}
        for each in sandboxes:
            each.take_binaries(sandboxes)
            self.sandboxes.put(each)

    def run(self, by_hand: list[Mutant], quotas: dict[str, int]) -> list[Found]:
        """Try the mutants by hand, and of each file as many as its quota, plus the named.

        One that does not compile is kept, and the next of its file takes its place.
        """
        spare = {path: iter(candidates(path)) for path in quotas}
        first = [mutant for path, n in quotas.items() for mutant in islice(spare[path], n)]
        found: list[Found] = []
        with self._progress() as progress, ThreadPoolExecutor(self.jobs) as pool:
            bar = progress.add_task("faults", total=len(by_hand) + len(first))
            pending = {pool.submit(self._try, mutant) for mutant in [*by_hand, *first]}
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for each in map(Future.result, done):
                    found.append(each)
                    if each.survived:
                        self.console.print(f"survived: {each.mutant}", markup=False, soft_wrap=True)
                    another = None
                    if each.answer["verdict"] == "build":
                        another = next(spare[each.mutant.path], None)
                    if another is not None:
                        pending.add(pool.submit(self._try, another))
                    else:
                        progress.advance(bar)
                if not self.console.is_terminal and len(found) % 25 == 0:
                    self.console.print(f"{len(found)} tried")  # for a log, which has no bar
                survivors = sum(each.survived for each in found)
                progress.update(bar, description=f"faults ({survivors} survived)")
        return found

    def _progress(self) -> Progress:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        return Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)

    def _try(self, mutant: Mutant) -> Found:
        cases, known = self.order(mutant), mutant.id in self.reviewed
        # What is equivalent meets every case it can, for nothing: some tell a claim that went bad.
        cases = cases[::REVIEWED_SHARE] if known else cases
        sandbox = self.sandboxes.get()
        try:
            task = {"do": "hunt", "tests": str(ROOT / "tests"), "cases": cases, "guards": not known}
            return Found(mutant, sandbox.run(mutant, task, LIMIT_S))
        finally:
            self.sandboxes.put(sandbox)

    def order(self, mutant: Mutant) -> list[int]:
        """Return the numbers of the cases that meet a mutant, those that say the most first.

        A case that builds no program with a kernel file in it, or runs no line of a function, ends
        as it would without the fault.
        """
        if mutant.path.startswith(KERNELS):
            sources = including(mutant.path.removeprefix(f"{KERNELS}/"))
            return self._in_turn(n for n, c in enumerate(self.cases) if _sources(c) & sources)
        lines = {(mutant.path, line) for line in _lines_around(mutant)}
        near = [
            n
            for n, c in enumerate(self.cases)
            if {(path, line) for path, line in c["lines"]} & lines
        ]
        if not near or lines & self.always:
            return self._in_turn(range(len(self.cases)))
        return self._in_turn(near)

    def _in_turn(self, numbers: Iterable[int]) -> list[int]:
        """Put the short ones first, and of those that build the same programs a few at a time.

        What a mutant of a kernel costs is building it.
        """
        same: dict[tuple[Any, ...], list[int]] = {}
        for number in sorted(numbers, key=lambda n: float(self.cases[n]["seconds"])):
            programs = tuple(map(tuple, self.cases[number]["programs"]))
            same.setdefault(programs, []).append(number)
        first = [number for some in same.values() for number in some[:A_FEW]]
        return first + [number for some in same.values() for number in some[A_FEW:]]


def _sources(case: dict[str, Any]) -> set[str]:
    return {source for source, _ in case["programs"]}


def including(name: str) -> set[str]:
    """Return the kernel files that have `name` in them, itself too."""
    found, kernels = (
        {name},
        [p.removeprefix(f"{KERNELS}/") for p in files() if p.startswith(KERNELS)],
    )
    while True:
        more = {k for k in kernels if found & set(_INCLUDE.findall(read(f"{KERNELS}/{k}")))}
        if more <= found:
            return found
        found |= more


def _lines_around(mutant: Mutant) -> Iterable[int]:
    """Return the lines of the smallest function that a mutant stands in."""
    around = [span for span in functions(read(mutant.path)) if span[0] <= mutant.line <= span[1]]
    first, last = min(
        around, key=lambda span: span[1] - span[0], default=(mutant.line, mutant.line)
    )
    return range(first, last + 1)
