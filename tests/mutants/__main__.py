"""Fault injection: kernels and shape arithmetic with a fault each, which the quick grid must find.

    PYTHONPATH=tests python -m mutants

says how far `clconv verify --quick` can be trusted: that a grid passes with right kernels proves
little as long as it passes with wrong ones, too.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from mutants.catalogue import files, named, wanted
from mutants.hunt import Found, Hunt
from rich.console import Console
from rich.table import Table

REVIEWED = Path(__file__).with_name("equivalent.toml")
GOAL = 0.97


def main() -> int:
    """Run the command; 0 if the goal is met and every survivor has been reviewed."""
    options = _options()
    console = Console()
    chosen = [path for path in files() if re.search(options.files, path)]
    with tempfile.TemporaryDirectory(prefix="clconv-mutants-") as folder:
        reviewed, missed = read_reviewed()
        hunt = Hunt(Path(folder), options.jobs, console, reviewed)
        start = time.monotonic()
        console.print(f"tracing the unmutated quick grid ({options.jobs} processes after that)")
        hunt.trace()
        by_hand = [mutant for mutant in named() if mutant.path in chosen]
        quotas = {path: -(-wanted(path) * options.share // 100) for path in chosen}
        found = hunt.run(by_hand, quotas)
    found.sort(key=lambda each: (each.mutant.path, each.mutant.line, each.mutant.id))
    summary = _report(console, found, reviewed, missed, time.monotonic() - start)
    told = {"summary": summary, "mutants": [_told(each, reviewed) for each in found]}
    Path(options.report).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    console.print(f"details: {options.report}")
    return 0 if summary["score"] >= GOAL and not summary["unreviewed"] else 1


def read_reviewed() -> tuple[dict[str, str], dict[str, str]]:
    """Return the reasons why survivors are equivalent, and those of others that are known."""
    reviewed = tomllib.loads(REVIEWED.read_text(encoding="utf-8"))
    missed = reviewed.pop("missed", {})
    return reviewed, missed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mutants", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--files", default="", help="only files whose path has this pattern")
    parser.add_argument("--share", type=int, default=100, help="percent of the drawn mutants")
    parser.add_argument("--jobs", type=int, default=2, help="subprocesses at a time")
    parser.add_argument("--report", default="mutants.json", help="where the report goes")
    return parser.parse_args()


def _told(found: Found, reviewed: dict[str, str]) -> dict[str, Any]:
    mutant = found.mutant
    return {
        "id": mutant.id,
        "line": mutant.line,
        "code": mutant.where.strip(),
        "old": mutant.old,
        "new": mutant.new,
        **found.answer,
        "reason": reviewed.get(mutant.id, ""),
    }


def _report(
    console: Console,
    found: list[Found],
    reviewed: dict[str, str],
    missed: dict[str, str],
    seconds: float,
) -> dict[str, Any]:
    """Print the table and the survivors; return the figures."""
    columns = ("file", "mutants", "caught", "by guard zones", "equivalent", "survived")
    table = Table(*columns, title="faults injected")
    for path in sorted({each.mutant.path for each in found}):
        table.add_row(
            path, *map(str, _counts([f for f in found if f.mutant.path == path], reviewed))
        )
    mutants, caught, guarded, equivalent, survived = _counts(found, reviewed)
    table.add_section()
    table.add_row("all", *map(str, (mutants, caught, guarded, equivalent, survived)), style="bold")
    console.print(table)
    survivors = [each.mutant for each in found if each.survived]
    for mutant in survivors:
        said = "survived, not reviewed"
        if mutant.id in reviewed:
            said = f"equivalent ({reviewed[mutant.id]})"
        elif mutant.id in missed:
            said = f"missed ({missed[mutant.id]})"
        console.print(f"{said}: {mutant}", markup=False, soft_wrap=True)
    unreviewed = [m.id for m in survivors if m.id not in reviewed | missed]
    score = caught / max(mutants - equivalent, 1)
    with_guards = (caught + guarded) / max(mutants - equivalent, 1)
    builds = sum(each.answer["verdict"] == "build" for each in found)
    ways = Counter(_way(each) for each in found if each.answer["verdict"] == "caught")
    console.print(f"caught by {', '.join(f'{way} {n}' for way, n in ways.most_common())}")
    console.print(f"{builds} more did not compile, and were replaced; {seconds / 60:.0f} minutes")
    console.print(
        f"[bold]{caught} of {mutants - equivalent} caught: {100 * score:.1f} %[/]; with guard zones"
        f" {100 * with_guards:.1f} %; {equivalent} equivalent, {len(unreviewed)} not reviewed"
    )
    return {
        "score": score,
        "mutants": mutants,
        "caught": caught,
        "caught_by_guard_zones": guarded,
        "equivalent": equivalent,
        "did_not_compile": builds,
        "unreviewed": unreviewed,
        "seconds": seconds,
    }


def _way(found: Found) -> str:
    """Return the rule that caught it, or how else it ended."""
    return str(found.answer["by"]).replace(":", ",").split(",")[0]


def _counts(found: list[Found], reviewed: dict[str, str]) -> tuple[int, int, int, int, int]:
    """Return the mutants, those caught by the grid, by guard zones alone, equivalent, survivors."""
    verdicts = Counter(each.answer["verdict"] for each in found)
    survivors = [each for each in found if each.survived]
    equivalent = sum(each.mutant.id in reviewed for each in survivors)
    built = len(found) - verdicts["build"]
    left = len(survivors) - equivalent
    return built, verdicts["caught"], verdicts["guarded"], equivalent, left


if __name__ == "__main__":
    sys.exit(main())
