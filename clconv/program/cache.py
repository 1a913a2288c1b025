"""Bytes kept on disk by key, for this user alone, and believed only where they prove whole.

What lies here is run as native code (built programs) or spares a check (self-check), so:

- The directory is the user's own: mode 0700, owned by them, no symbolic link. Any other is left
  unused, with one warning. Where there is none and none can be made, nothing is kept.
- An entry carries the whole key and a SHA-256 of key and payload. One that is corrupt, truncated
  or another's reads as absent, and is written anew.
- An entry is written aside and renamed, so that readers and other writers see all of it or none.
- The entries used longest ago go when all together pass a limit.

`CLCONV_CACHE=DIR` is another directory, `CLCONV_CACHE=0` none.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import platformdirs

VARIABLE = "CLCONV_CACHE"
MAGIC = b"clconv cache 1\n"
ENTRY_SUFFIX = ".entry"
# Some 4,000 programs of Intel's CPU runtime.
LIMIT_BYTES = 256 * 2**20
_DIGEST_BYTES, _LENGTH_BYTES = 32, 8
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # nor pipes that wait


def load(key: str) -> bytes | None:
    """Return what was stored under `key`, or None: nothing, or nothing that can be believed."""
    directory = _directory()
    if directory is None:
        return None
    path = directory / _name(key)
    with suppress(OSError):
        with open(path, "rb", opener=_open_no_link) as file:
            if not _is_own_file(os.fstat(file.fileno())):
                return None
            payload = _payload(file.read(), key)
        if payload is not None:
            with suppress(OSError):  # a directory that cannot be written to
                os.utime(path)  # it was used: others go before it
        return payload
    return None


def store(key: str, payload: bytes) -> None:
    """Keep `payload` under `key`; where that is not possible, nothing happens."""
    directory = _directory()
    if directory is None:
        return
    with suppress(OSError):  # read-only, full, removed meanwhile
        handle, temporary = tempfile.mkstemp(dir=directory)
        try:
            with open(handle, "wb") as file:
                file.write(_entry(key, payload))
            os.replace(temporary, directory / _name(key))
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        _trim(directory)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest() + ENTRY_SUFFIX


def _entry(key: str, payload: bytes) -> bytes:
    name = key.encode()
    body = len(name).to_bytes(_LENGTH_BYTES, "big") + name + payload
    return MAGIC + hashlib.sha256(body).digest() + body


def _payload(entry: bytes, key: str) -> bytes | None:
    """Return what `entry` holds if it is whole and of this very key."""
    name, start = key.encode(), len(MAGIC) + _DIGEST_BYTES
    digest, body = entry[len(MAGIC) : start], entry[start:]
    head = len(name).to_bytes(_LENGTH_BYTES, "big") + name
    if not entry.startswith(MAGIC) or not body.startswith(head):
        return None
    return body[len(head) :] if hashlib.sha256(body).digest() == digest else None


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_LINKS)


def _is_own_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and _is_ours(status)


def _is_ours(status: os.stat_result) -> bool:
    """Windows has no owner's number; a user's profile is closed to others there."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def _directory() -> Path | None:
    """Return the directory in use, made if need be."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted == "0":
        return None
    default = Path(platformdirs.user_cache_dir("clconv"), "programs")
    path = Path(wanted).expanduser().absolute() if wanted not in ("", "1") else default
    return path if _is_private(path) else None


@cache
def _is_private(path: Path) -> bool:
    """Tell whether `path` is a directory that nobody else can write to; asked once."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError:
        # A file or a dangling link stands there, or there is no place to write: no cache.
        if not os.path.lexists(path):
            return False
        reason: str | None = "it is no directory"
    else:
        reason = _fault(status)
    if reason:
        warnings.warn(f"{path} is not used as a cache: {reason}", RuntimeWarning, stacklevel=2)
    return reason is None


def _fault(status: os.stat_result) -> str | None:
    """Say why a directory of this status cannot be trusted."""
    if stat.S_ISLNK(status.st_mode):
        return "it is a symbolic link"
    if not stat.S_ISDIR(status.st_mode):
        return "it is no directory"
    if not _is_ours(status):
        return f"it belongs to user {status.st_uid}"
    if hasattr(os, "geteuid") and status.st_mode & 0o077:
        return f"others have access to it (mode {stat.S_IMODE(status.st_mode):04o}, not 0700)"
    return None


def _trim(directory: Path) -> None:
    """Remove what was used longest ago until a quarter of the limit is free again."""
    with os.scandir(directory) as files:
        statuses = []
        for file in files:
            with suppress(FileNotFoundError):  # another process trims, too
                status = file.stat(follow_symlinks=False)
                statuses.append((status.st_mtime, status.st_size, file.path))
    total = sum(size for _, size, _ in statuses)
    if total <= LIMIT_BYTES:
        return
    for _, size, path in sorted(statuses):
        with suppress(OSError):
            os.unlink(path)
        total -= size
        if total <= LIMIT_BYTES * 3 // 4:
            return
