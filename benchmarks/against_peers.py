"""clconv beside PyTorch, ONNX Runtime, OpenVINO and ncnn, layer by layer, all in turns.

    python benchmarks/against_peers.py [--network NAME] [--layer PART] [--algorithm NAME] ...

Every round calls each engine once, in an order drawn anew, so that what else runs on the machine
meets all alike; the table has medians. Torch is called as a function, as `clconv.conv` is; others
have their weights beforehand, as `clconv.plan(...).prepare_weights(w)` has. A ratio is a
peer's time over that of its like: above 1, clconv is faster. Results are compared with the first
engine's before anything is timed.

Gradients (--direction) have one peer, torch.
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
from peers import PEERS, Call, Tensors, torch_gradient
from rich.console import Console
from rich.table import Table
from shapes import LAYERS

import clconv
from clconv.reference.shapes import DIRECTIONS, ConvShape, Direction

CALL, PLAN = "clconv", "plan"
ROUNDS = 9
SAMPLE_S = 0.004  # a sample repeats its call for about this long
PAUSE_S = 0.001  # before each sample: threads of the engine before it fall asleep


def ours(shape: ConvShape, direction: Direction, tensors: Tensors, **options: Any) -> Call:
    """Return clconv's functional call."""
    x, w, dy = tensors
    how = {**shape.keywords(), **options}
    if direction == "forward":
        return lambda: clconv.conv(x, w, **how)
    if direction == "backward_data":
        return lambda: clconv.conv_backward_data(dy, w, input_shape=x.shape, **how)
    return lambda: clconv.conv_backward_weights(x, dy, weight_shape=w.shape, **how)


def prepared(shape: ConvShape, tensors: Tensors, **options: Any) -> Call:
    """Return a plan that has its weights."""
    x, w, _ = tensors
    plan = clconv.plan(f"conv_fwd:f32:{shape}", **options).prepare_weights(w)
    return lambda: plan(x)


def calls_for(
    shape: ConvShape, direction: Direction, names: list[str], **options: Any
) -> dict[str, Call]:
    """Return the engines' calls by name, of those that can; each has run, and agrees."""
    x, w, dy, _ = shape.random_tensors("float32")
    calls = {CALL: ours(shape, direction, (x, w, dy), **options)}
    if direction == "forward":
        calls[PLAN] = prepared(shape, (x, w, dy), **options)
    expected = calls[CALL]()
    for name in names:
        try:
            peer = PEERS[name]
            call = (
                peer(shape, x, w)
                if direction == "forward"
                else torch_gradient(shape, direction, (x, w, dy))
            )
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
    times: dict[str, list[float]] = {name: [] for name in calls}
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for name in rng.permutation(list(calls)).tolist():
            times[name].append(sample_s(calls[name], repeats[name]))
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
                calls = calls_for(shape, options.direction, options.peer, **how)
                times = medians_s(calls, options.rounds)
                yield {"network": network, "layer": name, "flops": shape.flops, "seconds": times}


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
