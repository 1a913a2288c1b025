"""The named shapes that tests, verification and benchmarks share.

CONV_SHAPES, TRANSPOSE_SHAPES and POOL_SHAPES hold sets:

    edges       small problems, each with something that code gets wrong
    quick       a few of them, for a check that takes a moment
    resnet50    the distinct convolutions of that network, eight images at a time

References
----------
He, Zhang, Ren & Sun, "Deep residual learning for image recognition", 2016, table 1.
"""

from __future__ import annotations

from .shape_types import DIRECTIONS, ConvShape, ConvTensors, Direction, PoolShape, PoolTensors
from .transpose_shape import TransposeShape

__all__ = [
    "CONV_SHAPES",
    "DIRECTIONS",
    "POOL_SHAPES",
    "TRANSPOSE_SHAPES",
    "ConvShape",
    "ConvTensors",
    "Direction",
    "PoolShape",
    "PoolTensors",
    "TransposeShape",
]

_conv = ConvShape.of  # batch, channels, outputs, spatial, kernel, stride, padding, dilation, groups
_pool = PoolShape.of  # batch, channels, spatial, kernel, stride, padding, dilation

_CONV_EDGES = {
    # one spatial axis
    "1d_1x1_image": _conv(1, 1, 1, (1,), 1),
    "1d_plain": _conv(2, 3, 4, (11,), 3),
    "1d_filter_fills_image": _conv(2, 3, 2, (5,), 5),
    "1d_filter_fills_padded_image": _conv(1, 2, 3, (3,), 6, padding=((1, 2),)),
    "1d_even_filter_same": _conv(2, 2, 3, (9,), 4, padding="same"),
    "1d_stride_beyond_filter": _conv(3, 2, 2, (17,), 2, stride=5),
    "1d_long_dilation": _conv(1, 3, 2, (131,), 3, padding=40, dilation=50),
    "1d_dilation_and_stride": _conv(2, 4, 6, (29,), 3, 3, ((2, 5),), 4, groups=2),
    "1d_padding_beyond_filter": _conv(2, 2, 2, (4,), 2, padding=5),
    "1d_depthwise": _conv(5, 7, 7, (13,), 3, padding=1, groups=7),
    # two spatial axes
    "1x1_image": _conv(1, 1, 1, (1, 1), 1),
    "1x1_image_3x3_padded": _conv(2, 3, 4, (1, 1), 3, padding=1),
    "1x1_image_many_channels": _conv(5, 67, 31, (1, 1), 1),
    "plain": _conv(1, 2, 3, (6, 7), 3),
    "same": _conv(3, 4, 5, (8, 9), 3, padding="same"),
    "same_even_filter": _conv(1, 3, 2, (7, 6), (2, 4), padding="same"),
    "same_strided": _conv(2, 3, 4, (9, 10), 3, stride=2, padding="same"),
    "filter_fills_image": _conv(2, 3, 4, (5, 4), (5, 4)),
    "filter_fills_padded_image": _conv(1, 2, 3, (3, 4), (6, 6), padding=((1, 2), (2, 0))),
    "asymmetric_padding": _conv(2, 3, 4, (6, 5), 3, padding=((0, 2), (3, 1))),
    "padding_low_only": _conv(1, 2, 2, (5, 6), 3, padding=((2, 0), (1, 0))),
    "padding_beyond_filter": _conv(1, 2, 3, (4, 3), 2, padding=((3, 4), (5, 2))),
    "padding_beyond_filter_strided": _conv(1, 2, 2, (3, 3), 1, stride=2, padding=3),
    "stride_2": _conv(2, 3, 4, (9, 9), 3, stride=2, padding=1),
    "stride_leaves_remainder": _conv(1, 2, 3, (10, 11), 3, stride=(4, 3)),
    "stride_beyond_filter": _conv(2, 3, 2, (11, 13), 2, stride=(5, 4)),
    "stride_beyond_image": _conv(1, 2, 2, (3, 4), 2, stride=7),
    "stride_per_axis": _conv(1, 3, 2, (9, 8), (3, 2), stride=(1, 3), padding=((1, 1), (0, 2))),
    "dilation": _conv(2, 3, 4, (9, 10), 3, padding=2, dilation=2),
    "dilation_per_axis": _conv(1, 2, 3, (11, 12), (3, 2), padding=1, dilation=(2, 5)),
    "dilation_and_stride": _conv(2, 2, 3, (13, 12), 3, (2, 3), ((2, 1), (3, 4)), (3, 2)),
    "dilation_skips_image": _conv(1, 2, 2, (2, 2), 2, padding=2, dilation=5),
    "groups": _conv(2, 6, 4, (7, 6), 3, padding=1, groups=2),
    "groups_stride_dilation": _conv(1, 9, 6, (12, 11), (3, 2), (2, 1), 2, (2, 3), groups=3),
    "groups_1x1": _conv(3, 8, 12, (5, 5), 1, groups=4),
    "depthwise": _conv(3, 5, 5, (7, 9), 3, padding=1, groups=5),
    "depthwise_stride_2": _conv(1, 11, 11, (9, 7), 3, stride=2, padding=1, groups=11),
    "depthwise_times_3": _conv(2, 4, 12, (8, 6), 3, padding=1, groups=4),
    "depthwise_5x5_dilated": _conv(1, 3, 3, (12, 13), 5, padding=4, dilation=2, groups=3),
    "pointwise": _conv(2, 7, 5, (5, 6), 1),
    "pointwise_strided": _conv(3, 5, 7, (9, 8), 1, stride=2),
    "pointwise_padded": _conv(1, 3, 2, (4, 4), 1, padding=((1, 0), (0, 2))),
    "primes": _conv(3, 17, 19, (13, 11), 3, padding=1),
    "primes_pointwise": _conv(5, 37, 53, (7, 5), 1),
    "wide_channels": _conv(1, 37, 53, (7, 7), 3, padding=1),
    "wide_channels_grouped": _conv(1, 66, 34, (5, 5), 3, padding=1, groups=2),
    "wide_images": _conv(1, 2, 3, (3, 149), 3, padding=1),
    "one_channel": _conv(3, 1, 9, (8, 8), 3, padding=1),
    "one_output": _conv(3, 9, 1, (8, 8), 3, padding=1),
    "row_filter": _conv(2, 3, 4, (6, 9), (1, 7), padding=((0, 0), (3, 3))),
    "column_filter": _conv(2, 3, 4, (9, 6), (7, 1), padding=((3, 3), (0, 0))),
    "even_filters": _conv(2, 3, 4, (8, 9), (4, 2), stride=2, padding=1),
    "large_filter": _conv(1, 2, 3, (15, 14), (11, 9), padding=((5, 5), (4, 4))),
    "stem_7x7": _conv(1, 3, 5, (17, 15), 7, stride=2, padding=3),
    "batch_5_tiles_of_4": _conv(5, 8, 8, (10, 9), 3, padding=1),
    # three spatial axes
    "3d_1x1_image": _conv(1, 1, 1, (1, 1, 1), 1),
    "3d_plain": _conv(2, 2, 3, (4, 5, 6), 3, padding=1),
    "3d_filter_fills_padded_image": _conv(1, 2, 2, (2, 3, 1), (3, 3, 3), padding=((1, 0), 0, 1)),
    "3d_anisotropic": _conv(
        1, 4, 6, (7, 8, 5), (3, 2, 1), (2, 1, 3), ((1, 2), (0, 1), (2, 0)), (2, 3, 1), groups=2
    ),
    "3d_depthwise": _conv(1, 3, 6, (5, 4, 6), (2, 3, 2), (1, 2, 2), 1, groups=3),
    "3d_pointwise_strided": _conv(3, 5, 3, (3, 4, 5), 1, stride=2),
    "3d_wide_channels": _conv(1, 19, 13, (3, 4, 3), 3, padding=1),
}

