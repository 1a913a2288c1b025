"""Deformable convolution and its gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from clconv.ops.arguments import Axes, PaddingLike, expect_shape, integer
from clconv.ops.arrays import Array, is_device_array, operands
from clconv.ops.execute import execute
from clconv.ops.problems import conv_problem, expect_dy
from clconv.program.device import Device
from clconv.spec.deform import DeformProblem
from clconv.spec.dtypes import REAL, summed
from clconv.spec.problem import ConvProblem


def deform_conv(
    x: Array,
    w: Array,
    offset: Array,
    mask: Array | None = None,
    bias: Array | None = None,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    groups: int = 1,
    offset_groups: int = 1,
    device: str | Device | None = None,
) -> Array:
    """Correlate images, sampled at displaced positions, with a bank of filters.

    y[b, o, p] = bias[o] + sum over c, t of
                 w[o, c, t] * mask[b, t, p] * x(b, c, p*stride + t*dilation - low + offset[b, t, p])

    with another offset for every window p and tap t, and others again for each of the
    `offset_groups` blocks of channels. Between pixels x is multilinear, outside the image zero.

    Parameters
    ----------
    x : Array (N, C, *spatial), real, with 1, 2 or 3 spatial axes
    w : Array (O, C/groups, *kernel), the dtype and kind of x
    offset : Array (N, offset_groups*T*rank, *output), likewise, in pixels. T is the taps of the
        filter and rank the spatial axes; an offset group varies slowest, then the tap, then the
        axis. Finite: in numpy arrays that is checked; on a device, an infinite one lies outside
        the image, and a NaN gives NaN where the tap itself lies inside
    mask : Array (N, offset_groups*T, *output), likewise, or None for ones
    bias : Array (O,), likewise, or None for zeros
    stride, padding, dilation, groups, device : see `conv`
    offset_groups : how many blocks of channels have offsets of their own; divides C

    Returns
    -------
    y : Array (N, O, *output), dtype and kind of x; *output as in `conv`

    Raises
    ------
    GeometryError : shapes or sizes do not fit; a ValueError
    ValueError : an offset is not finite
    TypeError : dtypes or kinds of arrays do not fit
    UnsupportedError : valid arguments, but the device does not serve

    References
    ----------
    Dai et al., "Deformable convolutional networks", 2017; Zhu et al., "Deformable ConvNets v2",
    2019. ONNX operators, DeformConv-19.
    """
    tensors = _operands(x=x, w=w, offset=offset, mask=mask, bias=bias)
    options = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "offset_groups": offset_groups,
    }
    problem = _problem(tensors, options)
    conv = problem.conv
    if conv.bias:
        expect_shape("bias", tensors["bias"].shape, (conv.outputs,), f"filters w {conv.w_shape}")
    (y,) = execute(problem, tensors, device=device)
    return y


def deform_conv_backward(
    dy: Array,
    x: Array,
    w: Array,
    offset: Array,
    mask: Array | None = None,
    *,
    stride: Axes = 1,
    padding: PaddingLike = 0,
    dilation: Axes = 1,
    groups: int = 1,
    offset_groups: int = 1,
    device: str | Device | None = None,
) -> tuple[Array, Array, Array, Array | None]:
    """Return all gradients of `deform_conv` but the bias's, which is `conv_backward_bias(dy)`.

    With v = x(...) the samples and g = W[t]^T dy[p],

        dw[t]   = sum over p of  dy[p] (mask*v)^T         dmask = sum over channels of  g * v
        dx      : mask*g, shared out to the pixels around each sample, by their weights
        doffset = sum over channels of  mask*g * dv/doffset, to the right where v has a kink

    Parameters
    ----------
    dy : Array (N, O, *output), the dtype and kind of x
    x, w, offset, mask and the others : as in `deform_conv`

    Returns
    -------
    dx, dw, doffset, dmask : Arrays of the shapes of x, w, offset and mask, dtype and kind of x;
        None for the last where there is no mask

    Raises
    ------
    as `deform_conv`
    """
    tensors = _operands(dy=dy, x=x, w=w, offset=offset, mask=mask)
    options = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "offset_groups": offset_groups,
    }
    forward = _problem(tensors, options)
    expect_dy(tensors["dy"], forward.conv)
    data = replace(forward, conv=replace(forward.conv, direction="backward_data"))
    weights = replace(forward, conv=replace(forward.conv, direction="backward_weights"))
    dx, doffset, *dmask = execute(data, tensors, device=device)
    del tensors["w"]
    (dw,) = execute(weights, tensors, device=device)
    return dx, dw, doffset, dmask[0] if dmask else None


def _operands(**named: Array | None) -> dict[str, Array]:
    """Return the arrays that are given, checked as `operands` does, by name.

    Only a mask and a bias may be missing; `operands` says so of any other.
    """
    optional = ("mask", "bias")
    given = {n: array for n, array in named.items() if n not in optional or array is not None}
    return dict(zip(given, operands(dtypes=REAL, **given), strict=True))


def _problem(tensors: Mapping[str, Array], options: Mapping[str, Any]) -> DeformProblem:
    """State the forward problem, or say which argument does not fit it."""
    x, w, offset = (tensors[name] for name in ("x", "w", "offset"))
    offset_groups = integer("offset_groups", options["offset_groups"])
    computed = summed(x.dtype.name)
    conv = conv_problem(
        "forward",
        (computed, computed),
        x.shape,
        w.shape,
        {**options, "flip": False},
        bias="bias" in tensors,
    )
    assert isinstance(conv, ConvProblem)
    stored = "" if computed == x.dtype.name else x.dtype.name
    problem = DeformProblem(conv, offset_groups, "mask" in tensors, stored)
    because = f"x {conv.x_shape}, w {conv.w_shape} and the options"
    expect_shape("offset", offset.shape, problem.offset_shape, because)
    if problem.has_mask:
        expect_shape("mask", tensors["mask"].shape, problem.mask_shape, because)
    if not is_device_array(offset) and not np.isfinite(offset.astype(np.float64, copy=False)).all():
        raise ValueError("offset has to be finite: it holds NaN or infinity")
    return problem
