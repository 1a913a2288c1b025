"""The rules that a result is held to. None of them has a tolerance that was tried out.

bits     integer data for which every partial sum is exact: the result equals the reference's
bound    real data: |y - y_ref| <= gamma_K * (|x| conv |w|), element by element
adjoint  integer data: <A x, y> = <x, A^T y>, in exact arithmetic, for every linear operator
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clconv import reference
from clconv.conformance.operators import Backend, Operator, Shape, Tensors
from clconv.reference.bounds import sum_bound
from clconv.reference.shapes import ConvShape

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: `share` is the worst error as a share of what is allowed."""

    passed: bool
    share: float
    message: str = ""


def check_bits(backend: Backend, operator: Operator, shape: Shape, tensors: Tensors) -> Finding:
    """Hold the operator to the reference's very values, on integer tensors."""
    results = operator.apply(backend, shape, tensors)
    for actual, expected in zip(results, operator.apply(reference, shape, tensors), strict=True):
        finding = compare_bits(actual, expected)
        if not finding.passed:
            return finding
    return Finding(True, 0.0)


def compare_bits(actual: Array, expected: Array) -> Finding:
    """Compare values that both sides can hold exactly."""
    if actual.shape != expected.shape:
        return Finding(False, np.inf, f"shape {actual.shape}, expected {expected.shape}")
    wrong = ~((actual == expected) | (np.isnan(actual) & np.isnan(expected)))
    if not wrong.any():
        return Finding(True, 0.0)
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return Finding(
        False,
        np.inf,
        f"{wrong.sum()} of {wrong.size} elements differ, the first at {place}:"
        f" {actual[place]}, expected {expected[place]}",
    )


def check_bound(backend: Backend, operator: Operator, shape: Shape, tensors: Tensors) -> Finding:
    """Hold the operator to its derived error bound, element by element."""
    results = operator.apply(backend, shape, tensors)
    expected = operator.apply(reference, shape, tensors)
    magnitudes = {
        name: abs(tensor) if tensor.dtype.kind == "f" else tensor
        for name, tensor in tensors.items()
    }
    sizes = operator.apply(reference, shape, magnitudes)
    findings = []
    for actual, exact, size in zip(results, expected, sizes, strict=True):
        if operator.terms(shape) == 0:
            findings.append(compare_bits(actual, exact))
        else:
            dtype = tensors["dy"].dtype
            allowed = sum_bound(size, operator.terms(shape), dtype)
            findings.append(compare_within(actual, exact, allowed))
    return max(findings, key=lambda finding: finding.share)


def compare_within(actual: Array, expected: Array, allowed: Array) -> Finding:
    """Compare element by element; where nothing is allowed, only equality will do."""
    if actual.shape != expected.shape:
        return Finding(False, np.inf, f"shape {actual.shape}, expected {expected.shape}")
    if actual.size == 0:
        return Finding(True, 0.0)
    error = np.abs(actual.astype(expected.dtype) - expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(error == 0, 0, error / allowed)
    share = np.where(np.isnan(share), np.inf, share)
    place = tuple(int(i) for i in np.unravel_index(np.argmax(share), share.shape))
    worst = float(share[place])
    if worst <= 1:
        return Finding(True, worst)
    return Finding(
        False,
        worst,
        f"{(share > 1).sum()} of {share.size} elements are off, the worst at {place}:"
        f" {actual[place]}, expected {expected[place]} within {allowed[place]:.3g}",
    )


def check_adjoint(backend: Backend, shape: Shape, tensors: Tensors) -> Finding:
    """Hold every linear operator of `shape` to its adjoint's identity, in exact integers."""
    for name, products in adjoint_products(backend, shape, tensors).items():
        if len(set(products)) > 1:
            return Finding(False, np.inf, f"{name}: inner products {products} differ")
    return Finding(True, 0.0)


def adjoint_products(
    backend: Backend, shape: Shape, tensors: Tensors
) -> dict[str, tuple[int, ...]]:
    """Return the inner products that have to be equal, by operator."""
    t = tensors
    if isinstance(shape, ConvShape):
        keywords = shape.keywords()
        window = {name: keywords[name] for name in ("stride", "padding", "dilation")}
        y = backend.conv(t["x"], t["w"], **keywords)
        dx = backend.conv_backward_data(t["dy"], t["w"], input_shape=shape.x_shape, **keywords)
        dw = backend.conv_backward_weights(t["x"], t["dy"], weight_shape=shape.w_shape, **keywords)
        biases = np.zeros_like(t["dy"]) + t["bias"].reshape(-1, *[1] * len(shape.spatial))
        found: dict[str, tuple[int, ...]] = {
            "conv": (dot(y, t["dy"]), dot(t["x"], dx), dot(t["w"], dw)),
            "bias": (dot(biases, t["dy"]), dot(t["bias"], backend.conv_backward_bias(t["dy"]))),
            "im2col": (
                dot(backend.im2col(t["x"], shape.kernel, **window), t["cols"]),
                dot(t["x"], backend.col2im(t["cols"], shape.spatial, shape.kernel, **window)),
            ),
        }
        return found
    y, indices = backend.max_pool(t["x"], shape.kernel, return_indices=True, **shape.max_keywords())
    y = np.where(indices < 0, 0, y)  # a window without pixels selects nothing
    dx = backend.max_pool_backward(t["dy"], indices, input_shape=shape.x_shape)
    found = {"max_pool": (dot(y, t["dy"]), dot(t["x"], dx))}
    if shape.has_average:
        keywords = shape.avg_keywords()
        y = backend.avg_pool(t["x"], shape.kernel, **keywords)
        dx = backend.avg_pool_backward(t["dy"], shape.kernel, input_shape=shape.x_shape, **keywords)
        found["avg_pool"] = (dot(y, t["dy"]), dot(t["x"], dx))
    return found


def dot(a: Array, b: Array) -> int:
    """Return the inner product of integer-valued arrays, exactly."""
    return int((a.astype(np.int64) * b.astype(np.int64)).sum())
