"""clconv beside PyTorch, ONNX Runtime, OpenVINO and ncnn, layer by layer, all in turns.

    python benchmarks/against_peers.py [--network NAME] [--layer PART] [--algorithm NAME] ...

Every round calls each engine once, in an order drawn anew, so that what else runs on the machine
meets all alike; the others are stopped meanwhile (engines.py). The table has medians. PyTorch is
called as a function, as `clconv.conv` is; others have their weights and memory for results
beforehand, as `clconv.plan(...).prepare_weights(w)` has, called with `out`. A ratio is a peer's
time over that of its like: above 1, clconv is faster. Results are compared with the first engine's
before anything is timed.

Gradients (--direction) have one peer, torch.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from engines import CALL, PLAN, Engine
from peers import PEERS
from rich.console import Console
from rich.table import Table
from shapes import LAYERS

import clconv
from clconv.reference.shapes import DIRECTIONS, ConvShape, Direction

ROUNDS = 9
SAMPLE_S = 0.008  # a sample repeats its call for about this long


def serving(engines: list[Engine], shape: ConvShape, direction: Direction) -> Iterator[Engine]:
    """Yield the engines that can run a layer; each has run it, and agrees with the first."""
    expected = None
    for engine in engines:
        try:
            got = engine.prepare(shape, direction)
        except NotImplementedError as error:
            print(error)
            continue
        expected = got if expected is None else expected
        # Some use Winograd: errors of a tile's size, not of an element's.
        assert np.abs(got - expected).max() <= 1e-3 * np.abs(expected).max(), engine.name
        yield engine


def medians_s(engines: list[Engine], rounds: int) -> dict[str, float]:
    """Return the median time of each, all called in turns."""
    repeats = {e.name: max(1, round(SAMPLE_S / e.seconds(1))) for e in engines}
    times: dict[str, list[float]] = {engine.name: [] for engine in engines}
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for number in rng.permutation(len(engines)):
            engine = engines[number]
            times[engine.name].append(engine.seconds(repeats[engine.name]))
    return {name: statistics.median(found) for name, found in times.items()}


def geometric_mean(values: list[float]) -> float:
    """Return it, 1 of nothing."""
    return math.exp(statistics.fmean(map(math.log, values))) if values else 1.0


def measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield what was found of each layer."""
    how = {"algorithm": options.algorithm, "accuracy": options.accuracy, "device": options.device}
    ours = [CALL, PLAN] if options.direction == "forward" else [CALL]
    engines = [Engine(name, **how) for name in ours] + [Engine(name) for name in options.peer]
    for network in options.network or LAYERS:
        for name, shape in LAYERS[network].items():
            if options.layer in name:
                able = list(serving(engines, shape, options.direction))
                times = medians_s(able, options.rounds)
                yield {"network": network, "layer": name, "flops": shape.flops, "seconds": times}
    for engine in engines:
        engine.close()


def ratios_of(found: dict[str, Any]) -> dict[str, float]:
    """Return each peer's time over that of the like of it."""
    times = found["seconds"]
    like = {name: CALL if name == "torch" else PLAN for name in times if name not in (CALL, PLAN)}
    return {name: times[name] / times[ours] for name, ours in like.items()}


def row_of(found: dict[str, Any], names: list[str]) -> list[str]:
    """Return a line of the table."""
    times = found["seconds"]
    return [
        f"{found['network']} {found['layer']}",
        *(f"{1e3 * times[name]:.2f}" if name in times else "-" for name in names),
        f"{found['flops'] / times[CALL] / 1e9:.0f}",
        f"{min(ratios_of(found).values(), default=1.0):.2f}",
    ]


def main() -> None:
    """Measure, print the table, and write it if asked to."""
    options = _options()
    ours = [CALL, PLAN] if options.direction == "forward" else [CALL]
    names = [*ours, *options.peer]
    console = Console()
    console.print(
        f"{options.direction} on {clconv.select_device(options.device)}, {options.accuracy},"
        f" float32, medians of {options.rounds}"
    )
    table = Table("layer", *(f"{name} ms" for name in names), "GFLOP/s", "best peer / clconv")
    results = []
    for found in measured(options):
        results.append(found)
        row = row_of(found, names)
        table.add_row(*row)
        console.print("  ".join(row), highlight=False)
    console.print(table)
    every = [ratios_of(found) for found in results]
    for name in options.peer:
        ratios = [each[name] for each in every if name in each]
        console.print(f"{name} / clconv, geometric mean: {geometric_mean(ratios):.2f}")
    best = [min(each.values()) for each in every if each]
    console.print(f"best peer / clconv, geometric mean of {len(best)}: {geometric_mean(best):.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", action="append", choices=LAYERS)
    parser.add_argument("--layer", default="", help="only layers with this in their names")
    parser.add_argument("--direction", default="forward", choices=DIRECTIONS)
    parser.add_argument("--peer", action="append", choices=PEERS)
    parser.add_argument("--algorithm", default="auto")
    parser.add_argument("--accuracy", default="fast", choices=("strict", "fast"))
    parser.add_argument("--device")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", help="where the figures go")
    options = parser.parse_args()
    options.peer = options.peer or list(PEERS)
    if options.direction != "forward":
        options.peer = ["torch"]
    return options


if __name__ == "__main__":
    main()
