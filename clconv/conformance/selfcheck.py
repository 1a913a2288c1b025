"""Writes the results that clconv/algorithms/selfcheck.json holds: the reference's.

python -m clconv.conformance.selfcheck
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np

from clconv.algorithms.selfcheck import operands_of, stored
from clconv.conformance.problems import call_of
from clconv.ops.arrays import numpy_dtype
from clconv.spec.deform import DeformProblem
from clconv.spec.parse import parse
from clconv.spec.tensor import Problem

GRADIENTS = ("dx", "dw", "doffset", "dmask")  # of deform_conv_backward


def expected(problem: Problem) -> dict[str, list[float]]:
    """Return the reference's results on the operands of a self-check's case, flat."""
    tensors = {
        name: array.astype(numpy_dtype(problem.operands[name].dtype))
        for name, array in operands_of(problem).items()
    }
    results = call_of(problem, tensors).expected
    gradient = isinstance(problem, DeformProblem) and problem.conv.direction != "forward"
    named = dict(zip(GRADIENTS if gradient else problem.results, results, strict=False))
    return {name: _numbers(named[name]) for name in problem.results}


def _numbers(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> list[float]:
    """Return elements as they are shortest to write: 3, not 3.0."""
    values = array.astype(np.float64).ravel().tolist()
    return [int(value) if value == int(value) else value for value in values]


def main() -> None:
    """Write the file anew for the problems that stand in it."""
    table = {
        family: {text: expected(parse(text.replace("{t}", "f32"))) for text in cases}
        for family, cases in stored().items()
    }
    path = Path(str(files("clconv.algorithms").joinpath("selfcheck.json")))
    path.write_text(written(table), encoding="utf-8")


def written(table: Mapping[str, Mapping[str, object]]) -> str:
    """Return the file's text, a line for each problem."""
    families = (
        f"{json.dumps(family)}: {{\n"
        + ",\n".join(
            f"{json.dumps(text)}: {json.dumps(results, separators=(',', ':'))}"
            for text, results in cases.items()
        )
        + "\n}"
        for family, cases in table.items()
    )
    return "{\n" + ",\n".join(families) + "\n}\n"


if __name__ == "__main__":
    main()
