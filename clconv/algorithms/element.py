"""Host side of kernels_cl/common/types.clh and element.clh: element types as macros."""

from __future__ import annotations

from clconv.program.device import Device
from clconv.spec.dtypes import dtype_named

STORAGES = {"float16": 1, "bfloat16": 2}


def real_type(dtype: str) -> str:
    """Return the C type in which kernels compute; sums of integers in the unsigned one."""
    known = dtype_named(dtype)
    return known.sum_type or known.c_type


def real_macros(dtype: str) -> dict[str, int | str]:
    """Return REAL, and whether it is an integer."""
    return {"REAL": real_type(dtype), "INTEGER": int(dtype_named(dtype).kind == "i")}


def native_width(device: Device, dtype: str) -> int:
    """Return the elements of the device's own vectors; a GPU's are its work-items."""
    if device.kernels == "gpu":
        return 1
    wide = dtype_named(dtype).itemsize_bytes == 8
    return device.simd_width_f64 if wide else device.simd_width_f32


def stored_macros(dtype: str, part: bool = False) -> dict[str, int | str]:
    """Return how an array is stored; `part`: a complex one as its real and imaginary numbers."""
    c_type = dtype_named(dtype).c_type
    stored = c_type.removesuffix("2") if part else c_type
    return {"STORED": stored, "STORAGE": STORAGES.get(dtype, 0)}
