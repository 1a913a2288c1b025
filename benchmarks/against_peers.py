"""clconv beside PyTorch, ONNX Runtime, OpenVINO and ncnn, layer by layer, all in turns.

    python benchmarks/against_peers.py [--network NAME] [--layer PART] [--algorithm NAME] ...

Every round calls each engine once, clconv between them, so that what else runs on the machine
meets all alike; the table has medians. A ratio is a peer's time over clconv's: above 1, clconv is
faster. Results are compared with the first engine's before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from peers import PEERS, Array, Call
from rich.console import Console
from rich.table import Table
from shapes import LAYERS

import clconv
from clconv.reference.shapes import ConvShape

ROUNDS = 9
SAMPLE_S = 0.004  # a sample repeats its call for about this long
PAUSE_S = 0.001  # before each sample: threads of the engine before it fall asleep


def ours(shape: ConvShape, x: Array, w: Array, **options: Any) -> Call:
    """Return clconv's functional call."""
    return lambda: clconv.conv(x, w, **shape.keywords(), **options)


def calls_for(shape: ConvShape, names: list[str], **options: Any) -> dict[str, Call]:
    """Return the engines' calls by name, of those that can; each has run, and agrees."""
    x, w, _, _ = shape.random_tensors("float32")
    calls = {"clconv": ours(shape, x, w, **options)}
    expected = calls["clconv"]()
    for name in names:
        try:
            call = PEERS[name](shape, x, w)
            got = call()
        except (ImportError, NotImplementedError) as error:
            print(f"{name}: {error}")
            continue
        # Other engines use Winograd: errors of a tile's size, not of an element's.
        assert np.abs(got - expected).max() <= 1e-3 * np.abs(expected).max(), name
        calls[name] = call
    return calls


def sample_s(call: Callable[[], Any], repeats: int) -> float:
    """Return the seconds of a call, the mean of some in a row."""
    time.sleep(PAUSE_S)
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def medians_s(calls: Mapping[str, Call], rounds: int) -> dict[str, float]:
    """Return the median time of each, all called in turns."""
    repeats = {}
    for name, call in calls.items():
        call()
        repeats[name] = max(1, round(SAMPLE_S / sample_s(call, 1)))
    peers = [name for name in calls if name != "clconv"] or ["clconv"]
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        # clconv stands behind another peer in every round.
        for name in [*peers[number % len(peers) :], *peers[: number % len(peers)]]:
            times[name].append(sample_s(calls[name], repeats[name]))
            if name == peers[0] != "clconv":
                times["clconv"].append(sample_s(calls["clconv"], repeats["clconv"]))
    return {name: statistics.median(found) for name, found in times.items()}


def geometric_mean(values: list[float]) -> float:
    """Return it, 1 of nothing."""
    return math.exp(statistics.fmean(map(math.log, values))) if values else 1.0


def measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield what was found of each layer."""
    how = {"algorithm": options.algorithm, "accuracy": options.accuracy, "device": options.device}
    for network in options.network or LAYERS:
        for name, shape in LAYERS[network].items():
            if options.layer in name:
                calls = calls_for(shape, options.peer or list(PEERS), **how)
                times = medians_s(calls, options.rounds)
                yield {"network": network, "layer": name, "flops": shape.flops, "seconds": times}


def row_of(found: dict[str, Any], names: list[str]) -> list[str]:
    """Return a line of the table."""
    times = found["seconds"]
    best = min((t for name, t in times.items() if name != "clconv"), default=times["clconv"])
    return [
        f"{found['network']} {found['layer']}",
        *(f"{1e3 * times[name]:.2f}" if name in times else "-" for name in names),
        f"{found['flops'] / times['clconv'] / 1e9:.0f}",
        f"{best / times['clconv']:.2f}",
    ]


def main() -> None:
    """Measure, print the table, and write it if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", action="append", choices=LAYERS)
    parser.add_argument("--layer", default="", help="only layers with this in their names")
    parser.add_argument("--peer", action="append", choices=PEERS)
    parser.add_argument("--algorithm", default="auto")
    parser.add_argument("--accuracy", default="fast", choices=("strict", "fast"))
    parser.add_argument("--device")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", help="where the figures go")
    options = parser.parse_args()
    names = ["clconv", *(options.peer or PEERS)]
    console = Console()
    console.print(f"{clconv.select_device(options.device)}, float32, medians of {options.rounds}")
    table = Table("layer", *(f"{name} ms" for name in names), "GFLOP/s", "best peer / clconv")
    results = []
    for found in measured(options):
        results.append(found)
        row = row_of(found, names)
        table.add_row(*row)
        console.print("  ".join(row), highlight=False)
    console.print(table)
    for name in names[1:]:
        ratios = [
            r["seconds"][name] / r["seconds"]["clconv"] for r in results if name in r["seconds"]
        ]
        console.print(f"{name} / clconv, geometric mean: {geometric_mean(ratios):.2f}")
    best = [
        min(t for name, t in r["seconds"].items() if name != "clconv") / r["seconds"]["clconv"]
        for r in results
        if len(r["seconds"]) > 1
    ]
    console.print(f"best peer / clconv, geometric mean of {len(best)}: {geometric_mean(best):.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
