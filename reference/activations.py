"""What may be applied to the result of a convolution, element by element.

    relu          max(v, 0)
    leaky_relu    v where v >= 0, else 0.01*v
    relu6         min(max(v, 0), 6)
    sigmoid       1/(1 + exp(-v))
    tanh          tanh(v)
    silu          v*sigmoid(v)
    gelu          v*Phi(v) = v*erfc(-v/sqrt(2))/2, Phi the normal distribution; not the tanh form

A NaN stays NaN, in all of them. The limits of silu and gelu at -inf are 0, but the products are
-inf*0 = NaN, here as in torch. relu and relu6 keep the sign of zero, as torch does; no test of
another library should count on it. All but these two make float64 of integers. gelu is accurate to
float64, whatever the dtype: scipy has no wider erfc.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy.special

from .arrays import Array, widen_to_float

LEAKY_SLOPE = 0.01


def relu(v: Array) -> Array:
    """max(v, 0), and NaN of NaN."""
    return np.where(v < 0, v.dtype.type(0), v)


def leaky_relu(v: Array) -> Array:
    """v, with the negative side flattened."""
    v = widen_to_float(v)
    return np.where(v < 0, LEAKY_SLOPE * v, v)


def relu6(v: Array) -> Array:
    """relu, cut off at 6."""
    return np.where(v > 6, v.dtype.type(6), relu(v))


def sigmoid(v: Array) -> Array:
    """1/(1 + exp(-v)), without overflow."""
    result: Array = scipy.special.expit(widen_to_float(v))
    return result


def tanh(v: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(widen_to_float(v))


def silu(v: Array) -> Array:
    """v*sigmoid(v)."""
    with np.errstate(invalid="ignore"):  # -inf*0
        return widen_to_float(v) * sigmoid(v)


def gelu(v: Array) -> Array:
    """v*Phi(v), with erfc rather than 1 + erf, which cancels where v is far below 0."""
    v = widen_to_float(v)
    tail = scipy.special.erfc(-v.astype(np.float64) / math.sqrt(2))
    with np.errstate(invalid="ignore"):  # -inf*0
        result: Array = v * tail / 2
    return result


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "relu6": relu6,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "silu": silu,
    "gelu": gelu,
}


def check_activation(activation: str | None, complex_numbers: bool) -> None:
    """`activation` is None or known, and the numbers have an order.

    Raises
    ------
    ValueError : "activation='elu' is unknown: wanted None or one of ..."
    """
    if activation is not None and activation not in ACTIVATIONS:
        raise ValueError(
            f"activation={activation!r} is unknown: wanted None or one of {tuple(ACTIVATIONS)}"
        )
    if activation is not None and complex_numbers:
        raise ValueError(f"activation={activation!r} is not defined for complex numbers")


def activate(y: Array, activation: str | None) -> Array:
    """`y`, through the activation of that name; None is none."""
    return y if activation is None else ACTIVATIONS[activation](y)