_CONV_QUICK = [
    "1d_plain",
    "1d_dilation_and_stride",
    "1x1_image",
    "same_even_filter",
    "filter_fills_padded_image",
    "asymmetric_padding",
    "padding_beyond_filter",
    "stride_beyond_filter",
    "dilation_and_stride",
    "groups_stride_dilation",
    "depthwise_times_3",
    "pointwise_strided",
    "primes",
    "wide_channels",
    "even_filters",
    "3d_anisotropic",
]

# kernel, channels in and out, image size, stride; the stride of a bottleneck is in its 3x3
_RESNET50_LAYERS = [
    (7, 3, 64, 224, 2),
    *[(1, 64, 64, 56, 1), (3, 64, 64, 56, 1), (1, 64, 256, 56, 1), (1, 256, 64, 56, 1)],
    *[(1, 256, 128, 56, 1), (3, 128, 128, 56, 2), (1, 256, 512, 56, 2)],
    *[(1, 128, 512, 28, 1), (1, 512, 128, 28, 1), (3, 128, 128, 28, 1)],
    *[(1, 512, 256, 28, 1), (3, 256, 256, 28, 2), (1, 512, 1024, 28, 2)],
    *[(1, 256, 1024, 14, 1), (1, 1024, 256, 14, 1), (3, 256, 256, 14, 1)],
    *[(1, 1024, 512, 14, 1), (3, 512, 512, 14, 2), (1, 1024, 2048, 14, 2)],
    *[(1, 512, 2048, 7, 1), (1, 2048, 512, 7, 1), (3, 512, 512, 7, 1)],
]


