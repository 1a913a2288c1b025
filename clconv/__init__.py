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
    from clconv.ops.deform import deform_conv, deform_conv_backward
    from clconv.ops.depthwise import depthwise_conv, separable_conv
    from clconv.ops.execute import plan_of
    from clconv.ops.im2col import col2im, im2col
    from clconv.ops.integer import conv_integer, qlinear_conv
    from clconv.ops.pool import avg_pool, avg_pool_backward, max_pool, max_pool_backward
    from clconv.ops.pool_adaptive import (
        adaptive_avg_pool,
        adaptive_avg_pool_backward,
        adaptive_max_pool,
        global_avg_pool,
        global_max_pool,
    )
    from clconv.ops.pool_lp import global_lp_pool, lp_pool, lp_pool_backward
    from clconv.ops.prepared import PreparedPlan, plan
    from clconv.ops.settings import limits, settings
    from clconv.ops.sizes import (
        input_size,
        kernel_size,
        output_size,
        problem,
        problem_cost,
        weight_shape,
    )
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
    "clconv.ops.deform": ("deform_conv", "deform_conv_backward"),
    "clconv.ops.depthwise": ("depthwise_conv", "separable_conv"),
    "clconv.ops.execute": ("plan_of",),
    "clconv.ops.im2col": ("col2im", "im2col"),
    "clconv.ops.integer": ("conv_integer", "qlinear_conv"),
    "clconv.ops.prepared": ("PreparedPlan", "plan"),
    "clconv.ops.pool": ("avg_pool", "avg_pool_backward", "max_pool", "max_pool_backward"),
    "clconv.ops.pool_adaptive": (
        "adaptive_avg_pool",
        "adaptive_avg_pool_backward",
        "adaptive_max_pool",
        "global_avg_pool",
        "global_max_pool",
    ),
    "clconv.ops.settings": ("limits", "settings"),
    "clconv.ops.sizes": (
        "input_size",
        "kernel_size",
        "output_size",
        "problem",
        "problem_cost",
        "weight_shape",
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
    "PreparedPlan",
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
    "conv_integer",
    "conv_transpose",
    "conv_transpose_backward_data",
    "conv_transpose_backward_weights",
    "deform_conv",
    "deform_conv_backward",
    "depthwise_conv",
    "devices",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "im2col",
    "input_size",
    "kernel_size",
    "limits",
    "lp_pool",
    "lp_pool_backward",
    "max_pool",
    "max_pool_backward",
    "max_unpool",
    "max_unpool_backward",
    "output_size",
    "plan",
    "plan_of",
    "problem",
    "problem_cost",
    "qlinear_conv",
    "select_device",
    "separable_conv",
    "settings",
    "weight_shape",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'clconv' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
