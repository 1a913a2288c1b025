"""The conformance suite on every OpenCL implementation at hand, with the kernels for CPUs and GPUs.

    python tests/support/driver_matrix.py [--jobs N] [--only PART] [--json FILE]

Each implementation runs in a process of its own that sees no other driver: a crash or a clash of
compilers in one can hide nothing of another. A driver that dies is started again behind the case
that it died in, and that counts as a miss. What is not installed is named. Exit status 1 if
anything misses. The grids are those of driver_worker.py, of "small/3" every third case.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from clconv.program.drivers import installed_drivers

WORKER = Path(__file__).with_name("driver_worker.py")
VENDORS = Path("/etc/OpenCL/vendors")
STALL_S = 300  # without a word from a worker
MAX_DEATHS = 20
SHOWN = 5  # misses of a row


EMPTY_KERNEL = """
import pyopencl as cl
context = cl.create_some_context(interactive=False)
cl.Program(context, "kernel void nothing(void) {}").build(cache_dir=False)
"""


@dataclass(frozen=True)
class Implementation:
    """An OpenCL implementation, how it is started, and what is run on it."""

    name: str
    driver: str  # file name of an .icd file, or of the library of a PyPI distribution
    grid: str = "quick"
    step: int = 1
    wrapper: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    old: bool = False  # knows no new processors: on some it builds nothing

    @property
    def share(self) -> str:
        """What of which grid is run."""
        return self.grid if self.step == 1 else f"{self.grid}/{self.step}"


IMPLEMENTATIONS = (
    Implementation("Intel CPU runtime", "libintelocl.so"),
    Implementation("PoCL 3.1", "pocl.icd"),
    Implementation(
        "rusticl on llvmpipe", "rusticl.icd", "small", environment={"RUSTICL_ENABLE": "llvmpipe"}
    ),
    Implementation(
        "Oclgrind",
        "",
        "tiny",
        wrapper=("oclgrind", "--data-races"),
        environment={"OCLGRIND_LOCAL_MEM_SIZE": "262144"},  # as CPUs have, for their kernels
    ),
    Implementation("PoCL 3.0 (PyPI)", "pocl-binary-distribution", "small", step=3, old=True),
)


@dataclass
class Result:
    """What came of one implementation with one set of kernels."""

    implementation: Implementation
    kernels: str
    cases: int = 0
    checks: int = 0
    share: float = 0.0
    seconds: float = 0.0
    cpu_s: float = 0.0  # of all threads: what it takes where nothing else runs
    misses: list[str] = field(default_factory=list)
    deadly: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    skips: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> list[str]:
        """All that went wrong."""
        return [*self.misses, *self.deadly, *self.reports]

    def take(self, facts: Mapping[str, object]) -> None:
        """Add what a worker said of one case."""
        self.cases += 1
        self.cpu_s += float(str(facts["cpu_s"]))
        self.checks += int(str(facts["checks"]))
        self.share = max(self.share, float(str(facts["share"])))
        self.misses += facts["misses"]  # type: ignore[arg-type]
        self.skips.update(facts["skips"])  # type: ignore[arg-type]


def icd_text(implementation: Implementation) -> str | None:
    """Return the text of an .icd file for an implementation's driver; None: it is not installed."""
    name = implementation.driver
    if name.endswith(".icd"):
        file = VENDORS / name
        return file.read_text() if file.exists() else None
    if name == "pocl-binary-distribution":
        root = os.environ.get("CLCONV_POCL3")  # a folder that it was installed into
        found = sorted(Path(root).rglob("libpocl-*.so")) if root else []
    else:
        found = [path for path in installed_drivers() if path.name == name]
    return f"{found[0]}\n" if found else None


def why_absent(implementation: Implementation) -> str | None:
    """Say why an implementation cannot be run, if so."""
    if implementation.wrapper:
        found = any(
            (Path(folder) / implementation.wrapper[0]).exists()
            for folder in os.environ.get("PATH", "").split(os.pathsep)
        )
        return None if found else f"no command {implementation.wrapper[0]}"
    text = icd_text(implementation)
    if text is None:
        return f"no {implementation.driver}"
    return why_it_builds_nothing(text) if implementation.old else None


