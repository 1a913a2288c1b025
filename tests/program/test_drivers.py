"""clconv/program/drivers.py: pip's drivers beside the system's, and nothing hidden."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clconv.program import drivers

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="other systems have a registry of drivers"
)
DRIVER = Path("/opt/venv/lib/libintelocl.so")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with one system driver, one driver from PyPI, and nothing set."""
    vendors = tmp_path / "etc"
    vendors.mkdir()
    (vendors / "pocl.icd").write_text("libpocl.so.2")
    monkeypatch.setattr(drivers, "SYSTEM_VENDORS", vendors)
    monkeypatch.setattr(drivers, "installed_drivers", lambda: [DRIVER])
    monkeypatch.setattr(drivers.platformdirs, "user_cache_dir", lambda _: str(tmp_path / "cache"))
    monkeypatch.setenv(drivers.LOADER_VARIABLE, "")
    return vendors


def listed():
    directory = Path(os.environ[drivers.LOADER_VARIABLE])
    return {file.name: file.read_text().strip() for file in directory.iterdir()}


def test_both_kinds_are_listed(machine):
    directory = drivers.expose_installed_drivers()
    assert os.environ[drivers.LOADER_VARIABLE] == str(directory)
    assert listed() == {"pocl.icd": "libpocl.so.2", "clconv-libintelocl.icd": str(DRIVER)}
    assert directory.stat().st_mode & 0o077 == 0  # what is loaded from here is native code


def test_second_process_finds_the_same_directory(machine, monkeypatch):
    first = drivers.expose_installed_drivers()
    monkeypatch.setenv(drivers.LOADER_VARIABLE, "")
    assert drivers.expose_installed_drivers() == first


def test_damaged_directory_is_mended(machine, monkeypatch):
    directory = drivers.expose_installed_drivers()
    (directory / "pocl.icd").write_text("libelse.so")
    monkeypatch.setenv(drivers.LOADER_VARIABLE, "")
    assert drivers.expose_installed_drivers() == directory
    assert listed()["pocl.icd"] == "libpocl.so.2"


def test_new_system_driver_is_seen(machine, monkeypatch):
    first = drivers.expose_installed_drivers()
    (machine / "nvidia.icd").write_text("libnvidia-opencl.so.1")
    monkeypatch.setenv(drivers.LOADER_VARIABLE, "")
    assert drivers.expose_installed_drivers() != first
    assert listed()["nvidia.icd"] == "libnvidia-opencl.so.1"


def test_users_variable_is_left_alone(machine, monkeypatch):
    monkeypatch.setenv(drivers.LOADER_VARIABLE, "/home/me/vendors")
    assert drivers.expose_installed_drivers() is None
    assert os.environ[drivers.LOADER_VARIABLE] == "/home/me/vendors"


def test_nothing_is_done_where_nothing_is_missing(machine, monkeypatch):
    (machine / "intel.icd").write_text("/usr/lib/libintelocl.so")  # the system has it already
    assert drivers.expose_installed_drivers() is None
    monkeypatch.setattr(drivers, "installed_drivers", list)
    assert drivers.expose_installed_drivers() is None


def test_cache_that_cannot_be_written(machine, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    cache = str(tmp_path / "file" / "cache")
    monkeypatch.setattr(drivers.platformdirs, "user_cache_dir", lambda _: cache)
    directory = drivers.expose_installed_drivers()
    assert not str(directory).startswith(cache)
    assert set(listed()) == {"pocl.icd", "clconv-libintelocl.icd"}


PLATFORMS = """
import pyopencl as cl
try:
    print(*sorted(p.name for p in cl.get_platforms()), sep="\\n")
except cl.Error:
    pass
"""


def run(code, **environment):
    inherited = {k: v for k, v in os.environ.items() if k != drivers.LOADER_VARIABLE}
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(finished.stdout.split("\n")) - {""}


def test_real_system_drivers_stay_visible():
    """In fresh processes: every platform that there is without clconv is there with it."""
    without = run(PLATFORMS)
    code = "from clconv.program.drivers import expose_installed_drivers as e; e()\n" + PLATFORMS
    with_clconv = run(code)
    assert without <= with_clconv
    if drivers.installed_drivers():
        assert any("Intel" in name for name in with_clconv)
