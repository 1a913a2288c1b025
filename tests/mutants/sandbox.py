"""A copy of the packages, laid out as installed, in which one file at a time is another one."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mutants.catalogue import ROOT, Mutant

WORKER = Path(__file__).with_name("worker.py")
PACKAGES = {"clconv": "clconv", "reference": "clconv/reference", "kernels_cl": "clconv/kernels_cl"}


class Sandbox:
    """One copy; it runs one subprocess at a time.

    Nothing in the subprocess is patched: it imports the copy as it would an installation. Caches
    of binaries are the copy's own. They are keyed on the source, so that a mutant's kernels are
    built anew and all others come from there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, where in PACKAGES.items():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / where, ignore=ignored, dirs_exist_ok=True)
        compileall.compile_dir(folder / "clconv", quiet=2)
        self.caches.mkdir()

    @property
    def caches(self) -> Path:
        """Where drivers and pyopencl keep binaries."""
        return self.folder / "cache"

    def run(self, mutant: Mutant | None, task: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """Run the worker on a task, with a mutant in place, and return what it says.

        A subprocess that dies or goes past `limit_s` has been caught.
        """
        if mutant is None:
            return self._worker(task, limit_s)
        places = {self.folder / _installed(m.path): m for m in (mutant, *mutant.also)}
        originals = {place: place.read_text(encoding="utf-8") for place in places}
        try:
            for place, each in places.items():
                for stale in place.parent.glob(f"__pycache__/{place.stem}.*.pyc"):
                    stale.unlink()  # a file as long and of the same second would pass for the same
                place.write_text(each.text(), encoding="utf-8")
            return self._worker(task, limit_s)
        finally:
            for place, original in originals.items():
                place.write_text(original, encoding="utf-8")

    def take_binaries(self, others: Iterable[Sandbox]) -> None:
        """Copy what others have built: names tell the source."""
        for other in others:
            if other is not self:
                shutil.copytree(other.caches, self.caches, dirs_exist_ok=True)

    def _worker(self, task: dict[str, Any], limit_s: float) -> dict[str, Any]:
        start = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment(),
            cwd=self.folder,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(json.dumps(task), timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            self._drop_locks()
            return {"verdict": "caught", "by": "hang", "seconds": time.monotonic() - start}
        said = _last_word(output)
        if said is None:
            self._drop_locks()
            code = process.returncode
            last = output.strip().splitlines()[-1:] or [""]
            said = {"verdict": "caught", "by": f"crash, exit status {code}: {last[0][:200]}"}
        return said | {"seconds": time.monotonic() - start}

    def _drop_locks(self) -> None:
        """Take away what a process that was killed has locked."""
        for lock in [*self.caches.rglob("lock"), *self.caches.rglob("*.lock")]:
            lock.unlink() if lock.is_file() else shutil.rmtree(lock)

    def _environment(self) -> dict[str, str]:
        own = {
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CACHE_HOME": str(self.caches),
            "POCL_CACHE_DIR": str(self.caches / "pocl"),
            "CLCONV_SELFCHECK": "0",  # or a faulty family is taken out of use, and refusals pass
        }
        return {**os.environ, **own}


def _installed(path: str) -> str:
    root, _, rest = path.partition("/")
    return f"{PACKAGES[root]}/{rest}"


def _last_word(output: str) -> dict[str, Any] | None:
    for line in reversed(output.splitlines()):
        if line.startswith('{"verdict"'):
            said: dict[str, Any] = json.loads(line)
            return said
    return None
