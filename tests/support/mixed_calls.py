"""Threads that call everything at once; each result must have the bits of a serial run.

python tests/support/mixed_calls.py [--threads 16] [--calls 2000] [--device NAME ...]
"""

from __future__ import annotations

import argparse
import random
import threading
import time

import numpy as np

import clconv
from clconv.conformance.calls import as_tuple
from clconv.conformance.data import data_for
from clconv.conformance.problems import call_of
from clconv.conformance.runner import DeviceBackend
from clconv.spec.parse import parse

# Tiny ones of every family, in several types and layouts; conv by all algorithms.
PROBLEMS = (
    "conv_fwd:f32:n1c3o4g1:i6x5:k3x3:s1:p1.1:d1:bias",
    "conv_fwd:f32:n2c2o2g2:i7:k3:s2:p1.1:d1",
    "conv_fwd:f64:n1c4o6g2:i5x5:k3x2:s1:p0.1:d1:NHWC,HWIO->NHWC",
    "conv_fwd:i64:n1c2o3g1:i6:k3:s1:p1.1:d1",
    "conv_bwd_data:f32:n1c3o4g1:i6x5:k3x3:s1:p1.1:d1",
    "conv_bwd_weights:f32:n2c3o4g1:i6x5:k3x3:s1:p1.1:d1",
    "conv_bwd_bias:f32:n2o3:i20",
    "deform_conv_fwd:f32:n1c2o3g1:i5x4:k2x2:s1:p0.1:d1:og1:mask",
    "deform_conv_bwd_data:f32:n1c2o3g1:i5x4:k2x2:s1:p0.1:d1:og1:mask",
    "qlinear_conv:u8.i8:n1c2o3g1:i5x4:k2x2:s1:p0.1:d1:xzero:wzero:bias:tou8",
    "im2col:f32:n1c2:i6x5:k2x2:s1:p0.1:d1",
    "col2im:f32:n1c2:i6x5:k2x2:s1:p0.1:d1",
    "max_pool:f32:n1c2:i6x5:k2x2:s2:p0.1:d1",
    "avg_pool:f16:n1c2:i6x5:k2x2:s2:p0.1:d1",
    "avg_pool_backward:f32:n1c2:i6x5:k2x2:s2:p0.1:d1",
    "max_unpool:f32:n1c2:i6x5:o3x3",
    "adaptive_avg_pool:f32:n1c2:i6x5:o2x2",
    "lp_pool_backward:f32:n1c2:i6x5:k2x2:s1:p0.0:d1:norm3.0",
)


def calls_on(device):
    """Return functions without arguments, and their results' bytes in a serial run."""
    calls = []
    for text in PROBLEMS:
        problem = parse(text)
        public = call_of(problem, data_for(problem, "random"))
        names = ("depthwise", "im2col_gemm", "direct") if text.startswith("conv_fwd") else ("auto",)
        for name in names:
            backend = DeviceBackend(device, name)
            calls.append(lambda public=public, backend=backend: bits(public.on(backend)))
    served = []
    for call in calls:
        try:
            served.append((call, call()))
        except clconv.UnsupportedError:
            continue
    return served


def bits(results):
    return [np.ascontiguousarray(each).tobytes() for each in as_tuple(results)]


def few(number):
    """Return the bits of one problem on the default device: what a pool's workers are asked for."""
    problem = parse(PROBLEMS[number])
    return bits(call_of(problem, data_for(problem, "random")).on(clconv))


def first_calls(device, threads):
    """Return the misses of `threads` threads that make the process's first calls at once."""
    problem = parse(PROBLEMS[0])
    public = call_of(problem, data_for(problem, "random"))
    results, together = [], threading.Barrier(threads)

    def work():
        together.wait()
        results.append(bits(public.on(DeviceBackend(device or clconv.select_device()))))

    _run([work] * threads)
    return threads - sum(each == results[0] for each in results) + (len(results) != threads)


def run(devices, threads, count):
    """Return what went wrong in `threads` x `count` mixed calls: other bits, or exceptions."""
    served = [pair for device in devices for pair in calls_on(device)]
    misses = []

    def work(seed):
        rng = random.Random(seed)
        for _ in range(count):
            call, expected = rng.choice(served)
            try:
                if call() != expected:
                    misses.append("other bits")
            except Exception as error:
                misses.append(repr(error))

    _run([lambda seed=seed: work(seed) for seed in range(threads)])
    return misses


def _run(works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--calls", type=int, default=2000, help="of each thread")
    parser.add_argument("--device", action="append", help="one or more; all are called at once")
    given = parser.parse_args()
    at_first = first_calls(given.device[0] if given.device else None, given.threads)
    devices = [clconv.select_device(name) for name in given.device or [None]]
    start = time.monotonic()
    misses = run(devices, given.threads, given.calls)
    print(
        f"{' and '.join(map(str, devices))}: {given.threads} threads x {given.calls} calls in"
        f" {time.monotonic() - start:.1f} s, {len(misses)} misses; first calls: {at_first} misses"
    )
    raise SystemExit(bool(misses or at_first))


if __name__ == "__main__":
    main()
