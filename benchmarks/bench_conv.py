"""Convolution in its three directions on layers of ResNet-50, eight images at a time.

Run as a file, it prints the times of one layer: python benchmarks/bench_conv.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import clconv
from clconv.reference.shapes import CONV_SHAPES, DIRECTIONS

if __package__:
    from .prepare import conv_call, prepare_conv
else:  # run as a file
    from prepare import conv_call, prepare_conv

RESNET50 = CONV_SHAPES["resnet50"]
PARAMS = (
    # Fewest operations first. They are the same lists on every device.
    ("1x1_64_256_56", "3x3_64_56", "3x3_128_28", "3x3_256_14"),
    ("auto", "im2col_gemm"),  # direct takes seconds
)
PARAM_NAMES = ("shape", "algorithm")

PRINTED_LAYER = "3x3_128_28"
WARM_UPS, REPEATS = 3, 15


class Forward:
    """Seconds of one forward pass on the device; building and copying are outside."""

    params = PARAMS
    param_names = PARAM_NAMES
    version = "1"  # raised by hand when what is timed changes

    def setup(self, shape, algorithm):
        # A refusal is raised as NotImplementedError, which asv shows as n/a.
        self.launch = prepare_conv(RESNET50[shape], "forward", algorithm)
        self.launch().wait()  # builds, touches memory

    def time_forward(self, shape, algorithm):
        self.launch().wait()


class BackwardData:
    """Seconds of the gradient of the images; see Forward."""

    params = PARAMS
    param_names = PARAM_NAMES
    version = "1"

    def setup(self, shape, algorithm):
        self.launch = prepare_conv(RESNET50[shape], "backward_data", algorithm)
        self.launch().wait()

    def time_backward_data(self, shape, algorithm):
        self.launch().wait()


class BackwardWeights:
    """Seconds of the gradient of the weights; see Forward."""

    params = PARAMS
    param_names = PARAM_NAMES
    version = "1"

    def setup(self, shape, algorithm):
        self.launch = prepare_conv(RESNET50[shape], "backward_weights", algorithm)
        self.launch().wait()

    def time_backward_weights(self, shape, algorithm):
        self.launch().wait()


def median_s(call: Callable[[], Any]) -> float:
    """Return the median time of a call, its results complete, after some to warm up."""
    times = []
    for _ in range(WARM_UPS + REPEATS):
        start = time.perf_counter()
        result = call()
        for event in getattr(result, "events", ()):  # numpy results are complete
            event.wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UPS:])


def main() -> None:
    """Print milliseconds and GFLOP/s of one layer, for arrays on the device and in numpy."""
    shape = RESNET50[PRINTED_LAYER]
    print(f"{clconv.select_device()}, float32, median of {REPEATS}")
    print(f"filter 3x3, 128 to 128 channels, 28x28 pixels, batch 8: {shape.flops / 1e9:.2f} GFLOP")
    print(f"{'':18}{'device arrays':>20}{'numpy in and out':>22}")
    print(f"{'':18}{'ms':>10}{'GFLOP/s':>10}{'ms':>12}{'GFLOP/s':>10}")
    for direction in DIRECTIONS:
        device_s, numpy_s = (
            median_s(conv_call(shape, direction, on_device=on_device))
            for on_device in (True, False)
        )
        print(
            f"{direction.replace('_', ' '):18}"
            f"{1e3 * device_s:10.2f}{shape.flops / device_s / 1e9:10.1f}"
            f"{1e3 * numpy_s:12.2f}{shape.flops / numpy_s / 1e9:10.1f}"
        )


if __name__ == "__main__":
    main()
