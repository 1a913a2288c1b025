"""Benchmarks, run by asv: `pip install '.[bench]' virtualenv`, then

    asv run --launch-method spawn                             the newest commit of main
    asv run --launch-method spawn --quick -E existing         this environment, each case once
    asv continuous --launch-method spawn main my-branch       which cases a branch changes

A process that forks after OpenCL has started must not use it, hence spawn: asv.conf.json says so
too, but only `asv run` looks there, and older versions of asv fork unless told otherwise.

CLCONV_DEVICE names the device, as everywhere; times of different devices do not compare, so give
each one a machine name of its own: `asv run --machine NAME ...`.

Without asv, `python benchmarks/bench_conv.py` prints the times of one layer.
"""
