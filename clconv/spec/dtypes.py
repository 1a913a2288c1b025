"""Element types: what numpy, OpenCL C and the problem string call each, and what it is computed in.

stored              sums are formed in      and kept as
float32, float64    itself                  itself
float16, bfloat16   float32                 itself, rounded once
complex64, 128      itself                  itself
integers            int32, int64 for int64  what they are formed in; exact modulo 2^32 or 2^64
"""

from __future__ import annotations

from dataclasses import dataclass

from clconv.errors import UnsupportedError


@dataclass(frozen=True, slots=True)
class DType:
    """One element type under its names."""

    name: str  # numpy's
    code: str  # in problem strings
    c_type: str  # in OpenCL C; `half` stands behind pointers only
    itemsize_bytes: int
    summed: str = ""  # the dtype in which sums of it are formed, where that is another
    sum_type: str = ""  # in OpenCL C; unsigned for integers, whose overflow is then defined

    @property
    def kind(self) -> str:
        """Return "f", "c" or "i"; numpy's "V" of bfloat16 says nothing."""
        return {"c": "c", "i": "i", "u": "i"}.get(self.code[0], "f")


_TABLE = (
    DType("float32", "f32", "float", 4),
    DType("float64", "f64", "double", 8),
    DType("float16", "f16", "half", 2, summed="float32"),
    DType("bfloat16", "bf16", "ushort", 2, summed="float32"),
    DType("complex64", "c64", "float2", 8),
    DType("complex128", "c128", "double2", 16),
    DType("int8", "i8", "char", 1, summed="int32"),
    DType("uint8", "u8", "uchar", 1, summed="int32"),
    DType("int16", "i16", "short", 2, summed="int32"),
    DType("uint16", "u16", "ushort", 2, summed="int32"),
    DType("int32", "i32", "int", 4, sum_type="uint"),
    DType("int64", "i64", "long", 8, sum_type="ulong"),
)
DTYPES = {dtype.name: dtype for dtype in _TABLE}
BY_CODE = {dtype.code: dtype for dtype in _TABLE}
REAL = tuple(dtype.name for dtype in _TABLE if dtype.kind == "f")
COMPLEX = tuple(dtype.name for dtype in _TABLE if dtype.kind == "c")
INTEGER = tuple(dtype.name for dtype in _TABLE if dtype.kind == "i")
ALL = REAL + COMPLEX + INTEGER


def dtype_named(name: str) -> DType:
    """Return the element type that numpy calls `name`, or raise UnsupportedError."""
    try:
        return DTYPES[name]
    except KeyError:
        raise UnsupportedError(f"dtype {name} is not one of {', '.join(DTYPES)}") from None


def summed(name: str) -> str:
    """Return the dtype in which sums of `name` are formed."""
    return dtype_named(name).summed or name


def compared(name: str) -> str:
    """Return the dtype in which elements are compared: integers as they are."""
    if dtype_named(name).kind == "c":
        raise UnsupportedError(f"{name} numbers have no order")
    return name if dtype_named(name).kind == "i" else summed(name)


def averaged(name: str) -> str:
    """Return the dtype in which means are formed."""
    if dtype_named(name).kind == "i":
        raise UnsupportedError(f"{name} numbers have no mean of their type")
    return summed(name)


def copied(name: str) -> str:
    """Return a dtype whose elements are copied bit for bit."""
    return "uint16" if name in ("float16", "bfloat16") else name


def result_of_sum(name: str) -> str:
    """Return the dtype in which a sum of `name` is handed back."""
    return summed(name) if dtype_named(name).kind == "i" else name
