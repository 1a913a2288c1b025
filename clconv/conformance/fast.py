"""How algorithms of the accuracy class "fast" are held to bounds of their own.

Winograd's rounding errors spread over a tile, so that whole numbers do not come out whole, zeros
beside other numbers do not come out as zeros, and NaN and infinities reach their neighbours. What
holds is the bound of `reference/bounds_winograd.py`, element by element, on any data; and that
bits repeat, whatever the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from clconv.algorithms.registry import grid_of
from clconv.conformance.calls import Array, Call
from clconv.conformance.data import data_for
from clconv.conformance.rules import Finding, compare_within
from clconv.errors import UnsupportedError
from clconv.reference.bounds import activation_bound, computed_dtype, stored_bound, sum_bound
from clconv.reference.bounds_winograd import winograd_bound
from clconv.reference.matrices import flipped
from clconv.reference.winograd import as_forward, depth_as_channels
from clconv.spec.general import GeneralConvProblem, generalised
from clconv.spec.geometry import Padding
from clconv.spec.layout import permuted
from clconv.spec.problem import ConvProblem
from clconv.spec.tensor import Problem

# Finite points of kernels_cl/winograd/transforms.clh; None for the reference's default ones.
POINTS = {
    2: None,
    4: (0, Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)),
}
BIT_BY_BIT = ("batch", "reals")  # of conformance.metamorphic, that hold bit by bit


def is_fast(algorithm: str) -> bool:
    """Whether an algorithm is held to a bound of its own."""
    return grid_of(algorithm) > 1


def check_fast(problem: Problem, kind: str, algorithm: str, call: Call) -> Finding:
    """Hold a call on `data_for(problem, kind)` to the bound of its algorithm.

    What the transforms give lies within their bound e of the exact sum; each of n additions behind
    them, of a bias or of beta*out, is rounded once: e + gamma_n*(magnitude + e) in all.

    Raises
    ------
    UnsupportedError : no bound is stated for such a problem
    """
    assert isinstance(problem, ConvProblem | GeneralConvProblem)
    allowed = winograd_error(problem, data_for(problem, kind), grid_of(algorithm))
    public = call.public
    (magnitude,), (expected,), (result,) = public.magnitude, public.expected, call.results
    computed = computed_dtype(public.dtype)
    additions = bool(problem.bias) + bool(problem.beta)
    if additions:
        allowed = allowed + sum_bound(magnitude + allowed, additions, computed)
    if problem.activation != "none":
        before = public.before_activation
        allowed = activation_bound(allowed, before, problem.activation, computed)
    return compare_within(result, expected, stored_bound(allowed, expected, public.dtype))


def winograd_error(
    problem: ConvProblem | GeneralConvProblem, tensors: Mapping[str, Array], m: int
) -> Array:
    """Return the bound of F(m, 3) on a result, in its layout, before bias and what comes after it.

    That is the bound of the plain problem in the middle: x is spread and padded as that has it, and
    pixels of a gradient are those that x has. Pixels that negative padding cuts off are in no sum;
    their gradients are sums of zeros, in tiles with others.

    Raises
    ------
    UnsupportedError : complex numbers, batch groups, or a border that copies pixels
    """
    p, inner = generalised(problem), problem.plain
    if p.is_complex or p.batch_groups > 1 or p.padding_mode != "zeros":
        raise UnsupportedError(
            "no bound is stated for Winograd between complex numbers, batch groups or copied pixels"
        )
    numbers = p.dimension_numbers
    w = _moved(tensors["w"], numbers.w, numbers.plain_w)
    w = np.ascontiguousarray(flipped(w, p.flip)).astype(inner.dtype)
    options: dict[str, Any] = {"m": m, "groups": p.groups, "points": POINTS[m]}
    padding = tuple((low, max(high, 0)) for low, high in inner.geometry.padding)
    cut = tuple(max(-high, 0) for _, high in inner.geometry.padding)  # pixels at the end
    here, there = _pixels(p, inner)
    if p.direction == "forward":
        x = np.zeros(inner.x_shape, inner.dtype)
        x[there] = _moved(tensors["x"], numbers.x, numbers.plain_x)[here]
        seen = tuple(slice(n - off) for n, off in zip(inner.geometry.input, cut, strict=True))
        bound = _plane_bound(x[:, :, *seen], w, inner.dtype, padding, options)
        return _moved(bound, numbers.plain_x, numbers.y)
    dy = _moved(tensors["dy"], numbers.y, numbers.plain_x).astype(inner.dtype)
    dy = np.pad(dy, [(0, 0), (0, 0), *((0, off) for off in cut)])  # of windows that would see them
    shape: dict[str, Any] = {"input_shape": inner.x_shape, "padding": padding, "groups": p.groups}
    image, filters = as_forward(dy, w, **shape)
    spread = _plane_bound(image, filters, inner.dtype, ((0, 0),) * len(padding), options)
    bound = np.zeros(permuted(p.x_shape, numbers.x, numbers.plain_x), spread.dtype)
    bound[here] = spread[there]
    return _moved(bound, numbers.plain_x, numbers.x)


def _plane_bound(
    x: Array, w: Array, dtype: str, padding: Padding, options: Mapping[str, Any]
) -> Array:
    """Return the bound of a result whose planes are made of tiles."""
    if len(padding) == 2:
        return winograd_bound(x, w, dtype, padding=padding, **options)
    images, filters = depth_as_channels(x, w, padding[0])
    bound = winograd_bound(images, filters, dtype, padding=padding[1:], **options)
    depth = len(images) // max(len(x), 1)
    return np.moveaxis(bound.reshape(len(x), depth, *bound.shape[1:]), 2, 1)


def _moved(array: Array, layout: str, wanted: str) -> Array:
    return array.transpose([layout.index(letter) for letter in wanted])


def _pixels(
    p: GeneralConvProblem, inner: ConvProblem
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Return which pixels of x, channels first, are pixels of the plain image, and which ones."""
    numbers = p.dimension_numbers
    batch, channels, *sizes = permuted(p.x_shape, numbers.x, numbers.plain_x)
    here, there = ([np.arange(size) for size in (batch, channels)] for _ in range(2))
    padded = inner.geometry.padding != p.padding  # by the rearrangement, not by the convolution
    walks = zip(sizes, inner.geometry.input, p.input_dilation, p.padding, strict=True)
    for size, whole, step, (low, _) in walks:
        places = np.arange(size) * step + low * padded
        kept = np.flatnonzero((places >= 0) & (places < whole))
        here.append(kept)
        there.append(places[kept])
    return np.ix_(*here), np.ix_(*there)
