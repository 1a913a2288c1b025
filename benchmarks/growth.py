"""How time per operation grows with batch, channels and image size; ideal is a flat line.

    python benchmarks/growth.py [--device NAME] [--accuracy fast] [--line PART] [--json FILE]

Each line varies one size of a layer. The table has nanoseconds for a thousand operations over the
least of its line: 1 is the best, and what is far above it did not scale.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import clconv
from clconv.reference.shapes import ConvShape

SAMPLE_S = 0.02


def dense(batch: int = 1, channels: int = 64, size: int = 56, taps: int = 3) -> ConvShape:
    """As many channels out as in, "same" padding."""
    return ConvShape.of(batch, channels, channels, (size, size), taps, padding=taps // 2)


def depthwise(batch: int = 1, channels: int = 64, size: int = 56) -> ConvShape:
    """3x3, one filter for each channel."""
    return ConvShape.of(batch, channels, channels, (size, size), 3, padding=1, groups=channels)


BATCHES, CHANNELS, SIZES = (1, 2, 4, 16, 64), (16, 32, 64, 256, 1024), (14, 28, 56, 112, 224, 512)
LINES: dict[str, dict[int, ConvShape]] = {
    "3x3 by batch": {n: dense(batch=n) for n in BATCHES},
    "3x3 by channels, 14x14, 8 images": {c: dense(8, c, 14) for c in CHANNELS},
    "3x3 by image size": {s: dense(size=s) for s in SIZES},
    "1x1 by batch": {n: dense(batch=n, taps=1) for n in BATCHES},
    "1x1 by channels, 14x14, 8 images": {c: dense(8, c, 14, 1) for c in CHANNELS},
    "1x1 by image size": {s: dense(size=s, taps=1) for s in SIZES},
    "depthwise by batch": {n: depthwise(batch=n) for n in BATCHES},
    "depthwise by channels, 14x14, 8 images": {c: depthwise(8, c, 14) for c in CHANNELS},
    "depthwise by image size": {s: depthwise(size=s) for s in SIZES},
}


def caller(shape: ConvShape, **options: Any) -> Callable[[], Any]:
    """Return a plan's call on operands of a layer, its weights prepared."""
    x, w, *_ = shape.random_tensors("float32")
    plan = clconv.plan(f"conv_fwd:f32:{shape}", **options).prepare_weights(w)
    return lambda: plan(x)


def seconds(call: Callable[[], Any]) -> float:
    """Return the mean time of a call, of about SAMPLE_S in all."""
    start = time.perf_counter()
    call()
    repeats = max(1, round(SAMPLE_S / (time.perf_counter() - start)))
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """Measure the points of each line in turns, and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device")
    parser.add_argument("--accuracy", default="strict", choices=("strict", "fast"))
    parser.add_argument("--line", default="", help="only lines with this in their titles")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", help="where the figures go")
    options = parser.parse_args()
    console, found = Console(), {}
    for title, line in LINES.items():
        if options.line not in title:
            continue
        how = {"device": options.device, "accuracy": options.accuracy}
        calls = {size: caller(shape, **how) for size, shape in line.items()}
        times: dict[int, list[float]] = {size: [] for size in line}
        for _ in range(options.rounds):
            for size, call in calls.items():
                times[size].append(seconds(call))
        each = {n: statistics.median(t) / line[n].flops for n, t in times.items()}
        found[title] = {size: 1e12 * cost for size, cost in each.items()}
        table = Table(title, *(str(size) for size in line))
        table.add_row("ns for 1000 operations", *(f"{1e12 * cost:.3f}" for cost in each.values()))
        table.add_row("over the least", *(f"{c / min(each.values()):.2f}" for c in each.values()))
        console.print(table)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
