"""Threads, forked and spawned processes, two devices at once: the bits of a serial run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import mixed_calls

import clconv

SUPPORT = Path(mixed_calls.__file__)
fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def run_python(device, *arguments):
    """Return what a new interpreter prints; a process that hangs is a failure."""
    paths = [str(SUPPORT.parents[1]), os.environ.get("PYTHONPATH", "")]
    given = {
        "CLCONV_DEVICE": device.index,
        "CLCONV_SELFCHECK": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", *arguments],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_sixteen_threads_give_the_bits_of_one(device):
    assert mixed_calls.run([device], threads=16, count=2000) == []


def test_two_devices_at_once(device):
    others = [d for d in clconv.devices() if d != device and not d.known_bad]
    if not others:
        pytest.skip(f"there is no second device beside {device}")
    assert mixed_calls.run([device, others[0]], threads=8, count=200) == []


def test_first_calls_of_a_process_at_the_same_time(device):
    printed = run_python(device, SUPPORT, "--threads", "16", "--calls", "20")
    assert "0 misses; first calls: 0 misses" in printed


def test_a_spawned_pool_works(device):
    """After the parent has used OpenCL, too."""
    run_python(device, "-c", SPAWN)


SPAWN = """
import multiprocessing
from support.mixed_calls import few
expected = [few(number) for number in range(4)]
with multiprocessing.get_context("spawn").Pool(2) as pool:
    assert pool.map_async(few, range(4)).get(timeout=100) == expected
"""


@fork
def test_a_pool_that_is_forked_before_the_first_call_works(device):
    run_python(device, "-c", FORK_FIRST)


FORK_FIRST = """
import multiprocessing
import clconv
from support.mixed_calls import few
with multiprocessing.get_context("fork").Pool(3) as pool:
    results = pool.map_async(few, range(6)).get(timeout=100)
assert results == [few(number) for number in range(6)]
"""


@fork
def test_a_pool_that_is_forked_after_the_first_call_says_so(device):
    """It would hang: see clconv/program/fork.py. The parent goes on."""
    run_python(device, "-c", FORK_AFTER)


FORK_AFTER = """
import multiprocessing
import numpy, pyopencl, pyopencl.array
import clconv
from support.mixed_calls import few

context = pyopencl.Context([clconv.select_device().handle])
queue = pyopencl.CommandQueue(context)
x = pyopencl.array.to_device(queue, numpy.ones((1, 1, 4), numpy.float32))

def on_queue(number):
    return clconv.max_pool(x, 2)

expected = few(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    for call in (few, on_queue):
        try:
            pool.apply_async(call, (0,)).get(timeout=20)
        except clconv.NoDeviceError as error:
            assert "spawn" in str(error)
        else:
            raise AssertionError("it was not refused")
    assert few(0) == expected
"""
