"""`CLCONV_LOG=problem`: every call prints the string of its problem to the standard error."""

from __future__ import annotations

import os
import sys
import warnings

from clconv.spec.tensor import Problem

VARIABLE = "CLCONV_LOG"


def log_problem(problem: Problem) -> None:
    """Print the problem if it is asked for; a value of the variable that means nothing warns."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    if wanted != "problem":
        warnings.warn(f"{VARIABLE}={wanted} means nothing; it may be 'problem'", stacklevel=4)
        return
    print(problem, file=sys.stderr)
