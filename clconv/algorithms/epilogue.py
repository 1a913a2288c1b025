"""Host side of kernels_cl/common/epilogue.clh: what is done to a result before it is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from clconv.spec.problem import ACTIVATIONS, ConvProblem

NO_EPILOGUE = {"ACTIVATION": 0, "ACCUMULATE": 0}


def epilogue_macros(problem: ConvProblem) -> dict[str, int]:
    """Return the macros of the problem's epilogue, which only the forward direction has."""
    if problem.direction != "forward":
        return NO_EPILOGUE
    return {
        "ACTIVATION": ACTIVATIONS.index(problem.activation),
        "ACCUMULATE": int(problem.beta != 0),
    }


def beta_of(problem: ConvProblem) -> np.number[Any]:
    """Return beta as the kernels take it."""
    beta: np.number[Any] = np.dtype(problem.dtype).type(problem.beta)
    return beta
