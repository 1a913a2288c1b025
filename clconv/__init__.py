"""Convolution on any OpenCL device, checked against a plain-Python definition.

`import clconv` starts no OpenCL: the names below are loaded at their first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from clconv.algorithms.registry import algorithm_names
    from clconv.errors import BuildError, GeometryError, NoDeviceError, UnsupportedError
    from clconv.ops.conv import (
        conv,
        conv1d,
        conv2d,
        conv3d,
        conv_backward_bias,
        conv_backward_data,
        conv_backward_weights,
    )
    from clconv.ops.conv_general import (
        conv_general,
        conv_general_backward_data,
        conv_general_backward_weights,
    )
    from clconv.ops.conv_transpose import (
        conv_transpose,
        conv_transpose_backward_data,
        conv_transpose_backward_weights,
    )
    from clconv.ops.depthwise import depthwise_conv, separable_conv
    from clconv.ops.im2col import col2im, im2col
    from clconv.ops.pool import avg_pool, avg_pool_backward, max_pool, max_pool_backward
    from clconv.ops.pool_adaptive import (
        adaptive_avg_pool,
        adaptive_avg_pool_backward,
        adaptive_max_pool,
        global_avg_pool,
        global_max_pool,
    )
    from clconv.ops.pool_lp import global_lp_pool, lp_pool, lp_pool_backward
    from clconv.ops.unpool import max_unpool, max_unpool_backward
    from clconv.program.device import Device, devices, select_device

_HOMES = {
    "clconv.algorithms.registry": ("algorithm_names",),
    "clconv.errors": ("BuildError", "GeometryError", "NoDeviceError", "UnsupportedError"),
    "clconv.ops.conv": (
        "conv",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_backward_bias",
        "conv_backward_data",
        "conv_backward_weights",
    ),
    "clconv.ops.conv_general": (
        "conv_general",
        "conv_general_backward_data",
        "conv_general_backward_weights",
    ),
    "clconv.ops.conv_transpose": (
        "conv_transpose",
        "conv_transpose_backward_data",
        "conv_transpose_backward_weights",
    ),
    "clconv.ops.depthwise": ("depthwise_conv", "separable_conv"),
    "clconv.ops.im2col": ("col2im", "im2col"),
    "clconv.ops.pool": ("avg_pool", "avg_pool_backward", "max_pool", "max_pool_backward"),
    "clconv.ops.pool_adaptive": (
        "adaptive_avg_pool",
        "adaptive_avg_pool_backward",
        "adaptive_max_pool",
        "global_avg_pool",
        "global_max_pool",
    ),
    "clconv.ops.pool_lp": ("global_lp_pool", "lp_pool", "lp_pool_backward"),
    "clconv.ops.unpool": ("max_unpool", "max_unpool_backward"),
    "clconv.program.device": ("Device", "devices", "select_device"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BuildError",
    "Device",
    "GeometryError",
    "NoDeviceError",
    "UnsupportedError",
    "__version__",
    "adaptive_avg_pool",
    "adaptive_avg_pool_backward",
    "adaptive_max_pool",
    "algorithm_names",
    "avg_pool",
    "avg_pool_backward",
    "col2im",
    "conv",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_backward_bias",
    "conv_backward_data",
    "conv_backward_weights",
    "conv_general",
    "conv_general_backward_data",
    "conv_general_backward_weights",
    "conv_transpose",
    "conv_transpose_backward_data",
    "conv_transpose_backward_weights",
    "depthwise_conv",
    "devices",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "im2col",
    "lp_pool",
    "lp_pool_backward",
    "max_pool",
    "max_pool_backward",
    "max_unpool",
    "max_unpool_backward",
    "select_device",
    "separable_conv",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'clconv' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
