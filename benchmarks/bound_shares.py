"""The share of its error bound that each way of convolving uses: the tables of docs/accuracy.md.

    python benchmarks/bound_shares.py

3x3 filters on 24x24 pixels inside a padding of 1, float32, numbers uniform in [-1, 1]. The worst of
all elements is printed, |y - y_ref| over the bound. The algorithms of clconv run on the default
device; F(m, r) and FFT are numpy simulations from the reference, one rounded operation at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

import clconv
from clconv.conformance.fast import POINTS
from clconv.reference import conv, fft, winograd
from clconv.reference.bounds import sum_bound
from clconv.reference.bounds_fft import fft_bound
from clconv.reference.bounds_winograd import amplification, winograd_bound

CHANNELS = (1, 16, 64, 256)
PADDING = 1
Array = np.ndarray[Any, np.dtype[Any]]

# F(m, r) by name, with its finite points; None for the default ones
WINOGRAD = {
    "F(2, 3)": (2, None),
    "F(4, 3)": (4, None),
    "F(4, 3), points 0, -1, 1, 1/2, -2": (4, (0, -1, 1, Fraction(1, 2), -2)),
    "F(4, 3), points 0, 3/4, -3/4, 3/2, -3/2": (4, POINTS[4]),
    "F(6, 3)": (6, None),
}


def tensors(channels: int, per_group: int, taps: int = 3) -> tuple[Array, Array]:
    """Return x (1, channels, 24, 24) and w (8 or channels, per_group, taps, taps)."""
    rng = np.random.default_rng(channels)
    outputs = 8 if per_group == channels else channels
    x = rng.uniform(-1, 1, (1, channels, 24, 24)).astype(np.float32)
    return x, rng.uniform(-1, 1, (outputs, per_group, taps, taps)).astype(np.float32)


def plain_bound(x: Array, w: Array, groups: int = 1, padding: int = PADDING) -> Array:
    """Return the bound of a plain sum, the strict one."""
    magnitude = conv(abs(x), abs(w), padding=padding, groups=groups)
    return sum_bound(magnitude, int(w[0].size), np.float32)


def worst(y: Array, exact: Array, bound: Array) -> float:
    """Return the largest error as a share of the bound."""
    return float((abs(y - exact) / bound).max())


def short(number: float) -> str:
    """Return a number in two digits, without an exponent where it is large: "160"."""
    return f"{float(f'{number:.2g}'):g}"


def row(name: str, cells: list[str]) -> str:
    """Return a row of a table."""
    return "| " + " | ".join([name, *cells]) + " |"


def strict_table() -> list[str]:
    """Return the shares of the strict algorithms on the default device.

    K = 9*C; depthwise: K = 9; pointwise, whose filters have one tap: K = C.
    """
    lines = [row("algorithm", [f"C = {c}" for c in CHANNELS]), "|---" * 5 + "|"]
    for name in clconv.algorithm_names("strict"):
        cells = []
        taps, padding = (1, 0) if name == "pointwise" else (3, PADDING)
        for channels in CHANNELS:
            groups = channels if name == "depthwise" else 1
            x, w = tensors(channels, channels // groups, taps)
            y = clconv.conv(x, w, padding=padding, groups=groups, algorithm=name)
            exact = conv(x, w, padding=padding, groups=groups)
            cells.append(short(worst(y, exact, plain_bound(x, w, groups, padding))))
        lines.append(row(name, cells))
    return lines


def fast_table() -> list[str]:
    """Return the shares of the fast algorithms and of simulations.

    Of their own bound, and beside it of the strict one.
    """
    lines = [row("fast", [f"C = {c}" for c in CHANNELS]), "|---" * 5 + "|"]
    for name, m in (("winograd_f2", 2), ("winograd_f4", 4)):
        options = {"m": m, "points": POINTS[m], "padding": PADDING}
        lines.append(simulated(name, partial(_by_kernels, name), winograd_bound, options))
    for name, (m, points) in WINOGRAD.items():
        options = {"m": m, "points": points, "padding": PADDING}
        lines.append(simulated(name, winograd.forward, winograd_bound, options))
    lines.append(simulated("FFT of 32x32", fft.forward, fft_bound, {"padding": PADDING}))
    return lines


def _by_kernels(name: str, x: Array, w: Array, **_: Any) -> Array:
    return clconv.conv(x, w, padding=PADDING, algorithm=name)


def simulated(
    name: str, forward: Callable[..., Array], bound: Callable[..., Array], options: dict[str, Any]
) -> str:
    """Return the row of one simulation."""
    cells = []
    for channels in CHANNELS:
        x, w = tensors(channels, channels)
        y = forward(x, w, dtype=np.float32, **options)
        exact = conv(x, w, padding=PADDING)
        own, strict = bound(x, w, np.float32, **options), plain_bound(x, w)
        cells.append(f"{short(worst(y, exact, own))} ({short(worst(y, exact, strict))})")
    return row(name, cells)


def amplification_table() -> list[str]:
    """Return how much more magnitude may pass through F(m, 3) than through a plain sum."""
    lines = [row("matrices", ["one axis", "two", "three"]), "|---" * 4 + "|"]
    for name, (m, points) in WINOGRAD.items():
        growth = float(amplification(m, 3, points))
        lines.append(row(name, [short(growth**rank) for rank in (1, 2, 3)]))
    return lines


if __name__ == "__main__":
    print("\n".join([*strict_table(), "", *fast_table(), "", *amplification_table()]))
