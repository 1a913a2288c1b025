"""Times the first convolution of a process, with empty caches on disk and with filled ones.

python tests/support/first_call.py [DEVICE ...]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import clconv

REPEATS = 5


def first_call_s(device):
    """Return the seconds of this process's first call, without imports and listing devices."""
    chosen = clconv.select_device(device)
    x, w = np.ones((2, 8, 20, 20), np.float32), np.ones((16, 8, 3, 3), np.float32)
    start = time.perf_counter()
    clconv.conv(x, w, padding=1, device=chosen)
    return time.perf_counter() - start


def in_new_process(device, directory):
    """Return the same for a new process whose caches are in `directory`."""
    caches = {"CLCONV_CACHE": f"{directory}/clconv", "POCL_CACHE_DIR": f"{directory}/pocl"}
    command = [sys.executable, "-W", "ignore", __file__, "--once", device]
    done = subprocess.run(
        command, env={**os.environ, **caches}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main():
    for device in sys.argv[1:] or [each.index for each in clconv.devices() if not each.known_bad]:
        cold, warm = [], []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as directory:
                cold.append(in_new_process(device, directory))
                warm.append(in_new_process(device, directory))
        times = [f"{1e3 * statistics.median(each):.0f} ms" for each in (cold, warm)]
        print(f"{clconv.select_device(device)}: nothing cached {times[0]}, from disk {times[1]}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        print(first_call_s(sys.argv[2]))
    else:
        main()
