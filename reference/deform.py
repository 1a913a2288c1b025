"""Deformable convolution: every tap of every window may lie anywhere, and between elements.

An ordinary window has tap t at s_p + t*dilation. Here an offset is added, another for every window
and tap, and what stands there is interpolated, and multiplied by a mask:

    y[p] = sum over t of  W[t] (mask[t, p] * x(s_p + t*dilation + offset[t, p]))

The channels of x are split into `offset_groups` blocks, each with offsets and masks of its own.

Between elements x is multilinear: along each axis, an element at distance d < 1 has the weight
1 - d, and the weight of a corner of the cell is the product over the axes. Outside the image are
zeros, so x falls to zero within one element of its edge. With f the fraction along an axis, the
weight of a corner is f or 1 - f, and its derivative with respect to the offset 1 or -1, times the
other axes' weights. On the grid, where there is a kink, that is the derivative to the right: ONNX
does not say, and torchvision does so.

In the gradients a sample v = x(...) takes the place of x[s_p + t*dilation]. With g = W[t]^T dy[p],

    dW[t]   = sum over p of  dy[p] (mask*v)^T          dmask   = sum over channels of  g * v
    dx      : mask*g, shared out by the corners' weights        (the adjoint of sampling)
    doffset = sum over channels of  mask*g * dv/doffset

y is linear in x, in w and in the mask, and the three gradients are adjoint to it.

Edge cases. An infinity or NaN in x reaches every sample in whose cell it is, even with weight zero:
0*inf is NaN. Offsets have to be finite, and may be huge. A sample wholly outside is zero. A batch
of no images is one again. `deform_sampling` says how positions are split into corners and weights,
for that is where digits could be lost.

References
----------
Dai et al., "Deformable convolutional networks", 2017; Zhu et al., "Deformable ConvNets v2", 2019.
ONNX operators, DeformConv-19.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .arguments import check_shape
from .arrays import Array, widen
from .deform_sampling import (
    Sampling,
    add_sample_adjoint,
    masked,
    over_channels,
    sample,
    sampling,
)
from .matrices import columns, from_tap_matrices, split_channels, tap_matrices
from .windows import Padding, PerAxis, counts, taps


def deform_conv(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    offset: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    offset_groups: int = 1,
) -> Array:
    """Correlate images, sampled at displaced positions, with a bank of filters.

    Parameters
    ----------
    x : array (N, C, *spatial), with 1, 2 or 3 spatial axes; real
    w : array (O, C/groups, *kernel)
    offset : array (N, offset_groups*T*rank, *out), in elements. T is the taps of the filter and
        rank the spatial axes; an offset group varies slowest, then the tap, then the axis
    mask : array (N, offset_groups*T, *out), or None for ones
    bias : array (O,), or None for zeros
    stride, padding, dilation, groups : as in `conv`
    offset_groups : how many blocks of channels have offsets of their own; divides C

    Returns
    -------
    y : array (N, O, *out) in the wide dtype; float64 for integers

    Raises
    ------
    ValueError : the shapes do not fit, or an offset is not finite
    """
    problem = sampling(
        x,
        w,
        offset,
        mask,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        offset_groups=offset_groups,
    )
    x, w, axes = problem.x, problem.w, problem.axes
    (bias,) = widen(np.zeros(w.shape[0], dtype=bool) if bias is None else bias)
    check_shape("bias", bias.shape, w.shape[:1])
    matrices = tap_matrices(w, groups)
    y = np.zeros((x.shape[0], groups, w.shape[0] // groups, math.prod(counts(axes))), x.dtype)
    for number, (tap, _) in enumerate(taps(axes)):
        samples = masked(sample(problem, tap, number), problem, number)
        y += matrices[tap] @ columns(split_channels(samples, groups))
    return y.reshape(x.shape[0], w.shape[0], *counts(axes)) + bias.reshape(-1, *(1 for _ in axes))


def deform_conv_backward(
    dy: npt.ArrayLike,
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    offset: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    offset_groups: int = 1,
) -> tuple[Array, Array, Array, Array | None]:
    """All gradients of deform_conv but the bias's, which is `conv_backward_bias(dy)`.

    Parameters
    ----------
    dy : array (N, O, *out)
    x, w, offset, mask, and the others : as in `deform_conv`

    Returns
    -------
    dx, dw, doffset, dmask : arrays of the shapes of x, w, offset and mask in the wide dtype; None
        for the last where there is no mask

    Raises
    ------
    ValueError : the shapes do not fit, or an offset is not finite
    """
    problem = sampling(
        x,
        w,
        offset,
        mask,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        offset_groups=offset_groups,
    )
    dx, dw, doffset, dmask = gradients(problem, dy, groups)
    return dx, dw, doffset, None if mask is None else dmask


def deform_conv_backward_magnitude(
    dy: npt.ArrayLike,
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    offset: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    offset_groups: int = 1,
) -> tuple[Array, Array, Array, Array | None]:
    """What the rounding errors of the gradients grow with: their sums, of absolute values.

    `deform_conv_backward` of |dy|, |x|, |w| and |mask| is not enough: the slopes in doffset have
    signs of their own, and are taken without them here.

    Parameters
    ----------
    as in `deform_conv_backward`

    Returns
    -------
    dx, dw, doffset, dmask : arrays as there, none negative
    """
    dy, x, w = (abs(np.asarray(each)) for each in (dy, x, w))
    mask = None if mask is None else abs(np.asarray(mask))
    problem = sampling(
        x,
        w,
        offset,
        mask,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        offset_groups=offset_groups,
    )
    dx, dw, doffset, dmask = gradients(problem, dy, groups, absolute=True)
    return dx, dw, doffset, None if mask is None else dmask


def gradients(
    problem: Sampling, dy: npt.ArrayLike, groups: int, absolute: bool = False
) -> tuple[Array, Array, Array, Array]:
    """dx, dw, doffset and dmask; with `absolute`, by slopes without signs.

    Raises
    ------
    ValueError : dy does not fit
    """
    x, w, axes, offset_groups = problem.x, problem.w, problem.axes, problem.offset_groups
    (dy,) = widen(dy)
    check_shape("dy", dy.shape, (x.shape[0], w.shape[0], *counts(axes)))
    vectors = columns(split_channels(dy, groups))
    matrices = tap_matrices(w, groups)
    d_matrices = np.zeros_like(matrices)
    dx, doffset, dmask = map(np.zeros_like, (x, problem.offset, problem.mask))
    for number, (tap, _) in enumerate(taps(axes)):
        v = sample(problem, tap, number)
        inputs = columns(split_channels(masked(v, problem, number), groups))
        d_matrices[tap] = (vectors @ inputs.swapaxes(-1, -2)).sum(axis=0)
        g = (matrices[tap].swapaxes(-1, -2) @ vectors).reshape(v.shape)
        dmask[:, :, number] = over_channels(g * v, offset_groups)
        g = masked(g, problem, number)
        add_sample_adjoint(dx, g, problem, tap, number)
        for axis in range(len(axes)):
            slope = sample(problem, tap, number, slope_along=axis, absolute=absolute)
            doffset[:, :, number, axis] = over_channels(g * slope, offset_groups)
    batch, out = x.shape[0], counts(axes)
    doffset = doffset.reshape(batch, math.prod(doffset.shape[1:4]), *out)
    dmask = dmask.reshape(batch, math.prod(dmask.shape[1:3]), *out)
    return dx, from_tap_matrices(d_matrices), doffset, dmask
