"""Scratch memory of the algorithms that "auto" takes, beside the im2col matrix it does without.

    python benchmarks/workspace.py [--device NAME] [--accuracy fast] [--json FILE]

For every layer of shapes.py: bytes of packed or transformed filters, which `prepare_weights` makes
once, and all other bytes, over a tenth of the im2col matrix plus the padded image. Nothing is run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from shapes import LAYERS

import clconv
from clconv.algorithms.registry import select
from clconv.spec.parse import parse

OF_FILTERS = ("packed_w", "u")
ITEMSIZE_BYTES = 4
DIRECTIONS = ("fwd", "bwd_data", "bwd_weights")


def plans(device: str | None, accuracy: str) -> Iterator[dict[str, Any]]:
    """Yield what each layer's plan keeps, in each direction."""
    chosen = clconv.select_device(device)
    for direction in DIRECTIONS:
        for network, layers in LAYERS.items():
            for name, shape in layers.items():
                problem: Any = parse(f"conv_{direction}:f32:{shape}")
                plan = select(problem, chosen, accuracy=accuracy)
                geometry = problem.geometry
                planes = ITEMSIZE_BYTES * problem.batch * problem.channels
                sizes = zip(geometry.input, geometry.padding, strict=True)
                padded = planes * prod(size + sum(pair) for size, pair in sizes)
                im2col = planes * geometry.taps * geometry.positions
                filters = sum(plan.workspace.get(name, 0) for name in OF_FILTERS)
                yield {
                    "direction": direction,
                    "layer": f"{network} {name}",
                    "algorithm": plan.algorithm,
                    "im2col_bytes": im2col,
                    "allowed_bytes": im2col / 10 + padded,
                    "filters_bytes": filters,
                    "other_bytes": plan.workspace_bytes - filters,
                }


def main() -> None:
    """Print a summary by direction, and the layers that keep most."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device")
    parser.add_argument("--accuracy", default="strict", choices=("strict", "fast"))
    parser.add_argument("--json", help="where the figures go")
    options = parser.parse_args()
    found = list(plans(options.device, options.accuracy))
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    table = Table(
        "direction", "layers", "filters/im2col", "other/im2col", "past a tenth and the image"
    )
    for direction in DIRECTIONS:
        rows = [each for each in found if each["direction"] == direction]
        total = sum(each["im2col_bytes"] for each in rows)
        shares = [
            sum(each[name] for each in rows) / total for name in ("filters_bytes", "other_bytes")
        ]
        past = sum(each["other_bytes"] > each["allowed_bytes"] for each in rows)
        table.add_row(direction, str(len(rows)), *(f"{share:.3f}" for share in shares), str(past))
    console = Console()
    console.print(table)
    for each in sorted(found, key=lambda one: -one["other_bytes"] / one["allowed_bytes"])[:8]:
        share = each["other_bytes"] / each["allowed_bytes"]
        console.print(f"{share:.2f}  {each['direction']} {each['layer']}, {each['algorithm']}")


if __name__ == "__main__":
    main()
