"""clconv/program/cache.py: what is believed, who may write, and what goes when it is full."""

from __future__ import annotations

import multiprocessing
import os
import stat
import warnings

import pytest
from support import cache_writer

from clconv.program import cache

KEY = "a key, with its source and everything\n" * 20
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are POSIX's")


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """Return a cache directory that is made at the first use."""
    path = tmp_path / "here" / "cache"
    monkeypatch.setenv("CLCONV_CACHE", str(path))
    return path


def entry(directory):
    (path,) = directory.iterdir()
    return path


def test_what_is_stored_is_loaded(directory):
    assert cache.load(KEY) is None
    cache.store(KEY, b"payload")
    assert cache.load(KEY) == b"payload"
    assert cache.load(KEY + "x") is None
    cache.store(KEY, b"another")
    assert cache.load(KEY) == b"another"
    assert len(list(directory.iterdir())) == 1  # nothing is left of writing


@posix
def test_the_directory_and_its_files_are_private(directory):
    cache.store(KEY, b"payload")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry(directory).stat().st_mode) == 0o600


def test_every_flipped_bit_and_every_truncation_is_noticed(directory):
    cache.store("key", b"payload")
    path = entry(directory)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cache.load("key") is None, f"byte {place}"
        path.write_bytes(whole[:place])
        assert cache.load("key") is None, f"{place} bytes"
    path.write_bytes(whole + b"x")
    assert cache.load("key") is None
    cache.store("key", b"payload")
    assert cache.load("key") == b"payload"


def test_an_entry_of_another_key_is_not_believed(directory):
    """Whole, but not what its name says."""
    cache.store("other", b"payload")
    entry(directory).rename(directory / cache._name("key"))
    assert cache.load("key") is None


@posix
def test_an_entry_that_is_a_link_a_pipe_or_a_directory_is_not_read(directory, tmp_path):
    cache.store("key", b"payload")
    path = entry(directory)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.load("key") is None
    path.unlink()
    os.mkfifo(path)
    assert cache.load("key") is None
    path.unlink()
    path.mkdir()
    assert cache.load("key") is None
    cache.store("key", b"payload")  # nothing can be put there: nothing happens


@posix
def test_a_foreign_entry_is_not_believed(directory, monkeypatch):
    cache.store("key", b"payload")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert cache.load("key") is None


def refused(match):
    """Nothing is kept, and one warning says why."""
    with pytest.warns(RuntimeWarning, match=match):
        cache.store("key", b"payload")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.load("key") is None
        cache.store("key", b"payload")


@posix
@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707, 0o701])
def test_a_directory_open_to_others_is_unused(directory, mode):
    directory.mkdir(parents=True)
    directory.chmod(mode)
    refused(f"others have access to it .mode {mode:04o}")
    assert not list(directory.iterdir())


@posix
def test_a_directory_of_somebody_else_is_unused(directory, monkeypatch):
    directory.mkdir(mode=0o700, parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    refused("belongs to user")


@posix
def test_a_directory_behind_a_link_is_unused(directory, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    directory.parent.mkdir()
    directory.symlink_to(tmp_path / "real")
    refused("is a symbolic link")
    assert not list((tmp_path / "real").iterdir())


def test_a_file_in_the_directorys_place_is_unused(directory):
    directory.parent.mkdir()
    directory.write_text("no directory")
    refused("is no directory")
    assert directory.read_text() == "no directory"


def test_where_no_directory_can_be_made_nothing_happens(directory, monkeypatch):
    directory.parent.write_text("a file where a directory would have to be")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.store("key", b"payload")
        assert cache.load("key") is None


def test_a_directory_that_cannot_be_written_is_read(directory, monkeypatch):
    """A superuser may write anywhere, so the refusal is planted."""
    cache.store("key", b"payload")

    def refuse(*args, **kwargs):
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(cache.tempfile, "mkstemp", refuse)
    monkeypatch.setattr(os, "utime", refuse)
    cache.store("key", b"another")
    assert cache.load("key") == b"payload"


def test_a_full_disk_leaves_the_old_entry_and_no_rubbish(directory, monkeypatch):
    cache.store("key", b"payload")

    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        cache.store("key", b"another")
    assert cache.load("key") == b"payload"
    assert len(list(directory.iterdir())) == 1


def test_a_directory_that_is_removed_meanwhile_is_no_error(directory):
    cache.store("key", b"payload")
    entry(directory).unlink()
    directory.rmdir()
    assert cache.load("key") is None
    cache.store("key", b"payload")


def test_zero_turns_it_off(directory, monkeypatch):
    monkeypatch.setenv("CLCONV_CACHE", "0")
    cache.store("key", b"payload")
    assert cache.load("key") is None
    assert not directory.exists()


def test_the_default_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("CLCONV_CACHE", raising=False)
    monkeypatch.setattr(cache.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    cache.store("key", b"payload")
    assert [file.name for file in (tmp_path / "clconv" / "programs").iterdir()] == [
        cache._name("key")
    ]


def test_what_was_used_longest_ago_goes_first(directory, monkeypatch):
    size = len(cache._entry("0", bytes(1000)))
    monkeypatch.setattr(cache, "LIMIT_BYTES", 8 * size)
    for number in range(8):
        cache.store(str(number), bytes(1000))
        os.utime(directory / cache._name(str(number)), (number, number))
    assert cache.load("0") is not None  # now the last one that was used
    cache.store("8", bytes(1000))
    left = [number for number in range(9) if cache.load(str(number)) is not None]
    assert left == [0, 4, 5, 6, 7, 8]


def test_writers_at_the_same_time_never_mix(directory):
    context = multiprocessing.get_context("spawn")
    write = cache_writer.write_often
    workers = [context.Process(target=write, args=(directory, n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(list(directory.iterdir())) == 1
