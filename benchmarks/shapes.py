"""The layers that clconv is measured on beside other engines, as `ConvShape`s by network.

    LAYERS[network][layer]      layers are named "filter_channels_outputs_size", "..._b8" for eight
                                images at a time, "_s2" for a stride, "_d8" for a dilation, "dw" for
                                depthwise

References
----------
He et al., "Deep residual learning for image recognition", 2016. Simonyan & Zisserman, "Very deep
convolutional networks", 2015. Sandler et al., "MobileNetV2", 2018. Liu et al., "A ConvNet for the
2020s", 2022. Ronneberger et al., "U-Net", 2015. van den Oord et al., "WaveNet", 2016. Tran et al.,
"Learning spatiotemporal features with 3D convolutional networks", 2015.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from clconv.reference.shapes import CONV_SHAPES, ConvShape

# filter, channels, outputs (0: depthwise), size, stride
Row = tuple[int, int, int, int, int]

VGG16: tuple[Row, ...] = (
    (3, 3, 64, 224, 1),
    (3, 64, 64, 224, 1),
    (3, 64, 128, 112, 1),
    (3, 128, 128, 112, 1),
    (3, 128, 256, 56, 1),
    (3, 256, 256, 56, 1),
    (3, 256, 512, 28, 1),
    (3, 512, 512, 28, 1),
    (3, 512, 512, 14, 1),
)
MOBILENETV2: tuple[Row, ...] = (
    (3, 3, 32, 224, 2),
    (3, 32, 0, 112, 1),
    (1, 32, 16, 112, 1),
    (1, 16, 96, 112, 1),
    (3, 96, 0, 112, 2),
    (1, 96, 24, 56, 1),
    (1, 24, 144, 56, 1),
    (3, 144, 0, 56, 1),
    (1, 144, 24, 56, 1),
    (3, 144, 0, 56, 2),
    (1, 144, 32, 28, 1),
    (1, 32, 192, 28, 1),
    (3, 192, 0, 28, 1),
    (1, 192, 32, 28, 1),
    (3, 192, 0, 28, 2),
    (1, 192, 64, 14, 1),
    (1, 64, 384, 14, 1),
    (3, 384, 0, 14, 1),
    (1, 384, 64, 14, 1),
    (1, 384, 96, 14, 1),
    (1, 96, 576, 14, 1),
    (3, 576, 0, 14, 1),
    (1, 576, 96, 14, 1),
    (3, 576, 0, 14, 2),
    (1, 576, 160, 7, 1),
    (1, 160, 960, 7, 1),
    (3, 960, 0, 7, 1),
    (1, 960, 160, 7, 1),
    (1, 960, 320, 7, 1),
    (1, 320, 1280, 7, 1),
)
CONVNEXT_T: tuple[Row, ...] = (
    (4, 3, 96, 224, 4),
    (7, 96, 0, 56, 1),
    (1, 96, 384, 56, 1),
    (1, 384, 96, 56, 1),
    (2, 96, 192, 56, 2),
    (7, 192, 0, 28, 1),
    (1, 192, 768, 28, 1),
    (1, 768, 192, 28, 1),
    (2, 192, 384, 28, 2),
    (7, 384, 0, 14, 1),
    (1, 384, 1536, 14, 1),
    (1, 1536, 384, 14, 1),
    (2, 384, 768, 14, 2),
    (7, 768, 0, 7, 1),
    (1, 768, 3072, 7, 1),
    (1, 3072, 768, 7, 1),
)
UNET: tuple[Row, ...] = (
    (3, 3, 64, 224, 1),
    (3, 64, 64, 224, 1),
    (3, 64, 128, 112, 1),
    (3, 128, 128, 112, 1),
    (3, 128, 256, 56, 1),
    (3, 256, 256, 56, 1),
    (3, 256, 512, 28, 1),
    (3, 512, 512, 28, 1),
    (3, 512, 1024, 14, 1),
    (3, 1024, 1024, 14, 1),
    (3, 1024, 512, 28, 1),
    (3, 512, 256, 56, 1),
    (3, 256, 128, 112, 1),
    (3, 128, 64, 224, 1),
    (1, 64, 2, 224, 1),
)


def _images(rows: Iterable[Row], batch: int) -> Iterator[tuple[str, ConvShape]]:
    for k, channels, outputs, size, stride in rows:
        groups = 1 if outputs else channels
        made = outputs or channels
        # Filters of an even size stand side by side.
        padding = 0 if k == stride else k // 2
        shape = ConvShape.of(batch, channels, made, (size, size), k, stride, padding, 1, groups)
        width = f"{channels}_{made}" if outputs else f"dw{channels}"
        yield f"{k}x{k}_{width}_{size}" + f"_s{stride}" * (stride > 1) + f"_b{batch}", shape


def _resnet50() -> Iterator[tuple[str, ConvShape]]:
    for batch in (1, 8):
        for name, shape in CONV_SHAPES["resnet50"].items():
            yield f"{name}_b{batch}", replace(shape, batch=batch)


def _wavenet() -> Iterator[tuple[str, ConvShape]]:
    """Residual blocks of 64 channels over a second of sound; the causal padding lies outside."""
    for dilation in (1, 8, 64, 512):
        yield (
            f"2_64_128_16000_d{dilation}",
            ConvShape.of(1, 64, 128, (16000,), 2, dilation=dilation),
        )
    yield "1_64_64_16000", ConvShape.of(1, 64, 64, (16000,), 1)
    yield "1_64_256_16000", ConvShape.of(1, 64, 256, (16000,), 1)


def _c3d() -> Iterator[tuple[str, ConvShape]]:
    for channels, outputs, depth, size in (
        (3, 64, 16, 112),
        (64, 128, 16, 56),
        (128, 256, 8, 28),
        (256, 256, 8, 28),
        (256, 512, 4, 14),
        (512, 512, 4, 14),
        (512, 512, 2, 7),
    ):
        shape = ConvShape.of(1, channels, outputs, (depth, size, size), 3, padding=1)
        yield f"3x3x3_{channels}_{outputs}_{depth}x{size}", shape


LAYERS: dict[str, dict[str, ConvShape]] = {
    "resnet50": dict(_resnet50()),
    "vgg16": dict(_images(VGG16, 1)),
    "mobilenetv2": dict(_images(MOBILENETV2, 8)),
    "convnext_t": dict(_images(CONVNEXT_T, 8)),
    "unet": dict(_images(UNET, 1)),
    "wavenet": dict(_wavenet()),
    "c3d": dict(_c3d()),
}
