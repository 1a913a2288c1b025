"""The arrays that come in: numpy's (or what numpy takes) and pyopencl's, never mixed."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np

from clconv.errors import GeometryError
from clconv.spec.dtypes import COMPLEX, INTEGER, REAL
from clconv.spec.tensor import Tensor

Array = Any  # numpy.ndarray or pyopencl.array.Array: the caller's kind comes back


def is_device_array(array: Any) -> bool:
    """Tell pyopencl arrays, without importing a module that the caller has not."""
    module = sys.modules.get("pyopencl.array")
    return module is not None and isinstance(array, module.Array)


def operands(*, dtypes: tuple[str, ...] = REAL + COMPLEX, **named: Any) -> tuple[Array, ...]:
    """Return the arrays, checked: one kind, one dtype out of `dtypes`, pyopencl's C-contiguous.

    Integers may differ, and a bias of integers may be of the type that their sums are kept in.

    numpy arrays may have any order, alignment or byte order; `plain` copies what must be, once
    shapes are checked too. A `bias` of None stays None.

    Raises
    ------
    TypeError : numpy and pyopencl arrays are mixed; dtypes differ or are not supported
    ValueError : a pyopencl array is not C-contiguous, or has no queue
    """
    given = {n: array for n, array in named.items() if not (n == "bias" and array is None)}
    on_device = {name: is_device_array(array) for name, array in given.items()}
    if len(set(on_device.values())) > 1:
        kinds = ", ".join(f"{k} is {'pyopencl' if v else 'numpy'}" for k, v in on_device.items())
        raise TypeError(f"arrays must be all numpy or all pyopencl: {kinds}")
    if all(on_device.values()):
        check_device_arrays(given)
    else:
        given = {name: np.asarray(array) for name, array in given.items()}
    _check_dtypes({name: array.dtype for name, array in given.items()}, dtypes)
    return tuple(given.get(name) for name in named)


def dtypes_of(first: Array, second: Array) -> tuple[str, str]:
    """Return the names of both dtypes."""
    return name_of(first.dtype), name_of(second.dtype)


@cache
def name_of(dtype: np.dtype[Any]) -> str:
    """Return a dtype's name, which numpy puts together anew each time."""
    return dtype.name


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return numpy's dtype; bfloat16 is that of the package ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes  # noqa: F401, which teaches numpy the name
    return np.dtype(name)


def is_plain(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether `array` is in C order, aligned to its elements, in native byte order."""
    flags = array.flags
    return bool(flags.c_contiguous and flags.aligned and array.dtype.isnative)


def plain(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return `array`, or a copy that is plain."""
    return array if is_plain(array) else array.astype(array.dtype.newbyteorder("="), order="C")


def _check_dtypes(dtypes: dict[str, np.dtype[Any]], supported: tuple[str, ...]) -> None:
    for name, dtype in dtypes.items():
        if name_of(dtype) not in supported:
            raise TypeError(f"{name} has dtype {dtype.name}; {', '.join(supported)} are supported")
    names = {name_of(dtype) for dtype in dtypes.values()}
    if len(names) > 1 and not names <= set(INTEGER):
        listing = ", ".join(f"{name} has {dtype.name}" for name, dtype in dtypes.items())
        raise TypeError(f"dtypes differ: {listing}")


def check_device_arrays(given: dict[str, Any]) -> None:
    """Raise ValueError unless the arrays, by name, are C-contiguous, on queues of one context."""
    for name, array in given.items():
        if array.queue is None:
            raise ValueError(f"{name} has no queue; attach one with {name}.with_queue(queue)")
        if not array.flags.c_contiguous:
            raise ValueError(
                f"{name} of shape {array.shape} and strides {array.strides} is not C-contiguous"
            )
    contexts = {array.queue.context for array in given.values()}
    if len(contexts) > 1:
        raise ValueError(f"{' and '.join(given)} live in different OpenCL contexts")


def check_out(out: Any, x: Array, result: Tensor) -> Array:
    """Return `out` if `result` can be written there; it has to be of x's kind.

    Raises
    ------
    TypeError : another kind of array, or another dtype
    ValueError : another shape, not C-contiguous, not aligned, read-only, or memory shared with x
    """
    on_device = is_device_array(x)
    if is_device_array(out) != on_device or not (on_device or isinstance(out, np.ndarray)):
        wanted = "pyopencl" if on_device else "numpy"
        raise TypeError(f"out must be a {wanted} array as x is, got {type(out).__name__}")
    if out.dtype.name != result.dtype or not out.dtype.isnative:
        raise TypeError(f"out has dtype {out.dtype}, but the result has {result.dtype}")
    if tuple(out.shape) != result.shape:
        raise GeometryError(f"out has shape {tuple(out.shape)}, but the result has {result.shape}")
    if not out.flags.c_contiguous:
        raise ValueError(f"out with strides {out.strides} is not C-contiguous")
    if on_device:
        check_device_arrays({"x": x, "out": out})
        align_bytes = out.queue.device.mem_base_addr_align // 8
        if out.offset % align_bytes:
            raise ValueError(
                f"out starts at byte {out.offset}, which {align_bytes} does not divide"
            )
    elif not (out.flags.writeable and out.flags.aligned):
        raise ValueError("out is read-only or not aligned to its elements")
    elif np.may_share_memory(out, x):
        raise ValueError("out shares memory with x")
    return out