def _resnet50() -> dict[str, ConvShape]:
    """Named "3x3_128_28" by filter, channels and image size; "1x1_64_256_56", "..._s2"."""
    shapes = {}
    for k, channels, outputs, size, stride in _RESNET50_LAYERS:
        width = f"{channels}" if channels == outputs else f"{channels}_{outputs}"
        name = f"{k}x{k}_{width}_{size}" + (f"_s{stride}" if stride > 1 else "")
        shapes[name] = _conv(8, channels, outputs, (size, size), k, stride, padding=k // 2)
    return shapes


CONV_SHAPES: dict[str, dict[str, ConvShape]] = {
    "edges": _CONV_EDGES,
    "quick": {name: _CONV_EDGES[name] for name in _CONV_QUICK},
    "resnet50": _resnet50(),
}

# batch, channels, outputs, spatial, kernel, stride, padding, dilation, output_padding
_transpose = TransposeShape.of

_TRANSPOSE_EDGES = {
    "1d_1x1_image": _transpose(1, 1, 1, (1,), 1),
    "1d_plain": _transpose(2, 3, 4, (7,), 3),
    "1d_upsample": _transpose(2, 2, 3, (6,), 4, stride=2, padding=1),
    "1d_output_padding": _transpose(1, 3, 2, (5,), 3, 3, 1, output_padding=2),
    "1d_output_padding_below_dilation": _transpose(
        2, 2, 2, (4,), 3, 1, 1, dilation=3, output_padding=2
    ),
    "1d_stride_beyond_filter": _transpose(1, 2, 2, (4,), 2, stride=5, output_padding=4),
    "1d_padding_beyond_filter": _transpose(1, 2, 1, (9,), 2, padding=3),
    "plain": _transpose(2, 3, 4, (4, 5), 3),
    "upsample": _transpose(1, 4, 2, (4, 3), 4, stride=2, padding=1),
    "checkerboard": _transpose(2, 2, 3, (3, 4), 3, stride=2, padding=1, output_padding=1),
    "asymmetric_padding": _transpose(1, 2, 3, (5, 4), 3, 2, ((0, 1), (2, 0))),
    "output_padding_per_axis": _transpose(1, 2, 2, (3, 3), 2, (3, 2), output_padding=(2, 0)),
    "output_padding_below_dilation": _transpose(
        1, 2, 3, (4, 3), 2, (1, 2), 1, dilation=(4, 1), output_padding=(3, 1)
    ),
    "dilation_and_stride": _transpose(2, 3, 2, (4, 5), (3, 2), (2, 3), 2, (2, 3)),
    "groups": _transpose(2, 6, 4, (4, 3), 3, 2, 1, groups=2),
    "depthwise": _transpose(1, 5, 5, (5, 6), 3, 2, 1, output_padding=1, groups=5),
    "depthwise_times_2": _transpose(1, 3, 6, (4, 4), 2, 2, groups=3),
    "pointwise": _transpose(2, 7, 5, (4, 5), 1),
    "pointwise_strided": _transpose(1, 3, 2, (3, 4), 1, stride=2, output_padding=1),
    "wide_channels": _transpose(1, 37, 19, (5, 4), 3, stride=2, padding=1),
    "3d_plain": _transpose(1, 2, 3, (3, 2, 4), 2),
    "3d_anisotropic": _transpose(
        1, 4, 2, (3, 4, 2), (2, 3, 1), (2, 1, 3), ((1, 0), (1, 2), 0), (2, 2, 1), (1, 1, 2), 2
    ),
}

_TRANSPOSE_QUICK = ["checkerboard", "output_padding_below_dilation", "depthwise"]

TRANSPOSE_SHAPES: dict[str, dict[str, TransposeShape]] = {
    "edges": _TRANSPOSE_EDGES,
    "quick": {name: _TRANSPOSE_EDGES[name] for name in _TRANSPOSE_QUICK},
}

_POOL_EDGES = {
    "1d_1x1_image": _pool(1, 1, (1,), 1),
    "1d_plain": _pool(2, 3, (12,), 3),
    "1d_overlapping": _pool(2, 3, (11,), 5, stride=2, padding=2),
    "1d_ceil": _pool(1, 2, (8,), 3, stride=3, ceil_mode=True),
    "1d_ceil_drops_a_window": _pool(1, 2, (5,), 2, stride=3, padding=1, ceil_mode=True),
    "1d_dilation": _pool(2, 2, (19,), 3, stride=2, padding=3, dilation=4),
    "1x1_image": _pool(1, 1, (1, 1), 1),
    "1x1_image_padded": _pool(2, 3, (1, 1), 2, padding=1),
    "plain": _pool(2, 3, (8, 6), 2),
    "remainder": _pool(2, 3, (9, 7), 2),
    "3x3_stride_2": _pool(3, 5, (9, 8), 3, stride=2, padding=1),
    "3x3_stride_2_exclude": _pool(3, 5, (9, 8), 3, 2, 1, count_include_pad=False),
    "stride_1": _pool(1, 2, (7, 6), 3, stride=1, padding=1),
    "stride_beyond_window": _pool(1, 3, (11, 10), 2, stride=(3, 5)),
    "window_fills_image": _pool(5, 7, (5, 4), (5, 4)),
    "window_per_axis": _pool(2, 2, (9, 8), (2, 3), stride=(1, 2), padding=(1, 0)),
    "asymmetric_padding": _pool(2, 2, (6, 7), 3, 2, padding=((0, 1), (1, 0))),
    "asymmetric_exclude": _pool(
        2, 2, (6, 7), 3, 2, padding=((0, 1), (1, 0)), count_include_pad=False
    ),
    "same_even_window": _pool(1, 2, (7, 7), 2, stride=1, padding="same"),
    "ceil": _pool(2, 3, (8, 6), 3, stride=2, ceil_mode=True),
    "ceil_padded": _pool(2, 3, (8, 7), 3, stride=2, padding=1, ceil_mode=True),
    "ceil_padded_exclude": _pool(2, 3, (8, 7), 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "ceil_drops_a_window": _pool(1, 2, (5, 8), 2, stride=3, padding=1, ceil_mode=True),
    "ceil_window_beyond_image": _pool(1, 2, (3, 4), 4, stride=2, ceil_mode=True),
    "dilation": _pool(2, 2, (9, 10), 3, stride=2, padding=2, dilation=2),
    "dilation_ceil": _pool(1, 3, (10, 9), 2, (3, 2), 1, dilation=(3, 2), ceil_mode=True),
    "primes": _pool(5, 17, (13, 11), 3, stride=2, padding=1),
    "3d_plain": _pool(1, 2, (4, 6, 5), 2),
    "3d_anisotropic": _pool(1, 3, (5, 7, 6), (2, 3, 1), (1, 2, 3), (1, 1, 0)),
    "3d_ceil_exclude": _pool(1, 2, (5, 4, 6), 3, 2, 1, ceil_mode=True, count_include_pad=False),
}

_POOL_QUICK = [
    "1d_overlapping",
    "1d_ceil_drops_a_window",
    "remainder",
    "3x3_stride_2",
    "3x3_stride_2_exclude",
    "window_fills_image",
    "ceil_padded_exclude",
    "dilation_ceil",
    "3d_anisotropic",
]

POOL_SHAPES: dict[str, dict[str, PoolShape]] = {
    "edges": _POOL_EDGES,
    "quick": {name: _POOL_EDGES[name] for name in _POOL_QUICK},
}
