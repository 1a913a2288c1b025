"""Reads kernel files and puts their includes in place, so that one text is what is compiled."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_INCLUDE = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)


@cache
def read_source(name: str) -> str:
    """Return kernel file `name` ("gemm/gemm.cl") with every include inlined once."""
    return _inline(name, set())


def _inline(name: str, seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    text = files("clconv.kernels_cl").joinpath(name).read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda match: _inline(match[1], seen), text)
