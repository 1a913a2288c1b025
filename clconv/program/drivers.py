"""Makes OpenCL drivers that pip installed visible beside the system's.

The loader lists the drivers that the `.icd` files of one directory name: the system's, or the one
that OCL_ICD_VENDORS points at. A driver from PyPI lies inside the Python environment, where no
loader looks (and the `.icd` file in its wheel holds a path of the machine that built it). So a
directory in the user's cache repeats the system's files, adds one with the driver's true path,
and OCL_ICD_VENDORS is pointed there before the loader's first look. A variable that the user has
set is left alone.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import platformdirs

LOADER_VARIABLE = "OCL_ICD_VENDORS"
SYSTEM_VENDORS = Path("/etc/OpenCL/vendors")
# PyPI distribution -> the driver's file name inside it
PYPI_DRIVERS = {"intel-opencl-rt": "libintelocl.so"}


def installed_drivers() -> list[Path]:
    """Return the absolute paths of the driver libraries that PyPI distributions brought."""
    found = []
    for distribution, library in PYPI_DRIVERS.items():
        try:
            files = metadata.files(distribution) or []
        except metadata.PackageNotFoundError:
            continue
        paths = (Path(str(file.locate())).resolve() for file in files if file.name == library)
        found += [path for path in paths if path.exists()]
    return found


def expose_installed_drivers() -> Path | None:
    """Point the loader at the system's drivers and pip's; return the directory, if one is needed.

    Has an effect only before the process's first OpenCL call.
    """
    if not sys.platform.startswith("linux") or os.environ.get(LOADER_VARIABLE):
        return None
    entries = {file.name: file.read_text() for file in sorted(SYSTEM_VENDORS.glob("*.icd"))}
    known = {Path(line).name for text in entries.values() for line in text.split()}
    for path in installed_drivers():
        if path.name not in known:
            entries[f"clconv-{path.stem}.icd"] = f"{path}\n"
    if not any(name.startswith("clconv-") for name in entries):
        return None
    directory = _vendor_directory(entries)
    os.environ[LOADER_VARIABLE] = str(directory)
    return directory


def _vendor_directory(entries: dict[str, str]) -> Path:
    """Write `entries` into a directory named by their content: a complete one is never changed."""
    digest = hashlib.sha256(repr(sorted(entries.items())).encode()).hexdigest()[:16]
    target = Path(platformdirs.user_cache_dir("clconv")) / f"vendors-{digest}"
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_directory(target, entries)
    except OSError:  # no home, a read-only one: the directory is needed for this process only
        target = Path(tempfile.mkdtemp(prefix="clconv-vendors-"))
        _write_files(target, entries)
    return target


def _write_directory(target: Path, entries: dict[str, str]) -> None:
    if _holds(target, entries):
        return
    # Written aside and renamed, so that a process starting at the same time sees all or nothing.
    staging = Path(tempfile.mkdtemp(prefix="vendors-", dir=target.parent))
    _write_files(staging, entries)
    try:
        staging.rename(target)
    except OSError:
        if not _holds(target, entries):  # not another process's, but a broken one: mend it
            _write_files(target, entries)
        for file in staging.iterdir():
            file.unlink()
        staging.rmdir()


def _holds(target: Path, entries: dict[str, str]) -> bool:
    return target.is_dir() and {f.name: f.read_text() for f in target.iterdir()} == entries


def _write_files(directory: Path, entries: dict[str, str]) -> None:
    for name, text in entries.items():
        (directory / name).write_text(text)
