"""Fixtures that every test may ask for."""

from __future__ import annotations

import os

import pytest

import clconv

# A family that fails its self-check would be stood in for: tests want to see it fail.
os.environ["CLCONV_SELFCHECK"] = "0"
# Parallel workers have it at 80: rich would keep to that, whatever a test asks for later.
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session")
def device():
    """Return the device under test: the default one, or what CLCONV_DEVICE names."""
    try:
        return clconv.select_device()
    except clconv.NoDeviceError as error:
        if os.environ.get("CLCONV_DEVICE"):
            raise  # a name that matches nothing must not look like a pass
        pytest.skip(f"needs an OpenCL device: {error}")


@pytest.fixture
def queue(device):
    """Return a queue of the caller's own, as a user of pyopencl has one."""
    import pyopencl as cl

    context = cl.Context([device.handle])
    yield cl.CommandQueue(context)
    # Held until here: a queue of Intel's CPU runtime does not keep its context alive.
    del context
