"""A process that writes to the cache of built programs, beside others that do."""

from __future__ import annotations

import os

from clconv.program import cache


def write_often(directory, number):
    """Write one entry again and again; what is read back has to be of one writer."""
    os.environ["CLCONV_CACHE"] = str(directory)
    for turn in range(200):
        cache.store("key", bytes([number]) * (1000 + turn))
        found = cache.load("key")
        assert found is not None
        assert len(set(found)) == 1
