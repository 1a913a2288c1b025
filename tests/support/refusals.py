"""Times refusals of wrong arguments, and counts kernel launches before them.

    PYTHONPATH=tests python tests/support/refusals.py

Odd arguments as in tests/ops/test_fuzz_operators.py, for every operator. Exit status 1 if one took
longer than LIMIT_S in each of three tries, or came behind a launch.
"""

from __future__ import annotations

import inspect
import statistics
import sys
import time
import warnings

import numpy as np
import pyopencl as cl
from ops.test_fuzz_operators import OPERATORS, replaced

import clconv

CALLS = 1000  # of each operator, with one argument or two replaced
TRIES = 3  # what another process takes is no part of it
LIMIT_S = 0.010
REFUSALS = (ValueError, TypeError, clconv.UnsupportedError)

enqueue = cl.enqueue_nd_range_kernel
launches = 0


def counted(*arguments, **options):
    """Count a launch."""
    global launches
    launches += 1
    return enqueue(*arguments, **options)


def refusal_s(function, arguments):
    """Return the seconds to a refusal and the launches before it, or None if there is none.

    Another error takes forever.
    """
    before, start = launches, time.perf_counter()
    try:
        function(**arguments)
    except REFUSALS:
        return time.perf_counter() - start, launches - before
    except MemoryError:  # no fault of the arguments
        pass
    except Exception as error:
        return float("inf"), f"{type(error).__name__}: {error}"
    return None


def refusals_of(name, device):
    """Yield (seconds, launches, arguments) of every refusal of an operator."""
    function = getattr(clconv, name)
    parameters = inspect.signature(function).parameters
    run = {"device": device} | ({"algorithm": "direct"} if "algorithm" in parameters else {})
    rng = np.random.default_rng([*name.encode()])
    for call in range(CALLS):
        arguments = OPERATORS[name](rng)
        optional = [each for each in parameters if each not in ("device", *arguments)]
        for _ in range(1 + call % 2):
            arguments = replaced(rng, arguments, optional)
        arguments = run | arguments
        told = refusal_s(function, arguments)
        for _ in range(TRIES - 1):
            if told is not None and LIMIT_S < told[0] < float("inf"):
                told = min(told, refusal_s(function, arguments))
        if told is not None:
            yield *told, arguments


def main():
    warnings.simplefilter("ignore")
    cl.enqueue_nd_range_kernel = counted
    device, bad, all_s = clconv.select_device(), 0, []
    for name in OPERATORS:
        found = list(refusals_of(name, device))
        slow = [each for each in found if each[0] > LIMIT_S or each[1]]
        times = [each[0] for each in found]
        all_s += times
        bad += len(slow)
        for seconds, launched, arguments in slow:
            print(f"{name}: {1e3 * seconds:.1f} ms, {launched} launches: {arguments}")
    print(
        f"{device}: {len(all_s)} refusals, median {1e6 * statistics.median(all_s):.0f} us,"
        f" the slowest {1e3 * max(all_s):.1f} ms; {launches} launches in all,"
        f" {bad} refusals slower than {1e3 * LIMIT_S:.0f} ms or behind a launch"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