def why_it_builds_nothing(icd: str) -> str | None:
    """Return what a driver says of an empty kernel, if it refuses even that."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "only.icd").write_text(icd)
        environment = {**os.environ, "OCL_ICD_VENDORS": folder}
        command = [sys.executable, "-c", EMPTY_KERNEL]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    said = re.search(r"^error: .*", done.stderr, re.MULTILINE)
    return f"it builds not even an empty kernel here: {said[0]}" if said else None


def run(implementation: Implementation, kernels: str) -> Result:
    """Run all cases, starting anew behind each that kills the process."""
    result = Result(implementation, kernels)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "only.icd").write_text(icd_text(implementation) or "")
        first, total = 0, 1
        while first < total and len(result.deadly) <= MAX_DEATHS:
            total, reached, reason = _run_worker(result, Path(folder), first)
            if reason is None:
                break
            result.deadly.append(reason)
            first = reached + 1
    result.seconds = time.monotonic() - start
    return result


def _run_worker(result: Result, folder: Path, first: int) -> tuple[int, int, str | None]:
    """Return how many cases there are, the last one begun, and what the process died of, if so."""
    implementation = result.implementation
    total, reached, problem = 0, first - 1, "its start"
    log = folder / "reports"
    environment = {
        **os.environ,
        **implementation.environment,
        "OCL_ICD_VENDORS": str(folder),
        "CLCONV_KERNELS": result.kernels,
        "CLCONV_CACHE": "0",
    }
    wrapper = (*implementation.wrapper, "--log", str(log)) if implementation.wrapper else ()
    command = [*wrapper, sys.executable, str(WORKER), implementation.grid]
    command += [str(implementation.step), str(first)]
    with (folder / "errors").open("w+") as errors:
        worker = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors)
        for facts in _lines(worker):
            if "cases" in facts:
                total = int(str(facts["cases"]))
            elif "begins" in facts:
                reached, problem = int(str(facts["begins"])), str(facts["problem"])
            else:
                result.take(facts)
        status = worker.wait()
        result.reports += _reports(log)
        errors.seek(0)
        last = (errors.read().strip() or "nothing on stderr").splitlines()[-1]
    reason = f"died with status {status} in {problem}: {last}" if status else None
    return total, reached, reason


def _lines(worker: subprocess.Popen[bytes]) -> Iterator[Mapping[str, object]]:
    """Yield what a worker says; one that falls silent for too long is killed."""
    assert worker.stdout is not None
    while True:
        ready, _, _ = select.select([worker.stdout], [], [], STALL_S)
        if not ready:
            worker.kill()
            return
        line = worker.stdout.readline()  # a worker writes whole lines
        if not line:
            return
        if line.startswith(b"{"):
            yield json.loads(line)


def _reports(log: Path) -> list[str]:
    """Return what a checking wrapper wrote, one report an entry."""
    text = log.read_text(errors="replace") if log.exists() else ""
    # Each begins at the left margin; what belongs to it is indented.
    reports = re.findall(r"^\S.*(?:\n(?:[ \t].*)?)*", text, re.MULTILINE)
    log.unlink(missing_ok=True)
    return [f"reported: {' '.join(report.split())}" for report in reports]


def table_of(results: list[Result], absent: Mapping[str, str]) -> Table:
    """Return a row for each implementation and set of kernels."""
    table = Table(title="OpenCL implementations", title_justify="left")
    for heading in ("implementation", "kernels", "grid"):
        table.add_column(heading)
    for heading in (
        "cases",
        "checks",
        "passed",
        "skipped",
        "deaths",
        "reports",
        "worst error / bound",
        "s",
        "CPU s",
    ):
        table.add_column(heading, justify="right")
    for r in results:
        passed = r.checks - len(r.misses)
        wrong = (len(r.deadly), len(r.reports))
        numbers = (r.cases, r.checks, passed, sum(r.skips.values()), *wrong)
        table.add_row(
            *(r.implementation.name, r.kernels, r.implementation.share, *map(str, numbers)),
            *(f"{r.share:.3f}", f"{r.seconds:.0f}", f"{r.cpu_s:.0f}"),
            style="red" if r.faults else "",
        )
    for name in absent:
        table.add_row(name, "not run", style="yellow")
    return table


def report(console: Console, results: list[Result], absent: Mapping[str, str]) -> bool:
    """Print the table, every reason of a skip and every miss; return whether there is none."""
    console.print(table_of(results, absent))
    for name, reason in absent.items():
        console.print(f"{name}: not run: {reason}", highlight=False, markup=False)
    for r in results:
        for reason, count in r.skips.items():
            text = f"{r.implementation.name}, {r.kernels}: skipped {count}: {reason}"
            console.print(text, highlight=False, markup=False)
    for r in results:
        more = [f"and {len(r.faults) - SHOWN} more"] if len(r.faults) > SHOWN else []
        for miss in [*r.faults[:SHOWN], *more]:
            text = f"miss: {r.implementation.name}, {r.kernels}: {miss}"
            console.print(text, highlight=False, markup=False)
    return bool(results) and not any(r.faults or not r.checks for r in results)


def as_json(results: list[Result]) -> list[dict[str, object]]:
    """Return the rows as json can write them."""
    return [
        {**vars(r), "implementation": r.implementation.name, "skips": dict(r.skips)}
        for r in results
    ]


def main() -> None:
    """Run what is installed, print the table, and exit with 1 if anything missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--only", default="", help="implementations with this in their name")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = [each for each in IMPLEMENTATIONS if options.only.lower() in each.name.lower()]
    absent = {each.name: reason for each in chosen if (reason := why_absent(each))}
    with ThreadPoolExecutor(options.jobs) as pool:
        parts = [(e, k) for e in chosen if e.name not in absent for k in ("cpu", "gpu")]
        results = list(pool.map(lambda part: run(*part), parts))
    passed = report(Console(width=130), results, absent)
    if options.json:
        options.json.write_text(json.dumps(as_json(results), indent=1) + "\n")
    raise SystemExit(not passed)


if __name__ == "__main__":
    main()
