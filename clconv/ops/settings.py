"""What calls fall back on: the accuracy class, by call, by `with`, by variable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from clconv.algorithms.base import ACCURACIES, STRICT

VARIABLE = "CLCONV_ACCURACY"
_accuracy: ContextVar[str | None] = ContextVar("accuracy", default=None)


@contextmanager
def settings(*, accuracy: str) -> Iterator[None]:
    """Set what calls inside the `with` fall back on, in this thread and in tasks begun in it.

    Parameters
    ----------
    accuracy : "strict" or "fast"; see `conv`

    Raises
    ------
    ValueError : it is neither
    """
    token = _accuracy.set(_known("accuracy", accuracy))
    try:
        yield
    finally:
        _accuracy.reset(token)


def accuracy_of(choice: Any) -> str:
    """Return the accuracy class of a call: its own, else that of `settings`, else the variable's.

    Raises
    ------
    ValueError : it is no accuracy class
    """
    if choice is not None:
        return _known("accuracy", choice)
    inherited = _accuracy.get()
    if inherited is not None:
        return inherited
    wanted = os.environ.get(VARIABLE)
    return _known(VARIABLE, wanted) if wanted else STRICT


def _known(name: str, value: Any) -> str:
    if value not in ACCURACIES:
        raise ValueError(f"{name} must be one of {', '.join(ACCURACIES)}; got {value!r}")
    return str(value)
