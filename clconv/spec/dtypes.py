"""Element types: what numpy, OpenCL C and the problem string call each of them."""

from __future__ import annotations

from dataclasses import dataclass

from clconv.errors import UnsupportedError


@dataclass(frozen=True, slots=True)
class DType:
    """One element type under its three names."""

    name: str  # numpy's
    code: str  # in problem strings
    c_type: str  # in OpenCL C
    itemsize_bytes: int


DTYPES = {
    "float32": DType("float32", "f32", "float", 4),
    "float64": DType("float64", "f64", "double", 8),
}
BY_CODE = {dtype.code: dtype for dtype in DTYPES.values()}


def dtype_named(name: str) -> DType:
    """Return the element type that numpy calls `name`, or raise UnsupportedError."""
    try:
        return DTYPES[name]
    except KeyError:
        raise UnsupportedError(f"dtype {name} is not one of {', '.join(DTYPES)}") from None
