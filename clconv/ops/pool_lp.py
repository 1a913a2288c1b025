"""Pooling by p-norms, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from clconv.ops.arguments import Axes, PaddingLike, expect_shape, real
from clconv.ops.arrays import Array, operands
from clconv.ops.execute import execute
from clconv.ops.layouts import Layout
from clconv.ops.pool import pool_geometry
from clconv.program.device import Device
from clconv.spec.dtypes import REAL, summed
from clconv.spec.pool_lp import LpPoolProblem


def lp_pool(
    x: Array,
    kernel_size: Axes,
    *,
    p: float = 2,
    signed: bool = False,
    stride: Axes | None = None,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    ceil_mode: bool = False,
    semantics: str = "torch",
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Return the p-norm of each window.

    y[b, c, q...] = (f * sum over i... of |x[b, c, q*stride + i*dilation - low ...]|^p)^(1/p)

    f is 1, or, in torch's semantics, taps/(taps inside the padded image) for windows that overhang
    it (ceil_mode). Powers are formed and added in the dtype of x, and may overflow there.

    Parameters
    ----------
    x : Array (N, C, *spatial), real, with 1, 2 or 3 spatial axes
    p : exponent, finite, at least 1; 1 and 2 are the fast ones
    signed : sum x^p instead of |x|^p, as PyTorch does: for p = 1 a plain sum; for other odd p NaN
        where the sum is negative; NaN for a negative number to a power that is no integer
    others : see `max_pool`

    Returns
    -------
    y : Array (N, C, *output), dtype and kind of x

    Raises
    ------
    GeometryError, TypeError, ValueError : sizes, arrays or p do not fit
    """
    (x,) = operands(dtypes=REAL, x=x)
    laid_out, shape = Layout.of(layout, "x", x.shape)
    window = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    geometry = pool_geometry(shape[2:], kernel_size, semantics, **window)
    norm = (_exponent(p, x.dtype.name), bool(signed), semantics == "torch")
    sizes = (shape[0], shape[1], geometry)
    problem = LpPoolProblem("lp_pool", x.dtype.name, *sizes, *norm, layout=laid_out.text)
    (y,) = execute(problem, {"x": x}, device=device)
    return y


def lp_pool_backward(
    dy: Array,
    x: Array,
    kernel_size: Axes,
    *,
    p: float = 2,
    signed: bool = False,
    stride: Axes | None = None,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    ceil_mode: bool = False,
    semantics: str = "torch",
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Return the gradient of `lp_pool`, which is not linear, and so needs x.

    dx[b, c, i...] = sum over the windows q... that touch i of
                     dy[b, c, q...] * f * (|x[b, c, i...]|/y[b, c, q...])^(p - 1) * sign(x)

    Signed, x^(p - 1) for |x|^(p - 1)*sign(x). For p > 1 windows of norm 0 add nothing.

    Parameters
    ----------
    dy : Array (N, C, *output), the dtype of x
    x : Array (N, C, *spatial), real
    others : see `lp_pool`; `layout` is that of dy, x and dx

    Returns
    -------
    dx : Array of the shape of x, dtype and kind of x

    Raises
    ------
    GeometryError, TypeError, ValueError : shapes, arrays or p do not fit
    """
    dy, x = operands(dtypes=REAL, dy=dy, x=x)
    laid_out, shape = Layout.of(layout, "x", x.shape)
    window = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    geometry = pool_geometry(shape[2:], kernel_size, semantics, **window)
    norm = (_exponent(p, x.dtype.name), bool(signed), semantics == "torch")
    sizes = (shape[0], shape[1], geometry)
    problem = LpPoolProblem("lp_pool_backward", x.dtype.name, *sizes, *norm, layout=laid_out.text)
    because = f"x {tuple(x.shape)} and the options"
    expect_shape("dy", dy.shape, problem.operands["dy"].shape, because)
    (dx,) = execute(problem, {"dy": dy, "x": x}, device=device)
    return dx


def global_lp_pool(
    x: Array,
    *,
    p: float = 2,
    signed: bool = False,
    layout: str | None = None,
    device: str | Device | None = None,
) -> Array:
    """Return the p-norm of each channel plane, (N, C, 1, ...): `lp_pool` of one window."""
    (x,) = operands(dtypes=REAL, x=x)
    _, shape = Layout.of(layout, "x", x.shape)
    return lp_pool(x, shape[2:], p=p, signed=signed, layout=layout, device=device)


def _exponent(p: Any, dtype: str) -> float:
    """Return p as a float; it and its reciprocal have to be normal numbers where it is used."""
    exponent, largest = real("p", p), 1 / float(np.finfo(summed(dtype)).tiny)
    if not 1 <= exponent <= largest:
        raise ValueError(
            f"p must be at least 1, finite, and for {dtype} at most {largest:.3g}; got {exponent}"
        )
    return exponent
