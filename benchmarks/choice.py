"""What "auto" takes beside all that it could have taken, layer by layer, in turns.

    python benchmarks/choice.py [--network NAME] [--direction forward] [--accuracy fast] ...

Algorithms that take twice as long as the fastest are left out after the first look. Filters are
prepared, as in a loop over images. The last line says in how many layers "auto" is within 5 % of
the best; timing the same plan twice differs by a few per cent, too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table
from shapes import LAYERS

import clconv
from clconv.algorithms.registry import algorithm_names
from clconv.reference.shapes import DIRECTIONS, ConvShape, Direction

Call = Callable[[], object]
OPERATORS = {
    "forward": "conv_fwd",
    "backward_data": "conv_bwd_data",
    "backward_weights": "conv_bwd_weights",
}
WARM_UP_S, SAMPLE_S = 0.02, 0.01
NEAR = 1.05


def call_of(shape: ConvShape, direction: Direction, **how: str) -> tuple[str, Call]:
    """Return the algorithm that serves, and a call with everything prepared.

    Raises
    ------
    UnsupportedError : it refuses
    """
    x, w, dy, _ = shape.random_tensors("float32")
    plan = clconv.plan(f"{OPERATORS[direction]}:f32:{shape}", **how)
    out = {name: np.empty(t.shape, np.float32) for name, t in plan.problem.results.items()}
    (result,) = out.values()
    if direction == "backward_weights":
        return plan.plan.algorithm, lambda: plan(x, dy, out=result)
    prepared = plan.prepare_weights(w)
    image = x if direction == "forward" else dy
    return prepared.plan.algorithm, lambda: prepared(image, out=result)


def sample_s(call: Call, warm_up_s: float = 0.0) -> float:
    """Return the time of a call, the mean of SAMPLE_S."""
    until = time.perf_counter() + warm_up_s
    while time.perf_counter() < until:
        call()
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < SAMPLE_S or not count:
        call()
        count += 1
    return passed / count


def medians_s(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Return the median time of each that is not twice the least at first."""
    first = {name: sample_s(call, WARM_UP_S) for name, call in calls.items()}
    near = [name for name in calls if first[name] < 2 * min(first.values())]
    times = {name: [first[name]] for name in near}
    for turn in range(rounds):
        for name in near if turn % 2 else reversed(near):
            times[name].append(sample_s(calls[name], WARM_UP_S / 4))
    return {name: statistics.median(found) for name, found in times.items()}


def calls_of(shape: ConvShape, options: argparse.Namespace) -> tuple[str, dict[str, Call]]:
    """Return what "auto" takes, and the calls of all algorithms that serve."""
    how = {"accuracy": options.accuracy, "device": options.device}
    chosen, call = call_of(shape, options.direction, **how)
    calls = {chosen: call}
    for name in algorithm_names(options.accuracy):
        try:
            calls.setdefault(*call_of(shape, options.direction, algorithm=name, **how))
        except clconv.UnsupportedError:
            continue
    return chosen, calls


def main() -> None:
    """Measure and print."""
    options = _options()
    console, ratios = Console(), []
    table = Table("layer", "auto", "ms", "others / auto")
    for network in options.network or LAYERS:
        for name, shape in LAYERS[network].items():
            chosen, calls = calls_of(shape, options)
            times = medians_s(calls, options.rounds)
            mine = times.get(chosen, float("inf"))
            others = {n: t / mine for n, t in times.items() if n != chosen}
            ratios.append(mine / min(times.values()))
            row = f"{network} {name}", chosen, f"{1e3 * mine:.2f}"
            table.add_row(*row, ", ".join(f"{n} {r:.2f}" for n, r in others.items()))
    console.print(table)
    near = sum(ratio <= NEAR for ratio in ratios)
    console.print(f"within {NEAR} of the best: {near} of {len(ratios)} layers")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", action="append", choices=LAYERS)
    parser.add_argument("--direction", default="forward", choices=DIRECTIONS)
    parser.add_argument("--accuracy", default="fast", choices=("strict", "fast"))
    parser.add_argument("--device")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
