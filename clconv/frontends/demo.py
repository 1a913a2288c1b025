"""`clconv demo`: a photograph through a filter bank and a small network, every number checked."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from clconv.conformance.calls import Array, Backend, Call, Recorder
from clconv.conformance.rules import Finding, check_bound
from clconv.conformance.runner import DeviceBackend
from clconv.frontends import pictures
from clconv.frontends.tables import usable_devices
from clconv.program.device import Device

REPETITIONS = 3  # of the whole run; each call's best time counts, as the first one compiles

_SOBEL = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
FILTERS = {
    "left-right edges (Sobel)": _SOBEL,
    "top-bottom edges (Sobel)": tuple(zip(*_SOBEL, strict=True)),
    "diagonal edges": ((-2, -1, 0), (-1, 0, 1), (0, 1, 2)),
    "all edges (Laplace)": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
    "blur (binomial)": (
        (1 / 16, 2 / 16, 1 / 16),
        (2 / 16, 4 / 16, 2 / 16),
        (1 / 16, 2 / 16, 1 / 16),
    ),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
}


@dataclass(frozen=True, slots=True)
class Results:
    """What the pictures are drawn from."""

    edges: Array  # (filters, H, W)
    edges_adjoint: Array  # (3, H, W)
    features: Array  # (channels, H/2, W/2), after the first layer and its pooling
    gradient: Array  # (3, H, W), of the network's output energy


def filter_bank() -> Array:
    """Return the filters as w (6, 3, 3, 3): each looks at the mean of the three colours."""
    planes = np.array(list(FILTERS.values()), np.float32)
    return np.repeat(planes[:, None], 3, axis=1) / 3


def random_network(seed: int = 0) -> dict[str, Array]:
    """Return weights of a network with random filters, scaled to keep the signal's size (He)."""
    rng = np.random.default_rng(seed)
    shapes = {"w1": (16, 3, 3, 3), "b1": (16,), "w2": (32, 16, 3, 3), "b2": (32,)}
    return {
        name: (rng.standard_normal(shape) * np.sqrt(1 / prod(shape[1:]))).astype(np.float32)
        for name, shape in shapes.items()
    }


def run_filters(f: Backend, image: Array) -> tuple[Array, Array]:
    """Filter the image, then bring the result back through the adjoint: y = Wx, then W^T y."""
    w = filter_bank()
    y = f.conv(image, w, padding=1)
    return y, f.conv_backward_data(y, w, input_shape=image.shape, padding=1)


def run_network(f: Backend, image: Array, weights: dict[str, Array]) -> tuple[Array, Array]:
    """Run two layers forward, and the gradient of half the squared output back to the image."""
    w1, b1, w2, b2 = weights.values()
    a1 = np.maximum(z1 := f.conv(image, w1, b1, padding=1), 0)
    p1, indices = f.max_pool(a1, 2, return_indices=True)
    a2 = np.maximum(z2 := f.conv(p1, w2, b2, stride=2, padding=1), 0)
    y = f.avg_pool(a2, 2)

    da2 = f.avg_pool_backward(y, 2, input_shape=a2.shape)
    dz2 = np.where(z2 > 0, da2, np.float32(0))
    f.conv_backward_bias(dz2)
    f.conv_backward_weights(p1, dz2, weight_shape=w2.shape, stride=2, padding=1)
    dp1 = f.conv_backward_data(dz2, w2, input_shape=p1.shape, stride=2, padding=1)
    da1 = f.max_pool_backward(dp1, indices, input_shape=a1.shape)
    dz1 = np.where(z1 > 0, da1, np.float32(0))
    f.conv_backward_bias(dz1)
    f.conv_backward_weights(image, dz1, weight_shape=w1.shape, padding=1)
    return p1, f.conv_backward_data(dz1, w1, input_shape=image.shape, padding=1)


def run_on(device: Device, image: Array) -> tuple[Results, list[Call], list[float]]:
    """Run everything on `device`; return results, calls, and each call's best time in seconds."""
    times = []
    for _ in range(REPETITIONS):
        recorder = Recorder(DeviceBackend(device))
        edges, adjoint = run_filters(recorder, image)
        features, gradient = run_network(recorder, image, random_network())
        times.append([call.seconds for call in recorder.log])
    results = Results(edges[0], adjoint[0], features[0], gradient[0])
    return results, recorder.log, np.min(times, axis=0).tolist()


def run_demo(console: Console, photo: Path | None, out: Path, choice: str | None) -> bool:
    """Run the demo on the chosen devices, write pictures, and return whether all was right."""
    image, name = pictures.load(photo)
    shape = f"{image.shape[3]} x {image.shape[2]} pixels"
    console.print(
        f"[bold]{name}[/], {shape}: an edge-filter bank and a two-layer network with random"
        " weights, forward and backward; every result is held against the plain-Python"
        " reference, element by element, within its derived rounding bound.\n",
        highlight=False,
    )
    table = _device_table()
    worst_of: dict[str, list[str]] = {}
    passed = True
    for device in usable_devices(choice):
        results, calls, seconds = run_on(device, image)
        description = f"checking {device.platform}"
        steps = track(calls, description=description, console=console, transient=True)
        findings = [check_bound(call) for call in steps]
        passed &= all(finding.passed for finding in findings)
        table.add_row(*_device_row(device, calls, findings, seconds))
        for call, finding in zip(calls, findings, strict=True):
            worst_of.setdefault(call.public.name, []).append(finding.message)
        _write(out, image, results)
    console.print(table)
    for name, messages in worst_of.items():
        for message in filter(None, messages):
            console.print(f"[red]miss[/] {name}: {message}", highlight=False)
    console.print(f"\npictures in [bold]{out}[/]: " + ", ".join(sorted(PICTURES)))
    return passed


PICTURES = ("edges.png", "features.png", "gradient.png", "photo.png")


def _write(out: Path, image: Array, results: Results) -> None:
    out.mkdir(parents=True, exist_ok=True)
    pictures.save(out / "photo.png", {"before": image[0]}, columns=1)
    edges: dict[str, Any] = {"before": image[0]}
    edges |= dict(zip(FILTERS, results.edges, strict=True))
    edges["adjoint of the bank, applied to its output"] = results.edges_adjoint
    pictures.save(out / "edges.png", edges, columns=4)
    features = {f"channel {i}": plane for i, plane in enumerate(results.features)}
    pictures.save(out / "features.png", features, columns=4)
    sensitivity = {"before": image[0], "gradient of the output's energy": results.gradient}
    pictures.save(out / "gradient.png", sensitivity, columns=2)


def _device_table() -> Table:
    table = Table(title="forward and backward on every usable device, float32")
    table.add_column("device", overflow="fold")
    for heading in ("calls", "time", "GFLOP/s", "worst error\n/ bound"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.caption = "time: all calls, numpy array to numpy array, best of 3; GFLOP/s: convolutions"
    return table


def _device_row(
    device: Device, calls: list[Call], findings: list[Finding], seconds: list[float]
) -> tuple[str, ...]:
    rates = [
        (call.public.flops, s) for call, s in zip(calls, seconds, strict=True) if call.public.flops
    ]
    rate = sum(count for count, _ in rates) / sum(s for _, s in rates) / 1e9
    right = all(finding.passed for finding in findings)
    return (
        f"{device.name}\n{device.platform}",
        str(len(calls)),
        f"{1e3 * sum(seconds):.1f} ms",
        f"{rate:.1f}",
        f"{max(finding.share for finding in findings):.3f}",
        "[green]all right[/]" if right else "[red]WRONG[/]",
    )
