"""Pooling and its adjoints on images as ResNet-50 and VGG have them, eight at a time."""

from __future__ import annotations

from clconv.reference.shapes import PoolShape

from .prepare import POOLINGS, prepare_pool

SHAPES = {  # named by window, channels and image size; the smallest first
    "7x7_2048_7": PoolShape.of(8, 2048, (7, 7), 7),
    "2x2_256_56_s2": PoolShape.of(8, 256, (56, 56), 2),
    "3x3_64_112_s2": PoolShape.of(8, 64, (112, 112), 3, stride=2, padding=1),
}


class Pool:
    """Seconds of one pooling on the device; building and copying are outside."""

    params = (tuple(SHAPES), POOLINGS)
    param_names = ("shape", "operator")
    version = "1"  # raised by hand when what is timed changes

    def setup(self, shape, operator):
        self.launch = prepare_pool(SHAPES[shape], operator)
        self.launch().wait()  # builds, touches memory

    def time_pool(self, shape, operator):
        self.launch().wait()
