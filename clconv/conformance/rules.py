"""The rules that a result is held to. None of them has a tolerance that was tried out.

bits     integer data for which every partial sum is exact: the result equals the reference's,
         rounded once to the type that it is stored in
bound    real data: |y - y_ref| <= gamma_K * (|x| conv |w|), plus that rounding, by element
adjoint  integer data: <A x, y> = <x, A^T y>, in exact arithmetic, for every linear operator
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clconv.conformance.calls import Array, Backend, Call
from clconv.conformance.operators import Shape, Tensors, general_keywords, window_keywords
from clconv.conformance.terms import terms_of
from clconv.reference.bounds import activation_bound, computed_dtype, stored_bound, sum_bound
from clconv.reference.shapes import ConvShape, PoolShape, TransposeShape


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: `share` is the worst error as a share of what is allowed."""

    passed: bool
    share: float
    message: str = ""


def check_bits(call: Call) -> Finding:
    """Hold a call to the reference's very values; the data has to be exact."""
    pairs = zip(call.results, call.expected(), strict=True)
    return _worst([compare_bits(actual, as_stored(actual, expected)) for actual, expected in pairs])


def as_stored(actual: Array, expected: Array) -> Array:
    """Return `expected` rounded once, where the result is of a type that is stored only."""
    if computed_dtype(actual.dtype) == actual.dtype:
        return expected
    with np.errstate(over="ignore"):
        return expected.astype(actual.dtype).astype(expected.dtype)


def check_bound(call: Call) -> Finding:
    """Hold a call to its derived error bound, element by element."""
    terms = terms_of(call)
    if not any(terms):
        return check_bits(call)
    computed = computed_dtype(call.dtype)
    findings = []
    results = zip(call.results, call.expected(), call.magnitude(), terms, strict=True)
    for actual, expected, magnitude, count in results:
        allowed = sum_bound(magnitude, count, computed)
        if call.options.get("activation"):
            linear, name = call.without_activation(), call.options["activation"]
            allowed = activation_bound(allowed, linear, name, computed)
        findings.append(
            compare_within(actual, expected, stored_bound(allowed, expected, call.dtype))
        )
    return _worst(findings)


def _worst(findings: list[Finding]) -> Finding:
    return max(findings, key=lambda finding: (not finding.passed, finding.share))


def compare_bits(actual: Array, expected: Array) -> Finding:
    """Compare values that both sides can hold exactly; a NaN equals a NaN."""
    if actual.shape != expected.shape:
        return Finding(False, np.inf, f"shape {actual.shape}, expected {expected.shape}")
    actual = actual.astype(expected.dtype)
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
        f" {actual[place]}, expected {expected[place]} within {float(allowed[place]):.3g}",
    )


def check_adjoint(backend: Backend, shape: Shape, tensors: Tensors) -> Finding:
    """Hold every linear operator of `shape` to its adjoint's identity, in exact integers."""
    if isinstance(shape, ConvShape):
        products = conv_products(backend, shape, tensors)
    elif isinstance(shape, TransposeShape):
        products = transpose_products(backend, shape, tensors)
    else:
        products = pool_products(backend, shape, tensors)
    for name, values in products.items():
        if len(set(values)) > 1:
            return Finding(False, np.inf, f"{name}: inner products {values} differ")
    return Finding(True, 0.0)


Products = dict[str, tuple[complex, ...]]  # by operator: inner products that have to be equal


def conv_products(f: Backend, shape: ConvShape, t: Tensors) -> Products:
    """Return the inner products of convolution, bias and im2col with their adjoints."""
    keywords = shape.keywords()
    y = f.conv(t["x"], t["w"], **keywords)
    dx = f.conv_backward_data(t["dy"], t["w"], input_shape=shape.x_shape, **keywords)
    dw = f.conv_backward_weights(t["x"], t["dy"], weight_shape=shape.w_shape, **keywords)
    biases = np.zeros_like(t["dy"]) + t["bias"].reshape(-1, *[1] * len(shape.spatial))
    cols = f.im2col(t["x"], shape.kernel, **window_keywords(shape))
    image = f.col2im(t["cols"], shape.spatial, shape.kernel, **window_keywords(shape))
    return {
        "conv": (dot(y, t["dy"]), dot(t["x"], dx), dot(t["w"], dw)),
        "conv_general": _general_products(f, shape, t),
        "bias": (dot(biases, t["dy"]), dot(t["bias"], f.conv_backward_bias(t["dy"]))),
        "im2col": (dot(cols, t["cols"]), dot(t["x"], image)),
    }


def _general_products(f: Backend, shape: ConvShape, t: Tensors) -> tuple[complex, ...]:
    keywords = general_keywords(shape)
    x, w, dy = (t[name] for name in ("last_x", "last_w", "last_dy"))
    y = f.conv_general(x, w, **keywords)
    dx = f.conv_general_backward_data(dy, w, input_shape=x.shape, **keywords)
    dw = f.conv_general_backward_weights(x, dy, weight_shape=w.shape, **keywords)
    return dot(y, dy), dot(x, dx), dot(w, dw)


def transpose_products(f: Backend, shape: TransposeShape, t: Tensors) -> Products:
    """Return the inner products of transposed convolution with its adjoints."""
    keywords = shape.keywords()
    y = f.conv_transpose(t["x"], t["w"], **keywords)
    dx = f.conv_transpose_backward_data(t["dy"], t["w"], input_shape=shape.x_shape, **keywords)
    dw = f.conv_transpose_backward_weights(t["x"], t["dy"], weight_shape=shape.w_shape, **keywords)
    return {"conv_transpose": (dot(y, t["dy"]), dot(t["x"], dx), dot(t["w"], dw))}


def pool_products(f: Backend, shape: PoolShape, t: Tensors) -> Products:
    """Return the inner products of pooling with its adjoints, max pooling's at fixed indices."""
    found: Products = {}
    if t["x"].dtype.kind != "c":
        y, indices = f.max_pool(t["x"], shape.kernel, return_indices=True, **shape.max_keywords())
        y = np.where(indices < 0, 0, y)  # a window without pixels selects nothing
        dx = f.max_pool_backward(t["dy"], indices, input_shape=shape.x_shape)
        found["max_pool"] = (dot(y, t["dy"]), dot(t["x"], dx))
    if shape.has_average:
        keywords = shape.avg_keywords()
        y = f.avg_pool(t["x"], shape.kernel, **keywords)
        dx = f.avg_pool_backward(t["dy"], shape.kernel, input_shape=shape.x_shape, **keywords)
        found["avg_pool"] = (dot(y, t["dy"]), dot(t["x"], dx))
    return found


def dot(a: Array, b: Array) -> complex:
    """Return the inner product of integer-valued arrays, exactly; the first one is conjugated."""

    def product(p: Array, q: Array) -> int:
        return int((p.astype(np.int64) * q.astype(np.int64)).sum())

    if a.dtype.kind != "c":
        return product(a, b)
    real = product(a.real, b.real) + product(a.imag, b.imag)
    return complex(real, product(a.real, b.imag) - product(a.imag, b.real))
