"""The array type, and how wide the sums of this package are kept.

A reference has to be more accurate than what it judges, so every sum here is formed, and
returned, in a dtype wider than the one the data came in:

    bfloat16, float16, float32  ->  float64          53 bits of significand
    float64, longdouble         ->  np.longdouble    64 bits on x86, 113 on some machines, 53 on
                                                     others
    complex64                   ->  complex128       two of float64
    complex128                  ->  np.clongdouble   two of np.longdouble
    bool, any integer           ->  int64            exact, as long as the result fits

bfloat16 is the dtype of that name in the package ml_dtypes, which need not be there.

Nothing is rounded back. Whoever compares a narrow result with a wide one sees the narrow one's
whole error; `bounds.py` says how large that may be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def wide_dtype(*dtypes: npt.DTypeLike) -> np.dtype[Any]:
    """The dtype in which sums over products of `dtypes` are kept; see the table above.

    Raises
    ------
    ValueError : the common dtype is neither boolean, integer, real nor complex
    """
    dtype = np.result_type(*map(numpy_dtype, dtypes))
    if dtype.kind in "biu":
        return np.dtype(np.int64)
    if dtype.kind == "f":
        return np.dtype(np.float64 if dtype.itemsize <= 4 else np.longdouble)
    if dtype.kind == "c":
        return np.dtype(np.complex128 if dtype.itemsize <= 8 else np.clongdouble)
    raise ValueError(f"dtype {dtype} is not supported: wanted boolean, integer, real or complex")


def numpy_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """`dtype`, or float32 for bfloat16: it holds the same numbers, and numpy can promote it."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float32) if dtype.name == "bfloat16" else dtype


def widen(*arrays: npt.ArrayLike) -> tuple[Array, ...]:
    """All `arrays` in the one wide dtype that fits them together."""
    converted = [np.asarray(each) for each in arrays]
    wide = wide_dtype(*(each.dtype for each in converted))
    return tuple(each.astype(wide) for each in converted)


def conjugate(a: Array) -> Array:
    """The complex conjugate; numbers of other dtypes are their own."""
    return a.conj() if a.dtype.kind == "c" else a


def divided(a: Array, n: npt.ArrayLike) -> Array:
    """a/n for real n; numpy divides complex numbers by complex ones, and rounds what is whole."""
    if a.dtype.kind != "c":
        return np.asarray(a / n)
    result = np.empty(np.broadcast_shapes(a.shape, np.shape(n)), a.dtype)
    result.real, result.imag = a.real / n, a.imag / n
    return result


def widen_to_float(a: npt.ArrayLike) -> Array:
    """`a` in the wide dtype if that is floating, else in float64."""
    (wide,) = widen(a)
    return wide.astype(np.float64) if wide.dtype.kind == "i" else wide
