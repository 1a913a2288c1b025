"""tests/support/driver_matrix.py: what dies, misses or reports is counted, and makes it fail."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from support import driver_matrix
from support.driver_matrix import IMPLEMENTATIONS, Implementation, icd_text, why_it_builds_nothing

WORKER = """
import json, os, sys
def tell(**facts): print(json.dumps(facts), flush=True)
REPORT = "\\nRead-write data race\\n\\tKernel: gemm\\n\\n\\tFirst entity\\n\\n"
REPORT += "Invalid read\\n\\tKernel: pack\\n"
first, log = int(sys.argv[3]), sys.argv[1]
assert os.environ["CLCONV_KERNELS"] == "gpu"
tell(cases=3)
for number in range(first, 3):
    tell(begins=number, problem="case %d" % number)
    if number == 1 and {dies}:
        sys.exit("the compiler died")
    if number == 2 and {reports}:
        open(log, "a").write(REPORT)
    misses = ["2 of 3 elements differ"] if number == 2 and {misses} else []
    skips = {{"no float64": 2}} if number == 2 else {{}}
    tell(ended=number, checks=4, misses=misses, skips=skips, share=0.5, cpu_s=0.1)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a made-up worker and return the result, whether it passed, and what was printed."""
    reader = driver_matrix._reports

    def run(dies=False, misses=False, reports=False):
        log = tmp_path / "log"
        worker = tmp_path / "worker.py"
        worker.write_text(WORKER.format(dies=dies, misses=misses, reports=reports))
        monkeypatch.setattr(driver_matrix, "WORKER", worker)
        monkeypatch.setattr(driver_matrix, "_reports", lambda _: reader(log))
        result = driver_matrix.run(Implementation("made up", "none", grid=str(log)), "gpu")
        console = Console(file=io.StringIO(), width=120)
        passed = driver_matrix.report(console, [result], {"another": "no another.icd"})
        return result, passed, console.file.getvalue()

    return run


def test_all_pass(run):
    result, passed, text = run()
    assert passed
    assert (result.cases, result.checks, result.deadly, result.share) == (3, 12, [], 0.5)
    assert "skipped 2: no float64" in text
    assert "another: not run: no another.icd" in text


def test_death_is_a_miss_and_the_rest_is_run(run):
    result, passed, text = run(dies=True)
    assert not passed
    assert (result.cases, len(result.deadly)) == (2, 1)
    assert "died with status 1 in case 1: the compiler died" in text


def test_miss_and_report_fail(run):
    _, passed, text = run(misses=True)
    assert not passed
    assert "2 of 3 elements differ" in text
    result, passed, text = run(reports=True)
    assert not passed
    assert result.reports == [
        "reported: Read-write data race Kernel: gemm First entity",
        "reported: Invalid read Kernel: pack",
    ]


def test_every_column_has_a_heading(run):
    result, _, _ = run()
    table = driver_matrix.table_of([result], {})
    assert all(column.header for column in table.columns)


def test_nothing_run_is_no_pass():
    console = Console(file=io.StringIO())
    assert not driver_matrix.report(console, [], {"another": "no another.icd"})


def test_a_driver_that_builds_nothing_is_told_from_one_that_does(monkeypatch):
    icd = next((icd_text(i) for i in IMPLEMENTATIONS if i.driver and icd_text(i)), None)
    if icd is None:
        pytest.skip("no driver of the matrix is installed")
    assert why_it_builds_nothing(icd) is None
    refused = "import sys; sys.exit('a traceback\\nerror: unknown target CPU\\n')"
    monkeypatch.setattr(driver_matrix, "EMPTY_KERNEL", refused)
    assert "error: unknown target CPU" in why_it_builds_nothing(icd)
